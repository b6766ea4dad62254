//! The command line, and which points are tried.

use std::process::ExitCode;
use std::time::Instant;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::Failure;
use crate::backing::Backing;
use crate::bench::Bench;
use crate::chance::{Rng, mix};
use crate::operation::Operation;
use crate::pairs::{self, Pair};
use crate::plant::Plant;
use crate::seats::HEIRS;
use crate::strict;

const USAGE: &str = "\
kill-steps [--long] [--seed S] [--only OPERATION] [--kind kills|stops|pairs] [--share N]
                                                                      all operations, or one of them
kill-steps --list                                                     their names
kill-steps --point kill|stop:OPERATION:early|late:K [--seed S]        one point
kill-steps --point pair:OPERATION:K:HEIR:K                            one pair of deaths
kill-steps --plants [--only PLANT]                                    bugs that have to be found, or one of them
kill-steps --plants --list                                            their names

Each takes --backing posix|file|memfd; or --strict, for kills and stops in strict rings (--point kill|stop:OPERATION:K). The seed chooses among the points of long operations, and the pairs; with a share
of N, one of N points.";

/// Failures of one operation that are told in full.
const TOLD: usize = 4;

/// Up to here every instruction is a point, in the short form and in the long one.
const LONG: [u64; 2] = [2000, 4000];

/// Other points of a long operation, in the short form and in the long one, for each way in which peers come.
const OTHERS: [u64; 2] = [50, 500];

/// Pairs of each operation, and how many of them have the same first death, which takes longest to prepare.
const PAIRS: [(u64, u64); 2] = [(10, 10), (700, 70)];

/// The same where a planted bug is to be found.
const PLANTED_PAIRS: (u64, u64) = (80, 8);

/// The command line.
#[derive(Default)]
struct Orders {
    long: bool,
    seed: u64,
    /// One of so many points.
    share: u64,
    backing: Backing,
    strict: bool,
    only: Option<String>,
    kind: Option<String>,
    point: Option<String>,
    list: bool,
    plants: bool,
}

fn parse() -> Option<Orders> {
    let mut orders = Orders { seed: 1, share: 1, ..Orders::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--strict" => orders.strict = true,
            "--long" => orders.long = true,
            "--list" => orders.list = true,
            "--plants" => orders.plants = true,
            "--seed" => orders.seed = arguments.next()?.parse().ok()?,
            "--share" => orders.share = arguments.next()?.parse().ok().filter(|share| *share > 0)?,
            "--backing" => orders.backing = Backing::parse(&arguments.next()?)?,
            "--only" => orders.only = Some(arguments.next()?),
            "--kind" => orders.kind = Some(arguments.next()?),
            "--point" => orders.point = Some(arguments.next()?),
            _ => return None,
        }
    }
    Some(orders)
}

pub(crate) fn main() -> ExitCode {
    let Some(orders) = parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if orders.strict {
        return match pin().and_then(|()| strictly(&orders)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(e) => {
                eprintln!("kill-steps: {e}");
                ExitCode::FAILURE
            }
        };
    }
    if orders.list {
        if orders.plants {
            Plant::ALL.iter().for_each(|plant| println!("{}", plant.name()));
        } else {
            operations(orders.backing).for_each(|operation| println!("{}", operation.name));
        }
        return ExitCode::SUCCESS;
    }
    if let Some(name) = orders.only.as_deref().filter(|name| !is_known(name, &orders)) {
        eprintln!("kill-steps: there is no {name:?}; --list names them");
        return ExitCode::from(2);
    }
    let done = pin().and_then(|()| match &orders.point {
        Some(point) => one(point, orders.backing).map(|()| true),
        None if orders.plants => plants(&orders),
        None => campaign(&orders),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("kill-steps: {e}");
            ExitCode::FAILURE
        }
    }
}

fn is_known(name: &str, orders: &Orders) -> bool {
    if orders.plants {
        Plant::ALL.iter().any(|plant| plant.name() == name)
    } else {
        operations(orders.backing).any(|operation| operation.name == name)
    }
}

/// Stays on one CPU with all victims: a step is several times as dear across two.
fn pin() -> Result<(), Failure> {
    let mut cpus = CpuSet::new();
    cpus.set(nix::sched::sched_getcpu()?)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

fn operations(backing: Backing) -> impl Iterator<Item = &'static Operation> {
    crate::data::ALL.iter().chain(crate::seats::ALL).filter(move |operation| operation.is_for(backing))
}

fn bench(operation: Operation, backing: Backing, plant: Plant) -> Result<Bench, Failure> {
    let label = format!("steps-{}-{}", std::process::id(), operation.name);
    Bench::new(operation, backing, label, plant).map_err(|e| format!("{}: {e}", operation.name).into())
}

