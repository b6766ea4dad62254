//! Whatever stands in the shared words, at whatever time it got there: an answer, in bounded steps, without a panic and
//! without a store outside of the ring. Lines of canaries lie around the region; guard pages are ring-shm's tests' part.
#![cfg(not(loom))]
#![allow(clippy::disallowed_types)]

#[path = "hostile/arena.rs"]
mod arena;
mod spsc_support;

use core::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use arena::{Arena, CANARY, CONTROL_WORDS, MARGIN};
use ring_core::spsc::{ClaimError, Consumer, Format, Producer, ReadError, Ring, SeatFacts};
use ring_core::{AttachError, CONTROL_SIZE, Field, Region, Role, SeatError, TYPE_TEXT_LEN, Verdict};
use spsc_support::{bytes, count};

/// Every shape a ring is tested in.
fn shapes() -> [Format; 5] {
    [
        Format::new(64),
        Format::new(128).release_every(32),
        Format::new(256).line_aligned(true),
        Format::new(128).start_at(u64::MAX),
        Format::new(512).start_at(u64::MAX), // with trains
    ]
}

/// Values that stand for all others in the place of `now`.
fn awkward(now: u64, capacity: u64) -> Vec<u64> {
    let mut values = vec![0, 1, 2, 3, 7, 8, 9, 16, 64, 127, capacity / 2 - 8, capacity / 2, u64::MAX, u64::MAX - 7];
    for shift in [30, 31, 32, 62, 63] {
        values.extend([(1 << shift) - 1, 1 << shift, (1 << shift) + 1, (1 << shift) + 8]);
    }
    for delta in [1, 2, 8, 16, 64, capacity - 8, capacity, capacity + 8, capacity * 2, 1 << 63] {
        values.extend([now.wrapping_add(delta), now.wrapping_sub(delta), delta]);
    }
    values.extend((0..64).map(|bit| now ^ 1 << bit));
    // Headers: records that just fit, just do not, and reach round; paddings and marks of all sorts.
    for len in [0, 1, 8, 24, capacity / 2 - 9, capacity / 2 - 8, capacity / 2 - 7, capacity, (1 << 31) - 17] {
        values.extend([len + 1, 5 << 32 | (len + 1), 1 << 31 | (len + 1), 7 << 32 | 1 << 31 | (len + 1)]);
    }
    // Trains: the shortest, such as fit and do not, of no byte, of one record.
    for (len, count) in [(1, 2), (8, 3), (8, capacity / 16), (8, capacity / 8), (0, 3), (8, 1), (9, 0), (16383, 16383)]
    {
        values.push(5 << 32 | 1 << 31 | count << 17 | len << 3 | 0b010);
    }
    values
}

/// Uses both handles, every operation, as long as they go on, within `steps` of each.
fn use_both(tx: &mut Producer<'_>, rx: &mut Consumer<'_>, steps: u64) {
    let mut buf = [0; 256];
    let verdict = |_| Verdict::Dead;
    for i in 0..steps {
        let len = (i as usize * 13) % (tx.max_len() + 1);
        match i % 4 {
            0 => drop(tx.try_send(i as u32, &bytes(i, len)).map_err(refused)),
            1 => match tx.try_claim_batch(3, len.min(8)) {
                Ok(mut batch) => {
                    if i % 8 == 1 {
                        batch.push_each(1, [[1; 8]; 3].iter().map(|word| &word[..len.min(8)])).unwrap();
                    }
                    while batch.remaining() > 0 {
                        batch.push(1, &[1; 8][..len.min(8)]).unwrap();
                    }
                    batch.commit();
                }
                Err(e) => refused(e),
            },
            2 => match tx.try_claim(len) {
                Ok(mut claim) => {
                    claim.write(&[7; 5]);
                    claim.truncate(len / 2);
                    claim.commit();
                }
                Err(e) => refused(e),
            },
            _ => {
                let _ = (tx.len_guess(), tx.consumer_end(verdict), tx.tail());
            }
        }
        match i % 3 {
            0 => drop(rx.try_recv_into(&mut buf[..(i as usize * 7) % 256]).map(|got| assert!(got.len <= 256))),
            1 => match rx.try_read_batch(4) {
                Ok(mut batch) => {
                    if i % 2 == 0 {
                        let _ = batch.try_for_each(|record| {
                            assert!(record.copy_to(&mut buf) <= record.len());
                            ControlFlow::<()>::Continue(())
                        });
                    }
                    while let Ok(Some(record)) = batch.next_record() {
                        assert!(record.copy_to(&mut buf) <= record.len());
                    }
                    assert!(batch.len() <= 4);
                    batch.release();
                }
                Err(e) => assert!(!e.to_string().is_empty()),
            },
            _ => match rx.try_read() {
                Ok(record) => {
                    assert!(record.len() as u64 <= 256);
                    record.copy_to(&mut buf);
                    record.release();
                }
                Err(ReadError::Corrupt(c)) => assert!(!c.to_string().is_empty()),
                Err(_) => {
                    let _ = (rx.producer_end(verdict), rx.len_guess(), rx.head());
                }
            },
        }
    }
    rx.flush();
}

