//! The floor of a batch: a train of `N` messages of `W` words each, which is a record of `WORDS` words but for its header. A shorter one
//! takes as much room.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! As in `format.rs`; and what `put` is given writes, and a train's reader reads, `WORDS` words at most behind its header.

use super::{Reader, Writer, load, shared, store};
use crate::candidate::{Build, Setup};
use crate::message::message;
use crate::ours::maker;
use crate::seam::{BatchRx, BatchTx, Fault};
use crate::stream::{BatchDrain, BatchSource};
use core::sync::atomic::AtomicU64;

/// The writing side of trains of up to `WORDS / W` messages.
#[derive(Debug)]
pub struct TrainWriter<const W: usize, const WORDS: usize>(Writer<WORDS>);

/// The reading side.
#[derive(Debug)]
pub struct TrainReader<const W: usize, const WORDS: usize>(Reader<WORDS>);

/// Where the header of a train has how many messages it commits.
const COUNT_SHIFT: u32 = 17;
/// The header of a train of no messages of `W` words, tag 0.
const fn header<const W: usize>() -> u64 {
    1 << 31 | (8 * W as u64) << 3 | 0b010
}

/// A ring of `bytes` in this process, which it keeps.
#[must_use]
pub fn leaked<const W: usize, const WORDS: usize>(bytes: usize) -> (TrainWriter<W, WORDS>, TrainReader<W, WORDS>) {
    let (tx, rx) = super::leaked(bytes);
    (TrainWriter(tx), TrainReader(rx))
}

impl<const W: usize, const WORDS: usize> TrainWriter<W, WORDS> {
    /// Sends `count` messages from number `first` on by one store; false when they do not all fit now.
    #[inline(always)]
    pub fn send_batch(&mut self, first: u64, count: usize) -> bool {
        let fits = count > 0 && count * W <= WORDS;
        fits && self.0.put(header::<W>() | (count as u64) << COUNT_SHIFT, |mut at: *const AtomicU64| {
            for number in (first..).take(count) {
                // SAFETY: `count` messages of `W` words are no more than `WORDS`.
                unsafe { store(at, &message::<W>(number)) };
                at = at.wrapping_add(W);
            }
        })
    }
}

impl<const W: usize, const WORDS: usize> TrainReader<W, WORDS> {
    /// Shows the messages of the train that is there to `each`, and releases it; returns how many, 0 when there is none.
    ///
    /// # Errors
    /// What `each` says.
    #[inline(always)]
    pub fn recv_batch<E>(&mut self, mut each: impl FnMut(&[u64; W]) -> Result<(), E>) -> Result<usize, E> {
        let header = self.0.header();
        if header == 0 {
            self.0.runs_dry();
            return Ok(0);
        }
        let count = (header as u32 & !(1 << 31)) as usize >> COUNT_SHIFT;
        let mut at = self.0.side.at;
        for _ in 0..count.min(WORDS / W) {
            // SAFETY: as many are no more than `WORDS`.
            each(&unsafe { load(at) })?;
            at = at.wrapping_add(W);
        }
        self.0.pass();
        self.0.release();
        Ok(count)
    }
}

impl<const W: usize, const WORDS: usize> BatchTx<W> for TrainWriter<W, WORDS> {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        self.send_batch(first, count)
    }
}

impl<const W: usize, const WORDS: usize> BatchRx<W> for TrainReader<W, WORDS> {
    #[inline(always)]
    fn try_recv_batch(&mut self, max: usize, each: impl FnMut(&[u64; W]) -> Result<(), Fault>) -> Result<usize, Fault> {
        let count = self.recv_batch(each)?;
        if count > max { Err(Fault::Content) } else { Ok(count) }
    }
}

/// One way in trains of `WORDS / W` messages over a ring of `bytes`.
pub(crate) fn batch<const W: usize, const WORDS: usize>(bytes: usize) -> Build {
    Box::new(move |arena| {
        let (tx, rx) = shared::<WORDS>(arena, bytes)?;
        let (tx, rx) = (TrainWriter::<W, WORDS>(tx), TrainReader::<W, WORDS>(rx));
        let source = maker(move || Ok(BatchSource::new(tx, WORDS / W)));
        Ok(Setup { parties: vec![source, maker(move || Ok(BatchDrain::new(rx, WORDS / W)))], published: None })
    })
}

#[cfg(test)]
mod tests;
