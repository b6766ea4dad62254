//! Who a process is, as plain numbers: for people, and for the one verdict that a lock alone cannot give.
//!
//! Handles record the facts of their own process; `ringctl` prints them; `verdict` asks [`Facts::gone`] where the
//! file system does not keep locks with mappings. They are no proof by themselves: a process outlives its exec,
//! and numbers come back. All of them may have been written by a hostile peer and are treated so.

use std::fs;
use std::sync::Mutex;

use crate::error::OsError;
use crate::fork;
use crate::sys;

/// The kernel's fixed inode number of the first time namespace.
const FIRST_TIME_NAMESPACE: u64 = 0xEFFF_FFFA;

/// The identity of a process, as it is stored in a segment.
///
/// ```
/// let me = ring_shm::Facts::of_self();
/// assert_eq!(me.pid, u64::from(std::process::id()));
/// assert_eq!(me, ring_shm::Facts::of_self());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// The process id in its own PID namespace.
    pub pid: u64,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22). 0: not known, or not comparable
    /// because the process lives in a time namespace of its own.
    pub start_time: u64,
    /// A hash of the boot id, to tell a restarted machine. 0: not known.
    pub boot_hash: u64,
    /// The inode number of its PID namespace. 0: not known.
    pub pid_namespace: u64,
}

impl Facts {
    /// The facts of the calling process. What `/proc` will not say is 0.
    ///
    /// They stay the same while the process lives, so `/proc` is asked once; a forked child asks for itself.
    #[must_use]
    pub fn of_self() -> Self {
        /// The process image and the number that they were found for. Never waited for: whoever finds it locked,
        /// perhaps for ever in a child, looks the facts up.
        static KNOWN: Mutex<Option<(u64, Facts)>> = Mutex::new(None);
        let (image, pid) = (fork::epoch(), u64::from(std::process::id()));
        let mut known = KNOWN.try_lock().ok();
        match known.as_deref() {
            Some(Some((of, facts))) if *of == image && facts.pid == pid => *facts,
            _ => {
                let facts = Self::look_up(pid);
                // What is missing may be there later, when somebody has mounted `/proc`. And forks must be counted from
                // here on: in a PID namespace of its own a child may have its parent's number.
                if let (Some(known), true, Some(_pause)) = (&mut known, facts.is_complete(), fork::try_pause()) {
                    **known = Some((image, facts));
                }
                facts
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.start_time != 0 && self.boot_hash != 0 && self.pid_namespace != 0
    }

    /// The facts of the calling process, whose number is `pid`.
    fn look_up(pid: u64) -> Self {
        Self {
            pid,
            start_time: start_time(std::process::id()),
            boot_hash: boot_hash(),
            pid_namespace: namespace("pid").unwrap_or(0),
        }
    }

    /// Whether the process with these facts is certainly gone. False means that this cannot be shown.
    pub(crate) fn gone(&self) -> bool {
        // Looked up: a process that was frozen and restored may be on another machine by now.
        let here = Self::look_up(u64::from(std::process::id()));
        if self.boot_hash != 0 && here.boot_hash != 0 && self.boot_hash != here.boot_hash {
            return true;
        }
        if self.pid_namespace == 0 || self.pid_namespace != here.pid_namespace {
            return false;
        }
        let Some(pid) = i32::try_from(self.pid).ok().filter(|pid| *pid > 0) else {
            return false;
        };
        let pidfd = match sys::pidfd_open(pid) {
            Ok(pidfd) => pidfd,
            Err(OsError { code, .. }) => return code == libc::ESRCH,
        };
        // Asked after opening: the number now stands for whatever `pidfd` means, or for nothing.
        let start = start_time(pid.unsigned_abs());
        if start != 0 && self.start_time != 0 && start != self.start_time {
            return true;
        }
        // Exited with all threads. If the number had gone to another process, the recorded one is gone as well.
        sys::pidfd_exited(&pidfd)
    }
}

/// Field 22 of `/proc/PID/stat`; 0 unless `/proc` shows this PID namespace and the clock is the machine's own.
fn start_time(pid: u32) -> u64 {
    let own = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse::<u32>().ok());
    if own != Some(std::process::id()) || namespace("time").is_some_and(|inode| inode != FIRST_TIME_NAMESPACE) {
        return 0;
    }
    fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse_start_time(&stat)).unwrap_or(0)
}

/// The second field is the command in parentheses and may hold anything, so counting starts at the last `)`.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// The inode number in `/proc/self/ns/KIND`.
fn namespace(kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    let (_, inode) = link.to_str()?.split_once('[')?;
    inode.strip_suffix(']')?.parse().ok()
}

/// FNV-1a over the boot id; 0 is kept for «not known».
fn boot_hash() -> u64 {
    let Ok(id) = fs::read("/proc/sys/kernel/random/boot_id") else {
        return 0;
    };
    let hash = id
        .trim_ascii()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.max(1)
}

#[cfg(test)]
mod tests;
