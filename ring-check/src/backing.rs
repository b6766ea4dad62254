//! Where the rings of a campaign live, and how its processes find them.
//!
//! Every campaign takes its rings from here, so that each runs over each backing. A worker is told the text of a [`Site`],
//! which is a location in the process that made it and in all its children: a memfd is inherited under its number.

use std::fs::File;
use std::path::{Path, PathBuf};

use ring_shm::{Location, Memfd, Segment, SegmentName, UnlinkError};

use crate::Failure;

/// A kind of memory for rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Backing {
    #[default]
    Posix,
    /// Files beside this program, so on whatever file system it was built on.
    File,
    Memfd,
}

impl Backing {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Posix => "posix",
            Self::File => "file",
            Self::Memfd => "memfd",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Posix, Self::File, Self::Memfd].into_iter().find(|backing| backing.name() == text)
    }

    /// Where its objects have their names; memfds have none.
    fn directory(self) -> Result<Option<PathBuf>, Failure> {
        Ok(match self {
            Self::Posix => Some("/dev/shm".into()),
            Self::File => Some(std::env::current_exe()?.parent().ok_or("a program without a directory")?.to_owned()),
            Self::Memfd => None,
        })
    }

    /// Whether `target`, as a link of `/proc/PID/fd` shows it, is an object of this backing, named or not yet.
    pub(crate) fn owns(self, target: &Path) -> bool {
        match self.directory() {
            Ok(Some(directory)) => target.parent() == Some(&directory),
            _ => target.to_string_lossy().starts_with("/memfd:ring."),
        }
    }

    /// The names with `part` in them that are there now.
    pub(crate) fn left_behind(self, part: &str) -> Result<Vec<String>, Failure> {
        let Some(directory) = self.directory()? else { return Ok(Vec::new()) };
        let names = std::fs::read_dir(directory)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.contains(part)).collect())
    }
}

/// The place of one ring. What is there when it is dropped is removed.
#[derive(Debug)]
pub(crate) struct Site {
    at: Location,
    text: String,
}

impl Site {
    /// A place where nothing is, for a ring of that name.
    pub(crate) fn new(backing: Backing, name: &str) -> Result<Self, Failure> {
        let at = match backing {
            Backing::Posix => SegmentName::new(name)?.into(),
            Backing::File => Location::file(backing.directory()?.unwrap_or_default().join(format!("ring.{name}"))),
            Backing::Memfd => {
                let memfd = Memfd::new(name)?;
                memfd.inherit(true)?;
                memfd.into()
            }
        };
        Ok(Self { text: at.to_string(), at })
    }

    /// What this process and its children open it by.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Removes the ring. Without `force` it is an error that somebody lives in it. (A memfd goes by itself, with the last
    /// who has it; only that error is left.)
    pub(crate) fn remove(&self, force: bool) -> Result<(), Failure> {
        match (ring_shm::unlink(&self.at, force), &self.at) {
            (Err(UnlinkError::Nameless { .. }), _) if force => Ok(()),
            (Err(UnlinkError::Nameless { .. }), at) => match Segment::open(at)?.any_lease()? {
                None => Ok(()),
                Some(lease) => Err(format!("somebody lives in it, with lease {lease}").into()),
            },
            // A vandal may have been at the first words, by which a ring is known from other files.
            (Err(UnlinkError::NotARing { .. }), Location::File(path)) if force => Ok(std::fs::remove_file(path)?),
            (told, _) => Ok(told?),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.remove(true);
    }
}

/// The bytes of the ring at `text`, for who follows no protocol.
pub(crate) fn bytes(text: &str) -> Result<File, Failure> {
    let path = match text.parse()? {
        Location::Posix(name) => format!("/dev/shm/{}", name.file_name()).into(),
        Location::File(path) => path,
        other => PathBuf::from(other.to_string().replace("fd:", "/proc/self/fd/")),
    };
    Ok(File::options().read(true).write(true).open(path)?)
}
