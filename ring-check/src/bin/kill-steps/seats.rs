//! Operations on places and rings, between their marks: sit down, leave, take over, repair, recover, close, create,
//! remove. And what heirs do, who come after somebody dead and may die of it.

use std::time::Duration;

use ring_shm::{SetupError, SetupErrorKind, mpmc, spsc};

use crate::Failure;
use crate::data::{ONE_CONSUMER, ONE_PRODUCER};
use crate::operation::{Env, Operation, Who};
use crate::page::{NOTES, Outcome, Stage as Hand};
use crate::past;
use crate::peer::{Kind, Refused};
use crate::stage::{MPMC, SPSC, Shape, TRAINS};
use crate::trace::mark;

/// How long something must be in the way before anybody asks about it, and a little more.
const IN_THE_WAY: Duration = Duration::from_micros(1200);

/// How often an heir tries, and how long it waits while somebody is in its way: for some milliseconds. No clock, since
/// it is stepped through as well.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_micros(100);

macro_rules! operations {
    ($module:ident, $kind:ident) => {
        mod $module {
            use super::*;
            use $kind::{Consumer, Producer};

            pub(crate) fn sit_producer(env: &Env<'_>) -> Result<(), Failure> {
                mark();
                let tx = env.seated(Producer::open(env.name));
                mark();
                drop(tx);
                Ok(())
            }

            pub(crate) fn sit_consumer(env: &Env<'_>) -> Result<(), Failure> {
                mark();
                let rx = env.seated(Consumer::open(env.name));
                mark();
                drop(rx);
                Ok(())
            }

            pub(crate) fn leave_producer(env: &Env<'_>) -> Result<(), Failure> {
                let (mut tx, message) = (Producer::open(env.name)?, env.message(0));
                env.sent(1, tx.try_send(message.tag(), message.bytes()));
                mark();
                drop(tx);
                mark();
                Ok(())
            }

            pub(crate) fn leave_consumer(env: &Env<'_>) -> Result<(), Failure> {
                let mut rx = Consumer::open(env.name)?;
                let got = rx.try_recv_into(env.page.room(0))?;
                env.page.seen(0, got.tag, got.len, got.redelivered, Hand::Done);
                mark();
                drop(rx);
                mark();
                env.page.ended(Outcome::Done);
                Ok(())
            }

            pub(crate) fn recover(env: &Env<'_>) -> Result<(), Failure> {
                mark();
                $kind::recover(env.name, None)?;
                env.page.ended(Outcome::Done);
                mark();
                Ok(())
            }

            /// Sits down, and sends two messages.
            pub(crate) fn heir_producer(env: &Env<'_>) -> Result<(), Failure> {
                let messages = [env.message(0), env.message(1)];
                mark();
                if let Some(mut tx) = env.seated(Producer::open(env.name)) {
                    let mut told = 0;
                    for _ in 0..TRIES {
                        if told == messages.len() {
                            break;
                        }
                        match tx.try_send(messages[told].tag(), messages[told].bytes()).map_err(Refused::from) {
                            Ok(_) => {
                                told += 1;
                                env.page.told(told);
                            }
                            Err(Refused::Busy | Refused::Died | Refused::Closed) => std::thread::sleep(PAUSE),
                            Err(Refused::Wait) => break,
                            Err(Refused::Wrong(what)) => return Err(what.into()),
                        }
                    }
                }
                mark();
                Ok(())
            }

            /// Sits down, and takes everything there is.
            pub(crate) fn heir_consumer(env: &Env<'_>) -> Result<(), Failure> {
                mark();
                if let Some(mut rx) = env.seated(Consumer::open(env.name)) {
                    let (mut count, mut quiet) = (0, 0);
                    for _ in 0..TRIES {
                        if count == NOTES || quiet == 3 {
                            break;
                        }
                        match rx.try_read() {
                            Ok(record) => {
                                quiet = 0;
                                record.copy_to(env.page.room(count));
                                let flagged = record.redelivered();
                                env.page.seen(count, record.tag(), record.len(), flagged, Hand::Seen);
                                env.page.stage(count, Hand::Releasing);
                                record.release();
                                env.page.stage(count, Hand::Done);
                                count += 1;
                            }
                            Err(e) => match Refused::from(e) {
                                Refused::Wait => quiet += 1,
                                Refused::Wrong(what) => return Err(what.into()),
                                Refused::Closed if env.shape.kind == Kind::Mpmc => break,
                                Refused::Busy => std::thread::sleep(PAUSE),
                                Refused::Closed | Refused::Died => {}
                            },
                        }
                    }
                }
                mark();
                Ok(())
            }
        }
    };
}
operations!(on_spsc, spsc);
operations!(on_mpmc, mpmc);

