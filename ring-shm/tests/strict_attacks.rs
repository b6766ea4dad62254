//! What a hostile peer can do to a strict ring: nothing to what the other side owns, by whatever way, with every
//! descriptor in its hands; and what is sent in the place of the three objects is refused, with the cure.
//!
//! # Safety
//!
//! 1. Attacks go against mappings that this process knows to be shared memory, with calls that are to be refused. Where
//!    one were granted, the byte that it changes is no reference's.
#![allow(unsafe_code)]

#[path = "support/hands.rs"]
mod hands;
#[path = "support/ring.rs"]
mod ring;
#[path = "support/strict.rs"]
mod strict;
mod support;

use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use hands::{FOR_EVER, FUTURE_WRITE, PAGE, READ_ONLY, contents, overheard, receive, sealed, send};
use ring::record;
use ring_shm::spsc::{Consumer, Options, Producer};
use ring_shm::{AttachError, HandoverError, Role, SetupError, StrictObject};
use strict::PATIENCE;
use support::{child, hear, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "hostile-consumer" => play_consumer(&args[0]),
        "hostile-producer" => play_producer(&args[0]),
        other => panic!("no role {other}"),
    });
}

fn options() -> Options {
    Options::new().capacity(8192)
}

/// Somebody between the library and the socket, who keeps all descriptors; what the library made, and they.
fn keeping<T: Send>(socket: UnixStream, producing: bool, side: impl FnOnce(&UnixStream) -> T + Send) -> (T, [File; 3]) {
    let (here, there) = UnixStream::pair().unwrap();
    thread::scope(|s| {
        let kept = s.spawn(move || match producing {
            true => hands::between(&there, &socket),
            false => hands::between(&socket, &there),
        });
        let handle = side(&here);
        (handle, kept.join().unwrap().expect("a whole hand-over"))
    })
}

fn errno() -> i32 {
    Error::last_os_error().raw_os_error().unwrap()
}

/// Tries to change `file`, which is the other side's object; what could be done to it.
fn attack(file: &File, for_writing: bool) -> Vec<String> {
    let (fd, size) = (file.as_raw_fd(), file.metadata().unwrap().len());
    let mut done = Vec::new();
    let mut note = |what: &str, granted: bool| {
        println!("{what}: {}", if granted { "GRANTED".into() } else { format!("errno {}", errno()) });
        if granted {
            done.push(what.to_owned());
        }
    };
    let map = |fd: i32, permissions: i32, kind: i32| {
        // SAFETY: 1; the kernel chooses the address.
        unsafe { libc::mmap(std::ptr::null_mut(), PAGE, permissions, kind, fd, 0) }
    };
    let (read, write, shared) = (libc::PROT_READ, libc::PROT_WRITE, libc::MAP_SHARED);
    // Its size is for ever in all objects.
    for len in [0, size - 1, size + 1, size * 2] {
        note("ftruncate", file.set_len(len).is_ok());
    }
    // SAFETY: plain numbers.
    note("fallocate beyond", unsafe { libc::fallocate(fd, 0, 0, size as i64 + 4096) } == 0);
    // SAFETY: plain numbers.
    note("add seals", unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE) } == 0);
    if !for_writing {
        return done;
    }
    note("mmap(PROT_WRITE)", map(fd, read | write, shared) != libc::MAP_FAILED);
    note("mmap(PROT_WRITE alone)", map(fd, write, shared) != libc::MAP_FAILED);
    let seen = map(fd, read, shared);
    assert_ne!(seen, libc::MAP_FAILED, "to be read it is");
    // SAFETY: 1; our own mapping.
    note("mprotect", unsafe { libc::mprotect(seen, PAGE, read | write) } == 0);
    // SAFETY: 1; our own mapping.
    note("madvise(MADV_REMOVE)", unsafe { libc::madvise(seen, PAGE, libc::MADV_REMOVE) } == 0);
    // SAFETY: 1; our own mapping, a second time.
    let more = unsafe { libc::mremap(seen, 0, PAGE, libc::MREMAP_MAYMOVE) };
    // SAFETY: 1; our own mapping.
    note("remap and mprotect", more != libc::MAP_FAILED && unsafe { libc::mprotect(more, PAGE, read | write) } == 0);
    note("write", std::io::Write::write(&mut &*file, b"lie").is_ok());
    note("pwrite", file.write_at(b"lie", 128).is_ok());
    let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: plain numbers.
    note("punch a hole", unsafe { libc::fallocate(fd, hole, 0, PAGE as i64) } == 0);
    // SAFETY: plain numbers.
    note("zero a range", unsafe { libc::fallocate(fd, libc::FALLOC_FL_ZERO_RANGE, 0, PAGE as i64) } == 0);
    // The kernel writes where the process may not, but not into shared memory that is not its to write.
    let memory = File::options().write(true).open("/proc/self/mem").unwrap();
    note("/proc/self/mem", memory.write_at(b"lie", seen as u64).is_ok());
    // A description of one's own, with the right to write.
    let path = format!("/proc/self/fd/{fd}");
    if let Ok(again) = File::options().read(true).write(true).open(&path) {
        note("reopen, mmap", map(again.as_raw_fd(), read | write, shared) != libc::MAP_FAILED);
        note("reopen, write", again.write_at(b"lie", 0).is_ok());
        note("reopen, ftruncate", again.set_len(0).is_ok());
    }
    note(
        "open with O_TRUNC",
        File::options().write(true).truncate(true).open(&path).is_ok_and(|file| file.metadata().unwrap().len() == 0),
    );
    // What the library itself has mapped of it.
    let inode = format!(" {} ", file.metadata().unwrap().ino());
    for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains(&inode)) {
        let (range, rest) = line.split_once(' ').unwrap();
        let [from, to] = [0, 1].map(|i| usize::from_str_radix(range.split('-').nth(i).unwrap(), 16).unwrap());
        note("a writable mapping", rest.starts_with("rw"));
        // SAFETY: 1.
        note("mprotect of the library's", unsafe { libc::mprotect(from as *mut _, to - from, read | write) } == 0);
        if let Ok(again) = File::options().read(true).write(true).open(format!("/proc/self/map_files/{range}")) {
            note("map_files, mmap", map(again.as_raw_fd(), read | write, shared) != libc::MAP_FAILED);
        }
    }
    // A private copy is anybody's to change, and changes nobody else's.
    let copy = map(fd, read | write, libc::MAP_PRIVATE);
    assert_ne!(copy, libc::MAP_FAILED);
    let before = contents(file);
    // SAFETY: 1; our own pages.
    unsafe { copy.cast::<u8>().write_volatile(0xee) };
    note("a private copy", contents(file) != before);
    done
}

