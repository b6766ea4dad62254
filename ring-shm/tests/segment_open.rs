//! Opening and removing segments: what is refused, who is kept out, what is spared and what is taken.
#![allow(unsafe_code)]

#[path = "support/segment.rs"]
mod segment;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use ring_shm::{
    Access, CreateError, FileKind, LeasedMapping, Location, OpenError, OpenRules, Probe, Segment, SegmentName,
    UnlinkError,
};
use segment::*;
use support::{TestName, child, hear, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "holder" => play_holder(&args[0]),
        "own-shm" => play_own_shm(),
        "stranger" => play_stranger(&args[0]),
        "lost" => play_lost(),
        other => panic!("no role {other}"),
    });
}

#[test]
fn open_refuses_what_is_no_segment() {
    let name = unique("foreign");
    let path = name.path();
    let other = unique("foreign-target");
    drop(create(&other).unwrap());
    let refused = |found| {
        let name = name.0.clone();
        assert_eq!(Segment::open(&name).unwrap_err(), OpenError::NotASegment { name: name.clone(), found });
        assert_eq!(create(&name).unwrap_err(), CreateError::Exists { name: name.clone() });
        for force in [false, true] {
            let error = UnlinkError::NotASegment { name: name.clone(), found };
            assert_eq!(Segment::unlink(&name, force), Err(error));
        }
        assert!(!Segment::list().unwrap().iter().any(|info| info.name == name));
    };
    for target in [other.path(), "/dev/shm/ring.nowhere".into(), "/dev/null".into()] {
        std::os::unix::fs::symlink(target, &path).unwrap();
        refused(FileKind::Symlink);
        fs::remove_file(&path).unwrap();
    }
    fs::create_dir(&path).unwrap();
    refused(FileKind::Directory);
    fs::remove_dir(&path).unwrap();
    let c_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a C string that lives until the call returns.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    refused(FileKind::Fifo);
    fs::remove_file(&path).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    refused(FileKind::Socket);
    fs::remove_file(&path).unwrap();
    drop(socket);
}

#[test]
fn open_refuses_bad_owners_modes_and_sizes() {
    let name = unique("bad");
    let path = name.path();
    fs::write(&path, b"").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Segment::open(&name).unwrap_err(), OpenError::Empty { name: name.0.clone() });
    Segment::unlink(&name, false).unwrap();
    drop(create(&name).unwrap());
    for mode in [0o666, 0o602, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let rules = OpenRules::Anyone;
        let error = OpenError::WorldWritable { name: name.0.clone(), mode };
        assert_eq!(Segment::open(&name).unwrap_err(), error);
        assert_eq!(Segment::open_with(&name, &rules).unwrap_err(), error);
    }
    fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
    Segment::open(&name).unwrap();
    if root() {
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(NOBODY), None).unwrap();
        let error = OpenError::ForeignOwner { name: name.0.clone(), owner: NOBODY, user: 0 };
        assert_eq!(Segment::open(&name).unwrap_err(), error, "root gets no exception");
        let opened = Segment::open_with(&name, &OpenRules::Anyone).unwrap();
        assert_eq!(opened.owner(), NOBODY);
        // Shared with a group of ours it is refused only by those who want their own.
        fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
        Segment::open(&name).unwrap();
        assert_eq!(Segment::open_with(&name, &OpenRules::Own).unwrap_err(), error);
        // Nor does a removal of stale segments take what others own.
        let report = Segment::remove_stale_if(|segment| segment.name() == name.as_str()).unwrap();
        assert!(report.removed.is_empty() && path.exists());
    }
}

#[test]
fn a_stranger_is_kept_out() {
    let name = unique("stranger");
    let segment = create(&name).unwrap();
    if root() {
        run("stranger", &[name.as_str()]);
    }
    assert_eq!(segment.is_linked(), Ok(true));
}

