//! Two other MPMC queues over slots like ours, in shared memory between processes, so that protocols can be compared
//! and nothing else: the same 32 bytes a slot, the same words written, the same counters on lines of their own.
//!
//! [`Plain`] is Vyukov's: what ours would be without the intent, and without surviving anybody's death. [`Owned`]
//! writes the claimer's number into the slot word by compare-and-swap *before* the counter moves, so that a claim is
//! attributable without an intent; the counter is moved by whoever sees that it should (decision 0009). Both are what
//! a message costs while nobody dies; neither repairs anything.

use crate::arena::{Arena, Line, Shared};
use crate::candidate::{Build, Maker, Setup};
use crate::crowd;
use crate::duplex::{Ping, Pong};
use crate::seam::{Rx, Tx};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// A slot like ours: the word that says whose it is, length and tag, eight bytes of payload.
#[derive(Debug)]
#[repr(C, align(32))]
struct Slot {
    word: AtomicU64,
    meta: AtomicU64,
    payload: AtomicU64,
}

#[allow(unsafe_code)]
// SAFETY: three atomics and padding.
unsafe impl Shared for Slot {}

/// One party's handle.
#[derive(Debug)]
struct Handle<P> {
    slots: &'static [Slot],
    tail: &'static AtomicU64,
    head: &'static AtomicU64,
    /// The number that `Owned` signs with.
    number: u64,
    protocol: PhantomData<P>,
}

impl<P> Handle<P> {
    #[inline(always)]
    fn slot(&self, position: u64) -> &'static Slot {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    #[inline(always)]
    fn lap(&self) -> u64 {
        self.slots.len() as u64
    }
}

impl Slot {
    /// What a message of eight bytes has written: the length, tag 0, the payload.
    #[inline(always)]
    fn fill(&self, word: u64) {
        self.meta.store(8, Relaxed);
        self.payload.store(word, Relaxed);
    }

    /// Reads what `fill` wrote, the length as well.
    #[inline(always)]
    fn read(&self) -> Option<u64> {
        (self.meta.load(Relaxed) == 8).then(|| self.payload.load(Relaxed))
    }
}

/// A protocol over the slots. Positions fit 56 bits.
trait Protocol: Send + Sync + Sized + 'static {
    /// The word of a slot that is free for `position`.
    fn free(position: u64) -> u64;
    fn push(handle: &Handle<Self>, word: u64) -> bool;
    fn pop(handle: &Handle<Self>) -> Option<u64>;
}

/// Vyukov: claim by moving the counter, publish by the slot word.
#[derive(Debug)]
pub(crate) struct Plain;

impl Protocol for Plain {
    fn free(position: u64) -> u64 {
        position
    }

    #[inline(always)]
    fn push(handle: &Handle<Self>, word: u64) -> bool {
        let mut position = handle.tail.load(Relaxed);
        loop {
            let slot = handle.slot(position);
            let sequence = slot.word.load(Acquire);
            if sequence == position {
                match handle.tail.compare_exchange(position, position + 1, Relaxed, Relaxed) {
                    Ok(_) => {
                        slot.fill(word);
                        slot.word.store(position + 1, Release);
                        return true;
                    }
                    Err(now) => position = now,
                }
            } else if sequence < position {
                return false;
            } else {
                position = handle.tail.load(Relaxed);
            }
        }
    }

    #[inline(always)]
    fn pop(handle: &Handle<Self>) -> Option<u64> {
        let mut position = handle.head.load(Relaxed);
        loop {
            let slot = handle.slot(position);
            let sequence = slot.word.load(Acquire);
            if sequence == position + 1 {
                match handle.head.compare_exchange(position, position + 1, Relaxed, Relaxed) {
                    Ok(_) => {
                        let word = slot.read();
                        slot.word.store(position + handle.lap(), Release);
                        return word;
                    }
                    Err(now) => position = now,
                }
            } else if sequence <= position {
                return None;
            } else {
                position = handle.head.load(Relaxed);
            }
        }
    }
}

/// The owner in the slot: claim by a compare-and-swap of the slot word that signs it, then help the counter along.
///
/// Slot word: `position * 256 + owner * 4 + state`. For one position it goes FREE, OWNED, COMMITTED, TAKEN and then to
/// FREE of the next lap.
#[derive(Debug)]
pub(crate) struct Owned;

const OWNED: u64 = 1;
const COMMITTED: u64 = 2;
const TAKEN: u64 = 3;

impl Owned {
    #[inline(always)]
    fn word(position: u64, owner: u64, state: u64) -> u64 {
        position << 8 | owner << 2 | state
    }

