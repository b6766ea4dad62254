//! Bad names, impossible numbers, full file systems, missing permissions, exhausted limits: each is an error value of
//! the right kind whose text names a cure, and leaves nothing behind.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use ring::left_behind;
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError, heap};
use ring_shm::{SetupError, SetupErrorKind};
use support::{child, say, unique};

const NOBODY: u32 = 65534;

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "full" => play_full(),
        "stranger" => play_stranger(&args[0]),
        "descriptors" => play_descriptors(&args[0]),
        "address-space" => play_address_space(&args[0]),
        "file-size" => play_file_size(&args[0]),
        "read-only" => play_read_only(),
        other => panic!("no role {other}"),
    });
}

/// Plays `role` in a child, which says `done`, or `skipped` and why.
fn run(role: &str, args: &[&str]) {
    let mut child = child(role, args);
    let said = child.next();
    let status = child.finish();
    match said.as_deref() {
        Some("done") => assert!(status.success(), "{role}: {status}"),
        Some(text) if text.starts_with("skipped") => println!("{role}: {text}"),
        other => panic!("{role}: {other:?}, {status}"),
    }
}

/// The error is of `kind`, and its text holds all `words`.
fn fails<H>(result: Result<H, SetupError>, kind: SetupErrorKind, words: &[&str]) {
    let Err(error) = result else { panic!("no error, expected {kind:?} with {words:?}") };
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// Every way to get a ring.
fn every_way(name: &str, options: &Options) -> Vec<Result<(), SetupError>> {
    vec![
        ring_shm::spsc::create(name, options),
        Producer::create(name, options).map(drop),
        Consumer::create(name, options).map(drop),
        Producer::open_or_create(name, options).map(drop),
        Consumer::open_or_create(name, options).map(drop),
    ]
}

fn every_opening(name: &str) -> Vec<Result<(), SetupError>> {
    vec![
        Producer::open(name).map(drop),
        Consumer::open(name).map(drop),
        ring_shm::spsc::inspect(name).map(drop),
        ring_shm::spsc::recover(name, None).map(drop),
    ]
}

#[test]
fn names() {
    let long = "x".repeat(201);
    let table: &[(&str, &str)] = &[
        ("", "at least one letter"),
        (&long, "shorten it to 200"),
        ("/", "without `/`"),
        ("a/b", "without `/`"),
        ("../x", "without `/`"),
        (".", "begin it with"),
        ("..", "begin it with"),
        (".hidden", "begin it with"),
        ("-rf", "begin it with"),
        ("a b", "use only"),
        ("a\nb", "use only"),
        ("a\0b", "NUL"),
        ("ä", "use only"),
        ("𝔯ing", "use only"),
        ("a\u{202e}b", "use only"),
        ("$(reboot)", "use only"),
        ("*", "use only"),
    ];
    for (name, word) in table {
        for result in every_way(name, &Options::new()).into_iter().chain(every_opening(name)) {
            fails(result, SetupErrorKind::Invalid, &[word]);
        }
        assert!(ring_shm::unlink(name, true).is_err_and(|e| e.to_string().contains(word)), "{name:?}");
    }
    // The longest and the oddest that are allowed.
    let edge = format!("{}{}", unique("edge").as_str(), "y".repeat(200));
    for name in [&edge[..200], "_", "0", "A.-_z"] {
        let name = support::TestName::new(ring_shm::SegmentName::new(name).unwrap());
        drop(Producer::open_or_create(name.as_str(), &Options::new().capacity(64)).unwrap());
        assert_eq!(fs::metadata(name.path()).unwrap().mode() & 0o7777, 0o600);
    }
}

#[test]
fn capacity() {
    let name = unique("capacity");
    for capacity in
        [0, 1, 3, 8, 32, 63, 65, 100, 4095, (1 << 31) - 1, (1 << 48) + 1, 1 << 49, 1 << 62, 1 << 63, u64::MAX]
    {
        for result in every_way(name.as_str(), &Options::new().capacity(capacity)) {
            fails(result, SetupErrorKind::Invalid, &[&format!("capacity {capacity}"), "choose a power of two from 64"]);
        }
        fails(heap(capacity), SetupErrorKind::Invalid, &["choose a power of two"]);
    }
    for result in every_way(name.as_str(), &Options::new().capacity(128).line_aligned(true)) {
        fails(result, SetupErrorKind::Invalid, &["choose a power of two from 256"]);
    }
    // A power of two that no machine has: nothing is reserved for it, and nothing remains.
    for capacity in [1 << 44, 1 << 47, 1 << 48] {
        for result in every_way(name.as_str(), &Options::new().capacity(capacity)) {
            fails(result, SetupErrorKind::NoResource, &["make it smaller"]);
        }
        fails(heap(capacity), SetupErrorKind::NoResource, &["ask for fewer"]);
    }
    assert_eq!(left_behind(name.as_str()), [""; 0]);
    let (tx, _rx) = heap(64).unwrap();
    assert_eq!((tx.capacity(), tx.max_len()), (64, 24));
}

/// A ring costs its capacity and one page, all of it really there.
#[test]
fn footprint() {
    use std::os::unix::fs::MetadataExt as _;
    for capacity in [4096, 1 << 16, 1 << 20] {
        let (name, options) = (unique("footprint"), Options::new().capacity(capacity));
        ring_shm::spsc::create(name.as_str(), &options).unwrap();
        let meta = fs::metadata(name.path()).unwrap();
        assert_eq!((meta.len(), options.footprint()), (capacity + 4096, capacity + 4096));
        assert_eq!(meta.blocks() * 512, capacity + 4096);
    }
}

#[test]
fn release_every() {
    let name = unique("release");
    for every in [65, 256, u64::MAX] {
        let options = Options::new().capacity(256).release_every(every);
        for result in every_way(name.as_str(), &options) {
            fails(result, SetupErrorKind::Invalid, &[&format!("release_every {every}"), "at most 64 bytes"]);
        }
    }
    assert_eq!(left_behind(name.as_str()), [""; 0]);
    drop(Producer::create(name.as_str(), &Options::new().capacity(256).release_every(64)).unwrap());
}

#[test]
fn mode_and_group() {
    let name = unique("mode");
    for mode in [0, 0o400, 0o200, 0o606, 0o666, 0o602, 0o1600, 0o4600, u32::MAX] {
        for result in every_way(name.as_str(), &Options::new().capacity(64).mode(mode)) {
            fails(result, SetupErrorKind::Invalid, &["0o600", "0o660"]);
        }
    }
    assert_eq!(left_behind(name.as_str()), [""; 0]);
}

#[test]
fn exists_and_missing() {
    let name = unique("exists");
    for result in every_opening(name.as_str()) {
        fails(result, SetupErrorKind::NotFound, &["there is no segment", "create it"]);
    }
    assert!(ring_shm::unlink(name.as_str(), false).is_err_and(|e| e.to_string().contains("there is no segment")));
    let options = Options::new().capacity(64);
    let mut tx = Producer::create(name.as_str(), &options).unwrap();
    for result in [ring_shm::spsc::create(name.as_str(), &options), Consumer::create(name.as_str(), &options).map(drop)]
    {
        fails(result, SetupErrorKind::Exists, &["open it", "take another name", "remove it"]);
    }
    let me = std::process::id().to_string();
    for taken in [Producer::open(name.as_str()), Producer::open_or_create(name.as_str(), &options)] {
        fails(taken, SetupErrorKind::InUse, &["living producer", &me, "end it"]);
    }
    tx.try_send(0, b"untouched").unwrap();
    assert_eq!(Consumer::open(name.as_str()).unwrap().try_recv_into(&mut [0; 16]).map(|got| got.len), Ok(9));
    // An existing ring keeps its own capacity; options that could not be are refused all the same.
    drop(tx);
    let tx = Producer::open_or_create(name.as_str(), &Options::new().capacity(1 << 20)).unwrap();
    assert_eq!(tx.capacity(), 64);
    drop(tx);
    let odd = Producer::open_or_create(name.as_str(), &Options::new().capacity(3));
    fails(odd, SetupErrorKind::Invalid, &["choose a power of two"]);
}

#[test]
fn too_long() {
    let name = unique("long");
    for (capacity, lines) in [(64, false), (256, true), (1 << 16, false)] {
        let options = Options::new().capacity(capacity).line_aligned(lines);
        let mut tx = Producer::open_or_create(name.as_str(), &options).unwrap();
        let mut rx = Consumer::open(name.as_str()).unwrap();
        let max = tx.max_len();
        assert_eq!(max as u64, capacity / 2 - 8);
        let bytes = vec![7; max + 9];
        for len in [max + 1, max + 8, max + 9] {
            let error = tx.try_send(0, &bytes[..len]).unwrap_err();
            assert_eq!(error, TrySendError::TooLong { len, max });
            let text = error.to_string();
            assert!(text.contains(&len.to_string()) && text.contains("split it"), "{text}");
            assert_eq!(tx.try_claim(len).unwrap_err(), error);
            assert_eq!(tx.try_claim_batch(1, len).unwrap_err(), error);
        }
        for len in [usize::MAX, usize::MAX - 7, 1 << 31, (1 << 31) - 15] {
            assert_eq!(tx.try_claim(len).unwrap_err(), TrySendError::TooLong { len, max });
        }
        // A batch that no empty ring would take.
        let all = tx.try_claim_batch_exact(1 << 20, max);
        assert!(matches!(all, Err(TrySendError::TooLong { .. })), "{all:?}");
        let all = tx.try_claim_batch_exact(usize::MAX, 0);
        assert!(matches!(all, Err(TrySendError::TooLong { .. })), "{all:?}");
        // The longest itself, at every offset of the ring.
        for round in 0..3 * capacity / 8 {
            while tx.try_send(1, &bytes[..max]) == Err(TrySendError::Full) {
                rx.try_recv_into(&mut vec![0; max]).unwrap();
            }
            let needed = rx.try_recv_into(&mut vec![0; max - 1]);
            if round == 0 {
                assert_eq!(needed, Err(TryRecvError::BufferTooSmall { needed: max }));
                assert!(needed.unwrap_err().to_string().contains("kept"));
            }
            while rx.try_recv_into(&mut vec![0; max]).is_ok() {}
            tx.try_send(2, &[]).unwrap();
            while rx.try_recv_into(&mut []).is_ok() {}
            if capacity > 1 << 10 && round > 50 {
                break;
            }
        }
        drop((tx, rx));
        ring_shm::unlink(name.as_str(), false).unwrap();
    }
}

// ---- limits of the system, each in a child of its own --------------------------------------------------------------

#[test]
fn full_file_system() {
    run("full", &[]);
}

fn play_full() {
    if let Err(reason) = support::own_shm("1m") {
        return say(&format!("skipped: {reason}"));
    }
    let listing = || fs::read_dir("/dev/shm").unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    for capacity in [1 << 20, 1 << 21, 1 << 40] {
        for result in every_way("full", &Options::new().capacity(capacity)) {
            fails(result, SetupErrorKind::NoResource, &["make it smaller", "/dev/shm", "--shm-size"]);
        }
    }
    assert_eq!(listing(), [""; 0]);
    // Filled up by others while a ring lives: its memory is its own, nothing it does can fail.
    let (mut tx, mut rx) = {
        let tx = Producer::create("lives", &Options::new().capacity(1 << 19)).unwrap();
        (tx, Consumer::open("lives").unwrap())
    };
    fs::write("/dev/shm/filler", vec![1; 1 << 20]).unwrap_err();
    fails(Producer::create("late", &Options::new().capacity(64)), SetupErrorKind::NoResource, &["make it smaller"]);
    for round in 0..40 {
        while tx.try_send(round, &[9; 10_000]).is_ok() {}
        while rx.try_recv_into(&mut [0; 10_000]).is_ok() {}
    }
    fs::remove_file("/dev/shm/filler").unwrap();
    drop(Producer::create("late", &Options::new().capacity(64)).unwrap());
    say("done");
}

#[test]
fn read_only_file_system() {
    run("read-only", &[]);
}

fn play_read_only() {
    if let Err(reason) = support::own_shm("1m") {
        return say(&format!("skipped: {reason}"));
    }
    drop(Producer::create("there", &Options::new().capacity(64)).unwrap());
    if let Err(reason) = support::mount("none", "/dev/shm", "", libc::MS_REMOUNT | libc::MS_RDONLY, "") {
        return say(&format!("skipped: {reason}"));
    }
    for result in [Producer::open("there").map(drop), Consumer::open("there").map(drop)] {
        assert_eq!(result.unwrap_err().kind(), SetupErrorKind::Permission);
    }
    let error = Producer::create("new", &Options::new().capacity(64)).unwrap_err();
    assert_eq!(error.kind(), SetupErrorKind::Permission, "{error}");
    say("done");
}

#[test]
fn no_permission() {
    let name = unique("private");
    let _tx = Producer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    run("stranger", &[name.as_str()]);
    assert!(name.path().exists());
}

fn play_stranger(name: &str) {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return say("skipped: needs root to become somebody else");
    }
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
    for result in every_opening(name) {
        fails(result, SetupErrorKind::Permission, &["run as its owner", "0o660"]);
    }
    fails(
        Producer::open_or_create(name, &Options::new().capacity(64)),
        SetupErrorKind::Permission,
        &["run as its owner"],
    );
    assert!(ring_shm::unlink(name, true).is_err_and(|e| e.to_string().contains("run as its owner")));
    // A group it does not belong to.
    let options = Options::new().capacity(64).mode(0o660).group(0);
    let own = format!("{name}-own");
    fails(Producer::create(&own, &options), SetupErrorKind::Permission, &["group 0", "belongs to"]);
    assert_eq!(left_behind(&own), [""; 0]);
    say("done");
}

