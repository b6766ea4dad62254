//! The rivals that live in one process: rtrb (SPSC), crossbeam's `ArrayQueue` and a plain Vyukov queue (MPMC).
//!
//! Each is used as its documentation shows it, nothing tuned and nothing left out. They are allowed threads; ours
//! runs between processes.

use crate::candidate::{Build, Maker, Setup};
use crate::crowd;
use crate::duplex::{Ping, Pong};
use crate::message::message;
use crate::seam::{BatchRx, BatchTx, Fault, Part, Rx, Tx};
use crate::stream::{BatchDrain, BatchSource, Drain, Source};
use crate::vyukov::Vyukov;
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

fn maker(part: impl Part + 'static) -> Maker {
    Box::new(move || Ok(Box::new(part)))
}

fn setup(parties: Vec<Maker>) -> Result<Setup, String> {
    Ok(Setup { parties, published: None })
}

pub(crate) struct RtrbTx<const W: usize>(pub(crate) rtrb::Producer<[u64; W]>);
pub(crate) struct RtrbRx<const W: usize>(pub(crate) rtrb::Consumer<[u64; W]>);

impl<const W: usize> Tx<W> for RtrbTx<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.0.push(*message).is_ok()
    }
}

impl<const W: usize> Rx<W> for RtrbRx<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        match self.0.pop() {
            Ok(words) => {
                *message = words;
                true
            }
            Err(_) => false,
        }
    }
}

impl<const W: usize> BatchTx<W> for RtrbTx<W> {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        match self.0.write_chunk_uninit(count) {
            Ok(chunk) => chunk.fill_from_iter((first..).take(count).map(message::<W>)) == count,
            Err(_) => false,
        }
    }
}

impl<const W: usize> BatchRx<W> for RtrbRx<W> {
    #[inline(always)]
    fn try_recv_batch(
        &mut self,
        max: usize,
        mut each: impl FnMut(&[u64; W]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        // Whole chunks only: taking whatever is there makes the two sides meet on half-written lines and was slower.
        match self.0.read_chunk(max) {
            Ok(chunk) => {
                let (first, second) = chunk.as_slices();
                first.iter().try_for_each(&mut each)?;
                second.iter().try_for_each(&mut each)?;
                chunk.commit_all();
                Ok(max)
            }
            Err(_) => Ok(0),
        }
    }
}

/// rtrb round trip: one ring of `slots` slots each way.
pub(crate) fn rtrb_round_trip<const W: usize>(slots: usize) -> Build {
    Box::new(move |_| {
        let (out_tx, out_rx) = rtrb::RingBuffer::new(slots);
        let (back_tx, back_rx) = rtrb::RingBuffer::new(slots);
        let ping = Ping::<W, _, _>::new(RtrbTx(out_tx), RtrbRx(back_rx));
        let pong = Pong::<W, _, _>::new(RtrbTx(back_tx), RtrbRx(out_rx));
        setup(vec![maker(ping), maker(pong)])
    })
}

/// rtrb one way, `push` and `pop`.
pub(crate) fn rtrb_one_way<const W: usize>(slots: usize) -> Build {
    Box::new(move |_| {
        let (tx, rx) = rtrb::RingBuffer::new(slots);
        setup(vec![maker(Source::<W, _>::new(RtrbTx(tx))), maker(Drain::<W, _>::new(RtrbRx(rx)))])
    })
}

/// rtrb one way, chunks of `batch`.
pub(crate) fn rtrb_batch<const W: usize>(slots: usize, batch: usize) -> Build {
    Box::new(move |_| {
        let (tx, rx) = rtrb::RingBuffer::new(slots);
        let source = BatchSource::<W, _>::new(RtrbTx(tx), batch);
        setup(vec![maker(source), maker(BatchDrain::<W, _>::new(RtrbRx(rx), batch))])
    })
}

/// One handle of a queue that any number of threads share; both ends at once.
#[derive(Debug)]
pub(crate) struct Both<Q>(pub(crate) Arc<Q>);

impl<Q> Clone for Both<Q> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The two MPMC rivals, so that their scenarios are written once. Messages are single words.
pub(crate) trait Shared: Send + Sync + 'static {
    fn with_slots(slots: usize) -> Self;
    fn push(&self, word: u64) -> bool;
    fn pop(&self) -> Option<u64>;
}

impl Shared for ArrayQueue<u64> {
    fn with_slots(slots: usize) -> Self {
        Self::new(slots)
    }
    #[inline(always)]
    fn push(&self, word: u64) -> bool {
        self.push(word).is_ok()
    }
    #[inline(always)]
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
}

/// Slots as wide as ours: the word, and what our header takes.
impl Shared for ArrayQueue<[u64; 3]> {
    fn with_slots(slots: usize) -> Self {
        Self::new(slots)
    }
    #[inline(always)]
    fn push(&self, word: u64) -> bool {
        self.push([word; 3]).is_ok()
    }
    #[inline(always)]
    fn pop(&self) -> Option<u64> {
        Some(self.pop()?[0])
    }
}

impl Shared for Vyukov<u64> {
    fn with_slots(slots: usize) -> Self {
        Self::new(slots)
    }
    #[inline(always)]
    fn push(&self, word: u64) -> bool {
        self.try_push(word)
    }
    #[inline(always)]
    fn pop(&self) -> Option<u64> {
        self.try_pop()
    }
}

impl<Q: Shared> Tx<1> for Both<Q> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        self.0.push(message[0])
    }
}

impl<Q: Shared> Rx<1> for Both<Q> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        match self.0.pop() {
            Some(word) => {
                message[0] = word;
                true
            }
            None => false,
        }
    }
}

/// An MPMC rival's round trip: one queue each way, one thread at each end.
pub(crate) fn shared_round_trip<Q: Shared>(slots: usize) -> Build {
    Box::new(move |_| {
        let (out, back) = (Both(Arc::new(Q::with_slots(slots))), Both(Arc::new(Q::with_slots(slots))));
        let ping = Ping::<1, _, _>::new(out.clone(), back.clone());
        setup(vec![maker(ping), maker(Pong::<1, _, _>::new(back, out))])
    })
}

/// An MPMC rival one way: `pairs` producers and as many consumers on two CPUs.
pub(crate) fn shared_one_way<Q: Shared>(slots: usize, pairs: usize) -> Build {
    Box::new(move |_| {
        let queue = Both(Arc::new(Q::with_slots(slots)));
        let roles = crowd::roles(pairs).into_iter();
        setup(roles.map(|role| crowd::maker(role, pairs, queue.clone())).collect())
    })
}
