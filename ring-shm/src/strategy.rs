//! How a blocking call passes the time while there is nothing to do: what to choose and what each costs stands in
//! `docs/waiting.md`.

use core::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// What a waiting call does after it has looked and found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Look again.
    Look,
    /// Sleep in the kernel until woken, for a slice of 50 ms at most, then look again.
    Park,
}

/// A look that found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round {
    /// How many came before it in this wait.
    pub number: u32,
    /// Whether the waiting thread may run on one CPU only: whoever is waited for then runs only if we do not.
    pub one_cpu: bool,
}

/// How to wait. Deadlines, cancelling and the watch over dead peers are not its business: the call that waits sees to
/// them between two looks. So a strategy must not stay away long; 50 ms is as long as a park takes.
///
/// ```
/// use ring_shm::wait::{Idle, Round, WaitStrategy};
/// use std::time::Duration;
///
/// /// Trades a tenth of a millisecond for never burning a core nor depending on a wake-up.
/// #[derive(Debug)]
/// struct Naps;
///
/// impl WaitStrategy for Naps {
///     fn idle(&mut self, _round: Round) -> Idle {
///         std::thread::sleep(Duration::from_micros(100));
///         Idle::Look
///     }
/// }
///
/// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
/// rx.set_wait_strategy(Naps);
/// std::thread::scope(|s| {
///     s.spawn(move || tx.send(0, b"hello"));
///     assert_eq!(rx.recv_into(&mut [0; 8]).unwrap().len, 5);
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait WaitStrategy: Send + fmt::Debug {
    /// Called after each look that found nothing. May pass some time itself.
    fn idle(&mut self, round: Round) -> Idle;
}

/// Looks without a pause: the quickest answer for a whole core. Yields where there is only one CPU.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spin;

impl WaitStrategy for Spin {
    #[inline]
    fn idle(&mut self, round: Round) -> Idle {
        if round.one_cpu {
            thread::yield_now();
        } else {
            core::hint::spin_loop();
        }
        Idle::Look
    }
}

/// Looks without a pause for a while, then gives the CPU to others between two looks. Costs a core that nobody else
/// wants.
#[derive(Debug, Clone, Copy)]
pub struct SpinYield {
    clock: SpinClock,
}

impl SpinYield {
    /// Spins for `time` before it begins to yield.
    #[must_use]
    pub const fn new(time: Duration) -> Self {
        Self { clock: SpinClock::new(time) }
    }
}

impl Default for SpinYield {
    /// Spins for 20 µs.
    fn default() -> Self {
        Self::new(SPIN)
    }
}

impl WaitStrategy for SpinYield {
    fn idle(&mut self, round: Round) -> Idle {
        if !self.clock.spins(round) {
            thread::yield_now();
        }
        Idle::Look
    }
}

/// Looks without a pause for a while, then sleeps in the kernel until woken. What handles do unless told otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Park {
    clock: SpinClock,
}

impl Park {
    /// Spins for `time` before it sleeps; zero: sleeps at once.
    #[must_use]
    pub const fn after(time: Duration) -> Self {
        Self { clock: SpinClock::new(time) }
    }
}

impl Default for Park {
    /// Spins for 20 µs, less than half of what a sleep and a wake-up cost.
    fn default() -> Self {
        Self::after(SPIN)
    }
}

impl WaitStrategy for Park {
    #[inline]
    fn idle(&mut self, round: Round) -> Idle {
        if self.clock.spins(round) { Idle::Look } else { Idle::Park }
    }
}

/// How long to spin by default.
pub(crate) const SPIN: Duration = Duration::from_micros(20);

/// Looks between two looks at the clock, which costs as much as one of them.
const STRIDE: u32 = 8;

/// Tells when the time for spinning is over.
#[derive(Debug, Clone, Copy)]
struct SpinClock {
    time: Duration,
    end: Option<Instant>,
    over: bool,
}

impl SpinClock {
    const fn new(time: Duration) -> Self {
        Self { time, end: None, over: false }
    }

    /// One pause; false when the time is over, or there is nobody to spin for.
    #[inline]
    fn spins(&mut self, round: Round) -> bool {
        if round.number == 0 {
            (self.end, self.over) = (None, self.time.is_zero());
        }
        if self.over || round.one_cpu {
            return false;
        }
        core::hint::spin_loop();
        if round.number % STRIDE == STRIDE - 1 {
            // The first look at the clock comes this late so that a wait which a few looks settle pays for none.
            let now = Instant::now();
            match self.end {
                None => self.end = now.checked_add(self.time),
                Some(end) => self.over = now >= end,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a strategy looks without a park, in a wait of its own.
    fn spins_for(strategy: &mut impl WaitStrategy, one_cpu: bool) -> Option<Duration> {
        let start = Instant::now();
        (0..)
            .map(|number| strategy.idle(Round { number, one_cpu }))
            .find(|idle| *idle == Idle::Park || start.elapsed() > Duration::from_secs(1));
        let took = start.elapsed();
        (took < Duration::from_secs(1)).then_some(took)
    }

    #[test]
    fn a_park_comes_after_the_time_for_spinning_and_at_once_where_there_is_nobody_to_spin_for() {
        let mut park = Park::after(Duration::from_millis(5));
        for _ in 0..2 {
            let took = spins_for(&mut park, false).expect("it parks");
            assert!(took >= Duration::from_millis(5), "{took:?}");
        }
        assert!(spins_for(&mut park, true).expect("it parks") < Duration::from_millis(5));
        assert!(spins_for(&mut Park::after(Duration::ZERO), false).expect("it parks") < Duration::from_millis(5));
    }

    #[test]
    fn who_spins_never_parks() {
        assert_eq!(spins_for(&mut Spin, false), None);
        assert_eq!(spins_for(&mut Spin, true), None);
        assert_eq!(spins_for(&mut SpinYield::new(Duration::from_micros(1)), true), None);
    }
}
