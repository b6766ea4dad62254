//! How long one message is under way, through SPSC and MPMC rings, between threads and between processes: from before
//! the sender writes it until the receiver, on the other CPU, has compared it. The receiver answers the moment it had it,
//! by the clock that both sides share, and only then the next one goes.
//!
//! Two readings of that clock are in each figure, or parts of them. Figures of one run carry the placement of the CPUs
//! during that run; for comparisons use `ratios` and `latency`.

mod support;
#[path = "support/wide.rs"]
mod wide;

use criterion::{Bencher, BenchmarkId, Criterion, criterion_group};
use nix::time::{ClockId, clock_gettime};
use ring_shm::{mpmc, spsc};
use std::time::Duration;
use support::queue::{self, Crew, Receive, STOP, Send, pin, words};
use support::{SIZES, checked};
use wide::{Copies, Wide};

/// Bytes of an answer.
const ANSWER: usize = 8;

/// Nanoseconds, the same in every process.
fn now() -> u64 {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock")).as_nanos() as u64
}

/// Answers when each message came, until the last.
fn answer(mut rx: impl Receive, mut tx: impl Send) {
    for expected in 1.. {
        let word = rx.receive();
        let came = now();
        if word == STOP {
            return tx.send(STOP);
        }
        assert_eq!(word, expected, "FIFO or payload broken");
        tx.send(came);
    }
}

/// Sums up how long each message was under way.
fn measure(b: &mut Bencher<'_>, size: usize, mut tx: impl Send, mut rx: impl Receive) {
    let mut number = 0;
    let mut run = |count: u64| {
        let mut under_way = 0;
        for _ in 0..count {
            number += 1;
            let begin = now();
            tx.send(number);
            let came = rx.receive();
            assert!(came != STOP && came <= now(), "the answer to message {number} is no moment of the past");
            under_way += came.saturating_sub(begin);
        }
        Duration::from_nanos(under_way)
    };
    run(checked(size));
    b.iter_custom(run);
    tx.send(STOP);
    assert_eq!(rx.receive(), STOP);
}

/// The receiver is a thread of this process.
fn between_threads(
    b: &mut Bencher<'_>,
    size: usize,
    ours: (impl Send, impl Receive),
    theirs: (impl Receive + core::marker::Send + 'static, impl Send + core::marker::Send + 'static),
) {
    let thread = std::thread::spawn(move || {
        pin(1);
        answer(theirs.0, theirs.1);
    });
    pin(0);
    measure(b, size, ours.0, ours.1);
    thread.join().expect("FIFO and payload");
}

/// The receiver is a process, which opens the rings of these names.
fn between_processes(
    b: &mut Bencher<'_>,
    kind: &str,
    size: usize,
    names: &[String; 2],
    ours: (impl Send, impl Receive),
) {
    let crew = Crew::start([format!("{kind} {} {} {size}", names[0], names[1])], names);
    pin(0);
    measure(b, size, ours.0, ours.1);
    crew.join();
}

fn names() -> [String; 2] {
    ["there", "answers"].map(|ring| format!("ring-bench.{}.{ring}", std::process::id()))
}

fn wide<H>(end: H, size: usize) -> Wide<H, Copies> {
    Wide::new(end, size, Copies)
}

/// Bytes of an SPSC ring, and slots of an MPMC ring, for messages of a size: room for four of the large.
fn bytes(size: usize) -> u64 {
    (size as u64 * 4).next_power_of_two().max(8 << 10)
}

fn slots(size: usize) -> mpmc::Options {
    mpmc::Options::new().slots(((64 << 10) / size as u64).clamp(4, 1024)).slot_size(size as u64)
}

fn spsc_threads(b: &mut Bencher<'_>, size: usize) {
    let [(tx, there), (back, rx)] = [size, ANSWER].map(|size| spsc::heap(bytes(size)).expect("a ring"));
    between_threads(b, size, (wide(tx, size), wide(rx, ANSWER)), (wide(there, size), wide(back, ANSWER)));
}

fn spsc_processes(b: &mut Bencher<'_>, size: usize) {
    let (names, options) = (names(), |size| spsc::Options::new().capacity(bytes(size)));
    let tx = spsc::Producer::create(&names[0], &options(size)).expect("a segment");
    let rx = spsc::Consumer::create(&names[1], &options(ANSWER)).expect("a segment");
    between_processes(b, "spsc", size, &names, (wide(tx, size), wide(rx, ANSWER)));
}

fn mpmc_threads(b: &mut Bencher<'_>, size: usize) {
    let ring = |size| {
        let ring = mpmc::HeapRing::new(&slots(size)).expect("a ring");
        (ring.producer().expect("a place"), ring.consumer().expect("a place"))
    };
    let [(tx, there), (back, rx)] = [size, ANSWER].map(ring);
    between_threads(b, size, (wide(tx, size), wide(rx, ANSWER)), (wide(there, size), wide(back, ANSWER)));
}

fn mpmc_processes(b: &mut Bencher<'_>, size: usize) {
    let names = names();
    let tx = mpmc::Producer::create(&names[0], &slots(size)).expect("a segment");
    let rx = mpmc::Consumer::create(&names[1], &slots(ANSWER)).expect("a segment");
    between_processes(b, "mpmc", size, &names, (wide(tx, size), wide(rx, ANSWER)));
}

/// The child's side of [`between_processes`].
fn serve(job: &str) {
    let [kind, there, answers, size] = words(job);
    let size = size.parse().expect("a size");
    if kind == "spsc" {
        let rx = spsc::Consumer::open(&there).expect("a ring");
        let tx = spsc::Producer::open(&answers).expect("a ring");
        return queue::attached(|| answer(wide(rx, size), wide(tx, ANSWER)));
    }
    let rx = mpmc::Consumer::open(&there).expect("a ring");
    let tx = mpmc::Producer::open(&answers).expect("a ring");
    queue::attached(|| answer(wide(rx, size), wide(tx, ANSWER)));
}

fn latency(c: &mut Criterion) {
    type Bench = fn(&mut Bencher<'_>, usize);
    let kinds: [(_, Bench, Bench); 2] =
        [("spsc", spsc_threads, spsc_processes), ("mpmc", mpmc_threads, mpmc_processes)];
    for (kind, threads, processes) in kinds {
        let mut group = c.benchmark_group(format!("{kind} under way"));
        for size in SIZES {
            group.bench_function(BenchmarkId::new("threads", size), |b| threads(b, size));
            group.bench_function(BenchmarkId::new("processes", size), |b| processes(b, size));
        }
        group.finish();
    }
}

criterion_group!(benches, latency);

fn main() {
    queue::main(benches, serve);
}
