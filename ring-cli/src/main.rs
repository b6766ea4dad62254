//! `ringctl`: create, feed, drain, inspect, recover and remove shared-memory rings.
//!
//! Each command is one file: `send`, `recv`, `inspect` (ls, stat), `admin` (create, rm, recover), `doctor`, `demo`;
//! what they do to an MPMC ring stands in `mpmc`. `args` says
//! what may be typed, `exit` what the process ends with; the rest are their tools. Nothing here touches shared memory
//! but through `ring_shm`, and nothing is unsafe.

mod admin;
mod args;
mod attach;
mod cut;
mod demo;
mod doctor;
mod exit;
mod input;
mod inspect;
mod memory;
mod mpmc;
mod output;
mod progress;
mod recv;
mod send;
mod signals;
mod size;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.code.into()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    // A ring that somebody cuts is an error of ours, and no SIGBUS.
    ring_shm::guard_against_truncation()?;
    match command {
        Command::Create(args) => admin::create(&args),
        Command::Send(args) => send::run(&args),
        Command::Recv(args) => recv::run(&args),
        Command::Ls(args) => inspect::ls(&args),
        Command::Stat(args) => inspect::stat(&args),
        Command::Rm(args) => admin::rm(&args),
        Command::Recover(args) => admin::recover(&args),
        Command::Close(args) => mpmc::close(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoPeer(args) => demo::peer(&args),
    }
}

/// Help and version go to standard output and are a success; anything else is `ringctl: …` and exit code 2.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match output::print(&error.render().to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.code.into(),
        };
    }
    let text = error.render().to_string();
    Failure::new(Code::Arguments, text.strip_prefix("error: ").unwrap_or(&text).trim_end()).report();
    Code::Arguments.into()
}
