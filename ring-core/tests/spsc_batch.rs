//! Batches of the SPSC ring: claimed together, seen together, read and released together.
#![cfg(not(loom))]

mod spsc_support;

use core::ops::ControlFlow;

use ring_core::CONTROL_SIZE;
use ring_core::spsc::{ClaimError, Format, ReadError};
use spsc_support::{Bench, bytes, lines, recv, send};

#[test]
fn batch_is_all_or_nothing() {
    let memory = lines(CONTROL_SIZE + 256);
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for lap in 0..50u64 {
        let mut batch = tx.try_claim_batch_exact(3, 20).unwrap();
        assert_eq!((batch.remaining(), batch.is_empty()), (3, true));
        let mut positions = vec![];
        for i in 0..3 {
            positions.push(batch.push(i as u32, &bytes(i, 20 - i as usize * 7)).unwrap());
            assert!(matches!(rx.try_read(), Err(ReadError::Empty)), "lap {lap}: seen before the commit");
        }
        assert_eq!((batch.remaining(), batch.len()), (0, 3));
        assert_eq!(batch.push(9, &[]).unwrap_err(), ClaimError::Full);
        assert_eq!(batch.commit(), 3);
        for i in 0..3 {
            assert_eq!(recv(&mut rx, i, 20 - i as usize * 7).position, positions[i as usize]);
        }
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
        send(&mut tx, lap, 1);
        recv(&mut rx, lap, 1);
    }
}

#[test]
fn batch_takes_what_fits() {
    let memory = lines(CONTROL_SIZE + 256);
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..6 {
        send(&mut tx, i, 24);
    }
    // 192 of 256 bytes are in use; 16 bytes a record and 8 for the next header.
    assert_eq!(tx.try_claim_batch(100, 8).unwrap().remaining(), 3);
    assert_eq!(tx.try_claim_batch(2, 8).unwrap().remaining(), 2);
    assert!(matches!(tx.try_claim_batch_exact(4, 8), Err(ClaimError::Full)));
    assert!(matches!(tx.try_claim_batch(0, 8), Err(ClaimError::Full)), "none is never enough");
    let mut batch = tx.try_claim_batch(100, 8).unwrap();
    assert_eq!(batch.push(0, &[0; 9]).unwrap_err(), ClaimError::TooLong { len: 9, max: 8 });
    for i in 6..9 {
        batch.push(i, &bytes(u64::from(i), 8)).unwrap();
    }
    batch.commit();
    assert!(matches!(tx.try_claim_batch(1, 8), Err(ClaimError::Full)));
    for i in 0..6 {
        recv(&mut rx, i, 24);
    }
    for i in 6..9 {
        recv(&mut rx, i, 8);
    }
}

/// Whatever is claimed can be pushed, whatever the lengths: at each offset, with each length below the claimed one
/// at each place, and the ring is sound afterwards.
#[test]
fn batch_claim_is_a_promise() {
    const CAPACITY: u64 = 128;
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for offset in (0..CAPACITY).step_by(8) {
        for used in (0..CAPACITY / 2).step_by(24) {
            for (len, pattern) in (0..=56usize).step_by(8).flat_map(|len| (0..16u64).map(move |p| (len, p))) {
                let b = Bench::new(&memory, &Format::new(CAPACITY));
                let (mut tx, mut rx) = (b.producer(), b.consumer());
                for _ in 0..offset / 8 {
                    send(&mut tx, 0, 0);
                    recv(&mut rx, 0, 0);
                }
                for _ in 0..used / 24 {
                    send(&mut tx, 1, 16);
                }
                let Ok(mut batch) = tx.try_claim_batch(usize::MAX, len) else { continue };
                let claimed = batch.remaining();
                let short = |i: usize| if pattern >> (i % 4) & 1 == 1 { len / 2 } else { len };
                for i in 0..claimed {
                    batch.push(i as u32, &bytes(i as u64, short(i))).unwrap();
                }
                assert_eq!(batch.commit(), claimed);
                for _ in 0..used / 24 {
                    recv(&mut rx, 1, 16);
                }
                for i in 0..claimed {
                    recv(&mut rx, i as u64, short(i));
                }
                assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
            }
        }
    }
}

#[test]
fn batch_that_can_never_fit() {
    let memory = lines(CONTROL_SIZE + 64);
    let b = Bench::new(&memory, &Format::new(64));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    assert_eq!(tx.try_claim_batch_exact(4, 8).unwrap_err(), ClaimError::TooLong { len: 32, max: 24 });
    assert!(matches!(tx.try_claim_batch_exact(usize::MAX, 24), Err(ClaimError::TooLong { .. })));
    // What is not refused so fits an empty ring, wherever it stands.
    for (count, len) in [(3, 8), (1, 24), (7, 0), (1, 16)] {
        for _ in 0..20 {
            let mut batch = tx.try_claim_batch_exact(count, len).unwrap();
            while batch.remaining() > 0 {
                batch.push(1, &bytes(1, len)).unwrap();
            }
            batch.commit();
            for _ in 0..count {
                recv(&mut rx, 1, len);
            }
            assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
            send(&mut tx, 2, 0);
            recv(&mut rx, 2, 0);
        }
    }
}

