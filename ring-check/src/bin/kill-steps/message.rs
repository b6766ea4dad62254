//! Messages whose bytes follow from their number, so that whoever receives one can check all of it.

use crate::chance::mix;

/// The longest message; every ring here takes it.
pub(crate) const MAX: usize = 40;

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Author {
    /// Those who filled the ring before the operation.
    Past = 1,
    /// The dead of the past: nothing of theirs may arrive.
    Dead = 2,
    Victim = 3,
    /// The second victim.
    Heir = 4,
    /// Survivors and successors.
    Survivor = 5,
}

/// What the numbers of messages have that are sent with one tag, and have one length: their bytes tell which is which.
const ALIKE: u32 = 0x8000;

/// So many an author sends.
const MANY: usize = 16;

/// Payload bytes of those.
pub(crate) const ALIKE_LEN: usize = 8;

/// A message's number: its author and which one of theirs it is. It is the tag as well, where there are not several alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) u32);

impl Id {
    pub(crate) fn new(author: Author, seq: usize) -> Self {
        Self((author as u32) << 16 | seq as u32 & (ALIKE - 1))
    }

    /// One of those that go into one train.
    pub(crate) fn alike(author: Author, seq: usize) -> Self {
        Self(Self::new(author, seq).0 | ALIKE)
    }

    fn is_alike(self) -> bool {
        self.0 & ALIKE != 0
    }

    pub(crate) fn is_of(self, author: Author) -> bool {
        self.0 >> 16 == author as u32
    }

    pub(crate) fn seq(self) -> u32 {
        self.0 & (ALIKE - 1)
    }

    pub(crate) fn author(self) -> u32 {
        self.0 >> 16
    }

    /// Its bytes.
    pub(crate) fn message(self) -> Message {
        let mut bytes = [0; MAX];
        let mut x = u64::from(self.0);
        for chunk in bytes.chunks_mut(8) {
            x = mix(x ^ 0x5eed);
            chunk.copy_from_slice(&(x | 1).to_le_bytes()[..chunk.len()]);
        }
        let len = if self.is_alike() { ALIKE_LEN } else { 9 + (x % (MAX as u64 - 8)) as usize };
        Message { id: self, bytes, len }
    }
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let author = ["?", "past", "dead", "victim", "heir", "survivor"].get(self.author() as usize).unwrap_or(&"?");
        write!(f, "{author}-{}", self.seq())
    }
}

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    id: Id,
    bytes: [u8; MAX],
    len: usize,
}

impl Message {
    pub(crate) fn tag(&self) -> u32 {
        if self.id.is_alike() { self.id.0 & !(ALIKE - 1) } else { self.id.0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Which message this is; an error if any bit of it is wrong.
pub(crate) fn check(tag: u32, bytes: &[u8]) -> Result<Id, String> {
    if Id(tag).is_alike() {
        let mut all = (0..MANY).map(|seq| Id(tag | seq as u32));
        return all.find(|id| id.message().bytes() == bytes).ok_or(format!("alike and garbled: {bytes:02x?}"));
    }
    let id = Id(tag);
    if id.message().bytes() == bytes { Ok(id) } else { Err(format!("{id:?} is garbled: {bytes:02x?}")) }
}
