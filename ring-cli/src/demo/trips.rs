//! The round trips of a demo: a message of 8 bytes there and back through two rings, again and again, each one timed
//! and its contents checked.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ring_shm::spsc::{Consumer, Producer, TryRecvError, TrySendError};
use serde_json::{Value, json};

use crate::exit::{Code, Failure};
use crate::wait::Waiter;

/// What a round trip may take on average; where they are slower, fewer are measured.
const LIMIT: Duration = Duration::from_micros(20);

/// Round trips before the first that counts, one for so many that count.
const WARM_UP: u64 = 10;

/// Round trips between two looks at the signals.
const ROUNDS_PER_CHECK: u64 = 1 << 10;

/// Sends back what comes, until the other side closes.
pub(super) fn answer(mut ping: Consumer, mut pong: Producer, mut waiter: Waiter<'_>) -> Result<(), Failure> {
    let mut message = [0; 8];
    loop {
        match ping.try_recv_into(&mut message) {
            Ok(received) => {
                send(&mut pong, received.tag, message, &mut waiter)?;
                waiter.reset();
                if received.tag % ROUNDS_PER_CHECK as u32 == 0 {
                    waiter.check()?;
                }
            }
            Err(TryRecvError::Empty) => waiter.wait()?,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Measures up to `rounds` round trips. The answer has `values`, pairs of nanoseconds and how often.
pub(super) fn measure(
    mut ping: Producer,
    mut pong: Consumer,
    rounds: u64,
    mut waiter: Waiter<'_>,
) -> Result<Value, Failure> {
    let broken = |e: hdrhistogram::CreationError| Failure::new(Code::Other, format!("histogram: {e}"));
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(broken)?;
    let end = Instant::now() + LIMIT.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
    let warm_up = rounds / WARM_UP;
    for round in 0..rounds + warm_up {
        let start = Instant::now();
        if start > end && !times.is_empty() {
            break;
        }
        send(&mut ping, round as u32, round.to_le_bytes(), &mut waiter)?;
        let back = receive(&mut pong, &mut waiter)?;
        let time = start.elapsed();
        if back != (round as u32, round.to_le_bytes()) {
            return Err(Failure::new(Code::Other, format!("round trip {round} came back as {back:?}")));
        }
        waiter.reset();
        if round >= warm_up || start > end {
            times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
        if round % ROUNDS_PER_CHECK == 0 {
            waiter.check()?;
        }
    }
    ping.close();
    let values: Vec<_> = times.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
    Ok(json!({ "values": values }))
}

fn send(tx: &mut Producer, tag: u32, message: [u8; 8], waiter: &mut Waiter<'_>) -> Result<(), Failure> {
    loop {
        match tx.try_send(tag, &message) {
            Ok(_) => return Ok(()),
            Err(TrySendError::Full) => waiter.wait()?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn receive(rx: &mut Consumer, waiter: &mut Waiter<'_>) -> Result<(u32, [u8; 8]), Failure> {
    let mut message = [0; 8];
    loop {
        match rx.try_recv_into(&mut message) {
            Ok(received) => return Ok((received.tag, message)),
            Err(TryRecvError::Empty) => waiter.wait()?,
            Err(error) => return Err(error.into()),
        }
    }
}
