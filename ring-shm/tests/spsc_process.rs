//! SPSC handles and what may happen to a process: fork, exec, closed descriptor tables, zombies, leaders that exit.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use ring::{record_of_len, session_of, tag, until};
use ring_shm::SetupErrorKind;
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError};
use support::{Child, TestName, child, hear, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "worker" => play_worker(&args[0], args[1].parse().unwrap()),
        "heir" => play_heir(),
        "close-prober" => play_close_prober(),
        other => panic!("no role {other}"),
    });
}

/// A producer (even number) or consumer (odd) that does as it is told.
fn play_worker(name: &str, number: u32) {
    let mut tx = (number % 2 == 0).then(|| Producer::open(name).unwrap());
    let mut rx = (number % 2 == 1).then(|| Consumer::open(name).unwrap());
    say("sits");
    let mut seq = 0;
    while let Some(order) = hear() {
        match order.as_str() {
            "work" => {
                if let Some(tx) = &mut tx {
                    let mut payload = Vec::new();
                    let tag = record_of_len(number, seq, 9, &mut payload);
                    say(&format!("worked {:?}", tx.try_send(tag, &payload).map(drop)));
                }
                if let Some(rx) = &mut rx {
                    let got = rx.try_recv_into(&mut [0; 64]);
                    say(&format!("worked {:?}", got.map(drop)));
                }
                seq += 1;
            }
            "fork" => {
                // SAFETY: the child only sleeps.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    // Should the test never come to end it.
                    // SAFETY: plain numbers.
                    unsafe { libc::alarm(60) };
                    loop {
                        // SAFETY: no arguments.
                        unsafe { libc::pause() };
                    }
                }
                say(&format!("forked {pid}"));
            }
            "exec" => panic!("{}", Command::new("sleep").arg("1000").exec()),
            "close-range" => {
                // All but the standard three, the segment's among them.
                // SAFETY: plain numbers; what belongs to Rust's own files is none of this test's.
                assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) }, 0);
                say("closed");
            }
            "leader-exit" => {
                let (tx, rx) = (tx.take(), rx.take());
                std::thread::spawn(move || {
                    say("moved");
                    work_on(tx, rx, number);
                });
                end_leader();
                loop {
                    std::thread::park();
                }
            }
            other => panic!("no order {other}"),
        }
    }
}

