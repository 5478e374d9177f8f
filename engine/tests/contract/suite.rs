//! What every object backend must do. One function, so that real servers can be held to it as well:
//!
//! ```text
//! #[path = "contract/suite.rs"]
//! mod suite;
//! suite::holds(backend, "some/prefix/", suite::Abilities::all()).await;
//! ```
//! It works below the given prefix only, and leaves nothing there.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use s3b_engine::error::{ErrorKind, Result};
use s3b_engine::object::{GetIf, Got, Object, ObjectBackend, ObjectHeaders, PutIf};

/// What not every store can do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// `If-None-Match: *` on PUT; some servers ignore it.
    pub conditional_put: bool,
    /// Keys beyond letters, digits and `/-._`.
    pub odd_keys: bool,
}

impl Abilities {
    pub fn all() -> Self {
        Self { conditional_put: true, odd_keys: true }
    }
}

/// Panics with what does not hold.
pub async fn holds(backend: Arc<dyn ObjectBackend>, prefix: &str, abilities: Abilities) {
    let place = Place { backend, prefix: prefix.to_owned() };
    place.absent_objects_are_absent().await;
    place.objects_come_back_with_their_headers().await;
    place.conditions_compare_etags().await;
    place.bodies_are_bounded().await;
    if abilities.conditional_put {
        place.create_only_puts_create_only().await;
    }
    place.listings_are_paged_and_sorted().await;
    place.names_are_taken_verbatim(abilities.odd_keys).await;
    place.bulk_deletes_answer_per_key().await;
    place.racing_puts_leave_one_whole_object().await;
    place.backend.sync().await.unwrap();
    assert_eq!(place.keys("").await, [""; 0], "the suite leaves nothing behind");
}

struct Place {
    backend: Arc<dyn ObjectBackend>,
    prefix: String,
}

const MOST: usize = 2 << 20;

/// Requests at a time where there are many.
const PARALLEL: usize = 32;

fn encoded() -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some("application/x-s3backer-block"),
        content_encoding: Some("deflate, encrypt-AES-128-CBC".into()),
        meta: vec![
            ("s3backer-blocksize".into(), "4096".into()),
            ("s3backer-hmac".into(), "\"643f070b9170d2aa3662a627d5d94e84a0c9ada9\"".into()),
        ],
        ..ObjectHeaders::default()
    }
}

impl Place {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn put(&self, name: &str, headers: ObjectHeaders, body: impl Into<Bytes>) -> Option<s3b_engine::etag::ETag> {
        self.backend.put(&self.key(name), headers, body.into(), PutIf::Always).await.unwrap()
    }

    async fn get(&self, name: &str, condition: GetIf) -> Got {
        self.backend.get(&self.key(name), condition, MOST).await.unwrap()
    }

    async fn object(&self, name: &str) -> Object {
        match self.get(name, GetIf::Always).await {
            Got::Object(object) => object,
            other => panic!("{name}: {other:?}"),
        }
    }

    async fn delete(&self, name: &str) {
        self.backend.delete(&self.key(name)).await.unwrap();
    }

