//! Rings that are not in `/dev/shm`: every subcommand on files, and what can be said of memfds.

mod support;

use std::fs;

use ring_shm::{Memfd, mpmc, spsc};
use serde_json::json;
use support::{Ring, run, start, wait_until};

#[test]
fn posix_by_option() {
    let ring = Ring::name("posix");
    let on = |command: &str, input: &[u8]| run(&[command, &ring, "--backing=posix"], input);
    on("create", b"").expect(0);
    on("send", b"x").expect(0);
    assert_eq!(on("recv", b"").expect(0).stdout, b"x");
    for command in ["stat", "recover", "rm"] {
        on(command, b"").expect(0);
    }
}

#[test]
fn a_file_by_option_and_by_location() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ticks");
    let (path, location) = (path.to_str().unwrap(), format!("file:{}", path.display()));
    for name in [[path, "--backing=file"].as_slice(), &[location.as_str()]] {
        let on = |command: &str, more: &[&str]| run(&[&[command], name, more].concat(), b"three\nshort\nlines\n");
        on("stat", &[]).expect(5).says(&format!("create {location}"));
        on("create", &["--capacity=4KiB"]).expect(0);
        on("create", &[]).expect(6).says("exists");
        on("send", &["--lines"]).expect(0);
        assert_eq!(on("recv", &[]).expect(0).stdout, b"three\nshort\nlines\n");
        let stat = on("stat", &["--json"]).expect(0).json();
        assert_eq!((&stat["name"], &stat["backing"], &stat["mode"]), (&json!(path), &json!("file"), &json!("0600")));
        on("stat", &[]).expect(0).shows("spsc, file");
        on("recover", &[]).expect(0);
        on("rm", &[]).expect(0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
    run(&["stat", path], b"").expect(2).says("file:PATH");
    run(&["stat", &location, "--backing=posix"], b"").expect(2).says("use only");
    run(&["stat", "file:"], b"").expect(2).says("not followed by a path");
}

#[test]
fn system_v_by_option_and_by_location() {
    let (ring, key) = (Ring::name("sysv"), format!("{:#x}", std::process::id() | 0x4000_0000));
    let (location, other) = (format!("sysv:{}", ring.0), format!("sysv:{}@{key}", ring.0));
    let sets: [&[&str]; 4] =
        [&[&ring, "--backing=sysv"], &[&location], &[&ring, "--backing=sysv", "--key", &key], &[&other]];
    for name in sets {
        let on = |command: &str, more: &[&str]| run(&[&[command], name, more].concat(), b"x");
        on("stat", &[]).expect(5).says("create sysv:");
        on("create", &["--kind=mpmc", "--slots=8"]).expect(0);
        on("create", &[]).expect(6).says("exists");
        on("send", &[]).expect(0);
        on("close", &[]).expect(0);
        assert_eq!(on("recv", &[]).expect(0).stdout, b"x");
        assert_eq!(on("stat", &["--json"]).expect(0).json()["backing"], "sysv");
        run(&["ls"], b"").expect(0).shows(if name.concat().contains(&key) { &other } else { &location });
        on("recover", &[]).expect(0);
        on("rm", &[]).expect(0);
    }
    run(&["stat", &ring, "--key=1"], b"").expect(2).says("--backing sysv");
    run(&["stat", &ring, "--backing=sysv", "--key=0"], b"").expect(2).says("no key");
}

#[test]
fn what_is_no_file_of_ours_is_refused_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("file:{}", directory.path().join(name).display());
    fs::create_dir(directory.path().join("directory")).unwrap();
    std::os::unix::fs::symlink("elsewhere", directory.path().join("link")).unwrap();
    nix::unistd::mkfifo(&directory.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, kind) in [("directory", "directory"), ("link", "symbolic link"), ("fifo", "fifo")] {
        for command in ["stat", "send", "recv", "recover", "rm"] {
            run(&[command, &at(name)], b"").expect(4).says(&format!("/{name} is a {kind}"));
        }
        run(&["create", &at(name)], b"").expect(6).says("exists");
    }
    run(&["create", &at("no/such")], b"").expect(5);
    // A file of any name may be anything: only rings are removed.
    fs::write(directory.path().join("precious"), "my only copy").unwrap();
    for force in [[].as_slice(), &["--force"]] {
        run(&[&["rm", &at("precious")], force].concat(), b"").expect(4).says("holds no ring");
    }
    assert_eq!(fs::read(directory.path().join("precious")).unwrap(), b"my only copy");
}

