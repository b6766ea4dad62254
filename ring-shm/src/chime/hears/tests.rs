//! A chime by itself: what it hears, of whom, and when nobody serves.

use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;
use crate::chime;
use crate::hub::{Told, Watch};
use crate::sleep::{By, SLICE};

/// Chimes are the whole process's.
static ALONE: Mutex<()> = Mutex::new(());

#[derive(Default)]
struct Counts(Mutex<u32>);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        *lock(&self.0) += 1;
    }
}

fn doorbell() -> &'static ring_core::Doorbell {
    Box::leak(Box::new(ring_core::Doorbell::new()))
}

/// Moves the event, as a publisher does before the chime.
fn moves(bell: &ring_core::Doorbell) {
    bell.ring(|_| ());
}

fn is_readable(chime: &Chime) -> bool {
    let mut file = [PollFd::new(chime.as_fd(), PollFlags::POLLIN)];
    poll(&mut file, PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn who_is_meant_is_woken_and_nobody_else() {
    let _alone = lock(&ALONE);
    let chime = Chime::new().unwrap();
    let (meant, other) = (doorbell(), doorbell());
    let counts = [(); 2].map(|()| Arc::new(Counts::default()));
    let watches = [meant, other].map(|bell| Watch::new(bell.sleeper().event()).unwrap());
    let path = chime::heap_path().unwrap();
    let heard: Vec<_> = watches.iter().map(|watch| Heard::at(&path, watch.spot()).unwrap()).collect();
    assert!(!is_readable(&chime));
    for ((watch, bell), counts) in watches.iter().zip([meant, other]).zip(&counts) {
        watch.arm(bell.sleeper().announce(), &Waker::from(Arc::clone(counts)), None, By::Chime).unwrap();
    }
    moves(meant);
    assert!(chime::ring(chime::HEAP, 0));
    assert!(is_readable(&chime));
    chime.wake_tasks().unwrap();
    assert_eq!((*lock(&counts[0].0), is_readable(&chime)), (1, false));
    assert_eq!(watches[0].told(), Told::Woken);
    assert_ne!(watches[1].told(), Told::Woken);

    // Twice the same is one event for the kernel, and after each call it tells anew.
    for _ in 0..3 {
        chime::ring(chime::HEAP, 0);
        chime::ring(chime::HEAP, 0);
        assert!(is_readable(&chime));
        chime.wake_tasks().unwrap();
    }
    drop(heard);
    chime::ring(chime::HEAP, 0);
    chime.wake_tasks().unwrap();
    assert!(chime.0.inotify.read_events().is_err(), "a file is watched for nobody");
}

#[test]
fn a_chime_that_came_before_the_waker_is_not_waited_for() {
    let _alone = lock(&ALONE);
    let (chime, bell, counts) = (Chime::new().unwrap(), doorbell(), Arc::new(Counts::default()));
    let watch = Watch::new(bell.sleeper().event()).unwrap();
    let _heard = Heard::at(&chime::heap_path().unwrap(), watch.spot()).unwrap();
    let ticket = bell.sleeper().announce();
    moves(bell);
    chime::ring(chime::HEAP, 0);
    chime.wake_tasks().unwrap();
    watch.arm(ticket, &Waker::from(Arc::clone(&counts)), None, By::Chime).unwrap();
    assert_eq!((*lock(&counts.0), watch.told()), (1, Told::Woken));
}

#[test]
fn what_nobody_serves_costs_a_slice() {
    let _alone = lock(&ALONE);
    let (chime, bell, counts) = (Chime::new().unwrap(), doorbell(), Arc::new(Counts::default()));
    let watch = Watch::new(bell.sleeper().event()).unwrap();
    let heard = Heard::at(&chime::heap_path().unwrap(), watch.spot()).unwrap();
    watch.arm(bell.sleeper().announce(), &Waker::from(Arc::clone(&counts)), None, By::Chime).unwrap();
    moves(bell);
    chime::ring(chime::HEAP, 0);
    let start = Instant::now();
    while *lock(&counts.0) == 0 {
        assert!(start.elapsed() < 20 * SLICE, "nobody counts its slices");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(heard.is_served());
    drop(chime);
    assert!(!heard.is_served());
    assert!(Heard::at(&chime::heap_path().unwrap(), watch.spot()).is_none(), "of one that has gone");
}

#[test]
fn the_last_one_made_counts() {
    let _alone = lock(&ALONE);
    let (first, before) = (Chime::new().unwrap(), made());
    let last = Chime::new().unwrap();
    assert_ne!(made(), before);
    let watch = Watch::new(doorbell().sleeper().event()).unwrap();
    let _heard = Heard::at(&chime::heap_path().unwrap(), watch.spot()).unwrap();
    chime::ring(chime::HEAP, 0);
    assert_eq!((is_readable(&first), is_readable(&last)), (false, true));
}
