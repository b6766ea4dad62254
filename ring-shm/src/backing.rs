//! Making, opening and removing a segment, wherever it is to live: the one place that knows all backings.
//!
//! Each of them keeps the same promises. A segment is complete before anybody else can open it; what is opened is
//! looked at with suspicion; a lease is a kernel lock that lives as long as a mapping; nothing is left behind by an
//! error or a death.

use crate::error::{CreateError, OpenError, UnlinkError};
use crate::inventory;
use crate::location::{Location, ToLocation};
use crate::mapping::Mapping;
use crate::memfd;
use crate::open;
use crate::posix::{self, Unnamed};
use crate::segment::{Access, OpenRules, Segment};
use crate::sysv;

impl Segment {
    /// Creates the segment of `len` bytes, zeroed, and lets `init` write into it before anybody can see it.
    ///
    /// The memory is allocated, so that a full file system is an error here and not SIGBUS later. It can be opened
    /// from one system call on, when everything is in place; a creator that dies before leaves nothing. `access` holds
    /// exactly, whatever the umask. The mapping that `init` gets is gone afterwards, and
    /// the segment is not leased: until the creator attaches, a removal of stale segments may take it.
    ///
    /// # Errors
    ///
    /// [`CreateError::Exists`] if there is one, which is the answer for all but one of several creators at
    /// once; [`CreateError::NoSpace`] with what is free; the other variants say what to ask for instead.
    pub fn create(
        at: impl ToLocation,
        len: u64,
        access: &Access,
        init: impl FnOnce(&Mapping),
    ) -> Result<Self, CreateError> {
        Self::create_held(&at.to_location()?, len, access, false, init)
    }

    /// The same; where `hold` is wished for and can be had, with the [first lease](Self::take_first) in it.
    pub(crate) fn create_held(
        at: &Location,
        len: u64,
        access: &Access,
        hold: bool,
        init: impl FnOnce(&Mapping),
    ) -> Result<Self, CreateError> {
        match at {
            Location::Posix(_) | Location::File(_) => posix::create_at(at, len, access, Unnamed::Try, hold, init),
            Location::Sysv(name) => sysv::create(at, name, len, access, init),
            Location::Memfd(memfd) => memfd::create(at, memfd, len, access, init),
        }
    }

    /// Opens a segment under the default [`OpenRules`].
    ///
    /// # Errors
    ///
    /// [`OpenError::NotFound`] if there is none; otherwise what is wrong with it. Nothing is opened that is no
    /// regular file, that another user owns and does not share with a group of this process, that everybody may
    /// write to, that has more names than one, or that is empty. A memfd, which is as good as its giver, must be sealed instead.
    pub fn open(at: impl ToLocation) -> Result<Self, OpenError> {
        Self::open_with(at, &OpenRules::default())
    }

    /// Opens a segment under `rules`.
    ///
    /// # Errors
    ///
    /// As [`Segment::open`], by these rules.
    pub fn open_with(at: impl ToLocation, rules: &OpenRules) -> Result<Self, OpenError> {
        let at = at.to_location()?;
        match &at {
            Location::Posix(_) | Location::File(_) => open::open_at(&at, rules),
            Location::Sysv(name) => sysv::open(&at, name, rules),
            Location::Memfd(memfd) => {
                let (file, stat) = memfd::open(&at, memfd, true)?;
                Ok(Self::from_file(file, &stat, at))
            }
        }
    }

    /// Removes the name of a segment that nobody holds a lease on. With `force` also of one that is held: its users
    /// go on with the memory, which is freed when the last of them leaves.
    ///
    /// # Errors
    ///
    /// [`UnlinkError::InUse`] with a lease that is held, and still is after 100 ms; [`UnlinkError::GateBusy`] after two seconds if a process
    /// has stopped in the middle of attaching or removing; [`UnlinkError::Attached`] for a System V segment that
    /// somebody has attached without a lease. `force` meets none of them. [`UnlinkError::Nameless`] for a
    /// memfd. [`UnlinkError::NotARing`] for a file that does not begin as one.
    pub fn unlink(at: impl ToLocation, force: bool) -> Result<(), UnlinkError> {
        let at = at.to_location()?;
        match &at {
            Location::Posix(_) => posix::unlink_at(&at, force),
            Location::File(path) => {
                // A file of any name may be anything.
                if inventory::begins_as_ring(&posix::open_to_remove(&at, path)?) {
                    posix::unlink_at(&at, force)
                } else {
                    Err(UnlinkError::NotARing { name: at })
                }
            }
            Location::Sysv(name) => sysv::unlink(&at, name, force),
            Location::Memfd(_) => Err(UnlinkError::Nameless { name: at }),
        }
    }
}
