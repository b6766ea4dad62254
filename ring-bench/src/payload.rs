//! Whole payloads one way, written and read where the transport keeps them, or copied where it cannot do otherwise.
//!
//! Word `i` of payload number `n` is `n + i * STEP` as in every other message. Filling and summing are functions of their
//! own, never inlined, so that all candidates run the very same loop over the payload.

use crate::message::STEP;
use crate::seam::{Fault, Outcome, Part, Patience, Work};
use crate::sys;

/// A sending end that has a payload written into it.
pub trait PayloadTx: Send {
    /// Lets `fill` write one whole payload and sends it; false, and `fill` not called, when there is no room now.
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool;
}

/// A receiving end that shows a payload.
pub trait PayloadRx: Send {
    /// Shows the next payload to `each` and gives its space back; false when there is none now.
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool;
}

/// Sends payload after payload.
#[derive(Debug)]
pub struct PayloadSource<T> {
    tx: T,
    words: u64,
    next: u64,
}

/// Receives payload after payload.
#[derive(Debug)]
pub struct PayloadDrain<R> {
    rx: R,
    words: u64,
    next: u64,
}

#[inline(never)]
fn fill(words: &mut [u64], number: u64) {
    let mut value = number;
    for word in words {
        *word = value;
        value = value.wrapping_add(STEP);
    }
}

#[inline(never)]
fn sum(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

/// What [`sum`] gives for payload `number` of `words` words.
fn expected(words: u64, number: u64) -> u64 {
    let steps = (u128::from(words) * u128::from(words.saturating_sub(1)) / 2) as u64;
    steps.wrapping_mul(STEP).wrapping_add(number.wrapping_mul(words))
}

impl<T: PayloadTx> PayloadSource<T> {
    /// Payloads of `bytes`; numbers begin at 1.
    #[must_use]
    pub fn new(tx: T, bytes: usize) -> Self {
        Self { tx, words: bytes as u64 / 8, next: 1 }
    }

    fn send(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut patience = Patience::new();
        let mut out = Outcome::default();
        for _ in 0..count {
            let number = self.next;
            while !self.tx.try_fill(|words| fill(words, number)) {
                patience.miss()?;
            }
            out.sent = out.sent.wrapping_add(expected(self.words, number));
            self.next += 1;
        }
        Ok(out)
    }
}

impl<T: PayloadTx> Part for PayloadSource<T> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.send(count)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.send(work.warm + work.count)
    }
}

impl<R: PayloadRx> PayloadDrain<R> {
    /// Payloads of `bytes`; numbers begin at 1.
    #[must_use]
    pub fn new(rx: R, bytes: usize) -> Self {
        Self { rx, words: bytes as u64 / 8, next: 1 }
    }

    fn recv(
        &mut self,
        count: u64,
        out: &mut Outcome,
        mut verify: impl FnMut(u64, &[u64]) -> bool,
    ) -> Result<(), Fault> {
        let mut patience = Patience::new();
        for _ in 0..count {
            let (number, mut total, mut same) = (self.next, 0, true);
            while !self.rx.try_show(|words| {
                total = sum(words);
                same = words.len() as u64 == self.words && verify(number, words);
            }) {
                patience.miss()?;
            }
            if total != expected(self.words, number) {
                return Err(Fault::Disorder);
            }
            if !same {
                return Err(Fault::Content);
            }
            out.received = out.received.wrapping_add(total);
            self.next += 1;
        }
        Ok(())
    }
}

impl<R: PayloadRx> Part for PayloadDrain<R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        let exact = |number: u64, words: &[u64]| {
            words.iter().zip(0u64..).all(|(word, i)| *word == number.wrapping_add(i.wrapping_mul(STEP)))
        };
        self.recv(count, &mut out, exact)?;
        Ok(out)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.recv(work.warm, &mut out, |_, _| true)?;
        out.begin = sys::now();
        self.recv(work.count, &mut out, |_, _| true)?;
        out.end = sys::now();
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One payload, kept; `spoil` may change it on the way.
    struct Kept(Vec<u64>, bool, fn(&mut [u64]));

    impl PayloadTx for &mut Kept {
        fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
            fill(&mut self.0);
            (self.2)(&mut self.0);
            self.1 = true;
            true
        }
    }

    impl PayloadRx for &mut Kept {
        fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
            each(&self.0);
            std::mem::take(&mut self.1)
        }
    }

    fn through(spoil: fn(&mut [u64])) -> Result<(u64, u64), Fault> {
        let mut kept = Kept(vec![0; 128], false, spoil);
        let sent = PayloadSource::new(&mut kept, 1024).check(1)?.sent;
        Ok((sent, PayloadDrain::new(&mut kept, 1024).check(1)?.received))
    }

    #[test]
    fn what_was_sent_is_what_arrives() {
        let (sent, received) = through(|_| ()).expect("nothing was changed");
        assert_eq!(sent, received);
    }

    #[test]
    fn a_changed_word_and_two_changed_places_are_noticed() {
        assert_eq!(through(|words| words[127] ^= 1), Err(Fault::Disorder));
        assert_eq!(through(|words| words.swap(0, 127)), Err(Fault::Content));
    }
}
