//! Strict rings, which have no name and no successors: a victim at one end, killed or stopped at each instruction, and one
//! who lives on at the other. A producer's death leaves all that it had committed, and is told after that; a consumer's
//! is told as soon as there is no room, and no byte of what it had not given back has been written over. A hand-over
//! that ends by a death leaves an error that says so.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ring_shm::spsc::{Consumer, Producer};
use ring_shm::{HandoverError, SetupError};

use crate::Failure;
use crate::audit::{Account, Testimony};
use crate::message::{Author, Id};
use crate::operation::{Env, Operation, Who};
use crate::page::{Outcome, Page, Stage as Hand};
use crate::peer::{Arrival, Receives, Refused};
use crate::stage::{Past, SPSC};
use crate::trace::{Helper, Trace, Victim, mark};

/// How long anything may take, with much else on the machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Polls beside somebody who is stopped; the kernel is asked about him meanwhile.
const POLLS: u32 = 200;

/// A socket to hand a ring over, and how many messages lie in it before the operation.
pub(crate) struct Link {
    socket: UnixStream,
    past: usize,
}

/// The victim's handle, with the past in its ring.
pub(crate) fn producer(link: &Link) -> Result<Producer, SetupError> {
    let mut tx = Producer::create_strict(&link.socket, &SPSC.spsc(), PATIENCE)?;
    for seq in 0..link.past {
        let message = Id::new(Author::Past, seq).message();
        if let Err(e) = tx.try_send(message.tag(), message.bytes()) {
            eprintln!("the past: {e}");
        }
    }
    Ok(tx)
}

/// The same for a consumer, to whom the other end says when the past is there.
pub(crate) fn consumer(link: &Link) -> Result<Consumer, SetupError> {
    let rx = Consumer::open_strict(&link.socket, PATIENCE)?;
    let _ = (&link.socket).read_exact(&mut [0]);
    Ok(rx)
}

/// Sits down as a producer.
fn attach_producer(env: &Env<'_>) -> Result<(), Failure> {
    let link = env.link.as_ref().ok_or("no socket")?;
    mark();
    let tx = env.seated(Producer::create_strict(&link.socket, &SPSC.spsc(), PATIENCE));
    mark();
    drop(tx);
    Ok(())
}

fn attach_consumer(env: &Env<'_>) -> Result<(), Failure> {
    let link = env.link.as_ref().ok_or("no socket")?;
    mark();
    let rx = env.seated(Consumer::open_strict(&link.socket, PATIENCE));
    mark();
    drop(rx);
    Ok(())
}

/// What is tried: those operations on messages that need nobody else, and sitting down.
pub(crate) fn operations() -> Vec<Operation> {
    // The past is sent one by one.
    let past = ["padding", "across", "lazy", "behind", "train-re", "train-adopt"];
    let fits = |name: &str| name.starts_with("spsc-") && past.iter().all(|special| !name.contains(special));
    let attach = |name, who, victim| Operation::new(name, SPSC, who, crate::past::nothing, victim).unseated();
    let data = crate::data::ALL.iter().copied().filter(|operation| fits(operation.name));
    data.chain([
        attach("strict-attach-producer", Who::Producer, attach_producer),
        attach("strict-attach-consumer", Who::Consumer, attach_consumer),
    ])
    .collect()
}

/// Who lives on at the other end.
enum Mate {
    Consumer(Consumer),
    /// With where each message of the past begins.
    Producer(Producer, Vec<u64>),
}

impl Mate {
    fn new(link: &Link, victim: Who) -> Result<Self, Failure> {
        if victim == Who::Producer {
            return Ok(Self::Consumer(Consumer::open_strict(&link.socket, PATIENCE)?));
        }
        let (mut tx, mut starts) = (Producer::create_strict(&link.socket, &SPSC.spsc(), PATIENCE)?, Vec::new());
        for seq in 0..link.past {
            let message = Id::new(Author::Past, seq).message();
            starts.push(tx.stats().position.get());
            tx.try_send(message.tag(), message.bytes())?;
        }
        starts.push(tx.stats().position.get());
        if link.past > 0 {
            (&link.socket).write_all(b"!")?;
        }
        Ok(Self::Producer(tx, starts))
    }

    /// Works until it is told of an end, or for `polls` without anything to do.
    fn work(&mut self, polls: u32, got: &mut Vec<Arrival>) -> Result<Option<Refused>, Failure> {
        let (mut idle, start) = (0, Instant::now());
        while idle < polls {
            let outcome = match self {
                Self::Consumer(rx) => rx.receive().map(|arrival| got.push(arrival)),
                Self::Producer(tx, _) => tx.try_send(0, &[0xee; 8]).map(drop).map_err(Refused::from),
            };
            match outcome {
                Ok(()) => idle = 0,
                Err(Refused::Wait) => idle = idle.saturating_add(1),
                Err(end @ (Refused::Closed | Refused::Died)) => return Ok(Some(end)),
                Err(refused) => return Err(format!("{refused:?}").into()),
            }
            if start.elapsed() > PATIENCE {
                return Err("the other end is not told of any end".into());
            }
        }
        Ok(None)
    }
}

/// One operation under test.
pub(crate) struct Bench {
    pub(crate) operation: Operation,
    page: Page,
    past: Past,
    trace: Trace,
}

