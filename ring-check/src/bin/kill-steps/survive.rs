//! What the living do after a death, and beside somebody who is stopped: work through the ring, take the places that
//! have become free, and come to an orderly end. Nobody may be stuck.

use std::time::{Duration, Instant};

use ring_shm::SetupError;

use crate::Failure;
use crate::audit::Account;
use crate::message::{Author, Id};
use crate::operation::{Operation, Who};
use crate::peer::{self, Arrival, Kind, Receives, Refused, Sends};
use crate::plant::{self, Plant};
use crate::stage::{Shape, Stage};

/// How long anything may take on this machine, with two rounds of looking at everything.
const PATIENCE: Duration = Duration::from_millis(400);

/// How long a stopped victim is in the way: beyond the time after which the living ask about it, more than once.
const INSISTENCE: Duration = Duration::from_micros(2500);

/// Polls after which a ring is taken for empty, and an end would have been told.
const POLLS: u32 = 130;

/// How a session ended, as a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Died,
}

/// The living of one point.
pub(crate) struct Living<'a> {
    stage: &'a Stage,
    shape: Shape,
    name: &'a str,
    tx: Vec<Box<dyn Sends>>,
    rx: Vec<Box<dyn Receives>>,
    pub(crate) got: Vec<Arrival>,
    pub(crate) sent: usize,
    ends: Vec<End>,
    /// Somebody has closed the ring for good.
    closed: bool,
    plant: Plant,
}

impl<'a> Living<'a> {
    /// Nobody yet, in the ring of `name`.
    pub(crate) fn nobody(stage: &'a Stage, name: &'a str) -> Self {
        Self {
            stage,
            shape: stage.shape,
            name,
            tx: Vec::new(),
            rx: Vec::new(),
            got: Vec::new(),
            sent: 0,
            ends: Vec::new(),
            closed: false,
            plant: Plant::None,
        }
    }

    /// With a bug planted into them.
    pub(crate) fn planted(self, plant: Plant) -> Self {
        Self { plant, ..self }
    }

    /// Those who are there before the victim: as many as leave it its place.
    pub(crate) fn before(stage: &'a Stage, who: Who) -> Result<Self, Failure> {
        let mut living = Self::nobody(stage, &stage.name);
        let (tx, rx) = room(stage.shape, who);
        if tx {
            living.tx.push(stage.shape.kind.sender(&stage.name)?);
        }
        if rx {
            living.rx.push(stage.shape.kind.receiver(&stage.name)?);
        }
        Ok(living)
    }

