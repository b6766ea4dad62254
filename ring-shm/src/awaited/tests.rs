//! Where the sleep of a handle is watched.

use core::convert::Infallible;
use core::future::poll_fn;

use super::*;
use crate::hub::Watch;
use crate::spsc;
use crate::wait::block_on;

/// Looks, and finds nothing.
fn poll<H: Waits>(awaited: &mut Awaited<H>, cx: &mut Context<'_>) {
    let polled = awaited.poll(cx, |_| Ok::<Result<(), _>, Infallible>(Err(Nothing::Idle)));
    assert!(polled.is_pending());
}

#[test]
fn a_ring_that_its_own_thread_has_no_room_for_keeps_its_place() {
    let consumers = (0..130).map(|_| spsc::heap(64).unwrap());
    let (_producers, mut all): (Vec<_>, Vec<_>) = consumers.map(|(tx, rx)| (tx, Awaited::new(rx))).unzip();
    all.iter_mut().for_each(|awaited| awaited.spin_for(Duration::ZERO));
    // Places before its own, which a place that is sought anew would be.
    let bell: &'static _ = Box::leak(Box::new(ring_core::Doorbell::new()));
    let before: Vec<_> = (0..5).map(|_| Watch::new(bell.sleeper().event()).unwrap()).collect();
    let places = |all: &[Awaited<_>]| -> Vec<_> { all.iter().map(|one| one.watch.as_ref().unwrap().place()).collect() };
    let mut before = Some(before);
    let (first, again) = block_on(poll_fn(|cx| {
        all.iter_mut().for_each(|awaited| poll(awaited, cx));
        let first = places(&all);
        before = None;
        for awaited in &mut all {
            awaited.stop();
            poll(awaited, cx);
        }
        Poll::Ready((first, places(&all)))
    }));
    assert_eq!(first.iter().filter(|(_, is_of_process)| *is_of_process).count(), 130 - 127);
    assert_eq!(first, again);

    // A thread that has room takes it over.
    let later = block_on(poll_fn(|cx| {
        poll(&mut all[129], cx);
        Poll::Ready(places(&all)[129])
    }));
    assert_eq!(later, (0, false));
}
