//! The process's waiter: threads that sleep on the events of many rings for those who cannot sleep themselves, which are
//! awaiting tasks, and wait sets of more rings than one call of the kernel takes.
//!
//! A thread (a *shard*) watches up to 127 events and its own bell. It lives while something is watched, and a second
//! longer. Every slice it wakes everybody whom it watches for, since the wake-up they wait for may have died with its
//! sender: they look, and go on waiting. Where more than two shards are busy that is done less often in proportion, so
//! that its cost stays the same: every 350 ms for 1,000 rings.
//!
//! It touches an event only under the shard's lock, under which a [`Watch`] also ends: after that the event's memory
//! may go. It never touches a ring: looking is the business of those it wakes.
#![cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]

use core::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use ring_core::{Doorbell, Event};

use crate::error::OsError;
use crate::fork;
use crate::futex::{self, MOST_TARGETS, Slept, Target};
use crate::sleep::{By, SLICE};
use crate::sys;

/// Events of one shard, besides its bell.
const ROOM: usize = MOST_TARGETS - 1;

/// For how many slices an event stays in the list of a sleeping shard though nobody waits: who waits again in time need not
/// ring.
const LINGER: u8 = 2;

/// Slices after which a thread ends that has nobody to watch for.
const IDLE_SLICES: u32 = 20;

/// The shards of this process image.
static SHARDS: Mutex<(u64, Vec<Arc<Shard>>)> = Mutex::new((0, Vec::new()));

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Events that one thread sleeps on.
#[derive(Debug)]
pub(crate) struct Shard {
    bell: Doorbell,
    state: Mutex<State>,
    /// Whether its thread is somebody's own, which also runs those who wait.
    own: bool,
}

#[derive(Debug)]
struct State {
    spots: Vec<Option<Spot>>,
    /// Whether there is a thread.
    running: bool,
    /// Whether the thread will list everybody before it sleeps again.
    lists: bool,
    /// When it will look up by itself.
    until: Instant,
    /// Slices between two looks of those who wait.
    every: u32,
    /// Whether somebody has called for a thread that is its own.
    called: bool,
}

/// One event.
#[derive(Debug)]
struct Spot {
    event: Event<'static>,
    ticket: u32,
    /// Who waits, if anybody does.
    waker: Option<Waker>,
    /// What tells of the event: else the thread sleeps on it.
    by: By,
    /// When to wake it at the latest, if before the slice is over.
    due: Option<Instant>,
    /// What the sleeping thread compares the event with.
    listed: Option<u32>,
    /// Slices since somebody waited.
    idle: u8,
    /// Whether it was woken because a slice was over.
    expired: bool,
}

/// How a wait that was watched for ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is still watched for.
    Nothing,
    /// The event has moved.
    Woken,
    /// A slice is over.
    Expired,
}

/// The right to have one event watched. The event's memory must outlive it; in a forked child, where that is gone, it
/// does nothing.
#[derive(Debug)]
pub(crate) struct Watch {
    shard: Arc<Shard>,
    slot: usize,
    born: u64,
}

impl Watch {
    /// A place for `event` in some shard.
    pub(crate) fn new(event: Event<'static>) -> Result<Self, OsError> {
        let _pause = fork::pause()?; // no child finds this lock held
        let mut shards = lock(&SHARDS);
        if shards.0 != fork::epoch() {
            // The parent's. Their locks may be held for ever, and their wakers belong to another process.
            mem::take(&mut shards.1).into_iter().for_each(mem::forget);
            shards.0 = fork::epoch();
        }
        for shard in &shards.1 {
            if let Some((watch, was_empty)) = Self::in_shard(shard, event) {
                if was_empty {
                    spread(&shards.1);
                }
                return Ok(watch);
            }
        }
        let shard = Arc::new(Shard::new(false));
        let Some((watch, _)) = Self::in_shard(&shard, event) else { unreachable!("an empty shard has room") };
        shards.1.push(shard);
        spread(&shards.1);
        Ok(watch)
    }

    /// A place for `event` in `shard`, if there is one, and whether it had none before.
    pub(crate) fn in_shard(shard: &Arc<Shard>, event: Event<'static>) -> Option<(Self, bool)> {
        let mut state = lock(&shard.state);
        let slot = state.spots.iter().position(Option::is_none).unwrap_or(state.spots.len());
        if slot >= ROOM {
            return None;
        }
        let was_empty = state.is_empty();
        if slot == state.spots.len() {
            state.spots.push(None);
        }
        let spot = Spot {
            event,
            ticket: 0,
            waker: None,
            by: By::Event,
            due: None,
            listed: None,
            idle: u8::MAX,
            expired: false,
        };
        state.spots[slot] = Some(spot);
        Some((Self { shard: Arc::clone(shard), slot, born: fork::epoch() }, was_empty))
    }

    /// Where it is, for the [`chime`](crate::chime); nobody keeps it for longer than the watch.
    #[cfg(feature = "async")]
    pub(crate) fn spot(&self) -> Place {
        Place { shard: Arc::clone(&self.shard), slot: self.slot }
    }

