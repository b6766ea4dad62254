//! What a handle costs that is parked, beside a bare futex that sleeps as often: the CPU time of a process of its own, by
//! the scheduler's count in nanoseconds, not by its ticks. One parks after the other, in another order each round, and nothing
//! else is done meanwhile. Prints the quartiles in per cent of a core, and of the ratios to the futex of the same round.
//!
//!     cargo run --release -p ring-bench --bin idle -- [--rounds N] [--seconds S]
//!
//! `idle park KIND NAME SECONDS` is one of those processes: it parks once for each line it reads. To see which system calls
//! one slice takes, let strace count those of `echo | idle park futex - 10`.
//!
//! # Safety
//!
//! 1. The kernel gets the address of a live `AtomicU32`, and of a live `timespec`.
#![allow(unsafe_code)]

use std::any::Any;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use nix::time::{ClockId, clock_gettime};
use ring_bench::Quartiles;
use ring_shm::wait::SLICE;
use ring_shm::{mpmc, spsc};

type Failure = Box<dyn std::error::Error>;

/// What parks. The first one is what the others are compared with.
const KINDS: [&str; 5] = ["futex", "spsc-consumer", "spsc-producer", "mpmc-consumer", "mpmc-producer"];

/// Bytes of a message.
const LEN: usize = 8;

/// What a handle costs that is parked, beside a bare futex that sleeps as often: per cent of a core.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// So often each of them parks
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,

    /// For so long each time
    #[arg(long, value_name = "S", default_value = "4", value_parser = seconds)]
    seconds: Duration,

    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// One that parks, for SECONDS for each line it reads; says what share of a core that took
    Park {
        #[arg(value_parser = KINDS)]
        kind: String,
        /// Of the ring; `-` for the futex
        name: String,
        #[arg(value_parser = seconds)]
        seconds: Duration,
    },
}

/// Reads a time of more than nothing.
fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| "give a number of seconds, such as 4 or 0.5".into())
}

fn main() -> ExitCode {
    let Arguments { rounds, seconds, part } = Arguments::parse();
    let done = match part {
        Some(Part::Park { kind, name, seconds }) => park(&kind, &name, seconds),
        None => compare(rounds as usize, seconds),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Somebody at the other side, who does nothing.
type Peer = Box<dyn Any>;

/// The name of a ring, which is there until both sides have opened it.
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = ring_shm::unlink(&self.0, true);
    }
}

/// Who is at the other side of what parks, and by which name that opens the ring, if there is one.
fn peer_of(kind: &str) -> Result<(Peer, Option<Name>), Failure> {
    let name = Name(format!("ring-bench.idle.{}.{kind}", std::process::id()));
    let options = spsc::Options::new().capacity(1 << 12);
    let peer: Peer = match kind {
        "spsc-consumer" => Box::new(spsc::Producer::create(&name.0, &options)?),
        "spsc-producer" => Box::new(spsc::Consumer::create(&name.0, &options)?),
        "mpmc-consumer" | "mpmc-producer" => {
            mpmc::create(&name.0, &mpmc::Options::new().slots(16).slot_size(LEN as u64))?;
            Box::new((mpmc::Producer::open(&name.0)?, mpmc::Consumer::open(&name.0)?))
        }
        _ => return Ok((Box::new(()), None)),
    };
    Ok((peer, Some(name)))
}

/// A process that parks when told.
struct Parked {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _peer: Peer,
}

impl Parked {
    fn start(kind: &str, time: Duration) -> Result<Self, Failure> {
        let (peer, name) = peer_of(kind)?;
        let (place, seconds) = (name.as_ref().map_or("-", |name| &name.0), time.as_secs_f64().to_string());
        let mut process = Command::new(std::env::current_exe()?)
            .args(["park", kind, place, &seconds])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (orders, answers) = (process.stdin.take(), process.stdout.take());
        let (orders, answers) = orders.zip(answers).ok_or("no pipes")?;
        let mut new = Self { process, orders, answers: BufReader::new(answers), _peer: peer };
        new.answer()?; // it is there, has opened the ring, and touched its first pages
        drop(name);
        Ok(new)
    }

