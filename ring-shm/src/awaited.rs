//! A handle whose waits are polled. It goes through the same handshake as a parked one, but for the sleep itself: the
//! process's waiter ([`hub`](crate::hub)) sleeps in its place and wakes the task.
//!
//! Between two polls the sleep stays announced, so that a publisher's wake-up reaches the task. Whoever stops polling says
//! so by [`stop`](Awaited::stop), which futures do when they are dropped: else a publisher would wake a handle that
//! takes nothing, instead of another one.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Duration;

use ring_core::Event;

use crate::block_on;
use crate::chime::{self, Heard};
use crate::eager::Eager;
use crate::error::OsError;
use crate::futex;
use crate::hub::{Told, Watch};
use crate::sleep::{Announced, BlockedSlice, By, SLICE};
use crate::wait::{self, Ended, Nothing, Waits};

/// A handle that is polled.
#[derive(Debug)]
pub(crate) struct Awaited<H: Waits> {
    /// While a poll has found nothing and the next is to come.
    announced: Option<Announced>,
    /// That the watch is told of by a chime, if it is. Dropped before it.
    heard: Option<Heard>,
    /// Made by the first poll that finds nothing. Dropped before the handle, whose memory it watches.
    watch: Option<Watch>,
    /// How many chimes there were when one was looked for last.
    asked: u64,
    /// By what a publisher ends the sleep that is announced.
    by: By,
    blocked_slice: BlockedSlice,
    eager: Eager,
    handle: H,
}

impl<H: Waits> Awaited<H> {
    pub(crate) fn new(handle: H) -> Self {
        Self {
            announced: None,
            heard: None,
            watch: None,
            asked: 0,
            by: By::Event,
            blocked_slice: BlockedSlice::default(),
            eager: Eager::default(),
            handle,
        }
    }

    /// The handle, for calls that do not wait, or block. It waits for nothing meanwhile.
    pub(crate) fn handle(&mut self) -> &mut H {
        self.stop();
        &mut self.handle
    }

    /// Has its task polled again at once for as long, when there is nothing, before it is to be woken.
    pub(crate) fn spin_for(&mut self, time: Duration) {
        self.eager = Eager::new(time);
    }

