//! The SPSC ring against a `VecDeque`: random sequences of all operations, take-overs and abandoned handles included,
//! over several capacities, both alignments and several release intervals. Nothing is lost, nothing comes twice
//! unflagged, ends come in order, and *full* is said exactly when a plain count of bytes says so.
#![cfg(not(loom))]

mod spsc_support;
#[path = "oracle/twin.rs"]
mod twin;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use ring_core::spsc::{Format, Ring};
use ring_core::{CONTROL_SIZE, Line, Region};
use spsc_support::lines;
use twin::Twin;

/// One step of a sequence. Lengths are reduced to what the ring allows.
#[derive(Debug, Clone)]
enum Op {
    Send(usize),
    /// Claimed length, where the write is cut in two, committed length.
    Claim(usize, usize, usize),
    /// A claim that is dropped.
    Abort(usize),
    /// Claimed length, pushed lengths and how many of each, which have one tag; committed or not.
    Batch(usize, Vec<(usize, usize)>, bool),
    Recv,
    /// Released or kept.
    Read(bool),
    /// How many at most, with the plural call from which one on and up to which one, released or kept.
    ReadBatch(usize, [usize; 2], bool),
    Flush,
    /// The producer closes (true) or dies, perhaps with an open claim of some length; a successor sits down.
    NewProducer(bool, Option<usize>),
    /// The consumer closes (true) or dies, perhaps with a record in its hands; a successor sits down.
    NewConsumer(bool, bool),
    Attach,
}

fn op() -> impl Strategy<Value = Op> {
    let len = || prop_oneof![3 => 0..40usize, 1 => 0..2000usize];
    let group = || (prop_oneof![3 => 0..20usize, 1 => 0..2000usize], prop_oneof![1 => Just(1), 1 => 2..30usize]);
    prop_oneof![
        6 => len().prop_map(Op::Send),
        3 => (len(), len(), len()).prop_map(|(a, b, c)| Op::Claim(a, b, c)),
        1 => len().prop_map(Op::Abort),
        3 => (len(), prop::collection::vec(group(), 0..5), prop::bool::weighted(0.8)).prop_map(|(l, v, c)| Op::Batch(l, v, c)),
        6 => Just(Op::Recv),
        2 => any::<bool>().prop_map(Op::Read),
        3 => (1..40usize, [0..40usize, 0..40], any::<bool>()).prop_map(|(n, p, r)| Op::ReadBatch(n, p, r)),
        1 => Just(Op::Flush),
        1 => (any::<bool>(), prop::option::of(len())).prop_map(|(c, o)| Op::NewProducer(c, o)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(c, o)| Op::NewConsumer(c, o)),
        1 => Just(Op::Attach),
    ]
}

/// What a sequence has come to.
#[derive(Debug, Default)]
struct Seen {
    /// Records behind another one of their train.
    members: Cell<usize>,
    /// Successors who went on in the middle of a train.
    inside: Cell<usize>,
}

fn step(twin: &mut Twin<'_>, op: Op, memory: &[Line]) {
    let fit = |len: usize| len % (twin.b.ring.max_len() + 1);
    match op {
        Op::Send(len) => twin.send(fit(len)),
        Op::Claim(len, cut, committed) => twin.claim(fit(len), cut, committed),
        Op::Abort(len) => {
            let len = fit(len);
            drop(twin.tx().try_claim(len));
            twin.looked();
        }
        Op::Batch(len, groups, commit) => twin.batch(fit(len), &groups, commit),
        Op::Recv => twin.recv(),
        Op::Read(release) => twin.read(release),
        Op::ReadBatch(n, plural, release) => twin.read_batch(n, plural, release),
        Op::Flush => twin.rx().flush(),
        Op::NewProducer(close, open) => twin.new_producer(close, open.map(fit)),
        Op::NewConsumer(close, holding) => twin.new_consumer(close, holding),
        Op::Attach => drop(Ring::attach(Region::new(memory)).unwrap()),
    }
}

fn run(shape: (u64, u64, bool), trains: bool, ops: Vec<Op>, seen: &Seen) {
    let (capacity, release_every, aligned) = shape;
    let memory = lines(CONTROL_SIZE + capacity);
    let format = Format::new(capacity).release_every(release_every).line_aligned(aligned);
    let mut twin = Twin::new(&memory, &format, trains && !aligned);
    for op in ops {
        step(&mut twin, op, &memory);
    }
    // What is left comes, a mark that waits for room included.
    for _ in 0..1000 {
        if twin.queue.is_empty() {
            break;
        }
        twin.recv();
        drop(twin.tx().try_claim(0));
        twin.looked();
    }
    assert!(twin.queue.is_empty(), "never came: {:?}", twin.queue);
    seen.members.set(seen.members.get() + twin.members);
    seen.inside.set(seen.inside.get() + twin.inside);
}

#[test]
fn oracle() {
    let shape = prop_oneof![
        1 => Just((64u64, 0u64, false)),
        1 => Just((64, 16, false)),
        1 => Just((128, 0, false)),
        1 => Just((128, 32, false)),
        2 => Just((512, 100, false)),
        2 => Just((512, 0, false)),
        2 => Just((4096, 0, false)),
        2 => Just((4096, 500, false)),
        1 => Just((256, 0, true)),
        1 => Just((1024, 256, true)),
    ];
    let config = ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 2000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (seen, all) = (Seen::default(), (shape, prop::bool::weighted(0.8), prop::collection::vec(op(), 1..120)));
    let result = TestRunner::new(config).run(&all, |(shape, trains, ops)| {
        run(shape, trains, ops, &seen);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(cfg!(miri) || seen.members.get() > 1000 && seen.inside.get() > 100, "too few trains: {seen:?}");
}
