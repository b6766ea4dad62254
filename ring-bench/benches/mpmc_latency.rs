//! Round trip of one word through two MPMC rings: ours between threads, ours between processes, and crossbeam's
//! `ArrayQueue` between threads. The other side echoes, pinned to the other CPU.
//!
//! Figures of one run carry the placement of the CPUs during that run; for comparisons use `ratios`.

#[path = "support/queue.rs"]
mod queue;

use criterion::{Criterion, criterion_group};
use crossbeam_queue::ArrayQueue;
use queue::{CHECKED, Crew, Receive, SLOTS, STOP, Send, job, pin, words};
use ring_shm::mpmc::{self, Consumer, Producer};
use std::sync::Arc;

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

/// Checks the echo, then times it, then ends it.
fn round_trips(b: &mut criterion::Bencher<'_>, mut tx: impl Send, mut rx: impl Receive) {
    let mut round_trip = |n: u64| {
        tx.send(n);
        assert_eq!(rx.receive(), n, "FIFO or payload broken");
    };
    (1..=CHECKED).for_each(&mut round_trip);
    let mut n = CHECKED;
    b.iter(|| {
        n += 1;
        round_trip(n);
    });
    round_trip(STOP);
}

fn between_threads(b: &mut criterion::Bencher<'_>) {
    let (out, back) = (mpmc::heap(SLOTS, 8).expect("a ring"), mpmc::heap(SLOTS, 8).expect("a ring"));
    let (rx, tx) = (out.consumer().expect("a place"), back.producer().expect("a place"));
    let thread = std::thread::spawn(move || {
        pin(1);
        echo(rx, tx);
    });
    pin(0);
    round_trips(b, out.producer().expect("a place"), back.consumer().expect("a place"));
    thread.join().expect("the echo ends after the last word");
}

fn between_processes(b: &mut criterion::Bencher<'_>) {
    let names = ["out", "back"].map(|way| format!("ring-bench.{}.mpmc-{way}", std::process::id()));
    let tx = Producer::create(&names[0], &queue::options()).expect("a segment");
    let rx = Consumer::create(&names[1], &queue::options()).expect("a segment");
    let crew = Crew::start([format!("{} {}", names[0], names[1])], &names);
    pin(0);
    round_trips(b, tx, rx);
    crew.join();
}

fn array_queue(b: &mut criterion::Bencher<'_>) {
    let [out, back] = [(), ()].map(|()| Arc::new(ArrayQueue::new(SLOTS as usize)));
    let ends = (Arc::clone(&out), Arc::clone(&back));
    let thread = std::thread::spawn(move || {
        pin(1);
        echo(ends.0, ends.1);
    });
    pin(0);
    round_trips(b, out, back);
    thread.join().expect("the echo ends after the last word");
}

fn latency(c: &mut Criterion) {
    let mut group = c.benchmark_group("mpmc round trip");
    group.bench_function("ours, threads", between_threads);
    group.bench_function("ours, processes", between_processes);
    group.bench_function("ArrayQueue, threads", array_queue);
    group.finish();
}

criterion_group!(benches, latency);

fn main() {
    if let Some(job) = job() {
        let [out, back] = words(&job);
        let ends = (Consumer::open(&out).expect("a ring"), Producer::open(&back).expect("a ring"));
        return queue::attached(|| echo(ends.0, ends.1));
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
