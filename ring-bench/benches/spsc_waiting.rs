//! Round trip of eight bytes, polled against parked: both sides poll, or both sleep at once when there is nothing; ours
//! between threads (heap rings) and between processes (named segments).
//!
//! Figures of one run carry the placement of the CPUs during that run; for comparisons use `ratios`.

mod support;

use criterion::{Criterion, criterion_group};
use ring_shm::Trust;
use ring_shm::spsc::{self, Consumer, Options, Producer, RecvError};
use ring_shm::wait::Park;
use std::time::Duration;
use support::queue::{self, Crew, pin, words};
use support::{Message, checked, recv, send};

/// Bytes of a message.
const SIZE: usize = 8;
/// After so long asleep a message was lost.
const LOST: Duration = Duration::from_secs(10);

/// How to wait for a message.
#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Polled,
    Parked,
}

impl Wait {
    /// How many round trips are checked: one that is slept through takes a thousand times as long.
    fn checks(self) -> u64 {
        if self == Self::Polled { checked(SIZE) } else { 200 }
    }

    /// Waits for a message; false when there will be none.
    fn recv<T: Trust>(self, rx: &mut Consumer<T>, message: &mut Message) -> bool {
        if self == Self::Polled {
            return recv(rx, message);
        }
        match rx.recv_into_timeout(message.bytes(), LOST) {
            Ok(received) => {
                assert_eq!(received.len, SIZE);
                true
            }
            Err(RecvError::Disconnected | RecvError::PeerDied) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn prepare<T: Trust>(self, rx: &mut Consumer<T>) {
        if self == Self::Parked {
            rx.set_wait_strategy(Park::after(Duration::ZERO));
        }
    }
}

/// Sends back whatever comes until the other side has gone.
fn echo<T: Trust>(mut rx: Consumer<T>, mut tx: Producer<T>, wait: Wait) {
    wait.prepare(&mut rx);
    let mut message = Message::new(SIZE);
    while wait.recv(&mut rx, &mut message) {
        send(&mut tx, 0, message.bytes());
    }
}

fn round_trips<T: Trust>(b: &mut criterion::Bencher<'_>, mut tx: Producer<T>, mut rx: Consumer<T>, wait: Wait) {
    wait.prepare(&mut rx);
    let (mut out, mut back, mut number) = (Message::new(SIZE), Message::new(SIZE), 0);
    let mut round_trip = || {
        number += 1;
        send(&mut tx, 0, out.fill(number));
        assert!(wait.recv(&mut rx, &mut back));
        back.assert_all(number);
    };
    (0..wait.checks()).for_each(|_| round_trip());
    b.iter(round_trip);
}

fn between_threads(b: &mut criterion::Bencher<'_>, wait: Wait) {
    let (tx, echo_rx) = spsc::heap(8 << 10).expect("a heap ring");
    let (echo_tx, rx) = spsc::heap(8 << 10).expect("a heap ring");
    let thread = std::thread::spawn(move || {
        pin(1);
        echo(echo_rx, echo_tx, wait);
    });
    pin(0);
    round_trips(b, tx, rx, wait);
    thread.join().expect("the echo ends when its producer has gone");
}

fn between_processes(b: &mut criterion::Bencher<'_>, wait: Wait) {
    let names = ["out", "back"].map(|way| format!("ring-bench.{}.wait-{way}", std::process::id()));
    let options = Options::new().capacity(8 << 10);
    let tx = Producer::create(&names[0], &options).expect("a segment");
    let rx = Consumer::create(&names[1], &options).expect("a segment");
    let word = if wait == Wait::Polled { "polled" } else { "parked" };
    let crew = Crew::start([format!("{} {} {word}", names[0], names[1])], &names);
    pin(0);
    round_trips(b, tx, rx, wait);
    crew.join();
}

fn waiting(c: &mut Criterion) {
    let mut group = c.benchmark_group("spsc waiting");
    for (name, wait) in [("polled", Wait::Polled), ("parked", Wait::Parked)] {
        group.bench_function(format!("{name}, threads"), |b| between_threads(b, wait));
        group.bench_function(format!("{name}, processes"), |b| between_processes(b, wait));
    }
    group.finish();
}

criterion_group!(benches, waiting);

/// The echo of a child.
fn serve(job: &str) {
    let [out, back, word] = words(job);
    let ends = (Consumer::open(&out).expect("a ring"), Producer::open(&back).expect("a ring"));
    let wait = if word == "polled" { Wait::Polled } else { Wait::Parked };
    queue::attached(|| echo(ends.0, ends.1, wait));
}

fn main() {
    queue::main(benches, serve);
}
