//! The latency report: percentiles of single operations, ours beside the rivals, in the rounds that `ratios` has too.
//!
//! Messages are of eight bytes and sent at a stated rate; a sample begins when its message was due (see `paced`). A
//! slice that was moved or disturbed counts for nothing, as everywhere in this crate, so the tail that is shown is
//! that of the transports and of the host's short interruptions, not that of other work on the same CPUs. How many
//! slices that took out is printed.

use crate::arena::Arena;
use crate::candidate::{Build, Candidate, Place, Unit};
use crate::clock::Clock;
use crate::links::{self, Link, Spoilt};
use crate::plot::{self, Axis, Curve};
use crate::probe::Class;
use crate::registry::{FEW, ROUND_TRIP_BYTES};
use crate::reporting::Findings;
use crate::run::{self, CLASSES, INSTANCES, Plan, Report};
use crate::seam::{Rx, Tx, Work};
use crate::{record, results};
use core::sync::atomic::Ordering::Relaxed;
use crossbeam_queue::ArrayQueue;
use hdrhistogram::Histogram;
use std::fmt::Write as _;
use std::path::Path;

/// What is compared with each other: a group is a table of its own and a plot of its own.
pub const GROUPS: [&str; 4] = ["rtt-polled", "oneway-polled", "rtt-parked", "oneway-parked"];
/// Nanoseconds from message to message where both sides poll: longer than any round trip of theirs.
const POLLED: u64 = 2_000;
/// The same where the receiver sleeps: long enough that it does.
const PARKED: u64 = 250_000;
/// The percentiles shown.
const SHOWN: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// The histogram of one candidate in one placement.
#[derive(Clone, Debug)]
pub struct Finding {
    /// One of [`GROUPS`].
    pub group: &'static str,
    /// Whose.
    pub name: &'static str,
    /// The placement.
    pub class: Class,
    /// Nanoseconds from message to message.
    pub interval: u64,
    /// Nanoseconds.
    pub histogram: Histogram<u64>,
}

/// What was measured, and how.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Of each candidate in each placement.
    pub findings: Vec<Finding>,
    /// How much was dropped.
    pub report: Report,
    clock: Clock,
}

impl Findings for Measured {
    fn table(&self) -> String {
        table(&self.findings, &self.report, self.clock)
    }

    fn json(&self) -> Vec<serde_json::Value> {
        self.findings.iter().map(json).collect()
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn record(&self, folder: &Path, table: &str) -> Result<(), String> {
        record(folder, &self.findings, table)
    }
}

/// Up to a minute, three digits; what lies above counts as a minute. Bounds must be given: a histogram that grows by
/// itself does not grow for a saturating record.
fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|why| why.to_string())
}

struct Entry {
    group: &'static str,
    interval: u64,
    candidate: Candidate,
}

/// Both scenarios of a transport.
fn entries<T: Tx<1> + 'static, R: Rx<1> + 'static>(
    name: &'static str,
    place: Place,
    parked: bool,
    clock: Clock,
    link: impl Fn(&mut Arena) -> Result<Link<T, R>, String> + Copy + 'static,
) -> [Entry; 2] {
    let (interval, unit) = if parked { (PARKED, Unit::ParkedTrip) } else { (POLLED, Unit::RoundTrip) };
    let (work, check) =
        if parked { (Work { warm: 4, count: 60 }, 100) } else { (Work { warm: 200, count: 2_000 }, 2_000) };
    let entry = |group, build| Entry {
        group,
        interval,
        candidate: Candidate { name, place, parties: 2, unit, sleeps: parked, work, check, build },
    };
    let there_and_back: Build = Box::new(move |arena| links::round_trip(arena, clock, interval, link));
    let there: Build = Box::new(move |arena| links::one_way(arena, clock, interval, link));
    [entry(GROUPS[if parked { 2 } else { 0 }], there_and_back), entry(GROUPS[if parked { 3 } else { 1 }], there)]
}

fn all(clock: Clock, spoil: bool) -> Vec<Entry> {
    use Place::{Processes as P, Threads as T};
    const BYTES: usize = ROUND_TRIP_BYTES;
    let mut all = Vec::new();
    all.extend(entries("ours-spsc", P, false, clock, |_| Ok(links::spsc(BYTES))));
    all.extend(entries("rtrb", T, false, clock, |_| Ok(links::rtrb(BYTES / 8))));
    all.extend(entries("ours-mpmc", P, false, clock, |_| Ok(links::mpmc(FEW))));
    all.extend(entries("array-queue", T, false, clock, |_| Ok(links::shared::<ArrayQueue<u64>>(FEW))));
    all.extend(entries("mailbox", P, false, clock, links::word::<false>));
    all.extend(entries("ours-spsc", P, true, clock, |_| Ok(links::spsc_parked(BYTES))));
    all.extend(entries("ours-mpmc", P, true, clock, |_| Ok(links::mpmc_parked(FEW))));
    all.extend(entries("futex-mailbox", P, true, clock, links::word::<true>));
    all.extend(entries("pipe", P, true, clock, |_| links::pipe()));
    if spoil {
        all.extend(entries("spoilt", P, false, clock, |_| Ok(Spoilt::link(links::spsc(BYTES)))));
    }
    all
}

