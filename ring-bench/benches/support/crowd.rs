//! One way through a queue of several producers and as many consumers: the producers are threads of this process, the
//! consumers threads too, or processes.
//!
//! A word is its producer's index and that producer's count. A consumer demands that every producer's counts grow, one by
//! one where it is alone; at the end of each measurement, what was sent has been received once. A measurement sends
//! `n` messages in all and ends when the consumers have counted them, so start and end are included.
#![allow(dead_code, reason = "each bench uses its part")]

use super::support::queue::{self, Crew, Receive, STOP, Send, pin, words};
use super::support::{Way, checked};
use super::wide::{Batches, COUNT_BITS, Copies, Places, Wide, believing_consumer, believing_producer, count_of};
use criterion::Bencher;
use ring_bench::kit::Patience;
use ring_shm::mpmc::{self, Consumer, Options, Producer};
use ring_shm::{Trusted, Untrusted};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// After so long without a message something is wrong.
const STUCK: Duration = Duration::from_secs(10);

/// How often one looks how far the consumers have come.
const LOOK: Duration = Duration::from_micros(20);

/// Consumers tell what they have counted each so many messages, and when they find nothing.
const TELL: u64 = 64;

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// As many producers, and as many consumers.
    pub(crate) pairs: usize,
    pub(crate) slots: u64,
    /// Bytes of a message.
    pub(crate) size: usize,
    pub(crate) way: Way,
}

/// How many words there were, and the sum of their squares: equal for what was sent and what was received if each came
/// once and none was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    count: u64,
    squares: u64,
}

impl Tally {
    #[inline(always)]
    fn add(&mut self, word: u64) {
        self.count += 1;
        self.squares = self.squares.wrapping_add(word.wrapping_mul(word));
    }

    fn join(&mut self, other: Self) {
        self.count += other.count;
        self.squares = self.squares.wrapping_add(other.squares);
    }

    fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.squares) << 64 | u128::from(self.count)).to_le_bytes()
    }

    fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { count: both as u64, squares: (both >> 64) as u64 }
    }
}

/// Receives until the end, each producer's messages in order.
fn consume(mut rx: impl Receive, pairs: usize, mut tell: impl FnMut(Tally)) {
    let (mut last, mut tally, mut over) = (vec![0; pairs], Tally::default(), false);
    let (mut patience, mut tries) = (Patience::new(), 0);
    while !over {
        let idle = !rx.try_each(|word| {
            tally.add(word);
            if word == STOP {
                over = true;
                return;
            }
            let (index, n) = ((word >> COUNT_BITS) as usize, count_of(word));
            let ordered = n == last[index] + 1 || pairs > 1 && n > last[index];
            assert!(ordered, "FIFO broken: {n} of producer {index} after {}", last[index]);
            last[index] = n;
        });
        if over || tally.count >= if idle { 1 } else { TELL } {
            tell(core::mem::take(&mut tally));
        }
        if idle {
            patience.miss_crowded(&mut tries).expect("a producer");
        } else {
            patience = Patience::new();
        }
    }
}

/// Waits until `received` says that as much came as was sent, and demands that it is the same.
fn wait_for(sent: Tally, received: &mut impl FnMut() -> Tally) {
    let (mut came, mut since) = (received(), Instant::now());
    while came.count < sent.count {
        std::thread::sleep(LOOK);
        let now = received();
        if now != came {
            (came, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < STUCK, "a message was lost: {} of {} came", came.count, sent.count);
    }
    assert_eq!(came, sent, "a message came twice, or changed");
}

/// Checks, then times; `received` says what the consumers have counted in all. At the end each of them gets a word that
/// ends it: the next one when the one before has been counted, since a batch could take several.
fn measure<T: Send + core::marker::Send>(
    b: &mut Bencher<'_>,
    checks: u64,
    mut producers: Vec<T>,
    mut received: impl FnMut() -> Tally,
) {
    let (pairs, mut each, mut sent) = (producers.len() as u64, 0, Tally::default());
    let mut run = |count: u64| -> Duration {
        let share = count.div_ceil(pairs);
        let words = |index: u64| (index << COUNT_BITS | (each + 1))..(index << COUNT_BITS | (each + share + 1));
        (0..pairs).for_each(|index| words(index).for_each(|word| sent.add(word)));
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (index, tx) in (0..).zip(&mut producers) {
                scope.spawn(move || {
                    pin(index as usize % 2);
                    tx.send_all(words(index));
                });
            }
            wait_for(sent, &mut received);
        });
        each += share;
        start.elapsed()
    };
    run(checks);
    b.iter_custom(run);
    for _ in 0..pairs {
        producers[0].send(STOP);
        sent.add(STOP);
        wait_for(sent, &mut received);
    }
}

