//! The handshake of a sleep, taken apart so that it serves one ring or many: announce each, run the barrier once for
//! all, look at each once more, sleep on the targets, withdraw. The steps are those of `docs/protocol-waiting.md`; the
//! waits of one handle, wait sets and awaiting tasks all go through here.

use std::time::Duration;

use ring_core::{Event, Sleeper};

use crate::fork;
use crate::futex;
use crate::wait::Nothing;

/// The longest sleep: what a wake-up that was lost to a death costs.
pub const SLICE: Duration = Duration::from_millis(50);

/// The first sleep of a handle whose barrier reaches nobody: a publisher may just have missed the wish for fences.
pub(crate) const FIRST_SLICE: Duration = Duration::from_millis(1);

/// How long a wait sleeps next while somebody else is in the middle of what it waits for. He is through with it in a
/// microsecond, or dead: twice as long each time.
#[derive(Debug)]
pub(crate) struct BlockedSlice(Duration);

impl Default for BlockedSlice {
    fn default() -> Self {
        Self(Duration::from_millis(2))
    }
}

impl BlockedSlice {
    /// `time`, or less if that is why there was `nothing`.
    pub(crate) fn limit(&mut self, time: Duration, nothing: Nothing) -> Duration {
        match nothing {
            Nothing::Idle => time,
            Nothing::Blocked => {
                let next = self.0.saturating_mul(2);
                time.min(core::mem::replace(&mut self.0, next))
            }
        }
    }
}

/// By what a publisher ends a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Somebody sleeps on the event.
    Event,
    /// A task is woken by the [`chime`](crate::chime).
    #[cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]
    Chime,
}

/// What one handle has told its publishers: about its barrier, and how to wake it.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// `None` before the first sleep: whoever was there before may have left his wish.
    by: Option<By>,
    /// Whether the barrier reaches other processes; `None` before the first sleep.
    reaches: Option<bool>,
    /// Whether a whole sleep has passed since publishers were asked to fence, so that all of them know.
    known: bool,
}

impl Reach {
    /// Tells the publishers by what to end the sleep that is announced next, if it is news.
    fn wake_by(&mut self, by: By, sleeper: &Sleeper<'_>) {
        if self.by.replace(by) != Some(by) {
            sleeper.wish_for_chime(by == By::Chime);
        }
    }

    /// Tells the publishers if it is news; how long the sleep may be.
    fn note(&mut self, reaches: bool, sleeper: &Sleeper<'_>) -> Duration {
        if self.reaches != Some(reaches) {
            self.reaches = Some(reaches);
            self.known = false;
            sleeper.set_reach(reaches);
        }
        self.slice()
    }

    /// A sleep of `time` has passed to its end.
    pub(crate) fn slept(&mut self, time: Duration) {
        self.known |= time >= FIRST_SLICE;
    }

    /// How long a sleep may be.
    fn slice(&self) -> Duration {
        if self.reaches == Some(true) || self.known { SLICE } else { FIRST_SLICE }
    }
}

/// Runs the barrier between announcing sleeps and the last look before them, once for all of those announced, `any` among
/// them. Returns whether it reaches the publishers of other processes; if not they have to fence, and have to be told.
pub(crate) fn barrier(any: Option<Sleeper<'static>>) -> bool {
    let reaches = futex::barrier();
    if let (false, Some(sleeper)) = (reaches, any) {
        sleeper.fence(); // one fence of this thread orders all of its announcements
    }
    reaches
}

/// A sleep that a publisher may end, from its announcement on until it is withdrawn. Whoever holds one keeps the ring's
/// memory for longer.
#[derive(Debug)]
pub(crate) struct Announced {
    sleeper: Sleeper<'static>,
    ticket: u32,
    /// The longest this sleep may be.
    pub(crate) slice: Duration,
    /// The process image this belongs to: a forked child has no memory behind the event.
    born: u64,
    withdrawn: bool,
}

impl Announced {
    /// Announces one sleep. The barrier is still to come.
    pub(crate) fn new(sleeper: Sleeper<'static>, reach: &mut Reach, by: By) -> Self {
        reach.wake_by(by, &sleeper);
        let ticket = sleeper.announce();
        Self { sleeper, ticket, slice: SLICE, born: fork::epoch(), withdrawn: false }
    }

    /// Announces a sleep and runs its barrier. From here on a publisher wakes us; what was published before, the next
    /// look finds.
    pub(crate) fn with_barrier(sleeper: Sleeper<'static>, reach: &mut Reach, by: By) -> Self {
        let mut announced = Self::new(sleeper, reach, by);
        let reaches = reach.reaches != Some(false) && futex::barrier();
        if !reaches {
            sleeper.fence();
        }
        announced.note(reaches, reach);
        announced
    }

    /// After the [`barrier`]: how long the sleep may be. Publishers are told if it is news.
    pub(crate) fn note(&mut self, reaches: bool, reach: &mut Reach) {
        self.slice = reach.note(reaches, &self.sleeper);
    }

    /// Whether `now`, where its handle would sleep now, hears of more than this: asked after the last look, since the ring
    /// may have been closed too late for whoever closed it to see us.
    pub(crate) fn is_deaf(&self, now: Option<Sleeper<'static>>) -> bool {
        now.is_some_and(|now| !self.sleeper.hears_all_of(&now))
    }

    /// Where it is.
    pub(crate) fn sleeper(&self) -> Sleeper<'static> {
        self.sleeper
    }

    /// What to sleep on.
    pub(crate) fn event(&self) -> Event<'static> {
        self.sleeper.event()
    }

    /// Whether publishers still see it, and nobody has been at the event since: then a sleep that has ended by itself may be
    /// followed by another one after a look, without a barrier.
    pub(crate) fn stands(&self) -> bool {
        self.born == fork::epoch() && self.sleeper.stands(self.ticket)
    }

    /// It has stood for a whole sleep, which `reach` knows of. Whether it still [`stands`](Self::stands), for another one.
    pub(crate) fn outlasts(&mut self, reach: &Reach) -> bool {
        self.slice = reach.slice();
        self.stands()
    }

    /// What the event must still be.
    pub(crate) fn ticket(&self) -> u32 {
        self.ticket
    }

    /// Takes the announcement back; true if a waker had been quicker: then who leaves without having looked since must
    /// look, or pass the wake on.
    pub(crate) fn withdraw(mut self) -> bool {
        self.take_back()
    }

    fn take_back(&mut self) -> bool {
        if core::mem::replace(&mut self.withdrawn, true) || self.born != fork::epoch() {
            return false;
        }
        self.sleeper.withdraw()
    }
}

impl Drop for Announced {
    /// However the wait ends, and be it by a look that panics.
    fn drop(&mut self) {
        self.take_back();
    }
}
