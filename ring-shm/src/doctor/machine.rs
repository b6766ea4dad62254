//! What is the same for every process of the machine, or of the container.

use std::fs;
use std::path::Path;

use super::probe::{self, Limit};
use super::{Finding, bytes, chosen, line, number};
use crate::inventory;
use crate::posix::DIRECTORY;
use crate::segment::Segment;
use crate::sys;

/// Less than this, and a few rings fill it. Containers have so much unless told otherwise.
const SMALL: u64 = 64 << 20;

pub(super) fn examine() -> Vec<Finding> {
    let mut findings = vec![proc(), directory(), space(), sticky(), unnamed_files()];
    findings.extend([leases(), links(), removal_at_logout(), leftovers(), membarrier(), waiting_on_several()]);
    findings.extend([huge_pages(), transparent_huge_pages(), nodes(), clock()]);
    findings
}

fn proc() -> Finding {
    if fs::read_dir("/proc/self/fd").is_ok() {
        return Finding::good("proc", "/proc is mounted", "segments are opened anew through /proc/self/fd");
    }
    Finding::warning("proc", "/proc is not mounted", "nothing can be created or opened: mount it")
}

fn directory() -> Finding {
    match fs::File::open(DIRECTORY) {
        Ok(file) if sys::is_tmpfs(&file) => {
            Finding::good("shm", "/dev/shm is a tmpfs", "rings live in memory, and a death is proven by its lock alone")
        }
        Ok(_) => Finding::warning(
            "shm",
            "/dev/shm is no tmpfs",
            "rings are as slow as its file system may be, and `stat` cannot always tell the dead: mount a tmpfs there",
        ),
        Err(error) => Finding::warning(
            "shm",
            format!("/dev/shm cannot be opened: {error}"),
            "there is no place for rings: mount a tmpfs of mode 1777 there",
        ),
    }
}

fn space() -> Finding {
    let cure = "enlarge it (docker: `--shm-size`, Kubernetes: an `emptyDir` with `medium: Memory`, else `mount -o \
                remount,size=… /dev/shm`)";
    let Some((size, free, inodes)) = sys::space(Path::new(DIRECTORY)) else {
        return Finding::warning("space", "/dev/shm does not say how large it is", cure);
    };
    let found = format!("{} free of {} in /dev/shm", bytes(free), bytes(size));
    if inodes == 0 {
        return Finding::warning("space", "no inodes are free in /dev/shm", "no ring can be made: remove leftovers");
    }
    if free < SMALL || size <= SMALL {
        return Finding::warning("space", found, format!("a larger ring is refused when it is created: {cure}"));
    }
    Finding::good("space", found, "a ring takes its memory when it is created, and is refused when there is too little")
}

fn sticky() -> Finding {
    let Ok(stat) = sys::stat_name(Path::new(DIRECTORY)) else {
        return Finding::warning("sticky", "/dev/shm cannot be looked at", "mount a tmpfs there");
    };
    let mode = stat.permissions();
    let found = format!("/dev/shm has mode {mode:04o}");
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let means = "others can take the names of your rings away and put theirs there: `chmod 1777 /dev/shm`";
        return Finding::warning("sticky", found, means);
    }
    Finding::good("sticky", found, "nobody but its owner and root can take a ring's name away")
}

fn unnamed_files() -> Finding {
    match probe::unnamed(Path::new(DIRECTORY)) {
        Ok(_) => Finding::good("o_tmpfile", "/dev/shm has unnamed files", "a creator that dies leaves nothing"),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Finding::warning(
            "o_tmpfile",
            format!("this user may not write to /dev/shm: {error}"),
            "it can create no ring: `chmod 1777 /dev/shm`",
        ),
        Err(error) => Finding::warning(
            "o_tmpfile",
            format!("/dev/shm has no unnamed files: {error}"),
            "rings are made under a temporary name, which a creator that dies leaves to `ringctl rm --stale`",
        ),
    }
}

