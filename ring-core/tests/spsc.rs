//! The SPSC ring as its users see it: one operation at a time, and a stream between two threads. Seats, ends and
//! take-overs are in `spsc_seats.rs`, the comparison with a model in `oracle.rs`, corrupt words in `hostile.rs`.
#![cfg(not(loom))]

mod spsc_support;

use std::time::{Duration, Instant};

use ring_core::spsc::{ClaimError, Format, MAX_CAPACITY, ReadError, Ring};
use ring_core::{CONTROL_SIZE, FormatError, Position, Region, TYPE_TEXT_LEN};
use spsc_support::{Bench, bytes, count, lines, recv, send};

#[test]
fn smoke() {
    let memory = lines(CONTROL_SIZE + 256);
    let b = Bench::new(&memory, &Format::new(256));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    assert!(matches!(rx.try_recv_into(&mut []), Err(ReadError::Empty)));
    assert_eq!(send(&mut tx, 1, 5), Position::new(0));
    assert_eq!(send(&mut tx, 2, 0), Position::new(16));
    assert_eq!(tx.len_guess(), 24);
    let got = recv(&mut rx, 1, 5);
    assert_eq!((got.position, got.redelivered), (Position::new(0), false));
    assert_eq!(recv(&mut rx, 2, 0).position, Position::new(16));
    assert_eq!((rx.len_guess(), tx.len_guess()), (0, 0));
    assert!(matches!(rx.try_recv_into(&mut []), Err(ReadError::Empty)));
}

#[test]
fn capacity() {
    for capacity in [64u64, 128, 256, 4096] {
        let memory = lines(CONTROL_SIZE + capacity);
        let b = Bench::new(&memory, &Format::new(capacity));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        assert_eq!((b.ring.capacity(), tx.capacity(), rx.capacity()), (capacity, capacity, capacity));
        for lap in 0..3 {
            // All but eight bytes hold records, wherever the ring stands.
            for i in 0..capacity / 8 - 1 {
                send(&mut tx, lap + i, 0);
            }
            assert!(matches!(tx.try_send(0, &[]), Err(ClaimError::Full)));
            assert_eq!(tx.len_guess(), capacity - 8);
            for i in 0..capacity / 8 - 1 {
                recv(&mut rx, lap + i, 0);
            }
        }
    }
    let memory = lines(CONTROL_SIZE + 256);
    for capacity in [0, 1, 3, 8, 32, 63, 96, 1 << 63, u64::MAX, MAX_CAPACITY * 2] {
        let refused = Ring::format(Region::new(&memory), &Format::new(capacity)).unwrap_err();
        assert!(matches!(refused, FormatError::Capacity { found, min: 64, .. } if found == capacity), "{refused}");
    }
    let refused = Ring::format(Region::new(&memory), &Format::new(512)).unwrap_err();
    assert_eq!(refused, FormatError::RegionTooSmall { found: 4352, needed: 4608 });
    let refused = Ring::format(Region::new(&memory), &Format::new(256).release_every(65)).unwrap_err();
    assert_eq!(refused, FormatError::ReleaseEvery { found: 65, max: 64 });
    let refused = Ring::format(Region::new(&memory), &Format::new(128).line_aligned(true)).unwrap_err();
    assert!(matches!(refused, FormatError::Capacity { found: 128, min: 256, .. }), "{refused}");
    assert!(Ring::format(Region::new(&[]), &Format::new(64)).is_err());
}

#[test]
fn full_and_empty() {
    let memory = lines(CONTROL_SIZE + 128);
    let b = Bench::new(&memory, &Format::new(128));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..count(1000) {
        let mut sent = 0;
        while tx.try_send(sent as u32, &bytes(sent, 13)).is_ok() {
            sent += 1;
        }
        assert!(sent >= 4, "lap {i}: only {sent}");
        for n in 0..sent {
            recv(&mut rx, n, 13);
        }
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    }
}

#[test]
fn wrap() {
    // Each length of record at each offset, so that it ends before, at and after the end of the data area.
    const CAPACITY: u64 = 128;
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for offset in (0..CAPACITY).step_by(8) {
        for len in 0..=(CAPACITY / 2 - 8) as usize {
            let b = Bench::new(&memory, &Format::new(CAPACITY));
            let (mut tx, mut rx) = (b.producer(), b.consumer());
            for _ in 0..offset / 8 {
                send(&mut tx, 0, 0);
                recv(&mut rx, 0, 0);
            }
            let at = send(&mut tx, 7, len).get();
            let size = (len as u64 + 15) / 8 * 8;
            assert_eq!(at, if offset + size > CAPACITY { CAPACITY } else { offset }, "len {len} at {offset}");
            assert_eq!(recv(&mut rx, 7, len).position.get(), at);
            send(&mut tx, 8, 3);
            recv(&mut rx, 8, 3);
            assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
        }
    }
}