/// A record longer than the longest, where there is room for it and the consumer has just found others.
#[test]
fn a_header_that_states_too_much() {
    let format = Format::new(4096);
    for (before, states) in [(0, 2041), (1, 2041), (5, 2048), (20, 2041), (20, 3000), (20, (1 << 31) - 2)] {
        let arena = Arena::new(&format);
        let ring = Ring::attach(arena.region()).unwrap();
        let mut tx = ring.sit_producer(ring.next_lease().unwrap(), |_| Verdict::Alive).unwrap();
        let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), |_| Verdict::Alive).unwrap();
        for _ in 0..before {
            tx.try_send(0, b"eight by").unwrap();
            rx.try_recv_into(&mut [0; 8]).unwrap();
        }
        arena.word(arena.data / 8 + 2 * before).store(states + 1, Relaxed);
        let mut buf = [0; 4096];
        assert!(matches!(rx.try_recv_into(&mut buf), Err(ReadError::Corrupt(_))), "{states} after {before}");
        assert!(matches!(rx.try_read(), Err(ReadError::Corrupt(_))), "{states} after {before}");
        assert!(matches!(rx.try_read_batch(3).map(drop), Err(ReadError::Corrupt(_))), "{states} after {before}");
    }
}

fn refused(e: ClaimError) {
    assert!(!matches!(e, ClaimError::TooLong { .. }), "{e}");
}

/// Attaches and does everything that a newcomer can.
fn attach_and_use(region: Region<'_>, steps: u64) {
    let Ok(ring) = Ring::attach(region) else { return };
    assert!(Ring::look(region).is_ok() && ring.type_text().as_bytes().len() <= TYPE_TEXT_LEN);
    let lease = ring.next_lease().unwrap_or(1);
    let _ = (ring.head_and_tail(), ring.facts(Role::Producer), ring.seat(Role::Consumer), ring.footprint());
    let tx = ring.sit_producer(lease, |_| Verdict::Dead);
    let rx = ring.sit_consumer(lease, |_| Verdict::Dead);
    for refused in [tx.as_ref().err(), rx.as_ref().err()].into_iter().flatten() {
        assert!(matches!(refused, SeatError::Corrupt(_)), "{refused}");
    }
    if let (Ok(mut tx), Ok(mut rx)) = (tx, rx) {
        use_both(&mut tx, &mut rx, steps);
        tx.close();
        rx.close();
    }
}

/// States worth corrupting: fresh, part full, wrapped, with a mark and seats that were taken, all in use.
fn states(arena: &Arena) -> Vec<Vec<u64>> {
    let mut states = vec![arena.snapshot()];
    let ring = Ring::attach(arena.region()).unwrap();
    let dead = |_| Verdict::Dead;
    let mut tx = ring.sit_producer(ring.next_lease().unwrap(), dead).unwrap();
    let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), dead).unwrap();
    tx.try_send(1, &[1; 9]).unwrap();
    drop(rx.try_read().unwrap());
    states.push(arena.snapshot());
    let mut buf = [0; 256];
    for i in 0..9 {
        rx.try_recv_into(&mut buf).unwrap();
        tx.try_send(i, &[2; 11]).unwrap();
    }
    states.push(arena.snapshot());
    if let Ok(mut batch) = tx.try_claim_batch_exact(3, 8) {
        // A train, where there are any, of which one was taken.
        batch.push_each(1, [[1; 8]; 3]).unwrap();
        batch.commit();
        while rx.try_recv_into(&mut buf).is_ok_and(|got| got.tag != 1) {}
        states.push(arena.snapshot());
    }
    let mut tx = ring.sit_producer(ring.next_lease().unwrap(), dead).unwrap();
    while tx.try_send(7, &[3; 3]).is_ok() {}
    states.push(arena.snapshot());
    states
}