fn leases() -> Finding {
    let file = match probe::unnamed(Path::new(DIRECTORY)) {
        Ok(file) => file,
        Err(error) => return Finding::warning("locks", format!("not tried: {error}"), "see o_tmpfile"),
    };
    match probe::lock_lives_with_mapping(&file) {
        Ok(true) => Finding::good(
            "locks",
            "a lock lives exactly as long as its mapping",
            "a dead peer is told from a slow one, by the kernel's word",
        ),
        Ok(false) => Finding::warning(
            "locks",
            "a lock does not live with its mapping",
            "who closes all descriptors may be taken for dead once its process is gone, and not before; a death may \
             need `ringctl recover --assume-dead`: use a tmpfs of the kernel's own",
        ),
        Err(error) => Finding::warning(
            "locks",
            format!("open-file-description locks do not work: {error}"),
            "no ring can be opened: let the sandbox allow fcntl(F_OFD_SETLK)",
        ),
    }
}

fn links() -> Finding {
    match number("/proc/sys/fs/protected_hardlinks") {
        Some(0) => Finding::warning(
            "links",
            "fs.protected_hardlinks is 0",
            "anybody can give your rings a second name, and a ring with two is refused: `sysctl fs.protected_hardlinks=1`",
        ),
        _ => Finding::good("links", "fs.protected_hardlinks is on", "others cannot give your rings a second name"),
    }
}

