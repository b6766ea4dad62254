//! Proof that a rival's messages are looked at before anything is timed: every candidate that sends single messages is run
//! as it is, which must go well, and with one wrong payload, which must end the run.
//!
//! A run forks, so each has a process of its own: this program, called with the candidate's name.

use ring_bench::run::{self, Plan};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// The scenarios in which a message can be planted.
const SCENARIOS: [&str; 5] = ["-rtt-8", "-rtt-64", "-rtt-256", "-oneway-8", "-oneway-8-small"];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sound", name] => one(name),
        ["planted", name] => {
            ring_peers::plant();
            one(name)
        }
        _ => all(arguments.iter().find(|argument| !argument.starts_with('-')).map_or("", String::as_str)),
    }
}

/// Checks the candidate `name` and times it a few times; prints what went wrong.
fn one(name: &str) -> ExitCode {
    let sweeper = ring_peers::Sweeper::new();
    let mut lists = ring_peers::lists();
    lists.rows.clear();
    lists.candidates.retain(|candidate| candidate.name == name);
    let result = run::run(&Plan { only: None, rounds: 2, limit: Duration::from_secs(20) }, lists);
    drop(sweeper);
    match result {
        Ok(report) if report.rounds >= 2 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(why) => {
            println!("{why}");
            ExitCode::from(1)
        }
    }
}

/// Every candidate whose name contains `part`, each twice.
fn all(part: &str) -> ExitCode {
    let lists = ring_peers::lists();
    let (mut passed, mut failed) = (0, 0);
    let mut expect = |right: bool, what: &str, output: &str| {
        if right {
            passed += 1
        } else {
            failed += 1
        }
        if !right {
            println!("{what}: FAILED: {output}");
        }
    };
    for candidate in lists.candidates {
        let name = candidate.name;
        // The harness's own are sent by its code, where nothing can be planted from here.
        let own = name.starts_with("ours-") || name.starts_with("format-");
        if own || !name.contains(part) || !SCENARIOS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let (status, output) = called("sound", name);
        expect(status == Some(0), &format!("{name} as it is"), &output);
        let (status, output) = called("planted", name);
        let noticed = output.contains("wrong before it was timed: messages arrived out of order")
            || output.contains("wrong before it was timed: a message arrived with wrong content");
        expect(status == Some(1) && noticed, &format!("{name} with a wrong payload"), &output);
    }
    for (name, why) in lists.absent {
        println!("{name}: skipped, {why}");
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Status and output of this program called for one candidate.
fn called(how: &str, name: &str) -> (Option<i32>, String) {
    let myself = match std::env::current_exe() {
        Ok(path) => path,
        Err(why) => return (None, why.to_string()),
    };
    match Command::new(myself).args([how, name]).output() {
        Ok(output) => (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(why) => (None, why.to_string()),
    }
}
