//! Loom models over the ring-core code that ships: the harness, and the models by topic.
//!
//! A `Model` is a name, a geometry and a body; `Model::run` explores every interleaving and every value a weak
//! memory may return, within a preemption bound, and says how many executions that took. The bodies live in the
//! library so that `tests/planted.rs` can run the same models with one ordering weakened. Empty without `cfg(loom)`.
#![cfg(loom)]

pub mod consumer_crash;
pub mod crash;
pub mod sessions;
pub mod spsc;
pub mod world;

use std::io::Write as _;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ring_core::model::Model as Memory;
use ring_core::spsc::{Format, Ring};
use ring_core::{CONTROL_SIZE, Identity, SpscControl};

pub use world::World;

/// Whether the long form was asked for by `RING_LOOM_LONG`: higher bounds, and models that CI has no time for.
#[must_use]
pub fn long() -> bool {
    std::env::var_os("RING_LOOM_LONG").is_some_and(|v| v != "0")
}

/// How far a model is explored: the most preemptions of an execution in the short and in the long form.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    short: Option<usize>,
    long: Option<usize>,
}

impl Bound {
    /// Every interleaving, in both forms.
    pub const EXHAUSTIVE: Self = Self { short: None, long: None };

    /// At most `short` preemptions in CI and `long` in the long form.
    #[must_use]
    pub const fn preemptions(short: usize, long: usize) -> Self {
        Self { short: Some(short), long: Some(long) }
    }

    /// At most `short` preemptions in CI, everything in the long form.
    #[must_use]
    pub const fn or_all(short: usize) -> Self {
        Self { short: Some(short), long: None }
    }

    fn now(self) -> Option<usize> {
        if long() { self.long } else { self.short }
    }
}

/// What a model runs.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// Once.
    Plain(fn(&World)),
    /// Once for each step at which the victim can die, until it gets through alive in every execution.
    Crash(fn(&World, u32)),
    /// Once for each pair of steps at which a first and then a second victim can die.
    TwoCrashes(fn(&World, u32, u32)),
}

/// One model.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its name, unique.
    pub name: &'static str,
    /// Bytes of the data area.
    pub capacity: u64,
    /// The release interval of the ring.
    pub release_every: u64,
    /// The first position.
    pub start: u64,
    /// How far it is explored.
    pub bound: Bound,
    /// What it runs.
    pub body: Body,
}

/// What running a model took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Executions explored.
    pub executions: u64,
    /// Crash points, or pairs of them, that were run; 1 for a model without.
    pub points: u64,
}

impl Model {
    /// A model of a ring of 64 bytes.
    #[must_use]
    pub const fn new(name: &'static str, bound: Bound, body: Body) -> Self {
        Self { name, capacity: 64, release_every: 0, start: 0, bound, body }
    }

    /// The same with another capacity.
    #[must_use]
    pub const fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// The same with a release interval.
    #[must_use]
    pub const fn release_every(mut self, bytes: u64) -> Self {
        self.release_every = bytes;
        self
    }

    /// The same with the first position at `position`.
    #[must_use]
    pub const fn start_at(mut self, position: u64) -> Self {
        self.start = position;
        self
    }

