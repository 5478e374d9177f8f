use futures::StreamExt;
use futures::stream;
use s3b_engine::memory::Memory;
use s3b_engine::retry::Retrying;
use s3b_engine::settings::RetrySettings;

use super::*;
use crate::model::settings::{RateLimit, SlowPeriods};
use crate::model::shipped;

/// Every request takes 10 ms, everything else is out of the way.
fn plain() -> StoreModel {
    let mut model = shipped::standard();
    model.service.iter_mut().for_each(|cell| cell.ms.fill(10.0));
    model.limits = Default::default();
    model.network.connection_set_up_ms = 0.0;
    model.network.connection_up_bytes_per_s = 1e6;
    model.network.connection_down_bytes_per_s = 1e6;
    model.network.link_up_bytes_per_s = 2e6;
    model.network.link_down_bytes_per_s = 2e6;
    model
}

const DILATE: u32 = 1000;

fn store(model: &StoreModel, seed: u64) -> ModelStore {
    ModelStore::new(Arc::new(Memory::new()), model, seed, DILATE).unwrap()
}

/// Milliseconds of the model's time that a request takes.
async fn ms<T>(request: impl Future<Output = T>) -> f64 {
    let start = clock::now();
    request.await;
    start.elapsed().as_secs_f64() * 1000.0 / f64::from(DILATE)
}

fn put(store: &ModelStore, key: &str, len: usize) -> BoxFuture<'static, Result<Option<ETag>>> {
    store.put(key, ObjectHeaders::default(), vec![1; len].into(), PutIf::Always)
}

