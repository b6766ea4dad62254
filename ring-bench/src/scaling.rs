//! What creating and opening a ring costs: by how many rings there are already, and by the size of the ring.
//!
//! One process, one CPU, wall-clock time of single calls; the handle is dropped outside of it.

use crate::curves::{Extent, Point};
use crate::ours::{self, fresh_name};
use crate::stats::Quartiles;
use crate::sys;
use ring_shm::spsc::{Consumer, Producer};

/// The curves of this file.
pub(crate) const NAMES: [&str; 2] = [RINGS.0, BYTES.0];
pub(crate) const RINGS: (&str, &str, &str) = ("rings", "rings in the system", "microseconds");
pub(crate) const BYTES: (&str, &str, &str) = ("bytes", "bytes of capacity", "microseconds");
/// Bytes of the ring that is created while there are more and more others.
const PROBE: usize = 1 << 20;
/// Times that each call is measured.
const CALLS: usize = 30;
/// No more than so much memory is given out and taken back for one point.
const VOLUME: usize = 8 << 30;

/// Takes names away again, whatever happens.
#[derive(Debug, Default)]
struct Names(Vec<String>);

impl Names {
    fn add(&mut self, bytes: usize) -> Result<(), String> {
        let name = fresh_name();
        self.0.push(name.clone());
        Producer::create(&name, &ours::options(bytes)).map(drop).map_err(|why| why.to_string())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.0.iter().for_each(|name| drop(ring_shm::unlink(name, true)));
    }
}

/// Both calls' times in microseconds for rings of `bytes`.
fn calls(bytes: usize) -> Result<[Quartiles; 2], String> {
    let (mut created, mut opened) = (Vec::new(), Vec::new());
    for _ in 0..CALLS.min(VOLUME / bytes).max(3) {
        let name = fresh_name();
        let names = Names(vec![name.clone()]);
        let begin = sys::now();
        let tx = Producer::create(&name, &ours::options(bytes)).map_err(|why| why.to_string())?;
        let between = sys::now();
        let rx = Consumer::open(&name).map_err(|why| why.to_string())?;
        let end = sys::now();
        created.push((between - begin) as f64 / 1e3);
        opened.push((end - between) as f64 / 1e3);
        drop((tx, rx, names));
        if sys::interrupted() {
            return Err("interrupted".into());
        }
    }
    match (Quartiles::of(created), Quartiles::of(opened)) {
        (Some(created), Some(opened)) => Ok([created, opened]),
        _ => Err("nothing was measured".into()),
    }
}

fn add(points: &mut Vec<Point>, curve: &'static str, x: u64, bytes: usize) -> Result<(), String> {
    for (name, figure) in ["create", "open"].into_iter().zip(calls(bytes)?) {
        points.push(Point { curve, name: name.into(), x, class: None, figure });
    }
    Ok(())
}

/// The curves whose name contains `part`.
pub(crate) fn measure(part: &str, extent: Extent) -> Result<Vec<Point>, String> {
    sys::watch_signals()?;
    let mut points = Vec::new();
    if RINGS.0.contains(part) {
        let mut others = Names::default();
        for count in [1u64, 10, 100, 500, 1_000, 2_000, 5_000].into_iter().filter(|count| *count <= extent.rings) {
            // The ring that is measured is one of them.
            while (others.0.len() as u64) + 1 < count {
                others.add(4 << 10)?;
            }
            add(&mut points, RINGS.0, count, PROBE)?;
        }
    }
    if BYTES.0.contains(part) {
        for power in (12..=30).step_by(2).filter(|power| 1 << power <= extent.largest) {
            add(&mut points, BYTES.0, 1 << power, 1 << power)?;
        }
    }
    Ok(points)
}
