//! MPMC handles within one process: what each operation says and leaves, over the heap and over segments; unwinding;
//! inherited handles.
#![allow(unsafe_code)]

mod support;
#[path = "support/mpmc.rs"]
mod workers;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_shm::mpmc::{
    Consumer, HeapRing, Options, Producer, Record, Redelivery, TryRecvError, TrySendError, heap, inspect,
};
use ring_shm::{SetupErrorKind, Trusted, Verdict};
use support::{child, hear, play_alone, say, unique};
use workers::{facts, make, next, recv, send, small, until};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "heir" => play_heir(),
        "prober" => play_prober(&args[0]),
        other => panic!("no role {other}"),
    });
}

#[test]
fn capacity_is_all_slots_and_lengths_are_checked() {
    let ring = heap(4, 5).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!((tx.capacity(), tx.max_len(), rx.capacity(), rx.max_len()), (4, 5, 4, 5));
    assert_eq!(tx.try_send(0, b"123456"), Err(TrySendError::TooLong { len: 6, max: 5 }));
    assert_eq!(tx.try_claim(6).unwrap_err(), TrySendError::TooLong { len: 6, max: 5 });
    assert_eq!(tx.try_claim_batch_exact(5, 1).unwrap_err(), TrySendError::TooLong { len: 5, max: 4 });
    for n in 0..4 {
        assert_eq!(tx.try_send(n, &[b'x'; 5][..n as usize + 1]).unwrap().get(), u64::from(n));
    }
    assert_eq!((tx.try_send(4, b""), tx.len_guess()), (Err(TrySendError::Full), 4));
    let mut buf = [0; 5];
    for n in 0..4 {
        if n == 3 {
            assert_eq!(rx.try_recv_into(&mut buf[..2]), Err(TryRecvError::BufferTooSmall { needed: 4 }));
        }
        let got = rx.try_recv_into(&mut buf).unwrap();
        assert_eq!((got.tag, got.len, got.position.get()), (n, n as usize + 1, u64::from(n)));
        assert!(!got.redelivered, "what did not fit was not seen");
    }
    assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Empty));
}

#[test]
fn capacity_options_that_make_no_ring_are_refused() {
    let name = unique("options");
    let good = Options::new().slots(8).slot_size(8);
    let bad = [
        good.clone().slots(6),
        good.clone().slots(0),
        good.clone().slot_size(0),
        good.clone().max_participants(1),
        good.clone().max_participants(65),
        good.clone().max_participants(4).max_producers(5),
        good.clone().max_consumers(0),
        good.clone().at_least_once(0),
        good.clone().at_least_once(32),
        good.clone().mode(0o666),
    ];
    for options in bad {
        assert_eq!(ring_shm::mpmc::create(name.as_str(), &options).unwrap_err().kind(), SetupErrorKind::Invalid);
        let opened = Consumer::open_or_create(name.as_str(), &options);
        assert_eq!(opened.unwrap_err().kind(), SetupErrorKind::Invalid);
    }
    assert_eq!(inspect(name.as_str()).unwrap_err().kind(), SetupErrorKind::NotFound);
    Producer::create(name.as_str(), &good.at_least_once(31).max_producers(7)).unwrap();
    let seen = inspect(name.as_str()).unwrap();
    assert_eq!((seen.slots, seen.slot_size, seen.max_producers, seen.max_consumers), (8, 8, 7, 63));
    assert_eq!((seen.redelivery, seen.mode), (Redelivery::AtLeastOnce { attempts: 31 }, 0o600));
    assert_eq!(Producer::create(name.as_str(), &Options::new()).unwrap_err().kind(), SetupErrorKind::Exists);
    let other = ring_shm::spsc::Producer::open(name.as_str());
    assert_eq!(other.unwrap_err().kind(), SetupErrorKind::Corrupt, "another kind of ring");
}

