//! What `--record` costs a thread that answers the kernel: the target is 0.2 us per operation.

// The front end is a program without a library; this part of it needs none of the rest.
#[path = "../../fuse-frontend/src/record/intake.rs"]
mod intake;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use criterion::{Criterion, criterion_group, criterion_main};
use intake::{Counts, Intake};
use s3b_scenarios::OpKind;
use s3b_scenarios::trace::s3bt::Header;

fn push(criterion: &mut Criterion) {
    let (sender, queue) = sync_channel(4);
    let counts = Arc::<Counts>::default();
    let header = Header { tick_ns: 1000, ..Header::default() };
    let intake = Intake::new(&header, sender, counts.clone());
    let mut state = 1;
    let mut pushed = 0;
    criterion.bench_function("record/push a random 4k read", |bencher| {
        bencher.iter(|| {
            intake.push(OpKind::Read, s3b_testkit::xorshift(&mut state) % (1 << 28) * 4096, 4096);
            pushed += 1;
        });
    });
    intake.close();
    let mut kept = intake.rest().ops();
    while let Some(batch) = intake.waiting(&queue) {
        kept += batch.missing + batch.ops();
    }
    black_box((kept, &counts));
    assert!(kept <= pushed);
}

criterion_group!(benches, push);
criterion_main!(benches);
