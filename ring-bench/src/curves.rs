//! Curves: throughput by message size, by capacity and by handles, in the rounds that `ratios` has too; and what
//! creating and opening a ring costs, by how many there are and by size (see `scaling`).

use crate::candidate::{Build, Candidate, Place, Unit};
use crate::plot::{self, Axis, Curve};
use crate::probe::Class;
use crate::registry::FEW;
use crate::reporting::Findings;
use crate::run::{self, Plan, Report};
use crate::seam::Work;
use crate::stats::Quartiles;
use crate::vyukov::Vyukov;
use crate::{bulk, ours_mpmc, record, results, rivals, scaling, sys};
use crossbeam_queue::ArrayQueue;
use std::fmt::Write as _;
use std::path::Path;

/// A curve: what it is of, what the horizontal axis is, and the unit of the figures.
type Head = (&'static str, &'static str, &'static str);
const SIZE: Head = ("size", "bytes a message", "M messages/s");
const CAPACITY: Head = ("capacity", "bytes of payload that fit", "M messages/s");
const HANDLES: Head = ("handles", "handles", "M messages/s");
const HEADS: [Head; 5] = [SIZE, CAPACITY, HANDLES, scaling::RINGS, scaling::BYTES];

/// One point.
#[derive(Clone, Debug)]
pub struct Point {
    /// Which curve, see the module.
    pub curve: &'static str,
    /// Whose.
    pub name: String,
    /// Bytes, handles or rings.
    pub x: u64,
    /// The placement; none where one process is measured alone.
    pub class: Option<Class>,
    /// M messages/s or microseconds.
    pub figure: Quartiles,
}

/// What was measured, and how.
#[derive(Clone, Debug)]
pub struct Measured {
    /// All curves.
    pub points: Vec<Point>,
    /// How much was dropped.
    pub report: Report,
}

impl Findings for Measured {
    fn table(&self) -> String {
        table(&self.points, &self.report)
    }

    fn json(&self) -> Vec<serde_json::Value> {
        self.points.iter().map(json).collect()
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn record(&self, folder: &Path, table: &str) -> Result<(), String> {
        record(folder, &self.points, table)
    }
}

/// How far the curves go.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// No ring and no message above so many bytes; a curve whose smallest is larger has no point.
    pub largest: u64,
    /// No more rings than so many at a time.
    pub rings: u64,
    /// Damage a message, which must end the run with an error.
    pub spoil: bool,
}

struct Entry {
    head: Head,
    who: &'static str,
    x: u64,
    candidate: Candidate,
}

impl Entry {
    fn new(head: Head, who: &'static str, x: usize, parties: usize, (work, check): (Work, u64), build: Build) -> Self {
        // Names live as long as the process; there are some hundred.
        let name = Box::leak(format!("{}/{who}/{x}", head.0).into_boxed_str());
        let place = if who.starts_with("ours") || who == "pipe" { Place::Processes } else { Place::Threads };
        let candidate =
            Candidate { name, place, parties, unit: Unit::Messages, sleeps: who == "pipe", work, check, build };
        Self { head, who, x: x as u64, candidate }
    }
}

/// A slice moves about two megabytes, and never fewer than a few messages nor more than some ten thousand.
fn moves(size: usize) -> (Work, u64) {
    let count = ((2 << 20) / size as u64).clamp(6, 20_000);
    (Work { warm: (count / 8).max(2), count }, count)
}

/// A slice goes once round the ring, and the check has touched all of it.
fn laps(bytes: usize) -> (Work, u64) {
    let slots = (bytes / 64) as u64;
    (Work { warm: 2_048, count: slots.max(20_000) }, 2 * slots + 2_000)
}

fn all(extent: Extent) -> Vec<Entry> {
    let mut all = Vec::new();
    let largest = usize::try_from(extent.largest).unwrap_or(usize::MAX);
    for size in [8, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20] {
        let capacity = (256 << 10).max(4 * size);
        if capacity > largest {
            break;
        }
        let mut add = |who, build| all.push(Entry::new(SIZE, who, size, 2, moves(size), build));
        add("ours-spsc", bulk::spsc(capacity, size, 0));
        add("rtrb-bytes", bulk::rtrb(capacity, size));
        add("ours-mpmc", bulk::mpmc(capacity / size, size));
        add("pipe", bulk::pipe(size));
    }
    for power in (12..=30).step_by(2) {
        let bytes = 1usize << power;
        if bytes > largest {
            break;
        }
        let mut add = |who, build| all.push(Entry::new(CAPACITY, who, bytes, 2, laps(bytes), build));
        add("ours-spsc", bulk::spsc(bytes, 64, 0));
        add("rtrb-bytes", bulk::rtrb(bytes, 64));
        add("ours-mpmc", bulk::mpmc(bytes / 64, 64));
        // Its constructor writes every slot before the peers are forked: a large one would be copied on write.
        if bytes <= 64 << 20 {
            add("array-queue", bulk::array_queue(bytes / 64));
        }
    }
    for pairs in [1, 2, 4, 8, 16, 32] {
        let work = (Work { warm: 0, count: 256 << 10 }, 20 << 10);
        let mut add = |who, build| all.push(Entry::new(HANDLES, who, 2 * pairs, 2 * pairs, work, build));
        add("ours-mpmc", ours_mpmc::one_way(FEW, pairs));
        add("array-queue", rivals::shared_one_way::<ArrayQueue<u64>>(FEW, pairs));
        add("vyukov", rivals::shared_one_way::<Vyukov<u64>>(FEW, pairs));
    }
    if extent.spoil {
        let work = moves(64);
        all.push(Entry::new(SIZE, "ours-spoilt", 64, 2, work, bulk::spsc(256 << 10, 64, work.1 + 10)));
    }
    all
}

/// Measures what `plan.only` names: a part of `curve/whose/x`; the curves that need no rounds are `rings` and `bytes`.
///
/// # Errors
/// In words for people.
pub fn run(plan: &Plan, extent: Extent) -> Result<Measured, String> {
    let mut entries = all(extent);
    entries.retain(|entry| plan.wants(entry.candidate.name));
    let (heads, candidates): (Vec<_>, Vec<_>) =
        entries.into_iter().map(|entry| ((entry.head.0, entry.who, entry.x), entry.candidate)).unzip();
    if candidates.is_empty() && !scaling::NAMES.iter().any(|name| plan.wants(name)) {
        return Err("nothing is called so; names are size/…, capacity/…, handles/…, rings and bytes".into());
    }
    // Before the first thread, as the rounds want it.
    let mut points = scaling::measure(plan, extent)?;
    let mut report = Report { interrupted: sys::interrupted(), ..Report::default() };
    if !candidates.is_empty() && !report.interrupted {
        let rate = |_, nanos| run::figure(Unit::Messages, nanos);
        points.extend(run::figures(plan, &candidates, 1, &mut report, rate)?.into_iter().map(
            |(index, class, figure)| {
                let (curve, who, x) = heads[index];
                Point { curve, name: who.into(), x, class: Some(class), figure }
            },
        ));
    }
    Ok(Measured { points, report })
}

/// Whether it is not ours.
fn is_rival(name: &str) -> bool {
    !name.starts_with("ours") && !["create", "open"].contains(&name)
}

fn class(point: &Point) -> String {
    point.class.map_or_else(|| "-".to_owned(), |class| class.to_string())
}

fn json(point: &Point) -> serde_json::Value {
    serde_json::json!({
        "curve": point.curve, "name": point.name, "x": point.x, "class": class(point), "median": point.figure.p50,
        "p25": point.figure.p25, "p75": point.figure.p75, "count": point.figure.count,
    })
}

/// The table and what was dropped.
fn table(points: &[Point], report: &Report) -> String {
    let mut text = String::new();
    for (curve, label, unit) in HEADS {
        let mut here: Vec<_> = points.iter().filter(|point| point.curve == curve).collect();
        here.sort_by_key(|point| (point.class, point.name.clone(), point.x));
        if here.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{curve}: {unit} by {label}");
        let _ = writeln!(
            text,
            "{:<14} {:>5} {:>12} {:>11} {:>11} {:>11} {:>6}",
            "", "class", "x", "median", "p25", "p75", "count"
        );
        for point in here {
            let q = point.figure;
            let _ = writeln!(
                text,
                "{:<14} {:>5} {:>12} {:>11.4} {:>11.4} {:>11.4} {:>6}",
                point.name,
                class(point),
                point.x,
                q.p50,
                q.p25,
                q.p75,
                q.count
            );
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", report.tally());
    text
}

/// Writes `curves.md`, `curves.csv` and a plot for each curve and class to `folder`, in place of those of the run
/// before. The plots are drawn from the file.
fn record(folder: &Path, points: &[Point], table: &str) -> Result<(), String> {
    let mut csv = String::from("curve,candidate,class,x,median,p25,p75,count\n");
    for point in points {
        let q = point.figure;
        let _ = writeln!(
            csv,
            "{},{},{},{},{},{},{},{}",
            point.curve,
            point.name,
            class(point),
            point.x,
            q.p50,
            q.p25,
            q.p75,
            q.count
        );
    }
    let rows = results::keep(folder, "curves", &csv, &format!("# Curves\n\n{}", record::section(table)))?;
    for (curve, label, unit) in HEADS {
        for class in ["-", "S", "C", "X"] {
            let mut curves: Vec<Curve> = Vec::new();
            for row in rows.iter().filter(|row| row[0] == curve && row[2] == class) {
                let point = (results::number(&row[3])?, results::number(&row[4])?);
                match curves.iter_mut().find(|curve| curve.name == row[1]) {
                    Some(curve) => curve.points.push(point),
                    None => {
                        curves.push(Curve { name: row[1].clone(), points: vec![point], strong: !is_rival(&row[1]) })
                    }
                }
            }
            if !curves.is_empty() {
                let (suffix, place) = if class == "-" {
                    (String::new(), String::new())
                } else {
                    (format!("-{class}"), format!(", class {class}"))
                };
                let file = folder.join(format!("curves-{curve}{suffix}.svg"));
                plot::draw(&file, &format!("{curve}{place}"), Axis::Log(label), unit, &curves)?;
            }
        }
    }
    Ok(())
}
