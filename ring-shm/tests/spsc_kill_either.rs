//! `kill -9` of producers and consumers of the same SPSC ring at random times, under load. This process only supervises,
//! and compares the accounts in the end.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;
#[path = "support/workers.rs"]
mod workers;

use std::time::Instant;

use ring::{Item, Ledger, Rng, one_at_a_time, seed, session_of, until};
use support::unique;
use workers::*;

#[test]
fn child_entry() {
    workers::entry();
}

#[test]
fn kill_either() {
    let _turn = one_at_a_time();
    let (kills, mut rng) = (kills(), Rng(seed()));
    let (start, mut tally) = (Instant::now(), Tally::default());
    while tally.kills < kills {
        kill_both_of_one_ring(&mut rng, kills, &mut tally);
    }
    println!("kill_either: {tally}, {:.1?}", start.elapsed());
}

/// Accounts of judges begin here, so that sessions of producers count from 1.
const JUDGES: u32 = ring::ACCOUNTS / 2;

fn kill_both_of_one_ring(rng: &mut Rng, kills: u64, tally: &mut Tally) {
    let (name, ledger, options) = (unique("kb"), Ledger::new(), options(rng));
    ring_shm::spsc::create(name.as_str(), &options).unwrap();
    let max = (options.footprint() - 4096) as usize / 2 - 8;
    ledger.account(0).put(Item::Longest, max.min(LONGEST) as u64);
    tally.rings += 1;
    let (mut session, mut judge) = (1, JUDGES);
    let fates = [Fate::of(rng), Fate::of(rng)];
    let mut tx = start("producer", &name, &ledger, session, rng, fates[0]);
    let mut rx = start("judge", &name, &ledger, judge, rng, fates[1]);
    for _ in 0..1 + rng.below(40) {
        let (worker, role, number) =
            if rng.once_in(2) { (&mut tx, "producer", &mut session) } else { (&mut rx, "judge", &mut judge) };
        worker.end();
        if worker.fate.orderly {
            tally.orderly += 1;
        } else {
            tally.kills += 1;
            tally.seated += u64::from(worker.sits());
        }
        *number += 1;
        let fate = Fate::of(rng);
        *worker = start(role, &name, &ledger, *number, rng, fate);
        if tally.kills + 1 >= kills {
            break;
        }
    }
    // The last producer ends as it may, the last consumer gets all the rest.
    tx.end();
    rx.end();
    tally.kills += [&tx, &rx].map(|worker| u64::from(!worker.fate.orderly)).iter().sum::<u64>();
    let mut rx = start("judge", &name, &ledger, judge + 1, rng, Fate::ORDERLY);
    until("the last judge", || rx.sits().then_some(()));
    // A death may have left the stored tail behind: only a successor, or `recover`, finds the end.
    ring_shm::spsc::recover(name.as_str(), None).unwrap();
    until("the rest of the records", || is_empty(&name).then_some(()));
    rx.end();

    let (mut high, mut gaps, mut possible) = (0, 0, 0);
    for judge in JUDGES..=judge + 1 {
        let account = ledger.account(judge);
        if let Some(first) = account.get(Item::First).checked_sub(1) {
            let next = account.get(Item::Next);
            let again = high.min(next);
            let to = account.get(Item::FlaggedTo);
            if session_of(first as u32) == session_of(again as u32) {
                tally.redelivered += again.saturating_sub(first);
            }
            assert!(first >= again || to >= again, "{to:#x} of {first:#x}..{again:#x} comes again without the flag");
            // In the same session, or at the beginning of one that nobody has seen.
            let follows = first <= high + gaps || first & 0xf_ffff <= gaps;
            assert!(follows, "{high:#x}: lost until {first:#x}");
            (high, gaps) = (high.max(next), 0);
        }
        let in_call = account.get(Item::Stop) != STOP && account.get(Item::InCall) == 1;
        gaps += u64::from(in_call);
        possible += u64::from(in_call);
    }
    for session in 1..=session {
        let account = ledger.account(session);
        let (got, committed, announced) =
            (account.get(Item::Next), account.get(Item::Committed), account.get(Item::Announced));
        let mut outcomes = vec![committed];
        if account.get(Item::Stop) != STOP {
            outcomes.push(announced);
        }
        // A consumer that died in the middle of a receive may have taken the last one with it.
        let missing = outcomes.iter().filter_map(|outcome| outcome.checked_sub(got)).min();
        let missing = missing.unwrap_or_else(|| panic!("session {session}: {got} of {committed} or {announced}"));
        assert!(missing <= possible, "session {session}: {got} of {committed} or {announced}");
        possible -= missing;
        tally.gaps += missing;
        tally.records += got;
        if announced > committed && outcomes.len() == 2 {
            tally.open += 1;
            tally.open_committed += u64::from(got == announced);
        }
    }
}
