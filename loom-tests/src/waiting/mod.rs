//! The models of waiting: rings of both kinds whose participants sleep, the kernel that they sleep in, and the loop that
//! leads there.
//!
//! No slice ends here but those that a model ends. So a sleeper whom nobody wakes sleeps for ever, and loom reports the
//! deadlock: that is the lost wake. Deaths that only a slice cures are left out elsewhere than in `slices.rs`.

pub mod cancel;
pub mod chime;
pub mod hub;
pub mod kernel;
pub mod larger;
pub mod mpmc;
pub mod slices;
pub mod spsc;
pub mod two;

use ring_core::{Interrupt, Sleeper, Wake};

use crate::Explore;

/// How a sleeper goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As `ring-shm/src/wait.rs` does.
    Sound,
    /// Its barrier is the kernel's, which orders nothing in the language. Sound where nobody publishes.
    KernelsBarrier,
    /// It tells nobody.
    Unannounced,
    /// It draws its ticket when its bit is set.
    TicketAfterBit,
    /// It sleeps without having looked again.
    NoSecondLook,
    /// It does not ask where it sleeps after its second look.
    DeafToTheEnd,
    /// It leaves empty-handed without a look, though somebody has taken its bit.
    LeavesBlindly,
    /// When its slice is over it sleeps again on whatever the event is now.
    SleepsOnThoughRung,
    /// When its slice is over it asks the event alone whether its announcement stands.
    BelievesTheEvent,
    /// When its slice is over and its announcement stands it sleeps again without a look.
    NoLookBetweenSlices,
}

impl Way {
    /// The ticket to sleep on again when a slice is over, without a new announcement.
    fn outlasts(self, sleeper: &Sleeper<'static>, ticket: u32) -> Option<u32> {
        match self {
            Self::SleepsOnThoughRung => Some(sleeper.event().value()),
            Self::BelievesTheEvent => (!sleeper.event().has_moved(ticket)).then_some(ticket),
            _ => sleeper.stands(ticket).then_some(ticket),
        }
    }
}

/// How those who publish wake others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// As `ring-shm/src/futex.rs` does.
    Soundly,
    /// They believe that whoever had set his bit was asleep. Sound with sleepers that look when they leave, and no deaths.
    CountingTheAwake,
    /// As there, by the chime whoever wishes for it.
    Chiming,
    /// They do not.
    Nobody,
}

impl Tells {
    /// What a ring is given.
    pub(crate) fn wake(self, light: bool) -> &'static Wake {
        match (self, light) {
            (Self::Soundly, true) => const { &Wake::new(kernel::wake, true) },
            (Self::Soundly, false) => const { &Wake::new(kernel::wake, false) },
            (Self::CountingTheAwake, true) => const { &Wake::new(kernel::wake_and_believe, true) },
            (Self::CountingTheAwake, false) => const { &Wake::new(kernel::wake_and_believe, false) },
            (Self::Chiming, _) => const { &Wake::new(kernel::wake, false).with_chime(kernel::chime, 0) },
            (Self::Nobody, _) => &Wake::NEVER,
        }
    }
}

/// A handle that waits, and where it sleeps.
pub trait Sleeps {
    /// Where it sleeps.
    fn place(&self) -> Sleeper<'static>;
}

macro_rules! sleeps {
    ($($handle:ty)*) => {$(
        impl Sleeps for $handle {
            fn place(&self) -> Sleeper<'static> {
                self.sleeper().expect("an event")
            }
        }
    )*};
}

sleeps! {
    ring_core::spsc::Producer<'static> ring_core::spsc::Consumer<'static>
    ring_core::mpmc::Producer<'static> ring_core::mpmc::Consumer<'static>
}

/// How far a wait has come when threads start.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// It begins.
    Looks,
    /// A first look was in vain.
    Announces,
    /// So was the one behind this announcement.
    Sleeps(Sleeper<'static>, u32),
}

/// Looks until there is something, and sleeps in between.
pub fn wait<H: Sleeps, T>(handle: &mut H, look: impl FnMut(&mut H) -> Option<T>) -> T {
    wait_by(Way::Sound, handle, None, look).expect("nobody cancels")
}

