//! What a demo shows: throughput, the distribution of the round trips as a table and a small histogram, and the line
//! that says whether everything arrived. The last check of all is here: both processes must have had the same stream.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{Plan, STREAM_CAPACITY};
use crate::exit::{Code, Failure};
use crate::size;

/// The percentiles of the table.
const PERCENTILES: [(&str, f64); 5] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

/// Rows of the histogram, and how wide the longest bar is.
const ROWS: usize = 12;
const WIDTH: u64 = 48;

/// Said before anything is measured.
pub(super) fn opening(plan: &Plan) -> String {
    let what = match plan.files.as_slice() {
        [] => "this program's own file, over and over".to_owned(),
        [file] => file.display().to_string(),
        [first, others @ ..] => format!("{} and {} more", first.display(), others.len()),
    };
    let slow = if cfg!(debug_assertions) { "Built without optimisation: the figures mean little.\n" } else { "" };
    format!(
        "{slow}Two processes, {}. Streaming {} of {what}\nthrough a ring of {}, in records of 1 B to 64 KiB.\n",
        plan.cpus.map_or("on one CPU".to_owned(), |[one, two]| format!("on CPUs {one} and {two}")),
        size::exact(plan.total),
        size::exact(STREAM_CAPACITY),
    )
}

/// What was measured, and found right.
#[derive(Debug)]
pub(super) struct Results<'a> {
    plan: &'a Plan,
    bytes: u64,
    records: u64,
    hash: u64,
    seconds: f64,
    trips: Histogram<u64>,
    parked: Histogram<u64>,
}

impl<'a> Results<'a> {
    /// Compares what both sides say.
    ///
    /// # Errors
    /// When they did not have the same stream, or say nothing sensible.
    pub(super) fn new(plan: &'a Plan, sent: &Value, received: &Value, trips: &Value) -> Result<Self, Failure> {
        let missing = || Failure::new(Code::Other, "a process of the demo did not say what it measured");
        for what in ["bytes", "records", "hash"] {
            let (sent, received) = (&sent[what], &received[what]);
            if sent != received {
                let message = format!("the streams differ: {what} sent {sent}, received {received}");
                return Err(Failure::new(Code::Other, message));
            }
        }
        let number = |what: &str| received[what].as_u64().ok_or_else(missing);
        let times = |which: &str| {
            let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(|_| missing())?;
            for pair in trips[which].as_array().ok_or_else(missing)? {
                let (time, count) = pair[0].as_u64().zip(pair[1].as_u64()).ok_or_else(missing)?;
                times.saturating_record_n(time, count);
            }
            Ok::<_, Failure>(times)
        };
        let (trips, parked) = (times("values")?, times("parked")?);
        let seconds = received["seconds"].as_f64().ok_or_else(missing)?;
        let (bytes, records, hash) = (number("bytes")?, number("records")?, number("hash")?);
        Ok(Self { plan, bytes, records, hash, seconds, trips, parked })
    }

    fn per_second(&self, of: u64) -> f64 {
        if self.seconds > 0.0 { of as f64 / self.seconds } else { 0.0 }
    }

    /// For programs. Times are nanoseconds.
    pub(super) fn json(&self) -> Value {
        let trip = |times: &Histogram<u64>| {
            let mut trip = json!({
                "message_bytes": 8, "count": times.len(), "mean": times.mean(), "min": times.min(),
            });
            for (name, percentile) in PERCENTILES {
                trip[name] = json!(times.value_at_percentile(percentile));
            }
            trip
        };
        json!({
            "intact": true,
            "stream": {
                "bytes": self.bytes, "records": self.records, "seconds": self.seconds,
                "gb_per_second": self.per_second(self.bytes) / 1e9,
                "records_per_second": self.per_second(self.records),
                "hash": format!("{:016x}", self.hash),
                "ring_capacity": STREAM_CAPACITY,
            },
            "round_trip_ns": trip(&self.trips),
            "parked_round_trip_ns": trip(&self.parked),
            "cpus": self.plan.cpus,
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "\nThroughput  {:.2} GB/s   {} records/s   (copied in, copied out, every byte compared; {:.2} s)\n",
            self.per_second(self.bytes) / 1e9,
            size::grouped(self.per_second(self.records) as u64),
            self.seconds,
        );
        let _ = write!(text, "\nRound trip of 8 bytes, {} times\n\n  ", size::grouped(self.trips.len()));
        for (name, _) in PERCENTILES {
            let _ = write!(text, "{name:>10}");
        }
        text.push_str("\n  ");
        for (_, percentile) in PERCENTILES {
            let _ = write!(text, "{:>10}", time(self.trips.value_at_percentile(percentile)));
        }
        text.push_str("\n\n");
        self.histogram(&mut text);
        let (p50, p99) = (self.parked.value_at_percentile(50.0), self.parked.value_at_percentile(99.0));
        let _ = writeln!(
            text,
            "\nThe same asleep until woken, {} times: p50 {}, p99 {}",
            size::grouped(self.parked.len()),
            time(p50),
            time(p99),
        );
        let _ = writeln!(
            text,
            "\nAll {} records ({} bytes) arrived in order and intact; both ends hash to {:016x}.",
            size::grouped(self.records),
            size::grouped(self.bytes),
            self.hash,
        );
        text
    }

    /// Rows of equal ratio up to p99.9, and one for what is beyond.
    fn histogram(&self, text: &mut String) {
        let (first, last) = (self.trips.min().max(1) as f64, self.trips.value_at_percentile(99.9).max(2) as f64);
        let ratio = (last / first).max(1.0).powf(1.0 / (ROWS - 1) as f64).max(1.01);
        let mut bounds: Vec<u64> = (1..ROWS as i32).map(|row| (first * ratio.powi(row)).ceil() as u64).collect();
        bounds.dedup();
        let mut counts = vec![0_u64; bounds.len() + 1];
        for step in self.trips.iter_recorded() {
            let row = bounds.partition_point(|bound| *bound < step.value_iterated_to());
            counts[row] += step.count_at_value();
        }
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        for (row, count) in counts.iter().enumerate() {
            let label = match bounds.get(row) {
                Some(bound) => format!("to {}", time(*bound)),
                None => "beyond".to_owned(),
            };
            let bar = (count * WIDTH).div_ceil(most) as usize;
            let _ = writeln!(text, "  {label:>12}  {:<WIDE$}  {}", "█".repeat(bar), size::grouped(*count));
        }
    }
}

const WIDE: usize = WIDTH as usize;

/// Nanoseconds for people, to three digits.
fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}
