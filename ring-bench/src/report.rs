//! The findings as a table for people or as one JSON object a line for scripts.
//!
//! The JSON keys are a contract (CONTRACTS.md 4): nothing may be added to them or left out.

use crate::rows::Better;
use crate::run::{ENOUGH, Finding, Report};
use std::fmt::Write as _;

/// One line of JSON per row and class.
#[must_use]
pub fn json(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let object = serde_json::json!({
            "name": finding.row.name,
            "ratio": rounded(finding.ratio.p50),
            "p25": rounded(finding.ratio.p25),
            "p75": rounded(finding.ratio.p75),
            "rounds": finding.ratio.count,
            "class": finding.class.to_string(),
            "better": better(finding),
            "target": finding.row.target(finding.class),
            "pass": finding.pass(),
        });
        let _ = writeln!(text, "{object}");
    }
    text
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn better(finding: &Finding) -> &'static str {
    if finding.row.better == Better::Lower { "lower" } else { "higher" }
}

/// The table, the absolute figures and what was dropped.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<34} {:>5} {:>7} {:>7} {:>7} {:>6}  {:<8} {:<7} {:>9} {:>9}",
        "row", "class", "ratio", "p25", "p75", "rounds", "target", "verdict", "ours", "base"
    );
    for finding in &report.findings {
        let sign = if finding.row.better == Better::Lower { "<=" } else { ">=" };
        let verdict = match finding.pass() {
            Some(true) => "pass",
            Some(false) => "MISS",
            None => "too few",
        };
        let _ = writeln!(
            text,
            "{:<34} {:>5} {:>7.3} {:>7.3} {:>7.3} {:>6}  {sign} {:<5.2} {verdict:<7} {:>9.1} {:>9.1} {}",
            finding.row.name,
            finding.class,
            finding.ratio.p50,
            finding.ratio.p25,
            finding.ratio.p75,
            finding.ratio.count,
            finding.row.target(finding.class),
            finding.ours,
            finding.base,
            finding.unit,
        );
    }
    let _ = writeln!(
        text,
        "\n{:<34} {:>5} {:>9} {:>9} {:>9} {:>6}",
        "candidate", "class", "median", "p25", "p75", "slices"
    );
    for level in &report.levels {
        let q = level.figure;
        let _ = writeln!(
            text,
            "{:<34} {:>5} {:>9.1} {:>9.1} {:>9.1} {:>6} {}",
            level.name, level.class, q.p50, q.p25, q.p75, q.count, level.unit
        );
    }
    for (name, why) in &report.absent {
        let _ = writeln!(text, "{name:<34} not run: {why}");
    }
    let _ = writeln!(text, "\n{} A verdict needs {ENOUGH} rounds of one class.", report.tally());
    text
}
