//! What a mapping has really got, as the kernel tells it of a process: of this one, or of another that one may look at.

use std::fs;

use crate::error::OsError;
use crate::facts::Facts;
use crate::location::{Location, ToLocation};
use crate::mapping::Mapping;
use crate::open;
use crate::range::HUGE;
use crate::sys::FileId;
use crate::sysv;

/// The memory behind one process's mappings of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Placed {
    /// Bytes mapped.
    pub mapped: u64,
    /// Bytes that are faulted in: touching them waits for nothing.
    pub resident: u64,
    /// Bytes that are locked in memory.
    pub locked: u64,
    /// Bytes mapped by reserved huge pages (hugetlb).
    pub hugetlb: u64,
    /// Bytes on transparent huge pages.
    pub transparent_huge: u64,
    /// Bytes on each memory node; empty where the kernel does not say.
    pub nodes: Vec<(u32, u64)>,
}

impl Placed {
    /// Of a mapping of this process.
    pub(super) fn of_mapping(mapping: &Mapping) -> Result<Self, OsError> {
        let start = mapping.as_ptr().as_ptr() as u64;
        read("self", |range| range.start == start)
    }

    /// Of all mappings that the process of `facts` has of a segment. `None` where it may not be looked at, is
    /// gone, or lives in another PID namespace.
    #[must_use]
    pub fn of_process(at: impl ToLocation, facts: &Facts) -> Option<Self> {
        let here = Facts::of_self();
        if facts.pid == 0 || facts.pid_namespace != here.pid_namespace || facts.boot_hash != here.boot_hash {
            return None;
        }
        let at = at.to_location().ok()?;
        let (file, stat) = open::open_to_look(&at).ok()?;
        let pid = facts.pid.to_string();
        let placed = match &at {
            // Shown by its key, and by its id in the place of an inode; the device is one that nothing else tells.
            Location::Sysv(name) => {
                let (id, _) = sysv::found(&at, name, &file, stat.owner).ok()?;
                let (id, key) = (u64::try_from(id).ok()?, format!("/SYSV{:08x}", name.key()));
                read(&pid, |head| head.object.inode == id && head.name == key)
            }
            _ => read(&pid, |head| head.object == stat.id),
        };
        let placed = placed.ok()?;
        (placed.mapped > 0).then_some(placed)
    }
}

/// What the first line about a mapping says of it.
#[derive(Debug, PartialEq, Eq)]
struct Head<'l> {
    start: u64,
    end: u64,
    object: FileId,
    /// The first word of the object's name.
    name: &'l str,
}

/// Adds up the mappings of the process that are `wanted` by their start or their object.
fn read(pid: &str, wanted: impl Fn(&Head<'_>) -> bool) -> Result<Placed, OsError> {
    let text = |file| {
        fs::read_to_string(format!("/proc/{pid}/{file}"))
            .map_err(|error| OsError::from_io("read(/proc/PID/smaps)", &error))
    };
    let mut placed = Placed::default();
    let mut starts = Vec::new();
    let (mut counts, mut len) = (false, 0);
    for line in text("smaps")?.lines() {
        if let Some(head) = head(line) {
            counts = wanted(&head);
            len = head.end.saturating_sub(head.start);
            if counts {
                starts.push(head.start);
                placed.mapped = placed.mapped.saturating_add(len);
            }
        } else if counts {
            add(&mut placed, len, line);
        }
    }
    // Kernels without memory nodes have no such file.
    for line in text("numa_maps").unwrap_or_default().lines() {
        let start = line.split(' ').next().and_then(|start| u64::from_str_radix(start, 16).ok());
        if start.is_some_and(|start| starts.contains(&start)) {
            add_nodes(&mut placed.nodes, line);
        }
    }
    Ok(placed)
}

/// The same, if the line begins a mapping.
fn head(line: &str) -> Option<Head<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let mut words = words.skip(2);
    let (device, inode) = (words.next()?, words.next()?);
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let device = libc::makedev(number(major)?, number(minor)?);
    let object = FileId { device, inode: inode.parse().ok()? };
    Some(Head { start, end, object, name: words.next().unwrap_or_default() })
}

/// Adds what one line says of a mapping of `len` bytes.
fn add(placed: &mut Placed, len: u64, line: &str) {
    let Some((key, value)) = line.split_once(':') else { return };
    let Some(kib) = value.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok()) else { return };
    let bytes = kib.saturating_mul(1024);
    let (sum, more) = match key {
        "Rss" | "Shared_Hugetlb" | "Private_Hugetlb" => (&mut placed.resident, bytes),
        "Locked" => (&mut placed.locked, bytes),
        "ShmemPmdMapped" | "FilePmdMapped" => (&mut placed.transparent_huge, bytes),
        "KernelPageSize" if bytes >= HUGE as u64 => (&mut placed.hugetlb, len),
        _ => return,
    };
    *sum = sum.saturating_add(more);
}

/// Words such as `N0=12`, in pages of `kernelpagesize_kB=4`.
fn add_nodes(nodes: &mut Vec<(u32, u64)>, line: &str) {
    let page =
        line.split(' ').find_map(|word| word.strip_prefix("kernelpagesize_kB=")?.parse::<u64>().ok()).unwrap_or(4);
    for word in line.split(' ') {
        let Some((node, pages)) = word.strip_prefix('N').and_then(|rest| rest.split_once('=')) else { continue };
        let (Ok(node), Ok(pages)) = (node.parse(), pages.parse::<u64>()) else { continue };
        let bytes = pages.saturating_mul(page).saturating_mul(1024);
        match nodes.iter_mut().find(|(one, _)| *one == node) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => nodes.push((node, bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let line = "7f00a0000000-7f00a0202000 rw-s 00000000 00:1b 77    /dev/shm/ring.with space";
        let object = FileId { device: libc::makedev(0, 0x1b), inode: 77 };
        let read = Head { start: 0x7f00_a000_0000, end: 0x7f00_a020_2000, object, name: "/dev/shm/ring.with" };
        assert_eq!(head(line), Some(read));
        assert_eq!(head("Rss:                 132 kB"), None);
        let mut placed = Placed::default();
        for line in
            ["Rss:   132 kB", "Locked:  4 kB", "ShmemPmdMapped:   2048 kB", "KernelPageSize: 2048 kB", "VmFlags: rd wr"]
        {
            add(&mut placed, 4 << 20, line);
        }
        assert_eq!((placed.resident, placed.locked), (132 << 10, 4 << 10));
        assert_eq!((placed.transparent_huge, placed.hugetlb), (2 << 20, 4 << 20));
        add_nodes(&mut placed.nodes, "7f00 bind:0 file=/dev/shm/ring.N1=2 mapped=3 N0=2 N1=1 kernelpagesize_kB=4");
        assert_eq!(placed.nodes, [(0, 8192), (1, 4096)]);
    }
}
