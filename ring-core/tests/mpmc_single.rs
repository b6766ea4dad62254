//! Rings of one producer, or one consumer: their own ways of claiming, closing, dying and being succeeded.

#![cfg(not(loom))]

mod mpmc_support;

use mpmc_support::*;
use ring_core::mpmc::{Blocked, ClaimError, JoinError, ReadError, Repair};

#[test]
fn single_producer_and_single_consumer() {
    for (producers, consumers) in [(1, 3), (3, 1), (1, 1)] {
        let ring = ring(&small().participants(4).producers(producers).consumers(consumers));
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        for i in 0..100u64 {
            for j in 0..4 {
                assert_eq!(send(&mut tx, i * 10 + j), Ok(i * 5 + j - if producers == 1 { i } else { 0 }));
            }
            assert_eq!(send(&mut tx, 99), Err(ClaimError::Full));
            assert_eq!(recv(&mut rx), Ok(i * 10));
            let record = rx.try_read().unwrap();
            assert_eq!(record.tag() as u64, i * 10 + 1);
            record.release();
            let mut batch = rx.try_read_batch(4).unwrap();
            let tags: Vec<_> = std::iter::from_fn(|| batch.next_record().unwrap().map(|r| r.tag())).collect();
            assert_eq!(tags, [i as u32 * 10 + 2, i as u32 * 10 + 3]);
            assert_eq!(batch.release(), 2);
            assert_eq!(recv(&mut rx), Err(ReadError::Empty));
            drop(tx.try_claim(8).unwrap()); // a gap, or nothing at all
            assert_eq!(recv(&mut rx), Err(ReadError::Empty));
        }
        tx.close();
        assert_eq!(send(&mut tx, 1), Err(ClaimError::Closed));
        assert_eq!(recv(&mut rx), Err(ReadError::Closed));
        if producers == 1 {
            assert!(matches!(ring.join_producer(90, alive), Err(JoinError::TableFull { alive: 1, .. })));
        }
        if consumers == 1 {
            assert!(matches!(ring.join_consumer(90, alive), Err(JoinError::TableFull { alive: 1, .. })));
        }
        tx.leave();
        assert_eq!(ring.join_producer(90, alive).err(), Some(JoinError::Closed));
    }
}

#[test]
fn a_single_producers_successor_goes_on_where_it_stopped() {
    let ring = ring(&small().producers(1));
    let deaths = Deaths::default();
    let (mut victim, mut rx) = (producer(&ring), consumer(&ring));
    send(&mut victim, 0).unwrap();
    std::mem::forget(victim.try_claim(8).unwrap()); // unseen by anybody
    assert_eq!(recv(&mut rx), Ok(0));
    assert_eq!(recv(&mut rx), Err(ReadError::Empty));
    deaths.kill(victim.lease());
    let mut tx = ring.join_producer(ring.next_lease().unwrap(), deaths.verdict()).unwrap();
    assert_eq!(tx.index(), 0);
    assert_eq!(send(&mut tx, 1), Ok(1));
    assert_eq!(recv(&mut rx), Ok(1));
}

#[test]
fn others_ask_a_single_producer_to_close() {
    let ring = ring(&small().producers(1));
    let deaths = Deaths::default();
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    send(&mut tx, 0).unwrap();
    assert!(matches!(ring.close(rx.lease(), deaths.verdict()), Ok(Repair::Owned { .. })));
    assert_eq!(recv(&mut rx), Ok(0));
    assert_eq!(recv(&mut rx), Err(ReadError::Busy(Some(Blocked::Close))));
    assert!(matches!(rx.repair(Blocked::Close, deaths.verdict()), Ok(Repair::Owned { .. })));
    assert_eq!(send(&mut tx, 1), Err(ClaimError::Closed)); // takes notice
    assert_eq!(recv(&mut rx), Err(ReadError::Closed));
    assert_eq!(rx.repair(Blocked::Close, deaths.verdict()), Ok(Repair::Closed));
}

#[test]
fn a_close_outlives_the_single_producer() {
    for left in [true, false] {
        let ring = ring(&small().producers(1));
        let deaths = Deaths::default();
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        send(&mut tx, 0).unwrap();
        if left {
            tx.leave();
            assert_eq!(ring.close(rx.lease(), deaths.verdict()), Ok(Repair::Closed));
        } else {
            assert!(matches!(ring.close(rx.lease(), deaths.verdict()), Ok(Repair::Owned { .. })));
            deaths.kill(tx.lease());
            assert_eq!(recv(&mut rx), Ok(0));
            assert_eq!(recv(&mut rx), Err(ReadError::Busy(Some(Blocked::Close))));
            assert_eq!(rx.repair(Blocked::Close, deaths.verdict()), Ok(Repair::Closed));
            assert_eq!(recv(&mut rx), Err(ReadError::Closed));
            continue;
        }
        assert_eq!((recv(&mut rx), recv(&mut rx)), (Ok(0), Err(ReadError::Closed)));
        assert_eq!(ring.join_producer(90, alive).err(), Some(JoinError::Closed));
    }
}

#[test]
fn a_single_consumers_successor_gets_again_what_it_held() {
    for once in [false, true] {
        let format = if once { at_most_once() } else { small() }.consumers(1);
        let ring = ring(&format);
        let deaths = Deaths::default();
        let (mut tx, mut victim) = (producer(&ring), consumer(&ring));
        for n in 0..4 {
            send(&mut tx, n).unwrap();
        }
        victim.try_read().unwrap().release();
        std::mem::forget(victim.try_read_batch(2).unwrap());
        deaths.kill(victim.lease());
        assert_eq!(ring.repair_read(at(1), deaths.verdict()), Ok(Repair::Moved));
        let mut rx = ring.join_consumer(ring.next_lease().unwrap(), deaths.verdict()).unwrap();
        let mut order = Vec::new();
        while let Ok(record) = rx.try_read() {
            order.push((record.tag(), record.redelivered()));
            record.release();
        }
        assert_eq!(order, if once { vec![(3, false)] } else { vec![(1, true), (2, true), (3, false)] });
        assert_eq!(positions(&ring), (4, 4));
    }
}

#[test]
fn a_single_consumer_that_keeps_a_record_gets_it_again_in_order() {
    let ring = ring(&small().consumers(1));
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    send(&mut tx, 0).unwrap();
    send(&mut tx, 1).unwrap();
    rx.try_read().unwrap().keep();
    std::mem::forget(rx.try_read().unwrap());
    let record = rx.try_read().unwrap();
    assert_eq!((record.tag(), record.received().attempt), (0, 2));
    record.release();
    assert_eq!(recv(&mut rx), Ok(1));
}
