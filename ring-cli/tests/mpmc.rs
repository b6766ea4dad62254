//! `ringctl` on MPMC rings: many senders, many receivers, the close, deaths on the way, and what the tools show.

mod support;

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Ring, Running, run, start, wait_until};

/// A ring of `options`.
fn jobs(tag: &str, options: &[&str]) -> Ring {
    let ring = Ring::name(tag);
    let mut args = vec!["create", &ring, "--kind", "mpmc"];
    args.extend(options);
    run(&args, b"").expect(0);
    ring
}

/// Numbered lines of one sender.
fn lines(sender: usize, count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| format!("{sender}:{n}\n").into_bytes()).collect()
}

fn participants(ring: &Ring) -> Vec<Value> {
    ring.stat()["participants"].as_array().unwrap().clone()
}

/// Waits until so many of a role are there, and have said who they are.
fn wait_for(ring: &Ring, role: &str, count: usize) {
    wait_until(role, || {
        let here = |p: &&Value| p["role"] == role && p["state"] == "alive" && p["pid"] != 0;
        participants(ring).iter().filter(here).count() == count
    });
}

/// A pipe in which there is no room: whoever writes to it is stuck until its reading end is read.
fn full_pipe() -> (OwnedFd, Stdio) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    nix::unistd::write(&writer, &vec![b'x'; size as usize]).unwrap();
    (reader, writer.into())
}

#[test]
fn many_send_and_receive_and_close_ends_them() {
    let ring = jobs("many", &["--slots", "16", "--slot-size", "64"]);
    let receivers: Vec<Running> = (0..3).map(|_| start(&["recv", &ring])).collect();
    let senders: Vec<Running> = (0..3)
        .map(|n| {
            let mut sender = start(&["send", &ring, "--lines"]);
            sender.feed(&lines(n, 500));
            sender
        })
        .collect();
    for sender in senders {
        sender.finish().expect(0);
    }
    run(&["close", &ring], b"").expect(0);
    let mut got = HashSet::new();
    for receiver in receivers {
        let text = receiver.finish().expect(0).text();
        let mut last = [None; 3];
        for line in text.lines() {
            let (sender, n) = line.split_once(':').unwrap();
            let (sender, n): (usize, u32) = (sender.parse().unwrap(), n.parse().unwrap());
            assert!(last[sender] < Some(n), "in order");
            last[sender] = Some(n);
            assert!(got.insert((sender, n)), "{line} twice");
        }
    }
    assert_eq!(got.len(), 1500);
    let seen = ring.stat();
    assert_eq!((&seen["closed"], &seen["unread"]), (&Value::Bool(true), &Value::from(0)));
    run(&["recv", &ring], b"").expect(0);
    run(&["send", &ring], b"late").expect(1).says("closed");
    run(&["rm", &ring], b"").expect(0);
}

#[test]
fn a_killed_receiver_loses_nothing_and_is_no_error_to_the_others() {
    let ring = jobs("killed", &["--slots", "256", "--slot-size", "16"]);
    run(&["send", &ring, "--lines"], &lines(0, 200)).expect(0);
    // Stuck with a batch in hand, since nobody reads what it writes.
    let (_reader, full) = full_pipe();
    let stuck = support::start_into(&["recv", &ring], full);
    wait_for(&ring, "consumer", 1);
    wait_until("a batch in hand", || participants(&ring).iter().any(|p| p["reading"]["open"] == true));
    let dead = stuck.pid();
    run(&["rm", &ring], b"").expect(6).says(&format!("consumer is process {dead}"));
    stuck.kill();
    assert!(participants(&ring).iter().any(|p| p["state"] == "dead" && p["pid"] == dead));
    run(&["close", &ring], b"").expect(0);
    let out = run(&["recv", &ring], b"").expect(0).says("may have been written before");
    let text = out.text();
    let got: HashSet<&str> = text.lines().collect();
    assert_eq!((text.lines().count(), got.len()), (200, 200));
}

#[test]
fn dead_letters_are_put_aside() {
    let ring = jobs("letters", &["--slots", "4", "--slot-size", "16", "--attempts", "1"]);
    run(&["send", &ring, "--lines"], b"poison\n").expect(0);
    let (_reader, full) = full_pipe();
    let stuck = support::start_into(&["recv", &ring], full);
    wait_until("a message in hand", || participants(&ring).iter().any(|p| p["reading"]["open"] == true));
    stuck.kill();
    let text = run(&["recover", &ring], b"").expect(0).text();
    assert!(text.contains("dead: recovered"), "{text}");
    assert!(participants(&ring).is_empty());
    run(&["send", &ring, "--lines"], b"good\n").expect(0);
    run(&["close", &ring], b"").expect(0);
    let aside = format!("{}/ringctl-letters-{}", std::env::temp_dir().display(), std::process::id());
    let out = run(&["recv", &ring, "--dead-letters", &aside], b"").expect(0).says("1 dead letters");
    let letters = std::fs::read_to_string(&aside).unwrap();
    std::fs::remove_file(&aside).unwrap();
    assert_eq!((out.text().as_str(), letters.as_str()), ("good\n", "poison\n"));
}

#[test]
fn a_signal_ends_one_and_leaves_the_ring_open() {
    let ring = jobs("signal", &[]);
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let receiver = start(&["recv", &ring]);
        wait_for(&ring, "consumer", 1);
        receiver.signal(signal);
        assert_eq!(receiver.finish().status.code(), Some(code));
        assert!(participants(&ring).is_empty(), "it has left");
    }
    assert_eq!(ring.stat()["closed"], false);
    run(&["send", &ring], b"still open").expect(0);
}

