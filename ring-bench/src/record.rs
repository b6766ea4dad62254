//! Keeps what was measured beside where and how: the date, the machine, its kernel, the compiler and the command.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Appends `table` to `file` as a section of its own.
///
/// # Errors
/// Whatever the file system says.
pub fn append(file: &Path, table: &str) -> io::Result<()> {
    let mut text = String::new();
    let _ = writeln!(text, "\n## {}\n", first_line("date", &["-u", "+%FT%TZ"]));
    let _ = writeln!(text, "{}\n\n```text\n{}\n```", circumstances(), table.trim_end());
    OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes())
}

/// Machine, kernel, compiler, commit and command in one line.
fn circumstances() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |m| m.1);
    let cpus = info.lines().filter(|line| line.starts_with("processor")).count();
    let mut arguments = std::env::args();
    let program = arguments.next().map(PathBuf::from);
    let program = program.as_deref().and_then(Path::file_name).map_or("ratios".into(), |name| name.to_string_lossy());
    let command: Vec<_> = arguments.collect();
    format!(
        "{model}, {cpus} CPUs; Linux {}; {}; commit {}; `{program} {}`",
        first_line("uname", &["-r"]),
        first_line("rustc", &["--version"]),
        first_line("git", &["describe", "--always", "--dirty"]),
        command.join(" ")
    )
}

/// The first line of a program's output; "unknown" where there is no such program.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().map(|output| output.stdout).unwrap_or_default();
    match String::from_utf8_lossy(&output).lines().next() {
        Some(line) if !line.is_empty() => line.to_owned(),
        _ => "unknown".to_owned(),
    }
}
