//! Seats of the SPSC ring: who may sit, what a successor finds, how sessions end, what is flagged as redelivered.
#![cfg(not(loom))]
#![allow(clippy::disallowed_types)]

mod spsc_support;

use ring_core::spsc::{ClaimError, Format, ReadError, Ring};
use ring_core::{CONTROL_SIZE, Line, MAX_LEASE, Region, Role, SeatError, SeatState, SessionEnd, Verdict};
use spsc_support::{Bench, Next, bytes, count, lines, recv, send};

fn memory() -> Vec<Line> {
    lines(CONTROL_SIZE + 256)
}

/// Everything up to `Nothing`: tags and ends.
fn drain<'m>(b: &Bench<'m>, rx: &mut ring_core::spsc::Consumer<'m>) -> Vec<Result<u32, SessionEnd>> {
    let mut all = vec![];
    loop {
        match b.next(rx, &mut [0; 256]) {
            Next::Record(got) => all.push(Ok(got.tag)),
            Next::End(end) => all.push(Err(end)),
            Next::Nothing => return all,
        }
    }
}

#[test]
fn one_of_each_sits() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    assert_eq!(b.ring.seat(Role::Producer), Ok(SeatState::Never));
    let (mut tx, rx) = (b.producer(), b.consumer());
    assert_eq!((tx.lease(), rx.lease()), (1, 2));
    assert_eq!(b.sit_producer().unwrap_err(), SeatError::Taken { lease: 1 });
    assert_eq!(b.sit_consumer().unwrap_err(), SeatError::Taken { lease: 2 });
    assert_eq!(b.ring.sit_producer(9, |_| Verdict::Unknown).unwrap_err(), SeatError::Unknown { lease: 1 });
    assert_eq!(b.ring.seat(Role::Producer), Ok(SeatState::Held(1)));
    tx.close();
    assert_eq!(b.ring.seat(Role::Producer), Ok(SeatState::Closed(1)));
    // Whoever closed needs no verdict to be followed.
    let asked = |lease| {
        assert_eq!(lease, 2, "only the consumer's lease is looked at");
        Verdict::Alive
    };
    let tx = b.ring.sit_producer(b.ring.next_lease().unwrap(), asked).unwrap();
    b.kill(rx.lease());
    b.consumer();
    assert_eq!(b.ring.seat(Role::Producer), Ok(SeatState::Held(tx.lease())));
}

#[test]
fn a_late_close_harms_nobody() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let (mut old, mut rx) = (b.producer(), b.consumer());
    // Somebody was told that `old` is dead, and it is not.
    b.kill(old.lease());
    let new = b.producer();
    old.close();
    assert_eq!(b.ring.seat(Role::Producer), Ok(SeatState::Held(new.lease())));
    let _ = drain(&b, &mut rx);
}

#[test]
fn close_comes_after_the_last_record() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    send(&mut tx, 1, 10);
    send(&mut tx, 2, 10);
    tx.close();
    assert_eq!(rx.producer_end(|_| Verdict::Alive), Ok(None), "not while records are unread");
    assert_eq!(drain(&b, &mut rx), [Ok(1), Ok(2), Err(SessionEnd::Closed)]);
    assert_eq!(drain(&b, &mut rx), [], "once");
    let mut tx = b.producer();
    send(&mut tx, 3, 10);
    b.kill(tx.lease());
    let mut tx = b.producer();
    send(&mut tx, 4, 10);
    tx.close();
    assert_eq!(drain(&b, &mut rx), [Ok(3), Err(SessionEnd::Died), Ok(4), Err(SessionEnd::Closed)]);
    // Sessions without a record have an end, too.
    b.producer().close();
    b.producer().close();
    assert_eq!(drain(&b, &mut rx), [Err(SessionEnd::Closed), Err(SessionEnd::Closed)]);
}

#[test]
fn consumer_end() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let mut tx = b.producer();
    let end = |tx: &mut ring_core::spsc::Producer<'_>| tx.consumer_end(|lease| b.verdict(lease)).unwrap();
    assert_eq!(end(&mut tx), None, "nobody has sat there yet");
    let mut rx = b.consumer();
    assert_eq!(end(&mut tx), None);
    rx.close();
    assert_eq!((end(&mut tx), end(&mut tx)), (Some(SessionEnd::Closed), None));
    let rx = b.consumer();
    assert_eq!(end(&mut tx), None);
    b.kill(rx.lease());
    assert_eq!((end(&mut tx), end(&mut tx)), (Some(SessionEnd::Died), None));
    let mut tx = b.replace_producer(tx);
    assert_eq!(end(&mut tx), None, "was over before this one sat down");
}

/// A producer that closes and ends at once has closed, however late the verdict comes.
#[test]
fn close_is_no_death() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    let end = rx.producer_end(|_| {
        // Between the look at the seat and the verdict: close, unmap, exit.
        tx.close();
        Verdict::Dead
    });
    assert!(matches!(end, Ok(Some(SessionEnd::Closed) | None)), "an orderly close was reported as {end:?}");
    let (mut tx, mut rx) = (b.producer(), rx);
    let _ = drain(&b, &mut rx);
    let end = tx.consumer_end(|_| {
        rx.close();
        Verdict::Dead
    });
    assert!(matches!(end, Ok(Some(SessionEnd::Closed) | None)), "an orderly close was reported as {end:?}");
}

