//! How the memory of a ring lies: what `create` wishes for, and what `stat` shows of those who live in it.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use ring_shm::placement::{Placed, Placement, Wish};
use ring_shm::{Facts, Location};
use serde_json::{Value, json};

use crate::size;

/// How much something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// If it can be had.
    Try,
    /// Or the ring is not made.
    Require,
}

/// Where a new ring's memory is to lie.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// Huge pages for every whole 2 MiB of it.
    #[arg(long, value_enum, value_name = "HOW")]
    huge_pages: Option<Wanted>,
    /// The memory node it has to lie on.
    #[arg(long, value_name = "N")]
    numa_node: Option<u32>,
}

impl MemoryArgs {
    pub(crate) fn placement(&self) -> Placement {
        let mut wanted = Placement::new();
        if let Some(how) = self.huge_pages {
            wanted = wanted.huge_pages(if how == Wanted::Require { Wish::Require } else { Wish::Try });
        }
        if let Some(node) = self.numa_node {
            wanted = wanted.numa_node(node, Wish::Require);
        }
        wanted
    }
}

/// How the memory of a process's handles lies, for programs; `null` where this user may not look.
pub(crate) fn memory_json(name: &Location, facts: &Facts) -> Value {
    Placed::of_process(name, facts).map_or(Value::Null, |placed| {
        let nodes: Vec<Value> =
            placed.nodes.iter().map(|(node, bytes)| json!({ "node": node, "bytes": bytes })).collect();
        json!({
            "mapped": placed.mapped,
            "resident": placed.resident,
            "locked": placed.locked,
            "hugetlb": placed.hugetlb,
            "transparent_huge": placed.transparent_huge,
            "nodes": nodes,
        })
    })
}

/// The same for people; `None` where this user may not look.
pub(crate) fn memory_text(name: &Location, facts: &Facts) -> Option<String> {
    let placed = Placed::of_process(name, facts)?;
    let mut text = format!("{} of {} resident", size::exact(placed.resident), size::exact(placed.mapped));
    for (what, bytes) in [
        ("locked", placed.locked),
        ("on huge pages", placed.transparent_huge),
        ("on reserved huge pages", placed.hugetlb),
    ] {
        if bytes > 0 {
            let _ = write!(text, ", {} {what}", size::exact(bytes));
        }
    }
    for (node, bytes) in &placed.nodes {
        let _ = write!(text, ", {} on node {node}", size::exact(*bytes));
    }
    Some(text)
}
