//! shaq between processes, over a file without a name that both have mapped: SPSC, its batches, payloads in place, MPMC.
//!
//! A side looks at the other's position (`sync`) when what it remembers does not suffice, and publishes each message.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The file is made, mapped and initialised here, once, before the fork; each end goes to one party, and both sides
//!    have the same `T`, plain words.
//! 2. A reserved place is written in full before `commit`; a pointer from `try_read_ptr` is not used after `finalize`.

use crate::channel::{Batched, Ends, Rival, crowd_entry, mpmc_trips, payload_entry};
use crate::rivals::nameless_file;
use crate::scenario::{Entry, Scenario};
use ring_bench::kit::{
    BatchRx, BatchTx, Candidate, FEW, Fault, PAYLOAD_BYTES, PayloadRx, PayloadTx, Place, Rx, Tx, Work,
};
use ring_bench::message::message;
use shaq::{mpmc, spsc};

pub(crate) enum Shaq {}

struct Sender<const W: usize> {
    ring: spsc::Producer<[u64; W]>,
    /// How many messages of the batch under way are written.
    written: usize,
}
struct Receiver<const W: usize>(spsc::Consumer<[u64; W]>);

impl<const W: usize> Sender<W> {
    #[inline(always)]
    fn reserve(&mut self) -> Option<core::ptr::NonNull<[u64; W]>> {
        // SAFETY: 2.
        if let Some(place) = unsafe { self.ring.reserve() } {
            return Some(place);
        }
        self.ring.sync();
        // SAFETY: 2.
        unsafe { self.ring.reserve() }
    }
}

impl<const W: usize> Receiver<W> {
    #[inline(always)]
    fn next(&mut self) -> Option<&[u64; W]> {
        if self.0.is_empty() {
            self.0.sync();
        }
        self.0.try_read()
    }
}

impl<const W: usize> Tx<W> for Sender<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        let Some(place) = self.reserve() else { return false };
        // SAFETY: 2.
        unsafe { place.write(*message) };
        self.ring.commit();
        true
    }
}

impl<const W: usize> Rx<W> for Receiver<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        let Some(words) = self.next() else { return false };
        *message = *words;
        self.0.finalize();
        true
    }
}

impl<const W: usize> BatchTx<W> for Sender<W> {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        while self.written < count {
            let Some(place) = self.reserve() else { return false };
            // SAFETY: 2.
            unsafe { place.write(message(first + self.written as u64)) };
            self.written += 1;
        }
        self.written = 0;
        self.ring.commit();
        true
    }
}

impl<const W: usize> BatchRx<W> for Receiver<W> {
    #[inline(always)]
    fn try_recv_batch(
        &mut self,
        max: usize,
        mut each: impl FnMut(&[u64; W]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut count = 0;
        if let Some(words) = self.next() {
            each(words)?;
            count = 1;
            while count < max {
                let Some(words) = self.0.try_read() else { break };
                each(words)?;
                count += 1;
            }
            self.0.finalize();
        }
        Ok(count)
    }
}

impl<const W: usize> PayloadTx for Sender<W> {
    #[inline(always)]
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        let Some(mut place) = self.reserve() else { return false };
        // SAFETY: 1 and 2: words of shared memory that only this side may touch until `commit`.
        fill(unsafe { place.as_mut() });
        self.ring.commit();
        true
    }
}

impl<const W: usize> PayloadRx for Receiver<W> {
    #[inline(always)]
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
        let Some(words) = self.next() else { return false };
        each(words);
        self.0.finalize();
        true
    }
}

fn pair<const W: usize>(bytes: usize) -> Result<(Sender<W>, Receiver<W>), String> {
    let slots = bytes / (8 * W);
    let size = spsc::minimum_file_size::<[u64; W]>(slots);
    let file = nameless_file(size)?;
    // SAFETY: 1.
    let ring = unsafe { spsc::Producer::create(&file, size) }.map_err(|why| why.to_string())?;
    // SAFETY: 1.
    let other = unsafe { spsc::Consumer::join(&file) }.map_err(|why| why.to_string())?;
    if ring.capacity() != slots {
        return Err(format!("{} slots instead of {slots}", ring.capacity()));
    }
    Ok((Sender { ring, written: 0 }, Receiver(other)))
}

impl Rival for Shaq {
    const NAME: &'static str = "shaq";
    const PLACE: Place = Place::Processes;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let (tx, rx) = pair::<W>(bytes)?;
        Ok(Ends::ready(tx, rx))
    }
}

impl Batched for Shaq {
    fn batch_ends<const W: usize>(
        bytes: usize,
    ) -> Result<Ends<impl BatchTx<W> + 'static, impl BatchRx<W> + 'static>, String> {
        let (tx, rx) = pair::<W>(bytes)?;
        Ok(Ends::ready(tx, rx))
    }
}

/// Payloads of `W` words, in place.
fn payload<const W: usize>(scenario: Scenario, count: u64) -> Entry {
    payload_entry(scenario, Shaq::NAME, 8 * W, count, || {
        let (tx, rx) = pair::<W>(PAYLOAD_BYTES)?;
        Ok(Ends::ready(tx, rx))
    })
}

/// Handles of the MPMC queue for one party; only one of them is used.
struct Both(mpmc::Producer<u64>, mpmc::Consumer<u64>);

impl Tx<1> for Both {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        self.0.try_write(message[0]).is_ok()
    }
}

impl Rx<1> for Both {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        let Some(word) = self.1.try_read() else { return false };
        message[0] = word;
        true
    }
}

/// Handles for `parties` of one MPMC queue of [`FEW`] slots.
fn shared(parties: usize) -> Result<Vec<Both>, String> {
    let size = mpmc::minimum_file_size::<u64>(FEW);
    let file = nameless_file(size)?;
    let failed = |why: shaq::error::Error| why.to_string();
    // SAFETY: 1.
    let first = unsafe { mpmc::Producer::<u64>::create(&file, size) }.map_err(failed)?;
    let handle = |_| {
        // SAFETY: 1.
        let tx = unsafe { mpmc::Producer::join(&file) }.map_err(failed)?;
        // SAFETY: 1.
        let rx = unsafe { mpmc::Consumer::join(&file) }.map_err(failed)?;
        Ok(Both(tx, rx))
    };
    let handles = (0..parties).map(handle).collect();
    drop(first);
    handles
}

fn take<const N: usize>(handles: Vec<Both>) -> Result<[Both; N], String> {
    handles.try_into().map_err(|_| "another number of handles".to_owned())
}

/// `pairs` producers and as many consumers. Publication in order behind a producer that lost its CPU all but stops it
/// now and then, so fewer messages a slice.
fn crowd_of(scenario: Scenario, pairs: usize) -> Entry {
    let entry = crowd_entry(scenario, Shaq::NAME, Place::Processes, pairs, shared);
    let work = Work { warm: 0, count: 256 << 10 };
    Entry { candidate: Candidate { work, check: 20 << 10, ..entry.candidate }, ..entry }
}

/// Everything of shaq beside messages one to one.
pub(crate) fn more() -> Vec<Entry> {
    vec![
        payload::<128>(Scenario::Payload1k, 8192),
        payload::<8192>(Scenario::Payload64k, 128),
        payload::<131_072>(Scenario::Payload1m, 16),
        mpmc_trips(Shaq::NAME, Place::Processes, || {
            let [tx, rx] = take(shared(2)?)?;
            Ok(Ends::ready(tx, rx))
        }),
        crowd_of(Scenario::Mpmc1p1c, 1),
        crowd_of(Scenario::Mpmc2p2c, 2),
    ]
}
