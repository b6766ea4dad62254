//! Failing system calls: every call of the operations of both rings is refused, in a child that knows nothing of it, with
//! everything it may plausibly say; creators are killed at every call; processes race to create; and a survivor sees
//! thousands of peers die. `ci/faults.sh` runs it.

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    eprintln!("faults knows the registers of x86-64 alone");
    std::process::exit(2);
}

#[cfg(target_arch = "x86_64")]
mod backing;
#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
mod campaign;
#[cfg(target_arch = "x86_64")]
#[path = "../../chance.rs"]
#[allow(dead_code, reason = "the storm uses more of it")]
mod chance;
#[cfg(target_arch = "x86_64")]
mod command;
#[cfg(target_arch = "x86_64")]
mod cycles;
#[cfg(target_arch = "x86_64")]
mod kills;
#[cfg(target_arch = "x86_64")]
mod peers;
#[cfg(target_arch = "x86_64")]
mod plant;
#[cfg(target_arch = "x86_64")]
mod play;
#[cfg(target_arch = "x86_64")]
mod races;
#[cfg(target_arch = "x86_64")]
mod scenes;
#[cfg(target_arch = "x86_64")]
mod state;
#[cfg(target_arch = "x86_64")]
mod strict;
#[cfg(target_arch = "x86_64")]
mod victim;

/// What went wrong, in words.
#[cfg(target_arch = "x86_64")]
type Failure = Box<dyn std::error::Error>;

#[cfg(target_arch = "x86_64")]
fn main() -> std::process::ExitCode {
    command::main()
}
