//! Bugs planted into the victims, to see that the campaign finds them.

use std::fs::{self, File};

use ring_shm::{mpmc, spsc};

use crate::play::leak_mapping;
use crate::scenes::{Hands, RING};

/// What a victim does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// After an error a descriptor stays open.
    Descriptor,
    /// After an error a mapping stays.
    Mapping,
    /// After an error a temporary name stays.
    Name,
    /// After an error a seat, or an entry of the table, stays taken.
    Entry,
    /// An error is not told.
    Lie,
    /// An error is a panic.
    Panic,
    /// An error is answered by trying for ever.
    Forever,
    /// The creator makes the name first and the ring later.
    HalfMade,
}

impl Plant {
    /// All but `None`.
    pub(crate) const ALL: [Self; 8] = [
        Self::Descriptor,
        Self::Mapping,
        Self::Name,
        Self::Entry,
        Self::Lie,
        Self::Panic,
        Self::Forever,
        Self::HalfMade,
    ];

    /// Does wrong before the operation.
    pub(crate) fn prepare(self) {
        if self == Self::HalfMade {
            let path = format!("/dev/shm/ring.{RING}");
            let _ = File::create(&path).and_then(|file| file.set_len(8192)).and_then(|()| fs::remove_file(&path));
        }
    }

    /// Does wrong after the operation.
    pub(crate) fn spoil(self, said: Result<Hands, String>) -> Result<Hands, String> {
        if said.is_ok() {
            return said;
        }
        match self {
            Self::None | Self::HalfMade => {}
            Self::Descriptor => std::mem::forget(File::open("/dev/null")),
            Self::Mapping => leak_mapping(),
            Self::Name => drop(File::create("/dev/shm/.ring.tmp.left")),
            Self::Entry => {
                std::mem::forget(spsc::Producer::open(RING));
                std::mem::forget(mpmc::Producer::open(RING));
            }
            Self::Lie => return Ok(Box::new(())),
            #[allow(clippy::panic, reason = "that is the plant")]
            Self::Panic => panic!("planted"),
            Self::Forever => loop {
                let _ = std::hint::black_box(std::os::unix::process::parent_id());
            },
        }
        said
    }
}