#[test]
fn too_long() {
    for (capacity, aligned) in [(64, false), (128, false), (4096, false), (256, true), (4096, true)] {
        let memory = lines(CONTROL_SIZE + capacity);
        let b = Bench::new(&memory, &Format::new(capacity).line_aligned(aligned));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let max = (capacity / 2 - 8) as usize;
        assert_eq!((tx.max_len(), rx.max_len(), b.ring.max_len()), (max, max, max));
        for len in [max + 1, max + 8, capacity as usize, 1 << 31, usize::MAX] {
            assert_eq!(tx.try_claim(len).unwrap_err(), ClaimError::TooLong { len, max });
            assert!(matches!(tx.try_claim_batch(1, len), Err(ClaimError::TooLong { .. })));
        }
        // The longest one fits an empty ring wherever it stands.
        for i in 0..capacity / 4 {
            send(&mut tx, i, max);
            recv(&mut rx, i, max);
            send(&mut tx, i, 0);
            // Nor is a longer one sent from where there would be room for it.
            assert_eq!(tx.try_send(0, &vec![0; max + 1]).unwrap_err(), ClaimError::TooLong { len: max + 1, max });
            recv(&mut rx, i, 0);
        }
        let mut short = vec![0; max - 1];
        send(&mut tx, 5, max);
        assert_eq!(rx.try_recv_into(&mut short).unwrap_err(), ReadError::BufferTooSmall { needed: max });
        recv(&mut rx, 5, max);
    }
}

#[test]
fn drop_aborts() {
    let memory = lines(CONTROL_SIZE + 128);
    let b = Bench::new(&memory, &Format::new(128));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..20 {
        let mut claim = tx.try_claim(40).unwrap();
        assert_eq!(claim.write(&[0x77; 40]), 40);
        drop(claim);
        let mut claim = tx.try_claim(40).unwrap();
        claim.write(&[0x55; 40]);
        claim.abort();
        let _ = std::mem::ManuallyDrop::new(tx.try_claim(40).unwrap());
        let mut batch = tx.try_claim_batch(3, 8).unwrap();
        batch.push(1, &[0x33; 8]).unwrap();
        batch.push(1, &[0x33; 8]).unwrap();
        batch.abort();
        assert_eq!(tx.try_claim_batch(3, 8).unwrap().commit(), 0);
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
        send(&mut tx, i, 11);
        recv(&mut rx, i, 11);
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    }
}

#[test]
fn claim_in_pieces() {
    let memory = lines(CONTROL_SIZE + 512);
    let b = Bench::new(&memory, &Format::new(512));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    let mut buf = [0; 64];
    for cut in 0..=29usize {
        for (second, rest) in [(cut / 2, 0), (cut, 3), (0, 29)] {
            let whole = bytes(cut as u64, 29);
            let mut claim = tx.try_claim(40).unwrap();
            assert_eq!((claim.len(), claim.is_empty()), (40, false));
            claim.set_tag(3);
            assert_eq!(claim.write(&whole[..second]), second);
            assert_eq!(claim.write(&whole[second..cut]), cut - second);
            assert_eq!(claim.write(&whole[cut..]), 29 - cut);
            claim.truncate(29 + rest.min(11));
            let position = claim.position();
            assert_eq!(claim.commit(), position);
            let got = rx.try_recv_into(&mut buf).unwrap();
            assert_eq!((got.len, got.tag, got.position), (29 + rest.min(11), 3, position));
            assert_eq!(&buf[..29], whole, "cut at {second} and {cut}");
            assert!(buf[29..got.len].iter().all(|b| *b == 0), "what was not written is zero");
        }
    }
    // More than there is room for, and nothing at all.
    let mut claim = tx.try_claim(5).unwrap();
    assert_eq!((claim.write(&[9; 9]), claim.write(&[8])), (5, 0));
    claim.commit();
    tx.try_claim(0).unwrap().commit();
    let mut claim = tx.try_claim(16).unwrap();
    claim.write(&[1; 16]);
    claim.truncate(3);
    claim.truncate(10);
    claim.commit();
    assert_eq!((rx.try_recv_into(&mut buf).unwrap().len, &buf[..5]), (5, &[9; 5][..]));
    assert_eq!(rx.try_recv_into(&mut buf).unwrap().len, 0);
    assert_eq!((rx.try_recv_into(&mut buf).unwrap().len, &buf[..3]), (3, &[1; 3][..]));
}

