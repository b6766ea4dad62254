//! Who gets which lease of a ring that has just been made.

use ring_core::Verdict;
use ring_core::spsc::{Format, Ring};

use super::{create, lease};
use crate::{Access, Location, Segment, SegmentName, spsc};

fn make(what: &str) -> (Location, Segment) {
    let at = Location::from(SegmentName::new(&format!("attach-{what}-{}", std::process::id())).unwrap());
    let format = Format::new(4096);
    let made =
        create(&at, format.footprint(), &Access::default(), |region| Ring::format(region, &format).map(drop)).unwrap();
    (at, made)
}

/// Takes a lease as a handle does, with the next number of the ring.
fn sit(segment: &Segment) -> crate::LeasedMapping {
    lease(segment, |region| Ok(Ring::attach(region)?.next_lease()?)).unwrap()
}

#[test]
fn a_creator_sits_down_with_the_lease_he_has() {
    let (at, made) = make("first");
    assert_eq!(Segment::open(&at).unwrap().any_lease(), Ok(Some(1)));
    let leases = [sit(&made), sit(&made)];
    assert_eq!(leases.each_ref().map(|leased| leased.lease()), [1, 2]);
    assert_eq!(leases[1].verdict(1, None), Verdict::Alive);
    drop(leases);
    crate::unlink(&at, false).unwrap();
}

#[test]
fn who_comes_before_the_creator_sits_has_another_lease() {
    let (at, made) = make("early");
    // Finds 1 held, and takes 2.
    let rx = spsc::Consumer::open(&at).unwrap();
    assert_eq!(spsc::inspect(&at).unwrap().consumer.state.lease(), Some(2));
    // 3 is not what the creator holds: he attaches like everybody, and leaves 1 to nobody.
    let late = sit(&made);
    assert_eq!((late.lease(), late.verdict(1, None), late.verdict(2, None)), (4, Verdict::Dead, Verdict::Alive));
    drop((rx, late));
    crate::unlink(&at, false).unwrap();
}
