//! Round trip through two MPMC rings: ours between threads and between processes by message size, polled against
//! parked, and crossbeam's `ArrayQueue` between threads. The other side echoes, pinned to the other CPU.
//!
//! Figures of one run carry the placement of the CPUs during that run; for comparisons use `ratios`.

mod support;
#[path = "support/wide.rs"]
mod wide;

use criterion::{Bencher, BenchmarkId, Criterion, criterion_group};
use crossbeam_queue::ArrayQueue;
use ring_shm::Trust;
use ring_shm::mpmc::{self, Consumer, Options, Producer};
use std::sync::Arc;
use support::queue::{self, Crew, Receive, STOP, Send, pin, words};
use support::{SIZES, checked};
use wide::{Copies, Wide};

/// Slots of the small rings; large messages get room for four.
fn slots(size: usize) -> u64 {
    ((64 << 10) / size as u64).clamp(4, 1024)
}

fn options(size: usize) -> Options {
    Options::new().slots(slots(size)).slot_size(size as u64)
}

/// How to wait for a message.
#[derive(Clone, Copy)]
enum Wait {
    Polled,
    Parked,
}

impl Wait {
    /// How many round trips are checked: one that is slept through takes a thousand times as long.
    fn checks(self, size: usize) -> u64 {
        match self {
            Self::Polled => checked(size),
            Self::Parked => 200,
        }
    }
}

/// Sends back whatever comes, the end included.
fn echo(mut rx: impl Receive, mut tx: impl Send) {
    loop {
        let word = rx.receive();
        tx.send(word);
        if word == STOP {
            return;
        }
    }
}

fn echo_by<T: Trust>(rx: Consumer<T>, tx: Producer<T>, size: usize, wait: Wait) {
    let tx = Wide::new(tx, size, Copies);
    match wait {
        Wait::Polled => echo(Wide::new(rx, size, Copies), tx),
        Wait::Parked => echo(Wide::asleep(rx, size), tx),
    }
}

/// Checks the echo, then times it, then ends it.
fn round_trips(b: &mut Bencher<'_>, checks: u64, mut tx: impl Send, mut rx: impl Receive) {
    let mut round_trip = |n: u64| {
        tx.send(n);
        assert_eq!(rx.receive(), n, "FIFO or payload broken");
    };
    (1..=checks).for_each(&mut round_trip);
    let mut n = checks;
    b.iter(|| {
        n += 1;
        round_trip(n);
    });
    round_trip(STOP);
}

fn round_trips_by<T: Trust>(b: &mut Bencher<'_>, tx: Producer<T>, rx: Consumer<T>, size: usize, wait: Wait) {
    let (checks, tx) = (wait.checks(size), Wide::new(tx, size, Copies));
    match wait {
        Wait::Polled => round_trips(b, checks, tx, Wide::new(rx, size, Copies)),
        Wait::Parked => round_trips(b, checks, tx, Wide::asleep(rx, size)),
    }
}

fn between_threads(b: &mut Bencher<'_>, size: usize, wait: Wait) {
    let [out, back] = [(), ()].map(|()| mpmc::HeapRing::new(&options(size)).expect("a ring"));
    let (rx, tx) = (out.consumer().expect("a place"), back.producer().expect("a place"));
    let thread = std::thread::spawn(move || {
        pin(1);
        echo_by(rx, tx, size, wait);
    });
    pin(0);
    round_trips_by(b, out.producer().expect("a place"), back.consumer().expect("a place"), size, wait);
    thread.join().expect("the echo ends after the last word");
}

fn between_processes(b: &mut Bencher<'_>, size: usize, wait: Wait) {
    let names = ["out", "back"].map(|way| format!("ring-bench.{}.mpmc-{way}", std::process::id()));
    let tx = Producer::create(&names[0], &options(size)).expect("a segment");
    let rx = Consumer::create(&names[1], &options(size)).expect("a segment");
    let word = if matches!(wait, Wait::Polled) { "polled" } else { "parked" };
    let crew = Crew::start([format!("{} {} {size} {word}", names[0], names[1])], &names);
    pin(0);
    round_trips_by(b, tx, rx, size, wait);
    crew.join();
}

/// The child's side of [`between_processes`].
fn serve(job: &str) {
    let [out, back, size, word] = words(job);
    let (rx, tx) = (Consumer::open(&out).expect("a ring"), Producer::open(&back).expect("a ring"));
    let wait = if word == "polled" { Wait::Polled } else { Wait::Parked };
    queue::attached(|| echo_by(rx, tx, size.parse().expect("a size"), wait));
}

fn array_queue(b: &mut Bencher<'_>) {
    let [out, back] = [(), ()].map(|()| Arc::new(ArrayQueue::new(slots(8) as usize)));
    let ends = (Arc::clone(&out), Arc::clone(&back));
    let thread = std::thread::spawn(move || {
        pin(1);
        echo(ends.0, ends.1);
    });
    pin(0);
    round_trips(b, checked(8), out, back);
    thread.join().expect("the echo ends after the last word");
}

fn latency(c: &mut Criterion) {
    let mut group = c.benchmark_group("mpmc round trip");
    for size in SIZES {
        let id = |who| BenchmarkId::new(who, size);
        group.bench_function(id("ours, threads"), |b| between_threads(b, size, Wait::Polled));
        group.bench_function(id("ours, processes"), |b| between_processes(b, size, Wait::Polled));
    }
    group.bench_function(BenchmarkId::new("ArrayQueue, threads", 8), array_queue);
    group.finish();
}

fn waiting(c: &mut Criterion) {
    let mut group = c.benchmark_group("mpmc waiting");
    for (name, wait) in [("polled", Wait::Polled), ("parked", Wait::Parked)] {
        group.bench_function(format!("{name}, threads"), |b| between_threads(b, 8, wait));
        group.bench_function(format!("{name}, processes"), |b| between_processes(b, 8, wait));
    }
    group.finish();
}

criterion_group!(benches, latency, waiting);

fn main() {
    queue::main(benches, serve);
}
