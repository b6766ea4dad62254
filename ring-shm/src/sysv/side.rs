//! What a side file says, and a look into the segment that it tells of.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::{NAME_LEN, NAME_OFFSET};
use crate::error::OsError;
use crate::shm::{self, Attached};

/// What a side file begins with.
const MAGIC: u64 = u64::from_le_bytes(*b"RINGSYSV");

/// What a side file says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    /// Whether the segment is complete.
    pub(super) made: bool,
    /// The segment's id, from the moment there is one.
    pub(super) id: Option<i32>,
    pub(super) len: u64,
}

impl Side {
    /// Reads it; `None` for a file that is no side file.
    pub(super) fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; 32];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let mut words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
        let [magic, made, id, len] = [words.next()?, words.next()?, words.next()?, words.next()?];
        // An id of 0 is one, so it is stored with 1 added.
        let id = id.checked_sub(1).and_then(|id| i32::try_from(id).ok());
        (magic == MAGIC && made <= 1).then_some(Self { made: made == 1, id, len })
    }

    pub(super) fn write(self, file: &File) -> Result<(), OsError> {
        let id = self.id.map_or(0, |id| u64::try_from(id).unwrap_or(0) + 1);
        let words = [MAGIC, u64::from(self.made), id, self.len];
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        file.write_all_at(&bytes, 0).map_err(|error| OsError::from_io("write", &error))
    }

    /// Its segment; `None` when that has gone, or has the key no more. What cannot be known is an error, and no absence.
    pub(super) fn segment(self, key: i32) -> Result<Option<(i32, shm::ShmStat)>, OsError> {
        let Some(id) = self.id else { return Ok(None) };
        match shm::stat(id) {
            Ok(stat) => Ok((stat.key == key).then_some((id, stat))),
            Err(OsError { code: libc::EINVAL | libc::EIDRM, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The name in the control block.
pub(super) fn stored_name(id: i32) -> Result<String, OsError> {
    let mut bytes = [0; NAME_LEN];
    Attached::new(id, NAME_OFFSET + NAME_LEN, false)?.copy_out(&mut bytes, NAME_OFFSET);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
    Ok(String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned())
}
