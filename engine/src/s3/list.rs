//! Listings, in version 2 and, for servers without it, version 1.

use super::reply::Reply;
use super::xml;
use crate::error::{Error, ErrorKind, Result};
use crate::object::ListPage;

/// What S3 gives at most.
const PAGE: &str = "1000";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListVersion {
    V1,
    V2,
}

/// A page as it came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RawPage {
    keys: Vec<String>,
    truncated: bool,
    /// Whether only a version 2 listing answers like this.
    pub is_v2: bool,
}

/// The query of one page.
pub(super) fn query<'a>(version: ListVersion, prefix: &'a str, after: &'a str, one: bool) -> Vec<(&'a str, &'a str)> {
    let mut query = vec![("encoding-type", "url")];
    if version == ListVersion::V2 {
        query.push(("list-type", "2"));
    }
    if version == ListVersion::V1 && !after.is_empty() {
        query.push(("marker", after));
    }
    query.push(("max-keys", if one { "1" } else { PAGE }));
    query.push(("prefix", prefix));
    if version == ListVersion::V2 && !after.is_empty() {
        query.push(("start-after", after));
    }
    query
}

/// Reads a page of the keys under `prefix`. `None`: it is no listing.
pub(super) fn parse(reply: &Reply, prefix: &str) -> Option<RawPage> {
    let mut page = RawPage::default();
    let mut encoded = false;
    let mut is_listing = false;
    xml::visit(&reply.body, |path, text| match path {
        ["ListBucketResult", "Contents", "Key"] => page.keys.push(text.into()),
        ["ListBucketResult", "IsTruncated"] => page.truncated = text.trim() == "true",
        ["ListBucketResult", "EncodingType"] => encoded = text.trim() == "url",
        ["ListBucketResult", "KeyCount" | "StartAfter" | "NextContinuationToken"] => page.is_v2 = true,
        ["ListBucketResult"] => is_listing = true,
        _ => {}
    })?;
    if !is_listing {
        return None;
    }
    if encoded {
        // Amazon writes a blank as '+', as in a form, SeaweedFS as %20, and leaves a plus sign as it is.
        let literal_plus = page.keys.iter().any(|key| key.contains("%20"))
            || page.keys.first().is_some_and(|key| !decode(&key.replace('+', " ")).starts_with(prefix));
        for key in &mut page.keys {
            *key = if literal_plus { decode(key) } else { decode(&key.replace('+', " ")) };
        }
    }
    Some(page)
}

/// A key that is not UTF-8 is none of ours, and stays as it came.
fn decode(key: &str) -> String {
    percent_encoding::percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_string(), |key| key.into_owned())
}

impl RawPage {
    /// Whether the server began before `after`: it does not know the parameter that asked for it.
    pub fn ignored(&self, after: &str) -> bool {
        !after.is_empty() && self.keys.first().is_some_and(|first| first.as_str() <= after)
    }

    /// The page as the contract wants it.
    ///
    /// # Errors
    /// `Failed` where the server's order would let a caller skip keys: to a survey that would be blocks lost.
    pub fn check(mut self, prefix: &str, after: &str, place: &str) -> Result<ListPage> {
        let sorted = self.keys.is_sorted();
        let after_all = self.keys.iter().all(|key| key.as_str() > after);
        if self.truncated && (!sorted || !after_all || self.keys.is_empty()) {
            return Err(Error::new(
                ErrorKind::Failed,
                format!(
                    "listing {place} after {after:?}: keys out of order, so that none can be found by listing; use \
                     another bucket (directory buckets have no order), or do without surveys"
                ),
            ));
        }
        self.keys.sort_unstable();
        self.keys.dedup();
        self.keys.retain(|key| key.as_str() > after && key.starts_with(prefix));
        Ok(ListPage { keys: self.keys, truncated: self.truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(xml: &str) -> Option<RawPage> {
        let (status, headers) = (http::StatusCode::OK, http::HeaderMap::new());
        parse(&Reply { status, headers, body: xml.to_string().into() }, "a")
    }

    #[test]
    fn keys_are_decoded_when_the_server_encoded_them() {
        let keys = "<Contents><Key>a%26b+c%2B</Key><Size>1</Size></Contents><Contents><Key>%C3%A9</Key></Contents>";
        let listing = |inner: &str| page(&format!("<ListBucketResult xmlns=\"x\">{inner}{keys}</ListBucketResult>"));
        let encoded = listing("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>").unwrap();
        assert_eq!(encoded.keys, ["a&b c+", "é"]);
        assert!(encoded.truncated && !encoded.is_v2);
        let seaweed = page(
            "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%20b+c</Key></Contents></ListBucketResult>",
        );
        assert_eq!(seaweed.unwrap().keys, ["a b+c"]);
        let plain = listing("<KeyCount>2</KeyCount>").unwrap();
        assert_eq!(plain.keys, ["a%26b+c%2B", "%C3%A9"]);
        assert!(!plain.truncated && plain.is_v2);
        assert_eq!(page("<Error><Code>X</Code></Error>"), None);
    }

    #[test]
    fn each_version_names_the_start_its_way() {
        let find = |version, name| {
            query(version, "p/", "p/5", false).into_iter().find(|(n, _)| *n == name).map(|(_, value)| value)
        };
        assert_eq!(find(ListVersion::V2, "start-after"), Some("p/5"));
        assert_eq!(find(ListVersion::V2, "list-type"), Some("2"));
        assert_eq!(find(ListVersion::V1, "marker"), Some("p/5"));
        assert_eq!(find(ListVersion::V1, "list-type"), None);
    }

    #[test]
    fn a_page_that_could_lose_keys_is_refused() {
        let raw = |keys: &[&str], truncated| RawPage {
            keys: keys.iter().map(|key| key.to_string()).collect(),
            truncated,
            is_v2: true,
        };
        assert!(raw(&["a/b", "a-b"], true).check("a", "", "s3://b").is_err());
        assert!(raw(&[], true).check("a", "", "s3://b").is_err());
        assert!(raw(&["a", "b"], true).check("", "a", "s3://b").is_err());
        let whole = raw(&["a/b", "a-b", "x"], false).check("a", "", "s3://b").unwrap();
        assert_eq!(whole.keys, ["a-b", "a/b"]);
        assert!(raw(&["a", "b"], false).ignored("a"));
        assert!(!raw(&["b"], false).ignored("a"));
    }
}
