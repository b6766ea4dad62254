//! What a model's body works with: the ring, who is dead, and messages that betray themselves.
//!
//! Every payload word is a *forged header*: read as a header it is an empty record with a tag nobody sends, so
//! stale or stray payload that is taken for a header fails the model. Every tag tells the length of its payload. Records
//! that are to have one tag differ all the same ([`member`]); their words are forged headers of longer records, so that what
//! is one word too short does not come out right again.

use std::rc::Rc;

use loom::sync::atomic::Ordering;
use ring_core::model::WatchedU64;
use ring_core::model::once::{join, spawn, yield_now};
use ring_core::spsc::{ClaimError, Consumer, Producer, ReadError, Ring};
use ring_core::{Position, Region, SeatError, SessionEnd, Verdict, model};

use crate::Run;

/// Leases a model can use.
const LEASES: usize = 8;

/// More polls in vain than any execution needs: loom runs a thread that yields only after another one's step.
const PATIENCE: u32 = 500;

/// The ring of one execution and the state of its leases. A clone for each thread.
#[derive(Clone, Debug)]
pub struct World {
    /// The ring.
    pub ring: Ring<'static>,
    /// Its memory, for those who attach.
    pub region: Region<'static>,
    /// The locks of the leases: 1 once the mapping is gone. Stored with Release, loaded Relaxed: the Acquire is
    /// ring-core's to supply, by a fence after the verdict.
    dead: Rc<[WatchedU64; LEASES]>,
    run: Run,
}

impl World {
    pub(crate) fn new(ring: Ring<'static>, region: Region<'static>, run: Run) -> Self {
        Self { ring, region, dead: Rc::new(std::array::from_fn(|_| WatchedU64::new(0))), run }
    }

    /// Runs two threads. The one loom runs first is `a`, or `b` in the reversed form: see [`crate::Explore::explore`].
    #[expect(clippy::disallowed_methods, reason = "inside of `together`")]
    pub fn both<A: 'static, B: 'static>(
        &self,
        a: impl FnOnce() -> A + 'static,
        b: impl FnOnce() -> B + 'static,
    ) -> (A, B) {
        self.run.starts(2);
        self.region.together(|| {
            let (a, b) = if self.run.reversed {
                let (b, a) = (spawn(2, b), spawn(1, a));
                (a, b)
            } else {
                (spawn(1, a), spawn(2, b))
            };
            let a = join(a).unwrap();
            (a, join(b).unwrap())
        })
    }