#[test]
fn drop_aborts_a_claim_and_leaves_no_trace() {
    let ring = heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for round in 0..5u32 {
        tx.try_claim(8).unwrap().write(b"never");
        tx.try_claim_batch(1, 8).unwrap().push(9, b"never").unwrap();
        assert_eq!(rx.try_recv_into(&mut [0; 8]), Err(TryRecvError::Empty));
        let mut claim = tx.try_claim(3).unwrap();
        claim.set_tag(round);
        assert_eq!(claim.write(b"yes!"), 3);
        claim.commit();
        assert_eq!(rx.try_recv_into(&mut [0; 8]).unwrap().tag, round);
    }
}

#[test]
fn spare_slots_of_a_batch_are_skipped_and_unread_ones_come_again() {
    let ring = heap(8, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut batch = tx.try_claim_batch(6, 4).unwrap();
    for n in 0..4u32 {
        batch.push_with(n, 4, |room| room.copy_from_slice(&n.to_le_bytes())).unwrap();
    }
    assert_eq!(batch.push(4, b"12345"), Err(TrySendError::TooLong { len: 5, max: 4 }));
    assert_eq!((batch.remaining(), batch.commit()), (2, 4));
    let mut batch = rx.try_read_batch(3).unwrap();
    assert_eq!(&*batch.next_record().unwrap(), &0u32.to_le_bytes());
    assert_eq!(batch.next_record().unwrap().tag(), 1);
    assert_eq!(batch.release(), 2);
    let record = rx.try_read().unwrap();
    assert_eq!((record.tag(), record.redelivered()), (3, false), "what is back waits until nothing else is there");
    record.release();
    let record = rx.try_read().unwrap();
    assert_eq!((record.tag(), record.redelivered()), (2, true), "may be true wrongly");
    record.keep();
    let record = rx.try_read().unwrap();
    assert_eq!((record.tag(), record.attempt(), &*record), (2, 2, &2u32.to_le_bytes()[..]));
    drop(record);
    assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn unwinding_keeps_the_record_and_counts_as_a_death() {
    let ring = heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send(1, b"poison").unwrap();
    for attempt in 0..3 {
        // The record alone: it goes back, the handle lives.
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let record = rx.try_read().unwrap();
            assert_eq!((record.attempt(), record.dead_letter()), (attempt, false));
            panic!("as it should");
        }));
        let panic = panic.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as it should"), "{panic:?}");
    }
    let mut other = ring.consumer().unwrap();
    // With the handle: others have to find out.
    let moved = AssertUnwindSafe((ring.clone(), rx));
    let panic = catch_unwind(move || {
        let AssertUnwindSafe((_ring, mut rx)) = moved;
        let record = rx.try_read().unwrap();
        assert!(record.dead_letter());
        std::mem::forget(record);
        panic!("as it should");
    });
    assert!(panic.is_err());
    let attempt = until("the death", || other.try_read().ok().map(|record| record.attempt()));
    assert_eq!((attempt, other.stats().settled.returned, other.stats().settled.released), (4, 1, 1));
    // A producer's: its claim is skipped.
    let mut tx2 = ring.producer().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(move || {
        std::mem::forget(tx2.try_claim(1).unwrap());
        panic!("as it should");
    }));
    assert!(panic.is_err());
    tx.try_send(2, b"next").unwrap();
    let tag = until("the death", || other.try_recv_into(&mut [0; 8]).ok().map(|got| got.tag));
    assert_eq!((tag, other.stats().settled.skipped), (2, 1));
}

/// Released when it is dropped, by a call.
struct Released<'a>(Option<Record<'a, Trusted>>);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.take().unwrap().release();
    }
}

#[test]
fn what_is_released_by_a_call_while_unwinding_is_released() {
    let ring = heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send(1, b"done").unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _record = Released(Some(rx.try_read().unwrap()));
        panic!("as it should");
    }));
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"as it should"));
    assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Empty);
}

/// Whoever panics over a message may have done half of the work.
#[test]
fn at_most_once_unwinding_drops_the_record() {
    let ring = HeapRing::new(&Options::new().slots(4).slot_size(8).at_most_once()).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for way in 0..2 {
        tx.try_send(way, b"once").unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            if way == 0 {
                let _record = rx.try_read().unwrap();
                panic!("as it should");
            }
            let mut batch = rx.try_read_batch(4).unwrap();
            assert_eq!(batch.next_record().unwrap().tag(), way);
            panic!("as it should");
        }));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"as it should"));
        assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Empty);
    }
    tx.close().unwrap();
    assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Disconnected);
}

