//! What benches of several kinds share: queues of words by one pair of traits, child processes that run a job, and
//! pinning.
#![allow(dead_code, reason = "each bench uses its part")]

use criterion::Criterion;
use crossbeam_queue::ArrayQueue;
use ring_bench::kit::Patience;
use ring_shm::unlink;
use std::io::Read as _;
use std::ops::Range;
use std::process::{Child, Command};
use std::sync::{Arc, OnceLock};

/// The word that ends whoever receives it.
pub(crate) const STOP: u64 = u64::MAX >> 1;

/// Set in a child: its job, and its CPU.
const JOB: &str = "RING_BENCH_JOB";

/// Polls `done`, not for ever: whoever should have done it may have died. Gives the CPU away now and then, since there may
/// be more parties than CPUs.
pub(crate) fn poll<T>(mut done: impl FnMut() -> Option<T>) -> T {
    let (mut patience, mut tries) = (Patience::new(), 0);
    loop {
        if let Some(done) = done() {
            return done;
        }
        patience.miss_crowded(&mut tries).expect("the other side");
    }
}

/// A sending end for words.
pub(crate) trait Send {
    fn send(&mut self, word: u64);

    /// All of them in order.
    #[inline(always)]
    fn send_all(&mut self, words: Range<u64>) {
        words.for_each(|word| self.send(word));
    }
}

/// A receiving end.
pub(crate) trait Receive {
    /// Shows `see` the next word, or those of the next batch; false when there is nothing now.
    fn try_each(&mut self, see: impl FnMut(u64)) -> bool;

    /// The next word, polling; not for batches.
    #[inline(always)]
    fn receive(&mut self) -> u64 {
        poll(|| {
            let mut seen = None;
            self.try_each(|word| seen = Some(word));
            seen
        })
    }
}

impl Send for Arc<ArrayQueue<u64>> {
    #[inline(always)]
    fn send(&mut self, word: u64) {
        poll(|| self.push(word).ok());
    }
}

impl Receive for Arc<ArrayQueue<u64>> {
    #[inline(always)]
    fn try_each(&mut self, see: impl FnMut(u64)) -> bool {
        self.pop().map(see).is_some()
    }
}

/// Pins the calling thread to the first or the second CPU, if there are two. A child is told them by its parent, since
/// it inherits an affinity of one.
pub(crate) fn pin(side: usize) {
    if let Some(cpus) = cpus() {
        ring_bench::pin(cpus[side]).expect("a CPU that is allowed");
    }
}

fn cpus() -> Option<[usize; 2]> {
    static CPUS: OnceLock<Option<[usize; 2]>> = OnceLock::new();
    *CPUS.get_or_init(|| {
        let told = std::env::var("RING_BENCH_CPUS").ok();
        let told = told.and_then(|cpus| cpus.split_once(' ').map(|(a, b)| [a.parse().ok(), b.parse().ok()]));
        match told {
            Some([Some(a), Some(b)]) => Some([a, b]),
            _ => ring_bench::two_cpus().ok(),
        }
    })
}

/// What the executable of a bench does: a child serves its job, any other process runs the benches.
pub(crate) fn main(benches: fn(), serve: fn(&str)) {
    if let Ok(job) = std::env::var(JOB) {
        return serve(&job);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}

/// The words of a job.
pub(crate) fn words<const N: usize>(job: &str) -> [String; N] {
    let mut words = job.split(' ').map(str::to_owned);
    core::array::from_fn(|_| words.next().expect("a job has its words"))
}

/// In a child: tells the parent that everything has been opened, and runs `work` on the second CPU unless it pins
/// itself.
pub(crate) fn attached(work: impl FnOnce()) {
    pin(1);
    println!();
    work();
}

/// Children of this executable; killed if the bench fails.
pub(crate) struct Crew(Vec<Child>);

impl Crew {
    /// Starts a child for each job, waits until all have attached, and removes the `names` they used.
    pub(crate) fn start(jobs: impl IntoIterator<Item = String>, names: &[String]) -> Self {
        let this = std::env::current_exe().expect("an executable");
        let told = cpus().map_or_else(String::new, |[a, b]| format!("{a} {b}"));
        let start = |job| {
            let mut command = Command::new(&this);
            command.env(JOB, job).env("RING_BENCH_CPUS", &told).stdout(std::process::Stdio::piped());
            command.spawn().expect("a child")
        };
        let mut crew = Self(jobs.into_iter().map(start).collect());
        let attach = |child: &mut Child| child.stdout.as_mut().is_some_and(|out| out.read_exact(&mut [0]).is_ok());
        let attached = crew.0.iter_mut().all(attach);
        // Nobody needs them from here on, and nothing is left behind if somebody could not attach.
        names.iter().for_each(|name| unlink(name, true).expect("a name to remove"));
        assert!(attached, "a child could not attach");
        crew
    }

    /// Waits for their orderly end.
    pub(crate) fn join(mut self) {
        for child in &mut self.0 {
            assert!(child.wait().expect("a child to wait for").success(), "FIFO and payload");
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Ended already, unless an assertion failed here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
