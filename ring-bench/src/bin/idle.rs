//! What a handle costs that is parked, beside a bare futex that sleeps as often: the CPU time of a process of its own, by
//! the scheduler's count in nanoseconds, not by its ticks. One parks after the other, in another order each round, and nothing
//! else is done meanwhile. Prints the quartiles in per cent of a core, and of the ratios to the futex of the same round.
//!
//!     cargo run --release -p ring-bench --bin idle -- [ROUNDS [SECONDS]]
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

use nix::time::{ClockId, clock_gettime};
use ring_bench::Quartiles;
use ring_shm::wait::SLICE;
use ring_shm::{mpmc, spsc};

type Failure = Box<dyn std::error::Error>;

/// What parks. The first one is what the others are compared with.
const KINDS: [&str; 5] = ["futex", "spsc-consumer", "spsc-producer", "mpmc-consumer", "mpmc-producer"];

/// Bytes of a message.
const LEN: usize = 8;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["park", kind, name, seconds] => park(kind, name, seconds),
        [] => compare(5, 4.0),
        [rounds] => number(rounds).and_then(|rounds| compare(rounds, 4.0)),
        [rounds, seconds] => number(rounds).and_then(|rounds| compare(rounds, number(seconds)?)),
        _ => Err("idle [ROUNDS [SECONDS]]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number<N: core::str::FromStr<Err: std::error::Error + 'static>>(text: &str) -> Result<N, Failure> {
    Ok(text.parse()?)
}

/// A ring with somebody at the other side, who does nothing. What is parked opens it by its name.
struct Peer {
    name: Option<String>,
    _handles: Box<dyn Any>,
}

impl Peer {
    fn of(kind: &str) -> Result<Self, Failure> {
        let name = format!("ring-bench.idle.{}.{kind}", std::process::id());
        let options = spsc::Options::new().capacity(1 << 12);
        let handles: Box<dyn Any> = match kind {
            "spsc-consumer" => Box::new(spsc::Producer::create(&name, &options)?),
            "spsc-producer" => Box::new(spsc::Consumer::create(&name, &options)?),
            "mpmc-consumer" | "mpmc-producer" => {
                mpmc::create(&name, &mpmc::Options::new().slots(16).slot_size(LEN as u64))?;
                Box::new((mpmc::Producer::open(&name)?, mpmc::Consumer::open(&name)?))
            }
            _ => return Ok(Self { name: None, _handles: Box::new(()) }),
        };
        Ok(Self { name: Some(name), _handles: handles })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = ring_shm::unlink(name, true);
        }
    }
}

/// A process that parks when told.
struct Parked {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _peer: Peer,
}

impl Parked {
    fn start(kind: &str, seconds: f64) -> Result<Self, Failure> {
        let peer = Peer::of(kind)?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["park", kind, peer.name.as_deref().unwrap_or("-"), &seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (orders, answers) = (process.stdin.take(), process.stdout.take());
        let (orders, answers) = orders.zip(answers).ok_or("no pipes")?;
        let mut new = Self { process, orders, answers: BufReader::new(answers), _peer: peer };
        new.answer()?; // it is there, and its first pages have been touched
        Ok(new)
    }

    fn answer(&mut self) -> Result<f64, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        number(line.trim())
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

fn compare(rounds: usize, seconds: f64) -> Result<(), Failure> {
    let mut parked = KINDS.iter().map(|kind| Parked::start(kind, seconds)).collect::<Result<Vec<_>, _>>()?;
    let mut shares = vec![Vec::new(); KINDS.len()];
    for round in 0..rounds {
        for place in 0..KINDS.len() {
            let which = (round + place) % KINDS.len();
            shares[which].push(parked[which].share()?);
        }
    }
    println!("{rounds} rounds of {seconds} s: per cent of a core (quartiles), and by the futex of the same round");
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
fn park(kind: &str, name: &str, seconds: &str) -> Result<(), Failure> {
    let time = Duration::from_secs_f64(number(seconds)?);
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
