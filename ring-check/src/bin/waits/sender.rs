//! Sends the time of day at random moments, with its number for a tag, until it is killed.

use std::thread;
use std::time::Duration;

use ring_shm::{SetupErrorKind, mpmc, spsc};

use super::chance::{Rng, now};
use super::{Failure, Kind};

/// How long the ring may be full: its receivers are gone then.
const PATIENCE: Duration = Duration::from_secs(10);

/// From so many microseconds on a send is told of.
const SLOW_US: u64 = 5000;

pub(super) fn run(kind: &str, name: &str, seed: &str, id: &str) -> Result<(), Failure> {
    let (mut rng, id) = (Rng(seed.parse()?), id.parse()?);
    match Kind::parse(kind).ok_or("which kind of ring?")? {
        Kind::Spsc => {
            let mut tx = insist(|| spsc::Producer::open(name))?;
            go(&mut rng, |now| {
                tx.send_timeout(id, &now.to_le_bytes(), PATIENCE).map(drop).or_else(|e| match e {
                    // The receivers have had enough, and the campaign is about to end.
                    spsc::SendError::Disconnected | spsc::SendError::PeerDied | spsc::SendError::Timeout => Ok(()),
                    e => Err(e.into()),
                })
            })
        }
        Kind::Mpmc => {
            let mut tx = insist(|| mpmc::Producer::open(name))?;
            go(&mut rng, |now| {
                tx.send_timeout(id, &now.to_le_bytes(), PATIENCE).map(drop).or_else(|e| match e {
                    mpmc::SendError::Timeout { .. } => Ok(()),
                    e => Err(e.into()),
                })
            })
        }
    }
}

/// The one before may not have quite finished dying.
fn insist<H>(mut open: impl FnMut() -> Result<H, ring_shm::SetupError>) -> Result<H, Failure> {
    for _ in 0..1000 {
        match open() {
            Err(error) if error.kind() == SetupErrorKind::InUse => thread::sleep(Duration::from_millis(1)),
            other => return Ok(other?),
        }
    }
    Ok(open()?)
}

fn go(rng: &mut Rng, mut send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
    loop {
        for _ in 0..rng.below(4) {
            let start = now();
            send(start)?;
            let took = now().saturating_sub(start) / 1000;
            if took > SLOW_US {
                // Once in a while: it had no CPU, perhaps between the message and the wake-up.
                println!("{start} {took}");
            }
        }
        thread::sleep(Duration::from_micros(rng.below(400)));
    }
}