    /// Runs three threads.
    #[expect(clippy::disallowed_methods, reason = "inside of `together`")]
    pub fn three<A: 'static, B: 'static, C: 'static>(
        &self,
        a: impl FnOnce() -> A + 'static,
        b: impl FnOnce() -> B + 'static,
        c: impl FnOnce() -> C + 'static,
    ) -> (A, B, C) {
        self.run.starts(3);
        self.region.together(|| {
            let (a, b, c) = if self.run.reversed {
                let (c, b, a) = (spawn(3, c), spawn(2, b), spawn(1, a));
                (a, b, c)
            } else {
                (spawn(1, a), spawn(2, b), spawn(3, c))
            };
            let (a, b) = (join(a).unwrap(), join(b).unwrap());
            (a, b, join(c).unwrap())
        })
    }

    /// The verdict on a lease: the kernel's answer.
    pub fn verdict(&self) -> impl FnMut(u64) -> Verdict + 'static {
        let dead = Rc::clone(&self.dead);
        move |lease| if dead[lease as usize].load(Ordering::Relaxed) == 1 { Verdict::Dead } else { Verdict::Alive }
    }

    /// The kernel drops the lock of `lease`, after the last store of its owner.
    pub fn bury(&self, lease: u64) {
        self.dead[lease as usize].store(1, Ordering::Release);
    }

    /// Runs `op` under `lease` and kills it before its access number `step`, or right after it: in any case the
    /// lease is free afterwards. `victim` is 0 or 1 for the first or second of the model.
    pub fn kill<R>(&self, victim: usize, step: u32, lease: u64, op: impl FnOnce() -> R) -> Option<R> {
        let result = model::crash_at(step, op);
        if result.is_none() {
            self.run.dies(victim);
        }
        self.bury(lease);
        result
    }

    /// Sits down as the producer, where nothing can be in the way.
    #[must_use]
    pub fn producer(&self) -> Producer<'static> {
        self.ring.sit_producer(self.lease(), self.verdict()).expect("producer's seat")
    }

    /// Sits down as the consumer, where nothing can be in the way.
    #[must_use]
    pub fn consumer(&self) -> Consumer<'static> {
        self.ring.sit_consumer(self.lease(), self.verdict()).expect("consumer's seat")
    }

    /// The next lease number.
    #[must_use]
    pub fn lease(&self) -> u64 {
        self.ring.next_lease().expect("lease")
    }

    /// Sits down as the producer under `lease`, or does not when the one before is alive in two looks.
    ///
    /// Nobody waits for a seat: two threads that wait take turns for ever in loom's eyes. Who found the seat taken
    /// leaves it to the end of the model, where no other thread runs.
    #[must_use]
    pub fn try_producer(&self, lease: u64) -> Option<Producer<'static>> {
        (0..2).find_map(|_| unless_taken(self.ring.sit_producer(lease, self.verdict())))
    }

    /// Sits down as the consumer under `lease`, or does not when the one before is alive in two looks.
    #[must_use]
    pub fn try_consumer(&self, lease: u64) -> Option<Consumer<'static>> {
        (0..2).find_map(|_| unless_taken(self.ring.sit_consumer(lease, self.verdict())))
    }

    /// Sits down as the producer under `lease` where the one before is gone.
    #[must_use]
    pub fn succeed_producer(&self, lease: u64) -> Producer<'static> {
        self.try_producer(lease).expect("the producer's seat is free")
    }

    /// Sits down as the consumer under `lease` where the one before is gone.
    #[must_use]
    pub fn succeed_consumer(&self, lease: u64) -> Consumer<'static> {
        self.try_consumer(lease).expect("the consumer's seat is free")
    }

    /// What comes next from `rx`, by copying.
    pub fn poll(&self, rx: &mut Consumer<'_>) -> Option<Event> {
        let mut buf = [0; 32];
        match rx.try_recv_into_asking(&mut buf, self.verdict()) {
            Ok(got) => {
                let tag = check(got.tag, &buf[..got.len]);
                Some(Event::Got { tag, redelivered: got.redelivered })
            }
            Err(ReadError::Empty) => None,
            Err(ReadError::Ended(end)) => Some(Event::End(end)),
            Err(e) => panic!("{e}"),
        }
    }

    /// What comes in `polls` looks, without waiting.
    pub fn glance(&self, rx: &mut Consumer<'_>, polls: usize) -> Vec<Event> {
        (0..polls).filter_map(|_| self.poll(rx)).collect()
    }

    /// Everything up to and including the event that `last` accepts; waits where nothing is there.
    pub fn collect(&self, rx: &mut Consumer<'_>, last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut log = Vec::new();
        let mut waited = 0;
        loop {
            let Some(event) = self.poll(rx) else {
                waited += 1;
                assert!(waited < PATIENCE, "nothing more comes after {log:?}");
                yield_now();
                continue;
            };
            log.push(event);
            assert!(log.len() < 16, "too much came: {log:?}");
            if last(&event) {
                return log;
            }
        }
    }
}

fn unless_taken<H>(sat: Result<H, SeatError>) -> Option<H> {
    match sat {
        Ok(handle) => Some(handle),
        Err(SeatError::Taken { .. }) => None,
        Err(e) => panic!("{e}"),
    }
}

/// The last producer of a model: sends one message and closes.
#[derive(Debug)]
pub struct Last {
    lease: u64,
    tx: Option<Producer<'static>>,
    tag: u32,
    sent: bool,
    closed: bool,
}

impl Last {
    /// The producer that will sit under `lease` and send `tag`.
    #[must_use]
    pub const fn new(lease: u64, tag: u32) -> Self {
        Self { lease, tx: None, tag, sent: false, closed: false }
    }

    /// The producer that sits there already.
    #[must_use]
    pub const fn seated(tx: Producer<'static>, tag: u32) -> Self {
        Self { lease: 0, tx: Some(tx), tag, sent: false, closed: false }
    }

    /// Sits down, where nothing is in the way.
    #[must_use]
    pub fn sit(mut self, w: &World) -> Self {
        self.tx = self.tx.or_else(|| w.try_producer(self.lease));
        self
    }

    /// Sits down and sends, or goes as far as it can without waiting.
    #[must_use]
    pub fn send(mut self, w: &World) -> Self {
        self = self.sit(w);
        if let Some(tx) = &mut self.tx {
            self.sent = self.sent || try_send(tx, self.tag).is_some();
        }
        self
    }

