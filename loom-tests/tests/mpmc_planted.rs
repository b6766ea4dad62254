//! Each ordering of the MPMC ring that is not `Relaxed`, weakened in turn: one of the models named with it must fail.
//!
//! `RING_PLANT=ROW cargo test … --test mpmc_planted search -- --ignored --nocapture` tries every model against a row.
#![cfg(loom)]

mod mpmc_support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use mpmc_support::Model;
use ring_core::model::plant;

/// Whether the model fails with `row` weakened. The report of the failure is not printed.
fn fails(model: &Model, row: &str) -> bool {
    plant(Some(row));
    let result = catch_unwind(AssertUnwindSafe(|| model.explore()));
    plant(None);
    result.is_err()
}

/// Panic messages of models that are meant to fail would fill the screen.
fn quietly<R>(run: impl FnOnce() -> R) -> R {
    static HOOK: Mutex<()> = Mutex::new(());
    let _one = HOOK.lock().unwrap_or_else(|e| e.into_inner());
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = run();
    std::panic::set_hook(hook);
    result
}

/// Rows with the models that catch them, cheapest first.
const ROWS: &[(&str, &[&str])] = &[("MP2", &["full"])];

#[test]
fn every_row_is_caught() {
    let models = mpmc_support::all();
    let missed: Vec<_> = ROWS
        .iter()
        .filter(|(row, names)| {
            let mut candidates = names.iter().filter_map(|name| models.iter().find(|m| m.name == *name));
            !quietly(|| candidates.any(|model| fails(model, row)))
        })
        .map(|(row, _)| row)
        .collect();
    assert!(missed.is_empty(), "no model fails with these weakened: {missed:?}");
}

#[test]
#[ignore = "a search by hand"]
fn search() {
    let rows = std::env::var("RING_PLANT").expect("RING_PLANT=ROW,ROW…");
    let all = std::env::var("RING_MODELS").unwrap_or_default();
    for row in rows.split(',') {
        let mut caught = Vec::new();
        for model in mpmc_support::all().iter().filter(|m| all.is_empty() || all.split(',').any(|n| n == m.name)) {
            let start = std::time::Instant::now();
            if quietly(|| fails(model, row)) {
                caught.push((model.name, start.elapsed().as_millis()));
                if std::env::var_os("RING_ALL").is_none() {
                    break;
                }
            }
        }
        eprintln!("row {row}: {caught:?}");
    }
}
