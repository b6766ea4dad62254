//! Trains: what is pushed is what comes, where the documents say it stands, whichever calls push and take it.
#![cfg(not(loom))]

mod spsc_support;

use std::sync::atomic::Ordering::Relaxed;

use ring_core::CONTROL_SIZE;
use ring_core::spsc::{ClaimError, Consumer, Format, ReadError};
use spsc_support::trains::{HEAVY, PUSHES, Push, Queue, Sent, TAKES, Take, at, check, longest, push, take};
use spsc_support::{Bench, bytes, count, data, lines, recv, send, train_header, within, words};

const CAPACITY: u64 = 4096;
const LENS: [usize; 8] = [1, 7, 8, 9, 16, 64, 100, 500];

/// Places in the area, up to its last word, in laps of which the numbers are short, cross 2^32 or cross 2^64.
fn starts(capacity: u64) -> Vec<u64> {
    let laps = [capacity, (1 << 32) - capacity, 0_u64.wrapping_sub(capacity)];
    let back = [8, 16, 24, 32, 40, 80, 136, 520, 1032];
    laps.into_iter().flat_map(|lap| back.into_iter().map(move |back| lap.wrapping_add(capacity - back))).collect()
}

/// As many records of a length as fit half of the ring, and fewer.
fn counts(len: usize) -> [usize; 5] {
    let most = CAPACITY as usize / 2 / (len + 16);
    [1, 2, 3.min(most), (most / 2).max(1), most]
}

/// The header words of what was sent, by the documents.
fn check_headers(memory: &[ring_core::Line], capacity: u64, sent: &[Sent]) {
    let mut groups = vec![];
    for record in sent {
        match groups.last_mut() {
            Some((header, count, _)) if *header == record.header => *count += 1,
            _ => groups.push((record.header, 1, record)),
        }
    }
    for (header, count, record) in groups {
        let word = data(memory)[(header % capacity) as usize / 8].load(Relaxed);
        let (len, tag) = (record.len as u64, u64::from(record.tag));
        assert_eq!(word, if count > 1 { train_header(len, count, tag) } else { tag << 32 | (len + 1) }, "{record:?}");
    }
}

/// Every length, many counts, places and laps: all calls that push leave the same bytes, and all that take bring them.
#[test]
fn all_ways_to_push_and_to_take() {
    for len in LENS {
        for (n, start) in starts(CAPACITY).into_iter().enumerate() {
            for many in counts(len) {
                let mut before = None;
                for (how, push_how) in PUSHES.into_iter().enumerate() {
                    let memory = lines(CONTROL_SIZE + CAPACITY);
                    let (b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), start);
                    let sent = push(&mut tx, push_how, &vec![(5, len); many], 100);
                    check_headers(&memory, CAPACITY, &sent);
                    let words: Vec<_> = data(&memory).iter().map(|word| word.load(Relaxed)).collect();
                    assert!(before.is_none_or(|before| before == words), "{push_how:?} of {many} of {len} at {start}");
                    before = Some(words);
                    let takes = [TAKES[(n + how) % 6], TAKES[(n + how + many) % 6]];
                    let middle = (many / 2).max(1);
                    let mut came = take(&mut rx, takes[0], middle, true);
                    came.extend(take(&mut rx, takes[1], many - middle, true));
                    assert!(came.len() == many && came.iter().all(|(.., redelivered)| !redelivered));
                    check(&came, &sent);
                    assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
                    send(&mut tx, 9, 20);
                    recv(&mut rx, 9, 20);
                    let ends = b.ring.head_and_tail().unwrap();
                    assert_eq!(ends, (tx.tail(), tx.tail()));
                }
            }
        }
    }
}

/// Other lengths and tags at each place of a batch end a train there and begin another.
#[test]
fn lengths_and_tags_mixed() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (len, other_len) in [(8, 9), (8, 7), (8, 0), (0, 8), (1, 8), (16, 8), (9, 16), (24, 100)] {
        for (from, to) in (0..10).flat_map(|from| (from..10).map(move |to| (from, to))) {
            for (tag, other_tag) in [(5, 5), (5, 6), (0, u32::MAX)] {
                let records: Vec<_> = (0..12)
                    .map(|n| if (from..=to).contains(&n) { (other_tag, other_len) } else { (tag, len) })
                    .collect();
                for how in PUSHES {
                    let (_b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), CAPACITY - 8 * from as u64 - 64);
                    let sent = push(&mut tx, how, &records, 3);
                    check_headers(&memory, CAPACITY, &sent);
                    check(&take(&mut rx, TAKES[(from + to) % 6], 12, true), &sent);
                    assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
                }
            }
        }
    }
}

