//! A kill at one instruction after the other of a commit, a release, a take-over: the few stores that random kills
//! hardly ever fall between.
//!
//! A tracer forks the victim, which stops itself right before and right after the one call in question; the tracer
//! steps it `k` instructions on and kills it there, for k = 0, 1, 2, … until the call is over. After each kill a
//! successor sits, and all that is allowed is: nothing of the operation, or all of it.
//!
//! A step costs up to 0.1 ms, so a debug build, whose calls are long, tries 60 points of each, evenly spread, and leaves
//! the longest calls to a release build, which tries up to 400 (`RING_POINTS` says otherwise).
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use std::time::Instant;

use ring::{Rng, number, seed};
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError};
use support::{child, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "tracer" => play_tracer(&args[0], args[1].parse().unwrap()),
        other => panic!("no role {other}"),
    });
}

/// Runs the case in a tracer of its own.
fn run(case: &str) {
    let mut tracer = child("tracer", &[case, &seed().to_string()]);
    let said = tracer.next();
    assert!(tracer.finish().success(), "{case}: the tracer's words are above");
    println!("{case}: {}", said.unwrap());
}

#[test]
fn kill_steps_of_a_send() {
    run("send");
}

#[test]
fn kill_steps_of_a_send_with_padding() {
    run("padded-send");
}

#[test]
fn kill_steps_of_a_claim() {
    run("claim");
}

#[test]
fn kill_steps_of_a_batch() {
    run("batch");
}

#[test]
fn kill_steps_of_a_batch_with_padding_first() {
    run("padded-batch");
}

#[test]
fn kill_steps_of_a_batch_across_the_wrap() {
    run("wrapped-batch");
}

#[test]
fn kill_steps_of_a_close() {
    run("close");
}

#[test]
fn kill_steps_of_a_receive() {
    run("receive");
}

#[test]
fn kill_steps_of_a_release() {
    run("release");
}

#[test]
fn kill_steps_of_a_batch_release() {
    run("batch-release");
}

/// Stops this process for its tracer.
fn mark() {
    // SAFETY: plain numbers.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// `ptrace` with plain numbers. The error if there is one.
fn trace(request: libc::c_uint, pid: i32, data: usize) -> Result<(), std::io::Error> {
    // SAFETY: the requests used here take no pointer.
    let done = unsafe { libc::ptrace(request, pid, 0_usize, data) };
    if done == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// The signal that has stopped `pid`; `None` when it has ended.
fn stopped(pid: i32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: our own child, and a whole int.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, libc::__WALL) }, pid);
    libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))
}

fn kill(pid: i32) {
    // SAFETY: our own child.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    while stopped(pid).is_some() {}
}

/// Forks `victim`, lets it come to its first mark, steps it `steps` instructions, or to its second mark, and kills it.
/// Returns how many; an error where tracing is forbidden.
fn step_and_kill(victim: impl FnOnce(), steps: u64) -> Result<u64, std::io::Error> {
    // SAFETY: nobody else in this process holds a lock the child needs: the test's thread waits, libtest's sleeps.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: plain numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let code = match trace(libc::PTRACE_TRACEME, 0, 0) {
            Ok(()) => {
                victim();
                1
            }
            Err(error) => error.raw_os_error().unwrap_or(0),
        };
        // SAFETY: ends this child, runs nothing.
        unsafe { libc::_exit(code) };
    }
    if stopped(pid) != Some(libc::SIGSTOP) {
        return Err(std::io::Error::from_raw_os_error(libc::EPERM));
    }
    for step in 0..steps {
        trace(libc::PTRACE_SINGLESTEP, pid, 0)?;
        match stopped(pid) {
            Some(libc::SIGTRAP) => {}
            Some(libc::SIGSTOP) => {
                // The second mark: the call is over.
                kill(pid);
                return Ok(step);
            }
            other => panic!("step {step}: {other:?}"),
        }
    }
    kill(pid);
    Ok(steps)
}

