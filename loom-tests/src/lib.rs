//! Loom models over the ring-core code that ships: the harness, and the models by kind of ring.
//!
//! A `Model` is a name, a ring, a bound and a body. Exploring it runs the body in every interleaving, and with every
//! value that a weak memory may return, within a preemption bound. The program of this crate (`main.rs`) runs all of
//! them (`campaign`), or weakens each ordering of the protocol documents and demands that one of them fails
//! (`orderings`). Empty without `cfg(loom)`.
#![cfg(loom)]

pub mod campaign;
pub mod mpmc;
pub mod orderings;
pub mod rows;
mod search;
pub mod spsc;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))] // others have another `mmap`
mod stacks;
pub mod waiting;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use ring_core::model::once;

pub use search::{Search, graphs, search, searched};

/// How far models are explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// To its own bound, some minutes for all models: what every change has to pass.
    Gate,
    /// The same, the first [`SAMPLE`] executions of each body and order: a model that fails whatever is planted fails early.
    Sampled,
    /// The same, but further where the model says that it takes more to see what it is for: whether it catches what is planted,
    /// which ends an exploration early.
    Planted,
    /// To what is [asked](asked) of it, and deeper, one preemption at a time, until an exploration took [`ENOUGH`]
    /// executions; where one more preemption makes little difference, to the end. The campaign.
    Long {
        /// An exploration of more executions than about so many is cut there, and said to be.
        most: u64,
    },
}

/// Why a model does not get in the gate what is asked of it, where the reason is its size alone: the campaign goes on.
pub const LARGE: &str = "more executions than the gate has time for";

/// Executions of a sample.
pub const SAMPLE: usize = 1_000;

/// Beyond, a model that took so many executions is not explored deeper; the next preemption may cost ten times as many.
pub const ENOUGH: u64 = 60_000;

/// Executions after which the campaign cuts an exploration, if it is told nothing else: a minute or two.
pub const MOST: u64 = 1_000_000;

/// What is asked of a model of so many threads, in the campaign; less in the gate needs a reason. None of four threads:
/// how far they get is in their line.
#[must_use]
pub const fn asked(threads: usize) -> Option<Bound> {
    match threads {
        0..=2 => Some(Bound::ALL),
        3 => Some(Bound::preemptions(3)),
        _ => None,
    }
}

/// Whether a model of so many threads is granted less in the gate than is asked of it, and nobody says why; or somebody
/// says why, and it is not.
#[must_use]
pub fn unexcused(threads: usize, gate: Bound, short: Option<&str>) -> bool {
    let falls_short = asked(threads).is_some_and(|asked| !gate.reaches(asked));
    falls_short != short.is_some_and(|reason| !reason.trim().is_empty())
}

/// The most preemptions of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound(Option<usize>);

impl Bound {
    /// Every interleaving.
    pub const ALL: Self = Self(None);

    /// At most `n` preemptions.
    #[must_use]
    pub const fn preemptions(n: usize) -> Self {
        Self(Some(n))
    }

    /// Whether all that `other` allows is allowed.
    #[must_use]
    pub const fn reaches(self, other: Self) -> bool {
        match (self.0, other.0) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(other)) => mine >= other,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("all interleavings"),
            Some(n) => write!(f, "{n} preemptions"),
        }
    }
}

/// What a kind of ring brings to its models.
pub trait Kind: Copy + Send + Sync + 'static {
    /// What stands before the names of its models.
    const NAME: &'static str;

    /// What a body works with.
    type World: 'static;

    /// Makes a fresh ring in loom's memory and runs `body` on it, as one execution.
    fn execute(&self, run: &Run, body: &dyn Fn(&Self::World));
}

/// One exploration, as its executions see it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whether a first and a second victim died in any execution. Outside of loom's sight.
    died: Arc<[AtomicBool; 2]>,
    /// Whether threads are started last first.
    reversed: bool,
    /// How many were started. Outside of loom's sight.
    threads: Arc<AtomicUsize>,
}

impl Run {
    /// Notes that so many threads start.
    fn starts(&self, threads: usize) {
        self.threads.fetch_max(threads, Ordering::Relaxed);
    }

    /// Notes the death of a victim.
    fn dies(&self, victim: usize) {
        self.died[victim].store(true, Ordering::Relaxed);
    }
}

/// What a model runs.
#[derive(Debug)]
pub enum Body<W> {
    /// Once.
    Plain(fn(&W)),
    /// Once for each step at which the victim can die, until it gets through alive in every execution.
    Crash(fn(&W, u32)),
    /// Once for each pair of steps at which a first and then a second victim can die.
    TwoCrashes(fn(&W, u32, u32)),
}

/// One model.
#[derive(Debug)]
pub struct Model<K: Kind> {
    name: &'static str,
    bound: Bound,
    planted: Option<Bound>,
    short: Option<&'static str>,
    ring: K,
    body: Body<K::World>,
    early: bool,
    larger: bool,
}