/// A consumer that somebody dead has blocked for long enough; the next call finds out, and settles it.
fn repair_write(env: &Env<'_>) -> Result<(), Failure> {
    let mut rx = mpmc::Consumer::open(env.name)?;
    let refused = rx.try_recv_into(&mut [0; 1]);
    if !matches!(refused, Err(mpmc::TryRecvError::Busy { .. })) {
        return Err(format!("nobody is in the way: {refused:?}").into());
    }
    std::thread::sleep(IN_THE_WAY);
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

/// The same for a producer and a message in a dead consumer's hand.
fn repair_read(env: &Env<'_>) -> Result<(), Failure> {
    let (mut tx, message) = (mpmc::Producer::open(env.name)?, env.message(0));
    let refused = tx.try_send(message.tag(), message.bytes());
    if !matches!(refused, Err(mpmc::TrySendError::Busy { .. })) {
        return Err(format!("nobody is in the way: {refused:?}").into());
    }
    std::thread::sleep(IN_THE_WAY);
    mark();
    env.sent(1, tx.try_send(message.tag(), message.bytes()));
    mark();
    Ok(())
}

/// A consumer that finds nothing, and after a while looks at what others hold.
fn idle_round(env: &Env<'_>) -> Result<(), Failure> {
    let mut rx = mpmc::Consumer::open(env.name)?;
    for index in 0..2 {
        let got = rx.try_recv_into(env.page.room(index))?;
        env.page.seen(index, got.tag, got.len, got.redelivered, Hand::Done);
    }
    std::thread::sleep(2 * IN_THE_WAY);
    env.page.stage(2, Hand::Copying);
    mark();
    match rx.try_recv_into(env.page.room(2)) {
        Ok(got) => {
            env.page.seen(2, got.tag, got.len, got.redelivered, Hand::Done);
            env.page.ended(Outcome::Done);
        }
        Err(e) => env.refused(e),
    }
    mark();
    Ok(())
}

fn close_by_producer(env: &Env<'_>) -> Result<(), Failure> {
    let mut tx = mpmc::Producer::open(env.name)?;
    mark();
    env.sent(0, tx.close());
    mark();
    Ok(())
}

fn close_by_tool(env: &Env<'_>) -> Result<(), Failure> {
    mark();
    mpmc::close(env.name)?;
    env.page.ended(Outcome::Done);
    mark();
    Ok(())
}

fn create(env: &Env<'_>) -> Result<(), Failure> {
    mark();
    match env.shape.create(&env.fresh) {
        Ok(()) => {
            env.page.told(1);
            env.page.ended(Outcome::Done);
        }
        Err(e) if e.kind() == SetupErrorKind::Exists => env.page.ended(Outcome::InUse),
        Err(e) => return Err(e.into()),
    }
    mark();
    Ok(())
}

/// Creates, and sits down.
fn create_and_sit(env: &Env<'_>) -> Result<(), Failure> {
    mark();
    let handle: Box<dyn std::any::Any> = match env.shape.kind {
        Kind::Spsc => Box::new(spsc::Producer::open_or_create(&env.fresh, &env.shape.spsc())?),
        Kind::Mpmc => Box::new(mpmc::Producer::open_or_create(&env.fresh, &env.shape.mpmc())?),
    };
    env.page.told(1);
    env.page.ended(Outcome::Done);
    mark();
    drop(handle);
    Ok(())
}

/// Removes what it has created.
fn remove(env: &Env<'_>) -> Result<(), Failure> {
    env.shape.create(&env.fresh)?;
    mark();
    ring_shm::unlink(&env.fresh, false)?;
    env.page.ended(Outcome::Done);
    mark();
    Ok(())
}

/// Opens the ring of `name` or creates it, as anybody would who needs one.
pub(crate) fn open_or_create(shape: Shape, name: &str) -> Result<(), SetupError> {
    match shape.kind {
        Kind::Spsc => spsc::Producer::open_or_create(name, &shape.spsc()).map(drop),
        Kind::Mpmc => mpmc::Producer::open_or_create(name, &shape.mpmc()).map(drop),
    }
}

/// Whether the ring that the victim was making is there; an error if what is there is not a whole ring.
pub(crate) fn is_made(shape: Shape, name: &str) -> Result<bool, String> {
    let found = match shape.kind {
        Kind::Spsc => spsc::inspect(name).map(drop),
        Kind::Mpmc => mpmc::inspect(name).map(drop),
    };
    match found {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == SetupErrorKind::NotFound => Ok(false),
        Err(e) => Err(format!("half a ring: {e}")),
    }
}

const TIGHT: Shape = Shape { participants: 3, ..MPMC };

/// All of them.
pub(crate) const ALL: &[Operation] = {
    use Who::{Consumer, Producer, Tool};
    &[
        Operation::new("spsc-attach-producer", SPSC, Producer, past::some, on_spsc::sit_producer).unseated(),
        Operation::new("spsc-attach-consumer", SPSC, Consumer, past::some, on_spsc::sit_consumer).unseated(),
        Operation::new("spsc-detach-producer", SPSC, Producer, past::some, on_spsc::leave_producer).sends(1).leaves(),
        Operation::new("spsc-detach-consumer", SPSC, Consumer, past::some, on_spsc::leave_consumer).leaves(),
        Operation::new("spsc-takeover-producer", SPSC, Producer, past::dead_sender, on_spsc::sit_producer).unseated(),
        Operation::new("spsc-takeover-consumer", SPSC, Consumer, past::dead_reader, on_spsc::sit_consumer).unseated(),
        Operation::new(
            "spsc-train-takeover-producer",
            TRAINS,
            Producer,
            past::dead_sender_of_a_train,
            on_spsc::sit_producer,
        )
        .unseated(),
        Operation::new("spsc-recover", SPSC, Tool, past::both_dead, on_spsc::recover),
        Operation::new("spsc-create", SPSC, Tool, past::nothing, create).makes(),
        Operation::new("spsc-create-and-sit", SPSC, Tool, past::nothing, create_and_sit).makes(),
        Operation::new("spsc-remove", SPSC, Tool, past::nothing, remove).makes(),
        Operation::new("mpmc-join-producer", MPMC, Producer, past::some, on_mpmc::sit_producer).unseated(),
        Operation::new("mpmc-join-consumer", MPMC, Consumer, past::some, on_mpmc::sit_consumer).unseated(),
        Operation::new("mpmc-join-dead-writer", TIGHT, Producer, past::dead_claim, on_mpmc::sit_producer).unseated(),
        Operation::new("mpmc-join-dead-reader", TIGHT, Consumer, past::dead_reader, on_mpmc::sit_consumer).unseated(),
        Operation::new("mpmc-leave-producer", MPMC, Producer, past::some, on_mpmc::leave_producer).sends(1),
        Operation::new("mpmc-leave-consumer", MPMC, Consumer, past::some, on_mpmc::leave_consumer),
        Operation::new("mpmc-repair-write", MPMC, Consumer, past::dead_claim, repair_write),
        Operation::new("mpmc-repair-read", MPMC, Producer, past::full_behind_the_dead, repair_read).sends(1),
        Operation::new("mpmc-idle-round", MPMC, Consumer, past::dead_reader, idle_round),
        Operation::new("mpmc-recover", MPMC, Tool, past::both_dead, on_mpmc::recover),
        Operation::new("mpmc-close", MPMC, Producer, past::some, close_by_producer).leaves(),
        Operation::new("mpmc-close-by-tool", MPMC, Tool, past::some, close_by_tool).leaves(),
        Operation::new("mpmc-sp-join", ONE_PRODUCER, Producer, past::some, on_mpmc::sit_producer).unseated(),
        Operation::new("mpmc-sp-takeover", ONE_PRODUCER, Producer, past::dead_sender, on_mpmc::sit_producer).unseated(),
        Operation::new("mpmc-sp-leave", ONE_PRODUCER, Producer, past::some, on_mpmc::leave_producer)
            .sends(1)
            .unseated(),
        Operation::new("mpmc-sp-close", ONE_PRODUCER, Producer, past::some, close_by_producer).leaves(),
        Operation::new("mpmc-sp-close-by-tool", ONE_PRODUCER, Tool, past::dead_sender, close_by_tool).leaves(),
        Operation::new("mpmc-sc-takeover", ONE_CONSUMER, Consumer, past::dead_reader, on_mpmc::sit_consumer).unseated(),
        Operation::new("mpmc-sc-leave", ONE_CONSUMER, Consumer, past::some, on_mpmc::leave_consumer).unseated(),
        Operation::new("mpmc-create", MPMC, Tool, past::nothing, create).makes(),
        Operation::new("mpmc-create-and-sit", MPMC, Tool, past::nothing, create_and_sit).makes(),
        Operation::new("mpmc-remove", MPMC, Tool, past::nothing, remove).makes(),
    ]
};

/// Heirs of each kind: what comes after a death, and dies of it.
pub(crate) const HEIRS: &[(Kind, Operation)] = {
    use Who::{Consumer, Producer, Tool};
    &[
        (
            Kind::Spsc,
            Operation::new("producer", SPSC, Producer, past::nothing, on_spsc::heir_producer).unseated().sends(2),
        ),
        (Kind::Spsc, Operation::new("consumer", SPSC, Consumer, past::nothing, on_spsc::heir_consumer).unseated()),
        (Kind::Spsc, Operation::new("recover", SPSC, Tool, past::nothing, on_spsc::recover)),
        (
            Kind::Mpmc,
            Operation::new("producer", MPMC, Producer, past::nothing, on_mpmc::heir_producer).unseated().sends(2),
        ),
        (Kind::Mpmc, Operation::new("consumer", MPMC, Consumer, past::nothing, on_mpmc::heir_consumer).unseated()),
        (Kind::Mpmc, Operation::new("recover", MPMC, Tool, past::nothing, on_mpmc::recover)),
    ]
};
