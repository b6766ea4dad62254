//! Leases against real processes: what keeps a lock, what frees it, and what the verdict says of both.
#![allow(unsafe_code)]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use ring_shm::{
    Access, Facts, LeaseError, LeasedMapping, MapError, Probe, Segment, SegmentName, SelfTest, UnlinkError, Verdict,
};
use support::{Child, TestName, child, hear, say, unique};

const LEN: u64 = 8192;

fn make(tag: &str) -> (TestName, Segment) {
    let name = unique(tag);
    let segment = Segment::create(&name, LEN, &Access::default(), |_| {}).unwrap();
    (name, segment)
}

fn take(segment: &Segment, number: u64) -> LeasedMapping {
    LeasedMapping::acquire(segment, || number).unwrap()
}

/// A child that holds lease `number` and does what it is told.
fn holder(name: &SegmentName, number: u64) -> Child {
    let mut holder = child("holder", &[name.as_str(), &number.to_string()]);
    holder.wait_for("held");
    holder
}

/// A lock can outlast its mapping while another thread of this process spawns a child that has not reached its exec
/// and so still has a copy of the descriptor. Late, never false; only tests in this process meet it.
fn soon(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::yield_now();
    }
}

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "holder" => play_holder(&SegmentName::new(&args[0]).unwrap(), args[1].parse().unwrap()),
        "forker" => play_forker(),
        "fork-storm" => play_fork_storm(),
        "gate" => play_gate(&args[0], &args[1]),
        "overlay" => play_overlay(&args[0]),
        other => panic!("no role {other}"),
    });
}

fn play_holder(name: &SegmentName, number: u64) {
    let mut segment = Some(Segment::open(name).unwrap());
    let mut lease = Some(take(segment.as_ref().unwrap(), number));
    assert_eq!(lease.as_ref().unwrap().self_test(), SelfTest::Passed);
    say("held");
    while let Some(order) = hear() {
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("close-segment", _) => drop(segment.take()),
            ("close-range", _) => close_all(),
            ("unmap", _) => drop(lease.take()),
            ("fork", _) => {
                // SAFETY: the child only sleeps.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    sleep_for_ever();
                }
                say(&format!("forked {pid}"));
                continue;
            }
            ("exec", _) => panic!("{}", Command::new("sleep").arg("1000").exec()),
            ("leader-exit", _) => leader_exit(),
            ("fill", path) => fill_numbers(path),
            ("verdict", of) => {
                say(&format!("{:?}", lease.as_ref().unwrap().verdict(of.parse().unwrap(), None)));
                continue;
            }
            other => panic!("no order {other:?}"),
        }
        say("done");
    }
}

fn close_all() {
    // SAFETY: closes what this process has beyond standard input and output; that is the point.
    assert_eq!(unsafe { libc::close_range(3, u32::MAX, 0) }, 0);
}

/// Takes the numbers 3 to 40 for other files.
fn fill_numbers(path: &str) {
    while File::options().read(true).write(true).open(path).unwrap().into_raw_fd() < 40 {}
}

fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: no arguments.
        unsafe { libc::pause() };
    }
}

/// Ends the main thread of the process and leaves the others running.
fn leader_exit() {
    extern "C" fn exit_thread(_: i32) {
        // SAFETY: ends this thread without unwinding; its stack stays.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    let pid = std::process::id();
    // SAFETY: no arguments.
    let me = unsafe { libc::gettid() };
    if i64::from(me) == i64::from(pid) {
        std::thread::spawn(|| while hear().is_some() {});
        say("done");
        exit_thread(0);
    }
    // SAFETY: the handler makes one system call.
    unsafe { libc::signal(libc::SIGUSR1, exit_thread as extern "C" fn(i32) as libc::sighandler_t) };
    // SAFETY: plain numbers; the leader of this very process.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, libc::SIGUSR1) };
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
fn control_a_stolen_probe_descriptor_is_noticed() {
    let (name, segment) = make("stolen");
    let living = take(&segment, 1);
    // Files on which no lock is held: a plain one, and one that is like the segment in everything else.
    let (other, _other_segment) = make("twin");
    for thief in ["/dev/zero", other.path().to_str().unwrap()] {
        let mut peer = holder(&name, 2);
        peer.ask("close-range", "done");
        peer.ask(&format!("fill {thief}"), "done");
        assert_eq!(peer.ask("verdict 1", ""), "Alive", "{thief}");
        assert_eq!(peer.ask("verdict 3", ""), "Dead", "{thief}");
        assert_eq!(peer.ask("verdict 2", ""), "Alive", "{thief}: its own");
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
fn facts_do_not_matter_where_the_lock_is_proof() {
    let (_name, segment) = make("facts");
    let (one, two) = (take(&segment, 1), take(&segment, 2));
    let gone = Facts { boot_hash: !Facts::of_self().boot_hash, ..Facts::of_self() };
    assert_eq!(one.verdict(2, Some(gone)), Verdict::Alive);
    drop(two);
    soon(|| one.verdict(2, Some(Facts::of_self())) == Verdict::Dead);
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
    assert_eq!(Segment::unlink(&name, false), Err(UnlinkError::InUse { name: name.0.clone(), lease: 2 }));
    drop(probe);
    soon(|| segment.any_lease() == Ok(None));
    Segment::unlink(&name, false).unwrap();
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
fn fork_an_inherited_handle_is_inert() {
    let mut forker = child("forker", &[]);
    forker.wait_for("done");
    assert!(forker.finish().success());
}

fn play_forker() {
    let (name, segment) = make("fork");
    let lease = take(&segment, 1);
    let start = lease.mapping().as_ptr().as_ptr();
    // SAFETY: inside the mapping, which nobody else has.
    unsafe { start.write_volatile(7) };
    let in_child = |play: &dyn Fn(LeasedMapping, Segment)| -> i32 {
        // SAFETY: this process has one busy thread; the child ends in `_exit` or by a signal.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: a copy that the child owns; the original is the parent's, and the child never returns to it.
            let lease = unsafe { std::ptr::read(&lease) };
            // SAFETY: as above.
            let segment = unsafe { std::ptr::read(&segment) };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(lease, segment)));
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(if result.is_ok() { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: our child, and a live integer.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        status
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
        assert_eq!(unsafe { own.mapping().as_ptr().as_ptr().read_volatile() }, 7);
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
    assert_eq!(unsafe { start.read_volatile() }, 7);
    drop((lease, other));
    Segment::unlink(&name, false).unwrap();
    say("done");
}

#[test]
fn fork_in_the_middle_of_an_attach_leaves_no_lock_behind() {
    let mut storm = child("fork-storm", &[]);
    println!("{}", storm.wait_for("forks"));
    assert!(storm.finish().success());
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
