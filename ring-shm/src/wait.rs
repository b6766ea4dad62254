//! Waiting: the loop behind every blocking call, the strategies it can follow, and how to interrupt it.
//!
//! A blocking call looks, and when there is nothing to do lets its [`WaitStrategy`] pass the time: by spinning, by
//! yielding, or by parking in the kernel. Whatever the strategy, it ends when the ring changes, when the peer has
//! closed or died, at its deadline, or when a [`Canceller`] says so. No sleep is longer than a slice, so a wake-up that
//! died with its sender costs 50 ms, and a deadline is kept to the slice.
//!
//! The protocol between sleepers and publishers: `docs/protocol-waiting.md`. How to choose: `docs/waiting.md`.

use core::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::{Doorbell, Interrupt, Sleeper};

#[cfg(feature = "async")]
pub use crate::block_on::block_on;
#[cfg(feature = "async")]
pub use crate::chime::Chime;
pub use crate::sleep::SLICE;
pub use crate::strategy::{Idle, Park, Round, Spin, SpinYield, WaitStrategy};
pub use crate::wait_set::{Ready, WaitError, WaitSet};
pub use crate::watched::{Readiness, Room, Waitable};

use crate::error::OsError;
use crate::fork;
use crate::futex::{self, Slept};
use crate::sleep::{Announced, BlockedSlice, By, Reach};

/// What a look has found that found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// Empty, or full.
    Idle,
    /// Somebody is in the middle of it.
    Blocked,
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended<E> {
    /// A look said so.
    Refused(E),
    Timeout,
    Cancelled,
    Os(OsError),
}

/// A handle that can wait.
pub(crate) trait Waits {
    /// Its place for what waiting needs, which is made by the first wait.
    fn waiter(&mut self) -> &mut Option<Box<Waiter>>;
    /// Where it sleeps.
    fn sleeper(&self) -> Option<Sleeper<'static>>;
    /// It has slept a whole slice: the next look asks about peers, whenever it asked before.
    fn slept(&mut self);
    #[cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]
    /// The way to what the chime of its ring is heard at, if anything.
    fn chime_path(&self) -> Option<PathBuf> {
        None
    }
    #[cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]
    /// It was woken, and does not look: somebody else may have to. Where there is nobody else, nothing.
    fn pass_wake(&mut self) {}
}

/// Interrupts the blocking calls of one handle, or of one [`WaitSet`], from any thread of the process or from a signal handler.
///
/// [`cancel`](Canceller::cancel) makes the call that waits now, or else the next one that would have to wait, return
/// `Cancelled`; nothing is lost or taken. One request cancels one call. After the handle is gone it does nothing.
///
/// ```
/// let (_tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
/// let canceller = rx.canceller();
/// std::thread::scope(|s| {
///     s.spawn(|| canceller.cancel());
///     assert_eq!(rx.recv_into(&mut [0; 8]), Err(ring_shm::spsc::RecvError::Cancelled));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Canceller {
    whom: Whom,
    /// The process image it belongs to: a forked child has no memory behind the event.
    born: u64,
}

#[derive(Clone)]
enum Whom {
    /// One that cannot sleep any more.
    Nobody,
    Handle(Arc<Interrupt<'static>>),
    Set(Arc<Doorbell>),
}

impl Canceller {
    /// For a wait set.
    pub(crate) fn of_set(bell: Arc<Doorbell>) -> Self {
        Self { whom: Whom::Set(bell), born: fork::epoch() }
    }

