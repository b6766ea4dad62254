//! The peers: child processes and threads that stand ready, and the driver's way of making them work together.
//!
//! Children are forked before the first thread is spawned. All of them sleep in the kernel unless they are told to do
//! something. The driver is party 0 of every candidate and runs on the first CPU.

use crate::arena::Arena;
use crate::candidate::{Maker, Place};
use crate::mailbox::{Answer, Letter, Mailbox, Order};
use crate::probe::{Probe, Walk};
use crate::seam::{Fault, Outcome, Part, Work};
use crate::sys::{self, Child};
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, Ordering::AcqRel, Ordering::Acquire};
use std::time::{Duration, Instant};

/// How long the driver waits for an answer before it declares a peer stuck.
const DEADLINE: Duration = Duration::from_secs(20);

/// One party's part of every candidate, by candidate number; empty where it has none.
pub(crate) type Parts = Vec<PartSlot>;

/// A part before and after it was made.
pub(crate) enum PartSlot {
    /// This party has nothing to do with this candidate.
    Absent,
    /// Described.
    Unmade(Maker),
    /// Ready to run.
    Made(Box<dyn Part>),
}

/// Does what `letter` says with the parts of one party.
fn obey(parts: &mut Parts, probe: Option<&mut Probe>, arrived: &AtomicU32, letter: &Letter) -> Answer {
    let mut lost = 0;
    let nothing = || Err(Fault::Setup("this peer has no such part".into()));
    let slot = parts.get_mut(letter.candidate);
    let result = match (letter.order, slot) {
        (Order::Make, Some(slot)) => match core::mem::replace(slot, PartSlot::Absent) {
            PartSlot::Unmade(maker) => maker().map(|part| {
                *slot = PartSlot::Made(part);
                Outcome::default()
            }),
            _ => nothing(),
        },
        (Order::Check, Some(PartSlot::Made(part))) => {
            meet(arrived, letter.goal);
            part.check(letter.work.count)
        }
        (Order::Slice, Some(PartSlot::Made(part))) => {
            meet(arrived, letter.goal);
            let before = sys::time_lost();
            let result = part.slice(letter.work);
            lost = sys::time_lost().wrapping_sub(before);
            result
        }
        (Order::Probe, _) => match probe {
            Some(probe) => probe.answer().map(|()| Outcome::default()),
            None => nothing(),
        },
        _ => nothing(),
    };
    Answer { result, lost }
}

/// Waits until `goal` parties have arrived in all; gives the CPU away now and then, parties may share it.
fn meet(arrived: &AtomicU32, goal: u32) {
    arrived.fetch_add(1, AcqRel);
    let mut polls = 0u32;
    while (arrived.load(Acquire).wrapping_sub(goal) as i32) < 0 {
        polls += 1;
        if polls % 256 == 0 { std::thread::yield_now() } else { spin_loop() }
    }
}

/// A peer's life: obey until told to quit.
fn serve(mailbox: &Mailbox, arrived: &AtomicU32, cpu: usize, mut parts: Parts, mut probe: Option<Probe>) {
    let pinned = sys::pin(cpu);
    let (mut seen, mut hot) = (0, false);
    loop {
        let letter = mailbox.next(&mut seen, hot);
        if letter.order == Order::Quit {
            return;
        }
        hot = letter.stay;
        let answer = match &pinned {
            Ok(()) => obey(&mut parts, probe.as_mut(), arrived, &letter),
            Err(why) => Answer { result: Err(Fault::Setup(why.clone())), lost: 0 },
        };
        mailbox.answer(&answer);
    }
}

#[derive(Debug)]
struct Peer {
    mailbox: &'static Mailbox,
    /// `None` for a thread.
    child: Option<Child>,
}

/// The driver's side of everything.
pub(crate) struct Pool {
    processes: Vec<Peer>,
    threads: Vec<Peer>,
    /// The driver's probe against the first process and the first thread.
    process_probe: Probe,
    thread_probe: Probe,
    arrived: &'static AtomicU32,
    goal: u32,
    parts: Parts,
}

/// What all parties of a candidate did together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joint {
    /// Length of the timed part.
    pub(crate) nanos: u64,
    /// True when the kernel gave more than 2 % of the time of some party's CPU to others.
    pub(crate) disturbed: bool,
}

impl Pool {
    /// Forks a process per element of `processes`, then spawns a thread per element of `threads`; element `i` holds
    /// the parts of party `i + 1`. `driver` holds those of party 0.
    pub(crate) fn start(
        arena: &mut Arena,
        cpus: [usize; 2],
        driver: Parts,
        processes: Vec<Parts>,
        threads: Vec<Parts>,
    ) -> Result<Self, String> {
        let arrived: &'static AtomicU32 = arena.one()?;
        let (process_walk, thread_walk) = (Walk::new(arena, Walk::LINES)?, Walk::new(arena, Walk::LINES)?);
        let probe = |walk, party: usize| (party == 1).then(|| Probe::new(walk));
        let mut pool = Self {
            process_probe: Probe::new(process_walk),
            thread_probe: Probe::new(thread_walk),
            processes: Vec::new(),
            threads: Vec::new(),
            arrived,
            goal: 0,
            parts: driver,
        };
        for (i, parts) in processes.into_iter().enumerate() {
            let (party, mailbox) = (i + 1, arena.one::<Mailbox>()?);
            let child = Child::spawn(|| serve(mailbox, arrived, cpus[party % 2], parts, probe(process_walk, party)))?;
            pool.processes.push(Peer { mailbox, child: Some(child) });
        }
        for (i, parts) in threads.into_iter().enumerate() {
            let (party, mailbox) = (i + 1, arena.one::<Mailbox>()?);
            std::thread::Builder::new()
                .name(format!("peer-{party}"))
                .spawn(move || serve(mailbox, arrived, cpus[party % 2], parts, probe(thread_walk, party)))
                .map_err(|e| format!("cannot spawn a peer thread: {e}"))?;
            pool.threads.push(Peer { mailbox, child: None });
        }
        sys::pin(cpus[0])?;
        Ok(pool)
    }

