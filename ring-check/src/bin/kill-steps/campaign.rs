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

Each takes --backing posix|file|memfd; or --strict, for kills and stops in strict rings (--point kill|stop:OPERATION:K).
The seed chooses among the points of long operations, and the pairs; with a share of N, one of N points.";

/// Failures of one operation that are told in full.
const TOLD: usize = 4;

/// A planted bug that was found at so many points is found: what is lost for good is waited for at each of them.
const FOUND: usize = 5;

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

impl Orders {
    /// Whether that operation, or that plant, is to be tried.
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }

    /// Whether points of that kind are to be tried.
    fn does(&self, kind: &str) -> bool {
        self.kind.as_deref().is_none_or(|only| only == kind)
    }

    /// What chooses among the points of that operation.
    fn rng(&self, name: &str) -> Rng {
        Rng(name.bytes().fold(self.seed, |seed, byte| mix(seed ^ u64::from(byte))))
    }
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
    let names = names(&orders);
    if orders.list {
        names.iter().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    if let Some(name) = orders.only.as_deref().filter(|name| !names.contains(name)) {
        eprintln!("kill-steps: there is no {name:?}; --list names them");
        return ExitCode::from(2);
    }
    let done = pin().and_then(|()| match &orders.point {
        Some(point) => one(point, orders.backing).map(|()| true),
        None if orders.strict => strictly(&orders),
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

/// Of all that `--only` may choose from.
fn names(orders: &Orders) -> Vec<&'static str> {
    match (orders.plants, orders.strict) {
        (true, false) => Plant::ALL.iter().map(|plant| plant.name()).collect(),
        (true, true) => Plant::STRICT.iter().map(|plant| plant.name()).collect(),
        (false, false) => operations(orders.backing).map(|operation| operation.name).collect(),
        (false, true) => strict::operations().iter().map(|operation| operation.name).collect(),
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
        self.first = self.first.take().or_else(|| other.first.clone());
    }

    fn points(&self) -> u64 {
        self.kills + self.stops + self.pairs
    }

    /// The line of one operation.
    fn say(&self, name: &str, instructions: u64, start: Instant) {
        let Self { kills, stops, pairs, strayed, .. } = self;
        let seconds = start.elapsed().as_secs_f64();
        println!("{name:<26} {instructions:>12} {kills:>8} {stops:>8} {pairs:>8} {strayed:>8} {seconds:>7.1}");
    }

    /// The lines of all of them; whether none failed.
    fn say_total(&self) -> bool {
        println!("kills {}, stops {}, pairs {}", self.kills, self.stops, self.pairs);
        println!("kill points: {} tested, {} failed", self.points(), self.failed);
        self.failed == 0
    }

    /// The line of a plant; whether it was found.
    fn say_plant(&self, plant: &str) -> bool {
        match &self.first {
            Some(first) => {
                println!("planted {plant}: found at {} of {} points; {first}", self.failed, self.points());
            }
            None => println!("planted {plant}: NOT FOUND at {} points", self.points()),
        }
        self.failed > 0
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
    for early in bench.arrivals() {
        let form = usize::from(orders.long);
        for k in bench.trace(early).points(LONG[form], OTHERS[form], rng) {
            // In the short form each point is tried either with peers before the victim, or after it.
            let half = bench.arrivals().len() == 2 && (k ^ orders.seed) & 1 == u64::from(early);
            if !orders.long && half || !rng.once_in(orders.share) {
                continue;
            }
            if quiet && tally.failed >= FOUND {
                return tally;
            }
            if orders.does("kills") {
                tally.point(bench.kill(early, k), quiet, || format!("kill:{name}:{}:{k}", arrival(early)));
                tally.kills += 1;
            }
            if orders.does("stops") && bench.operation.can_wait(bench.stage.backing) {
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
    if bench.operation.makes || !orders.does("pairs") {
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

/// The lines above those of operations.
fn say_heads(orders: &Orders) {
    println!("seed {}", orders.seed);
    println!(
        "{:<26} {:>12} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "operation", "instructions", "kills", "stops", "pairs", "strayed", "seconds"
    );
}

/// All operations, or one.
fn campaign(orders: &Orders) -> Result<bool, Failure> {
    say_heads(orders);
    let mut total = Tally::default();
    for operation in operations(orders.backing).filter(|operation| orders.wants(operation.name)) {
        let start = Instant::now();
        let bench = bench(*operation, orders.backing, Plant::None)?;
        let mut rng = orders.rng(operation.name);
        let mut tally = singles(&bench, orders, &mut rng);
        tally.add(&doubles(&bench, orders, &mut rng)?);
        tally.say(operation.name, bench.trace(false).len(), start);
        total.add(&tally);
    }
    Ok(total.say_total())
}

fn say_way(same: bool) {
    println!("it {} the way that was written down", if same { "went" } else { "did not go" });
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
            say_way(same);
        }
        [how @ ("kill" | "stop"), name, k] => {
            let operation = strict::operations().into_iter().find(|operation| operation.name == name);
            let bench = strict::Bench::new(operation.ok_or("no such operation in strict rings")?)?;
            let k = k.parse()?;
            say_way(if how == "kill" { bench.kill(k)? } else { bench.stop(k)? });
        }
        _ => return Err(format!("not a point: {point}").into()),
    }
    println!("kill points: 1 tested, 0 failed");
    Ok(())
}

/// Bugs that have to be found, each in one operation; or one of them.
fn plants(orders: &Orders) -> Result<bool, Failure> {
    let (mut all, backing) = (true, orders.backing);
    for plant in Plant::ALL.into_iter().filter(|plant| orders.wants(plant.name())) {
        let bench = bench(plant.operation(), backing, plant)?;
        let orders = Orders { kind: Some(plant.kind().to_owned()), backing, seed: 1, share: 1, ..Orders::default() };
        let mut rng = Rng(1);
        let mut tally = singles(&bench, &orders, &mut rng);
        tally.add(&doubles(&bench, &orders, &mut rng)?);
        all &= tally.say_plant(plant.name());
    }
    Ok(all)
}

/// Kills and stops of one operation of strict rings; of a plant only kills.
fn strict_singles(bench: &strict::Bench, orders: &Orders) -> Tally {
    let (name, form, planted) = (bench.operation.name, usize::from(orders.long), orders.plants);
    let (mut tally, mut rng) = (Tally::default(), orders.rng(name));
    for k in bench.trace().points(LONG[form], OTHERS[form], &mut rng) {
        if !rng.once_in(orders.share) {
            continue;
        }
        if planted && tally.failed >= FOUND {
            break;
        }
        if orders.does("kills") {
            tally.point(bench.kill(k), planted, || format!("kill:{name}:{k}"));
            tally.kills += 1;
        }
        if orders.does("stops") && bench.operation.seated && !planted {
            tally.point(bench.stop(k), planted, || format!("stop:{name}:{k}"));
            tally.stops += 1;
        }
    }
    tally
}

/// All operations of strict rings, or one.
fn strictly(orders: &Orders) -> Result<bool, Failure> {
    if orders.plants {
        let mut all = true;
        for plant in Plant::STRICT.into_iter().filter(|plant| orders.wants(plant.name())) {
            let bench = strict::Bench::new(plant.operation())?;
            all &= strict_singles(&bench, orders).say_plant(&format!("{}, strict", plant.name()));
        }
        return Ok(all);
    }
    say_heads(orders);
    let mut total = Tally::default();
    for operation in strict::operations().into_iter().filter(|operation| orders.wants(operation.name)) {
        let (start, bench) = (Instant::now(), strict::Bench::new(operation)?);
        let tally = strict_singles(&bench, orders);
        tally.say(operation.name, bench.trace().len(), start);
        total.add(&tally);
    }
    Ok(total.say_total())
}
