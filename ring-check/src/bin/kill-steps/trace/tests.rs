//! Ways that are passed over at once, against the same instructions stepped through: no point may be missing.
//!
//! # Safety
//!
//! 1. It jumps within itself, and writes one word of the caller's.

use nix::sys::ptrace;

use super::{At, Trace, Victim, mark};
use crate::Failure;

/// What one goes through: a way that is long enough to be passed over, which is entered at its beginning or by a jump
/// into its middle, and a word that is written within it.
#[inline(never)]
fn walk(jumps: bool, word: &mut u64, value: u64) {
    mark();
    // SAFETY: 1.
    unsafe {
        core::arch::asm!(
            "test {jumps}, {jumps}",
            "jnz 2f",
            "nop", "nop", "nop", "nop", "nop",
            "2:",
            "nop", "nop",
            "mov [{word}], {value}",
            "nop", "nop", "nop",
            jumps = in(reg) u64::from(jumps), word = in(reg) word, value = in(reg) value,
        );
    }
    mark();
}

fn victim(jumps: bool, word: &mut u64, value: u64) -> Result<Victim, Failure> {
    Victim::spawn(|| {
        walk(jumps, word, value);
        Ok(())
    })
}

/// What is written down of a walk by who knows what this thread has learnt so far.
fn recorded(jumps: bool, value: u64) -> Trace {
    let mut word = 0;
    let mut victim = victim(jumps, &mut word, value).unwrap();
    let (pid, place) = (victim.pid, (&raw const word).cast_mut().cast());
    let mut before = 0;
    let changed = |_| {
        let now = ptrace::read(pid, place).unwrap();
        core::mem::replace(&mut before, now) != now
    };
    victim.record(changed).unwrap()
}

/// What is written down by who knows nothing, and so takes each step.
fn stepped(jumps: bool, value: u64) -> Trace {
    std::thread::spawn(move || recorded(jumps, value)).join().unwrap()
}

fn addresses(trace: &Trace) -> Vec<u64> {
    trace.steps.iter().map(|step| step.at).collect()
}

#[test]
fn a_way_that_is_entered_in_its_middle_or_changes_the_segment_later_has_all_its_points() {
    // Learnt while it changes nothing, from the beginning.
    let whole = recorded(false, 0);
    assert!(whole.steps.iter().all(|step| !step.change));
    for (jumps, value) in [(false, 0), (true, 0), (false, 7), (true, 7)] {
        let (at_once, by_steps) = (recorded(jumps, value), stepped(jumps, value));
        assert_eq!(addresses(&at_once), addresses(&by_steps), "jumps: {jumps}");
        assert_eq!(by_steps.len() < whole.len(), jumps);
        // More points, not fewer.
        let (found, wanted) = (at_once.borders(), by_steps.borders());
        assert_eq!(wanted.is_empty(), value == 0);
        assert!(wanted.iter().all(|point| found.contains(point)), "{wanted:?} in {found:?}");
        for (trace, k) in [&at_once, &by_steps].into_iter().flat_map(|trace| (0..trace.len()).map(move |k| (trace, k)))
        {
            let mut word = 0;
            let mut victim = victim(jumps, &mut word, value).unwrap();
            assert!(victim.advance(trace, k).unwrap(), "point {k}");
            assert_eq!(victim.at().unwrap(), At::Within(by_steps.steps[k as usize].at), "point {k}");
        }
    }
}
