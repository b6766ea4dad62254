//! One way as fast as it goes through MPMC rings, between threads and between processes: eight bytes a message with 1 to
//! 4 producers and as many consumers, beside crossbeam's `ArrayQueue`; and two of each by all the ways there are: copies
//! against slices in place by message size, batches, numbers of slots.
//!
//! Figures of one run carry the placement of the CPUs during that run; for comparisons use `ratios`.

#[path = "support/crowd.rs"]
mod crowd;
mod support;
#[path = "support/wide.rs"]
mod wide;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use crossbeam_queue::ArrayQueue;
use crowd::Shape;
use std::sync::Arc;
use support::queue;
use support::{SIZES, Way};

/// Slots of every queue of the first group.
const SLOTS: u64 = 1024;

fn throughput(c: &mut Criterion) {
    let mut group = c.benchmark_group("mpmc one way");
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: 8 });
    for pairs in [1, 2, 3, 4] {
        let name = format!("{pairs}P{pairs}C");
        let shape = Shape { pairs, slots: SLOTS, size: 8, way: Way::Copy };
        group.bench_function(BenchmarkId::new("ours, threads", &name), |b| crowd::threads(b, shape));
        group.bench_function(BenchmarkId::new("ours, processes", &name), |b| crowd::processes(b, shape));
        group.bench_function(BenchmarkId::new("ArrayQueue, threads", &name), |b| {
            let queue = Arc::new(ArrayQueue::new(SLOTS as usize));
            crowd::with_threads(b, 8, (0..pairs).map(|_| (Arc::clone(&queue), Arc::clone(&queue))).collect());
        });
    }
    group.finish();
}

/// Slots for 256 KiB of messages, unless their number is what is measured: room for 8 of the large, 1024 of the small.
fn slots(size: usize) -> u64 {
    ((256 << 10) / size as u64).clamp(8, 1024)
}

/// One point of two producers and two consumers, between threads and between processes.
fn both(c: &mut Criterion, group: &str, name: &str, slots: u64, size: usize, way: Way) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: size as u64 });
    let shape = Shape { pairs: 2, slots, size, way };
    group
        .bench_function(BenchmarkId::new("threads", name), |b| crowd::threads(b, shape))
        .bench_function(BenchmarkId::new("processes", name), |b| crowd::processes(b, shape));
    group.finish();
}

fn copies_and_places(c: &mut Criterion) {
    for size in SIZES {
        both(c, "mpmc copies and places", &format!("copies, {size}"), slots(size), size, Way::Copy);
        both(c, "mpmc copies and places", &format!("in place, {size}"), slots(size), size, Way::Place);
    }
}

fn batches(c: &mut Criterion) {
    for size in [8, 64] {
        for batch in [1, 8, 64, 512] {
            both(c, "mpmc batches", &format!("{batch} of {size}"), 4096, size, Way::Batch(batch));
        }
    }
}

fn capacities(c: &mut Criterion) {
    for slots in [16, 256, 4096, 65536] {
        both(c, "mpmc slots", &format!("{slots}"), slots, 48, Way::Copy);
    }
}

criterion_group!(benches, throughput, copies_and_places, batches, capacities);

fn main() {
    queue::main(benches, crowd::serve);
}
