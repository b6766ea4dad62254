//! What a ring carries, told to people: a description of the payload type in the control block's last quarter, where
//! no working word is but the last. Whoever is refused for another type reads here what the creator's was.
//!
//! `format` writes it before anybody can see the region; nobody decides by it. The type's hash in the identity line
//! decides, and a reader that does not know the text may ignore it: its feature bit is a compatible one.

use core::fmt;
use core::mem::offset_of;

use crate::Region;
use crate::layout::{FEATURE_TYPE_TEXT, Identity, MpmcControl, SpscControl, spsc_data_offset};
use crate::sync::ord;

/// Where the description begins.
pub const TYPE_TEXT_OFFSET: usize = 3072;

/// Bytes of the longest description.
pub const TYPE_TEXT_LEN: usize = 1016;

const _: () = {
    assert!(TYPE_TEXT_OFFSET as u64 + TYPE_TEXT_LEN as u64 == spsc_data_offset(true));
    assert!(size_of::<SpscControl>() <= TYPE_TEXT_OFFSET);
    assert!(size_of::<MpmcControl>() <= TYPE_TEXT_OFFSET);
};

/// The description as it stands in a ring: whatever bytes its creator, or somebody since, has put there.
#[derive(Clone, Copy)]
pub struct TypeText {
    bytes: [u8; TYPE_TEXT_LEN],
    len: usize,
}

impl TypeText {
    /// Where there is none.
    pub(crate) const NONE: Self = Self { bytes: [0; TYPE_TEXT_LEN], len: 0 };

    /// The description in `region`, empty where it has none. Each word is read once.
    pub(crate) fn read(region: &Region<'_>) -> Self {
        let features = load(region, offset_of!(Identity, features_compatible));
        if features & FEATURE_TYPE_TEXT != 0 { Self::read_words(region) } else { Self::NONE }
    }

    /// The description in a `region` that has one.
    pub(crate) fn read_words(region: &Region<'_>) -> Self {
        let mut text = Self::NONE;
        for (offset, to) in offsets().zip(text.bytes.chunks_exact_mut(8)) {
            to.copy_from_slice(&load(region, offset).to_le_bytes());
        }
        text.len = text.bytes.iter().position(|byte| *byte == 0).unwrap_or(TYPE_TEXT_LEN);
        text
    }

    /// Writes `text`, or as much of it as there is room for; the rest is zeroed.
    pub(crate) fn write(region: &Region<'_>, text: &[u8]) {
        let mut rest = text;
        for offset in offsets() {
            let (now, later) = rest.split_at(rest.len().min(8));
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            if let Some(word) = region.word(offset) {
                word.store(u64::from_le_bytes(bytes), ord!(L15, Relaxed));
            }
            rest = later;
        }
    }

    /// The bytes up to the first zero: UTF-8 if its writer was honest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for TypeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeText(\"{}\")", self.as_bytes().escape_ascii())
    }
}

fn load(region: &Region<'_>, offset: usize) -> u64 {
    region.word(offset).map_or(0, |word| word.load(ord!(L16, Relaxed)))
}

/// The words of the description.
fn offsets() -> impl Iterator<Item = usize> {
    (TYPE_TEXT_OFFSET..).step_by(8).take(TYPE_TEXT_LEN / 8)
}
