//! Awaiting against blocking, in pairs: how long a task takes to wake, and how fast batches come, each round both ways
//! and in changing order, so that what the machine does to the one it does to the other. Prints the quartiles of the ratios.
//!
//!     cargo run --release -p ring-bench --bin awaits -- [ROUNDS]
//!
//! On a busy machine in the real-time class: `chrt -r 1 target/release/awaits`. It takes some seconds.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use ring_bench::Quartiles;
use ring_shm::spsc::{self, AsyncConsumer, Consumer, Producer};
use ring_shm::wait::{self, Chime, Park};
use ring_shm::{Memfd, Trust, Trusted, Untrusted};
use tokio::runtime::{Builder, Runtime};

/// Wake-ups of one sample.
const WAKES: u32 = 100;

/// Between two of them: whoever waits has gone to sleep.
const PAUSE: Duration = Duration::from_micros(300);

/// Messages of one sample of the stream, their bytes, and how many are asked for at a time.
const MESSAGES: u32 = 400_000;
const LEN: usize = 64;
const BATCH: usize = 256;

/// How long turns are counted.
const TURNS_FOR: Duration = Duration::from_millis(20);

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Ends<T> = (Producer<T>, Consumer<T>);
type Wakes = Task<Vec<f64>>;
type Failure = Box<dyn std::error::Error>;

/// Awaiting against blocking, in pairs: the quartiles of the ratios.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// So many pairs of each
    #[arg(value_name = "ROUNDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
}

fn main() -> ExitCode {
    match run(Arguments::parse().rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("awaits: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(rounds: u32) -> Result<(), Failure> {
    let current = Builder::new_current_thread().enable_io().build()?;
    let multi = Builder::new_multi_thread().worker_threads(2).enable_io().build()?;
    let runtimes = [("current-thread", &current), ("multi-thread", &multi)];
    pairs("wake-up, block_on / parked", rounds, || wake_parked(heap), || wake_by(heap, wait::block_on))?;
    for (name, runtime) in runtimes {
        pairs(
            &format!("wake-up, task, {name} / parked"),
            rounds,
            || wake_parked(heap),
            || wake_by(heap, |task| spawned(runtime, task)),
        )?;
    }
    for (name, runtime) in runtimes {
        let name = format!("wake-up, task, {name}, by its chime");
        pairs(
            &format!("{name}, memfd / parked"),
            rounds,
            || wake_parked(memfd),
            || chimed(runtime, || wake_by(memfd, |task| spawned(runtime, task)))?,
        )?;
        pairs(
            &format!("{name}, heap / parked"),
            rounds,
            || wake_parked(heap),
            || chimed(runtime, || wake_by(heap, |task| spawned(runtime, task)))?,
        )?;
    }
    let rate = "recv_many / read_batch, messages a second";
    pairs(&format!("{rate}, block_on"), rounds, stream_blocking, || stream_by(None, wait::block_on))?;
    for (name, runtime) in runtimes {
        pairs(&format!("{rate}, {name}"), rounds, stream_blocking, || stream_by(None, |task| spawned(runtime, task)))?;
    }
    pairs(&format!("{rate}, multi-thread, by its chime"), rounds, stream_blocking, || {
        chimed(&multi, || stream_by(None, |task| spawned(&multi, task)))?
    })?;
    let never = Some(Duration::ZERO);
    pairs(&format!("{rate}, current-thread, never polled at once"), rounds, stream_blocking, || {
        stream_by(never, |task| spawned(&current, task))
    })?;
    for (name, spin) in [("as it is", None), ("never polled at once", never)] {
        let name = format!("turns of another task a second beside recv_many, {name} / beside nothing");
        pairs(&name, rounds, || turns(&current, None), || turns(&current, Some(spin)))?;
    }
    pairs("messages a second, by threads, beside awaiting tasks / without", rounds, stream_singly, || {
        beside_tasks(stream_singly)
    })
}

/// What `task` gives, as a task of its own.
fn spawned<T: Send + 'static>(runtime: &Runtime, task: impl Future<Output = T> + Send + 'static) -> Option<T> {
    runtime.block_on(async { tokio::spawn(task).await.ok() })
}

/// What `measure` says while `runtime` hears chimes.
fn chimed<R>(runtime: &Runtime, measure: impl FnOnce() -> R) -> Result<R, Failure> {
    let serves = runtime.spawn(Chime::new()?.serve_in_tokio());
    let measured = measure();
    serves.abort();
    match runtime.block_on(serves) {
        Err(error) if error.is_cancelled() => Ok(measured),
        ended => Err(format!("the chime has ended: {ended:?}").into()),
    }
}

fn heap() -> Result<Ends<Trusted>, Failure> {
    Ok(spsc::heap(1 << 12)?)
}

/// One that two processes could share.
fn memfd() -> Result<Ends<Untrusted>, Failure> {
    let (ring, options) = (Memfd::new("awaits")?, spsc::Options::new().capacity(1 << 12));
    Ok((Producer::create(&ring, &options)?, Consumer::open(&ring)?))
}

/// Both ways in each round; what `ours` says in terms of what `base` says.
fn pairs(
    name: &str,
    rounds: u32,
    mut base: impl FnMut() -> Result<f64, Failure>,
    mut ours: impl FnMut() -> Result<f64, Failure>,
) -> Result<(), Failure> {
    let (mut ratios, mut bases) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (b, o) = if round % 2 == 0 {
            let b = base()?;
            (b, ours()?)
        } else {
            let o = ours()?;
            (base()?, o)
        };
        ratios.push(o / b);
        bases.push(b);
    }
    let (ratio, base) = Quartiles::of(ratios).zip(Quartiles::of(bases)).ok_or("one round at least is wanted")?;
    println!("{name}: {:.2} {:.2} {:.2} ({rounds} rounds; base {:.3e})", ratio.p25, ratio.p50, ratio.p75, base.p50);
    Ok(())
}

