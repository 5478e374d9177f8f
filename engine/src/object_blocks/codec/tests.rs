use proptest::prelude::*;
use secrecy::SecretString;

use super::*;
use crate::error::ErrorKind;
use crate::settings::CipherName;

fn geometry() -> Geometry {
    Geometry::new(4096, 1 << 20).unwrap()
}

fn codec(settings: CodecSettings) -> Codec {
    let password = SecretString::from("mysecretpw");
    let keys = Keys::from_settings(&settings, Some(&password), "mybucket", "disk1/").unwrap();
    Codec::new(&settings, geometry(), keys.map(Arc::new)).unwrap()
}

fn plain() -> Codec {
    codec(CodecSettings::default())
}

fn compressing(compression: Compression) -> Codec {
    codec(CodecSettings { compress: Some(compression), ..Default::default() })
}

fn encrypting() -> Codec {
    codec(CodecSettings { encrypt: Some(CipherName::Aes128Cbc), ..Default::default() })
}

fn headers(encoding: &str) -> ObjectHeaders {
    ObjectHeaders { content_encoding: Some(encoding.into()), ..Default::default() }
}

fn corrupt(codec: &Codec, headers: &ObjectHeaders, body: impl Into<Bytes>) -> String {
    let error = codec.decode(BlockNumber(5), headers, body.into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().starts_with("block 00000005 at offset 20480: "), "{error}");
    error.message().to_owned()
}

/// Bytes without a pattern: a multiplicative generator's high bytes.
fn noise(len: usize) -> Bytes {
    let mut state = 1u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn plain_blocks_go_through_untouched() {
    let data = noise(4096);
    let (headers, body) = plain().encode(BlockNumber(5), data.clone()).unwrap();
    assert_eq!(headers, ObjectHeaders { content_type: Some(CONTENT_TYPE), ..Default::default() });
    assert_eq!(body.as_ptr(), data.as_ptr());
    assert_eq!(plain().decode(BlockNumber(5), &headers, body).unwrap(), BlockData::Bytes(data));
}

#[test]
fn block_zero_alone_carries_the_geometry() {
    let (headers, _) = plain().encode(BlockNumber(0), noise(4096)).unwrap();
    assert_eq!(geometry_headers(&headers), Some((4096, 1 << 20)));
    let (mut headers, _) = encrypting().encode(BlockNumber(0), noise(4096)).unwrap();
    let names: Vec<_> = headers.meta.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [BLOCK_SIZE_META, FILE_SIZE_META, HMAC_META]);
    headers.meta.remove(1);
    assert_eq!(geometry_headers(&headers), None);
}

#[test]
fn what_s3backer_wrote_is_read() {
    let data = BlockData::Bytes(vec![b'A'; 4096].into());
    let deflated = "789cedc1010d000000c2a06cef5fca1e0e28000000e0dd00ffad103d";
    let zstd = "28b52ffd60000f4d00001041410100fbf70116";
    for (encoding, body) in [("deflate", deflated), ("DEFLATE", deflated), ("zstd", zstd), (" ,zstd, ", zstd)] {
        let body = Bytes::from(hex::decode(body).unwrap());
        // Whatever is configured for writing.
        for codec in [plain(), compressing(Compression::Zstd(3))] {
            assert_eq!(codec.decode(BlockNumber(0), &headers(encoding), body.clone()).unwrap(), data, "{encoding}");
        }
    }
    let body = hex::decode("e2b814a4ab4bb66416d71f990f0236c55a59bf5496af7bf09dd92c31021cf773").unwrap();
    for encoding in ["deflate, encrypt-AES-128-CBC", "deflate,Encrypt-aes-128-cbc", "deflate encrypt-AES-128-CBC"] {
        let mut headers = headers(encoding);
        headers.meta.push((HMAC_META.into(), "\"643f070b9170d2aa3662a627d5d94e84a0c9ada9\"".into()));
        assert_eq!(encrypting().decode(BlockNumber(0), &headers, body.clone().into()).unwrap(), data);
    }
}

