//! What creating and opening a ring costs: by how many rings there are already, and by the size of the ring; and the least
//! that the kernel makes of the same (see `setup`).
//!
//! One process, one CPU, wall-clock time of single calls; the handle is dropped outside of it. All points are gone
//! through several times over, so that a CPU that is moved meanwhile is moved for all of them.

use crate::curves::{Extent, Point};
use crate::run::Plan;
use crate::setup::{self, Kind, Names, Ours, Raw};
use crate::stats::Quartiles;
use crate::sys;

/// The curves of this file.
pub(crate) const NAMES: [&str; 2] = [RINGS.0, BYTES.0];
pub(crate) const RINGS: (&str, &str, &str) = ("rings", "rings in the system", "microseconds");
pub(crate) const BYTES: (&str, &str, &str) = ("bytes", "bytes of capacity", "microseconds");
/// Times that each call is measured.
const CALLS: usize = 30;
/// How often all numbers of rings are gone through, and the calls of each time.
const LAPS: usize = 6;
/// No more than so much memory is given out and taken back for one point.
const VOLUME: usize = 8 << 30;

/// The times of both calls for one point, in microseconds.
#[derive(Clone, Default)]
struct Times([Vec<f64>; 2]);

impl Times {
    fn measure<K: Kind>(&mut self, bytes: usize) -> Result<(), String> {
        for (times, nanos) in self.0.iter_mut().zip(setup::call::<K>(bytes)?) {
            times.push(nanos as f64 / 1e3);
        }
        Ok(())
    }

    fn points(self, names: [&str; 2], curve: &'static str, x: u64) -> impl Iterator<Item = Point> {
        let names = names.map(str::to_owned);
        names.into_iter().zip(self.0).filter_map(move |(name, times)| {
            Quartiles::of(times).map(|figure| Point { curve, name, x, class: None, figure })
        })
    }
}

const OURS: [&str; 2] = ["create", "open"];
const BARE: [&str; 2] = ["bare create", "bare open"];

fn by_rings(extent: Extent) -> Result<Vec<Point>, String> {
    let counts = [1, 10, 100, 500, 1_000, 2_000, 5_000].into_iter().filter(|count| *count as u64 <= extent.rings);
    let mut all: Vec<(usize, Times, Times)> = counts.map(|x| (x, Times::default(), Times::default())).collect();
    'laps: for _ in 0..LAPS {
        let mut others = Names::<Ours>::new();
        for (count, ours, bare) in &mut all {
            // The ring that is measured is one of them.
            others.fill(*count - 1)?;
            for _ in 0..CALLS / LAPS {
                if sys::interrupted() {
                    break 'laps;
                }
                ours.measure::<Ours>(setup::BYTES)?;
                bare.measure::<Raw>(setup::BYTES)?;
            }
        }
    }
    Ok(points(all, RINGS.0))
}

fn by_bytes(extent: Extent) -> Result<Vec<Point>, String> {
    let sizes = (12..=30).step_by(2).map(|power| 1usize << power).filter(|size| *size as u64 <= extent.largest);
    let mut all: Vec<(usize, Times, Times)> = sizes.map(|x| (x, Times::default(), Times::default())).collect();
    'calls: for call in 0..CALLS {
        for (size, ours, bare) in &mut all {
            if sys::interrupted() {
                break 'calls;
            }
            if call < CALLS.min(VOLUME / *size).max(3) {
                ours.measure::<Ours>(*size)?;
                bare.measure::<Raw>(*size)?;
            }
        }
    }
    Ok(points(all, BYTES.0))
}

fn points(all: Vec<(usize, Times, Times)>, curve: &'static str) -> Vec<Point> {
    all.into_iter()
        .flat_map(|(x, ours, bare)| ours.points(OURS, curve, x as u64).chain(bare.points(BARE, curve, x as u64)))
        .collect()
}

/// The curves of this file that `plan` wants, as far as they were measured when the user asked to stop.
pub(crate) fn measure(plan: &Plan, extent: Extent) -> Result<Vec<Point>, String> {
    sys::watch_signals()?;
    let mut points = Vec::new();
    if plan.wants(RINGS.0) {
        points.extend(by_rings(extent)?);
    }
    if plan.wants(BYTES.0) {
        points.extend(by_bytes(extent)?);
    }
    Ok(points)
}
