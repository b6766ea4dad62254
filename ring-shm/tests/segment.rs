//! Segments against real processes and a real `/dev/shm`: names, creation, and what stops it.
#![allow(unsafe_code)]

#[path = "support/segment.rs"]
mod segment;
mod support;

use std::fs::{self};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_shm::{
    Access, CreateError, FileKind, LeasedMapping, Location, NameError, OpenError, OsError, Segment, SegmentName,
    UnlinkError, Unsealed,
};
use segment::*;
use support::{Child, child, hear, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "racer" => play_racer(),
        "umask" => play_umask(&args[0]),
        "dies-in-init" => play_dies_in_init(&args[0]),
        "small-shm" => play_small_shm(),
        "limits" => play_limits(),
        other => panic!("no role {other}"),
    });
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
    let _ = Segment::create(SegmentName::new(name).unwrap(), LEN, &Access::default(), |mapping| {
        format(mapping, 1);
        say("inside");
        hear();
    });
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
    assert_eq!(create(unique("more")).unwrap_err(), CreateError::Os(emfile("open(O_TMPFILE)")));
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
fn every_error_names_a_cure() {
    let name = SegmentName::new("n").unwrap();
    let n = || Location::from(name.clone());
    let found = FileKind::Directory;
    let os = OsError { call: "mmap", code: libc::ENOMEM };
    let texts = [
        CreateError::Exists { name: n() }.to_string(),
        CreateError::BadLength { len: 0 }.to_string(),
        CreateError::BadMode { mode: 0o666 }.to_string(),
        CreateError::BadGroup { group: 1 }.to_string(),
        CreateError::Permission { name: n() }.to_string(),
        CreateError::NoDirectory { name: n(), directory: "/dev/shm".into() }.to_string(),
        CreateError::Contended { tries: 1 }.to_string(),
        CreateError::AboveLimit { asked: 2, limit: 1 }.to_string(),
        CreateError::OverBudget { prefix: "a".into(), asked: 2, used: 1, budget: 2 }.to_string(),
        CreateError::BudgetBusy.to_string(),
        CreateError::MemoryLimit { asked: 2, free: 1, limit: 2 }.to_string(),
        CreateError::Unsealable { name: n(), trouble: Unsealed::NoMemfd }.to_string(),
        CreateError::Unsealable { name: n(), trouble: Unsealed::Never }.to_string(),
        CreateError::Os(os).to_string(),
        CreateError::Os(OsError { call: "open", code: libc::ENOSPC }).to_string(),
        CreateError::Os(OsError { call: "open", code: libc::EROFS }).to_string(),
        OpenError::NotFound { name: n() }.to_string(),
        OpenError::Permission { name: n() }.to_string(),
        OpenError::NotASegment { name: n(), found }.to_string(),
        OpenError::ForeignOwner { name: n(), owner: 1, user: 2 }.to_string(),
        OpenError::WorldWritable { name: n(), mode: 0o666 }.to_string(),
        OpenError::Linked { name: n(), links: 2 }.to_string(),
        OpenError::Empty { name: n() }.to_string(),
        OpenError::Gone { name: n() }.to_string(),
        OpenError::Unsealed { name: n(), trouble: Unsealed::NotYet }.to_string(),
        UnlinkError::Permission { name: n() }.to_string(),
        UnlinkError::NotASegment { name: n(), found }.to_string(),
        UnlinkError::InUse { name: n(), lease: 1 }.to_string(),
        UnlinkError::GateBusy { name: n() }.to_string(),
        UnlinkError::Contended { tries: 1 }.to_string(),
        UnlinkError::Nameless { name: n() }.to_string(),
        UnlinkError::NotARing { name: n() }.to_string(),
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
