//! Sends at a stated rate, each operation timed: what a histogram is made of.
//!
//! Message `i` of a slice is due at `start + i * interval`. The sender waits until then and never longer: when it is
//! late it sends at once, and the clock of that message has been running since it was due. So a stall counts for all
//! the messages that it held up (no coordinated omission). Samples go to memory that the driver reads.

use crate::arena::{Arena, Line};
use crate::clock::Clock;
use crate::message::{checksum, fold, is_numbered, message};
use crate::seam::{Fault, Outcome, Part, Patience, Rx, Tx, Work};
use crate::sys;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// What the parties of one instance share beside the transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    clock: Clock,
    /// Ticks between two messages.
    interval: u64,
    /// Where the receiver finds when the first message of the slice was due.
    start: &'static Line,
    samples: &'static [AtomicU64],
}

impl Pace {
    pub(crate) fn new(arena: &mut Arena, clock: Clock, interval_nanos: u64) -> Result<Self, String> {
        let interval = clock.ticks_of(interval_nanos);
        Ok(Self { clock, interval, start: arena.one()?, samples: arena.samples()? })
    }

    fn due(&self, start: u64, i: u64) -> u64 {
        start.wrapping_add(i.wrapping_mul(self.interval))
    }

    #[inline(always)]
    fn wait(&self, due: u64) {
        while (self.clock.ticks().wrapping_sub(due) as i64) < 0 {
            spin_loop();
        }
    }

    /// Sample `i` is the time since `due`.
    #[inline(always)]
    fn keep(&self, i: u64, due: u64) {
        // Counters of two CPUs may differ by some ticks.
        let late = (self.clock.ticks().wrapping_sub(due) as i64).max(0);
        if let Some(sample) = self.samples.get(i as usize) {
            sample.store(late as u64, Relaxed);
        }
    }
}

/// Sends a message at its time and waits for it to come back; the sample is from when it was due until then.
#[derive(Debug)]
pub(crate) struct Caller<T, R> {
    tx: T,
    rx: R,
    pace: Pace,
    next: u64,
}

impl<T: Tx<1>, R: Rx<1>> Caller<T, R> {
    pub(crate) fn new(tx: T, rx: R, pace: Pace) -> Self {
        Self { tx, rx, pace, next: 1 }
    }

    #[inline(always)]
    fn trips(&mut self, count: u64, out: &mut Outcome) -> Result<(), Fault> {
        let mut patience = Patience::new();
        let start = self.pace.clock.ticks().wrapping_add(self.pace.interval);
        out.sent = out.sent.wrapping_add(checksum::<1>(self.next, count));
        for i in 0..count {
            let due = self.pace.due(start, i);
            self.pace.wait(due);
            let sent = message::<1>(self.next);
            while !self.tx.try_send(&sent) {
                patience.miss()?;
            }
            let mut back = [0];
            while !self.rx.try_recv(&mut back) {
                patience.miss()?;
            }
            self.pace.keep(i, due);
            if !is_numbered(&back, self.next) {
                return Err(Fault::Disorder);
            }
            out.received = out.received.wrapping_add(fold(&back));
            self.next += 1;
        }
        Ok(())
    }
}

impl<T: Tx<1>, R: Rx<1>> Part for Caller<T, R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.trips(count, &mut out)?;
        Ok(out)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.trips(work.warm, &mut out)?;
        out.begin = sys::now();
        self.trips(work.count, &mut out)?;
        out.end = sys::now();
        Ok(out)
    }
}

/// Sends each message at its time.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    tx: T,
    pace: Pace,
    next: u64,
}

impl<T: Tx<1>> Sender<T> {
    pub(crate) fn new(tx: T, pace: Pace) -> Self {
        Self { tx, pace, next: 1 }
    }

    fn send(&mut self, count: u64) -> Result<u64, Fault> {
        let mut patience = Patience::new();
        let first = self.next;
        let start = self.pace.clock.ticks().wrapping_add(self.pace.interval);
        self.pace.start.0[0].store(start, Release);
        for i in 0..count {
            self.pace.wait(self.pace.due(start, i));
            let words = message::<1>(self.next);
            while !self.tx.try_send(&words) {
                patience.miss()?;
            }
            self.next += 1;
        }
        Ok(checksum::<1>(first, count))
    }
}

impl<T: Tx<1>> Part for Sender<T> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        Ok(Outcome { sent: self.send(count)?, ..Outcome::default() })
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        // Warm-up and slice are one stream: the receiver takes its samples from the later part.
        self.check(work.warm + work.count)
    }
}

/// Receives; the sample is from when the message was due until it is here and checked.
#[derive(Debug)]
pub(crate) struct Receiver<R> {
    rx: R,
    pace: Pace,
    next: u64,
}

impl<R: Rx<1>> Receiver<R> {
    pub(crate) fn new(rx: R, pace: Pace) -> Self {
        Self { rx, pace, next: 1 }
    }

    fn recv(&mut self, warm: u64, count: u64) -> Result<Outcome, Fault> {
        let mut patience = Patience::new();
        let mut out = Outcome::default();
        let mut start = 0;
        for i in 0..warm + count {
            let mut words = [0];
            while !self.rx.try_recv(&mut words) {
                patience.miss()?;
            }
            if i == 0 {
                // Written before the first message was sent.
                start = self.pace.start.0[0].load(Acquire);
            }
            if let Some(i) = i.checked_sub(warm) {
                if i == 0 {
                    out.begin = sys::now();
                }
                self.pace.keep(i, self.pace.due(start, warm + i));
            }
            if !is_numbered(&words, self.next) {
                return Err(Fault::Disorder);
            }
            out.received = out.received.wrapping_add(fold(&words));
            self.next += 1;
        }
        out.end = sys::now();
        Ok(out)
    }
}

impl<R: Rx<1>> Part for Receiver<R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.recv(0, count)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.recv(work.warm, work.count)
    }
}
