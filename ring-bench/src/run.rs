//! The rounds: A B C … C A B …, each slice between two placement probes, until there is enough or time is up.
//!
//! Every candidate exists in several instances, used in turn from round to round, because where a ring happens to lie
//! in physical memory shifts its figures by some per cent. Every instance is checked in full before the first round.

use crate::arena::Arena;
use crate::candidate::{Candidate, Place, Unit};
use crate::mailbox::Order;
use crate::pool::{PartSlot, Parts, Pool};
use crate::probe::Class;
use crate::registry;
use crate::rows::{self, Better, Row};
use crate::seam::Work;
use crate::stats::{Quartiles, Sample, Series, pairs};
use crate::sys;
use crate::turns::turns;
use core::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Rings of each candidate.
pub(crate) const INSTANCES: usize = 4;
/// Shared memory for mailboxes, probes and limits; more than they need.
const ARENA_BYTES: usize = 16 << 20;
/// Rounds of one class from which on a verdict is given.
pub const ENOUGH: usize = 60;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Only rows (and stand-alone candidates) whose name contains this.
    pub only: Option<String>,
    /// Stop once every row has this many rounds of one class.
    pub rounds: usize,
    /// Stop at the latest after this.
    pub limit: Duration,
}

impl Plan {
    /// What the arguments of a program say.
    #[must_use]
    pub fn new(only: Option<String>, rounds: u32, minutes: f64) -> Self {
        Self { only, rounds: rounds as usize, limit: Duration::from_secs_f64(minutes * 60.0) }
    }

    /// Whether what is called so is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|part| name.contains(part))
    }

    /// Those of `entries` that are to be run; an error names all, if none is.
    pub(crate) fn choose<T>(&self, mut entries: Vec<T>, name: impl Fn(&T) -> String) -> Result<Vec<T>, String> {
        let names: Vec<_> = entries.iter().map(&name).collect();
        entries.retain(|entry| self.wants(&name(entry)));
        if entries.is_empty() {
            return Err(format!("nothing is called so; there are: {}", names.join(", ")));
        }
        Ok(entries)
    }
}

/// A number of minutes, as an argument.
///
/// # Errors
/// It is none, or not above 0.
pub fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1e6 => Ok(minutes),
        _ => Err("a number of minutes above 0 is wanted".into()),
    }
}

/// One row in one class.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The comparison.
    pub row: Row,
    /// The placement it was measured in.
    pub class: Class,
    /// Ratios of the rounds.
    pub ratio: Quartiles,
    /// Median of ours, in `unit`.
    pub ours: f64,
    /// Median of the base, likewise.
    pub base: f64,
    /// `ns` a round trip, `us` a call, `M/s` (millions of messages a second) or `GB/s`.
    pub unit: &'static str,
}

impl Finding {
    /// The verdict; `None` below [`ENOUGH`] rounds.
    #[must_use]
    pub fn pass(&self) -> Option<bool> {
        (self.ratio.count >= ENOUGH).then(|| self.row.reached(self.ratio.p50, self.class))
    }
}

