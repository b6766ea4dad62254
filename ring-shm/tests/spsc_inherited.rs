//! SPSC handles that are inherited over `fork`, and descriptors that other code of the process closes and reuses.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
#[path = "support/spsc.rs"]
mod spsc;
mod support;

use ring::{tag, until};
use ring_shm::SetupErrorKind;
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError};
use spsc::{make, quiet_end};
use support::{TestName, play_alone, say};

#[test]
fn child_entry() {
    support::run_role(|role, _| match role {
        "heir" => play_heir(),
        "close-prober" => play_close_prober(),
        other => panic!("no role {other}"),
    });
}

#[test]
fn fork_inherited_handles_are_inert() {
    play_alone("heir", "done");
}

/// Ends a forked child: 0 if `f` holds, else the number of the check that fails.
fn in_fork(f: impl FnOnce() -> Result<(), i32>) {
    // SAFETY: this process has other threads (libtest's), which hold no lock that the child takes: it allocates
    // nothing beyond what glibc's own fork handlers make safe, and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = f().err().unwrap_or(0);
        // SAFETY: ends this child, runs nothing.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: our own child, and a whole int.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "check {} fails in the child, or signal {}", status >> 8, status & 127);
}

fn check(number: i32, holds: bool) -> Result<(), i32> {
    if holds { Ok(()) } else { Err(number) }
}

fn play_heir() {
    let name = make("heir");
    let mut tx = Some(Producer::open(name.as_str()).unwrap());
    let mut rx = Some(Consumer::open(name.as_str()).unwrap());
    tx.as_mut().unwrap().try_send(tag(1, 0), b"before").unwrap();
    in_fork(|| {
        let (mut tx, mut rx) = (tx.take().unwrap(), rx.take().unwrap());
        check(1, tx.try_send(0, b"x") == Err(TrySendError::Forked))?;
        check(2, matches!(tx.try_claim(1), Err(TrySendError::Forked)))?;
        check(3, matches!(tx.try_claim_batch(1, 1), Err(TrySendError::Forked)))?;
        check(4, rx.try_recv_into(&mut [0; 8]) == Err(TryRecvError::Forked))?;
        check(5, matches!(rx.try_read(), Err(TryRecvError::Forked)))?;
        check(6, matches!(rx.try_read_batch(1), Err(TryRecvError::Forked)))?;
        check(7, tx.len_guess() == 0 && rx.len_guess() == 0)?;
        check(8, !tx.is_disconnected() && !rx.is_disconnected())?;
        check(9, tx.stats().len_guess == 0 && rx.stats().len_guess == 0)?;
        check(10, tx.capacity() == 64 && rx.max_len() == 24)?;
        // The child is a process of its own: it may not sit, since its parent lives.
        let open = Producer::open(name.as_str()).map_err(|e| e.kind());
        check(11, matches!(open, Err(SetupErrorKind::InUse)))?;
        drop((tx, rx));
        let seen = ring_shm::spsc::inspect(name.as_str()).unwrap();
        check(12, seen.producer.verdict == Some(ring_shm::Verdict::Alive))?;
        check(13, seen.consumer.verdict == Some(ring_shm::Verdict::Alive))
    });
    // Nothing has changed for the parent.
    let (mut tx, mut rx) = (tx.unwrap(), rx.unwrap());
    assert_eq!(rx.try_recv_into(&mut [0; 8]).unwrap().tag, tag(1, 0));
    assert_eq!(quiet_end(&mut rx), None);
    tx.try_send(tag(1, 1), b"after").unwrap();

    // A claim and a record that are open across the fork belong to the parent.
    let mut claim = tx.try_claim(4).unwrap();
    claim.write(b"half");
    let record = rx.try_read().unwrap();
    let mut both = Some((claim, record));
    in_fork(|| {
        let (claim, record) = both.take().unwrap();
        std::mem::forget((claim, record));
        Ok(())
    });
    let (claim, record) = both.unwrap();
    claim.commit();
    assert_eq!(record.tag(), tag(1, 1));
    record.release();
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.len), Ok(4));

    // A heap ring is inert, too: its copy in the child would be another ring.
    let (mut tx, mut rx) = ring_shm::spsc::heap(64).unwrap();
    tx.try_send(0, b"heap").unwrap();
    in_fork(|| {
        check(20, tx.try_send(0, b"x") == Err(TrySendError::Forked))?;
        check(21, rx.try_recv_into(&mut [0; 8]) == Err(TryRecvError::Forked))
    });
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.len), Ok(4));

    // The child's own handle, after its parent's is gone, works; and the grandchild's copy of it does not.
    drop((tx, rx));
    let tx = Producer::open_or_create(format!("{}-child", name.as_str()), &Options::new().capacity(64)).unwrap();
    drop(tx);
    in_fork(|| {
        let mut tx = Producer::open(format!("{}-child", name.as_str())).map_err(|_| 30)?;
        tx.try_send(tag(2, 0), b"child").map_err(|_| 31)?;
        in_fork(|| check(32, tx.try_send(0, b"x") == Err(TrySendError::Forked)));
        tx.try_send(tag(2, 1), b"child").map(drop).map_err(|_| 33)
        // And it dies with the handle undropped.
    });
    let mut rx = Consumer::open(format!("{}-child", name.as_str())).unwrap();
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(tag(2, 0)));
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(tag(2, 1)));
    let end = quiet_end(&mut rx);
    assert_eq!(end, Some(TryRecvError::Disconnected), "closure's handle was dropped before _exit");
    ring_shm::unlink(format!("{}-child", name.as_str()), true).unwrap();
    say("done");
}

