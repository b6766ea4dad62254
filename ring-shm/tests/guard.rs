//! The guard against truncation, in children of their own: it is a handler for the whole process.
#![allow(unsafe_code)]

mod support;

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use ring_shm::{Corrupt, Field, Verdict, guard_against_truncation, mpmc, spsc};
use support::{TestName, child, hear, play_alone, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "spsc" => play_spsc(&args[0]),
        "mpmc" => play_mpmc(&args[0]),
        "sleeper" => play_sleeper(&args[0], &args[1]),
        "unguarded" => play_unguarded(&args[0]),
        "chained" => play_chained(&args[0]),
        "many" => play_many(&args[0]),
        "threads" => play_threads(),
        other => panic!("no role {other}"),
    });
}

fn cut(name: &TestName, len: u64) {
    File::options().write(true).open(name.path()).unwrap().set_len(len).unwrap();
}

fn is_cut(corrupt: Corrupt) -> bool {
    corrupt.field == Field::Truncated && corrupt.to_string().contains("truncated")
}

/// Both rings of a child are cut under it.
fn cut_under(role: &str, make: impl Fn(&str)) {
    for len in [0, 4096] {
        let name = unique(role);
        make(name.as_str());
        let mut child = child(role, &[name.as_str()]);
        child.wait_for("ready");
        cut(&name, len);
        child.ask("go on", "went on");
        assert!(child.finish().success());
    }
}

#[test]
fn spsc_handles_say_so() {
    cut_under("spsc", |name| spsc::create(name, &spsc::Options::new().capacity(1 << 20)).unwrap());
}

fn play_spsc(name: &str) {
    guard_against_truncation().unwrap();
    guard_against_truncation().unwrap(); // once is enough
    let beside = unique("beside");
    let (mut tx, mut rx) = (spsc::Producer::open(name).unwrap(), spsc::Consumer::open(name).unwrap());
    let mut other = spsc::Producer::create(beside.as_str(), &spsc::Options::new().capacity(4096)).unwrap();
    let (mut heap_tx, mut heap_rx) = spsc::heap(4096).unwrap();
    tx.try_send(0, b"before").unwrap();
    say("ready");
    hear();
    let mut buf = [0; 64];
    // What is left of the record may still come out of a page that is there.
    let error = (0..3).find_map(|_| rx.try_recv_into(&mut buf).err()).unwrap();
    assert!(matches!(error, spsc::TryRecvError::Corrupt(corrupt) if is_cut(corrupt)), "{error}");
    // A lap at most goes nowhere.
    let error = (0..5).find_map(|_| tx.try_send(0, &[1; 300_000]).err()).unwrap();
    assert!(matches!(error, spsc::TrySendError::Corrupt(corrupt) if is_cut(corrupt)), "{error}");
    assert!(matches!(tx.try_send(0, b""), Err(spsc::TrySendError::Corrupt(corrupt)) if is_cut(corrupt)));
    assert!(!tx.is_disconnected() && rx.len_guess() == 0);
    // The others of the process go on.
    assert_eq!(other.len_guess(), 0);
    other.try_send(0, b"unharmed").unwrap();
    assert!(other.len_guess() > 0);
    heap_tx.try_send(0, b"unharmed").unwrap();
    assert_eq!(heap_rx.try_recv_into(&mut [0; 64]).unwrap().len, 8);
    // Nor can anything of it be put on a disk.
    assert_eq!(tx.sync(), Err(ring_shm::MapError::Lost));
    drop((tx, rx));
    say("went on");
    hear();
}

#[test]
fn mpmc_handles_say_so() {
    cut_under("mpmc", |name| mpmc::create(name, &mpmc::Options::new().slots(4096)).unwrap());
}

fn play_mpmc(name: &str) {
    guard_against_truncation().unwrap();
    let (mut tx, mut rx) = (mpmc::Producer::open(name).unwrap(), mpmc::Consumer::open(name).unwrap());
    tx.try_send(0, b"before").unwrap();
    say("ready");
    hear();
    for _ in 0..200 {
        let _ = (tx.try_send(0, b"into the cut"), rx.try_recv_into(&mut [0; 240]));
    }
    // A part of the ring may be there still: then it is the whole lap that meets the cut.
    for _ in 0..5000 {
        let _ = (tx.try_send(0, b"into the cut"), rx.try_recv_into(&mut [0; 240]));
    }
    let error = tx.try_send(0, b"after").unwrap_err();
    assert!(matches!(error, mpmc::TrySendError::Corrupt(_)), "{error}");
    let error = rx.try_recv_into(&mut [0; 240]).unwrap_err();
    assert!(matches!(error, mpmc::TryRecvError::Corrupt(_)), "{error}");
    drop((tx, rx));
    say("went on");
    hear();
}

#[test]
fn waits_end_with_the_error() {
    for (kind, strategy) in [("spsc", "park"), ("spsc", "spin"), ("mpmc", "park")] {
        let name = unique("sleeper");
        if kind == "spsc" {
            spsc::create(name.as_str(), &spsc::Options::new().capacity(4096)).unwrap();
        } else {
            mpmc::create(name.as_str(), &mpmc::Options::new()).unwrap();
        }
        let mut sleeper = child("sleeper", &[name.as_str(), strategy]);
        sleeper.wait_for("ready");
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        cut(&name, 0);
        sleeper.wait_for("told");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert!(sleeper.finish().success());
    }
}