/// The same where a first look was in vain, before anybody else was there: what looks while others publish is the question
/// of other models.
pub fn wait_on<H: Sleeps, T>(handle: &mut H, look: impl FnMut(&mut H) -> Option<T>) -> T {
    wait_at(Stage::Announces, handle, look)
}

/// The same of who has come so far.
pub fn wait_at<H: Sleeps, T>(stage: Stage, handle: &mut H, look: impl FnMut(&mut H) -> Option<T>) -> T {
    wait_from(Way::Sound, handle, None, stage, look).expect("nobody cancels")
}

/// The same, as far as `interrupt` lets it: `None` when cancelled.
pub fn wait_by<H: Sleeps, T>(
    way: Way,
    handle: &mut H,
    interrupt: Option<&Interrupt<'static>>,
    look: impl FnMut(&mut H) -> Option<T>,
) -> Option<T> {
    wait_from(way, handle, interrupt, Stage::Looks, look)
}

/// The same of who has come so far.
pub fn wait_from<H: Sleeps, T>(
    way: Way,
    handle: &mut H,
    interrupt: Option<&Interrupt<'static>>,
    stage: Stage,
    mut look: impl FnMut(&mut H) -> Option<T>,
) -> Option<T> {
    let mut looks = matches!(stage, Stage::Looks);
    let mut announced = match stage {
        Stage::Sleeps(sleeper, ticket) => Some((sleeper, ticket)),
        _ => None,
    };
    loop {
        let found = if looks { look(handle) } else { None };
        let cancelled = interrupt.is_some_and(Interrupt::is_requested);
        if found.is_some() || cancelled {
            let taken = announced.is_some_and(|(sleeper, _)| sleeper.withdraw());
            let looks = found.is_none() && taken && way != Way::LeavesBlindly;
            let found = if looks { look(handle) } else { found };
            if let (None, Some(interrupt)) = (&found, interrupt) {
                interrupt.take();
            }
            return found;
        }
        looks = true;
        if let Some((sleeper, ticket)) = announced.take() {
            if way != Way::DeafToTheEnd && !sleeper.hears_all_of(&handle.place()) {
                sleeper.withdraw();
                continue;
            }
            let expired = kernel::sleep(sleeper.event(), ticket);
            if let (true, Some(ticket)) = (expired, way.outlasts(&sleeper, ticket)) {
                announced = Some((sleeper, ticket));
                looks = way != Way::NoLookBetweenSlices;
                continue;
            }
            sleeper.withdraw();
            continue;
        }
        let sleeper = handle.place();
        let ticket = match way {
            Way::Unannounced => sleeper.event().value(),
            _ => sleeper.announce(),
        };
        if way != Way::KernelsBarrier {
            sleeper.fence();
        }
        announced = Some((sleeper, if way == Way::TicketAfterBit { sleeper.event().value() } else { ticket }));
        looks = way != Way::NoSecondLook;
    }
}

/// All of them.
pub(crate) fn models() -> Vec<&'static dyn Explore> {
    let spsc = [spsc::MODELS, slices::MODELS, cancel::MODELS, chime::MODELS, hub::MODELS]
        .into_iter()
        .flatten()
        .map(|model| model as &dyn Explore);
    spsc.chain(
        [mpmc::MODELS, two::MODELS, larger::MODELS, hub::DROPPED]
            .into_iter()
            .flatten()
            .map(|model| model as &dyn Explore),
    )
    .collect()
}

/// Broken on purpose: each of them must fail.
#[must_use]
pub fn broken() -> Vec<&'static dyn Explore> {
    let spsc = [spsc::BROKEN, slices::BROKEN, chime::BROKEN, hub::BROKEN];
    let spsc = spsc.into_iter().flatten().map(|model| model as &dyn Explore);
    spsc.chain(
        [mpmc::BROKEN, two::BROKEN, hub::BROKEN_DROPPED].into_iter().flatten().map(|model| model as &dyn Explore),
    )
    .collect()
}
