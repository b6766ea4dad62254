//! Deaths and closes in the middle of trains: who comes after goes on where he should.
#![cfg(not(loom))]
#![allow(clippy::disallowed_types, reason = "the words of the ring, which are the test's")]

mod spsc_support;

use std::mem::{ManuallyDrop, offset_of};
use std::sync::atomic::Ordering::Relaxed;

use ring_core::spsc::{Consumer, Format, Producer, ReadError};
use ring_core::{CONTROL_SIZE, Line, Role, SessionEnd, SpscControl, Verdict};
use spsc_support::trains::{Came, HEAVY, PUSHES, Push, Sent, TAKES, Take, at, check, push, take};
use spsc_support::{Bench, Next, lines, recv, send, within, words};

const CAPACITY: u64 = 4096;
/// What a batch marks ahead.
const AHEAD: u64 = CAPACITY / 32;

/// Where tests begin: the middle of the area, a train that the end of the area ends, numbers that cross 2^32 and 2^64.
const STARTS: [u64; 4] = [0, CAPACITY - 96, (1 << 32) - 96, 0_u64.wrapping_sub(96)];

/// Two trains of seven and five, a record between them, and one of another length behind: 14 records.
fn fill(tx: &mut Producer<'_>) -> Vec<Sent> {
    let records: Vec<_> = [(5, 9, 7), (6, 9, 1), (5, 9, 5), (5, 30, 1)]
        .into_iter()
        .flat_map(|(tag, len, count)| vec![(tag, len); count])
        .collect();
    push(tx, Push::Each, &records, 40)
}

/// Takes the rest one by one; after which the ring is sound.
fn drain(tx: &mut Producer<'_>, rx: &mut Consumer<'_>, sent: &[Sent], how: Take) -> Vec<Came> {
    let came = if how == Take::Recv {
        sent.iter().flat_map(|_| take(rx, how, 1, true)).collect()
    } else {
        take(rx, how, sent.len(), true)
    };
    check(&came, sent);
    assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    send(tx, 9, 20);
    recv(rx, 9, 20);
    came
}

fn before(one: u64, other: u64) -> bool {
    one != other && other.wrapping_sub(one) < 1 << 63
}

/// Some are taken and released, then some lent and not released; then death or a close. What was released comes no more, what was
/// lent comes flagged, and what a batch has not handed out, or nobody, comes as new.
fn consumer_ends(closes: bool, heavy: bool) {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (n, start) in STARTS.into_iter().enumerate() {
        for (taking, lending, draining) in TAKES
            .into_iter()
            .flat_map(|taking| TAKES.map(|lending| (taking, lending, TAKES[(n + taking as usize) % 6])))
        {
            for (taken, lent) in (0..=13).flat_map(|taken| (0..=14 - taken).map(move |lent| (taken, lent))) {
                let (mut b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), start);
                if heavy {
                    b.ring = b.ring.with_wake(&HEAVY);
                    rx = b.replace_consumer(rx);
                }
                let sent = fill(&mut tx);
                check(&take(&mut rx, taking, taken, true), &sent);
                let (lent, marked) = match lending {
                    Take::Recv => (0, sent[taken].position),
                    Take::Read if lent == 0 => (0, sent[taken].position),
                    Take::Read => (1, sent[taken].end),
                    // A batch marks at once what it may take of a train.
                    _ => {
                        let last = sent[(taken + lent).max(1) - 1];
                        let of_it = sent.iter().rfind(|record| record.header == last.header).unwrap();
                        (lent, of_it.end)
                    }
                };
                check(&take(&mut rx, lending, lent, false), &sent[taken..]);
                if closes {
                    rx.close();
                }
                let mut rx = b.replace_consumer(rx);
                let came = drain(&mut tx, &mut rx, &sent[taken..], draining);
                let what = format!("{taken} {taking:?}, {lent} {lending:?} from {start}");
                let by_batch = !matches!((taking, taken), (Take::Recv | Take::Read, _) | (_, 0))
                    || !matches!(lending, Take::Recv | Take::Read) && lent > 0;
                // A batch that was released has marked behind its last record too.
                let of_taken = match taken.checked_sub(1).map(|last| sent[last]) {
                    Some(last) if !matches!(taking, Take::Recv | Take::Read) => {
                        sent.iter().rfind(|record| record.header == last.header).unwrap().end
                    }
                    _ => sent[taken].position,
                };
                let marked = if before(marked, of_taken) { of_taken } else { marked };
                let limit = marked.wrapping_add(if by_batch { AHEAD } else { 0 });
                for (n, (position, .., redelivered)) in came.into_iter().enumerate() {
                    assert!(redelivered || n >= lent, "{n} was lent: {what}");
                    assert!(!redelivered || n < lent || before(position, limit), "{n} was not lent: {what}");
                }
            }
        }
    }
}

