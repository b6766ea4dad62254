//! Where memory lies: what was wished for is got, or refused with its cure where it was required, or reported as not got
//! where it was only tried. What this machine lacks is said and skipped; the refusals never are.
#![allow(unsafe_code)]

#[path = "support/children.rs"]
mod children;
mod support;

use children::while_children_are_made;
use ring_shm::placement::{Placed, Placement, PlacementError, Wish};
use ring_shm::spsc::{Consumer, Options, Producer};
use ring_shm::{SetupError, SetupErrorKind, mpmc};
use support::{Backing, backing, child, say, skip_over, unique};

const MIB: u64 = 1 << 20;
const NOBODY: u32 = 65_534;

#[test]
fn child_entry() {
    support::run_role(|role, _| match role {
        "little-to-lock" => play_little_to_lock(),
        "no-huge-pages" => play_no_huge_pages(),
        "reserved" => play_reserved(),
        other => panic!("no role {other}"),
    });
}

fn run(role: &str) {
    let mut child = child(role, &[]);
    let told = child.next();
    println!("{role}: {}", told.as_deref().unwrap_or("nothing"));
    assert!(child.finish().success() && told.is_some(), "{role} failed, see above");
}

fn options(capacity: u64, wanted: Placement) -> Options {
    Options::new().capacity(capacity).placement(wanted)
}

/// Nothing is left, either, while children have the locks of a ring that is being taken back.
#[test]
fn nothing_is_left_while_children_are_made() {
    while_children_are_made(|| {
        for _ in 0..1000 {
            refused(MIB, &Placement::new().numa_node(900, Wish::Require), "/sys/devices/system/node/online");
        }
    });
}

/// Refused with a cure, and nothing is left: no name, no seat, nothing that stands in the next one's way. Only a memfd
/// that has been sealed stays what it is.
#[track_caller]
fn refused(capacity: u64, wanted: &Placement, cure: &str) -> PlacementError {
    let name = unique("refused");
    let error = Producer::create(name.as_str(), &options(capacity, wanted.clone())).unwrap_err();
    assert_eq!(error.kind(), SetupErrorKind::NoResource);
    assert!(error.to_string().contains(cure), "{error}");
    let stays = backing() == Backing::Memfd;
    assert_eq!(name.path().exists(), stays);
    let again = ring_shm::spsc::create(name.as_str(), &Options::new().capacity(4096));
    assert_eq!(again.is_err_and(|error| error.kind() == SetupErrorKind::Exists), stays);
    let SetupError::Placement(error) = error else { panic!("{error}") };
    error
}

#[test]
fn prefaulted_memory_is_resident() {
    let name = unique("prefault");
    let plain = Producer::create(name.as_str(), &Options::new().capacity(4 * MIB)).unwrap();
    let before = plain.placed().unwrap();
    assert_eq!((before.mapped, before.locked), (4 * MIB + 4096, 0));
    assert!(before.resident < MIB, "{before:?}");
    drop(plain);
    let wanted = Placement::new().prefault(Wish::Require);
    let mut tx = Producer::open_or_create(name.as_str(), &options(4 * MIB, wanted.clone())).unwrap();
    let placed = tx.placed().unwrap();
    assert_eq!(placed.resident, placed.mapped);
    // The other side's mapping is its own affair.
    let mut rx = Consumer::open(name.as_str()).unwrap();
    assert!(rx.placed().unwrap().resident < MIB);
    tx.try_send(1, b"not overwritten").unwrap();
    let placed = rx.place(&wanted).unwrap();
    assert_eq!(placed.resident, placed.mapped);
    assert_eq!(rx.try_recv_into(&mut [0; 64]).unwrap().len, 15);
}

#[test]
fn locked_memory_is_locked() {
    let name = unique("lock");
    let wanted = Placement::new().lock(Wish::Require);
    let ring = mpmc::Options::new().slots(64).placement(wanted);
    let tx = mpmc::Producer::create(name.as_str(), &ring).unwrap();
    let Placed { mapped, locked, .. } = tx.placed().unwrap();
    assert_eq!(locked, mapped);
    let reason = "is out of reach for the user that may not lock";
    if !skip_over(Backing::File, reason) && !skip_over(Backing::Memfd, reason) {
        run("little-to-lock");
    }
}

fn play_little_to_lock() {
    let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: 1 << 16 };
    // SAFETY: a live `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }, 0);
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } == 0 {
        // Root may lock as much as it likes.
        // SAFETY: plain numbers; this process is a child made for it.
        assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
    }
    let error = refused(MIB, &Placement::new().lock(Wish::Require), "RLIMIT_MEMLOCK");
    assert!(matches!(error, PlacementError::Lock { len, .. } if len == MIB + 4096), "{error:?}");
    let name = unique("try-lock");
    let mut tx = Producer::create(name.as_str(), &options(MIB, Placement::new().lock(Wish::Try))).unwrap();
    assert_eq!(tx.placed().unwrap().locked, 0);
    // A requirement that comes later leaves the handle as it is.
    tx.place(&Placement::new().lock(Wish::Require)).unwrap_err();
    tx.try_send(0, b"goes on").unwrap();
    say("refused above the limit, tried below it");
}

