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

/// Tasks of one process that receives from an MPMC ring.
const TASKS: u64 = 4;

/// One sleep of so many ends by the runtime's timer, at the latest. Counted off, not drawn: a plant that is asleep until its
/// timer comes is then asleep so often for certain.
const BY_TIMER: u64 = 16;

/// For how long what has been read of the scheduler is good enough.
const FRESH: Duration = Duration::from_millis(10);

/// A handle that is awaited: who sent the message and when, or `None` if the sender died. It never spins: what is counted
/// are sleeps.
trait Awaits {
    async fn recv(&mut self) -> Result<Option<(u32, u64)>, Failure>;
}

impl Awaits for spsc::AsyncConsumer {
    async fn recv(&mut self) -> Result<Option<(u32, u64)>, Failure> {
        let mut buf = [0; 16];
        match self.recv_into(&mut buf).await {
            Ok(got) => Ok(Some((got.tag, stamp(&buf)))),
            Err(spsc::RecvError::PeerDied) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Awaits for mpmc::AsyncConsumer {
    async fn recv(&mut self) -> Result<Option<(u32, u64)>, Failure> {
        let mut buf = [0; 16];
        let got = self.recv_into(&mut buf).await?;
        Ok(Some((got.tag, stamp(&buf))))
    }
}

pub(super) fn run(kind: &str, name: &str, seed: &str, awaits: &str, plant: &str) -> Result<(), Failure> {
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    #[allow(unsafe_code)]
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    let plant = Plant::parse(plant).ok_or("which plant?")?;
    let (mut rng, awaits): (_, u64) = (Rng(seed.parse()?), awaits.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut total = Account::default();
    match Kind::parse(kind).ok_or("which kind of ring?")? {
        Kind::Spsc => {
            let mut rx = spsc::Consumer::open(name)?.into_async();
            rx.spin_for(Duration::ZERO);
            total = runtime.block_on(go(rng, awaits, plant, rx))?;
        }
        Kind::Mpmc => tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut tasks = Vec::new();
            for _ in 0..TASKS {
                let mut rx = mpmc::Consumer::open(name)?.into_async();
                rx.spin_for(Duration::ZERO);
                let work = go(Rng(rng.next()), awaits.div_ceil(TASKS), plant, rx);
                tasks.push(tokio::task::spawn_local(async { work.await.map_err(|error| error.to_string()) }));
            }
            for task in tasks {
                total.merge(task.await??);
            }
            Ok::<(), Failure>(())
        })?,
    }
    total.say();
    Ok(())
}

async fn go(mut rng: Rng, awaits: u64, plant: Plant, mut rx: impl Awaits) -> Result<Account, Failure> {
    let mut account = Account::default();
    let (mut read, mut kept_off) = (Instant::now(), kept_off_cpu());
    while account.sleeps < awaits {
        let start = Instant::now();
        if start - read > FRESH {
            (read, kept_off) = (start, kept_off_cpu());
        }
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
        // Mostly less than it takes until a message comes.
        let end = match rng.below(5) {
            _ if account.sleeps % BY_TIMER == BY_TIMER - 1 => {
                End::ByTimer(Duration::from_millis(if rng.once_in(16) { rng.below(60) } else { 250 }))
            }
            0 => End::After(Duration::from_micros(rng.below(150))),
            _ => End::Turns(rng.below(8)),
        };
        let gives_up = async {
            end.comes(start).await;
            if plant == Plant::Late {
                std::thread::sleep(2 * SLICE);
            }
        };
        let received = tokio::select! {
            biased;
            received = &mut recv => Some(received?),
            () = gives_up => None,
        };
        let late = start.elapsed().saturating_sub(end.after());
        // Asking the kernel costs as much as an await: only if it matters.
        let waited = if late > FRESH { kept_off_cpu().saturating_sub(kept_off) } else { Duration::ZERO };
        let late = late.saturating_sub(waited);
        account.late_max_us = account.late_max_us.max(late.as_micros() as u64);
        account.overslept += u64::from(late > SLICE);
        account.sleeps += u64::from(pended.get());
        if let Some(Some((sender, sent))) = received {
            account.received += 1;
            if pended.get() {
                account.note(sender, sent, Duration::from_nanos(now().saturating_sub(sent)).min(start.elapsed()));
            }
        }
    }
    Ok(account)
}

/// When an await is given up.
#[derive(Clone, Copy)]
enum End {
    /// After so many turns of the runtime.
    Turns(u64),
    /// After that time, by turns of the runtime: its timers are too coarse.
    After(Duration),
    /// After that time, asleep.
    ByTimer(Duration),
}

impl End {
    fn after(self) -> Duration {
        match self {
            Self::Turns(_) => Duration::ZERO,
            Self::After(time) | Self::ByTimer(time) => time,
        }
    }

    async fn comes(self, start: Instant) {
        match self {
            Self::Turns(count) => {
                for _ in 0..count {
                    tokio::task::yield_now().await;
                }
            }
            Self::After(time) => {
                while start.elapsed() < time {
                    tokio::task::yield_now().await;
                }
            }
            Self::ByTimer(time) => tokio::time::sleep_until((start + time).into()).await,
        }
    }
}
