use secrecy::SecretString;

use super::*;
use crate::cpu::Cpu;
use crate::data::BlockData;
use crate::memory::Memory;
use crate::object::ObjectHeaders;
use crate::object_blocks::ObjectBlocks;
use crate::settings::CipherName;
use crate::store::BlockStore;

/// A bucket, and what mounts of it are asked for.
struct Bucket {
    memory: Memory,
    backend: Arc<dyn ObjectBackend>,
}

fn bucket() -> Bucket {
    let memory = Memory::new();
    Bucket { backend: Arc::new(memory.clone()), memory }
}

fn asking(block_size: Option<u64>, size: Option<u64>) -> Settings {
    let volume = VolumeSettings { block_size, size, prefix: "v/".into(), ..Default::default() };
    Settings { volume, ..Default::default() }
}

fn encrypting(mut settings: Settings, cipher: CipherName) -> Settings {
    settings.codec.encrypt = Some(cipher);
    settings
}

fn forcing(mut settings: Settings) -> Settings {
    settings.volume.force = true;
    settings
}

fn hashing(mut settings: Settings) -> Settings {
    settings.volume.block_hash_prefix = true;
    settings
}

fn keys(settings: &Settings, password: &str) -> Option<Arc<Keys>> {
    let password = SecretString::from(password);
    Keys::from_settings(&settings.codec, Some(&password), "b", "v/").unwrap().map(Arc::new)
}

impl Bucket {
    async fn resolve_with(&self, settings: &Settings, password: &str) -> Result<Resolved> {
        let before = self.memory.objects();
        let resolved = resolve(&self.backend, settings, keys(settings, password).as_ref()).await;
        assert_eq!(self.memory.objects(), before, "resolving writes nothing");
        resolved
    }

    /// A mount's first steps.
    async fn mount(&self, settings: &Settings) -> Result<Resolved> {
        let resolved = self.resolve_with(settings, "right").await?;
        resolved.commit(&self.backend).await?;
        Ok(resolved)
    }

    /// The message of a refusal, which changes nothing.
    async fn refused(&self, settings: &Settings) -> String {
        self.refused_with(settings, "right").await
    }

    async fn refused_with(&self, settings: &Settings, password: &str) -> String {
        let error = self.resolve_with(settings, password).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        error.message().to_owned()
    }

    async fn write(&self, settings: &Settings, block: u32, password: &str) {
        let geometry = Geometry::new(settings.volume.block_size.unwrap(), settings.volume.size.unwrap()).unwrap();
        let codec = Codec::new(&settings.codec, geometry, keys(settings, password)).unwrap();
        let naming = Naming::new("v/", settings.volume.block_hash_prefix);
        let blocks = ObjectBlocks::new(self.backend.clone(), geometry, naming, codec, Cpu::inline(), Arc::default());
        let data = vec![7; geometry.block_size() as usize].into();
        blocks.write(BlockNumber(block), BlockData::Bytes(data), false).await.unwrap();
    }
}

const K4: Option<u64> = Some(4096);
const K8: Option<u64> = Some(8192);
const M1: Option<u64> = Some(1 << 20);
const M2: Option<u64> = Some(2 << 20);

#[tokio::test]
async fn a_new_volume_gets_256_kib_blocks_and_a_superblock() {
    let bucket = bucket();
    let message = bucket.refused(&asking(None, None)).await;
    assert!(message.contains("no volume at memory/v/") && message.contains("--size=10g"), "{message}");
    let made = bucket.mount(&asking(None, M1)).await.unwrap();
    assert_eq!((made.geometry.block_size(), made.geometry.blocks()), (256 << 10, 4));
    assert_eq!(bucket.memory.keys(), ["v/s3b-superblock"]);
    let again = bucket.resolve_with(&asking(None, None), "right").await.unwrap();
    assert_eq!((again.geometry, again.write_superblock, again.notices.len()), (made.geometry, None, 0));
}

