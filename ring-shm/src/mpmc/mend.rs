//! Putting right an MPMC ring in a file whose pages are of different moments, as a power loss leaves them: `recover`
//! does it first.
//!
//! The control block is one page, so tail, head and the lease counter agree with each other; slots and participants may
//! be older or newer. A slot says itself what has become of it. So the tail goes to the end of what any slot knows of,
//! what is missing before it becomes a gap, and messages that only a dead consumer can have are given to the living. On a
//! ring that is whole this does what repairs would. Nobody else may have the ring meanwhile: it is done under the exclusive gate,
//! with no lease held, by plain reads and writes of the file.

use core::mem::offset_of;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use ring_core::mpmc::{MAX_PARTICIPANTS, Redelivery, Ring};
use ring_core::{CONTROL_SIZE, MpmcControl, ParticipantLine, mpmc_data_offset, slot_stride};

use crate::descriptor::{self, Gate};
use crate::error::{MapError, OsError};
use crate::fork;
use crate::life;
use crate::mapping::PrivateCopy;
use crate::segment::Segment;
use crate::setup_error::SetupError;
use crate::sys::LockKind;

/// Slot states (`docs/protocol-mpmc.md`).
const FREE: u64 = 0;
const COMMITTED: u64 = 1;
const VOID: u64 = 2;
const ORPHAN: u64 = 3;

/// The most deliveries that a slot can count.
const MAX_ATTEMPT: u64 = 31;

/// A slot word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    position: u64,
    attempt: u64,
    state: u64,
}

impl Word {
    fn new(position: u64, state: u64) -> Self {
        Self { position, attempt: 0, state }
    }

    fn unpack(word: u64) -> Self {
        Self { position: word >> 8, attempt: word >> 3 & MAX_ATTEMPT, state: word & 7 }
    }

    fn pack(self) -> u64 {
        self.position << 8 | self.attempt << 3 | self.state
    }
}

/// What has to be known of a ring.
#[derive(Debug, Clone, Copy)]
struct Shape {
    slots: u64,
    stride: u64,
    data: u64,
    /// Only one consumer: it advances the head when it has released.
    single: bool,
    /// A message whose consumer died goes to another one.
    again: bool,
    head: u64,
    tail: u64,
    closed: bool,
}

impl Shape {
    /// The offset of slot `index`.
    fn slot(&self, index: u64) -> u64 {
        self.data + index * self.stride
    }
}

/// Puts the ring in `segment`, a file, right if nobody has it.
pub(super) fn mend(segment: &Segment) -> Result<(), SetupError> {
    let file = segment.reopen()?;
    let _pause = fork::pause().map_err(MapError::from)?;
    let Some(gate) = Gate::try_take(file, LockKind::Exclusive).map_err(MapError::from)? else { return Ok(()) };
    let file = gate.file();
    if descriptor::any_lease(file.as_raw_fd()).map_err(MapError::from)?.is_some() {
        return Ok(());
    }
    let shape = shape(file, segment.len())?;
    put_right(file, shape).map_err(|error| MapError::from(OsError::from_io("pread, pwrite", &error)).into())
}

fn get(file: &File, offset: u64) -> io::Result<u64> {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, offset)?;
    Ok(u64::from_le_bytes(word))
}

fn set(file: &File, offset: u64, word: u64) -> io::Result<()> {
    file.write_all_at(&word.to_le_bytes(), offset)
}

/// Raises the lease counter over all leases in the table, without which nobody could attach, and validates the rest.
fn shape(file: &File, len: u64) -> Result<Shape, SetupError> {
    const LAST_LEASE: u64 = offset_of!(MpmcControl, last_lease) as u64;
    let failed = |error: io::Error| MapError::from(OsError::from_io("pread, pwrite", &error));
    let mut bytes = vec![0; usize::try_from(len.min(mpmc_data_offset(MAX_PARTICIPANTS))).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    let word = |offset: u64| {
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
        rest.and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
    };
    let participants = (word(offset_of!(ring_core::Identity, participants) as u64) & 0xffff).min(MAX_PARTICIPANTS);
    let lease = |i: u64| word(CONTROL_SIZE + i * size_of::<ParticipantLine>() as u64);
    let counted = word(LAST_LEASE);
    let last = (0..participants).map(lease).fold(counted, u64::max);
    let mut copy = PrivateCopy::new(len)?;
    copy.write(0, &bytes);
    copy.write(LAST_LEASE, &last.to_le_bytes());
    let shape = life::with_region(&copy.into(), |region| -> Result<Shape, SetupError> {
        let ring = Ring::attach(region)?;
        let stat = ring.stat()?;
        Ok(Shape {
            slots: ring.capacity(),
            stride: slot_stride(ring.max_len() as u64),
            data: mpmc_data_offset(ring.max_participants()),
            single: ring.max_consumers() == 1,
            again: ring.redelivery() != Redelivery::AtMostOnce,
            head: stat.head.get(),
            tail: stat.tail.get(),
            closed: stat.closed,
        })
    })??;
    if last != counted {
        set(file, LAST_LEASE, last).map_err(failed)?;
    }
    Ok(shape)
}

fn put_right(file: &File, shape: Shape) -> io::Result<()> {
    let slots = shape.slots;
    let read = |index| get(file, shape.slot(index)).map(Word::unpack);
    let mut tail = shape.tail;
    for index in 0..slots {
        let word = read(index)?;
        let claimed = match word.state {
            FREE => (word.position + 1).saturating_sub(slots),
            _ => word.position + 1,
        };
        // A position of another slot is damage, which says nothing.
        if word.position % slots == index {
            tail = tail.max(claimed);
        }
    }
    let head = shape.head.max(tail.saturating_sub(slots));
    let mut orphans = false;
    for index in 0..slots {
        let word = read(index)?;
        let right = if tail > index {
            let position = index + (tail - 1 - index) / slots * slots;
            settled(word, position, position < head, shape)
        } else {
            Word::new(index, FREE)
        };
        orphans |= right.state == ORPHAN;
        if right != word {
            set(file, shape.slot(index), right.pack())?;
        }
    }
    if orphans {
        set(file, offset_of!(MpmcControl, orphans) as u64, 1)?;
    }
    if (head, tail) != (shape.head, shape.tail) {
        set(file, offset_of!(MpmcControl, head) as u64, head)?;
        set(file, offset_of!(MpmcControl, tail) as u64, tail << 1 | u64::from(shape.closed))?;
    }
    Ok(())
}

/// What the slot of `position`, the last one claimed in it, has to say; `taken` if a consumer has claimed it.
fn settled(word: Word, position: u64, taken: bool, shape: Shape) -> Word {
    let released = Word::new(position + shape.slots, FREE);
    let here = word.position == position;
    match word.state {
        // Unread; or in the hands of the only consumer, who releases before the head moves.
        COMMITTED | VOID if here && !taken => word,
        ORPHAN if here => word,
        COMMITTED if here && !shape.single && shape.again && word.attempt < MAX_ATTEMPT => {
            Word { attempt: word.attempt + 1, state: ORPHAN, ..word }
        }
        _ if taken => released,
        // Never committed, or released already: nothing is there to be read.
        _ => Word::new(position, VOID),
    }
}