#[test]
fn short_commit_ends_on_zero() {
    // Payload that forges the header of an empty record, in a claim that is then shortened to end on it.
    let memory = lines(CONTROL_SIZE + 128);
    let b = Bench::new(&memory, &Format::new(128));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    let forged = (0xBADu64 << 32 | 1).to_le_bytes().repeat(5);
    for i in 0..40 {
        let mut claim = tx.try_claim(40).unwrap();
        claim.write(&forged);
        claim.truncate(8 * (i % 5));
        claim.commit();
        let mut buf = [0; 64];
        assert_eq!(rx.try_recv_into(&mut buf).unwrap().len, 8 * (i % 5));
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)), "a forged header was read");
    }
}

#[test]
fn in_place() {
    let memory = lines(CONTROL_SIZE + 128);
    let b = Bench::new(&memory, &Format::new(128));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..50u64 {
        let len = (i % 30) as usize;
        let mut claim = tx.try_claim(len).unwrap();
        claim.set_tag(i as u32);
        // SAFETY: the ring's memory belongs to this test and nobody reads before the commit.
        #[allow(unsafe_code)]
        unsafe { claim.as_mut_slice() }.copy_from_slice(&bytes(i, len));
        claim.commit();
        rx.try_read().unwrap().keep();
        drop(rx.try_read().unwrap());
        let record = rx.try_read().unwrap();
        assert_eq!((record.len(), record.is_empty(), record.tag()), (len, len == 0, i as u32));
        assert!(!record.redelivered());
        // SAFETY: nobody writes while this record is lent.
        #[allow(unsafe_code)]
        let slice = unsafe { record.as_slice() };
        assert_eq!(slice, bytes(i, len));
        record.release();
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    }
}

#[test]
fn line_aligned() {
    let memory = lines(CONTROL_SIZE + 512);
    let b = Bench::new(&memory, &Format::new(512).line_aligned(true));
    assert!(b.ring.line_aligned());
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..count(500) {
        let len = (i * 37 % 249) as usize;
        let at = send(&mut tx, i, len).get();
        assert_eq!(at % 64, 0);
        assert_eq!(recv(&mut rx, i, len).position.get(), at);
    }
    for i in 0..count(60) {
        let len = 1 + (i * 37 % 248) as usize;
        let mut claim = tx.try_claim(len).unwrap();
        // SAFETY: both handles are ours, on one thread.
        #[allow(unsafe_code)]
        let slice = unsafe { claim.as_mut_slice() };
        assert_eq!(slice.as_ptr().addr() % 64, 0, "written in place at {}", claim.position().get());
        claim.commit();
        let record = rx.try_read().unwrap();
        // SAFETY: as above.
        #[allow(unsafe_code)]
        let slice = unsafe { record.as_slice() };
        assert_eq!((slice.len(), slice.as_ptr().addr() % 64), (len, 0), "read in place");
        record.release();
    }
    let mut sent = 0;
    while tx.try_send(sent, &[1]).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 512 / 64 - 1, "one line is needed for the next header");
}

#[test]
fn release_every() {
    let memory = lines(CONTROL_SIZE + 128);
    let b = Bench::new(&memory, &Format::new(128).release_every(32));
    assert_eq!(b.ring.release_every(), 32);
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..7 {
        send(&mut tx, i, 8);
    }
    assert!(matches!(tx.try_claim(8), Err(ClaimError::Full)));
    recv(&mut rx, 0, 8);
    assert!(matches!(tx.try_claim(8), Err(ClaimError::Full)), "16 bytes are held back");
    recv(&mut rx, 1, 8);
    send(&mut tx, 7, 8);
    send(&mut tx, 8, 8);
    recv(&mut rx, 2, 8);
    assert!(matches!(tx.try_claim(8), Err(ClaimError::Full)));
    rx.flush();
    send(&mut tx, 9, 8);
    for i in 3..10 {
        recv(&mut rx, i, 8);
    }
    assert_ne!(tx.len_guess(), 0);
    assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    assert_eq!(tx.len_guess(), 0, "an empty ring holds nothing back");
    // Into buffers that they just fill, which is the quick way.
    send(&mut tx, 10, 8);
    send(&mut tx, 11, 8);
    rx.try_recv_into(&mut [0; 8]).unwrap();
    assert_eq!(tx.len_guess(), 32, "16 bytes are held back");
    rx.try_recv_into(&mut [0; 8]).unwrap();
    assert_eq!(tx.len_guess(), 0);
}

