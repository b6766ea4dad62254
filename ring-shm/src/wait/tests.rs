//! The loop of a wait, step by step: what happens between its looks is done by the looks themselves.

use super::*;
use crate::mpmc::{self, TryRecvError};
use crate::spsc;

const SHORT: Duration = Duration::from_millis(5);

/// Parks at once.
fn at_once() -> Park {
    Park::after(Duration::ZERO)
}

fn look<R>(result: Result<R, TryRecvError>) -> Result<Result<R, Nothing>, TryRecvError> {
    match result {
        Err(TryRecvError::Empty) => Ok(Err(Nothing::Idle)),
        other => other.map(Ok),
    }
}

/// A message comes between the last look of a wait whose time is over and its withdrawal. Its sender has woken us for
/// it, and nobody else: who leaves now without a look leaves it lying there, and another receiver asleep.
fn taken_while_leaving(limit: Limit, cancels: bool) -> Result<u32, Ended<TryRecvError>> {
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    set_strategy(&mut rx, at_once());
    let canceller = canceller(&mut rx);
    let mut looks = 0;
    until(&mut rx, limit, |rx| {
        looks += 1;
        let found = look(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag));
        // The third one is that of `until`, of the announced, and the last.
        if looks == 3 {
            if cancels {
                canceller.cancel();
            } else {
                std::thread::sleep(2 * SHORT);
            }
            tx.try_send(7, b"message").unwrap();
        }
        found
    })
}

#[test]
fn who_leaves_empty_handed_and_was_woken_looks_once_more() {
    assert!(matches!(taken_while_leaving(Limit::After(SHORT), false), Ok(7)));
    assert!(matches!(taken_while_leaving(Limit::Never, true), Ok(7)));
}

/// A handle that waits on a real ring, and counts how often it is told that it has slept a slice.
struct Counts {
    rx: spsc::Consumer<crate::trust::Trusted>,
    slept: u32,
}

impl Waits for Counts {
    fn waiter(&mut self) -> &mut Option<Box<Waiter>> {
        self.rx.waiter()
    }

    fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.rx.sleeper()
    }

    fn slept(&mut self) {
        self.slept += 1;
    }
}

#[test]
fn a_slice_asleep_is_followed_by_a_question_after_the_peer() {
    let (_tx, rx) = spsc::heap(64).unwrap();
    let mut handle = Counts { rx, slept: 0 };
    set_strategy(&mut handle, at_once());
    let ended =
        until(&mut handle, Limit::After(2 * SLICE + SHORT), |_| Ok::<Result<(), Nothing>, OsError>(Err(Nothing::Idle)));
    assert!(matches!(ended, Err(Ended::Timeout)));
    assert!((2..=3).contains(&handle.slept), "{}", handle.slept);
}

#[test]
fn who_is_blocked_sleeps_twice_as_long_each_time() {
    let (ms, mut slices) = (Duration::from_millis, BlockedSlice::default());
    let times = [Nothing::Blocked, Nothing::Idle, Nothing::Blocked, Nothing::Blocked]
        .map(|nothing| slices.limit(ms(7), nothing));
    assert_eq!(times, [ms(2), ms(7), ms(4), ms(7)]);
}

/// Looks that find nothing. Before the answer of the one numbered `taken` somebody takes the bit, and dies before the event is
/// moved on; the one numbered `told` finds out whether the bit is still gone.
fn looks_beside_a_dead_waker<H: Waits>(
    handle: &H,
    taken: u32,
    told: u32,
) -> impl FnMut(&mut H) -> Result<Result<bool, Nothing>, OsError> + Unpin + use<H> {
    let place = handle.sleeper().unwrap();
    let mut looks = 0;
    move |_| {
        looks += 1;
        if looks == taken {
            assert!(!place.withdraw(), "the announcement has not outlasted its slice");
        }
        Ok(if looks == told { Ok(place.withdraw()) } else { Err(Nothing::Idle) })
    }
}

/// A slice later the bit is up again; who believed the event alone would be deaf from then on.
#[test]
fn a_bit_that_a_dead_waker_took_is_set_again() {
    let ring = mpmc::heap(4, 8).unwrap();
    let mut rx = ring.consumer().unwrap();
    set_strategy(&mut rx, at_once());
    // The fourth one follows the first slice, whose announcement stood; the sixth the next announcement.
    let look = looks_beside_a_dead_waker(&rx, 4, 6);
    assert!(matches!(until(&mut rx, Limit::Never, look), Ok(false)), "deaf");
}

/// The same for a task, which looks once more at once.
#[cfg(feature = "async")]
#[test]
fn a_bit_that_a_dead_waker_took_from_a_task_is_set_again() {
    let ring = mpmc::heap(4, 8).unwrap();
    let rx = ring.consumer().unwrap();
    // The second one follows the announcement, the third its first slice.
    let look = looks_beside_a_dead_waker(&rx, 3, 4);
    let mut awaited = crate::awaited::Awaited::new(rx);
    awaited.spin_for(Duration::ZERO);
    assert!(matches!(block_on(awaited.until(look)), Ok(false)), "deaf");
}
