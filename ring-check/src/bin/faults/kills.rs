//! A creator that is killed at each of its system calls, before and after: the next one opens or creates the ring at
//! once, and when that one has gone too nothing is left but the ring.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::backing::Backing;
use crate::plant::Plant;
use crate::play::{self, Ended};
use crate::scenes::{self, Scene};
use crate::state;
use crate::victim::Order;

/// How long the next one may take.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Another process may have been given the CPU, or all of us stopped: so often a slow one may have another try.
const TRIES: u32 = 5;

/// Kills a creator at every call of `scene`: how many points there were, and the longest time of a next one.
pub(crate) fn walk(scene: &Scene, plant: Plant) -> Result<(u64, Duration), Failure> {
    let Ended::Whole(plain) = play::run(scene, Plant::None, |_, _| Order::Go)? else {
        return Err("the victim is gone".into());
    };
    let (mut points, mut longest) = (0, Duration::ZERO);
    for k in 0..plain.calls.len() {
        for order in [Order::KillBefore, Order::KillAfter] {
            let mut tries = 1;
            let took = loop {
                let place = |error: Failure| format!("{}: call {k}, {order:?}: {error}", scene.name);
                // How often a file of /proc is read depends on what it says just then: the last calls may not come.
                let Some(took) = one(scene, plant, k, order).map_err(place)? else { break Duration::ZERO };
                if took <= AT_ONCE {
                    break took;
                }
                if tries == TRIES {
                    return Err(place(format!("the next one took {took:?}").into()).into());
                }
                tries += 1;
            };
            points += u64::from(took > Duration::ZERO);
            longest = longest.max(took);
        }
    }
    Ok((points, longest))
}

/// How long the next one took; `None` if the victim has made fewer calls than that.
fn one(scene: &Scene, plant: Plant, k: usize, order: Order) -> Result<Option<Duration>, Failure> {
    if let Ended::Whole(whole) = play::run(scene, plant, |at, _| if at == k { order } else { Order::Go })? {
        return if whole.calls.len() <= k { Ok(None) } else { Err("it lived on".into()) };
    }
    let start = Instant::now();
    scenes::works(scene)?;
    let took = start.elapsed();
    // A memfd has nobody's name: it keeps its ring.
    let (found, kept) = (scene.backing.remove_stale()?, state::directory()?);
    let left: Vec<_> = kept.iter().filter(|line| *line != state::NO_MEMFD_RING).collect();
    let good = match scene.backing {
        Backing::Memfd => matches!(left[..], [one] if one.starts_with("the memfd, inside:")),
        _ => left.is_empty() && found.removed.iter().any(|name| name.to_string() == scene.backing.at()),
    };
    if good { Ok(Some(took)) } else { Err(format!("{left:?} is left, and {found:?} is what was removed").into()) }
}
