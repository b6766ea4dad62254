//! One thread that waits for many rings.

use core::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use ring_core::Doorbell;

use crate::error::OsError;
use crate::futex::{self, MOST_TARGETS, Slept, Target};
use crate::guard;
use crate::hub::Watch;
use crate::sleep::{self, Announced, BlockedSlice, By, SLICE};
use crate::wait::{self, Canceller, Idle, Limit, Nothing, Park, Round, WaitStrategy};
use crate::watched::{Readiness, Waitable};

/// A handle that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// Its place among those waited for.
    pub index: usize,
    /// For what.
    pub what: Readiness,
}

/// Why a wait for many ended without any that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The time is over.
    Timeout,
    /// A [`Canceller`] of the set ended the wait.
    Cancelled,
    /// The kernel would not let this thread sleep.
    Os(OsError),
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("none of the rings was ready until the time was over"),
            Self::Cancelled => f.write_str("the wait was cancelled"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for WaitError {}

/// Waits for many handles at once: SPSC and MPMC, for data and for space, mixed.
///
/// The handles are lent to it for one wait and are their owner's again when it returns, so the list may change from wait
/// to wait. What is ready is said for every wait as long as it is so (level-triggered); every handle that is ready is in
/// the answer, and the answer begins with another one each time, so that nobody starves who handles only the first.
/// Closed rings and dead peers are answers too: take such a handle out of the list, or a closed MPMC ring ends every wait.
///
/// No sleep is longer than 50 ms without a look at every handle, so a wake-up that was lost with its sender costs that.
///
/// ```
/// use ring_shm::wait::{Readiness, WaitSet, Waitable};
/// use ring_shm::{mpmc, spsc};
///
/// let (mut orders_tx, mut orders) = spsc::heap(1 << 12)?;
/// let ring = mpmc::heap(16, 48)?;
/// let (mut ticks, mut ticks_tx) = (ring.consumer()?, ring.producer()?);
/// let mut set = WaitSet::new();
///
/// orders_tx.try_send(7, b"buy")?;
/// let ready = set.wait(&mut [&mut orders as &mut dyn Waitable, &mut ticks])?;
/// assert_eq!((ready.len(), ready[0].index, ready[0].what), (1, 0, Readiness::Data));
/// assert_eq!(orders.try_recv_into(&mut [0; 16])?.tag, 7);
///
/// std::thread::scope(|s| {
///     s.spawn(move || ticks_tx.send(8, b"tick"));
///     assert_eq!(set.wait(&mut [&mut orders as &mut dyn Waitable, &mut ticks]).unwrap()[0].index, 1);
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WaitSet {
    strategy: Box<dyn WaitStrategy>,
    /// What ends a sleep from outside.
    bell: Arc<Doorbell>,
    /// Who is looked at first.
    first: usize,
    ready: Vec<Ready>,
    /// In the order of the handles; `None` for one that cannot sleep.
    announced: Vec<Option<Announced>>,
    targets: Vec<Target>,
    /// Who watches what one call of the kernel has no room for.
    watches: Vec<Watch>,
}

impl fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitSet").field("strategy", &self.strategy).finish_non_exhaustive()
    }
}

impl Default for WaitSet {
    fn default() -> Self {
        Self::new()
    }
}

/// Events besides the bell that one call of the kernel has room for.
const ROOM: usize = MOST_TARGETS - 1;

impl WaitSet {
    /// One that parks as [`Park::default`] does.
    #[must_use]
    pub fn new() -> Self {
        Self {
            strategy: Box::new(Park::default()),
            bell: Arc::new(Doorbell::new()),
            first: 0,
            ready: Vec::new(),
            announced: Vec::new(),
            targets: Vec::new(),
            watches: Vec::new(),
        }
    }

    /// Passes the time of its waits in another way. The strategies of the handles do not matter here.
    pub fn set_wait_strategy(&mut self, strategy: impl WaitStrategy + 'static) {
        self.strategy = Box::new(strategy);
    }

