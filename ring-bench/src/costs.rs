//! What single atomic operations cost on this machine, alone and when two processes want the same line: the measured half
//! of the cost model (`model` computes the other from it).
//!
//! Every operation is checked by what it is for: additions and compare-and-swaps return each value once, an exchange
//! returns what was written, and of two parties that store, fence and look, one at least sees the other.

use crate::arena::{Arena, Line};
use crate::candidate::{Build, Candidate, Place, Setup, Unit};
use crate::message::{STEP, checksum};
use crate::ours::maker;
use crate::probe::Class;
use crate::reporting::Findings;
use crate::run::{self, Plan, Report};
use crate::seam::{Fault, Outcome, Part, Patience, Work};
use crate::setup::Nothing;
use crate::stats::Quartiles;
use crate::sys;
use crate::{limits, model};
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, fence};
use std::path::Path;

/// Instances of each, which lie in different places.
const INSTANCES: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Exchange,
    Add,
    CompareAndSwap,
    Fence,
    /// An addition that is none: loads, then stores.
    Torn,
    /// Without the fence.
    Unfenced,
}

/// The lines of one instance.
#[derive(Clone, Copy)]
struct Lines {
    /// The word that all want.
    shared: &'static Line,
    /// One for each party, and what it saw, in turns.
    own: [&'static Line; 2],
    /// How many parties have ended a slice.
    ended: &'static Line,
}

/// One party, which does nothing but this operation.
struct Hammer {
    op: Op,
    party: usize,
    parties: u64,
    lines: Lines,
    /// Operations that each party has done.
    done: u64,
    slices: u64,
    /// What the last exchange has left.
    left: u64,
}

impl Hammer {
    /// `count` operations; the sum of what they wrote, and of what they returned.
    #[inline(always)]
    fn run(&mut self, count: u64) -> [u64; 2] {
        let word = &self.lines.shared.0[0];
        let (mut sent, mut received, first) = (0u64, 0u64, self.done);
        self.done += count;
        let mut take = |prior: u64| received = received.wrapping_add(prior);
        match self.op {
            Op::Add => (0..count).for_each(|_| take(word.fetch_add(1, SeqCst))),
            Op::Torn => (0..count).for_each(|_| {
                let prior = word.load(Relaxed);
                word.store(prior + 1, Relaxed);
                take(prior);
            }),
            Op::CompareAndSwap => {
                let mut prior = word.load(Relaxed);
                for _ in 0..count {
                    while let Err(found) = word.compare_exchange(prior, prior + 1, SeqCst, Relaxed) {
                        prior = found;
                    }
                    take(prior);
                    prior += 1;
                }
            }
            Op::Exchange => {
                let tag = (self.party as u64 + 1) << 56;
                for number in first..first + count {
                    sent = sent.wrapping_add(tag | number);
                    take(word.swap(tag | number, SeqCst));
                }
            }
            Op::Fence | Op::Unfenced => {
                let (own, other) = (&self.lines.own[self.party].0[0], &self.lines.own[1 - self.party].0[0]);
                for number in first..first + count {
                    own.store(number, Relaxed);
                    fence(SeqCst);
                    core::hint::black_box(other.load(Relaxed));
                }
            }
        }
        [sent, received]
    }

    /// Runs, and adds what only the end shows: the driver knows what all have written.
    fn whole(&mut self, work: Work) -> Result<Outcome, Fault> {
        let (first, left) = (self.done * self.parties, self.left);
        let mut sums = self.run(work.warm);
        let begin = sys::now();
        let timed = self.run(work.count);
        let end = sys::now();
        for (sum, more) in sums.iter_mut().zip(timed) {
            *sum = sum.wrapping_add(more);
        }
        self.slices += 1;
        let ended = &self.lines.ended.0[0];
        ended.fetch_add(1, Release);
        if self.party == 0 {
            let mut patience = Patience::new();
            while ended.load(Acquire) < self.slices * self.parties {
                patience.miss()?;
            }
            match self.op {
                Op::Exchange => {
                    self.left = self.lines.shared.0[0].load(Relaxed);
                    sums = [sums[0].wrapping_add(left), sums[1].wrapping_add(self.left)];
                }
                Op::Fence | Op::Unfenced => {}
                _ => sums[0] = checksum::<1>(first, (work.warm + work.count) * self.parties),
            }
        }
        Ok(Outcome { begin, end, sent: sums[0], received: sums[1] })
    }

