//! A directory for rings in files, and what is made in it.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring_shm::{Location, mpmc, spsc};

/// A directory on a real file system, and names in it.
pub struct Directory(tempfile::TempDir);

impl Directory {
    pub fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    /// One in memory, for those who play the disk themselves.
    pub fn in_memory() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn at(&self, name: &str) -> Location {
        Location::file(self.path(name))
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Makes a file of those bytes, as a disk has them after a power loss.
pub fn plant(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    let file = File::options().write(true).create_new(true).open(path).unwrap();
    file.set_permissions(Permissions::from_mode(0o600)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

pub fn options() -> spsc::Options {
    spsc::Options::new().capacity(1 << 14)
}

pub fn jobs() -> mpmc::Options {
    mpmc::Options::new().slots(64).slot_size(200)
}