impl Bench {
    pub(crate) fn new(operation: Operation) -> Result<Self, Failure> {
        let mut past = Past::default();
        let count = if operation.sends > 1 || operation.name.contains("batch-abort") { 1 } else { 3 };
        (0..if operation.seated { count } else { 0 }).for_each(|_| _ = past.next());
        let mut bench = Self { operation, page: Page::new()?, past, trace: Trace::default() };
        let (mut victim, other) = bench.start()?;
        bench.trace = victim.record(|_| false)?;
        victim.kill();
        if let Other::There(helper) = other {
            helper.finish()?;
        }
        if bench.page.read().outcome() != Outcome::Done {
            return Err(format!("undisturbed, it ends with {:?}", bench.page.read().outcome()).into());
        }
        Ok(bench)
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A victim at its first mark, and the other end.
    fn start(&self) -> Result<(Victim, Other), Failure> {
        self.page.clear();
        let (here, there) = UnixStream::pair()?;
        let past = self.past.queued.len();
        let (here, there) = (Link { socket: here, past }, Link { socket: there, past });
        let (who, mut other) = (self.operation.who, None);
        let env = |link| Env {
            name: "",
            fresh: String::new(),
            shape: self.operation.shape,
            page: &self.page,
            author: Author::Victim,
            link: Some(link),
        };
        if !self.operation.seated {
            // The other end has to be at it while the victim is stepped.
            let mut ends = Some((here, there));
            let helper = Helper::spawn(|| {
                // Otherwise it would be its own peer that never goes.
                let here = ends.take().map(|(here, _)| here).ok_or("no socket")?;
                beside(&here, who)
            })?;
            let (here, there) = ends.ok_or("no socket")?;
            drop(here);
            return Ok((Victim::spawn(|| (self.operation.victim)(&env(there)))?, Other::There(helper)));
        }
        let play = || (self.operation.victim)(&env(there));
        let victim = Victim::spawn_beside(play, || {
            other = Some(Mate::new(&here, who)?);
            Ok(())
        })?;
        Ok((victim, Other::Here(other.ok_or("no other end")?)))
    }

    /// Kills a victim at `k`. Whether it went the way that was written down.
    pub(crate) fn kill(&self, k: u64) -> Result<bool, Failure> {
        let (mut victim, other) = self.start()?;
        let same = victim.advance(&self.trace, k)?;
        victim.kill();
        self.judge(other, false, Vec::new())?;
        Ok(same)
    }

    /// Stops a victim at `k`, while the other end works on; then it goes on and leaves.
    pub(crate) fn stop(&self, k: u64) -> Result<bool, Failure> {
        let (mut victim, mut other) = self.start()?;
        let same = victim.advance(&self.trace, k)?;
        victim.stop()?;
        let mut got = Vec::new();
        if let Other::Here(mate) = &mut other
            && let Some(end) = mate.work(POLLS, &mut got)?
        {
            return Err(format!("beside the stopped: {end:?}").into());
        }
        victim.resume()?;
        victim.leave()?;
        self.judge(other, true, got)?;
        Ok(same)
    }

    /// What the other end has got, up to now and from now on, is what was committed, and it is told of the end.
    fn judge(&self, other: Other, peaceful: bool, mut got: Vec<Arrival>) -> Result<(), Failure> {
        let mut mate = match other {
            Other::Here(mate) => mate,
            Other::There(helper) => return helper.finish(),
        };
        let end = mate.work(u32::MAX, &mut got)?;
        let due = if peaceful { Refused::Closed } else { Refused::Died };
        if end.as_ref() != Some(&due) {
            return Err(format!("the end that was told: {end:?}").into());
        }
        let said = self.page.read();
        let sends = self.operation.sends;
        let victims = [Testimony { author: Author::Victim, sends, whole: sends > 1, said }];
        let account = Account { shape: self.operation.shape, past: &self.past, victims: &victims, peaceful };
        match mate {
            Mate::Consumer(_) => Ok(account.judge(&got, 0)?),
            Mate::Producer(tx, starts) => {
                account.hands(0)?;
                let hands: Vec<_> = self.past.queued.iter().map(|id| account.hand(*id)).collect();
                let position = tx.stats().position.get();
                let free = |hand: &Hand| matches!(hand, Hand::Done | Hand::Releasing);
                // What it may have copied out already, it may have given back.
                let copying = said.notes.iter().any(|note| note.stage() == Hand::Copying);
                let held = hands.iter().position(|hand| !free(hand)).unwrap_or(hands.len());
                let held = (held + usize::from(copying)).min(hands.len());
                if position > starts[held] + SPSC.capacity {
                    return Err(format!("written over: message {held} from {}, up to {position}", starts[held]).into());
                }
                // A record of 16 bytes, 8 that stay free, and 8 of padding are no room.
                let done = hands.iter().position(|hand| *hand != Hand::Done).unwrap_or(hands.len());
                if position + 32 < starts[done] + SPSC.capacity {
                    return Err(format!("not given back: what lies before message {done}, up to {position}").into());
                }
                Ok(())
            }
        }
    }
}

/// The other end, in this process or in one of its own.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Other {
    Here(Mate),
    There(Helper),
}

/// The other end of a hand-over, and of the victim: what the process of it does.
fn beside(here: &Link, victim: Who) -> Result<(), Failure> {
    nix::unistd::alarm::set(30);
    match Mate::new(here, victim) {
        Ok(mut mate) => match mate.work(u32::MAX, &mut Vec::new())? {
            Some(_) => Ok(()),
            None => Err("no end".into()),
        },
        Err(e) if is_gone(&e) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether somebody died who was to hand over, or to take.
fn is_gone(error: &Failure) -> bool {
    matches!(error.downcast_ref::<SetupError>(), Some(SetupError::Handover(HandoverError::PeerGone { .. })))
}
