//! Segments against real processes and a real `/dev/shm`: creation, opening, removal, and what is refused.
#![allow(unsafe_code)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_shm::{
    Access, CreateError, FileKind, LeasedMapping, Mapping, NameError, OpenError, OpenRules, OsError, Probe, Segment,
    SegmentName, UnlinkError,
};
use support::{Child, child, hear, say, unique};

const LEN: u64 = 8192;
const NOBODY: u32 = 65534;

fn create(name: &SegmentName) -> Result<Segment, CreateError> {
    Segment::create(name, LEN, &Access::default(), |_| {})
}

/// Fills the mapping with `value`, as a creator would format it.
fn format(mapping: &Mapping, value: u8) {
    for offset in 0..mapping.len() {
        // SAFETY: inside the mapping; no other process has it yet.
        unsafe { mapping.as_ptr().as_ptr().wrapping_add(offset).write_volatile(value) };
    }
}

fn contents(segment: &Segment) -> Vec<u8> {
    let mapping = segment.map_whole().unwrap();
    // SAFETY: inside the mapping; nobody writes after the creation.
    (0..mapping.len()).map(|offset| unsafe { mapping.as_ptr().as_ptr().wrapping_add(offset).read_volatile() }).collect()
}

fn root() -> bool {
    // SAFETY: no arguments.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("skipped: needs root");
    }
    root
}

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "racer" => play_racer(),
        "umask" => play_umask(&args[0]),
        "dies-in-init" => play_dies_in_init(&args[0]),
        "holder" => play_holder(&args[0]),
        "small-shm" => play_small_shm(),
        "own-shm" => play_own_shm(),
        "stranger" => play_stranger(&args[0]),
        "limits" => play_limits(),
        "lost" => play_lost(),
        other => panic!("no role {other}"),
    });
}

/// Runs a role that tells in one line what it did, or why it could not.
fn run(role: &str, args: &[&str]) {
    let mut child = child(role, args);
    let told = child.next();
    println!("{role}: {}", told.as_deref().unwrap_or("nothing"));
    assert!(child.finish().success(), "{role} failed, see above");
    assert!(told.is_some());
}

#[test]
fn names() {
    let longest = "x".repeat(200);
    for good in ["a", "ticks", "A.b_c-9", "_", "9", "a.", "a-", "ring.", longest.as_str()] {
        let name = SegmentName::new(good).unwrap();
        assert_eq!((name.as_str(), name.file_name()), (good, format!("ring.{good}")));
        assert_eq!(good.parse::<SegmentName>(), Ok(name));
    }
    let overlong = "x".repeat(201);
    let bad = |found, at| NameError::BadCharacter { found, at };
    for (name, error, cure) in [
        ("", NameError::Empty, "at least one letter"),
        (overlong.as_str(), NameError::TooLong { len: 201 }, "shorten it to 200"),
        ("/ticks", NameError::Slash { at: 0 }, "bare name"),
        ("a/b", NameError::Slash { at: 1 }, "bare name"),
        ("../up", NameError::Slash { at: 2 }, "bare name"),
        (".", NameError::BadStart { found: '.' }, "begin it with"),
        ("..", NameError::BadStart { found: '.' }, "begin it with"),
        (".hidden", NameError::BadStart { found: '.' }, "begin it with"),
        ("-rf", NameError::BadStart { found: '-' }, "begin it with"),
        ("a\0b", NameError::Nul { at: 1 }, "remove it"),
        ("a b", bad(' ', 1), "use only"),
        ("a\n", bad('\n', 1), "use only"),
        ("a*", bad('*', 1), "use only"),
        ("naïve", bad('ï', 2), "use only"),
        ("輪", bad('輪', 0), "use only"),
    ] {
        assert_eq!(SegmentName::new(name), Err(error.clone()), "{name:?}");
        assert!(error.to_string().contains(cure), "{error}");
    }
}

