//! Awaits over and over, as a task, and gives up most of the time: after a few turns of its runtime, or at a random
//! time. Keeps account of how late it was, as a sleeper does.

use std::cell::Cell;
use std::future::Future as _;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use ring_shm::wait::SLICE;
use ring_shm::{mpmc, spsc};

use super::chance::{Rng, now};
use super::sleeper::{Account, kept_off_cpu, nothing, stamp};
use super::{Failure, Kind, Plant};

/// A handle that is awaited: when the message was sent, or `None` if the sender died.
trait Awaits {
    async fn recv(&mut self) -> Result<Option<u64>, Failure>;
}

impl Awaits for spsc::AsyncConsumer {
    async fn recv(&mut self) -> Result<Option<u64>, Failure> {
        let mut buf = [0; 16];
        match self.recv_into(&mut buf).await {
            Ok(_) => Ok(Some(stamp(&buf))),
            Err(spsc::RecvError::PeerDied) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Awaits for mpmc::AsyncConsumer {
    async fn recv(&mut self) -> Result<Option<u64>, Failure> {
        let mut buf = [0; 16];
        self.recv_into(&mut buf).await?;
        Ok(Some(stamp(&buf)))
    }
}

pub(super) fn run(kind: &str, name: &str, seed: &str, awaits: &str, plant: &str) -> Result<(), Failure> {
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    #[allow(unsafe_code)]
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    let plant = Plant::parse(plant).ok_or("which plant?")?;
    let (rng, awaits) = (Rng(seed.parse()?), awaits.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    match Kind::parse(kind).ok_or("which kind of ring?")? {
        Kind::Spsc => runtime.block_on(go(rng, awaits, plant, spsc::Consumer::open(name)?.into_async())),
        Kind::Mpmc => runtime.block_on(go(rng, awaits, plant, mpmc::Consumer::open(name)?.into_async())),
    }
}

async fn go(mut rng: Rng, awaits: u64, plant: Plant, mut rx: impl Awaits) -> Result<(), Failure> {
    let mut account = Account::default();
    while account.sleeps < awaits {
        let (start, kept_off) = (Instant::now(), kept_off_cpu());
        let pended = Cell::new(false);
        let mut recv = pin!(rx.recv());
        let mut recv = poll_fn(|cx| {
            // A deaf task is woken by its timer only.
            let polled = match plant {
                Plant::Deaf => recv.as_mut().poll(&mut Context::from_waker(Waker::noop())),
                _ => recv.as_mut().poll(cx),
            };
            pended.set(pended.get() | polled.is_pending());
            polled
        });
        let choice = rng.below(4);
        // Mostly less than it takes until a message comes.
        let timeout = match choice {
            0 | 1 => Duration::ZERO,
            2 => Duration::from_micros(rng.below(150)),
            _ => Duration::from_millis(if rng.once_in(16) { rng.below(60) } else { 1000 }),
        };
        let gives_up = async {
            match choice {
                0 | 1 => turns(rng.below(8)).await,
                2 => turns_until(start + timeout).await,
                _ => tokio::time::sleep_until((start + timeout).into()).await,
            }
            if plant == Plant::Late {
                std::thread::sleep(2 * SLICE);
            }
        };
        let received = tokio::select! {
            biased;
            received = &mut recv => Some(received?),
            () = gives_up => {
                let late = start.elapsed().saturating_sub(timeout);
                let late = late.saturating_sub(kept_off_cpu().saturating_sub(kept_off));
                account.late_max_us = account.late_max_us.max(late.as_micros() as u64);
                account.overslept += u64::from(late > SLICE);
                None
            }
        };
        account.sleeps += u64::from(pended.get());
        if let Some(Some(sent)) = received {
            account.received += 1;
            let lay = Duration::from_nanos(now().saturating_sub(sent)).min(start.elapsed());
            account.late_seen += u64::from(pended.get() && lay > SLICE / 2);
        }
    }
    account.say();
    Ok(())
}

/// Lets the runtime go round `count` times.
async fn turns(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// The same until `end`: a runtime's timers are too coarse.
async fn turns_until(end: Instant) {
    while Instant::now() < end {
        tokio::task::yield_now().await;
    }
}
