//! The round trips of a demo: a message of 8 bytes there and back through two rings, again and again, each one timed
//! and its contents checked. First both sides spin for the answer; then, a few times, both sleep until they are woken.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ring_shm::spsc::{Consumer, Producer, RecvError, SendError};
use ring_shm::wait::Park;
use serde_json::{Value, json};

use crate::exit::{Code, Failure};
use crate::signals::{REGULARLY, Signals};

/// What a round trip may take on average, spinning and parked; where they are slower, fewer are measured.
const LIMITS: [Duration; 2] = [Duration::from_micros(20), Duration::from_micros(200)];

/// Round trips before the first that counts, one for so many that count.
const WARM_UP: u64 = 10;

/// Spinning round trips for each parked one.
const PARKED: u64 = 50;

/// The tag of a message after which its receiver sleeps for the next one, without spinning.
const PARK: u32 = u32::MAX;

/// Round trips between two looks at the signals.
const ROUNDS_PER_CHECK: u64 = 1 << 10;

/// Sends back what comes, until the other side closes.
pub(super) fn answer(mut ping: Consumer, mut pong: Producer, signals: &Signals) -> Result<(), Failure> {
    let mut message = [0; 8];
    loop {
        match ping.recv_into_timeout(&mut message, REGULARLY) {
            Ok(received) => {
                if received.tag == PARK {
                    ping.set_wait_strategy(Park::after(Duration::ZERO));
                }
                send(&mut pong, received.tag, message, signals)?;
                if received.tag % ROUNDS_PER_CHECK as u32 == 0 {
                    signals.check()?;
                }
            }
            Err(RecvError::Timeout | RecvError::Cancelled) => signals.check()?,
            Err(RecvError::Disconnected) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Measures up to `rounds` round trips, and fewer parked ones. The answer has `values` and `parked`: pairs of nanoseconds
/// and how often.
pub(super) fn measure(
    mut ping: Producer,
    mut pong: Consumer,
    rounds: u64,
    signals: &Signals,
) -> Result<Value, Failure> {
    let [spinning, parked] = LIMITS;
    let values = series(&mut ping, &mut pong, rounds, spinning, signals)?;
    send(&mut ping, PARK, [0; 8], signals)?;
    receive(&mut pong, signals)?;
    pong.set_wait_strategy(Park::after(Duration::ZERO));
    let parked = series(&mut ping, &mut pong, rounds / PARKED, parked, signals)?;
    ping.close();
    Ok(json!({ "values": values, "parked": parked }))
}

fn series(
    ping: &mut Producer,
    pong: &mut Consumer,
    rounds: u64,
    limit: Duration,
    signals: &Signals,
) -> Result<Vec<(u64, u64)>, Failure> {
    let broken = |e: hdrhistogram::CreationError| Failure::new(Code::Other, format!("histogram: {e}"));
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(broken)?;
    let end = Instant::now() + limit.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
    let warm_up = rounds / WARM_UP;
    for round in 0..rounds + warm_up {
        let start = Instant::now();
        if start > end && !times.is_empty() {
            break;
        }
        send(ping, round as u32, round.to_le_bytes(), signals)?;
        let back = receive(pong, signals)?;
        let time = start.elapsed();
        if back != (round as u32, round.to_le_bytes()) {
            return Err(Failure::new(Code::Other, format!("round trip {round} came back as {back:?}")));
        }
        if round >= warm_up || start > end {
            times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
        if round % ROUNDS_PER_CHECK == 0 {
            signals.check()?;
        }
    }
    Ok(times.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect())
}

fn send(tx: &mut Producer, tag: u32, message: [u8; 8], signals: &Signals) -> Result<(), Failure> {
    loop {
        match tx.send_timeout(tag, &message, REGULARLY) {
            Ok(_) => return Ok(()),
            Err(SendError::Timeout | SendError::Cancelled) => signals.check()?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn receive(rx: &mut Consumer, signals: &Signals) -> Result<(u32, [u8; 8]), Failure> {
    let mut message = [0; 8];
    loop {
        match rx.recv_into_timeout(&mut message, REGULARLY) {
            Ok(received) => return Ok((received.tag, message)),
            Err(RecvError::Timeout | RecvError::Cancelled) => signals.check()?,
            Err(error) => return Err(error.into()),
        }
    }
}
