//! Looks at an empty ring that do not ask: how many, and what ends them.
#![cfg(not(loom))]

mod spsc_support;

use std::cell::Cell;

use ring_core::spsc::{Consumer, Format, NotHere, ReadError};
use ring_core::{CONTROL_SIZE, SessionEnd, Verdict};
use spsc_support::{Bench, bytes, lines, recv, send};

/// Asks as a caller with a costly verdict would, and counts how often it is asked for.
fn look(b: &Bench<'_>, rx: &mut Consumer<'_>, asked: &Cell<u32>) -> ReadError {
    let verdict = |lease| {
        asked.set(asked.get() + 1);
        b.verdict(lease)
    };
    rx.try_recv_into_asking(&mut [0; 64], verdict).unwrap_err()
}

#[test]
fn asks_after_so_many() {
    let memory = lines(CONTROL_SIZE + 256);
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    let asked = Cell::new(0);
    for _ in 0..3 {
        look(&b, &mut rx, &asked);
    }
    assert_eq!(asked.get(), 3, "a new handle asks each time");
    rx.ask_after(7);
    send(&mut tx, 1, 8);
    recv(&mut rx, 1, 8);
    for round in 1..=5 {
        for quiet in 0..7 {
            assert_eq!(look(&b, &mut rx, &asked), ReadError::Empty);
            assert_eq!(asked.get(), 2 + round, "round {round}, look {quiet}");
        }
        assert_eq!(look(&b, &mut rx, &asked), ReadError::Empty);
        assert_eq!(asked.get(), 3 + round);
    }
    // A record, and all of them again.
    look(&b, &mut rx, &asked);
    send(&mut tx, 2, 8);
    recv(&mut rx, 2, 8);
    asked.set(0);
    for _ in 0..7 {
        look(&b, &mut rx, &asked);
    }
    assert_eq!(asked.get(), 0);
    // A caller that has slept does not wait for the rest.
    rx.ask_soon();
    look(&b, &mut rx, &asked);
    assert_eq!(asked.get(), 1);
}

/// A death is seen when it is asked after, a close by the next look, whatever was looked at before.
#[test]
fn sees_a_close_at_once_and_a_death_in_time() {
    for before in 0..12 {
        for (closes, sends) in [(false, false), (false, true), (true, false), (true, true)] {
            let memory = lines(CONTROL_SIZE + 256);
            let b = Bench::new(&memory, &Format::new(256));
            let (mut tx, mut rx) = (b.producer(), b.consumer());
            rx.ask_after(7);
            send(&mut tx, 1, 8);
            recv(&mut rx, 1, 8);
            let asked = Cell::new(0);
            for _ in 0..before {
                assert_eq!(look(&b, &mut rx, &asked), ReadError::Empty);
            }
            // With a last record, or without.
            if sends {
                send(&mut tx, 2, 8);
            }
            if closes {
                tx.close();
            } else {
                b.kill(tx.lease());
            }
            if sends {
                recv(&mut rx, 2, 8);
            }
            let looks = (1..).find(|_| look(&b, &mut rx, &asked) != ReadError::Empty).unwrap();
            let asks = if sends { 8 } else { 8 - before % 8 };
            assert_eq!(looks, if closes { 1 } else { asks }, "after {before}");
            // Told once; then there is nothing until a successor sends.
            for _ in 0..20 {
                assert_eq!(look(&b, &mut rx, &asked), ReadError::Empty);
            }
            let mut tx = b.producer();
            send(&mut tx, 3, 8);
            let got = (0..4).find_map(|_| rx.try_recv_into_asking(&mut [0; 64], |_| Verdict::Alive).ok()).unwrap();
            assert_eq!((got.tag, got.len), (3, 8));
        }
    }
}

