//! `ringctl doctor`: what the machine and this process are like for rings, one line a check.

use std::fmt::Write as _;

use ring_shm::doctor::{Finding, Health, examine};
use serde_json::{Value, json};

use crate::args::DoctorArgs;
use crate::exit::{Code, Failure};
use crate::output;

/// Runs `doctor`.
///
/// # Errors
/// [`Failure`] with code 1 when there are warnings and `--strict` was given.
pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let findings = examine();
    if args.json {
        output::print_json(&findings.iter().map(finding_json).collect())?;
    } else {
        output::print(&table(&findings))?;
    }
    let warnings = findings.iter().filter(|finding| finding.health == Health::Warning).count();
    if args.strict && warnings > 0 {
        return Err(Failure::new(Code::Other, format!("{warnings} warnings: do what they say, or leave out --strict")));
    }
    Ok(())
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Good => "ok",
        Health::Warning => "warning",
    }
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "check": finding.check,
        "health": word(finding.health),
        "found": finding.found,
        "means": finding.means,
    })
}

fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, health, found, means, .. } in findings {
        let _ = writeln!(text, "{:<9}{check:<16}{found}: {means}", word(*health));
    }
    text
}
