//! A peer that writes anything anywhere: the safe API of MPMC rings answers with errors or with data, in bounded
//! steps, and never with a panic, a signal or a hang. Each campaign runs in a child under an alarm, which turns a hang
//! into a signal.
#![allow(unsafe_code)]

mod support;
#[path = "support/mpmc.rs"]
mod workers;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ring_shm::SetupErrorKind;
use ring_shm::mpmc::{Consumer, Options, Producer, TryRecvError, TrySendError, close, inspect, recover};
use support::{TestName, child, say};
use workers::{make, recv, send};

const SLOTS: u64 = 4;
const ENTRIES: usize = 4;
const CONTROL: usize = 4096;
const LINE: usize = 128;

/// Where the data begins: a page after the control block, for so few entries.
const DATA: usize = 2 * CONTROL;
const STRIDE: usize = 64;

#[test]
fn child_entry() {
    support::run_role(|role, args| {
        // SAFETY: plain numbers. SIGALRM ends the process, wherever it is.
        unsafe { libc::alarm(100) };
        match role {
            "attach" => play_attach(args[0].parse().unwrap()),
            "live" => play_live(args[0].parse().unwrap()),
            other => panic!("no role {other}"),
        }
        say("survived");
    });
}

fn survives(role: &str, mode: &str) {
    let mut child = child(role, &[mode]);
    let said = child.next();
    let status = child.finish();
    assert!(status.success() && said.as_deref() == Some("survived"), "{role} {mode}: {status}, said {said:?}");
}

fn options(mode: u32) -> Options {
    let options = Options::new().slots(SLOTS).slot_size(48).max_participants(ENTRIES as u32);
    match mode {
        0 => options,
        1 => options.max_producers(1),
        2 => options.max_consumers(1),
        _ => options.at_most_once(),
    }
}

/// A ring with a history, in which slots are free, committed, void and orphaned.
fn image(mode: u32) -> (TestName, Vec<u8>) {
    let name = make("hostile", &options(mode));
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    for n in 0..6 {
        send(&mut tx, n).unwrap();
        recv(&mut rx).unwrap();
    }
    send(&mut tx, 6).unwrap();
    rx.try_read().unwrap().keep();
    tx.try_claim(3).unwrap().abort();
    send(&mut tx, 7).unwrap();
    drop((tx, rx));
    let image = fs::read(name.path()).unwrap();
    assert_eq!(image.len(), DATA + STRIDE * SLOTS as usize);
    (name, image)
}

/// The words that mean something: identity, positions, counters; the table; slot headers and a little payload.
fn words() -> Vec<usize> {
    let control = (0..16).chain((1..7).map(|line| line * LINE / 8));
    let table = (0..ENTRIES).flat_map(|entry| (0..13).map(move |word| (CONTROL + entry * LINE) / 8 + word));
    let data = (0..SLOTS as usize).flat_map(|slot| (0..3).map(move |word| (DATA + slot * STRIDE) / 8 + word));
    control.chain(table).chain(data).collect()
}

/// What a word might be set to.
fn awkward(now: u64) -> Vec<u64> {
    let mut values = vec![0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 1 << 12, 1 << 31, 1 << 32, 1 << 52, 1 << 53, 1 << 63];
    values.extend([u64::MAX, u64::MAX - 1, u64::MAX >> 1, (1 << 53) + 1, 0xfff, 7 << 12 | 0xfff, 4 << 12 | 4]);
    values.extend([1, 2, 3, 8, 256, 4 << 8, 1 << 12].iter().flat_map(|n| [now.wrapping_add(*n), now.wrapping_sub(*n)]));
    values.extend([0, 1, 2, 3, 7, 8, 31, 51, 63].iter().map(|bit| now ^ (1 << bit)));
    values.sort_unstable();
    values.dedup();
    values
}

/// A quarter of all cases, another one in each mode; all of them with `RING_HOSTILE=all`.
fn is_picked(mode: u32, index: usize, turn: usize) -> bool {
    (turn + index) % 4 == mode as usize % 4 || std::env::var("RING_HOSTILE").is_ok_and(|which| which == "all")
}

fn set(image: &mut [u8], index: usize, value: u64) {
    image[index * 8..][..8].copy_from_slice(&value.to_le_bytes());
}

fn get(image: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(image[index * 8..][..8].try_into().unwrap())
}

/// A checksum that fits, as a forger would write it.
fn forge(image: &mut [u8]) {
    let sum = image[..120]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    set(image, 15, sum);
}

fn write(name: &TestName, image: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(name.path()).unwrap();
    file.write_all_at(image, 0).unwrap();
}

