//! What each subcommand ends with in each situation: the exit codes that scripts rely on, as one table.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use support::{Out, Ring, as_somebody_else, can_be_somebody_else, copy_binary, run, start, start_command, wait_until};

/// The subcommands that name a ring, in the order of the rows below.
const COMMANDS: [&str; 6] = ["create", "send", "recv", "stat", "recover", "rm"];

/// Runs all of them with `more`, and compares their ends; of those that fail, each has to say `words`.
#[track_caller]
fn row(what: &str, name: &str, more: &[&str], codes: [i32; 6], words: &str) {
    for (command, code) in COMMANDS.into_iter().zip(codes) {
        check(what, command, code, run(&[&[command, name], more].concat(), b""), words);
    }
}

#[track_caller]
fn check(what: &str, command: &str, code: i32, out: Out, words: &str) {
    assert_eq!(out.status.code(), Some(code), "{what}: {command}: {}", out.stderr);
    assert!(code == 0 || out.stderr.starts_with("ringctl: "), "{what}: {command}: {:?}", out.stderr);
    assert!(code == 0 || out.stderr.contains(words), "{what}: {command}: {:?}", out.stderr);
    assert!(!out.stderr.contains("panicked"), "{what}: {command}: {}", out.stderr);
}

#[test]
fn nothing_wrong() {
    let ring = Ring::name("fine");
    run(&["send", &ring, "--wait=0"], b"").expect(8);
    run(&["create", &ring], b"").expect(0);
    // A session without records, so that `recv` finds its end.
    let recv = start(&["recv", &ring]);
    ring.wait_for_consumer();
    run(&["send", &ring], b"").expect(0);
    recv.finish().expect(0);
    for command in ["stat", "recover", "rm"] {
        run(&[command, &ring], b"").expect(0);
    }
    run(&["ls"], b"").expect(0);
}

#[test]
fn arguments() {
    let ring = Ring::name("arguments");
    row("an option that is none", &ring, &["--frob"], [2; 6], "--frob");
    row("a bad name", "a/b", &[], [2; 6], "bare name");
    row("no name", "", &[], [2; 6], "empty");
    row("an overlong name", &"x".repeat(201), &[], [2; 6], "shorten it to 200");
    row("a name that climbs", "..", &[], [2; 6], "begin it with");
    row("a backing that is none", &ring, &["--backing=cloud"], [2; 6], "posix");
    assert!(!ring.path().exists());
}

/// Bytes that are no text, as an operator's shell may hand them over.
#[test]
fn names_that_are_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    for command in COMMANDS {
        let out = start_command(support::ringctl().arg(command).arg(OsStr::from_bytes(b"a\xffb"))).finish();
        check("no text", command, 2, out, "UTF-8");
    }
}

#[test]
fn missing() {
    let ring = Ring::name("missing");
    for (command, code) in [("send", 5), ("recv", 5), ("stat", 5), ("recover", 5), ("rm", 5)] {
        check("missing", command, code, run(&[command, &ring], b""), "there is no segment");
    }
    for command in ["send", "recv"] {
        check("missing", command, 8, run(&[command, &ring, "--wait=0.01"], b""), "after 0.01 seconds");
    }
}

#[test]
fn no_ring() {
    let sound = fs::read(Ring::new("sound", "4KiB").path()).unwrap();
    let with = |at: usize, byte: u8| {
        let mut image = sound.clone();
        image[at] ^= byte;
        image
    };
    for (what, image, words) in [
        ("empty", Vec::new(), "empty"),
        ("a foreign file", b"#!/bin/sh\nexit 0\n".repeat(1000), "magic"),
        ("cut in the control block", sound[..100].to_vec(), "bytes"),
        ("cut in the data", sound[..5000].to_vec(), "bytes"),
        ("another version", with(8, 3), "version"),
        ("a damaged identity", with(50, 1), "c"),
        ("a damaged tail", with(128, 1), "tail"),
        ("a damaged seat", with(390, 0xff), "seat"),
    ] {
        let ring = Ring::name("none");
        fs::write(ring.path(), &image).unwrap();
        fs::set_permissions(ring.path(), Permissions::from_mode(0o600)).unwrap();
        for command in ["send", "recv", "stat", "recover"] {
            check(what, command, 4, run(&[command, &ring], b""), words);
        }
        check(what, "create", 6, run(&["create", &ring], b""), "exists");
        assert!(fs::read(ring.path()).unwrap() == image, "{what} was changed");
        check(what, "rm", 0, run(&["rm", &ring], b""), "");
    }
}

