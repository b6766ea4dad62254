//! A plain `main` (no libtest, which ThreadSanitizer reports itself) that works rings between threads: streams, batches,
//! take-overs, closes, deaths and repairs. `cargo test` runs it as it is; `ci/san.sh` runs it under ThreadSanitizer and
//! AddressSanitizer.
//!
//! A sanitizer sees one address space, so the peers are threads on one mapping; and it sees a race only between accesses
//! of which one is not atomic, so payload is written and read through slices wherever the API lends them.
//!
//! `--plant NAME` is a bug that the sanitizer has to report: `race` (two threads, one word), `late` (a record's bytes are
//! read after its release, while the producer writes there), `freed` (a ring's memory is read when it is gone).

#[path = "race/mpmc.rs"]
mod mpmc;
#[path = "race/plants.rs"]
mod plants;
#[path = "race/sessions.rs"]
mod sessions;
#[path = "race/streams.rs"]
mod streams;

/// Fills `bytes` with what follows from its number.
fn fill(number: u32, bytes: &mut [u8]) {
    for (k, byte) in bytes.iter_mut().enumerate() {
        *byte = (number as usize).wrapping_mul(31).wrapping_add(k) as u8;
    }
}

/// Whether `bytes` are what was filled in.
fn check(number: u32, bytes: &[u8]) {
    for (k, byte) in bytes.iter().enumerate() {
        assert_eq!(*byte, (number as usize).wrapping_mul(31).wrapping_add(k) as u8, "byte {k} of message {number}");
    }
}

/// A length that follows from a number, below `limit`.
fn length(number: u32, limit: usize) -> usize {
    (number.wrapping_mul(2_654_435_761) >> 16) as usize % limit
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--plant") {
        return plants::run(arguments.get(at + 1).map_or("", String::as_str));
    }
    println!("race: {} records in streams", streams::run());
    println!("race: {} records in sessions that ended in every way", sessions::run());
    println!("race: {} messages among many", mpmc::run());
}
