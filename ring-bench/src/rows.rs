//! The rows of the table: which two candidates are compared, which way is better, what has to be reached.
//!
//! A row that misses its target says so; a target is what users may expect, not what happens to be reached. Names are read
//! by scripts and never change; a target may.

use crate::probe::Class;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The ratio is one of times.
    Lower,
    /// The ratio is one of rates.
    Higher,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// Stable, kebab-case.
    pub name: &'static str,
    /// The candidate that is judged.
    pub ours: &'static str,
    /// What it is compared with.
    pub base: &'static str,
    /// Which way is better.
    pub better: Better,
    target: f64,
    /// The target between cache complexes where it is another.
    target_apart: Option<f64>,
}

impl Row {
    /// Times: at most `target` is wanted.
    #[must_use]
    pub const fn lower(name: &'static str, ours: &'static str, base: &'static str, target: f64) -> Self {
        Self { name, ours, base, better: Better::Lower, target, target_apart: None }
    }

    /// Rates: at least `target` is wanted.
    #[must_use]
    pub const fn higher(name: &'static str, ours: &'static str, base: &'static str, target: f64) -> Self {
        Self { name, ours, base, better: Better::Higher, target, target_apart: None }
    }

    /// Another target for CPUs that share no cache.
    #[must_use]
    pub const fn apart(self, target: f64) -> Self {
        Self { target_apart: Some(target), ..self }
    }

    /// What has to be reached in `class`.
    #[must_use]
    pub fn target(&self, class: Class) -> f64 {
        match self.target_apart {
            Some(apart) if class == Class::X => apart,
            _ => self.target,
        }
    }

    /// Whether `ratio` reaches the target of `class`.
    #[must_use]
    pub fn reached(&self, ratio: f64, class: Class) -> bool {
        match self.better {
            Better::Lower => ratio <= self.target(class),
            Better::Higher => ratio >= self.target(class),
        }
    }
}