/// What is held back is told to the producer by the first look that finds nothing, also behind padding and marks: the looks
/// that do not ask tell nothing.
#[test]
fn leaves_nothing_untold() {
    let memory = lines(CONTROL_SIZE + 256);
    for lens in [[8, 8, 8], [8, 40, 16], [40, 24, 120]] {
        let b = Bench::new(&memory, &Format::new(256).release_every(64));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        rx.ask_after(200);
        for round in 0..200u64 {
            let len = lens[round as usize % 3];
            send(&mut tx, round, len);
            if round % 16 == 15 {
                tx = b.replace_producer(tx); // a mark stands behind it
            }
            let mut buf = [0; 128];
            let mut ends = 0;
            let got = loop {
                match rx.try_recv_into_asking(&mut buf, |lease| b.verdict(lease)) {
                    Ok(got) => break got,
                    Err(ReadError::Ended(SessionEnd::Died)) if ends == 0 => ends += 1,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(buf[..got.len], bytes(round, len));
            // Past the mark, if there is one, and then nothing.
            while rx.try_recv_into_here(&mut buf) != Err(NotHere::Nothing) {
                let _ = rx.try_recv_into_asking(&mut buf, |lease| b.verdict(lease));
            }
            assert_eq!(tx.len_guess(), 0, "round {round} of {lens:?}");
        }
    }
}

/// A session that ends while its reader rests leaves a mark alone; the space of that is given back too, at once.
#[test]
fn a_mark_is_told_of() {
    let memory = lines(CONTROL_SIZE + 64);
    let b = Bench::new(&memory, &Format::new(64));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    rx.ask_after(200);
    send(&mut tx, 1, 8);
    recv(&mut rx, 1, 8);
    for round in 0..20 {
        for _ in 0..3 {
            assert_eq!(look(&b, &mut rx, &Cell::new(0)), ReadError::Empty);
        }
        tx = b.replace_producer(tx);
        assert_eq!(look(&b, &mut rx, &Cell::new(0)), ReadError::Ended(SessionEnd::Died), "round {round}");
        assert_eq!(look(&b, &mut rx, &Cell::new(0)), ReadError::Empty);
        assert_eq!(tx.len_guess(), 0, "round {round}");
    }
}

/// Of two sessions that ended without room for a mark the second end is told by the look after the first one's.
#[test]
fn one_end_after_the_other() {
    let memory = lines(CONTROL_SIZE + 64);
    let b = Bench::new(&memory, &Format::new(64));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    rx.ask_after(7);
    let sent = (0..).take_while(|n| tx.try_send(*n, &[]).is_ok()).count();
    b.kill(tx.lease());
    let second = b.producer();
    b.kill(second.lease());
    for _ in 0..sent {
        rx.try_recv_into_asking(&mut [], |lease| b.verdict(lease)).unwrap();
    }
    let died = ReadError::Ended(SessionEnd::Died);
    let looks = (1..).find(|_| look(&b, &mut rx, &Cell::new(0)) == died).unwrap();
    assert_eq!(looks, 8, "the last of them is the one that asks");
    assert_eq!(look(&b, &mut rx, &Cell::new(0)), died);
    assert_eq!(look(&b, &mut rx, &Cell::new(0)), ReadError::Empty);
}

/// Nor does a mark that a resting reader passes put off the look that asks: a mark is no record.
#[test]
fn one_end_behind_the_mark_of_another() {
    let memory = lines(CONTROL_SIZE + 256);
    for rests in 0..12 {
        let b = Bench::new(&memory, &Format::new(256));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        rx.ask_after(7);
        send(&mut tx, 1, 8);
        recv(&mut rx, 1, 8);
        for _ in 0..=rests {
            assert_eq!(look(&b, &mut rx, &Cell::new(0)), ReadError::Empty);
        }
        let second = b.replace_producer(tx); // it writes the mark of the first
        b.kill(second.lease());
        let died = ReadError::Ended(SessionEnd::Died);
        assert_eq!(look(&b, &mut rx, &Cell::new(0)), died, "the first, after {rests}");
        assert_eq!(look(&b, &mut rx, &Cell::new(0)), died, "the second, after {rests}");
        assert_eq!(look(&b, &mut rx, &Cell::new(0)), ReadError::Empty);
    }
}
