//! Two CPUs for two processes: different cores of one package where the system says which those are.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::exit::note;

/// Two CPUs this process may run on, the first two on different cores if there are such; `None` if there are no two.
pub(crate) fn two() -> Option<[usize; 2]> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let (first, others) = cpus.split_first()?;
    let home = place(*first);
    let near = |cpu: &&usize| {
        let there = place(**cpu);
        there.package == home.package && there.core != home.core
    };
    let second = others.iter().find(near).or_else(|| others.first())?;
    Some([*first, *second])
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    package: Option<String>,
    core: Option<String>,
}

fn place(cpu: usize) -> Place {
    let read = |what| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/{what}")).ok();
    Place { package: read("physical_package_id"), core: read("core_id") }
}

/// Keeps this process on `cpu`. Not to be able to is no failure.
pub(crate) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    let pinned = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    if let Err(errno) = pinned {
        note(&format!("this process is not pinned to CPU {cpu}: {errno}"));
    }
}
