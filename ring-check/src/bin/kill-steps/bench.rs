//! One operation under test: its ring, its instructions, and what happens at each point of them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::Failure;
use crate::audit::{Account, Testimony};
use crate::backing::Backing;
use crate::message::Author;
use crate::operation::{Env, Operation};
use crate::page::Outcome;
use crate::peer::{self, Kind};
use crate::plant::Plant;
use crate::seats;
use crate::stage::{Past, Stage};
use crate::survive::Living;
use crate::trace::{Trace, Victim};

/// An operation that is ready to be tried.
pub(crate) struct Bench {
    pub(crate) operation: Operation,
    pub(crate) stage: Stage,
    pub(crate) past: Past,
    /// Its instructions without anybody there before, and with.
    traces: [Trace; 2],
    pub(crate) plant: Plant,
}

impl Bench {
    /// Prepares the ring of `operation`, and steps through it.
    pub(crate) fn new(operation: Operation, backing: Backing, label: String, plant: Plant) -> Result<Self, Failure> {
        let mut stage = Stage::new(backing, operation.shape, label)?;
        let past = (operation.prepare)(&stage)?;
        stage.keep()?;
        let mut bench = Self { operation, stage, past, traces: Default::default(), plant };
        for early in bench.arrivals() {
            bench.traces[usize::from(early)] = bench.record(early)?;
        }
        Ok(bench)
    }

    /// Whether peers can only come after the victim, or before it as well.
    pub(crate) fn arrivals(&self) -> Vec<bool> {
        if self.operation.makes { vec![false] } else { vec![false, true] }
    }

    pub(crate) fn trace(&self, early: bool) -> &Trace {
        &self.traces[usize::from(early)]
    }

