//! What a run leaves in the file system if nobody takes it away: sockets and iceoryx2's files, all of them in one folder
//! or with one prefix in /dev/shm.
//!
//! The names hold the driver's process number, which is settled before it forks.

use std::sync::OnceLock;
use std::{env, fs, path::PathBuf, process};

fn run() -> u32 {
    static RUN: OnceLock<u32> = OnceLock::new();
    *RUN.get_or_init(process::id)
}

/// The prefix of everything in /dev/shm.
pub(crate) fn prefix() -> String {
    format!("ring-peers-{}_", run())
}

/// The folder of everything else, made when it is first asked for.
pub(crate) fn folder() -> String {
    let folder = path();
    // An error shows itself when the folder is used.
    let _ = fs::create_dir_all(&folder);
    folder.to_string_lossy().into_owned()
}

fn path() -> PathBuf {
    env::temp_dir().join(format!("ring-peers-{}", run()))
}

/// Takes all of it away when it is dropped; to be made before a run and dropped after it, in the driver.
#[derive(Debug)]
pub struct Sweeper(());

impl Sweeper {
    /// Settles the names.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "settles names, once")]
    pub fn new() -> Self {
        run();
        Self(())
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // What is not there needs no taking away.
        let _ = fs::remove_dir_all(path());
        let ours = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        for entry in ours.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix())) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
