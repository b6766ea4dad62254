//! What the MPMC ring does when everybody follows the protocol.

#![cfg(not(loom))]

mod mpmc_support;

use mpmc_support::*;
use ring_core::mpmc::{
    Blocked, ClaimError, Format, JoinError, MAX_POSITION, ReadError, Redelivery, Repair, Ring, SeatFacts,
};
use ring_core::{AttachError, Field, FormatError, Region, Role, Verdict};

#[test]
fn smoke() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    assert_eq!(rx.try_read().err(), Some(ReadError::Empty));
    assert_eq!(tx.try_send(7, b"abc"), Ok(at(0)));
    let record = rx.try_read().unwrap();
    let mut buf = [0xff; 8];
    assert_eq!(record.copy_to(&mut buf), 3);
    assert_eq!((&buf[..3], record.tag(), record.position(), record.redelivered()), (&b"abc"[..], 7, at(0), false));
    record.release();
    assert_eq!(rx.try_read().err(), Some(ReadError::Empty));
    tx.try_send(8, &[]).unwrap();
    let got = rx.try_recv_into(&mut []).unwrap();
    assert_eq!((got.len, got.tag, got.position, got.attempt, got.dead_letter), (0, 8, at(1), 0, false));
}

#[test]
fn capacity_is_every_slot() {
    for slots in [1, 2, 4, 64] {
        let ring = ring(&Format::new(slots, 8).participants(4));
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        for lap in 0..3 {
            for i in 0..slots {
                assert_eq!(send(&mut tx, i), Ok(lap * slots + i));
            }
            assert_eq!(send(&mut tx, 99), Err(ClaimError::Full));
            for i in 0..slots {
                assert_eq!(recv(&mut rx), Ok(i));
            }
            assert_eq!(recv(&mut rx), Err(ReadError::Empty));
        }
    }
}

#[test]
fn full_and_empty_and_wrap() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    for i in 0..1000 {
        for j in 0..=i % 4 {
            send(&mut tx, i * 10 + j).unwrap();
        }
        for j in 0..=i % 4 {
            assert_eq!(recv(&mut rx), Ok(i * 10 + j));
        }
    }
    assert_eq!(recv(&mut rx), Err(ReadError::Empty));
    let (head, tail) = positions(&ring);
    assert_eq!((head, tail), (2500, 2500));
}

#[test]
fn slots_of_every_size_keep_their_bytes() {
    for size in [1, 7, 8, 9, 47, 48, 49, 112, 1000] {
        let ring = ring(&Format::new(4, size).participants(2));
        assert_eq!(ring.max_len() as u64, size);
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        for round in 0..20u8 {
            let payload = vec![round; size as usize];
            tx.try_send(0, &payload).unwrap();
            let mut buf = vec![0; size as usize];
            assert_eq!(rx.try_recv_into(&mut buf).unwrap().len, size as usize);
            assert_eq!(buf, payload);
        }
    }
}

#[test]
fn too_long() {
    let ring = ring(&small());
    let mut tx = producer(&ring);
    let refused = Some(ClaimError::TooLong { len: 9, max: 8 });
    assert_eq!(tx.try_send(0, &[0; 9]).err(), refused);
    assert_eq!(tx.try_claim(9).err(), refused);
    assert_eq!(tx.try_claim_batch(2, 9).err(), refused);
    assert_eq!(tx.try_claim_batch_exact(5, 8).err(), Some(ClaimError::TooLong { len: 5, max: 4 }));
    assert_eq!(positions(&ring), (0, 0));
}

#[test]
fn claims_are_written_in_pieces_and_unwritten_bytes_are_zero() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    for _ in 0..4 {
        tx.try_send(0, &[0xff; 8]).unwrap();
        recv_any(&mut rx);
    }
    let mut claim = tx.try_claim(8).unwrap();
    assert_eq!((claim.write(b"ab"), claim.write(b"c"), claim.len()), (2, 1, 8));
    claim.set_tag(5);
    claim.truncate(6);
    assert_eq!(claim.commit(), at(4));
    let mut buf = [1; 8];
    let got = rx.try_recv_into(&mut buf).unwrap();
    assert_eq!((&buf[..got.len], got.tag), (&b"abc\0\0\0"[..], 5));
}

fn recv_any(rx: &mut ring_core::mpmc::Consumer<'_>) {
    rx.try_read().unwrap().release();
}