#[test]
fn huge_pages_or_the_reason() {
    let error = refused(MIB, &Placement::new().huge_pages(Wish::Require), "2 MiB");
    assert_eq!(error, PlacementError::TooSmall { len: MIB + 4096 });
    let name = unique("huge");
    let wanted = Placement::new().huge_pages(Wish::Try).prefault(Wish::Try);
    let tx = Producer::create(name.as_str(), &options(8 * MIB, wanted)).unwrap();
    let got = tx.placed().unwrap();
    drop(tx);
    let name = unique("huge-required");
    match Producer::create(name.as_str(), &options(8 * MIB, Placement::new().huge_pages(Wish::Require))) {
        Ok(_) => assert!(got.transparent_huge >= 2 * MIB, "{got:?}"),
        Err(error) => {
            println!("skipped: {error}");
            assert_eq!(got.transparent_huge, 0);
            assert!(error.to_string().contains("vm.nr_hugepages"), "{error}");
        }
    }
    run("no-huge-pages");
}

fn play_no_huge_pages() {
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } != 0 {
        return say("skipped: transparent huge pages cannot be switched off for a process");
    }
    let error = refused(8 * MIB, &Placement::new().huge_pages(Wish::Require), "vm.nr_hugepages");
    assert!(matches!(error, PlacementError::HugePages(_)), "{error:?}");
    let name = unique("try-huge");
    let tx = Producer::create(name.as_str(), &options(8 * MIB, Placement::new().huge_pages(Wish::Try))).unwrap();
    assert_eq!((tx.placed().unwrap().transparent_huge, tx.placed().unwrap().hugetlb), (0, 0));
    say("refused where they are switched off");
}

/// Rings on reserved huge pages, where a `/dev/shm` of such can be had.
#[test]
fn reserved_huge_pages() {
    run("reserved");
}

fn play_reserved() {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").unwrap_or_default();
    if free.trim().parse().unwrap_or(0) < 5 {
        return say("skipped: fewer than 5 huge pages are reserved (vm.nr_hugepages)");
    }
    let mounted = support::own_mounts()
        .and_then(|()| support::mount("ring-test", "/dev/shm", "hugetlbfs", 0, "pagesize=2M,mode=1777"));
    if let Err(reason) = mounted {
        return say(&format!("skipped: {reason}"));
    }
    let wanted = Placement::new().huge_pages(Wish::Require);
    let mut tx = Producer::create("reserved", &options(4 * MIB, wanted)).unwrap();
    let mut rx = Consumer::open("reserved").unwrap();
    tx.try_send(0, b"on huge pages").unwrap();
    assert_eq!(rx.try_recv_into(&mut [0; 64]).unwrap().len, 13);
    assert!(tx.placed().unwrap().hugetlb >= 2 * MIB);
    say("on reserved huge pages");
}

#[test]
fn the_memory_node_or_the_reason() {
    refused(MIB, &Placement::new().numa_node(900, Wish::Require), "/sys/devices/system/node/online");
    refused(MIB, &Placement::new().numa_node(5_000, Wish::Require), "/sys/devices/system/node/online");
    let name = unique("node");
    drop(Producer::create(name.as_str(), &options(MIB, Placement::new().numa_node(900, Wish::Try))).unwrap());
    if !std::path::Path::new("/sys/devices/system/node/node0").exists() {
        return println!("skipped: this kernel has no memory nodes");
    }
    let name = unique("node-0");
    let wanted = Placement::new().numa_node(0, Wish::Require).prefault(Wish::Require);
    let tx = match Producer::create(name.as_str(), &options(MIB, wanted)) {
        Ok(tx) => tx,
        Err(error) => return println!("skipped: {error}"),
    };
    let got = tx.placed().unwrap();
    assert_eq!(got.nodes, [(0, got.mapped)]);
}

#[test]
fn what_has_no_segment_says_so() {
    let (mut tx, _rx) = ring_shm::spsc::heap(1 << 12).unwrap();
    assert_eq!(tx.placed(), Err(PlacementError::NoSegment));
    assert_eq!(tx.place(&Placement::new().lock(Wish::Require)), Err(PlacementError::NoSegment));
}

#[test]
fn others_see_how_it_lies() {
    let name = unique("seen");
    let wanted = Placement::new().prefault(Wish::Require);
    let tx = Producer::create(name.as_str(), &options(MIB, wanted)).unwrap();
    let facts = ring_shm::spsc::inspect(name.as_str()).unwrap().producer.facts;
    // The kernel takes a page away at times, to look whether it is missed: what counts is a look between two that say the same.
    let seen = (0..100).find_map(|_| {
        let (before, seen) = (tx.placed().unwrap(), Placed::of_process(name.as_str(), &facts));
        (tx.placed() == Ok(before.clone())).then_some((seen, before))
    });
    let (seen, own) = seen.expect("two looks alike");
    assert_eq!(seen, Some(own));
    let elsewhere = ring_shm::Facts { pid_namespace: 1, ..facts };
    assert_eq!(Placed::of_process(name.as_str(), &elsewhere), None);
}
