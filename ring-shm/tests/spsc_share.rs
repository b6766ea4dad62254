//! Rings between users: shared with a group on purpose, refused otherwise, and looked at by whoever may read them. The
//! parent is root and owns the rings; its children become somebody else.
#![allow(unsafe_code)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, inspect};
use ring_shm::{OpenRules, SeatState, SetupError, SetupErrorKind, Verdict};
use support::{TestName, child, say, unique};

/// A group that nobody need have heard of, and another one.
const GROUP: u32 = 54_321;
const OTHER: u32 = 54_322;
const USER: u32 = 65_534;

#[test]
fn child_entry() {
    support::run_role(|role, args| {
        // SAFETY: no arguments.
        if unsafe { libc::geteuid() } != 0 {
            return say("skipped: needs root to become somebody else");
        }
        match role {
            "member" => play_member(&args[0]),
            "careful-member" => play_careful_member(&args[0]),
            "squatter" => play_squatter(&args[0]),
            "reader" => play_reader(&args[0]),
            "other-file-system" => play_other_file_system(&args[0]),
            other => panic!("no role {other}"),
        }
    });
}

/// Runs a role; false if it could not do its part here.
fn run(role: &str, args: &[&str]) -> bool {
    let mut child = child(role, args);
    let told = child.next();
    println!("{role}: {}", told.as_deref().unwrap_or("nothing"));
    assert!(child.finish().success(), "{role} failed, see above");
    told.unwrap() == "done"
}

/// Makes somebody else of this process, which is a child made for it.
fn become_member_of(group: u32) {
    // SAFETY: a live array of one group.
    assert_eq!(unsafe { libc::setgroups(1, &group) }, 0);
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setresgid(USER, USER, USER) }, 0);
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setresuid(USER, USER, USER) }, 0);
}

fn shared(group: u32) -> Options {
    Options::new().capacity(4096).mode(0o660).group(group)
}

/// A ring shared with [`GROUP`]; `None` where that group may not be given.
fn make(tag: &str) -> Option<TestName> {
    let name = unique(tag);
    match ring_shm::spsc::create(name.as_str(), &shared(GROUP)) {
        Ok(()) => Some(name),
        Err(e) => {
            println!("skipped: {e}");
            None
        }
    }
}

#[track_caller]
fn refused<H>(result: Result<H, SetupError>, words: &str) {
    let error = result.err().expect("it was let through");
    assert_eq!(error.kind(), SetupErrorKind::Permission, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_member_of_the_group_streams_with_the_owner() {
    let Some(name) = make("group") else { return };
    let mut rx = Consumer::open(name.as_str()).unwrap();
    if !run("member", &[name.as_str()]) {
        return;
    }
    let mut buf = [0; 64];
    for text in ["opened", "opened or created"] {
        let got = rx.try_recv_into(&mut buf).unwrap();
        assert_eq!(&buf[..got.len], text.as_bytes());
        assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Disconnected));
    }
}

fn play_member(name: &str) {
    become_member_of(GROUP);
    let mut tx = Producer::open(name).unwrap();
    tx.try_send(0, b"opened").unwrap();
    drop(tx);
    // Its owner holds the other seat, and is named.
    let taken = Consumer::open(name).unwrap_err();
    assert_eq!(taken.kind(), SetupErrorKind::InUse);
    // SAFETY: no arguments.
    let parent = unsafe { libc::getppid() };
    assert!(taken.to_string().contains(&format!("process {parent}")), "{taken}");
    let mut tx = Producer::open_or_create(name, &shared(GROUP)).unwrap();
    tx.try_send(0, b"opened or created").unwrap();
    drop(tx);
    drop(Producer::open_with(name, &OpenRules::Group(GROUP)).unwrap());
    // The name is the owner's in a sticky directory.
    assert!(ring_shm::unlink(name, true).is_err());
    say("done");
}

#[test]
fn a_member_may_be_careful() {
    let Some(name) = make("careful") else { return };
    run("careful-member", &[name.as_str()]);
}