#[test]
fn drop_aborts_and_voids() {
    for forget in [false, true] {
        let ring = ring(&small());
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        let mut claim = tx.try_claim(8).unwrap();
        claim.write(b"unseen");
        if forget {
            std::mem::forget(claim);
            assert_eq!(recv(&mut rx), Err(ReadError::Busy(Some(Blocked::Write(at(0))))));
        } else {
            drop(claim);
        }
        assert_eq!(send(&mut tx, 1), Ok(1));
        assert_eq!(recv(&mut rx), Ok(1));
        tx.try_claim(8).unwrap().abort();
        assert_eq!(recv(&mut rx), Err(ReadError::Empty));
        std::mem::forget(tx.try_claim(8).unwrap());
        tx.leave();
        assert_eq!(recv(&mut rx), Err(ReadError::Empty));
        assert_eq!(positions(&ring), (4, 4));
    }
}

#[test]
fn a_whole_lap_of_voids_is_skipped_in_one_call() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    for _ in 0..4 {
        tx.try_claim(1).unwrap().abort();
    }
    assert_eq!(tx.try_claim(1).err(), Some(ClaimError::Full));
    assert_eq!(recv(&mut rx), Err(ReadError::Empty), "nobody is in the middle of anything");
    send(&mut tx, 5).unwrap();
    assert_eq!(recv(&mut rx), Ok(5));
}

#[test]
fn batch() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    let mut batch = tx.try_claim_batch(9, 8).unwrap();
    assert_eq!(batch.remaining(), 4);
    for n in 0..3u64 {
        assert_eq!(batch.push(n as u32, &n.to_le_bytes()), Ok(at(n)));
    }
    assert_eq!(recv(&mut rx), Err(ReadError::Busy(Some(Blocked::Write(at(0))))));
    assert_eq!((batch.len(), batch.commit()), (3, 3));
    assert_eq!(send(&mut tx, 0), Err(ClaimError::Full));
    let mut batch = rx.try_read_batch(9).unwrap();
    for n in 0..3 {
        let record = batch.next_record().unwrap().unwrap();
        assert_eq!((record.tag(), record.position(), record.redelivered()), (n, at(u64::from(n)), false));
    }
    assert!(batch.next_record().unwrap().is_none());
    assert_eq!(batch.release(), 3);
    assert_eq!(recv(&mut rx), Err(ReadError::Empty));
    assert_eq!(positions(&ring), (4, 4));
}

#[test]
fn batches_that_fit_only_in_part() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    send(&mut tx, 0).unwrap();
    send(&mut tx, 1).unwrap();
    assert_eq!(tx.try_claim_batch_exact(3, 8).err(), Some(ClaimError::Full));
    let mut batch = tx.try_claim_batch(3, 8).unwrap();
    assert_eq!(batch.remaining(), 2);
    assert_eq!(batch.push(2, &2u64.to_le_bytes()), Ok(at(2)));
    assert_eq!(batch.push(3, &[0; 9]), Err(ClaimError::TooLong { len: 9, max: 8 }));
    assert_eq!(batch.push(3, &3u64.to_le_bytes()), Ok(at(3)));
    assert_eq!(batch.push(4, &[]), Err(ClaimError::Full));
    batch.commit();
    assert_eq!(rx.try_read_batch(1).unwrap().release(), 0); // not looked at: goes back
    assert_eq!((0..3).map(|_| recv(&mut rx)).collect::<Vec<_>>(), [Ok(1), Ok(2), Ok(3)]);
    let record = rx.try_read().unwrap();
    assert_eq!((record.tag(), record.redelivered()), (0, true));
    record.release();
    drop(tx.try_claim_batch(4, 8).unwrap());
    std::mem::forget(tx.try_claim_batch(4, 8));
    assert_eq!(recv(&mut rx), Err(ReadError::Empty));
}

#[test]
fn a_read_batch_that_is_dropped_or_kept_or_forgotten_comes_again() {
    for how in 0..3 {
        let ring = ring(&small());
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        for n in 0..4 {
            send(&mut tx, n).unwrap();
        }
        let mut batch = rx.try_read_batch(3).unwrap();
        assert_eq!(batch.next_record().unwrap().unwrap().tag(), 0);
        match how {
            0 => drop(batch),
            1 => batch.keep(),
            _ => std::mem::forget(batch),
        }
        let mut order = Vec::new();
        while let Ok(record) = rx.try_read() {
            order.push((record.tag(), record.received().attempt));
            record.release();
        }
        assert_eq!(order, [(3, 0), (0, 1), (1, 1), (2, 1)]);
    }
}