impl<K: Kind> Model<K> {
    /// The same, and why the gate grants it less than is [asked].
    #[must_use]
    pub const fn short(mut self, reason: &'static str) -> Self {
        self.short = Some(reason);
        self
    }

    /// The same, explored to `bound` where something is planted: too far for the gate, and needed to catch an ordering.
    #[must_use]
    pub const fn planted(mut self, bound: Bound) -> Self {
        self.planted = Some(bound);
        self
    }

    /// The same as one more than is asked: all at once, of which the smaller ones each ask a part. Explored within its own bound.
    #[must_use]
    pub const fn larger(mut self) -> Self {
        self.larger = true;
        self
    }

    /// The same, begun before the others: it takes more than 200,000 executions in the gate.
    #[must_use]
    pub const fn early(mut self) -> Self {
        self.early = true;
        self
    }
}

/// What exploring a model took.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Executions explored.
    pub executions: u64,
    /// Crash points, or pairs of them, that were run; 1 for a model without.
    pub points: u64,
    /// Threads of the model, without the one that starts and joins them; 1 where there are no others.
    pub threads: usize,
    /// Whether nothing is asked of so many: it is explored within a bound of its own.
    pub own: bool,
    /// How far.
    pub bound: Bound,
    /// Whether that was cut: the bound itself was not got to if nothing was explored before, and else only a part of what
    /// lies beyond it.
    pub cut: Cut,
}

/// What was not explored to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Nowhere,
    /// All within the bound was, and a part of what lies beyond.
    Beyond,
    /// A part of what lies within the bound.
    Within,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = match self.cut {
            Cut::Nowhere => "whole",
            Cut::Beyond => "whole, and a part beyond",
            Cut::Within => "cut",
        };
        let own = if self.own { " at their own bound" } else { "" };
        write!(f, "{} threads{own}, {}, {cut}", self.threads, self.bound)
    }
}

/// A model of whatever kind.
pub trait Explore: Sync {
    /// Its name, unique: `kind/question`.
    fn name(&self) -> String;

    /// How many victims it has.
    fn victims(&self) -> usize;

    /// Whether it is among the longest of the gate, and so to be begun first: else the last one runs alone.
    fn early(&self) -> bool {
        false
    }

    /// Whether it is one more than is asked.
    fn larger(&self) -> bool {
        false
    }

    /// What the gate grants it.
    fn gate(&self) -> Bound {
        Bound::ALL
    }

    /// Why that is less than is [asked], where it is.
    fn short(&self) -> Option<&'static str> {
        None
    }

    /// Explores it without a word; panics when an execution fails.
    ///
    /// Where all interleavings are explored, each state once, each body is explored once. Else it is explored twice, with the
    /// threads started first to last and last to first, the latter with two preemptions where a bound allows more. Whom loom
    /// runs first when all are about to begin is no preemption; who goes on when one waits is, and within a bound what is
    /// reached depends on it.
    fn explore(&'static self, form: Form) -> Count;
}

impl<K: Kind> Explore for Model<K> {
    fn name(&self) -> String {
        format!("{}/{}", K::NAME, self.name)
    }

    fn victims(&self) -> usize {
        match self.body {
            Body::Plain(_) => 0,
            Body::Crash(_) => 1,
            Body::TwoCrashes(_) => 2,
        }
    }

    fn early(&self) -> bool {
        self.early
    }

    fn larger(&self) -> bool {
        self.larger
    }

    fn gate(&self) -> Bound {
        self.bound
    }

    fn short(&self) -> Option<&'static str> {
        self.short
    }

    fn explore(&'static self, form: Form) -> Count {
        match form {
            Form::Gate | Form::Sampled => return self.explore_within(search::within().unwrap_or(self.bound), form),
            Form::Planted => return self.explore_within(self.planted.unwrap_or(self.bound), form),
            Form::Long { .. } => {}
        }
        let threads = self.explore_within(Bound::preemptions(0), Form::Long { most: 1 }).threads;
        let asked = asked(threads).filter(|_| !self.larger);
        let mut count = self.explore_within(asked.unwrap_or(self.bound), form);
        while let Bound(Some(n)) = count.bound {
            if count.cut != Cut::Nowhere || count.executions >= ENOUGH {
                break;
            }
            let mut deeper = self.explore_within(Bound(Some(n + 1)), form);
            let nearly_all = deeper.executions.saturating_sub(count.executions) < count.executions / 4;
            if nearly_all && deeper.cut == Cut::Nowhere {
                (count, deeper) = (deeper, self.explore_within(Bound::ALL, form));
            }
            count = match deeper.cut {
                Cut::Nowhere => deeper,
                _ => Count { executions: deeper.executions, cut: Cut::Beyond, ..count },
            };
        }
        count
    }
}

