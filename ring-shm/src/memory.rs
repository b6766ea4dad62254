//! How much memory the control groups of this process leave it. Going beyond that is no error but the kernel's SIGKILL, so
//! a creator looks first. It is a look: what others of the group take meanwhile, nobody can know.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What a control group leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Its limit in bytes.
    pub(crate) limit: u64,
    /// What can be had of it, with what the kernel would take back from its caches, or put into swap space.
    pub(crate) free: u64,
}

/// The names of the files of one kind of hierarchy.
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat`.
    caches: [&'static str; 2],
    swap: Option<(&'static str, &'static str)>,
}

const VERSION_2: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    caches: ["active_file", "inactive_file"],
    swap: Some(("memory.swap.max", "memory.swap.current")),
};

/// Its limit of memory and swap together is left out: it says more than one should count on.
const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    caches: ["total_active_file", "total_inactive_file"],
    swap: None,
};

/// A limit above this is none: version 1 has no other word for it.
const NONE: u64 = 1 << 60;

/// The least that any control group above this process leaves; `None` where none limits memory, or says so.
pub(crate) fn room() -> Option<Room> {
    room_below(u64::MAX)
}

/// The same if it is less than `wanted`: what the kernel could take back, which takes long to find out, is asked for only
/// where it matters.
pub(crate) fn room_below(wanted: u64) -> Option<Room> {
    let groups = text::<4096>("/proc/self/cgroup")?;
    let line = |wanted: &str| {
        groups.lines().find_map(|line| line.split_once(':')?.1.split_once(':').filter(|(found, _)| *found == wanted))
    };
    // The controller is in one kind of hierarchy, whatever else the other is for.
    let (root, path, files) = match (line("memory"), line("")) {
        (Some((_, path)), _) => ("/sys/fs/cgroup/memory", path, &VERSION_1),
        (None, Some((_, path))) => ("/sys/fs/cgroup", path, &VERSION_2),
        (None, None) => return None,
    };
    let groups = above(Path::new(root), path.trim_start_matches('/'));
    groups.iter().filter_map(|group| of(group, files, wanted)).min_by_key(|room| room.free)
}

/// The group and those above it. In a container the path may be one of the host's: then only the root is there.
fn above(root: &Path, path: &str) -> Vec<PathBuf> {
    root.join(path).ancestors().take_while(|group| group.starts_with(root)).map(Path::to_owned).collect()
}

/// What a file of the kernel says that ends with a line and is seldom longer than `N` bytes: then in one read.
fn text<const N: usize>(path: impl AsRef<Path>) -> Option<String> {
    let (mut file, mut usual) = (File::open(path).ok()?, [0; N]);
    let read = file.read(&mut usual).ok()?;
    let mut bytes = usual.get(..read)?.to_vec();
    if read == N || bytes.last() != Some(&b'\n') {
        // Without the limit its size would be asked for, which such a file does not know.
        file.take(u64::MAX).read_to_end(&mut bytes).ok()?;
    }
    String::from_utf8(bytes).ok()
}

fn number(path: PathBuf) -> Option<u64> {
    text::<64>(path)?.trim().parse().ok()
}

/// What the group leaves, if it is less than `wanted`.
fn of(group: &Path, files: &Files, wanted: u64) -> Option<Room> {
    // `max` is no number: no limit.
    let limit = number(group.join(files.limit)).filter(|limit| *limit < NONE)?;
    let usage = number(group.join(files.usage))?;
    if limit.saturating_sub(usage) >= wanted {
        return None;
    }
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let caches: u64 = files.caches.iter().filter_map(|name| line_of(&stat, name)).sum();
    let swap = files.swap.map_or(0, |(limit, usage)| {
        let left = number(group.join(limit)).unwrap_or(u64::MAX).saturating_sub(number(group.join(usage)).unwrap_or(0));
        left.min(swap_free())
    });
    let free = limit.saturating_sub(usage.saturating_sub(caches)).saturating_add(swap);
    (free < wanted).then_some(Room { limit, free })
}

/// The number behind `name` in a table of two columns.
fn line_of(table: &str, name: &str) -> Option<u64> {
    let mut words = table.lines().find(|line| line.split_whitespace().next() == Some(name))?.split_whitespace().skip(1);
    words.next()?.parse().ok()
}

/// Free swap space of the machine, in bytes.
fn swap_free() -> u64 {
    let table = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    line_of(&table, "SwapFree:").unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests;
