//! Memfds: how they change hands, and what a receiver refuses.
#![allow(unsafe_code)]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use ring_shm::spsc::{Consumer, Options, Producer, RecvError};
use ring_shm::{
    Access, CreateError, LeasedMapping, Location, Memfd, OpenError, Segment, SelfTest, SetupError, SetupErrorKind,
    UnlinkError, Unsealed, mpmc, spsc,
};
use support::{child, hear, say};

const NOBODY: u32 = 65534;

const LEN: u64 = 8192;

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "receiver" => play_receiver(&args[0]),
        "heir" => play_heir(&args[0]),
        "dies-in-init" => play_dies_in_init(&args[0]),
        "stranger" => play_stranger(&args[0], args[1].parse().unwrap()),
        other => panic!("no role {other}"),
    });
}

fn options() -> Options {
    Options::new().capacity(4096)
}

fn memfd() -> Memfd {
    Memfd::new("t-memfd").unwrap()
}

#[test]
fn handed_over_a_socket_to_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut receiver = child("receiver", &[path.to_str().unwrap()]);
    let (socket, _) = listener.accept().unwrap();
    let ring = memfd();
    let mut tx = Producer::create(&ring, &options()).unwrap();
    ring.send_over(&socket).unwrap();
    // Nothing of this process is needed any more but the mapping of its handle.
    drop((ring, socket));
    receiver.wait_for("sits");
    tx.send(7, b"hello").unwrap();
    assert_eq!(receiver.wait_for("got"), "7");
    // A proof of death needs no name, either.
    receiver.kill();
    while !tx.is_disconnected() {}
    drop(tx);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

fn play_receiver(path: &str) {
    let socket = UnixStream::connect(path).unwrap();
    let mut rx = Consumer::open(Memfd::receive_from(&socket).unwrap()).unwrap();
    say("sits");
    say(&format!("got {}", rx.recv_into(&mut [0; 64]).unwrap().tag));
    hear();
}

#[test]
fn inherited_by_children_whoever_comes_first_makes_the_ring() {
    for mine_first in [true, false] {
        let ring = memfd();
        let at = ring.to_string();
        assert_eq!(at, format!("fd:{}", ring.as_fd().as_raw_fd()));
        let mut without = child("heir", &[&at]);
        assert_eq!(without.wait_for("opened"), "Invalid", "not inherited");
        ring.inherit(true).unwrap();
        let mine = || Producer::open_or_create(&ring, &options()).unwrap();
        let (mut tx, mut heir);
        if mine_first {
            tx = mine();
            heir = child("heir", &[&at]);
            assert_eq!(heir.wait_for("opened"), "Ok");
        } else {
            heir = child("heir", &[&at]);
            assert_eq!(heir.wait_for("opened"), "Ok");
            tx = mine();
        }
        tx.send(1, b"to an heir").unwrap();
        assert_eq!(heir.wait_for("got"), "to an heir");
        ring.inherit(false).unwrap();
        let mut without = child("heir", &[&at]);
        assert_eq!(without.wait_for("opened"), "Invalid");
    }
}

fn play_heir(at: &str) {
    let mut rx = match Consumer::open_or_create(at, &options()) {
        Ok(rx) => rx,
        Err(error) => return say(&format!("opened {:?}", error.kind())),
    };
    say("opened Ok");
    let mut buf = [0; 64];
    let got = rx.recv_into(&mut buf).unwrap();
    say(&format!("got {}", String::from_utf8_lossy(&buf[..got.len])));
    hear();
}

#[test]
fn sealed_for_good() {
    let ring = memfd();
    let mut tx = Producer::create(&ring, &options()).unwrap();
    let file = File::from(ring.as_fd().try_clone_to_owned().unwrap());
    let whole = file.metadata().unwrap().len();
    for len in [0, 1, whole - 1, whole + 1, 1 << 30] {
        assert_eq!(file.set_len(len).unwrap_err().kind(), ErrorKind::PermissionDenied, "{len}");
    }
    // Nor can it be made to by sealing it against writing, which would end those who join.
    assert_eq!(add_seals(&file, libc::F_SEAL_WRITE), -1);
    tx.try_send(1, b"still there").unwrap();
    // Nor by making another ring in it.
    assert_eq!(Producer::create(&ring, &options()).unwrap_err().kind(), SetupErrorKind::Exists);
    assert_eq!(mpmc::create(&ring, &mpmc::Options::new()).unwrap_err().kind(), SetupErrorKind::Exists);
    let mut rx = Consumer::open_or_create(&ring, &options()).unwrap();
    assert_eq!(rx.recv_into(&mut [0; 64]).unwrap().tag, 1);
    assert_eq!(ring_shm::unlink(&ring, true), Err(UnlinkError::Nameless { name: ring.clone().into() }));
    drop(tx);
    assert_eq!(rx.recv_into(&mut [0; 64]), Err(RecvError::Disconnected));
}

