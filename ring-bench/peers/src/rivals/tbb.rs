//! oneTBB's concurrent_bounded_queue between threads, by `try_push` and `try_pop`. Each operation crosses into C++ by one
//! call.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The functions are those of `shim/tbb.cpp`, with these signatures; a table has functions for messages of its `words`.
//! 2. A queue is never freed, and may be used by any number of threads.
//! 3. A message is plain words, as many as the table is for.

use crate::channel::{Ends, Rival, crowd_entry, mpmc_trips};
use crate::scenario::{Entry, Scenario};
use core::ffi::c_void;
use ring_bench::kit::{FEW, Place, Rx, Tx};

/// As `Bounded` in the shim.
#[repr(C)]
struct Table {
    words: usize,
    make: unsafe extern "C" fn(usize) -> *mut c_void,
    push: unsafe extern "C" fn(*mut c_void, *const c_void) -> bool,
    pop: unsafe extern "C" fn(*mut c_void, *mut c_void) -> bool,
}

unsafe extern "C" {
    fn peers_tbb_version() -> u32;
    fn peers_tbb(words: usize) -> Option<&'static Table>;
}

/// For the table of versions.
pub(crate) fn version() -> String {
    // SAFETY: 1.
    let version = unsafe { peers_tbb_version() };
    format!("oneTBB {}.{}", version / 1_000, version % 1_000)
}

pub(crate) enum Tbb {}

/// A handle for messages of `W` words.
#[derive(Clone, Copy)]
struct Bounded<const W: usize>(*mut c_void, &'static Table);

// SAFETY: 2.
unsafe impl<const W: usize> Send for Bounded<W> {}

impl<const W: usize> Tx<W> for Bounded<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { (self.1.push)(self.0, message.as_ptr().cast()) }
    }
}

impl<const W: usize> Rx<W> for Bounded<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { (self.1.pop)(self.0, message.as_mut_ptr().cast()) }
    }
}

fn queue<const W: usize>(slots: usize) -> Result<Bounded<W>, String> {
    // SAFETY: 1.
    let table = unsafe { peers_tbb(W) }.filter(|table| table.words == W);
    let table = table.ok_or_else(|| format!("the shim has no queue of messages of {W} words"))?;
    // SAFETY: 1.
    let queue = unsafe { (table.make)(slots) };
    if queue.is_null() { Err("no memory for a queue".into()) } else { Ok(Bounded(queue, table)) }
}

impl Rival for Tbb {
    const NAME: &'static str = "tbb";
    const PLACE: Place = Place::Threads;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let queue = queue::<W>(bytes / (8 * W))?;
        Ok(Ends::ready(queue, queue))
    }
}

/// Its candidates among queues for many.
pub(crate) fn many() -> Vec<Entry> {
    let handles = |parties| queue::<1>(FEW).map(|queue| vec![queue; parties]);
    vec![
        mpmc_trips(Tbb::NAME, Place::Threads, || queue::<1>(FEW).map(|queue| Ends::ready(queue, queue))),
        crowd_entry(Scenario::Mpmc1p1c, Tbb::NAME, Place::Threads, 1, handles),
        crowd_entry(Scenario::Mpmc2p2c, Tbb::NAME, Place::Threads, 2, handles),
    ]
}
