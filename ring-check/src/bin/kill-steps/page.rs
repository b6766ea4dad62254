//! What a victim says about itself: a page that outlives it, written with plain stores right after the fact.
//!
//! # Safety
//!
//! 1. The mapping has `LEN` bytes of a memfd that is never truncated, and lives as long as the page. A victim writes,
//!    and its parent reads only while the victim is stopped or gone, so no access races with another.
#![allow(unsafe_code)]

use std::fs::File;
use std::mem::offset_of;

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::Failure;

/// Messages that a victim can write down.
pub(crate) const NOTES: usize = 16;

/// Bytes kept of each.
pub(crate) const ROOM: usize = 64;

const LEN: usize = 4096;

/// How far a victim has come with a message that it receives. The order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Stage {
    /// Nothing was said.
    Unsaid = 0,
    /// It is receiving by copy: the bytes may be there all the same.
    Copying = 1,
    /// It has the message in hand.
    Seen = 2,
    /// It is about to put it back, or has done so.
    Keeping = 3,
    /// It is about to release it.
    Releasing = 4,
    /// It was told that it is released.
    Done = 5,
}

/// A message in a victim's hands.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Note {
    pub(crate) tag: u32,
    pub(crate) len: u32,
    pub(crate) stage: u32,
    pub(crate) flagged: u32,
    pub(crate) bytes: [u8; ROOM],
}

/// How the operation itself ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Outcome {
    /// It has not.
    Open = 0,
    Done = 1,
    /// Full, empty or busy.
    Wait = 2,
    /// The ring's, or a session's end.
    End = 3,
    /// The seat, or every place, is taken.
    InUse = 4,
    Wrong = 5,
}

/// The layout of the page.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Said {
    /// Messages it was told are committed.
    pub(crate) told: u32,
    outcome: u32,
    pub(crate) notes: [Note; NOTES],
}

const _: () = assert!(size_of::<Said>() <= LEN);

impl Said {
    /// A page on which nothing is written.
    pub(crate) const NOTHING: Self =
        Self { told: 0, outcome: 0, notes: [Note { tag: 0, len: 0, stage: 0, flagged: 0, bytes: [0; ROOM] }; NOTES] };

    pub(crate) fn outcome(&self) -> Outcome {
        match self.outcome {
            0 => Outcome::Open,
            1 => Outcome::Done,
            2 => Outcome::Wait,
            3 => Outcome::End,
            4 => Outcome::InUse,
            _ => Outcome::Wrong,
        }
    }
}

impl Note {
    pub(crate) fn stage(&self) -> Stage {
        match self.stage {
            0 => Stage::Unsaid,
            1 => Stage::Copying,
            2 => Stage::Seen,
            3 => Stage::Keeping,
            4 => Stage::Releasing,
            _ => Stage::Done,
        }
    }
}

/// The page itself.
#[derive(Debug)]
pub(crate) struct Page(MmapRaw);

impl Page {
    pub(crate) fn new() -> Result<Self, Failure> {
        let file = File::from(memfd_create(c"kill-steps", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(LEN as u64)?;
        Ok(Self(MmapOptions::new().len(LEN).map_raw(&file)?))
    }

    fn said(&self) -> *mut Said {
        self.0.as_mut_ptr().cast()
    }

    pub(crate) fn clear(&self) {
        // SAFETY: 1; nobody else is looking.
        unsafe { self.said().write(Said::NOTHING) };
    }

    /// What the victim has said, once it is stopped or gone.
    pub(crate) fn read(&self) -> Said {
        // SAFETY: 1; every bit pattern of plain numbers is a value.
        unsafe { self.said().read_volatile() }
    }

    /// `count` messages in all are told to be committed.
    #[inline]
    pub(crate) fn told(&self, count: usize) {
        // SAFETY: 1; within the page.
        let told = unsafe { &raw mut (*self.said()).told };
        // SAFETY: 1; volatile, so it happens here, between the marks.
        unsafe { told.write_volatile(count as u32) };
    }

    #[inline]
    pub(crate) fn ended(&self, outcome: Outcome) {
        // SAFETY: 1; within the page.
        let word = unsafe { &raw mut (*self.said()).outcome };
        // SAFETY: 1.
        unsafe { word.write_volatile(outcome as u32) };
    }

    fn note(&self, index: usize) -> *mut Note {
        // SAFETY: 1; the remainder is within the page.
        unsafe { &raw mut (*self.said()).notes[index % NOTES] }
    }

    /// Where the bytes of message `index` go.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the page is another process's as much as ours; see the invariant")]
    pub(crate) fn room(&self, index: usize) -> &mut [u8; ROOM] {
        // SAFETY: 1; a victim has one operation under way, and borrows one room at a time.
        unsafe { &mut (*self.note(index)).bytes }
    }

    /// Message `index` has arrived, and its bytes are in their room.
    #[inline]
    pub(crate) fn seen(&self, index: usize, tag: u32, len: usize, flagged: bool, stage: Stage) {
        self.word(index, offset_of!(Note, tag), tag);
        self.word(index, offset_of!(Note, len), len as u32);
        self.word(index, offset_of!(Note, flagged), u32::from(flagged));
        self.stage(index, stage);
    }

    /// How far it has come with message `index`.
    #[inline]
    pub(crate) fn stage(&self, index: usize, stage: Stage) {
        self.word(index, offset_of!(Note, stage), stage as u32);
    }

    /// Stores a word of note `index`.
    #[inline]
    fn word(&self, index: usize, offset: usize, value: u32) {
        let word = self.note(index).wrapping_byte_add(offset).cast::<u32>();
        // SAFETY: 1; within the page, and volatile for the order.
        unsafe { word.write_volatile(value) };
    }
}
