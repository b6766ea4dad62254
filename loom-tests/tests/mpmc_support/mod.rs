//! The harness of the MPMC models: how a model is explored, and what its bodies work with.
//!
//! Bodies never wait: everybody makes a few attempts, and the main thread, alone at the end, drains the ring, repairs
//! what the dead have left, and holds the outcome against the ledger. So every execution ends, and a lost message, an
//! unflagged duplicate or a stuck slot fails it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "a test module")]

pub mod death;
pub mod live;
pub mod members;
pub mod world;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ring_core::model::Model as Memory;
use ring_core::mpmc::{Format, Redelivery, Ring};

pub use world::World;

/// What a model runs.
#[derive(Clone, Copy)]
pub enum Body {
    /// Once.
    Plain(fn(&World)),
    /// Once for each step at which the victim can die, until it gets through alive in every execution.
    Crash(fn(&World, u32)),
    /// Once for each pair of steps at which a first and a second victim can die.
    TwoCrashes(fn(&World, u32, u32)),
}

/// One model.
#[derive(Clone, Copy)]
pub struct Model {
    pub name: &'static str,
    pub format: Format,
    /// Entries of the participant table.
    pub entries: u32,
    /// Whether somebody attaches.
    pub attaches: bool,
    /// Most preemptions of an execution in the short and in the long form.
    pub bound: (usize, usize),
    pub body: Body,
}

/// What exploring it took.
#[derive(Clone, Copy, Default)]
pub struct Count {
    pub executions: u64,
    pub points: u64,
}

/// A model of a ring of two slots of one word.
pub const fn model(name: &'static str, entries: u32, bound: (usize, usize), body: Body) -> Model {
    Model { name, format: Format::new(2, 8).participants(entries), entries, attaches: false, bound, body }
}

impl Model {
    pub const fn producers(mut self, max: u32) -> Self {
        self.format = self.format.producers(max);
        self
    }

    pub const fn consumers(mut self, max: u32) -> Self {
        self.format = self.format.consumers(max);
        self
    }

    pub const fn attached(mut self) -> Self {
        self.attaches = true;
        self
    }

    pub const fn at_most_once(mut self) -> Self {
        self.format = self.format.redelivery(Redelivery::AtMostOnce);
        self
    }

    pub const fn slots(mut self, slots: u64) -> Self {
        self.format = Format::new(slots, 8).participants(self.entries);
        self
    }

    /// Explores the model and writes `model NAME: N executions, P points, T s` to standard error.
    pub fn run(&self) -> Count {
        let start = Instant::now();
        let count = self.explore();
        let (executions, points) = (count.executions, count.points);
        let seconds = start.elapsed().as_secs_f64();
        let line = format!("model mpmc_{}: {executions} executions, {points} points, {seconds:.1} s\n", self.name);
        let _ = std::io::stderr().write_all(line.as_bytes());
        count
    }

    /// Explores the model without a word; panics when an execution fails.
    pub fn explore(&self) -> Count {
        let mut count = Count::default();
        // Within a bound, what is reached depends on who runs first.
        for reversed in [false, true] {
            match self.body {
                Body::Plain(body) => {
                    self.check(reversed, &mut count, body);
                }
                Body::Crash(body) => {
                    let mut step = 0;
                    while self.check(reversed, &mut count, move |w| body(w, step)).0 {
                        step += 1;
                    }
                }
                Body::TwoCrashes(body) => {
                    for first in 0.. {
                        let mut died = (false, true);
                        for second in 0.. {
                            died = self.check(reversed, &mut count, move |w| body(w, first, second));
                            if !died.1 {
                                break;
                            }
                        }
                        if !died.0 {
                            break;
                        }
                    }
                }
            }
        }
        count
    }

    /// Explores one body; returns whether a first and a second victim died in any execution.
    fn check(&self, reversed: bool, count: &mut Count, body: impl Fn(&World) + Send + Sync + 'static) -> (bool, bool) {
        let executions = Arc::new(AtomicU64::new(0));
        let died = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let mut builder = loom::model::Builder::new();
        builder.max_branches = 20_000;
        if builder.preemption_bound.is_none() {
            let long = std::env::var_os("RING_LOOM_LONG").is_some_and(|v| v != "0");
            builder.preemption_bound = Some(if long { self.bound.1 } else { self.bound.0 });
        }
        let (format, entries, attaches) = (self.format, self.entries, self.attaches);
        let seen = (Arc::clone(&executions), Arc::clone(&died));
        builder.check(move || {
            seen.0.fetch_add(1, Ordering::Relaxed);
            let data = ring_core::mpmc_data_offset(u64::from(entries));
            // Where nobody attaches, nobody reads the identity line.
            let words = Memory::mpmc_words(entries as usize);
            let used = |offset| (attaches || offset >= 128) && words(offset);
            Memory::run(data, format.footprint() - data, used, |region| {
                let ring = Ring::format(region, &format).expect("format");
                body(&World::new(ring, region, Arc::clone(&seen.1), reversed));
            });
        });
        count.executions += executions.load(Ordering::Relaxed);
        count.points += 1;
        (died[0].load(Ordering::Relaxed), died[1].load(Ordering::Relaxed))
    }
}

/// All models.
pub fn all() -> Vec<Model> {
    [live::MODELS, death::MODELS, members::MODELS].concat()
}

/// Runs the model `name`.
pub fn run(name: &str) {
    let model = all().into_iter().find(|m| m.name == name);
    model.unwrap_or_else(|| panic!("no model is called {name}")).run();
}
