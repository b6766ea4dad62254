//! `send` and `recv`: whatever goes in comes out, however it is cut and whoever comes first.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use support::{Ring, bytes, ringctl, run, start, start_command, start_into, wait_until};

/// Sends `input` with `how` through a ring of `capacity`; returns what `recv` wrote and how many records it were.
fn through(input: &[u8], how: &[&str], capacity: &str, receiver_first: bool) -> (Vec<u8>, u64) {
    let ring = Ring::new("through", capacity);
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&from, input).unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let mut recv = vec!["recv", &ring, to, "--json"];
    let send = [&["send", &ring, from, "--json"], how].concat();
    if how.contains(&"--spin") {
        recv.push("--spin");
    }
    let (send, recv) = if receiver_first {
        let recv = start(&recv);
        ring.wait_for_consumer();
        (start(&send), recv)
    } else {
        let send = start(&send);
        ring.wait_for_tail(1);
        (send, start(&recv))
    };
    let (send, recv) = (send.finish().expect(0).json(), recv.finish().expect(0).json());
    assert_eq!(send["bytes"], input.len());
    for what in ["bytes", "records", "name"] {
        assert_eq!(send[what], recv[what], "{what}");
    }
    assert_eq!((&recv["redelivered"], &recv["sessions"]), (&0.into(), &1.into()));
    (fs::read(to).unwrap(), recv["records"].as_u64().unwrap())
}

#[test]
fn records_of_a_length() {
    let input = bytes(300_001);
    for (capacity, receiver_first) in [("4KiB", true), ("4KiB", false), ("1MiB", true), ("1MiB", false)] {
        let (output, records) = through(&input, &["--record", "1000"], capacity, receiver_first);
        assert!(output == input, "{capacity} {receiver_first}");
        assert_eq!(records, 301, "300 whole ones, and the last byte");
    }
    let (output, records) = through(&input, &["--record=64KiB"], "256KiB", true);
    assert!(output == input);
    assert_eq!(records, 5);
    let (output, records) = through(&input[..1000], &["--record=1"], "64", true);
    assert!(output == input[..1000]);
    assert_eq!(records, 1000);
}

