//! Leases and `fork`: inherited handles are inert, and a fork in the middle of an attach leaves no lock behind.
#![allow(unsafe_code)]

#[path = "support/holder.rs"]
mod holder;
mod support;

use std::time::{Duration, Instant};

use holder::*;
use ring_shm::{Facts, LeasedMapping, Segment, Verdict};
use support::{mount, own_mounts, play_alone, say};

/// What the first byte is set to: what it is in every ring, since a file that begins otherwise is not removed.
const FIRST: u8 = b'R';

#[test]
fn child_entry() {
    support::run_role(|role, _args| match role {
        "forker" => play_forker(),
        "fork-storm" => play_fork_storm(),
        "facts" => play_facts(),
        "same-number" => play_same_number(),
        other => panic!("no role {other}"),
    });
}

fn fork() -> libc::pid_t {
    // SAFETY: processes that fork here have one busy thread; the child ends in `_exit` or by a signal.
    unsafe { libc::fork() }
}

/// Runs `play` in the child that `make` makes; how that has ended: 0 if well.
fn in_child(make: impl Fn() -> libc::pid_t, play: impl FnOnce()) -> i32 {
    let pid = make();
    if pid == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(play));
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(if result.is_ok() { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: our child, and a live integer.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    status
}

#[test]
fn fork_an_inherited_handle_is_inert() {
    play_alone("forker", "done");
}

fn play_forker() {
    let (name, segment) = make("fork");
    let lease = take(&segment, 1);
    let start = lease.mapping().as_ptr().as_ptr();
    // SAFETY: inside the mapping, which nobody else has.
    unsafe { start.write_volatile(FIRST) };
    let in_child = |play: &dyn Fn(LeasedMapping, Segment)| {
        in_child(fork, || {
            // SAFETY: a copy that the child owns; the original is the parent's, and the child never returns to it.
            let lease = unsafe { std::ptr::read(&lease) };
            // SAFETY: as above.
            let segment = unsafe { std::ptr::read(&segment) };
            play(lease, segment);
        })
    };
    let status = in_child(&|lease, segment| {
        assert!(lease.is_inherited() && lease.mapping().is_inherited());
        for number in [1, 2, 3] {
            assert_eq!(lease.verdict(number, None), Verdict::Unknown);
        }
        // Something else comes to lie where the parent's mapping is: dropping the handle must leave it alone.
        let len = lease.mapping().len();
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE);
        // SAFETY: never replaces a mapping.
        let mine = unsafe { libc::mmap(start.cast(), len, access, flags, -1, 0) };
        assert_eq!(mine, start.cast(), "the parent's mapping is not in the child");
        // SAFETY: just mapped.
        unsafe { start.write_volatile(9) };
        drop(lease);
        // SAFETY: mapped above; a fault here is what this test is for.
        assert_eq!(unsafe { start.read_volatile() }, 9);
        // The child may attach for itself.
        let own = take(&segment, 2);
        assert!(!own.is_inherited());
        assert_eq!(own.verdict(1, None), Verdict::Alive);
        // SAFETY: inside the child's own mapping.
        assert_eq!(unsafe { own.mapping().as_ptr().as_ptr().read_volatile() }, FIRST);
    });
    assert_eq!(status, 0);
    let status = in_child(&|lease, _segment| {
        // SAFETY: none; it has to end in a signal.
        unsafe { lease.mapping().as_ptr().as_ptr().read_volatile() };
    });
    assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV, "a use in the child faults");
    // The parent has noticed nothing, neither of the drops nor of the ends.
    assert!(!lease.is_inherited());
    assert_eq!(lease.verdict(2, None), Verdict::Dead);
    let other = take(&segment, 3);
    assert_eq!(other.verdict(1, None), Verdict::Alive);
    // SAFETY: inside the mapping.
    assert_eq!(unsafe { start.read_volatile() }, FIRST);
    drop((lease, other));
    Segment::unlink(&name, false).unwrap();
    say("done");
}

#[test]
fn fork_in_the_middle_of_an_attach_leaves_no_lock_behind() {
    println!("{}", play_alone("fork-storm", "forks"));
}

/// One thread forks children that live on, the other attaches and leaves: no child may keep a lock.
fn play_fork_storm() {
    let (name, segment) = make("storm");
    let judge = take(&segment, 1);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let forks = std::thread::spawn(move || {
        let mut pids = Vec::new();
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) && pids.len() < 150 {
            // SAFETY: the child makes system calls only.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: plain numbers: end with the thread that forked us.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                sleep_for_ever();
            }
            pids.push(pid);
        }
        // Held until the judge has seen all.
        let _ = stopped.recv();
        for pid in &pids {
            // SAFETY: a child of ours that is not reaped.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
            // SAFETY: as above; the status is not wanted.
            unsafe { libc::waitpid(*pid, std::ptr::null_mut(), 0) };
        }
        pids.len()
    });
    let mut number = 1;
    let start = Instant::now();
    while !forks.is_finished() && start.elapsed() < Duration::from_millis(600) {
        number += 1;
        drop(take(&segment, number));
        assert_eq!(judge.verdict(number, None), Verdict::Dead, "round {number}");
    }
    let _ = stop.send(());
    drop(stop);
    let forks = forks.join().unwrap();
    drop((judge, segment));
    Segment::unlink(&name, false).unwrap();
    say(&format!("forks {forks}, attaches {number}"));
}

#[test]
fn a_child_does_not_take_its_parents_facts_for_its_own() {
    play_alone("facts", "done");
}

fn play_facts() {
    let me = Facts::of_self();
    // SAFETY: as `fork`; this way runs no handlers, so nothing in the child says that it is one but its number.
    let cloned = || unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t };
    for make in [&fork as &dyn Fn() -> libc::pid_t, &cloned] {
        // A start is counted in hundredths of a second.
        std::thread::sleep(Duration::from_millis(30));
        let status = in_child(make, || {
            let own = Facts::of_self();
            // SAFETY: plain numbers.
            assert_eq!(own.pid, unsafe { libc::getpid() } as u64);
            assert!(own.start_time > me.start_time);
            assert_eq!((own.boot_hash, own.pid_namespace), (me.boot_hash, me.pid_namespace));
        });
        assert_eq!(status, 0);
    }
    assert_eq!(me, Facts::of_self());
    say("done");
}

/// The first process of a PID namespace makes the first one of another: both have the number 1.
#[test]
fn a_child_of_the_same_number_has_facts_of_its_own() {
    println!("{}", play_alone("same-number", "done"));
}

fn play_same_number() {
    // The next child is the first process of a namespace of its own.
    // SAFETY: plain numbers.
    let unshare = || unsafe { libc::unshare(libc::CLONE_NEWPID) };
    if let Some(why) = own_mounts().err().or_else(|| (unshare() != 0).then(|| "no PID namespace".to_owned())) {
        return say(&format!("done: skipped, {why}"));
    }
    let status = in_child(fork, || {
        mount("proc", "/proc", "proc", 0, "").unwrap();
        let me = Facts::of_self();
        assert!(me.pid == 1 && me.start_time != 0, "{me:?} is not whole, and nobody keeps it");
        assert_eq!(unshare(), 0);
        let status = in_child(fork, || {
            let own = Facts::of_self();
            assert!(own.pid == 1 && own.pid_namespace != me.pid_namespace, "{own:?} of a child of {me:?}");
        });
        assert_eq!(status, 0);
        assert_eq!(me, Facts::of_self());
    });
    assert_eq!(status, 0);
    say("done");
}
