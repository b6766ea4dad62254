//! `ringctl demo`: it shows what it should, and leaves nothing behind, whatever is killed.

mod support;

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Running, bytes, run, start, wait_until};

/// A demo takes two CPUs.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Segments of the demo that was process `pid`.
fn segments(pid: i32) -> Vec<String> {
    let begin = format!("ring.demo-{pid}-");
    let names = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&begin)).collect()
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// A demo that will not end by itself for a while, in the middle of its stream.
fn endless() -> (Running, Vec<i32>) {
    let demo = start(&["demo", "--size", "100TiB"]);
    let mut pids = Vec::new();
    wait_until("its processes", || {
        pids = children(demo.pid());
        pids.len() == 2
    });
    // The names go when both sit and begin.
    wait_until("the stream", || segments(demo.pid()).is_empty());
    std::thread::sleep(std::time::Duration::from_millis(20));
    (demo, pids)
}

#[test]
fn quick() {
    let _alone = alone();
    let demo = start(&["demo", "--quick"]);
    let pid = demo.pid();
    let out = demo.finish().expect(0);
    let text = out.text();
    for part in ["GB/s", "records/s", "p50", "p99.9", "max", "Round trip of 8 bytes, ", "█", "asleep until woken"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.trim_end().lines().last().unwrap().contains("arrived in order and intact"), "{text}");
    assert!(out.stderr.is_empty(), "{}", out.stderr);
    assert_eq!(segments(pid), [""; 0]);
}

#[test]
fn json() {
    let _alone = alone();
    let found = run(&["demo", "--quick", "--json"], b"").expect(0).json();
    assert_eq!(found["intact"], true);
    assert!(found["stream"]["bytes"].as_u64().unwrap() > 0);
    assert!(found["stream"]["gb_per_second"].as_f64().unwrap() > 0.0);
    for which in ["round_trip_ns", "parked_round_trip_ns"] {
        let trip = &found[which];
        let percentiles = ["min", "p50", "p90", "p99", "p99.9", "max"].map(|p| trip[p].as_u64().unwrap());
        assert!(percentiles.is_sorted(), "{which}: {percentiles:?}");
        assert!(trip["count"].as_u64().unwrap() > 0, "{which}");
    }
}

#[test]
fn own_files() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (one, two, empty) = (path("one"), path("-two"), path("empty"));
    fs::write(&one, bytes(300_000)).unwrap();
    fs::write(&two, bytes(7)).unwrap();
    fs::write(&empty, b"").unwrap();
    let demo = |args: &[&str]| run(&[&["demo", "--quick", "--json"], args].concat(), b"");
    let stream = |args: &[&str]| demo(args).expect(0).json()["stream"].clone();
    let once = stream(&[&one, &empty, &two]);
    assert_eq!(once["bytes"], 300_007);
    assert_eq!(stream(&[&one, &empty, &two])["hash"], once["hash"]);
    assert_ne!(stream(&[&two, &empty, &one])["hash"], once["hash"]);
    assert_eq!(stream(&["--size=1MiB", &one])["bytes"], 1 << 20);
    assert_eq!(stream(&["--size=5", &one])["bytes"], 5);
    assert_eq!(stream(&[&empty])["bytes"], 0);
    demo(&[&path("none")]).expect(1).says("none");
    demo(&["--size=9", &empty]).expect(1).says("hold nothing");
}

#[test]
fn a_killed_process() {
    let _alone = alone();
    for (which, name) in ["producer process", "consumer process"].into_iter().enumerate() {
        for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGABRT] {
            let (demo, pids) = endless();
            let pid = demo.pid();
            let role = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains(&name[..8]);
            let victim = pids.iter().copied().find(|pid| role(*pid)).unwrap();
            kill(Pid::from_raw(victim), signal).unwrap();
            demo.finish().expect(3).says(name).says(signal.as_str()).says("run the demo again");
            assert!(pids.iter().all(|pid| is_gone(*pid)), "{which}");
            assert_eq!(segments(pid), [""; 0]);
        }
    }
}

#[test]
fn a_killed_demo() {
    let _alone = alone();
    for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(143)), (Signal::SIGKILL, None)] {
        let (demo, pids) = endless();
        let pid = demo.pid();
        demo.signal(signal);
        let out = demo.finish();
        assert_eq!(out.status.code(), code, "{out:?}");
        wait_until("its processes to go", || pids.iter().all(|pid| is_gone(*pid)));
        assert_eq!(segments(pid), [""; 0]);
        let said = if code.is_some() { 1 } else { 0 };
        assert_eq!(out.stderr.lines().count(), said, "{}", out.stderr);
    }
}

#[test]
fn stopped_before_it_begins() {
    let _alone = alone();
    // At whatever moment a signal comes, nothing is left.
    for pause in 0..20 {
        let demo = start(&["demo", "--quick"]);
        let pid = demo.pid();
        std::thread::sleep(std::time::Duration::from_millis(pause));
        let early = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        demo.signal(Signal::SIGINT);
        let out = demo.finish();
        // Before it watches for signals there is nothing to clean up.
        assert!(matches!(out.status.code(), Some(130 | 0) | None), "{out:?} {early}");
        assert_eq!(segments(pid), [""; 0]);
    }
}