    /// Whether the thread that sleeps for it is that of `own`, or else one of the process's.
    pub(crate) fn is_in(&self, own: Option<&Arc<Shard>>) -> bool {
        own.map_or(!self.shard.own, |own| Arc::ptr_eq(own, &self.shard))
    }

    /// Which spot of its shard, and whether that is one of the process's.
    #[cfg(test)]
    pub(crate) fn place(&self) -> (usize, bool) {
        (self.slot, !self.shard.own)
    }

    /// Runs `f` on the spot; `None` where it is another process's.
    fn with<R>(&self, f: impl FnOnce(&mut Spot) -> R) -> Option<R> {
        if self.born != fork::epoch() {
            return None;
        }
        lock(&self.shard.state).spots.get_mut(self.slot)?.as_mut().map(f)
    }

    /// Has `waker` woken as soon as the event is not `ticket` any more, and within `due` (or else a slice) in any case.
    /// The ticket comes from an announcement, so it does not matter what has happened since.
    ///
    /// An event that is told of by the chime is not slept on: there it is [`Place::take_moved`] that wakes, or the slice.
    pub(crate) fn arm(&self, ticket: u32, waker: &Waker, due: Option<Duration>, by: By) -> Result<(), OsError> {
        let waker = waker.clone();
        let due = due.and_then(|due| Instant::now().checked_add(due));
        if self.born != fork::epoch() {
            return Ok(()); // the handle's next look says so
        }
        let mut state = lock(&self.shard.state);
        let until = state.until;
        let Some(Some(spot)) = state.spots.get_mut(self.slot) else { return Ok(()) };
        let before = spot.waker.replace(waker);
        (spot.ticket, spot.due, spot.idle, spot.expired, spot.by) = (ticket, due, 0, false, by);
        let is_slept_on = by == By::Chime || spot.listed == Some(ticket);
        let is_listed = is_slept_on && due.is_none_or(|due| until <= due);
        // The chime has been, and does not come again.
        let missed = if by == By::Chime && spot.event.has_moved(ticket) { spot.waker.take() } else { None };
        if !state.running {
            let shard = Arc::clone(&self.shard);
            sys::spawn_without_signals("ring-waiter", move || shard.run())?;
            (state.running, state.lists) = (true, true);
        } else if !state.lists && !is_listed {
            state.lists = true;
            self.shard.ring();
        }
        drop(state);
        drop(before); // a waker may run anything
        missed.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Whether it has been told of something since it was armed.
    pub(crate) fn told(&self) -> Told {
        self.with(|spot| match (&spot.waker, spot.expired) {
            (Some(_), _) => Told::Nothing,
            (None, true) => Told::Expired,
            (None, false) => Told::Woken,
        })
        .unwrap_or(Told::Woken)
    }

    /// Ends the watch, but not the right to it.
    pub(crate) fn disarm(&self) {
        let waker = self.with(|spot| spot.waker.take());
        drop(waker); // not under the lock
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.born != fork::epoch() {
            return;
        }
        let mut state = lock(&self.shard.state);
        let spot = state.spots.get_mut(self.slot).and_then(Option::take);
        let is_empty = state.is_empty();
        drop(state);
        drop(spot); // not under the lock
        if let (true, Ok(_pause)) = (is_empty && !self.shard.own, fork::pause()) {
            spread(&lock(&SHARDS).1);
        }
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.spots.iter().all(Option::is_none)
    }
}

/// Wakes them all. Whoever panics there loses his wake-up, and nobody else theirs.
pub(crate) fn wake_all(wakers: &mut Vec<Waker>) {
    for waker in wakers.drain(..) {
        let _ = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}

/// Where a watch is.
#[cfg(feature = "async")]
#[derive(Debug, Clone)]
pub(crate) struct Place {
    shard: Arc<Shard>,
    slot: usize,
}

#[cfg(feature = "async")]
impl Place {
    /// Who is to be woken since the event has moved, if anybody is.
    pub(crate) fn take_moved(&self) -> Option<Waker> {
        let mut state = lock(&self.shard.state);
        let spot = state.spots.get_mut(self.slot)?.as_mut()?;
        if spot.waker.is_some() && spot.event.has_moved(spot.ticket) { spot.waker.take() } else { None }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shard, &other.shard) && self.slot == other.slot
    }
}

/// Has the slices of all shards cost what those of two do.
fn spread(shards: &[Arc<Shard>]) {
    let busy = shards.iter().filter(|shard| !lock(&shard.state).is_empty()).count();
    let every = u32::try_from(busy.saturating_sub(1)).unwrap_or(u32::MAX).max(1);
    for shard in shards {
        lock(&shard.state).every = every;
    }
}

/// What the thread of a shard has in its hands from sleep to sleep.
#[derive(Debug)]
pub(crate) struct List {
    targets: Vec<Target>,
    wakers: Vec<Waker>,
    /// Slices without anybody to watch for.
    idle: u32,
    /// When those who wait are to look in any case.
    tick: Instant,
    faulted: bool,
}

impl List {
    pub(crate) fn new() -> Self {
        Self { targets: Vec::new(), wakers: Vec::new(), idle: 0, tick: Instant::now() + SLICE, faulted: false }
    }
}

impl Shard {
    /// One without a thread yet; or, if it is somebody's `own`, with that.
    pub(crate) fn new(own: bool) -> Self {
        let state =
            State { spots: Vec::new(), running: own, lists: own, until: Instant::now(), every: 1, called: false };
        Self { bell: Doorbell::new(), state: Mutex::new(state), own }
    }