/// What `receive` says, in a thread of its own, of all that `send` has sent.
fn carry<T: Trust + Send, R: Send>(
    (mut tx, rx): Ends<T>,
    send: impl FnOnce(&mut Producer<T>) -> Result<(), Failure>,
    receive: impl FnOnce(Consumer<T>) -> R + Send,
) -> Result<R, Failure> {
    thread::scope(|s| {
        let receives = s.spawn(move || receive(rx));
        let sent = send(&mut tx);
        // In any case: the receiver waits for more until then.
        drop(tx);
        let received = receives.join().map_err(|_| "the receiver panicked")?;
        sent.map(|()| received)
    })
}

fn all_came(received: usize, sent: u32) -> Result<(), Failure> {
    if received == sent as usize { Ok(()) } else { Err(format!("{received} of {sent} messages came").into()) }
}

/// Sends the time, `WAKES` times, to a consumer that is asleep each time. The median of what it says, in nanoseconds.
fn wakes<T: Trust + Send>(
    ring: Ends<T>,
    receive: impl FnOnce(Consumer<T>, Instant) -> Vec<f64> + Send,
) -> Result<f64, Failure> {
    let start = Instant::now();
    let send = |tx: &mut Producer<T>| {
        for _ in 0..WAKES {
            thread::sleep(PAUSE);
            let sent = start.elapsed().as_nanos() as u64;
            tx.try_send(0, &sent.to_le_bytes())?;
        }
        Ok(())
    };
    let late = carry(ring, send, |rx| receive(rx, start))?;
    all_came(late.len(), WAKES)?;
    Ok(Quartiles::of(late).map_or(f64::NAN, |late| late.p50))
}

fn late(start: Instant, sent: [u8; 8]) -> f64 {
    (start.elapsed().as_nanos() as u64).saturating_sub(u64::from_le_bytes(sent)) as f64
}

fn wake_parked<T: Trust + Send>(ring: impl FnOnce() -> Result<Ends<T>, Failure>) -> Result<f64, Failure> {
    wakes(ring()?, |mut rx, start| {
        rx.set_wait_strategy(Park::after(Duration::ZERO));
        let (mut seen, mut sent) = (Vec::new(), [0; 8]);
        while rx.recv_into(&mut sent).is_ok() {
            seen.push(late(start, sent));
        }
        seen
    })
}

fn wake_by<T: Trust + Send + 'static, R: Into<Option<Vec<f64>>>>(
    ring: impl FnOnce() -> Result<Ends<T>, Failure>,
    run: impl FnOnce(Wakes) -> R + Send,
) -> Result<f64, Failure> {
    wakes(ring()?, |rx, start| {
        let mut rx: AsyncConsumer<T> = rx.into_async();
        rx.spin_for(Duration::ZERO);
        let task = async move {
            let (mut seen, mut sent) = (Vec::new(), [0; 8]);
            while rx.recv_into(&mut sent).await.is_ok() {
                seen.push(late(start, sent));
            }
            seen
        };
        run(Box::pin(task)).into().unwrap_or_default()
    })
}

