//! Whom an MPMC ring wakes when messages go back to it: each of these wakes stands for a sleeper that a model (SPIN,
//! `models/mpmc.pml`) found asleep beside a message.
#![cfg(not(loom))]

mod mpmc_support;

use mpmc_support::{consumer, producer, recv, send, small};
use ring_core::Wake;
use ring_core::mpmc::{Consumer, Ring};

/// A ring whose sleepers can be woken; nobody really sleeps.
fn ring() -> Ring<'static> {
    mpmc_support::ring(&small()).with_wake(const { &Wake::new(|_| true, true) })
}

/// Whether `during` wakes the consumer that waits meanwhile.
fn wakes(sleeping: &Consumer<'static>, during: impl FnOnce()) -> bool {
    let sleeper = sleeping.sleeper().unwrap();
    let _ = sleeper.announce();
    during();
    sleeper.withdraw()
}

/// Two went back. The one who was woken for the second may have found the hint taken by the one who looks for the first.
#[test]
fn who_takes_over_a_message_wakes_another_since_there_may_be_more() {
    let ring = ring();
    let (mut tx, mut keeper, mut taker, sleeping) =
        (producer(&ring), consumer(&ring), consumer(&ring), consumer(&ring));
    send(&mut tx, 1).unwrap();
    send(&mut tx, 2).unwrap();
    keeper.try_read_batch(2).unwrap().keep();
    assert!(wakes(&sleeping, || assert_eq!(recv(&mut taker), Ok(1))));
}

/// Woken for a message that went back, a consumer that finds a new one first takes that.
#[test]
fn who_was_refused_and_finds_a_new_message_wakes_another_for_one_that_went_back() {
    let ring = ring();
    let (mut tx, mut keeper, mut taker, sleeping) =
        (producer(&ring), consumer(&ring), consumer(&ring), consumer(&ring));
    send(&mut tx, 1).unwrap();
    let record = keeper.try_read().unwrap();
    assert!(recv(&mut taker).is_err());
    record.keep();
    send(&mut tx, 2).unwrap();
    assert!(wakes(&sleeping, || assert_eq!(recv(&mut taker), Ok(2))));
}

/// Nobody is woken where there is nothing more.
#[test]
fn who_was_refused_and_takes_the_last_message_wakes_nobody() {
    let ring = ring();
    let (mut tx, mut taker, sleeping) = (producer(&ring), consumer(&ring), consumer(&ring));
    assert!(recv(&mut taker).is_err());
    send(&mut tx, 1).unwrap();
    assert!(!wakes(&sleeping, || assert_eq!(recv(&mut taker), Ok(1))));
}