/// Uses two handles in every way, whatever they say; each answer must be one of the API's. Whether one was `Corrupt`.
fn exercise(tx: &mut Producer, rx: &mut Consumer) -> bool {
    let mut corrupt = false;
    for turn in 0..6 {
        let sent = match turn % 3 {
            0 => send(tx, 1).map(drop),
            1 => tx.try_claim(9).map(|claim| assert!(claim.commit().get() < 1 << 56)),
            _ => tx.try_claim_batch(3, 9).map(|mut batch| {
                let _ = batch.push(0, b"x");
                batch.commit();
            }),
        };
        corrupt |= matches!(sent, Err(TrySendError::Corrupt(_)));
        let got = match turn % 3 {
            0 => rx.try_recv_into(&mut [0; 48]).map(drop),
            1 => rx.try_read().map(|record| {
                assert!(record.len() <= 48);
                if turn == 4 {
                    record.keep();
                }
            }),
            _ => rx.try_read_batch(3).map(|mut batch| while batch.next_record().is_some() {}),
        };
        corrupt |= matches!(got, Err(TryRecvError::Corrupt(_)));
        let _ = (tx.len_guess(), rx.stats(), tx.is_disconnected());
    }
    if corrupt {
        let poisoned = matches!(send(tx, 1), Err(TrySendError::Corrupt(_)))
            || matches!(rx.try_recv_into(&mut [0; 48]), Err(TryRecvError::Corrupt(_)));
        assert!(poisoned, "once corrupt, always corrupt");
    }
    corrupt
}

/// Whether the consumer is told `Busy` for long and not by whom: nobody would ever put an end to that. (A producer may
/// well wait for no one in particular: for a consumer to come and take a message back up.)
fn waits_for_nobody(rx: &mut Consumer) -> bool {
    let start = Instant::now();
    while rx.try_recv_into(&mut [0; 48]) == Err(TryRecvError::Busy { by: None }) {
        if start.elapsed() > Duration::from_secs(5) {
            return true;
        }
    }
    false
}

fn case(what: &str, index: usize, value: u64, f: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| panic!("{what}: word {index:#x} (byte {:#x}) = {value:#x}", index * 8));
}

/// Every word before anybody attaches.
fn play_attach(mode: u32) {
    let (name, image) = image(mode);
    let (mut refused, mut corrupt, mut cases) = (0, 0, 0);
    for index in words() {
        for (turn, value) in awkward(get(&image, index)).into_iter().enumerate() {
            if !is_picked(mode, index, turn) {
                continue;
            }
            let mut bad = image.clone();
            set(&mut bad, index, value);
            if index < 15 {
                forge(&mut bad);
            }
            write(&name, &bad);
            cases += 1;
            case("attach", index, value, || {
                let opened = (Producer::open(name.as_str()), Consumer::open(name.as_str()));
                match opened {
                    (Ok(mut tx), Ok(mut rx)) => corrupt += u32::from(exercise(&mut tx, &mut rx)),
                    (tx, rx) => {
                        refused += 1;
                        for kind in [tx.err().map(|e| e.kind()), rx.err().map(|e| e.kind())].into_iter().flatten() {
                            let known = [SetupErrorKind::Corrupt, SetupErrorKind::InUse, SetupErrorKind::Closed];
                            assert!(known.contains(&kind), "{kind:?}");
                        }
                    }
                }
                let _ = inspect(name.as_str());
                let _ = recover(name.as_str(), Some(value));
                if value % 3 == 0 {
                    let _ = close(name.as_str());
                }
            });
        }
    }
    println!("mode {mode}: {cases} cases, {refused} refused, {corrupt} found corrupt later");
    assert!(refused > 50 && corrupt > 20, "{refused} {corrupt}");
}

/// Every word under the feet of two handles that have begun.
fn play_live(mode: u32) {
    let (name, image) = image(mode);
    let (mut corrupt, mut cases) = (0, 0);
    for index in words().into_iter().filter(|index| *index >= 16) {
        for (turn, value) in awkward(get(&image, index)).into_iter().enumerate() {
            if !is_picked(mode, index, turn) {
                continue;
            }
            write(&name, &image);
            let (Ok(mut tx), Ok(mut rx)) = (Producer::open(name.as_str()), Consumer::open(name.as_str())) else {
                panic!("the image is good");
            };
            let _ = (send(&mut tx, 1), rx.try_recv_into(&mut [0; 48]));
            cases += 1;
            case("live", index, value, || {
                let mut bad = [0; 8];
                set(&mut bad, 0, value);
                let file = fs::OpenOptions::new().write(true).open(name.path()).unwrap();
                file.write_all_at(&bad, index as u64 * 8).unwrap();
                corrupt += u32::from(exercise(&mut tx, &mut rx));
                assert!(!waits_for_nobody(&mut rx));
            });
        }
    }
    println!("mode {mode}: {cases} cases, {corrupt} found corrupt");
    assert!(corrupt > 20, "{corrupt}");
}

#[test]
fn hostile_words_before_attaching() {
    (0..4).for_each(|mode| survives("attach", &mode.to_string()));
}

#[test]
fn hostile_words_under_living_handles() {
    (0..4).for_each(|mode| survives("live", &mode.to_string()));
}

/// A segment of another length than its identity says, or of none.
#[test]
fn hostile_lengths() {
    if support::skip_over(support::Backing::Memfd, "cannot be cut short") {
        return;
    }
    let (name, image) = image(0);
    for len in [0, 1, 127, 4095, 4096, DATA as u64, image.len() as u64 - 1] {
        let file = fs::OpenOptions::new().write(true).open(name.path()).unwrap();
        file.set_len(len).unwrap();
        assert_eq!(Consumer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::Corrupt, "{len}");
        assert_eq!(inspect(name.as_str()).unwrap_err().kind(), SetupErrorKind::Corrupt, "{len}");
    }
}