impl<K: Kind> Model<K> {
    fn explore_within(&self, bound: Bound, form: Form) -> Count {
        let mut count = Count { executions: 0, points: 0, threads: 1, own: self.larger, bound, cut: Cut::Nowhere };
        once::forget();
        match self.body {
            Body::Plain(body) => {
                self.check(form, &mut count, String::new(), body);
            }
            Body::Crash(body) => {
                let dies = |step| {
                    let at = format!("death before access {step}");
                    self.check(form, &mut count, at, move |w| body(w, step)).0
                };
                let _ = (0..).map(dies).find(|died| !died);
            }
            Body::TwoCrashes(body) => {
                for first in 0.. {
                    let mut first_died = false;
                    for second in 0.. {
                        let at = format!("deaths before accesses {first} and {second}");
                        let died = self.check(form, &mut count, at, move |w| body(w, first, second));
                        first_died |= died.0;
                        if !died.1 {
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

    /// Explores one body within the bound of `count`; returns whether a first and a second victim died in any execution.
    /// `at` says which death a failure belongs to.
    fn check(
        &self,
        form: Form,
        count: &mut Count,
        at: String,
        body: impl Fn(&K::World) + Copy + Send + Sync + 'static,
    ) -> (bool, bool) {
        let executions = Arc::new(AtomicU64::new(0));
        let died = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let threads = Arc::new(AtomicUsize::new(1));
        // A sample is to be of so many executions, so that nothing is skipped.
        let how = if form == Form::Sampled { Search::Plain } else { searched() };
        // Who goes first matters within a bound, and to what loom does not try.
        let whole = how == Search::Once && count.bound == Bound::ALL;
        for &reversed in if whole { &[false][..] } else { &[false, true] } {
            let before = executions.load(Ordering::Relaxed);
            let most = match form {
                Form::Gate | Form::Planted => None,
                Form::Sampled => Some(SAMPLE),
                // One at least of each body, so that who dies is seen to die.
                Form::Long { most } => {
                    Some(usize::try_from(most.saturating_sub(count.executions + before)).unwrap_or(usize::MAX).max(1))
                }
            };
            let mut builder = loom::model::Builder::new();
            builder.max_branches = 20_000;
            if builder.preemption_bound.is_none() {
                builder.preemption_bound = count.bound.0.map(|n| if reversed { n.min(2) } else { n });
            }
            let ring = self.ring;
            let run = Run { died: Arc::clone(&died), reversed, threads: Arc::clone(&threads) };
            let _where = Where(&at);
            search::explore(how, builder.preemption_bound.is_some(), || {
                let done = executions.load(Ordering::Relaxed) - before;
                let left = most.map(|most| most.saturating_sub(done as usize).max(1));
                if let Some(left) = left {
                    builder.max_permutations = Some(left);
                    // Loom looks at that limit this often, before an execution, and counts from one.
                    builder.checkpoint_interval = left.saturating_add(1).min(10_000);
                }
                let (seen, run) = (Arc::clone(&executions), run.clone());
                builder.check(move || {
                    seen.fetch_add(1, Ordering::Relaxed);
                    ring.execute(&run, &body);
                });
                most.is_none_or(|most| ((executions.load(Ordering::Relaxed) - before) as usize) < most)
            });
            let done = executions.load(Ordering::Relaxed) - before;
            if matches!(form, Form::Long { .. }) && most.is_some_and(|most| done >= most as u64) {
                count.cut = Cut::Within;
            }
        }
        count.executions += executions.load(Ordering::Relaxed);
        count.points += 1;
        count.threads = count.threads.max(threads.load(Ordering::Relaxed));
        (died[0].load(Ordering::Relaxed), died[1].load(Ordering::Relaxed))
    }
}

std::thread_local! {
    /// What the first panic in this OS thread said.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The crash point of the last failure in this OS thread.
    static FAILED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes at which crash point a model fails.
struct Where<'a>(&'a String);

impl Drop for Where<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            FAILED_AT.set(self.0.clone());
        }
    }
}

/// All models by topic, cheap ones first within each.
#[must_use]
pub fn all() -> Vec<&'static dyn Explore> {
    [spsc::models(), mpmc::models(), waiting::models()].concat()
}

/// Why an exploration failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What the first panic said, and where.
    pub message: String,
    /// At which crash point, if the model has one.
    pub at: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.message.lines().next().unwrap_or_default();
        let at = if self.at.is_empty() { "" } else { ", " };
        write!(f, "{first}{at}{}", self.at)
    }
}

/// Explores a model; the failure is returned and not printed.
///
/// # Errors
/// The first failing execution ends it.
pub fn attempt(model: &'static dyn Explore, form: Form) -> Result<Count, Failure> {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let payload = info.payload();
            let said = payload.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
            let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
            // What panics on the way out says less.
            MESSAGE.with_borrow_mut(|m| *m = m.take().or_else(|| Some(said.to_string() + &place)));
        }));
    });
    MESSAGE.take();
    FAILED_AT.take();
    catch_unwind(AssertUnwindSafe(|| model.explore(form)))
        .map_err(|_| Failure { message: MESSAGE.take().unwrap_or_default(), at: FAILED_AT.take() })
}
