//! One run of a scene: a victim does its operation with one system call refused, and is looked at while it stands still.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use memmap2::MmapOptions;

use crate::Failure;
use crate::backing;
use crate::peers::{Ends, Peers};
use crate::plant::Plant;
use crate::scenes::Scene;
use crate::state::{self, Holdings};
use crate::victim::{Call, Order, Stop, Victim, mark};
use crate::{calls, scenes};

/// More system calls than any operation makes: whoever makes so many does not end.
const MANY: usize = 20_000;

/// What was seen of one run.
#[derive(Debug)]
pub(crate) struct Run {
    /// The calls of the operation and of the drop of its result, those of the allocator, and those refused by the scene, left out.
    pub(crate) calls: Vec<Call>,
    /// What the operation said; `Ok` or the error in words.
    pub(crate) said: Result<(), String>,
    /// What the victim had before.
    pub(crate) before: Holdings,
    /// The directory before.
    pub(crate) names_before: Vec<String>,
    /// The same after the operation.
    pub(crate) after: Holdings,
    pub(crate) names_after: Vec<String>,
    /// And after its result was dropped.
    pub(crate) dropped: Holdings,
    pub(crate) names_dropped: Vec<String>,
    /// What the operation said when it was done again.
    pub(crate) again: Result<(), String>,
    /// Whether its peer, if it has one, took part in a ring.
    pub(crate) shared: bool,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Whole(Box<Run>),
    /// The victim was killed by an order.
    Killed,
}

/// Runs `scene`; `order` says what becomes of which call (counted from 0).
pub(crate) fn run(scene: &Scene, plant: Plant, mut order: impl FnMut(usize, &Call) -> Order) -> Result<Ended, Failure> {
    backing::sweep()?;
    (scene.before)()?;
    let peers = Peers::start(scene.peer)?;
    let ends = peers.ends()?;
    let (mut here, there) = UnixStream::pair()?;
    let mut victim = Victim::spawn(|| play(scene, plant, there, ends))?;
    let names_before = state::directory()?;
    let pid = victim.pid().to_string();
    let before = Holdings::of(&pid)?;

    let mut calls = Vec::new();
    let (mut count, mut mute) = (0, None);
    let mut watch = |call: Call| {
        count += 1;
        if count > MANY {
            return Order::KillBefore;
        }
        if calls::is_heap(&call) {
            return Order::Go;
        }
        if !scene.unnamed && calls::asks_unnamed(&call) {
            return Order::Refuse(nix::libc::EOPNOTSUPP);
        }
        calls.push(call);
        if call.number == nix::libc::SYS_recvmsg && mute.is_none() {
            mute = peers.wait_for_message().err();
        }
        order(calls.len() - 1, &call)
    };
    if !at_mark(victim.run(&mut watch)?)? {
        return if count > MANY { Err("it does not end".into()) } else { Ok(Ended::Killed) };
    }
    let (after, names_after) = (Holdings::of(&pid)?, state::directory()?);
    let go = |_| Order::Go;
    at_mark(victim.run(go)?)?;
    let said = hear(&mut here)?;
    if !at_mark(victim.run(&mut watch)?)? {
        return Ok(Ended::Killed);
    }
    let (dropped, names_dropped) = (Holdings::of(&pid)?, state::directory()?);
    at_mark(victim.run(go)?)?;
    let again = hear(&mut here)?;
    match victim.run(go)? {
        Stop::Exited(0) => {}
        stop => return Err(format!("the victim's end: {stop:?}").into()),
    }
    if let Some(error) = mute {
        return Err(error);
    }
    let shared = peers.finish()?;
    let run = Run { calls, said, before, names_before, after, names_after, dropped, names_dropped, again, shared };
    Ok(Ended::Whole(Box::new(run)))
}

/// Whether it got to its mark, and was not killed by our order.
fn at_mark(stop: Stop) -> Result<bool, Failure> {
    match stop {
        Stop::Mark => Ok(true),
        Stop::Killed(nix::sys::signal::Signal::SIGKILL) => Ok(false),
        stop => Err(format!("the victim ended in the middle: {stop:?}").into()),
    }
}

fn hear(from: &mut UnixStream) -> Result<Result<(), String>, Failure> {
    let mut len = [0; 8];
    from.read_exact(&mut len)?;
    let mut words = vec![0; usize::from_le_bytes(len)];
    from.read_exact(&mut words)?;
    Ok(if words.is_empty() { Ok(()) } else { Err(String::from_utf8(words)?) })
}

/// The victim.
fn play(scene: &Scene, plant: Plant, mut to: UnixStream, ends: Ends) -> i32 {
    let mut operation = match (scene.ready)(ends) {
        Ok(operation) => operation,
        Err(error) => {
            eprintln!("victim: {error}");
            return 71;
        }
    };
    let mut tell = |said: &Result<scenes::Hands, String>| {
        let words = said.as_ref().err().map_or("", |error| error);
        to.write_all(&words.len().to_le_bytes()).and_then(|()| to.write_all(words.as_bytes())).is_ok()
    };
    // The allocator has some pages in hand, so that it asks for none in between.
    drop(std::hint::black_box(vec![1_u8; 100_000]));
    mark();
    plant.prepare();
    let said = plant.spoil(operation());
    mark();
    let told = tell(&said);
    mark();
    drop(said);
    mark();
    let told = tell(&operation()) && told;
    mark();
    i32::from(!told)
}

/// A mapping that nobody will take away.
pub(crate) fn leak_mapping() {
    if let Ok(map) = MmapOptions::new().len(1 << 16).no_reserve_swap().map_anon() {
        std::mem::forget(map);
    }
}
