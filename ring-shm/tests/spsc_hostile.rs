//! Segments whose words are anything: the safe API answers with errors or with data, in bounded steps, and never with a
//! panic, a signal or a hang.
#![allow(unsafe_code)]

#[path = "support/campaign.rs"]
mod campaign;
// The flipper is the enemy; it needs no row in the protocol.
#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use campaign::*;
use ring::{Rng, seed};
use ring_shm::SetupErrorKind;
use ring_shm::spsc::{Consumer, Options, Producer};
use support::{TestName, unique};

#[test]
fn child_entry() {
    campaign::entry(|role, args, at| match role {
        "words" => play_words(&args[0], args[1].parse().unwrap(), at),
        "pairs" => play_pairs(&args[0], args[1].parse().unwrap(), at),
        other => panic!("no role {other}"),
    });
}

/// All words of the control block, and a few beyond.
const WORDS: usize = 1280 / 8 + 4;

/// Identity, facts of the seats' holders, shared words; or data.
fn means_something(index: usize) -> bool {
    matches!(index, 0..=15 | 49..=53 | 65..=69) || SHARED.contains(&index) || index >= CONTROL / 8
}

fn word(image: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(image[index * 8..][..8].try_into().unwrap())
}

fn set(image: &mut [u8], index: usize, value: u64) {
    image[index * 8..][..8].copy_from_slice(&value.to_le_bytes());
}

/// What a forger does: the identity line with a checksum that fits.
fn forge(image: &mut [u8]) {
    let sum = image[..120]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    set(image, 15, sum);
}

#[test]
fn hostile_control_words() {
    let (name, _) = image();
    survives("words", &[name.as_str(), "0"]);
}

#[test]
fn hostile_data_words() {
    let (name, _) = image();
    survives("words", &[name.as_str(), "1"]);
}

#[test]
fn hostile_pairs_of_words() {
    let (name, _) = image();
    survives("pairs", &[name.as_str(), &seed().to_string()]);
}

fn play_words(name: &str, part: usize, at: impl Fn(u64)) {
    let file = File::options().read(true).write(true).open(support::path_of(name)).unwrap();
    let mut image = vec![0; CONTROL + CAPACITY];
    file.read_exact_at(&mut image, 0).unwrap();
    let indices = match part {
        0 => 0..WORDS,
        _ => CONTROL / 8..(CONTROL + CAPACITY) / 8,
    };
    for index in indices {
        let values = if means_something(index) { awkward(word(&image, index)) } else { vec![1, u64::MAX] };
        for value in values {
            let mut changed = image.clone();
            set(&mut changed, index, value);
            // Before anybody opens it; also by one who knows the checksum.
            for forged in [false, true] {
                at((index as u64) << 8 | u64::from(forged));
                if forged {
                    forge(&mut changed);
                }
                file.write_all_at(&changed, 0).unwrap();
                attach_and_use(name, |_| {});
            }
            // Under living handles.
            at((index as u64) << 8 | 2);
            file.write_all_at(&image, 0).unwrap();
            attach_and_use(name, |step| {
                if step % 4 == 0 {
                    file.write_all_at(&value.to_le_bytes(), index as u64 * 8).unwrap();
                }
            });
        }
    }
}

fn play_pairs(name: &str, seed: u64, at: impl Fn(u64)) {
    let file = File::options().read(true).write(true).open(support::path_of(name)).unwrap();
    let mut image = vec![0; CONTROL + CAPACITY];
    file.read_exact_at(&mut image, 0).unwrap();
    let mut rng = Rng(seed);
    for case in 0..3000 {
        at(case);
        let mut changed = image.clone();
        for _ in 0..2 + rng.below(3) {
            // Tail, head, seen, seats, counter; or the data; or an identity word.
            let index = match rng.below(8) {
                0 => rng.below(15) as usize,
                1..=4 => rng.of(&SHARED),
                _ => (CONTROL / 8) + rng.below(CAPACITY as u64 / 8) as usize,
            };
            let value = rng.of(&awkward(word(&image, index)));
            set(&mut changed, index, value);
        }
        forge(&mut changed);
        file.write_all_at(&changed, 0).unwrap();
        attach_and_use(name, |_| {});
    }
}

/// Puts `bytes` where the segment of a fresh name would be.
fn plant(bytes: &[u8]) -> TestName {
    let name = unique("planted");
    let file = File::options().write(true).create_new(true).mode(0o600).open(name.path()).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    name
}

