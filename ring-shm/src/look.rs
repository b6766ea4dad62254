//! A look at a segment that neither writes to it nor maps it: its first pages are copied by a read, and locks are asked
//! about through the same description. So whoever may read a segment can look at it, it does not count as in use
//! meanwhile, and an owner who truncates it under the look ends nothing by SIGBUS.
//!
//! `kind_of` and the `inspect` of rings call it. What it says is for people: the words of a copy may be of different
//! moments, and no take-over may rest on its verdicts.

use core::mem::offset_of;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use ring_core::mpmc::MAX_PARTICIPANTS;
use ring_core::{AttachError, Identity, Region, Verdict, mpmc_data_offset};

use crate::descriptor;
use crate::error::{MapError, OsError};
use crate::facts::Facts;
use crate::life;
use crate::location::Location;
use crate::mapping::PrivateCopy;
use crate::open;
use crate::setup_error::SetupError;
use crate::shm::Attached;
use crate::sys::{self, Stat};
use crate::sysv;

/// How much is copied: every control word of a ring of whatever kind, and the largest participant table.
const CONTROL: u64 = mpmc_data_offset(MAX_PARTICIPANTS);

/// Where the ring says how long it is.
pub(crate) const TOTAL_LEN: usize = offset_of!(Identity, total_len);

/// How often a copy that contradicts itself is made anew before it counts as the segment's own contradiction.
const TRIES: u32 = 32;

/// A segment opened for reading.
#[derive(Debug)]
pub(crate) struct Look {
    file: File,
    stat: Stat,
    /// The memory, where it is not the file's.
    shm: Option<Attached>,
    /// Bytes of it.
    size: u64,
    /// Whether this file system is known to keep locks with mappings.
    keeps_locks: bool,
}

impl Look {
    /// # Errors
    /// As for opening a segment; but owner and mode do not matter, as long as it may be read.
    pub(crate) fn at(at: &Location) -> Result<Self, SetupError> {
        let (file, stat) = open::open_to_look(at)?;
        let keeps_locks = sys::keeps_locks(&file);
        let mut look = Self { shm: None, size: stat.size, file, stat, keeps_locks };
        if let Location::Sysv(name) = at {
            let (id, len) = sysv::found(at, name, &look.file, look.stat.owner)?;
            let bytes = usize::try_from(len).map_err(|_| MapError::TooLarge { len })?;
            (look.shm, look.size) = (Some(Attached::new(id, bytes, false).map_err(MapError::from)?), len);
        }
        Ok(look)
    }

    /// Bytes of the segment.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Its permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.stat.permissions()
    }

    /// Runs `f` over a copy of the first pages, in a region of the ring's length: what lies beyond reads as zero. A
    /// living ring can make a copy that contradicts itself, so `Corrupt` has to be said of several.
    pub(crate) fn with_copy<R>(
        &self,
        mut f: impl FnMut(Region<'_>, &Pages<'_>) -> Result<R, SetupError>,
    ) -> Result<R, SetupError> {
        let mut tries = 1;
        loop {
            let pages = Pages::read(self)?;
            match pages.with_words([], |region| f(region, &pages)) {
                Err(SetupError::Attach(AttachError::Corrupt(_))) if tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    /// Runs `f` over a copy of the first page that begins `offset` bytes into a region of two.
    pub(crate) fn with_shifted_copy<R>(
        &self,
        offset: u64,
        f: impl FnOnce(Region<'_>) -> Result<R, SetupError>,
    ) -> Result<R, SetupError> {
        let mut bytes = vec![0; ring_core::STRICT_PAGE as usize];
        let read = self.read(&mut bytes, 0).map_err(MapError::from)?;
        bytes.truncate(read);
        let mut copy = PrivateCopy::new(2 * ring_core::STRICT_PAGE)?;
        copy.write(offset, &bytes);
        life::with_region(&copy.into(), f)?
    }

    /// Reads `buf.len()` bytes at `offset`, or as many as there are now; says how many.
    fn read(&self, buf: &mut [u8], offset: u64) -> Result<usize, OsError> {
        if let Some(shm) = &self.shm {
            return Ok(shm.copy_out(buf, usize::try_from(offset).unwrap_or(usize::MAX)));
        }
        let mut read = 0;
        while let Some(rest) = buf.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(read as u64)) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(OsError::from_io("pread", &error)),
            }
        }
        Ok(read)
    }

    /// What the kernel says about `lease`, as [`crate::LeasedMapping::verdict`]; but there is no lease of its own to
    /// prove by that this file system keeps locks with mappings, so a free lock is `Dead` only where
    /// that is known (tmpfs, ext4, XFS, btrfs), or when the process is gone as well.
    pub(crate) fn verdict(&self, lease: u64, facts: Option<Facts>) -> Verdict {
        if lease == 0 {
            return Verdict::Unknown;
        }
        let Some(byte) = descriptor::lease_byte(lease) else { return Verdict::Dead };
        let fd = self.file.as_raw_fd();
        // Other code may have closed the number and got it for a file of its own.
        let ours = || sys::stat(fd).is_ok_and(|stat| stat.id == self.stat.id);
        let held = sys::conflict(fd, byte, 1).map(|first| first.is_some());
        match (held, ours()) {
            (Ok(true), true) => Verdict::Alive,
            (Ok(false), true) if self.keeps_locks || facts.is_some_and(|facts| facts.gone()) => Verdict::Dead,
            _ => Verdict::Unknown,
        }
    }
}

/// The first pages of a segment, as they were once.
#[derive(Debug)]
pub(crate) struct Pages<'l> {
    look: &'l Look,
    bytes: Vec<u8>,
    /// How long the ring is.
    len: u64,
}

impl<'l> Pages<'l> {
    fn read(look: &'l Look) -> Result<Self, SetupError> {
        let mut bytes = vec![0; usize::try_from(look.size.min(CONTROL)).unwrap_or(0)];
        let read = look.read(&mut bytes, 0).map_err(MapError::from)?;
        bytes.truncate(read);
        // As long as the ring says it is, and not as the object is: a size costs whoever gave it nothing.
        let total =
            bytes.get(TOTAL_LEN..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_ne_bytes(*word));
        Ok(Self { look, bytes, len: look.size.min(total.max(CONTROL)) })
    }

    /// Runs `f` over the pages and the words at `offsets` beyond them, which are read now; everything else is zero.
    pub(crate) fn with_words<R>(
        &self,
        offsets: impl IntoIterator<Item = u64>,
        f: impl FnOnce(Region<'_>) -> Result<R, SetupError>,
    ) -> Result<R, SetupError> {
        let mut copy = PrivateCopy::new(self.len)?;
        copy.write(0, &self.bytes);
        for offset in offsets {
            let mut word = [0; 8];
            self.look.read(&mut word, offset).map_err(MapError::from)?;
            copy.write(offset, &word);
        }
        life::with_region(&copy.into(), f)?
    }
}

#[cfg(test)]
mod tests;