    /// Explores the model; panics with loom's report when an execution fails. Writes
    /// `model NAME: N executions, P points, T s` to standard error.
    pub fn run(&self) -> Count {
        let start = Instant::now();
        let count = self.explore_each(true);
        // Past the capture of the test harness, in one piece: `ci/loom.sh` adds these lines up.
        let line = format!(
            "model {}: {} executions, {} points, {:.1} s\n",
            self.name,
            count.executions,
            count.points,
            start.elapsed().as_secs_f64()
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
        count
    }

    /// Explores the model without a word.
    ///
    /// Each body is explored twice, with the threads started first to last and last to first. Loom remembers only
    /// the last access to an atomic: where a thread loads and then stores a word, it does not see that the store
    /// races with an *earlier* load by another thread, and skips that order of the two. It finds it from the other
    /// side, when the other thread runs second. (`loom_forgets_a_load` in `tests/harness.rs` shows it.)
    pub fn explore(&self) -> Count {
        self.explore_each(false)
    }

    fn explore_each(&self, loud: bool) -> Count {
        let mut count = Count::default();
        match self.body {
            Body::Plain(body) => {
                let _report = Report { name: loud.then_some(self.name), point: (None, None) };
                self.check(&mut count, body);
            }
            Body::Crash(body) => {
                for step in 0.. {
                    let _report = Report { name: loud.then_some(self.name), point: (Some(step), None) };
                    if !self.check(&mut count, move |w| body(w, step)).0 {
                        break;
                    }
                }
            }
            Body::TwoCrashes(body) => {
                for first in 0.. {
                    let mut first_died = false;
                    for second in 0.. {
                        let _report = Report { name: loud.then_some(self.name), point: (Some(first), Some(second)) };
                        let now = self.check(&mut count, move |w| body(w, first, second));
                        first_died |= now.0;
                        if !now.1 {
                            break;
                        }
                    }
                    if !first_died {
                        break;
                    }
                }
            }
        }
        count
    }

    /// Explores one body; returns whether a first and a second victim died in any execution.
    fn check(&self, count: &mut Count, body: impl Fn(&World) + Copy + Send + Sync + 'static) -> (bool, bool) {
        let executions = Arc::new(AtomicU64::new(0));
        let died = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        for reversed in [false, true] {
            let mut builder = loom::model::Builder::new();
            builder.max_branches = 20_000;
            if builder.preemption_bound.is_none() {
                builder.preemption_bound = self.bound.now();
            }
            let format = Format::new(self.capacity).release_every(self.release_every).start_at(self.start);
            let capacity = self.capacity;
            let seen = (Arc::clone(&executions), Arc::clone(&died));
            builder.check(move || {
                seen.0.fetch_add(1, Ordering::Relaxed);
                Memory::run(CONTROL_SIZE, capacity, used, |region| {
                    let ring = Ring::format(region, &format).expect("format");
                    body(&World::new(ring, Arc::clone(&seen.1), reversed));
                });
            });
        }
        count.executions += executions.load(Ordering::Relaxed);
        count.points += 1;
        (died[0].load(Ordering::Relaxed), died[1].load(Ordering::Relaxed))
    }
}

/// Says at which crash point a model has failed.
struct Report {
    name: Option<&'static str>,
    point: (Option<u32>, Option<u32>),
}

impl Drop for Report {
    fn drop(&mut self) {
        if let (true, Some(name)) = (std::thread::panicking(), self.name) {
            let at = match self.point {
                (Some(first), Some(second)) => format!(" with deaths before the accesses {first} and {second}"),
                (Some(step), None) => format!(" with a death before access {step}"),
                _ => String::new(),
            };
            let _ = std::io::stderr().write_all(format!("failed {name}{at}\n").as_bytes());
        }
    }
}

/// The control words that a model needs: the first two of each line up to the lease counter. The identity line is
/// written once and read by nobody here; each word left out saves a few accesses in every execution.
fn used(offset: usize) -> bool {
    let lines = size_of::<Identity>()..offset_of!(SpscControl, last_lease) + size_of::<u64>();
    Memory::spsc_words(offset) && lines.contains(&offset) && offset % 128 < 16
}

/// All models of the crate, cheap ones first within each topic.
#[must_use]
pub fn all() -> Vec<Model> {
    [spsc::MODELS, sessions::MODELS, crash::MODELS, consumer_crash::MODELS].concat()
}

/// Runs the model `name`.
pub fn run(name: &str) -> Count {
    let model = all().into_iter().find(|m| m.name == name);
    model.unwrap_or_else(|| panic!("no model is called {name}")).run()
}

/// One `#[test]` for each name, which runs the model of that name.
#[macro_export]
macro_rules! model_tests {
    ($models:expr => $($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            $crate::run(stringify!($name));
        })*

        /// A model that no test runs would be no proof.
        #[test]
        fn every_model_has_a_test() {
            let tests = [$(stringify!($name)),*];
            for model in $models {
                assert!(tests.contains(&model.name), "no test runs the model {}", model.name);
            }
        }
    };
}
