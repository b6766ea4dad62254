//! Ends that are not the usual one: killed peers, signals, taken seats, successors.

mod support;

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use support::{Ring, bytes, ringctl, run, start, wait_until};

#[test]
fn a_killed_sender() {
    let ring = Ring::new("sender", "1MiB");
    let input = bytes(100_000);
    for receiver_first in [true, false] {
        let early = receiver_first.then(|| start(&["recv", &ring]));
        let before = ring.stat()["tail"].as_u64().unwrap();
        let mut send = start(&["send", &ring, "--record", "1000"]);
        send.feed(&input);
        ring.wait_for_tail(before + 100 * 1008);
        send.kill();
        let recv = early.unwrap_or_else(|| start(&["recv", &ring]));
        let out = recv.finish().expect(3).says("producer died");
        assert!(out.stdout == input, "everything committed has been written");
    }
}

#[test]
fn a_killed_receiver() {
    let ring = Ring::new("receiver", "4KiB");
    let recv = start(&["recv", &ring]);
    ring.wait_for_consumer();
    recv.signal(Signal::SIGSTOP);
    let mut send = start(&["send", &ring, "--record", "100"]);
    send.feed(&bytes(20_000));
    ring.wait_for_tail(3900);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(send.is_running(), "a stopped receiver is not dead");
    recv.kill();
    send.finish().expect(3).says("consumer has died").says("what is unread stays in the ring");
}

#[test]
fn a_receiver_that_closes() {
    let ring = Ring::new("closes", "4KiB");
    let dead_end = start_stuck(&ring);
    let mut send = start(&["send", &ring, "--record", "100"]);
    ring.wait_for_producer();
    send.feed(&bytes(120_000)); // more than a pipe and the ring hold
    ring.wait_for_tail(3900);
    dead_end.signal(Signal::SIGTERM);
    dead_end.finish().expect(143);
    send.finish().expect(1).says("consumer has closed");
    // Nothing is lost.
    let out = run(&["recv", &ring], b"").expect(0);
    assert!(!out.stdout.is_empty());
}

/// A `recv` whose output nobody reads, and which is therefore stuck once a pipe is full.
fn start_stuck(ring: &Ring) -> support::Running {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    std::mem::forget(reader);
    let recv = support::start_into(&["recv", ring], writer.into());
    ring.wait_for_consumer();
    recv
}

#[test]
fn a_killed_receiver_and_its_successor() {
    let ring = Ring::new("successor", "64KiB");
    let input = bytes(1_000_000);
    let mut send = start(&["send", &ring, "--record", "1000"]);
    let mut stdin = send.stdin.take().unwrap();
    let feeder = std::thread::spawn({
        let input = input.clone();
        move || std::io::Write::write_all(&mut stdin, &input)
    });
    // The sender notices a death only when it is full, and then gives up; it is held until the successor sits.
    let first = start(&["recv", &ring]);
    ring.wait_for_head(100 * 1008);
    send.signal(Signal::SIGSTOP);
    let first = first.kill().stdout;
    let second = start(&["recv", &ring]);
    wait_until("the successor", || ring.stat()["consumer"]["pid"] == second.pid());
    send.signal(Signal::SIGCONT);
    send.finish().expect(0);
    feeder.join().unwrap().unwrap();
    let second = second.finish().expect(0).stdout;
    assert!(input.starts_with(&first) && input.ends_with(&second));
    assert!(first.len() + second.len() >= input.len(), "{} {}", first.len(), second.len());
}

#[test]
fn follow() {
    let ring = Ring::new("follow", "64KiB");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    let recv = start(&["recv", &ring, to.to_str().unwrap(), "--follow"]);
    // What has been written is known to have been received; positions also count the marks between sessions.
    let wait_for = |text: &str| wait_until(text, || std::fs::read(&to).is_ok_and(|found| found == text.as_bytes()));
    run(&["send", &ring], b"closed, ").expect(0);
    run(&["send", &ring], b"").expect(0);
    let mut killed = start(&["send", &ring]);
    killed.feed(b"killed, ");
    wait_for("closed, killed, ");
    killed.kill();
    run(&["send", &ring, "--lines"], b"and closed again").expect(0);
    wait_for("closed, killed, and closed again");
    recv.signal(Signal::SIGTERM);
    recv.finish().expect(143).says("producer died").says("waiting for the next one");
}

