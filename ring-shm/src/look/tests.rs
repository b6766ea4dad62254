//! What a copy that contradicts itself leads to: rare with a real ring, so one is damaged here.

use std::os::unix::fs::FileExt as _;

use ring_core::spsc::Ring;
use ring_core::{AttachError, Region};

use super::{Look, TRIES};
use crate::{SegmentName, SetupError, spsc};

fn attach(region: Region<'_>) -> Result<u64, SetupError> {
    Ok(Ring::attach(region)?.capacity())
}

#[test]
fn a_contradiction_counts_when_it_stays() {
    let name = SegmentName::new(&format!("t-look-{}", std::process::id())).unwrap();
    spsc::create(name.as_str(), &spsc::Options::new().capacity(4096)).unwrap();
    let look = Look::at(&name.clone().into());
    let file = std::fs::File::options().write(true).open(format!("/dev/shm/{}", name.file_name())).unwrap();
    crate::unlink(name.as_str(), false).unwrap();
    let look = look.unwrap();
    let tail = |value: u64| file.write_all_at(&value.to_le_bytes(), 128).unwrap();

    tail(1); // no record ends there
    let mut copies = 0;
    let passing = look.with_copy(|region, _| {
        copies += 1;
        if copies + 1 == TRIES {
            tail(0); // for the next copy
        }
        attach(region)
    });
    assert_eq!((passing, copies), (Ok(4096), TRIES));

    tail(1);
    let mut copies = 0;
    let staying = look.with_copy(|region, _| {
        copies += 1;
        attach(region)
    });
    assert!(matches!(staying, Err(SetupError::Attach(AttachError::Corrupt(_)))), "{staying:?}");
    assert_eq!(copies, TRIES);

    // Nothing else is worth a second copy.
    let mut copies = 0;
    let other = look.with_copy(|_, _| -> Result<(), _> {
        copies += 1;
        Err(SetupError::Contended)
    });
    assert_eq!((other, copies), (Err(SetupError::Contended), 1));
}