/// Measures what `plan.only` names (a part of `group/name`); `spoil` adds a transport that damages one message, which
/// must end the run with an error.
///
/// # Errors
/// In words for people.
pub fn run(plan: &Plan, clock: Clock, spoil: bool) -> Result<Measured, String> {
    let entries = plan.choose(all(clock, spoil), |entry| format!("{}/{}", entry.group, entry.candidate.name))?;
    let heads: Vec<_> = entries.iter().map(|entry| (entry.group, entry.interval)).collect();
    let candidates: Vec<_> = entries.into_iter().map(|entry| entry.candidate).collect();
    let mut findings = Vec::new();
    for (candidate, (group, interval)) in candidates.iter().zip(heads) {
        for class in CLASSES {
            let histogram = histogram()?;
            findings.push(Finding { group, name: candidate.name, class, interval, histogram });
        }
    }
    let mut report = Report::default();
    run::rounds(
        plan,
        &candidates,
        INSTANCES,
        &mut report,
        |rounds| rounds >= plan.rounds,
        |index, sample, samples| {
            let Some(sample) = sample else { return };
            let finding = &mut findings[index * CLASSES.len() + sample.class as usize];
            for ticks in &samples[..candidates[index].work.count as usize] {
                finding.histogram.saturating_record(clock.nanos_of(ticks.load(Relaxed)));
            }
        },
    )?;
    findings.retain(|finding| !finding.histogram.is_empty());
    Ok(Measured { findings, report, clock })
}

fn json(finding: &Finding) -> serde_json::Value {
    let mut object = serde_json::json!({
        "group": finding.group, "name": finding.name, "class": finding.class.to_string(), "unit": "ns",
        "interval": finding.interval, "count": finding.histogram.len(), "max": finding.histogram.max(),
    });
    for (name, part) in SHOWN {
        object[name] = shown(finding, part).into();
    }
    object
}

/// A percentile, if at least ten samples lie above it.
fn shown(finding: &Finding, part: f64) -> Option<u64> {
    let above = finding.histogram.len() as f64 * (1.0 - part);
    (above >= 9.99).then(|| finding.histogram.value_at_quantile(part))
}

/// The table and what was dropped.
fn table(findings: &[Finding], report: &Report, clock: Clock) -> String {
    let mut text = String::new();
    for group in GROUPS {
        for class in CLASSES {
            let mut here = findings.iter().filter(|f| f.group == group && f.class == class).peekable();
            let Some(first) = here.peek() else { continue };
            let _ = write!(text, "{group}, class {class}, a message each {} us; ns\n{:<16}", first.interval / 1000, "");
            for (name, _) in SHOWN {
                let _ = write!(text, "{name:>9}");
            }
            let _ = writeln!(text, "{:>11}{:>10}", "max", "samples");
            for finding in here {
                let _ = write!(text, "{:<16}", finding.name);
                for (_, part) in SHOWN {
                    let _ = write!(text, "{:>9}", shown(finding, part).map_or("-".into(), |nanos| nanos.to_string()));
                }
                let _ = writeln!(text, "{:>11}{:>10}", finding.histogram.max(), finding.histogram.len());
            }
            text.push('\n');
        }
    }
    let _ = writeln!(
        text,
        "Clock: {clock}; a reading takes {:.0} ns. {} A percentile is shown if ten samples lie above it.",
        clock.cost(),
        report.tally()
    );
    text
}

/// `nanos`, rounded to two figures.
fn two_figures(nanos: u64) -> u64 {
    let mut unit = 1;
    while nanos / unit >= 100 {
        unit *= 10;
    }
    (nanos + unit / 2) / unit * unit
}

/// The histogram by values of two figures, rising, with the number of samples of each: small enough for a file.
fn steps(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut steps: Vec<(u64, u64)> = Vec::new();
    for step in histogram.iter_recorded() {
        let (nanos, count) = (two_figures(step.value_iterated_to()), step.count_at_value());
        match steps.last_mut() {
            Some(last) if last.0 == nanos => last.1 += count,
            _ => steps.push((nanos, count)),
        }
    }
    steps
}

