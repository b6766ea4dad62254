//! Leases in trouble: descriptors that other code closes and reuses, numbers that are taken or impossible, segments
//! that are gone or resized, gates that stay shut, a file system that does not keep the lock with the mapping.
#![allow(unsafe_code)]

#[path = "support/holder.rs"]
mod holder;
mod support;

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use holder::*;
use ring_shm::{Access, Facts, LeaseError, LeasedMapping, MapError, Segment, SelfTest, UnlinkError, Verdict};
use support::{Child, child, hear, say};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "holder" => play_holder(&args[0], args[1].parse().unwrap()),
        "gate" => play_gate(&args[0], &args[1]),
        "overlay" => play_overlay(&args[0]),
        other => panic!("no role {other}"),
    });
}

#[test]
fn control_a_stolen_probe_descriptor_is_noticed() {
    let (name, segment) = make("stolen");
    let living = take(&segment, 1);
    // Files on which no lock is held: a plain one, and one that is like the segment in everything else. And one with locks:
    // that of the peer's own number, of a living one there that is dead here, but not of 1.
    let (other, _other_segment) = make("twin");
    let (namesake, namesake_segment) = make("namesake");
    let _theirs = [2, 3].map(|number| take(&namesake_segment, number));
    let thieves = ["/dev/zero".into(), other.path(), namesake.path()];
    // Only the first question meets the thief: after it the peer has a number that is good. The last one is about its own.
    for (thief, asked) in thieves.iter().flat_map(|thief| [[1, 3, 2], [3, 1, 2]].map(|asked| (thief, asked))) {
        let mut peer = holder(&name, 2);
        peer.ask("close-range", "done");
        peer.ask(&format!("fill {}", thief.display()), "done");
        for lease in asked {
            let verdict = if lease == 3 { "Dead" } else { "Alive" };
            assert_eq!(peer.ask(&format!("verdict {lease}"), ""), verdict, "{lease} of {asked:?}: {thief:?}");
        }
    }
    // Lost for good: the number is stolen and the name is gone.
    let mut peer = holder(&name, 4);
    Segment::unlink(&name, true).unwrap();
    peer.ask("close-range", "done");
    assert_eq!(peer.ask("verdict 1", ""), "Unknown");
    peer.ask("fill /dev/zero", "done");
    for lease in [1, 2, 3] {
        assert_eq!(peer.ask(&format!("verdict {lease}"), ""), "Unknown");
    }
    drop(living);
}

#[test]
fn control_what_took_the_number_is_not_closed() {
    let (name, _segment) = make("thief");
    let count = |peer: &Child| std::fs::read_dir(format!("/proc/{}/fd", peer.pid())).unwrap().count();
    for (verdict_first, closed) in [(false, 0), (true, 1)] {
        let mut peer = holder(&name, 1);
        peer.ask("close-range", "done");
        peer.ask("fill /dev/zero", "done");
        if verdict_first {
            // The control makes it open a probe descriptor of its own again.
            peer.ask("verdict 9", "Dead");
        }
        let before = count(&peer);
        peer.ask("close-segment", "done");
        peer.ask("unmap", "done");
        assert_eq!(before - count(&peer), closed);
    }
}

#[test]
fn control_another_object_of_the_same_name_is_not_believed() {
    let (name, segment) = make("renamed");
    let living = take(&segment, 1);
    let mut peer = holder(&name, 2);
    Segment::unlink(&name, true).unwrap();
    let successor = Segment::create(&name, LEN, &Access::default(), |_| {}).unwrap();
    // It looks right even to the control: there, too, a lease 2 is held.
    let namesake = take(&successor, 2);
    // While the number is good the name does not matter.
    assert_eq!(peer.ask("verdict 1", ""), "Alive");
    peer.ask("close-range", "done");
    peer.ask("fill /dev/zero", "done");
    assert_eq!(peer.ask("verdict 1", ""), "Unknown");
    drop((living, successor, namesake));
}

#[test]
fn numbers_a_taken_one_is_passed_over() {
    let (_name, segment) = make("numbers");
    let first = take(&segment, 1);
    let next = Cell::new(0);
    let second = LeasedMapping::acquire(&segment, || next.replace(next.get() + 1) + 1).unwrap();
    assert_eq!((first.lease(), second.lease()), (1, 2));
    let stuck = LeasedMapping::acquire(&segment, || 1).unwrap_err();
    assert_eq!(stuck, LeaseError::NumbersTaken { tries: 64, last: 1 });
    for number in [0, (1 << 62) + 1, u64::MAX] {
        assert_eq!(LeasedMapping::acquire(&segment, || number).unwrap_err(), LeaseError::BadNumber { number });
    }
    assert_eq!(take(&segment, 1 << 62).lease(), 1 << 62);
}

#[test]
fn numbers_no_lease_can_have() {
    let (_name, segment) = make("odd");
    let me = take(&segment, 1);
    assert_eq!(me.verdict(0, None), Verdict::Unknown);
    assert_eq!(me.verdict(1, None), Verdict::Alive);
    for number in [2, 1 << 62, (1 << 62) + 1, i64::MAX as u64, u64::MAX] {
        assert_eq!(me.verdict(number, None), Verdict::Dead, "{number}");
    }
}