    fn peers(&self, place: Place, parties: usize) -> &[Peer] {
        let peers = if place == Place::Processes { &self.processes } else { &self.threads };
        &peers[..parties - 1]
    }

    /// Runs `order` in all parties of a candidate, one after the other where they need not work together.
    pub(crate) fn one_by_one(
        &mut self,
        order: Order,
        candidate: usize,
        place: Place,
        parties: usize,
    ) -> Result<(), Fault> {
        let letter = Letter { order, candidate, work: Work { warm: 0, count: 0 }, goal: 0, stay: false };
        obey(&mut self.parts, None, self.arrived, &letter).result?;
        for peer in self.peers(place, parties) {
            peer.mailbox.post(&letter);
            wait(peer, false)?.result?;
        }
        Ok(())
    }

    /// Runs `order` (check or slice) in all parties at once and compares what was sent with what was received. The
    /// first peer stays hot if `stay` says that more follows.
    pub(crate) fn together(
        &mut self,
        order: Order,
        candidate: usize,
        place: Place,
        parties: usize,
        work: Work,
        stay: bool,
    ) -> Result<Joint, Fault> {
        self.goal = self.goal.wrapping_add(parties as u32);
        let mut letter = Letter { order, candidate, work, goal: self.goal, stay };
        for peer in self.peers(place, parties) {
            peer.mailbox.post(&letter);
            letter.stay = false;
        }
        let own = obey(&mut self.parts, None, self.arrived, &letter);
        let mut answers = vec![own];
        for peer in self.peers(place, parties) {
            answers.push(wait(peer, parties > 2)?);
        }
        let lost = answers.iter().map(|answer| answer.lost).max().unwrap_or(0);
        // Who was left waiting by a party that found something wrong knows less than that party.
        let told = |answer: &&Answer| matches!(answer.result, Err(ref fault) if *fault != Fault::Stuck);
        if let Some(Err(fault)) = answers.iter().find(told).map(|answer| &answer.result) {
            return Err(fault.clone());
        }
        let outcomes = answers.into_iter().map(|answer| answer.result).collect::<Result<Vec<_>, _>>()?;
        let sum = |field: fn(&Outcome) -> u64| outcomes.iter().map(field).fold(0, u64::wrapping_add);
        if sum(|o| o.sent) != sum(|o| o.received) {
            return Err(Fault::Content);
        }
        let timed = || outcomes.iter().filter(|o| o.end != 0);
        let begin = timed().map(|o| o.begin).min().unwrap_or(0);
        let end = timed().map(|o| o.end).max().unwrap_or(0);
        let nanos = end.saturating_sub(begin);
        Ok(Joint { nanos, disturbed: lost > nanos / 50 })
    }

    /// The raw round trip between the driver and the first peer of `place`, in nanoseconds.
    pub(crate) fn probe(&mut self, place: Place, stay: bool) -> Result<f64, Fault> {
        let (peers, probe) = match place {
            Place::Processes => (&self.processes, &mut self.process_probe),
            Place::Threads => (&self.threads, &mut self.thread_probe),
        };
        let peer = peers.first().ok_or_else(|| Fault::Setup("there is no peer to probe".into()))?;
        peer.mailbox.post(&Letter {
            order: Order::Probe,
            candidate: 0,
            work: Work { warm: 0, count: 0 },
            goal: 0,
            stay,
        });
        let nanos = probe.measure()?;
        wait(peer, false)?.result?;
        Ok(nanos)
    }
}

/// Waits for a peer's answer; `crowded` when the peer may need this CPU.
fn wait(peer: &Peer, crowded: bool) -> Result<Answer, Fault> {
    let start = Instant::now();
    let mut polls = 0u32;
    loop {
        if let Some(answer) = peer.mailbox.answered() {
            return Ok(answer);
        }
        polls = polls.wrapping_add(1);
        if crowded && polls % 64 == 0 {
            std::thread::yield_now();
        }
        if polls % 65_536 == 0
            && (start.elapsed() > DEADLINE || peer.child.as_ref().is_some_and(|child| !child.alive()))
        {
            return Err(Fault::Stuck);
        }
        spin_loop();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Threads end with the process at the latest; children are killed by their own drop.
        for peer in self.threads.iter().chain(&self.processes) {
            let letter =
                Letter { order: Order::Quit, candidate: 0, work: Work { warm: 0, count: 0 }, goal: 0, stay: false };
            peer.mailbox.post(&letter);
        }
    }
}