    /// Something to interrupt this set's waits with, from another thread or a signal handler. One request ends one wait:
    /// the one that is on, or the next that would have to sleep.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::of_set(Arc::clone(&self.bell))
    }

    /// Waits until at least one of the handles is ready, and says which are. Without handles it waits to be cancelled.
    ///
    /// # Errors
    /// [`WaitError`], but not `Timeout`.
    pub fn wait<W: Waitable>(&mut self, handles: &mut [W]) -> Result<&[Ready], WaitError> {
        self.until(handles, Limit::Never)
    }

    /// As [`wait`](Self::wait), for `timeout` at most; zero looks once. More than the clock can count is for ever.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn wait_timeout<W: Waitable>(&mut self, handles: &mut [W], timeout: Duration) -> Result<&[Ready], WaitError> {
        self.until(handles, Limit::After(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at most; one that has passed looks once.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn wait_deadline<W: Waitable>(&mut self, handles: &mut [W], deadline: Instant) -> Result<&[Ready], WaitError> {
        self.until(handles, Limit::At(deadline))
    }

    fn until<W: Waitable>(&mut self, handles: &mut [W], limit: Limit) -> Result<&[Ready], WaitError> {
        self.first = self.first.wrapping_add(1);
        let first = self.first.checked_rem(handles.len()).unwrap_or(0);
        let mut wait = Wait { set: self, handles, first, ticket: None, outlasted: false };
        let ended = wait.run(limit);
        drop(wait);
        ended.map(|()| &*self.ready)
    }
}

/// One wait.
struct Wait<'w, W> {
    set: &'w mut WaitSet,
    handles: &'w mut [W],
    first: usize,
    /// The bell's, once a sleep has been announced.
    ticket: Option<u32>,
    /// Whether the announcements have outlasted a slice, so that the strategy is asked before the next one.
    outlasted: bool,
}

