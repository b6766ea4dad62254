//! Two deaths: a victim is killed somewhere in its operation, and then an heir somewhere in what it does about that.

use crate::Failure;
use crate::audit::Testimony;
use crate::bench::Bench;
use crate::chance::Rng;
use crate::message::Author;
use crate::operation::{Env, Operation};
use crate::seats::HEIRS;
use crate::survive::Living;
use crate::trace::{Trace, Victim};

/// Where the two died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) first: u64,
    pub(crate) heir: &'static str,
    pub(crate) second: u64,
}

/// What the victim has left, and an heir that is about to find it.
struct Estate<'a> {
    bench: &'a Bench,
    bytes: Vec<u8>,
    heir: Operation,
    first: Testimony,
}

impl<'a> Estate<'a> {
    /// After the first death, at `k`.
    fn new(bench: &'a Bench, k: u64, heir: &'static str) -> Result<Self, Failure> {
        bench.stage.reset()?;
        bench.strike(false, k)?;
        let kind = bench.operation.shape.kind;
        let heir = HEIRS.iter().find(|(of, operation)| *of == kind && operation.name == heir).ok_or("no such heir")?;
        Ok(Self { bench, bytes: bench.stage.bytes()?, heir: heir.1, first: bench.testimony() })
    }

    fn spawn(&self) -> Result<Victim, Failure> {
        let stage = &self.bench.stage;
        stage.put_back(&self.bytes)?;
        stage.heir.clear();
        Victim::spawn(|| (self.heir.victim)(&Env::heir(stage)))
    }

    /// What the heir does when it is let live.
    fn record(&self) -> Result<Trace, Failure> {
        let stage = &self.bench.stage;
        let mut heir = self.spawn()?;
        let mut before = stage.bytes()?;
        heir.record(|_| {
            let now = stage.bytes().unwrap_or_default();
            let changed = now != before;
            before = now;
            changed
        })
    }

    /// Kills the heir at `k`; whoever comes then must go on.
    fn kill(&self, trace: &Trace, k: u64) -> Result<(), Failure> {
        let stage = &self.bench.stage;
        let mut heir = self.spawn()?;
        heir.advance(trace, k)?;
        heir.kill();
        let said = stage.heir.read();
        let second = Testimony { author: Author::Heir, sends: self.heir.sends, whole: false, said };
        let victims = [self.first, second];
        let mut living = Living::nobody(stage, &stage.name).planted(self.bench.plant);
        Ok(living.go_on(&self.bench.account(&victims, false))?)
    }
}

/// A point: near a change or a system call as often as not.
fn point(trace: &Trace, rng: &mut Rng) -> u64 {
    let borders = trace.borders();
    if borders.is_empty() || rng.once_in(2) { rng.below(trace.len() + 1) } else { rng.of(&borders) }
}

/// Tries `count` pairs, with `seconds` second deaths for each first one; `failed` is told of each that failed.
pub(crate) fn run(
    bench: &Bench,
    (count, seconds): (u64, u64),
    rng: &mut Rng,
    mut failed: impl FnMut(&Pair, Failure),
) -> Result<u64, Failure> {
    let kind = bench.operation.shape.kind;
    let heirs: Vec<_> = HEIRS.iter().filter(|(of, _)| *of == kind).map(|(_, operation)| operation.name).collect();
    let mut done = 0;
    while done < count {
        let (first, heir) = (point(bench.trace(false), rng), rng.of(&heirs));
        let estate = Estate::new(bench, first, heir)?;
        let trace = estate.record()?;
        for _ in 0..seconds.min(count - done) {
            let pair = Pair { first, heir, second: point(&trace, rng) };
            if let Err(e) = estate.kill(&trace, pair.second) {
                failed(&pair, e);
            }
            done += 1;
        }
    }
    Ok(done)
}

/// Tries one pair again.
pub(crate) fn again(bench: &Bench, pair: &Pair) -> Result<(), Failure> {
    let estate = Estate::new(bench, pair.first, pair.heir)?;
    let trace = estate.record()?;
    estate.kill(&trace, pair.second)
}
