//! What is left of participants that die in the middle of something, and who settles it.

#![cfg(not(loom))]

mod mpmc_support;

use mpmc_support::*;
use ring_core::Verdict;
use ring_core::mpmc::{Blocked, ClaimError, Consumer, ReadError, Recovery, Repair};

#[test]
fn a_dead_writer_is_repaired_and_a_stopped_one_is_not() {
    let ring = ring(&small());
    let deaths = Deaths::default();
    let (mut victim, mut tx, mut rx) = (producer(&ring), producer(&ring), consumer(&ring));
    std::mem::forget(victim.try_claim(8).unwrap());
    send(&mut tx, 1).unwrap();
    let blocked = Blocked::Write(at(0));
    for _ in 0..3 {
        assert_eq!(recv(&mut rx), Err(ReadError::Busy(Some(blocked))));
        let owned = Repair::Owned { verdict: Verdict::Alive, lease: victim.lease(), index: victim.index() };
        assert_eq!(rx.repair(blocked, deaths.verdict()), Ok(owned));
        let owned = Repair::Owned { verdict: Verdict::Unknown, lease: victim.lease(), index: victim.index() };
        assert_eq!(rx.repair(blocked, |_| Verdict::Unknown), Ok(owned));
    }
    assert_eq!(ring.holders(blocked).map(|h| h.lease).collect::<Vec<_>>(), [victim.lease()]);
    deaths.kill(victim.lease());
    assert_eq!(rx.repair(blocked, deaths.verdict()), Ok(Repair::Skipped(at(0))));
    assert_eq!(rx.repair(blocked, deaths.verdict()), Ok(Repair::Moved));
    assert_eq!(recv(&mut rx), Ok(1));
    assert_eq!(ring.recover(victim.index(), deaths.verdict()), Ok(Recovery::Released { lease: victim.lease() }));
    assert_eq!(ring.recover(victim.index(), deaths.verdict()), Ok(Recovery::Vacant));
    assert_eq!(producer(&ring).index(), victim.index());
}

#[test]
fn a_dead_writers_batch_is_delivered_up_to_where_it_came() {
    let ring = ring(&small());
    let deaths = Deaths::default();
    let (mut victim, mut rx) = (producer(&ring), consumer(&ring));
    std::mem::forget(victim.try_claim_batch(3, 8).unwrap());
    deaths.kill(victim.lease());
    for p in 0..3 {
        assert_eq!(recv(&mut rx), Err(ReadError::Busy(Some(Blocked::Write(at(p))))));
        assert_eq!(rx.repair(Blocked::Write(at(p)), deaths.verdict()), Ok(Repair::Skipped(at(p))));
    }
    assert_eq!(recv(&mut rx), Err(ReadError::Empty));
}