    /// Both store, then look at the other: one of them at least has to see it. Answers bring the two into a step
    /// where one is always a hand-over behind, and sees even without a fence: so each waits a while first, and in one of
    /// the next rounds both store at the same moment.
    fn see_each_other(&mut self, count: u64) -> Result<Outcome, Fault> {
        let [own, other] = [self.party, 1 - self.party].map(|party| self.lines.own[party]);
        let mut patience = Patience::new();
        for _ in 0..count {
            self.done += 1;
            let round = self.done;
            for turn in 0..apart(round, self.party as u64) {
                core::hint::black_box(turn);
            }
            own.0[0].store(round, Relaxed);
            if self.op == Op::Fence {
                fence(SeqCst);
            }
            let saw = other.0[0].load(Relaxed) >= round;
            // Answers alternate between two words: nobody is two rounds ahead.
            let place = 1 + (round % 2) as usize;
            own.0[place].store(round * 2 + u64::from(saw), Release);
            let theirs = loop {
                let answer = other.0[place].load(Acquire);
                if answer / 2 == round {
                    break answer % 2 == 1;
                }
                patience.miss()?;
            };
            if !saw && !theirs {
                return Err(Fault::Disorder);
            }
        }
        Ok(Outcome::default())
    }
}

/// How long a party waits in a round, in turns of a loop of about a cycle: up to as long as hand-overs take, another
/// time in each round and for each party.
const fn apart(round: u64, party: u64) -> u64 {
    (round * 2 + party).wrapping_mul(STEP) >> 55
}

impl Part for Hammer {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        match self.op {
            Op::Fence | Op::Unfenced if self.parties == 2 => self.see_each_other(count),
            _ => self.whole(Work { warm: 0, count }),
        }
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.whole(work)
    }
}

fn hammer(op: Op, parties: usize) -> Build {
    Box::new(move |arena: &mut Arena| {
        let lines = Lines { shared: arena.one()?, own: [arena.one()?, arena.one()?], ended: arena.one()? };
        let part = move |party| {
            maker(move || Ok(Hammer { op, party, parties: parties as u64, lines, done: 0, slices: 0, left: 0 }))
        };
        let other = if parties == 2 { part(1) } else { maker(|| Ok(Nothing)) };
        Ok(Setup { parties: vec![part(0), other], published: None })
    })
}

/// The cost of one operation in one placement.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Which, and whether alone.
    pub name: &'static str,
    /// The placement.
    pub class: Class,
    /// Nanoseconds an operation; of all parties together where there are several.
    pub nanos: Quartiles,
}

/// What was measured, and how.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Of each operation in each placement.
    pub costs: Vec<Cost>,
    /// How much was dropped.
    pub report: Report,
}

impl Findings for Measured {
    fn table(&self) -> String {
        model::table(&self.costs, &self.report)
    }

    fn json(&self) -> Vec<serde_json::Value> {
        let object = |cost: &Cost| {
            let (q, class) = (cost.nanos, cost.class.to_string());
            serde_json::json!({
                "name": cost.name, "class": class, "unit": "ns", "median": q.p50, "p25": q.p25, "p75": q.p75,
                "count": q.count,
            })
        };
        self.costs.iter().map(object).collect()
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn record(&self, folder: &Path, table: &str) -> Result<(), String> {
        model::record(folder, &self.costs, table)
    }
}

/// A hand-over of a line, which is half of a round trip.
pub(crate) const TRANSFER: &str = "line-handover";
/// See the model.
pub(crate) const CAS_CONTENDED: &str = "cas-contended";
/// See the model.
pub(crate) const CAS_ALONE: &str = "cas-alone";
/// See the model.
pub(crate) const ADD_CONTENDED: &str = "fetch-add-contended";

/// Candidates, and how many operations a counted one is.
fn all(spoil: bool) -> Vec<(Candidate, f64)> {
    let entry = |name, op, parties: usize| {
        // About a millisecond, or the harness's own looks at the clock would count as a disturbance; longer where every
        // operation waits for a line.
        let count = if op == Op::Fence && parties == 2 { 40_000 } else { 400_000 / parties as u64 };
        let work = Work { warm: 2_000, count };
        let candidate = Candidate {
            name,
            place: Place::Processes,
            parties: 2,
            unit: Unit::RoundTrip,
            sleeps: false,
            work,
            check: 100_000,
            build: hammer(op, parties),
        };
        (candidate, parties as f64)
    };
    let line = crate::registry::round_trip(TRANSFER, Place::Processes, limits::ping_pong(256));
    let mut all = vec![
        entry("exchange-alone", Op::Exchange, 1),
        entry("exchange-contended", Op::Exchange, 2),
        entry("fetch-add-alone", Op::Add, 1),
        entry(ADD_CONTENDED, Op::Add, 2),
        entry(CAS_ALONE, Op::CompareAndSwap, 1),
        entry(CAS_CONTENDED, Op::CompareAndSwap, 2),
        entry("store-fence-load-alone", Op::Fence, 1),
        entry("store-fence-load-contended", Op::Fence, 2),
        (line, 2.0),
    ];
    if spoil {
        all.push(entry("torn", Op::Torn, 2));
        all.push(entry("unfenced", Op::Unfenced, 2));
    }
    all
}

/// Measures what `plan.only` names; `spoil` adds operations that are none, which must end the run with an error.
///
/// # Errors
/// In words for people.
pub fn run(plan: &Plan, spoil: bool) -> Result<Measured, String> {
    let entries = plan.choose(all(spoil), |entry| entry.0.name.to_owned())?;
    let (candidates, operations): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    let mut report = Report::default();
    let figures = run::figures(plan, &candidates, INSTANCES, &mut report, |index, nanos| nanos / operations[index])?;
    let cost = |(index, class, nanos): (usize, _, _)| Cost { name: candidates[index].name, class, nanos };
    Ok(Measured { costs: figures.into_iter().map(cost).collect(), report })
}
