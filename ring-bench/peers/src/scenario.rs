//! What is compared and what has to be reached: the scenarios, which candidate of ours stands in each, and the targets.

use ring_bench::kit::{Candidate, Place, Row};

/// A rival's candidate in its scenario.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) scenario: Scenario,
    pub(crate) rival: &'static str,
    pub(crate) candidate: Candidate,
}

/// In the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    Trip8,
    Trip64,
    Trip256,
    OneWay8,
    /// Through a ring so small that a slow rival goes round it in a slice.
    OneWay8Small,
    Batch8,
    Batch64,
    Payload1k,
    Payload64k,
    Payload1m,
    MpmcTrip8,
    Mpmc1p1c,
    Mpmc2p2c,
}

fn forever(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Scenario {
    /// How candidates are called.
    fn suffix(self) -> &'static str {
        match self {
            Self::Trip8 => "rtt-8",
            Self::Trip64 => "rtt-64",
            Self::Trip256 => "rtt-256",
            Self::OneWay8 => "oneway-8",
            Self::OneWay8Small => "oneway-8-small",
            Self::Batch8 => "oneway-8-batch",
            Self::Batch64 => "oneway-64-batch",
            Self::Payload1k => "payload-1k",
            Self::Payload64k => "payload-64k",
            Self::Payload1m => "payload-1m",
            Self::MpmcTrip8 => "mpmc-rtt-8",
            Self::Mpmc1p1c => "1p1c",
            Self::Mpmc2p2c => "2p2c",
        }
    }

    /// The rival's candidate in this scenario.
    pub(crate) fn candidate(self, rival: &str) -> &'static str {
        forever(format!("{rival}-{}", self.suffix()))
    }

    /// Our candidate beside a rival: the handles that copy where the rival copies payloads.
    pub(crate) fn ours(self, rival: &str) -> &'static str {
        let copies = rival == "boost-mq" || rival == "pipe" || rival == "unix";
        let payload = matches!(self, Self::Payload1k | Self::Payload64k | Self::Payload1m);
        forever(format!("ours-{}{}", self.suffix(), if payload && copies { "-copied" } else { "" }))
    }

    /// What no ring like ours goes below: one crossing each way, or the least code that keeps our format.
    fn floor(self) -> Option<&'static str> {
        match self {
            Self::Trip8 => Some("line"),
            Self::Trip64 => Some("format-rtt-64"),
            Self::Trip256 => Some("format-rtt-256"),
            _ => None,
        }
    }

    /// The comparisons of ours with a rival; of batches also with one record a batch. Beside the quickest rival between
    /// processes the floor has to reach what ours has to: where it does not, no ring in this format would.
    pub(crate) fn rows(self, entry: &Entry) -> Vec<Row> {
        let family = match self {
            Self::Payload1k | Self::Payload64k | Self::Payload1m | Self::MpmcTrip8 => "",
            Self::Mpmc1p1c | Self::Mpmc2p2c => "mpmc-",
            _ => "spsc-",
        };
        let name = forever(format!("{family}{}-vs-{}", self.suffix(), entry.rival));
        let ours = self.ours(entry.rival);
        let mut rows = vec![self.row(name, ours, entry)];
        if matches!(self, Self::Batch8 | Self::Batch64) {
            let slices = |name: &str| forever(name.replace("-batch", "-slices"));
            rows.push(self.row(slices(name), slices(ours), entry));
        }
        if let (Some(floor), "shaq") = (self.floor(), entry.rival) {
            rows.push(self.row(forever(format!("floor-{}-vs-shaq", self.suffix())), floor, entry));
        }
        rows
    }

    /// One comparison. A rival between processes has to be left behind by as much as our targets say; one between threads
    /// of a process, which has less to do, must not be ahead.
    fn row(self, name: &'static str, ours: &'static str, entry: &Entry) -> Row {
        let base = entry.candidate.name;
        let apart = entry.candidate.place == Place::Processes;
        let trip = |target| Row::lower(name, ours, base, if apart { target } else { 1.0 });
        let rate = |target| Row::higher(name, ours, base, if apart { target } else { 1.0 });
        match self {
            Self::Trip8 => trip(0.8),
            Self::Trip64 | Self::Trip256 => trip(1.0 / 1.1),
            Self::OneWay8 | Self::OneWay8Small => rate(3.0),
            Self::Batch8 | Self::Batch64 => rate(1.1),
            // Where both work in place the memory decides, as beside the hand-written ring.
            Self::Payload1k | Self::Payload64k | Self::Payload1m => Row::higher(name, ours, base, 0.95),
            Self::MpmcTrip8 => trip(0.6),
            Self::Mpmc1p1c | Self::Mpmc2p2c => rate(1.0),
        }
    }
}
