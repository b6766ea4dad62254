//! Operations on messages, between their marks, for both kinds of ring.

use ring_shm::{mpmc, spsc};

use crate::Failure;
use crate::message::ALIKE_LEN;
use crate::operation::{Env, Opens as _, Operation, Who};
use crate::page::{Outcome, ROOM, Stage as Hand};
use crate::past;
use crate::stage::{MPMC, SPSC, Shape, TRAINS};
use crate::trace::mark;

/// Messages of a batch.
const BATCH: usize = 3;

/// Those that both kinds have under the same names.
macro_rules! operations {
    ($module:ident, $kind:ident) => {
        mod $module {
            use super::*;
            use $kind::{Consumer, Producer};

            pub(crate) fn send(env: &Env<'_>) -> Result<(), Failure> {
                let (mut tx, message) = (Producer::open_in(env)?, env.message(0));
                mark();
                env.sent(1, tx.try_send(message.tag(), message.bytes()));
                mark();
                Ok(())
            }

            pub(crate) fn claim(env: &Env<'_>) -> Result<(), Failure> {
                let (mut tx, message) = (Producer::open_in(env)?, env.message(0));
                let (first, second) = message.bytes().split_at(5);
                mark();
                match tx.try_claim(first.len() + second.len()) {
                    Ok(mut claim) => {
                        claim.set_tag(message.tag());
                        claim.write(first);
                        claim.write(second);
                        env.sent(1, Ok::<_, $kind::TrySendError>(claim.commit()));
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            /// Claims more than it sends.
            pub(crate) fn short_claim(env: &Env<'_>) -> Result<(), Failure> {
                let (mut tx, message) = (Producer::open_in(env)?, env.message(0));
                mark();
                match tx.try_claim(40) {
                    Ok(mut claim) => {
                        claim.set_tag(message.tag());
                        claim.write(message.bytes());
                        claim.truncate(message.bytes().len());
                        env.sent(1, Ok::<_, $kind::TrySendError>(claim.commit()));
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            pub(crate) fn abort(env: &Env<'_>) -> Result<(), Failure> {
                let (mut tx, message) = (Producer::open_in(env)?, env.message(9));
                mark();
                match tx.try_claim(message.bytes().len()) {
                    Ok(mut claim) => {
                        claim.set_tag(message.tag());
                        claim.write(message.bytes());
                        claim.abort();
                        env.page.ended(Outcome::Done);
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            pub(crate) fn batch(env: &Env<'_>) -> Result<(), Failure> {
                let mut tx = Producer::open_in(env)?;
                let messages: [_; BATCH] = std::array::from_fn(|seq| env.message(seq));
                mark();
                match tx.try_claim_batch_exact(BATCH, 40) {
                    Ok(mut batch) => {
                        for message in &messages {
                            batch.push(message.tag(), message.bytes())?;
                        }
                        let count = batch.commit();
                        env.sent(count, Ok::<_, $kind::TrySendError>(()));
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            pub(crate) fn abort_batch(env: &Env<'_>) -> Result<(), Failure> {
                let (mut tx, message) = (Producer::open_in(env)?, env.message(9));
                mark();
                match tx.try_claim_batch_exact(2, 40) {
                    Ok(mut batch) => {
                        batch.push(message.tag(), message.bytes())?;
                        batch.abort();
                        env.page.ended(Outcome::Done);
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            pub(crate) fn recv(env: &Env<'_>) -> Result<(), Failure> {
                let mut rx = Consumer::open_in(env)?;
                env.page.stage(0, Hand::Copying);
                mark();
                match rx.try_recv_into(env.page.room(0)) {
                    Ok(got) => {
                        env.page.seen(0, got.tag, got.len, got.redelivered, Hand::Done);
                        env.page.ended(Outcome::Done);
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            pub(crate) fn read(env: &Env<'_>) -> Result<(), Failure> {
                let mut rx = Consumer::open_in(env)?;
                mark();
                match rx.try_read() {
                    Ok(record) => {
                        record.copy_to(env.page.room(0));
                        env.page.seen(0, record.tag(), record.len(), record.redelivered(), Hand::Seen);
                        env.page.stage(0, Hand::Releasing);
                        record.release();
                        env.page.stage(0, Hand::Done);
                        env.page.ended(Outcome::Done);
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            pub(crate) fn keep(env: &Env<'_>) -> Result<(), Failure> {
                let mut rx = Consumer::open_in(env)?;
                mark();
                match rx.try_read() {
                    Ok(record) => {
                        record.copy_to(env.page.room(0));
                        env.page.seen(0, record.tag(), record.len(), record.redelivered(), Hand::Seen);
                        env.page.stage(0, Hand::Keeping);
                        record.keep();
                        env.page.ended(Outcome::Done);
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }

            pub(crate) fn read_batch(env: &Env<'_>) -> Result<(), Failure> {
                let mut rx = Consumer::open_in(env)?;
                mark();
                match rx.try_read_batch(BATCH) {
                    Ok(mut batch) => {
                        let mut count = 0;
                        while let Some(record) = batch.next_record() {
                            record.copy_to(env.page.room(count));
                            let flagged = record.redelivered();
                            env.page.seen(count, record.tag(), record.len(), flagged, Hand::Seen);
                            count += 1;
                        }
                        (0..count).for_each(|index| env.page.stage(index, Hand::Releasing));
                        batch.release();
                        (0..count).for_each(|index| env.page.stage(index, Hand::Done));
                        env.page.ended(Outcome::Done);
                    }
                    Err(e) => env.refused(e),
                }
                mark();
                Ok(())
            }
        }
    };
}
operations!(on_spsc, spsc);
operations!(on_mpmc, mpmc);

/// The second one of the ring, which padding lies before.
fn recv_second(env: &Env<'_>) -> Result<(), Failure> {
    let mut rx = spsc::Consumer::open(env.name)?;
    let got = rx.try_recv_into(env.page.room(0))?;
    env.page.seen(0, got.tag, got.len, got.redelivered, Hand::Done);
    // The end of the session before it.
    let more = rx.try_recv_into(&mut [0; 1]);
    if !matches!(more, Err(spsc::TryRecvError::BufferTooSmall { .. } | spsc::TryRecvError::Disconnected)) {
        return Err(format!("no second message: {more:?}").into());
    }
    env.page.stage(1, Hand::Copying);
    mark();
    match rx.try_recv_into(env.page.room(1)) {
        Ok(got) => {
            env.page.seen(1, got.tag, got.len, got.redelivered, Hand::Done);
            env.page.ended(Outcome::Done);
        }
        Err(e) => env.refused(e),
    }
    mark();
    Ok(())
}

/// Messages that go into one train, by one commit.
fn train(env: &Env<'_>) -> Result<(), Failure> {
    let mut tx = spsc::Producer::open_in(env)?;
    let messages: [_; BATCH] = std::array::from_fn(|seq| env.message(seq));
    mark();
    match tx.try_claim_batch_exact(BATCH, ALIKE_LEN) {
        Ok(mut batch) => {
            let mut at = [0; BATCH];
            for (at, message) in at.iter_mut().zip(&messages) {
                *at = batch.push(message.tag(), message.bytes())?.get();
            }
            let count = batch.commit();
            env.sent(count, Ok::<_, spsc::TrySendError>(()));
            if at != [at[0], at[0] + 8, at[0] + 16] {
                env.page.ended(Outcome::Wrong); // no train
            }
        }
        Err(e) => env.refused(e),
    }
    mark();
    Ok(())
}

/// Three messages, which may be those of a train, one by one.
fn recv_three(env: &Env<'_>) -> Result<(), Failure> {
    let mut rx = spsc::Consumer::open_in(env)?;
    mark();
    for index in 0..BATCH {
        env.page.stage(index, Hand::Copying);
        match rx.try_recv_into(env.page.room(index)) {
            Ok(got) => env.page.seen(index, got.tag, got.len, got.redelivered, Hand::Done),
            Err(e) => {
                env.refused(e);
                break;
            }
        }
        env.page.ended(Outcome::Done);
    }
    mark();
    Ok(())
}

/// The same in place.
fn read_three(env: &Env<'_>) -> Result<(), Failure> {
    let mut rx = spsc::Consumer::open_in(env)?;
    mark();
    for index in 0..BATCH {
        match rx.try_read() {
            Ok(record) => {
                record.copy_to(env.page.room(index));
                env.page.seen(index, record.tag(), record.len(), record.redelivered(), Hand::Seen);
                env.page.stage(index, Hand::Releasing);
                record.release();
                env.page.stage(index, Hand::Done);
            }
            Err(e) => {
                env.refused(e);
                break;
            }
        }
        env.page.ended(Outcome::Done);
    }
    mark();
    Ok(())
}

/// Two batches of two, of which the first ends inside a train of three.
fn read_twos(env: &Env<'_>) -> Result<(), Failure> {
    let mut rx = spsc::Consumer::open_in(env)?;
    mark();
    let mut count = 0;
    for _ in 0..2 {
        match rx.try_read_batch(2) {
            Ok(mut batch) => {
                let first = count;
                while let Some(record) = batch.next_record() {
                    record.copy_to(env.page.room(count));
                    env.page.seen(count, record.tag(), record.len(), record.redelivered(), Hand::Seen);
                    count += 1;
                }
                (first..count).for_each(|index| env.page.stage(index, Hand::Releasing));
                batch.release();
                (first..count).for_each(|index| env.page.stage(index, Hand::Done));
                env.page.ended(Outcome::Done);
            }
            Err(e) => env.refused(e),
        }
    }
    mark();
    Ok(())
}

const _: () = assert!(ROOM >= crate::message::MAX);

const fn lazy(shape: Shape) -> Shape {
    Shape { every: 64, ..shape }
}

pub(crate) const ONE_PRODUCER: Shape = Shape { single: (true, false), ..MPMC };
pub(crate) const ONE_CONSUMER: Shape = Shape { single: (false, true), ..MPMC };
const AT_MOST_ONCE: Shape = Shape { at_most_once: true, ..MPMC };

/// All of them.
pub(crate) const ALL: &[Operation] = {
    use Who::{Consumer, Producer};
    &[
        Operation::new("spsc-send", SPSC, Producer, past::some, on_spsc::send).sends(1),
        Operation::new("spsc-send-padding", SPSC, Producer, past::padding_next, on_spsc::send).sends(1),
        Operation::new("spsc-claim-commit", SPSC, Producer, past::some, on_spsc::claim).sends(1),
        Operation::new("spsc-claim-padding", SPSC, Producer, past::padding_next, on_spsc::claim).sends(1),
        Operation::new("spsc-claim-truncate", SPSC, Producer, past::some, on_spsc::short_claim).sends(1),
        Operation::new("spsc-claim-abort", SPSC, Producer, past::some, on_spsc::abort),
        Operation::new("spsc-batch-commit", SPSC, Producer, past::one, on_spsc::batch).sends(BATCH),
        Operation::new("spsc-batch-padding", SPSC, Producer, past::padding_next, on_spsc::batch).sends(BATCH),
        Operation::new("spsc-batch-across", SPSC, Producer, past::padding_second, on_spsc::batch).sends(BATCH),
        Operation::new("spsc-batch-abort", SPSC, Producer, past::one, on_spsc::abort_batch),
        Operation::new("spsc-recv", SPSC, Consumer, past::some, on_spsc::recv),
        Operation::new("spsc-recv-lazy", lazy(SPSC), Consumer, past::some, on_spsc::recv),
        Operation::new("spsc-recv-padding", SPSC, Consumer, past::around_the_end, recv_second),
        Operation::new("spsc-read-release", SPSC, Consumer, past::some, on_spsc::read),
        Operation::new("spsc-read-lazy", lazy(SPSC), Consumer, past::some, on_spsc::read),
        Operation::new("spsc-read-keep", SPSC, Consumer, past::some, on_spsc::keep),
        Operation::new("spsc-read-batch", SPSC, Consumer, past::some, on_spsc::read_batch),
        Operation::new("spsc-read-batch-padding", SPSC, Consumer, past::around_the_end, on_spsc::read_batch),
        Operation::new("spsc-train-commit", TRAINS, Producer, past::one, train).sends(BATCH),
        Operation::new("spsc-train-padding", TRAINS, Producer, past::eight_left, train).sends(BATCH),
        Operation::new("spsc-send-behind-train", TRAINS, Producer, past::half_taken, on_spsc::send).sends(1),
        Operation::new("spsc-train-recv", TRAINS, Consumer, past::train, recv_three),
        Operation::new("spsc-train-recv-lazy", lazy(TRAINS), Consumer, past::train, recv_three),
        Operation::new("spsc-train-read", TRAINS, Consumer, past::train, read_three),
        Operation::new("spsc-train-read-batch", TRAINS, Consumer, past::train, read_twos),
        Operation::new("spsc-train-adopt", TRAINS, Consumer, past::dead_in_train, read_three),
        Operation::new("mpmc-send", MPMC, Producer, past::some, on_mpmc::send).sends(1),
        Operation::new("mpmc-claim-commit", MPMC, Producer, past::some, on_mpmc::claim).sends(1),
        Operation::new("mpmc-claim-truncate", MPMC, Producer, past::some, on_mpmc::short_claim).sends(1),
        Operation::new("mpmc-claim-abort", MPMC, Producer, past::some, on_mpmc::abort),
        Operation::new("mpmc-batch-commit", MPMC, Producer, past::one, on_mpmc::batch).sends(BATCH),
        Operation::new("mpmc-batch-abort", MPMC, Producer, past::one, on_mpmc::abort_batch),
        Operation::new("mpmc-recv", MPMC, Consumer, past::some, on_mpmc::recv),
        Operation::new("mpmc-recv-gap", MPMC, Consumer, past::gap, on_mpmc::recv),
        Operation::new("mpmc-recv-at-most-once", AT_MOST_ONCE, Consumer, past::some, on_mpmc::recv),
        Operation::new("mpmc-read-release", MPMC, Consumer, past::some, on_mpmc::read),
        Operation::new("mpmc-read-at-most-once", AT_MOST_ONCE, Consumer, past::some, on_mpmc::read),
        Operation::new("mpmc-read-keep", MPMC, Consumer, past::some, on_mpmc::keep),
        Operation::new("mpmc-read-batch", MPMC, Consumer, past::some, on_mpmc::read_batch),
        Operation::new("mpmc-adopt", MPMC, Consumer, past::orphan, on_mpmc::read),
        Operation::new("mpmc-adopt-recv", MPMC, Consumer, past::orphan, on_mpmc::recv),
        Operation::new("mpmc-sp-send", ONE_PRODUCER, Producer, past::some, on_mpmc::send).sends(1),
        Operation::new("mpmc-sp-claim-abort", ONE_PRODUCER, Producer, past::some, on_mpmc::abort),
        Operation::new("mpmc-sp-batch", ONE_PRODUCER, Producer, past::one, on_mpmc::batch).sends(BATCH),
        Operation::new("mpmc-sc-recv", ONE_CONSUMER, Consumer, past::some, on_mpmc::recv),
        Operation::new("mpmc-sc-read-release", ONE_CONSUMER, Consumer, past::some, on_mpmc::read),
        Operation::new("mpmc-sc-read-keep", ONE_CONSUMER, Consumer, past::some, on_mpmc::keep),
        Operation::new("mpmc-sc-read-batch", ONE_CONSUMER, Consumer, past::some, on_mpmc::read_batch),
    ]
};