/// Writes `latency.md`, `latency.csv` (the histograms, see [`steps`]) and a plot for each group and class to `folder`, in
/// place of those of the run before. The plots are drawn from the file.
fn record(folder: &Path, findings: &[Finding], table: &str) -> Result<(), String> {
    let mut csv = String::from("group,candidate,class,interval_ns,nanoseconds,count\n");
    for finding in findings {
        let Finding { group, name, class, interval, histogram } = finding;
        for (nanos, count) in steps(histogram) {
            let _ = writeln!(csv, "{group},{name},{class},{interval},{nanos},{count}");
        }
    }
    let rows = results::keep(folder, "latency", &csv, &format!("# Latency\n\n{}", record::section(table)))?;
    for group in GROUPS {
        for class in CLASSES.map(|class| class.to_string()) {
            let mut curves: Vec<Curve> = Vec::new();
            for row in rows.iter().filter(|row| row[0] == group && row[2] == class) {
                let point = (results::number(&row[4])?, results::number(&row[5])?);
                match curves.last_mut() {
                    Some(curve) if curve.name == row[1] => curve.points.push(point),
                    _ => curves.push(Curve {
                        name: row[1].clone(),
                        points: vec![point],
                        strong: row[1].starts_with("ours"),
                    }),
                }
            }
            for curve in &mut curves {
                curve.points = nines(&curve.points);
                curve.name = legend(&curve.name).to_owned();
            }
            curves.retain(|curve| !curve.points.is_empty());
            if !curves.is_empty() {
                let file = folder.join(format!("latency-{group}-{class}.svg"));
                plot::draw(&file, &title(group, &class), Axis::Nines, "nanoseconds", &curves)?;
            }
        }
    }
    Ok(())
}

/// A candidate's name for who has not read what it is.
fn legend(name: &str) -> &str {
    match name {
        "ours-spsc" => "ring, SPSC (two processes)",
        "ours-mpmc" => "ring, MPMC (two processes)",
        "rtrb" => "rtrb (two threads)",
        "array-queue" => "crossbeam ArrayQueue (two threads)",
        "mailbox" => "one shared word, polled (two processes)",
        "futex-mailbox" => "one shared word and a futex (two processes)",
        "pipe" => "pipe (two processes)",
        other => other,
    }
}

fn title(group: &str, class: &str) -> String {
    let what = match group {
        "rtt-polled" => "Round trip of 8 bytes, both sides poll",
        "oneway-polled" => "One way, 8 bytes, both sides poll",
        "rtt-parked" => "Round trip of 8 bytes, both sides sleep",
        "oneway-parked" => "One way, 8 bytes, the receiver sleeps",
        other => other,
    };
    let place = match class {
        "S" => "two threads of one core",
        "C" => "two cores that share a cache",
        _ => "two cores that share no cache",
    };
    format!("{what}; {place}")
}

/// From buckets to (nines, nanoseconds); up to the last percentile that ten samples lie above.
fn nines(buckets: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let total: f64 = buckets.iter().map(|bucket| bucket.1).sum();
    let (mut below, mut points) = (0.0, Vec::new());
    for (nanos, count) in buckets {
        // The value at the share of samples below it: the step's left end.
        let left = total - below;
        if left >= 10.0 {
            points.push(((total / left).log10(), nanos.max(1.0)));
        }
        below += count;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_of_a_flat_distribution() {
        let points = nines(&[(100.0, 900.0), (200.0, 90.0), (300.0, 10.0)]);
        assert_eq!(points.iter().map(|p| p.1).collect::<Vec<_>>(), [100.0, 200.0, 300.0]);
        let x: Vec<_> = points.iter().map(|p| p.0.round()).collect();
        assert_eq!(x, [0.0, 1.0, 2.0]);
    }

    #[test]
    fn files_have_two_figures_and_every_sample() {
        let rounded = [0, 7, 99, 104, 105, 12_499, 995, 60_000_000_000].map(two_figures);
        assert_eq!(rounded, [0, 7, 99, 100, 110, 12_000, 1_000, 60_000_000_000]);
        let mut histogram = histogram().expect("a histogram");
        (1..=100_000).for_each(|nanos| histogram.saturating_record(nanos));
        let steps = steps(&histogram);
        assert!(steps.is_sorted_by(|a, b| a.0 < b.0), "a value once, rising");
        assert_eq!(steps.iter().map(|step| step.1).sum::<u64>(), histogram.len());
        assert_eq!(steps.len(), 99 + 3 * 90 + 1);
    }

    #[test]
    fn a_stall_of_seconds_keeps_its_length() {
        let mut histogram = histogram().expect("a histogram");
        histogram.saturating_record(3_000_000_000);
        assert!(histogram.max() >= 3_000_000_000);
    }

    #[test]
    fn a_percentile_without_samples_above_is_not_shown() {
        let mut histogram = histogram().expect("a histogram");
        (1..=1000).for_each(|nanos| histogram.saturating_record(nanos));
        let finding = Finding { group: GROUPS[0], name: "x", class: Class::C, interval: 1, histogram };
        assert_eq!(shown(&finding, 0.5), Some(500));
        assert!(shown(&finding, 0.99).is_some() && shown(&finding, 0.999).is_none());
    }
}
