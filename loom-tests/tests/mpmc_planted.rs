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
const ROWS: &[(&str, &[&str])] = &[
    ("MP2", &["full_one_slot", "wrap_one_slot", "one_to_one"]),
    ("MP3", &["same_producer_twice"]),
    ("MP4", &["same_producer_twice"]),
    ("MP5", &["empty"]),
    ("MP6", &["abort_one_slot", "abort"]),
    ("MP7", &["losing_producer"]),
    ("MP10", &["full_one_slot", "wrap_one_slot"]),
    ("MP12", &["full_one_slot", "wrap_one_slot"]),
    ("MP13", &["full_one_slot", "wrap_one_slot"]),
    ("MC2", &["empty"]),
    ("MC3", &["same_consumer_twice"]),
    ("MC4", &["same_consumer_twice"]),
    ("MC6", &["full_one_slot", "wrap_one_slot", "one_to_one"]),
    ("MC7", &["losing_consumer"]),
    ("MC12", &["keep"]),
    ("MC13", &["hint"]),
    ("MD1", &["hint"]),
    ("MD3", &["keep_and_redeliver"]),
    ("MD4", &["adoption_and_repair"]),
    ("MD6", &["adopting_twice"]),
    ("ME1", &["one_to_two", "two_to_two"]),
    ("ME2", &["one_to_two", "two_to_two"]),
    ("ME5", &["one_to_two", "one_slot_two_consumers"]),
    ("ME7", &["closed_is_after_all"]),
    ("MJ1.acquire", &["left_entry_is_reused", "left_reader_entry_is_reused"]),
    ("MJ1.release", &["entry_recovered", "attach_while_working"]),
    ("MJ3", &["entry_taken_over"]),
    ("MJ5", &["left_entry_is_reused"]),
    ("MJ10", &["left_entry_is_reused"]),
    ("MJ11", &["left_reader_entry_is_reused"]),
    ("MR1", &["same_producer_twice"]),
    ("MR3", &["repaired_slot_is_reused"]),
    ("MR7", &["same_consumer_twice"]),
    ("MR8", &["adoption_and_repair"]),
    ("MR11", &["redelivered_slot_is_reused"]),
    ("MR12", &["hint_by_a_repairer"]),
    ("MR14", &["repaired_slot_is_reused"]),
    ("MS3", &["single_producer_close"]),
    ("MS6", &["single_each", "single_consumer"]),
    ("MS12", &["single_producer_succession"]),
    ("MX3", &["single_producer_close"]),
    ("MX6", &["single_producer_closed_for"]),
    ("L10", &["attach_while_working"]),
    ("L12", &["attach_while_working"]),
    ("L13", &["attach_while_working"]),
];

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