#[test]
fn a_consumer_dies_inside() {
    consumer_ends(false, false);
}

#[test]
fn a_consumer_closes_inside() {
    consumer_ends(true, false);
}

/// The same where the consumers are processes that fence: no quick ways there.
#[test]
fn a_heavy_consumer_dies_inside() {
    consumer_ends(false, true);
}

/// One after the other dies in the middle of the same train, after one record each; and what each releases comes no more.
#[test]
fn all_of_them_die_inside() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (how, start) in TAKES.into_iter().flat_map(|how| STARTS.map(|start| (how, start))) {
        let (b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), start);
        let sent = fill(&mut tx);
        for n in 0..14 {
            check(&take(&mut rx, how, 1, true), &sent[n..]);
            rx = b.replace_consumer(rx);
        }
        drain(&mut tx, &mut rx, &[], how);
    }
}

/// With a head that is held back: what had been released and not told comes again, flagged; but in the middle of a train the head is told
/// where that begins, so of it and what is before it nothing does.
#[test]
fn a_held_head() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (how, start) in TAKES.into_iter().flat_map(|how| STARTS.map(|start| (how, start))) {
        for taken in 0..=14 {
            for (dies, flushes) in [(true, false), (true, true), (false, false)] {
                let (b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY).release_every(1024), start);
                let one = push(&mut tx, Push::One, &[(7, 5)], 30);
                let mut sent = vec![one[0]];
                sent.extend(fill(&mut tx));
                check(&take(&mut rx, how, taken, true), &sent);
                match (dies, flushes) {
                    (true, true) => rx.flush(),
                    (true, false) => {}
                    _ => rx.close(),
                }
                let mut rx = b.replace_consumer(rx);
                let inside = taken > 0 && sent.get(taken).is_some_and(|next| next.header != next.position);
                let mut buf = [0; 64];
                let first = rx.try_recv_into(&mut buf);
                let from = match first {
                    Ok(got) => sent.iter().position(|record| record.position == got.position.get()).unwrap(),
                    Err(_) => 15,
                };
                assert!(from <= taken, "{from} came first of {taken} {how:?}: lost");
                assert!(
                    from == taken || !inside && dies && !flushes,
                    "{from} came first of {taken} {how:?}: once more"
                );
                for n in from..15 {
                    let redelivered = match n - from {
                        0 => first.unwrap().redelivered,
                        _ => take(&mut rx, Take::Recv, 1, true)[0].3,
                    };
                    assert!(redelivered || n >= taken, "{n} of {taken} {how:?} comes again");
                }
                assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
            }
        }
    }
}

