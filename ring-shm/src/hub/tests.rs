//! The waiter alone, with events that no ring has.

use std::sync::Arc;
use std::task::Wake;

use super::*;

/// An event for the life of the program.
fn doorbell() -> &'static Doorbell {
    Box::leak(Box::new(Doorbell::new()))
}

#[derive(Default)]
struct Counts(Mutex<u32>);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        *lock(&self.0) += 1;
    }
}

impl Counts {
    fn now(&self) -> u32 {
        *lock(&self.0)
    }

    /// Whether it has been woken more than `before` times within `time`.
    fn beyond(&self, before: u32, time: Duration) -> bool {
        let end = Instant::now() + time;
        while self.now() <= before && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        self.now() > before
    }
}

fn ring(bell: &Doorbell) {
    bell.ring(|event| {
        futex::wake(event);
    });
}

#[test]
fn whoever_is_armed_is_woken_once() {
    let bell = doorbell();
    let (counts, watch) = (Arc::new(Counts::default()), Watch::new(bell.sleeper().event()).unwrap());
    let waker = Waker::from(Arc::clone(&counts));
    for _ in 0..3 {
        let before = counts.now();
        watch.arm(bell.sleeper().announce(), &waker, None, By::Event).unwrap();
        ring(bell);
        assert!(counts.beyond(before, Duration::from_secs(1)));
        assert_ne!(watch.told(), Told::Nothing);
        assert!(!counts.beyond(before + 1, 3 * SLICE), "woken without being armed");
    }
    watch.arm(bell.sleeper().announce(), &waker, None, By::Event).unwrap();
    watch.disarm();
    let before = counts.now();
    ring(bell);
    assert!(!counts.beyond(before, 3 * SLICE), "woken though disarmed");
}

#[test]
fn a_ticket_that_is_out_of_date_wakes_at_once() {
    let bell = doorbell();
    let (counts, watch) = (Arc::new(Counts::default()), Watch::new(bell.sleeper().event()).unwrap());
    let ticket = bell.sleeper().announce();
    ring(bell);
    watch.arm(ticket, &Waker::from(Arc::clone(&counts)), None, By::Event).unwrap();
    assert!(counts.beyond(0, SLICE / 2));
    assert_eq!(watch.told(), Told::Woken);
}

#[test]
fn a_slice_is_told_and_a_short_one_sooner() {
    let bell = doorbell();
    let (counts, watch) = (Arc::new(Counts::default()), Watch::new(bell.sleeper().event()).unwrap());
    let waker = Waker::from(Arc::clone(&counts));
    watch.arm(bell.sleeper().announce(), &waker, None, By::Event).unwrap();
    assert!(counts.beyond(0, Duration::from_secs(1)));
    assert_eq!(watch.told(), Told::Expired);
    for _ in 0..5 {
        let before = counts.now();
        watch.arm(bell.sleeper().announce(), &waker, Some(Duration::from_millis(2)), By::Event).unwrap();
        assert!(counts.beyond(before, SLICE / 2));
        assert_eq!(watch.told(), Told::Expired);
    }
}

/// Panics once, in the thread that wakes.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic::resume_unwind(Box::new("on purpose")); // without a report, which takes its time
    }
}

#[test]
fn a_waker_that_panics_costs_nobody_else_anything() {
    let bells = [doorbell(), doorbell()];
    let watches = bells.map(|bell| Watch::new(bell.sleeper().event()).unwrap());
    let counts = Arc::new(Counts::default());
    watches[0].arm(bells[0].sleeper().announce(), &Waker::from(Arc::new(Panics)), None, By::Event).unwrap();
    ring(bells[0]);
    thread::sleep(SLICE);
    watches[1].arm(bells[1].sleeper().announce(), &Waker::from(Arc::clone(&counts)), None, By::Event).unwrap();
    ring(bells[1]);
    // A thread that has died of it does not even tell of slices.
    assert!(counts.beyond(0, 3 * SLICE));
}