#[test]
fn headers_are_s3backers_to_the_letter() {
    let (headers, body) = encrypting().encode(BlockNumber(2), (0..4096).map(|i| i as u8).collect()).unwrap();
    assert_eq!(headers.content_encoding.as_deref(), Some("deflate, encrypt-AES-128-CBC"));
    let hmac = headers.meta(HMAC_META).unwrap();
    assert_eq!((hmac.len(), &hmac[..1], &hmac[41..]), (42, "\"", "\""));
    assert_eq!(body.len() % 16, 0);
    let zstd = codec(CodecSettings {
        compress: Some(Compression::Zstd(3)),
        encrypt: Some(CipherName::DesEde3Cbc),
        ..Default::default()
    });
    let (headers, _) = zstd.encode(BlockNumber(2), noise(4096)).unwrap();
    assert_eq!(headers.content_encoding.as_deref(), Some("zstd, encrypt-DES-EDE3-CBC"));
}

#[test]
fn what_does_not_shrink_is_stored_raw_unless_it_must_say_how_it_is_coded() {
    for compression in [Compression::Deflate(-1), Compression::Deflate(0), Compression::Zstd(1)] {
        let (headers, body) = compressing(compression).encode(BlockNumber(1), noise(4096)).unwrap();
        assert_eq!((headers.content_encoding, body), (None, noise(4096)));
        let (headers, body) = compressing(compression).encode(BlockNumber(1), vec![7; 4096].into()).unwrap();
        let shrank = compression != Compression::Deflate(0);
        assert_eq!((headers.content_encoding.is_some(), body.len() < 200), (shrank, shrank));
    }
    let settings = CodecSettings { default_content_encoding: Some("zstd".into()), ..Default::default() };
    let codec = codec(settings);
    let (headers, body) = codec.encode(BlockNumber(1), noise(4096)).unwrap();
    assert_eq!(headers.content_encoding.as_deref(), Some("deflate"));
    assert!(body.len() > 4096 && body.len() <= codec.max_body_len());
    assert_eq!(codec.decode(BlockNumber(1), &headers, body).unwrap(), BlockData::Bytes(noise(4096)));
}

#[test]
fn the_default_encoding_stands_in_for_a_missing_header() {
    let with_default = |text: &str| {
        let settings = CodecSettings { default_content_encoding: Some(text.into()), ..Default::default() };
        Codec::new(&settings, geometry(), None)
    };
    let (_, body) = compressing(Compression::Zstd(3)).encode(BlockNumber(1), vec![7; 4096].into()).unwrap();
    let codec = with_default("zstd").unwrap();
    let data = codec.decode(BlockNumber(1), &ObjectHeaders::default(), body).unwrap();
    assert_eq!(data, BlockData::Bytes(vec![7; 4096].into()));
    assert!(with_default("deflate,encrypt-AES-128-CBC").is_ok());
    assert!(with_default("gzip").unwrap_err().message().contains("try --default-content-encoding=deflate"));
}

#[test]
fn objects_that_are_not_blocks_are_corrupt() {
    let plain = plain();
    let none = ObjectHeaders::default();
    assert!(corrupt(&plain, &none, vec![1; 4095]).contains("4095 bytes, not the block size 4096"));
    assert!(corrupt(&plain, &none, vec![1; 4097]).contains("4097 bytes"));
    assert!(corrupt(&plain, &headers("gzip"), vec![1; 10]).contains("\"gzip\" is unknown"));
    assert!(corrupt(&plain, &headers("deflate, zstd"), vec![1; 10]).contains("zstd frame is damaged"));
    assert!(corrupt(&plain, &headers("encrypt-AES-128-CBC"), vec![1; 10]).contains("--encrypt was not given"));
    assert!(corrupt(&encrypting(), &none, vec![1; 4096]).contains("supposed to be encrypted"));
    assert!(corrupt(&encrypting(), &headers("encrypt-camellia-128-cbc"), vec![1; 16]).contains("camellia"));
    assert!(corrupt(&encrypting(), &headers("encrypt-AES-128-CBC"), vec![1; 16]).contains("no valid HMAC"));
    let endless = corrupt(&plain, &headers(&"é".repeat(100_000)), vec![1; 16]);
    assert!(endless.len() < 400, "{}", endless.len());
}