#[tokio::test]
async fn wrong_sizes_are_refused_by_name() {
    let bucket = bucket();
    for (block_size, size, hint) in [
        (Some(3000), Some(30000), "--block-size=4096"),
        (K4, Some(5000), "--size=8192"),
        (Some(512), Some(8 << 40), "format has room for"),
    ] {
        let message = bucket.refused(&asking(block_size, size)).await;
        assert!(message.contains(hint), "{message}");
    }
}

#[tokio::test]
async fn the_superblock_knows_the_shape_when_block_zero_is_zero() {
    let bucket = bucket();
    bucket.mount(&asking(K4, M1)).await.unwrap();
    bucket.write(&asking(K4, M1), 5, "").await;
    assert_eq!(bucket.mount(&asking(None, None)).await.unwrap().geometry.block_size(), 4096);
    let message = bucket.refused(&asking(K8, None)).await;
    assert!(message.contains("--block-size=8k: the superblock says 4k"), "{message}");
    let message = bucket.refused(&forcing(asking(K8, M1))).await;
    assert!(message.contains("copy the content"), "{message}");
    let message = bucket.refused(&asking(None, M2)).await;
    assert!(message.contains("--size=2m: the superblock says --size=1m"), "{message}");
    let message = bucket.refused(&hashing(asking(None, None))).await;
    assert!(message.contains("leave out --block-hash-prefix"), "{message}");
}

#[tokio::test]
async fn a_forced_resize_lasts() {
    for (settings, block) in [(asking(K4, M1), 0), (asking(K4, M1), 5)] {
        let bucket = bucket();
        bucket.mount(&settings).await.unwrap();
        bucket.write(&settings, block, "").await;
        let resized = bucket.mount(&forcing(asking(None, M2))).await.unwrap();
        assert_eq!(resized.geometry.size(), 2 << 20);
        assert!(resized.notices[0].contains("1m, it has 2m now"), "{:?}", resized.notices);
        assert_eq!(bucket.mount(&asking(None, None)).await.unwrap().geometry.size(), 2 << 20);
    }
}

#[tokio::test]
async fn s3backers_volume_is_adopted_from_block_zero() {
    let bucket = bucket();
    bucket.write(&asking(K4, M1), 0, "").await;
    for wrong in [asking(K8, None), asking(None, M2), forcing(asking(K8, M1)), hashing(asking(None, None))] {
        bucket.refused(&wrong).await;
    }
    let adopted = bucket.mount(&asking(None, None)).await.unwrap();
    assert_eq!((adopted.geometry.block_size(), adopted.geometry.size()), (4096, 1 << 20));
    assert_eq!(bucket.memory.keys(), ["v/00000000", "v/s3b-superblock"]);
}

#[tokio::test]
async fn blocks_without_a_shape_need_one_that_an_existing_block_has() {
    let bucket = bucket();
    bucket.write(&asking(K4, M1), 5, "").await;
    for incomplete in [asking(None, None), asking(None, M1), asking(K4, None)] {
        let message = bucket.refused(&incomplete).await;
        assert!(message.contains("\"v/00000005\"") && message.contains("--block-size=4k"), "{message}");
    }
    let message = bucket.refused(&asking(K8, M1)).await;
    assert!(message.contains("v/00000005 is no block of this volume") && message.contains("4096 bytes"), "{message}");
    bucket.refused(&forcing(asking(K8, M1))).await;
    let message = bucket.refused(&asking(K4, Some(4096))).await;
    assert!(message.contains("at least --size=24k"), "{message}");
    let message = bucket.refused(&hashing(asking(K4, M1))).await;
    assert!(message.contains("plain keys") && message.contains("leave out"), "{message}");
    bucket.mount(&asking(K4, M1)).await.unwrap();
}

