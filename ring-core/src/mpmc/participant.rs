//! The participant table: one entry per handle, with its lease and its two intents. An entry's words are written by
//! its owner alone; only the lease is moved by compare-and-swap, by whoever joins, leaves or releases the dead.

use core::mem::{offset_of, size_of};
use core::ops::Range;

use super::word::Intent;
use crate::Region;
use crate::error::{Corrupt, Field};
use crate::layout::{CONTROL_SIZE, ParticipantLine};
use crate::seat::{MAX_LEASE, Role, SeatFacts};
use crate::sync::{Word, ord};

/// The table of a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'m> {
    region: Region<'m>,
    len: u64,
}

impl<'m> Table<'m> {
    /// The region it is in.
    pub(super) fn region(&self) -> Region<'m> {
        self.region
    }

    /// The table of `len` entries; `None` if the region is too short for it.
    pub(super) fn new(region: Region<'m>, len: u64) -> Option<Self> {
        let table = Self { region, len };
        len.checked_sub(1).and_then(|last| table.entry(last)).map(|_| table)
    }

    /// The entry `index`.
    pub(super) fn entry(&self, index: u64) -> Option<Entry<'m>> {
        if index >= self.len {
            return None;
        }
        let line = index.checked_mul(size_of::<ParticipantLine>() as u64)?.checked_add(CONTROL_SIZE)?;
        let line = usize::try_from(line).ok()?;
        let word = |offset: usize| self.region.word(line.checked_add(offset)?);
        Some(Entry {
            lease: word(offset_of!(ParticipantLine, lease))?,
            write: word(offset_of!(ParticipantLine, write_intent))?,
            read: word(offset_of!(ParticipantLine, read_intent))?,
            region: self.region,
            line,
            index: u32::try_from(index).ok()?,
        })
    }

    /// All entries.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry<'m>> {
        (0..self.len).filter_map(move |index| self.entry(index))
    }

    /// The entries of a role's `window` in the order in which it takes them: producers from the front.
    pub(super) fn places(self, window: Range<u64>, role: Role) -> impl Iterator<Item = Entry<'m>> {
        (0..window.end.saturating_sub(window.start)).filter_map(move |i| match role {
            Role::Producer => self.entry(window.start.checked_add(i)?),
            Role::Consumer => self.entry(window.end.checked_sub(i)?.checked_sub(1)?),
        })
    }
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'m> {
    pub(super) lease: &'m Word,
    write: &'m Word,
    read: &'m Word,
    region: Region<'m>,
    line: usize,
    pub(super) index: u32,
}

impl<'m> Entry<'m> {
    /// The word with the intent of `role`.
    pub(super) fn intent(&self, role: Role) -> &'m Word {
        match role {
            Role::Producer => self.write,
            Role::Consumer => self.read,
        }
    }

    /// A word of the entry for people and for waiting; under loom there is none.
    fn fact(&self, offset: usize) -> Option<&'m Word> {
        self.region.word(self.line.wrapping_add(offset))
    }

    /// The word its owner sleeps on.
    pub(super) fn event(&self) -> Option<&'m Word> {
        self.fact(offset_of!(ParticipantLine, event))
    }

    /// Writes how its owner publishes, for people.
    pub(super) fn set_barrier(&self, barrier: u64) {
        if let Some(word) = self.fact(offset_of!(ParticipantLine, barrier)) {
            word.store(barrier, ord!(W18, Relaxed));
        }
    }

    /// How its owner publishes: a guess.
    pub(super) fn barrier(&self) -> u64 {
        self.fact(offset_of!(ParticipantLine, barrier)).map_or(0, |word| word.load(ord!(W19, Relaxed)))
    }

    /// Writes which role has just taken the entry.
    pub(super) fn set_role(&self, role: Role) {
        if let Some(word) = self.fact(offset_of!(ParticipantLine, role)) {
            let value = match role {
                Role::Producer => 1,
                Role::Consumer => 2,
            };
            word.store(value, ord!(MF1, Relaxed));
        }
    }

    /// Writes who has just taken the entry under `lease`.
    pub(super) fn set_facts(&self, lease: u64, facts: SeatFacts) {
        for (offset, value) in facts_words(facts, facts.sum(lease)) {
            if let Some(word) = self.fact(offset) {
                word.store(value, ord!(MF2, Relaxed));
            }
        }
    }

    /// What the entry says: a guess, for people.
    pub(super) fn look(&self) -> Participant {
        let fact = |offset| self.fact(offset).map_or(0, |word| word.load(ord!(MF3, Relaxed)));
        let words = facts_words(SeatFacts::default(), 0);
        let [pid, start_time, boot, pid_namespace, facts_sum] = words.map(|(offset, _)| fact(offset));
        Participant {
            index: self.index,
            lease: self.lease.load(ord!(MF4, Relaxed)),
            role: match fact(offset_of!(ParticipantLine, role)) {
                1 => Some(Role::Producer),
                2 => Some(Role::Consumer),
                _ => None,
            },
            facts: SeatFacts { pid, start_time, boot, pid_namespace },
            facts_sum,
            write_intent: Intent(self.write.load(ord!(MF5, Relaxed))),
            read_intent: Intent(self.read.load(ord!(MF6, Relaxed))),
        }
    }
}

/// The facts and their sum with their offsets in an entry.
fn facts_words(facts: SeatFacts, sum: u64) -> [(usize, u64); 5] {
    [
        (offset_of!(ParticipantLine, pid), facts.pid),
        (offset_of!(ParticipantLine, start_time), facts.start_time),
        (offset_of!(ParticipantLine, boot), facts.boot),
        (offset_of!(ParticipantLine, pid_namespace), facts.pid_namespace),
        (offset_of!(ParticipantLine, facts_sum), sum),
    ]
}

/// A lease number from an entry, if anybody can have got it.
#[inline]
pub(super) fn checked_lease(lease: u64, index: u32) -> Result<u64, Corrupt> {
    if lease > MAX_LEASE { Err(Corrupt::new(Field::Lease, lease, u64::from(index))) } else { Ok(lease) }
}

/// What an entry of the table says: a guess, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participant {
    /// Its place in the table.
    pub index: u32,
    /// Lease of its owner; 0: free.
    pub lease: u64,
    /// What its owner, or the last one, joined as.
    pub role: Option<Role>,
    /// Who that is, or was. See [`Participant::facts_of`].
    pub facts: SeatFacts,
    facts_sum: u64,
    /// What it announced last as a producer. It means something only while one of the positions is unsettled.
    pub write_intent: Intent,
    /// The same as a consumer.
    pub read_intent: Intent,
}

impl Participant {
    /// The facts of the owner under `lease`: never somebody else's, and nobody's until he has written them.
    #[must_use]
    pub fn facts_of(&self, lease: u64) -> Option<SeatFacts> {
        (self.facts_sum == self.facts.sum(lease)).then_some(self.facts)
    }
}