#[test]
fn a_record_that_is_kept_comes_again_until_it_is_a_dead_letter() {
    let ring = ring(&small().redelivery(Redelivery::AtLeastOnce { attempts: 2 }));
    let (mut tx, mut rx, mut other) = (producer(&ring), consumer(&ring), consumer(&ring));
    send(&mut tx, 5).unwrap();
    for attempt in 0..40 {
        let rx = if attempt % 2 == 0 { &mut rx } else { &mut other };
        let record = rx.try_read().unwrap();
        let got = record.received();
        assert_eq!((got.attempt, got.redelivered), (attempt.min(31), attempt > 0));
        assert_eq!(got.dead_letter, attempt >= 2);
        if attempt % 3 == 0 { record.keep() } else { drop(record) }
    }
    std::mem::forget(rx.try_read().unwrap());
    assert_eq!(other.try_read().err(), Some(ReadError::Empty)); // its own next operation puts it back
    rx.try_read().unwrap().release();
    assert_eq!(other.try_read().err(), Some(ReadError::Empty));
}

#[test]
fn a_message_too_long_for_the_buffer_stays_in_hand() {
    let ring = ring(&small());
    let (mut tx, mut rx, mut other) = (producer(&ring), consumer(&ring), consumer(&ring));
    send(&mut tx, 5).unwrap();
    send(&mut tx, 6).unwrap();
    assert_eq!(rx.try_recv_into(&mut [0; 7]).err(), Some(ReadError::BufferTooSmall { needed: 8 }));
    assert_eq!(rx.try_recv_into(&mut [0; 7]).err(), Some(ReadError::BufferTooSmall { needed: 8 }));
    assert_eq!(recv(&mut other), Ok(6));
    assert_eq!(recv(&mut rx), Ok(5));
    send(&mut tx, 7).unwrap();
    assert!(rx.try_recv_into(&mut []).is_err());
    rx.leave();
    let record = other.try_read().unwrap();
    assert_eq!((record.tag(), record.redelivered()), (7, true));
    record.release();
}

#[test]
fn close() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    let mut late = producer(&ring);
    send(&mut tx, 1).unwrap();
    let mut claim = late.try_claim(8).unwrap();
    tx.close();
    assert!(ring.stat().unwrap().closed);
    assert_eq!(send(&mut tx, 2), Err(ClaimError::Closed));
    assert_eq!(recv(&mut rx), Ok(1));
    assert_eq!(recv(&mut rx), Err(ReadError::Busy(Some(Blocked::Write(at(1))))));
    claim.write(&3u64.to_le_bytes());
    claim.set_tag(3);
    claim.commit();
    let mut other = consumer(&ring);
    let record = rx.try_read().unwrap();
    assert_eq!(record.tag(), 3);
    assert_eq!(recv(&mut other), Err(ReadError::Busy(Some(Blocked::Read(at(1))))));
    record.release();
    assert_eq!(recv(&mut other), Err(ReadError::Closed));
    assert_eq!(recv(&mut rx), Err(ReadError::Closed));
    let refused = ring.join_producer(ring.next_lease().unwrap(), alive).err();
    assert_eq!(refused, Some(JoinError::Closed));
    assert_eq!(ring.close(9, alive), Ok(Repair::Closed));
}

#[test]
fn close_waits_for_what_went_back() {
    let ring = ring(&small());
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    for n in 0..4 {
        send(&mut tx, n).unwrap();
    }
    rx.try_read().unwrap().keep();
    tx.close();
    let rest: Vec<_> = (0..5).map(|_| recv(&mut rx)).collect();
    assert_eq!(rest, [Ok(1), Ok(2), Ok(3), Ok(0), Err(ReadError::Closed)]);
}

#[test]
fn join_leave_and_table_full() {
    let ring = ring(&small().participants(3));
    let (a, b, c) = (producer(&ring), consumer(&ring), producer(&ring));
    assert_eq!((a.index(), b.index(), c.index()), (0, 2, 1)); // consumers come from the end
    let full = JoinError::TableFull { alive: 3, unknown: 0, unsettled: 0 };
    assert_eq!(ring.join_consumer(ring.next_lease().unwrap(), alive).err(), Some(full));
    let unknown = JoinError::TableFull { alive: 0, unknown: 3, unsettled: 0 };
    let refused = ring.join_consumer(ring.next_lease().unwrap(), |_| Verdict::Unknown).err();
    assert_eq!(refused, Some(unknown));
    b.leave();
    let d = producer(&ring);
    assert_eq!(d.index(), 2);
    assert_eq!(ring.participant(2).unwrap().role, Some(Role::Producer));
    assert_eq!(ring.participant(2).unwrap().lease, d.lease());
    assert!(ring.participant(3).is_none());
    assert!(matches!(ring.join_producer(0, alive), Err(JoinError::Corrupt(_))));
    let facts = SeatFacts { pid: 7, start_time: 8, boot: 9, pid_namespace: 10 };
    assert_eq!(ring.facts_of(d.lease()), None);
    d.set_facts(facts);
    assert_eq!((ring.facts_of(d.lease()), ring.facts_of(a.lease())), (Some(facts), None));
}

