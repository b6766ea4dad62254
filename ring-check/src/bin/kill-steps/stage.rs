//! The ring of one operation. It is prepared once; its bytes are then put back before each victim, when nobody has a
//! handle, so that every victim meets the same state at no cost.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use ring_shm::{SetupError, mpmc, spsc};

use crate::Failure;
use crate::backing::{self, Backing, Site};
use crate::message::{Author, Id};
use crate::page::Page;
use crate::peer::Kind;

/// What a ring is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Bytes, or slots.
    pub(crate) capacity: u64,
    /// SPSC: bytes after which space is released.
    pub(crate) every: u64,
    /// Only one producer, only one consumer.
    pub(crate) single: (bool, bool),
    pub(crate) participants: u32,
    pub(crate) at_most_once: bool,
    /// SPSC: what victims send goes into one train, if it is one batch.
    pub(crate) alike: bool,
}

/// Small, so that a lap is short.
pub(crate) const SPSC: Shape = Shape {
    kind: Kind::Spsc,
    capacity: 256,
    every: 0,
    single: (true, true),
    participants: 2,
    at_most_once: false,
    alike: false,
};

/// The same for trains: one of three messages is the longest that there is.
pub(crate) const TRAINS: Shape = Shape { alike: true, ..SPSC };

/// With places for one sender and one receiver besides the victim, and for the victim's successor.
pub(crate) const MPMC: Shape = Shape { kind: Kind::Mpmc, capacity: 4, single: (false, false), participants: 4, ..SPSC };

impl Shape {
    /// What a victim's message `seq` is.
    pub(crate) fn id(&self, author: Author, seq: usize) -> Id {
        if self.alike { Id::alike(author, seq) } else { Id::new(author, seq) }
    }

    /// Creates such a ring.
    pub(crate) fn create(&self, name: &str) -> Result<(), SetupError> {
        match self.kind {
            Kind::Spsc => spsc::create(name, &self.spsc()),
            Kind::Mpmc => mpmc::create(name, &self.mpmc()),
        }
    }

    pub(crate) fn spsc(&self) -> spsc::Options {
        spsc::Options::new().capacity(self.capacity).release_every(self.every)
    }

    pub(crate) fn mpmc(&self) -> mpmc::Options {
        let options = mpmc::Options::new().slots(self.capacity).slot_size(40).max_participants(self.participants);
        // Either role may have the whole table: by default one place is kept for the other.
        let most = |single| if single { 1 } else { self.participants };
        let options = options.max_producers(most(self.single.0)).max_consumers(most(self.single.1));
        if self.at_most_once { options.at_most_once() } else { options }
    }

    /// Messages of about three laps.
    pub(crate) fn laps(&self) -> usize {
        let lap = if self.kind == Kind::Spsc { self.capacity / 32 } else { self.capacity };
        lap as usize * 3
    }
}

/// What lies in a ring before an operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// Messages that have to arrive, in this order.
    pub(crate) queued: Vec<Id>,
    /// Those of them that somebody dead has seen.
    pub(crate) lent: Vec<Id>,
    /// Somebody dead is in it.
    pub(crate) dead: bool,
}

impl Past {
    /// Numbers the next message to be queued.
    pub(crate) fn next(&mut self) -> Id {
        let id = Id::new(Author::Past, self.queued.len());
        self.queued.push(id);
        id
    }

    /// The same, of those that go into one train.
    pub(crate) fn next_alike(&mut self) -> Id {
        let id = Id::alike(Author::Past, self.queued.len());
        self.queued.push(id);
        id
    }
}

/// A ring, and what is written down about its victims.
pub(crate) struct Stage {
    pub(crate) shape: Shape,
    pub(crate) backing: Backing,
    /// What everybody opens it by.
    pub(crate) name: String,
    /// Where a victim creates something.
    fresh: RefCell<Site>,
    /// What all names of this stage have in them.
    label: String,
    pub(crate) page: Page,
    /// The second victim's.
    pub(crate) heir: Page,
    file: File,
    bytes: Vec<u8>,
    /// Last, so that it goes when nobody needs it any more.
    _site: Site,
}

impl Stage {
    /// Creates the ring of `shape`.
    pub(crate) fn new(backing: Backing, shape: Shape, label: String) -> Result<Self, Failure> {
        let site = Site::new(backing, &label)?;
        shape.create(site.text())?;
        let file = backing::bytes(site.text())?;
        let len = usize::try_from(file.metadata()?.len())?;
        let fresh = RefCell::new(Site::new(backing, &fresh_label(&label))?);
        let (name, page, heir) = (site.text().to_owned(), Page::new()?, Page::new()?);
        Ok(Self { shape, backing, name, fresh, label, page, heir, file, bytes: vec![0; len], _site: site })
    }

    /// What the place for what a victim creates is opened by.
    pub(crate) fn fresh(&self) -> String {
        self.fresh.borrow().text().to_owned()
    }

    /// Removes what a victim has created, and makes room for the next.
    pub(crate) fn renew(&self) -> Result<(), Failure> {
        *self.fresh.borrow_mut() = Site::new(self.backing, &fresh_label(&self.label))?;
        Ok(())
    }

    /// Removes what a victim has created; an error if somebody lives in it, or a name is left.
    pub(crate) fn remove_fresh(&self) -> Result<(), Failure> {
        self.fresh.borrow().remove(false)?;
        let left = self.left_behind()?;
        if left.is_empty() { Ok(()) } else { Err(format!("not removed: {left:?}").into()) }
    }

    /// Whether `file` is this ring.
    pub(crate) fn is(&self, file: &File) -> io::Result<bool> {
        let (ours, other) = (self.file.metadata()?, file.metadata()?);
        Ok((ours.dev(), ours.ino()) == (other.dev(), other.ino()))
    }

    /// The bytes as they are now.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; self.bytes.len()];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Takes the present state for the one to put back.
    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        self.bytes = self.bytes()?;
        Ok(())
    }

    /// Puts the state back. Nobody may have a handle.
    pub(crate) fn reset(&self) -> Result<(), Failure> {
        self.put_back(&self.bytes)
    }

    /// Puts `bytes` in place of what is there. Nobody may have a handle.
    pub(crate) fn put_back(&self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.file.write_all_at(bytes, 0)?)
    }

    /// Names left behind, other than its own.
    pub(crate) fn left_behind(&self) -> Result<Vec<String>, Failure> {
        let own = format!("ring.{}", self.label);
        Ok(self.backing.left_behind(&self.label)?.into_iter().filter(|name| *name != own).collect())
    }

    /// The same while a ring of a victim's making may be there.
    pub(crate) fn left_beside(&self) -> Result<Vec<String>, Failure> {
        let own = format!("ring.{}", fresh_label(&self.label));
        Ok(self.left_behind()?.into_iter().filter(|name| *name != own).collect())
    }
}

fn fresh_label(label: &str) -> String {
    format!("{label}-fresh")
}