fn play_careful_member(name: &str) {
    become_member_of(GROUP);
    let foreign = "belongs to user 0";
    refused(Producer::open_with(name, &OpenRules::Own), foreign);
    refused(Producer::open_with(name, &OpenRules::Group(OTHER)), foreign);
    // Who would have created a ring for himself, or for another group, does not get this one.
    refused(Producer::open_or_create(name, &Options::new().capacity(4096)), foreign);
    refused(Consumer::open_or_create(name, &Options::new().capacity(4096)), foreign);
    refused(Consumer::open_or_create(name, &shared(OTHER)), foreign);
    say("done");
}

/// What others own is refused unless it is shared with a group of this process, root included.
#[test]
fn unexpected_owners_are_refused() {
    let Some(name) = make("unexpected") else { return };
    // The one who is tried here is root, who gets in everywhere as far as the kernel is concerned.
    if std::os::unix::fs::chown(name.path(), Some(USER), None).is_err() {
        return println!("skipped: needs root to give a segment away");
    }
    let open = || Producer::open(name.as_str());
    refused(open(), "belongs to user 65534");
    refused(Producer::open_or_create(name.as_str(), &shared(OTHER)), "belongs to user 65534");
    // Shared with a group of ours, but with everybody else as well.
    std::os::unix::fs::chown(name.path(), None, Some(0)).unwrap();
    drop(open().unwrap());
    fs::set_permissions(name.path(), Permissions::from_mode(0o662)).unwrap();
    refused(open(), "anybody may write");
    refused(Producer::open_with(name.as_str(), &OpenRules::Anyone), "anybody may write");
    // Readable for the group is not shared with it.
    fs::set_permissions(name.path(), Permissions::from_mode(0o640)).unwrap();
    refused(open(), "belongs to user 65534");
    drop(Producer::open_with(name.as_str(), &OpenRules::Anyone).unwrap());
}

/// Everything but a look.
fn every_use(name: &str) -> Vec<Result<(), SetupError>> {
    vec![
        Producer::open(name).map(drop),
        Consumer::open(name).map(drop),
        Producer::open_or_create(name, &Options::new()).map(drop),
        ring_shm::spsc::recover(name, None).map(drop),
    ]
}

#[test]
fn wrong_owners_and_modes() {
    let name = unique("world");
    drop(Producer::create(name.as_str(), &Options::new().capacity(64)).unwrap());
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o666)).unwrap();
    for result in every_use(name.as_str()) {
        refused(result, "chmod o-w");
    }
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o600)).unwrap();
    if std::os::unix::fs::chown(name.path(), Some(USER), None).is_err() {
        println!("skipped: needs root to give a segment away");
        return;
    }
    for result in every_use(name.as_str()) {
        refused(result, "belongs to user 65534, this process is user 0: take another name");
    }
}

/// Somebody took the name first: a service that wants a ring of its own is not lured into it.
#[test]
fn a_squatter_gets_nobody() {
    let name = unique("squat");
    if !run("squatter", &[name.as_str()]) {
        return;
    }
    for options in [Options::new().capacity(4096), shared(GROUP)] {
        refused(Consumer::open_or_create(name.as_str(), &options), "belongs to user 65534");
    }
    refused(Consumer::open(name.as_str()), "belongs to user 65534");
}

fn play_squatter(name: &str) {
    become_member_of(OTHER);
    ring_shm::spsc::create(name, &shared(OTHER)).unwrap();
    say("done");
}

/// Reading suffices for a look, and a look leaves nothing behind.
#[test]
fn looks_need_only_the_right_to_read() {
    let Some(name) = make("look") else { return };
    let mut tx = Producer::open(name.as_str()).unwrap();
    let position = tx.try_send(0, b"unread").unwrap();
    assert!(tx.len_guess() > 0);
    fs::set_permissions(name.path(), Permissions::from_mode(0o640)).unwrap();
    if !run("reader", &[name.as_str()]) {
        return;
    }
    fs::set_permissions(name.path(), Permissions::from_mode(0o660)).unwrap();
    drop(tx);
    // No lease was taken by any look.
    let tx = Producer::open(name.as_str()).unwrap();
    assert_eq!(tx.stats().lease, 2);
    assert_eq!(position.get(), 0);
}

