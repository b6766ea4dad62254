//! What is typed and what is answered: arguments, exit codes, `create`, `ls`, `stat`, `rm`, and segments that are none.

mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use nix::unistd::geteuid;
use serde_json::json;
use support::{Ring, as_somebody_else, can_be_somebody_else, copy_binary, run, start, start_command};

const COMMANDS: [&str; 8] = ["create", "send", "recv", "ls", "stat", "rm", "recover", "demo"];

#[test]
fn help() {
    for command in COMMANDS {
        let out = run(&[command, "--help"], b"").expect(0);
        assert!(out.text().contains("Example"), "{command}: {}", out.text());
        assert!(out.text().contains("ringctl"), "{command}: {}", out.text());
        assert!(out.stderr.is_empty());
    }
    let out = run(&["--help"], b"").expect(0).text();
    for command in COMMANDS {
        assert!(out.contains(command), "{command}");
    }
    assert!(!out.contains("demo-peer"), "{out}");
    assert!(run(&["--version"], b"").expect(0).text().starts_with("ringctl "));
}

#[test]
fn wrong_arguments() {
    let ring = Ring::name("wrong");
    let n = &*ring;
    let table: &[(&[&str], &str)] = &[
        (&[], "subcommand"),
        (&["frob"], "frob"),
        (&["create"], "NAME"),
        (&["create", n, "--capacity"], "--capacity"),
        (&["create", n, "--capacity", "0"], "power of two"),
        (&["create", n, "--capacity", "3"], "power of two"),
        (&["create", n, "--capacity", "32"], "from 64"),
        (&["create", n, "--capacity", "1MiB1"], "KiB, MiB"),
        (&["create", n, "--capacity", "1000000"], "power of two"),
        (&["create", n, "--capacity", "9223372036854775808"], "power of two"),
        (&["create", n, "--capacity", "18446744073709551616"], "64 bits"),
        (&["create", n, "--capacity", "-1"], "-1"),
        (&["create", n, "--capacity", "1.5MiB"], "KiB, MiB"),
        (&["create", n, "--capacity", "1MB"], "ambiguous"),
        (&["create", n, "--capacity", "lots"], "KiB, MiB"),
        (&["create", n, "--capacity", ""], "KiB, MiB"),
        (&["create", n, "--capacity=4KiB", "--release-every=2KiB"], "quarter"),
        (&["create", n, "--kind", "queue"], "spsc"),
        (&["create", n, "--mode", "rw"], "octal"),
        (&["create", n, "--mode", "0606"], "0o606"),
        (&["create", n, "--mode", "0400"], "0o400"),
        (&["create", n, "--mode", "1600"], "0o1600"),
        (&["create", n, "--group", "no-such-group-here"], "no-such-group-here"),
        (&["send", n, "--record", "0"], "give 1 or more"),
        (&["send", n, "--record", "8", "--lines"], "--lines"),
        (&["send", n, "--wait", "soon"], "seconds"),
        (&["recv", n, "--wait", "-1"], "-1"),
        (&["recv", n, "a", "b"], "b"),
        (&["rm"], "NAME"),
        (&["rm", n, "--stale"], "--stale"),
        (&["rm", "--stale", "--force"], "--force"),
        (&["recover", n, "--assume-dead", "x"], "x"),
        (&["stat", n, "--backing", "cloud"], "posix, file, sysv"),
        (&["demo", "--size", "0"], "give 1 or more"),
        (&["demo", "/dev"], "regular file"),
    ];
    for (args, says) in table {
        let out = run(args, b"").expect(2).says(says);
        assert!(out.stdout.is_empty() && !out.stderr.contains("panicked"), "{args:?}: {out:?}");
    }
    assert!(!ring.path().exists());
}