/// Every row, in the order of the table.
#[must_use]
pub fn all() -> Vec<Row> {
    vec![
        // The round trip beside the fastest rival's, and the floor.
        Row::lower("spsc-rtt-8", "ours-rtt-8", "rtrb-rtt-8", 1.0),
        Row::lower("spsc-rtt-64", "ours-rtt-64", "rtrb-rtt-64", 0.95),
        Row::lower("spsc-rtt-256", "ours-rtt-256", "rtrb-rtt-256", 0.95),
        Row::lower("spsc-rtt-8-vs-line", "ours-rtt-8", "line", 1.10),
        // The least code that keeps our format.
        Row::lower("spsc-rtt-64-vs-format", "ours-rtt-64", "format-rtt-64", 1.05),
        Row::lower("spsc-rtt-256-vs-format", "ours-rtt-256", "format-rtt-256", 1.05),
        // One way, equal bytes of capacity.
        Row::higher("spsc-oneway-8", "ours-oneway-8", "rtrb-oneway-8", 1.0),
        // Short payloads gain nothing by lines of their own.
        Row::higher("spsc-oneway-56-vs-lines", "ours-oneway-56", "ours-oneway-56-lines", 0.95),
        Row::higher("spsc-oneway-64", "ours-oneway-64", "rtrb-oneway-64", 1.8).apart(2.5),
        Row::higher("spsc-oneway-256", "ours-oneway-256", "rtrb-oneway-256", 1.5).apart(1.8),
        Row::higher("spsc-oneway-8-batch", "ours-oneway-8-batch", "rtrb-oneway-8-batch", 1.0),
        Row::higher("spsc-oneway-8-batch-vs-single", "ours-oneway-8-batch", "rtrb-oneway-8", 2.0),
        Row::higher("spsc-oneway-64-batch", "ours-oneway-64-batch", "rtrb-oneway-64-batch", 0.95),
        Row::higher("spsc-oneway-64-batch-vs-handover", "ours-oneway-64-batch", "handover-64", 0.90),
        // The least that our format takes: what is ours beyond it; and what it takes beside bare words.
        Row::higher("spsc-oneway-8-vs-format", "ours-oneway-8", "format-oneway-8", 0.90),
        Row::higher("spsc-oneway-8-batch-vs-format", "ours-oneway-8-batch", "format-oneway-8-batch", 0.90),
        Row::higher("format-oneway-8-batch", "format-oneway-8-batch", "rtrb-oneway-8-batch", 1.0),
        Row::higher("spsc-oneway-64-batch-vs-format", "ours-oneway-64-batch", "format-oneway-64-batch", 0.90),
        Row::higher("format-oneway-64-batch", "format-oneway-64-batch", "rtrb-oneway-64-batch", 2048.0 / 2056.0),
        // The same with one record a batch.
        Row::higher("spsc-oneway-8-slices", "ours-oneway-8-slices", "rtrb-oneway-8-batch", 1.0),
        Row::higher("spsc-oneway-8-slices-vs-single", "ours-oneway-8-slices", "rtrb-oneway-8", 2.0),
        Row::higher("spsc-oneway-64-slices", "ours-oneway-64-slices", "rtrb-oneway-64-batch", 0.95),
        Row::higher("spsc-oneway-64-slices-vs-handover", "ours-oneway-64-slices", "handover-64", 0.90),
        // What it costs that neither side can touch what the other owns.
        Row::lower("strict-rtt-8", "strict-rtt-8", "ours-rtt-8", 1.10),
        Row::higher("strict-oneway-8", "strict-oneway-8", "ours-oneway-8", 1.0 / 1.10),
        // Whole payloads beside slots that a hand would write for one size alone.
        Row::higher("payload-1k", "ours-payload-1k", "raw-payload-1k", 0.95),
        Row::higher("payload-1k-vs-headed", "ours-payload-1k", "headed-payload-1k", 0.95),
        Row::higher("payload-1k-vs-packed", "ours-payload-1k", "ours-payload-1k-packed", 1.0),
        Row::higher("payload-64k", "ours-payload-64k", "raw-payload-64k", 0.95),
        Row::higher("payload-64k-vs-headed", "ours-payload-64k", "headed-payload-64k", 0.95),
        Row::higher("payload-64k-vs-packed", "ours-payload-64k", "ours-payload-64k-packed", 1.0),
        Row::higher("payload-1m", "ours-payload-1m", "raw-payload-1m", 0.95),
        Row::higher("payload-1m-vs-headed", "ours-payload-1m", "headed-payload-1m", 0.95),
        // What every Unix has, polled; both between processes.
        Row::lower("spsc-rtt-8-vs-pipe", "ours-rtt-8", "pipe-rtt-8", 0.8),
        Row::lower("spsc-rtt-8-vs-unix", "ours-rtt-8", "unix-rtt-8", 0.8),
        Row::higher("spsc-oneway-8-small-vs-pipe", "ours-oneway-8-small", "pipe-oneway-8-small", 3.0),
        Row::higher("spsc-oneway-8-small-vs-unix", "ours-oneway-8-small", "unix-oneway-8-small", 3.0),
        // What it costs a stream that nobody sleeps for to be able to wake somebody.
        Row::higher("spsc-oneway-8-parkable", "core-oneway-8", "core-oneway-8-untold", 0.97),
        // The kernel's part of a sleep and a wake-up, and what else there is for that.
        Row::lower("parked-rtt-8", "ours-parked-rtt-8", "futex-rtt", 1.1),
        Row::lower("parked-rtt-8-vs-sem", "ours-parked-rtt-8", "sem-rtt", 1.1),
        Row::lower("parked-rtt-8-vs-robust-mutex", "ours-parked-rtt-8", "robust-mutex-rtt", 1.1),
        Row::lower("parked-rtt-8-vs-eventfd", "ours-parked-rtt-8", "eventfd-rtt", 1.1),
        Row::lower("parked-rtt-8-vs-pipe", "ours-parked-rtt-8", "pipe-parked-rtt-8", 1.1),
        Row::lower("parked-rtt-8-vs-unix", "ours-parked-rtt-8", "unix-parked-rtt-8", 1.1),
        // What a ring of 1 MiB takes to make and to find; its memory alone; and whether others are in the way.
        Row::lower("create-1m", "ours-create-1m", "allowed-150us", 1.0),
        Row::lower("create-1m-vs-raw", "ours-create-1m", "raw-create-1m", 1.25),
        Row::lower("create-1m-among-500", "ours-create-1m-among-500", "ours-create-1m", 1.1),
        Row::lower("open-1m", "ours-open-1m", "allowed-60us", 1.0),
        Row::lower("open-1m-among-500", "ours-open-1m-among-500", "ours-open-1m", 1.1),
        // Queues of threads, which die with one of them; the plain one among them is the floor of a round trip.
        Row::lower("mpmc-rtt-8", "ours-mpmc-rtt-8", "vyukov-rtt-8", 1.05),
        // Longer messages, beside a queue for one to one.
        Row::lower("mpmc-rtt-256", "ours-mpmc-rtt-256", "rtrb-rtt-256", 1.05),
        Row::higher("mpmc-1p1c", "ours-1p1c", "array-queue-1p1c", 2.0),
        Row::higher("mpmc-2p2c", "ours-2p2c", "array-queue-2p2c", 2.0),
        Row::higher("mpmc-4p4c", "ours-4p4c", "array-queue-4p4c", 2.0),
        Row::higher("mpmc-1p1c-alone", "ours-1p1c-alone", "array-queue-1p1c", 2.0),
        Row::higher("mpmc-1p1c-65536", "ours-1p1c-65536", "array-queue-1p1c-65536", 1.2),
        // A slot of ours has 32 bytes, one of that queue 16: with as many bytes, and with slots as wide.
        Row::higher("mpmc-1p1c-same-bytes", "ours-1p1c-32768", "array-queue-1p1c-65536", 1.2),
        Row::higher("mpmc-1p1c-65536-vs-wide", "ours-1p1c-65536", "array-queue-1p1c-65536-wide", 1.2),
        Row::higher("mpmc-2p2c-65536", "ours-2p2c-65536", "array-queue-2p2c-65536", 1.2),
        Row::higher("mpmc-4p4c-65536", "ours-4p4c-65536", "array-queue-4p4c-65536", 1.2),
        // What the intent costs: the same slots without it; at most 15 % of the time.
        Row::lower("mpmc-rtt-8-vs-plain", "ours-mpmc-rtt-8", "plain-rtt-8", 1.15),
        Row::higher("mpmc-1p1c-vs-plain", "ours-1p1c", "plain-1p1c", 1.0 / 1.15),
        Row::higher("mpmc-2p2c-vs-plain", "ours-2p2c", "plain-2p2c", 1.0 / 1.15),
        Row::higher("mpmc-4p4c-vs-plain", "ours-4p4c", "plain-4p4c", 1.0 / 1.15),
        // Decision 0009: the owner in the slot instead of an intent.
        Row::lower("mpmc-rtt-8-vs-owned", "ours-mpmc-rtt-8", "owned-rtt-8", 1.0),
        Row::higher("mpmc-1p1c-vs-owned", "ours-1p1c", "owned-1p1c", 1.0),
        Row::higher("mpmc-2p2c-vs-owned", "ours-2p2c", "owned-2p2c", 1.0),
        Row::higher("mpmc-4p4c-vs-owned", "ours-4p4c", "owned-4p4c", 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let rows = all();
        for (i, row) in rows.iter().enumerate() {
            assert!(row.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", row.name);
            assert!(rows[..i].iter().all(|other| other.name != row.name), "{} twice", row.name);
        }
    }

    #[test]
    fn rows_name_candidates_that_exist() {
        let known: Vec<_> = crate::registry::all().into_iter().map(|c| c.name).collect();
        for row in all() {
            for name in [row.ours, row.base] {
                assert!(known.contains(&name), "{name}");
            }
        }
    }

    #[test]
    fn targets_by_class() {
        let rows = all();
        let row = rows.iter().find(|row| row.name == "spsc-oneway-256").expect("a row");
        assert!(row.reached(1.6, Class::C) && !row.reached(1.6, Class::X));
        let row = &rows[0];
        assert!(row.reached(1.0, Class::C) && !row.reached(1.01, Class::S));
    }
}
