//! One way through a ring of ours by any of its ways: copies, batches of copies, slices in place. The last message of a
//! measurement has a tag, and its receiver answers it through a ring of the other direction: so a measurement ends when
//! everything has arrived, between threads and processes alike.
//!
//! # Safety
//!
//! 1. The peers of trusted handles are this program, which writes only into its own claims.

use super::support::{Message, assert_all, assert_number, checked, recv, send};
use ring_shm::spsc::{self, Consumer, Producer, TryRecvError};
use ring_shm::{Trust, Trusted, Untrusted};
use std::time::{Duration, Instant};

/// The tag of a message that is to be answered.
const LAST: u32 = 1;

/// How messages go in and out.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Copy,
    Place,
    Batch(usize),
}

impl Way {
    /// As a word of a child's job.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Copy => "copy".to_owned(),
            Self::Place => "place".to_owned(),
            Self::Batch(count) => count.to_string(),
        }
    }

    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "copy" => Self::Copy,
            "place" => Self::Place,
            count => Self::Batch(count.parse().expect("a number of messages")),
        }
    }
}

/// Sends the messages after the first number, so many of them.
type Send = Box<dyn FnMut(u64, u64)>;

fn tag(number: u64, last: u64) -> u32 {
    if number == last { LAST } else { 0 }
}

/// Nothing but a full ring is a reason to wait.
fn until_room<T>(mut claim: impl FnMut() -> Result<T, spsc::TrySendError>) -> T {
    loop {
        match claim() {
            Ok(claim) => return claim,
            Err(error) => assert_eq!(error, spsc::TrySendError::Full),
        }
        core::hint::spin_loop();
    }
}

fn send_copies<T: Trust + 'static>(mut tx: Producer<T>, size: usize) -> Send {
    let mut message = Message::new(size);
    Box::new(move |from, count| {
        for number in from + 1..=from + count {
            let payload = message.fill(number);
            until_room(|| tx.try_send(tag(number, from + count), payload));
        }
    })
}

fn send_batches<T: Trust + 'static>(mut tx: Producer<T>, size: usize, batch: usize) -> Send {
    let mut message = Message::new(size);
    Box::new(move |from, count| {
        let (mut next, last) = (from + 1, from + count);
        while next <= last {
            let wanted = batch.min((last + 1 - next) as usize);
            // A claim borrows the handle, so the loop cannot give it out.
            let mut claims = loop {
                match tx.try_claim_batch_exact(wanted, size) {
                    Ok(claims) => break claims,
                    Err(error) => assert_eq!(error, spsc::TrySendError::Full),
                }
                core::hint::spin_loop();
            };
            for number in (next..).take(wanted) {
                claims.push(tag(number, last), message.fill(number)).expect("room for what was claimed");
            }
            assert_eq!(claims.commit(), wanted);
            next += wanted as u64;
        }
    })
}

fn send_in_place(mut tx: Producer<Trusted>, size: usize) -> Send {
    Box::new(move |from, count| {
        for number in from + 1..=from + count {
            let mut claim = loop {
                match tx.try_claim(size) {
                    Ok(claim) => break claim,
                    Err(error) => assert_eq!(error, spsc::TrySendError::Full),
                }
                core::hint::spin_loop();
            };
            Message::fill_slice(&mut claim, number);
            claim.set_tag(tag(number, from + count));
            claim.commit();
        }
    })
}

/// What has come so far, and whom to tell.
struct Seen<T: Trust> {
    number: u64,
    size: usize,
    back: Producer<T>,
}

impl<T: Trust> Seen<T> {
    #[inline(always)]
    fn see(&mut self, tag: u32, bytes: &[u8]) {
        self.number += 1;
        assert_eq!(bytes.len(), self.size);
        if self.number <= checked(self.size) {
            assert_all(bytes, self.number);
        } else {
            assert_number(bytes, self.number);
        }
        if tag == LAST {
            send(&mut self.back, &self.number.to_le_bytes());
        }
    }
}

