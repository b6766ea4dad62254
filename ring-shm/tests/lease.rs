//! Leases against real processes: what keeps a lock, what frees it, and what a verdict costs.
#![allow(unsafe_code)]

#[path = "support/children.rs"]
mod children;
#[path = "support/holder.rs"]
mod holder;
mod support;

use std::time::Instant;

use children::while_children_are_made;
use holder::*;
use ring_shm::{Facts, Probe, Segment, SelfTest, UnlinkError, Verdict};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "holder" => play_holder(&args[0], args[1].parse().unwrap()),
        other => panic!("no role {other}"),
    });
}

#[test]
fn alive_as_long_as_the_mapping_whatever_happens_to_descriptors() {
    let (name, segment) = make("descriptors");
    let me = take(&segment, 1);
    let mut peer = holder(&name, 2);
    for order in ["close-segment", "close-range"] {
        peer.ask(order, "done");
        assert_eq!(me.verdict(2, None), Verdict::Alive, "{order}");
    }
    peer.ask("unmap", "done");
    assert_eq!(me.verdict(2, None), Verdict::Dead);
}

#[test]
fn alive_when_stopped() {
    let (name, segment) = make("stopped");
    let me = take(&segment, 1);
    let mut peer = holder(&name, 2);
    peer.signal(libc::SIGSTOP);
    peer.wait_for_state('T');
    assert_eq!(me.verdict(2, None), Verdict::Alive);
    peer.signal(libc::SIGCONT);
    peer.ask("unmap", "done");
    assert_eq!(me.verdict(2, None), Verdict::Dead);
}

#[test]
fn alive_when_the_leader_thread_has_exited() {
    let (name, segment) = make("leader");
    let me = take(&segment, 1);
    let mut peer = holder(&name, 2);
    peer.tell("leader-exit");
    peer.wait_for_state('Z');
    assert_eq!(me.verdict(2, None), Verdict::Alive);
    peer.kill();
    assert_eq!(me.verdict(2, None), Verdict::Dead);
}

#[test]
fn dead_after_exec_though_the_process_lives() {
    let (name, segment) = make("exec");
    let me = take(&segment, 1);
    let mut peer = holder(&name, 2);
    peer.tell("exec");
    soon(|| std::fs::read_to_string(format!("/proc/{}/comm", peer.pid())).unwrap().trim() == "sleep");
    // The kernel lets go of the old image on its way back to user mode, a moment after the new name shows.
    soon(|| me.verdict(2, None) == Verdict::Dead);
}

#[test]
fn dead_when_killed_and_not_reaped() {
    let (name, segment) = make("zombie");
    let me = take(&segment, 1);
    let peer = holder(&name, 2);
    peer.kill_unreaped();
    assert_eq!(me.verdict(2, None), Verdict::Dead);
}

#[test]
fn dead_when_killed_while_a_forked_child_lives() {
    let (name, segment) = make("orphan");
    let me = take(&segment, 1);
    let mut peer = holder(&name, 2);
    let orphan: i32 = peer.ask("fork", "forked").parse().unwrap();
    assert_eq!(me.verdict(2, None), Verdict::Alive);
    peer.kill();
    let verdict = me.verdict(2, None);
    // SAFETY: plain numbers; the child of our child, which sleeps until we end it.
    assert_eq!(unsafe { libc::kill(orphan, libc::SIGKILL) }, 0, "the forked child has to be there still");
    assert_eq!(verdict, Verdict::Dead);
}

#[test]
fn dead_at_once_300_times() {
    let (name, segment) = make("rounds");
    let me = take(&segment, 1);
    for number in 2..302 {
        let mut peer = holder(&name, number);
        assert_eq!(me.verdict(number, None), Verdict::Alive);
        peer.kill();
        assert_eq!(me.verdict(number, None), Verdict::Dead, "round {number}");
    }
}

#[test]
fn facts_do_not_matter_where_the_lock_is_proof() {
    let (_name, segment) = make("facts");
    let (one, two) = (take(&segment, 1), take(&segment, 2));
    let gone = Facts { boot_hash: !Facts::of_self().boot_hash, ..Facts::of_self() };
    assert_eq!(one.verdict(2, Some(gone)), Verdict::Alive);
    drop(two);
    soon(|| one.verdict(2, Some(Facts::of_self())) == Verdict::Dead);
}

#[test]
fn mappings_see_each_other() {
    let (_name, segment) = make("shared");
    let one = take(&segment, 1);
    let two = segment.map_whole().unwrap();
    assert_eq!((one.mapping().len() as u64, two.len() as u64), (LEN, LEN));
    assert_ne!(one.mapping().as_ptr(), two.as_ptr());
    let last = usize::try_from(LEN).unwrap() - 1;
    // SAFETY: inside the mapping; nobody else has this segment.
    unsafe { one.mapping().as_ptr().as_ptr().wrapping_add(last).write_volatile(42) };
    // SAFETY: inside the mapping; nobody else has this segment.
    assert_eq!(unsafe { two.as_ptr().as_ptr().wrapping_add(last).read_volatile() }, 42);
}

#[test]
fn a_probe_gives_verdicts_and_counts_as_a_user() {
    let (name, segment) = make("probe");
    let peer = holder(&name, 1);
    let probe = Probe::acquire(&segment, || 2).unwrap();
    assert_eq!((probe.lease(), probe.self_test()), (2, SelfTest::Passed));
    assert_eq!(probe.verdict(1, None), Verdict::Alive);
    peer.kill_unreaped();
    assert_eq!(probe.verdict(1, None), Verdict::Dead);
    assert_eq!(segment.any_lease(), Ok(Some(2)));
    if support::skip_over(support::Backing::Memfd, "has no name") {
        return;
    }
    assert_eq!(Segment::unlink(&name, false), Err(UnlinkError::InUse { name: name.0.clone(), lease: 2 }));
    drop(probe);
    soon(|| segment.any_lease() == Ok(None));
    Segment::unlink(&name, false).unwrap();
}

#[test]
fn cost_of_a_verdict() {
    let (name, segment) = make("cost");
    let me = take(&segment, 1);
    let _peer = holder(&name, 2);
    for (what, lease) in [("alive", 2), ("dead", 3)] {
        let start = Instant::now();
        const N: u32 = 20_000;
        for _ in 0..N {
            assert_ne!(me.verdict(lease, None), Verdict::Unknown);
        }
        println!("verdict {what}: {:?}", start.elapsed() / N);
    }
}

/// A child of another thread may have had the descriptor of a lease that is gone, for the moment before its `exec`.
#[test]
fn what_was_let_go_of_is_removed_while_children_are_made() {
    if support::skip_over(support::Backing::Memfd, "a memfd has no name to remove") {
        return;
    }
    while_children_are_made(|| {
        for _ in 0..1000 {
            let (name, segment) = make("let-go");
            drop(take(&segment, 1));
            drop(segment);
            Segment::unlink(&name, false).unwrap();
        }
    });
}