#[test]
fn limits_on_roles_hold() {
    let ring = ring(&small().participants(6).producers(2).consumers(3));
    let tx: Vec<_> = (0..2).map(|_| producer(&ring)).collect();
    assert!(matches!(ring.join_producer(90, alive), Err(JoinError::TableFull { alive: 2, .. })));
    let rx: Vec<_> = (0..3).map(|_| consumer(&ring)).collect();
    assert!(matches!(ring.join_consumer(90, alive), Err(JoinError::TableFull { alive: 3, .. })));
    assert_eq!(tx.iter().map(|t| t.index()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(rx.iter().map(|t| t.index()).collect::<Vec<_>>(), [5, 4, 3]);
}

#[test]
fn the_last_position_is_the_end() {
    for producers in [1, 4] {
        let ring = ring(&small().producers(producers).start_at(MAX_POSITION - 3));
        let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
        assert_eq!(send(&mut tx, 0), Ok(MAX_POSITION - 3));
        let mut batch = tx.try_claim_batch(4, 8).unwrap();
        assert_eq!(batch.remaining(), 2);
        batch.push(1, &1u64.to_le_bytes()).unwrap();
        batch.push(2, &2u64.to_le_bytes()).unwrap();
        batch.commit();
        assert_eq!(send(&mut tx, 3), Err(ClaimError::Exhausted));
        assert_eq!(tx.try_claim_batch(4, 8).err(), Some(ClaimError::Exhausted));
        for n in 0..3 {
            assert_eq!(recv(&mut rx), Ok(n));
        }
        assert_eq!(recv(&mut rx), Err(ReadError::Empty));
        tx.close();
        assert_eq!(recv(&mut rx), Err(ReadError::Closed));
    }
}

#[test]
fn attach_gives_back_what_format_wrote() {
    let format = Format::new(8, 100).participants(5).producers(2).consumers(3).type_hash(3).generation(9);
    let region = Region::new(memory(&format));
    let ring = Ring::format(region, &format).unwrap();
    let (mut tx, mut rx) = (producer(&ring), consumer(&ring));
    send(&mut tx, 1).unwrap();
    recv(&mut rx).unwrap();
    let again = Ring::attach(region).unwrap();
    assert_eq!((again.capacity(), again.max_len(), again.footprint()), (8, 100, format.footprint()));
    assert_eq!((again.max_participants(), again.max_producers(), again.max_consumers()), (5, 2, 3));
    assert_eq!((again.type_hash(), again.generation()), (3, 9));
    assert_eq!(again.redelivery(), Redelivery::AtLeastOnce { attempts: 3 });
    assert_eq!(positions(&again), (1, 1));
    assert!(matches!(
        ring_core::spsc::Ring::attach(region),
        Err(AttachError::Incompatible { field: Field::Magic, .. })
    ));
}

#[test]
fn format_refuses_what_cannot_be() {
    let refused = |format: Format| format.check().err();
    assert!(matches!(refused(Format::new(3, 8)), Some(FormatError::Capacity { found: 3, .. })));
    assert!(matches!(refused(Format::new(0, 8)), Some(FormatError::Capacity { found: 0, .. })));
    assert!(matches!(refused(Format::new(4, 0)), Some(FormatError::SlotSize { found: 0, .. })));
    assert!(matches!(refused(Format::new(4, 1 << 32)), Some(FormatError::SlotSize { .. })));
    for bad in [small().participants(1), small().participants(65), small().producers(0), small().consumers(9)] {
        assert!(matches!(refused(bad), Some(FormatError::Participants { .. })));
    }
    for attempts in [0, 32] {
        let bad = small().redelivery(Redelivery::AtLeastOnce { attempts });
        assert!(matches!(refused(bad), Some(FormatError::Attempts { .. })));
    }
    assert!(matches!(refused(small().start_at(MAX_POSITION + 1)), Some(FormatError::Start { .. })));
    let region = Region::new(memory(&small()));
    assert!(matches!(Ring::format(region, &Format::new(1 << 20, 8)), Err(FormatError::RegionTooSmall { .. })));
    for bad in [small(), small().participants(65), Format::new(1 << 32, (1 << 31) - 16)] {
        assert!(bad.check().is_err() || bad.footprint() > 0);
    }
}
