//! One way through a typed ring of slices: a record for a whole batch of numbers, written by its sender and checked, each of
//! them, by its receiver; between threads (heap rings) and between processes (named segments). What batches of records
//! cost instead: `spsc_ways`.
//!
//! A measurement sends `n` numbers and ends when the last of them was answered.

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use ring_bench::kit::Patience;
use ring_shm::Trust;
use ring_shm::spsc::{Options, TypedConsumer, TypedProducer, typed_heap};
use std::time::{Duration, Instant};
use support::queue::{self, Crew, pin, words};
use support::{is_over, wait_for_room};

const CAPACITY: u64 = 256 << 10;

/// Numbers that are sent before any time is taken.
const CHECKED: u64 = 1 << 16;

/// The tag of a slice that is to be answered, with the last number that has come.
const LAST: u32 = 1;

type Tx<P> = TypedProducer<[u64], P>;
type Rx<P> = TypedConsumer<[u64], P>;

fn send<P: Trust>(tx: &mut Tx<P>, tag: u32, numbers: &[u64]) {
    let mut patience = Patience::new();
    while let Err(error) = tx.try_send(tag, numbers) {
        wait_for_room(error, &mut patience);
    }
}

/// Receives numbers that grow one by one, up to `most` at a time, until the sender has gone.
fn receive<P: Trust>(mut rx: Rx<P>, mut back: Tx<P>, most: usize) {
    let (mut numbers, mut last) = (vec![0; most], 0);
    loop {
        match rx.try_recv_into(&mut numbers) {
            Ok((count, received)) => {
                for number in &numbers[..count] {
                    last += 1;
                    assert_eq!(*number, last, "FIFO or payload broken");
                }
                if received.tag == LAST {
                    send(&mut back, 0, &[last]);
                }
            }
            Err(error) if is_over(error) => return,
            Err(_) => core::hint::spin_loop(),
        }
    }
}

fn measure<P: Trust>(b: &mut criterion::Bencher<'_>, batch: usize, mut tx: Tx<P>, mut back: Rx<P>) {
    let (mut numbers, mut sent) = (vec![0; batch], 0);
    let mut run = |count: u64| -> Duration {
        let (start, last) = (Instant::now(), sent + count);
        while sent < last {
            let slice = &mut numbers[..batch.min((last - sent) as usize)];
            for number in &mut *slice {
                sent += 1;
                *number = sent;
            }
            send(&mut tx, if sent == last { LAST } else { 0 }, slice);
        }
        let (mut answer, mut patience) = ([0], Patience::new());
        while let Err(error) = back.try_recv_into(&mut answer) {
            assert!(!is_over(error), "the receiver has gone");
            patience.miss().expect("an answer");
        }
        let elapsed = start.elapsed();
        assert_eq!(answer, [sent], "not all of them came");
        elapsed
    };
    run(CHECKED);
    b.iter_custom(run);
}

fn between_threads(b: &mut criterion::Bencher<'_>, batch: usize) {
    let (tx, rx) = typed_heap::<[u64]>(CAPACITY).expect("a heap ring");
    let (back, answers) = typed_heap::<[u64]>(4096).expect("a heap ring");
    let thread = std::thread::spawn(move || {
        pin(1);
        receive(rx, back, batch);
    });
    pin(0);
    measure(b, batch, tx, answers);
    thread.join().expect("FIFO and payload");
}

fn between_processes(b: &mut criterion::Bencher<'_>, batch: usize) {
    let names = ["there", "answers"].map(|ring| format!("ring-bench.{}.{ring}", std::process::id()));
    let tx = Tx::create(&names[0], &Options::new().capacity(CAPACITY)).expect("a segment");
    let answers = Rx::create(&names[1], &Options::new().capacity(4096)).expect("a segment");
    let crew = Crew::start([format!("{} {} {batch}", names[0], names[1])], &names);
    pin(0);
    measure(b, batch, tx, answers);
    crew.join();
}

/// The child's side.
fn serve(job: &str) {
    let [there, answers, batch] = words(job);
    let (rx, back) = (Rx::open(&there).expect("a ring"), Tx::open(&answers).expect("a ring"));
    queue::attached(|| receive(rx, back, batch.parse().expect("a number")));
}

fn slices(c: &mut Criterion) {
    let mut group = c.benchmark_group("spsc slices");
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: 8 });
    for batch in [1, 8, 64, 512] {
        group
            .bench_function(BenchmarkId::new("threads", format!("{batch} of 8")), |b| between_threads(b, batch))
            .bench_function(BenchmarkId::new("processes", format!("{batch} of 8")), |b| between_processes(b, batch));
    }
    group.finish();
}

criterion_group!(benches, slices);

fn main() {
    queue::main(benches, serve);
}