/// A size costs nothing where there is no memory behind it, and must not be taken for the ring's.
#[test]
fn far_larger_than_memory() {
    let ring = Ring::new("sparse", "4KiB");
    let file = fs::File::options().write(true).open(ring.path()).unwrap();
    if let Err(e) = file.set_len(100 << 40) {
        return println!("skipped: {e}");
    }
    let stat = ring.stat();
    assert_eq!((&stat["capacity"], &stat["size"]), (&4096.into(), &(100_u64 << 40).into()));
    for command in ["send", "recv", "recover"] {
        check("grown", command, 4, run(&[command, &ring], b""), "resized");
    }
    file.set_len(0).unwrap();
    file.set_len(100 << 40).unwrap();
    for command in ["send", "recv", "stat", "recover"] {
        check("zeroes without end", command, 4, run(&[command, &ring], b""), "magic");
    }
    run(&["ls"], b"").expect(0);
    run(&["rm", &ring], b"").expect(0);
}

/// Whoever may write to a ring can cut it. That ends the tool with an error, not with a signal.
#[test]
fn cut_under_the_living() {
    for kind in ["spsc", "mpmc"] {
        let ring = Ring::name("cut");
        run(&["create", &ring, "--kind", kind], b"").expect(0);
        let cut = || fs::File::options().write(true).open(ring.path()).unwrap().set_len(0).unwrap();
        let held = || ring.stat().to_string().contains("\"alive\"");
        let recv = start(&["recv", &ring]);
        wait_until("a receiver", held);
        cut();
        check("cut", kind, 4, recv.finish(), "truncated");
        check("cut", "rm", 0, run(&["rm", &ring], b""), "");
        run(&["create", &ring, "--kind", kind], b"").expect(0);
        let mut send = start(&["send", &ring, "--lines"]);
        wait_until("a sender", held);
        cut();
        // More than a ring of zeros takes.
        send.feed(&b"until there is no room\n".repeat(100_000));
        check("cut", kind, 4, send.finish(), "truncated");
    }
}

#[test]
fn in_use() {
    let ring = Ring::new("in-use", "4KiB");
    let (send, recv) = (start(&["send", &ring]), start(&["recv", &ring]));
    ring.wait_for_producer();
    ring.wait_for_consumer();
    let living = |pid: i32| format!("process {pid}");
    for (command, pid) in [("create", send.pid()), ("send", send.pid()), ("recv", recv.pid()), ("rm", recv.pid())] {
        check("in use", command, 6, run(&[command, &ring], b""), &living(pid));
    }
    for command in ["stat", "recover"] {
        check("in use", command, 0, run(&[command, &ring], b""), "");
    }
    // Nobody's word counts against what the system knows.
    let seen = ring.stat();
    for (seat, pid) in [("producer", send.pid()), ("consumer", recv.pid())] {
        let assumed = run(&["recover", &ring, "--assume-dead", &seen[seat]["lease"].to_string()], b"");
        check("a word about the living", "recover", 6, assumed, &living(pid));
    }
    assert_eq!(ring.stat()["producer"]["lease"], seen["producer"]["lease"]);
}

/// As somebody else, who may run the binary; `None` where that cannot be.
fn other(groups: &str) -> Option<(impl Fn(&[&str]) -> Command, tempfile::TempDir)> {
    if !can_be_somebody_else(groups) {
        println!("skipped: needs root, and setpriv");
        return None;
    }
    let dir = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let copy: PathBuf = dir.path().join("ringctl");
    copy_binary(&copy);
    let groups = groups.to_owned();
    Some((
        move |args: &[&str]| {
            let mut command = as_somebody_else(&groups);
            command.arg(&copy).args(args);
            command
        },
        dir,
    ))
}