#[test]
fn create_open_unlink() {
    let name = unique("smoke");
    assert_eq!(Segment::open(&name).unwrap_err(), OpenError::NotFound { name: name.0.clone() });
    assert_eq!(Segment::unlink(&name, false), Err(UnlinkError::NotFound { name: name.0.clone() }));
    assert_eq!(Segment::unlink(&name, true), Err(UnlinkError::NotFound { name: name.0.clone() }));
    let made = Segment::create(&name, LEN + 1, &Access::default(), |mapping| {
        assert_eq!(mapping.len() as u64, LEN + 1, "any length will do");
        assert!(!name.path().exists(), "nothing is visible yet");
        format(mapping, 7);
    })
    .unwrap();
    assert_eq!(create(&name).unwrap_err(), CreateError::Exists { name: name.0.clone() });
    let found = Segment::open(&name).unwrap();
    let meta = fs::metadata(name.path()).unwrap();
    assert_eq!((found.name(), found.len(), found.mode()), (name.as_str(), LEN + 1, 0o600));
    assert_eq!((found.device(), found.inode(), found.owner()), (meta.dev(), meta.ino(), meta.uid()));
    assert_eq!((made.device(), made.inode()), (meta.dev(), meta.ino()));
    assert_eq!((meta.nlink(), meta.size()), (1, LEN + 1));
    assert!(meta.blocks() * 512 >= LEN, "the memory is really there");
    assert!(contents(&found).iter().all(|byte| *byte == 7));
    assert_eq!(found.is_linked(), Ok(true));
    Segment::unlink(&name, false).unwrap();
    assert_eq!(found.is_linked(), Ok(false));
    assert!(contents(&found).iter().all(|byte| *byte == 7), "the open segment stays usable");
    assert_ne!(create(&name).unwrap().inode(), found.inode());
}

#[test]
fn create_race_has_one_winner_and_no_half_made_segment() {
    const ROUNDS: usize = 300;
    let mut racers: Vec<Child> = (0..8).map(|_| child("racer", &[])).collect();
    for _ in 0..ROUNDS {
        let name = unique("race");
        for racer in &mut racers {
            racer.tell(name.as_str());
        }
        let answers: Vec<String> = racers.iter_mut().map(|racer| racer.next().unwrap()).collect();
        let winners: Vec<_> = answers.iter().filter(|answer| answer.starts_with("won")).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let what = winners[0].strip_prefix("won ").unwrap();
        assert!(answers.iter().all(|answer| answer.ends_with(what)), "{answers:?}");
    }
}

/// Tells who won and what it sees: the inode, and the one value all bytes have.
fn play_racer() {
    while let Some(name) = hear() {
        let name = SegmentName::new(&name).unwrap();
        let value = u8::try_from(std::process::id() % 255).unwrap() + 1;
        let made = Segment::create(&name, LEN, &Access::default(), |mapping| format(mapping, value));
        let (word, segment) = match made {
            Ok(segment) => ("won", segment),
            Err(CreateError::Exists { .. }) => ("lost", Segment::open(&name).unwrap()),
            Err(error) => panic!("{error}"),
        };
        let bytes = contents(&segment);
        assert!(bytes.len() as u64 == LEN && bytes[0] != 0 && bytes.iter().all(|byte| *byte == bytes[0]));
        say(&format!("{word} {} {}", segment.inode(), bytes[0]));
    }
}

#[test]
fn mode_is_exact_under_every_umask() {
    for umask in ["000", "022", "077", "777"] {
        run("umask", &[umask]);
    }
}

fn play_umask(umask: &str) {
    // SAFETY: plain numbers.
    unsafe { libc::umask(u32::from_str_radix(umask, 8).unwrap()) };
    let group = if root() { 12345 } else { fs::metadata("/proc/self").unwrap().gid() };
    for access in [
        Access::default(),
        Access { mode: 0o640, group: None },
        Access { mode: 0o664, group: None },
        Access::group(group),
        Access { mode: 0o700, group: Some(group) },
    ] {
        let name = unique("umask");
        let segment = Segment::create(&name, LEN, &access, |_| {}).unwrap();
        let meta = fs::metadata(name.path()).unwrap();
        assert_eq!(meta.mode() & 0o7777, access.mode, "umask {umask}");
        assert_eq!(segment.mode(), access.mode);
        if access.group.is_some() {
            assert_eq!(Some(meta.gid()), access.group);
        }
        Segment::open(&name).unwrap();
    }
    say(&format!("umask {umask} has no say"));
}

#[test]
fn create_refuses_what_could_not_be_opened_or_made() {
    let name = unique("refused");
    let make =
        |len, mode| Segment::create(&name, len, &Access { mode, group: None }, |_| panic!("not reached")).map(|_| ());
    for mode in [0, 0o400, 0o200, 0o060, 0o602, 0o666, 0o777, 0o1600, 0o4600, 0o100_600] {
        assert_eq!(make(LEN, mode), Err(CreateError::BadMode { mode }), "{mode:#o}");
    }
    for len in [0, 1 << 63, u64::MAX] {
        assert_eq!(make(len, 0o600), Err(CreateError::BadLength { len }));
    }
    // More than there is: refused, and the error says how much there is.
    let asked = 1 << 50;
    let Err(CreateError::NoSpace { asked: told, free }) = make(asked, 0o600) else { panic!("a petabyte?") };
    assert!(told == asked && free > 0 && free < asked);
    assert!(!name.path().exists());
    assert_eq!(ours_in_shm("refused"), 0);
}

