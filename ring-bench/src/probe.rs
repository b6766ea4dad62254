//! The placement probe, which is also the honest floor of a round trip: a ping-pong that walks fresh lines.
//!
//! Each message is one 128-byte line, flag and payload in one word, 256 lines each way. Two fixed lines would do too,
//! but their round trip depends on where the two happen to lie (74 or 112 ns on one and the same pair of cores);
//! the walk averages over places, so its level says how the two CPUs are placed and nothing else.

use crate::arena::{Arena, Line};
use crate::seam::{Fault, Patience};
use crate::sys;
use core::fmt;
use core::sync::atomic::{Ordering::Acquire, Ordering::Release};

/// How the two CPUs are placed while a slice runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Two hardware threads of one core: below 80 ns.
    S,
    /// Two cores that share a cache: 80 to 200 ns.
    C,
    /// Further apart.
    X,
}

impl Class {
    /// The class of a raw round trip of `nanos`.
    #[must_use]
    pub fn of(nanos: f64) -> Self {
        if nanos < 80.0 {
            Self::S
        } else if nanos <= 200.0 {
            Self::C
        } else {
            Self::X
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S => "S",
            Self::C => "C",
            Self::X => "X",
        })
    }
}

/// The lines of one ping-pong: `out` is written by the driver, `back` by the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    out: &'static [Line],
    back: &'static [Line],
}

impl Walk {
    /// Lines each way in the floor and the probe.
    pub(crate) const LINES: usize = 256;

    /// `lines` (a power of two) each way.
    pub(crate) fn new(arena: &mut Arena, lines: usize) -> Result<Self, String> {
        debug_assert!(lines.is_power_of_two());
        Ok(Self { out: arena.slice(lines)?, back: arena.slice(lines)? })
    }

    /// Driver: `count` round trips numbered from `next`, which must begin at 1.
    #[inline(always)]
    pub(crate) fn ping(&self, next: &mut u64, count: u64) -> Result<(), Fault> {
        let mut patience = Patience::new();
        let mask = self.out.len() - 1;
        for number in *next..*next + count {
            self.out[number as usize & mask].0[0].store(number, Release);
            while self.back[number as usize & mask].0[0].load(Acquire) != number {
                patience.miss()?;
            }
        }
        *next += count;
        Ok(())
    }

    /// Peer: answers `count` round trips.
    #[inline(always)]
    pub(crate) fn pong(&self, next: &mut u64, count: u64) -> Result<(), Fault> {
        let mut patience = Patience::new();
        let mask = self.out.len() - 1;
        for number in *next..*next + count {
            while self.out[number as usize & mask].0[0].load(Acquire) != number {
                patience.miss()?;
            }
            self.back[number as usize & mask].0[0].store(number, Release);
        }
        *next += count;
        Ok(())
    }
}

/// One peer's probe, with the numbers that both sides have reached.
#[derive(Debug)]
pub(crate) struct Probe {
    walk: Walk,
    next: u64,
}

impl Probe {
    const BATCHES: usize = 5;
    const TRIPS: u64 = 64;

    pub(crate) fn new(walk: Walk) -> Self {
        Self { walk, next: 1 }
    }

    /// Driver: the median over a few batches, so that one disturbance does not misplace the slice.
    pub(crate) fn measure(&mut self) -> Result<f64, Fault> {
        let mut nanos = [0; Self::BATCHES];
        for batch in &mut nanos {
            let begin = sys::now();
            self.walk.ping(&mut self.next, Self::TRIPS)?;
            *batch = sys::now() - begin;
        }
        nanos.sort_unstable();
        Ok(nanos[Self::BATCHES / 2] as f64 / Self::TRIPS as f64)
    }

    /// Peer: the other side of [`measure`](Self::measure).
    pub(crate) fn answer(&mut self) -> Result<(), Fault> {
        self.walk.pong(&mut self.next, Self::TRIPS * Self::BATCHES as u64)
    }
}
