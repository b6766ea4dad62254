//! The ring and the queue that it is compared with.

use core::ops::ControlFlow;
use std::collections::VecDeque;

use ring_core::spsc::{BatchRecord, ClaimError, Consumer, Format, Producer, ReadError};
use ring_core::{Line, Position, SessionEnd};

use crate::spsc_support::{Bench, bytes};

/// What was put into the ring, and where.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Item {
    position: u64,
    /// What is marked as seen when it is.
    end: u64,
    /// Where the train begins that it is of; itself, if of none.
    train: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum What {
    /// `seed` tells the payload.
    Record {
        tag: u32,
        len: usize,
        seed: u32,
    },
    End(SessionEnd),
}

/// The ring and the queue it is compared with.
pub(crate) struct Twin<'m> {
    pub(crate) b: Bench<'m>,
    tx: Option<Producer<'m>>,
    rx: Option<Consumer<'m>>,
    /// What the present consumer has not got or not released.
    pub(crate) queue: VecDeque<Item>,
    /// What it has released, for as long as that may come again.
    released: VecDeque<Item>,
    /// Records before this position may have been seen by a dead consumer.
    seen: u64,
    /// The end of what the present consumer has been handed.
    handed: u64,
    /// The train that a consumer was last in the middle of, and its next record.
    within: Option<(u64, u64)>,
    /// Whether the ring has trains.
    pub(crate) trains: bool,
    /// How many records came to stand behind another one of their train.
    pub(crate) members: usize,
    /// How often some consumer went on in the middle of a train.
    pub(crate) inside: usize,
    /// Whether records have been read in batches.
    batched: bool,
    /// Where the mark of the last session will go that has not been written for want of room.
    pending: Option<u64>,
    next_tag: u32,
    align: u64,
}

impl<'m> Twin<'m> {
    pub(crate) fn new(memory: &'m [Line], format: &Format, trains: bool) -> Self {
        let b = if trains { Bench::new(memory, format) } else { Bench::without_trains(memory, format) };
        let (tx, rx) = (Some(b.producer()), Some(b.consumer()));
        let align = if b.ring.line_aligned() { 64 } else { 8 };
        let (queue, released) = (VecDeque::new(), VecDeque::new());
        Self {
            b,
            tx,
            rx,
            queue,
            released,
            seen: 0,
            handed: 0,
            within: None,
            trains,
            members: 0,
            inside: 0,
            batched: false,
            pending: None,
            next_tag: 0,
            align,
        }
    }

