//! Round trips: `Ping` sends a message and waits for it to come back, `Pong` sends back what it receives.
//!
//! Both poll with the same policy; `Ping` times. Neither keeps more than one message in flight.

use crate::message::{checksum, fold, is_numbered, message};
use crate::seam::{Fault, Outcome, Part, Patience, Rx, Tx, Work};
use crate::sys;

/// The side that starts each round trip.
#[derive(Debug)]
pub struct Ping<const W: usize, T, R> {
    pub(crate) tx: T,
    pub(crate) rx: R,
    next: u64,
}

/// The side that answers.
#[derive(Debug)]
pub struct Pong<const W: usize, T, R> {
    pub(crate) tx: T,
    pub(crate) rx: R,
    next: u64,
}

impl<const W: usize, T: Tx<W>, R: Rx<W>> Ping<W, T, R> {
    /// Sends through `tx` and receives from `rx`; message numbers begin at 1.
    #[must_use]
    pub fn new(tx: T, rx: R) -> Self {
        Self { tx, rx, next: 1 }
    }

    #[inline(always)]
    fn trips(
        &mut self,
        count: u64,
        out: &mut Outcome,
        mut verify: impl FnMut(&[u64; W], &[u64; W]),
    ) -> Result<(), Fault> {
        let mut patience = Patience::new();
        out.sent = out.sent.wrapping_add(checksum::<W>(self.next, count));
        for _ in 0..count {
            let sent = message::<W>(self.next);
            while !self.tx.try_send(&sent) {
                patience.miss()?;
            }
            let mut back = [0; W];
            while !self.rx.try_recv(&mut back) {
                patience.miss()?;
            }
            if !is_numbered(&back, self.next) {
                return Err(Fault::Disorder);
            }
            out.received = out.received.wrapping_add(fold(&back));
            verify(&sent, &back);
            self.next += 1;
        }
        Ok(())
    }
}

impl<const W: usize, T: Tx<W>, R: Rx<W>> Part for Ping<W, T, R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        let mut same = true;
        self.trips(count, &mut out, |sent, back| same &= sent == back)?;
        if same { Ok(out) } else { Err(Fault::Content) }
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.trips(work.warm, &mut out, |_, _| ())?;
        out.begin = sys::now();
        self.trips(work.count, &mut out, |_, _| ())?;
        out.end = sys::now();
        Ok(out)
    }
}

impl<const W: usize, T: Tx<W>, R: Rx<W>> Pong<W, T, R> {
    /// Sends through `tx` and receives from `rx`; message numbers begin at 1.
    #[must_use]
    pub fn new(tx: T, rx: R) -> Self {
        Self { tx, rx, next: 1 }
    }

    #[inline(always)]
    fn trips(&mut self, count: u64, mut verify: impl FnMut(u64, &[u64; W])) -> Result<(), Fault> {
        let mut patience = Patience::new();
        for _ in 0..count {
            let mut words = [0; W];
            while !self.rx.try_recv(&mut words) {
                patience.miss()?;
            }
            while !self.tx.try_send(&words) {
                patience.miss()?;
            }
            if !is_numbered(&words, self.next) {
                return Err(Fault::Disorder);
            }
            verify(self.next, &words);
            self.next += 1;
        }
        Ok(())
    }
}

impl<const W: usize, T: Tx<W>, R: Rx<W>> Part for Pong<W, T, R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut same = true;
        self.trips(count, |number, words| same &= *words == message::<W>(number))?;
        if same { Ok(Outcome::default()) } else { Err(Fault::Content) }
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.trips(work.warm + work.count, |_, _| ())?;
        Ok(Outcome::default())
    }
}