/// Kills at one point of the case after the other.
fn play_tracer(case: &str, seed: u64) {
    let mut rng = Rng(seed);
    let kill = |k| match case {
        "receive" | "release" | "batch-release" => kill_reader(case, k),
        _ => kill_writer(case, k),
    };
    // To the end, and beyond: how long it is.
    let length = match kill(u64::MAX) {
        Ok(Outcome { at, all }) => {
            assert!(all, "{case}: over, and not done");
            at
        }
        Err(error) => return say(&format!("skipped: no tracing here, {error}")),
    };
    let points = number("RING_POINTS", if cfg!(debug_assertions) { 60 } else { 400 }).min(length);
    if cfg!(debug_assertions) && length > 2500 {
        return say(&format!("skipped: {length} instructions in a debug build; run it with --release"));
    }
    let (start, mut whole) = (Instant::now(), 0);
    // One of each stretch.
    for point in 0..points {
        let (from, to) = (length * point / points, length * (point + 1) / points);
        let outcome = kill(from + rng.below(to - from)).unwrap();
        whole += u64::from(outcome.all);
    }
    let time = start.elapsed();
    say(&format!("kill points: {points} of {length}, {whole} with the operation done, {time:.1?}"));
}

struct Outcome {
    /// Instructions after the first mark; fewer than asked for if the second mark came before.
    at: u64,
    /// The operation was found done.
    all: bool,
}

/// Bytes that the ring has moved on before the case begins: the end of the area is near for the padded ones.
fn offset(case: &str) -> usize {
    match case {
        "padded-send" | "padded-batch" => 512 - 24,
        "wrapped-batch" => 512 - 80,
        _ => 64,
    }
}

fn kill_writer(case: &str, k: u64) -> Result<Outcome, std::io::Error> {
    let name = unique("steps");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(512)).unwrap();
    let mut buf = [0; 64];
    // Two records of the past, one unread; the ring's memory is full of old payload that looks like records.
    let mut tx = Producer::open(name.as_str()).unwrap();
    let forged = [9_u64.to_le_bytes(); 6].concat();
    let mut at = 0;
    while at < 512 + offset(case) {
        let room = (512 + offset(case) - at).min(56);
        tx.try_send(1, &forged[..room - 8]).unwrap();
        rx.try_recv_into(&mut buf).unwrap();
        at = usize::try_from(tx.stats().position.get()).unwrap();
    }
    assert_eq!(at, 512 + offset(case));
    drop(tx);
    assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Disconnected));
    let victim = || {
        let mut tx = Producer::open(name.as_str()).unwrap();
        match case {
            "send" | "padded-send" => {
                mark();
                tx.try_send(2, &[2; 40]).unwrap();
                mark();
            }
            "claim" => {
                let mut claim = tx.try_claim(48).unwrap();
                claim.write(&[2; 40]);
                claim.truncate(40);
                claim.set_tag(2);
                mark();
                claim.commit();
                mark();
            }
            "close" => {
                tx.try_send(2, &[2; 40]).unwrap();
                mark();
                drop(tx);
                mark();
            }
            _ => {
                let mut batch = tx.try_claim_batch_exact(4, 40).unwrap();
                for _ in 0..4 {
                    batch.push(2, &[2; 40]).unwrap();
                }
                mark();
                batch.commit();
                mark();
            }
        }
    };
    let at = step_and_kill(victim, k)?;

    // A reader that was there all the time, and has a record in hand if there is one; and a successor that sends one
    // more, not into what is being read.
    let lent = rx.try_read();
    assert!(matches!(lent, Ok(_) | Err(TryRecvError::Empty | TryRecvError::PeerDied)), "{case}, step {k}: {lent:?}");
    // Nothing had been committed, and this look was the one that asks.
    let mut ends: Vec<_> =
        lent.as_ref().err().copied().filter(|error| *error != TryRecvError::Empty).into_iter().collect();
    let mut tx = Producer::open(name.as_str()).unwrap_or_else(|e| panic!("{case}, step {k}: {e}"));
    tx.try_send(3, &[3; 40]).unwrap();
    let visible = lent.map(|record| {
        assert_eq!((record.tag(), record.copy_to(&mut buf)), (2, 40), "{case}, step {k}: overwritten in our hands");
        assert_eq!(buf[..40], [2; 40], "{case}, step {k}: overwritten in our hands");
        record.keep();
    });
    let (mut got, mut after) = (0, 0);
    let mut polls = 0;
    while polls < 200 {
        match rx.try_recv_into(&mut buf) {
            Ok(record) => {
                assert_eq!((record.len, record.redelivered), (40, false), "{case}, step {k}: {ends:?}");
                assert!(buf[..40].iter().all(|byte| u32::from(*byte) == record.tag), "{case}, step {k}");
                match record.tag {
                    2 => got += 1,
                    _ => after += 1,
                }
                assert!(after == 0 || record.tag == 3 && ends.len() == 1, "{case}, step {k}: {ends:?}, out of order");
            }
            Err(TryRecvError::Empty) => polls += 1,
            Err(e @ (TryRecvError::PeerDied | TryRecvError::Disconnected)) => ends.push(e),
            Err(e) => panic!("{case}, step {k}: {e}"),
        }
    }
    assert_eq!(after, 1, "{case}, step {k}: the successor's record");
    let (most, closed) = match case {
        "send" | "padded-send" | "claim" => (1, false),
        "close" => (1, ends == [TryRecvError::Disconnected]),
        _ => (4, false),
    };
    if case == "close" {
        assert_eq!(got, 1, "step {k}");
        assert!(closed || ends == [TryRecvError::PeerDied], "step {k}: {ends:?}");
        return Ok(Outcome { at, all: closed });
    }
    assert_eq!(ends, [TryRecvError::PeerDied], "{case}, step {k}");
    assert!(got == 0 || got == most, "{case}, step {k}: {got} of {most}");
    assert!(got == most || visible.is_err(), "{case}, step {k}: it has been read, and is gone");
    Ok(Outcome { at, all: got == most })
}

