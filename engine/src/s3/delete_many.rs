//! Many keys in one POST: its body, and the answer for each key.

use std::collections::HashMap;

use super::reply::{self, Reply};
use super::xml;
use crate::error::{Error, Result};

/// Most keys of one request.
pub(super) const MAX_KEYS: usize = 1000;

/// Whether XML can carry this key; others are deleted one by one.
pub(super) fn can_name(key: &str) -> bool {
    xml::escape(key).is_some()
}

/// The document that names the keys.
pub(super) fn document(keys: &[String]) -> String {
    let mut text = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for key in keys.iter().filter_map(|key| xml::escape(key)) {
        text.push_str("<Object><Key>");
        text.push_str(&key);
        text.push_str("</Key></Object>");
    }
    text.push_str("</Delete>");
    text
}

/// One answer per key, in order. A key that the server says nothing about has failed. `None`: no such document.
pub(super) fn answers(reply: &Reply, keys: &[String], place: &str) -> Option<Vec<Result<()>>> {
    let mut deleted = HashMap::new();
    let (mut key, mut code, mut message) = (String::new(), String::new(), String::new());
    let mut is_result = false;
    xml::visit(&reply.body, |path, text| match path {
        ["DeleteResult", "Deleted" | "Error", "Key"] => key = text.into(),
        ["DeleteResult", "Error", "Code"] => code = text.into(),
        ["DeleteResult", "Error", "Message"] => message = text.into(),
        ["DeleteResult", "Deleted"] => {
            deleted.insert(std::mem::take(&mut key), Ok(()));
        }
        ["DeleteResult", "Error"] => {
            let name = std::mem::take(&mut key);
            let (code, message) = (std::mem::take(&mut code), std::mem::take(&mut message));
            let answer = match code.as_str() {
                "NoSuchKey" => Ok(()),
                _ => Err(reply::key_error(format_args!("DELETE {place}/{name}"), &code, &message)),
            };
            deleted.insert(name, answer);
        }
        ["DeleteResult"] => is_result = true,
        _ => {}
    })?;
    let silent =
        |key: &String| Error::transient(format!("DELETE {place}/{key}: the server did not say what became of it"));
    is_result.then(|| keys.iter().map(|key| deleted.get(key).cloned().unwrap_or_else(|| Err(silent(key)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_key_gets_its_own_answer() {
        let keys: Vec<String> = ["a&b", "denied", "gone", "busy", "silent"].map(String::from).to_vec();
        let text = document(&keys);
        assert!(text.contains("<Object><Key>a&amp;b</Key></Object>"), "{text}");
        let body = "<DeleteResult><Deleted><Key>a&amp;b</Key></Deleted>\
            <Error><Key>denied</Key><Code>AccessDenied</Code><Message>no</Message></Error>\
            <Error><Key>gone</Key><Code>NoSuchKey</Code></Error>\
            <Error><Key>busy</Key><Code>SlowDown</Code></Error></DeleteResult>";
        let (status, headers) = (http::StatusCode::OK, http::HeaderMap::new());
        let reply = Reply { status, headers, body: body.into() };
        let kinds: Vec<Option<ErrorKind>> = answers(&reply, &keys, "s3://b")
            .unwrap()
            .into_iter()
            .map(|answer| answer.err().map(|error| error.kind()))
            .collect();
        let (denied, busy) = (Some(ErrorKind::Denied), Some(ErrorKind::Transient));
        assert_eq!(kinds, [None, denied, None, busy, Some(ErrorKind::Transient)]);
        assert!(!can_name("a\u{1}"));
    }
}