/// The end of a session is reported although its successors had no room for its mark.
#[test]
fn a_full_ring_hides_no_end() {
    for (close_first, end) in [(false, SessionEnd::Died), (true, SessionEnd::Closed)] {
        let memory = memory();
        let b = Bench::new(&memory, &Format::new(256));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let mut sent = 0;
        while tx.try_send(sent, &[0; 24]).is_ok() {
            sent += 1;
        }
        while tx.try_send(sent, &[]).is_ok() {
            sent += 1;
        }
        if close_first {
            tx.close()
        } else {
            b.kill(tx.lease())
        }
        // The second session ends the other way, without ever having had room for anything.
        let mut second = b.producer();
        assert!(matches!(second.try_send(99, &[]), Err(ClaimError::Full)));
        if close_first {
            b.kill(second.lease())
        } else {
            second.close()
        }
        let log = drain(&b, &mut rx);
        let ends: Vec<_> = log.iter().filter_map(|e| e.err()).collect();
        assert_eq!(log.len() - ends.len(), sent as usize);
        assert_eq!(ends.first(), Some(&end), "the first session's end, of {ends:?}");
    }
}

#[test]
fn recover() {
    // A successor goes on behind the last record, whatever its predecessor had begun.
    for (i, offset) in (0..256).step_by(8).enumerate() {
        let memory = memory();
        let b = Bench::new(&memory, &Format::new(256));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        for _ in 0..offset / 8 {
            send(&mut tx, 0, 0);
            recv(&mut rx, 0, 0);
        }
        send(&mut tx, 1, 30);
        let mut claim = tx.try_claim(50).unwrap();
        claim.write(&(0xBADu64 << 32 | 1).to_le_bytes().repeat(6));
        let _ = std::mem::ManuallyDrop::new(claim);
        if i % 2 == 0 {
            let mut batch = tx.try_claim_batch_exact(3, 8).unwrap();
            for n in 0..3 {
                batch.push(n, &[0x55; 8]).unwrap();
            }
            let _ = std::mem::ManuallyDrop::new(batch);
        }
        let mut tx = b.replace_producer(tx);
        send(&mut tx, 2, 70);
        tx.close();
        assert_eq!(drain(&b, &mut rx), [Ok(1), Err(SessionEnd::Died), Ok(2), Err(SessionEnd::Closed)]);
    }
}

#[test]
fn redelivery_is_flagged() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..5 {
        send(&mut tx, i, 10);
    }
    recv(&mut rx, 0, 10);
    assert_eq!(rx.try_read().unwrap().tag(), 1);
    let mut rx = b.replace_consumer(rx);
    assert!(recv(&mut rx, 1, 10).redelivered, "the dead one had it in its hands");
    assert!(!recv(&mut rx, 2, 10).redelivered);
    let mut batch = rx.try_read_batch(9).unwrap();
    while batch.next_record().unwrap().is_some() {}
    let mut rx = b.replace_consumer(rx);
    let mut batch = rx.try_read_batch(9).unwrap();
    for tag in [3, 4] {
        let record = batch.next_record().unwrap().unwrap();
        assert_eq!((record.tag(), record.redelivered()), (tag, true));
    }
    batch.release();
    // The next one may be flagged, since a batch marks a little ahead; the one after it was never in sight.
    send(&mut tx, 5, 1);
    send(&mut tx, 6, 1);
    recv(&mut rx, 5, 1);
    assert!(!recv(&mut rx, 6, 1).redelivered);
}

/// What the first of two dead consumers saw stays flagged when the second one has seen less.
#[test]
fn redelivery_is_not_forgotten() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..3 {
        send(&mut tx, i, 10);
    }
    let mut batch = rx.try_read_batch(3).unwrap();
    while batch.next_record().unwrap().is_some() {}
    let mut rx = b.replace_consumer(rx);
    assert!(rx.try_read().unwrap().redelivered());
    let mut rx = b.replace_consumer(rx);
    for i in 0..3 {
        assert!(recv(&mut rx, i, 10).redelivered, "record {i} was in the first consumer's hands");
    }
}

/// What one consumer has kept stays flagged for its successor when it reads less afterwards.
#[test]
fn kept_records_stay_flagged() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256).release_every(64));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..3 {
        send(&mut tx, i, 0);
    }
    let mut batch = rx.try_read_batch(2).unwrap();
    while batch.next_record().unwrap().is_some() {}
    batch.keep();
    recv(&mut rx, 0, 0);
    let mut rx = b.replace_consumer(rx);
    assert!(recv(&mut rx, 0, 0).redelivered);
    assert!(recv(&mut rx, 1, 0).redelivered, "it was in the dead one's hands");
    recv(&mut rx, 2, 0);
}

