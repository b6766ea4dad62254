//! Rings in files: what a restart, a power loss and other names of the file mean for them.
#![allow(unsafe_code)]

#[path = "support/files.rs"]
mod files;
mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use files::{Directory, jobs, options};
use ring_shm::spsc::{self, Consumer, Producer, RecvError};
use ring_shm::{
    CreateError, Facts, Location, Memfd, OpenError, OpenRules, Role, SeatState, SetupError, SetupErrorKind, Verdict,
    mpmc,
};
use support::{child, hear, say};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "users" => play_users(&args[0]),
        "next-boot" => play_next_boot(&args[0], &args[1]),
        other => panic!("no role {other}"),
    });
}

#[test]
fn a_name_like_any_other() {
    let directory = Directory::new();
    let at = directory.at("a ring, whatever it is called");
    assert_eq!(Consumer::open(&at).unwrap_err().kind(), SetupErrorKind::NotFound);
    let tx = Producer::create(&at, &options()).unwrap();
    assert_eq!(Producer::create(&at, &options()).unwrap_err().kind(), SetupErrorKind::Exists);
    assert_eq!(directory.names().len(), 1, "and nothing else beside it");
    assert!(ring_shm::unlink(&at, false).is_err(), "somebody lives in it");
    drop(tx);
    ring_shm::unlink(&at, false).unwrap();
    assert!(directory.names().is_empty());
    let nowhere = Producer::create(directory.at("no/such"), &options()).unwrap_err();
    assert_eq!(nowhere.kind(), SetupErrorKind::NotFound, "{nowhere}");
}

#[test]
fn relative_to_the_directory_of_then() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(Location::file("x/y"), Location::file(here.join("x/y")));
    assert_eq!("file:x/y".parse(), Ok(Location::file(here.join("x/y"))));
}

#[test]
fn what_must_not_be_opened() {
    let directory = Directory::new();
    let (at, path) = (directory.at("ring"), directory.path("ring"));
    spsc::create(&at, &options()).unwrap();
    let open = || Consumer::open(&at).map(drop);
    open().unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o602)).unwrap();
    assert!(matches!(open(), Err(SetupError::Open(OpenError::WorldWritable { .. }))));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    // Another name of it, be it this one or the other that was meant.
    fs::hard_link(&path, directory.path("link")).unwrap();
    for name in ["ring", "link"] {
        let error = Consumer::open(directory.at(name)).unwrap_err();
        let name = directory.at(name);
        assert_eq!(error, SetupError::Open(OpenError::Linked { name, links: 2 }));
        assert_eq!(error.kind(), SetupErrorKind::Permission);
    }
    fs::remove_file(directory.path("link")).unwrap();
    open().unwrap();
    std::os::unix::fs::symlink(&path, directory.path("symlink")).unwrap();
    let error = Consumer::open(directory.at("symlink")).unwrap_err();
    assert!(matches!(error, SetupError::Open(OpenError::NotASegment { .. })), "{error}");
    assert!(error.to_string().contains("symlink is a symbolic link"), "{error}");
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(matches!(open(), Err(SetupError::Open(OpenError::Empty { .. }))));
    fs::remove_file(&path).unwrap();
    spsc::create(&at, &options()).unwrap();
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        return println!("skipped: needs root");
    }
    assert!(matches!(open(), Err(SetupError::Open(OpenError::ForeignOwner { owner: 65534, .. }))));
    Consumer::open_with(&at, &OpenRules::Anyone).unwrap();
}

#[test]
fn a_restart_leaves_it_whole() {
    let directory = Directory::new();
    let place = directory.path("");
    let place = place.to_str().unwrap();
    let mut users = child("users", &[place]);
    users.wait_for("in the middle");
    let boot = Facts::of_self().boot_hash;
    users.kill();
    // What the disk holds when the machine comes up again: the bytes, and none of the locks.
    for name in ["spsc", "mpmc"] {
        fs::copy(directory.path(name), directory.path("copy")).unwrap();
        fs::rename(directory.path("copy"), directory.path(name)).unwrap();
    }
    let mut next = child("next-boot", &[place, &boot.to_string()]);
    println!("{}", next.wait_for("boot"));
    assert!(next.finish().success());
}

/// Sits in both rings and is in the middle of everything.
fn play_users(directory: &str) {
    let at = |name: &str| Location::file(Path::new(directory).join(name));
    let mut tx = Producer::create(at("spsc"), &options()).unwrap();
    let mut rx = Consumer::open(at("spsc")).unwrap();
    for tag in 0..10 {
        tx.try_send(tag, &[7; 100]).unwrap();
    }
    for _ in 0..3 {
        rx.try_recv_into(&mut [0; 100]).unwrap();
    }
    let mut sender = mpmc::Producer::create(at("mpmc"), &jobs()).unwrap();
    let mut receiver = mpmc::Consumer::open(at("mpmc")).unwrap();
    for tag in 0..10 {
        sender.try_send(tag, &[7; 100]).unwrap();
    }
    for _ in 0..3 {
        receiver.try_recv_into(&mut [0; 200]).unwrap();
    }
    let (_read, _claim) = (rx.try_read().unwrap(), tx.try_claim(100).unwrap());
    let (_job, _slot) = (receiver.try_read().unwrap(), sender.try_claim(100).unwrap());
    say("in the middle");
    hear();
}

