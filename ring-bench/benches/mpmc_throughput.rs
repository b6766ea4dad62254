//! One way as fast as it goes, one word a message, 1 to 4 producers and as many consumers: ours between threads and
//! between processes, and crossbeam's `ArrayQueue` between threads.
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
use support::Way;
use support::queue::job;

/// Slots of every queue.
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

criterion_group!(benches, throughput);

fn main() {
    if let Some(job) = job() {
        return crowd::serve(&job);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
