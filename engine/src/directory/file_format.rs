//! One file that holds an object with its headers. Pure.
//!
//! ```text
//! 16 bytes of magic
//! name: 0000004a                     the last part of the key
//! length: 1234                       of the body
//! content-encoding: deflate
//! meta-s3backer-hmac: "643f...ada9"
//!                                    an empty line, then the body
//! ```
//! A file without the magic is a plain object and all body. A volume may itself contain such files, so the magic
//! alone decides nothing: the name must be the file's own, and a plain body that starts with the magic is
//! written with a header.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::object::ObjectHeaders;

const MAGIC: &[u8; 16] = b"\x89s3b-object-1\r\n\x1a";

/// Most bytes of magic and header lines.
pub const MAX_HEADER: usize = 16 << 10;

/// Metadata that a plain block 0 carries in a bucket and not in a directory.
const GEOMETRY: [&str; 2] = ["s3backer-blocksize", "s3backer-filesize"];

/// What precedes the body in the file: nothing for a plain object.
pub fn header(key: &str, headers: &ObjectHeaders, body: &[u8]) -> Result<Vec<u8>> {
    let plain =
        headers.content_encoding.is_none() && headers.meta.iter().all(|(name, _)| GEOMETRY.contains(&name.as_str()));
    if plain && !body.starts_with(MAGIC) {
        return Ok(Vec::new());
    }
    let mut lines = vec![("name".to_owned(), name_of(key).to_owned()), ("length".to_owned(), body.len().to_string())];
    lines.extend(headers.content_encoding.iter().map(|value| ("content-encoding".to_owned(), value.clone())));
    lines.extend(headers.meta.iter().map(|(name, value)| (format!("meta-{name}"), value.clone())));
    let mut out = MAGIC.to_vec();
    for (name, value) in &lines {
        if name.contains([':', '\n', '\r']) || value.contains(['\n', '\r']) {
            return Err(Error::failed(format!("the header {name:?} cannot be stored in a line")));
        }
        out.extend_from_slice(format!("{name}: {value}\n").as_bytes());
    }
    out.push(b'\n');
    if out.len() > MAX_HEADER {
        return Err(Error::failed(format!("{} bytes of headers, at most {MAX_HEADER} fit", out.len())));
    }
    Ok(out)
}

/// Takes a file apart.
pub fn parse(key: &str, content: Bytes) -> Result<(ObjectHeaders, Bytes)> {
    let found = parse_start(key, &content, content.len() as u64)?;
    let (headers, start) = found.unwrap_or_default();
    Ok((headers, content.slice(start..)))
}

/// The headers and where the body starts, from the first bytes of a file of `file_len` bytes; `None` for a plain
/// object.
///
/// # Errors
/// `Corrupt` when the file is this object's but was cut short or altered.
pub fn parse_start(key: &str, start: &[u8], file_len: u64) -> Result<Option<(ObjectHeaders, usize)>> {
    if !start.starts_with(MAGIC) {
        return Ok(None);
    }
    let mut headers = ObjectHeaders::default();
    let (mut at, mut length) = (MAGIC.len(), None);
    let mut named = false;
    loop {
        let line = start[at..].split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let ends = line.is_some_and(|line| start.get(at + line.len()) == Some(&b'\n'));
        let Some(line) = line.filter(|_| ends) else {
            return cut_short(named);
        };
        at += line.len() + 1;
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some(("name", name)) if name == name_of(key) => named = true,
            Some(("length", value)) => length = value.parse::<u64>().ok(),
            Some(("content-encoding", value)) => headers.content_encoding = Some(value.to_owned()),
            Some((name, value)) if name.starts_with("meta-") => {
                headers.meta.push((name["meta-".len()..].to_owned(), value.to_owned()));
            }
            _ => return cut_short(named),
        }
    }
    if !named {
        return Ok(None);
    }
    if length != Some(file_len - at as u64) {
        let text = format!("its body has {} bytes, its header says {length:?}", file_len - at as u64);
        return Err(Error::corrupt(text));
    }
    Ok(Some((headers, at)))
}

/// Unreadable lines: damage if the file has named itself, else a plain object that happens to start so.
fn cut_short<T>(named: bool) -> Result<Option<T>> {
    if named { Err(Error::corrupt("its header lines are damaged")) } else { Ok(None) }
}

fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> ObjectHeaders {
        ObjectHeaders {
            content_type: None,
            content_encoding: Some("deflate, encrypt-AES-128-CBC".into()),
            meta: vec![("s3backer-hmac".into(), "\"643f\"".into())],
            ..ObjectHeaders::default()
        }
    }

    fn file(key: &str, headers: &ObjectHeaders, body: &[u8]) -> Bytes {
        [header(key, headers, body).unwrap(), body.to_vec()].concat().into()
    }

    #[test]
    fn headers_come_back() {
        let content = file("disk1/00000002", &encoded(), b"body\n\nwith lines");
        assert_eq!(
            parse("disk1/00000002", content.clone()).unwrap(),
            (encoded(), Bytes::from_static(b"body\n\nwith lines"))
        );
        assert_eq!(parse("moved/00000002", content).unwrap().0, encoded());
    }

    #[test]
    fn plain_block_zero_is_a_bare_file() {
        let mut headers = ObjectHeaders { content_type: Some("application/x-s3backer-block"), ..Default::default() };
        headers.meta = GEOMETRY.map(|name| (name.to_owned(), "4096".to_owned())).to_vec();
        assert_eq!(file("00000000", &headers, b"plain"), b"plain"[..]);
    }

    #[test]
    fn a_plain_body_that_looks_like_an_object_comes_back_as_it_was() {
        let inner = file("00000002", &encoded(), b"body");
        let outer = file("00000002", &ObjectHeaders::default(), &inner);
        assert_eq!(parse("00000002", outer).unwrap(), (ObjectHeaders::default(), inner.clone()));
        // s3backer stores it bare; another name tells.
        assert_eq!(parse("00000003", inner.clone()).unwrap(), (ObjectHeaders::default(), inner));
    }

    #[test]
    fn a_cut_file_is_corrupt_at_any_length() {
        let whole = file("00000002", &encoded(), b"body");
        let named = MAGIC.len() + "name: 00000002\n".len();
        for len in named..whole.len() {
            assert!(parse("00000002", whole.slice(..len)).is_err(), "{len}");
        }
        assert!(parse("00000002", [&whole[..], b"x"].concat().into()).is_err());
        assert!(
            header("k", &ObjectHeaders { content_encoding: Some("a\nb".into()), ..Default::default() }, b"").is_err()
        );
    }
}