#[test]
fn somebody_elses() {
    let Some((other, _dir)) = other("--clear-groups") else { return };
    let ring = Ring::new("others", "4KiB");
    for (command, code) in [("send", 7), ("recv", 7), ("stat", 7), ("recover", 7), ("rm", 7), ("create", 6)] {
        check("somebody else's", command, code, start_command(&mut other(&[command, &ring])).finish(), "");
    }
    check("forced", "rm", 7, start_command(&mut other(&["rm", &ring, "--force"])).finish(), "its owner");
    // What everybody may read, everybody may look at, and no more.
    fs::set_permissions(ring.path(), Permissions::from_mode(0o644)).unwrap();
    for (command, code) in [("send", 7), ("recv", 7), ("stat", 0), ("recover", 7), ("rm", 7)] {
        check("readable", command, code, start_command(&mut other(&[command, &ring])).finish(), "");
    }
    let list = start_command(&mut other(&["ls", "--json"])).finish().expect(0).json();
    let found = list.as_array().unwrap().iter().find(|one| one["name"] == *ring).unwrap();
    assert_eq!((&found["kind"], &found["owner"]), (&"spsc".into(), &0.into()));
    let many = Ring::name("others-mpmc");
    run(&["create", &many, "--kind=mpmc", "--mode=0644"], b"").expect(0);
    let sender = start(&["send", &many]);
    wait_until("a sender", || many.stat()["participants"][0]["pid"] == sender.pid());
    for (command, code) in [("send", 7), ("recv", 7), ("close", 7), ("recover", 7), ("rm", 7)] {
        check("readable", command, code, start_command(&mut other(&[command, &many])).finish(), "");
    }
    let seen = start_command(&mut other(&["stat", &many, "--json"])).finish().expect(0).json();
    assert_eq!((&seen["participants"][0]["state"], &seen["participants"][0]["lease"]), (&"alive".into(), &1.into()));
    let list = start_command(&mut other(&["ls", "--json"])).finish().expect(0).json();
    let found = list.as_array().unwrap().iter().find(|one| one["name"] == *many).unwrap();
    assert_eq!((&found["kind"], &found["participants"][0]["state"]), (&"mpmc".into(), &"alive".into()));
    drop(sender.kill());
    assert_eq!(many.stat()["participants"][0]["state"], "dead");
    // Root looks at what others own, and does not use it.
    let theirs = Ring::name("theirs");
    start_command(&mut other(&["create", &theirs])).finish().expect(0);
    for (command, code) in [("stat", 0), ("send", 7), ("recv", 7), ("recover", 7)] {
        check("theirs", command, code, run(&[command, &theirs], b""), "belongs to user 65534");
    }
}

#[test]
fn shared_with_a_group() {
    let Some((other, _dir)) = other("--groups=54321") else { return };
    let ring = Ring::name("group");
    run(&["create", &ring, "--capacity=4KiB", "--mode=0660", "--group=54321"], b"").expect(0);
    let recv = start(&["recv", &ring]);
    ring.wait_for_consumer();
    let mut send = start_command(&mut other(&["send", &ring]));
    send.feed(b"from the group");
    send.finish().expect(0);
    assert_eq!(recv.finish().expect(0).text(), "from the group");
    for (command, code) in [("stat", 0), ("recover", 0), ("rm", 7)] {
        check("shared", command, code, start_command(&mut other(&[command, &ring])).finish(), "");
    }
}

#[test]
fn no_resources() {
    let ring = Ring::new("limits", "4KiB");
    let new = Ring::name("new");
    // `sh` sets the limit and becomes `ringctl`.
    let under = |limit: &str, args: &[&str]| {
        let script = format!("ulimit {limit} && exec \"$0\" \"$@\"");
        start_command(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_ringctl")]).args(args)).finish()
    };
    // How many descriptors are taken already depends on who runs this test; below that not even the program starts.
    for command in ["send", "stat", "recover", "rm"] {
        let mut refused = 0;
        for limit in 3..20 {
            let out = under(&format!("-n {limit}"), &[command, &ring]);
            match out.status.code() {
                Some(127) if out.stderr.contains("loading shared libraries") => {}
                Some(0) => {
                    if command == "rm" {
                        run(&["create", &ring, "--capacity=4KiB"], b"").expect(0);
                    }
                }
                _ => {
                    refused += 1;
                    check("descriptors", command, 5, out, "ulimit -n");
                }
            }
        }
        println!("{command}: refused for want of {refused} descriptors");
        assert!(refused > 0 || matches!(command, "rm" | "stat"), "{command}");
    }
    run(&["rm", &ring], b"").expect(0);
    run(&["create", &ring, "--capacity=4KiB"], b"").expect(0);
    check("file size", "create", 5, under("-f 1", &["create", &new]), "ulimit -f");
    check("address space", "create", 5, under("-v 65536", &["create", &new, "--capacity=1GiB"]), "ulimit -v");
    assert!(!new.path().exists());
    check("beyond all memory", "create", 5, run(&["create", &new, "--capacity=256TiB"], b""), "--shm-size");
    assert!(!new.path().exists());
    let stat = ring.stat();
    assert_eq!((&stat["producer"]["state"], &stat["consumer"]["state"]), (&"free".into(), &"free".into()));
}
