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

/// Who has a wish is told by the chime. One that reached nobody alive counts for nothing: the next one is told.
#[test]
fn a_wish_is_answered_by_the_chime_and_for_the_dead_another_is_woken() {
    let told = |lives: Option<usize>| {
        let ring = mpmc_support::ring(&small());
        let (one, other) = (consumer(&ring), consumer(&ring));
        let lives = lives.map_or(99, |which| [one.lease(), other.lease()][which]);
        let wake = Wake::new(|_| panic!("nobody sleeps on his event"), true)
            .with_chime(|lives, lease| u64::try_from(lives) == Ok(lease), i32::try_from(lives).unwrap());
        let ring = ring.with_wake(Box::leak(Box::new(wake)));
        let sleepers = [&one, &other].map(|consumer| consumer.sleeper().unwrap());
        let tickets = sleepers.map(|sleeper| {
            sleeper.wish_for_chime(true);
            sleeper.announce()
        });
        send(&mut producer(&ring), 1).unwrap();
        [0, 1].map(|i| (sleepers[i].withdraw(), sleepers[i].event().has_moved(tickets[i])))
    };
    let both = [told(Some(0)), told(Some(1))];
    // Whoever is asked first and lives is the only one.
    assert!(both.contains(&[(true, true); 2]), "{both:?}");
    assert!(
        both.contains(&[(true, true), (false, false)]) || both.contains(&[(false, false), (true, true)]),
        "{both:?}"
    );
    assert_eq!(told(None), [(true, true); 2]);
}

#[test]
fn who_takes_his_wish_back_is_woken_by_his_event() {
    let ring = mpmc_support::ring(&small());
    let wake = Wake::new(|_| true, true).with_chime(|_, _| panic!("nobody wishes for it"), 0);
    let ring = ring.with_wake(Box::leak(Box::new(wake)));
    let (mut tx, sleeping) = (producer(&ring), consumer(&ring));
    for wish in [true, false] {
        sleeping.sleeper().unwrap().wish_for_chime(wish);
    }
    assert!(wakes(&sleeping, || assert!(send(&mut tx, 1).is_ok())));
}