#[test]
fn leases_live_with_mappings_here_too() {
    let ring = memfd();
    let segment = Segment::create(&ring, LEN, &Access::default(), |_| {}).unwrap();
    let one = LeasedMapping::acquire(&segment, || 1).unwrap();
    assert_eq!((one.self_test(), segment.any_lease()), (SelfTest::Passed, Ok(Some(1))));
    assert_eq!((segment.len(), segment.mode(), segment.is_linked()), (LEN, 0o600, Ok(false)));
}

/// `fcntl(F_ADD_SEALS)`.
fn add_seals(file: &File, seals: i32) -> i32 {
    // SAFETY: plain numbers.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }
}

/// A memfd with a sound ring in it, and these seals alone.
fn forged(seals: i32) -> Memfd {
    let sound = memfd();
    spsc::create(&sound, &options()).unwrap();
    let sound = File::from(sound.as_fd().try_clone_to_owned().unwrap());
    let mut image = vec![0; usize::try_from(sound.metadata().unwrap().len()).unwrap()];
    sound.read_exact_at(&mut image, 0).unwrap();
    let forged = memfd();
    let mut file = File::from(forged.as_fd().try_clone_to_owned().unwrap());
    file.write_all(&image).unwrap();
    assert!(seals == 0 || add_seals(&file, seals) == 0);
    forged
}

#[test]
fn refused_without_all_the_seals() {
    let (shrink, grow, seal) = (libc::F_SEAL_SHRINK, libc::F_SEAL_GROW, libc::F_SEAL_SEAL);
    for (seals, trouble, kind) in [
        (0, Unsealed::NotYet, SetupErrorKind::NotFound),
        (shrink, Unsealed::NotYet, SetupErrorKind::NotFound),
        (grow, Unsealed::NotYet, SetupErrorKind::NotFound),
        (shrink | grow, Unsealed::NotYet, SetupErrorKind::NotFound),
        (seal, Unsealed::Never, SetupErrorKind::Corrupt),
        (shrink | seal, Unsealed::Never, SetupErrorKind::Corrupt),
        (grow | seal, Unsealed::Never, SetupErrorKind::Corrupt),
    ] {
        let ring = forged(seals);
        let name = Location::from(ring.clone());
        let errors = [
            Consumer::open(&ring).map(drop),
            Producer::open(&ring).map(drop),
            spsc::inspect(&ring).map(drop),
            spsc::recover(&ring, None).map(drop),
            ring_shm::kind_of(&ring).map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert_eq!(error, SetupError::Open(OpenError::Unsealed { name: name.clone(), trouble }), "{seals:#x}");
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains("sealed"), "{error}");
        }
        if trouble == Unsealed::Never {
            let error = CreateError::Unsealable { name, trouble };
            assert_eq!(Producer::create(&ring, &options()).unwrap_err(), SetupError::Create(error));
        }
    }
    // The control: nothing else is wrong with it.
    Consumer::open(forged(shrink | grow | seal)).unwrap();
}

#[test]
fn refused_when_its_size_is_not_the_rings() {
    let ring = forged(0);
    let file = File::from(ring.as_fd().try_clone_to_owned().unwrap());
    for len in [1, 127, 4095, 4096, 8191] {
        let short = forged(0);
        let file = File::from(short.as_fd().try_clone_to_owned().unwrap());
        file.set_len(len).unwrap();
        add_seals(&file, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL);
        assert_eq!(Consumer::open(&short).unwrap_err().kind(), SetupErrorKind::Corrupt, "{len}");
        assert_eq!(spsc::inspect(&short).unwrap_err().kind(), SetupErrorKind::Corrupt, "{len}");
    }
    file.set_len(0).unwrap();
    add_seals(&file, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL);
    assert!(matches!(Consumer::open(&ring), Err(SetupError::Open(OpenError::Empty { .. }))));
}

