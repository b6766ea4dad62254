//! Awaits over and over, as a task, and gives up most of the time: after a few turns of its runtime, or at a random
//! time. Keeps account of how late it was, as a sleeper does.

use std::cell::Cell;
use std::fs;
use std::future::Future as _;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use ring_shm::wait::{Chime, SLICE};
use ring_shm::{mpmc, spsc};

use super::chance::{Rng, now};
use super::sleeper::{Account, Wait, run_delay, stamp};
use super::tally::Share;
use super::{Failure, Kind, Plant, signals};

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

pub(super) fn run(kind: &str, name: &str, seed: &str, share: Share, plant: &str) -> Result<(), Failure> {
    signals::catch()?;
    let plant = Plant::parse(plant).ok_or("which plant?")?;
    let (mut rng, crew) = (Rng(seed.parse()?), Rc::new(Crew::new(share)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Every other process is woken by the reactor of its runtime, the rest by its waiter.
    if rng.once_in(2) {
        runtime.spawn(Chime::new()?.serve_in_tokio());
    }
    let mut total = Account::default();
    match Kind::parse(kind).ok_or("which kind of ring?")? {
        Kind::Spsc => {
            let mut rx = spsc::Consumer::open(name)?.into_async();
            rx.spin_for(Duration::ZERO);
            total = runtime.block_on(go(rng, crew, plant, rx))?;
        }
        Kind::Mpmc => tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut tasks = Vec::new();
            for _ in 0..TASKS {
                let mut rx = mpmc::Consumer::open(name)?.into_async();
                rx.spin_for(Duration::ZERO);
                let work = go(Rng(rng.next()), Rc::clone(&crew), plant, rx);
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

/// What the tasks of this process have in common.
struct Crew {
    share: Share,
    /// When the scheduler was last asked, and what it said.
    asked: Cell<(Instant, [Duration; 2])>,
}

impl Crew {
    fn new(share: Share) -> Self {
        Self { share, asked: Cell::new((Instant::now(), kept_off_cpu())) }
    }

    /// What the scheduler said a little before `now`.
    fn kept_off(&self, now: Instant) -> [Duration; 2] {
        if now - self.asked.get().0 > FRESH {
            self.asked.set((now, kept_off_cpu()));
        }
        self.asked.get().1
    }
}

/// How long this thread has been ready to run and had no CPU; and how long it and those that wake its tasks have, added up.
fn kept_off_cpu() -> [Duration; 2] {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    [run_delay(Path::new("/proc/thread-self")), threads.map(|thread| run_delay(&thread.path())).sum()]
}

async fn go(mut rng: Rng, crew: Rc<Crew>, plant: Plant, mut rx: impl Awaits) -> Result<Account, Failure> {
    let mut account = Account::default();
    while !crew.share.is_enough() {
        while crew.share.is_dry()? {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (start, stops) = (Instant::now(), signals::stops());
        let before = crew.kept_off(start);
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
        let end = match rng.below(6) {
            _ if account.sleeps % BY_TIMER == BY_TIMER - 1 => {
                End::ByTimer(Duration::from_millis(if rng.once_in(16) { rng.below(60) } else { 250 }))
            }
            0 => End::After(Duration::from_micros(rng.below(75))),
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
        let elapsed = start.elapsed();
        // Asking the kernel costs as much as an await: only if it matters.
        let after = if elapsed > FRESH { kept_off_cpu() } else { before };
        let [kept_off, all_kept_off] = [0, 1].map(|which: usize| after[which].saturating_sub(before[which]));
        let lay = |sent| Duration::from_nanos(now().saturating_sub(sent)).min(elapsed);
        account.note(&Wait {
            late: elapsed.saturating_sub(end.after()),
            kept_off,
            all_kept_off,
            message: received.flatten().map(|(sender, sent)| (sender, sent, lay(sent))),
            slept: pended.get(),
            stopped: signals::stops() > stops,
        });
        account.sleeps += u64::from(pended.get());
        crew.share.add(u64::from(pended.get()))?;
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
