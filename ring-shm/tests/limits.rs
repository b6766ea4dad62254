//! Running out: of the size that a creator allows, of a budget, of a small `/dev/shm`, of a control group's memory, of
//! mappings. Each is an error with its cure, and never a signal.
#![allow(unsafe_code)]

mod support;

use std::fs;
use std::path::PathBuf;

use ring_shm::spsc::{Consumer, Options, Producer};
use ring_shm::{CreateError, Location, Segment, SetupError, SetupErrorKind, SysvName, mpmc, spsc};
use support::{Child, TestName, child, hear, say, unique};

const MIB: u64 = 1 << 20;

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "budget" => play_budget(),
        "spender" => play_spender(&args[0]),
        "container" => play_container(),
        "control-group" => play_control_group(),
        "maps" => play_maps(),
        other => panic!("no role {other}"),
    });
}

fn run(role: &str) {
    let mut child = child(role, &[]);
    let told = child.next();
    println!("{role}: {}", told.as_deref().unwrap_or("nothing"));
    assert!(child.finish().success() && told.is_some(), "{role} failed, see above");
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, SetupError>, cure: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), SetupErrorKind::NoResource, "{error}");
    assert!(error.to_string().contains(cure), "{error}");
}

#[test]
fn the_size_that_a_creator_allows() {
    let name = unique("max-size");
    let options = Options::new().capacity(4096);
    assert_eq!(options.footprint(), 8192);
    refused(spsc::create(name.as_str(), &options.clone().max_size(8191)), "max_size");
    spsc::create(name.as_str(), &options.clone().max_size(8192)).unwrap();
    // What exists is opened, or exists, whatever the limit.
    drop(Producer::open_or_create(name.as_str(), &options.clone().max_size(1)).unwrap());
    assert_eq!(spsc::create(name.as_str(), &options.max_size(1)).unwrap_err().kind(), SetupErrorKind::Exists);
    let options = mpmc::Options::new().slots(8);
    let other = unique("max-size-mpmc");
    refused(mpmc::create(other.as_str(), &options.clone().max_size(options.footprint() - 1)), "max_size");
    mpmc::create(other.as_str(), &options.clone().max_size(options.footprint())).unwrap();
}

/// The size counts wherever the ring is to live; a budget only where names are counted, and it is not kept silently.
#[test]
fn limits_of_rings_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let file = Location::file(directory.path().join("ring"));
    let memfd = Location::from(ring_shm::Memfd::new("limits").unwrap());
    let name = unique("limits-sysv");
    let sysv = TestName::new(SysvName::new(name.as_str()).unwrap());
    let small = || Options::new().capacity(4096);
    for at in [&file, &memfd, &sysv.0] {
        refused(spsc::create(at, &small().max_size(8191)), "max_size");
    }
    for at in [&file, &memfd] {
        let error = spsc::create(at, &small().budget("limits", MIB)).unwrap_err();
        assert_eq!(error, SetupError::Create(CreateError::NoBudget { name: at.clone() }));
        assert_eq!(error.kind(), SetupErrorKind::Invalid);
        spsc::create(at, &small().max_size(8192)).unwrap();
        // What exists, exists.
        assert_eq!(spsc::create(at, &small().max_size(1)).unwrap_err().kind(), SetupErrorKind::Exists);
    }
    // Names of both kinds count together.
    let prefix = name.as_str();
    spsc::create(&sysv, &small().budget(prefix, 8192)).unwrap();
    refused(spsc::create(&name, &small().budget(prefix, 16_383)), "budget");
    spsc::create(&name, &small().budget(prefix, 16_384)).unwrap();
}

#[test]
fn a_budget_for_all_rings_of_a_service() {
    run("budget");
}

fn play_budget() {
    if let Err(reason) = support::own_shm("64m") {
        return say(&format!("skipped: {reason}"));
    }
    let options = |budget| Options::new().capacity(4096).budget("svc.", budget);
    spsc::create("svc.a", &options(20_000)).unwrap();
    spsc::create("svc.b", &options(20_000)).unwrap();
    spsc::create("other", &Options::new().capacity(MIB)).unwrap();
    let error = spsc::create("svc.c", &options(20_000)).unwrap_err();
    let expected = CreateError::OverBudget { prefix: "svc.".into(), asked: 8192, used: 16_384, budget: 20_000 };
    assert_eq!(error, SetupError::Create(expected));
    assert!(error.to_string().contains("rm --stale"), "{error}");
    // Up to the last byte; and what is there already can be opened.
    spsc::create("svc.c", &options(3 * 8192)).unwrap();
    drop(Consumer::open_or_create("svc.c", &options(1)).unwrap());
    assert_eq!(spsc::create("svc.c", &options(1)).unwrap_err().kind(), SetupErrorKind::Exists);
    // Room is made by a removal.
    ring_shm::unlink("svc.a", false).unwrap();
    spsc::create("svc.d", &options(3 * 8192)).unwrap();

    // Creators at once: exactly as many as there is room for.
    let mut spenders: Vec<Child> = (0..8).map(|n| child("spender", &[&n.to_string()])).collect();
    for round in 0..40 {
        spenders.iter_mut().for_each(|spender| spender.tell(&round.to_string()));
        let made = spenders.iter_mut().map(|spender| spender.wait_for("made")).filter(|made| made == "1").count();
        assert_eq!(made, 3, "round {round}");
    }
    say("exact");
}