/// What came of some points.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    stops: u64,
    pairs: u64,
    /// Victims that did not go the way of the first.
    strayed: u64,
    failed: usize,
    /// The first failure.
    first: Option<String>,
    /// Of what it came.
    backing: Backing,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.stops += other.stops;
        self.pairs += other.pairs;
        self.strayed += other.strayed;
        self.failed += other.failed;
    }

    fn point(&mut self, result: Result<bool, Failure>, quiet: bool, point: impl Fn() -> String) {
        match result {
            Ok(same) => self.strayed += u64::from(!same),
            Err(e) => {
                let failure = format!("{}: {e}", point());
                if !quiet && self.failed < TOLD {
                    println!(
                        "FAILED {failure}\n  again: ci/kill-steps.sh --backing {} --point {}",
                        self.backing.name(),
                        point()
                    );
                }
                self.first.get_or_insert(failure);
                self.failed += 1;
            }
        }
    }
}

/// `early` or `late`.
fn arrival(early: bool) -> &'static str {
    if early { "early" } else { "late" }
}

/// Kills and stops at the points of one operation.
fn singles(bench: &Bench, orders: &Orders, rng: &mut Rng) -> Tally {
    let quiet = bench.plant != Plant::None;
    let mut tally = Tally { backing: orders.backing, ..Tally::default() };
    let name = bench.operation.name;
    let does = |kind: &str| orders.kind.as_deref().is_none_or(|only| only == kind);
    for early in bench.arrivals() {
        let form = usize::from(orders.long);
        for k in bench.points(early, LONG[form], OTHERS[form], rng) {
            // In the short form each point is tried either with peers before the victim, or after it.
            let half = bench.arrivals().len() == 2 && (k ^ orders.seed) & 1 == u64::from(early);
            if !orders.long && half || !rng.once_in(orders.share) {
                continue;
            }
            if does("kills") {
                tally.point(bench.kill(early, k), quiet, || format!("kill:{name}:{}:{k}", arrival(early)));
                tally.kills += 1;
            }
            if does("stops") && bench.operation.can_wait(bench.stage.backing) {
                let insist = k % 4 == 0;
                tally.point(bench.stop(early, k, insist), quiet, || format!("stop:{name}:{}:{k}", arrival(early)));
                tally.stops += 1;
            }
        }
    }
    tally
}

/// Pairs of deaths.
fn doubles(bench: &Bench, orders: &Orders, rng: &mut Rng) -> Result<Tally, Failure> {
    let mut tally = Tally { backing: orders.backing, ..Tally::default() };
    if bench.operation.makes || orders.kind.as_deref().is_some_and(|only| only != "pairs") {
        return Ok(tally);
    }
    let name = bench.operation.name;
    let planted = bench.plant != Plant::None;
    let count = if planted { PLANTED_PAIRS } else { PAIRS[usize::from(orders.long)] };
    let count = (count.0.div_ceil(orders.share), count.1);
    let mut failed = Vec::new();
    tally.pairs = pairs::run(bench, count, rng, |pair, e| failed.push((pair.clone(), e)))?;
    for (pair, e) in failed {
        let Pair { first, heir, second } = pair;
        tally.point(Err(e), planted, || format!("pair:{name}:{first}:{heir}:{second}"));
    }
    Ok(tally)
}

/// All operations, or one.
fn campaign(orders: &Orders) -> Result<bool, Failure> {
    println!("seed {}", orders.seed);
    println!(
        "{:<26} {:>12} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "operation", "instructions", "kills", "stops", "pairs", "strayed", "seconds"
    );
    let mut total = Tally::default();
    for operation in
        operations(orders.backing).filter(|operation| orders.only.as_ref().is_none_or(|only| operation.name == only))
    {
        let start = Instant::now();
        let bench = bench(*operation, orders.backing, Plant::None)?;
        let mut rng = Rng(operation.name.bytes().fold(orders.seed, |seed, byte| mix(seed ^ u64::from(byte))));
        let mut tally = singles(&bench, orders, &mut rng);
        tally.add(&doubles(&bench, orders, &mut rng)?);
        println!(
            "{:<26} {:>12} {:>8} {:>8} {:>8} {:>8} {:>7.1}",
            operation.name,
            bench.trace(false).len(),
            tally.kills,
            tally.stops,
            tally.pairs,
            tally.strayed,
            start.elapsed().as_secs_f64()
        );
        total.add(&tally);
    }
    println!("kills {}, stops {}, pairs {}", total.kills, total.stops, total.pairs);
    println!("kill points: {} tested, {} failed", total.kills + total.stops + total.pairs, total.failed);
    Ok(total.failed == 0)
}

