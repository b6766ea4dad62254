//! What the fuzz targets share: memory between guard pages, a hostile peer driven by the input, and a clock that no
//! operation may outrun. `ci/fuzz.sh` runs the targets; their layout is cargo-fuzz's.
//!
//! An input is a program: the first bytes choose the shape of a ring, the others operations on it, scribbles of the
//! peer among them. Whatever it says, only errors of the API may come out: no panic, no access outside of the ring, no
//! operation that goes on and on.

pub mod arena;
pub mod attach;
pub mod clock;
pub mod input;
pub mod mpmc;
pub mod objects;
pub mod plant;
pub mod spsc;
pub mod strict;

/// The end of a target: what an operation returned was not one of its documented answers.
#[track_caller]
pub(crate) fn undocumented(what: &dyn core::fmt::Debug) -> ! {
    panic!("not a documented answer here: {what:?}")
}

/// Renders an error as its user would, into nothing.
pub(crate) fn render(error: &dyn core::fmt::Display) {
    struct Nothing;
    impl core::fmt::Write for Nothing {
        fn write_str(&mut self, _: &str) -> core::fmt::Result {
            Ok(())
        }
    }
    let _ = core::fmt::write(&mut Nothing, format_args!("{error}"));
}
