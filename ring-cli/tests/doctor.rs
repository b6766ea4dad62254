//! `ringctl doctor` on this machine, and on machines made worse: without room, without the sticky bit, without
//! descriptors, on another file system.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, sched_setaffinity, unshare};
use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;
use support::{Out, Ring, ringctl, run, start_command};

/// What a machine must say about each of these, whatever it is like.
const CHECKS: [&str; 25] = [
    "proc",
    "shm",
    "space",
    "sticky",
    "o_tmpfile",
    "locks",
    "links",
    "removeipc",
    "leftovers",
    "membarrier",
    "futex_waitv",
    "hugetlb",
    "thp",
    "numa",
    "clock",
    "nofile",
    "maps",
    "memlock",
    "as",
    "fsize",
    "memory",
    "pid namespace",
    "time namespace",
    "sandbox",
    "cpus",
];

fn check(out: &Out, name: &str) -> Value {
    let all = out.json();
    all.as_array().unwrap().iter().find(|finding| finding["check"] == name).unwrap_or_else(|| panic!("{name}")).clone()
}

fn health(out: &Out, name: &str) -> String {
    check(out, name)["health"].as_str().unwrap().to_owned()
}

/// Runs `ringctl doctor --json` in a process made worse by `spoil`; `None`, with the reason, where that may not be.
fn doctor_after(spoil: impl Fn() -> nix::Result<()> + Send + Sync + 'static) -> Option<Out> {
    let mut command = ringctl();
    command.args(["doctor", "--json"]);
    #[allow(unsafe_code, reason = "the child makes system calls and allocates nothing")]
    // SAFETY: the closures of this file make system calls alone.
    unsafe {
        command.pre_exec(move || spoil().map_err(std::io::Error::from))
    };
    match command.output() {
        Err(error) => {
            println!("skipped: {error}");
            None
        }
        Ok(_) => Some(start_command(&mut command).finish()),
    }
}

fn own_shm(options: &'static str) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some("ring-test"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), Some(options))
}

#[test]
fn one_line_a_check_and_success_with_warnings() {
    let out = run(&["doctor"], b"").expect(0);
    let text = out.text();
    assert_eq!(text.lines().count(), CHECKS.len(), "{text}");
    for (line, name) in text.lines().zip(CHECKS) {
        let (health, rest) = line.split_at(9);
        assert!(["ok", "warning"].contains(&health.trim()), "{line}");
        assert!(rest.starts_with(name) && rest.contains(": "), "{line}");
    }
    let json = run(&["doctor", "--json"], b"").expect(0);
    for name in CHECKS {
        let finding = check(&json, name);
        assert!(["found", "means"].iter().all(|key| !finding[key].as_str().unwrap().is_empty()), "{finding}");
    }
    let warnings = text.lines().filter(|line| line.starts_with("warning")).count();
    let strict = run(&["doctor", "--strict"], b"");
    strict.expect(i32::from(warnings > 0));
}

#[test]
fn leftovers_are_counted_and_left_alone() {
    let ring = Ring::new("doctor", "4KiB");
    let out = run(&["doctor", "--json"], b"").expect(0);
    let found = check(&out, "leftovers")["found"].as_str().unwrap().to_owned();
    assert!(found.split(' ').next().unwrap().parse::<u32>().unwrap() >= 1, "{found}");
    assert!(ring.path().exists());
}

#[test]
fn a_container_of_64_megabytes_and_strictly() {
    let Some(out) = doctor_after(|| own_shm("size=64m,mode=1777")) else { return };
    let space = check(&out.expect(0), "space");
    assert_eq!(space["health"], "warning");
    assert!(space["means"].as_str().unwrap().contains("--shm-size"), "{space}");
}

#[test]
fn a_directory_without_the_sticky_bit() {
    let Some(out) = doctor_after(|| own_shm("size=256m,mode=0777")) else { return };
    let out = out.expect(0);
    assert_eq!(health(&out, "sticky"), "warning");
    assert_eq!(health(&out, "shm"), "ok");
}

#[test]
fn another_file_system_in_the_place() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let source: std::path::PathBuf = directory.path().into();
    let there = move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        mount(Some(&source), "/dev/shm", None::<&str>, MsFlags::MS_BIND, None::<&str>)
    };
    let Some(out) = doctor_after(there) else { return };
    let tmpfs = nix::sys::statfs::statfs(directory.path()).unwrap().filesystem_type() == nix::sys::statfs::TMPFS_MAGIC;
    assert_eq!(health(&out.expect(0), "shm"), if tmpfs { "ok" } else { "warning" });
}

#[test]
fn limits_of_the_process() {
    let limited = |which, to| doctor_after(move || setrlimit(which, to, to)).unwrap().expect(0);
    assert_eq!(health(&limited(Resource::RLIMIT_NOFILE, 40), "nofile"), "warning");
    assert_eq!(health(&limited(Resource::RLIMIT_FSIZE, 1 << 20), "fsize"), "warning");
    assert_eq!(health(&limited(Resource::RLIMIT_AS, 1 << 32), "as"), "warning");
    let memlock = check(&limited(Resource::RLIMIT_MEMLOCK, 1 << 16), "memlock");
    assert!(memlock["found"].as_str().unwrap().starts_with("64 KiB"), "{memlock}");
    let one = doctor_after(|| {
        let mut set = nix::sched::CpuSet::new();
        set.set(0)?;
        sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)
    });
    assert_eq!(health(&one.unwrap().expect(0), "cpus"), "warning");
}
