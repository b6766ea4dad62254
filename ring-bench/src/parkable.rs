//! What the look for sleepers costs: ring-core's SPSC handles between two processes, as they are, and by the calls that look
//! for nobody. Both sides of the row are of one program and differ in nothing else.
//!
//! Where a loop of a few nanoseconds lies in memory shifts its figure by more than what is measured here. So each of
//! a candidate's instances runs code of its own, a quarter of a line further on than the one before.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The assembly is instructions that do nothing.

use crate::arena::Arena;
use crate::candidate::{Build, Maker, Setup};
use crate::message::{bytes, bytes_mut};
use crate::ours::{failed, maker};
use crate::seam::{Fault, Outcome, Part, Rx, Tx, Work};
use crate::stream::{Drain, Source};
use core::cell::Cell;
use ring_core::Verdict;
use ring_core::spsc::{Consumer, Format, Producer, Ring};

struct Sender<const LOOKS: bool>(Producer<'static>);
struct Receiver<const LOOKS: bool>(Consumer<'static>);

impl<const W: usize, const LOOKS: bool> Tx<W> for Sender<LOOKS> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        let message = bytes(message);
        if LOOKS { self.0.try_send(0, message).is_ok() } else { self.0.try_send_untold(0, message).is_ok() }
    }
}

impl<const W: usize, const LOOKS: bool> Rx<W> for Receiver<LOOKS> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        let message = bytes_mut(message);
        let received = if LOOKS { self.0.try_recv_into(message) } else { self.0.try_recv_into_untold(message) };
        received.is_ok_and(|received| received.len == 8 * W)
    }
}

/// A part whose code begins `PLACE` quarters of a line further on.
struct Placed<P, const PLACE: usize>(P);

impl<P: Part, const PLACE: usize> Part for Placed<P, PLACE> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.0.check(count)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        // SAFETY: invariant 1.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            core::arch::asm!(".skip 16 * {place}, 0x90", place = const PLACE, options(nomem, nostack, preserves_flags));
        }
        self.0.slice(work)
    }
}

/// One way, one operation a message, over a ring of `bytes` whose handles look for sleepers, or do not.
pub(crate) fn one_way<const W: usize, const LOOKS: bool>(bytes: usize) -> Build {
    let next = Cell::new(0);
    Box::new(move |arena: &mut Arena| {
        let format = Format::new(bytes as u64);
        let ring = Ring::format(arena.region(format.footprint())?, &format).map_err(|why| why.to_string())?;
        let parties = match next.replace(next.get() + 1) % 4 {
            0 => parties::<W, LOOKS, 0>(ring),
            1 => parties::<W, LOOKS, 1>(ring),
            2 => parties::<W, LOOKS, 2>(ring),
            _ => parties::<W, LOOKS, 3>(ring),
        };
        Ok(Setup { parties, published: None })
    })
}

fn parties<const W: usize, const LOOKS: bool, const PLACE: usize>(ring: Ring<'static>) -> Vec<Maker> {
    let source = maker(move || {
        let tx = ring.sit_producer(ring.next_lease().map_err(failed)?, nobody).map_err(failed)?;
        Ok(Placed::<_, PLACE>(Source::<W, _>::new(Sender::<LOOKS>(tx))))
    });
    let drain = maker(move || {
        let rx = ring.sit_consumer(ring.next_lease().map_err(failed)?, nobody).map_err(failed)?;
        Ok(Placed::<_, PLACE>(Drain::<W, _>::new(Receiver::<LOOKS>(rx))))
    });
    vec![source, drain]
}

/// Nobody sat there before, so nobody is asked about.
fn nobody(_lease: u64) -> Verdict {
    Verdict::Alive
}
