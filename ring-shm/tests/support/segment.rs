//! Small segments for the tests of segments. Used beside `support`.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use ring_shm::{Access, CreateError, Mapping, Segment, ToLocation};

use super::support::child;

pub const LEN: u64 = 8192;

pub const NOBODY: u32 = 65534;

pub fn create(name: impl ToLocation) -> Result<Segment, CreateError> {
    Segment::create(name, LEN, &Access::default(), |_| {})
}

/// Fills the mapping with `value`, as a creator would format it.
pub fn format(mapping: &Mapping, value: u8) {
    for offset in 0..mapping.len() {
        // SAFETY: inside the mapping; no other process has it yet.
        unsafe { mapping.as_ptr().as_ptr().wrapping_add(offset).write_volatile(value) };
    }
}

pub fn contents(segment: &Segment) -> Vec<u8> {
    let mapping = segment.map_whole().unwrap();
    // SAFETY: inside the mapping; nobody writes after the creation.
    (0..mapping.len()).map(|offset| unsafe { mapping.as_ptr().as_ptr().wrapping_add(offset).read_volatile() }).collect()
}

pub fn root() -> bool {
    // SAFETY: no arguments.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// Runs a role that tells in one line what it did, or why it could not.
pub fn run(role: &str, args: &[&str]) {
    let mut child = child(role, args);
    let told = child.next();
    println!("{role}: {}", told.as_deref().unwrap_or("nothing"));
    assert!(child.finish().success(), "{role} failed, see above");
    assert!(told.is_some());
}