#[test]
fn every_word() {
    for format in shapes() {
        let arena = Arena::new(&format);
        let capacity = format.footprint() - CONTROL_SIZE;
        for state in states(&arena) {
            let data = arena.data / 8..arena.words;
            for i in (0..CONTROL_WORDS).chain(data) {
                for value in awkward(state[i], capacity) {
                    arena.restore(&state);
                    arena.word(i).store(value, Relaxed);
                    attach_and_use(arena.region(), if cfg!(miri) { 2 } else { 8 });
                    arena.check(&|| format!("word {i} was {:#x}, made {value:#x}", state[i]));
                    if cfg!(miri) && value > 3 {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn every_word_under_a_handle() {
    for format in shapes() {
        let arena = Arena::new(&format);
        let capacity = format.footprint() - CONTROL_SIZE;
        let data = arena.data / 8..arena.words;
        for i in (0..CONTROL_WORDS).chain(data) {
            let value_count = awkward(0, capacity).len();
            for n in 0..if cfg!(miri) { 3 } else { value_count } {
                arena.restore(&vec![0; arena.words]);
                let ring = Ring::format(arena.region(), &format).unwrap();
                let mut tx = ring.sit_producer(1, |_| Verdict::Alive).unwrap();
                let mut rx = ring.sit_consumer(2, |_| Verdict::Alive).unwrap();
                use_both(&mut tx, &mut rx, 7);
                let now = arena.word(i).load(Relaxed);
                let value = awkward(now, capacity)[n];
                arena.word(i).store(value, Relaxed);
                use_both(&mut tx, &mut rx, 8);
                arena.check(&|| format!("word {i} was {now:#x}, made {value:#x}"));
            }
        }
    }
}

/// A data area full of marks, or of anything else that carries no record: a look ends after a few of them.
#[test]
fn nothing_but_headers() {
    const MARK: u64 = 1 << 31 | 1;
    let fills: [[u64; 2]; 8] = [
        [2 << 32 | MARK, 3 << 32 | MARK], // the same session, dead and closed in turn
        [2 << 32 | MARK, 2 << 32 | MARK],
        [2 << 32 | MARK, 4 << 32 | MARK],
        [3 << 32 | MARK, 2 << 32 | MARK],
        [MARK, MARK],
        [1, 1],
        [1, 2 << 32 | MARK],
        [MARK + 64, 2 << 32 | MARK],
    ];
    for format in [Format::new(1 << 20), Format::new(64), Format::new(1 << 16).line_aligned(true)] {
        for fill in fills {
            let arena = Arena::new(&format);
            let ring = Ring::attach(arena.region()).unwrap();
            let mut rx = ring.sit_consumer(9, |_| Verdict::Alive).unwrap();
            let stride = if ring.line_aligned() { 8 } else { 1 };
            for (n, i) in (arena.data / 8..arena.words).step_by(stride).enumerate() {
                arena.word(i).store(fill[n % 2], Relaxed);
            }
            let mut last = rx.head().get();
            for _ in 0..count(300) {
                let _ = rx.try_recv_into(&mut [0; 8]);
                let _ = rx.try_read_batch(2).map(|mut batch| batch.next_record().map(drop));
                let passed = rx.head().get() - last;
                assert!(passed <= 8 * stride as u64 * 8, "{passed} bytes of headers in two looks: {fill:x?}");
                last = rx.head().get();
            }
            // A successor that walks them: bounded by the capacity, whatever comes of it.
            drop(ring.sit_producer(10, |_| Verdict::Alive));
            drop(ring.sit_consumer(11, |_| Verdict::Dead));
            arena.check(&|| format!("{fill:x?}"));
        }
    }
}

/// Headers that lead round and round, without a zero: a batch without a limit ends all the same.
#[test]
fn a_batch_of_a_ring_without_an_end() {
    for format in [Format::new(64), Format::new(1 << 16), Format::new(1 << 16).line_aligned(true)] {
        let arena = Arena::new(&format);
        let ring = Ring::attach(arena.region()).unwrap();
        let mut rx = ring.sit_consumer(9, |_| Verdict::Alive).unwrap();
        (arena.data / 8..arena.words).for_each(|i| arena.word(i).store(1, Relaxed));
        let mut batch = rx.try_read_batch(usize::MAX).unwrap();
        let end = loop {
            match batch.next_record() {
                Ok(Some(_)) => assert!(batch.len() as u64 * 8 < ring.capacity(), "more than the ring holds"),
                other => break other.map(drop),
            }
        };
        assert!(matches!(end, Err(ReadError::Corrupt(c)) if c.field == Field::RecordHeader), "{end:?}");
        batch.keep();
        let (mut batch, mut read) = (rx.try_read_batch(usize::MAX).unwrap(), 0);
        let end = batch.try_for_each(|_| {
            read += 1;
            assert!(read * 8 < ring.capacity(), "more than the ring holds");
            ControlFlow::<()>::Continue(())
        });
        assert!(matches!(end, Err(ReadError::Corrupt(c)) if c.field == Field::RecordHeader), "{end:?}");
    }
}

/// A header of nonsense at each place of equal records: those before it are good, and it ends the batch as what it is.
#[test]
fn nonsense_among_many_alike() {
    let format = Format::new(16384).start_at(16384 - 192);
    for place in 1..12 {
        for nonsense in [9 | 1 << 30, 9 | 1 << 16, 9 | 1 << 31, 7 << 32 | 9 | 1 << 31, 1 << 31, u64::MAX, 7 << 32] {
            let arena = Arena::new(&format);
            let ring = Ring::attach(arena.region()).unwrap();
            let mut tx = ring.sit_producer(8, |_| Verdict::Alive).unwrap();
            let mut rx = ring.sit_consumer(9, |_| Verdict::Alive).unwrap();
            tx.try_send(0, &[]).unwrap();
            rx.try_recv_into(&mut []).unwrap();
            // No two of one tag are neighbours, so each has its header.
            let mut batch = tx.try_claim_batch_exact(12, 8).unwrap();
            for n in 0..12u64 {
                batch.push(n as u32 % 2, &n.to_le_bytes()).unwrap();
            }
            batch.commit();
            // The last one crossed the end of the area: it came after a word of padding.
            let at = if place == 11 { 0 } else { 16384 - 184 + 16 * place };
            let word = arena.word(arena.data / 8 + at / 8);
            assert_eq!(word.load(Relaxed), (place as u64 % 2) << 32 | 9, "the header of record {place}");
            word.store(nonsense, Relaxed);
            let (mut batch, mut read) = (rx.try_read_batch(usize::MAX).unwrap(), 0);
            let end = batch.try_for_each(|record| {
                let mut buf = [0; 8];
                record.copy_to(&mut buf);
                assert_eq!((u64::from_le_bytes(buf), record.len()), (read, 8));
                read += 1;
                ControlFlow::<()>::Continue(())
            });
            let corrupt =
                matches!(end, Err(ReadError::Corrupt(c)) if (c.field, c.found) == (Field::RecordHeader, nonsense));
            assert!(corrupt && (read, batch.len()) == (place as u64, place), "{nonsense:#x} at {place}: {end:?}");
            assert_eq!(batch.release(), place);
            arena.check(&|| format!("{nonsense:#x} at {place}"));
        }
    }
}

/// FNV-1a as `docs/layout.md` has it: an attacker can compute it, too.
fn checksum(words: &[u64]) -> u64 {
    words
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn identity() {
    const FIELDS: [Field; 16] = [
        Field::Magic,
        Field::AbiVersion,
        Field::Checksum, // compatible features: anything goes
        Field::ReadOnlyFeatures,
        Field::IncompatibleFeatures,
        Field::TotalLen,
        Field::Capacity,
        Field::SlotSize,
        Field::DataOffset,
        Field::Checksum, // the type hash is the caller's business
        Field::Checksum, // and the generation
        Field::ReleaseEvery,
        Field::Participants,
        Field::Redelivery,
        Field::Reserved,
        Field::Checksum,
    ];
    let format = Format::new(128).release_every(16);
    let arena = Arena::new(&format);
    let good = arena.snapshot();
    assert_eq!(good[15], checksum(&good[..15]));
    for (i, field) in FIELDS.into_iter().enumerate() {
        for value in awkward(good[i], 128).into_iter().filter(|value| *value != good[i]) {
            arena.restore(&good);
            arena.word(i).store(value, Relaxed);
            let error = Ring::attach(arena.region()).expect_err("a wrong checksum at the least");
            assert!(!error.to_string().is_empty());
            if i == 15 {
                assert!(matches!(error, AttachError::Incompatible { field: Field::Checksum, .. }), "{error}");
                continue;
            }
            // With the checksum that goes with it.
            arena.word(15).store(checksum(&arena.snapshot()[..15]), Relaxed);
            let harmless = match field {
                Field::Checksum => true,
                Field::ReleaseEvery => value <= 128 / 4,
                Field::IncompatibleFeatures => value == 0, // a ring of a build before trains
                _ => false,
            };
            match Ring::attach(arena.region()) {
                Ok(_) => assert!(harmless, "{field} {value:#x} was accepted"),
                Err(AttachError::Incompatible { field: named, found, expected }) => {
                    assert!(!harmless && found != expected);
                    // One wrong word may show in another: the length of the ring goes with its capacity and alignment.
                    let pair = [Field::Capacity, Field::TotalLen, Field::IncompatibleFeatures];
                    assert!(named == field || pair.contains(&named) && pair.contains(&field), "{field}: {named}");
                }
                Err(AttachError::Truncated { found, needed }) => assert!(field == Field::TotalLen && needed > found),
                Err(e) => panic!("{field} {value:#x}: {e}"),
            }
            attach_and_use(arena.region(), 20);
            arena.check(&|| format!("{field} {value:#x}"));
        }
    }
}

#[test]
fn truncated_and_foreign() {
    let format = Format::new(128);
    let arena = Arena::new(&format);
    let good = arena.snapshot();
    for lines in 0..=arena.words / 16 {
        let region = Region::new(&arena.memory[MARGIN / 16..MARGIN / 16 + lines]);
        match Ring::attach(region) {
            Ok(_) => assert_eq!(lines, arena.words / 16),
            Err(AttachError::Truncated { found, needed }) => {
                assert_eq!(found, lines as u64 * 128);
                assert!(needed > found && lines < arena.words / 16);
            }
            Err(e) => panic!("{lines} lines: {e}"),
        }
    }
    for fill in [0, u64::MAX, CANARY, 1 << 63, 0x464c_457f] {
        (0..arena.words).for_each(|i| arena.word(i).store(fill, Relaxed));
        let error = Ring::attach(arena.region()).unwrap_err();
        assert!(matches!(error, AttachError::Incompatible { field: Field::Magic, .. }), "{error}");
    }
    // A ring of the other kind, and garbage behind a good identity.
    arena.restore(&good);
    arena.word(0).store(u64::from_le_bytes(*b"RINGMPMC"), Relaxed);
    assert!(Ring::attach(arena.region()).is_err());
    for fill in [u64::MAX, 1, 8, 0x8000_0001, 0xFFFF_FFFF] {
        arena.restore(&good);
        (16..CONTROL_WORDS).chain(512..arena.words).for_each(|i| arena.word(i).store(fill, Relaxed));
        attach_and_use(arena.region(), 50);
    }
}

#[test]
fn scribbled_between_operations() {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..count(30_000) {
        let format = shapes()[round as usize % 5];
        let arena = Arena::new(&format);
        let capacity = format.footprint() - CONTROL_SIZE;
        let ring = Ring::attach(arena.region()).unwrap();
        let dead = |_| Verdict::Dead;
        let mut tx = ring.sit_producer(1, dead).unwrap();
        let mut rx = ring.sit_consumer(2, dead).unwrap();
        for _ in 0..24 {
            use_both(&mut tx, &mut rx, random() % 5);
            // Mostly where it hurts: the header being polled, the positions, the seats; sometimes anywhere.
            let data = |position: u64| (arena.data + (position % capacity) as usize) / 8;
            let i = match random() % 8 {
                0 => data(rx.head().get()),
                1 => data(tx.tail().get()),
                2 => 16,                                // tail
                3 => 32 + random() as usize % 3,        // head, seen, within
                4 => 48 + 16 * (random() as usize % 2), // seats
                5 => arena.data / 8 + random() as usize % (capacity as usize / 8),
                _ => random() as usize % CONTROL_WORDS,
            };
            let values = awkward(arena.word(i).load(Relaxed), capacity);
            let value = if random() % 4 == 0 { random() } else { values[random() as usize % values.len()] };
            arena.word(i).store(value, Relaxed);
            if random() % 4 == 0 {
                ring.set_facts(Role::Producer, 1, SeatFacts::default());
                if let Ok(new) = ring.sit_producer(random() % 9 + 1, dead) {
                    tx = new;
                }
                if let Ok(new) = ring.sit_consumer(random() % 9 + 1, dead) {
                    rx = new;
                }
            }
        }
        arena.check(&|| format!("round {round}"));
    }
}
