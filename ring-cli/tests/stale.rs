//! `ringctl rm --stale`: POSIX and System V rings, and files of a directory; what the killed have left goes, what the living
//! hold stays, and what is no ring is nobody's to remove.

mod support;

use std::fs;

use serde_json::Value;
use support::{run, start, wait_until};

/// Whether a list of the report has the ring. Other tests make and remove rings meanwhile.
fn has(report: &Value, list: &str, name: &str) -> bool {
    report[list].as_array().unwrap().iter().any(|found| found == name)
}

fn held(location: &str) -> bool {
    run(&["stat", location, "--json"], b"").expect(0).json()["consumer"]["state"] == "alive"
}

/// What comes of a ring, of either kind, with a receiver in it that lives and is then killed; `names` are what the report
/// calls it, and what a location does.
fn goes_with_its_last_user(names: [&str; 2], kind: &str, stale: &dyn Fn() -> Value) {
    let [name, location] = names;
    let kind = format!("--kind={kind}");
    run(&["create", location, &kind], b"").expect(0);
    let recv = start(&["recv", location]);
    let seated = || match run(&["stat", location, "--json"], b"").expect(0).json() {
        ring if ring["kind"] == "mpmc" => ring["participants"].as_array().is_some_and(|members| !members.is_empty()),
        _ => held(location),
    };
    wait_until("the receiver", seated);
    let report = stale();
    assert!(has(&report, "held", name) && !has(&report, "removed", name), "{name}: {report}");
    run(&["stat", location], b"").expect(0);
    recv.kill();
    let report = stale();
    assert!(has(&report, "removed", name) && !has(&report, "held", name), "{name}: {report}");
    run(&["stat", location], b"").expect(5);
    // All of it: the name is free.
    run(&["create", location, &kind], b"").expect(0);
    run(&["rm", location], b"").expect(0);
}

#[test]
fn files_of_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    let stale = || run(&["rm", "--stale", "--dir", dir, "--json"], b"").expect(0).json();
    // Neither of these is one: a file that begins otherwise, one that is called so, and one that another name leads to.
    for name in ["notes", "ring.notes"] {
        fs::write(directory.path().join(name), "my only copy").unwrap();
    }
    run(&["create", &format!("file:{dir}/linked")], b"").expect(0);
    fs::hard_link(directory.path().join("linked"), directory.path().join("backup")).unwrap();
    for kind in ["spsc", "mpmc"] {
        let path = format!("{dir}/ticks");
        goes_with_its_last_user([&path, &format!("file:{path}")], kind, &stale);
    }
    let mut left: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["backup", "linked", "notes", "ring.notes"]);
    run(&["rm", "--stale", "--dir", &format!("{dir}/none")], b"").expect(1).says("name a directory that is there");
    run(&["rm", "ticks", "--dir", dir], b"").expect(2);
}