    /// The same, and closes.
    #[must_use]
    pub fn go(self, w: &World) -> Self {
        let mut this = self.send(w);
        if let Some(tx) = &mut this.tx
            && this.sent
            && !this.closed
        {
            tx.close();
            this.closed = true;
        }
        this
    }

    /// The end of a model, with no other thread left: sends, closes, and adds what the consumer gets to `log`.
    #[must_use]
    pub fn finish(mut self, w: &World, rx: &mut Consumer<'_>, mut log: Vec<Event>) -> Vec<Event> {
        let last = self.tag;
        let ended = |log: &[Event]| {
            let sent = log.iter().any(|e| matches!(e, Event::Got { tag, .. } if *tag == last));
            sent && log.ends_with(&[CLOSED])
        };
        for _ in 0..16 {
            if ended(&log) {
                assert_eq!(w.poll(rx), None, "more came after {log:?}");
                return log;
            }
            self = self.go(w);
            log.extend(w.poll(rx));
        }
        panic!("nothing more comes after {log:?}");
    }
}

/// What a consumer meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A record with the right payload.
    Got {
        /// Its tag.
        tag: u32,
        /// Its flag.
        redelivered: bool,
    },
    /// The end of a session.
    End(SessionEnd),
}

/// The end by an orderly close.
pub const CLOSED: Event = Event::End(SessionEnd::Closed);
/// The end by death.
pub const DIED: Event = Event::End(SessionEnd::Died);

/// A record that comes for the first time.
#[must_use]
pub const fn got(tag: u32) -> Event {
    Event::Got { tag, redelivered: false }
}

/// Message number `n` of `len` payload bytes.
#[must_use]
pub const fn msg(n: u32, len: u32) -> u32 {
    len << 8 | n
}

/// What tells messages that are sent with one tag from others, and which of them one is.
const ALIKE: u32 = 0x80;
const WHICH: u32 = 0x70;

/// Message number `i` of those of `len` payload bytes that are sent with the tag of `member(n, 0, len)`.
#[must_use]
pub const fn member(n: u32, i: u32, len: u32) -> u32 {
    msg(ALIKE | i << 4 | n, len)
}

/// The tag that message `tag` is sent with.
#[must_use]
pub const fn sent_with(tag: u32) -> u32 {
    if tag & ALIKE == 0 { tag } else { tag & !WHICH }
}

/// The payload of message `tag`.
#[must_use]
pub fn payload(tag: u32) -> Vec<u8> {
    let (len, forged) = ((tag >> 8) as usize, if tag & ALIKE == 0 { 1 } else { 9 });
    (0u64..).flat_map(|i| ((0xBAD0_0000 | u64::from(tag) << 4 | i) << 32 | forged).to_le_bytes()).take(len).collect()
}

/// Which message came with `tag`; fails unless `bytes` is its payload.
pub fn check(tag: u32, bytes: &[u8]) -> u32 {
    let known = |message: &u32| sent_with(*message) == tag && payload(*message) == bytes;
    let found = (0..8).map(|i| tag | i << 4).find(known);
    found.unwrap_or_else(|| panic!("payload of message {tag:#x}: {bytes:x?}"))
}

/// Sends message `tag`; `None` when full.
pub fn try_send(tx: &mut Producer<'_>, tag: u32) -> Option<Position> {
    match tx.try_send(sent_with(tag), &payload(tag)) {
        Ok(position) => Some(position),
        Err(ClaimError::Full) => None,
        Err(e) => panic!("{e}"),
    }
}

/// Sends message `tag` as soon as there is room.
pub fn send(tx: &mut Producer<'_>, tag: u32) -> Position {
    loop {
        if let Some(position) = try_send(tx, tag) {
            return position;
        }
        yield_now();
    }
}

/// Receives message `tag`, which is there.
pub fn recv(rx: &mut Consumer<'_>, tag: u32) {
    let mut buf = [0; 32];
    let got = rx.try_recv_into(&mut buf).expect("a record is there");
    assert_eq!((check(got.tag, &buf[..got.len]), got.redelivered), (tag, false));
}

/// Receives message `tag` as soon as it comes.
pub fn recv_wait(rx: &mut Consumer<'_>, tag: u32) {
    let mut buf = [0; 32];
    loop {
        match rx.try_recv_into(&mut buf) {
            Ok(got) => {
                assert_eq!((check(got.tag, &buf[..got.len]), got.redelivered), (tag, false));
                return;
            }
            Err(ReadError::Empty) => yield_now(),
            Err(e) => panic!("{e}"),
        }
    }
}
