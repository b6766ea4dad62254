//! One way as fast as it goes, one operation a message: ours on a heap ring and rtrb with the same bytes of capacity,
//! both between two threads pinned to two CPUs.
//!
//! A measurement sends `n` messages and ends when the consumer has counted them, so start and end are included.

mod support;

use core::sync::atomic::{AtomicU64, Ordering};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ring_shm::spsc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::queue::pin;
use support::{LARGEST_VALUE, Message, SIZES, checked, poll, recv, send};

/// Bytes of every ring, but for messages too long for that.
const CAPACITY: usize = 256 << 10;

/// How far the consumer has come, on a line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Progress(AtomicU64);

impl Progress {
    fn wait(&self, n: u64) {
        poll(|| (self.0.load(Ordering::Acquire) >= n).then_some(()));
    }
}

/// Sends the numbers `from + 1 ..= from + count`, waits for the last, takes the time.
fn timed(progress: &Progress, from: &mut u64, count: u64, mut send: impl FnMut(u64)) -> Duration {
    let start = Instant::now();
    for n in *from + 1..=*from + count {
        send(n);
    }
    *from += count;
    progress.wait(*from);
    start.elapsed()
}

fn ours(b: &mut criterion::Bencher<'_>, size: usize) {
    let (mut tx, mut rx) = spsc::heap(CAPACITY.max(4 * size) as u64).expect("a heap ring");
    let progress = Arc::new(Progress::default());
    let counted = Arc::clone(&progress);
    let thread = std::thread::spawn(move || {
        pin(1);
        let (mut message, mut n) = (Message::new(size), 0);
        while recv(&mut rx, &mut message) {
            n += 1;
            if n <= checked(size) {
                message.assert_all(n)
            } else {
                message.assert_number(n)
            }
            counted.0.store(n, Ordering::Release);
        }
    });
    pin(0);
    let (mut message, mut from) = (Message::new(size), 0);
    timed(&progress, &mut from, checked(size), |n| send(&mut tx, 0, message.fill(n)));
    b.iter_custom(|count| timed(&progress, &mut from, count, |n| send(&mut tx, 0, message.fill(n))));
    drop(tx);
    thread.join().expect("FIFO and payload");
}

fn rtrb<const W: usize>(b: &mut criterion::Bencher<'_>) {
    let (mut tx, mut rx) = rtrb::RingBuffer::<[u64; W]>::new(CAPACITY / (8 * W));
    let progress = Arc::new(Progress::default());
    let counted = Arc::clone(&progress);
    let thread = std::thread::spawn(move || {
        pin(1);
        let mut n = 0;
        while !(rx.is_abandoned() && rx.is_empty()) {
            let Ok(words) = rx.pop() else {
                core::hint::spin_loop();
                continue;
            };
            n += 1;
            let all = if n <= checked(8 * W) { W } else { 1 };
            assert!(words.iter().zip(n..).take(all).all(|(word, expected)| *word == expected));
            assert_eq!(words[W - 1], n + W as u64 - 1, "FIFO or payload broken");
            counted.0.store(n, Ordering::Release);
        }
    });
    pin(0);
    let mut from = 0;
    let mut send = |n: u64| {
        let words: [u64; W] = core::array::from_fn(|i| n + i as u64);
        poll(|| tx.push(words).ok());
    };
    timed(&progress, &mut from, checked(8 * W), &mut send);
    b.iter_custom(|count| timed(&progress, &mut from, count, &mut send));
    drop(tx);
    thread.join().expect("FIFO and payload");
}

fn throughput(c: &mut Criterion) {
    let mut group = c.benchmark_group("spsc one way");
    for size in SIZES {
        group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: size as u64 });
        group.bench_with_input(BenchmarkId::new("ours, threads", size), &size, |b, size| ours(b, *size));
        if size > LARGEST_VALUE {
            continue;
        }
        group.bench_with_input(BenchmarkId::new("rtrb, threads", size), &size, |b, size| match size / 8 {
            1 => rtrb::<1>(b),
            8 => rtrb::<8>(b),
            32 => rtrb::<32>(b),
            128 => rtrb::<128>(b),
            _ => rtrb::<8192>(b),
        });
    }
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
