//! One victim: a forked child whose system calls its tracer sees one by one, and may answer in the kernel's stead or
//! make the last. It stops by itself at each mark, so that the tracer can look at what it has.
//!
//! # Safety
//!
//! 1. This process has one thread, so a forked child may do anything.
//! 2. `int3` changes no register and no memory; without a tracer it ends the process, which is what is wanted then.
#![allow(unsafe_code)]

use nix::sys::ptrace;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::Failure;

/// Seconds of CPU time that a victim gets before it counts as one that does not end.
const CPU_SECONDS: u64 = 5;

/// A place at which the victim stops for its tracer.
#[inline(never)]
pub(crate) fn mark() {
    // SAFETY: 2.
    unsafe { core::arch::asm!("int3") };
}

/// A system call that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) args: [u64; 6],
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The kernel does it.
    Go,
    /// It is not done, and says this errno.
    Refuse(i32),
    /// It is done, and says this errno all the same.
    Belie(i32),
    /// It is not done: the victim is killed.
    KillBefore,
    /// It is done, and the victim is killed before it learns of it.
    KillAfter,
}

/// How a victim's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At a mark.
    Mark,
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(Signal),
}

/// A victim that is waiting for its tracer.
#[derive(Debug)]
pub(crate) struct Victim {
    pid: Pid,
    gone: bool,
}

impl Victim {
    /// Forks a child that runs `play`, and waits for its first mark. What `play` returns is its exit status.
    pub(crate) fn spawn(play: impl FnOnce() -> i32) -> Result<Self, Failure> {
        // SAFETY: 1.
        let pid = match unsafe { fork() }? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let ready = ptrace::traceme()
                    .and_then(|()| setrlimit(Resource::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1))
                    .is_ok();
                std::process::exit(if ready { play() } else { 70 });
            }
        };
        let mut victim = Self { pid, gone: false };
        match victim.wait()? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            status => return Err(format!("a victim ended before its first mark: {status:?}").into()),
        }
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_EXITKILL | ptrace::Options::PTRACE_O_TRACESYSGOOD)?;
        Ok(victim)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    fn wait(&mut self) -> Result<WaitStatus, Failure> {
        let status = waitpid(self.pid, None)?;
        self.gone = matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
        Ok(status)
    }

    /// Runs on to the next mark; `order` says what becomes of each system call on the way.
    pub(crate) fn run(&mut self, mut order: impl FnMut(Call) -> Order) -> Result<Stop, Failure> {
        let mut pending: Option<Order> = None;
        let mut pass_on = None;
        loop {
            ptrace::syscall(self.pid, pass_on.take())?;
            match self.wait()? {
                WaitStatus::PtraceSyscall(_) => match pending.take() {
                    None => {
                        let mut registers = ptrace::getregs(self.pid)?;
                        let call = Call {
                            number: registers.orig_rax as i64,
                            args: [
                                registers.rdi,
                                registers.rsi,
                                registers.rdx,
                                registers.r10,
                                registers.r8,
                                registers.r9,
                            ],
                        };
                        let order = order(call);
                        if order == Order::KillBefore {
                            return self.kill();
                        }
                        if matches!(order, Order::Refuse(_)) {
                            registers.orig_rax = u64::MAX; // no such call: nothing is done
                            ptrace::setregs(self.pid, registers)?;
                        }
                        pending = Some(order);
                    }
                    Some(Order::Refuse(errno) | Order::Belie(errno)) => {
                        let mut registers = ptrace::getregs(self.pid)?;
                        registers.rax = i64::from(-errno) as u64;
                        ptrace::setregs(self.pid, registers)?;
                    }
                    Some(Order::KillAfter) => return self.kill(),
                    Some(_) => {}
                },
                WaitStatus::Stopped(_, Signal::SIGTRAP) => return Ok(Stop::Mark),
                // Meant for all of us, and over by now.
                WaitStatus::Stopped(_, Signal::SIGSTOP | Signal::SIGCONT) => {}
                WaitStatus::Stopped(_, signal) => pass_on = Some(signal),
                WaitStatus::Exited(_, status) => return Ok(Stop::Exited(status)),
                WaitStatus::Signaled(_, signal, _) => return Ok(Stop::Killed(signal)),
                status => return Err(format!("a victim waits: {status:?}").into()),
            }
        }
    }

    /// Kills it, and waits until it is gone.
    fn kill(&mut self) -> Result<Stop, Failure> {
        kill(self.pid, Signal::SIGKILL)?;
        while !self.gone {
            self.wait()?;
        }
        Ok(Stop::Killed(Signal::SIGKILL))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !self.gone {
            let _ = self.kill();
        }
    }
}

/// Runs `play` in a child of its own, which ends without dropping what `play` has forgotten.
pub(crate) fn in_child(play: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    match child(play)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        status => Err(format!("a child ended: {status:?}").into()),
    }
}

/// The same for a `play` that kills its process.
pub(crate) fn in_child_that_dies(play: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    match child(play)? {
        WaitStatus::Signaled(_, Signal::SIGKILL, _) => Ok(()),
        status => Err(format!("a child did not die: {status:?}").into()),
    }
}

fn child(play: impl FnOnce() -> Result<(), Failure>) -> Result<WaitStatus, Failure> {
    Ok(waitpid(spawn_child(|| play().map(|()| 0))?, None)?)
}

/// A child that runs `play`, whose word is its exit status; whoever starts it waits for its end.
pub(crate) fn spawn_child(play: impl FnOnce() -> Result<i32, Failure>) -> Result<Pid, Failure> {
    // SAFETY: 1.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let status = play().unwrap_or_else(|error| {
                eprintln!("child: {error}");
                1
            });
            std::process::exit(status);
        }
    }
}
