//! The controls of the two programs: a broken protocol is caught, a sound one is not, and a plant that stands nowhere
//! is no catch.
#![cfg(loom)]
#![allow(clippy::disallowed_methods, reason = "threads of no ring")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loom_tests::campaign::{self, End};
use loom_tests::orderings::{EXCEPTED, Outcome, catchers, weaken};
use loom_tests::rows::{halves, halves_of};
use loom_tests::{Bound, Count, Cut, Explore, Form, all, attempt, waiting};

/// Two threads, a payload, and a flag that says that it is there: the smallest protocol.
struct Flag {
    name: &'static str,
    /// Whether the flag is stored before the payload: no ordering mends that.
    early: bool,
    published: Ordering,
}

impl Explore for Flag {
    fn name(&self) -> String {
        self.name.into()
    }

    fn victims(&self) -> usize {
        0
    }

    fn explore(&'static self, _form: Form) -> Count {
        let executions = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&executions);
        loom::model(move || {
            use loom::sync::Arc;
            seen.fetch_add(1, Ordering::Relaxed);
            let shared = Arc::new((loom::cell::UnsafeCell::new(0u64), loom::sync::atomic::AtomicBool::new(false)));
            let writer = {
                let shared = Arc::clone(&shared);
                loom::thread::spawn(move || {
                    if self.early {
                        shared.1.store(true, self.published);
                    }
                    shared.0.with_mut(|_| ());
                    shared.1.store(true, self.published);
                })
            };
            if shared.1.load(Ordering::Acquire) {
                shared.0.with(|_| ());
            }
            writer.join().unwrap();
        });
        Count {
            executions: executions.load(Ordering::Relaxed),
            points: 1,
            threads: 2,
            own: false,
            bound: Bound::ALL,
            cut: Cut::Nowhere,
        }
    }
}

static SOUND: Flag = Flag { name: "sound", early: false, published: Ordering::Release };
static EARLY: Flag = Flag { name: "early", early: true, published: Ordering::Release };
static WEAK: Flag = Flag { name: "weak", early: false, published: Ordering::Relaxed };

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("loom-controls-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn broken_protocols_are_caught_and_sound_ones_pass() {
    assert!(attempt(&SOUND, Form::Gate).unwrap().executions > 1);
    for broken in [&EARLY, &WEAK] {
        let failure = attempt(broken, Form::Gate).unwrap_err();
        assert!(failure.message.contains("Causality violation"), "{failure}");
    }
}

/// Whoever sleeps without telling, on a ticket drawn too late, without a last look, leaves without one, or does not pass a
/// wake-up on; and whoever sleeps where those who publish tell nobody, be it a commit, a release, a repair or a close.
#[test]
fn broken_sleepers_are_never_woken() {
    for broken in waiting::broken() {
        let failure = attempt(broken, Form::Gate).unwrap_err();
        assert!(failure.message.contains("deadlock"), "{}: {failure}", broken.name());
    }
}

#[test]
fn a_campaign_with_a_broken_model_fails() {
    assert_eq!(campaign::run(&[&SOUND], Form::Gate, None, None).unwrap(), End::Passed);
    assert_eq!(campaign::run(&[&SOUND, &EARLY], Form::Gate, None, None).unwrap(), End::Failed);
}

#[test]
fn a_campaign_goes_on_where_it_was() {
    let done = scratch("done");
    assert_eq!(
        campaign::run(&[&SOUND], Form::Gate, Some(&done), Some(std::time::Duration::ZERO)).unwrap(),
        End::Interrupted
    );
    assert_eq!(campaign::run(&[&SOUND], Form::Gate, Some(&done), None).unwrap(), End::Passed);
    let lines = std::fs::read_to_string(&done).unwrap();
    assert!(lines.starts_with("model sound: ") && lines.lines().count() == 1, "{lines}");
    // Passed over the second time; a failed one is never noted.
    assert_eq!(campaign::run(&[&SOUND, &WEAK], Form::Gate, Some(&done), None).unwrap(), End::Failed);
    assert_eq!(std::fs::read_to_string(&done).unwrap(), lines);
    std::fs::remove_file(done).unwrap();
}

fn model(name: &str) -> &'static dyn Explore {
    all().into_iter().find(|m| m.name() == name).unwrap()
}

#[test]
fn a_plant_that_stands_nowhere_is_no_catch() {
    assert!(matches!(weaken("S1", [model("spsc/full")]), Outcome::Caught { .. }));
    // No such row, half of an ordering that has one, a Relaxed row, and a row that this model does not come to.
    for nothing in ["XX1", "S3.release", "D1", "MP5"] {
        assert!(matches!(weaken(nothing, [model("spsc/abort")]), Outcome::NotReached), "{nothing}");
    }
}

#[test]
fn an_ordering_that_nobody_needs_is_missed() {
    // Here nobody closes and nobody attaches, so the seat orders nothing that this model sees.
    assert!(matches!(weaken("T1", [model("spsc/abort")]), Outcome::Missed));
}

#[test]
fn rows_are_read_from_every_document() {
    let names: Vec<_> = halves().unwrap().into_iter().map(|half| half.name).collect();
    for name in ["S1", "T2.acquire", "T2.release", "T5", "MP5", "MJ1.release", "MR14", "L10"] {
        assert!(names.iter().any(|n| n == name), "{name} is missing");
    }
    assert!(names.iter().enumerate().all(|(i, name)| !names[..i].contains(name)), "a row stands twice");
    for (excepted, _) in EXCEPTED {
        assert!(names.iter().any(|n| n == excepted), "{excepted} is no half any more");
    }
}

#[test]
fn what_can_be_weakened() {
    let text = "| id | site | operation | ordering | partner |\n|---|---|---|---|---|\n\
                | W1 | wake | fence after the publish | SeqCst | W2 |\n| `W2` | wake | swap | AcqRel | W1 |\n\
                | W3 | wake | load | Relaxed | – |\nprose | a | b | c |\n";
    let names: Vec<_> = halves_of(text).unwrap().into_iter().map(|half| half.name).collect();
    assert_eq!(names, ["W1", "W2.acquire", "W2.release"]);
    assert!(halves_of("| W4 | wake | store | SeqCst | W1 |").is_err());
}

#[test]
fn names_are_unique_and_catchers_exist() {
    let names: Vec<_> = all().iter().map(|m| m.name()).collect();
    assert!(names.iter().enumerate().all(|(i, name)| !names[..i].contains(name)));
    let halves: Vec<_> = halves().unwrap().into_iter().map(|half| half.name).collect();
    for (half, by) in catchers().unwrap() {
        assert!(halves.contains(&half), "{half} is remembered and in no document");
        assert!(names.contains(&by), "{half} is remembered with {by}, which is no model");
    }
}