    /// Looks; if there is nothing, the task of `cx` is woken when the next look is due. At least one look is made, and
    /// one after the sleep was announced before it says `Pending`.
    pub(crate) fn poll<T, E>(
        &mut self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut H) -> Result<Result<T, Nothing>, E>,
    ) -> Poll<Result<T, Ended<E>>> {
        self.note_slice();
        loop {
            let nothing = match look(&mut self.handle) {
                Ok(Err(nothing)) => nothing,
                found => {
                    // Whoever finds something after a refusal wakes one more if there is more (`pass_on` in ring-core).
                    self.withdraw();
                    self.eager.found();
                    return Poll::Ready(
                        found.map_err(Ended::Refused).and_then(|found| found.map_err(|_| Ended::Timeout)),
                    );
                }
            };
            if self.announced.is_none() && self.eager.spins(|| wait::of(&mut self.handle).one_cpu) {
                cx.waker().wake_by_ref(); // others have their turn in between
                return Poll::Pending;
            }
            match &self.announced {
                Some(announced)
                    if announced.stands() && !announced.is_deaf(self.handle.sleeper()) && self.is_woken_by(cx) =>
                {
                    return match self.watch(cx, nothing) {
                        Ok(()) => Poll::Pending,
                        Err(error) => {
                            self.stop();
                            Poll::Ready(Err(Ended::Os(error)))
                        }
                    };
                }
                _ => {
                    if let Err(error) = self.announce(cx) {
                        self.stop();
                        return Poll::Ready(Err(Ended::Os(error)));
                    }
                }
            }
        }
    }

    /// [`poll`](Self::poll) as a future.
    pub(crate) fn until<T, E, F>(&mut self, look: F) -> Until<'_, H, F>
    where
        F: FnMut(&mut H) -> Result<Result<T, Nothing>, E> + Unpin,
    {
        Until { awaited: self, look }
    }

    /// What the waiter has told us since the last poll.
    fn note_slice(&mut self) {
        let (Some(announced), Some(watch)) = (&mut self.announced, &self.watch) else { return };
        if watch.told() == Told::Expired {
            wait::of(&mut self.handle).reach.slept(announced.slice);
            announced.slice = SLICE;
            self.handle.slept();
        }
    }

    fn announce(&mut self, cx: &Context<'_>) -> Result<(), OsError> {
        self.announced = None; // withdrawn first: the bit is the same
        let Some(sleeper) = self.handle.sleeper() else { return Ok(()) };
        let has_own = block_on::here(cx.waker()).is_some();
        self.by = if !has_own && self.is_heard(sleeper.event())? { By::Chime } else { By::Event };
        let waiter = wait::of(&mut self.handle);
        waiter.one_cpu = futex::is_alone_on_one_cpu();
        self.announced = Some(Announced::with_barrier(sleeper, &mut waiter.reach, self.by));
        Ok(())
    }

    /// Whether that by which publishers wake us wakes the task of `cx`.
    fn is_woken_by(&self, cx: &Context<'_>) -> bool {
        match self.by {
            By::Event => true,
            By::Chime => self.serves() && block_on::here(cx.waker()).is_none(),
        }
    }

    /// Whether a chime is there for us.
    fn serves(&self) -> bool {
        self.heard.as_ref().is_some_and(Heard::is_served)
    }

    /// The same, after looking for one if there is news.
    fn is_heard(&mut self, event: Event<'static>) -> Result<bool, OsError> {
        if self.serves() {
            return Ok(true);
        }
        let made = chime::made();
        if self.asked == made {
            return Ok(false);
        }
        self.heard = None;
        let place = match &self.watch {
            Some(watch) if watch.is_in(None) => watch.spot(),
            _ => self.watch.insert(Watch::new(event)?).spot(),
        };
        self.heard = self.handle.chime_path().and_then(|path| Heard::at(&path, place));
        self.asked = made;
        Ok(self.heard.is_some())
    }

    /// A place in the waiter of the thread's own, instead of what there was.
    fn move_to(&mut self, watch: Option<Watch>) {
        (self.heard, self.asked) = (None, 0);
        self.watch = watch;
    }

    /// Has the waiter wake the task.
    fn watch(&mut self, cx: &Context<'_>, nothing: Nothing) -> Result<(), OsError> {
        let Some((event, ticket, slice)) = self.announced.as_ref().map(|one| (one.event(), one.ticket(), one.slice))
        else {
            return Ok(());
        };
        let slice = self.blocked_slice.limit(slice, nothing);
        let own = block_on::here(cx.waker());
        if !self.watch.as_ref().is_some_and(|watch| watch.is_in(own.as_ref())) {
            match own.and_then(|own| Watch::in_shard(&own, event)) {
                Some((watch, _)) => self.move_to(Some(watch)),
                // No room there: the place among the process's will do, if there is one.
                None if self.watch.as_ref().is_some_and(|watch| watch.is_in(None)) => {}
                None => {
                    self.move_to(None);
                    self.watch = Some(Watch::new(event)?);
                }
            }
        }
        let Some(watch) = &self.watch else { return Ok(()) };
        watch.arm(ticket, cx.waker(), (slice < SLICE).then_some(slice), self.by)
    }

    /// Takes the announcement back; true if a waker was quicker.
    fn withdraw(&mut self) -> bool {
        let Some(announced) = self.announced.take() else { return false };
        self.blocked_slice = BlockedSlice::default();
        if let Some(watch) = &self.watch {
            watch.disarm();
        }
        announced.withdraw()
    }

    /// Nobody polls any more for now. A wake-up that has come meanwhile goes to somebody else.
    pub(crate) fn stop(&mut self) {
        self.eager.gave_up();
        if self.withdraw() {
            self.handle.pass_wake();
        }
    }
}

impl<H: Waits> Drop for Awaited<H> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends with what a look finds.
#[derive(Debug)]
pub(crate) struct Until<'a, H: Waits, F> {
    awaited: &'a mut Awaited<H>,
    look: F,
}

impl<H: Waits, T, E, F> Future for Until<'_, H, F>
where
    F: FnMut(&mut H) -> Result<Result<T, Nothing>, E> + Unpin,
{
    type Output = Result<T, Ended<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { awaited, look } = self.get_mut();
        awaited.poll(cx, look)
    }
}

impl<H: Waits, F> Drop for Until<'_, H, F> {
    fn drop(&mut self) {
        self.awaited.stop();
    }
}

#[cfg(test)]
mod tests;