#[test]
fn a_dead_readers_message_is_redelivered_with_a_flag() {
    let ring = ring(&small());
    let deaths = Deaths::default();
    let (mut tx, mut victim, mut rx) = (producer(&ring), consumer(&ring), consumer(&ring));
    for n in 0..4 {
        send(&mut tx, n).unwrap();
    }
    std::mem::forget(victim.try_read().unwrap());
    assert_eq!((1..4).map(|_| recv(&mut rx).unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(rx.try_read().err(), Some(ReadError::Empty)); // in living hands
    let blocked = Blocked::Read(at(0));
    assert_eq!(send(&mut tx, 4), Err(ClaimError::Busy(Some(blocked))));
    assert!(matches!(tx.repair(blocked, deaths.verdict()), Ok(Repair::Owned { verdict: Verdict::Alive, .. })));
    assert!(rx.redeliver(deaths.verdict(), |_| ()).is_err());
    deaths.kill(victim.lease());
    assert_eq!(tx.repair(blocked, deaths.verdict()), Ok(Repair::Orphaned(at(0))));
    assert_eq!(tx.repair(blocked, deaths.verdict()), Ok(Repair::Orphaned(at(0))));
    assert_eq!(send(&mut tx, 4), Err(ClaimError::Busy(Some(blocked))));
    let record = rx.try_read().unwrap();
    let got = record.received();
    assert_eq!((got.tag, got.position, got.redelivered, got.attempt), (0, at(0), true, 1));
    record.release();
    assert_eq!(send(&mut tx, 4), Ok(4));
    assert_eq!(recv(&mut rx), Ok(4));
}

#[test]
fn redelivery_finds_the_dead_without_a_hint() {
    let ring = ring(&small());
    let deaths = Deaths::default();
    let (mut tx, mut victim, mut rx) = (producer(&ring), consumer(&ring), consumer(&ring));
    for n in 0..3 {
        send(&mut tx, n).unwrap();
    }
    std::mem::forget(victim.try_read_batch(3).unwrap());
    deaths.kill(victim.lease());
    assert_eq!(rx.try_read().err(), Some(ReadError::Empty));
    let mut settled = Vec::new();
    let record = rx.redeliver(deaths.verdict(), |r| settled.push(r)).unwrap();
    assert_eq!((record.tag(), record.redelivered()), (0, true));
    record.release();
    assert_eq!(settled, [Repair::Orphaned(at(0))]);
    assert_eq!(ring.recover(victim.index(), deaths.verdict()), Ok(Recovery::Released { lease: victim.lease() }));
    assert_eq!((recv(&mut rx), recv(&mut rx), recv(&mut rx)), (Ok(1), Ok(2), Err(ReadError::Empty)));
}

#[test]
fn a_message_that_kills_its_readers_becomes_a_dead_letter_and_is_dropped_at_last() {
    let ring = ring(&small());
    let deaths = Deaths::default();
    let mut tx = producer(&ring);
    send(&mut tx, 5).unwrap();
    for attempt in 0..32 {
        let mut victim = ring.join_consumer(ring.next_lease().unwrap(), deaths.verdict()).unwrap();
        let record = match attempt {
            0 => victim.try_read(),
            _ => victim.redeliver(deaths.verdict(), |_| ()),
        }
        .unwrap();
        let got = record.received();
        assert_eq!((got.attempt, got.dead_letter), (attempt, attempt >= 3));
        std::mem::forget(record);
        deaths.kill(victim.lease());
    }
    assert_eq!(ring.repair_read(at(0), deaths.verdict()), Ok(Repair::Dropped(at(0))));
    let mut rx = ring.join_consumer(ring.next_lease().unwrap(), deaths.verdict()).unwrap();
    assert_eq!(recv(&mut rx), Err(ReadError::Empty));
}

#[test]
fn at_most_once_drops_what_a_dead_reader_held() {
    let ring = ring(&at_most_once());
    let deaths = Deaths::default();
    let (mut tx, mut victim, mut rx) = (producer(&ring), consumer(&ring), consumer(&ring));
    send(&mut tx, 0).unwrap();
    send(&mut tx, 1).unwrap();
    std::mem::forget(victim.try_read().unwrap());
    deaths.kill(victim.lease());
    assert_eq!(recv(&mut rx), Ok(1));
    assert_eq!(ring.repair_read(at(0), deaths.verdict()), Ok(Repair::Dropped(at(0))));
    assert!(rx.redeliver(deaths.verdict(), |_| ()).is_err());
    tx.close();
    assert_eq!(recv(&mut rx), Err(ReadError::Closed));
}

#[test]
fn a_dead_readers_gap_is_given_back() {
    // A reader that dies between claiming a gap and giving it back: the gap is claimed by hand.
    let ring = ring(&small());
    let deaths = Deaths::default();
    let (mut tx, mut victim) = (producer(&ring), consumer(&ring));
    let mut batch = tx.try_claim_batch(2, 8).unwrap();
    batch.push(0, &[]).unwrap();
    batch.commit();
    std::mem::forget(victim.try_read_batch(2).unwrap());
    deaths.kill(victim.lease());
    assert_eq!(ring.repair_read(at(1), deaths.verdict()), Ok(Repair::Moved)); // given back when claimed
    assert_eq!(ring.repair_read(at(0), deaths.verdict()), Ok(Repair::Orphaned(at(0))));
}

#[test]
fn joiners_settle_what_the_dead_have_left() {
    let ring = ring(&small().participants(2));
    let deaths = Deaths::default();
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    send(&mut tx, 1).unwrap();
    std::mem::forget(tx.try_claim(8).unwrap());
    std::mem::forget(rx.try_read().unwrap());
    deaths.kill(tx.lease());
    deaths.kill(rx.lease());
    let mut rx = ring.join_consumer(ring.next_lease().unwrap(), deaths.verdict()).unwrap();
    let mut tx = ring.join_producer(ring.next_lease().unwrap(), deaths.verdict()).unwrap();
    send(&mut tx, 2).unwrap();
    assert_eq!(recv(&mut rx), Ok(2));
    let record = rx.try_read().unwrap();
    assert_eq!((record.tag(), record.redelivered()), (1, true));
    record.release();
    tx.close();
    assert_eq!(recv(&mut rx), Err(ReadError::Closed));
}

/// Whoever fails while it works on a message, or forgets it, counts as dead to it: delivered at most once means that
/// nobody else works on it. Giving it back on purpose is another matter, and so is what was never handed out.
#[test]
fn at_most_once_drops_what_was_handed_out_and_abandoned() {
    for (format, again) in [(small(), true), (at_most_once(), false), (at_most_once().consumers(1), false)] {
        let ring = ring(&format);
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        let comes_again =
            |rx: &mut Consumer<'_>, n: u64| assert_eq!(recv(rx), if again { Ok(n) } else { Err(ReadError::Empty) });
        send(&mut tx, 1).unwrap();
        rx.try_read().unwrap().abandon();
        comes_again(&mut rx, 1);
        send(&mut tx, 2).unwrap();
        std::mem::forget(rx.try_read().unwrap());
        comes_again(&mut rx, 2);
        send(&mut tx, 3).unwrap();
        let mut batch = rx.try_read_batch(1).unwrap();
        batch.next_record().unwrap().unwrap();
        batch.abandon();
        comes_again(&mut rx, 3);
        send(&mut tx, 4).unwrap();
        rx.try_read().unwrap().keep();
        assert_eq!(recv(&mut rx), Ok(4));
        send(&mut tx, 5).unwrap();
        assert_eq!(rx.try_recv_into(&mut []), Err(ReadError::BufferTooSmall { needed: 8 }));
        rx.leave();
        let mut rx = consumer(&ring);
        assert_eq!(recv(&mut rx), Ok(5));
        send(&mut tx, 6).unwrap();
        std::mem::forget(rx.try_read().unwrap());
        rx.leave();
        comes_again(&mut consumer(&ring), 6);
        for n in 7..11 {
            send(&mut tx, n).unwrap();
        }
        assert_eq!(send(&mut tx, 11), Err(ClaimError::Full), "no slot is lost");
    }
}