    /// After a death: `account` is settled, and whoever comes can sit down and work.
    pub(crate) fn go_on(&mut self, account: &Account<'_>) -> Result<(), String> {
        self.receiver()?;
        let owed = account.owed();
        let start = Instant::now();
        // The ring may have ended without the receiver knowing, and messages of the dead may take a while.
        while self.drain()? && owed.iter().any(|id| !self.got.iter().any(|arrival| arrival.id == *id)) {
            if start.elapsed() > PATIENCE {
                break; // the account tells what is missing
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        account.judge(&self.got, self.sent)?;
        self.laps(account)
    }

    /// Whoever comes can sit down and work, to an orderly end.
    pub(crate) fn laps(&mut self, account: &Account<'_>) -> Result<(), String> {
        self.receiver()?;
        if !self.closed {
            self.sender()?;
        }
        self.work()?;
        self.end()?;
        account.judge(&self.got, self.sent)
    }

    /// A receiver if there is none.
    fn receiver(&mut self) -> Result<(), String> {
        if self.rx.is_empty() {
            let (kind, name) = (self.shape.kind, self.name);
            self.rx.push(seated(|| kind.receiver(name)).map_err(|e| format!("no receiver can sit down: {e}"))?);
        }
        Ok(())
    }

    /// A sender if there is none.
    fn sender(&mut self) -> Result<(), String> {
        if self.tx.is_empty() {
            let (kind, name) = (self.shape.kind, self.name);
            match seated(|| kind.sender(name)) {
                Ok(tx) => self.tx.push(tx),
                Err(SetupError::Closed) => self.closed = true,
                Err(e) => return Err(format!("no sender can sit down: {e}")),
            }
        }
        Ok(())
    }

    /// Receives until nothing comes; false when the ring has ended.
    fn drain(&mut self) -> Result<bool, String> {
        let (mut polls, start) = (0, Instant::now());
        while polls < POLLS {
            for index in 0..self.rx.len() {
                match self.rx[index].receive() {
                    Ok(arrival) => {
                        self.note(arrival);
                        polls = 0;
                    }
                    Err(Refused::Closed) if self.shape.kind == Kind::Mpmc => return Ok(false),
                    Err(Refused::Closed) => self.ends.push(End::Closed),
                    Err(Refused::Died) => self.ends.push(End::Died),
                    Err(Refused::Wait) => polls += 1,
                    Err(Refused::Busy) => {
                        if start.elapsed() > PATIENCE {
                            return Err("a receiver is blocked for ever".into());
                        }
                    }
                    Err(Refused::Wrong(what)) => return Err(format!("receiving: {what}")),
                }
            }
        }
        Ok(true)
    }

    fn note(&mut self, arrival: Arrival) {
        let flagged = arrival.flagged && !self.plant.hides();
        self.got.push(Arrival { flagged, ..arrival });
    }

    /// Several laps, with successors beside those who were there where the ring has places for them.
    fn work(&mut self) -> Result<(), String> {
        let (kind, name) = (self.shape.kind, self.name);
        let places = self.shape.participants as usize;
        if !self.closed && !self.shape.single.0 && places > 2 {
            match seated(|| kind.sender(name)) {
                Ok(tx) => self.tx.push(tx),
                Err(SetupError::Closed) => self.closed = true,
                Err(e) => return Err(format!("a second sender: {e}")),
            }
        }
        if !self.shape.single.1 && places > 3 {
            self.rx.push(seated(|| kind.receiver(name)).map_err(|e| format!("a second receiver: {e}"))?);
        }
        if self.closed {
            return Ok(());
        }
        for turn in 0..self.shape.laps() {
            let (start, count) = (Instant::now(), self.tx.len());
            loop {
                match self.tx[turn % count].send(Id::new(Author::Survivor, self.sent)) {
                    Ok(()) => {
                        self.sent += 1;
                        break;
                    }
                    Err(Refused::Closed) if kind == Kind::Mpmc => {
                        self.closed = true;
                        return Ok(());
                    }
                    Err(Refused::Wrong(what)) => return Err(format!("sending: {what}")),
                    Err(refused) if start.elapsed() > PATIENCE => {
                        return Err(format!("a sender is stuck: {refused:?}, {:?}", self.state()));
                    }
                    Err(_) => self.take(turn)?,
                }
            }
            if turn % 3 != 0 {
                self.take(turn)?;
            }
        }
        if self.drain()? { Ok(()) } else { Err("the ring has ended without being closed".into()) }
    }

    /// Receives one message if there is one.
    fn take(&mut self, turn: usize) -> Result<(), String> {
        let count = self.rx.len();
        match self.rx[turn % count].receive() {
            Ok(arrival) => self.note(arrival),
            Err(Refused::Wrong(what)) => return Err(format!("receiving: {what}")),
            Err(Refused::Closed) if self.shape.kind == Kind::Spsc => self.ends.push(End::Closed),
            Err(Refused::Died) => self.ends.push(End::Died),
            Err(_) => {}
        }
        Ok(())
    }

    /// The orderly end, which must be told.
    fn end(&mut self) -> Result<(), String> {
        let start = Instant::now();
        match self.shape.kind {
            Kind::Spsc => {
                let before = self.ends.len();
                self.tx.clear();
                while self.ends.len() == before && start.elapsed() < PATIENCE {
                    self.drain()?;
                }
                if self.ends[before..] == [End::Closed] { Ok(()) } else { Err(format!("the end: {:?}", self.ends)) }
            }
            Kind::Mpmc => {
                if let Some(tx) = self.tx.first_mut() {
                    tx.close().map_err(|refused| format!("closing: {refused:?}"))?;
                }
                while self.drain()? {
                    if start.elapsed() > PATIENCE {
                        return Err(format!("the end is not told: {:?}", self.state()));
                    }
                }
                Ok(())
            }
        }
    }

    /// The ends that an SPSC receiver was told of while nobody but the past and the victim had sent: that of the past,
    /// and `last` for the victim if it has sat there all the time.
    pub(crate) fn check_ends(&self, operation: &Operation, killed: bool) -> Result<(), String> {
        if self.shape.kind == Kind::Mpmc || operation.who != Who::Producer || !operation.seated {
            return Ok(());
        }
        let expected: &[&[End]] = match (killed, operation.leaves) {
            (true, false) => &[&[End::Closed, End::Died]],
            (true, true) => &[&[End::Closed, End::Died], &[End::Closed, End::Closed]],
            (false, _) => &[&[End::Closed, End::Closed]],
        };
        // The last one is that of the survivors.
        let told = self.ends.len().checked_sub(1).map_or(&[][..], |count| &self.ends[..count]);
        if expected.contains(&told) { Ok(()) } else { Err(format!("the ends that were told: {told:?}")) }
    }

    /// Beside a victim that is stopped: a lap of work, as far as it goes. Nobody may take it for dead.
    pub(crate) fn work_beside(&mut self, operation: &Operation, dead: bool, insist: bool) -> Result<(), String> {
        if self.plant == Plant::StoppedIsDead {
            plant::declare_dead(self.name).map_err(|e| format!("planting: {e}"))?;
        }
        let start = Instant::now();
        let lap = self.shape.laps();
        // A full SPSC ring asks the kernel by itself, at the 64th poll.
        let (mut turn, mut blocked) = (0, insist && self.shape.kind == Kind::Mpmc);
        let mut idle = 0;
        // Until neither side gets on; then they ask for a while who that is.
        let polls = if self.shape.kind == Kind::Spsc { POLLS } else { 3 };
        while turn < lap && (idle < polls || blocked && start.elapsed() < INSISTENCE) {
            let mut went_on = false;
            if let Some(tx) = self.tx.first_mut() {
                match tx.send(Id::new(Author::Survivor, self.sent)) {
                    Ok(()) => {
                        self.sent += 1;
                        turn += 1;
                        went_on = true;
                    }
                    Err(Refused::Wait) => {}
                    Err(Refused::Busy) => blocked = true,
                    Err(Refused::Closed) if operation.leaves => self.tx.clear(),
                    Err(refused) => return Err(format!("a sender beside the stopped: {refused:?}")),
                }
            }
            if let Some(rx) = self.rx.first_mut() {
                match rx.receive() {
                    Ok(arrival) => {
                        self.note(arrival);
                        went_on = true;
                    }
                    Err(Refused::Wait) => {}
                    Err(Refused::Busy) => blocked = true,
                    // The past has ended, or the victim is just closing.
                    Err(Refused::Closed) if self.shape.kind == Kind::Spsc => self.ends.push(End::Closed),
                    Err(Refused::Closed) if operation.leaves => break,
                    Err(Refused::Died) if dead => self.ends.push(End::Died),
                    Err(refused) => return Err(format!("a receiver beside the stopped: {refused:?}")),
                }
            }
            idle = if went_on { 0 } else { idle + 1 };
        }
        if !dead {
            self.check_nobody_declared_dead(operation)?;
        }
        Ok(())
    }

    fn check_nobody_declared_dead(&self, operation: &Operation) -> Result<(), String> {
        let settled: u64 =
            self.tx.iter().map(|tx| tx.settled()).sum::<u64>() + self.rx.iter().map(|rx| rx.settled()).sum::<u64>();
        if settled != 0 {
            return Err(format!("{settled} claims of the living were settled"));
        }
        let found = match self.shape.kind {
            Kind::Spsc => ring_shm::spsc::recover(self.name, None).map(|(_, roles)| roles.len()),
            Kind::Mpmc => ring_shm::mpmc::recover(self.name, None).map(|(_, leases)| leases.len()),
        };
        match found {
            Ok(0) => {}
            other => return Err(format!("recover, beside the stopped: {other:?}")),
        }
        // Its seat is its own.
        if operation.seated && !operation.leaves {
            let (tx, rx) = (self.shape.single.0, self.shape.single.1);
            let refused = match operation.who {
                Who::Producer if tx => self.shape.kind.sender(self.name).err(),
                Who::Consumer if rx => self.shape.kind.receiver(self.name).err(),
                _ => return Ok(()),
            };
            if !refused.as_ref().is_some_and(peer::is_taken) {
                return Err(format!("the seat of the stopped: {refused:?}"));
            }
        }
        Ok(())
    }

    /// For people.
    fn state(&self) -> String {
        match self.shape.kind {
            Kind::Spsc => format!("{:?}", ring_shm::spsc::inspect(&self.stage.name)),
            Kind::Mpmc => format!("{:?}", ring_shm::mpmc::inspect(&self.stage.name)),
        }
    }
}

/// Whether a sender and a receiver can be there beside a victim.
fn room(shape: Shape, who: Who) -> (bool, bool) {
    match who {
        Who::Producer => (!shape.single.0, true),
        Who::Consumer => (true, !shape.single.1),
        // A tool would find nobody dead if all seats were taken.
        Who::Tool => (!shape.single.0, !shape.single.1),
    }
}

/// Sits down, after those who have died.
fn seated<H>(mut open: impl FnMut() -> Result<H, SetupError>) -> Result<H, SetupError> {
    let start = Instant::now();
    loop {
        match open() {
            Err(e) if peer::is_taken(&e) && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_micros(100));
            }
            other => return other,
        }
    }
}
