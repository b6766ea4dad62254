//! A value that typed handles send.

use ring_shm::payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

payload! {
    #[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    pub(crate) struct Tick {
        pub(crate) price: u64,
        pub(crate) quantity: u32,
        pub(crate) side: u32,
    }
}
