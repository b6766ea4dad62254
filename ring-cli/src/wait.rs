//! Waiting for the peer: spin briefly, then yield, then sleep with growing pauses of at most a millisecond. Every wait
//! of `ringctl` on a ring goes through here, and ends with SIGINT or SIGTERM.
//!
//! Only a few yields, and none in an endless spin: under EEVDF each one puts the deadline of the process a slice off,
//! and one that has yielded for a second waits for seconds once somebody else wants the CPU. A sleep wipes that out.

use std::hint;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use crate::exit::Failure;
use crate::signals::Signals;

/// Looks before the first yield.
const SPINS: u32 = 2_000;
/// Yields before the first sleep.
const YIELDS: u32 = 8;
/// The first sleep; each is twice the one before.
const FIRST: Duration = Duration::from_micros(20);
/// The longest sleep.
const LONGEST: Duration = Duration::from_millis(1);
/// With `--spin`, how many looks between two at the signals.
const SPINS_PER_CHECK: u32 = 1 << 14;

/// How one side waits for the other.
#[derive(Debug, Clone)]
pub(crate) struct Waiter<'a> {
    signals: &'a Signals,
    /// Never sleep.
    spin: bool,
    /// Spinning is of no use on one CPU.
    alone: bool,
    looks: u32,
    pause: Duration,
}

impl<'a> Waiter<'a> {
    /// A waiter that has not waited yet. Make it before this process is pinned to one of several CPUs.
    pub(crate) fn new(signals: &'a Signals, spin: bool) -> Self {
        let alone = thread::available_parallelism().is_ok_and(|cpus| cpus == NonZero::<usize>::MIN);
        Self { signals, spin, alone, looks: 0, pause: FIRST }
    }

    /// Something came: the next wait starts with spinning.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.looks = 0;
        self.pause = FIRST;
    }

    /// Waits a little.
    ///
    /// # Errors
    /// What to end with when a signal has come.
    #[inline]
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        self.looks = self.looks.wrapping_add(1);
        if self.spin {
            if self.alone {
                thread::yield_now();
            }
            hint::spin_loop();
            return if self.looks % SPINS_PER_CHECK == 0 { self.signals.check() } else { Ok(()) };
        }
        if self.looks < SPINS && !self.alone {
            hint::spin_loop();
            return Ok(());
        }
        self.give_way()
    }

    /// Looks at the signals without waiting: for loops in which everything is always there at once.
    ///
    /// # Errors
    /// What to end with when a signal has come.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.signals.check()
    }

    #[cold]
    fn give_way(&mut self) -> Result<(), Failure> {
        self.looks = self.looks.clamp(SPINS, SPINS.saturating_add(YIELDS));
        if self.looks < SPINS.saturating_add(YIELDS) {
            thread::yield_now();
            return Ok(());
        }
        self.signals.check()?;
        thread::sleep(self.pause);
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
        Ok(())
    }
}
