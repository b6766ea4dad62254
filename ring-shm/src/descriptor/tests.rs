use super::*;
use crate::{Access, Segment, SegmentName};

#[test]
fn a_gate_that_is_left_ends_with_the_mapping() {
    let name = SegmentName::new(&format!("t-gate-{}", std::process::id())).unwrap();
    let segment = Segment::create(&name, 4096, &Access::default(), |_| {}).unwrap();
    let take = || Gate::try_take(segment.reopen().unwrap(), LockKind::Exclusive).unwrap();
    let gate = take().unwrap();
    let (mapping, _) = segment.map(gate.file(), segment.len(), &fork::pause().unwrap()).unwrap();
    gate.leave();
    assert!(take().is_none(), "the mapping does not keep it");
    drop(mapping);
    drop(take().expect("it outlives the mapping"));
    Segment::unlink(&name, true).unwrap();
}