#[test]
fn read_batch() {
    let memory = lines(CONTROL_SIZE + 256);
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    assert!(matches!(rx.try_read_batch(3), Err(ReadError::Empty)));
    for lap in 0..30 {
        for i in 0..5 {
            send(&mut tx, lap + i, 9);
        }
        // Dropped, kept or released unread, everything comes again.
        drop(rx.try_read_batch(3).unwrap());
        let mut batch = rx.try_read_batch(2).unwrap();
        assert!(batch.is_empty());
        assert_eq!(batch.next_record().unwrap().unwrap().tag(), lap as u32);
        batch.keep();
        assert_eq!(rx.try_read_batch(3).unwrap().release(), 0);
        let mut batch = rx.try_read_batch(3).unwrap();
        for i in 0..3 {
            let record = batch.next_record().unwrap().unwrap();
            let mut buf = [0; 16];
            assert_eq!((record.len(), record.copy_to(&mut buf), record.redelivered()), (9, 9, false));
            assert_eq!(&buf[..9], bytes(lap + i, 9));
        }
        assert!(batch.next_record().unwrap().is_none(), "three were asked for");
        assert_eq!((batch.len(), batch.release()), (3, 3));
        assert_eq!(tx.len_guess(), 2 * 24);
        let mut batch = rx.try_read_batch(9).unwrap();
        assert_eq!(batch.next_record().unwrap().unwrap().tag(), lap as u32 + 3);
        assert_eq!(batch.next_record().unwrap().unwrap().tag(), lap as u32 + 4);
        assert!(batch.next_record().unwrap().is_none(), "two are there");
        assert_eq!(batch.release(), 2);
    }
}

/// A batch of none takes none, singly or all at once, of records of their own and of a train; what is there stays.
#[test]
fn a_batch_of_none_takes_none() {
    let memory = lines(CONTROL_SIZE + 256);
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for count in [1, 5] {
        let mut batch = tx.try_claim_batch_exact(count, 8).unwrap();
        assert_eq!(batch.push_each(7, vec![[1; 8]; count]).unwrap(), count);
        assert_eq!(batch.commit(), count);
        let mut none = rx.try_read_batch(0).unwrap();
        assert!(none.next_record().unwrap().is_none());
        let flow = none.try_for_each(|record| ControlFlow::Break(record.tag())).unwrap();
        assert_eq!(flow, ControlFlow::Continue(()));
        assert!(none.is_empty() && none.release() == 0);
        for _ in 0..count {
            assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(7));
        }
    }
}