/// Consumers on threads of this process.
pub(crate) fn with_threads<T, R>(b: &mut Bencher<'_>, size: usize, ends: Vec<(T, R)>)
where
    T: Send + core::marker::Send,
    R: Receive + core::marker::Send + 'static,
{
    let (pairs, all) = (ends.len(), Arc::new(Mutex::new(Tally::default())));
    let (mut producers, mut threads) = (Vec::new(), Vec::new());
    for (index, (tx, rx)) in ends.into_iter().enumerate() {
        producers.push(tx);
        let all = Arc::clone(&all);
        threads.push(std::thread::spawn(move || {
            pin((index + 1) % 2);
            consume(rx, pairs, |tally| all.lock().expect("nobody panics with it").join(tally));
        }));
    }
    measure(b, checked(size), producers, || *all.lock().expect("nobody panics with it"));
    threads.into_iter().for_each(|thread| thread.join().expect("FIFO and payload"));
}

/// Ours on the heap.
pub(crate) fn threads(b: &mut Bencher<'_>, shape: Shape) {
    let Shape { pairs, slots, size, way } = shape;
    let ring = mpmc::heap(slots, size as u64).expect("a ring");
    let ends = (0..pairs).map(|_| (ring.producer().expect("a place"), ring.consumer().expect("a place")));
    match way {
        Way::Copy => {
            let ends = ends.map(|(tx, rx)| (Wide::new(tx, size, Copies), Wide::new(rx, size, Copies)));
            with_threads(b, size, ends.collect());
        }
        Way::Place => {
            let ends = ends.map(|(tx, rx)| (Wide::new(tx, size, Places), Wide::new(rx, size, Places)));
            with_threads::<Wide<Producer<Trusted>, _>, _>(b, size, ends.collect());
        }
        Way::Batch(n) => {
            let ends = ends.map(|(tx, rx)| (Wide::new(tx, size, Batches(n)), Wide::new(rx, size, Batches(n))));
            with_threads(b, size, ends.collect());
        }
    }
}

/// Ours in a segment. Consuming processes tell what they count through a ring of their own.
pub(crate) fn processes(b: &mut Bencher<'_>, shape: Shape) {
    let Shape { pairs, slots, size, way } = shape;
    let names = ["ring", "counts"].map(|what| format!("ring-bench.{}.{what}", std::process::id()));
    let options = Options::new().slots(slots).slot_size(size as u64);
    let mut producers = vec![Producer::create(&names[0], &options).expect("a segment")];
    producers.extend((1..pairs).map(|_| Producer::open(&names[0]).expect("a place")));
    let counts = Options::new().slots(1024).slot_size(16);
    let mut counts = Consumer::create(&names[1], &counts).expect("a segment");
    let jobs = (0..pairs).map(|index| format!("{} {} {pairs} {index} {size} {}", names[0], names[1], way.word()));
    let crew = Crew::start(jobs, &names);
    let (mut all, mut bytes) = (Tally::default(), [0; 16]);
    let received = || {
        while counts.try_recv_into(&mut bytes).is_ok() {
            all.join(Tally::from_bytes(bytes));
        }
        all
    };
    let (checks, producers) = (checked(size), producers.into_iter());
    match way {
        Way::Copy => measure(b, checks, producers.map(|tx| Wide::new(tx, size, Copies)).collect(), received),
        Way::Place => {
            let producers = producers.map(|tx| Wide::new(believing_producer(tx), size, Places));
            measure(b, checks, producers.collect(), received);
        }
        Way::Batch(n) => measure(b, checks, producers.map(|tx| Wide::new(tx, size, Batches(n))).collect(), received),
    }
    crew.join();
}

/// A consuming process of [`processes`].
pub(crate) fn serve(job: &str) {
    let [ring, counts, pairs, index, size, way] = words(job);
    let rx: Consumer<Untrusted> = Consumer::open(&ring).expect("a ring");
    let mut counts = Producer::open(&counts).expect("a ring");
    let number = |word: String| -> usize { word.parse().expect("a number") };
    let (pairs, index, size) = (number(pairs), number(index), number(size));
    queue::attached(|| {
        pin((index + 1) % 2);
        let tell = |tally: Tally| queue::poll(|| counts.try_send(0, &tally.to_bytes()).ok().map(drop));
        match Way::from_word(&way) {
            Way::Copy => consume(Wide::new(rx, size, Copies), pairs, tell),
            Way::Place => consume(Wide::new(believing_consumer(rx), size, Places), pairs, tell),
            Way::Batch(count) => consume(Wide::new(rx, size, Batches(count)), pairs, tell),
        }
    });
}
