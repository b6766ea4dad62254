//! Round trip of one message: ours between threads (one heap ring each way), ours between processes (named segments),
//! and rtrb between threads. The other side echoes, pinned to the other CPU.
//!
//! Figures of one run carry the placement of the CPUs during that run; for comparisons use `ratios`.

mod support;

use criterion::{BenchmarkId, Criterion, criterion_group};
use ring_shm::Trust;
use ring_shm::spsc::{self, Consumer, Options, Producer};
use support::queue::{self, Crew, pin, words};
use support::{LARGEST_VALUE, Message, SIZES, checked, poll, recv, send};

/// Two maximal records and a little.
fn capacity(size: usize) -> u64 {
    (size as u64 * 4).next_power_of_two().max(8 << 10)
}

/// Sends back whatever comes until the other side has gone.
fn echo<T: Trust>(mut rx: Consumer<T>, mut tx: Producer<T>, size: usize) {
    let mut message = Message::new(size);
    while recv(&mut rx, &mut message) {
        send(&mut tx, 0, message.bytes());
    }
}

/// Checks the echo, then times it.
fn round_trips<T: Trust>(b: &mut criterion::Bencher<'_>, size: usize, tx: &mut Producer<T>, rx: &mut Consumer<T>) {
    let (mut out, mut back) = (Message::new(size), Message::new(size));
    for n in 1..=checked(size) {
        send(tx, 0, out.fill(n));
        assert!(recv(rx, &mut back));
        back.assert_all(n);
    }
    let mut n = checked(size);
    b.iter(|| {
        n += 1;
        send(tx, 0, out.fill(n));
        assert!(recv(rx, &mut back));
        back.assert_number(n);
    });
}

fn between_threads(b: &mut criterion::Bencher<'_>, size: usize) {
    let (mut tx, echo_rx) = spsc::heap(capacity(size)).expect("a heap ring");
    let (echo_tx, mut rx) = spsc::heap(capacity(size)).expect("a heap ring");
    let thread = std::thread::spawn(move || {
        pin(1);
        echo(echo_rx, echo_tx, size);
    });
    pin(0);
    round_trips(b, size, &mut tx, &mut rx);
    drop(tx);
    thread.join().expect("the echo ends when its producer has gone");
}

fn between_processes(b: &mut criterion::Bencher<'_>, size: usize) {
    let names = ["out", "back"].map(|way| format!("ring-bench.{}.{way}.{size}", std::process::id()));
    let options = Options::new().capacity(capacity(size));
    let mut tx = Producer::create(&names[0], &options).expect("a segment");
    let mut rx = Consumer::create(&names[1], &options).expect("a segment");
    let crew = Crew::start([format!("{} {} {size}", names[0], names[1])], &names);
    pin(0);
    round_trips(b, size, &mut tx, &mut rx);
    drop(tx);
    crew.join();
}

/// The child's side of [`between_processes`].
fn serve(job: &str) {
    let [out, back, size] = words(job);
    let (rx, tx) = (Consumer::open(&out).expect("a ring"), Producer::open(&back).expect("a ring"));
    let size = size.parse().expect("a size");
    queue::attached(|| echo(rx, tx, size));
}

fn rtrb<const W: usize>(b: &mut criterion::Bencher<'_>) {
    let slots = (capacity(8 * W) as usize / (8 * W)).max(2);
    let (mut tx, mut echo_rx) = rtrb::RingBuffer::<[u64; W]>::new(slots);
    let (mut echo_tx, mut rx) = rtrb::RingBuffer::<[u64; W]>::new(slots);
    let thread = std::thread::spawn(move || {
        pin(1);
        while !(echo_rx.is_abandoned() && echo_rx.is_empty()) {
            match echo_rx.pop() {
                Ok(words) => while echo_tx.push(words).is_err() {},
                Err(_) => core::hint::spin_loop(),
            }
        }
    });
    pin(0);
    let mut round_trip = |n: u64| {
        let words: [u64; W] = core::array::from_fn(|i| n + i as u64);
        poll(|| tx.push(words).ok());
        poll(|| rx.pop().ok())
    };
    for n in 1..=checked(8 * W) {
        assert!(round_trip(n).iter().zip(n..).all(|(word, expected)| *word == expected));
    }
    let mut n = checked(8 * W);
    b.iter(|| {
        n += 1;
        let words = round_trip(n);
        assert_eq!((words[0], words[W - 1]), (n, n + W as u64 - 1), "FIFO or payload broken");
    });
    drop(tx);
    thread.join().expect("the echo ends when its producer has gone");
}

fn latency(c: &mut Criterion) {
    let mut group = c.benchmark_group("spsc round trip");
    for size in SIZES {
        group.bench_with_input(BenchmarkId::new("ours, threads", size), &size, |b, size| between_threads(b, *size));
        group.bench_with_input(BenchmarkId::new("ours, processes", size), &size, |b, size| between_processes(b, *size));
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

criterion_group!(benches, latency);

fn main() {
    queue::main(benches, serve);
}
