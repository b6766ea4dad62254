#![doc = include_str!("../README.md")]
#![cfg_attr(not(loom), no_std)]
#![warn(
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

#[cfg(not(all(target_has_atomic = "64", target_endian = "little")))]
compile_error!("ring-core needs 64-bit atomics and a little-endian target: the layout is shared between processes");

mod doorbell;
mod draft;
mod error;
mod interrupt;
mod layout;
#[cfg(loom)]
#[allow(
    missing_docs,
    clippy::all,
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::cast_possible_truncation
)]
pub mod model;
pub mod mpmc;
mod park;
mod position;
mod record;
#[cfg(not(loom))]
mod region;
#[cfg(loom)]
use model as region;
mod seat;
pub mod spsc;
mod sync;
mod type_text;

pub use doorbell::Doorbell;
pub use error::{AttachError, Corrupt, Field, FormatError};
pub use interrupt::Interrupt;
pub use layout::{
    ABI_VERSION, CONTROL_SIZE, Identity, Kind, MpmcControl, ParticipantLine, STRICT_BLOCK, STRICT_COMMON, STRICT_OTHER,
    STRICT_PAGE, STRICT_REST, SlotHeader, SpscControl, StrictCommon, StrictConsumer, StrictMark, StrictProducer,
    mpmc_data_offset, slot_stride, spsc_data_offset,
};
#[cfg(loom)]
pub use model::Region;
pub use park::{Event, Sleeper, Waiting, Wake};
pub use position::Position;
#[cfg(not(loom))]
pub use region::{Line, Region, RegionError};
pub use seat::{MAX_LEASE, Role, SeatError, SeatState, SessionEnd, Verdict};
pub use sync::{Epoch, Ranges};
pub use type_text::{TYPE_TEXT_LEN, TYPE_TEXT_OFFSET, TypeText};