fn play_stranger(name: &str) {
    // SAFETY: plain numbers; this process is a child made for it.
    assert_eq!(unsafe { libc::setgid(NOBODY) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
    let name = SegmentName::new(name).unwrap();
    let rules = OpenRules::Anyone;
    assert_eq!(Segment::open(&name).unwrap_err(), OpenError::Permission { name: name.clone().into() });
    assert_eq!(Segment::open_with(&name, &rules).unwrap_err(), OpenError::Permission { name: name.clone().into() });
    for force in [false, true] {
        assert_eq!(Segment::unlink(&name, force), Err(UnlinkError::Permission { name: name.clone().into() }));
    }
    assert!(Segment::list().unwrap().iter().any(|info| info.name == name.clone().into() && info.held.is_none()));
    let group = Access::group(0);
    let mine = unique("not-in-group");
    assert_eq!(
        Segment::create(&mine, LEN, &group, |_| {}).unwrap_err(),
        CreateError::BadGroup { group: 0 },
        "a group one does not belong to"
    );
    assert!(!mine.path().exists());
    say("kept out");
}

#[test]
fn unlink_spares_the_held_unless_forced() {
    let name = unique("held");
    let segment = create(&name).unwrap();
    let mut peer = child("holder", &[name.as_str()]);
    peer.wait_for("held");
    let in_use = Err(UnlinkError::InUse { name: name.0.clone(), lease: 5 });
    assert_eq!(Segment::unlink(&name, false), in_use);
    peer.signal(libc::SIGSTOP);
    peer.wait_for_state('T');
    assert_eq!(Segment::unlink(&name, false), in_use, "stopped is not dead");
    Segment::unlink(&name, true).unwrap();
    assert!(!name.path().exists());
    let successor = create(&name).unwrap();
    assert_ne!(successor.inode(), segment.inode());
    peer.signal(libc::SIGCONT);
    peer.ask("touch", "touched");
    assert_eq!(contents(&segment)[0], 9, "the living go on");
    Segment::unlink(&name, false).unwrap();
}

fn play_holder(name: &str) {
    let segment = Segment::open(SegmentName::new(name).unwrap()).unwrap();
    let lease = LeasedMapping::acquire(&segment, || 5).unwrap();
    say("held");
    while hear().is_some() {
        format(lease.mapping(), 9);
        say("touched");
    }
}

#[test]
fn unlink_takes_what_a_killed_holder_leaves() {
    let name = unique("left");
    drop(create(&name).unwrap());
    let mut peer = child("holder", &[name.as_str()]);
    peer.wait_for("held");
    peer.kill();
    Segment::unlink(&name, false).unwrap();
}

#[test]
fn stale_removal_takes_only_what_nobody_holds() {
    let (held, free, other) = (unique("stale-held"), unique("stale-free"), unique("stale-other"));
    for name in [&held, &free, &other] {
        drop(create(name).unwrap());
    }
    let mut peer = child("holder", &[held.as_str()]);
    peer.wait_for("held");
    let list = Segment::list().unwrap();
    let info = |name: &TestName| list.iter().find(|info| info.name == name.0).unwrap();
    assert_eq!((info(&held).held, info(&free).held), (Some(true), Some(false)));
    assert_eq!((info(&free).len, info(&free).mode), (LEN, 0o600));
    assert!(list.is_sorted_by(|one, two| one.name.to_string() < two.name.to_string()));
    // Others use this directory too: only our own two are offered.
    let ours = |segment: &Segment| [held.as_str(), free.as_str()].contains(&segment.name());
    let report = Segment::remove_stale_if(ours).unwrap();
    assert_eq!((report.removed, report.held), (vec![free.0.clone()], vec![held.0.clone()]));
    assert!(report.failed.is_empty() && other.path().exists());
    peer.kill();
    let report = Segment::remove_stale_if(ours).unwrap();
    assert_eq!(report.removed, vec![held.0.clone()]);
}

#[test]
fn stale_removal_of_a_whole_directory() {
    run("own-shm", &[]);
}

fn play_own_shm() {
    if let Err(reason) = support::own_shm("4m") {
        return say(&format!("skipped, {reason}"));
    }
    let names: Vec<Location> = ["a", "b", "c", "d"].map(|name| name.parse().unwrap()).into();
    let segments: Vec<Segment> = names.iter().map(|name| create(name).unwrap()).collect();
    let probe = Probe::acquire(&segments[1], || 3).unwrap();
    fs::write("/dev/shm/other.file", b"not ours").unwrap();
    fs::write("/dev/shm/ring.~", b"no valid name").unwrap();
    fs::write("/dev/shm/.ring.tmp.dead", b"left by a creator that died").unwrap();
    let listed = |held| Segment::list().unwrap().into_iter().filter(|i| i.held == Some(held)).map(|i| i.name).collect();
    let (free, held): (Vec<Location>, Vec<Location>) = (listed(false), listed(true));
    assert_eq!((free, held), (vec![names[0].clone(), names[2].clone(), names[3].clone()], vec![names[1].clone()]));
    let mut report = Segment::remove_stale().unwrap();
    report.removed.sort_by_key(ToString::to_string);
    assert_eq!(report.removed, [&names[0], &names[2], &names[3]].map(Clone::clone));
    assert_eq!((report.held, report.temporaries, report.failed), (vec![names[1].clone()], 1, vec![]));
    drop(probe);
    assert_eq!(Segment::remove_stale().unwrap().removed, [names[1].clone()]);
    let mut left: Vec<_> = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["other.file", "ring.~"]);
    say("swept");
}

#[test]
fn a_lost_descriptor_is_found_again_by_name_or_reported() {
    run("lost", &[]);
}

fn play_lost() {
    let name = unique("lost");
    let segment = create(&name).unwrap();
    let close_all = || {
        // SAFETY: closes what this process has beyond standard input and output; that is the point.
        assert_eq!(unsafe { libc::close_range(3, u32::MAX, 0) }, 0);
    };
    close_all();
    assert_eq!(segment.map_whole().unwrap().len() as u64, LEN);
    // Another object has taken the number: it is neither used nor closed.
    close_all();
    let thief = fs::File::open("/dev/zero").unwrap();
    assert_eq!(segment.map_whole().unwrap().len() as u64, LEN);
    assert_eq!(LeasedMapping::acquire(&segment, || 1).unwrap().lease(), 1);
    assert!(thief.metadata().is_ok());
    // With the name gone as well there is no way back.
    Segment::unlink(&name, false).unwrap();
    drop(thief);
    assert_eq!(segment.is_linked(), Ok(false));
    close_all();
    let lost = Err(ring_shm::MapError::Lost);
    assert_eq!(segment.is_linked(), lost);
    assert_eq!(LeasedMapping::acquire(&segment, || 2).unwrap_err(), ring_shm::LeaseError::Lost);
    let successor = create(&name).unwrap();
    assert_eq!(segment.is_linked(), lost, "a namesake is not the segment");
    let number = successor.inode();
    drop(segment);
    assert_eq!(successor.inode(), number);
    assert_eq!(successor.is_linked(), Ok(true));
    say("found or reported");
}