impl<W: Waitable> Wait<'_, W> {
    fn run(&mut self, limit: Limit) -> Result<(), WaitError> {
        let mut deadline = None;
        let mut one_cpu = futex::is_alone_on_one_cpu();
        let mut blocked_slice = BlockedSlice::default();
        for number in 0.. {
            let nothing = self.look();
            if !self.set.ready.is_empty() {
                self.withdraw();
                return Ok(());
            }
            if self.set.bell.is_requested() {
                return self.leave(WaitError::Cancelled);
            }
            let deadline = *deadline.get_or_insert_with(|| limit.moment());
            let left = wait::left(deadline);
            if left.is_zero() {
                return self.leave(WaitError::Timeout);
            }
            let parks = self.ticket.is_some() && !self.outlasted
                || self.set.strategy.idle(Round { number, one_cpu }) == Idle::Park;
            let ticket = self.ticket;
            match ticket {
                Some(ticket) if parks && !self.is_deaf() => {
                    let slice = self.set.announced.iter().flatten().map(|announced| announced.slice).min();
                    self.sleep(ticket, blocked_slice.limit(slice.unwrap_or(SLICE).min(left), nothing))?;
                    if self.ticket.is_none() {
                        one_cpu = futex::is_alone_on_one_cpu();
                    }
                }
                before => {
                    if before.is_some() {
                        self.withdraw_all(false); // a look follows in any case
                        one_cpu = futex::is_alone_on_one_cpu();
                    }
                    if parks {
                        self.announce();
                    }
                }
            }
        }
        Err(WaitError::Timeout) // after 2^32 looks or more
    }

    /// Looks at everybody, and notes who is ready.
    fn look(&mut self) -> Nothing {
        self.set.ready.clear();
        let mut found = Nothing::Idle;
        let (early, late) = (0..self.first, self.first..self.handles.len());
        for index in late.chain(early) {
            match self.handles[index].look() {
                Ok(what) => self.set.ready.push(Ready { index, what }),
                Err(Nothing::Blocked) => found = Nothing::Blocked,
                Err(Nothing::Idle) => {}
            }
        }
        found
    }

    /// Announces a sleep of each, and runs the barrier once for all.
    fn announce(&mut self) {
        (self.ticket, self.outlasted) = (Some(self.set.bell.sleeper().announce()), false);
        let all = &mut self.set.announced;
        all.extend(self.handles.iter_mut().map(|handle| {
            let handle = handle.waits();
            let sleeper = handle.sleeper()?;
            Some(Announced::new(sleeper, &mut wait::of(handle).reach, By::Event))
        }));
        let reaches = sleep::barrier(all.iter().flatten().map(Announced::sleeper).next());
        for (announced, handle) in all.iter_mut().zip(&mut *self.handles) {
            if let Some(announced) = announced {
                announced.note(reaches, &mut wait::of(handle.waits()).reach);
            }
        }
    }

    /// Whether one of the rings was closed since, too late for whoever closed it to see us.
    fn is_deaf(&mut self) -> bool {
        let both = self.set.announced.iter().zip(&mut *self.handles);
        both.into_iter().any(|(announced, handle)| {
            announced.as_ref().is_some_and(|announced| announced.is_deaf(handle.waits().sleeper()))
        })
    }

    fn sleep(&mut self, ticket: u32, time: Duration) -> Result<(), WaitError> {
        let WaitSet { bell, targets, announced, watches, .. } = &mut *self.set;
        let first = (bell.sleeper().event(), ticket);
        targets.clear();
        targets.push(Target::new(first.0, first.1));
        let mut all = announced.iter().flatten();
        targets.extend(all.by_ref().take(ROOM).map(|one| Target::new(one.event(), one.ticket())));
        // Those for whom one call has no room are watched by the process's waiter, who rings the bell.
        for one in all {
            let watch = Watch::new(one.event()).map_err(WaitError::Os)?;
            watch
                .arm(one.ticket(), &Waker::from(Arc::new(Rings(Arc::clone(bell)))), None, By::Event)
                .map_err(WaitError::Os)?;
            watches.push(watch);
        }
        let slept = match targets.len() {
            1 => futex::sleep(first.0, first.1, time),
            _ => futex::sleep_any(first, targets, time),
        };
        watches.clear();
        if let Ok(Slept::Expired) = slept {
            for handle in &mut *self.handles {
                let handle = handle.waits();
                wait::of(handle).reach.slept(time);
                handle.slept();
            }
            if self.outlasts(ticket) {
                self.outlasted = true;
                return Ok(());
            }
        }
        self.withdraw_all(false);
        match slept {
            Ok(Slept::Expired | Slept::Woken) => Ok(()),
            // Its memory was cut: the next look meets the guard.
            Ok(Slept::Faulted) if guard::is_on() => Ok(()),
            Ok(Slept::Faulted) => Err(WaitError::Os(OsError { call: "futex_waitv", code: libc::EFAULT })),
            Err(error) => Err(WaitError::Os(error)),
        }
    }

    /// Whether what was announced has stood for a whole sleep, of all and of the bell, and serves for another one.
    fn outlasts(&mut self, ticket: u32) -> bool {
        let mut all = self.set.bell.sleeper().stands(ticket);
        for (announced, handle) in self.set.announced.iter_mut().zip(&mut *self.handles) {
            if let Some(announced) = announced {
                all &= announced.outlasts(&wait::of(handle.waits()).reach);
            }
        }
        all
    }

    /// Takes all announcements back.
    fn withdraw(&mut self) {
        self.withdraw_all(true);
    }

    /// The same. A waker who has taken a bit counts on us to see to what it published: where nobody looks soon after
    /// (`looks`), this does, unless that handle is ready anyway.
    fn withdraw_all(&mut self, looks: bool) {
        let WaitSet { announced, ready, .. } = &mut *self.set;
        for (index, announced) in announced.drain(..).enumerate() {
            let taken = announced.is_some_and(Announced::withdraw);
            if taken && looks && !ready.iter().any(|ready| ready.index == index) {
                if let Ok(what) = self.handles[index].look() {
                    ready.push(Ready { index, what });
                }
            }
        }
        self.ticket = None;
    }

    /// Leaves empty-handed, unless there is something for which a waker has just taken us.
    fn leave(&mut self, ended: WaitError) -> Result<(), WaitError> {
        self.withdraw();
        if !self.set.ready.is_empty() {
            return Ok(());
        }
        if ended == WaitError::Cancelled {
            self.set.bell.take();
        }
        Err(ended)
    }
}

impl<W> Drop for Wait<'_, W> {
    /// However the wait ends, and be it by a look that panics: the memory of the handles is not ours.
    fn drop(&mut self) {
        self.set.watches.clear();
        self.set.announced.clear();
    }
}

/// Ends the sleep of a set.
struct Rings(Arc<Doorbell>);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.0.ring(|event| {
            futex::wake(event);
        });
    }
}

#[cfg(test)]
mod tests;
