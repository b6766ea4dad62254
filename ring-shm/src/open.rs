//! Opening what has a segment's name, with suspicion: to use it, or only to look at it.
//!
//! Embedders and `ringctl` call it through [`Segment`], looks go through `look.rs`. What it lets through is a regular
//! file with bytes in it that still has its name; to be used it must also be this user's, or shared as the rules say, and
//! have no other name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::descriptor;
use crate::error::{OpenError, OsError};
use crate::location::Location;
use crate::memfd;
use crate::segment::{OpenRules, Segment};
use crate::sys::{self, Stat};

pub(crate) fn open_at(at: &Location, rules: &OpenRules) -> Result<Segment, OpenError> {
    let path = at.path().unwrap_or_default();
    let (file, stat) = examined(at, &path, descriptor::open_existing(&path))?;
    if !trusted(&stat, rules)? {
        return Err(OpenError::ForeignOwner { name: at.clone(), owner: stat.owner, user: sys::user() });
    }
    if stat.mode & 0o002 != 0 {
        return Err(OpenError::WorldWritable { name: at.clone(), mode: stat.permissions() });
    }
    // A name that somebody has given it, to lure into this ring those who wanted another one.
    if stat.links > 1 {
        return Err(OpenError::Linked { name: at.clone(), links: stat.links });
    }
    Ok(Segment::from_file(file, &stat, at.clone()))
}

/// Opens it for reading alone, whoever owns it: for looks that map nothing, which no owner can harm.
pub(crate) fn open_to_look(at: &Location) -> Result<(File, Stat), OpenError> {
    let path = match at {
        Location::Memfd(memfd) => return memfd::open(at, memfd, false),
        _ => at.path().unwrap_or_default(),
    };
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    examined(at, &path, OpenOptions::new().read(true).custom_flags(flags).open(&path))
}

/// Refuses what cannot be a segment, whoever asks.
fn examined(at: &Location, path: &Path, opened: io::Result<File>) -> Result<(File, Stat), OpenError> {
    let name = || at.clone();
    let file = opened.map_err(|error| {
        if let Some(found) = sys::stat_name(path).ok().and_then(|stat| stat.foreign_kind()) {
            return OpenError::NotASegment { name: name(), found };
        }
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OpenError::NotFound { name: name() },
            io::ErrorKind::PermissionDenied => OpenError::Permission { name: name() },
            _ => OpenError::Os(OsError::from_io("open", &error)),
        }
    })?;
    let stat = sys::stat(file.as_raw_fd())?;
    if let Some(found) = stat.foreign_kind() {
        return Err(OpenError::NotASegment { name: name(), found });
    }
    if stat.links == 0 {
        return Err(OpenError::Gone { name: name() });
    }
    if stat.size == 0 {
        return Err(OpenError::Empty { name: name() });
    }
    Ok((file, stat))
}

/// Whether the rules let a segment of that owner, group and mode through.
fn trusted(stat: &Stat, rules: &OpenRules) -> Result<bool, OsError> {
    if stat.owner == sys::user() {
        return Ok(true);
    }
    let shared = stat.mode & 0o020 != 0;
    match *rules {
        OpenRules::Own => Ok(false),
        // That the kernel has let us in is not enough: root gets in everywhere.
        OpenRules::Shared => Ok(shared && sys::in_group(stat.group)?),
        OpenRules::Group(group) => Ok(shared && stat.group == group),
        OpenRules::Anyone => Ok(true),
    }
}