#[test]
fn refused_when_it_is_no_memfd() {
    let directory = tempfile::tempdir().unwrap();
    let tmpfs = tempfile::tempfile_in("/dev/shm").unwrap();
    let no_memfds: [(&str, OwnedFd, Unsealed); 5] = [
        ("a file", tempfile::tempfile().unwrap().into(), Unsealed::NoMemfd),
        ("a file of a tmpfs, which has seals", tmpfs.into(), Unsealed::Never),
        ("a directory", File::open(directory.path()).unwrap().into(), Unsealed::NoMemfd),
        ("a device", File::open("/dev/null").unwrap().into(), Unsealed::NoMemfd),
        ("a socket", UnixStream::pair().unwrap().0.into(), Unsealed::NoMemfd),
    ];
    for (what, fd, trouble) in no_memfds {
        let (size, text) = (File::from(fd.try_clone().unwrap()).metadata().unwrap().len(), fd.as_raw_fd());
        let ring = Memfd::from(fd);
        let name = Location::from(ring.clone());
        let open = OpenError::Unsealed { name: name.clone(), trouble };
        assert_eq!(Consumer::open(&ring).unwrap_err(), SetupError::Open(open), "{what}");
        let create = CreateError::Unsealable { name, trouble };
        assert_eq!(Producer::create(&ring, &options()).unwrap_err(), SetupError::Create(create), "{what}");
        assert_eq!(File::from(ring.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().len(), size, "{what}");
        // By its number only what could be one is opened at all.
        let parsed = format!("fd:{text}").parse::<Location>();
        assert_eq!(parsed.is_ok(), what.starts_with("a file"), "{what}");
    }
    for text in ["fd:", "fd:x", "fd:-1", "fd:+3", "fd:99999", "fd:3/", "fd:/3", "fd:self/0", "fd:../3", "fd:1/2/3"] {
        let error = Consumer::open(text).unwrap_err();
        assert_eq!(error.kind(), SetupErrorKind::Invalid, "{text}");
    }
}

#[test]
fn what_is_not_sent_is_not_received() {
    let (here, there) = UnixStream::pair().unwrap();
    (&here).write_all(b"x").unwrap();
    assert_eq!(Memfd::receive_from(&there).unwrap_err().kind(), ErrorKind::InvalidData);
    drop(here);
    assert_eq!(Memfd::receive_from(&there).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(memfd().send_over(&there).is_err(), "and no SIGPIPE");
}

#[test]
fn a_creator_that_dies_leaves_room_for_the_next() {
    let ring = memfd();
    ring.inherit(true).unwrap();
    for _ in 0..10 {
        let mut creator = child("dies-in-init", &[&ring.to_string()]);
        creator.wait_for("inside");
        assert_eq!(Consumer::open(&ring).unwrap_err().kind(), SetupErrorKind::NotFound);
        creator.kill();
        assert_eq!(Consumer::open(&ring).unwrap_err().kind(), SetupErrorKind::NotFound);
    }
    let mut creator = child("dies-in-init", &[&ring.to_string()]);
    creator.wait_for("inside");
    // A creator that has only stopped is waited for, not for ever, and not disturbed.
    creator.signal(libc::SIGSTOP);
    let other = Segment::create(&ring, LEN / 2, &Access::default(), |_| panic!("not reached"));
    assert_eq!(other.unwrap_err(), CreateError::Contended { tries: 1 });
    creator.kill();
    let mut tx = Producer::open_or_create(&ring, &options()).unwrap();
    tx.try_send(1, b"").unwrap();
    assert_eq!(Consumer::open(&ring).unwrap().recv_into(&mut []).unwrap().tag, 1);
}

fn play_dies_in_init(at: &str) {
    let _ = Segment::create(at, LEN, &Access::default(), |mapping| {
        // SAFETY: inside of the mapping, which nobody else has.
        unsafe { mapping.as_ptr().write_bytes(0xff, mapping.len()) };
        say("inside");
        hear();
    });
}

#[test]
fn the_mode_says_who_may_use_what_he_was_given() {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return println!("skipped: needs root");
    }
    for (options, group, expected) in [
        (options(), 0, "Err(Permission)"),
        (options().mode(0o660).group(12345), 0, "Err(Permission)"),
        (options().mode(0o660).group(12345), 12345, "Ok(())"),
    ] {
        let ring = memfd();
        ring.inherit(true).unwrap();
        spsc::create(&ring, &options).unwrap();
        let mut stranger = child("stranger", &[&ring.to_string(), &group.to_string()]);
        assert_eq!(stranger.wait_for("opened"), expected);
    }
}

fn play_stranger(at: &str, group: u32) {
    let ring: Location = at.parse().unwrap();
    // SAFETY: a list of one.
    assert_eq!(unsafe { libc::setgroups(1, &group) }, 0);
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setgid(group.max(1)) }, 0);
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
    say(&format!("opened {:?}", Consumer::open(&ring).map(drop).map_err(|error| error.kind())));
}

/// An operator reaches a ring through the process that has it, if he may trace it.
#[test]
fn looked_at_through_its_process() {
    let ring = memfd();
    let tx = Producer::create(&ring, &options()).unwrap();
    let found = Segment::list_memfds(std::process::id()).unwrap();
    let mine =
        found.iter().find(|info| spsc::inspect(&info.name).is_ok_and(|seen| seen == spsc::inspect(&ring).unwrap()));
    assert_eq!(mine.unwrap().held, Some(true));
    // A child that was given nothing.
    let mut sleep = Command::new("sleep").arg("1000").spawn().unwrap();
    let theirs = Segment::list_memfds(sleep.id()).unwrap();
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert!(theirs.iter().all(|info| spsc::inspect(&info.name) != spsc::inspect(&ring)));
    drop(tx);
}