/// One point again.
fn one(point: &str, backing: Backing) -> Result<(), Failure> {
    let find =
        |name: &str| operations(backing).find(|operation| operation.name == name).copied().ok_or("no such operation");
    match point.split(':').collect::<Vec<_>>()[..] {
        ["pair", name, first, heir, second] => {
            let heir = HEIRS.iter().find(|(_, operation)| operation.name == heir).ok_or("no such heir")?.1.name;
            let pair = Pair { first: first.parse()?, heir, second: second.parse()? };
            pairs::again(&bench(find(name)?, backing, Plant::None)?, &pair)?;
        }
        [how @ ("kill" | "stop"), name, when @ ("early" | "late"), k] => {
            let (bench, early, k) = (bench(find(name)?, backing, Plant::None)?, when == "early", k.parse()?);
            let same = if how == "kill" { bench.kill(early, k)? } else { bench.stop(early, k, true)? };
            println!("it {} the way that was written down", if same { "went" } else { "did not go" });
        }
        _ => return Err(format!("not a point: {point}").into()),
    }
    println!("kill points: 1 tested, 0 failed");
    Ok(())
}

/// Bugs that have to be found, each in one operation; or one of them.
fn plants(orders: &Orders) -> Result<bool, Failure> {
    let (mut all, backing) = (true, orders.backing);
    for plant in Plant::ALL.into_iter().filter(|plant| orders.only.as_ref().is_none_or(|only| plant.name() == only)) {
        let bench = bench(plant.operation(), backing, plant)?;
        let orders = Orders { kind: Some(plant.kind().to_owned()), backing, seed: 1, share: 1, ..Orders::default() };
        let mut rng = Rng(1);
        let mut tally = singles(&bench, &orders, &mut rng);
        let twice = doubles(&bench, &orders, &mut rng)?;
        tally.add(&twice);
        let points = tally.kills + tally.stops + tally.pairs;
        match tally.first.or(twice.first) {
            Some(first) => println!("planted {}: found at {} of {points} points; {first}", plant.name(), tally.failed),
            None => println!("planted {}: NOT FOUND at {points} points", plant.name()),
        }
        all &= tally.failed > 0;
    }
    Ok(all)
}

/// All of that in strict rings: the operations, or the planted bugs.
fn strictly(orders: &Orders) -> Result<bool, Failure> {
    let mut all = strict::operations();
    if orders.plants {
        all = Plant::STRICT.iter().map(|plant| plant.operation()).collect();
    }
    if orders.list {
        all.iter().for_each(|operation| println!("{}", operation.name));
        return Ok(true);
    }
    let wanted = orders.point.as_deref().and_then(|point| point.split(':').nth(1)).or(orders.only.as_deref());
    all.retain(|operation| wanted.is_none_or(|only| operation.name == only));
    if all.is_empty() {
        return Err("there is no such operation; --list names them".into());
    }
    let (mut total, mut found) = (Tally::default(), true);
    for operation in all {
        let (start, bench) = (Instant::now(), strict::Bench::new(operation)?);
        let (name, mut rng, mut tally) = (operation.name, Rng(orders.seed), Tally::default());
        let (trace, form) = (bench.trace(), usize::from(orders.long));
        let mut points: Vec<u64> = if trace.len() <= LONG[form] {
            (0..=trace.len()).collect()
        } else {
            let others = (0..OTHERS[form]).map(|_| rng.below(trace.len()));
            [0, trace.len()].into_iter().chain(trace.borders()).chain(others).collect()
        };
        points.retain(|_| rng.once_in(orders.share));
        let mut stops = operation.seated && !orders.plants;
        let mut kills = true;
        if let Some(point) = &orders.point {
            points = vec![point.rsplit(':').next().unwrap_or_default().parse()?];
            (kills, stops) = (point.starts_with("kill"), point.starts_with("stop"));
        }
        for k in points {
            if kills {
                tally.point(bench.kill(k), orders.plants, || format!("kill:{name}:{k} --strict"));
                tally.kills += 1;
            }
            if stops {
                tally.point(bench.stop(k), orders.plants, || format!("stop:{name}:{k} --strict"));
                tally.stops += 1;
            }
        }
        if orders.plants {
            let first = tally.first.clone().unwrap_or_else(|| "NOT FOUND".to_owned());
            println!("planted {name}, strict: found at {} of {} points; {first}", tally.failed, tally.kills);
            found &= tally.failed > 0;
        } else {
            let seconds = start.elapsed().as_secs_f64();
            let Tally { kills, stops, pairs, strayed, .. } = tally;
            let len = trace.len();
            println!("{name:<26} {len:>12} {kills:>8} {stops:>8} {pairs:>8} {strayed:>8} {seconds:>7.1}");
        }
        total.add(&tally);
    }
    if orders.plants {
        return Ok(found);
    }
    println!("kill points: {} tested, {} failed", total.kills + total.stops, total.failed);
    Ok(total.failed == 0)
}
