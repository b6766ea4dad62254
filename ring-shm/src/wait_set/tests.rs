//! The loop of a wait for many, at the steps that no test from outside can hit.

use super::*;
use crate::watched::Watched;
use crate::{mpmc, spsc};

const SHORT: Duration = Duration::from_millis(5);

/// Parks at once, and does something when the set has announced its sleep: the next look is its last.
#[derive(Debug)]
struct AtOnce;

impl WaitStrategy for AtOnce {
    fn idle(&mut self, _round: Round) -> Idle {
        Idle::Park
    }
}

/// A consumer that does something at its third look: that of a fresh wait, of the announced, and the last are 1, 2, 3.
struct Meddled<F> {
    rx: mpmc::Consumer<crate::Trusted>,
    looks: u32,
    meddle: F,
}

#[allow(private_interfaces)]
impl<F: FnMut(u32)> Watched for Meddled<F> {
    fn look(&mut self) -> Result<Readiness, Nothing> {
        self.looks += 1;
        let found = self.rx.look();
        (self.meddle)(self.looks);
        found
    }

    fn waits(&mut self) -> &mut dyn crate::wait::Waits {
        self.rx.waits()
    }
}

impl<F: FnMut(u32)> Waitable for Meddled<F> {}

/// A message comes between the last look of a wait whose time is over and its withdrawal: its sender has woken us for it,
/// and nobody else.
#[test]
fn who_leaves_empty_handed_and_was_woken_looks_once_more() {
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut set = WaitSet::new();
    set.set_wait_strategy(AtOnce);
    let meddle = |looks| {
        if looks == 2 {
            std::thread::sleep(2 * SHORT);
            tx.try_send(7, b"message").unwrap();
        }
    };
    let ready = set.wait_timeout(&mut [Meddled { rx, looks: 0, meddle }], SHORT).map(<[Ready]>::to_vec);
    assert_eq!(ready, Ok(vec![Ready { index: 0, what: Readiness::Data }]));
}

/// The same when another handle is ready.
#[test]
fn whoever_was_woken_is_in_the_answer() {
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let (mut other_tx, other) = spsc::heap(64).unwrap();
    let mut set = WaitSet::new();
    set.set_wait_strategy(AtOnce);
    set.first = usize::MAX; // the meddled one is looked at first
    let meddle = |looks| {
        if looks == 2 {
            tx.try_send(7, b"message").unwrap();
            other_tx.try_send(7, b"message").unwrap();
        }
    };
    let mut handles: [Box<dyn Waitable + '_>; 2] = [Box::new(Meddled { rx, looks: 0, meddle }), Box::new(other)];
    let mut ready: Vec<usize> = set.wait(&mut handles).unwrap().iter().map(|ready| ready.index).collect();
    ready.sort_unstable();
    assert_eq!(ready, [0, 1]);
}

/// A look that panics leaves nothing announced.
#[test]
fn a_panic_withdraws() {
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut other, rx) = (ring.consumer().unwrap(), ring.consumer().unwrap());
    let mut set = WaitSet::new();
    set.set_wait_strategy(AtOnce);
    let mut handles = [Meddled { rx, looks: 0, meddle: |looks| assert!(looks < 2, "on purpose") }];
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| set.wait(&mut handles).map(drop)));
    assert!(caught.is_err());
    // Its own word is the only one that says so.
    let Meddled { rx, .. } = &mut handles[0];
    let sleeper = rx.waits().sleeper().unwrap();
    assert!(sleeper.withdraw(), "the bit was still set");
    let _ = other.try_read().map(drop);
}

/// Somebody takes a bit after a slice, and dies before the event is moved on: a slice later the bit is up again.
#[test]
fn a_bit_that_a_dead_waker_took_is_set_again() {
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let place = rx.waits().sleeper().unwrap();
    let mut set = WaitSet::new();
    set.set_wait_strategy(AtOnce);
    let mut was_gone = None;
    let meddle = |looks| match looks {
        // The third one follows the first slice, whose announcement stood; the fifth the next announcement.
        3 => assert!(!place.withdraw(), "the announcement has not outlasted its slice"),
        5 => {
            was_gone = Some(place.withdraw());
            tx.try_send(7, b"message").unwrap();
        }
        _ => {}
    };
    let ready = set.wait(&mut [Meddled { rx, looks: 0, meddle }]).map(<[Ready]>::len);
    assert_eq!((ready, was_gone), (Ok(1), Some(false)));
}
