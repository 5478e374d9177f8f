use parking_lot::Mutex;
use secrecy::SecretString;

use super::*;
use crate::memory::Memory;
use crate::object::ObjectHeaders;
use crate::settings::{CipherName, CodecSettings, Compression};

const BLOCK: u32 = 4096;

struct Volume {
    memory: Memory,
    blocks: ObjectBlocks,
    stats: Arc<Stats>,
}

fn volume_with(settings: CodecSettings, hashed: bool, block_count: u64) -> Volume {
    let (memory, stats) = (Memory::new(), Arc::<Stats>::default());
    let geometry = Geometry::new(BLOCK.into(), u64::from(BLOCK) * block_count).unwrap();
    let keys = Keys::from_settings(&settings, Some(&SecretString::from("pw")), "b", "v/").unwrap();
    let codec = Codec::new(&settings, geometry, keys.map(Arc::new)).unwrap();
    let naming = Naming::new("v/", hashed);
    let blocks = ObjectBlocks::new(Arc::new(memory.clone()), geometry, naming, codec, Cpu::inline(), stats.clone());
    Volume { memory, blocks, stats }
}

fn volume() -> Volume {
    volume_with(CodecSettings::default(), false, 256)
}

fn bytes(fill: u8) -> BlockData {
    BlockData::Bytes(vec![fill; BLOCK as usize].into())
}

const FIVE: BlockNumber = BlockNumber(5);

#[tokio::test]
async fn a_block_is_an_object_and_a_zero_block_is_none() {
    let volume = volume();
    let etag = volume.blocks.write(FIVE, bytes(7), true).await.unwrap();
    assert_eq!(volume.memory.keys(), ["v/00000005"]);
    assert_eq!(volume.blocks.read(FIVE, Expect::Any).await.unwrap(), Fetched::Data(bytes(7), etag));
    for zero in [BlockData::Zero, bytes(0)] {
        volume.blocks.write(FIVE, bytes(7), false).await.unwrap();
        assert_eq!(volume.blocks.write(FIVE, zero, true).await.unwrap(), Some(ETag::ZERO_BLOCK));
        assert_eq!(volume.memory.keys(), [""; 0]);
    }
    let absent = Fetched::Data(BlockData::Zero, Some(ETag::ZERO_BLOCK));
    assert_eq!(volume.blocks.read(FIVE, Expect::Any).await.unwrap(), absent);
    let http = &volume.stats.http;
    let counts =
        [&http.normal_blocks_written, &http.normal_blocks_read, &http.zero_blocks_written, &http.zero_blocks_read];
    assert_eq!(counts.map(crate::stats::Counter::get), [3, 1, 2, 1]);
}

#[tokio::test]
async fn every_coding_comes_back_through_the_store() {
    for (compress, encrypt) in [
        (Some(Compression::Zstd(1)), None),
        (None, Some(CipherName::Aes256Cbc)),
        (Some(Compression::Zstd(1)), Some(CipherName::DesEde3Cbc)),
    ] {
        let volume = volume_with(CodecSettings { compress, encrypt, ..Default::default() }, true, 256);
        volume.blocks.write(BlockNumber(0), bytes(9), false).await.unwrap();
        assert_eq!(volume.memory.keys(), ["v/c448b72c-00000000"]);
        let object = volume.memory.object("v/c448b72c-00000000").unwrap();
        assert!(object.body.len() < 200 && object.headers.meta("s3backer-blocksize") == Some("4096"));
        let Fetched::Data(data, _) = volume.blocks.read(BlockNumber(0), Expect::Any).await.unwrap() else { panic!() };
        assert_eq!(data, bytes(9));
    }
}

#[tokio::test]
async fn expectations_become_conditions() {
    let volume = volume();
    let old = volume.blocks.write(FIVE, bytes(1), true).await.unwrap().unwrap();
    let new = volume.blocks.write(FIVE, bytes(2), true).await.unwrap().unwrap();
    let zero = ETag::ZERO_BLOCK;
    let read = |expect| volume.blocks.read(FIVE, expect);
    let data = Fetched::Data(bytes(2), Some(new));
    assert_eq!(read(Expect::Exactly(new)).await.unwrap(), data);
    assert_eq!(read(Expect::Unless(new)).await.unwrap(), Fetched::Unchanged);
    assert_eq!(read(Expect::Unless(old)).await.unwrap(), data);
    assert_eq!(read(Expect::Unless(zero)).await.unwrap(), data);
    for stale in [old, zero] {
        assert_eq!(read(Expect::Exactly(stale)).await.unwrap_err().kind(), ErrorKind::Stale);
    }
    volume.blocks.write(FIVE, BlockData::Zero, true).await.unwrap();
    let absent = Fetched::Data(BlockData::Zero, Some(zero));
    assert_eq!(read(Expect::Exactly(zero)).await.unwrap(), absent);
    assert_eq!(read(Expect::Unless(zero)).await.unwrap(), Fetched::Unchanged);
    assert_eq!(read(Expect::Unless(new)).await.unwrap(), absent);
    assert_eq!(read(Expect::Exactly(new)).await.unwrap_err().kind(), ErrorKind::Stale);
}

#[tokio::test]
async fn objects_of_another_length_are_corrupt_and_name_the_block() {
    let volume = volume();
    for len in [0, 1, 4095, 4097, 1 << 20] {
        volume.memory.insert("v/00000005", ObjectHeaders::default(), vec![1; len]);
        let error = volume.blocks.read(FIVE, Expect::Any).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("block 00000005"), "{error}");
    }
}

#[tokio::test]
async fn thousands_of_blocks_are_deleted_in_batches_with_an_answer_each() {
    let volume = volume_with(CodecSettings::default(), true, 5000);
    for block in [0, 999, 1000, 2500] {
        volume.blocks.write(BlockNumber(block), bytes(1), false).await.unwrap();
    }
    let all: Vec<_> = (0..2501).map(BlockNumber).collect();
    let answers = volume.blocks.delete_many(all.clone()).await;
    assert_eq!(answers.iter().map(|(block, _)| *block).collect::<Vec<_>>(), all);
    assert!(answers.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(volume.memory.keys(), [""; 0]);
}

#[tokio::test]
async fn a_survey_finds_every_block_of_the_volume_once_and_nothing_else() {
    for (hashed, threads) in [(false, 1), (false, 7), (true, 1), (true, 16)] {
        let volume = volume_with(CodecSettings::default(), hashed, 3000);
        let blocks = volume.blocks.clone().with_survey_threads(threads);
        let naming = Naming::new("v/", hashed);
        let present: Vec<_> = (0..3000).filter(|n| n % 7 != 3).map(BlockNumber).collect();
        for block in &present {
            volume.memory.insert(&naming.key(*block), ObjectHeaders::default(), vec![1]);
        }
        for outside in [3000, u32::MAX] {
            volume.memory.insert(&naming.key(BlockNumber(outside)), ObjectHeaders::default(), vec![1]);
        }
        for foreign in ["v/zzz", "v/0000004A", "v/deadbeef-00000007", "w/00000001", "00000001", "v/s3b-superblock"] {
            volume.memory.insert(foreign, ObjectHeaders::default(), vec![1]);
        }
        let found = Arc::new(Mutex::new(Vec::new()));
        let sink = found.clone();
        blocks.survey(Arc::new(move |page: &[BlockNumber]| sink.lock().extend_from_slice(page))).await.unwrap();
        let mut found = found.lock().clone();
        found.sort();
        assert_eq!(found, present, "hashed {hashed}, {threads} threads");
    }
}