/// Sets both limits, which is not taken back.
fn limit(which: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the pointer is to a whole `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(which, &limit) }, 0);
}

#[test]
fn no_descriptors() {
    let name = unique("nofile");
    run("descriptors", &[name.as_str()]);
    assert_eq!(left_behind(name.as_str()), [format!("ring.{}", name.as_str())]);
}

fn play_descriptors(name: &str) {
    let mut tx = Producer::create(name, &Options::new().capacity(256)).unwrap();
    let mut rx = Consumer::open(name).unwrap();
    let lowest = File::open("/dev/null").unwrap();
    limit(libc::RLIMIT_NOFILE, lowest.as_raw_fd() as u64 + 16);
    let mut taken = vec![lowest];
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    // With each number of free descriptors: an error that says what to raise, or enough.
    let mut worked = 0;
    loop {
        let made = format!("{name}-made");
        for result in every_way(&made, &Options::new().capacity(64)).into_iter().chain(every_opening(name)) {
            match result {
                Ok(()) => worked += 1,
                // With the first seat it may have become possible, and the second find its ring in place.
                Err(e) if matches!(e.kind(), SetupErrorKind::Exists | SetupErrorKind::InUse) => worked += 1,
                Err(e) => {
                    let text = e.to_string();
                    assert_eq!(e.kind(), SetupErrorKind::NoResource, "{text}");
                    assert!(text.contains("ulimit -n"), "{text}");
                }
            }
            // Living handles need none.
            tx.try_send(1, b"alive").unwrap();
            rx.try_recv_into(&mut [0; 8]).unwrap();
        }
        let _ = fs::remove_file(format!("/dev/shm/ring.{made}"));
        if taken.pop().is_none() || worked > 20 {
            break;
        }
    }
    assert!(worked > 8, "with enough descriptors it works");
    assert!(!tx.is_disconnected() && !rx.is_disconnected());
    say("done");
}

#[test]
fn no_address_space() {
    let name = unique("as");
    run("address-space", &[name.as_str()]);
    assert_eq!(left_behind(name.as_str()), [""; 0]);
}

fn play_address_space(name: &str) {
    limit(libc::RLIMIT_AS, 1 << 29);
    for result in every_way(name, &Options::new().capacity(1 << 29)) {
        let error = result.unwrap_err();
        // A small `/dev/shm` may refuse it first.
        assert_eq!(error.kind(), SetupErrorKind::NoResource, "{error}");
        let text = error.to_string();
        assert!(text.contains("ulimit -v") || text.contains("make it smaller"), "{text}");
    }
    fails(heap(1 << 30), SetupErrorKind::NoResource, &["ask for fewer"]);
    say("done");
}

#[test]
fn no_file_size() {
    let name = unique("fsize");
    run("file-size", &[name.as_str()]);
    assert_eq!(left_behind(name.as_str()), [""; 0]);
}

fn play_file_size(name: &str) {
    limit(libc::RLIMIT_FSIZE, 4096);
    for result in every_way(name, &Options::new().capacity(64)) {
        // Not SIGXFSZ.
        fails(result, SetupErrorKind::NoResource, &["ulimit -f"]);
    }
    say("done");
}