    fn living(&self, early: bool) -> Result<Living<'_>, Failure> {
        self.stage.reset()?;
        if self.operation.makes {
            self.stage.renew()?;
        }
        Ok(if early {
            Living::before(&self.stage, self.operation.who)?
        } else {
            Living::nobody(&self.stage, &self.stage.name)
        }
        .planted(self.plant))
    }

    /// A victim at its first mark, on a ring that has been put back.
    fn victim(&self) -> Result<Victim, Failure> {
        self.stage.page.clear();
        self.stage.heir.clear();
        Victim::spawn(|| (self.operation.victim)(&Env::victim(&self.stage)))
    }

    fn record(&self, early: bool) -> Result<Trace, Failure> {
        let _living = self.living(early)?;
        let mut victim = self.victim()?;
        let mut watch = Watch::new(&self.stage, self.operation.makes.then_some(victim.pid()));
        let trace = victim.record(|call| watch.changed(call))?;
        victim.kill();
        self.stage.renew()?;
        // A repairing one may be told to wait, and one that leaves says so only afterwards.
        let outcome = self.stage.page.read().outcome();
        if matches!(outcome, Outcome::InUse | Outcome::End | Outcome::Wrong) {
            return Err(format!("undisturbed, it ends with {outcome:?}").into());
        }
        Ok(trace)
    }

    pub(crate) fn testimony(&self) -> Testimony {
        let Operation { sends, shape, .. } = self.operation;
        let said = self.stage.page.read();
        Testimony { author: Author::Victim, sends, whole: shape.kind == Kind::Spsc && sends > 1, said }
    }

    pub(crate) fn account<'a>(&'a self, victims: &'a [Testimony], peaceful: bool) -> Account<'a> {
        Account { shape: self.operation.shape, past: &self.past, victims, peaceful }
    }

    /// Runs a victim to instruction `k`, and kills it there. Whether it went the way that was written down.
    pub(crate) fn strike(&self, early: bool, k: u64) -> Result<bool, Failure> {
        let mut victim = self.victim()?;
        victim.advance(self.trace(early), k)
    }

    /// Kills a victim at `k`; the living must go on. Whether it went the way that was written down.
    pub(crate) fn kill(&self, early: bool, k: u64) -> Result<bool, Failure> {
        let mut living = self.living(early)?;
        let same = self.strike(early, k)?;
        if self.operation.makes {
            self.check_made()?;
            return Ok(same);
        }
        let victims = [self.testimony()];
        living.go_on(&self.account(&victims, false))?;
        living.check_ends(&self.operation, true)?;
        Ok(same)
    }

    /// Stops a victim at `k`; the living go on as far as they can, longer if they are to `insist`; then it goes on, and
    /// nothing may be missing.
    pub(crate) fn stop(&self, early: bool, k: u64, insist: bool) -> Result<bool, Failure> {
        let mut living = self.living(early)?;
        let mut victim = self.victim()?;
        let same = victim.advance(self.trace(early), k)?;
        victim.stop()?;
        if self.operation.makes {
            self.make_beside()?;
        } else {
            living.work_beside(&self.operation, self.past.dead, insist)?;
        }
        victim.resume()?;
        victim.leave()?;
        let said = self.stage.page.read();
        if matches!(said.outcome(), Outcome::Open | Outcome::Wrong) {
            return Err(format!("it went on, and ended with {:?}", said.outcome()).into());
        }
        if self.operation.makes {
            self.check_made()?;
            return Ok(same);
        }
        let victims = [self.testimony()];
        living.go_on(&self.account(&victims, !self.past.dead))?;
        living.check_ends(&self.operation, false)?;
        Ok(same)
    }

    /// The ring that a victim was making is whole or not there; anybody can make it, use it and remove it.
    fn check_made(&self) -> Result<(), Failure> {
        let Stage { shape, page, .. } = &self.stage;
        let fresh = &self.stage.fresh();
        if !seats::is_made(*shape, fresh)? && page.read().told > 0 {
            return Err("it was made, and is not there".into());
        }
        let others = self.stage.left_beside()?;
        if !others.is_empty() {
            return Err(format!("left behind: {others:?}").into());
        }
        seats::open_or_create(*shape, fresh)?;
        let mut living = Living::nobody(&self.stage, fresh);
        living.laps(&Account { shape: *shape, past: &Past::default(), victims: &[], peaceful: true })?;
        drop(living);
        self.stage.remove_fresh()
    }

    /// Somebody else makes the ring, or finds it; the seat in it may be the victim's already.
    fn make_beside(&self) -> Result<(), Failure> {
        match seats::open_or_create(self.stage.shape, &self.stage.fresh()) {
            Err(e) if !peer::is_taken(&e) => Err(e.into()),
            _ => Ok(()),
        }
    }
}

/// Whether a victim's segment has changed, be it the stage's or one of its own making.
struct Watch<'a> {
    stage: &'a Stage,
    /// Who makes it.
    maker: Option<i32>,
    file: Option<File>,
    before: Vec<u8>,
}

impl<'a> Watch<'a> {
    fn new(stage: &'a Stage, maker: Option<i32>) -> Self {
        let mut watch = Self { stage, maker, file: None, before: Vec::new() };
        watch.find();
        watch.changed(false);
        watch
    }

    /// What the victim makes is found among its descriptors; it has no name for most of the time.
    fn find(&mut self) {
        let Some(entries) = self.maker.and_then(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok()) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let target = std::fs::read_link(&path).unwrap_or_default();
            let file = self.stage.backing.owns(&target).then(|| File::open(&path).ok()).flatten();
            self.file = file.filter(|file| self.stage.is(file).is_ok_and(|own| !own)).or(self.file.take());
        }
    }

    /// After each instruction; `call` if it was a system call.
    fn changed(&mut self, call: bool) -> bool {
        if self.maker.is_some() && self.file.is_none() && call {
            self.find();
        }
        let now = match &self.file {
            Some(file) => file.metadata().ok().and_then(|meta| {
                let mut bytes = vec![0; usize::try_from(meta.len()).ok()?];
                file.read_exact_at(&mut bytes, 0).ok().map(|()| bytes)
            }),
            None if self.maker.is_none() => self.stage.bytes().ok(),
            None => None,
        };
        let now = now.unwrap_or_default();
        let changed = now != self.before;
        self.before = now;
        changed
    }
}
