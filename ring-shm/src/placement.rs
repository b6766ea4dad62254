//! Where and how a ring's memory lies: huge pages, a memory node, faulted in beforehand, locked. Each is left to the
//! system unless wished for, and then it is tried or required; what was really got can be asked.
//!
//! Huge pages and the node belong to the segment, and are best wished for by its creator. Faulting in and locking
//! belong to a process's own mapping, so each side wishes for them itself.

mod calls;
mod report;

use core::fmt;

pub(crate) use calls::populate;
pub use report::Placed;

use crate::error::{MapError, OsError};
use crate::mapping::Mapping;
use crate::range::HUGE;

/// How much something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Not at all: whatever the system does.
    #[default]
    Leave,
    /// If it can be had.
    Try,
    /// Or there is to be no handle.
    Require,
}

/// What is wished for a ring's memory.
///
/// ```
/// # let name = format!("doc-placement-{}", std::process::id());
/// use ring_shm::placement::{Placement, Wish};
/// use ring_shm::spsc::{Options, Producer};
///
/// let wanted = Placement::new().prefault(Wish::Require).lock(Wish::Try);
/// let tx = Producer::create(&name, &Options::new().capacity(1 << 16).placement(wanted))?;
/// let got = tx.placed()?;
/// assert_eq!(got.resident, got.mapped);
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    huge_pages: Wish,
    node: Option<(u32, Wish)>,
    prefault: Wish,
    lock: Wish,
}

impl Placement {
    /// Nothing in particular.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Huge pages: reserved ones (hugetlb) where the segment lies on such, else transparent ones, for every whole
    /// 2 MiB of it; fewer misses of the address caches for rings of many megabytes.
    #[must_use]
    pub fn huge_pages(mut self, wish: Wish) -> Self {
        self.huge_pages = wish;
        self
    }

    /// The memory node, for machines that have several: best the consumer's.
    #[must_use]
    pub fn numa_node(mut self, node: u32, wish: Wish) -> Self {
        self.node = Some((node, wish));
        self
    }

    /// All pages faulted in beforehand, so that the first lap is as quick as any.
    #[must_use]
    pub fn prefault(mut self, wish: Wish) -> Self {
        self.prefault = wish;
        self
    }

    /// All pages locked in memory, so that none is ever swapped out.
    #[must_use]
    pub fn lock(mut self, wish: Wish) -> Self {
        self.lock = wish;
        self
    }

    /// Whether the segment itself is to be placed, whoever maps it.
    pub(crate) fn concerns_segment(&self) -> bool {
        self.huge_pages != Wish::Leave || self.node.is_some_and(|(_, wish)| wish != Wish::Leave)
    }

    /// Places the segment behind `mapping`: for its creator, before anybody uses it.
    pub(crate) fn place_segment(&self, mapping: &Mapping) -> Result<(), PlacementError> {
        if let Some((node, wish)) = self.node {
            // What is not faulted in here is not seen and not moved.
            let put = populate(mapping).and_then(|()| calls::put_on(mapping, node, wish == Wish::Require));
            granted(wish, put.map_err(|error| PlacementError::Node { node, error }))?;
        }
        granted(self.huge_pages, huge(mapping))
    }

    /// Places a mapping of this process.
    pub(crate) fn place_mapping(&self, mapping: &Mapping) -> Result<(), PlacementError> {
        if mapping.is_in_parts() {
            return Err(PlacementError::Strict);
        }
        if self.huge_pages != Wish::Leave {
            // Maps by huge pages what lies on such; that there are any is the creator's affair.
            let _ = calls::prefer_huge(mapping);
        }
        if self.prefault != Wish::Leave {
            granted(self.prefault, populate(mapping).map_err(PlacementError::Prefault))?;
        }
        if self.lock != Wish::Leave {
            let len = mapping.len() as u64;
            granted(self.lock, calls::lock(mapping).map_err(|error| PlacementError::Lock { len, error }))?;
        }
        Ok(())
    }
}

