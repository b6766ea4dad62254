//! The models of the MPMC ring.
//!
//! Bodies never wait: everybody makes a few attempts, and the main thread, alone at the end, drains the ring, repairs
//! what the dead have left, and holds the outcome against the ledger. So every execution ends, and a lost message, an
//! unflagged duplicate or a stuck slot fails it.

pub mod adoption;
pub mod death;
pub mod hints;
pub mod members;
pub mod repair;
pub mod single;
pub mod streams;
pub mod world;

use ring_core::model::Model as Memory;
use ring_core::mpmc::{Format, Redelivery, Ring};

pub use world::World;

use crate::waiting::{Tells, kernel};
use crate::{Bound, Explore, Kind, Model, Run};

/// What a model's body is, for this kind.
pub type Body = crate::Body<World>;

/// The MPMC ring of a model.
#[derive(Clone, Copy, Debug)]
pub struct Mpmc {
    format: Format,
    /// Entries of the participant table.
    entries: u32,
    /// Whether somebody attaches.
    attaches: bool,
    /// Whether participants sleep, and if so, whether publishers need no fence of their own.
    wakes: Option<bool>,
    tells: Tells,
}

/// A model of a ring of two slots of one word.
pub(crate) const fn model(name: &'static str, entries: u32, bound: Bound, body: Body) -> Model<Mpmc> {
    let ring = Mpmc {
        format: Format::new(2, 8).participants(entries),
        entries,
        attaches: false,
        wakes: None,
        tells: Tells::Soundly,
    };
    Model { name, bound, planted: None, short: None, ring, body, early: false, larger: false }
}

impl Model<Mpmc> {
    /// The same with another number of slots.
    #[must_use]
    pub const fn slots(mut self, slots: u64) -> Self {
        self.ring.format = Format::new(slots, 8).participants(self.ring.entries);
        self
    }

    /// The same with at most `max` producers.
    #[must_use]
    pub const fn producers(mut self, max: u32) -> Self {
        self.ring.format = self.ring.format.producers(max);
        self
    }

    /// The same with at most `max` consumers.
    #[must_use]
    pub const fn consumers(mut self, max: u32) -> Self {
        self.ring.format = self.ring.format.consumers(max);
        self
    }

    /// The same without redelivery.
    #[must_use]
    pub const fn at_most_once(mut self) -> Self {
        self.ring.format = self.ring.format.redelivery(Redelivery::AtMostOnce);
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

impl Kind for Mpmc {
    const NAME: &'static str = "mpmc";

    type World = World;

    fn execute(&self, run: &Run, body: &dyn Fn(&World)) {
        let data = ring_core::mpmc_data_offset(u64::from(self.entries));
        // Where nobody attaches, nobody reads the identity line.
        let words = Memory::mpmc_words(self.entries as usize);
        let used = |offset| (self.attaches || offset >= 128) && words(offset);
        Memory::run(data, self.format.footprint() - data, used, |region| {
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
    [streams::MODELS, hints::MODELS, repair::MODELS, single::MODELS, members::MODELS, adoption::MODELS, death::MODELS]
        .into_iter()
        .flatten()
        .map(|model| model as &dyn Explore)
        .collect()
}