/// Makes one ring in each round, of eight that are wanted and three that there is room for.
fn play_spender(me: &str) {
    while let Some(round) = hear() {
        let name = format!("race.{round}.{me}");
        let options = Options::new().capacity(4096).budget(&format!("race.{round}."), 3 * 8192 + 100);
        match spsc::create(name.as_str(), &options) {
            Ok(()) => say("made 1"),
            Err(error) if error.kind() == SetupErrorKind::NoResource => say("made 0"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_container_of_64_megabytes() {
    run("container");
}

fn play_container() {
    if let Err(reason) = support::own_shm("64m") {
        return say(&format!("skipped: {reason}"));
    }
    let options = Options::new().capacity(8 * MIB);
    let names: Vec<String> = (0..9).map(|n| format!("ring-{n}")).collect();
    let made = names.iter().take_while(|name| spsc::create(name, &options).is_ok()).count();
    assert_eq!(made, 7, "seven rings of 8 MiB and a page");
    refused(spsc::create("one-more", &options), "--shm-size");
    refused(Producer::open_or_create("one-more", &options), "--shm-size");
    // What was made is really there, to the last byte.
    let record = vec![7; MIB as usize];
    for name in &names[..made] {
        let mut tx = Producer::open(name).unwrap();
        let mut sent = 0;
        while tx.try_send(0, &record).is_ok() {
            sent += 1;
        }
        assert_eq!(sent, 7);
        tx.try_send(0, &record[..MIB as usize - 7 * 8 - 16]).unwrap();
    }
    assert_eq!(Segment::list().unwrap().len(), made);
    say("no signal");
}

#[test]
fn a_control_group_that_leaves_too_little() {
    run("control-group");
}

/// A group of its own below the one that this process is in, with 32 MiB; removed when dropped.
struct ControlGroup(PathBuf);

impl ControlGroup {
    fn new() -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let find = |controllers: &str| {
            let line = groups.lines().find(|line| line.split(':').nth(1) == Some(controllers))?;
            line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned())
        };
        let (parent, limit) = match (find("memory"), find("")) {
            (Some(path), _) => (PathBuf::from("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"),
            (None, Some(path)) => (PathBuf::from("/sys/fs/cgroup").join(path), "memory.max"),
            _ => return Err("no control groups".into()),
        };
        let group = Self(parent.join(format!("ring-test-{}", std::process::id())));
        let failed = |error: std::io::Error| format!("no control group of our own: {error}");
        fs::create_dir(&group.0).map_err(failed)?;
        fs::write(group.0.join(limit), (32 * MIB).to_string()).map_err(failed)?;
        Ok(group)
    }

    /// Puts this process there.
    fn enter(&self) -> Result<(), String> {
        fs::write(self.0.join("cgroup.procs"), "0").map_err(|error| format!("it may not be entered: {error}"))
    }

    /// Back to where it came from, and away with it.
    fn leave(self) {
        let _ = self.0.parent().map(|parent| fs::write(parent.join("cgroup.procs"), "0"));
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn play_control_group() {
    if let Err(reason) = support::own_shm("256m") {
        return say(&format!("skipped: {reason}"));
    }
    let group = match ControlGroup::new() {
        Ok(group) => group,
        Err(reason) => return say(&format!("skipped: {reason}")),
    };
    if let Err(reason) = group.enter() {
        return say(&format!("skipped: {reason}"));
    }
    // It would fit the tmpfs; to allocate it is to be killed.
    let error = spsc::create("large", &Options::new().capacity(64 * MIB)).unwrap_err();
    let small = spsc::create("small", &Options::new().capacity(4 * MIB));
    ring_shm::unlink("small", true).unwrap();
    group.leave();
    assert!(
        matches!(error, SetupError::Create(CreateError::MemoryLimit { limit, .. }) if limit == 32 * MIB),
        "{error}"
    );
    assert!(error.to_string().contains("--memory"), "{error}");
    assert_eq!(error.kind(), SetupErrorKind::NoResource);
    small.unwrap();
    say("refused before the kernel kills");
}

#[test]
fn too_many_mappings() {
    run("maps");
}

fn play_maps() {
    let name = unique("maps");
    spsc::create(name.as_str(), &Options::new().capacity(4096)).unwrap();
    let most: usize = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if most > 1 << 20 {
        return say(&format!("skipped: {most} mappings take too long"));
    }
    // Neighbours of different permissions are mappings of their own.
    let mut full = Vec::new();
    for n in 0..=most {
        let permissions = if n % 2 == 0 { libc::PROT_NONE } else { libc::PROT_READ };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping somewhere, which nobody touches.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, permissions, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            break;
        }
        full.push(at);
    }
    let errors = [
        Producer::open(name.as_str()).map(drop),
        Producer::open_or_create(unique("maps-new").as_str(), &Options::new()).map(drop),
        spsc::create(unique("maps-more").as_str(), &Options::new()),
    ];
    let looked = spsc::inspect(name.as_str()).map(drop);
    for at in full {
        // SAFETY: one of the above.
        unsafe { libc::munmap(at, 4096) };
    }
    errors.into_iter().for_each(|error| refused(error, "vm.max_map_count"));
    drop(looked);
    drop(Producer::open(name.as_str()).unwrap());
    say("an error");
}
