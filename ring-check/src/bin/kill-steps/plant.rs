//! Bugs that must be found: operations that break the rules, receivers that hide flags, a verdict that takes whoever
//! is stopped for dead.
//!
//! # Safety
//!
//! 1. The ring's users are this program's alone and follow the protocol but for the planted bug, whose bytes nobody
//!    has a slice of when they are written or read.
//! 2. The mapping is made before the region and unmapped after it.
#![allow(unsafe_code)]

use ring_core::{Region, Verdict, mpmc};
use ring_shm::{Segment, spsc};

use crate::Failure;
use crate::operation::{Env, Opens as _, Operation, Who};
use crate::page::{Outcome, Stage as Hand};
use crate::past;
use crate::stage::{MPMC, SPSC};
use crate::trace::mark;

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// A record is committed, and its payload written after that.
    CommitFirst,
    /// A record is released, and read after that.
    ReleaseFirst,
    /// A sender is told that its message is committed before it is.
    ToldFirst,
    /// Redelivered messages pass for fresh ones, after one death.
    HideFlag,
    /// The same after two.
    HideFlagOfPairs,
    /// Whoever is stopped is taken for dead.
    StoppedIsDead,
    /// A message that was released is put into the ring once more.
    Twice,
}

impl Plant {
    pub(crate) const ALL: [Self; 7] = [
        Self::CommitFirst,
        Self::ReleaseFirst,
        Self::ToldFirst,
        Self::HideFlag,
        Self::HideFlagOfPairs,
        Self::StoppedIsDead,
        Self::Twice,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CommitFirst => "commit-first",
            Self::ReleaseFirst => "release-first",
            Self::ToldFirst => "told-first",
            Self::HideFlag => "hide-flag",
            Self::HideFlagOfPairs => "hide-flag-of-pairs",
            Self::StoppedIsDead => "stopped-is-dead",
            Self::Twice => "twice",
        }
    }

    /// What it is tried on.
    pub(crate) fn operation(self) -> Operation {
        use Who::{Consumer, Producer};
        match self {
            Self::CommitFirst => Operation::new("commit-first", SPSC, Producer, past::some, commit_first).sends(1),
            Self::ReleaseFirst => Operation::new("release-first", SPSC, Consumer, past::some, release_first),
            Self::ToldFirst => Operation::new("told-first", MPMC, Producer, past::some, told_first).sends(1),
            Self::Twice => Operation::new("twice", SPSC, Producer, past::some, twice).sends(1),
            Self::HideFlag | Self::HideFlagOfPairs => named("mpmc-read-release"),
            Self::StoppedIsDead | Self::None => named("mpmc-claim-commit"),
        }
    }

    /// Those that are tried on strict rings.
    pub(crate) const STRICT: [Self; 3] = [Self::CommitFirst, Self::ReleaseFirst, Self::Twice];

    /// Which kind of points it shows at.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::StoppedIsDead => "stops",
            Self::HideFlagOfPairs => "pairs",
            _ => "kills",
        }
    }

    /// Whether receivers hide the flag.
    pub(crate) fn hides(self) -> bool {
        matches!(self, Self::HideFlag | Self::HideFlagOfPairs)
    }
}

/// A real operation.
fn named(name: &str) -> Operation {
    crate::data::ALL.iter().copied().find(|operation| operation.name == name).unwrap_or(crate::data::ALL[0])
}

fn commit_first(env: &Env<'_>) -> Result<(), Failure> {
    // SAFETY: 1.
    let mut tx = unsafe { spsc::Producer::open_in(env)?.trust_peers() };
    let message = env.message(0);
    mark();
    let mut claim = tx.try_claim(message.bytes().len())?;
    claim.set_tag(message.tag());
    let place = claim.as_mut_ptr();
    claim.fill(0);
    claim.commit();
    // SAFETY: 1; the record is still in the mapping.
    unsafe { place.copy_from(message.bytes().as_ptr(), message.bytes().len()) };
    env.page.told(1);
    env.page.ended(Outcome::Done);
    mark();
    Ok(())
}

fn release_first(env: &Env<'_>) -> Result<(), Failure> {
    // SAFETY: 1.
    let mut rx = unsafe { spsc::Consumer::open_in(env)?.trust_peers() };
    mark();
    let record = rx.try_read()?;
    let (place, len, tag) = (record.as_ptr(), record.len(), record.tag());
    record.release();
    // SAFETY: 1; the record is still in the mapping, and no longer than the room.
    unsafe { env.page.room(0).as_mut_ptr().copy_from(place, len) };
    env.page.seen(0, tag, len, false, Hand::Done);
    env.page.ended(Outcome::Done);
    mark();
    Ok(())
}

fn told_first(env: &Env<'_>) -> Result<(), Failure> {
    let (mut tx, message) = (ring_shm::mpmc::Producer::open(env.name)?, env.message(0));
    mark();
    env.page.told(1);
    env.sent(1, tx.try_send(message.tag(), message.bytes()));
    mark();
    Ok(())
}

fn twice(env: &Env<'_>) -> Result<(), Failure> {
    let (mut tx, message) = (spsc::Producer::open_in(env)?, env.message(0));
    mark();
    env.sent(1, tx.try_send(message.tag(), message.bytes()));
    tx.try_send(message.tag(), message.bytes())?;
    mark();
    Ok(())
}

/// Settles everything that anybody has left, on the word of an oracle that declares everybody dead.
pub(crate) fn declare_dead(name: &str) -> Result<(), Failure> {
    let mapping = Segment::open(name)?.map_whole()?;
    // SAFETY: 2; a mapping is readable and writable.
    let region = unsafe { Region::from_raw_parts(mapping.as_ptr(), mapping.len()) }?;
    let ring = mpmc::Ring::attach(region)?;
    for index in 0..u32::try_from(ring.max_participants())? {
        let writer = ring.participant(index).is_some_and(|entry| entry.write_intent.count() > 0);
        if writer {
            ring.recover(index, |_| Verdict::Dead)?;
        }
    }
    Ok(())
}
