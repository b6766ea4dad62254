//! What a consumer is told of a message that it has copied out.

use core::fmt;

use crate::position::Position;
use crate::record::tag;

/// What came with a message that was copied out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Payload bytes.
    pub len: usize,
    /// The sender's tag.
    pub tag: u32,
    /// The delivery id.
    pub position: Position,
    /// Whether a consumer that died may have seen this record already. May be true wrongly, never false wrongly.
    pub redelivered: bool,
    /// No gap is left: one would be copied for each message, where it shares its place with an error.
    odd: u8,
    even: u16,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("len", &self.len)
            .field("tag", &self.tag)
            .field("position", &self.position)
            .field("redelivered", &self.redelivered)
            .finish()
    }
}

impl Received {
    /// What came with the record that `word` commits, and that filled `buf`. Nobody had seen it: a stretch that is not empty lies
    /// behind what may have been seen before.
    #[inline(always)]
    pub(super) fn here(word: u64, position: Position, buf: &[u8]) -> Self {
        Self::new(buf.len(), tag(word), position, false)
    }

    #[inline(always)]
    pub(super) const fn new(len: usize, tag: u32, position: Position, redelivered: bool) -> Self {
        Self { len, tag, position, redelivered, odd: 0, even: 0 }
    }
}