/// Messages a second from `send` to `receive`, which says how many it has got.
fn stream(
    send: impl FnOnce(&mut Producer<Trusted>) -> Result<(), Failure>,
    receive: impl FnOnce(Consumer<Trusted>) -> u32 + Send,
) -> Result<f64, Failure> {
    let (ring, start) = (spsc::heap(1 << 18)?, Instant::now());
    let received = carry(ring, send, receive)?;
    all_came(received as usize, MESSAGES)?;
    Ok(f64::from(MESSAGES) / start.elapsed().as_secs_f64())
}

fn send_batches(tx: &mut Producer<Trusted>) -> Result<(), Failure> {
    let mut left = MESSAGES as usize;
    while left > 0 {
        let mut batch = tx.claim_batch(BATCH.min(left), LEN)?;
        while batch.remaining() > 0 {
            batch.push(0, &[7; LEN])?;
        }
        left -= batch.commit();
    }
    Ok(())
}

/// Goes through a batch; how many there were.
fn take(mut batch: spsc::ReadBatch<'_, Trusted>) -> u32 {
    let mut count = 0;
    while let Some(record) = batch.next_record() {
        count += u32::from(record.first() == Some(&7));
    }
    batch.release();
    count
}

fn stream_blocking() -> Result<f64, Failure> {
    stream(send_batches, |mut rx| {
        let mut count = 0;
        while let Ok(batch) = rx.read_batch(BATCH) {
            count += take(batch);
        }
        count
    })
}

fn stream_by<R: Into<Option<u32>>>(
    spin: Option<Duration>,
    run: impl FnOnce(Task<u32>) -> R + Send,
) -> Result<f64, Failure> {
    stream(send_batches, |rx| run(Box::pin(receives(rx.into_async(), spin))).into().unwrap_or_default())
}

async fn receives(mut rx: AsyncConsumer<Trusted>, spin: Option<Duration>) -> u32 {
    if let Some(time) = spin {
        rx.spin_for(time);
    }
    let mut count = 0;
    while let Ok(batch) = rx.recv_many(BATCH).await {
        count += take(batch);
    }
    count
}

/// Turns a second of a task that does nothing but give way, in a runtime that also receives messages at some 20,000 batches
/// of one a second, if it does.
fn turns(runtime: &Runtime, receiving: Option<Option<Duration>>) -> Result<f64, Failure> {
    let (mut tx, rx) = spsc::heap(1 << 16)?;
    thread::scope(|s| {
        s.spawn(move || {
            let end = Instant::now() + TURNS_FOR;
            while Instant::now() < end {
                let _ = tx.try_send(0, &[7; LEN]);
                thread::sleep(Duration::from_micros(1));
            }
        });
        runtime.block_on(async {
            let receives = receiving.map(|spin| tokio::spawn(receives(rx.into_async(), spin)));
            let (start, mut count) = (Instant::now(), 0.0);
            while start.elapsed() < TURNS_FOR {
                tokio::task::yield_now().await;
                count += 1.0;
            }
            let rate = count / start.elapsed().as_secs_f64();
            if let Some(receives) = receives {
                receives.await?;
            }
            Ok(rate)
        })
    })
}

/// By calls that send and receive one at a time, and park where they have to wait.
fn stream_singly() -> Result<f64, Failure> {
    let send = |tx: &mut Producer<Trusted>| {
        for _ in 0..MESSAGES {
            tx.send(0, &[7; LEN])?;
        }
        Ok(())
    };
    stream(send, |mut rx| {
        let (mut count, mut buf) = (0, [0; LEN]);
        while rx.recv_into(&mut buf).is_ok() {
            count += 1;
        }
        count
    })
}

/// What `measure` says while 100 rings are awaited in this process, of which one is woken a hundred times a second.
fn beside_tasks(measure: impl FnOnce() -> Result<f64, Failure>) -> Result<f64, Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
    let mut senders = Vec::new();
    for _ in 0..100 {
        let (tx, rx) = spsc::heap(1 << 10)?;
        senders.push(tx);
        runtime.spawn(receives(rx.into_async(), None));
    }
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    thread::scope(|s| {
        let sends = s.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(Duration::from_millis(10)) {
                let _ = senders.iter_mut().next().map(|tx| tx.try_send(0, &[7; LEN]));
            }
            drop(senders);
        });
        let measured = measure();
        drop(stop);
        sends.join().map_err(|_| String::from("the sender panicked"))?;
        measured
    })
}