#[test]
fn lists_of_a_directory_and_of_a_process() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("file:{}", directory.path().join(name).display());
    run(&["create", &at("b"), "--capacity=4KiB"], b"").expect(0);
    run(&["create", &at("a"), "--kind=mpmc", "--slots=8"], b"").expect(0);
    fs::write(directory.path().join("c"), b"no ring, whatever it is called").unwrap();
    let dir = directory.path().to_str().unwrap();
    let list = run(&["ls", "--dir", dir, "--json"], b"").expect(0).json();
    let facts: Vec<_> = list.as_array().unwrap().iter().map(|ring| (&ring["name"], &ring["kind"])).collect();
    let path = |name: &str| json!(directory.path().join(name));
    assert_eq!(facts, [(&path("a"), &json!("mpmc")), (&path("b"), &json!("spsc"))]);
    run(&["ls", "--dir", dir], b"").expect(0).shows(&at("a"));
    run(&["ls", "--dir", &at("none")], b"").expect(1).says("name a directory that is there");
    run(&["ls", "--dir", "process none"], b"").expect(1).says("name a directory that is there");

    // Of a process: this one.
    let mine = Memfd::new("cli-memfd").unwrap();
    let mut tx = spsc::Producer::create(&mine, &spsc::Options::new().capacity(4096)).unwrap();
    let other = Memfd::new("cli-other").unwrap();
    mpmc::create(&other, &mpmc::Options::new().slots(8)).unwrap();
    let pid = std::process::id().to_string();
    let list = run(&["ls", "--pid", &pid, "--json"], b"").expect(0).json();
    let list = list.as_array().unwrap();
    assert!(list.len() == 2 && list.iter().all(|ring| ring["backing"] == "memfd"), "{list:?}");
    let ours = list.iter().find(|ring| ring["kind"] == "spsc").unwrap();
    // The names shown are good for the other subcommands, also for those that take part.
    let name = ours["name"].as_str().unwrap();
    assert!(name.starts_with(&format!("fd:{pid}/")), "{name}");
    run(&["stat", name], b"").expect(0).shows("spsc, memfd").shows(&format!("alive: process {pid}"));
    run(&["create", name], b"").expect(6).says("exists");
    run(&["rm", name], b"").expect(1).says("no name to remove");
    let recv = start(&["recv", name]);
    tx.send(1, b"to another process").unwrap();
    wait_until("the consumer", || spsc::inspect(&mine).unwrap().head == tx.stats().position);
    drop(tx);
    assert_eq!(recv.finish().expect(0).stdout, b"to another process");
    run(&["stat", "fd:4000000000/3"], b"").expect(2).says("fd:7");
    run(&["ls", "--pid=4000000000"], b"").expect(1).says("process 4000000000: ").says("name one that runs");
    run(&["ls", "--pid=1", "--dir=/"], b"").expect(2);
}

#[test]
fn what_a_power_loss_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let at = format!("file:{}", directory.path().join("ticks").display());
    let recover = |more: &[&str]| run(&[&["recover", &at, "--power-loss"], more].concat(), b"");
    run(&["create", &at, "--capacity=4KiB"], b"").expect(0);
    recover(&[]).expect(4).says("sync");
    let mut tx = spsc::Producer::open(&at).unwrap();
    for text in [b"one\n", b"two\n"] {
        tx.try_send(1, text).unwrap();
    }
    tx.sync().unwrap();
    tx.try_send(1, b"never synced\n").unwrap();
    recover(&[]).expect(6).says("open");
    drop(tx);
    recover(&[]).expect(0).shows("2 records").shows("all that was unread at the last sync");
    let again = recover(&["--json"]).expect(0).json();
    assert_eq!((&again["records"], &again["whole"]), (&json!(2), &json!(true)));
    assert_eq!(run(&["recv", &at], b"").expect(3).stdout, b"one\ntwo\n");
    run(&["send", &at], b"three").expect(0);
    assert_eq!(run(&["recv", &at], b"").expect(0).stdout, b"three");
    recover(&["--assume-dead=1"]).expect(2);
    let jobs = format!("file:{}", directory.path().join("jobs").display());
    run(&["create", &jobs, "--kind=mpmc", "--slots=8"], b"").expect(0);
    run(&["recover", &jobs, "--power-loss"], b"").expect(2).says("without --power-loss");
}