/// Ends the main thread of the process, whichever this one is, and leaves the others running.
fn end_leader() {
    extern "C" fn end_thread(_: i32) {
        // SAFETY: ends this thread without unwinding; its stack stays.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    let pid = std::process::id();
    // SAFETY: the handler makes one system call.
    unsafe { libc::signal(libc::SIGUSR1, end_thread as extern "C" fn(i32) as libc::sighandler_t) };
    // SAFETY: plain numbers; the leader of this very process.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, libc::SIGUSR1) };
}

/// Goes on without the leader, for as long as it is told to.
fn work_on(tx: Option<Producer>, rx: Option<Consumer>, number: u32) {
    let (mut tx, mut rx) = (tx, rx);
    let mut seq = 0;
    while let Some(order) = hear() {
        assert_eq!(order, "work");
        if let Some(tx) = &mut tx {
            let mut payload = Vec::new();
            let tag = record_of_len(number, seq, 9, &mut payload);
            say(&format!("worked {:?}", tx.try_send(tag, &payload).map(drop)));
        }
        if let Some(rx) = &mut rx {
            say(&format!("worked {:?}", rx.try_recv_into(&mut [0; 64]).map(drop)));
        }
        seq += 1;
    }
}

fn worker(name: &TestName, number: u32) -> Child {
    let mut worker = child("worker", &[name.as_str(), &number.to_string()]);
    worker.wait_for("sits");
    worker
}

fn make(tag: &str) -> TestName {
    let name = unique(tag);
    ring_shm::spsc::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    name
}

/// Asks often and long enough that the kernel is asked, too.
fn quiet_end(rx: &mut Consumer) -> Option<TryRecvError> {
    let (start, mut polls) = (Instant::now(), 0);
    while polls < 256 {
        match rx.try_recv_into(&mut [0; 64]) {
            Err(TryRecvError::Empty) => polls += u32::from(start.elapsed() > Duration::from_millis(3)),
            Err(e) => return Some(e),
            Ok(got) => panic!("{got:?}"),
        }
    }
    None
}

fn full_end(tx: &mut Producer) -> Option<TrySendError> {
    let (start, mut polls) = (Instant::now(), 0);
    while polls < 256 {
        match tx.try_send(0, b"123456789") {
            Ok(_) => {}
            Err(TrySendError::Full) => polls += u32::from(start.elapsed() > Duration::from_millis(3)),
            Err(e) => return Some(e),
        }
    }
    None
}

fn refused(name: &TestName, number: u32, pid: i32) {
    let error = match number % 2 {
        0 => Producer::open(name.as_str()).map(drop),
        _ => Consumer::open(name.as_str()).map(drop),
    };
    let error = error.expect_err("its owner lives");
    assert_eq!(error.kind(), SetupErrorKind::InUse);
    assert!(error.to_string().contains(&format!("process {pid} ")), "{error}");
}

/// The peer of worker `number` is told of its death, once; and a successor sits and works.
fn succeeded(name: &TestName, number: u32, peer: &mut Peer) {
    assert!(peer.is_disconnected());
    match peer {
        Peer::Rx(rx) => {
            assert_eq!(quiet_end(rx), Some(TryRecvError::PeerDied));
            assert_eq!(quiet_end(rx), None);
        }
        Peer::Tx(tx) => {
            assert_eq!(full_end(tx), Some(TrySendError::PeerDied));
            assert_eq!(full_end(tx), None);
        }
    }
    let mut next = worker(name, number + 2);
    assert_eq!(next.ask("work", "worked"), "Ok(())");
    peer.works(number + 2);
}

/// The side that the test itself has.
enum Peer {
    Tx(Producer),
    Rx(Consumer),
}

impl Peer {
    fn of(name: &TestName, number: u32) -> Self {
        match number % 2 {
            0 => Self::Rx(Consumer::open(name.as_str()).unwrap()),
            _ => Self::Tx(Producer::open(name.as_str()).unwrap()),
        }
    }

    fn is_disconnected(&self) -> bool {
        match self {
            Self::Tx(tx) => tx.is_disconnected(),
            Self::Rx(rx) => rx.is_disconnected(),
        }
    }

    /// One record between it and worker `number`, which has already done, or will now find, its part.
    fn works(&mut self, number: u32) {
        match self {
            Self::Tx(tx) => drop(tx.try_send(0, b"123456789")),
            Self::Rx(rx) => {
                let got = until("a record", || rx.try_recv_into(&mut [0; 64]).ok());
                assert_eq!(session_of(got.tag), number);
            }
        }
    }

    /// No end is told, however often the kernel is asked.
    fn sees_nothing(&mut self) {
        match self {
            Self::Tx(tx) => assert_eq!(full_end(tx), None),
            Self::Rx(rx) => assert_eq!(quiet_end(rx), None),
        }
        assert!(!self.is_disconnected());
    }
}

/// A worker that has done some work, and its peer. Even numbers produce, odd ones consume.
fn pair(name: &TestName, number: u32) -> (Child, Peer) {
    let mut peer = Peer::of(name, number);
    let mut worker = worker(name, number);
    if number % 2 == 1 {
        peer.works(number);
    }
    assert_eq!(worker.ask("work", "worked"), "Ok(())");
    if number % 2 == 0 {
        peer.works(number);
    }
    (worker, peer)
}

#[test]
fn zombie_unreaped_is_dead() {
    for number in [2, 3] {
        let name = make("zombie");
        let (worker, mut peer) = pair(&name, number);
        worker.kill_unreaped();
        succeeded(&name, number, &mut peer);
    }
}

/// A child's child, ended with its test.
struct Orphan(i32);

impl Drop for Orphan {
    fn drop(&mut self) {
        // SAFETY: our own grandchild, which nobody else ends.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

#[test]
fn fork_child_left_alive_does_not_keep_the_seat() {
    for number in [2, 3] {
        let name = make("orphan");
        let (mut worker, mut peer) = pair(&name, number);
        let orphan = Orphan(worker.ask("fork", "forked").parse().unwrap());
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        worker.kill();
        // SAFETY: plain numbers; signal 0 asks.
        assert_eq!(unsafe { libc::kill(orphan.0, 0) }, 0, "the child lives on");
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn exec_frees_the_seat() {
    for number in [2, 3] {
        let name = make("exec");
        let (mut worker, mut peer) = pair(&name, number);
        worker.tell("exec");
        until("the end by exec", || peer.is_disconnected().then_some(()));
        // SAFETY: plain numbers; signal 0 asks.
        assert_eq!(unsafe { libc::kill(worker.pid(), 0) }, 0, "the process lives on");
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn closed_descriptors_of_the_owner_do_not_matter() {
    for number in [2, 3] {
        let name = make("closed");
        let (mut worker, mut peer) = pair(&name, number);
        worker.ask("close-range", "closed");
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        if number % 2 == 1 {
            peer.works(number);
        }
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
        if number % 2 == 0 {
            peer.works(number);
        }
        worker.kill();
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn leader_thread_exit_is_no_death() {
    for number in [2, 3] {
        let name = make("leader");
        let (mut worker, mut peer) = pair(&name, number);
        worker.ask("leader-exit", "moved");
        worker.wait_for_state('Z');
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        if number % 2 == 1 {
            peer.works(number);
        }
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
        if number % 2 == 0 {
            peer.works(number);
        }
        worker.signal(libc::SIGKILL);
        until("the death", || peer.is_disconnected().then_some(()));
        succeeded(&name, number, &mut peer);
    }
}

#[test]
fn stopped_is_no_death() {
    for number in [2, 3] {
        let name = make("stopped");
        let (mut worker, mut peer) = pair(&name, number);
        worker.signal(libc::SIGSTOP);
        worker.wait_for_state('T');
        peer.sees_nothing();
        refused(&name, number, worker.pid());
        worker.signal(libc::SIGCONT);
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
    }
}

#[test]
fn unlinked_ring_goes_on_through_a_death() {
    for number in [2, 3] {
        let name = make("unlinked");
        let (mut worker, mut peer) = pair(&name, number);
        ring_shm::unlink(name.as_str(), true).unwrap();
        if number % 2 == 1 {
            peer.works(number);
        }
        assert_eq!(worker.ask("work", "worked"), "Ok(())");
        if number % 2 == 0 {
            peer.works(number);
        }
        peer.sees_nothing();
        worker.kill();
        assert!(peer.is_disconnected());
        match &mut peer {
            Peer::Rx(rx) => assert_eq!(quiet_end(rx), Some(TryRecvError::PeerDied)),
            Peer::Tx(tx) => assert_eq!(full_end(tx), Some(TrySendError::PeerDied)),
        }
        assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::NotFound);
    }
}

// ---- inherited handles ---------------------------------------------------------------------------------------------

#[test]
fn fork_inherited_handles_are_inert() {
    let mut heir = child("heir", &[]);
    heir.wait_for("done");
    assert!(heir.finish().success());
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
    let tx = Producer::open_or_create(&format!("{}-child", name.as_str()), &Options::new().capacity(64)).unwrap();
    drop(tx);
    in_fork(|| {
        let mut tx = Producer::open(&format!("{}-child", name.as_str())).map_err(|_| 30)?;
        tx.try_send(tag(2, 0), b"child").map_err(|_| 31)?;
        in_fork(|| check(32, tx.try_send(0, b"x") == Err(TrySendError::Forked)));
        tx.try_send(tag(2, 1), b"child").map(drop).map_err(|_| 33)
        // And it dies with the handle undropped.
    });
    let mut rx = Consumer::open(&format!("{}-child", name.as_str())).unwrap();
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(tag(2, 0)));
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(tag(2, 1)));
    let end = quiet_end(&mut rx);
    assert_eq!(end, Some(TryRecvError::Disconnected), "closure's handle was dropped before _exit");
    ring_shm::unlink(&format!("{}-child", name.as_str()), true).unwrap();
    say("done");
}

// ---- the prober's descriptors --------------------------------------------------------------------------------------

#[test]
fn closed_descriptors_of_the_prober() {
    let mut prober = child("close-prober", &[]);
    prober.wait_for("done");
    assert!(prober.finish().success());
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
