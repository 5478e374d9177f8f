//! Objects as the C program left them in real buckets, byte for byte, read and written through the whole layer.

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use s3b_engine::cpu::Cpu;
use s3b_engine::data::BlockData;
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::memory::Memory;
use s3b_engine::object::ObjectHeaders;
use s3b_engine::object_blocks::{Codec, Keys, Naming, ObjectBlocks, resolve};
use s3b_engine::settings::{CipherName, CodecSettings, Compression, Settings};
use s3b_engine::store::{BlockStore, Expect, Fetched};
use secrecy::SecretString;

struct Vector {
    prefix: &'static str,
    cipher: CipherName,
    key_length: Option<u32>,
    block: u32,
    body: &'static str,
    hmac: &'static str,
}

/// Each is 4096 times 'A', deflated, with the password `mysecretpw` in the bucket `mybucket`.
const ENCRYPTED: [Vector; 4] = [
    Vector {
        prefix: "disk1/",
        cipher: CipherName::Aes128Cbc,
        key_length: None,
        block: 0,
        body: "e2b814a4ab4bb66416d71f990f0236c55a59bf5496af7bf09dd92c31021cf773",
        hmac: "643f070b9170d2aa3662a627d5d94e84a0c9ada9",
    },
    Vector {
        prefix: "a256/",
        cipher: CipherName::Aes256Cbc,
        key_length: None,
        block: 1,
        body: "072adb4f367477d785aa190e58b761907e0608664c81cdfc88c99cee9d19071b",
        hmac: "b99da5cf9965e5aebc1fa909f7d21078fce04cda",
    },
    Vector {
        prefix: "kl64/",
        cipher: CipherName::Aes128Cbc,
        key_length: Some(64),
        block: 1,
        body: "aee89452360e9259e30c493f8bed81344f58b4104efffe1b6cebbe1dec83d6e3",
        hmac: "83534cf23f9db22f330f300eac8ec6dec31fcb7c",
    },
    Vector {
        prefix: "des3/",
        cipher: CipherName::DesEde3Cbc,
        key_length: None,
        block: 1,
        body: "0f45399f83f1a0f15fa84e4953f21e3de9e53cac06239ac0dd516761e69b6c3a",
        hmac: "80521fe0d891c2f2de29b782235079cbc659187f",
    },
];

impl Vector {
    fn settings(&self) -> CodecSettings {
        CodecSettings { encrypt: Some(self.cipher), key_length: self.key_length, ..Default::default() }
    }

    fn keys(&self) -> Arc<Keys> {
        let password = SecretString::from("mysecretpw");
        Arc::new(Keys::from_settings(&self.settings(), Some(&password), "mybucket", self.prefix).unwrap().unwrap())
    }

    fn object(&self) -> (ObjectHeaders, Bytes) {
        let mut headers =
            ObjectHeaders { content_encoding: Some(format!("deflate, encrypt-{}", self.cipher)), ..Default::default() };
        if self.block == 0 {
            headers.meta.push(("s3backer-blocksize".into(), "4096".into()));
            headers.meta.push(("s3backer-filesize".into(), "1048576".into()));
        }
        headers.meta.push(("s3backer-hmac".into(), format!("\"{}\"", self.hmac)));
        (headers, hex::decode(self.body).unwrap().into())
    }
}

fn geometry() -> Geometry {
    Geometry::new(4096, 1 << 20).unwrap()
}

fn blocks(memory: &Memory, prefix: &str, settings: &CodecSettings, keys: Option<Arc<Keys>>) -> ObjectBlocks {
    let codec = Codec::new(settings, geometry(), keys).unwrap();
    let naming = Naming::new(prefix, false);
    ObjectBlocks::new(Arc::new(memory.clone()), geometry(), naming, codec, Cpu::inline(), Arc::default())
}

fn pattern() -> Bytes {
    (0..4096).map(|at| at as u8).collect()
}

