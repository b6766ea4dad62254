//! The models of the SPSC ring.

pub mod consumer_crash;
pub mod crash;
pub mod sessions;
pub mod streams;
pub mod train_deaths;
pub mod trains;
pub mod world;

use std::mem::offset_of;

use ring_core::model::Model as Memory;
use ring_core::spsc::{Format, Ring};
use ring_core::{CONTROL_SIZE, Identity, SpscControl};

pub use world::World;

use crate::waiting::{Tells, kernel};
use crate::{Bound, Explore, Kind, Model, Run};

/// What a model's body is, for this kind.
pub type Body = crate::Body<World>;

/// The SPSC ring of a model.
#[derive(Clone, Copy, Debug)]
pub struct Spsc {
    format: Format,
    capacity: u64,
    /// Whether somebody attaches.
    attaches: bool,
    /// Whether participants sleep, and if so, whether publishers need no fence of their own.
    wakes: Option<bool>,
    tells: Tells,
}

/// A model of a ring of 64 bytes.
pub(crate) const fn model(name: &'static str, bound: Bound, body: Body) -> Model<Spsc> {
    let ring = Spsc { format: Format::new(64), capacity: 64, attaches: false, wakes: None, tells: Tells::Soundly };
    Model { name, bound, planted: None, short: None, ring, body, early: false, larger: false }
}

impl Model<Spsc> {
    /// The same with another capacity.
    #[must_use]
    pub const fn capacity(mut self, bytes: u64) -> Self {
        self.ring.capacity = bytes;
        self.ring.format = Format::new(bytes);
        self
    }

    /// The same with a release interval.
    #[must_use]
    pub const fn release_every(mut self, bytes: u64) -> Self {
        self.ring.format = self.ring.format.release_every(bytes);
        self
    }

    /// The same with the first position at `position`.
    #[must_use]
    pub const fn start_at(mut self, position: u64) -> Self {
        self.ring.format = self.ring.format.start_at(position);
        self
    }

    /// The same where somebody attaches.
    #[must_use]
    pub const fn attached(mut self) -> Self {
        self.ring.attaches = true;
        self
    }

    /// The same where participants sleep; `light`: publishers need no fence of their own.
    #[must_use]
    pub const fn waking(mut self, light: bool) -> Self {
        self.ring.wakes = Some(light);
        self
    }

    /// The same where those who publish wake in another way.
    #[must_use]
    pub const fn telling(mut self, tells: Tells) -> Self {
        self.ring.tells = tells;
        self
    }
}

impl Kind for Spsc {
    const NAME: &'static str = "spsc";

    type World = World;

    fn execute(&self, run: &Run, body: &dyn Fn(&World)) {
        // Each word left out saves a few accesses in every execution: where nobody attaches, nobody reads the identity
        // line; of the others the first two words matter, up to the lease counter, and the head's third; who sleeps has a
        // line of three, and what he sleeps on matters where anybody does.
        let lines = size_of::<Identity>()..offset_of!(SpscControl, last_lease) + size_of::<u64>();
        let bells = offset_of!(SpscControl, waiters)..offset_of!(SpscControl, producer_event);
        let events = [offset_of!(SpscControl, producer_event), offset_of!(SpscControl, consumer_event)];
        let needed = |offset| {
            lines.contains(&offset) && offset % 128 < 16
                || offset == offset_of!(SpscControl, head.within)
                || bells.contains(&offset) && offset % 128 < 24
                || self.wakes.is_some() && events.contains(&offset)
                || self.attaches && offset < lines.start
        };
        let used = |offset| Memory::spsc_words(offset) && needed(offset);
        Memory::run(CONTROL_SIZE, self.capacity, used, |region| {
            let mut ring = Ring::format(region, &self.format).expect("format");
            if let Some(light) = self.wakes {
                kernel::boot();
                ring = ring.with_wake(self.tells.wake(light));
            }
            body(&World::new(ring, region, run.clone()));
        });
    }
}

/// All of them.
pub(crate) fn models() -> Vec<&'static dyn Explore> {
    [streams::MODELS, trains::MODELS, sessions::MODELS, crash::MODELS, consumer_crash::MODELS, train_deaths::MODELS]
        .into_iter()
        .flatten()
        .map(|model| model as &dyn Explore)
        .collect()
}
