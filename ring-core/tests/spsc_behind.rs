//! Behind a message there is nothing until the next one is sent, whatever was there before; and nothing is stored beyond it: what is
//! unread stays, and so does what was released, until as much is sent as was free.
#![cfg(not(loom))]

mod spsc_support;

use ring_core::spsc::{ClaimError, Consumer, Format, Producer, ReadError, SyncMark, cut_to_synced};
use ring_core::{CONTROL_SIZE, Region, Role};
use spsc_support::{Bench, lines};

const CAPACITY: u64 = 4096;
const FORMAT: Format = Format::new(CAPACITY);

/// Two sides of a ring, of which most words were something else than 0 before.
fn soiled<'m>(ring: &Bench<'m>) -> (Producer<'m>, Consumer<'m>) {
    let (mut tx, mut rx) = (ring.producer(), ring.consumer());
    soil(&mut tx, CAPACITY as usize / 2 - 8);
    // A lap of payload, which as headers would be records.
    let mut buf = [0; CAPACITY as usize];
    for _ in 0..4 {
        tx.try_send(0, &[1; CAPACITY as usize / 4]).unwrap();
        rx.try_recv_into(&mut buf).unwrap();
    }
    (tx, rx)
}

/// Claims `len` bytes, writes what as headers would be records of no bytes, and leaves it.
fn soil(tx: &mut Producer<'_>, len: usize) {
    let mut claim = tx.try_claim(len).unwrap();
    let words = [1, 0, 0, 0, 0, 0, 0, 0].repeat(len / 8);
    assert_eq!(claim.write(&words), words.len());
    claim.abort();
}

/// Whether each message is awaited before the next one: who looks at the head then sees a conversation, and asks for no lines.
const CONVERSES: [bool; 2] = [false, true];

/// Two messages there, and nothing behind them.
fn two(tx: &mut Producer<'_>, rx: &mut Consumer<'_>, converses: bool, n: u64, len: usize) {
    let mut payload = vec![1; len];
    payload[..8].copy_from_slice(&n.to_le_bytes());
    tx.try_send(7, &payload).unwrap();
    if converses {
        arrives(rx, &payload);
        tx.try_send(7, &payload).unwrap();
    } else {
        tx.try_send(7, &payload).unwrap();
        assert_eq!(rx.try_recv_into(&mut vec![0; len]).map(|received| received.len), Ok(len));
    }
    arrives(rx, &payload);
}

/// Sends one, does something else, and receives it, or before that.
fn behind_one<T>(
    tx: &mut Producer<'_>,
    rx: &mut Consumer<'_>,
    converses: bool,
    between: impl FnOnce(&mut Producer<'_>) -> T,
) -> T {
    tx.try_send(9, &[9; 8]).unwrap();
    let mut recv = || assert_eq!(rx.try_recv_into(&mut [0; 8]).map(|received| received.tag), Ok(9));
    if converses {
        recv();
        return between(tx);
    }
    let what = between(tx);
    recv();
    what
}

fn arrives(rx: &mut Consumer<'_>, payload: &[u8]) {
    let mut buf = vec![0; payload.len()];
    assert_eq!(rx.try_recv_into(&mut buf).map(|received| received.len), Ok(payload.len()));
    assert_eq!(buf, payload);
    assert_eq!(rx.try_recv_into(&mut buf), Err(ReadError::Empty));
}

#[test]
fn nothing_is_behind_a_message() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for converses in CONVERSES {
        let (mut tx, mut rx) = soiled(&Bench::new(&memory, &FORMAT));
        for n in 0..5000 {
            two(&mut tx, &mut rx, converses, n, 8);
        }
        for n in 0..20_000 {
            two(&mut tx, &mut rx, converses, n, [8, 16, 64, 128, 136, 500][n as usize % 6]);
        }
    }
}

#[test]
fn nothing_is_behind_a_message_after_a_claim_that_was_left() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for converses in CONVERSES {
        let (mut tx, mut rx) = soiled(&Bench::new(&memory, &FORMAT));
        for n in 0..3000 {
            two(&mut tx, &mut rx, converses, n, 8);
            behind_one(&mut tx, &mut rx, converses, |tx| soil(tx, [8, 64, 200, 1000][n as usize % 4]));
            two(&mut tx, &mut rx, converses, n, 8);
        }
    }
}