/// More than one train holds, in rings of which the longest is bounded by a share and by its bytes; more than is made ready at a time.
#[test]
fn more_than_the_longest() {
    for capacity in [256, 1024, 65536, 1 << 18] {
        let memory = lines(CONTROL_SIZE + capacity);
        for len in [1, 8, 9, 64, 500] {
            let many = (capacity / 3 / (len as u64 + 16)) as usize;
            if many == 0 {
                continue;
            }
            for how in PUSHES {
                let (_b, mut tx, mut rx) = at(&memory, Format::new(capacity), capacity - capacity / 6 / 64 * 64 - 24);
                let sent = push(&mut tx, how, &vec![(1, len); many], 7);
                check_headers(&memory, capacity, &sent);
                assert!(sent.iter().all(|record| record.header == record.position
                    || record.end.wrapping_sub(record.header) <= longest(capacity)));
                check(&take(&mut rx, Take::Break, many, true), &sent);
            }
        }
    }
}

/// Those that none can be made of, and rings that have none: records of no byte, small rings, payloads on lines.
#[test]
fn none() {
    for (format, len) in [
        (Format::new(CAPACITY), 0),
        (Format::new(CAPACITY), 256),
        (Format::new(128), 8),
        (Format::new(CAPACITY).line_aligned(true), 8),
    ] {
        let memory = lines(format.footprint());
        let b = Bench::new(&memory, &format);
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let mut batch = tx.try_claim_batch(6, len).unwrap();
        let many = batch.remaining();
        let positions: Vec<_> = (0..many).map(|n| batch.push(4, &bytes(n as u64, len)).unwrap()).collect();
        batch.commit();
        let area = ring_core::spsc_data_offset(b.ring.line_aligned());
        for (n, position) in positions.into_iter().enumerate() {
            let header = (area + position.get() % b.ring.capacity()) / 8;
            assert_eq!(words(&memory)[header as usize].load(Relaxed), 4 << 32 | (len as u64 + 1), "a header each");
            let mut buf = [0; 256];
            let got = rx.try_recv_into(&mut buf).unwrap();
            assert_eq!((got.tag, got.position, &buf[..got.len]), (4, position, &bytes(n as u64, len)[..]));
        }
        assert_eq!(within(&memory).load(Relaxed), 0);
    }
}

/// What is kept or dropped comes again, whatever took it; in the middle too.
#[test]
fn what_is_not_released_comes_again() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for first in TAKES {
        for then in TAKES {
            for taken in 0..=7 {
                let (_b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), CAPACITY - 80);
                let mut sent = push(&mut tx, Push::One, &[(5, 9); 7], 40);
                sent.extend(push(&mut tx, Push::Each, &[(6, 9); 5], 60));
                check(&take(&mut rx, first, taken, true), &sent);
                for again in TAKES.into_iter().filter(|again| *again != Take::Recv) {
                    check(&take(&mut rx, again, 12 - taken, false), &sent[taken..]);
                    drop(rx.try_read().unwrap());
                    drop(rx.try_read_batch(3).unwrap());
                    assert!(matches!(rx.try_recv_into(&mut [0; 8]), Err(ReadError::BufferTooSmall { needed: 9 })));
                    assert!(rx.ready_asking(|_| ring_core::Verdict::Alive).is_ok());
                }
                check(&take(&mut rx, then, 12 - taken, true), &sent[taken..]);
                assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
            }
        }
    }
}

/// A train gives its space back when its last record is released, and not before.
#[test]
fn the_last_one_gives_the_space_back() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for how in TAKES {
        for len in [8, 9, 100] {
            let (b, mut tx, mut rx) = at(&memory, Format::new(CAPACITY), CAPACITY - 640);
            let mut sent = Queue::new();
            while let Ok(many) = tx.try_claim_batch(20, len).map(|batch| batch.remaining()) {
                sent.extend(push(&mut tx, Push::Each, &vec![(1, len); many], sent.len() as u64));
            }
            while tx.try_send(2, &[]).is_ok() {}
            let first = sent.iter().filter(|record| record.header == sent[0].header).count();
            assert!(first > 1, "a train of {len}");
            for _ in 0..first - 1 {
                check(&take(&mut rx, how, 1, true), [&sent.pop_front().unwrap()]);
                assert_eq!(tx.try_send(3, &[]), Err(ClaimError::Full), "{how:?} {len}");
                assert_eq!(b.ring.head_and_tail().unwrap().0.get(), sent[0].header);
            }
            let train = sent[0].end - sent[0].header;
            check(&take(&mut rx, how, 1, true), [&sent.pop_front().unwrap()]);
            assert!(
                tx.try_send(3, &vec![0; train as usize - 8]).is_ok() || CAPACITY - tx.tail().get() % CAPACITY < train
            );
            let left = sent.len();
            check(&take(&mut rx, how, left, true), &sent);
        }
    }
}