#[test]
fn start_anywhere() {
    for start in [0, 64, (1u64 << 31) - 64, (1 << 32) - 64, 1 << 32, (1 << 63) - 64, 1 << 63, u64::MAX - 127, u64::MAX]
    {
        for (capacity, aligned) in [(64, false), (256, false), (256, true)] {
            let memory = lines(CONTROL_SIZE + capacity);
            let b = Bench::new(&memory, &Format::new(capacity).start_at(start).line_aligned(aligned));
            let (mut tx, mut rx) = (b.producer(), b.consumer());
            assert_eq!(tx.tail().get(), start & !63);
            let mut last = None;
            for i in 0..60 {
                let len = (i * 11 % 25) as usize;
                let at = send(&mut tx, i, len);
                let step = at.get().wrapping_sub(last.unwrap_or(at.get().wrapping_sub(8)));
                assert!((8..=2 * capacity).contains(&step), "{at} after {last:?}");
                last = Some(at.get());
                assert_eq!(recv(&mut rx, i, len).position, at);
                if i % 7 == 0 {
                    send(&mut tx, i, 3);
                    Ring::attach(Region::new(&memory)).unwrap();
                    (tx, rx) = (b.replace_producer(tx), b.replace_consumer(rx));
                    recv(&mut rx, i, 3);
                    assert!(matches!(rx.try_read(), Err(ReadError::Ended(_))), "the dead one's mark");
                    assert!(matches!(rx.try_read(), Err(ReadError::Empty)), "and its space given back");
                }
            }
        }
    }
}

#[test]
fn spsc() {
    // Two threads, records of mixed lengths, singles and batches, every byte checked.
    for (capacity, release_every, aligned) in [(256, 0, false), (4096, 1024, false), (1024, 0, true)] {
        let memory = lines(CONTROL_SIZE + capacity);
        let b = Bench::new(&memory, &Format::new(capacity).release_every(release_every).line_aligned(aligned));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let n = count(40_000);
        // A message that is never seen must fail the test, not hang it.
        let started = Instant::now();
        let wait = move || {
            assert!(started.elapsed() < Duration::from_secs(120), "no progress");
            std::thread::yield_now();
        };
        let len = |i: u64| (i * 7919 % 96) as usize;
        std::thread::scope(|s| {
            s.spawn(move || {
                let mut i = 0;
                while i < n {
                    if i % 5 == 0 {
                        let Ok(mut batch) = tx.try_claim_batch(3, 96) else {
                            wait();
                            continue;
                        };
                        while batch.remaining() > 0 && i < n {
                            batch.push(i as u32, &bytes(i, len(i))).unwrap();
                            i += 1;
                        }
                        batch.commit();
                    } else if tx.try_send(i as u32, &bytes(i, len(i))).is_ok() {
                        i += 1;
                    } else {
                        wait();
                    }
                }
            });
            let (mut i, mut buf) = (0, [0; 128]);
            while i < n {
                let Ok(mut batch) = rx.try_read_batch(4) else {
                    wait();
                    continue;
                };
                while let Some(record) = batch.next_record().unwrap() {
                    let got = record.copy_to(&mut buf);
                    assert_eq!((record.tag(), &buf[..got]), (i as u32, &bytes(i, len(i))[..]));
                    i += 1;
                }
                batch.release();
            }
            assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
        });
    }
}

/// Where payloads start on lines, the header before the first one is the last word of the control block's page: the text beside
/// it is as long as it may be, and neither touches the other.
#[test]
fn the_first_header_of_lines_stands_behind_the_text() {
    const TEXT: &[u8] = &[b'x'; TYPE_TEXT_LEN + 8];
    let memory = lines(CONTROL_SIZE + 512);
    let b = Bench::new(&memory, &Format::new(512).line_aligned(true).type_text(TEXT));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for i in 0..count(50) {
        for len in [56, 100, 248, 0] {
            send(&mut tx, i, len);
            recv(&mut rx, i, len);
        }
        assert_eq!(b.ring.type_text().as_bytes(), &TEXT[..TYPE_TEXT_LEN]);
    }
    assert_eq!(send(&mut tx, 7, 8).get() % 64, 0);
    assert_eq!(Ring::attach(Region::new(&memory)).unwrap().type_text().as_bytes().len(), TYPE_TEXT_LEN);
}