/// The mapping that the owner made before it sealed its object is writable, and the only one.
fn is_no_owners_right(what: &str) -> bool {
    !["a writable mapping", "mprotect of the library's"].contains(&what)
}

fn report(granted: &[String]) {
    say(&format!("granted [{}]", granted.join(", ")));
}

/// Attacks the producer's object, and both others where nobody may do anything; then receives.
fn play_consumer(path: &str) {
    let (mut rx, [common, theirs, own]) =
        keeping(strict::meet(path), false, |socket| Consumer::open_strict(socket, PATIENCE).unwrap());
    let mut granted = attack(&theirs, true);
    granted.extend(attack(&common, false));
    granted.extend(attack(&own, true).into_iter().filter(|what| is_no_owners_right(what)));
    report(&granted);
    hear();
    let (mut expected, mut buf) = (Vec::new(), [0; 4096]);
    for seq in 0..1000 {
        let got = rx.recv_into(&mut buf).unwrap();
        assert!(got.tag == record(1, seq, 500, &mut expected) && buf[..got.len] == expected, "record {seq}");
    }
    say("received");
}

/// The mirror.
fn play_producer(path: &str) {
    let (mut tx, [common, own, theirs]) =
        keeping(strict::meet(path), true, |socket| Producer::create_strict(socket, &options(), PATIENCE).unwrap());
    let mut granted = attack(&theirs, true);
    granted.extend(attack(&common, false));
    granted.extend(attack(&own, true).into_iter().filter(|what| is_no_owners_right(what)));
    report(&granted);
    hear();
    let mut payload = Vec::new();
    for seq in 0..1000 {
        let tag = record(1, seq, 500, &mut payload);
        tx.send(tag, &payload).unwrap();
    }
    say("sent");
    hear();
}

#[test]
fn a_consumer_cannot_touch_what_the_producer_owns() {
    let path = format!("{}/{}", env!("CARGO_TARGET_TMPDIR"), unique("sa-c").as_str());
    let mut peer = child("hostile-consumer", &[&path]);
    let mut tx = strict::producer(&path, &options());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(peer.wait_for("granted"), "[]");
    peer.tell("go on");
    let mut payload = Vec::new();
    for seq in 0..1000 {
        let tag = record(1, seq, 500, &mut payload);
        tx.send(tag, &payload).unwrap();
    }
    peer.wait_for("received");
}