    /// Whether `word` says more of `position` than `state`, or speaks of a later lap: then the counter may move on.
    #[inline(always)]
    fn is_past(word: u64, position: u64, state: u64) -> bool {
        word >> 8 > position || (word >> 8 == position && word & 3 > state)
    }

    /// Moves a counter from `position` if nobody has done so: by the claimer, or by whoever finds the slot claimed.
    #[inline(always)]
    fn advance(counter: &AtomicU64, position: u64) -> u64 {
        match counter.compare_exchange(position, position + 1, Release, Relaxed) {
            Ok(_) => position + 1,
            Err(now) => now,
        }
    }
}

impl Protocol for Owned {
    fn free(position: u64) -> u64 {
        Self::word(position, 0, 0)
    }

    #[inline(always)]
    fn push(handle: &Handle<Self>, word: u64) -> bool {
        let mut position = handle.tail.load(Acquire);
        loop {
            let slot = handle.slot(position);
            let free = Self::free(position);
            let found = slot.word.load(Acquire);
            if found == free {
                let mine = Self::word(position, handle.number, OWNED);
                if slot.word.compare_exchange(free, mine, Relaxed, Relaxed).is_ok() {
                    Self::advance(handle.tail, position);
                    slot.fill(word);
                    slot.word.store(Self::word(position, 0, COMMITTED), Release);
                    return true;
                }
            } else if Self::is_past(found, position, 0) {
                position = Self::advance(handle.tail, position);
            } else {
                return false;
            }
        }
    }

    #[inline(always)]
    fn pop(handle: &Handle<Self>) -> Option<u64> {
        let mut position = handle.head.load(Acquire);
        loop {
            let slot = handle.slot(position);
            let committed = Self::word(position, 0, COMMITTED);
            let found = slot.word.load(Acquire);
            if found == committed {
                let mine = Self::word(position, handle.number, TAKEN);
                if slot.word.compare_exchange(committed, mine, Acquire, Relaxed).is_ok() {
                    Self::advance(handle.head, position);
                    let word = slot.read();
                    slot.word.store(Self::free(position + handle.lap()), Release);
                    return word;
                }
            } else if Self::is_past(found, position, COMMITTED) {
                position = Self::advance(handle.head, position);
            } else {
                return None;
            }
        }
    }
}

impl<P: Protocol> Tx<1> for Handle<P> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        P::push(self, message[0])
    }
}

impl<P: Protocol> Rx<1> for Handle<P> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        match P::pop(self) {
            Some(word) => {
                message[0] = word;
                true
            }
            None => false,
        }
    }
}

/// The memory of one queue, from which any number of handles are made before the fork.
#[derive(Debug)]
struct Queue {
    slots: &'static [Slot],
    tail: &'static Line,
    head: &'static Line,
}

impl Queue {
    fn new<P: Protocol>(arena: &mut Arena, slots: usize) -> Result<Self, String> {
        let queue = Self { slots: arena.slice(slots)?, tail: arena.one()?, head: arena.one()? };
        for (position, slot) in (0..).zip(queue.slots) {
            slot.word.store(P::free(position), Relaxed);
        }
        Ok(queue)
    }

    fn handle<P>(&self, number: usize) -> Handle<P> {
        let (tail, head) = (&self.tail.0[0], &self.head.0[0]);
        Handle { slots: self.slots, tail, head, number: number as u64 + 1, protocol: PhantomData }
    }
}

#[expect(private_bounds, reason = "the protocols are named outside, what they do is not")]
/// Round trip: one queue of `slots` slots each way.
pub(crate) fn round_trip<P: Protocol>(slots: usize) -> Build {
    Box::new(move |arena| {
        let (out, back) = (Queue::new::<P>(arena, slots)?, Queue::new::<P>(arena, slots)?);
        let ping = Ping::<1, Handle<P>, Handle<P>>::new(out.handle(0), back.handle(0));
        let pong = Pong::<1, Handle<P>, Handle<P>>::new(back.handle(1), out.handle(1));
        let parties: Vec<Maker> = vec![Box::new(move || Ok(Box::new(ping))), Box::new(move || Ok(Box::new(pong)))];
        Ok(Setup { parties, published: None })
    })
}

#[expect(private_bounds, reason = "as above")]
/// One way: `pairs` producers and as many consumers on two CPUs.
pub(crate) fn one_way<P: Protocol>(slots: usize, pairs: usize) -> Build {
    Box::new(move |arena| {
        let queue = Queue::new::<P>(arena, slots)?;
        let party = |(number, role)| crowd::maker(role, pairs, queue.handle::<P>(number));
        Ok(Setup { parties: crowd::roles(pairs).into_iter().enumerate().map(party).collect(), published: None })
    })
}
