//! One victim: a forked child that is run to its first mark, then on by any number of instructions, and killed or
//! stopped there. The instructions between its marks are stepped through once and written down; later victims run
//! freely to the nearest place that they pass only once, and go on from there by steps and short runs.
//!
//! # Safety
//!
//! 1. This process has one thread, so a forked child may do anything.
//! 2. `int3` changes no register and no memory; without a tracer it ends the process, which is what is wanted then.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashSet;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::Failure;
use crate::chance::Rng;
use crate::code::Code;

/// So many steps take longer than a breakpoint that is set and taken away.
const WORTH_RUNNING: usize = 3;

/// How far ahead is looked for the next stop on the way to a point.
const FAR: usize = 400;

thread_local! {
    /// What is known of the instructions of this process and its forks.
    static CODE: RefCell<Code> = RefCell::default();
}

/// Exit status of a victim whose set-up failed; its words are on stderr.
const BROKEN: i32 = 70;

/// Between two of these lies the operation. The same instruction both times, so its address tells it from a step.
#[inline(never)]
pub(crate) fn mark() {
    // SAFETY: 2.
    unsafe { core::arch::asm!("int3") };
}

/// One instruction that is about to be executed.
#[derive(Debug, Clone, Copy)]
struct Step {
    at: u64,
    /// It enters the kernel.
    call: bool,
    /// It changes the segment.
    change: bool,
    /// The last step up to here whose address no earlier one has.
    anchor: u32,
}

/// The instructions of an operation, from mark to mark.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    steps: Vec<Step>,
    /// The address behind the mark's instruction.
    mark: u64,
    /// Where the kernel's own code is.
    lent: Option<std::ops::Range<u64>>,
}

impl Trace {
    fn is_lent(&self, address: u64) -> bool {
        self.lent.as_ref().is_some_and(|range| range.contains(&address))
    }

    /// How far on from step `here`, and no further than `goal`, somebody gets who runs to an address and stops when he is
    /// there for the first time.
    fn hop(&self, here: usize, goal: usize) -> usize {
        let (mut passed, mut there) = (HashSet::from([self.steps[here].at]), here + 1);
        for (index, step) in self.steps.iter().enumerate().take(goal.min(here + FAR) + 1).skip(here + 1) {
            if passed.insert(step.at) && !self.is_lent(step.at) {
                there = index;
            }
        }
        there
    }

    /// How many instructions there are; a victim may be killed after 0 and up to so many.
    pub(crate) fn len(&self) -> u64 {
        self.steps.len() as u64
    }

    /// The points to be tried: all, or of an operation of more than `long` instructions those before and after each
    /// change of the segment and each system call, and `others` more.
    pub(crate) fn points(&self, long: u64, others: u64, rng: &mut Rng) -> Vec<u64> {
        if self.len() <= long {
            return (0..=self.len()).collect();
        }
        let mut points = self.borders();
        points.extend([0, self.len()]);
        points.extend((0..others).map(|_| rng.below(self.len())));
        points.sort_unstable();
        points.dedup();
        points
    }

    /// The points before and after each change of the segment, and each system call.
    pub(crate) fn borders(&self) -> Vec<u64> {
        let mut points = Vec::new();
        for (k, step) in (0..).zip(&self.steps) {
            if step.call || step.change {
                points.extend([k, k + 1]);
            }
        }
        points.dedup();
        points
    }
}

/// Where a victim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// About to execute the instruction at this address.
    Within(u64),
    /// The operation is over.
    Done,
}

/// A victim that is waiting for its tracer.
#[derive(Debug)]
pub(crate) struct Victim {
    pid: Pid,
    gone: bool,
    /// The address behind its mark.
    mark: u64,
}

impl Victim {
    /// Forks a child that runs `play`, and waits for its first mark.
    pub(crate) fn spawn(play: impl FnOnce() -> Result<(), Failure>) -> Result<Self, Failure> {
        Self::spawn_beside(play, || Ok(()))
    }