#[test]
fn lazy_release_is_redelivered() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256).release_every(64));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..6 {
        send(&mut tx, i, 16);
    }
    for i in 0..5 {
        recv(&mut rx, i, 16);
    }
    // 72 bytes were published after three records; the two after them come again, flagged, and no other.
    let mut rx = b.replace_consumer(rx);
    assert!(recv(&mut rx, 3, 16).redelivered);
    assert!(recv(&mut rx, 4, 16).redelivered);
    assert!(!recv(&mut rx, 5, 16).redelivered);
}

#[test]
fn a_new_consumer_waits_for_the_next_session() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    send(&mut tx, 1, 1);
    tx.close();
    assert_eq!(drain(&b, &mut rx), [Ok(1), Err(SessionEnd::Closed)]);
    let mut rx = b.replace_consumer(rx);
    assert_eq!(drain(&b, &mut rx), [], "nothing unread, no producer: not its session");
    let mut tx = b.producer();
    send(&mut tx, 2, 1);
    assert_eq!(drain(&b, &mut rx), [Ok(2)]);
    // Something unread: the end is told.
    send(&mut tx, 3, 1);
    b.kill(tx.lease());
    let mut rx = b.replace_consumer(rx);
    assert_eq!(drain(&b, &mut rx), [Ok(3), Err(SessionEnd::Died)]);
}

#[test]
fn leases_run_out() {
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256));
    let ring = b.ring;
    assert!(ring.sit_producer(MAX_LEASE, |_| Verdict::Alive).is_ok());
    assert_eq!(ring.seat(Role::Producer), Ok(SeatState::Held(MAX_LEASE)));
    // The counter has not given that number out.
    assert!(Ring::attach(Region::new(&memory)).is_err());
}

#[test]
fn outcomes() {
    // Two threads and deaths on both sides: each record comes, in order; what comes twice is flagged.
    let memory = memory();
    let b = Bench::new(&memory, &Format::new(256).release_every(32));
    for round in 0..count(200) {
        let (tx, rx) = (b.producer(), b.consumer());
        let stop = std::sync::atomic::AtomicBool::new(false);
        let started = std::time::Instant::now();
        let wait = move || {
            assert!(started.elapsed().as_secs() < 60, "no progress");
            std::thread::yield_now();
        };
        let (sent, mut next) = std::thread::scope(|s| {
            let stop = &stop;
            let sender = s.spawn(move || {
                let mut tx = tx;
                let mut sent = 0u64;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if tx.try_send(sent as u32, &bytes(sent, (sent % 40) as usize)).is_ok() {
                        sent += 1;
                    } else {
                        wait();
                    }
                }
                (sent, tx.lease())
            });
            let receiver = s.spawn(move || {
                let (mut rx, mut next, mut buf) = (rx, 0u64, [0; 64]);
                while next < 50 + round {
                    match rx.try_recv_into(&mut buf) {
                        Ok(got) => {
                            assert_eq!((u64::from(got.tag), &buf[..got.len]), (next, &bytes(next, got.len)[..]));
                            next += 1;
                        }
                        Err(ReadError::Empty) => wait(),
                        Err(ReadError::Ended(_)) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                (next, rx.lease())
            });
            let (sent, received) = (sender.join().unwrap(), receiver.join().unwrap());
            b.kill(sent.1);
            b.kill(received.1);
            (sent.0, received.0)
        });
        // Successors of both: the rest of the session, then its end.
        let mut rx = b.consumer();
        let mut buf = [0; 64];
        let mut first = true;
        loop {
            match b.next(&mut rx, &mut buf) {
                Next::Record(got) => {
                    if first {
                        assert!(u64::from(got.tag) <= next, "lost {next} before {}", got.tag);
                    } else {
                        assert!(got.redelivered || u64::from(got.tag) >= next);
                    }
                    assert_eq!(got.redelivered, u64::from(got.tag) < next);
                    first = false;
                    next = next.max(u64::from(got.tag) + 1);
                }
                Next::End(end) => assert_eq!((end, next), (SessionEnd::Died, sent)),
                Next::Nothing => break,
            }
        }
        assert_eq!(next, sent);
        rx.close();
    }
}

/// Attaching to a ring at work, from outside, never finds it corrupt. (The loom model `positions_in_motion` holds the
/// moment still that this test hopes for.)
#[test]
fn attach_in_motion() {
    let memory = lines(CONTROL_SIZE + 64);
    let b = Bench::new(&memory, &Format::new(64));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (ring, region) = (b.ring, Region::new(&memory));
    let result = std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = tx.try_send(1, &[1; 8]);
                let _ = tx.try_send(2, &[]);
                let _ = rx.try_recv_into(&mut [0; 8]);
                let _ = rx.try_recv_into(&mut [0; 8]);
            }
        });
        let result = (0..count(50_000)).try_for_each(|_| {
            Ring::attach(region).map_err(|e| e.to_string())?;
            ring.head_and_tail().map(drop).map_err(|e| e.to_string())
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        result
    });
    assert_eq!(result, Ok(()));
}