    /// All names below a part of the prefix, page by page.
    async fn keys(&self, below: &str) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.backend.list(&self.key(below), &after).await.unwrap();
            assert!(page.keys.len() <= 1000 && page.keys.is_sorted(), "a page is sorted and bounded");
            assert!(page.keys.first().is_none_or(|first| *first > after), "a page starts after {after:?}");
            names.extend(page.keys.iter().map(|key| key.strip_prefix(&self.prefix).expect("the prefix").to_owned()));
            match page.keys.into_iter().next_back() {
                Some(last) if page.truncated => after = last,
                _ => return names,
            }
        }
    }

    async fn absent_objects_are_absent(&self) {
        for condition in [GetIf::Always, GetIf::Matches(etag(1)), GetIf::Differs(etag(1))] {
            assert_eq!(self.get("absent", condition).await, Got::Absent, "{condition:?}");
        }
        assert_eq!(self.backend.head(&self.key("absent")).await.unwrap(), None);
        self.delete("absent").await;
        assert!(!self.backend.describe().is_empty());
    }

    async fn objects_come_back_with_their_headers(&self) {
        for (headers, len) in [
            (ObjectHeaders::default(), 4096),
            (ObjectHeaders::default(), 1 << 20),
            (ObjectHeaders::default(), 1),
            (encoded(), 0),
            (encoded(), 1000),
            (ObjectHeaders { content_type: None, content_encoding: None, ..encoded() }, 4096),
        ] {
            let body: Bytes = (0..len).map(|at| (at * 7 / 3) as u8).collect();
            let etag = self.put("object", headers.clone(), body.clone()).await;
            let object = self.object("object").await;
            assert!(object.body == body, "{len} bytes come back");
            assert_eq!(object.headers.content_encoding, headers.content_encoding);
            for (name, value) in &headers.meta {
                assert_eq!(object.headers.meta(name), Some(value.as_str()));
            }
            assert!(object.headers.meta.is_sorted());
            let info = self.backend.head(&self.key("object")).await.unwrap().expect("it is there");
            assert_eq!((info.len, info.etag), (len as u64, object.etag));
            assert_eq!(info.headers.meta("s3backer-hmac"), headers.meta("s3backer-hmac"));
            assert!(etag.is_some() && etag == object.etag, "PUT and GET name one ETag: {etag:?} {:?}", object.etag);
        }
        self.delete("object").await;
        assert_eq!(self.get("object", GetIf::Always).await, Got::Absent);
    }

    async fn conditions_compare_etags(&self) {
        let old = self.put("object", ObjectHeaders::default(), "old").await.unwrap();
        let new = self.put("object", ObjectHeaders::default(), "new").await.unwrap();
        assert_ne!(old, new, "another content, another ETag");
        assert_eq!(self.get("object", GetIf::Matches(old)).await, Got::Mismatch);
        assert_eq!(self.get("object", GetIf::Differs(new)).await, Got::NotModified);
        for condition in [GetIf::Matches(new), GetIf::Differs(old)] {
            let Got::Object(object) = self.get("object", condition).await else { panic!("{condition:?}") };
            assert_eq!((&object.body[..], object.etag), (&b"new"[..], Some(new)));
        }
        self.delete("object").await;
    }

    async fn bodies_are_bounded(&self) {
        for headers in [ObjectHeaders::default(), encoded()] {
            self.put("object", headers, vec![1; 4096]).await;
            let get = |most| self.backend.get(&self.key("object"), GetIf::Always, most);
            assert!(matches!(get(4096).await, Ok(Got::Object(_))));
            assert_eq!(get(4095).await.unwrap_err().kind(), ErrorKind::Corrupt);
        }
        self.delete("object").await;
    }

    async fn create_only_puts_create_only(&self) {
        let create = |body: &'static str| {
            self.backend.put(&self.key("object"), ObjectHeaders::default(), body.into(), PutIf::Absent)
        };
        create("first").await.unwrap();
        assert_eq!(create("second").await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(self.object("object").await.body, "first");
        self.delete("object").await;
        let racers = stream::iter(["a", "b", "c", "d"]).map(create).buffer_unordered(4).collect::<Vec<_>>().await;
        assert_eq!(racers.iter().filter(|result| result.is_ok()).count(), 1, "one of several wins: {racers:?}");
        self.delete("object").await;
    }

    async fn listings_are_paged_and_sorted(&self) {
        let names: Vec<String> = (0..1203).map(|number| format!("many/{:08x}", number * 5)).collect();
        let puts = stream::iter(&names).map(|name| self.put(name, ObjectHeaders::default(), "x"));
        puts.buffer_unordered(PARALLEL).collect::<Vec<_>>().await;
        for outside in ["mana", "many.", "manz/0", "MANY-0"] {
            self.put(outside, ObjectHeaders::default(), "x").await;
        }
        assert_eq!(self.keys("many/").await, names);
        assert_eq!(self.keys("many/0000001").await, ["many/00000014", "many/00000019", "many/0000001e"]);
        let page = self.backend.list(&self.key("many/"), &self.key("many/00001770")).await.unwrap();
        assert_eq!((page.keys, page.truncated), (vec![self.key("many/00001775"), self.key("many/0000177a")], false));
        let all = self.keys("").await;
        assert_eq!(all.len(), names.len() + 4);
        self.bulk_delete(all.iter().map(|name| self.key(name)).collect()).await;
    }

    async fn names_are_taken_verbatim(&self, odd: bool) {
        let plain = ["c448b72c-00000000", "deep/er/00000001", "s3b-superblock", "under_score.and.dots"];
        let strange =
            ["spa ce", "plus+sign", "per%41cent", "amp&er=sand", "quo'te\"s", "semi;colon,", "ümläut", "<tag>"];
        let names: Vec<_> = plain.into_iter().chain(strange.into_iter().filter(|_| odd)).collect();
        for name in &names {
            self.put(name, encoded(), (*name).to_owned()).await;
        }
        for name in &names {
            assert_eq!(self.object(name).await.body, name.as_bytes());
        }
        let mut sorted: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        sorted.sort();
        assert_eq!(self.keys("").await, sorted);
        self.bulk_delete(names.iter().map(|name| self.key(name)).collect()).await;
    }

    async fn bulk_deletes_answer_per_key(&self) {
        for name in ["one", "two", "kept"] {
            self.put(name, ObjectHeaders::default(), "x").await;
        }
        let keys = ["one", "absent", "two", "one"].map(|name| self.key(name)).to_vec();
        self.bulk_delete(keys).await;
        assert_eq!(self.keys("").await, ["kept"]);
        assert!(self.backend.delete_many(Vec::new()).await.is_empty());
        let many = (0..1000).map(|number| self.key(&format!("absent{number}"))).collect();
        self.bulk_delete(many).await;
        self.delete("kept").await;
    }

    async fn bulk_delete(&self, keys: Vec<String>) {
        for keys in keys.chunks(1000) {
            let answers = self.backend.delete_many(keys.to_vec()).await;
            assert_eq!(answers.len(), keys.len());
            answers.into_iter().collect::<Result<Vec<()>>>().unwrap();
        }
    }

    async fn racing_puts_leave_one_whole_object(&self) {
        for round in 0..5 {
            let puts = stream::iter(0..8u8).map(|writer| async move {
                let len = 1000 * (usize::from(writer) + 1);
                let headers = if writer % 2 == 0 { ObjectHeaders::default() } else { encoded() };
                self.put("object", headers, vec![writer; len]).await
            });
            let etags = puts.buffer_unordered(8).collect::<Vec<_>>().await;
            let object = self.object("object").await;
            let writer = object.body[0];
            assert_eq!(object.body.len(), 1000 * (usize::from(writer) + 1), "round {round}");
            assert!(object.body.iter().all(|byte| *byte == writer));
            assert_eq!(object.headers.content_encoding.is_some(), writer % 2 == 1, "headers are the body's own");
            assert!(etags.contains(&object.etag));
        }
        self.delete("object").await;
    }
}

fn etag(byte: u8) -> s3b_engine::etag::ETag {
    s3b_engine::etag::ETag([byte; 16])
}