/// Everything that opens refuses it, says why with `word`, and leaves it as it was.
fn refused(bytes: &[u8], word: &str) {
    let name = plant(bytes);
    let errors = [
        Producer::open(name.as_str()).map(drop),
        Consumer::open(name.as_str()).map(drop),
        Producer::open_or_create(name.as_str(), &Options::new().capacity(256)).map(drop),
        ring_shm::spsc::inspect(name.as_str()).map(drop),
        ring_shm::spsc::recover(name.as_str(), None).map(drop),
    ];
    for error in errors {
        let error = error.expect_err(word);
        assert_eq!(error.kind(), SetupErrorKind::Corrupt, "{error}");
        let text = error.to_string();
        assert!(text.contains(word), "{word:?} is not in {text:?}");
        assert!(["remove", "choose", "use ", "open "].iter().any(|cure| text.contains(cure)), "no cure in {text:?}");
    }
    assert_eq!(fs::read(name.path()).unwrap(), bytes, "it was written to");
}

#[test]
fn hostile_cut_short() {
    if support::skip_over(support::Backing::Memfd, "cannot be cut short") {
        return;
    }
    let (_name, image) = image();
    let full = image.len();
    refused(&[], "empty");
    for size in [1, 7, 8, 64, 127, 128, 129, 1023, 1152, 4095, 4096, 4097, 4104, full - 64, full - 8, full - 1] {
        refused(&image[..size], "truncated");
    }
    // Longer than it was made is somebody's work, to be looked at and not used: it would be mapped, locked, faulted in.
    for more in [1, 8, 4096, 1 << 40] {
        let name = plant(&image);
        fs::File::options().write(true).open(name.path()).unwrap().set_len(full as u64 + more).unwrap();
        let opened = [Producer::open(name.as_str()).map(drop), ring_shm::spsc::recover(name.as_str(), None).map(drop)];
        for error in opened.map(Result::unwrap_err) {
            assert_eq!(error.kind(), SetupErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains("resized it; remove it"), "{error}");
        }
        assert_eq!(ring_shm::spsc::inspect(name.as_str()).unwrap().size, full as u64 + more);
    }
}

#[test]
fn hostile_foreign_files() {
    if support::skip_over(support::Backing::Memfd, "has no name to plant a file under") {
        return;
    }
    let (_name, image) = image();
    let mut rng = Rng(seed());
    let noise: Vec<u8> = (0..image.len()).map(|_| rng.next() as u8).collect();
    refused(&noise, "magic");
    refused(&vec![0; image.len()], "magic");
    refused(&b"plain text, and long enough to be looked at. ".repeat(200), "magic");
    let changed = |index: usize, value: u64| {
        let mut changed = image.clone();
        set(&mut changed, index, value);
        forge(&mut changed);
        changed
    };
    refused(&changed(0, u64::from_le_bytes(*b"RINGMPMC")), "kind");
    refused(&changed(0, u64::from_be_bytes(*b"RINGSPSC")), "magic");
    refused(&changed(1, 2), "version");
    refused(&changed(1, 0), "version");
    refused(&changed(4, 1 << 7), "feature");
    refused(&changed(6, 3), "capacity");
    refused(&changed(6, 1 << 63), "capacity");
    refused(&changed(6, 512), "total length");
    refused(&changed(8, 0), "data offset");
    refused(&changed(11, 1 << 40), "release interval");
    let mut unforged = image.clone();
    set(&mut unforged, 10, 7);
    refused(&unforged, "checksum");
    // Positions and seats of no ring that ever was.
    for (index, value, word) in [(16, 4, "tail"), (32, 1 << 40, "tail"), (48, 1, "seat"), (64, u64::MAX, "seat")] {
        let mut changed = image.clone();
        set(&mut changed, index, value);
        refused(&changed, word);
    }
    // The mark of what was seen concerns the next consumer alone.
    for value in [u64::MAX, 4, word(&image, 32) + CAPACITY as u64 + 8] {
        let mut changed = image.clone();
        set(&mut changed, 33, value);
        let name = plant(&changed);
        let error = Consumer::open(name.as_str()).unwrap_err();
        assert_eq!(error.kind(), SetupErrorKind::Corrupt, "{value:#x}: {error}");
        assert!(error.to_string().contains("seen"), "{value:#x}: {error}");
    }
}