#[test]
fn lines() {
    let text = b"one\n\ntwo\n\xff\x00binary\r\nno newline at the end";
    for receiver_first in [true, false] {
        let (output, records) = through(text, &["--lines"], "4KiB", receiver_first);
        assert_eq!(output, text);
        assert_eq!(records, 5);
    }
    let many: Vec<u8> = (0..50_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let (output, records) = through(&many, &["--lines"], "16KiB", true);
    assert!(output == many);
    assert_eq!(records, 50_000);
}

#[test]
fn as_it_comes() {
    let input = bytes(3_000_000);
    for how in [&[][..], &["--spin"]] {
        let (output, _) = through(&input, how, "64KiB", true);
        assert!(output == input);
    }
    let ring = Ring::new("pipes", "64KiB");
    let recv = start(&["recv", &ring]);
    run(&["send", &ring], &input).expect(0);
    assert!(recv.finish().expect(0).stdout == input);
}

#[test]
fn nothing_at_all() {
    let ring = Ring::new("nothing", "4KiB");
    for how in [&[][..], &["--lines"], &["--record=8"]] {
        let recv = start(&["recv", &ring]);
        ring.wait_for_consumer();
        run(&[&["send", &ring], how].concat(), b"").expect(0);
        assert_eq!(recv.finish().expect(0).stdout, b"");
    }
}

#[test]
fn lines_arrive_as_they_are_read() {
    let ring = Ring::new("live", "4KiB");
    let mut recv = ringctl().args(["recv", &ring]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = recv.stdout.take().unwrap();
    let mut send = start(&["send", &ring, "--lines"]);
    ring.wait_for_producer(); // nothing has been read yet
    for line in ["first\n", "second\n"] {
        send.feed(line.as_bytes());
        let mut got = vec![0; line.len()];
        out.read_exact(&mut got).unwrap();
        assert_eq!(got, line.as_bytes());
    }
    send.feed(b"the rest");
    send.finish().expect(0);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the rest");
    assert!(recv.wait().unwrap().success());
}

#[test]
fn a_line_too_long() {
    let ring = Ring::new("long", "1KiB");
    let recv = start(&["recv", &ring]);
    let input = [b"short\n".as_slice(), &[b'x'; 505], b"\n"].concat();
    run(&["send", &ring, "--lines"], &input).expect(1).says("line 2 is longer than 504 bytes").says("--record");
    // What came is written, and does not look complete.
    assert_eq!(recv.finish().expect(3).stdout, b"short\n");
    let recv = start(&["recv", &ring]);
    let input = [&[b'x'; 503][..], b"\n"].concat();
    run(&["send", &ring, "--lines"], &input).expect(0);
    assert!(recv.finish().expect(0).stdout == input);
}

#[test]
fn a_record_too_long() {
    let ring = Ring::new("record", "1KiB");
    let mut recv = start(&["recv", &ring]);
    ring.wait_for_consumer();
    run(&["send", &ring, "--record", "505"], b"").expect(2).says("504 bytes").says("twice the record's size");
    assert!(recv.is_running(), "no session was begun");
    run(&["send", &ring, "--record", "504"], b"x").expect(0);
    recv.finish().expect(0);
}

#[test]
fn waits_for_the_segment_when_asked() {
    for (command, other) in [("send", "recv"), ("recv", "send")] {
        let ring = Ring::name("wait");
        run(&[command, &ring], b"").expect(5).says("no segment").says("ringctl create");
        run(&[command, &ring, "--wait", "0.1"], b"").expect(8).says("0.1 seconds");
        run(&[command, &ring, "--wait", "0"], b"").expect(8);
        let mut early = start(&[command, &ring, "--wait", "50"]);
        early.feed(b"x");
        drop(early.stdin.take());
        std::thread::sleep(Duration::from_millis(50));
        run(&["create", &ring, "--capacity=4KiB"], b"").expect(0);
        run(&[other, &ring, "--wait", "50"], b"x").expect(0);
        early.finish().expect(0);
    }
}

#[test]
fn a_reader_that_goes_away_is_a_clean_end() {
    let ring = Ring::new("epipe", "64KiB");
    let mut recv = ringctl().args(["recv", &ring]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    ring.wait_for_consumer();
    drop(recv.stdout.take());
    run(&["send", &ring], b"nobody reads this").expect(0);
    let out = recv.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    // It was not written, so it is still there.
    run(&["recv", &ring], b"").expect(0).says("1 records may have been written before");
}

#[test]
fn a_blocked_reader_loses_nothing() {
    let ring = Ring::new("blocked", "256KiB");
    let input = bytes(2_000_000);
    let mut recv = ringctl().args(["recv", &ring]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut send = start(&["send", &ring, "--record", "1000"]);
    let mut stdin = send.stdin.take().unwrap();
    let feeder = std::thread::spawn({
        let input = input.clone();
        move || stdin.write_all(&input)
    });
    let mut out = recv.stdout.take().unwrap();
    let mut got = vec![0; 200_000];
    out.read_exact(&mut got).unwrap();
    // The pipe fills, then the ring; then the receiver is told to go, and comes to an end although it is blocked.
    wait_until("a full ring", || {
        let ring = ring_shm::spsc::inspect(&ring).unwrap();
        ring.tail.get() - ring.head.get() + 2000 > ring.capacity
    });
    let pid = nix::unistd::Pid::from_raw(recv.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(recv.wait().unwrap().code(), Some(143));
    out.read_to_end(&mut got).unwrap();
    // The sender learns that its consumer has left; a successor has all that was not written.
    send.finish().expect(1).says("closed");
    feeder.join().unwrap().unwrap_err();
    let rest = run(&["recv", &ring], b"").expect(0).stdout;
    assert!(input.starts_with(&got));
    assert_eq!(rest.len() % 1000, 0);
    let committed = input.windows(rest.len()).step_by(1000).position(|part| part == rest).unwrap() * 1000;
    assert!(committed <= got.len(), "{committed} {}", got.len());
    assert!(committed + rest.len() > got.len());
}

#[test]
fn inputs_and_outputs_that_cannot_be() {
    let ring = Ring::new("files", "4KiB");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    run(&["send", &ring, &format!("{dir}/none")], b"").expect(1).says("none");
    run(&["send", &ring, dir], b"").expect(1).says("directory");
    run(&["recv", &ring, &format!("{dir}/none/here")], b"").expect(1);
    run(&["recv", &ring, dir], b"").expect(1);
    // None of them has begun a session or taken a file away.
    let keep = format!("{dir}/keep");
    fs::write(&keep, "kept").unwrap();
    let holder = start(&["recv", &ring]);
    ring.wait_for_consumer();
    run(&["recv", &ring, &keep], b"").expect(6);
    assert_eq!(fs::read(&keep).unwrap(), b"kept");
    drop(holder);
}

#[test]
fn named_pipes() {
    let ring = Ring::new("fifo", "4KiB");
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    for path in [&from, &to] {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    }
    let send = start(&["send", &ring, from.to_str().unwrap()]);
    ring.wait_for_producer(); // before anybody writes
    let recv = start(&["recv", &ring, to.to_str().unwrap()]);
    let reader = std::thread::spawn(move || fs::read(to).unwrap());
    fs::write(from, b"through two pipes").unwrap();
    send.finish().expect(0);
    recv.finish().expect(0);
    assert_eq!(reader.join().unwrap(), b"through two pipes");
}

#[test]
fn a_full_disk_is_no_resource() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        return println!("skipped: there is no /dev/full");
    };
    let ring = Ring::new("full", "4KiB");
    let recv = start_into(&["recv", &ring], full.into());
    run(&["send", &ring], b"x").expect(0);
    recv.finish().expect(5);
    assert_eq!(run(&["recv", &ring], b"").expect(0).stdout, b"x");
}

#[test]
fn facts_do_not_mix_with_records() {
    let ring = Ring::new("facts", "4KiB");
    let recv = start_command(ringctl().args(["recv", &ring, "--json"]));
    run(&["send", &ring], b"x").expect(0);
    let out = recv.finish().expect(0);
    assert_eq!(out.stdout, b"x");
    let facts: serde_json::Value = serde_json::from_str(&out.stderr).unwrap();
    assert_eq!((&facts["bytes"], &facts["records"]), (&1.into(), &1.into()));
}
