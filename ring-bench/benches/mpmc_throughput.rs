//! One way as fast as it goes, one word a message, 1 to 4 producers and as many consumers: ours between threads and
//! between processes, and crossbeam's `ArrayQueue` between threads.
//!
//! A message is its producer's index and that producer's count; a consumer demands that every producer's counts grow,
//! and at the end everything that was sent has been received once. A measurement sends `n` messages in all and ends
//! when the consumers have counted them, so start and end are included.

#[path = "support/queue.rs"]
mod queue;

use core::sync::atomic::{AtomicU64, Ordering};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use crossbeam_queue::ArrayQueue;
use queue::{CHECKED, Crew, Receive, SLOTS, STOP, Send, job, pin, words};
use ring_shm::mpmc::{self, Consumer, HeapRing, Producer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The index of a producer stands above its count.
const COUNT_BITS: u32 = 48;

/// After so long without a message something is wrong.
const STUCK: Duration = Duration::from_secs(10);

/// Sends a share of `count` messages, numbered from `from + 1`.
fn produce(tx: &mut impl Send, index: u64, from: u64, count: u64) {
    (from + 1..=from + count).for_each(|n| tx.send(index << COUNT_BITS | n));
}

/// Receives until the end, each producer's messages in order; adds what came to `counted`.
fn consume(mut rx: impl Receive, pairs: usize, mut counted: impl FnMut()) {
    let mut last = vec![0; pairs];
    loop {
        let word = rx.receive();
        if word == STOP {
            return;
        }
        let (index, n) = ((word >> COUNT_BITS) as usize, word & ((1 << COUNT_BITS) - 1));
        assert!(n > last[index], "FIFO broken: {n} of producer {index} after {}", last[index]);
        last[index] = n;
        counted();
    }
}

/// The producers are threads of this process; `received` says how many messages the consumers have counted in all.
/// At the end each consumer gets a word that ends it.
fn measure<T: Send + core::marker::Send>(
    b: &mut criterion::Bencher<'_>,
    mut producers: Vec<T>,
    received: impl Fn() -> u64,
) {
    let (pairs, mut sent) = (producers.len() as u64, 0);
    let mut run = |count: u64| -> Duration {
        let share = count.div_ceil(pairs);
        let goal = sent + share * pairs;
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (index, tx) in producers.iter_mut().enumerate() {
                scope.spawn(move || {
                    pin(index % 2);
                    produce(tx, index as u64, sent / pairs, share);
                });
            }
            let mut seen = (0, Instant::now());
            while seen.0 < goal {
                let now = received();
                if now != seen.0 {
                    seen = (now, Instant::now());
                }
                assert!(seen.1.elapsed() < STUCK, "a message was lost: {now} of {goal} came");
                std::thread::yield_now();
            }
        });
        sent = goal;
        let elapsed = start.elapsed();
        assert_eq!(received(), sent, "a message came twice");
        elapsed
    };
    run(CHECKED);
    b.iter_custom(run);
    for _ in 0..pairs {
        producers[0].send(STOP);
    }
}

/// Consumers on threads of this process.
fn with_threads<T: Send + core::marker::Send, R: Receive + core::marker::Send + 'static>(
    b: &mut criterion::Bencher<'_>,
    ends: Vec<(T, R)>,
) {
    let (pairs, received) = (ends.len(), Arc::new(AtomicU64::new(0)));
    let (mut producers, mut threads) = (Vec::new(), Vec::new());
    for (index, (tx, rx)) in ends.into_iter().enumerate() {
        producers.push(tx);
        let received = Arc::clone(&received);
        threads.push(std::thread::spawn(move || {
            pin((index + 1) % 2);
            consume(rx, pairs, || {
                received.fetch_add(1, Ordering::Release);
            });
        }));
    }
    measure(b, producers, || received.load(Ordering::Acquire));
    threads.into_iter().for_each(|thread| thread.join().expect("FIFO and payload"));
}

fn ends(ring: &HeapRing, pairs: usize) -> Vec<(Producer<ring_shm::Trusted>, Consumer<ring_shm::Trusted>)> {
    (0..pairs).map(|_| (ring.producer().expect("a place"), ring.consumer().expect("a place"))).collect()
}

/// Consumers in processes, which report what they count through a ring of their own.
fn with_processes(b: &mut criterion::Bencher<'_>, pairs: usize) {
    let names = ["ring", "counts"].map(|what| format!("ring-bench.{}.{pairs}-{what}", std::process::id()));
    let first = Producer::create(&names[0], &queue::options()).expect("a segment");
    let mut counts = Consumer::create(&names[1], &queue::options()).expect("a segment");
    let jobs = (0..pairs).map(|index| format!("{} {} {pairs} {index}", names[0], names[1]));
    let mut producers = vec![first];
    producers.extend((1..pairs).map(|_| Producer::open(&names[0]).expect("a place")));
    let crew = Crew::start(jobs, &names);
    let (received, counts) = (core::cell::Cell::new(0), core::cell::RefCell::new(&mut counts));
    measure(b, producers, || {
        while let Some(count) = counts.borrow_mut().try_receive() {
            received.set(received.get() + count);
        }
        received.get()
    });
    crew.join();
}

/// A consuming process: reports every 64 messages, and what there is when it finds the ring empty.
fn serve(job: &str) {
    let [ring, counts, pairs, index] = words(job);
    let rx = Consumer::open(&ring).expect("a ring");
    let mut counts = Producer::open(&counts).expect("a ring");
    let index: usize = index.parse().expect("a number");
    queue::attached(|| {
        pin((index + 1) % 2);
        let unreported = core::cell::Cell::new(0);
        let mut report = |all: bool| {
            if unreported.get() >= if all { 1 } else { 64 } {
                Send::send(&mut counts, unreported.take());
            }
        };
        let report = core::cell::RefCell::new(&mut report);
        let rx = queue::Idle { rx, idle: || (*report.borrow_mut())(true) };
        consume(rx, pairs.parse().expect("a number"), || {
            unreported.set(unreported.get() + 1);
            (*report.borrow_mut())(false);
        });
    });
}

fn throughput(c: &mut Criterion) {
    let mut group = c.benchmark_group("mpmc one way");
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: 8 });
    for pairs in [1, 2, 3, 4] {
        let name = format!("{pairs}P{pairs}C");
        group.bench_function(BenchmarkId::new("ours, threads", &name), |b| {
            with_threads(b, ends(&mpmc::heap(SLOTS, 8).expect("a ring"), pairs));
        });
        group.bench_function(BenchmarkId::new("ours, processes", &name), |b| with_processes(b, pairs));
        group.bench_function(BenchmarkId::new("ArrayQueue, threads", &name), |b| {
            let queue = Arc::new(ArrayQueue::new(SLOTS as usize));
            with_threads(b, (0..pairs).map(|_| (Arc::clone(&queue), Arc::clone(&queue))).collect());
        });
    }
    group.finish();
}

criterion_group!(benches, throughput);

fn main() {
    if let Some(job) = job() {
        return serve(&job);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