#[test]
fn a_producer_cannot_touch_what_the_consumer_owns() {
    let path = format!("{}/{}", env!("CARGO_TARGET_TMPDIR"), unique("sa-p").as_str());
    let mut peer = child("hostile-producer", &[&path]);
    let mut rx = strict::consumer(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(peer.wait_for("granted"), "[]");
    peer.tell("go on");
    let (mut expected, mut buf) = (Vec::new(), [0; 4096]);
    for seq in 0..1000 {
        let got = rx.recv_into(&mut buf).unwrap();
        assert!(got.tag == record(1, seq, 500, &mut expected) && buf[..got.len] == expected, "record {seq}");
    }
    peer.wait_for("sent");
}

/// The checker itself: with a lesser seal, what it looks for is found.
#[test]
fn attacks_on_what_is_not_sealed_are_granted() {
    let granted = attack(&sealed(&[0; 2 * PAGE], FOR_EVER), true);
    for what in ["mmap(PROT_WRITE)", "mprotect", "write", "pwrite", "punch a hole", "/proc/self/mem", "reopen, mmap"] {
        assert!(granted.iter().any(|granted| granted == what), "{what}: {granted:?}");
    }
    let granted = attack(&sealed(&[0; 2 * PAGE], libc::F_SEAL_SEAL), false);
    assert!(granted.iter().any(|granted| granted == "ftruncate"), "{granted:?}");
}

/// The three objects of a ring that has been handed over: common, the producer's, the consumer's.
fn genuine() -> [File; 3] {
    let (_tx, _rx, kept) = overheard(
        |socket| Producer::create_strict(socket, &options(), PATIENCE).unwrap(),
        |socket| Consumer::open_strict(socket, PATIENCE).unwrap(),
    );
    kept
}

/// What a consumer says to whom sends `files` with `byte`.
fn offered(byte: u8, files: &[&File]) -> SetupError {
    let (here, there) = UnixStream::pair().unwrap();
    send(&there, byte, &files.iter().map(|file| file.as_raw_fd()).collect::<Vec<_>>());
    Consumer::open_strict(&here, Duration::from_millis(200)).unwrap_err()
}

/// What a producer says to whom answers with `files` and `byte`; they may be made of what it has sent.
fn answered(byte: u8, make: impl FnOnce([File; 2]) -> Vec<File> + Send) -> SetupError {
    let (here, there) = UnixStream::pair().unwrap();
    thread::scope(|s| {
        s.spawn(move || {
            let (_, files) = receive(&there).unwrap();
            let files = make(files.try_into().unwrap());
            send(&there, byte, &files.iter().map(|file| file.as_raw_fd()).collect::<Vec<_>>());
            receive(&there); // until it has made up its mind
        });
        let refused = Producer::create_strict(&here, &options(), PATIENCE).unwrap_err();
        drop(here);
        refused
    })
}

#[track_caller]
fn refused(error: &SetupError, expected: fn(&HandoverError) -> bool, cure: &str) {
    let SetupError::Handover(handover) = error else { panic!("{error:?}") };
    assert!(expected(handover), "{error:?}");
    assert!(error.to_string().contains(cure), "{error}");
}

const COMMON: StrictObject = StrictObject::Common;
const PRODUCERS: StrictObject = StrictObject::Of(Role::Producer);
const CONSUMERS: StrictObject = StrictObject::Of(Role::Consumer);

#[test]
fn what_a_producer_sends_is_examined() {
    let [common, object, consumers] = genuine();
    let (page, bytes) = (contents(&common), contents(&object));
    let seals = |error: &SetupError, object: fn(&HandoverError) -> bool| refused(error, object, "take no other");
    // Sealed too little, each seal once.
    for missing in [libc::F_SEAL_SHRINK, libc::F_SEAL_GROW, libc::F_SEAL_SEAL, FUTURE_WRITE] {
        let error = offered(b's', &[&common, &sealed(&bytes, READ_ONLY & !missing)]);
        seals(&error, |e| matches!(e, HandoverError::Seals { object: PRODUCERS, found: Some(_) }));
        if missing != FUTURE_WRITE {
            let error = offered(b's', &[&sealed(&page, FOR_EVER & !missing), &object]);
            seals(&error, |e| matches!(e, HandoverError::Seals { object: COMMON, found: Some(_) }));
        }
    }
    let error = offered(b's', &[&common, &sealed(&bytes, 0)]);
    assert!(error.to_string().contains("F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE"), "{error}");
    // Sealed too much: nobody could wake anybody.
    for more in [FUTURE_WRITE, libc::F_SEAL_WRITE] {
        seals(&offered(b's', &[&sealed(&page, FOR_EVER | more), &object]), |e| {
            matches!(e, HandoverError::Seals { object: COMMON, .. })
        });
    }
    // Exchanged.
    seals(&offered(b's', &[&object, &common]), |e| matches!(e, HandoverError::Seals { object: COMMON, .. }));
    seals(&offered(b's', &[&common, &common]), |e| matches!(e, HandoverError::Seals { object: PRODUCERS, .. }));
    // No memfds at all.
    let other = File::open("/proc/self/exe").unwrap();
    seals(&offered(b's', &[&common, &other]), |e| matches!(e, HandoverError::Seals { object: PRODUCERS, .. }));
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    seals(&offered(b's', &[&null, &object]), |e| matches!(e, HandoverError::Seals { object: COMMON, found: None }));
    // Of another size.
    let size = |e: &HandoverError| matches!(e, HandoverError::Size { .. });
    refused(&offered(b's', &[&sealed(&[0; 2 * PAGE], FOR_EVER), &object]), size, "one version");
    refused(&offered(b's', &[&common, &sealed(&bytes[..PAGE], READ_ONLY)]), size, "one version");
    let longer = [&bytes[..], &[0; PAGE]].concat();
    for bytes in [&bytes[..bytes.len() - 64], &longer] {
        let error = offered(b's', &[&common, &sealed(bytes, READ_ONLY)]);
        refused(&error, |e| matches!(e, HandoverError::Foreign { object: PRODUCERS, .. }), "ring");
    }
    // Sealed well, and something else.
    let foreign = |e: &HandoverError| matches!(e, HandoverError::Foreign { object: PRODUCERS, .. });
    refused(&offered(b's', &[&common, &sealed(&vec![0; bytes.len()], READ_ONLY)]), foreign, "magic");
    refused(&offered(b's', &[&sealed(&[0; PAGE], FOR_EVER), &object]), foreign, "magic");
    refused(&offered(b's', &[&sealed(&contents(&consumers), FOR_EVER), &object]), foreign, "magic");
    let mut ordinary = bytes.clone();
    let at = 3712 + 32;
    ordinary[at] &= !2;
    let sum = checksum(&ordinary[3712..3712 + 120]);
    ordinary[3712 + 120..3712 + 128].copy_from_slice(&sum.to_le_bytes());
    refused(&offered(b's', &[&common, &sealed(&ordinary, READ_ONLY)]), foreign, "incompatible feature bits");
    // Of another ring.
    let [other, ..] = genuine();
    let error = offered(b's', &[&other, &object]);
    refused(&error, |e| matches!(e, HandoverError::Foreign { error: AttachError::OtherRing { .. }, .. }), "one ring");
    // That has had its consumer.
    let error = offered(b's', &[&common, &object]);
    refused(&error, |e| matches!(e, HandoverError::Seated { role: Role::Consumer }), "make a new one");
    // Sealed, good, and not to be read.
    let blind = File::options().write(true).open(format!("/proc/self/fd/{}", object.as_raw_fd())).unwrap();
    assert!(matches!(offered(b's', &[&common, &blind]), SetupError::Map(_)));
    // Too few, too many, another greeting.
    let none = |e: &HandoverError| matches!(e, HandoverError::NoHandover { peer: Role::Producer, .. });
    refused(&offered(b's', &[]), none, "create_strict");
    refused(&offered(b's', &[&common]), none, "create_strict");
    refused(&offered(b's', &[&common, &object, &object]), none, "create_strict");
    refused(&offered(b'r', &[&common, &object]), none, "create_strict");
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    refused(&offered(b's', &[&common; 250]), none, "250 descriptors");
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(after < before + 100, "{before} descriptors, then {after}");
}

/// FNV-1a, as the layout has it.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn what_a_consumer_answers_is_examined() {
    let [_, _, theirs] = genuine();
    let page = contents(&theirs);
    let seals = |error: &SetupError| {
        refused(error, |e| matches!(e, HandoverError::Seals { object: CONSUMERS, .. }), "take no other");
    };
    for missing in [libc::F_SEAL_SHRINK, libc::F_SEAL_GROW, libc::F_SEAL_SEAL, FUTURE_WRITE] {
        seals(&answered(b'h', |_| vec![sealed(&page, READ_ONLY & !missing)]));
    }
    seals(&answered(b'h', |[common, _]| vec![common]));
    let size = |e: &HandoverError| matches!(e, HandoverError::Size { object: CONSUMERS, .. });
    refused(&answered(b'h', |[_, object]| vec![object]), size, "one version");
    refused(&answered(b'h', |_| vec![sealed(&[0; 2 * PAGE], READ_ONLY)]), size, "one version");
    let foreign = |e: &HandoverError| matches!(e, HandoverError::Foreign { object: CONSUMERS, .. });
    refused(&answered(b'h', |_| vec![sealed(&[0; PAGE], READ_ONLY)]), foreign, "magic");
    refused(&answered(b'h', |_| vec![sealed(&page, READ_ONLY)]), foreign, "another ring");
    // A head that nobody has reached yet.
    let ahead = |at: usize| {
        answered(b'h', move |[_, object]| {
            let mut page = page_of(&object);
            page[at] = 8;
            vec![sealed(&page, READ_ONLY)]
        })
    };
    refused(&ahead(3968), foreign, "the head");
    refused(&ahead(3976), foreign, "seen");
    let none = |e: &HandoverError| matches!(e, HandoverError::NoHandover { peer: Role::Consumer, .. });
    refused(&answered(b'h', |_| vec![]), none, "open_strict");
    refused(&answered(b'h', |[common, object]| vec![common, object]), none, "open_strict");
    refused(&answered(b'x', |[_, object]| vec![sealed(&page_of(&object), READ_ONLY)]), none, "open_strict");
}