#[tokio::test]
async fn hashed_volumes_are_recognised_by_any_block() {
    let bucket = bucket();
    bucket.write(&hashing(asking(K4, M1)), 5, "").await;
    let message = bucket.refused(&asking(K4, M1)).await;
    assert!(message.contains("add --block-hash-prefix") && message.contains("6a03ab82-00000005"), "{message}");
    let adopted = bucket.mount(&hashing(asking(K4, M1))).await.unwrap();
    assert!(adopted.naming.hashed());
    bucket.refused(&asking(None, None)).await;
    bucket.mount(&hashing(asking(None, None))).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_and_without_a_superblock() {
    let bucket = bucket();
    let settings = encrypting(asking(K4, M1), CipherName::Aes128Cbc);
    bucket.write(&settings, 3, "right").await;
    let message = bucket.refused_with(&settings, "wrong").await;
    assert!(message.contains("v/00000003") && message.contains("HMAC does not fit"), "{message}");
    bucket.refused_with(&forcing(settings.clone()), "wrong").await;
    assert!(bucket.refused(&asking(K4, M1)).await.contains("--encrypt was not given"));
    bucket.mount(&settings).await.unwrap();
    assert!(bucket.refused_with(&settings, "wrong").await.contains("wrong password"));
    assert!(bucket.refused_with(&forcing(settings.clone()), "wrong").await.contains("wrong password"));
    assert!(bucket.refused(&asking(K4, M1)).await.contains("give --encrypt=AES-128-CBC"));
    let other = encrypting(asking(K4, M1), CipherName::Aes256Cbc);
    assert!(bucket.refused(&other).await.contains("another cipher"));
    bucket.mount(&settings).await.unwrap();
}

#[tokio::test]
async fn encryption_is_not_switched_on_halfway() {
    let bucket = bucket();
    bucket.mount(&asking(K4, M1)).await.unwrap();
    bucket.write(&asking(K4, M1), 3, "").await;
    let settings = encrypting(asking(K4, M1), CipherName::Aes128Cbc);
    assert!(bucket.refused(&settings).await.contains("not encrypted"));
    bucket.memory.remove("v/s3b-superblock");
    assert!(bucket.refused(&settings).await.contains("supposed to be encrypted"));
}

#[tokio::test]
async fn a_superblock_without_blocks_gives_way() {
    let bucket = bucket();
    bucket.mount(&asking(K4, M1)).await.unwrap();
    bucket.memory.insert("v/0000004A", ObjectHeaders::default(), "foreign");
    let settings = hashing(encrypting(asking(K8, M2), CipherName::Aes128Cbc));
    let replaced = bucket.mount(&settings).await.unwrap();
    assert!(replaced.notices[0].contains("no block is left"), "{:?}", replaced.notices);
    assert_eq!((replaced.geometry.block_size(), replaced.geometry.size()), (8192, 2 << 20));
    let kept = bucket.mount(&hashing(encrypting(asking(None, None), CipherName::Aes128Cbc))).await.unwrap();
    assert_eq!((kept.geometry, kept.notices.len()), (replaced.geometry, 0));
}

#[tokio::test]
async fn superblock_against_block_zero_is_for_a_person_to_decide() {
    let bucket = bucket();
    bucket.mount(&asking(K4, M1)).await.unwrap();
    // s3backer erased it and made another volume.
    bucket.write(&asking(K8, M2), 0, "").await;
    let message = bucket.refused(&asking(None, None)).await;
    let both = ["--block-size=4k --size=1m", "--block-size=8k --size=2m", "--force"];
    assert!(both.iter().all(|part| message.contains(part)), "{message}");
    bucket.refused(&forcing(asking(K4, None))).await;
    let mended = bucket.mount(&forcing(asking(None, None))).await.unwrap();
    assert_eq!((mended.geometry.block_size(), mended.geometry.size()), (8192, 2 << 20));
    assert_eq!(bucket.mount(&asking(None, None)).await.unwrap().geometry, mended.geometry);
}

#[tokio::test]
async fn a_damaged_superblock_stops_a_mount_unless_forced() {
    let bucket = bucket();
    bucket.write(&asking(K4, M1), 0, "").await;
    bucket.memory.insert("v/s3b-superblock", ObjectHeaders::default(), "nonsense");
    let error = bucket.resolve_with(&asking(None, None), "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("--force"), "{error}");
    bucket.mount(&forcing(asking(None, None))).await.unwrap();
    bucket.mount(&asking(None, None)).await.unwrap();
}

#[tokio::test]
async fn a_read_only_mount_writes_nothing() {
    let bucket = bucket();
    bucket.write(&asking(K4, M1), 0, "").await;
    let mut settings = forcing(asking(None, M2));
    settings.volume.read_only = true;
    let before = bucket.memory.objects();
    bucket.mount(&settings).await.unwrap();
    assert_eq!(bucket.memory.objects(), before);
}

#[tokio::test]
async fn two_first_mounts_at_once_make_one_volume() {
    let bucket = bucket();
    let first = bucket.resolve_with(&asking(K4, M1), "").await.unwrap();
    let second = bucket.resolve_with(&asking(K8, M1), "").await.unwrap();
    first.commit(&bucket.backend).await.unwrap();
    assert_eq!(second.commit(&bucket.backend).await.unwrap_err().kind(), ErrorKind::Conflict);
    // A repeated request that meets its own first attempt has succeeded.
    first.commit(&bucket.backend).await.unwrap();
}

#[tokio::test]
async fn no_auto_detect_wants_a_size_and_believes_no_less_than_the_store() {
    let bucket = bucket();
    bucket.write(&asking(K4, M1), 0, "").await;
    let mut settings = asking(None, None);
    settings.volume.auto_detect = false;
    assert!(bucket.refused(&settings).await.contains("--size=10g"));
    settings.volume.size = M1;
    assert_eq!(bucket.mount(&settings).await.unwrap().geometry.block_size(), 4096);
}

#[tokio::test]
async fn a_volume_that_s3backer_made_anew_under_another_password_is_not_overwritten() {
    let bucket = bucket();
    let settings = encrypting(asking(K4, M1), CipherName::Aes128Cbc);
    bucket.mount(&settings).await.unwrap();
    bucket.write(&settings, 0, "other").await;
    // The superblock's password is not the block's, and the block's is not the superblock's.
    let message = bucket.refused(&settings).await;
    assert!(message.contains("v/00000000 is no block of this volume"), "{message}");
    let message = bucket.refused_with(&settings, "other").await;
    assert!(message.contains("--force believes block 0"), "{message}");
    bucket.refused_with(&forcing(settings.clone()), "third").await;
    let mended = bucket.resolve_with(&forcing(settings.clone()), "other").await.unwrap();
    mended.commit(&bucket.backend).await.unwrap();
    assert_eq!(bucket.resolve_with(&settings, "other").await.unwrap().write_superblock, None);
    // Nor is it mounted as a plain one, where the superblock says so.
    bucket.memory.insert(
        "v/s3b-superblock",
        ObjectHeaders::default(),
        Superblock::new(mended.geometry, false, None).to_body(),
    );
    assert!(bucket.refused(&asking(None, None)).await.contains("--encrypt was not given"));
    mended.commit(&bucket.backend).await.unwrap();
    // A single damaged block can be got around.
    let mut reading = encrypting(asking(None, None), CipherName::Aes128Cbc);
    bucket.memory.insert("v/00000000", ObjectHeaders::default(), vec![1; 4096]);
    bucket.refused_with(&reading, "other").await;
    reading.volume.read_only = true;
    assert!(bucket.resolve_with(&reading, "other").await.unwrap().notices[0].contains("supposed to be encrypted"));
}

#[tokio::test]
async fn a_superblock_of_the_other_naming_hides_no_blocks() {
    let bucket = bucket();
    bucket.mount(&asking(K4, M1)).await.unwrap();
    bucket.write(&hashing(asking(K8, M2)), 0, "").await;
    for settings in [asking(None, None), hashing(asking(None, None))] {
        let message = bucket.refused(&settings).await;
        assert!(message.contains("there is a block 0 with hashed keys"), "{message}");
    }
    let resolved = bucket.mount(&forcing(hashing(asking(None, None)))).await.unwrap();
    assert_eq!((resolved.geometry.block_size(), resolved.naming.hashed()), (8192, true));
    bucket.mount(&hashing(asking(None, None))).await.unwrap();
}
