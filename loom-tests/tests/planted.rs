//! Plants a weaker ordering at each row of the SPSC code in turn and demands that a model fails which passes without.
//!
//! The rows are read from the sources, so a new access cannot be forgotten. A row that no model can make fail is
//! either too strong or untested: it has to be mended, or named in [`EXCEPTED`] with the reason.
#![cfg(loom)]

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use loom_tests::{Model, consumer_crash, crash, sessions, spsc};
use ring_core::model::plant;

/// Where the rows of SPSC are, below `ring-core/src`.
const SOURCES: &[&str] = &["spsc", "seat.rs"];

/// Rows that no model can make fail, and why.
const EXCEPTED: &[(&str, &str)] = &[
    (
        "T2.release",
        "the taker has stored nothing yet; what its predecessor stored reaches others by T3, T11 or a verdict",
    ),
    ("R5", "C1 loads this header again, with Acquire, before anything behind it is read; here it only decides `told`"),
];

/// Models that take long: asked last.
const SLOW: &[&str] = &[
    "wrap",
    "batch_read",
    "release_every",
    "stream",
    "both_sides_pass_on",
    "one_of_each_dies",
    "two_unread_producers_die",
    "two_producers_die",
    "two_batches_die",
];

/// Every weakenable half of the rows in `sources`: `"S3"`, `"T2.acquire"`, `"T2.release"`; fences included.
fn rows(sources: &[&str]) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ring-core/src");
    let mut files: Vec<PathBuf> = Vec::new();
    for source in sources {
        let path = src.join(source);
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|f| f.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for (at, call) in text.match_indices("ord!(").chain(text.match_indices("fence!(")) {
            let Some((args, _)) = text[at + call.len()..].split_once(')') else { continue };
            let Some((id, ordering)) = args.split_once(',') else { continue };
            match ordering.trim() {
                "Relaxed" => {}
                "Acquire" | "Release" => rows.push(id.trim().to_string()),
                "AcqRel" if call.starts_with("ord") => {
                    rows.extend(["acquire", "release"].map(|half| format!("{}.{half}", id.trim())));
                }
                other => panic!("{id}: no rule to weaken {other}"),
            }
        }
    }
    assert!(rows.iter().enumerate().all(|(i, row)| !rows[..i].contains(row)), "a row has two sites: {rows:?}");
    rows
}

/// Whether `model` fails with `row` planted.
fn fails(model: &Model, row: Option<&str>) -> bool {
    plant(row);
    let failed = catch_unwind(AssertUnwindSafe(|| model.explore())).is_err();
    plant(None);
    failed
}

/// The models in the order of asking.
fn suite() -> Vec<Model> {
    let mut models = [spsc::MODELS, sessions::MODELS, crash::MODELS, consumer_crash::MODELS].concat();
    if let Ok(only) = std::env::var("RING_LOOM_MODEL") {
        models.retain(|m| m.name == only);
    }
    models.sort_by_key(|m| SLOW.iter().position(|slow| *slow == m.name).map_or(0, |i| i + 1));
    models
}

/// The first model that fails with `row` planted and passes without.
fn catcher(models: &[Model], row: &str, sound: &Mutex<HashMap<&str, bool>>) -> Option<&'static str> {
    models
        .iter()
        .find(|m| {
            fails(m, Some(row)) && {
                let known = sound.lock().unwrap().get(m.name).copied();
                known.unwrap_or_else(|| {
                    let passes = !fails(m, None);
                    sound.lock().unwrap().insert(m.name, passes);
                    passes
                })
            }
        })
        .map(|m| m.name)
}

#[test]
fn each_ordering_is_necessary() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {})); // failing models are what we want to see
    let (models, sound) = (suite(), Mutex::new(HashMap::new()));
    let only = std::env::var("RING_LOOM_ROW").ok();
    let mut rows = rows(SOURCES);
    rows.retain(|row| only.as_ref().is_none_or(|only| only == row));
    let excepted = |row: &str| EXCEPTED.iter().any(|(name, _)| *name == row);
    let queue = Mutex::new(rows.iter().filter(|row| loom_tests::long() || !excepted(row)).collect::<Vec<_>>());
    let caught = Mutex::new(HashMap::new());
    // What is planted is so for one OS thread.
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while let Some(row) = { queue.lock().unwrap().pop() } {
                    let start = Instant::now();
                    let by = catcher(&models, row, &sound);
                    let by_whom = by.unwrap_or("NOT CAUGHT");
                    let line = format!("planted {row}: {by_whom}, {:.1} s\n", start.elapsed().as_secs_f64());
                    let _ = std::io::stderr().write_all(line.as_bytes());
                    caught.lock().unwrap().insert(row.clone(), by);
                }
            });
        }
    });
    std::panic::set_hook(hook);
    let caught = caught.into_inner().unwrap();
    for (row, why) in EXCEPTED {
        let _ = std::io::stderr().write_all(format!("excepted {row}: {why}\n").as_bytes());
        assert!(caught.get(*row).copied().flatten().is_none(), "{row} is caught: no exception");
    }
    let missed: Vec<_> = caught.iter().filter(|(row, by)| by.is_none() && !excepted(row)).map(|(row, _)| row).collect();
    assert!(missed.is_empty(), "no model sees these orderings weakened: {missed:?}");
    let line = format!(
        "planted: {} of {} rows caught, {} excepted\n",
        caught.values().flatten().count(),
        rows.len(),
        EXCEPTED.len()
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The scan finds what it has to find.
#[test]
fn rows_are_found() {
    let rows = rows(SOURCES);
    for row in ["S1", "S3", "B3", "C1", "C4", "M2", "T1", "T3", "T5", "R1"] {
        assert!(rows.iter().any(|r| r == row), "{row} is missing of {rows:?}");
    }
    for (row, _) in EXCEPTED {
        assert!(rows.iter().any(|r| r == row), "{row} is excepted and no row any more");
    }
}
