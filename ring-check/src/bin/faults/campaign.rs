//! Every system call of every operation, refused with everything it may plausibly say: the operation returns an error
//! with a cure, or does what it was asked for; then and after, the victim has no descriptor and no mapping, and the
//! directory no name, lease, seat or entry, beyond what belongs there; and the next try works.

use crate::plant::Plant;
use crate::play::{self, Ended, Run};
use crate::scenes::{self, Scene};
use crate::state::{self, difference, surplus};
use crate::victim::{Call, Order};
use crate::{Failure, calls};

/// What the refusals of one scene came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// System calls of the operation and of the drop of its result.
    pub(crate) calls: usize,
    /// Refusals tried.
    pub(crate) refusals: u64,
    /// Those that the operation did not let stop it.
    pub(crate) ridden_out: u64,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

fn whole(ended: Ended) -> Result<Box<Run>, Failure> {
    match ended {
        Ended::Whole(run) => Ok(run),
        Ended::Killed => Err("the victim is gone".into()),
    }
}

/// Walks through one scene: with each errno of each call, or with two of them, others for the next call of that name.
pub(crate) fn walk(scene: &Scene, plant: Plant, all: bool) -> Result<Tally, Failure> {
    let plain = whole(play::run(scene, Plant::None, |_, _| Order::Go)?)?;
    let Run { before, dropped, .. } = &*plain;
    for (before, after) in [(&before.descriptors, &dropped.descriptors), (&before.maps, &dropped.maps)] {
        if let Some(more) = surplus(before, after).first() {
            return Err(format!("{}: undisturbed, it leaks {more}", scene.name).into());
        }
    }
    let mut tally = Tally { calls: plain.calls.len(), ..Tally::default() };
    for (k, call) in plain.calls.iter().copied().enumerate() {
        let faults = calls::of(&call).ok_or_else(|| format!("no faults are known of system call {}", call.number))?;
        for order in faults.orders(k, if all { usize::MAX } else { 2 }) {
            tally.refusals += 1;
            let place = |what: &str| format!("{}: call {k}, {} {order:?}: {what}", scene.name, faults.name);
            match one(scene, plant, &plain, k, call, order) {
                Ok(true) => tally.ridden_out += 1,
                Ok(false) => {}
                Err(error) => tally.failures.push(place(&error.to_string())),
            }
            if plant != Plant::None && !tally.failures.is_empty() {
                return Ok(tally);
            }
        }
    }
    Ok(tally)
}

/// One refusal; true if the operation went on as if nothing had happened.
fn one(scene: &Scene, plant: Plant, plain: &Run, k: usize, call: Call, order: Order) -> Result<bool, Failure> {
    let mut strayed = false;
    let run = whole(play::run(scene, plant, |at, found| {
        strayed |= at == k && found.number != call.number;
        if at == k { order } else { Order::Go }
    })?)?;
    if strayed {
        return Err("the victim made other calls than the first one".into());
    }
    let ridden_out = run.said.is_ok() == plain.said.is_ok();
    if let Err(error) = &run.said {
        if !error.contains(": ") && !error.contains("; ") {
            return Err(format!("an error without a cure: {error}").into());
        }
    }
    let like = |what: &str, before: &[String], after: &[String]| -> Result<(), Failure> {
        let [before, after] = [before, after].map(without_sealed);
        let difference = difference(&before, &after);
        if difference.is_empty() {
            Ok(())
        } else {
            Err(format!("{what}{difference}\n    it had said {:?}", run.said).into())
        }
    };
    // Of a System V ring the segment goes first: its side file alone is no ring, and the next try takes it away.
    let half = scene.name.contains(" sysv remove") && !run.names_after.iter().any(|line| line.contains("inside"));
    let told_gone = half && order == Order::Refuse(nix::libc::ENOENT);
    if ridden_out {
        if run.shared != plain.shared {
            return Err(format!("it said {:?}, and its peer did not take part in a ring", run.said).into());
        }
        // Who is told that a side file is gone leaves it, and is right.
        if !told_gone {
            like("names", &plain.names_after, &run.names_after)?;
            like("names in the end", &plain.names_dropped, &run.names_dropped)?;
        }
        like("descriptors in the end", &plain.dropped.descriptors, &run.dropped.descriptors)?;
        like("mappings in the end", &plain.dropped.maps, &run.dropped.maps)?;
    } else {
        like("descriptors", &run.before.descriptors, &run.after.descriptors)?;
        like("mappings", &run.before.maps, &run.after.maps)?;
        if !half {
            like("names", &run.names_before, &run.names_after)?;
        }
        like("names in the end", &run.names_after, &run.names_dropped)?;
    }
    let expected = if ridden_out { &plain.again } else { &plain.said };
    if run.again.is_ok() != expected.is_ok() && !told_gone {
        return Err(format!("the next try said {:?}, not {expected:?}", run.again).into());
    }
    scenes::works(scene).map_err(|error| format!("afterwards: {error}"))?;
    Ok(ridden_out)
}

/// A memfd that is sealed keeps the ring that somebody has made in it, and then could not sit in: as good as none.
fn without_sealed(lines: &[String]) -> Vec<String> {
    let nobody = [state::NO_MEMFD_RING, "the memfd, inside: free free", "the memfd, inside:"];
    let word = |line: &String| if nobody.contains(&line.as_str()) { "the memfd".into() } else { line.clone() };
    lines.iter().map(word).collect()
}
