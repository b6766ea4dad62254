//! `ringctl` while it waits: what that costs, who can see it, and how quickly it ends.

mod support;

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use ring_shm::{mpmc, spsc};
use serde_json::Value;
use support::{Ring, Running, run, start, start_into, wait_until};

const KINDS: [&str; 2] = ["spsc", "mpmc"];

/// A ring of that kind, with little room.
fn ring(kind: &str) -> Ring {
    let ring = Ring::name(kind);
    let size: &[&str] = if kind == "spsc" { &["--capacity=4KiB"] } else { &["--slots=2", "--slot-size=2000"] };
    run(&[&["create", &ring, "--kind", kind], size].concat(), b"").expect(0);
    ring
}

/// What `stat` says of the waiting of those who are alive.
fn waiting(ring: &Ring) -> Vec<Value> {
    let seen = ring.stat();
    let mut all = vec![seen["producer"].clone(), seen["consumer"].clone()];
    all.extend(seen["participants"].as_array().cloned().unwrap_or_default());
    all.into_iter().filter(|one| one["state"] == "alive").map(|one| one["waiting"].clone()).collect()
}

/// Whether anybody sleeps in it: quicker than `stat`.
fn anybody_sleeps(ring: &Ring) -> bool {
    match ring_shm::kind_of(ring) {
        Ok(ring_shm::Kind::Mpmc) => mpmc::inspect(ring).unwrap().members.iter().any(|one| one.waiting.asleep),
        _ => {
            let seen = spsc::inspect(ring).unwrap();
            seen.producer.waiting.asleep || seen.consumer.waiting.asleep
        }
    }
}

/// A `recv` or a `send` that waits, asleep.
fn asleep(ring: &Ring, command: &str) -> Running {
    let mut running = start(&[command, ring, "--json"]);
    if command == "send" {
        running.feed(&[b'x'; 8000]); // more than there is room for
    }
    wait_until("it to sleep", || anybody_sleeps(ring));
    running
}

fn used(process: &Running) -> Duration {
    let clock: ClockId = clock_getcpuclockid(Pid::from_raw(process.pid())).unwrap();
    clock.now().unwrap().into()
}

#[test]
fn waiting_costs_next_to_nothing() {
    for kind in KINDS {
        for command in ["recv", "send"] {
            let ring = ring(kind);
            let process = asleep(&ring, command);
            let before = used(&process);
            std::thread::sleep(Duration::from_secs(1));
            let cost = used(&process) - before;
            println!("{kind} {command}: {cost:?} in a second");
            assert!(cost < Duration::from_millis(10), "{kind} {command}: {cost:?}");
        }
    }
    let ring = ring("spsc");
    let impatient = start(&["recv", &ring, "--spin"]);
    ring.wait_for_consumer();
    let before = used(&impatient);
    wait_until("the impatient one to burn its processor", || used(&impatient) - before > Duration::from_millis(100));
    assert!(!anybody_sleeps(&ring));
}

#[test]
fn a_record_wakes_at_once() {
    for kind in KINDS {
        let ring = ring(kind);
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let recv = start_into(&["recv", &ring], writer.into());
        let mut reader = File::from(reader);
        let mut send: Box<dyn FnMut()> = if kind == "spsc" {
            let mut tx = spsc::Producer::open(&ring).unwrap();
            Box::new(move || assert!(tx.try_send(0, b"x").is_ok()))
        } else {
            let mut tx = mpmc::Producer::open(&ring).unwrap();
            Box::new(move || assert!(tx.try_send(0, b"x").is_ok()))
        };
        let mut times: Vec<Duration> = (0..21)
            .map(|_| {
                wait_until("it to sleep", || anybody_sleeps(&ring));
                let start = Instant::now();
                send();
                reader.read_exact(&mut [0]).unwrap();
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{kind}: median {:?}, longest {:?}", times[10], times[20]);
        assert!(times[10] < Duration::from_millis(25), "{kind}: {times:?}");
        drop(recv);
    }
}

#[test]
fn a_signal_ends_a_wait_at_once() {
    for kind in KINDS {
        for (command, signal, code) in [("recv", Signal::SIGINT, 130), ("send", Signal::SIGTERM, 143)] {
            let quickest = (0..5).map(|_| {
                let ring = ring(kind);
                let process = asleep(&ring, command);
                let start = Instant::now();
                process.signal(signal);
                process.finish().expect(code).says(signal.as_str());
                start.elapsed()
            });
            let quickest = quickest.min().unwrap();
            println!("{kind} {command}: {quickest:?}");
            // Without an interruption it takes until the wait looks around: half a second.
            assert!(quickest < Duration::from_millis(200), "{kind} {command}: {quickest:?}");
        }
    }
}

#[test]
fn stat_shows_who_sleeps() {
    for kind in KINDS {
        for command in ["recv", "send"] {
            let ring = ring(kind);
            assert_eq!(waiting(&ring), [Value::Null; 0]);
            let process = asleep(&ring, command);
            // Between two slices it is awake for a moment.
            wait_until("stat to show it", || waiting(&ring)[0]["asleep"] == true);
            let seen = waiting(&ring);
            assert_eq!(seen.len(), 1, "{seen:?}");
            let barrier = seen[0]["barrier"].as_str().unwrap();
            assert!(matches!(barrier, "membarrier" | "fence"), "{barrier}");
            assert!(seen[0]["wants_fences"].is_boolean());
            wait_until("stat to say so", || {
                run(&["stat", &ring], b"").expect(0).text().contains(&format!(", asleep, barrier {barrier}"))
            });
            drop(process);
        }
        // Waits for its input, and not for the ring.
        let ring = ring(kind);
        let _reads = start(&["send", &ring]);
        wait_until("it to sit", || waiting(&ring).len() == 1);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(waiting(&ring)[0]["asleep"], false);
    }
}
