//! One visit to a cell: a closed loop of requests, each timed. Works on keys of the probe's own only.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use s3b_engine::clock::{self, Instant};
use s3b_engine::error::{Error, Result};
use s3b_engine::object::{GetIf, Got, ObjectBackend, ObjectHeaders, PutIf};
use tokio::sync::mpsc;

use super::plan::{HUGE, Planned};
use crate::interrupt::Interrupt;
use crate::machine::processor_seconds;
use crate::model::Operation;

/// Where the probe's objects are.
pub struct Ground {
    pub backend: Arc<dyn ObjectBackend>,
    /// In front of every key.
    pub prefix: String,
    /// Bodies are parts of it; incompressible, so that nothing on the way makes them shorter.
    pub body: Bytes,
}

/// What a visit asks for.
pub struct Asked {
    pub cell: Planned,
    /// Of the requests: no two in flight put the same key.
    pub numbers: Range<u64>,
    /// Objects of the cell's size that were put in place.
    pub fills: u64,
    /// For deletes: present ones, each asked once.
    pub keys: Vec<String>,
    /// No request begins after it.
    pub deadline: Instant,
}

/// What a visit found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visit {
    /// Milliseconds of each counted request, in the order they ended.
    pub ms: Vec<f64>,
    /// Of all that succeeded, warm-up included; of listings, keys.
    pub bytes: u64,
    pub succeeded: u64,
    pub took_s: f64,
    /// Processor time of this process meanwhile.
    pub cpu_s: f64,
    pub throttled: u64,
    /// Failed otherwise; the first of them.
    pub failed: u64,
    pub first_error: Option<String>,
}

impl Ground {
    pub fn key(&self, name: &str, number: u64) -> String {
        format!("{}{name}-{number:06}", self.prefix)
    }

    pub fn filled(&self, size: u64, number: u64) -> String {
        self.key(&format!("fill-{size}"), number)
    }

    pub async fn put(&self, key: &str, size: u64) -> Result<()> {
        let body = self.body.slice(0..size.min(HUGE) as usize);
        self.backend.put(key, ObjectHeaders::default(), body, PutIf::Always).await.map(drop)
    }

    /// One request. Answers the bytes of its body, or the keys of its page.
    async fn ask(&self, asked: &Asked, number: u64) -> Result<u64> {
        let Asked { cell, fills, keys, .. } = asked;
        match cell.operation {
            Operation::Get => {
                let key = self.filled(cell.size, number % fills.max(&1));
                match self.backend.get(&key, GetIf::Always, cell.size as usize).await? {
                    Got::Object(object) => Ok(object.body.len() as u64),
                    _ => Err(Error::failed(format!("{key} was put and is not there"))),
                }
            }
            Operation::Head => {
                let key = self.filled(super::plan::SMALL, number % fills.max(&1));
                self.backend.head(&key).await.map(|_| 0)
            }
            Operation::Put => {
                let key = self.key(&format!("put-{}", cell.size), number);
                self.put(&key, cell.size).await.map(|()| cell.size)
            }
            Operation::List => self.backend.list(&self.prefix, "").await.map(|page| page.keys.len() as u64),
            Operation::Delete => match keys.get(number as usize) {
                Some(key) => self.backend.delete(key).await.map(|()| 0),
                None => Ok(0),
            },
            Operation::BulkDelete => {
                let some = keys.iter().skip((number * cell.size) as usize).take(cell.size as usize);
                let answers = self.backend.delete_many(some.cloned().collect()).await;
                answers.into_iter().collect::<Result<Vec<()>>>().map(|_| 0)
            }
        }
    }

    /// A closed loop: each caller is a task of its own, as the engine's are. What a shared one did for the others would be
    /// taken for the store's time.
    pub async fn visit(self: &Arc<Self>, asked: Asked, interrupt: &Interrupt) -> Visit {
        let (begin, cpu_begin) = (clock::now(), processor_seconds());
        let asked = Arc::new(asked);
        let next = Arc::new(AtomicU64::new(asked.numbers.start));
        let (tell, mut told) = mpsc::unbounded_channel();
        for _ in 0..asked.cell.concurrency {
            let (ground, asked, next, tell) = (self.clone(), asked.clone(), next.clone(), tell.clone());
            let interrupt = interrupt.clone();
            tokio::spawn(async move {
                while clock::now() < asked.deadline && !interrupt.is_asked() {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= asked.numbers.end {
                        return;
                    }
                    let start = clock::now();
                    let answer = ground.ask(&asked, number).await;
                    // The receiver lives until the last of us is gone.
                    let _ = tell.send((answer, start.elapsed()));
                }
            });
        }
        drop(tell);
        let mut visit = Visit::default();
        while let Some((answer, took)) = told.recv().await {
            visit.count(answer, took, asked.cell.warm_up());
        }
        visit.took_s = begin.elapsed().as_secs_f64();
        visit.cpu_s = processor_seconds() - cpu_begin;
        visit
    }
}

impl Visit {
    fn count(&mut self, answer: Result<u64>, took: Duration, warm_up: u64) {
        match answer {
            Ok(bytes) => {
                self.succeeded += 1;
                self.bytes += bytes;
                if self.succeeded > warm_up {
                    self.ms.push(took.as_secs_f64() * 1000.0);
                }
            }
            Err(error) if is_throttling(&error) => self.throttled += 1,
            Err(error) => {
                self.failed += 1;
                self.first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    pub fn requests_per_s(&self) -> f64 {
        self.succeeded as f64 / self.took_s.max(1e-9)
    }

    pub fn bytes_per_s(&self) -> f64 {
        self.bytes as f64 / self.took_s.max(1e-9)
    }

    /// Adds a later visit to the same cell.
    pub fn add(&mut self, later: Visit) {
        self.ms.extend(later.ms);
        self.bytes += later.bytes;
        self.succeeded += later.succeeded;
        self.took_s += later.took_s;
        self.cpu_s += later.cpu_s;
        self.throttled += later.throttled;
        self.failed += later.failed;
        self.first_error = self.first_error.take().or(later.first_error);
    }
}

/// 503 and 429 come as errors that may heal, with their status in the text.
fn is_throttling(error: &Error) -> bool {
    let text = error.message();
    error.is_transient() && ["503", "429", "SlowDown"].iter().any(|mark| text.contains(mark))
}