#[test]
fn forgotten_guards_are_settled_by_the_next_operation_or_the_end() {
    let name = make("forgotten", &small());
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    std::mem::forget(tx.try_claim(4).unwrap());
    send(&mut tx, 1).unwrap();
    std::mem::forget(rx.try_read().unwrap());
    assert_eq!(facts(next(&mut rx)), (1, 1, false));
    std::mem::forget(tx.try_claim(4).unwrap());
    drop(tx);
    let mut tx = Producer::open(name.as_str()).unwrap();
    send(&mut tx, 2).unwrap();
    std::mem::forget(rx.try_read().unwrap());
    drop(rx);
    let mut rx = Consumer::open(name.as_str()).unwrap();
    assert_eq!(facts(next(&mut rx)), (2, 1, false));
    assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
}

#[test]
fn heap_rings_have_every_mode_and_limit() {
    let ring = HeapRing::new(&Options::new().slots(4).slot_size(8).max_participants(3).max_producers(1)).unwrap();
    let mut tx = ring.producer().unwrap();
    assert_eq!(ring.producer().unwrap_err().kind(), SetupErrorKind::InUse);
    let (mut rx, second) = (ring.consumer().unwrap(), ring.consumer().unwrap());
    assert_eq!(ring.consumer().unwrap_err().kind(), SetupErrorKind::InUse);
    tx.try_send(0, b"one").unwrap();
    drop((tx, second));
    let mut tx = ring.producer().unwrap();
    assert_eq!(tx.try_send(1, b"two").unwrap().get(), 1);
    tx.close().unwrap();
    assert_eq!(tx.try_send(2, b"three"), Err(TrySendError::Disconnected));
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(0));
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(1));
    assert_eq!(rx.try_recv_into(&mut [0; 8]), Err(TryRecvError::Disconnected));
    drop(tx);
    assert_eq!(ring.producer().unwrap_err().kind(), SetupErrorKind::Closed);
}

/// Senders that fill the table and the ring would otherwise keep out whoever could make them room.
#[test]
fn limits_leave_a_place_for_the_other_role() {
    for handles in [3, 8, 64] {
        let ring = HeapRing::new(&Options::new().slots(4).slot_size(8).max_participants(handles)).unwrap();
        let producers: Vec<_> = (1..handles).map(|_| ring.producer().unwrap()).collect();
        assert_eq!(ring.producer().unwrap_err().kind(), SetupErrorKind::InUse);
        drop((ring.consumer().unwrap(), producers));
        let consumers: Vec<_> = (1..handles).map(|_| ring.consumer().unwrap()).collect();
        assert_eq!(ring.consumer().unwrap_err().kind(), SetupErrorKind::InUse);
        drop((ring.producer().unwrap(), consumers));
    }
}

#[test]
fn close_by_a_consumer_of_a_single_producer_ring() {
    let ring = HeapRing::new(&Options::new().slots(4).slot_size(8).max_producers(1)).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send(0, b"one").unwrap();
    rx.close().unwrap();
    assert!(rx.is_disconnected());
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.tag), Ok(0));
    assert!(matches!(rx.try_recv_into(&mut [0; 8]), Err(TryRecvError::Busy { .. })));
    assert_eq!(tx.try_send(1, b"two"), Err(TrySendError::Disconnected));
    assert_eq!(rx.try_recv_into(&mut [0; 8]), Err(TryRecvError::Disconnected));
}

#[test]
fn handles_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let ring = heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    is_send(&tx);
    is_send(&rx);
    is_send(&ring);
    let claim = tx.try_claim(8).unwrap();
    is_send(&claim);
    claim.commit();
    is_send(&rx.try_read().unwrap());
    assert_ne!(tx.stats().lease, rx.stats().lease);
    assert!(size_of_val(&tx) <= 512 && size_of_val(&rx) <= 512);
}

