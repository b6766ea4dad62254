//! The fallback for file systems without unnamed files, in directories of the tests' own.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Barrier;
use std::sync::mpsc::{TryRecvError, channel};

use super::{Removal, TEMPORARY, Temporary, Unnamed, create_at, remove_unheld, unlink_at};
use crate::inventory::remove_stale_in;
use crate::open::open_at;
use crate::sys;
use crate::{
    Access, CreateError, LeasedMapping, Location, Mapping, OpenRules, Segment, SelfTest, UnlinkError, Verdict,
};

fn create(directory: &Path, name: &str, init: impl FnOnce(&Mapping)) -> Result<Segment, CreateError> {
    create_at(&place(directory, name), 4096, &Access::default(), Unnamed::Refused, false, init)
}

fn place(directory: &Path, name: &str) -> Location {
    Location::file(directory.join(format!("ring.{name}")))
}

fn names(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

#[test]
fn fallback_publishes_with_one_rename() {
    let directory = directory();
    let directory = directory.path();
    let made = create(directory, "a", |_| {
        let names = names(directory);
        assert!(names.len() == 1 && names[0].starts_with(TEMPORARY), "{names:?}");
        // A cleaner leaves it alone: its gate is held.
        assert_eq!(remove_stale_in(directory, |_| true).unwrap().temporaries, 0);
    });
    let made = made.unwrap();
    assert_eq!(names(directory), ["ring.a"]);
    let name = place(directory, "a");
    let found = open_at(&name, &OpenRules::default()).unwrap();
    assert_eq!((found.inode(), found.mode(), found.len()), (made.inode(), 0o600, 4096));
    assert_eq!(create(directory, "a", |_| {}).unwrap_err(), CreateError::Exists { name: name.clone() });
    // The gate is open again, though the creator has the segment open.
    unlink_at(&name, false).unwrap();
    assert_eq!(made.is_linked(), Ok(false));
}

#[test]
fn fallback_leaves_nothing_behind() {
    let directory = directory();
    let directory = directory.path();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        create(directory, "a", |_| panic!("this panic is part of the test")).map(|_| ())
    }));
    assert!(panicked.is_err());
    assert!(names(directory).is_empty());
    // Somebody else was quicker: the temporary name goes, the other's segment stays.
    let lost = create(directory, "a", |_| drop(create(directory, "a", |_| {}).unwrap()));
    assert!(matches!(lost, Err(CreateError::Exists { .. })));
    assert_eq!(names(directory), ["ring.a"]);
    // Somebody removes the temporary name in spite of the gate.
    let lost = create(directory, "b", |_| {
        let temporary = names(directory).into_iter().find(|name| name.starts_with(TEMPORARY)).unwrap();
        fs::remove_file(directory.join(temporary)).unwrap();
    });
    assert_eq!(lost.unwrap_err(), CreateError::Contended { tries: 1 });
    assert_eq!(names(directory), ["ring.a"]);
    // No room, no group of ours, no directory.
    let huge = create_at(&place(directory, "c"), 1 << 50, &Access::default(), Unnamed::Refused, false, |_| {});
    assert!(matches!(huge, Err(CreateError::NoSpace { .. })));
    assert_eq!(names(directory), ["ring.a"]);
    for unnamed in [Unnamed::Try, Unnamed::Refused] {
        let missing = directory.join("x");
        let nowhere = create_at(&place(&missing, "c"), 4096, &Access::default(), unnamed, false, |_| {}).unwrap_err();
        let told = nowhere.to_string();
        assert!(told.contains(missing.to_str().unwrap()) && !told.contains("mount"), "{told}"); // that cures /dev/shm alone
    }
}

#[test]
fn fallback_a_dead_creators_name_is_cleaned_away() {
    let directory = directory();
    let directory = directory.path();
    let (temporary, gate) = Temporary::make(directory).unwrap();
    assert_eq!(remove_unheld(&temporary.path).unwrap(), Removal::GateBusy);
    // Its death: the descriptor goes, the name stays.
    let path = temporary.path.clone();
    core::mem::forget(temporary);
    drop(gate);
    assert_eq!(remove_stale_in(directory, |_| true).unwrap().temporaries, 1);
    assert!(!path.exists());
}

