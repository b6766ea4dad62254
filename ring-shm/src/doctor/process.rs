//! What this process, and those that are started like it, may do.

use std::fs;

use super::probe::{self, Limit};
use super::{Finding, bytes, line, machine, number};
use crate::futex;
use crate::memory;

/// The kernel's fixed inode numbers of the first namespaces.
const FIRST_PID: u64 = 0xEFFF_FFFC;
const FIRST_TIME: u64 = 0xEFFF_FFFA;

pub(super) fn examine() -> Vec<Finding> {
    vec![
        descriptors(),
        mappings(),
        locked_memory(),
        address_space(),
        machine::file_size(),
        control_group(),
        pids(),
        time(),
        sandbox(),
        cpus(),
    ]
}

fn descriptors() -> Finding {
    let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let Some(limit) = probe::limit(Limit::Descriptors) else {
        return Finding::good(
            "nofile",
            "any number of descriptors",
            "a handle takes one, and three while it is opened",
        );
    };
    let found = format!("{limit} descriptors, {open} in use");
    if limit.saturating_sub(open) < 64 {
        let means = "a handle takes one, and three while it is opened: raise the limit (`ulimit -n`)";
        return Finding::warning("nofile", found, means);
    }
    Finding::good("nofile", found, "a handle takes one, and three while it is opened")
}

fn mappings() -> Finding {
    let used = fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count() as u64);
    let most = number("/proc/sys/vm/max_map_count").unwrap_or(65_530);
    let found = format!("{most} mappings, {used} in use");
    if most.saturating_sub(used) < 64 {
        let means = "a handle takes one: raise the limit (`sysctl vm.max_map_count`)";
        return Finding::warning("maps", found, means);
    }
    Finding::good("maps", found, "a handle takes one")
}

fn locked_memory() -> Finding {
    match probe::limit(Limit::LockedMemory) {
        None => Finding::good("memlock", "any amount of memory may be locked", "`lock` works for every ring"),
        Some(limit) => Finding::good(
            "memlock",
            format!("{} may be locked (more by root)", bytes(limit)),
            "`lock` is refused for larger rings: raise it (`ulimit -l`, systemd: `LimitMEMLOCK=`, docker: `--ulimit memlock=-1`)",
        ),
    }
}

fn address_space() -> Finding {
    match probe::limit(Limit::AddressSpace) {
        None => Finding::good("as", "any amount of address space", "rings of any size can be mapped"),
        Some(limit) => Finding::warning(
            "as",
            format!("{} of address space", bytes(limit)),
            "larger rings cannot be mapped: raise it (`ulimit -v`)",
        ),
    }
}

fn control_group() -> Finding {
    let Some(room) = memory::room() else {
        return Finding::good("memory", "no control group limits memory", "rings count on the machine's");
    };
    let found = format!("a control group leaves {} of {}", bytes(room.free), bytes(room.limit));
    if room.free < 64 << 20 {
        let means = "larger rings are refused, since to allocate them is to be killed: raise the limit (docker: \
                     `--memory`, systemd: `MemoryMax=`)";
        return Finding::warning("memory", found, means);
    }
    Finding::good("memory", found, "larger rings are refused; the pages count for whoever touches them first")
}

fn namespace(kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    let (_, inode) = link.to_str()?.split_once('[')?;
    inode.strip_suffix(']')?.parse().ok()
}

fn pids() -> Finding {
    let own = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse::<u32>().ok());
    if own.is_some_and(|own| own != std::process::id()) {
        return Finding::warning(
            "pid namespace",
            "/proc shows another PID namespace than this process is in",
            "locks tell the dead all the same, but people are shown the wrong processes: mount /proc anew",
        );
    }
    let found =
        if namespace("pid").is_none_or(|inode| inode == FIRST_PID) { "the first one" } else { "one of its own" };
    Finding::good(
        "pid namespace",
        found,
        "locks tell the dead across all of them; the pids that are shown are each one's own",
    )
}

fn time() -> Finding {
    let found =
        if namespace("time").is_none_or(|inode| inode == FIRST_TIME) { "the first one" } else { "one of its own" };
    Finding::good("time namespace", found, "no clock is compared between processes")
}

fn sandbox() -> Finding {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map_or("0", str::trim);
    let kernel = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    if mode == "0" {
        return Finding::good(
            "sandbox",
            format!("Linux {kernel}, no seccomp filter"),
            "every call is the kernel's to allow",
        );
    }
    let means = "what it refuses shows in the other checks; futex, fcntl, mmap, madvise and membarrier are needed";
    Finding::good("sandbox", format!("Linux {kernel}, a seccomp filter"), means)
}

fn cpus() -> Finding {
    if futex::is_alone_on_one_cpu() {
        let means = "waiting never spins here, and two sides on one CPU are slower: allow more (`taskset`, docker: `--cpuset-cpus`)";
        return Finding::warning("cpus", "one CPU for this process", means);
    }
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::good("cpus", format!("{count} CPUs for this process"), "waiting spins for 20 µs before it sleeps")
}