#[test]
fn gone_after_the_name() {
    let (name, segment) = make("gone");
    let before = take(&segment, 1);
    Segment::unlink(&name, true).unwrap();
    assert_eq!(LeasedMapping::acquire(&segment, || 2).unwrap_err(), LeaseError::Gone);
    soon(|| before.verdict(2, None) == Verdict::Dead);
    assert_eq!(before.mapping().len() as u64, LEN);
}

#[test]
fn resized_objects_are_not_mapped() {
    let (name, segment) = make("resized");
    File::options().write(true).open(name.path()).unwrap().set_len(LEN / 2).unwrap();
    let resized = MapError::Resized { expected: LEN, found: LEN / 2 };
    assert_eq!(segment.map_whole().unwrap_err(), resized);
    assert_eq!(LeasedMapping::acquire(&segment, || 1).unwrap_err(), LeaseError::Map(resized));
}

#[test]
fn descriptors_one_for_each_segment_and_none_for_each_lease() {
    let (name, _segment) = make("count");
    let mut peer = holder(&name, 1);
    let open = |pid: i32| {
        let numbers = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        numbers.filter(|n| std::fs::read_link(n.as_ref().unwrap().path()).is_ok_and(|to| to == name.path())).count()
    };
    assert_eq!(open(peer.pid()), 1);
    peer.ask("close-segment", "done");
    assert_eq!(open(peer.pid()), 1, "the lease needs it for verdicts");
    peer.ask("unmap", "done");
    assert_eq!(open(peer.pid()), 0);
}

#[test]
fn gate_a_stopped_remover_and_a_stopped_joiner_are_errors() {
    let (name, segment) = make("gate");
    let mut gatekeeper = child("gate", &[name.path().to_str().unwrap(), "exclusive"]);
    gatekeeper.wait_for("locked");
    assert_eq!(LeasedMapping::acquire(&segment, || 1).unwrap_err(), LeaseError::GateBusy);
    gatekeeper.kill();
    let me = take(&segment, 1);
    let mut gatekeeper = child("gate", &[name.path().to_str().unwrap(), "shared"]);
    gatekeeper.wait_for("locked");
    // Joiners do not disturb each other; a remover waits.
    drop(take(&segment, 2));
    drop(me);
    assert_eq!(Segment::unlink(&name, false), Err(UnlinkError::GateBusy { name: name.0.clone() }));
    gatekeeper.kill();
    Segment::unlink(&name, false).unwrap();
}

fn play_gate(path: &str, kind: &str) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let kind = if kind == "shared" { libc::F_RDLCK } else { libc::F_WRLCK };
    let byte =
        libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 1 << 40, l_len: 1, l_pid: 0 };
    // SAFETY: a live `flock`, as the command asks for.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &byte) }, 0);
    say("locked");
    hear();
}

#[test]
fn self_test_fails_on_an_overlay_and_verdicts_become_careful() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = child("overlay", &[directory.path().to_str().unwrap()]);
    println!("{}", child.wait_for("overlay"));
    assert!(child.finish().success());
}

/// An overlay maps the file below instead of the one that was opened, so the lock does not live with the mapping.
fn play_overlay(directory: &str) {
    let mounted = support::own_mounts().and_then(|()| support::mount("ring-test", directory, "tmpfs", 0, ""));
    let mounted = mounted.and_then(|()| {
        let [lower, upper, work] = ["lower", "upper", "work"].map(|part| format!("{directory}/{part}"));
        for part in [&lower, &upper, &work] {
            std::fs::create_dir(part).unwrap();
        }
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        support::mount("ring-test", "/dev/shm", "overlay", 0, &layers)
    });
    if let Err(reason) = mounted {
        return say(&format!("overlay: skipped, {reason}"));
    }
    let (name, segment) = make("overlay");
    let me = take(&segment, 1);
    assert_eq!(me.self_test(), SelfTest::Failed);
    let facts = Facts::of_self();
    // Held by a descriptor: the lock still counts.
    let other = take(&segment, 2);
    assert_eq!(me.verdict(2, None), Verdict::Alive);
    drop(other);
    // Free, but that is no proof here.
    assert_eq!(me.verdict(2, None), Verdict::Unknown);
    assert_eq!(me.verdict(2, Some(facts)), Verdict::Unknown, "the process is there");
    assert_eq!(me.verdict(2, Some(Facts { boot_hash: !facts.boot_hash, ..facts })), Verdict::Dead);
    assert_eq!(me.verdict(2, Some(Facts { start_time: facts.start_time + 1, ..facts })), Verdict::Dead);
    assert_eq!(me.verdict(2, Some(Facts { pid_namespace: 1, ..facts })), Verdict::Unknown);
    // A real death.
    let mut peer = Command::new("sleep").arg("1000").spawn().unwrap();
    let theirs = Facts { pid: u64::from(peer.id()), start_time: 0, ..facts };
    assert_eq!(me.verdict(3, Some(theirs)), Verdict::Unknown);
    peer.kill().unwrap();
    soon(|| me.verdict(3, Some(theirs)) == Verdict::Dead);
    peer.wait().unwrap();
    assert_eq!(me.verdict(3, Some(theirs)), Verdict::Dead);
    // Closing the descriptor behind our back frees our own lock: then nothing can be said at all.
    close_all();
    assert_eq!(me.verdict(3, Some(theirs)), Verdict::Unknown);
    drop((me, segment, name));
    say("overlay: tried");
}