#[test]
fn closed_descriptors_of_the_prober() {
    play_alone("close-prober", "done");
}

/// Closes everything above the standard three, and lets other files have the numbers.
fn steal_descriptors(name: &TestName) -> Vec<std::fs::File> {
    // SAFETY: plain numbers; the files of this process are the test's own.
    assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) }, 0);
    let mut thieves: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    // Even the same segment, through a description that holds no lock.
    if name.path().exists() {
        thieves.extend((0..20).map(|_| std::fs::File::open(name.path()).unwrap()));
    }
    thieves
}

fn play_close_prober() {
    // The children's pipes must survive: they are dealt with through plain signals after the closing.
    for unlinked in [false, true] {
        let name = make("prober");
        // SAFETY: the child has only this thread, and ends by a signal.
        let owner = unsafe { libc::fork() };
        if owner == 0 {
            // SAFETY: plain numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let _tx = Producer::open(name.as_str()).unwrap();
            loop {
                // SAFETY: no arguments.
                unsafe { libc::pause() };
            }
        }
        let seat = || ring_shm::spsc::inspect(name.as_str()).unwrap().producer.facts.pid;
        until("the owner", || (seat() == owner.unsigned_abs().into()).then_some(()));
        let mut rx = Consumer::open(name.as_str()).unwrap();
        if unlinked {
            ring_shm::unlink(name.as_str(), true).unwrap();
        }
        let thieves = steal_descriptors(&name);
        assert_eq!(quiet_end(&mut rx), None, "a living producer, unlinked: {unlinked}");
        // SAFETY: our own child.
        assert_eq!(unsafe { libc::kill(owner, libc::SIGKILL) }, 0);
        let mut status = 0;
        // SAFETY: our own child, and a whole int.
        assert_eq!(unsafe { libc::waitpid(owner, &mut status, 0) }, owner);
        // With its name the segment is found again. Without, nobody can tell: no end, and no false one.
        let expected = (!unlinked).then_some(TryRecvError::PeerDied);
        assert_eq!(quiet_end(&mut rx), expected, "a dead producer, unlinked: {unlinked}");
        drop(rx);
        // Nothing that took a number was closed.
        for thief in &thieves {
            thief.metadata().unwrap();
        }
    }
    say("done");
}