/// The successor of a consumer that had taken some of a second train before its head was told takes over in the first one.
#[test]
fn two_trains_and_two_deaths() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (first, second) in (0..14).flat_map(|first| (0..14 - first).map(move |second| (first, second))) {
        let (b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY).release_every(1024), 0);
        let sent = fill(&mut tx);
        take(&mut rx, Take::Recv, first, true);
        let mut rx = b.replace_consumer(rx);
        let mut unflagged = first;
        for _ in 0..second {
            let (position, .., redelivered) = take(&mut rx, Take::Recv, 1, true)[0].clone();
            let n = sent.iter().position(|record| record.position == position).unwrap();
            assert!(redelivered || n >= unflagged, "{n} after {first} and {second}");
            unflagged = unflagged.max(n + 1);
        }
        let mut rx = b.replace_consumer(rx);
        while let Ok(got) = rx.try_recv_into(&mut [0; 64]) {
            let n = sent.iter().position(|record| record.position == got.position.get()).unwrap();
            assert!(n <= unflagged && (got.redelivered || n == unflagged), "{n} after {first} and {second}");
            unflagged = unflagged.max(n + 1);
        }
        assert_eq!(unflagged, 14);
    }
}

fn tail(memory: &[Line]) -> &std::sync::atomic::AtomicU64 {
    &words(memory)[offset_of!(SpscControl, tail) / 8]
}

/// A producer dies when its trains are committed and the tail does not say so yet: they come, then its end; also when the consumer
/// is in the middle of them, or past them, and where an operator puts the tail right.
#[test]
fn a_producer_dies_before_its_tail_is_stored() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (n, start) in STARTS.into_iter().enumerate() {
        for (taken, how) in (0..=14).flat_map(|taken| TAKES.map(|how| (taken, how))) {
            for recovered in [false, true] {
                let (b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), start);
                let before = tail(&memory).load(Relaxed);
                let sent = fill(&mut tx);
                let after = tail(&memory).load(Relaxed);
                tail(&memory).store(before, Relaxed);
                check(&take(&mut rx, how, taken, true), &sent);
                b.kill(tx.lease());
                if recovered {
                    b.ring.recover(Role::Producer, b.ring.next_lease().unwrap(), true, |_| Verdict::Dead).unwrap();
                    assert_eq!(tail(&memory).load(Relaxed), after);
                }
                let mut tx = b.producer();
                assert_eq!(tx.tail().get(), after.wrapping_add(8), "behind the mark");
                send(&mut tx, 8, 8);
                check(&take(&mut rx, TAKES[(n + taken) % 6], 14 - taken, true), &sent[taken..]);
                assert_eq!(b.next(&mut rx, &mut [0; 8]), Next::End(SessionEnd::Died));
                recv(&mut rx, 8, 8);
                assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
            }
        }
    }
}

/// A producer dies in the middle of a batch of trains: nothing of it comes, and its headers harm nobody.
#[test]
fn a_producer_dies_before_the_commit() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (start, how) in STARTS.into_iter().flat_map(|start| PUSHES.map(|how| (start, how))) {
        let (b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), start);
        let at = tx.tail();
        let mut batch = tx.try_claim_batch(60, 8).unwrap();
        for n in 0..60 {
            batch.push(n / 20, &[0xFF; 8]).unwrap();
        }
        let _ = ManuallyDrop::new(batch);
        let mut tx = b.replace_producer(tx);
        assert!(tx.tail().get() == at.get().wrapping_add(8), "behind the mark");
        assert_eq!(b.next(&mut rx, &mut [0; 8]), Next::End(SessionEnd::Died));
        let sent = push(&mut tx, how, &[(1, 8); 25], 3);
        check(&take(&mut rx, Take::Break, 25, true), &sent);
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
        assert_eq!(b.next(&mut rx, &mut [0; 8]), Next::Nothing);
    }
}

/// What is said of the middle of an earlier train means nothing to a later one.
#[test]
fn what_is_left_in_within() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for how in TAKES {
        let b = Bench::new(&memory, &Format::new(CAPACITY));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        for lap in 0..40 {
            let sent = fill(&mut tx);
            check(&take(&mut rx, how, 3, true), &sent);
            assert_eq!(within(&memory).load(Relaxed), sent[3].position, "{lap}");
            rx = b.replace_consumer(rx);
            check(&take(&mut rx, how, 6, true), &sent[3..]);
            assert_eq!(within(&memory).load(Relaxed), sent[9].position, "{lap}");
            check(&take(&mut rx, how, 5, true), &sent[9..]);
        }
    }
}
