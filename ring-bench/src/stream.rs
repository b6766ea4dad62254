//! One way: `Source` sends as fast as it can, `Drain` receives and times; single operations and batches.
//!
//! The drain starts its clock after the warm-up messages and stops it after the last, so start-up is not counted.
//! Both sides build, respectively fold, every word of every message, and the number of each message is a decision of
//! its own: a user looks at messages one by one, so nobody may turn a whole batch into one vector sum.

use crate::message::{checksum, fold, is_numbered, message};
use crate::seam::{BatchRx, BatchTx, Fault, Outcome, Part, Patience, Rx, Tx, Work};
use crate::sys;

/// Sends message after message, one publication each.
#[derive(Debug)]
pub struct Source<const W: usize, T> {
    pub(crate) tx: T,
    next: u64,
}

/// Receives message after message, one release each.
#[derive(Debug)]
pub struct Drain<const W: usize, R> {
    pub(crate) rx: R,
    next: u64,
}

/// Sends in batches of exactly `batch` messages.
#[derive(Debug)]
pub struct BatchSource<const W: usize, T> {
    pub(crate) tx: T,
    batch: usize,
    next: u64,
}

/// Receives in batches of up to `batch` messages.
#[derive(Debug)]
pub struct BatchDrain<const W: usize, R> {
    pub(crate) rx: R,
    batch: usize,
    next: u64,
}

impl<const W: usize, T: Tx<W>> Source<W, T> {
    /// Message numbers begin at 1.
    #[must_use]
    pub fn new(tx: T) -> Self {
        Self { tx, next: 1 }
    }

    #[inline(always)]
    fn send(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut patience = Patience::new();
        let sent = checksum::<W>(self.next, count);
        for _ in 0..count {
            let words = message::<W>(self.next);
            while !self.tx.try_send(&words) {
                patience.miss()?;
            }
            self.next += 1;
        }
        Ok(Outcome { sent, ..Outcome::default() })
    }
}

impl<const W: usize, T: Tx<W>> Part for Source<W, T> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.send(count)
    }

    #[inline(always)]
    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.send(work.warm + work.count)
    }
}

impl<const W: usize, R: Rx<W>> Drain<W, R> {
    /// Message numbers begin at 1.
    #[must_use]
    pub fn new(rx: R) -> Self {
        Self { rx, next: 1 }
    }

    #[inline(always)]
    fn recv(&mut self, count: u64, out: &mut Outcome, mut verify: impl FnMut(u64, &[u64; W])) -> Result<(), Fault> {
        let mut patience = Patience::new();
        for _ in 0..count {
            let mut words = [0; W];
            while !self.rx.try_recv(&mut words) {
                patience.miss()?;
            }
            if !is_numbered(&words, self.next) {
                return Err(Fault::Disorder);
            }
            out.received = out.received.wrapping_add(fold(&words));
            verify(self.next, &words);
            self.next += 1;
        }
        Ok(())
    }
}

impl<const W: usize, R: Rx<W>> Part for Drain<W, R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        let mut same = true;
        self.recv(count, &mut out, |number, words| same &= *words == message::<W>(number))?;
        if same { Ok(out) } else { Err(Fault::Content) }
    }

    #[inline(always)]
    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.recv(work.warm, &mut out, |_, _| ())?;
        out.begin = sys::now();
        self.recv(work.count, &mut out, |_, _| ())?;
        out.end = sys::now();
        Ok(out)
    }
}

impl<const W: usize, T: BatchTx<W>> BatchSource<W, T> {
    /// Message numbers begin at 1.
    #[must_use]
    pub fn new(tx: T, batch: usize) -> Self {
        Self { tx, batch, next: 1 }
    }

    #[inline(always)]
    fn send(&mut self, mut count: u64) -> Result<Outcome, Fault> {
        let mut patience = Patience::new();
        let sent = checksum::<W>(self.next, count);
        while count > 0 {
            let batch = count.min(self.batch as u64);
            while !self.tx.try_send_batch(self.next, batch as usize) {
                patience.miss()?;
            }
            self.next += batch;
            count -= batch;
        }
        Ok(Outcome { sent, ..Outcome::default() })
    }
}

impl<const W: usize, T: BatchTx<W>> Part for BatchSource<W, T> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.send(count)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.send(work.warm + work.count)
    }
}

impl<const W: usize, R: BatchRx<W>> BatchDrain<W, R> {
    /// Message numbers begin at 1.
    #[must_use]
    pub fn new(rx: R, batch: usize) -> Self {
        Self { rx, batch, next: 1 }
    }

    #[inline(always)]
    fn recv(&mut self, mut count: u64, out: &mut Outcome, mut verify: impl FnMut(u64, &[u64; W])) -> Result<(), Fault> {
        let mut patience = Patience::new();
        let mut sum = 0u64;
        let mut next = self.next;
        while count > 0 {
            let max = count.min(self.batch as u64) as usize;
            let got = self.rx.try_recv_batch(max, |words| {
                if !is_numbered(words, next) {
                    return Err(Fault::Disorder);
                }
                sum = sum.wrapping_add(fold(words));
                verify(next, words);
                next += 1;
                Ok(())
            })?;
            if got == 0 {
                patience.miss()?;
            }
            count -= got as u64;
        }
        self.next = next;
        out.received = out.received.wrapping_add(sum);
        Ok(())
    }
}

impl<const W: usize, R: BatchRx<W>> Part for BatchDrain<W, R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        let mut same = true;
        self.recv(count, &mut out, |number, words| same &= *words == message::<W>(number))?;
        if same { Ok(out) } else { Err(Fault::Content) }
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.recv(work.warm, &mut out, |_, _| ())?;
        out.begin = sys::now();
        self.recv(work.count, &mut out, |_, _| ())?;
        out.end = sys::now();
        Ok(out)
    }
}