/// False when nothing will come any more.
fn wait(error: TryRecvError) -> bool {
    match error {
        TryRecvError::Empty => core::hint::spin_loop(),
        TryRecvError::Disconnected | TryRecvError::PeerDied => return false,
        error => panic!("{error}"),
    }
    true
}

fn receive_copies<T: Trust>(mut rx: Consumer<T>, mut seen: Seen<T>) {
    let mut message = Message::new(seen.size);
    loop {
        match rx.try_recv_into(message.bytes()) {
            Ok(received) => {
                assert_eq!(received.len, seen.size);
                seen.see(received.tag, message.bytes());
            }
            Err(error) => {
                if !wait(error) {
                    return;
                }
            }
        }
    }
}

fn receive_batches<T: Trust>(mut rx: Consumer<T>, mut seen: Seen<T>, most: usize) {
    let mut message = Message::new(seen.size);
    loop {
        match rx.try_read_batch(most) {
            Ok(mut batch) => {
                while let Some(record) = batch.next_record() {
                    assert_eq!(record.copy_to(message.bytes()), record.len());
                    seen.see(record.tag(), message.bytes());
                }
                batch.release();
            }
            Err(error) => {
                if !wait(error) {
                    return;
                }
            }
        }
    }
}

fn receive_in_place(mut rx: Consumer<Trusted>, mut seen: Seen<Trusted>) {
    loop {
        match rx.try_read() {
            Ok(record) => seen.see(record.tag(), &record),
            Err(error) => {
                if !wait(error) {
                    return;
                }
            }
        }
    }
}

/// Handles whose peers are believed, or not: the same ways for both.
pub(crate) trait Ends: Trust + Sized + 'static {
    fn sender(tx: Producer<Self>, size: usize, way: Way) -> Send;
    fn receive(rx: Consumer<Self>, back: Producer<Self>, size: usize, way: Way);
}

impl Ends for Trusted {
    fn sender(tx: Producer<Self>, size: usize, way: Way) -> Send {
        match way {
            Way::Copy => send_copies(tx, size),
            Way::Place => send_in_place(tx, size),
            Way::Batch(count) => send_batches(tx, size, count),
        }
    }

    fn receive(rx: Consumer<Self>, back: Producer<Self>, size: usize, way: Way) {
        let seen = Seen { number: 0, size, back };
        match way {
            Way::Copy => receive_copies(rx, seen),
            Way::Place => receive_in_place(rx, seen),
            Way::Batch(count) => receive_batches(rx, seen, count),
        }
    }
}

impl Ends for Untrusted {
    fn sender(tx: Producer<Self>, size: usize, way: Way) -> Send {
        match way {
            Way::Copy => send_copies(tx, size),
            // SAFETY: 1.
            Way::Place => send_in_place(unsafe { tx.trust_peers() }, size),
            Way::Batch(count) => send_batches(tx, size, count),
        }
    }

    fn receive(rx: Consumer<Self>, back: Producer<Self>, size: usize, way: Way) {
        if let Way::Place = way {
            // SAFETY: 1.
            let rx = unsafe { rx.trust_peers() };
            // SAFETY: 1.
            let back = unsafe { back.trust_peers() };
            return receive_in_place(rx, Seen { number: 0, size, back });
        }
        let seen = Seen { number: 0, size, back };
        match way {
            Way::Batch(count) => receive_batches(rx, seen, count),
            _ => receive_copies(rx, seen),
        }
    }
}

/// Checks every word of the first messages, then times; `back` brings the answers.
pub(crate) fn measure<T: Ends>(
    b: &mut criterion::Bencher<'_>,
    size: usize,
    way: Way,
    tx: Producer<T>,
    mut back: Consumer<T>,
) {
    let (mut send, mut from, mut answer) = (T::sender(tx, size, way), 0, Message::new(8));
    let mut run = |count: u64| -> Duration {
        let start = Instant::now();
        send(from, count);
        from += count;
        assert!(recv(&mut back, &mut answer), "the receiver has gone");
        let elapsed = start.elapsed();
        answer.assert_all(from);
        elapsed
    };
    run(checked(size));
    b.iter_custom(run);
}
