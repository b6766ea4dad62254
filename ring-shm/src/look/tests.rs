//! What a copy that contradicts itself leads to: rare with a real ring, so it is made here.

use ring_core::{AttachError, Corrupt, Field};

use super::{Look, TRIES};
use crate::{Access, Segment, SegmentName, SetupError};

fn corrupt() -> SetupError {
    AttachError::Corrupt(Corrupt::new(Field::Tail, 1, 2)).into()
}

#[test]
fn a_contradiction_counts_when_it_stays() {
    let name = SegmentName::new(&format!("t-look-{}", std::process::id())).unwrap();
    Segment::create(&name, 8192, &Access::default(), |_| {}).unwrap();
    let look = Look::at(&name);
    Segment::unlink(&name, false).unwrap();
    let look = look.unwrap();
    let mut copies = 0;
    let passing = look.with_copy(|region| {
        copies += 1;
        if copies < TRIES { Err(corrupt()) } else { Ok(region.len()) }
    });
    assert_eq!((passing, copies), (Ok(8192), TRIES));
    let mut copies = 0;
    let staying = look.with_copy(|_| -> Result<(), _> {
        copies += 1;
        Err(corrupt())
    });
    assert_eq!((staying, copies), (Err(corrupt()), TRIES));
    // Nothing else is worth a second copy.
    let mut copies = 0;
    let other = look.with_copy(|_| -> Result<(), _> {
        copies += 1;
        Err(SetupError::Contended)
    });
    assert_eq!((other, copies), (Err(SetupError::Contended), 1));
}
