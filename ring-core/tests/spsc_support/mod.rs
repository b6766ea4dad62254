//! What the SPSC tests share: a ring on the heap with marked neighbours, leases, and messages that tell their contents.
#![allow(dead_code)]
#![allow(clippy::disallowed_types, reason = "the words of the ring, which are the test's")]

pub(crate) mod trains;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ring_core::spsc::{Consumer, Format, Producer, ReadError, Received, Ring};
use ring_core::{CONTROL_SIZE, Identity, Line, Position, Region, SeatError, SessionEnd, SpscControl, Verdict};

/// Loops shrink under Miri instead of being skipped.
pub(crate) const fn count(n: u64) -> u64 {
    if cfg!(miri) { n / 100 + 2 } else { n }
}

/// Memory for a region of `bytes`, zeroed.
pub(crate) fn lines(bytes: u64) -> Vec<Line> {
    (0..bytes.div_ceil(128)).map(|_| Line::new()).collect()
}

/// The words of `memory`.
#[allow(unsafe_code)]
pub(crate) fn words(memory: &[Line]) -> &[AtomicU64] {
    // SAFETY: a `Line` is 16 atomic words.
    unsafe { std::slice::from_raw_parts(memory.as_ptr().cast(), memory.len() * 16) }
}

/// The words of the data area of a ring that is not line aligned.
pub(crate) fn data(memory: &[Line]) -> &[AtomicU64] {
    &words(memory)[CONTROL_SIZE as usize / 8..]
}

/// Which record of the train at the head is next.
pub(crate) fn within(memory: &[Line]) -> &AtomicU64 {
    &words(memory)[offset_of!(SpscControl, head.within) / 8]
}

/// Whether `word` commits a train.
pub(crate) const fn is_train(word: u64) -> bool {
    word & (1 << 31 | 0b111) == 1 << 31 | 0b010
}

/// The header of a train.
pub(crate) const fn train_header(len: u64, count: u64, tag: u64) -> u64 {
    tag << 32 | 1 << 31 | count << 17 | len << 3 | 0b010
}

/// A formatted ring and the leases of the processes that would use it.
pub(crate) struct Bench<'m> {
    pub ring: Ring<'m>,
    dead: RefCell<BTreeSet<u64>>,
}

impl<'m> Bench<'m> {
    pub(crate) fn new(memory: &'m [Line], format: &Format) -> Self {
        let ring = Ring::format(Region::new(memory), format).unwrap();
        Self { ring, dead: RefCell::default() }
    }

    /// The same, as builds before trains made it, and as it is where payloads start on lines.
    pub(crate) fn without_trains(memory: &'m [Line], format: &Format) -> Self {
        Ring::format(Region::new(memory), format).unwrap();
        let words = words(memory);
        words[offset_of!(Identity, features_incompatible) / 8].fetch_and(!8, Relaxed);
        let sum = words[..15]
            .iter()
            .flat_map(|word| word.load(Relaxed).to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        words[offset_of!(Identity, checksum) / 8].store(sum, Relaxed);
        Self { ring: Ring::attach(Region::new(memory)).unwrap(), dead: RefCell::default() }
    }

    /// The kernel's answer about `lease`.
    pub(crate) fn verdict(&self, lease: u64) -> Verdict {
        if self.dead.borrow().contains(&lease) { Verdict::Dead } else { Verdict::Alive }
    }

    pub(crate) fn kill(&self, lease: u64) {
        self.dead.borrow_mut().insert(lease);
    }

    pub(crate) fn sit_producer(&self) -> Result<Producer<'m>, SeatError> {
        self.ring.sit_producer(self.ring.next_lease().unwrap(), |lease| self.verdict(lease))
    }

    pub(crate) fn sit_consumer(&self) -> Result<Consumer<'m>, SeatError> {
        self.ring.sit_consumer(self.ring.next_lease().unwrap(), |lease| self.verdict(lease))
    }

    pub(crate) fn producer(&self) -> Producer<'m> {
        self.sit_producer().unwrap()
    }

    pub(crate) fn consumer(&self) -> Consumer<'m> {
        self.sit_consumer().unwrap()
    }

    /// The producer dies where it stands; its successor sits down.
    #[allow(clippy::needless_pass_by_value)] // the dead one is of no more use
    pub(crate) fn replace_producer(&self, old: Producer<'m>) -> Producer<'m> {
        self.kill(old.lease());
        self.producer()
    }

    /// The consumer dies where it stands; its successor sits down.
    #[allow(clippy::needless_pass_by_value)] // the dead one is of no more use
    pub(crate) fn replace_consumer(&self, old: Consumer<'m>) -> Consumer<'m> {
        self.kill(old.lease());
        self.consumer()
    }

    /// The next record or end, as a caller with its own loop sees it.
    pub(crate) fn next(&self, rx: &mut Consumer<'m>, buf: &mut [u8]) -> Next {
        match rx.try_recv_into(buf) {
            Ok(got) => Next::Record(got),
            Err(ReadError::Ended(end)) => Next::End(end),
            Err(ReadError::Empty) => {
                rx.producer_end(|lease| self.verdict(lease)).unwrap().map_or(Next::Nothing, Next::End)
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// What a look at the ring brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Record(Received),
    End(SessionEnd),
    Nothing,
}

/// `len` bytes that tell `seed`.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Sends the record of `seed`, of `len` bytes.
pub(crate) fn send(tx: &mut Producer<'_>, seed: u64, len: usize) -> Position {
    tx.try_send(seed as u32, &bytes(seed, len)).unwrap()
}

/// Receives the record of `seed` and checks every byte of it.
pub(crate) fn recv(rx: &mut Consumer<'_>, seed: u64, len: usize) -> Received {
    let mut buf = vec![0xEE; len + 9];
    let got = rx.try_recv_into(&mut buf).unwrap();
    assert_eq!((got.tag, got.len), (seed as u32, len));
    assert_eq!(&buf[..len], bytes(seed, len), "record {seed}");
    assert!(buf[len..].iter().all(|b| *b == 0xEE), "wrote past the record");
    got
}