#[test]
fn fallback_race_of_creators_and_a_cleaner() {
    const CREATORS: usize = 4;
    const ROUNDS: usize = 300;
    let directory = directory();
    let directory = directory.path();
    let barrier = Barrier::new(CREATORS);
    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        let cleaner = scope.spawn(move || {
            let mut removed = 0;
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                removed += remove_stale_in(directory, |_| false).unwrap().temporaries;
            }
            removed
        });
        let creator = || {
            let mut won = 0;
            for round in 0..ROUNDS {
                barrier.wait();
                match create(directory, &format!("r{round}"), |_| {}) {
                    Ok(_) => won += 1,
                    Err(CreateError::Exists { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            won
        };
        let creators: Vec<_> = (0..CREATORS).map(|_| scope.spawn(creator)).collect();
        let won: usize = creators.into_iter().map(|creator| creator.join().unwrap()).sum();
        drop(stop);
        println!("the cleaner came between {} times", cleaner.join().unwrap());
        assert_eq!(won, ROUNDS);
    });
    let names = names(directory);
    assert_eq!(names.len(), ROUNDS, "nothing but the segments: {names:?}");
    assert!(names.iter().all(|name| name.starts_with("ring.r")));
}

#[test]
fn fallback_a_name_cleaned_away_before_its_lock_is_made_anew() {
    let directory = directory();
    let directory = directory.path();
    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        let cleaner = scope.spawn(move || {
            let mut removed = 0;
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                removed += remove_stale_in(directory, |_| false).unwrap().temporaries;
            }
            removed
        });
        for _ in 0..3000 {
            let (temporary, gate) = Temporary::make(directory).unwrap();
            let named = sys::stat_name(&temporary.path).unwrap();
            let ours = sys::stat(gate.file().as_raw_fd()).unwrap();
            assert_eq!(named.id, ours.id, "under the gate nobody takes the name");
            drop((gate, temporary));
        }
        drop(stop);
        println!("the cleaner came between {} times", cleaner.join().unwrap());
    });
    assert!(names(directory).is_empty());
}

#[test]
fn a_creator_has_the_first_lease_before_anybody_can_come() {
    let directory = directory();
    let (at, path) = (place(directory.path(), "held"), directory.path().join("ring.held"));
    let hold = |unnamed| {
        create_at(&at, 4096, &Access::default(), unnamed, true, |mapping| {
            assert!(!path.exists() && mapping.len() == 4096);
        })
    };
    // Without unnamed files he comes as everybody does.
    assert!(hold(Unnamed::Refused).unwrap().take_first().is_none());
    unlink_at(&at, false).unwrap();
    let (made, other) = (hold(Unnamed::Try).unwrap(), Segment::open(&at).unwrap());
    assert_eq!(other.any_lease(), Ok(Some(1)));
    assert!(matches!(unlink_at(&at, false), Err(UnlinkError::InUse { lease: 1, .. })));
    // Whoever comes before he sits down takes the next number.
    let mut counter = 0;
    let mut next = || {
        counter += 1;
        counter
    };
    let second = LeasedMapping::acquire(&other, &mut next).unwrap();
    assert_eq!(second.lease(), 2);
    let first = made.take_first().unwrap().of(&made);
    assert!(made.take_first().is_none());
    let verdicts = || (second.verdict(1, None), first.verdict(2, None));
    assert_eq!(
        ((first.lease(), first.self_test()), verdicts()),
        ((1, SelfTest::Passed), (Verdict::Alive, Verdict::Alive))
    );
    drop(first);
    assert_eq!(second.verdict(1, None), Verdict::Dead);
    drop(second);
    unlink_at(&at, false).unwrap();
    // Who never sits down holds nothing when he lets go of what he made.
    drop(hold(Unnamed::Try).unwrap());
    unlink_at(&at, false).unwrap();
}
