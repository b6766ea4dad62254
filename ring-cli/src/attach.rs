//! Taking a seat: at once, or when the segment has appeared.

use std::time::Instant;

use ring_shm::{Location, SetupError, SetupErrorKind};

use crate::args::Waiting;
use crate::exit::{Code, Failure};
use crate::signals::Signals;

/// Runs `open`, and runs it again while there is no such segment, as long as `--wait` allows. A taken seat is no
/// reason to wait.
///
/// # Errors
/// What `open` says; [`Code::Timeout`] when the time is over; a signal.
pub(crate) fn when_there<'n, H>(
    name: &'n Location,
    waiting: &Waiting,
    signals: &Signals,
    mut open: impl FnMut(&'n Location) -> Result<H, SetupError>,
) -> Result<H, Failure> {
    let start = Instant::now();
    loop {
        let error = match open(name) {
            Ok(handle) => return Ok(handle),
            Err(error) => error,
        };
        let Some(limit) = waiting.wait.filter(|_| error.kind() == SetupErrorKind::NotFound) else {
            return Err(error.into());
        };
        signals.check()?;
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            let seconds = limit.as_secs_f64();
            return Err(Failure::new(
                Code::Timeout,
                format!(
                    "no segment {name} after {seconds} seconds: create it (`ringctl create {name}`), or wait longer"
                ),
            ));
        }
        signals.pause(left)?;
    }
}