#[tokio::test]
async fn encrypted_blocks_of_the_c_program_are_read() {
    for vector in ENCRYPTED {
        let memory = Memory::new();
        let (headers, body) = vector.object();
        memory.insert(&format!("{}{:08x}", vector.prefix, vector.block), headers, body);
        let blocks = blocks(&memory, vector.prefix, &vector.settings(), Some(vector.keys()));
        let Fetched::Data(data, _) = blocks.read(BlockNumber(vector.block), Expect::Any).await.unwrap() else {
            panic!()
        };
        assert_eq!(data, BlockData::Bytes(vec![b'A'; 4096].into()), "{}", vector.prefix);
    }
}

#[tokio::test]
async fn its_encrypted_volume_is_mounted_with_the_right_password_only() {
    let vector = &ENCRYPTED[0];
    let memory = Memory::new();
    let (headers, body) = vector.object();
    assert_eq!(hex::encode(Md5::digest(&body)), "6679d91884f0a23669a05dd5ae45ad88");
    memory.insert("disk1/00000000", headers, body);
    let mut settings = Settings { codec: vector.settings(), ..Default::default() };
    settings.volume.prefix = "disk1/".into();
    let backend: Arc<dyn s3b_engine::object::ObjectBackend> = Arc::new(memory.clone());
    let wrong = Keys::from_settings(&settings.codec, Some(&SecretString::from("mysecretpW")), "mybucket", "disk1/");
    let wrong = Arc::new(wrong.unwrap().unwrap());
    let error = resolve(&backend, &settings, Some(&wrong)).await.unwrap_err();
    assert!(error.message().contains("the password"), "{error}");
    assert_eq!(memory.keys(), ["disk1/00000000"]);
    let resolved = resolve(&backend, &settings, Some(&vector.keys())).await.unwrap();
    assert_eq!(resolved.geometry, geometry());
}

#[tokio::test]
async fn what_we_write_has_the_c_programs_headers_and_only_those() {
    let vector = &ENCRYPTED[0];
    let memory = Memory::new();
    let blocks = blocks(&memory, vector.prefix, &vector.settings(), Some(vector.keys()));
    for (block, data) in [(0, Bytes::from(vec![b'A'; 4096])), (2, pattern())] {
        blocks.write(BlockNumber(block), BlockData::Bytes(data.clone()), false).await.unwrap();
        let object = memory.object(&format!("disk1/{block:08x}")).unwrap();
        let names: Vec<_> = object.headers.meta.iter().map(|(name, _)| name.as_str()).collect();
        let expected: &[&str] = match block {
            0 => &["s3backer-blocksize", "s3backer-filesize", "s3backer-hmac"],
            _ => &["s3backer-hmac"],
        };
        assert_eq!(names, expected);
        assert_eq!(object.headers.content_encoding.as_deref(), Some("deflate, encrypt-AES-128-CBC"));
        // Two zlibs need not choose the same matches: theirs made 320 bytes of the longer one.
        assert!(object.body.len() < 400, "{}", object.body.len());
        let Fetched::Data(read, _) = blocks.read(BlockNumber(block), Expect::Any).await.unwrap() else { panic!() };
        assert_eq!(read, BlockData::Bytes(data));
    }
}

#[tokio::test]
async fn zstd_frames_are_those_of_the_one_shot_call() {
    let memory = Memory::new();
    let settings = CodecSettings { compress: Some(Compression::Zstd(3)), ..Default::default() };
    let blocks = blocks(&memory, "", &settings, None);
    blocks.write(BlockNumber(9), BlockData::Bytes(vec![b'A'; 4096].into()), false).await.unwrap();
    let object = memory.object("00000009").unwrap();
    assert_eq!(object.headers.content_encoding.as_deref(), Some("zstd"));
    // Content size present, no checksum, no dictionary, one segment.
    assert_eq!(hex::encode(&object.body[..7]), "28b52ffd60000f");
}