#[test]
fn an_altered_ciphertext_header_or_number_is_noticed() {
    let codec = encrypting();
    let (good, body) = codec.encode(BlockNumber(5), noise(4096)).unwrap();
    assert!(codec.decode(BlockNumber(5), &good, body.clone()).is_ok());
    let mut altered = body.to_vec();
    altered[100] ^= 1;
    assert!(corrupt(&codec, &good, altered).contains("HMAC does not fit"));
    assert!(codec.decode(BlockNumber(6), &good, body.clone()).is_err());
    for hmac in ["\"0000000000000000000000000000000000000000\"", "\"643f\"", "", "\"\""] {
        let mut headers = headers("deflate, encrypt-AES-128-CBC");
        headers.meta.push((HMAC_META.into(), hmac.into()));
        assert!(corrupt(&codec, &headers, body.clone()).contains("no valid HMAC"), "{hmac}");
    }
}

#[test]
fn bombs_and_stumps_are_refused_without_growing() {
    let plain = plain();
    for compression in [Compression::Deflate(9), Compression::Zstd(3)] {
        let encoding = headers(compression.encoding());
        let bomb = compress(compression, &vec![0; 64 << 20]).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(corrupt(&plain, &encoding, bomb).contains("the block size 4096"));
        let whole = compress(compression, &vec![7; 4096]).unwrap();
        corrupt(&plain, &encoding, whole[..whole.len() - 3].to_vec());
        corrupt(&plain, &encoding, [&whole[..], b"tail"].concat());
        corrupt(&plain, &encoding, Vec::new());
        let short = compress(compression, &vec![7; 4095]).unwrap();
        assert!(corrupt(&plain, &encoding, short).contains("4095 bytes, not"));
    }
}

#[test]
fn zlib_levels_are_zlibs() {
    for (level, second) in [(-1, 0x9c), (6, 0x9c), (1, 0x01), (9, 0xda)] {
        let made = compress(Compression::Deflate(level), &[7; 4096]).unwrap();
        assert_eq!(made[..2], [0x78, second], "level {level}");
    }
}

proptest! {
    #[test]
    fn any_header_and_body_give_data_or_corrupt(
        encoding in "(deflate|zstd|encrypt-AES-128-CBC|[ ,a-zé]{0,9}){0,4}",
        hmac in "\"?[0-9a-f]{0,41}\"?",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut headers = headers(&encoding);
        headers.meta.push((HMAC_META.into(), hmac));
        for codec in [plain(), encrypting_once()] {
            match codec.decode(BlockNumber(1), &headers, body.clone().into()) {
                Ok(data) => prop_assert_eq!(data.into_bytes(4096).len(), 4096),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt),
            }
        }
    }

    #[test]
    fn every_block_comes_back(
        seed in proptest::collection::vec(any::<u8>(), 1..64),
        block: u32,
        compress in proptest::option::of(prop_oneof![
            (-1..=9).prop_map(Compression::Deflate), (-5..=6).prop_map(Compression::Zstd)
        ]),
        encrypt: bool,
    ) {
        let data: Bytes = seed.iter().cycle().take(4096).copied().collect();
        let mut codec = if encrypt { encrypting_once() } else { plain() };
        codec.compress = compress.or(codec.compress);
        let (headers, body) = codec.encode(BlockNumber(block), data.clone()).unwrap();
        prop_assert!(body.len() <= codec.max_body_len());
        prop_assert_eq!(codec.decode(BlockNumber(block), &headers, body).unwrap(), BlockData::Bytes(data));
    }
}

/// Key derivation is slow on purpose; one is enough for all cases.
fn encrypting_once() -> Codec {
    static CODEC: std::sync::OnceLock<Codec> = std::sync::OnceLock::new();
    CODEC.get_or_init(encrypting).clone()
}