/// How many names in `/dev/shm` have to do with `tag` and this process.
fn ours_in_shm(tag: &str) -> usize {
    let own = format!("t-{tag}-{}-", std::process::id());
    let names = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains(&own)).count()
}

#[test]
fn create_leaves_nothing_when_init_panics_or_the_creator_is_killed() {
    let name = unique("killed");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        Segment::create(&name, LEN, &Access::default(), |_| panic!("this panic is part of the test")).map(|_| ())
    }));
    assert!(panicked.is_err() && !name.path().exists());
    for _ in 0..10 {
        let mut creator = child("dies-in-init", &[name.as_str()]);
        creator.wait_for("inside");
        assert_eq!(Segment::open(&name).unwrap_err(), OpenError::NotFound { name: name.0.clone() });
        creator.kill();
        assert!(!name.path().exists());
    }
    drop(create(&name).unwrap());
}

fn play_dies_in_init(name: &str) {
    let _ = Segment::create(&SegmentName::new(name).unwrap(), LEN, &Access::default(), |mapping| {
        format(mapping, 1);
        say("inside");
        hear();
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
    assert_eq!(Segment::open(&name).unwrap_err(), OpenError::Permission { name: name.clone() });
    assert_eq!(Segment::open_with(&name, &rules).unwrap_err(), OpenError::Permission { name: name.clone() });
    for force in [false, true] {
        assert_eq!(Segment::unlink(&name, force), Err(UnlinkError::Permission { name: name.clone() }));
    }
    assert!(Segment::list().unwrap().iter().any(|info| info.name == name && info.held.is_none()));
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
    let segment = Segment::open(&SegmentName::new(name).unwrap()).unwrap();
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
    let info = |name: &SegmentName| list.iter().find(|info| info.name == *name).unwrap();
    assert_eq!((info(&held).held, info(&free).held), (Some(true), Some(false)));
    assert_eq!((info(&free).len, info(&free).mode), (LEN, 0o600));
    assert!(list.is_sorted_by(|one, two| one.name < two.name));
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
    let names: Vec<SegmentName> = ["a", "b", "c", "d"].map(|name| SegmentName::new(name).unwrap()).into();
    let segments: Vec<Segment> = names.iter().map(|name| create(name).unwrap()).collect();
    let probe = Probe::acquire(&segments[1], || 3).unwrap();
    fs::write("/dev/shm/other.file", b"not ours").unwrap();
    fs::write("/dev/shm/ring.~", b"no valid name").unwrap();
    fs::write("/dev/shm/.ring.tmp.dead", b"left by a creator that died").unwrap();
    let listed = |held| Segment::list().unwrap().into_iter().filter(|i| i.held == Some(held)).map(|i| i.name).collect();
    let (free, held): (Vec<SegmentName>, Vec<SegmentName>) = (listed(false), listed(true));
    assert_eq!((free, held), (vec![names[0].clone(), names[2].clone(), names[3].clone()], vec![names[1].clone()]));
    let mut report = Segment::remove_stale().unwrap();
    report.removed.sort();
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
fn a_full_file_system_is_an_error_with_the_cure() {
    run("small-shm", &[]);
}

fn play_small_shm() {
    if let Err(reason) = support::own_shm("1m") {
        return say(&format!("skipped, {reason}"));
    }
    let (big, small) = (SegmentName::new("big").unwrap(), SegmentName::new("small").unwrap());
    let made = Segment::create(&big, 2 << 20, &Access::default(), |_| panic!("not reached"));
    let error = made.unwrap_err();
    assert_eq!(error, CreateError::NoSpace { asked: 2 << 20, free: 1 << 20 });
    for part in ["2097152 bytes asked", "1048576 free", "--shm-size", "rm --stale"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(fs::read_dir("/dev/shm").unwrap().count(), 0);
    // What was refused has been given back: all of it can be used, and written to the last byte.
    let full = Segment::create(&small, 1 << 20, &Access::default(), |mapping| format(mapping, 1)).unwrap();
    assert_eq!(contents(&full).len(), 1 << 20);
    let made = create(&big);
    assert_eq!(made.unwrap_err(), CreateError::NoSpace { asked: LEN, free: 0 });
    say("full is an error");
}

#[test]
fn limits_of_the_process_are_errors() {
    run("limits", &[]);
}

fn set_limit(which: libc::__rlimit_resource_t, soft: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a live `rlimit`.
    assert_eq!(unsafe { libc::getrlimit(which, &mut limit) }, 0);
    limit.rlim_cur = soft;
    // SAFETY: a live `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(which, &limit) }, 0);
}

fn play_limits() {
    let name = unique("limits");
    set_limit(libc::RLIMIT_FSIZE, LEN - 1);
    assert_eq!(create(&name).unwrap_err(), CreateError::FileSizeLimit { asked: LEN, limit: LEN - 1 });
    set_limit(libc::RLIMIT_FSIZE, LEN);
    let segment = create(&name).unwrap();
    let lease = LeasedMapping::acquire(&segment, || 1).unwrap();
    set_limit(libc::RLIMIT_NOFILE, 3);
    let emfile = |call| OsError { call, code: libc::EMFILE };
    assert_eq!(create(&unique("more")).unwrap_err(), CreateError::Os(emfile("open(O_TMPFILE)")));
    let error = Segment::open(&name).unwrap_err();
    assert_eq!(error, OpenError::Os(emfile("open")));
    assert!(error.to_string().contains("ulimit -n"), "{error}");
    assert!(segment.map_whole().is_err() && LeasedMapping::acquire(&segment, || 2).is_err());
    let _ = lease.verdict(9, None);
    assert_eq!(lease.verdict(9, None), ring_shm::Verdict::Dead, "a verdict needs no descriptor");
    set_limit(libc::RLIMIT_NOFILE, 64);
    set_limit(libc::RLIMIT_AS, 1 << 20);
    let error = segment.map_whole().map(|_| ()).map_err(|error| error.to_string());
    set_limit(libc::RLIMIT_AS, libc::RLIM_INFINITY);
    assert!(error.is_err_and(|text| text.contains("mmap") && text.contains("ulimit -v")));
    say("limits are errors");
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

#[test]
fn every_error_names_a_cure() {
    let name = SegmentName::new("n").unwrap();
    let n = || name.clone();
    let found = FileKind::Directory;
    let os = OsError { call: "mmap", code: libc::ENOMEM };
    let texts = [
        CreateError::Exists { name: n() }.to_string(),
        CreateError::BadLength { len: 0 }.to_string(),
        CreateError::BadMode { mode: 0o666 }.to_string(),
        CreateError::BadGroup { group: 1 }.to_string(),
        CreateError::Permission { name: n() }.to_string(),
        CreateError::Contended { tries: 1 }.to_string(),
        CreateError::Os(os).to_string(),
        OpenError::NotFound { name: n() }.to_string(),
        OpenError::Permission { name: n() }.to_string(),
        OpenError::NotASegment { name: n(), found }.to_string(),
        OpenError::ForeignOwner { name: n(), owner: 1, user: 2 }.to_string(),
        OpenError::WorldWritable { name: n(), mode: 0o666 }.to_string(),
        OpenError::Empty { name: n() }.to_string(),
        OpenError::Gone { name: n() }.to_string(),
        UnlinkError::Permission { name: n() }.to_string(),
        UnlinkError::NotASegment { name: n(), found }.to_string(),
        UnlinkError::InUse { name: n(), lease: 1 }.to_string(),
        UnlinkError::GateBusy { name: n() }.to_string(),
        UnlinkError::Contended { tries: 1 }.to_string(),
        ring_shm::MapError::Resized { expected: 1, found: 2 }.to_string(),
        ring_shm::MapError::TooLarge { len: 1 }.to_string(),
        ring_shm::MapError::Lost.to_string(),
        ring_shm::LeaseError::Gone.to_string(),
        ring_shm::LeaseError::GateBusy.to_string(),
        ring_shm::LeaseError::NumbersTaken { tries: 1, last: 1 }.to_string(),
        ring_shm::LeaseError::BadNumber { number: 0 }.to_string(),
    ];
    for text in texts {
        let (what, cure) = text.split_once(": ").unwrap_or_else(|| panic!("no cure in {text:?}"));
        assert!(!what.is_empty() && cure.len() > 8, "{text}");
        assert!(!text.contains("  ") && !text.ends_with('.'), "{text}");
    }
}