    fn answer(&mut self) -> Result<f64, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    /// The share of a core that it takes to park once.
    fn share(&mut self) -> Result<f64, Failure> {
        writeln!(self.orders)?;
        self.answer()
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn compare(rounds: usize, time: Duration) -> Result<(), Failure> {
    let mut parked = KINDS.iter().map(|kind| Parked::start(kind, time)).collect::<Result<Vec<_>, _>>()?;
    let mut shares = vec![Vec::new(); KINDS.len()];
    for round in 0..rounds {
        for place in 0..KINDS.len() {
            let which = (round + place) % KINDS.len();
            shares[which].push(parked[which].share()?);
        }
    }
    println!("{rounds} rounds of {time:?}: per cent of a core (quartiles), and by the futex of the same round");
    for (kind, mine) in KINDS.iter().zip(&shares) {
        let ratios = mine.iter().zip(&shares[0]).map(|(mine, futex)| mine / futex).collect();
        let per_cent = mine.iter().map(|share| share * 100.0).collect();
        let (share, ratio) =
            Quartiles::of(per_cent).zip(Quartiles::of(ratios)).ok_or("one round at least is wanted")?;
        println!(
            "{kind:14} {:.3} {:.3} {:.3}   {:.2} {:.2} {:.2}",
            share.p25, share.p50, share.p75, ratio.p25, ratio.p50, ratio.p75
        );
    }
    Ok(())
}

/// The part of the processes: says what share of a core it took to park for so long, once for each line it reads.
fn park(kind: &str, name: &str, time: Duration) -> Result<(), Failure> {
    let mut parks: Box<dyn FnMut(Duration) -> bool> = match kind {
        "futex" => Box::new(sleep_on_a_futex),
        "spsc-consumer" => {
            let mut rx = spsc::Consumer::open(name)?;
            Box::new(move |time| rx.recv_into_timeout(&mut [0; LEN], time) == Err(spsc::RecvError::Timeout))
        }
        "spsc-producer" => {
            let mut tx = spsc::Producer::open(name)?;
            while tx.try_send(0, &[0; LEN]).is_ok() {}
            Box::new(move |time| tx.send_timeout(0, &[0; LEN], time) == Err(spsc::SendError::Timeout))
        }
        "mpmc-consumer" => {
            let mut rx = mpmc::Consumer::open(name)?;
            Box::new(move |time| {
                matches!(rx.recv_into_timeout(&mut [0; LEN], time), Err(mpmc::RecvError::Timeout { .. }))
            })
        }
        "mpmc-producer" => {
            let mut tx = mpmc::Producer::open(name)?;
            while tx.try_send(0, &[0; LEN]).is_ok() {}
            Box::new(move |time| matches!(tx.send_timeout(0, &[0; LEN], time), Err(mpmc::SendError::Timeout { .. })))
        }
        _ => return Err("no such kind".into()),
    };
    let answer = |share: f64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{share}")?;
        out.flush()
    };
    parks(SLICE);
    answer(0.0)?;
    for line in std::io::stdin().lines() {
        line?;
        let (start, before) = (Instant::now(), used()?);
        if !parks(time) {
            return Err("the wait ended by something else than its time".into());
        }
        answer((used()? - before).as_secs_f64() / start.elapsed().as_secs_f64())?;
    }
    Ok(())
}

/// CPU time of this process.
fn used() -> Result<Duration, Failure> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}

/// As long as the handles' slices each time, until `time` has passed.
fn sleep_on_a_futex(time: Duration) -> bool {
    let (word, start) = (AtomicU32::new(0), Instant::now());
    let timeout = libc::timespec { tv_sec: 0, tv_nsec: SLICE.subsec_nanos().into() };
    while start.elapsed() < time {
        // SAFETY: 1. Not private, as the handles' are not.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, 0, &raw const timeout) };
    }
    true
}
