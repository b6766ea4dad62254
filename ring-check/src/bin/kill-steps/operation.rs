//! What an operation is to the harness: how the ring is prepared, what the victim does between its marks, and what its
//! death may do to messages. The operations themselves are in `data.rs` and `seats.rs`.

use ring_shm::{SetupError, mpmc, spsc};

use crate::Failure;
use crate::backing::Backing;
use crate::message::{Author, Message};
use crate::page::{Outcome, Page};
use crate::peer::{self, Refused};
use crate::stage::{Past, Shape, Stage};
use crate::strict::{self, Link};

/// The role that the victim plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Producer,
    Consumer,
    /// It creates, recovers, closes or removes, and sits nowhere.
    Tool,
}

/// What a victim is given.
pub(crate) struct Env<'a> {
    pub(crate) name: &'a str,
    /// The place of what it creates.
    pub(crate) fresh: String,
    pub(crate) shape: Shape,
    pub(crate) page: &'a Page,
    pub(crate) author: Author,
    /// In a strict ring, what it is handed over by.
    pub(crate) link: Option<Link>,
}

/// A handle of a victim's.
pub(crate) trait Opens: Sized {
    /// Opens it on the ring that the victim is given.
    fn open_in(env: &Env<'_>) -> Result<Self, SetupError>;
}

impl Opens for spsc::Producer {
    fn open_in(env: &Env<'_>) -> Result<Self, SetupError> {
        env.link.as_ref().map_or_else(|| Self::open(env.name), strict::producer)
    }
}

impl Opens for spsc::Consumer {
    fn open_in(env: &Env<'_>) -> Result<Self, SetupError> {
        env.link.as_ref().map_or_else(|| Self::open(env.name), strict::consumer)
    }
}

impl Opens for mpmc::Producer {
    fn open_in(env: &Env<'_>) -> Result<Self, SetupError> {
        Self::open(env.name)
    }
}

impl Opens for mpmc::Consumer {
    fn open_in(env: &Env<'_>) -> Result<Self, SetupError> {
        Self::open(env.name)
    }
}

impl<'a> Env<'a> {
    /// For the victim.
    pub(crate) fn victim(stage: &'a Stage) -> Self {
        let Stage { name, shape, page, .. } = stage;
        Self { name, fresh: stage.fresh(), shape: *shape, page, author: Author::Victim, link: None }
    }

    /// For the second one, who finds what the first has left.
    pub(crate) fn heir(stage: &'a Stage) -> Self {
        Self { page: &stage.heir, author: Author::Heir, ..Self::victim(stage) }
    }

    /// Its message `seq`.
    pub(crate) fn message(&self, seq: usize) -> Message {
        self.shape.id(self.author, seq).message()
    }

    /// Says how sending `count` messages went.
    #[inline]
    pub(crate) fn sent<T, E: Into<Refused>>(&self, count: usize, result: Result<T, E>) {
        match result {
            Ok(_) => {
                self.page.told(count);
                self.page.ended(Outcome::Done);
            }
            Err(e) => self.refused(e),
        }
    }

    #[cold]
    pub(crate) fn refused<E: Into<Refused>>(&self, error: E) {
        let refused = error.into();
        if let Refused::Wrong(what) = &refused {
            eprintln!("victim: {what}");
        }
        self.page.ended(refused.outcome());
    }

    /// Says how sitting down went, and gives the handle.
    pub(crate) fn seated<H>(&self, result: Result<H, SetupError>) -> Option<H> {
        match result {
            Ok(handle) => {
                self.page.ended(Outcome::Done);
                Some(handle)
            }
            Err(e) => {
                let outcome = match e {
                    SetupError::Closed => Outcome::End,
                    e if peer::is_taken(&e) => Outcome::InUse,
                    e => {
                        eprintln!("victim: {e}");
                        Outcome::Wrong
                    }
                };
                self.page.ended(outcome);
                None
            }
        }
    }
}

/// One operation.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) who: Who,
    /// The victim has its place from before the first mark to after the second.
    pub(crate) seated: bool,
    /// The operation ends its session, or the ring.
    pub(crate) leaves: bool,
    /// Messages it is to send.
    pub(crate) sends: usize,
    /// It works on a ring of its own making, which must be there or not.
    pub(crate) makes: bool,
    pub(crate) prepare: fn(&Stage) -> Result<Past, Failure>,
    pub(crate) victim: fn(&Env<'_>) -> Result<(), Failure>,
}

impl Operation {
    /// An operation of a victim that has its place and keeps it.
    pub(crate) const fn new(
        name: &'static str,
        shape: Shape,
        who: Who,
        prepare: fn(&Stage) -> Result<Past, Failure>,
        victim: fn(&Env<'_>) -> Result<(), Failure>,
    ) -> Self {
        let seated = !matches!(who, Who::Tool);
        Self { name, shape, who, seated, leaves: false, sends: 0, makes: false, prepare, victim }
    }

    /// Whether there is such a thing over `backing`: what has no name is not removed.
    pub(crate) fn is_for(&self, backing: Backing) -> bool {
        backing != Backing::Memfd || !self.removes()
    }

    fn removes(&self) -> bool {
        self.name.ends_with("-remove")
    }

    /// Others can wait beside it: who is stopped in the middle of a removal keeps everybody out, for seconds, and so does
    /// the creator of what has no other place to be half made in.
    pub(crate) fn can_wait(&self, backing: Backing) -> bool {
        !self.removes() && (backing != Backing::Memfd || !self.makes)
    }

    pub(crate) const fn sends(self, sends: usize) -> Self {
        Self { sends, ..self }
    }

    pub(crate) const fn unseated(self) -> Self {
        Self { seated: false, ..self }
    }

    pub(crate) const fn leaves(self) -> Self {
        Self { leaves: true, ..self }
    }

    pub(crate) const fn makes(self) -> Self {
        Self { makes: true, ..self }
    }
}
