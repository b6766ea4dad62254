//! The one who writes what he likes where he likes. Now and then he puts the ring back as it was at first, so that the
//! others get beyond the door again.
//!
//! # Safety
//!
//! 1. The mapping covers the whole segment, which nobody truncates, and lives as long as `words`. This process reaches it
//!    through atomics alone.
#![allow(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "the vandal follows no protocol")]

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use memmap2::MmapOptions;

use crate::Failure;
use crate::backing::bytes;
use crate::chance::Rng;

/// Writes until its standard input ends; says how many words.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let [name, seed] = arguments else { return Err("arguments".into()) };
    let map = MmapOptions::new().map_raw(&bytes(name)?)?;
    // SAFETY: 1; whole words within the mapping, which starts on a page.
    let words = unsafe { std::slice::from_raw_parts(map.as_mut_ptr().cast::<AtomicU64>(), map.len() / 8) };
    let image: Vec<u64> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    static STOP: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        STOP.store(true, Ordering::Relaxed);
    });
    let (mut rng, mut written) = (Rng(seed.parse()?), 0u64);
    while !STOP.load(Ordering::Relaxed) {
        for _ in 0..1 + rng.below(24) {
            // Anywhere; or where the words that matter are, one in each line of the first pages.
            let at = if rng.once_in(2) { rng.next() } else { rng.below(64) * 16 + rng.below(4) } as usize % words.len();
            let now = words[at].load(Ordering::Relaxed);
            let value = match rng.below(5) {
                0 => rng.next(),
                1 => rng.next() >> rng.below(64),
                2 => now ^ 1 << rng.below(64),
                3 => now.wrapping_add(rng.below(512)).wrapping_sub(256),
                _ => words[rng.next() as usize % words.len()].load(Ordering::Relaxed),
            };
            words[at].store(value, Ordering::Relaxed);
            written += 1;
        }
        if rng.once_in(2) {
            words.iter().zip(&image).for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
        }
        if rng.once_in(8) {
            std::thread::sleep(rng.delay(Duration::from_micros(100)));
        }
        (0..rng.below(400)).for_each(|_| std::hint::spin_loop());
    }
    println!("{written}");
    Ok(())
}
