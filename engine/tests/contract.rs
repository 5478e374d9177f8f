//! The contract suite over everything that needs no server: memory, directories, and each wrapper with neutral settings.

use std::sync::Arc;
use std::time::Duration;

use s3b_engine::directory::Directory;
use s3b_engine::memory::Memory;
use s3b_engine::object::ObjectBackend;
use s3b_engine::wrap::{Bandwidth, Counting, Delay, Delays, FaultRates, Faults, Latency, Speeds};

#[path = "contract/suite.rs"]
mod suite;

async fn holds(backend: impl ObjectBackend) {
    suite::holds(Arc::new(backend), "pre/fix/", suite::Abilities::all()).await;
}

fn memory() -> Arc<dyn ObjectBackend> {
    Arc::new(Memory::new())
}

#[tokio::test]
async fn memory_holds() {
    holds(Memory::new()).await;
    suite::holds(memory(), "", suite::Abilities::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_holds() {
    let dir = tempfile::tempdir().unwrap();
    for prefix in ["", "pre", "pre/fix/", "pre/fix/more"] {
        let directory = Arc::new(Directory::open(dir.path()).unwrap());
        suite::holds(directory, prefix, suite::Abilities::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_memory_holds() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else {
        return s3b_testkit::skip("no /dev/shm");
    };
    holds(Directory::open(dir.path()).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn latency_holds() {
    holds(Latency::new(memory(), Delays::default(), 1)).await;
    holds(Latency::new(memory(), Delays::all(Delay::fixed(Duration::from_millis(20))), 1)).await;
    holds(Latency::new(memory(), Delays::of_test(), 1)).await;
}

#[tokio::test(start_paused = true)]
async fn bandwidth_holds() {
    holds(Bandwidth::new(memory(), Speeds::default())).await;
    let narrow = Speeds { up: Some(1 << 20), down: Some(1 << 20), total_up: Some(1 << 22), total_down: Some(1 << 22) };
    holds(Bandwidth::new(memory(), narrow)).await;
}

#[tokio::test]
async fn counting_holds() {
    holds(Counting::new(memory())).await;
}

#[tokio::test]
async fn faults_without_rates_hold() {
    holds(Faults::new(memory(), FaultRates::default(), 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tower_of_all_holds() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::open(dir.path()).unwrap());
    let faults = Arc::new(Faults::new(directory, FaultRates::default(), 1));
    let bandwidth = Arc::new(Bandwidth::new(faults, Speeds::default()));
    let latency = Arc::new(Latency::new(bandwidth, Delays::default(), 1));
    holds(Counting::new(latency)).await;
}
