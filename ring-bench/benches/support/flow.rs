//! One way through a ring of ours by any of its ways: copies, batches of copies, slices in place. The last message of a
//! measurement has a tag, and its receiver answers it through a ring of the other direction: so a measurement ends when
//! everything has arrived, between threads and processes alike.
//!
//! # Safety
//!
//! 1. The peers of trusted handles are this program, which writes only into its own claims.

use super::support::{Message, Way, assert_all, assert_number, checked, is_over, recv, send, wait_for_room};
use ring_bench::kit::Patience;
use ring_shm::spsc::{Consumer, Producer};
use ring_shm::{Trust, Trusted, Untrusted};
use std::time::{Duration, Instant};

/// The tag of a message that is to be answered.
const LAST: u32 = 1;

/// Sends the messages after the first number, so many of them.
type Send = Box<dyn FnMut(u64, u64)>;

fn tag(number: u64, last: u64) -> u32 {
    if number == last { LAST } else { 0 }
}

fn send_copies<T: Trust + 'static>(mut tx: Producer<T>, size: usize) -> Send {
    let mut message = Message::new(size);
    Box::new(move |from, count| {
        for number in from + 1..=from + count {
            send(&mut tx, tag(number, from + count), message.fill(number));
        }
    })
}

fn send_batches<T: Trust + 'static>(mut tx: Producer<T>, size: usize, batch: usize) -> Send {
    let mut message = Message::new(size);
    Box::new(move |from, count| {
        let (mut next, last) = (from + 1, from + count);
        while next <= last {
            let wanted = batch.min((last + 1 - next) as usize);
            // A claim borrows the handle, so no closure can give it out.
            let mut patience = Patience::new();
            let mut claims = loop {
                match tx.try_claim_batch_exact(wanted, size) {
                    Ok(claims) => break claims,
                    Err(error) => wait_for_room(error, &mut patience),
                }
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
            let mut patience = Patience::new();
            let mut claim = loop {
                match tx.try_claim(size) {
                    Ok(claim) => break claim,
                    Err(error) => wait_for_room(error, &mut patience),
                }
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
            send(&mut self.back, 0, &self.number.to_le_bytes());
        }
    }
}

fn receive_copies<T: Trust>(mut rx: Consumer<T>, mut seen: Seen<T>) {
    let mut message = Message::new(seen.size);
    loop {
        match rx.try_recv_into(message.bytes()) {
            Ok(received) => {
                assert_eq!(received.len, seen.size);
                seen.see(received.tag, message.bytes());
            }
            Err(error) if is_over(error) => return,
            Err(_) => core::hint::spin_loop(),
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
            Err(error) if is_over(error) => return,
            Err(_) => core::hint::spin_loop(),
        }
    }
}

fn receive_in_place<T: Trust>(mut rx: Consumer<Trusted>, mut seen: Seen<T>) {
    loop {
        match rx.try_read() {
            Ok(record) => seen.see(record.tag(), &record),
            Err(error) if is_over(error) => return,
            Err(_) => core::hint::spin_loop(),
        }
    }
}

/// Handles whose peers are believed, or not; slices in place are of those who believe.
pub(crate) trait Ends: Trust + Sized + 'static {
    fn believe_producer(tx: Producer<Self>) -> Producer<Trusted>;
    fn believe_consumer(rx: Consumer<Self>) -> Consumer<Trusted>;
}

impl Ends for Trusted {
    fn believe_producer(tx: Producer<Self>) -> Producer<Trusted> {
        tx
    }

    fn believe_consumer(rx: Consumer<Self>) -> Consumer<Trusted> {
        rx
    }
}

impl Ends for Untrusted {
    fn believe_producer(tx: Producer<Self>) -> Producer<Trusted> {
        // SAFETY: 1.
        unsafe { tx.trust_peers() }
    }

    fn believe_consumer(rx: Consumer<Self>) -> Consumer<Trusted> {
        // SAFETY: 1.
        unsafe { rx.trust_peers() }
    }
}

fn sender<T: Ends>(tx: Producer<T>, size: usize, way: Way) -> Send {
    match way {
        Way::Copy => send_copies(tx, size),
        Way::Place => send_in_place(T::believe_producer(tx), size),
        Way::Batch(count) => send_batches(tx, size, count),
    }
}

/// Receives, and answers the last of each measurement, until the sender has gone.
pub(crate) fn receive<T: Ends>(rx: Consumer<T>, back: Producer<T>, size: usize, way: Way) {
    let seen = Seen { number: 0, size, back };
    match way {
        Way::Copy => receive_copies(rx, seen),
        Way::Place => receive_in_place(T::believe_consumer(rx), seen),
        Way::Batch(count) => receive_batches(rx, seen, count),
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
    let (mut send, mut from, mut answer) = (sender(tx, size, way), 0, Message::new(8));
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
