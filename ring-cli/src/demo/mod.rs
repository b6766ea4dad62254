//! `ringctl demo`: two processes stream data through a ring, check every byte of it, and measure round trips.
//!
//! This process makes three rings, starts itself twice as `demo-peer`, and takes the rings' names away as soon as both
//! have sat down: from then on nothing can be left behind, whatever is killed. Then it collects what they report.
//! `source` cuts the data, `stream` and `trips` are what the two do, `peers` holds them, `cpus` chooses where they
//! run, `report` shows the results.

mod cpus;
mod peers;
mod report;
mod source;
mod stream;
mod trips;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;

use ring_shm::spsc::{self, Options};
use serde_json::Value;

use crate::args::{DemoArgs, DemoPeerArgs, Side};
use crate::exit::{Code, Failure, io_failure};
use crate::output;
use crate::progress::Progress;
use crate::signals::Signals;
use peers::{Peers, Said};

/// The ring that carries the stream.
const STREAM_CAPACITY: u64 = 1 << 20;
/// The rings that carry round trips.
const TRIP_CAPACITY: u64 = 4096;
/// What is streamed by default; without optimisation the copies are slow.
const DEFAULT_TOTAL: u64 = if cfg!(debug_assertions) { 64 << 20 } else { 1 << 30 };
/// The same with `--quick`.
const QUICK_TOTAL: u64 = if cfg!(debug_assertions) { 8 << 20 } else { 32 << 20 };

/// What the default stream may take, in seconds; a machine that is busy gets through less.
const LIMIT: u64 = 5;

/// What both processes are told.
#[derive(Debug)]
struct Plan {
    /// What the names of the rings begin with.
    prefix: String,
    files: Vec<PathBuf>,
    total: u64,
    rounds: u64,
    /// Seconds after which the stream ends early.
    limit: Option<u64>,
    cpus: Option<[usize; 2]>,
}

impl Plan {
    fn new(args: &DemoArgs) -> Result<Self, Failure> {
        let mut len = 0_u64;
        let mut files = Vec::new();
        for file in &args.files {
            let name = file.display().to_string();
            let facts = fs::metadata(file).map_err(|e| io_failure(&name, &e))?;
            if !facts.is_file() {
                return Err(Failure::new(Code::Arguments, format!("{name} is not a regular file: name files")));
            }
            len = len.saturating_add(facts.len());
            files.push(file.canonicalize().map_err(|e| io_failure(&name, &e))?);
        }
        let usual = if args.quick { QUICK_TOTAL } else { DEFAULT_TOTAL };
        let total = args.size.unwrap_or(if files.is_empty() { usual } else { len });
        let random = RandomState::new().build_hasher().finish();
        Ok(Self {
            prefix: format!("demo-{}-{random:016x}", std::process::id()),
            files,
            total,
            rounds: if args.quick { 20_000 } else { 200_000 },
            limit: (args.size.is_none() && args.files.is_empty()).then_some(LIMIT),
            cpus: cpus::two(),
        })
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]; code 3 when one of the processes is killed, 1 when a record is not what was sent.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let signals = Signals::watch()?;
    let plan = Plan::new(args)?;
    if !args.json {
        output::print(&report::opening(&plan))?;
    }
    let mut progress = Progress::new(Some(plan.total));
    let rings = Rings::create(&plan.prefix)?;
    let mut peers = Peers::start(&plan)?;
    let (mut rings, mut ready) = (Some(rings), 0);
    let (mut sent, mut received, mut trips) = (Value::Null, Value::Null, Value::Null);
    while let Some((side, said)) = peers.next(&signals)? {
        match said {
            Said::Ready => {
                ready += 1;
                if ready == 2 {
                    drop(rings.take());
                    peers.go()?;
                }
            }
            Said::Through(bytes) => progress.add(bytes),
            Said::Streamed(facts) if side == Side::Producer => sent = facts,
            Said::Streamed(facts) => {
                received = facts;
                progress.finish();
            }
            Said::Tripped(facts) => trips = facts,
        }
    }
    drop(progress);
    let results = report::Results::new(&plan, &sent, &received, &trips)?;
    if args.json { output::print_json(&results.json()) } else { output::print(&results.text()) }
}

/// Runs one of the two processes.
///
/// # Errors
/// [`Failure`], told to the demo, and silent otherwise.
pub(crate) fn peer(args: &DemoPeerArgs) -> Result<(), Failure> {
    peers::act(args).map_err(|failure| {
        let _ = output::print(&format!("failed {} {failure}\n", failure.code as u8));
        Failure::new(failure.code, "")
    })
}

/// The three names of a demo's rings.
fn names(prefix: &str) -> [String; 3] {
    ["stream", "ping", "pong"].map(|which| format!("{prefix}-{which}"))
}

/// The demo's rings, as long as they have names.
#[derive(Debug)]
struct Rings([String; 3]);

impl Rings {
    fn create(prefix: &str) -> Result<Self, Failure> {
        let rings = Self(names(prefix));
        for (name, capacity) in rings.0.iter().zip([STREAM_CAPACITY, TRIP_CAPACITY, TRIP_CAPACITY]) {
            spsc::create(name, &Options::new().capacity(capacity))?;
        }
        Ok(rings)
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        for name in &self.0 {
            // Those that were never made are not there.
            let _ = ring_shm::unlink(name, true);
        }
    }
}
