//! The SPSC ring against a `VecDeque`: random sequences of all operations, take-overs and abandoned handles included,
//! over several capacities, both alignments and several release intervals. Nothing is lost, nothing comes twice
//! unflagged, ends come in order, and *full* is said exactly when a plain count of bytes says so.
#![cfg(not(loom))]

mod spsc_support;

use std::collections::VecDeque;

use proptest::prelude::*;
use ring_core::spsc::{ClaimError, Consumer, Format, Producer, ReadError, Ring};
use ring_core::{CONTROL_SIZE, Line, Position, Region, SessionEnd};
use spsc_support::{Bench, bytes, lines};

/// One step of a sequence. Lengths are reduced to what the ring allows.
#[derive(Debug, Clone)]
enum Op {
    Send(usize),
    /// Claimed length, where the write is cut in two, committed length.
    Claim(usize, usize, usize),
    /// A claim that is dropped.
    Abort(usize),
    /// Claimed length, pushed lengths, committed or not.
    Batch(usize, Vec<usize>, bool),
    Recv,
    /// Released or kept.
    Read(bool),
    /// How many, released or kept.
    ReadBatch(usize, bool),
    Flush,
    /// The producer closes (true) or dies, perhaps with an open claim of some length; a successor sits down.
    NewProducer(bool, Option<usize>),
    /// The consumer closes (true) or dies, perhaps with a record in its hands; a successor sits down.
    NewConsumer(bool, bool),
    Attach,
}

fn op() -> impl Strategy<Value = Op> {
    let len = || prop_oneof![3 => 0..40usize, 1 => 0..2000usize];
    prop_oneof![
        6 => len().prop_map(Op::Send),
        3 => (len(), len(), len()).prop_map(|(a, b, c)| Op::Claim(a, b, c)),
        1 => len().prop_map(Op::Abort),
        3 => (len(), prop::collection::vec(len(), 0..5), any::<bool>()).prop_map(|(l, v, c)| Op::Batch(l, v, c)),
        6 => Just(Op::Recv),
        2 => any::<bool>().prop_map(Op::Read),
        2 => (1..6usize, any::<bool>()).prop_map(|(n, r)| Op::ReadBatch(n, r)),
        1 => Just(Op::Flush),
        1 => (any::<bool>(), prop::option::of(len())).prop_map(|(c, o)| Op::NewProducer(c, o)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(c, o)| Op::NewConsumer(c, o)),
        1 => Just(Op::Attach),
    ]
}

/// What was put into the ring, and where.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Item {
    position: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Record { tag: u32, len: usize },
    End(SessionEnd),
}

/// The ring and the queue it is compared with.
struct Twin<'m> {
    b: Bench<'m>,
    tx: Option<Producer<'m>>,
    rx: Option<Consumer<'m>>,
    /// What the present consumer has not got or not released.
    queue: VecDeque<Item>,
    /// What it has released, for as long as that may come again.
    released: VecDeque<Item>,
    /// Records before this position may have been seen by a dead consumer.
    seen: u64,
    /// The end of what the present consumer has been handed.
    handed: u64,
    /// Where the mark of the last session will go that has not been written for want of room.
    pending: Option<u64>,
    next_tag: u32,
    align: u64,
}

impl<'m> Twin<'m> {
    fn new(memory: &'m [Line], format: &Format) -> Self {
        let b = Bench::new(memory, format);
        let (tx, rx) = (Some(b.producer()), Some(b.consumer()));
        let align = if b.ring.line_aligned() { 64 } else { 8 };
        let (queue, released) = (VecDeque::new(), VecDeque::new());
        Self { b, tx, rx, queue, released, seen: 0, handed: 0, pending: None, next_tag: 0, align }
    }