/// A process after the restart, to which the kernel gives another boot id.
fn play_next_boot(directory: &str, boot: &str) {
    let id = Path::new(directory).join("boot_id");
    fs::write(&id, "11111111-2222-3333-4444-555555555555\n").unwrap();
    let there = "/proc/sys/kernel/random/boot_id";
    let other = support::own_mounts().and_then(|()| support::mount(id.to_str().unwrap(), there, "", libc::MS_BIND, ""));
    say(&match &other {
        Ok(()) => "boot: another".to_owned(),
        Err(reason) => format!("boot: the same ({reason})"),
    });
    assert!(other.is_err() || Facts::of_self().boot_hash.to_string() != boot);
    let at = |name: &str| Location::file(Path::new(directory).join(name));

    let seen = spsc::inspect(at("spsc")).unwrap();
    assert_eq!((seen.producer.verdict, seen.consumer.verdict), (Some(Verdict::Dead), Some(Verdict::Dead)));
    let (found, recovered) = spsc::recover(at("spsc"), None).unwrap();
    assert_eq!((found, recovered), (seen, vec![Role::Producer, Role::Consumer]));
    let mut rx = Consumer::open(at("spsc")).unwrap();
    let mut buf = [0; 200];
    for tag in 3..10 {
        let got = rx.try_recv_into(&mut buf).unwrap();
        assert_eq!((got.tag, got.redelivered, &buf[..got.len]), (tag, tag == 3, &[7; 100][..]));
    }
    assert_eq!(rx.recv_into(&mut buf), Err(RecvError::PeerDied));
    let mut tx = Producer::open(at("spsc")).unwrap();
    tx.try_send(10, b"goes on").unwrap();
    assert_eq!(rx.try_recv_into(&mut buf).unwrap().tag, 10);
    assert!(matches!(spsc::inspect(at("spsc")).unwrap().producer.state, SeatState::Held(_)));

    let (found, released) = mpmc::recover(at("mpmc"), None).unwrap();
    assert!(found.members.len() == 2 && found.members.iter().all(|member| member.verdict == Verdict::Dead));
    assert_eq!(released.len(), 2);
    let (mut sender, mut receiver) =
        (mpmc::Producer::open(at("mpmc")).unwrap(), mpmc::Consumer::open(at("mpmc")).unwrap());
    sender.try_send(10, b"goes on").unwrap();
    let mut tags = Vec::new();
    while tags.len() < 8 {
        match receiver.try_recv_into(&mut buf) {
            Ok(got) => tags.push((got.tag, got.redelivered)),
            Err(mpmc::TryRecvError::Empty | mpmc::TryRecvError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    tags.sort_unstable();
    assert_eq!(tags, (3..11).map(|tag| (tag, tag == 3)).collect::<Vec<_>>());
}

/// What a slip of the pen leads to: nothing is there to hold the file, or something else has its path.
#[test]
fn paths_that_can_hold_no_ring() {
    let directory = Directory::new();
    fs::write(directory.path("text"), "of somebody's").unwrap();
    for path in ["missing/ring", "text/ring", "missing/deeper/ring"] {
        let at = directory.at(path);
        let parent = directory.path(path).parent().unwrap().to_owned();
        let error = SetupError::Create(CreateError::NoDirectory { name: at.clone(), directory: parent });
        assert_eq!(spsc::create(&at, &options()), Err(error.clone()));
        assert_eq!(Producer::open_or_create(&at, &options()).unwrap_err(), error, "not that others came between");
        assert_eq!(mpmc::create(&at, &mpmc::Options::new().slots(4)), Err(error.clone()));
        assert!(error.to_string().contains("make it"), "{error}");
        assert_eq!(Consumer::open(&at).unwrap_err().kind(), SetupErrorKind::NotFound);
        assert!(matches!(ring_shm::unlink(&at, true), Err(ring_shm::UnlinkError::NotFound { .. })));
    }
    // A file system is missing only where `/dev/shm` itself is.
    for (directory, mounts) in [("/dev/shm", true), ("/dev/shm/missing", false)] {
        let error = CreateError::NoDirectory { name: Location::file("ring"), directory: directory.into() };
        assert_eq!(error.to_string().contains("mount"), mounts, "{error}");
    }
    // Nobody is told to remove what he has named by mistake.
    let error = Consumer::open(directory.at("")).unwrap_err().to_string();
    assert!(error.ends_with("is a directory, no segment: give another path"), "{error}");
    assert_eq!("file:".parse::<Location>(), Err(ring_shm::NameError::NoPath));
    assert_eq!(fs::read(directory.path("text")).unwrap(), b"of somebody's");
}

/// To the system -1 is no group but «leave it as it is»: the ring would be shared with another group than the one asked for.
#[test]
fn a_group_that_is_none() {
    let directory = Directory::new();
    for at in [directory.at("ring"), Memfd::new("group").unwrap().into()] {
        let options = options().mode(0o660).group(u32::MAX);
        let error = SetupError::Create(CreateError::BadGroup { group: u32::MAX });
        assert_eq!(spsc::create(&at, &options), Err(error), "{at}");
    }
}

#[test]
fn jobs_made_longer() {
    let directory = Directory::new();
    let (at, path) = (directory.at("jobs"), directory.path("jobs"));
    mpmc::create(&at, &jobs()).unwrap();
    let len = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(len + 1).unwrap();
    let error = SetupError::Map(ring_shm::MapError::Resized { expected: len, found: len + 1 });
    assert_eq!(mpmc::Producer::open(&at).unwrap_err(), error);
    File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
    drop(mpmc::Producer::open(&at).unwrap());
}
