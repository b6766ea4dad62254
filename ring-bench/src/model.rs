//! The cost model: what follows past two cores from what `costs` has measured on two. Nothing here is measured.
//!
//! A line is in one cache at a time, and takes one hand-over to get from there to another. Whoever claims by a
//! compare-and-swap has to have the line of the position; so all claims of one word follow each other at a hand-over each
//! at best, and, when all try at once without ever waiting, after a round of vain tries of all others. Lanes have a word
//! each, batches claim several with one.

use crate::costs::{ADD_CONTENDED, CAS_ALONE, CAS_CONTENDED, Cost, TRANSFER};
use crate::probe::Class;
use crate::run::{CLASSES, Report};
use crate::{record, results};
use std::fmt::Write as _;
use std::path::Path;

/// The cores for which claims are computed.
const CORES: [u32; 6] = [2, 4, 8, 16, 32, 64];
/// How much longer a hand-over between sockets takes than within one, where it was not measured: an assumption.
const FARTHER: f64 = 3.0;

/// What one word, or several, can give to `cores` that all claim, in millions a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claims {
    /// One word, and whoever fails waits until it pays to try again.
    pub patient: f64,
    /// One word, and everybody tries without a pause: each success is followed by a vain try of every other.
    pub eager: f64,
    /// One word, half of the cores on another socket.
    pub sockets: f64,
    /// Four lanes.
    pub four_lanes: f64,
    /// A lane for each core: claims meet nobody.
    pub own_lanes: f64,
    /// One word, 16 records a claim.
    pub batches: f64,
}

/// The bounds for `cores`, from a hand-over and an uncontended compare-and-swap in nanoseconds; `far` is a hand-over
/// between sockets.
#[must_use]
pub fn claims(cores: u32, transfer: f64, far: f64, alone: f64) -> Claims {
    let rate = |nanos: f64| 1e3 / nanos;
    let cores = f64::from(cores);
    // A lane that one core has to itself costs it no hand-over; more lanes than cores help nobody.
    let lanes = |count: f64| if count >= cores { cores * rate(alone) } else { count * rate(transfer) };
    Claims {
        patient: rate(transfer),
        eager: rate(transfer * cores),
        // Of two halves, every other claim comes from the other side.
        sockets: rate(f64::midpoint(transfer, far)),
        four_lanes: lanes(4.0),
        own_lanes: lanes(cores),
        batches: 16.0 * rate(transfer),
    }
}

fn of<'a>(costs: &'a [Cost], name: &str, class: Class) -> Option<&'a Cost> {
    costs.iter().find(|cost| cost.name == name && cost.class == class)
}

/// What was measured, and what is computed from it, apart.
#[must_use]
pub fn table(costs: &[Cost], report: &Report) -> String {
    let mut text = String::from("MEASURED: nanoseconds an operation; of both processes together where contended\n");
    let _ =
        writeln!(text, "{:<28} {:>5} {:>9} {:>9} {:>9} {:>7}", "operation", "class", "median", "p25", "p75", "slices");
    for class in CLASSES {
        for cost in costs.iter().filter(|cost| cost.class == class) {
            let q = cost.nanos;
            let _ = writeln!(
                text,
                "{:<28} {class:>5} {:>9.2} {:>9.2} {:>9.2} {:>7}",
                cost.name, q.p50, q.p25, q.p75, q.count
            );
        }
    }
    let _ = writeln!(text, "\n{}", report.tally());
    for class in CLASSES {
        if let (Some(transfer), Some(alone)) = (of(costs, TRANSFER, class), of(costs, CAS_ALONE, class)) {
            computed(&mut text, costs, class, transfer.nanos.p50, alone.nanos.p50);
        }
    }
    text
}

fn computed(text: &mut String, costs: &[Cost], class: Class, transfer: f64, alone: f64) {
    // The farthest that was measured stands for another socket, if it is farther than this.
    let farther = of(costs, TRANSFER, Class::X).filter(|_| class != Class::X).map(|cost| cost.nanos.p50);
    let far = farther.filter(|far| *far > transfer).unwrap_or(FARTHER * transfer);
    let why = if farther == Some(far) { "measured, class X" } else { "assumed: three times as long" };
    let _ = writeln!(
        text,
        "\nCOMPUTED, class {class}: millions of claims a second that all cores together can get, from a hand-over of \
         {transfer:.1} ns and a\ncompare-and-swap of {alone:.1} ns alone; a hand-over between sockets {far:.1} ns ({why})"
    );
    let _ = writeln!(
        text,
        "{:>5} {:>10} {:>10} {:>12} {:>9} {:>13} {:>15}",
        "cores", "one word", "no pause", "two sockets", "4 lanes", "lane a core", "batches of 16"
    );
    for cores in CORES {
        let c = claims(cores, transfer, far, alone);
        let _ = writeln!(
            text,
            "{cores:>5} {:>10.1} {:>10.1} {:>12.1} {:>9.1} {:>13.1} {:>15.1}",
            c.patient, c.eager, c.sockets, c.four_lanes, c.own_lanes, c.batches
        );
    }
    for (name, what) in [(CAS_CONTENDED, "compare-and-swaps"), (ADD_CONTENDED, "additions")] {
        if let Some(cost) = of(costs, name, class) {
            let (measured, two) = (1e3 / cost.nanos.p50, claims(2, transfer, far, alone));
            let _ = writeln!(
                text,
                "Held against what was measured on two: {measured:.1} M/s of {what}; one word says {:.1}, no pause {:.1}.",
                two.patient, two.eager
            );
        }
    }
}

/// Writes `costs.md` and `costs.csv` to `folder`, in place of those of the run before.
///
/// # Errors
/// In words for people.
pub fn record(folder: &Path, costs: &[Cost], table: &str) -> Result<(), String> {
    let mut csv = String::from("operation,class,median_ns,p25,p75,slices\n");
    for cost in costs {
        let q = cost.nanos;
        let _ = writeln!(csv, "{},{},{},{},{},{}", cost.name, cost.class, q.p50, q.p25, q.p75, q.count);
    }
    let head = "# What atomic operations cost, and what follows from it\n\nWritten by `costs --record docs/results`; how \
                to read it: `docs/benchmarks.md`, \"Past two cores\".\n\n";
    results::keep(folder, "costs", &csv, &format!("{head}{}", record::section(table))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let four = claims(4, 50.0, 150.0, 5.0);
        assert_eq!((four.patient, four.eager, four.sockets), (20.0, 5.0, 10.0));
        assert_eq!((four.four_lanes, four.own_lanes, four.batches), (800.0, 800.0, 320.0));
        // With more cores than lanes the words are wanted by several again.
        let eight = claims(8, 50.0, 150.0, 5.0);
        assert_eq!((eight.four_lanes, eight.own_lanes), (80.0, 1600.0));
    }
}