/// Only a requirement that is not met is an error.
fn granted(wish: Wish, result: Result<(), PlacementError>) -> Result<(), PlacementError> {
    if wish == Wish::Require { result } else { Ok(()) }
}

/// Huge pages, or why there are none.
fn huge(mapping: &Mapping) -> Result<(), PlacementError> {
    if mapping.len() < HUGE {
        return Err(PlacementError::TooSmall { len: mapping.len() as u64 });
    }
    // Refused where they are switched off; then so is the next.
    let _ = calls::prefer_huge(mapping);
    let collapsed = calls::collapse(mapping);
    let got = Placed::of_mapping(mapping).unwrap_or_default();
    match collapsed {
        _ if got.hugetlb > 0 || got.transparent_huge > 0 => Ok(()),
        Ok(()) => Err(PlacementError::HugePages(None)),
        Err(error) => Err(PlacementError::HugePages(Some(error))),
    }
}

/// A requirement that could not be met, and its cure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlacementError {
    /// No huge pages; with what the system said, if it did.
    HugePages(Option<OsError>),
    /// The segment is smaller than a huge page.
    TooSmall {
        /// Its length in bytes.
        len: u64,
    },
    /// The memory is not on that node.
    Node {
        /// The node.
        node: u32,
        /// What the system said.
        error: OsError,
    },
    /// The pages were not faulted in.
    Prefault(OsError),
    /// The pages were not locked.
    Lock {
        /// How many bytes were to be.
        len: u64,
        /// What the system said.
        error: OsError,
    },
    /// It cannot be told what was got.
    Unknown(OsError),
    /// The segment could not be mapped for it.
    Map(MapError),
    /// A strict ring lies as the system puts it.
    Strict,
    /// There is no segment behind the handle: the ring is on the heap, or the handle was inherited over a fork.
    NoSegment,
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HugePages(error) => {
                f.write_str("no huge pages for the ring")?;
                if let Some(error) = error {
                    write!(f, " ({} failed: errno {})", error.call, error.code)?;
                }
                f.write_str(
                    ": use Linux 6.1 or later, or let them have it (`mount -o remount,huge=advise /dev/shm`), reserve some \
                     for segments that lie on hugetlb (`sysctl vm.nr_hugepages=N`), or only try",
                )
            }
            Self::TooSmall { len } => {
                write!(f, "a ring of {len} bytes is smaller than a huge page: make it 2 MiB or more, or only try")
            }
            Self::Node { node, error } => write!(
                f,
                "the ring is not on memory node {node} ({} failed: errno {}): name one of \
                 /sys/devices/system/node/online with memory left, which this process may use (docker: \
                 `--cpuset-mems`; its default filter refuses mbind: `--cap-add SYS_NICE`), or only try",
                error.call, error.code
            ),
            Self::Prefault(error) => write!(
                f,
                "the ring was not faulted in ({} failed: errno {}): use Linux 5.14 or later and free memory, or only \
                 try",
                error.call, error.code
            ),
            Self::Lock { len, error } => write!(
                f,
                "{len} bytes were not locked in memory ({} failed: errno {}): raise the limit RLIMIT_MEMLOCK (`ulimit \
                 -l`, systemd: `LimitMEMLOCK=infinity`, docker: `--ulimit memlock=-1`), make the ring smaller, or \
                 only try",
                error.call, error.code
            ),
            Self::Unknown(error) => write!(f, "it cannot be told how the ring lies: {error}: mount /proc"),
            Self::Map(error) => error.fmt(f),
            Self::Strict => f.write_str(
                "a strict ring cannot be placed, since neither side may write to all of it: leave the placement out",
            ),
            Self::NoSegment => f.write_str(
                "a ring on the heap, or a handle inherited over a fork, has no segment to be placed: open a named ring",
            ),
        }
    }
}

impl core::error::Error for PlacementError {}

/// How the memory behind a handle's mapping lies.
pub(crate) fn placed(mapping: &Mapping) -> Result<Placed, PlacementError> {
    Placed::of_mapping(mapping).map_err(PlacementError::Unknown)
}