/// Processes that fence, on either side or both: what is sent comes. Such a producer has nothing ready for trains, and sends none.
#[test]
fn heavy_processes() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for (heavy, how) in [(true, false), (false, true), (true, true)].into_iter().flat_map(|h| TAKES.map(|how| (h, how)))
    {
        let mut b = Bench::new(&memory, &Format::new(CAPACITY));
        let light = b.ring;
        b.ring = if heavy.0 { light.with_wake(&HEAVY) } else { light };
        let mut tx = b.producer();
        b.ring = if heavy.1 { light.with_wake(&HEAVY) } else { light };
        let mut rx = b.consumer();
        for lap in 0..60 {
            let mut batch = tx.try_claim_batch_exact(30, 9).unwrap();
            let first = batch.push(1, &bytes(lap, 9)).unwrap();
            assert_eq!(batch.push_each(1, (1..30).map(|n| bytes(lap + n, 9))), Ok(29));
            batch.commit();
            let mut came = take(&mut rx, how, 7, true);
            check_kept(&mut rx, &bytes(lap + 7, 9));
            came.extend(take(&mut rx, how, 23, true));
            assert_eq!(came[0].0, first.get());
            for (n, (_, tag, payload, redelivered)) in came.into_iter().enumerate() {
                assert_eq!((tag, payload, redelivered), (1, bytes(lap + n as u64, 9), false));
            }
            assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
        }
    }
}

/// The next record is this one, and stays.
fn check_kept(rx: &mut Consumer<'_>, payload: &[u8]) {
    let record = rx.try_read().unwrap();
    let mut buf = [0; 64];
    let len = record.copy_to(&mut buf);
    assert_eq!(&buf[..len], payload);
    record.keep();
}

/// All of it in all mixtures: batches of several lengths and tags, single records, takes of all kinds, at any fill.
#[test]
fn a_walk() {
    for (round, capacity) in (0..count(600)).map(|round| (round, [512, 4096, 65536][round as usize % 3])) {
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ round << 20;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let places = starts(capacity.max(4096));
        let start = places[round as usize % places.len()] & !7;
        let memory = lines(CONTROL_SIZE + capacity);
        let (b, mut tx, mut rx) = at(&memory, Format::new(capacity), start);
        let (mut queue, mut seed, mut trains) = (Queue::new(), 0, 0);
        for _ in 0..count(300) {
            if random(2) == 0 {
                let most = [20, 9, 33, 120][random(4) as usize];
                let wanted = [1, 4, 40, 400][random(4) as usize];
                let Ok(many) = tx.try_claim_batch(wanted, most).map(|batch| batch.remaining()) else { continue };
                let (mut tag, mut len) = (random(3) as u32, random(most as u64 + 1) as usize);
                let records: Vec<_> = (0..many)
                    .map(|_| {
                        match random(10) {
                            0 => tag = random(3) as u32,
                            1 => len = random(most as u64 + 1) as usize,
                            _ => {}
                        }
                        (tag, len)
                    })
                    .collect();
                let sent = push(&mut tx, PUSHES[random(3) as usize], &records, seed);
                trains += sent.iter().filter(|record| record.header != record.position).count();
                seed += sent.len() as u64;
                queue.extend(sent);
            } else if !queue.is_empty() {
                let most = [1, 3, 50, 1000][random(4) as usize].min(queue.len() as u64);
                let (how, many) = (TAKES[random(6) as usize], 1 + random(most) as usize);
                let release = how == Take::Recv || random(4) > 0;
                let came = take(&mut rx, how, many, release);
                assert!(came.iter().all(|(.., redelivered)| !redelivered));
                check(&came, &queue);
                if release {
                    queue.drain(..many);
                }
                let head = b.ring.head_and_tail().unwrap().0.get();
                let expected = queue.front().map_or(tx.tail().get(), |next| next.header);
                // Before the next record there may be padding.
                let padded = expected.wrapping_sub(head) <= 128 && expected % capacity == 0;
                assert!(head == expected || padded, "the head is at {head}, the next header at {expected}");
            } else {
                assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
            }
        }
        assert!(cfg!(miri) || trains > 100, "{trains} in trains of {capacity}");
    }
}