fn kill_reader(case: &str, k: u64) -> Result<Outcome, std::io::Error> {
    let name = unique("steps");
    let options = Options::new().capacity(512).release_every(if case == "receive" { 100 } else { 0 });
    let mut tx = Producer::create(name.as_str(), &options).unwrap();
    for seq in 0..8 {
        tx.try_send(seq, &[7; 20]).unwrap();
    }
    let victim = || {
        let mut rx = Consumer::open(name.as_str()).unwrap();
        let mut buf = [0; 20];
        match case {
            "receive" => {
                // The head is held back until the fourth; that one is in question.
                for _ in 0..3 {
                    rx.try_recv_into(&mut buf).unwrap();
                }
                mark();
                rx.try_recv_into(&mut buf).unwrap();
                mark();
            }
            "release" => {
                let record = rx.try_read().unwrap();
                mark();
                record.release();
                mark();
            }
            _ => {
                let mut batch = rx.try_read_batch(4).unwrap();
                while batch.next_record().is_some() {}
                mark();
                batch.release();
                mark();
            }
        }
    };
    let at = step_and_kill(victim, k)?;
    let (held, seen) = match case {
        "receive" => (4, 3),
        "release" => (1, 1),
        _ => (4, 4),
    };
    let mut rx = Consumer::open(name.as_str()).unwrap_or_else(|e| panic!("{case}, step {k}: {e}"));
    let first = rx.try_recv_into(&mut [0; 20]).unwrap();
    assert!(first.tag == 0 || first.tag == held, "{case}, step {k}: {first:?}");
    // What was surely handed out and comes again must be flagged. May be: that which was at hand, and a batch's next
    // record, since the mark of a batch runs some bytes ahead.
    let check = |seq: u32, flagged: bool| {
        assert!(flagged || first.tag > 0 || seq >= seen, "{case}, step {k}: record {seq} comes again without the flag");
        assert!(!flagged || seq <= held, "{case}, step {k}: record {seq} is flagged, nobody has seen it");
    };
    check(first.tag, first.redelivered);
    for seq in first.tag + 1..8 {
        let got = rx.try_recv_into(&mut [0; 20]).unwrap();
        assert_eq!(got.tag, seq, "{case}, step {k}");
        check(seq, got.redelivered);
    }
    // All is free again: as much as fits into an empty ring.
    let refilled = (0..100).take_while(|_| tx.try_send(0, &[7; 20]).is_ok()).count();
    assert!(refilled >= 15, "{case}, step {k}: {refilled}");
    Ok(Outcome { at, all: first.tag == held })
}
