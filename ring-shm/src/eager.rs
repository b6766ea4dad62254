//! Whether a task that has found nothing is to be polled again at once: a stream's next message comes sooner than a sleep
//! and a wake-up take, and for anything else the time would be wasted. What paid off is done again; what was in vain is
//! left out for the next wait, then for three, for seven, and at last for 15 of 16.

use std::time::{Duration, Instant};

use crate::strategy::SPIN;

/// The most waits in a row that are not spun.
const MOST: u32 = 15;

/// What a handle knows of its waits.
#[derive(Debug)]
pub(crate) struct Eager {
    /// How long to be polled again and again.
    time: Duration,
    /// Since when there has been nothing, while it is being polled.
    since: Option<Instant>,
    /// Waits still to go without.
    left: u32,
    /// How many went without before the last time.
    vain: u32,
}

impl Default for Eager {
    /// As long as a thread spins before it parks.
    fn default() -> Self {
        Self::new(SPIN)
    }
}

impl Eager {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time, since: None, left: 0, vain: 0 }
    }

    /// Asked after each look that found nothing, until it says no: that is the end of it for this wait. Where the thread
    /// has one CPU for itself and whoever is waited for, it is no.
    #[inline]
    pub(crate) fn spins(&mut self, one_cpu: impl FnOnce() -> bool) -> bool {
        match self.since {
            Some(since) if since.elapsed() < self.time => true,
            Some(_) => {
                self.gave_up();
                false
            }
            None if self.time.is_zero() || one_cpu() => false,
            None if self.left > 0 => {
                self.left -= 1;
                false
            }
            None => {
                self.since = Some(Instant::now());
                true
            }
        }
    }

    /// There was something.
    #[inline]
    pub(crate) fn found(&mut self) {
        if self.since.take().is_some() {
            (self.left, self.vain) = (0, 0);
        }
    }

    /// Nobody looks any more.
    pub(crate) fn gave_up(&mut self) {
        if self.since.take().is_some() {
            self.vain = (self.vain * 2 + 1).min(MOST);
            self.left = self.vain;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(2);

    /// One wait for something that comes after `gap`; whether it was spun, and to what end.
    fn wait(eager: &mut Eager, gap: Duration) -> (bool, bool) {
        let start = Instant::now();
        let spun = eager.spins(|| false);
        while spun && start.elapsed() < gap {
            if !eager.spins(|| false) {
                return (true, false);
            }
        }
        eager.found();
        (spun, spun)
    }

    #[test]
    fn what_is_in_vain_is_left_out_more_and_more_and_what_pays_is_not() {
        let mut eager = Eager::new(TIME);
        let spun: Vec<u32> = (0..100).filter(|_| wait(&mut eager, 10 * TIME).0).collect();
        assert_eq!(spun, [0, 2, 6, 14, 30, 46, 62, 78, 94]);
        let first = (0..=MOST).find(|_| wait(&mut eager, Duration::ZERO).0);
        assert!(first.is_some(), "a stream is never noticed");
        assert!((0..100).all(|_| wait(&mut eager, Duration::ZERO) == (true, true)));
    }

    #[test]
    fn a_wait_that_is_dropped_was_in_vain() {
        let mut eager = Eager::new(Duration::MAX);
        let spun = (0..1000).filter(|_| {
            let spun = eager.spins(|| false);
            eager.gave_up();
            spun
        });
        assert!(spun.count() < 100);
    }

    #[test]
    fn nobody_spins_on_one_cpu_nor_for_no_time() {
        assert!((0..100).all(|_| !Eager::new(TIME).spins(|| true)));
        assert!((0..100).all(|_| !Eager::new(Duration::ZERO).spins(|| false)));
    }
}