#[test]
fn arguments_and_limits() {
    let ring = jobs("limits", &["--slots", "8", "--max-participants", "2", "--max-consumers", "1", "--at-most-once"]);
    let seen = ring.stat();
    assert_eq!((&seen["kind"], &seen["slots"], &seen["attempts"]), (&"mpmc".into(), &8.into(), &Value::Null));
    run(&["create", &ring, "--kind", "mpmc"], b"").expect(6);
    let receiver = start(&["recv", &ring]);
    wait_for(&ring, "consumer", 1);
    run(&["recv", &ring], b"").expect(6).says("no place for another consumer");
    drop(receiver.kill());
    run(&["recv", &ring, "--follow"], b"").expect(2);
    run(&["send", &ring, "--record", "1000"], b"").expect(2);
    run(&["send", &ring, "--lines"], &[b'x'; 300]).expect(1).says("--slot-size");
    let other = Ring::name("limits-bad");
    run(&["create", &other, "--kind", "mpmc", "--slots", "6"], b"").expect(2);
    run(&["create", &other, "--kind", "mpmc", "--capacity", "4096"], b"").expect(2);
    run(&["create", &other, "--slots", "8"], b"").expect(2);
    run(&["create", &other, "--kind", "mpmc", "--attempts", "2", "--at-most-once"], b"").expect(2);
    run(&["close", &other], b"").expect(5);
    let spsc = Ring::new("limits-spsc", "4096");
    run(&["close", &spsc], b"").expect(2);
    run(&["recv", &spsc, "--dead-letters", "x"], b"").expect(2);
    let table = run(&["ls"], b"").expect(0).text();
    let row = table.lines().find(|line| line.starts_with(&*ring)).unwrap();
    assert!(row.contains("mpmc") && row.contains("8 x 240"), "{row}");
    assert!(run(&["stat", &ring], b"").expect(0).text().contains("at most once"));
}

#[test]
fn an_operator_sees_who_is_in_the_way_and_cannot_declare_the_living_dead() {
    let ring = jobs("operator", &["--slots", "4", "--slot-size", "16", "--max-producers", "1"]);
    let mut sender = start(&["send", &ring, "--lines"]);
    wait_for(&ring, "producer", 1);
    let pid = sender.pid();
    sender.signal(Signal::SIGSTOP);
    let lease = participants(&ring)[0]["lease"].to_string();
    let text = run(&["stat", &ring], b"").expect(0).text();
    assert!(text.contains(&format!("participant 0   producer process {pid} (lease {lease}), alive")), "{text}");
    run(&["recover", &ring, "--assume-dead", &lease], b"").expect(6).says(&format!("process {pid}")).says("alive");
    run(&["recover", &ring], b"").expect(0);
    assert_eq!(participants(&ring)[0]["pid"], pid, "stopped is not dead");
    // It stores the end of its messages itself.
    run(&["close", &ring], b"").expect(0).says(&format!("process {pid}"));
    let seen = ring.stat();
    assert_eq!((&seen["closed"], &seen["closing"]), (&Value::Bool(false), &Value::Bool(true)));
    sender.signal(Signal::SIGCONT);
    sender.feed(b"late\n");
    sender.finish().expect(1).says("closed");
    assert_eq!(ring.stat()["closed"], true);
    assert!(run(&["close", &ring], b"").expect(0).stderr.is_empty());
    run(&["recv", &ring], b"").expect(0);
}

#[test]
fn more_at_once_than_the_table_holds() {
    let ring = jobs("crowd", &["--slots", "2", "--slot-size", "16", "--max-participants", "3"]);
    let senders: Vec<Running> = (0..2)
        .map(|n| {
            let mut sender = start(&["send", &ring, "--lines"]);
            sender.feed(&lines(n, 50));
            sender
        })
        .collect();
    wait_for(&ring, "producer", 2);
    run(&["send", &ring], b"x").expect(6).says("no place for another producer").says("create the ring with more");
    // Full ring, full table: the place of a receiver is there all the same.
    let receiver = start(&["recv", &ring]);
    for sender in senders {
        sender.finish().expect(0);
    }
    run(&["close", &ring], b"").expect(0);
    assert_eq!(receiver.finish().expect(0).text().lines().count(), 100);
}

#[test]
fn a_sender_says_who_holds_it_up_and_goes_on_when_that_one_dies() {
    let ring = jobs("held-up", &["--slots", "4", "--slot-size", "16"]);
    let (_reader, full) = full_pipe();
    let stuck = support::start_into(&["recv", &ring], full);
    let mut sender = start(&["send", &ring, "--lines"]);
    sender.feed(&lines(0, 6));
    wait_until("a message in hand", || participants(&ring).iter().any(|p| p["reading"]["open"] == true));
    let pid = stuck.pid();
    stuck.signal(Signal::SIGSTOP);
    wait_until("a full ring", || ring.stat()["tail"] == 4);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(ring.stat()["tail"], 4, "stopped is not dead");
    stuck.kill();
    let receiver = start(&["recv", &ring]);
    sender.finish().expect(0).says(&format!("waiting for process {pid}"));
    run(&["close", &ring], b"").expect(0);
    assert_eq!(receiver.finish().expect(0).text().lines().count(), 6);
}