#[test]
fn signals_close_in_order() {
    let ring = Ring::new("signals", "4KiB");
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        for how in [&[][..], &["--spin"]] {
            // An idle receiver.
            let recv = start(&[&["recv", &ring], how].concat());
            ring.wait_for_consumer();
            recv.signal(signal);
            recv.finish().expect(code);
            assert_eq!(ring.stat()["consumer"]["state"], "closed");
            // A sender that waits for input, and its receiver.
            let recv = start(&["recv", &ring]);
            let mut send = start(&[&["send", &ring], how].concat());
            send.feed(b"before the signal");
            let before = ring.stat()["tail"].as_u64().unwrap();
            wait_until("the record", || ring.stat()["tail"].as_u64().unwrap() > before || before > 0);
            ring.wait_for_producer();
            wait_until("it to be read", || ring.stat()["unread"] == 0 && ring.stat()["head"].as_u64().unwrap() > 0);
            send.signal(signal);
            let end = send.finish().expect(code);
            assert!(end.stderr.contains("committed"), "{}", end.stderr);
            assert_eq!(recv.finish().expect(0).text(), "before the signal");
            // A sender that waits for space.
            let mut send = start(&[&["send", &ring, "--record=100"], how].concat());
            send.feed(&bytes(20_000));
            wait_until("a full ring", || ring.stat()["unread"].as_u64().unwrap() > 3800);
            send.signal(signal);
            send.finish().expect(code);
            run(&["recv", &ring], b"").expect(0);
        }
    }
    // Waiting for a segment.
    let waiting = start(&["recv", "cli-no-such-ring-ever", "--wait", "1000"]);
    std::thread::sleep(std::time::Duration::from_millis(100));
    waiting.signal(Signal::SIGINT);
    waiting.finish().expect(130);
}

#[test]
fn taken_seats() {
    for (command, role) in [("send", "producer"), ("recv", "consumer")] {
        let ring = Ring::new("taken", "4KiB");
        let first = start(&[command, &ring]);
        if command == "send" {
            ring.wait_for_producer()
        } else {
            ring.wait_for_consumer()
        }
        let pid = format!("process {}", first.pid());
        for stopped in [false, true] {
            if stopped {
                first.signal(Signal::SIGSTOP);
            }
            run(&[command, &ring], b"").expect(6).says(&pid).says(role);
            run(&["rm", &ring], b"").expect(6).says(&pid).says("--force");
            run(&["create", &ring], b"").expect(6).says(&pid);
            let stat = ring.stat();
            assert_eq!((&stat[role]["state"], &stat[role]["pid"]), (&"alive".into(), &first.pid().into()));
        }
        let found = run(&["recover", &ring, "--json"], b"").expect(0).json();
        assert_eq!(found["recovered"], serde_json::json!([]), "the living keep their seats");
        first.kill();
        assert_eq!(ring.stat()[role]["state"], "dead");
        let found = run(&["recover", &ring, "--json"], b"").expect(0).json();
        assert_eq!(found["recovered"], serde_json::json!([role]));
        let text = run(&["recover", &ring], b"").expect(0).text();
        assert!(text.contains("recovered") && text.contains("nothing to do"), "{text}");
    }
    let ring = Ring::new("force", "4KiB");
    let first = start(&["recv", &ring]);
    ring.wait_for_consumer();
    run(&["rm", &ring, "--force", "--json"], b"").expect(0);
    assert!(!ring.path().exists());
    run(&["rm", &ring], b"").expect(5);
    first.signal(Signal::SIGINT);
    first.finish().expect(130);
}

#[test]
fn an_ignored_sigpipe_or_a_default_one() {
    // Facts into a pipe that nobody reads are a clean end too.
    let mut child = ringctl().arg("--help").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    let script = format!("{} ls --json | true", env!("CARGO_BIN_EXE_ringctl"));
    let out = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(out.stderr.is_empty(), "{out:?}");
}