    /// The same with something to be done here meanwhile, which its set-up waits for.
    pub(crate) fn spawn_beside(
        play: impl FnOnce() -> Result<(), Failure>,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        // SAFETY: 1.
        let pid = match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                drop(play);
                child
            }
            ForkResult::Child => {
                let played = ptrace::traceme().map_err(Failure::from).and_then(|()| play());
                if let Err(e) = &played {
                    eprintln!("victim: {e}");
                }
                std::process::exit(if played.is_ok() { 0 } else { BROKEN });
            }
        };
        let mut victim = Self { pid, gone: false, mark: 0 };
        meanwhile()?;
        victim.wait(Signal::SIGTRAP)?;
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_EXITKILL)?;
        victim.mark = victim.address()?;
        Ok(victim)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    fn wait(&mut self, signal: Signal) -> Result<(), Failure> {
        match waitpid(self.pid, None)? {
            WaitStatus::Stopped(_, found) if found == signal => Ok(()),
            status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {
                self.gone = true;
                Err(format!("the victim ended: {status:?}").into())
            }
            status => Err(format!("the victim waits: {status:?}").into()),
        }
    }

    fn address(&self) -> Result<u64, Failure> {
        Ok(ptrace::getregs(self.pid)?.rip)
    }

    fn at(&self) -> Result<At, Failure> {
        let address = self.address()?;
        // After the first mark it is behind that instruction, at the second one before it.
        Ok(if address == self.mark - 1 { At::Done } else { At::Within(address) })
    }

    fn step(&mut self) -> Result<At, Failure> {
        ptrace::step(self.pid, None)?;
        self.wait(Signal::SIGTRAP)?;
        self.at()
    }

    /// Goes to the second mark and writes down what there is in between. `changed` says whether the segment has changed
    /// since it was asked last, and is told when that was a system call.
    ///
    /// Instructions that are known to follow one another, and have not changed the segment before, are passed over at once.
    /// If the segment has changed all the same, that is said of each of them: more points, not fewer.
    pub(crate) fn record(&mut self, mut changed: impl FnMut(bool) -> bool) -> Result<Trace, Failure> {
        CODE.with_borrow_mut(|code| {
            // Code that the kernel lends to everybody cannot be given a breakpoint everywhere.
            let mut trace = Trace { steps: Vec::new(), mark: self.mark, lent: kernel_code()? };
            let (mut seen, mut anchor) = (HashSet::new(), 0);
            let mut at = self.at()?;
            while let At::Within(address) = at {
                let (mut way, end) = code.straight(address);
                let mut call = false;
                if way.len() < WORTH_RUNNING {
                    let (pid, place) = (self.pid, address as ptrace::AddressType);
                    let read = || ptrace::read(pid, place).map(|word| word as u64);
                    way = vec![address];
                    call = code.is_call(address, read)?;
                    at = self.step()?;
                } else {
                    if !self.run_to(end)? {
                        return Err("it left a way that has no other end".into());
                    }
                    at = self.at()?;
                }
                let change = changed(call);
                if let [address] = way[..]
                    && !trace.is_lent(address)
                {
                    let place = address as ptrace::AddressType;
                    let next = if let At::Within(next) = at { Some(next) } else { None };
                    code.learn(address, next, change, || ptrace::read(self.pid, place).map(|word| word as u64))?;
                }
                for address in way {
                    let index = u32::try_from(trace.steps.len())?;
                    if seen.insert(address) && !trace.is_lent(address) {
                        anchor = index;
                    }
                    trace.steps.push(Step { at: address, call, change, anchor });
                }
            }
            Ok(trace)
        })
    }

    /// Goes on to step `k` of `trace`, which a victim in the same state has left. Whether it went the same way.
    pub(crate) fn advance(&mut self, trace: &Trace, k: u64) -> Result<bool, Failure> {
        if k >= trace.len() {
            return Ok(self.finish()? && trace.mark == self.mark);
        }
        let goal = trace.steps[k as usize];
        let mut here = goal.anchor as usize;
        if here > 0 && !self.run_to(trace.steps[here].at)? {
            return Ok(false);
        }
        let mut at = self.at()?;
        while here < k as usize {
            if at == At::Done {
                return Ok(false);
            }
            let there = trace.hop(here, k as usize);
            if there - here >= WORTH_RUNNING {
                if !self.run_to(trace.steps[there].at)? {
                    return Ok(false);
                }
                at = self.at()?;
                here = there;
            } else {
                at = self.step()?;
                here += 1;
            }
        }
        Ok(at == At::Within(goal.at))
    }

    /// Goes on to the instruction at `address`, which is not the next one; false if the operation ended before.
    fn run_to(&mut self, address: u64) -> Result<bool, Failure> {
        let place = address as ptrace::AddressType;
        let word = ptrace::read(self.pid, place)?;
        ptrace::write(self.pid, place, word & !0xff | 0xcc)?;
        ptrace::cont(self.pid, None)?;
        self.wait(Signal::SIGTRAP)?;
        ptrace::write(self.pid, place, word)?;
        let mut registers = ptrace::getregs(self.pid)?;
        registers.rip -= 1;
        // At the breakpoint, or at the mark.
        ptrace::setregs(self.pid, registers)?;
        Ok(registers.rip == address)
    }

    /// Goes on to the second mark.
    pub(crate) fn finish(&mut self) -> Result<bool, Failure> {
        if self.at()? == At::Done {
            return Ok(true);
        }
        ptrace::cont(self.pid, None)?;
        self.wait(Signal::SIGTRAP)?;
        let mut registers = ptrace::getregs(self.pid)?;
        registers.rip -= 1;
        ptrace::setregs(self.pid, registers)?;
        Ok(self.at()? == At::Done)
    }

    /// Goes on from the second mark to the orderly end.
    pub(crate) fn leave(mut self) -> Result<(), Failure> {
        let mut registers = ptrace::getregs(self.pid)?;
        registers.rip = self.mark;
        ptrace::setregs(self.pid, registers)?;
        ptrace::cont(self.pid, None)?;
        match waitpid(self.pid, None)? {
            WaitStatus::Exited(_, 0) => {
                self.gone = true;
                Ok(())
            }
            status => Err(format!("the victim's end: {status:?}").into()),
        }
    }

    /// Stops it where it is, alive: the signal comes before its next instruction.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        ptrace::cont(self.pid, Signal::SIGSTOP)?;
        self.wait(Signal::SIGSTOP)
    }

    /// Lets it go on after [`stop`](Self::stop), to its second mark.
    pub(crate) fn resume(&mut self) -> Result<(), Failure> {
        kill(self.pid, Signal::SIGCONT)?;
        ptrace::cont(self.pid, None)?;
        self.wait(Signal::SIGCONT)?;
        if self.finish()? { Ok(()) } else { Err("the victim did not get to its second mark".into()) }
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(self) {}
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !self.gone {
            let _ = kill(self.pid, Signal::SIGKILL);
            while !matches!(waitpid(self.pid, None), Ok(WaitStatus::Signaled(..) | WaitStatus::Exited(..)) | Err(_)) {}
        }
    }
}

/// A forked child that nobody traces.
#[derive(Debug)]
pub(crate) struct Helper(Pid);

impl Helper {
    /// Runs `play` in it.
    pub(crate) fn spawn(play: impl FnOnce() -> Result<(), Failure>) -> Result<Self, Failure> {
        // SAFETY: 1.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self(child)),
            ForkResult::Child => {
                let played = play();
                if let Err(e) = &played {
                    eprintln!("the other end: {e}");
                }
                std::process::exit(i32::from(played.is_err()));
            }
        }
    }

    /// Waits for its end, which has to be a good one.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match waitpid(self.0, None)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            status => Err(format!("the other end: {status:?}; its words are above").into()),
        }
    }
}

/// Where the kernel has put its own code.
fn kernel_code() -> Result<Option<std::ops::Range<u64>>, Failure> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let Some(line) = maps.lines().find(|line| line.ends_with("[vdso]")) else { return Ok(None) };
    let (first, last) = line.split(' ').next().and_then(|range| range.split_once('-')).ok_or("maps")?;
    Ok(Some(u64::from_str_radix(first, 16)?..u64::from_str_radix(last, 16)?))
}

#[cfg(test)]
mod tests;