#[test]
fn impossible_names() {
    let long = "x".repeat(201);
    for (name, says) in [
        ("", "empty"),
        ("/ring", "slash"),
        ("a/b", "slash"),
        ("../passwd", "slash"),
        (".hidden", "begins with"),
        ("a b", "use only"),
        ("ring\n", "use only"),
        ("ünter", "use only"),
        (&long, "shorten it to 200"),
    ] {
        for command in ["create", "send", "recv", "stat", "rm", "recover"] {
            run(&[command, name], b"").expect(2).says(says);
        }
        run(&["rm", name, "--force"], b"").expect(2).says(says);
        run(&["recv", name, "--wait", "5"], b"").expect(2).says(says);
    }
    run(&["stat", "-x"], b"").expect(2);
    run(&["stat", "--", "-x"], b"").expect(2).says("begins with");
    let ring = Ring(format!("{}.{}", "y".repeat(180), std::process::id()));
    run(&["create", &ring], b"").expect(0);
}

#[test]
fn stat_tells_of_what_type_a_ring_is() {
    let (one, many, bytes) = (Ring::name("typed"), Ring::name("typed-many"), Ring::name("typed-not"));
    ring_shm::spsc::create(&one, &ring_shm::spsc::Options::new().payload::<[u32; 4]>()).unwrap();
    ring_shm::mpmc::create(&many, &ring_shm::mpmc::Options::new().payload::<[u32; 4]>()).unwrap();
    run(&["create", &bytes], b"").expect(0);
    for ring in [&one, &many] {
        let payload = &ring.stat()["payload"];
        assert_eq!(payload["description"], "[u32; 4]");
        let hash = payload["hash"].as_str().unwrap().to_owned();
        let text = run(&["stat", ring], b"").expect(0).text();
        assert!(text.contains(&format!("[u32; 4] (hash {hash})")), "{text}");
    }
    assert_eq!(bytes.stat()["payload"], json!(null));
    assert!(run(&["stat", &bytes], b"").expect(0).text().lines().any(|line| line == "payload       bytes"));
    // Bytes are bytes: the tools go on with rings of every type.
    run(&["send", &one, "--record", "16"], b"0123456789abcdef").expect(0);
    assert_eq!(run(&["recv", &one], b"").expect(0).text(), "0123456789abcdef");
}