    fn run(&self) {
        let mut list = List::new();
        while let Some((ticket, time)) = self.wake(&mut list) {
            self.sleep(&mut list, ticket, time);
        }
    }

    /// Wakes whoever is to be woken, and lists who is to be watched for; the bell's ticket, and how long to sleep at most.
    /// `None`: there has been nothing to do for long enough.
    pub(crate) fn wake(&self, list: &mut List) -> Option<(u32, Duration)> {
        let next = self.list(list);
        wake_all(&mut list.wakers);
        next
    }

    /// Sleeps until something listed has moved, or the bell has been rung since the ticket was drawn.
    pub(crate) fn sleep(&self, list: &mut List, ticket: u32, time: Duration) {
        let event = self.bell.sleeper().event();
        match futex::sleep_any((event, ticket), &list.targets, time) {
            Ok(Slept::Woken | Slept::Expired) => {}
            Ok(Slept::Faulted) => list.faulted = true,
            Err(_) => {
                // They all look, and are listed again: not more often than this.
                thread::sleep(Duration::from_millis(1));
                list.faulted = true;
            }
        }
    }

    /// Ends the sleep, be it the next one. Under the lock of the state.
    fn ring(&self) {
        self.bell.ring(|event| {
            futex::wake(event);
        });
    }

    /// Has its own thread run what it runs; rings if that sleeps, or has drawn the ticket it will sleep on.
    pub(crate) fn call(&self) {
        let mut state = lock(&self.state);
        state.called = true;
        if !mem::replace(&mut state.lists, true) {
            self.ring();
        }
    }

    /// Its own thread's: sleeps, and wakes others meanwhile, until somebody has called for it since the last time.
    pub(crate) fn sleep_until_called(&self, list: &mut List) {
        while !self.was_called() {
            let Some((ticket, time)) = self.wake(list) else { continue };
            // Not if what has just been found has called.
            if !lock(&self.state).called {
                self.sleep(list, ticket, time);
            }
        }
    }

    /// From here to the next sleep all are listed anew, so that nobody need ring.
    fn was_called(&self) -> bool {
        let mut state = lock(&self.state);
        state.lists = true;
        mem::take(&mut state.called)
    }

    fn list(&self, list: &mut List) -> Option<(u32, Duration)> {
        let faulted = mem::take(&mut list.faulted);
        let mut state = lock(&self.state);
        let now = Instant::now();
        let ticks = now >= list.tick;
        if ticks {
            list.tick = now + SLICE * state.every;
        }
        let ticket = self.bell.sleeper().announce();
        list.targets.clear();
        list.targets.push(Target::new(self.bell.sleeper().event(), ticket));
        let mut until = list.tick;
        let mut armed = 0_usize;
        for spot in state.spots.iter_mut().flatten() {
            spot.idle = spot.idle.saturating_add(u8::from(ticks));
            let moved = spot.event.has_moved(spot.ticket);
            let expired = ticks || faulted || spot.due.is_some_and(|due| now >= due);
            if moved || expired {
                if let Some(waker) = spot.waker.take() {
                    spot.expired = !moved;
                    spot.idle = 0;
                    list.wakers.push(waker);
                }
            }
            spot.listed = None;
            if spot.waker.is_some() {
                spot.listed = (spot.by == By::Event).then_some(spot.ticket);
                armed += 1;
                until = spot.due.map_or(until, |due| until.min(due));
            } else if spot.by == By::Event && spot.idle < LINGER && !faulted {
                // Who waits again draws this ticket, unless somebody is quicker.
                spot.listed = Some(spot.event.ticket_guess());
            }
            list.targets.extend(spot.listed.map(|ticket| Target::new(spot.event, ticket)));
        }
        list.idle = if armed > 0 || !list.wakers.is_empty() { 0 } else { list.idle + u32::from(ticks) };
        if list.idle > IDLE_SLICES && !self.own {
            state.running = false;
            return None;
        }
        // Whoever waits at somebody's own wakes that, which comes back before it sleeps.
        (state.lists, state.until) = (self.own && !list.wakers.is_empty(), until);
        let nobody = self.own && list.targets.len() == 1; // but for the bell
        Some((ticket, if nobody { Duration::MAX } else { until.saturating_duration_since(now) }))
    }
}

#[cfg(test)]
mod tests;