/// `push_each` and `try_for_each` do what their singular twins do: over every offset, with equal and mixed lengths, for batches
/// that wrap, end early, or find less than they want.
#[test]
fn many_at_once_as_one_by_one() {
    const CAPACITY: u64 = 512;
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for aligned in [false, true] {
        let b = Bench::new(&memory, &Format::new(CAPACITY).line_aligned(aligned));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let (mut sent, mut read, mut wraps) = (0u64, 0u64, 0);
        let len = |n: u64| if n % 50 < 25 { 8 } else { (n * 7 % 33) as usize };
        for round in 0..3000u64 {
            let want = 1 + round as usize % 9;
            if let Ok(mut batch) = tx.try_claim_batch(want, 32) {
                let before = batch.remaining();
                let mut payloads = (sent..).map(|n| bytes(n, len(n)));
                let pushed = batch.push_each(round as u32, payloads.by_ref().take(want - 1)).unwrap();
                assert_eq!((pushed, batch.remaining()), (before.min(want - 1), before - before.min(want - 1)));
                // What is not added is not drawn.
                let mut rest = payloads;
                let more = batch.push_each(round as u32, &mut rest).unwrap();
                assert_eq!((pushed + more, batch.len()), (before, before));
                assert_eq!(rest.next(), Some(bytes(sent + before as u64, len(sent + before as u64))));
                sent += batch.commit() as u64;
            }
            let Ok(mut batch) = rx.try_read_batch(1 + round as usize % 7) else { continue };
            let stop = (round % 5 == 0).then_some(read + 1);
            let (mut at, mut last) = (read, None);
            let flow = batch.try_for_each(|record| {
                assert_eq!((record.len(), record.redelivered()), (len(at), false));
                let mut buf = [0; 32];
                record.copy_to(&mut buf);
                assert_eq!(buf[..record.len()], bytes(at, len(at)));
                wraps += usize::from(last.is_some_and(|last| record.position().get() / CAPACITY > last));
                last = Some(record.position().get() / CAPACITY);
                at += 1;
                if stop == Some(at) { ControlFlow::Break(at) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(flow.unwrap().is_break(), stop == Some(at), "it ends where it is told to");
            assert_eq!(batch.len() as u64, at - read);
            // Kept, everything comes again; the singular call goes on behind the plural one.
            if round % 11 == 0 {
                batch.keep();
                continue;
            }
            if let Some(record) = batch.next_record().unwrap() {
                assert_eq!(record.len(), len(at));
                at += 1;
            }
            assert_eq!(batch.release() as u64, at - read);
            read = at;
        }
        assert!(sent > 3000 && wraps > 100, "{sent} sent, {wraps} batches over the end of the area");
    }
}

/// A payload that is too long ends it; what came before is in the batch.
#[test]
fn one_of_many_is_too_long() {
    let memory = lines(CONTROL_SIZE + 256);
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    let mut batch = tx.try_claim_batch(5, 8).unwrap();
    let refused = batch.push_each(0, [8, 8, 9, 8].map(|len| bytes(1, len)));
    assert_eq!(refused, Err(ClaimError::TooLong { len: 9, max: 8 }));
    assert_eq!((batch.len(), batch.commit()), (2, 2));
    let mut batch = rx.try_read_batch(9).unwrap();
    let flow: ControlFlow<()> = batch.try_for_each(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!((flow, batch.release()), (ControlFlow::Continue(()), 2));
}

/// After a death the records that may have been seen are flagged, by each way to read, and none behind them.
#[test]
fn what_was_seen_comes_flagged() {
    let memory = lines(CONTROL_SIZE + 1024);
    let flags = [false, true].map(|plural| {
        let b = Bench::new(&memory, &Format::new(1024));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        for n in 0..12 {
            send(&mut tx, n, 8);
        }
        let mut batch = rx.try_read_batch(4).unwrap();
        let _ = batch.try_for_each(|_| ControlFlow::<()>::Continue(())).unwrap();
        batch.keep();
        let mut rx = b.replace_consumer(rx);
        let mut flags = vec![];
        if plural {
            let mut batch = rx.try_read_batch(100).unwrap();
            let _ = batch
                .try_for_each(|record| {
                    flags.push(record.redelivered());
                    ControlFlow::<()>::Continue(())
                })
                .unwrap();
        } else {
            flags.extend((0..12).map(|n| recv(&mut rx, n, 8).redelivered));
        }
        flags
    });
    assert_eq!(flags[0], flags[1]);
    let flagged = flags[0].iter().take_while(|flag| **flag).count();
    assert!((4..12).contains(&flagged), "{flagged} flagged");
    assert!(flags[0][flagged..].iter().all(|flag| !flag), "{flags:?}");
}

#[test]
fn what_fits_into_an_empty_ring_fits_anywhere() {
    let memory = lines(CONTROL_SIZE + 256);
    for len in [0usize, 1, 9, 17, 40, 60] {
        let b = Bench::new(&memory, &Format::new(256));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let size = len.next_multiple_of(8) + 8;
        let largest = 256 / size - 1;
        for step in 0..64 {
            let too_many = tx.try_claim_batch_exact(largest + 1, len).map(|batch| batch.remaining());
            assert!(
                matches!(too_many, Err(ClaimError::TooLong { .. })),
                "step {step}: {largest} of {len} and one more"
            );
            for count in 1..=largest {
                let batch = tx.try_claim_batch_exact(count, len).unwrap();
                assert_eq!(batch.remaining(), count, "step {step}: {count} of {len}");
            }
            // With one record in it, what is said to fit can be pushed, and is what comes.
            send(&mut tx, step, 1);
            for count in 1..=largest {
                let Ok(mut batch) = tx.try_claim_batch(count, len) else { continue };
                let room = batch.remaining();
                for n in 0..room {
                    batch.push(n as u32, &bytes(n as u64, len)).unwrap();
                }
                batch.commit();
                recv(&mut rx, step, 1);
                for n in 0..room {
                    recv(&mut rx, n as u64, len);
                }
                send(&mut tx, step, 1);
            }
            recv(&mut rx, step, 1);
        }
    }
}

#[test]
fn a_batch_marks_what_it_hands_out() {
    let memory = lines(CONTROL_SIZE + 256);
    for each in [false, true] {
        let b = Bench::new(&memory, &Format::new(256));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        for step in 0..40 {
            for n in 0..3 {
                send(&mut tx, step + n, 8);
            }
            let mut batch = rx.try_read_batch(1).unwrap();
            if each {
                let _ = batch.try_for_each(|_| ControlFlow::<()>::Continue(())).unwrap();
            } else {
                assert!(batch.next_record().unwrap().is_some());
            }
            batch.keep();
            rx = b.replace_consumer(rx);
            let mut buf = [0; 8];
            assert!(rx.try_recv_into(&mut buf).unwrap().redelivered, "step {step}");
            for _ in 0..2 {
                rx.try_recv_into(&mut buf).unwrap();
            }
        }
    }
}