/// A dead reader's message is found by a poller that sleeps between its polls, within a few of them.
#[test]
fn recover_noticed_by_a_lazy_poller() {
    let name = make("lazy", &small());
    let mut rx = Consumer::open(name.as_str()).unwrap();
    for _ in 0..5000 {
        assert_eq!(recv(&mut rx), Err(TryRecvError::Empty)); // it used to spin
    }
    let mut prober = child("prober", &[name.as_str()]);
    prober.wait_for("holds");
    prober.kill();
    let polls = (1..200).find(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        recv(&mut rx).is_ok()
    });
    assert!(polls.is_some_and(|polls| polls < 40), "{polls:?}");
}

fn play_prober(name: &str) {
    let (mut tx, mut rx) = (Producer::open(name).unwrap(), Consumer::open(name).unwrap());
    send(&mut tx, 1).unwrap();
    let _record = rx.try_read().unwrap();
    say("holds");
    hear();
}

// ---- inherited handles ---------------------------------------------------------------------------------------------

#[test]
fn fork_inherited_handles_are_inert() {
    play_alone("heir", "done");
}

/// Ends a forked child: 0 if `f` holds, else the number of the check that fails.
fn in_fork(f: impl FnOnce() -> Result<(), i32>) {
    // SAFETY: this process has other threads (libtest's), which hold no lock that the child takes: it allocates
    // nothing beyond what glibc's own fork handlers make safe, and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = f().err().unwrap_or(0);
        // SAFETY: ends this child, runs nothing.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: our own child, and a whole int.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "check {} fails in the child, or signal {}", status >> 8, status & 127);
}

fn check(number: i32, holds: bool) -> Result<(), i32> {
    if holds { Ok(()) } else { Err(number) }
}

fn play_heir() {
    let name = make("heir", &small());
    let mut tx = Some(Producer::open(name.as_str()).unwrap());
    let mut rx = Some(Consumer::open(name.as_str()).unwrap());
    send(tx.as_mut().unwrap(), 1).unwrap();
    in_fork(|| {
        let (mut tx, mut rx) = (tx.take().unwrap(), rx.take().unwrap());
        check(1, tx.try_send(0, b"x") == Err(TrySendError::Forked))?;
        check(2, matches!(tx.try_claim(1), Err(TrySendError::Forked)))?;
        check(3, matches!(tx.try_claim_batch(1, 1), Err(TrySendError::Forked)))?;
        check(4, rx.try_recv_into(&mut [0; 8]) == Err(TryRecvError::Forked))?;
        check(5, matches!(rx.try_read(), Err(TryRecvError::Forked)))?;
        check(6, matches!(rx.try_read_batch(1), Err(TryRecvError::Forked)))?;
        check(7, tx.close() == Err(TrySendError::Forked) && rx.close() == Err(TryRecvError::Forked))?;
        check(8, tx.len_guess() == 0 && rx.stats().len_guess == 0)?;
        check(9, !tx.is_disconnected() && !rx.is_disconnected())?;
        check(10, tx.capacity() == 4 && rx.max_len() == 48)?;
        drop((tx, rx));
        let seen = inspect(name.as_str()).unwrap();
        check(11, seen.members.len() == 2 && seen.members.iter().all(|member| member.verdict == Verdict::Alive))?;
        // The child is a process of its own and may join.
        let mut own = Producer::open(name.as_str()).map_err(|_| 12)?;
        check(13, send(&mut own, 2).is_ok())
    });
    let (mut tx, mut rx) = (tx.unwrap(), rx.unwrap());
    assert_eq!(facts(next(&mut rx)), (1, 0, false));
    assert_eq!(facts(next(&mut rx)), (2, 0, false));
    send(&mut tx, 3).unwrap();
    assert_eq!(facts(next(&mut rx)), (3, 0, false));

    let ring = heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send(0, b"heap").unwrap();
    in_fork(|| {
        check(20, tx.try_send(0, b"x") == Err(TrySendError::Forked))?;
        check(21, rx.try_recv_into(&mut [0; 8]) == Err(TryRecvError::Forked))
    });
    assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|got| got.len), Ok(4));
    say("done");
}
