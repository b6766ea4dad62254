//! shmem-ipc's ring between processes, polled, without its event descriptors. Its items are words, so a message is several;
//! payloads in place.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The memory is zeroed, shared, mapped for good, and as long as said; each end goes to one party.
//! 2. A ring is a whole number of messages long and only whole messages go in and out, so the words from where the
//!    callback may begin hold whole messages, which nobody else touches until the callback returns.

use crate::channel::{Batched, Ends, Rival, payload_entry};
use crate::rivals::shared_memory;
use crate::scenario::{Entry, Scenario};
use ring_bench::kit::{BatchRx, BatchTx, Fault, PAYLOAD_BYTES, PayloadRx, PayloadTx, Place, Rx, Tx};
use ring_bench::message::message;
use shmem_ipc::ringbuf::{Receiver, Sender, channel_bufsize};

pub(crate) enum ShmemIpc {}

struct Out(Sender<u64>);
struct In(Receiver<u64>);
/// The same for payloads of so many words.
struct PayloadOut(Sender<u64>, usize);
struct PayloadIn(Receiver<u64>, usize);

impl<const W: usize> Tx<W> for Out {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        let mut sent = false;
        let done = self.0.send(|first, room| {
            if room < W {
                return 0;
            }
            // SAFETY: 2.
            unsafe { first.cast::<[u64; W]>().write(*message) };
            sent = true;
            W
        });
        done.is_ok() && sent
    }
}

impl<const W: usize> Rx<W> for In {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        let mut received = false;
        let done = self.0.recv(|first, there| {
            if there < W {
                return 0;
            }
            // SAFETY: 2.
            *message = unsafe { first.cast::<[u64; W]>().read() };
            received = true;
            W
        });
        done.is_ok() && received
    }
}

impl<const W: usize> BatchTx<W> for Out {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        let mut sent = false;
        let done = self.0.send(|place, room| {
            if room < count * W {
                return 0;
            }
            for (i, number) in (first..).take(count).enumerate() {
                // SAFETY: 2.
                let place = unsafe { place.cast::<[u64; W]>().add(i) };
                // SAFETY: 2.
                unsafe { place.write(message(number)) };
            }
            sent = true;
            count * W
        });
        done.is_ok() && sent
    }
}

impl<const W: usize> BatchRx<W> for In {
    #[inline(always)]
    fn try_recv_batch(
        &mut self,
        max: usize,
        mut each: impl FnMut(&[u64; W]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut result = Ok(0);
        let done = self.0.recv(|first, there| {
            let count = max.min(there / W);
            // SAFETY: 2.
            let messages = unsafe { core::slice::from_raw_parts(first.cast::<[u64; W]>(), count) };
            result = messages.iter().try_for_each(&mut each).map(|()| count);
            count * W
        });
        done.map_err(|why| Fault::Setup(why.to_string()))?;
        result
    }
}

impl PayloadTx for PayloadOut {
    #[inline(always)]
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        let (words, mut sent) = (self.1, false);
        let done = self.0.send(|first, room| {
            if room < words {
                return 0;
            }
            // SAFETY: 1 and 2.
            fill(unsafe { core::slice::from_raw_parts_mut(first, words) });
            sent = true;
            words
        });
        done.is_ok() && sent
    }
}

impl PayloadRx for PayloadIn {
    #[inline(always)]
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
        let (words, mut received) = (self.1, false);
        let done = self.0.recv(|first, there| {
            if there < words {
                return 0;
            }
            // SAFETY: 2.
            each(unsafe { core::slice::from_raw_parts(first, words) });
            received = true;
            words
        });
        done.is_ok() && received
    }
}

fn pair(bytes: usize) -> Result<(Sender<u64>, Receiver<u64>), String> {
    let size = channel_bufsize::<u64>(bytes / 8);
    let memory = shared_memory(size)?;
    // SAFETY: 1.
    let tx = unsafe { Sender::attach(memory, size) }.map_err(|why| why.to_string())?;
    // SAFETY: 1.
    let rx = unsafe { Receiver::attach(memory, size) }.map_err(|why| why.to_string())?;
    Ok((tx, rx))
}

impl Rival for ShmemIpc {
    const NAME: &'static str = "shmem-ipc";
    const PLACE: Place = Place::Processes;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let (tx, rx) = pair(bytes)?;
        Ok(Ends::ready(Out(tx), In(rx)))
    }
}

impl Batched for ShmemIpc {
    fn batch_ends<const W: usize>(
        bytes: usize,
    ) -> Result<Ends<impl BatchTx<W> + 'static, impl BatchRx<W> + 'static>, String> {
        let (tx, rx) = pair(bytes)?;
        Ok(Ends::ready(Out(tx), In(rx)))
    }
}

/// Whole payloads.
pub(crate) fn payloads() -> Vec<Entry> {
    let payload = |scenario, bytes: usize, count| {
        payload_entry(scenario, ShmemIpc::NAME, bytes, count, move || {
            let (tx, rx) = pair(PAYLOAD_BYTES)?;
            Ok(Ends::ready(PayloadOut(tx, bytes / 8), PayloadIn(rx, bytes / 8)))
        })
    };
    vec![
        payload(Scenario::Payload1k, 1 << 10, 8192),
        payload(Scenario::Payload64k, 64 << 10, 128),
        payload(Scenario::Payload1m, 1 << 20, 16),
    ]
}
