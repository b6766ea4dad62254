//! Ends of our rings as ends for words: word `w` travels as a message of some size, words `w, w + 1, …`, by one of the
//! ways there are. Who receives compares every word of each sender's first messages, and the first and the last one after
//! that; what the words say about order is for the bench to demand.
//!
//! # Safety
//!
//! 1. The peers of trusted handles are this program, which writes only into its own claims.
#![allow(dead_code, reason = "each bench uses its part")]
#![allow(unsafe_code)]

use super::support::queue::{Receive, Send, poll};
use super::support::{Message, assert_all, assert_number, checked, word};
use ring_bench::kit::Patience;
use ring_shm::wait::Park;
use ring_shm::{Trust, Trusted, Untrusted, mpmc, spsc};
use std::ops::Range;
use std::time::Duration;

/// The number of a sender stands above its count of messages.
pub(crate) const COUNT_BITS: u32 = 48;

/// The count in a word, from 1.
#[inline(always)]
pub(crate) fn count_of(word: u64) -> u64 {
    word & ((1 << COUNT_BITS) - 1)
}

/// After so long asleep a message was lost.
const LOST: Duration = Duration::from_secs(10);

/// One operation a message, the payload copied.
pub(crate) struct Copies;
/// One operation a message, written and read in place.
pub(crate) struct Places;
/// So many messages an operation, copied.
pub(crate) struct Batches(pub(crate) usize);
/// As [`Copies`], but a receiver sleeps at once when there is nothing.
pub(crate) struct Asleep;

/// An end and its way, for messages of one size.
pub(crate) struct Wide<H, W> {
    end: H,
    message: Message,
    way: W,
}

impl<H, W> Wide<H, W> {
    pub(crate) fn new(end: H, size: usize, way: W) -> Self {
        Self { end, message: Message::new(size), way }
    }
}

impl<T: Trust> Wide<mpmc::Consumer<T>, Asleep> {
    pub(crate) fn asleep(mut end: mpmc::Consumer<T>, size: usize) -> Self {
        end.set_wait_strategy(Park::after(Duration::ZERO));
        Self::new(end, size, Asleep)
    }
}

/// This program is its own peer.
pub(crate) fn believing_producer(tx: mpmc::Producer<Untrusted>) -> mpmc::Producer<Trusted> {
    // SAFETY: 1.
    unsafe { tx.trust_peers() }
}

/// The same.
pub(crate) fn believing_consumer(rx: mpmc::Consumer<Untrusted>) -> mpmc::Consumer<Trusted> {
    // SAFETY: 1.
    unsafe { rx.trust_peers() }
}

/// The word that a message stands for, once the others are what it says.
#[inline(always)]
fn verified(bytes: &[u8]) -> u64 {
    let word = word(bytes, 0);
    if count_of(word) <= checked(bytes.len()) {
        assert_all(bytes, word);
    } else {
        assert_number(bytes, word);
    }
    word
}

/// What was done; `None` where there is a reason to try again.
macro_rules! tried {
    ($again:pat, $result:expr) => {
        match $result {
            Ok(done) => Some(done),
            Err($again) => None,
            Err(error) => panic!("{error}"),
        }
    };
}

macro_rules! copies {
    ($kind:ident, $full:pat, $empty:pat) => {
        impl<T: Trust> Send for Wide<$kind::Producer<T>, Copies> {
            #[inline(always)]
            fn send(&mut self, word: u64) {
                let payload = self.message.fill(word);
                poll(|| tried!($full, self.end.try_send(0, payload)));
            }
        }

        impl<T: Trust> Receive for Wide<$kind::Consumer<T>, Copies> {
            #[inline(always)]
            fn try_each(&mut self, mut see: impl FnMut(u64)) -> bool {
                let Some(received) = tried!($empty, self.end.try_recv_into(self.message.bytes())) else {
                    return false;
                };
                assert_eq!(received.len, self.message.bytes().len());
                see(verified(self.message.bytes()));
                true
            }
        }
    };
}

copies!(spsc, spsc::TrySendError::Full, spsc::TryRecvError::Empty);
copies!(
    mpmc,
    mpmc::TrySendError::Full | mpmc::TrySendError::Busy { .. },
    mpmc::TryRecvError::Empty | mpmc::TryRecvError::Busy { .. }
);

impl<T: Trust> Receive for Wide<mpmc::Consumer<T>, Asleep> {
    #[inline(always)]
    fn try_each(&mut self, mut see: impl FnMut(u64)) -> bool {
        let received = self.end.recv_into_timeout(self.message.bytes(), LOST).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(received.len, self.message.bytes().len());
        see(verified(self.message.bytes()));
        true
    }
}

/// Claims, polling. A claim borrows the handle, so that no closure can give it out.
macro_rules! claimed {
    ($claim:expr) => {{
        let (mut patience, mut tries) = (Patience::new(), 0);
        loop {
            match $claim {
                Ok(claim) => break claim,
                Err(mpmc::TrySendError::Full | mpmc::TrySendError::Busy { .. }) => {
                    patience.miss_crowded(&mut tries).expect("a consumer");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }};
}

impl Send for Wide<mpmc::Producer<Trusted>, Places> {
    #[inline(always)]
    fn send(&mut self, word: u64) {
        let size = self.message.bytes().len();
        let mut claim = claimed!(self.end.try_claim(size));
        Message::fill_slice(&mut claim, word);
        claim.commit();
    }
}

impl Receive for Wide<mpmc::Consumer<Trusted>, Places> {
    #[inline(always)]
    fn try_each(&mut self, mut see: impl FnMut(u64)) -> bool {
        let Some(record) = tried!(mpmc::TryRecvError::Empty | mpmc::TryRecvError::Busy { .. }, self.end.try_read())
        else {
            return false;
        };
        assert_eq!(record.len(), self.message.bytes().len());
        see(verified(&record));
        true
    }
}

impl<T: Trust> Send for Wide<mpmc::Producer<T>, Batches> {
    fn send(&mut self, word: u64) {
        self.send_all(word..word + 1);
    }

    #[inline(always)]
    fn send_all(&mut self, words: Range<u64>) {
        let (mut next, size) = (words.start, self.message.bytes().len());
        while next < words.end {
            let wanted = self.way.0.min((words.end - next) as usize);
            let mut claims = claimed!(self.end.try_claim_batch_exact(wanted, size));
            for word in (next..).take(wanted) {
                claims.push(0, self.message.fill(word)).expect("room for what was claimed");
            }
            assert_eq!(claims.commit(), wanted);
            next += wanted as u64;
        }
    }
}

impl<T: Trust> Receive for Wide<mpmc::Consumer<T>, Batches> {
    #[inline(always)]
    fn try_each(&mut self, mut see: impl FnMut(u64)) -> bool {
        let batch = self.end.try_read_batch(self.way.0);
        let Some(mut batch) = tried!(mpmc::TryRecvError::Empty | mpmc::TryRecvError::Busy { .. }, batch) else {
            return false;
        };
        let size = self.message.bytes().len();
        while let Some(record) = batch.next_record() {
            assert_eq!((record.len(), record.copy_to(self.message.bytes())), (size, size));
            see(verified(self.message.bytes()));
        }
        batch.release();
        true
    }
}