    /// Cancels. Async-signal-safe, and idempotent until the handle has noticed.
    pub fn cancel(&self) {
        if self.born != fork::epoch() {
            return;
        }
        match &self.whom {
            Whom::Nobody => {}
            Whom::Handle(interrupt) => interrupt.request(|event| {
                futex::wake(event);
            }),
            Whom::Set(bell) => bell.request(|event| {
                futex::wake(event);
            }),
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}

/// What one handle needs to wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    strategy: Box<dyn WaitStrategy>,
    interrupt: Option<Arc<Interrupt<'static>>>,
    pub(crate) reach: Reach,
    pub(crate) one_cpu: bool,
    /// The process image this belongs to.
    born: u64,
}

// A strategy that panics is lost with its wait (see `until`), so nobody meets it half done.
impl UnwindSafe for Waiter {}
impl RefUnwindSafe for Waiter {}

impl Waiter {
    fn new() -> Self {
        Self {
            strategy: Box::new(Park::default()),
            interrupt: None,
            reach: Reach::default(),
            one_cpu: futex::is_alone_on_one_cpu(),
            born: fork::epoch(),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(|interrupt| interrupt.is_requested())
    }

    fn take_interrupt(&self) {
        if let Some(interrupt) = &self.interrupt {
            interrupt.take();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let (Some(interrupt), true) = (&self.interrupt, self.born == fork::epoch()) {
            interrupt.leave(std::thread::yield_now);
        }
    }
}

/// The waiter of a handle, made if it has none.
pub(crate) fn of<H: Waits + ?Sized>(handle: &mut H) -> &mut Box<Waiter> {
    handle.waiter().get_or_insert_with(|| Box::new(Waiter::new()))
}

/// Makes a handle wait by `strategy`.
pub(crate) fn set_strategy<H: Waits>(handle: &mut H, strategy: impl WaitStrategy + 'static) {
    of(handle).strategy = Box::new(strategy);
}

/// Something to interrupt the handle's waits with. It does nothing for a handle that cannot sleep any more.
pub(crate) fn canceller<H: Waits>(handle: &mut H) -> Canceller {
    let sleeper = handle.sleeper();
    let waiter = of(handle);
    if let (None, Some(sleeper)) = (&waiter.interrupt, sleeper) {
        waiter.interrupt = Some(Arc::new(Interrupt::new(sleeper.event())));
    }
    Canceller { whom: waiter.interrupt.clone().map_or(Whom::Nobody, Whom::Handle), born: waiter.born }
}

/// When a wait has to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    Never,
    After(Duration),
    At(Instant),
}

impl Limit {
    /// The moment; `None`: never, be it because it lies beyond the clock.
    pub(crate) fn moment(self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::After(timeout) => Instant::now().checked_add(timeout),
            Self::At(moment) => Some(moment),
        }
    }
}

/// How long until the moment of a [`Limit`].
pub(crate) fn left(moment: Option<Instant>) -> Duration {
    moment.map_or(Duration::MAX, |moment| moment.saturating_duration_since(Instant::now()))
}

/// Looks until there is something, or the wait has to end. At least one look is made.
pub(crate) fn until<H: Waits, T, E>(
    handle: &mut H,
    limit: Limit,
    mut look: impl FnMut(&mut H) -> Result<Result<T, Nothing>, E>,
) -> Result<T, Ended<E>> {
    if let Ok(found) = look(handle).map_err(Ended::Refused)? {
        return Ok(found);
    }
    let deadline = limit.moment();
    // Taken out so that looks have the handle to themselves. A look that panics loses it: the next wait makes another.
    of(handle);
    let Some(mut waiter) = handle.waiter().take() else { return Err(Ended::Timeout) };
    let ended = Wait { waiter: &mut waiter, deadline, announced: None, outlasted: false }.run(handle, &mut look);
    *handle.waiter() = Some(waiter);
    ended
}

/// One look: what was found, nothing, or a refusal.
trait Look<H, T, E>: FnMut(&mut H) -> Result<Result<T, Nothing>, E> {}

impl<H, T, E, F: FnMut(&mut H) -> Result<Result<T, Nothing>, E>> Look<H, T, E> for F {}

/// One wait.
struct Wait<'w> {
    waiter: &'w mut Waiter,
    deadline: Option<Instant>,
    /// Set between announcing a sleep and withdrawing it.
    announced: Option<Announced>,
    /// Whether that has outlasted a slice, so that the strategy is asked before the next one.
    outlasted: bool,
}

impl Wait<'_> {
    fn run<H: Waits, T, E>(mut self, handle: &mut H, mut look: impl Look<H, T, E>) -> Result<T, Ended<E>> {
        let mut blocked_slice = BlockedSlice::default();
        for number in 0.. {
            let nothing = match look(handle).map_err(Ended::Refused)? {
                Ok(found) => return Ok(found),
                Err(nothing) => nothing,
            };
            if self.waiter.is_interrupted() {
                return self.leave(handle, look, |wait| {
                    wait.waiter.take_interrupt();
                    Ended::Cancelled
                });
            }
            let left = left(self.deadline);
            if left.is_zero() {
                return self.leave(handle, look, |_| Ended::Timeout);
            }
            let parks = self.announced.is_some() && !self.outlasted
                || self.waiter.strategy.idle(Round { number, one_cpu: self.waiter.one_cpu }) == Idle::Park;
            match self.announced.take() {
                Some(announced) if parks && !announced.is_deaf(handle.sleeper()) => {
                    let time = blocked_slice.limit(announced.slice.min(left), nothing);
                    if self.sleep(announced, time).map_err(Ended::Os)? == Slept::Expired {
                        handle.slept();
                    }
                }
                before => {
                    if let Some(announced) = before {
                        announced.withdraw(); // a look follows in any case
                        self.waiter.one_cpu = futex::is_alone_on_one_cpu();
                    }
                    if parks {
                        self.announce(handle.sleeper());
                    }
                }
            }
        }
        Err(Ended::Timeout) // after 2^32 looks or more
    }

    /// From here on a publisher wakes us; what was published before, the next look finds.
    fn announce(&mut self, sleeper: Option<Sleeper<'static>>) {
        let Some(sleeper) = sleeper else { return };
        self.announced = Some(Announced::with_barrier(sleeper, &mut self.waiter.reach, By::Event));
        self.outlasted = false;
    }

    /// Sleeps. An announcement that nobody has answered in all that time stays.
    fn sleep(&mut self, mut announced: Announced, time: Duration) -> Result<Slept, OsError> {
        let slept = futex::sleep(announced.event(), announced.ticket(), time);
        if let Ok(Slept::Expired) = slept {
            self.waiter.reach.slept(time);
            if announced.outlasts(&self.waiter.reach) {
                (self.announced, self.outlasted) = (Some(announced), true);
                return slept;
            }
        }
        announced.withdraw();
        self.waiter.one_cpu = futex::is_alone_on_one_cpu();
        slept
    }

    /// Leaves empty-handed; unless a waker has just taken us for somebody who will see to what it published, and that
    /// is still there.
    fn leave<H, T, E>(
        &mut self,
        handle: &mut H,
        mut look: impl Look<H, T, E>,
        ended: impl FnOnce(&mut Self) -> Ended<E>,
    ) -> Result<T, Ended<E>> {
        if self.announced.take().is_some_and(Announced::withdraw) {
            if let Ok(found) = look(handle).map_err(Ended::Refused)? {
                return Ok(found);
            }
        }
        Err(ended(self))
    }
}

#[cfg(test)]
mod tests;