/// A candidate's own figure.
#[derive(Clone, Debug)]
pub struct Level {
    /// Its name.
    pub name: &'static str,
    /// The placement.
    pub class: Class,
    /// In `unit`, quartiles.
    pub figure: Quartiles,
    /// The unit of `figure`.
    pub unit: &'static str,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The rows, each class apart.
    pub findings: Vec<Finding>,
    /// Every candidate's absolute figure, each class apart.
    pub levels: Vec<Level>,
    /// Rounds run.
    pub rounds: usize,
    /// Slices run.
    pub slices: usize,
    /// Slices dropped because the two probes disagreed.
    pub moved: usize,
    /// Slices dropped because the kernel gave a CPU to others meanwhile.
    pub disturbed: usize,
    /// What this build has not, and why.
    pub absent: Vec<(&'static str, String)>,
    /// The user asked to stop.
    pub interrupted: bool,
}

impl Report {
    /// How much was run, and how much of that was dropped, as the last words of a table.
    pub(crate) fn tally(&self) -> String {
        format!(
            "{} rounds, {} slices; dropped: {} because the CPUs were moved meanwhile, {} because a CPU worked for others.",
            self.rounds, self.slices, self.moved, self.disturbed
        )
    }
}

/// What there is to run: this crate's own lists, or another crate's.
#[derive(Debug, Default)]
pub struct Lists {
    /// What runs once a round, in an order that changes from round to round.
    pub candidates: Vec<Candidate>,
    /// Comparisons of two of them, in the order of the table.
    pub rows: Vec<Row>,
    /// Candidates that this build has not, each with the reason and what would bring it: the table says so.
    pub absent: Vec<(&'static str, String)>,
}

impl Lists {
    /// What `ratios` runs.
    #[must_use]
    pub fn own() -> Self {
        Self { candidates: registry::all(), rows: rows::all(), absent: Vec::new() }
    }
}

/// Measures. Forks, so the process must have one thread.
///
/// # Errors
/// For people: nothing is called so, no two CPUs, or a candidate that lost, reordered or changed a message. Nothing has
/// been left behind when one is returned.
pub fn run(plan: &Plan, lists: Lists) -> Result<Report, String> {
    let Lists { rows, candidates, absent } = select(plan, lists)?;
    let mut series: Vec<Series> = candidates.iter().map(|_| Series::new()).collect();
    let mut report = Report { absent, ..Report::default() };
    let kept = core::cell::RefCell::new(&mut series);
    rounds(
        plan,
        &candidates,
        INSTANCES,
        &mut report,
        |rounds| enough(plan, &rows, &candidates, &kept.borrow(), rounds),
        |index, sample, _| kept.borrow_mut()[index].push(sample),
    )?;
    report.findings = findings(&rows, &candidates, &series);
    report.levels = levels(&candidates, &series);
    Ok(report)
}

/// Runs all candidates in rounds, each in another order, after every word of a few thousand messages of each instance was
/// checked, until `enough` says so of the number of rounds, or time is up. `keep` is told of every slice: which candidate, what came
/// of it (`None`: dropped), and the operations that were timed one by one, if any were.
///
/// Call it once in a process, before any thread exists.
pub(crate) fn rounds(
    plan: &Plan,
    candidates: &[Candidate],
    instances: usize,
    report: &mut Report,
    enough: impl Fn(usize) -> bool,
    mut keep: impl FnMut(usize, Option<Sample>, &[AtomicU64]),
) -> Result<(), String> {
    let cpus = sys::two_cpus()?;
    sys::watch_signals()?;
    let mut arena = Arena::new(ARENA_BYTES)?;
    let samples = arena.samples()?;
    let (mut pool, published) = start(&mut arena, candidates, instances, cpus)?;
    if !check_all(&mut pool, candidates, instances, published)? {
        report.interrupted = true;
        return Ok(());
    }
    let start = Instant::now();
    while !enough(report.rounds) && start.elapsed() < plan.limit {
        for index in turns(candidates.len(), report.rounds) {
            let candidate = &candidates[index];
            if sys::interrupted() {
                report.interrupted = true;
                return Ok(());
            }
            let instance = index * instances + report.rounds % instances;
            let sample = slice(&mut pool, candidate, instance, report)
                .map_err(|fault| format!("{} in round {}: {fault}", candidate.name, report.rounds))?;
            keep(index, sample, samples);
        }
        report.rounds += 1;
    }
    Ok(())
}

/// `plan.rounds` rounds; the quartiles of each candidate in each class it was met in, of what `figure` makes of the
/// nanoseconds of an operation of that candidate.
pub(crate) fn figures(
    plan: &Plan,
    candidates: &[Candidate],
    instances: usize,
    report: &mut Report,
    figure: impl Fn(usize, f64) -> f64,
) -> Result<Vec<(usize, Class, Quartiles)>, String> {
    let mut figures: Vec<[Vec<f64>; CLASSES.len()]> = vec![Default::default(); candidates.len()];
    rounds(
        plan,
        candidates,
        instances,
        report,
        |rounds| rounds >= plan.rounds,
        |index, sample, _| {
            if let Some(sample) = sample {
                figures[index][sample.class as usize].push(figure(index, sample.nanos));
            }
        },
    )?;
    let each = |(index, classes): (usize, [Vec<f64>; CLASSES.len()])| {
        let quartiles = CLASSES.into_iter().zip(classes.map(Quartiles::of));
        quartiles.filter_map(move |(class, figure)| Some((index, class, figure?)))
    };
    Ok(figures.into_iter().enumerate().flat_map(each).collect())
}

/// The rows asked for and the candidates they need; without a filter all candidates, limits and rivals included.
fn select(plan: &Plan, lists: Lists) -> Result<Lists, String> {
    let Lists { mut candidates, mut rows, mut absent } = lists;
    let names = |rows: &[Row], candidates: &[Candidate]| -> Vec<&str> {
        rows.iter().map(|row| row.name).chain(candidates.iter().map(|c| c.name)).collect()
    };
    let everything = names(&rows, &candidates).join(", ");
    let exists: Vec<_> = candidates.iter().map(|c| c.name).collect();
    absent.retain(|(name, _)| plan.wants(name) || plan.only.as_deref().is_some_and(|part| part.contains(name)));
    rows.retain(|row| plan.wants(row.name) && exists.contains(&row.ours) && exists.contains(&row.base));
    candidates.retain(|c| plan.wants(c.name) || rows.iter().any(|row| row.ours == c.name || row.base == c.name));
    if candidates.is_empty() {
        if let Some((name, why)) = absent.first() {
            return Err(format!("{name} is not in this build: {why}"));
        }
        return Err(format!("no row or candidate is called so; there are: {everything}"));
    }
    Ok(Lists { candidates, rows, absent })
}

type Published = Vec<Option<Box<dyn FnOnce()>>>;

/// Describes every instance, forks and spawns the peers.
fn start(
    arena: &mut Arena,
    candidates: &[Candidate],
    instances: usize,
    cpus: [usize; 2],
) -> Result<(Pool, Published), String> {
    let total = candidates.len() * instances;
    let (mut driver, mut processes, mut threads) = (Parts::new(), Vec::<Parts>::new(), Vec::<Parts>::new());
    let mut published = Vec::new();
    for instance in 0..total {
        let candidate = &candidates[instance / instances];
        let setup = (candidate.build)(arena).map_err(|why| format!("{}: {why}", candidate.name))?;
        let peers = if candidate.place == Place::Processes { &mut processes } else { &mut threads };
        for (party, maker) in setup.parties.into_iter().enumerate() {
            let slot = PartSlot::Unmade(maker);
            match party.checked_sub(1) {
                None => driver.push(slot),
                Some(peer) => {
                    while peers.len() <= peer {
                        peers.push((0..total).map(|_| PartSlot::Absent).collect());
                    }
                    peers[peer][instance] = slot;
                }
            }
        }
        published.push(setup.published);
    }
    Ok((Pool::start(arena, cpus, driver, processes, threads)?, published))
}

/// Makes and checks every instance; false when the user asked to stop.
fn check_all(
    pool: &mut Pool,
    candidates: &[Candidate],
    instances: usize,
    published: Published,
) -> Result<bool, String> {
    for (instance, published) in published.into_iter().enumerate() {
        let candidate = &candidates[instance / instances];
        let (place, n) = (candidate.place, candidate.parties);
        let ready = pool.one_by_one(Order::Make, instance, place, n);
        // Whatever came of it: names that were made are taken away again.
        if let Some(published) = published {
            published();
        }
        ready.map_err(|fault| format!("{}: {fault}", candidate.name))?;
        let work = Work { warm: 0, count: candidate.check };
        pool.together(Order::Check, instance, place, n, work, false)
            .map_err(|fault| format!("{}: wrong before it was timed: {fault}", candidate.name))?;
        if sys::interrupted() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One slice between two probes; `None` when it does not count.
fn slice(
    pool: &mut Pool,
    candidate: &Candidate,
    instance: usize,
    report: &mut Report,
) -> Result<Option<Sample>, crate::seam::Fault> {
    let (place, n) = (candidate.place, candidate.parties);
    let before = Class::of(pool.probe(place, true)?);
    let joint = pool.together(Order::Slice, instance, place, n, candidate.work, true)?;
    let after = Class::of(pool.probe(place, false)?);
    report.slices += 1;
    if before != after {
        report.moved += 1;
        return Ok(None);
    }
    // With more parties than CPUs the kernel has to take CPUs away, and who sleeps has none: that is what is measured.
    if joint.disturbed && n == 2 && !candidate.sleeps {
        report.disturbed += 1;
        return Ok(None);
    }
    Ok(Some(Sample { class: before, nanos: joint.nanos as f64 / candidate.work.count as f64 }))
}

pub(crate) const CLASSES: [Class; 3] = [Class::S, Class::C, Class::X];

fn series_of<'a>(name: &str, candidates: &[Candidate], series: &'a [Series]) -> &'a Series {
    static EMPTY: Series = Series::new();
    candidates.iter().position(|c| c.name == name).map_or(&EMPTY, |i| &series[i])
}

/// True once every row has enough rounds of some class (or, without rows, enough rounds were run).
fn enough(plan: &Plan, rows: &[Row], candidates: &[Candidate], series: &[Series], rounds: usize) -> bool {
    if rounds < plan.rounds {
        return false;
    }
    rows.iter().all(|row| {
        let (ours, base) = (series_of(row.ours, candidates, series), series_of(row.base, candidates, series));
        CLASSES.iter().any(|class| pairs(ours, base, *class).count() >= plan.rounds)
    })
}

fn findings(rows: &[Row], candidates: &[Candidate], series: &[Series]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for row in rows {
        let (ours, base) = (series_of(row.ours, candidates, series), series_of(row.base, candidates, series));
        let Some(unit) = candidates.iter().find(|c| c.name == row.ours).map(|c| c.unit) else { continue };
        for class in CLASSES {
            let ratio = |(a, b): (f64, f64)| if row.better == Better::Lower { a / b } else { b / a };
            let side = |pick: fn((f64, f64)) -> f64| {
                Quartiles::of(pairs(ours, base, class).map(|p| figure(unit, pick(p))).collect())
            };
            if let (Some(ratio), Some(a), Some(b)) =
                (Quartiles::of(pairs(ours, base, class).map(ratio).collect()), side(|p| p.0), side(|p| p.1))
            {
                findings.push(Finding { row: row.clone(), class, ratio, ours: a.p50, base: b.p50, unit: unit.name() });
            }
        }
    }
    findings
}

fn levels(candidates: &[Candidate], series: &[Series]) -> Vec<Level> {
    let mut levels = Vec::new();
    for (candidate, series) in candidates.iter().zip(series) {
        for class in CLASSES {
            let own = series.iter().flatten().filter(|s| s.class == class).map(|s| figure(candidate.unit, s.nanos));
            if let Some(figure) = Quartiles::of(own.collect()) {
                levels.push(Level { name: candidate.name, class, figure, unit: candidate.unit.name() });
            }
        }
    }
    levels
}

pub(crate) fn figure(unit: Unit, nanos: f64) -> f64 {
    match unit {
        Unit::RoundTrip => nanos,
        Unit::ParkedTrip => nanos - 2.0 * crate::parked::THINK as f64,
        Unit::Call => nanos / 1e3,
        Unit::Messages => 1e3 / nanos,
        Unit::Bytes(bytes) => bytes as f64 / nanos,
    }
}
