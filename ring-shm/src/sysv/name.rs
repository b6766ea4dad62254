//! The name of a System V ring, and the key that follows from it.

use core::fmt;
use core::str::FromStr;
use std::path::{Path, PathBuf};

use super::SIDE;
use crate::name::{NameError, SegmentName};
use crate::posix::DIRECTORY;

/// A ring's name among System V segments, and its key.
///
/// The key is a hash of the name (FNV-1a of its bytes, 64 bits, the halves combined by exclusive or, without the sign
/// bit; 0 becomes 1) unless another one is given. The ring holds the whole name, so that two names of one key are told
/// apart; only one of them can exist at a time.
///
/// ```
/// use ring_shm::{Location, SysvName};
///
/// let name = SysvName::new("ticks")?;
/// assert_eq!(name.key(), 0x15e7_03d9);
/// assert_eq!("sysv:ticks".parse(), Ok(Location::from(name)));
/// assert_eq!(Location::from(SysvName::with_key("ticks", 0x1234)?).to_string(), "sysv:ticks@0x1234");
/// # Ok::<(), ring_shm::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysvName {
    name: SegmentName,
    key: i32,
}

impl SysvName {
    /// The name with the key that follows from it.
    ///
    /// # Errors
    /// [`NameError`], as for a [`SegmentName`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        let name = SegmentName::new(name)?;
        let key = key_of(name.as_str());
        Ok(Self { name, key })
    }

    /// The name with another key.
    ///
    /// # Errors
    /// [`NameError`], as for a [`SegmentName`]; [`NameError::BadKey`] for 0, which is no key.
    pub fn with_key(name: &str, key: i32) -> Result<Self, NameError> {
        if key == libc::IPC_PRIVATE {
            return Err(NameError::BadKey);
        }
        Ok(Self { name: SegmentName::new(name)?, key })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.name.as_str()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> i32 {
        self.key
    }

    /// The side file.
    pub(crate) fn side(&self) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{SIDE}{:08x}", self.key))
    }
}

/// The key of these bits.
pub(crate) fn signed(bits: u32) -> i32 {
    i32::from_ne_bytes(bits.to_ne_bytes())
}

fn key_of(name: &str) -> i32 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    let key = i32::from_le_bytes([a ^ e, b ^ f, c ^ g, d ^ h]) & i32::MAX;
    key.max(1)
}

impl fmt::Display for SysvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        if self.key == key_of(self.name.as_str()) { Ok(()) } else { write!(f, "@{:#x}", self.key) }
    }
}

/// `NAME`, or `NAME@KEY` with a key in decimal or `0x…`.
impl FromStr for SysvName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((name, key)) = text.split_once('@') else { return Self::new(text) };
        let key = match key.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok().map(signed),
            None => key.parse().ok(),
        };
        Self::with_key(name, key.ok_or(NameError::BadKey)?)
    }
}
