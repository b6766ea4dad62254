//! What the hardware allows, as candidates of the same run: no protocol, no checks, no wrap rules.
//!
//! `line` and `pp2` are round trips (see `probe`); `handover` streams 64-byte or 8-byte messages in blocks of 16 KiB,
//! written and read eight bytes at a time, one flag per block. They show how far a ring is from the floor; they are
//! not rings: nothing here could carry records of several lengths.

use crate::arena::{Arena, Line, Shared};
use crate::candidate::{Build, Maker, Setup};
use crate::message::{checksum, fold, is_numbered, message};
use crate::probe::Walk;
use crate::seam::{Fault, Outcome, Part, Patience, Work};
use crate::sys;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

#[derive(Debug)]
struct WalkPart {
    walk: Walk,
    next: u64,
    starts: bool,
}

impl WalkPart {
    fn run(&mut self, count: u64) -> Result<(), Fault> {
        if self.starts { self.walk.ping(&mut self.next, count) } else { self.walk.pong(&mut self.next, count) }
    }
}

impl Part for WalkPart {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        // Each side waits for the exact number, so arriving at the end is the proof.
        self.run(count).map(|()| Outcome::default())
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.run(work.warm)?;
        let begin = sys::now();
        self.run(work.count)?;
        let end = sys::now();
        Ok(if self.starts { Outcome { begin, end, ..Outcome::default() } } else { Outcome::default() })
    }
}

/// A ping-pong over `lines` lines each way: 256 is `line`, 1 is `pp2`.
pub(crate) fn ping_pong(lines: usize) -> Build {
    Box::new(move |arena: &mut Arena| {
        let walk = Walk::new(arena, lines)?;
        let part = |starts| -> Maker { Box::new(move || Ok(Box::new(WalkPart { walk, next: 1, starts }))) };
        Ok(Setup { parties: vec![part(true), part(false)], published: None })
    })
}

/// Words of a block: 16 KiB.
const BLOCK: usize = 2048;
/// Blocks of the buffer: 256 KiB, as the one-way rings have.
const BLOCKS: usize = 16;

/// Blocks handed over and given back; both sides count blocks and messages of `W` words.
#[derive(Debug)]
struct Handover<const W: usize> {
    words: &'static [AtomicU64],
    tail: &'static Line,
    head: &'static Line,
    block: u64,
    next: u64,
}

impl<const W: usize> Handover<W> {
    const PER_BLOCK: u64 = (BLOCK / W) as u64;

    fn block(&self) -> &'static [AtomicU64] {
        let start = (self.block as usize % BLOCKS) * BLOCK;
        &self.words[start..start + BLOCK]
    }

    #[inline(always)]
    fn write(&mut self, blocks: u64) -> Result<(), Fault> {
        let mut patience = Patience::new();
        for _ in 0..blocks {
            while self.block - self.head.0[0].load(Acquire) >= BLOCKS as u64 {
                patience.miss()?;
            }
            for place in self.block().chunks_exact(W) {
                for (word, value) in place.iter().zip(message::<W>(self.next)) {
                    word.store(value, Relaxed);
                }
                self.next += 1;
            }
            self.block += 1;
            self.tail.0[0].store(self.block, Release);
        }
        Ok(())
    }

    #[inline(always)]
    fn read(&mut self, blocks: u64, mut each: impl FnMut(u64, [u64; W])) -> Result<(), Fault> {
        let mut patience = Patience::new();
        for _ in 0..blocks {
            while self.tail.0[0].load(Acquire) == self.block {
                patience.miss()?;
            }
            for place in self.block().chunks_exact(W) {
                each(self.next, core::array::from_fn(|i| place[i].load(Relaxed)));
                self.next += 1;
            }
            self.block += 1;
            self.head.0[0].store(self.block, Release);
        }
        Ok(())
    }
}

struct Writer<const W: usize>(Handover<W>);
struct Reader<const W: usize>(Handover<W>);

impl<const W: usize> Part for Writer<W> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.slice(Work { warm: 0, count })
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let first = self.0.next;
        self.0.write(work.warm.div_ceil(Handover::<W>::PER_BLOCK))?;
        self.0.write(work.count.div_ceil(Handover::<W>::PER_BLOCK))?;
        Ok(Outcome { sent: checksum::<W>(first, self.0.next - first), ..Outcome::default() })
    }
}

impl<const W: usize> Reader<W> {
    fn recv(&mut self, count: u64, out: &mut Outcome) -> Result<(), Fault> {
        let mut orderly = true;
        let mut sum = 0u64;
        self.0.read(count.div_ceil(Handover::<W>::PER_BLOCK), |number, words| {
            orderly &= is_numbered(&words, number);
            sum = sum.wrapping_add(fold(&words));
        })?;
        out.received = out.received.wrapping_add(sum);
        if orderly { Ok(()) } else { Err(Fault::Disorder) }
    }
}

impl<const W: usize> Part for Reader<W> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut same = true;
        let mut out = Outcome::default();
        self.0.read(count.div_ceil(Handover::<W>::PER_BLOCK), |number, words| {
            same &= words == message::<W>(number);
            out.received = out.received.wrapping_add(fold(&words));
        })?;
        if same { Ok(out) } else { Err(Fault::Content) }
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.recv(work.warm, &mut out)?;
        out.begin = sys::now();
        self.recv(work.count, &mut out)?;
        out.end = sys::now();
        Ok(out)
    }
}

/// Messages of `W` words in blocks of 16 KiB; the counts of its work must be whole blocks.
pub(crate) fn handover<const W: usize>() -> Build {
    fn half<const W: usize>(words: &'static [AtomicU64], tail: &'static Line, head: &'static Line) -> Handover<W> {
        Handover { words, tail, head, block: 0, next: 1 }
    }
    fn shared<T: Shared>(arena: &mut Arena, count: usize) -> Result<&'static [T], String> {
        arena.slice(count)
    }
    Box::new(|arena: &mut Arena| {
        let words = shared::<AtomicU64>(arena, BLOCK * BLOCKS)?;
        let (tail, head) = (arena.one::<Line>()?, arena.one::<Line>()?);
        let writer: Maker = Box::new(move || Ok(Box::new(Writer::<W>(half(words, tail, head)))));
        let reader: Maker = Box::new(move || Ok(Box::new(Reader::<W>(half(words, tail, head)))));
        Ok(Setup { parties: vec![writer, reader], published: None })
    })
}
