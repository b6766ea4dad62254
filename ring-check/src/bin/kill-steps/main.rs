//! Death at every instruction: the operations of both rings are run in a child process, which is killed after each of
//! their instructions in turn, or stopped there while others work and then let go on; and again with a second death
//! in what is done about the first. Nothing that was committed may be lost, or come twice without its flag, and
//! whoever comes must be able to sit down and work. `ci/kill-steps.sh` runs it.

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    eprintln!("kill-steps knows the breakpoints of x86-64 alone");
    std::process::exit(2);
}

#[cfg(target_arch = "x86_64")]
mod audit;
#[cfg(target_arch = "x86_64")]
#[path = "../../backing.rs"]
#[allow(dead_code, reason = "other campaigns use more of it")]
mod backing;
#[cfg(target_arch = "x86_64")]
mod bench;
#[cfg(target_arch = "x86_64")]
mod campaign;
#[cfg(target_arch = "x86_64")]
#[path = "../../chance.rs"]
#[allow(dead_code, reason = "the storm uses more of it")]
mod chance;
#[cfg(target_arch = "x86_64")]
mod code;
#[cfg(target_arch = "x86_64")]
mod data;
#[cfg(target_arch = "x86_64")]
mod message;
#[cfg(target_arch = "x86_64")]
mod operation;
#[cfg(target_arch = "x86_64")]
mod page;
#[cfg(target_arch = "x86_64")]
mod pairs;
#[cfg(target_arch = "x86_64")]
mod past;
#[cfg(target_arch = "x86_64")]
mod peer;
#[cfg(target_arch = "x86_64")]
mod plant;
#[cfg(target_arch = "x86_64")]
mod seats;
#[cfg(target_arch = "x86_64")]
mod stage;
#[cfg(target_arch = "x86_64")]
mod strict;
#[cfg(target_arch = "x86_64")]
mod survive;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
#[cfg(target_arch = "x86_64")]
mod trace;

/// What went wrong, in words.
#[cfg(target_arch = "x86_64")]
type Failure = Box<dyn std::error::Error>;

#[cfg(target_arch = "x86_64")]
fn main() -> std::process::ExitCode {
    campaign::main()
}
