//! What this machine, and this process on it, are like for rings: what was found, and what it means for them. It
//! changes nothing; an unnamed file in `/dev/shm` is all it makes.
//!
//! `ringctl doctor` prints it, and a service can log it at its start.

mod machine;
mod probe;
mod process;

/// Whether rings are served well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// They are.
    Good,
    /// Something costs time, safety or comfort; what is found says how to mend it.
    Warning,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at, in a word.
    pub check: &'static str,
    /// Whether it is as it should be.
    pub health: Health,
    /// What is the case.
    pub found: String,
    /// What that means for rings here, with the cure if it is a warning.
    pub means: String,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self { check, health: Health::Good, found: found.into(), means: means.into() }
    }

    fn warning(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self { check, health: Health::Warning, found: found.into(), means: means.into() }
    }
}

/// Makes all checks.
///
/// ```
/// use ring_shm::doctor::{Health, examine};
///
/// for finding in examine().iter().filter(|finding| finding.health == Health::Warning) {
///     eprintln!("{}: {}: {}", finding.check, finding.found, finding.means);
/// }
/// ```
#[must_use]
pub fn examine() -> Vec<Finding> {
    let mut findings = machine::examine();
    findings.extend(process::examine());
    findings
}

/// Bytes for people.
fn bytes(n: u64) -> String {
    match n {
        0..=9999 => format!("{n} bytes"),
        10_000..=9_999_999 => format!("{} KiB", n >> 10),
        10_000_000..=9_999_999_999 => format!("{} MiB", n >> 20),
        _ => format!("{} GiB", n >> 30),
    }
}

/// The first line of a file of the kernel's.
fn line(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The number in a file of the kernel's.
fn number(path: &str) -> Option<u64> {
    line(path)?.parse().ok()
}

/// The word in brackets of a file that offers several.
fn chosen(path: &str) -> Option<String> {
    let text = line(path)?;
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}