/// The page that an honest consumer of that ring would make.
fn page_of(object: &File) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[..8].copy_from_slice(b"RINGHEAD");
    page[8..16].copy_from_slice(&contents(object)[3712 + 80..3712 + 88]);
    page
}

/// Whoever leaves when the other has already shown what is its own: both have an error.
#[test]
fn an_end_in_the_middle_is_an_error_of_both() {
    let ((here, to_producer), (there, to_consumer)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let (tx, rx) = thread::scope(|s| {
        let tx = s.spawn(move || Producer::create_strict(&here, &options(), PATIENCE));
        let rx = s.spawn(move || Consumer::open_strict(&there, PATIENCE));
        let (byte, files) = receive(&to_producer).unwrap();
        send(&to_consumer, byte, &files.iter().map(|file| file.as_raw_fd()).collect::<Vec<_>>());
        assert_eq!(receive(&to_consumer).unwrap().0, b'h');
        drop((to_producer, to_consumer));
        (tx.join().unwrap(), rx.join().unwrap())
    });
    refused(&tx.unwrap_err(), |e| *e == HandoverError::PeerGone { peer: Role::Consumer }, "new socket");
    refused(&rx.unwrap_err(), |e| *e == HandoverError::PeerGone { peer: Role::Producer }, "new socket");
}

/// A producer that is not content says so, and its consumer need not wait for a message that never comes; one that is
/// killed when the consumer has its handle is found dead by that.
#[test]
fn an_answer_that_is_refused_ends_both() {
    let ((here, to_producer), (there, to_consumer)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let (tx, rx) = thread::scope(|s| {
        let tx = s.spawn(move || {
            let refused = Producer::create_strict(&here, &options(), PATIENCE);
            drop(here);
            refused
        });
        let rx = s.spawn(move || Consumer::open_strict(&there, PATIENCE));
        let (byte, files) = receive(&to_producer).unwrap();
        send(&to_consumer, byte, &files.iter().map(|file| file.as_raw_fd()).collect::<Vec<_>>());
        receive(&to_consumer).unwrap();
        send(&to_producer, b'h', &[sealed(&[0; PAGE], READ_ONLY).as_raw_fd()]);
        let tx = tx.join().unwrap();
        assert!(receive(&to_producer).is_none(), "nothing more comes");
        drop(to_consumer);
        (tx, rx.join().unwrap())
    });
    refused(&tx.unwrap_err(), |e| matches!(e, HandoverError::Foreign { object: CONSUMERS, .. }), "magic");
    refused(&rx.unwrap_err(), |e| *e == HandoverError::PeerGone { peer: Role::Producer }, "new socket");
}