    pub(crate) fn tx(&mut self) -> &mut Producer<'m> {
        self.tx.as_mut().unwrap()
    }

    pub(crate) fn rx(&mut self) -> &mut Consumer<'m> {
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
    pub(crate) fn looked(&mut self) {
        if self.pending.is_some_and(|position| self.tx().tail().get() != position) {
            self.pending = None;
        }
    }

    fn sent(&mut self, tag: u32, len: usize, seed: u32, position: Position) {
        let position = position.get();
        assert_eq!(position % self.align, 0);
        assert!(self.queue.back().is_none_or(|last| last.end <= position), "{position} after {:?}", self.queue);
        let what = What::Record { tag, len, seed };
        self.queue.push_back(Item { position, end: position + self.size(len), train: position, what });
    }

    /// A record of the same batch as the last one: where it comes without a header between them, the two are of one train.
    fn sent_behind(&mut self, tag: u32, len: usize, seed: u32, position: Position) {
        let before = self.queue.back_mut().unwrap();
        let is_member = position.get() < before.end;
        if is_member {
            let What::Record { tag: before_tag, len: before_len, .. } = before.what else { unreachable!() };
            assert_eq!((before_tag, before_len), (tag, len));
            assert_eq!(position.get(), before.position + len.next_multiple_of(8) as u64, "of a train");
            before.end = position.get();
        }
        let train = before.train;
        self.sent(tag, len, seed, position);
        if is_member {
            self.members += 1;
            let longest = (self.b.ring.capacity() / 8).min(8192);
            let item = self.queue.back_mut().unwrap();
            item.train = train;
            assert!(self.trains && item.end - train <= longest, "a train too long, {item:?}");
        }
    }

    pub(crate) fn send(&mut self, len: usize) {
        let (tag, fits) = (self.tag(), self.fits(1, len));
        let sent = self.tx().try_send(tag, &bytes(tag.into(), len));
        self.looked();
        match sent {
            Ok(position) => self.sent(tag, len, tag, position),
            Err(e) => assert_eq!(e, ClaimError::Full),
        }
        assert_eq!(sent.is_ok(), fits);
    }

    pub(crate) fn claim(&mut self, len: usize, cut: usize, committed: usize) {
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
            Ok(position) => self.sent(tag, committed, tag, position),
            Err(e) => assert_eq!(e, ClaimError::Full),
        }
        assert_eq!(claimed.is_ok(), fits);
    }

    pub(crate) fn batch(&mut self, len: usize, groups: &[(usize, usize)], commit: bool) {
        let mut records = vec![];
        for (group_len, count) in groups {
            let tag = self.tag();
            // The first of them tells its contents by its tag, as all records of their own do.
            records.push((tag, group_len % (len + 1), tag));
            records.extend((1..*count).map(|_| (tag, group_len % (len + 1), self.tag())));
        }
        let exact = records.len();
        let fits = self.fits(exact, len);
        let pushed = match self.tx().try_claim_batch_exact(exact, len) {
            Ok(mut batch) => {
                let push =
                    |(tag, len, seed): &(u32, usize, u32)| batch.push(*tag, &bytes((*seed).into(), *len)).unwrap();
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
                for (i, ((tag, len, seed), position)) in records.iter().zip(positions).enumerate() {
                    match i {
                        0 => self.sent(*tag, *len, *seed, position),
                        _ => self.sent_behind(*tag, *len, *seed, position),
                    }
                }
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
        let Some(Item { position: p, end, what: What::Record { tag: t, len, seed }, .. }) = self.queue.get(at).copied()
        else {
            panic!("record {tag} came, expected {:?}", self.queue.get(at));
        };
        assert_eq!((tag, payload.len(), position), (t, len, p));
        assert_eq!(payload, bytes(seed.into(), len));
        assert!(redelivered || position >= self.seen, "no flag on {tag} at {position}, seen {}", self.seen);
        // A batch may mark a little more than it hands out, and the rest of a train.
        let ahead = (self.b.ring.capacity() / 32).min(4096) + if self.batched { self.b.ring.capacity() / 8 } else { 0 };
        assert!(!redelivered || position < self.seen + ahead, "flag on {tag} at {position}, seen {}", self.seen);
        self.handed = self.handed.max(end);
    }

    fn release(&mut self, count: usize) {
        if let (Some(last), next) = (count.checked_sub(1), self.queue.get(count)) {
            let last = self.queue[last];
            if next.is_some_and(|next| next.train == last.train) {
                self.within = Some((last.train, last.end));
            }
        }
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

    pub(crate) fn recv(&mut self) {
        let mut buf = [0; 4096];
        match self.rx().try_recv_into(&mut buf) {
            Ok(got) => {
                self.expect(0, got.tag, &buf[..got.len], got.position.get(), got.redelivered);
                self.release(1);
            }
            Err(e) => self.refused(e),
        }
    }

    pub(crate) fn read(&mut self, release: bool) {
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

    pub(crate) fn read_batch(&mut self, max: usize, plural: [usize; 2], release: bool) {
        let mut records = vec![];
        self.batched = true;
        match self.rx().try_read_batch(max) {
            Ok(mut batch) => {
                let mut take = |record: &BatchRecord<'_, '_>| {
                    let mut buf = vec![0; record.len()];
                    record.copy_to(&mut buf);
                    records.push((record.tag(), buf, record.position().get(), record.redelivered()));
                    records.len()
                };
                // Singly, all at once up to some record, singly again.
                while batch.len() < plural[0] {
                    match batch.next_record().unwrap() {
                        Some(record) => take(&record),
                        None => break,
                    };
                }
                if batch.len() < plural[1] {
                    let many = batch.try_for_each(|record| match take(&record) < plural[1] {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    });
                    assert!(many.unwrap().is_break() || batch.len() < plural[1]);
                }
                while let Some(record) = batch.next_record().unwrap() {
                    take(&record);
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

    pub(crate) fn new_producer(&mut self, close: bool, open: Option<usize>) {
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
        self.queue.push_back(Item { position, end: position + self.align, train: position, what: What::End(end) });
        self.tx = Some(tx);
    }

    pub(crate) fn new_consumer(&mut self, close: bool, holding: bool) {
        let mut rx = self.rx.take().unwrap();
        if holding {
            if let Ok(record) = rx.try_read() {
                let position = record.position().get();
                let _ = std::mem::ManuallyDrop::new(record);
                let item = self
                    .queue
                    .iter()
                    .find(|item| item.position == position && matches!(item.what, What::Record { .. }));
                self.handed = self.handed.max(item.unwrap().end);
            }
        }
        if close {
            rx.close()
        } else {
            self.b.kill(rx.lease())
        }
        self.seen = self.seen.max(self.handed);
        self.rx = Some(self.b.consumer());
        // What the one before had released without telling comes again; not of a train of which it is known how far he had come.
        let head = self.head();
        self.inside += usize::from(self.queue.front().is_some_and(|next| next.train < next.position));
        while let Some(item) = self.released.pop_back() {
            let is_known = self.within.is_some_and(|(train, next)| item.train == train && item.position < next);
            if item.position >= head && !is_known {
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
}