#[test]
fn nothing_is_behind_a_claim_that_was_cut() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for converses in CONVERSES {
        let (mut tx, mut rx) = soiled(&Bench::new(&memory, &FORMAT));
        for n in 0..3000_u64 {
            two(&mut tx, &mut rx, converses, n, 8);
            behind_one(&mut tx, &mut rx, converses, |tx| {
                let mut claim = tx.try_claim(120).unwrap();
                assert_eq!(claim.write(&[1, 0, 0, 0, 0, 0, 0, 0].repeat(15)), 120);
                claim.truncate(8);
                claim.commit();
            });
            arrives(&mut rx, &[1, 0, 0, 0, 0, 0, 0, 0]);
        }
    }
}

#[test]
fn nothing_is_behind_a_batch_or_one_that_was_left() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    for converses in CONVERSES {
        let (mut tx, mut rx) = soiled(&Bench::new(&memory, &FORMAT));
        for n in 0..3000_u64 {
            two(&mut tx, &mut rx, converses, n, 8);
            let sent = behind_one(&mut tx, &mut rx, converses, |tx| {
                let mut batch = tx.try_claim_batch_exact(8, 64).unwrap();
                for _ in 0..8 {
                    batch.push(1, &[1, 0, 0, 0, 0, 0, 0, 0].repeat(8)).unwrap();
                }
                if n % 2 == 0 {
                    batch.abort();
                    return 0;
                }
                batch.commit()
            });
            if sent > 0 {
                assert_eq!(sent, 8);
                let mut buf = [0; 64];
                (0..8).for_each(|_| assert_eq!(rx.try_recv_into(&mut buf).map(|received| received.len), Ok(64)));
            }
            two(&mut tx, &mut rx, converses, n, 8);
        }
    }
}

#[test]
fn what_is_unread_stays_as_it_is() {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    let (mut tx, mut rx) = soiled(&Bench::new(&memory, &FORMAT));
    let (mut sent, mut read) = (0_u64, 0_u64);
    while read < 50_000 {
        loop {
            match tx.try_send(0, &sent.to_le_bytes()) {
                Ok(_) => sent += 1,
                Err(ClaimError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        // Some, so that what is free is little, and at another place each time.
        for _ in 0..1 + read % 97 {
            let mut buf = [0; 8];
            rx.try_recv_into(&mut buf).unwrap();
            assert_eq!(u64::from_le_bytes(buf), read);
            read += 1;
        }
    }
}

/// Sends as much as was free at a sync, after all that was unread then was released but for one message, or, in a conversation, all,
/// and each message since: is what was unread still there?
fn synced_is_whole(converses: bool) -> bool {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    let ring = Bench::new(&memory, &FORMAT);
    let (mut tx, mut rx, region) = (ring.producer(), ring.consumer(), Region::new(&memory));
    // All that there is room for; then 101 more, when 200 are known to be released.
    let lap = CAPACITY / 16 - 1;
    let mut send = |count: u64| (0..count).for_each(|n| assert!(tx.try_send(0, &n.to_le_bytes()).is_ok()));
    let mut read = |count: u64| (0..count).for_each(|_| assert!(rx.try_recv_into(&mut [0; 8]).is_ok()));
    send(lap);
    read(200);
    send(101);
    // Three are free that the producer does not know of, so that it looks again before it has sent as much as is free.
    read(3);
    SyncMark::take(region).unwrap().store(region, Role::Producer).unwrap();
    let unread = lap + 101 - 203;
    read(if converses { unread } else { unread - 1 });
    for _ in 0..lap - unread {
        send(1);
        read(u64::from(converses));
    }
    cut_to_synced(region).unwrap().unwrap().whole
}

#[test]
fn what_was_synced_is_there_until_more_is_sent_than_was_free() {
    for converses in [false, true] {
        assert!(synced_is_whole(converses));
    }
}
