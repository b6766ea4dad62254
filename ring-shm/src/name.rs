//! The name of a segment, validated once, so that every later step may trust it.
//!
//! Called by whoever takes a name from a user: embedders, `ringctl`, tests. It holds no system call and knows
//! nothing of directories: where a name is stored is the backing's affair.

use core::fmt;
use core::str::FromStr;

/// What stands before a [`SegmentName`] in `/dev/shm`.
pub(crate) const PREFIX: &str = "ring.";

/// A valid segment name: 1 to 200 bytes of ASCII letters, digits, `.`, `_` and `-`, beginning with none of
/// `.` and `-`.
///
/// The segment `ticks` is the POSIX shared-memory object `/ring.ticks`, which Linux keeps as
/// `/dev/shm/ring.ticks`.
///
/// ```
/// use ring_shm::{NameError, SegmentName};
///
/// let name = SegmentName::new("ticks.eu-west_1")?;
/// assert_eq!(name.as_str(), "ticks.eu-west_1");
/// assert_eq!(SegmentName::new("/ticks"), Err(NameError::Slash { at: 0 }));
/// # Ok::<(), NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName(Box<str>);

impl SegmentName {
    /// The longest name in bytes.
    pub const MAX: usize = 200;

    /// Validates `name`.
    ///
    /// # Errors
    ///
    /// The [`NameError`] that names the first thing wrong with it.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let Some(first) = name.chars().next() else {
            return Err(NameError::Empty);
        };
        for (at, found) in name.char_indices() {
            match found {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => {}
                '/' => return Err(NameError::Slash { at }),
                '\0' => return Err(NameError::Nul { at }),
                _ => return Err(NameError::BadCharacter { found, at }),
            }
        }
        if matches!(first, '.' | '-') {
            return Err(NameError::BadStart { found: first });
        }
        if name.len() > Self::MAX {
            return Err(NameError::TooLong { len: name.len() });
        }
        Ok(Self(name.into()))
    }

    /// The name as the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the object in `/dev/shm`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for SegmentName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for SegmentName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for SegmentName {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

/// Why a text is no [`SegmentName`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    Empty,
    /// The name is longer than [`SegmentName::MAX`].
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The name holds a slash.
    Slash {
        /// The byte offset of the slash.
        at: usize,
    },
    /// The name holds a NUL.
    Nul {
        /// The byte offset of the NUL.
        at: usize,
    },
    /// The name holds a character that is not allowed anywhere.
    BadCharacter {
        /// The character.
        found: char,
        /// Its byte offset.
        at: usize,
    },
    /// `file:` is not followed by a path.
    NoPath,
    /// After `@` there is no key of a System V segment.
    BadKey,
    /// `fd:` is not followed by the number of a descriptor of a regular file, of this process or of one that it may trace.
    NoDescriptor,
    /// The name begins with `.` or `-`.
    BadStart {
        /// The character it begins with.
        found: char,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("the segment name is empty: give it at least one letter or digit"),
            Self::TooLong { len } => {
                write!(f, "the segment name has {len} bytes: shorten it to {}", SegmentName::MAX)
            }
            Self::Slash { at } => {
                write!(f, "the segment name holds a slash at byte {at}: give the bare name, without `/` or a directory (a ring in a file is `file:PATH`)")
            }
            Self::Nul { at } => write!(f, "the segment name holds a NUL at byte {at}: remove it"),
            Self::BadCharacter { found, at } => {
                write!(f, "the segment name holds {found:?} at byte {at}: use only A-Z, a-z, 0-9, `.`, `_` and `-`")
            }
            Self::NoPath => f.write_str("`file:` is not followed by a path: give one (`file:/var/lib/feed/ticks`)"),
            Self::BadKey => f.write_str(
                "that is no key of a System V segment: give a number other than 0, in decimal or as 0x…, at most 32 bits",
            ),
            Self::NoDescriptor => f.write_str(
                "`fd:` is not followed by a memfd that can be reached: give the number of one that this process has inherited (`fd:7`), or that another one has which you may trace (`fd:PID/7`)",
            ),
            Self::BadStart { found } => {
                write!(f, "the segment name begins with {found:?}: begin it with a letter, a digit or `_`")
            }
        }
    }
}

impl core::error::Error for NameError {}