#[tokio::test(start_paused = true)]
async fn bodies_share_the_link_and_each_waits_for_its_service() {
    let store = store(&plain(), 1);
    // One connection: 100 kB at 1 MB/s. Four: the link's 2 MB/s among them, half a MB/s each.
    assert!((ms(put(&store, "a", 100_000)).await - 110.0).abs() < 0.01);
    let four = ["a", "b", "c", "d"].map(|key| put(&store, key, 100_000));
    assert!((ms(futures::future::join_all(four)).await - 210.0).abs() < 0.01);
    assert!((ms(store.get("a", GetIf::Always, 1 << 20)).await - 110.0).abs() < 0.01);
    let three = ["a", "b", "c"].map(|key| store.get(key, GetIf::Always, 1 << 20));
    assert!((ms(futures::future::join_all(three)).await - 160.0).abs() < 0.01);
    assert!((ms(store.get("absent", GetIf::Always, 1)).await - 10.0).abs() < 0.01);
    assert!((ms(store.head("a")).await - 10.0).abs() < 0.01);
    let used = store.utilisation();
    assert!((used.seconds - 0.61).abs() < 0.001 && used.requests == 11, "{used:?}");
    assert!((used.link_up - 0.5 / 2.0 / 0.61).abs() < 0.01, "{used:?}");
    assert!((used.link_full_up - 0.2 / 0.61).abs() < 0.01 && (used.connection_bound_up - 0.1 / 0.61).abs() < 0.01);
    assert_eq!(used.in_flight_most, 4);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_leaves_the_link_to_the_others() {
    let store = store(&plain(), 1);
    let dropped = (0..3).map(|n| {
        let put = put(&store, &format!("dropped-{n}"), 1_000_000);
        clock::timeout(Duration::from_millis(100) * DILATE, put)
    });
    let dropped: Vec<_> = dropped.collect();
    // At half a MB/s for 100 ms, then at 1 MB/s.
    let whole = ms(async { futures::join!(put(&store, "whole", 100_000), futures::future::join_all(dropped)) }).await;
    assert!((whole - 160.0).abs() < 0.01, "{whole}");
    assert!((store.utilisation().in_flight_mean - (0.1 * 3.0 / 0.16 + 1.0)).abs() < 0.001);
    assert!(matches!(store.get("dropped-1", GetIf::Always, 1).await, Ok(Got::Absent)), "never answered, never stored");
}

#[tokio::test(start_paused = true)]
async fn above_the_rate_it_says_slow_down_and_patience_gets_through() {
    let mut model = plain();
    model.limits.put = Some(RateLimit { per_s: 100.0, burst: 10.0 });
    let store = store(&model, 1);
    let hundred = |store: &dyn ObjectBackend| {
        let puts: Vec<_> = (0..100)
            .map(|n| store.put(&n.to_string(), ObjectHeaders::default(), vec![0; 10].into(), PutIf::Always))
            .collect();
        futures::future::join_all(puts)
    };
    let answers = hundred(&store).await;
    let refused: Vec<&Error> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused.len(), 90);
    assert!(refused[0].is_transient() && refused[0].to_string().contains("503 SlowDown"), "{}", refused[0]);
    assert_eq!((store.utilisation().throttled_puts, store.utilisation().throttled_gets), (90, 0));
    let pause = RetrySettings { max_pause: None, ..RetrySettings::default() };
    let patient = Retrying::with_seed(Arc::new(store.clone()), pause, Arc::default(), 1);
    assert!(hundred(&patient).await.iter().all(std::result::Result::is_ok));
    let used = store.utilisation();
    assert!(used.put_rate > 0.0 && used.put_rate_shut > 0.0 && used.get_rate == 0.0, "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_periods_and_new_connections_take_longer() {
    let mut model = plain();
    model.network.connection_set_up_ms = 5.0;
    let fresh = store(&model, 1);
    let head = |store: &ModelStore| ms(store.head("k"));
    assert!((head(&fresh).await - 15.0).abs() < 0.01);
    assert!((head(&fresh).await - 10.0).abs() < 0.01);
    clock::sleep(Duration::from_secs(16) * DILATE).await;
    assert!((head(&fresh).await - 15.0).abs() < 0.01, "an idle connection is dropped");
    assert_eq!(fresh.utilisation().connections_opened, 2);
    model.slow_periods = SlowPeriods { per_hour: 60.0, duration_s: 30.0, factor: 4.0 };
    let slow = store(&model, 1);
    let mut times = Vec::new();
    for _ in 0..300 {
        times.push(head(&slow).await.round());
        clock::sleep(Duration::from_secs(5) * DILATE).await;
    }
    let at = |wanted: f64| times.iter().filter(|ms| **ms == wanted).count();
    assert_eq!(at(10.0) + at(40.0) + 1, 300, "the first opens a connection");
    assert!((100..200).contains(&at(40.0)), "half the time: {}", at(40.0));
}

/// When each of some thousand requests ended, `depth` of them at a time.
async fn story(seed: u64, depth: usize) -> Vec<(usize, f64)> {
    let mut model = shipped::standard();
    model.slow_periods = SlowPeriods { per_hour: 600.0, duration_s: 1.0, factor: 2.0 };
    let store = store(&model, seed);
    let requests = stream::iter(0..2000usize).map(|n| {
        let store = store.clone();
        async move {
            let start = clock::now();
            let key = format!("{:08x}", n % 300);
            match n % 3 {
                0 => drop(put(&store, &key, 1000 + n * 100).await),
                1 => drop(store.get(&key, GetIf::Always, 1 << 20).await),
                _ => drop(store.delete(&key).await),
            }
            (n, start.elapsed().as_secs_f64())
        }
    });
    requests.buffer_unordered(depth).collect().await
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_tells_the_same_story() {
    assert_eq!(story(7, 64).await, story(7, 64).await);
    assert_ne!(story(7, 64).await, story(8, 64).await);
}

#[tokio::test(start_paused = true)]
async fn other_settings_meet_the_same_weather() {
    // Deletes have no body: alone or among many, each takes the time its key and number drew.
    let mut model = shipped::standard();
    model.limits = Default::default();
    model.network.connection_set_up_ms = 0.0;
    let mut times = Vec::new();
    for depth in [1, 50] {
        let store = store(&model, 3);
        let requests = stream::iter(0..500).map(|n| {
            let store = store.clone();
            async move { (n, (ms(store.delete(&format!("{n}"))).await * 100.0).round()) }
        });
        let mut found: Vec<(i32, f64)> = requests.buffer_unordered(depth).collect().await;
        found.sort_by_key(|(n, _)| *n);
        times.push(found);
    }
    assert_eq!(times[0], times[1]);
}
