//! `golden write DIR` writes the golden rings of the present layout version into DIR, `golden check DIR` compares those
//! there with what this build writes. `ci/msrv.sh` runs the check of a 32-bit build.
#![allow(clippy::disallowed_macros)]

use std::process::ExitCode;
use std::{env, fs, io};

#[path = "../tests/golden/rings.rs"]
mod rings;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [command, directory] = arguments.as_slice() else { return usage() };
    let done = match command.as_str() {
        "write" => write(directory),
        "check" => check(directory),
        _ => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("golden: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: golden write|check DIRECTORY");
    ExitCode::from(2)
}

fn write(directory: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    rings::all().iter().try_for_each(|(name, bytes)| fs::write(format!("{directory}/{name}.ring"), bytes))
}

fn check(directory: &str) -> io::Result<()> {
    let rings = rings::all();
    for (name, bytes) in &rings {
        let file = format!("{directory}/{name}.ring");
        let found = fs::read(&file)?;
        let same = found.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        if same < found.len().max(bytes.len()) {
            return Err(io::Error::other(format!("{file} and what this build writes differ from byte {same} on")));
        }
    }
    println!("golden: {} rings agree byte for byte with a build of {} bits", rings.len(), usize::BITS);
    Ok(())
}