fn play_reader(name: &str) {
    become_member_of(GROUP);
    refused(Producer::open(name), "may not be opened");
    for _ in 0..10 {
        let seen = inspect(name).unwrap();
        assert_eq!((seen.capacity, seen.mode, seen.head.get()), (4096, 0o640, 0));
        assert_eq!((seen.producer.state, seen.producer.verdict), (SeatState::Held(1), Some(Verdict::Alive)));
        assert_eq!(ring_shm::kind_of(name), Ok(ring_shm::Kind::Spsc));
    }
    say("done");
}

/// An owner who cuts the segment under a look ends nobody.
#[test]
fn looks_survive_a_segment_that_is_cut() {
    let name = unique("cut");
    ring_shm::spsc::create(name.as_str(), &Options::new().capacity(1 << 20)).unwrap();
    let whole = fs::metadata(name.path()).unwrap().len();
    let file = fs::File::options().write(true).open(name.path()).unwrap();
    std::thread::scope(|s| {
        let cutter = s.spawn(|| {
            for i in 0..2000 {
                file.set_len([0, 1, 4095, 4096, whole][i % 5]).unwrap();
            }
        });
        while !cutter.is_finished() {
            let _ = inspect(name.as_str());
            let _ = ring_shm::kind_of(name.as_str());
        }
    });
}

/// A busy ring does not look damaged because a copy of it takes time.
#[test]
fn looks_at_a_busy_ring_are_never_corrupt() {
    let name = unique("busy");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let mut rx = Consumer::open(name.as_str()).unwrap();
    let stop = std::sync::mpsc::channel::<()>();
    std::thread::scope(|s| {
        let (held, stopped) = stop;
        s.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                for _ in 0..1000 {
                    tx.try_send(0, &[0; 20]).unwrap();
                    rx.try_recv_into(&mut [0; 20]).unwrap();
                }
            }
        });
        for _ in 0..3000 {
            let seen = inspect(name.as_str()).unwrap();
            assert_eq!(seen.consumer.verdict, Some(Verdict::Alive));
        }
        drop(held);
    });
}

/// Where a lock may be free although its holder lives, a look alone proves no death.
#[test]
fn looks_elsewhere_than_on_a_tmpfs() {
    for kind in ["bind", "overlay"] {
        run("other-file-system", &[kind]);
    }
}

fn play_other_file_system(kind: &str) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let mounted = support::own_mounts().and_then(|()| match kind {
        "bind" => support::mount(dir, "/dev/shm", "", libc::MS_BIND, ""),
        // On a tmpfs, because an overlay is choosy about what it stands on.
        _ => support::mount("ring-test", dir, "tmpfs", 0, "").and_then(|()| {
            let [lower, upper, work] = ["lower", "upper", "work"].map(|part| format!("{dir}/{part}"));
            for part in [&lower, &upper, &work] {
                fs::create_dir(part).unwrap();
            }
            let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
            support::mount("ring-test", "/dev/shm", "overlay", 0, &layers)
        }),
    });
    if let Err(why) = mounted {
        return say(&format!("skipped: {why}"));
    }
    let name = unique("elsewhere");
    let tx = match Producer::create(name.as_str(), &Options::new().capacity(4096)) {
        Ok(tx) => tx,
        Err(e) => return say(&format!("skipped: {e}")),
    };
    let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let mount = mounts.lines().rfind(|line| line.contains(" /dev/shm ")).unwrap();
    // These map the very file that is opened.
    let known = [" tmpfs ", " ext4 ", " xfs ", " btrfs "].iter().any(|kind| mount.contains(kind));
    assert!(!known || kind == "bind");
    let verdict = || inspect(name.as_str()).unwrap().producer.verdict;
    assert_eq!(verdict(), Some(Verdict::Alive));
    // Panicking, it leaves its seat unclosed; but this very process, which it names, lives.
    let _ = std::thread::spawn(move || {
        let _tx = tx;
        std::panic::resume_unwind(Box::new(()));
    })
    .join();
    assert_eq!(verdict(), Some(if known { Verdict::Dead } else { Verdict::Unknown }));
    let (found, recovered) = ring_shm::spsc::recover(name.as_str(), None).unwrap();
    match found.producer.verdict {
        Some(Verdict::Dead) => drop(Producer::open(name.as_str()).unwrap()),
        // Nor does a lease on an overlay prove it.
        verdict => assert_eq!((kind, verdict, recovered), ("overlay", Some(Verdict::Unknown), vec![])),
    }
    say("done");
}