#[test]
fn create_and_stat() {
    let ring = Ring::name("create");
    let args = ["--capacity=64KiB", "--release-every=4KiB", "--line-aligned", "--mode=0640", "--group=0", "--json"];
    let args = if geteuid().is_root() { &args[..] } else { &["--capacity=64KiB", "--json"] };
    let made = run(&[&["create", &ring, "--kind=spsc"], args].concat(), b"").expect(0).json();
    assert_eq!(made, ring.stat());
    let about = |what: &str| made[what].clone();
    assert_eq!(about("name"), *ring);
    assert_eq!((about("kind"), about("backing")), (json!("spsc"), json!("posix")));
    assert_eq!((about("capacity"), about("max_len")), (json!(65536), json!(32760)));
    assert_eq!((about("head"), about("tail"), about("unread")), (json!(0), json!(0), json!(0)));
    assert_eq!(about("size"), fs::metadata(ring.path()).unwrap().len());
    let nobody =
        json!({ "state": "free", "lease": null, "pid": null, "start_time": null, "waiting": null, "memory": null });
    assert_eq!((about("producer"), about("consumer")), (nobody.clone(), nobody));
    if geteuid().is_root() {
        assert_eq!((about("line_aligned"), about("release_every")), (json!(true), json!(4096)));
        assert_eq!(about("mode"), "0640");
        assert_eq!(fs::metadata(ring.path()).unwrap().permissions().mode() & 0o777, 0o640);
    }
    run(&["create", &ring], b"").expect(6).says("exists");
    let text = run(&["stat", &ring], b"").expect(0).text();
    for part in [&*ring, "64 KiB", "32760 bytes", "nobody has come yet"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let usual = Ring::name("usual");
    run(&["create", &usual], b"").expect(0);
    let stat = usual.stat();
    assert_eq!((&stat["capacity"], &stat["mode"]), (&json!(1 << 20), &json!("0600")));
    // Beyond any memory, and within the limits of the layout.
    run(&["create", &Ring::name("huge"), "--capacity", "256TiB"], b"").expect(5);
}

#[test]
fn ls() {
    let ring = Ring::new("ls", "4KiB");
    let foreign = Ring::name("ls-foreign");
    fs::write(foreign.path(), b"not a ring").unwrap();
    let send = start(&["send", &ring]);
    ring.wait_for_producer();
    let list = run(&["ls", "--json"], b"").expect(0).json();
    let find = |name: &str| list.as_array().unwrap().iter().find(|one| one["name"] == *name).unwrap();
    let found = find(&ring);
    assert_eq!((&found["producer"]["pid"], &found["capacity"]), (&send.pid().into(), &4096.into()));
    assert_eq!(found["owner"], geteuid().as_raw());
    let found = find(&foreign);
    assert_eq!((&found["kind"], &found["size"], &found["held"]), (&json!(null), &json!(10), &json!(false)));
    let text = run(&["ls"], b"").expect(0).text();
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(text.starts_with("NAME"), "{text}");
    assert!(line(&ring).contains(&format!("alive {}", send.pid())), "{text}");
    assert!(line(&foreign).contains("no ring"), "{text}");
}

/// Every command that needs a ring meets something else with code 4, leaves it as it is, and does not wait for it.
#[test]
fn segments_that_are_no_rings() {
    let good = fs::read(Ring::new("good", "4KiB").path()).unwrap();
    let mut other_version = good.clone();
    other_version[8] ^= 0xff;
    let mut damaged = good.clone();
    damaged[24] ^= 0x10;
    for (what, contents) in [
        ("foreign", vec![b'?'; 100_000]),
        ("short", b"short".to_vec()),
        ("empty", Vec::new()),
        ("zeroes", vec![0; 8192]),
        ("cut", good[..good.len() - 1].to_vec()),
        ("version", other_version),
        ("damaged", damaged),
    ] {
        let ring = Ring::name(what);
        fs::write(ring.path(), &contents).unwrap();
        fs::set_permissions(ring.path(), Permissions::from_mode(0o600)).unwrap();
        for args in [&["stat", &ring][..], &["send", &ring], &["recv", &ring, "--wait=9"], &["recover", &ring]] {
            let out = run(args, b"x").expect(4);
            assert!(!out.stderr.contains("panicked"), "{what}: {}", out.stderr);
        }
        run(&["create", &ring], b"").expect(6);
        assert!(fs::read(ring.path()).unwrap() == contents, "{what} was changed");
        run(&["rm", &ring], b"").expect(0);
        assert!(!ring.path().exists());
    }
    let ring = Ring::name("directory");
    fs::create_dir(ring.path()).unwrap();
    for args in [&["stat", &ring][..], &["send", &ring], &["rm", &ring], &["rm", &ring, "--force"]] {
        run(args, b"").expect(4).says("directory");
    }
}

#[test]
fn missing_segments() {
    for command in ["stat", "send", "recv", "rm", "recover"] {
        run(&[command, &Ring::name("missing")], b"").expect(5).says("no segment");
    }
    run(&["rm", &Ring::name("missing"), "--force"], b"").expect(5);
}

#[test]
fn no_permission() {
    let ring = Ring::new("permission", "4KiB");
    // The binary may lie where others cannot look.
    let dir = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let copy = dir.path().join("ringctl");
    copy_binary(&copy);
    let as_other = |args: &[&str]| {
        let mut command = if geteuid().is_root() { as_somebody_else("--clear-groups") } else { Command::new("env") };
        command.arg(&copy).args(args);
        command
    };
    if geteuid().is_root() && !can_be_somebody_else("--clear-groups") {
        return println!("skipped: running as root, and setpriv cannot make somebody else of us");
    }
    if !geteuid().is_root() {
        fs::set_permissions(ring.path(), Permissions::from_mode(0o000)).unwrap();
    }
    for command in ["stat", "send", "recv", "recover"] {
        start_command(&mut as_other(&[command, &ring])).finish().expect(7).says("permission-");
    }
    if geteuid().is_root() {
        start_command(&mut as_other(&["rm", &ring])).finish().expect(7);
        start_command(&mut as_other(&["rm", &ring, "--force"])).finish().expect(7);
        start_command(&mut as_other(&["create", &Ring::name("g"), "--group=0"])).finish().expect(7).says("group 0");
        let list = start_command(&mut as_other(&["ls", "--json"])).finish().expect(0).json();
        assert!(list.as_array().unwrap().iter().any(|one| one["name"] == *ring && one["kind"].is_null()));
    }
    assert!(ring.path().exists());
    // Files that may not be read or written.
    let secret = dir.path().join("secret");
    File::create(&secret).unwrap().set_permissions(Permissions::from_mode(0o000)).unwrap();
    start_command(&mut as_other(&["send", "some-ring", secret.to_str().unwrap()])).finish().expect(7).says("secret");
}

/// In a `/dev/shm` of its own, since it is about all of it.
#[test]
fn rm_stale_and_a_full_tmpfs() {
    let script = r#"
        set -e
        mount -t tmpfs -o size=1m tmpfs /dev/shm
        if "$0" create full --capacity 4MiB; then exit 90; else [ $? = 5 ]; fi
        [ -z "$(ls -A /dev/shm)" ] # nothing is left behind
        for name in held dead unused sysv:s-held sysv:s-dead sysv:s-unused; do "$0" create $name --capacity 4KiB; done
        printf 'no ring' > /dev/shm/ring.foreign
        printf 'other' > /dev/shm/other
        cp /dev/shm/ring.unused /dev/shm/ring.damaged
        printf 'x' | dd of=/dev/shm/ring.damaged bs=1 seek=24 conv=notrunc 2> /dev/null
        "$0" recv held > /dev/null 2>&1 & held=$!
        "$0" recv dead > /dev/null 2>&1 & dead=$!
        "$0" recv sysv:s-held > /dev/null 2>&1 & s_held=$!
        "$0" recv sysv:s-dead > /dev/null 2>&1 & s_dead=$!
        for name in held dead sysv:s-held sysv:s-dead; do
            until "$0" stat $name | grep -q 'consumer.*alive'; do :; done
        done
        kill -9 $dead $s_dead
        wait $dead $s_dead || true
        "$0" rm --stale --json
        ls /dev/shm
        ls -A /dev/shm | grep -c sysv
        tail -n +2 /proc/sysvipc/shm | wc -l
        kill -INT $held $s_held
        wait $held || [ $? = 130 ]
        wait $s_held || [ $? = 130 ]
        "$0" rm --stale
    "#;
    // System V segments go with the IPC namespace.
    let namespace = if geteuid().is_root() { "-mi" } else { "-Urmi" };
    let args = [namespace, "sh", "-c", script, env!("CARGO_BIN_EXE_ringctl")];
    let able = Command::new("unshare").args([namespace, "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]).status();
    if !able.is_ok_and(|status| status.success()) {
        return println!("skipped: no mount namespace may be made here");
    }
    let out = start_command(Command::new("unshare").args(args)).finish();
    assert!(out.status.success(), "{out:?}");
    assert!(out.stderr.contains("4198400 bytes asked") && out.stderr.contains("--shm-size"), "{}", out.stderr);
    let text = out.text();
    let mut lines = text.lines();
    let report: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut removed: Vec<_> = report["removed"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    removed.sort_unstable();
    assert_eq!(removed, ["damaged", "dead", "s-dead", "s-unused", "unused"]);
    let mut held: Vec<_> = report["held"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    held.sort_unstable();
    assert_eq!((held, &report["failed"]), (vec!["held", "s-held"], &json!([])));
    let mut left: Vec<_> = lines.collect();
    assert_eq!(left[..5], ["other", "ring.foreign", "ring.held", "1", "1"], "one side file, one segment");
    left[5..].sort_unstable();
    assert_eq!(left[5..], ["removed held", "removed sysv:s-held"]);
}