fn removal_at_logout() -> Finding {
    if !Path::new("/run/systemd/system").exists() {
        return Finding::good("removeipc", "systemd does not run here", "no logout removes rings");
    }
    let mut files = vec!["/etc/systemd/logind.conf".into()];
    for directory in ["/usr/lib/systemd/logind.conf.d", "/etc/systemd/logind.conf.d", "/run/systemd/logind.conf.d"] {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut more: Vec<_> = entries.map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    let set =
        files.iter().filter_map(|file| fs::read_to_string(file).ok()).filter_map(|text| remove_ipc(&text)).next_back();
    let keeps = set.is_some_and(|yes| !yes);
    let user = sys::user();
    if keeps {
        return Finding::good("removeipc", "RemoveIPC=no", "rings outlive the sessions of their users");
    }
    let found = if set.is_some() { "RemoveIPC=yes" } else { "RemoveIPC is not set, which is yes" };
    if user < 1000 {
        let means = format!("user {user} is a system user, whose rings stay");
        return Finding::good("removeipc", found, means);
    }
    let means = "the last logout of this user takes the names of its rings away: run services as system users, or set \
                 RemoveIPC=no in /etc/systemd/logind.conf";
    Finding::warning("removeipc", found, means)
}

/// What a configuration of logind says, if it says it.
fn remove_ipc(text: &str) -> Option<bool> {
    let set = text.lines().filter_map(|line| line.trim().strip_prefix("RemoveIPC=")).next_back()?;
    Some(matches!(set.trim(), "yes" | "true" | "on" | "1"))
}

fn leftovers() -> Finding {
    let user = sys::user();
    let own = Segment::list().unwrap_or_default().into_iter().filter(|info| info.owner == user);
    let (mut free, mut taken) = (0_u32, 0_u64);
    for info in own.filter(|info| info.held == Some(false)) {
        (free, taken) = (free.saturating_add(1), taken.saturating_add(info.len));
    }
    let temporaries = inventory::temporaries();
    if free == 0 && temporaries == 0 {
        return Finding::good("leftovers", "no segment without a user", "nothing to clean up");
    }
    let found = format!("{free} segments of {} without a user, {temporaries} unfinished", bytes(taken));
    Finding::good(
        "leftovers",
        found,
        "if nobody is to come back to them, `ringctl rm --stale` removes the rings among them",
    )
}

fn membarrier() -> Finding {
    /// GLOBAL_EXPEDITED and its registration.
    const WANTED: u64 = 1 << 1 | 1 << 2;
    if probe::membarrier().is_some_and(|commands| commands & WANTED == WANTED) {
        let means = "a publisher looks for sleepers by a load or two, without a fence";
        return Finding::good("membarrier", "membarrier works across processes", means);
    }
    Finding::warning(
        "membarrier",
        "membarrier does not work across processes",
        "each publication costs a fence: use Linux 4.16 or later, and let the sandbox allow membarrier",
    )
}

fn waiting_on_several() -> Finding {
    let found = if probe::futex_waitv() { "futex_waitv works" } else { "no futex_waitv (Linux 5.16 has it)" };
    Finding::good("futex_waitv", found, "a handle's wait does without: it sleeps on one word")
}

fn huge_pages() -> Finding {
    let total = number("/proc/sys/vm/nr_hugepages").unwrap_or(0);
    if total == 0 {
        let means = "`huge_pages` gets no reserved ones: `sysctl vm.nr_hugepages=N` before the memory is in pieces";
        return Finding::good("hugetlb", "no huge pages are reserved", means);
    }
    Finding::good("hugetlb", format!("{total} huge pages are reserved"), "rings on a hugetlbfs can use them")
}

fn transparent_huge_pages() -> Finding {
    let policy = chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    if matches!(policy.as_deref(), None | Some("deny")) {
        let means = "rings in /dev/shm stay on small pages";
        return Finding::good("thp", "no transparent huge pages for shared memory", means);
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let options = mounts.lines().rfind(|mount| mount.split(' ').nth(1) == Some(DIRECTORY)).unwrap_or_default();
    match options.split([' ', ',']).find_map(|option| option.strip_prefix("huge=")) {
        None | Some("never") => Finding::good(
            "thp",
            "/dev/shm is mounted without huge=",
            "rings get them by `huge_pages` alone, which collapses small pages when the ring is created (Linux 6.1)",
        ),
        Some(how) => {
            Finding::good("thp", format!("/dev/shm is mounted with huge={how}"), "rings get them by `huge_pages`")
        }
    }
}

fn nodes() -> Finding {
    let nodes = line("/sys/devices/system/node/online").unwrap_or_else(|| "0".into());
    let means = if nodes == "0" {
        "all memory is equally near"
    } else {
        "put a ring on the node of its consumer (`numa_node`)"
    };
    Finding::good("numa", format!("memory nodes {nodes}"), means)
}

fn clock() -> Finding {
    let source = line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    match source.as_deref() {
        None => Finding::good("clock", "the clock's source is not told", "deadlines use CLOCK_MONOTONIC"),
        Some(
            name @ ("tsc" | "arch_sys_counter" | "kvm-clock" | "hyperv_clocksource_tsc_page" | "riscv_clocksource"),
        ) => Finding::good("clock", name, "reading the clock is no system call; deadlines use CLOCK_MONOTONIC"),
        Some(name) => Finding::warning(
            "clock",
            name,
            "each look at the clock is a system call, so waiting with a timeout costs more: boot with `tsc=reliable` \
             if the hardware is",
        ),
    }
}

/// Whether files may be as large as a ring.
pub(super) fn file_size() -> Finding {
    match probe::limit(Limit::FileSize) {
        None => Finding::good("fsize", "files may be of any size", "so may rings"),
        Some(limit) => Finding::warning(
            "fsize",
            format!("files may have {}", bytes(limit)),
            "larger rings are refused: raise it (`ulimit -f`)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::remove_ipc;

    #[test]
    fn the_last_word_of_a_configuration_counts() {
        assert_eq!(remove_ipc("[Login]\n#RemoveIPC=no\n"), None);
        assert_eq!(remove_ipc("RemoveIPC=yes\n RemoveIPC=no \n"), Some(false));
        assert_eq!(remove_ipc("RemoveIPC=1"), Some(true));
    }
}