    fn tx(&mut self) -> &mut Producer<'m> {
        self.tx.as_mut().unwrap()
    }

    fn rx(&mut self) -> &mut Consumer<'m> {
        self.rx.as_mut().unwrap()
    }

    fn head(&self) -> u64 {
        self.b.ring.head_and_tail().unwrap().0.get()
    }

    fn size(&self, len: usize) -> u64 {
        (len as u64 + 8).next_multiple_of(self.align)
    }

    fn tag(&mut self) -> u32 {
        self.next_tag += 1;
        self.next_tag
    }

    /// Whether `count` records of `len` bytes fit now, counted by hand from the two positions.
    fn fits(&self, count: usize, len: usize) -> bool {
        let (capacity, size) = (self.b.ring.capacity(), self.size(len));
        let mut at = match self.pending {
            Some(position) => position + self.align,
            None => self.tx.as_ref().unwrap().tail().get(),
        };
        for _ in 0..count {
            let room = capacity - at % capacity;
            at += if size > room { room + size } else { size };
        }
        at + 8 - self.head() <= capacity
    }

    /// A claim has looked for room: a mark that had waited for it may have been written.
    fn looked(&mut self) {
        if self.pending.is_some_and(|position| self.tx().tail().get() != position) {
            self.pending = None;
        }
    }

    fn sent(&mut self, tag: u32, len: usize, position: Position) {
        let position = position.get();
        assert_eq!(position % self.align, 0);
        assert!(self.queue.back().is_none_or(|last| last.position < position), "{position} after {:?}", self.queue);
        self.queue.push_back(Item { position, what: What::Record { tag, len } });
    }

    fn send(&mut self, len: usize) {
        let (tag, fits) = (self.tag(), self.fits(1, len));
        let sent = self.tx().try_send(tag, &bytes(tag.into(), len));
        self.looked();
        match sent {
            Ok(position) => self.sent(tag, len, position),
            Err(e) => assert_eq!(e, ClaimError::Full),
        }
        assert_eq!(sent.is_ok(), fits);
    }

    fn claim(&mut self, len: usize, cut: usize, committed: usize) {
        let (tag, fits) = (self.tag(), self.fits(1, len));
        let committed = committed % (len + 1);
        let payload = bytes(tag.into(), committed);
        let (first, second) = payload.split_at(cut % (committed + 1));
        let claimed = match self.tx().try_claim(len) {
            Ok(mut claim) => {
                claim.set_tag(tag);
                claim.write(first);
                claim.truncate(committed);
                claim.write(second);
                Ok(claim.commit())
            }
            Err(e) => Err(e),
        };
        self.looked();
        match claimed {
            Ok(position) => self.sent(tag, committed, position),
            Err(e) => assert_eq!(e, ClaimError::Full),
        }
        assert_eq!(claimed.is_ok(), fits);
    }

    fn batch(&mut self, len: usize, lens: &[usize], commit: bool) {
        let exact = lens.len();
        let fits = self.fits(exact, len);
        let records: Vec<_> = lens.iter().map(|l| (self.tag(), l % (len + 1))).collect();
        let pushed = match self.tx().try_claim_batch_exact(exact, len) {
            Ok(mut batch) => {
                let push = |(tag, len): &(u32, usize)| batch.push(*tag, &bytes((*tag).into(), *len)).unwrap();
                let positions: Vec<_> = records.iter().map(push).collect();
                if commit {
                    assert_eq!(batch.commit(), exact);
                }
                Ok(positions)
            }
            Err(e) => Err(e),
        };
        self.looked();
        match pushed {
            Ok(positions) if commit => {
                records.iter().zip(positions).for_each(|((tag, len), position)| self.sent(*tag, *len, position));
            }
            Ok(_) => {}
            Err(ClaimError::TooLong { .. }) => {
                assert!((exact as u64 + 1) * self.size(len) > self.b.ring.capacity(), "{exact} of {len}");
            }
            Err(e) => {
                assert_eq!(e, ClaimError::Full);
                assert!(!fits || exact == 0, "full, and {exact} of {len} fit");
            }
        }
    }

    /// The record number `at` of the queue came: whole, and flagged rightly.
    fn expect(&mut self, at: usize, tag: u32, payload: &[u8], position: u64, redelivered: bool) {
        let Some(Item { position: p, what: What::Record { tag: t, len } }) = self.queue.get(at).copied() else {
            panic!("record {tag} came, expected {:?}", self.queue.get(at));
        };
        assert_eq!((tag, payload.len(), position), (t, len, p));
        assert_eq!(payload, bytes(tag.into(), len));
        assert!(redelivered || position >= self.seen, "no flag on {tag} at {position}, seen {}", self.seen);
        // A batch may mark a little more than it hands out.
        let ahead = (self.b.ring.capacity() / 32).min(4096);
        assert!(!redelivered || position < self.seen + ahead, "flag on {tag} at {position}, seen {}", self.seen);
        self.handed = self.handed.max(position + self.size(len));
    }

    fn release(&mut self, count: usize) {
        self.released.extend(self.queue.drain(..count));
        let head = self.head();
        while self.released.front().is_some_and(|item| item.position < head) {
            self.released.pop_front();
        }
    }

    fn refused(&mut self, err: ReadError) {
        match err {
            ReadError::Ended(end) => {
                assert_eq!(self.queue.front().map(|item| item.what), Some(What::End(end)));
                self.release(1);
            }
            ReadError::Empty => {
                let b = &self.b;
                let end = self.rx.as_mut().unwrap().producer_end(|lease| b.verdict(lease)).unwrap();
                assert_eq!(end, None, "a successor sits, so ends come with the mark");
                assert_eq!(self.queue.front().map(|item| item.position), self.pending, "empty");
            }
            e => panic!("{e}"),
        }
    }

    fn recv(&mut self) {
        let mut buf = [0; 4096];
        match self.rx().try_recv_into(&mut buf) {
            Ok(got) => {
                self.expect(0, got.tag, &buf[..got.len], got.position.get(), got.redelivered);
                self.release(1);
            }
            Err(e) => self.refused(e),
        }
    }

    fn read(&mut self, release: bool) {
        let mut buf = [0; 4096];
        match self.rx().try_read() {
            Ok(record) => {
                let len = record.copy_to(&mut buf);
                let (tag, position, redelivered) = (record.tag(), record.position().get(), record.redelivered());
                if release {
                    record.release()
                } else {
                    record.keep()
                }
                self.expect(0, tag, &buf[..len], position, redelivered);
                if release {
                    self.release(1);
                }
            }
            Err(e) => self.refused(e),
        }
    }

    fn read_batch(&mut self, max: usize, release: bool) {
        let mut records = vec![];
        match self.rx().try_read_batch(max) {
            Ok(mut batch) => {
                while let Some(record) = batch.next_record().unwrap() {
                    let mut buf = vec![0; record.len()];
                    record.copy_to(&mut buf);
                    records.push((record.tag(), buf, record.position().get(), record.redelivered()));
                }
                assert_eq!(batch.len(), records.len());
                if release { assert_eq!(batch.release(), records.len()) } else { batch.keep() }
            }
            Err(e) => return self.refused(e),
        }
        assert!((1..=max).contains(&records.len()));
        for (i, (tag, payload, position, redelivered)) in records.iter().enumerate() {
            self.expect(i, *tag, payload, *position, *redelivered);
        }
        if release {
            self.release(records.len());
        }
    }

    fn new_producer(&mut self, close: bool, open: Option<usize>) {
        // Of two sessions that end while there is no room, one end is lost: `a_full_ring_hides_no_end` in
        // `spsc_seats.rs`. Here the ring gets room first.
        if self.pending.is_some() {
            return;
        }
        let mut tx = self.tx.take().unwrap();
        if let Some(Ok(mut claim)) = open.map(|len| tx.try_claim(len)) {
            claim.write(&(0xBADu64 << 32 | 1).to_le_bytes().repeat(40));
            let _ = std::mem::ManuallyDrop::new(claim);
        }
        let position = tx.tail().get();
        let end = if close { SessionEnd::Closed } else { SessionEnd::Died };
        if close {
            tx.close()
        } else {
            self.b.kill(tx.lease())
        }
        let tx = self.b.producer();
        self.pending = (tx.tail().get() == position).then_some(position);
        assert!(self.pending.is_some() || tx.tail().get() == position + self.align, "goes on behind the mark");
        self.queue.push_back(Item { position, what: What::End(end) });
        self.tx = Some(tx);
    }

    fn new_consumer(&mut self, close: bool, holding: bool) {
        let mut rx = self.rx.take().unwrap();
        if holding {
            if let Ok(record) = rx.try_read() {
                self.handed = self.handed.max(record.position().get() + self.size(record.len()));
                let _ = std::mem::ManuallyDrop::new(record);
            }
        }
        if close {
            rx.close()
        } else {
            self.b.kill(rx.lease())
        }
        self.seen = self.seen.max(self.handed);
        self.rx = Some(self.b.consumer());
        // What the one before had released without telling comes again.
        let head = self.head();
        while let Some(item) = self.released.pop_back() {
            if item.position >= head {
                self.queue.push_front(item);
            }
        }
        // What `try_read` passed on its way is behind us; an end at the head is no news for a new consumer.
        while let Some(item) = self.queue.front() {
            let told = item.position == head && self.pending != Some(head);
            if item.position >= head && !(told && matches!(item.what, What::End(_))) {
                break;
            }
            assert!(matches!(item.what, What::End(_)), "{item:?} is lost, the head is at {head}");
            self.queue.pop_front();
            if told {
                break;
            }
        }
    }

    fn step(&mut self, op: Op, memory: &[Line]) {
        let fit = |len: usize| len % (self.b.ring.max_len() + 1);
        match op {
            Op::Send(len) => self.send(fit(len)),
            Op::Claim(len, cut, committed) => self.claim(fit(len), cut, committed),
            Op::Abort(len) => {
                let len = fit(len);
                drop(self.tx().try_claim(len));
                self.looked();
            }
            Op::Batch(len, lens, commit) => self.batch(fit(len), &lens, commit),
            Op::Recv => self.recv(),
            Op::Read(release) => self.read(release),
            Op::ReadBatch(n, release) => self.read_batch(n, release),
            Op::Flush => self.rx().flush(),
            Op::NewProducer(close, open) => self.new_producer(close, open.map(fit)),
            Op::NewConsumer(close, holding) => self.new_consumer(close, holding),
            Op::Attach => drop(Ring::attach(Region::new(memory)).unwrap()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 1500 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn oracle(
        shape in prop_oneof![
            Just((64u64, 0u64, false)), Just((64, 16, false)), Just((128, 0, false)), Just((128, 32, false)),
            Just((512, 100, false)), Just((4096, 0, false)), Just((256, 0, true)), Just((1024, 256, true)),
        ],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let (capacity, release_every, aligned) = shape;
        let memory = lines(CONTROL_SIZE + capacity);
        let format = Format::new(capacity).release_every(release_every).line_aligned(aligned);
        let mut twin = Twin::new(&memory, &format);
        for op in ops {
            twin.step(op, &memory);
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
        prop_assert!(twin.queue.is_empty(), "never came: {:?}", twin.queue);
    }
}