fn play_sleeper(name: &str, strategy: &str) {
    guard_against_truncation().unwrap();
    say("ready");
    let corrupt = if ring_shm::kind_of(name) == Ok(ring_shm::Kind::Mpmc) {
        match mpmc::Consumer::open(name).unwrap().recv_into(&mut [0; 240]) {
            Err(mpmc::RecvError::Corrupt(corrupt)) => corrupt,
            other => panic!("{other:?}"),
        }
    } else {
        let mut rx = spsc::Consumer::open(name).unwrap();
        if strategy == "spin" {
            rx.set_wait_strategy(ring_shm::wait::Spin);
        }
        match rx.recv_into(&mut [0; 64]) {
            Err(spsc::RecvError::Corrupt(corrupt)) => corrupt,
            other => panic!("{other:?}"),
        }
    };
    assert!(is_cut(corrupt), "{corrupt}");
    say("told");
}

/// The mapping that was cut holds no lease any more: the others are not kept out by who has lost the ring.
#[test]
fn who_has_lost_the_ring_holds_no_seat() {
    let name = unique("seat");
    spsc::create(name.as_str(), &spsc::Options::new().capacity(1 << 20)).unwrap();
    let mut child = child("spsc", &[name.as_str()]);
    child.wait_for("ready");
    let verdict = || spsc::inspect(name.as_str()).unwrap().producer.verdict;
    assert_eq!(verdict(), Some(Verdict::Alive));
    cut(&name, 4096);
    child.ask("go on", "went on");
    let bytes = std::fs::read(name.path()).unwrap();
    assert_eq!(bytes.len(), 4096);
    let segment = ring_shm::Segment::open(&name).unwrap();
    assert_eq!(segment.any_lease().unwrap(), None);
    assert!(child.finish().success());
}

/// Without the guard, and for faults that are none of its business, SIGBUS is what it was.
#[test]
fn other_faults_are_passed_on() {
    let name = unique("unguarded");
    spsc::create(name.as_str(), &spsc::Options::new().capacity(4096)).unwrap();
    let mut unguarded = child("unguarded", &[name.as_str()]);
    unguarded.wait_for("ready");
    cut(&name, 0);
    unguarded.tell("go on");
    assert_eq!(unguarded.finish().signal(), Some(libc::SIGBUS));
    for (before, signal, code) in [
        ("default", Some(libc::SIGBUS), None),
        ("plain", None, Some(43)),
        ("with-info", None, Some(44)),
        ("sent", Some(libc::SIGBUS), None),
    ] {
        let mut chained = child("chained", &[before]);
        let status = chained.finish();
        assert_eq!((status.signal(), status.code()), (signal, code), "{before}");
    }
}

fn play_unguarded(name: &str) {
    let mut rx = spsc::Consumer::open(name).unwrap();
    say("ready");
    hear();
    let _ = rx.try_recv_into(&mut [0; 64]);
}

fn play_chained(before: &str) {
    extern "C" fn plain(_: i32) {
        // SAFETY: ends the process.
        unsafe { libc::_exit(43) };
    }
    extern "C" fn with_info(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel's.
        let code = unsafe { (*info).si_code };
        // SAFETY: ends the process.
        unsafe { libc::_exit(if code == libc::BUS_ADRERR { 44 } else { 45 }) };
    }
    // SAFETY: plain numbers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    match before {
        "plain" => action.sa_sigaction = plain as extern "C" fn(i32) as libc::sighandler_t,
        "with-info" => {
            let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = with_info;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO;
        }
        _ => {}
    }
    // SAFETY: a live `sigaction`, whose handlers end the process.
    assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) }, 0);
    guard_against_truncation().unwrap();
    if before == "sent" {
        // SAFETY: plain numbers.
        unsafe { libc::raise(libc::SIGBUS) };
    }
    // A file of this process's own, cut under its own mapping.
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    // SAFETY: a new mapping somewhere.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED);
    file.set_len(0).unwrap();
    // SAFETY: mapped; that there is nothing behind it is the point.
    let byte = unsafe { at.cast::<u8>().read_volatile() };
    panic!("read {byte} from nowhere");
}

/// The table is as long as it is, and places come back.
#[test]
fn more_mappings_than_can_be_guarded() {
    let name = unique("many");
    spsc::create(name.as_str(), &spsc::Options::new().capacity(4096)).unwrap();
    let mut many = child("many", &[name.as_str()]);
    many.wait_for("an error at 512");
    assert!(many.finish().success());
}

fn play_many(name: &str) {
    guard_against_truncation().unwrap();
    let segment = ring_shm::Segment::open(name).unwrap();
    for _ in 0..2 {
        let all: Vec<_> = (0..512).map(|_| segment.map_whole().unwrap()).collect();
        assert!(segment.map_whole().is_err());
        drop(all);
    }
    say("an error at 512");
}

/// Rings come, are cut and go in several threads at once.
#[test]
fn threads_that_are_cut_at_once() {
    play_alone("threads", "all told");
}

fn play_threads() {
    guard_against_truncation().unwrap();
    std::thread::scope(|s| {
        for n in 0..4 {
            s.spawn(move || {
                for round in 0..200 {
                    let name = unique(&format!("threads-{n}-{round}"));
                    let options = spsc::Options::new().capacity(1 << 16);
                    let mut tx = spsc::Producer::create(name.as_str(), &options).unwrap();
                    tx.try_send(0, b"before").unwrap();
                    if round % 2 == 0 {
                        cut(&name, 0);
                        let error = (0..4).find_map(|_| tx.try_send(0, &[1; 30_000]).err()).unwrap();
                        assert!(matches!(error, spsc::TrySendError::Corrupt(corrupt) if is_cut(corrupt)), "{error}");
                    } else {
                        tx.try_send(0, b"after").unwrap();
                    }
                }
            });
        }
    });
    say("all told");
}
