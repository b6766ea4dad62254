//! Campaigns against the safe API. Each runs in a child under an alarm, which turns a hang into a signal; what the child
//! was at is in a shared page, for the parent to name. Used beside `support` and `ring`.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use std::fs::{self};
use std::time::{Duration, Instant};

use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError};

use super::ring::{Item, Ledger};
use super::support::{TestName, child, say, unique};

pub const CAPACITY: usize = 256;

pub const CONTROL: usize = 4096;

/// Words of the control block that are written while a ring is in use: tail, head, seen mark, both seats, the unmarked
/// session, the lease counter.
pub const SHARED: [usize; 7] = [16, 32, 33, 48, 64, 80, 96];

/// A ring with a history: three sessions, records of several lengths, padding, something unread.
pub fn image() -> (TestName, Vec<u8>) {
    let name = unique("hostile");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(CAPACITY as u64)).unwrap();
    for session in 0..3 {
        let mut tx = Producer::open(name.as_str()).unwrap();
        for record in 0..12 {
            tx.try_send(session * 16 + record, &[record as u8; 61][..record as usize * 5]).unwrap();
            if session < 2 || record < 7 {
                while rx.try_recv_into(&mut [0; 128]).is_ok() {}
            } else if tx.len_guess() > 150 {
                break;
            }
        }
    }
    drop(rx);
    let image = fs::read(name.path()).unwrap();
    assert_eq!(image.len(), CONTROL + CAPACITY);
    (name, image)
}

/// What a word might be set to.
pub fn awkward(now: u64) -> Vec<u64> {
    let fixed =
        [0, 1, 2, 3, 7, 8, 9, 1 << 31, (1 << 31) | 1, (1 << 32) - 1, 1 << 32, (1 << 31) << 32, 1 << 63, u64::MAX];
    let near = [8, 1, 64, CAPACITY as u64, CAPACITY as u64 + 8, 1 << 20, 1 << 62];
    let flips = [0, 2, 3, 30, 31, 32, 47, 62, 63];
    let mut values = fixed.to_vec();
    values.extend(near.iter().flat_map(|n| [now.wrapping_add(*n), now.wrapping_sub(*n)]));
    values.extend(flips.iter().map(|bit| now ^ (1 << bit)));
    values.sort_unstable();
    values.dedup();
    values
}

/// Opens and uses what can be opened and used. `disturb` is called before each step.
pub fn attach_and_use(name: &str, disturb: impl Fn(u32)) {
    let start = Instant::now();
    let _ = ring_shm::spsc::inspect(name);
    let mut rx = Consumer::open(name);
    let mut tx = Producer::open(name);
    let mut buf = [0; CAPACITY];
    for step in 0..12 {
        disturb(step);
        if let Ok(tx) = &mut tx {
            let _ = tx.try_send(step, &buf[..step as usize * 9]);
            let _ = tx.try_claim(step as usize).map(|mut claim| {
                claim.write(b"claimed");
                if step % 2 == 0 { Some(claim.commit()) } else { None }
            });
            let _ = tx.try_claim_batch(3, 10).map(|mut batch| {
                while batch.push(step, b"batch").is_ok() {}
                batch.commit()
            });
            assert!(tx.len_guess() <= CAPACITY as u64);
            let _ = (tx.stats(), tx.is_disconnected(), tx.max_len());
        }
        if let Ok(rx) = &mut rx {
            // As many calls as there can be records, marks and ends, and one more.
            for _ in 0..step {
                match rx.try_recv_into(&mut buf) {
                    Ok(got) => assert!(got.len <= CAPACITY / 2 - 8, "{got:?}"),
                    Err(TryRecvError::BufferTooSmall { needed }) => panic!("{needed} bytes in a ring of {CAPACITY}"),
                    Err(_) => {}
                }
            }
            let _ = rx.try_read().map(|record| {
                assert!(record.copy_to(&mut buf) <= CAPACITY / 2 - 8);
                if step % 2 == 0 { record.keep() } else { record.release() }
            });
            let _ = rx.try_read_batch(5).map(|mut batch| {
                while let Some(record) = batch.next_record() {
                    assert!(record.copy_to(&mut buf) <= CAPACITY / 2 - 8);
                }
            });
            assert!(rx.len_guess() <= CAPACITY as u64);
            let _ = (rx.stats(), rx.is_disconnected(), rx.max_len());
        }
    }
    drop((tx, rx));
    let _ = ring_shm::spsc::recover(name, Some(1));
    assert!(start.elapsed() < Duration::from_secs(10), "bounded steps");
}

/// Plays `role` in a child, which has to survive.
pub fn survives(role: &str, args: &[&str]) {
    let ledger = Ledger::new();
    let path = ledger.path();
    let all: Vec<&str> = std::iter::once(path.as_str()).chain(args.iter().copied()).collect();
    let mut child = child(role, &all);
    let said = child.next();
    let status = child.finish();
    let at = ledger.account(0).get(Item::Next);
    assert!(status.success() && said.as_deref() == Some("survived"), "{role} {args:?}, case {at:#x}: {status}");
}

/// Plays a campaign, if this process is the child of one. `play` is given the role, its arguments, and where to say
/// what it is at.
pub fn entry(play: impl FnOnce(&str, &[String], &dyn Fn(u64))) {
    super::support::run_role(|role, args| {
        let ledger = Ledger::join(&args[0]);
        // SAFETY: plain numbers. SIGALRM ends the process, wherever it is.
        unsafe { libc::alarm(100) };
        play(role, &args[1..], &|case| ledger.account(0).put(Item::Next, case));
        say("survived");
    });
}
