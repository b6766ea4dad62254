//! The clock of single operations: the time-stamp counter where it is fit for that, else `CLOCK_MONOTONIC`.
//!
//! Fit means: the processor says that the counter runs at one rate whatever the CPU does (invariant TSC), and the kernel
//! still lists it among the clock sources, which it does only while it finds the CPUs' counters equal. The rate is
//! measured against `CLOCK_MONOTONIC`. Reads are not serialising: what stands beside one may move by a few nanoseconds.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. `rdtsc` reads a register and touches no memory; it exists on every x86-64 processor.

use crate::sys;
use core::fmt;

/// Something that counts evenly, the same in every process of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    counter: bool,
    /// Ticks in a nanosecond.
    rate: f64,
}

impl Clock {
    /// The best clock there is; takes a twentieth of a second for the calibration.
    #[must_use]
    pub fn calibrate() -> Self {
        if !counter_is_fit() {
            return Self::monotonic();
        }
        let both = || {
            // The pair whose two halves lie closest together, of a few.
            (0..64)
                .map(|_| {
                    let before = counter();
                    let nanos = sys::now();
                    let after = counter();
                    (after.wrapping_sub(before), before.wrapping_add(after.wrapping_sub(before) / 2), nanos)
                })
                .min()
                .map_or((0, 0), |(_, ticks, nanos)| (ticks, nanos))
        };
        let begin = both();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let end = both();
        let (ticks, nanos) = (end.0.wrapping_sub(begin.0), end.1.saturating_sub(begin.1));
        if ticks == 0 || nanos == 0 {
            return Self::monotonic();
        }
        Self { counter: true, rate: ticks as f64 / nanos as f64 }
    }

    /// `clock_gettime`: a tick is a nanosecond.
    #[must_use]
    pub fn monotonic() -> Self {
        Self { counter: false, rate: 1.0 }
    }

    /// Ticks since some fixed moment.
    #[inline(always)]
    pub(crate) fn ticks(self) -> u64 {
        if self.counter { counter() } else { sys::now() }
    }

    pub(crate) fn ticks_of(self, nanos: u64) -> u64 {
        (nanos as f64 * self.rate) as u64
    }

    pub(crate) fn nanos_of(self, ticks: u64) -> u64 {
        (ticks as f64 / self.rate) as u64
    }

    /// What one reading takes, in nanoseconds: part of every figure.
    #[must_use]
    pub fn cost(self) -> f64 {
        const READS: u32 = 100_000;
        let begin = sys::now();
        for _ in 0..READS {
            core::hint::black_box(self.ticks());
        }
        (sys::now() - begin) as f64 / f64::from(READS)
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counter {
            write!(f, "time-stamp counter, {:.3} ticks a nanosecond", self.rate)
        } else {
            f.write_str("clock_gettime (no invariant time-stamp counter here)")
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn counter() -> u64 {
    // SAFETY: invariant 1.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    sys::now()
}

fn counter_is_fit() -> bool {
    let sources = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/available_clocksource");
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = flags.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let says = |flag| flags.split(' ').any(|word| word == flag);
    // What the kernel calls these two is what the processor calls invariant.
    cfg!(target_arch = "x86_64")
        && says("constant_tsc")
        && says("nonstop_tsc")
        && sources.is_ok_and(|sources| sources.split_whitespace().any(|source| source == "tsc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_agree_about_a_stretch_of_time() {
        for clock in [Clock::calibrate(), Clock::monotonic()] {
            let (nanos, ticks) = (sys::now(), clock.ticks());
            std::thread::sleep(std::time::Duration::from_millis(20));
            let (ticks, nanos) = (clock.ticks() - ticks, sys::now() - nanos);
            let seen = clock.nanos_of(ticks) as f64;
            assert!((seen / nanos as f64 - 1.0).abs() < 0.05, "{clock}: {seen} of {nanos} ns");
        }
    }
}
