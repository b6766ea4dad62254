//! One way by all the ways there are: copies against slices in place, batches, capacities, sizes up to 1 MiB; between
//! threads (heap rings) and between processes (named segments).
//!
//! A measurement sends `n` messages and ends when the last of them was answered. Figures of one run carry the placement
//! of the CPUs during that run; for comparisons use `ratios`.
#![allow(unsafe_code)]

#[path = "support/flow.rs"]
mod flow;
mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use flow::{measure, receive};
use ring_shm::spsc::{self, Consumer, Options, Producer};
use support::queue::{self, Crew, pin, words};
use support::{SIZES, Way};

/// Bytes of a ring unless its capacity is what is measured; larger messages get room for four.
const CAPACITY: usize = 256 << 10;

fn capacity(size: usize) -> usize {
    CAPACITY.max(4 * size)
}

fn between_threads(b: &mut criterion::Bencher<'_>, capacity: usize, size: usize, way: Way) {
    let (tx, rx) = spsc::heap(capacity as u64).expect("a heap ring");
    let (back, answers) = spsc::heap(4096).expect("a heap ring");
    let thread = std::thread::spawn(move || {
        pin(1);
        receive(rx, back, size, way);
    });
    pin(0);
    measure(b, size, way, tx, answers);
    thread.join().expect("FIFO and payload");
}

fn between_processes(b: &mut criterion::Bencher<'_>, capacity: usize, size: usize, way: Way) {
    let names = ["there", "answers"].map(|ring| format!("ring-bench.{}.{ring}", std::process::id()));
    let tx = Producer::create(&names[0], &Options::new().capacity(capacity as u64)).expect("a segment");
    let answers = Consumer::create(&names[1], &Options::new().capacity(4096)).expect("a segment");
    let crew = Crew::start([format!("{} {} {size} {}", names[0], names[1], way.word())], &names);
    pin(0);
    measure(b, size, way, tx, answers);
    crew.join();
}

/// The child's side.
fn serve(job: &str) {
    let [there, answers, size, way] = words(job);
    let (rx, back) = (Consumer::open(&there).expect("a ring"), Producer::open(&answers).expect("a ring"));
    let size = size.parse().expect("a size");
    queue::attached(|| receive(rx, back, size, Way::from_word(&way)));
}

/// One point, both ways of living.
fn both(c: &mut Criterion, group: &str, name: &str, capacity: usize, size: usize, way: Way) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: size as u64 });
    group
        .bench_function(BenchmarkId::new("threads", name), |b| between_threads(b, capacity, size, way))
        .bench_function(BenchmarkId::new("processes", name), |b| between_processes(b, capacity, size, way));
    group.finish();
}

fn copies_and_places(c: &mut Criterion) {
    for size in SIZES {
        both(c, "spsc copies and places", &format!("copies, {size}"), capacity(size), size, Way::Copy);
        both(c, "spsc copies and places", &format!("in place, {size}"), capacity(size), size, Way::Place);
    }
}

fn batches(c: &mut Criterion) {
    for size in [8, 64] {
        for batch in [1, 8, 64, 512] {
            both(c, "spsc batches", &format!("{batch} of {size}"), CAPACITY, size, Way::Batch(batch));
        }
    }
}

fn capacities(c: &mut Criterion) {
    for bytes in [4 << 10, 64 << 10, 1 << 20, 16 << 20] {
        both(c, "spsc capacities", &format!("{} KiB", bytes >> 10), bytes, 64, Way::Copy);
    }
}

criterion_group!(benches, copies_and_places, batches, capacities);

fn main() {
    queue::main(benches, serve);
}
