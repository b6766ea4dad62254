//! Documents and code say the same: ordering rows both ways, with their orderings, and the layout tables.
#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use ring_core::{
    Identity, MpmcControl, ParticipantLine, STRICT_BLOCK, SlotHeader, SpscControl, StrictCommon, StrictConsumer,
    StrictProducer, TYPE_TEXT_LEN, TYPE_TEXT_OFFSET, mpmc_data_offset, slot_stride,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// `(id, ordering)` of every `ord!(ID, Ordering)` and `fence!(ID, Ordering)` in the sources.
fn rows_in_code() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    sources(&root().join("ring-core/src"), &mut files);
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        for (at, name) in ["ord!(", "fence!("].iter().flat_map(|n| text.match_indices(n)) {
            let rest = &text[at + name.len()..];
            let Some((id, rest)) = rest.split_once(',') else { continue };
            let ordering = rest.split_once(')').map_or("", |(o, _)| o.trim());
            let id = id.trim();
            let is_id = id.starts_with(|c: char| c.is_ascii_uppercase())
                && id.ends_with(|c: char| c.is_ascii_digit())
                && id.chars().all(|c| c.is_ascii_alphanumeric());
            if !is_id {
                continue; // the macros' own definitions and their docs
            }
            if let Some(before) = rows.insert(id.into(), ordering.into()) {
                assert_eq!(before, ordering, "row {id} stands with two orderings ({})", file.display());
            }
        }
    }
    rows
}

/// `(id, ordering)` of every table row of the protocol documents that has both.
fn rows_in_docs() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    let is_protocol = |name: &String| name.starts_with("protocol") && name.ends_with(".md");
    let files = fs::read_dir(root().join("docs")).expect("docs").map(|file| file.expect("an entry").file_name());
    for file in files.filter_map(|name| name.into_string().ok()).filter(is_protocol) {
        for line in read(&format!("docs/{file}")).lines() {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let orderings = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
            if let (Some(id), Some(ordering)) = (cells.first(), cells.get(3)) {
                let ordering = ordering.trim_matches('`');
                if orderings.contains(&ordering) {
                    let old = rows.insert(id.trim_matches('`').to_string(), ordering.to_string());
                    assert!(old.is_none(), "row {id} stands twice in the documents");
                }
            }
        }
    }
    rows
}

#[test]
fn ordering_rows_agree_both_ways() {
    let (code, docs) = (rows_in_code(), rows_in_docs());
    assert!(code.len() > 30, "the scan found only {} rows", code.len());
    let undocumented: Vec<_> = code.iter().filter(|(id, o)| docs.get(*id) != Some(o)).collect();
    let unused: Vec<_> = docs.iter().filter(|(id, o)| code.get(*id) != Some(o)).collect();
    assert!(
        undocumented.is_empty() && unused.is_empty(),
        "in the code but not so in the documents: {undocumented:?}\nin the documents but not so in the code: {unused:?}"
    );
}

/// `offset -> name` of a section's table in docs/layout.md, the name being in column `column`.
fn layout_table(section: &str, column: usize) -> Vec<(usize, String)> {
    let text = read("docs/layout.md");
    let (_, rest) = text.split_once(section).unwrap_or_else(|| panic!("no section {section}"));
    let body = rest.split_once("\n## ").map_or(rest, |(body, _)| body);
    body.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            Some((cells.first()?.parse().ok()?, (*cells.get(column)?).to_string()))
        })
        .collect()
}

macro_rules! offsets {
    ($type:ty: $($($field:ident).+),+ $(,)?) => {
        vec![$((offset_of!($type, $($field).+), stringify!($($field).+).replace(' ', "").replace(".word", ""))),+]
    };
}

#[test]
fn identity_table_is_the_struct() {
    let expected = offsets!(Identity: magic, abi_version, features_compatible, features_read_only,
        features_incompatible, total_len, capacity, slot_size, data_offset, type_hash, generation, release_every,
        participants, redelivery, reserved, checksum);
    assert_eq!(layout_table("## Identity line", 1), expected);
}

#[test]
fn spsc_table_is_the_struct() {
    let mut expected = offsets!(SpscControl: identity, tail.word, head.head, head.seen, head.within,
        producer.seat, producer.pid, producer.start_time, producer.boot, producer.pid_namespace, producer.facts_sum,
        producer.barrier,
        consumer.seat, consumer.pid, consumer.start_time, consumer.boot, consumer.pid_namespace, consumer.facts_sum,
        consumer.barrier,
        last_lease.word, waiters.receivers, waiters.senders, waiters.fences, producer_event.word, consumer_event.word);
    for (_, name) in &mut expected {
        *name = name.replace("head.", "");
    }
    expected.push((ring_core::spsc::SYNC_MARKS, "sync marks".into()));
    assert!(
        size_of::<SpscControl>() <= ring_core::spsc::SYNC_MARKS
            && ring_core::spsc::SYNC_MARKS + 4 * ring_core::spsc::SYNC_MARK_LEN <= 2816,
        "a System V name follows"
    );
    expected.push((TYPE_TEXT_OFFSET, "type text".into()));
    expected.push((4096, "data area".into()));
    assert_eq!(layout_table("## SPSC", 2), expected);
}

#[test]
fn strict_tables_are_the_structs() {
    let mut expected = offsets!(StrictProducer: identity, tail.word);
    expected.push((STRICT_BLOCK as usize + TYPE_TEXT_OFFSET, "type text".into()));
    expected.push((STRICT_BLOCK as usize + 4096, "data area (8 bytes earlier where payloads start on lines)".into()));
    expected.extend(offsets!(StrictConsumer: mark.magic, mark.generation, head.head, head.seen, head.within));
    expected.extend(offsets!(StrictCommon: producer, consumer, waiters, producer_event.word, consumer_event.word,
        mark.magic, mark.generation));
    for (_, name) in &mut expected {
        *name = name.replace("head.", "").replace("mark.", "");
    }
    assert_eq!(layout_table("## Strict rings", 2), expected);
}

#[test]
fn mpmc_tables_are_the_structs() {
    let mut control = offsets!(MpmcControl: identity, tail.word, head.word, last_lease.word, orphans.word, closing.word,
        waiters.receivers, waiters.senders, waiters.fences);
    control.push((TYPE_TEXT_OFFSET, "type text".into()));
    control.push((4096, "participant table".into()));
    let mut entry = offsets!(ParticipantLine: lease, write_intent, read_intent, role, reserved, event, pid, start_time,
        boot, pid_namespace, facts_sum, barrier, reserved_facts);
    let mut slot = offsets!(SlotHeader: word, meta);
    slot.push((size_of::<SlotHeader>(), "payload".into()));
    control.append(&mut entry);
    control.append(&mut slot);
    assert_eq!(layout_table("## MPMC", 2), control);
    assert_eq!(size_of::<ParticipantLine>(), 128);
    assert_eq!(TYPE_TEXT_LEN, 1016);
    assert_eq!([2, 31, 32, 33, 64].map(mpmc_data_offset), [8192, 8192, 8192, 12288, 12288]);
    assert_eq!([1, 8, 16, 17, 48, 49, 112, 240].map(slot_stride), [32, 32, 32, 64, 64, 128, 128, 256]);
}
