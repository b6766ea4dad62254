//! One producer and one consumer at full speed: over the heap, where they lend slices, and over two mappings of a named
//! segment.

use std::thread;

use ring_shm::spsc::{self, TryRecvError, TrySendError};
use ring_shm::{Trusted, unlink};

use crate::{check, fill, length};

/// Messages per stream: enough to wrap a 4-KiB ring some hundred times, few enough for a sanitizer.
const MESSAGES: u32 = 40_000;
const LONGEST: usize = 256;

/// Writes message `i` into a slice, or copies it, and counts it.
fn bytes(i: u32) -> Vec<u8> {
    let mut bytes = vec![0; length(i, LONGEST)];
    fill(i, &mut bytes);
    bytes
}

/// Waits, or ends the test.
fn sent<T>(result: Result<T, TrySendError>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(TrySendError::Full) => {
            thread::yield_now();
            None
        }
        Err(error) => panic!("send: {error}"),
    }
}

/// Waits, or ends the test.
fn got<T>(result: Result<T, TryRecvError>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(TryRecvError::Empty) => {
            thread::yield_now();
            None
        }
        Err(error) => panic!("receive: {error}"),
    }
}

/// Sends in place.
fn produce(tx: &mut spsc::Producer<Trusted>) {
    let mut i = 0;
    while i < MESSAGES {
        match i % 3 {
            0 => {
                if let Some(mut batch) = sent(tx.try_claim_batch(8, LONGEST)) {
                    while batch.remaining() > 0 && i < MESSAGES {
                        let len = length(i, LONGEST);
                        batch.push_with(i, len, |bytes| fill(i, bytes)).expect("the batch has room");
                        i += 1;
                    }
                    batch.commit();
                }
            }
            1 => {
                if let Some(mut claim) = sent(tx.try_claim(LONGEST)) {
                    let len = length(i, LONGEST);
                    claim.set_tag(i);
                    // Abandoned now and then: what was written there must not meet a reader.
                    fill(i, &mut claim[..len]);
                    if i % 7 == 1 {
                        claim.abort();
                        sent(tx.try_send(i, &bytes(i))).inspect(|_| i += 1);
                    } else {
                        claim.truncate(len);
                        claim.commit();
                        i += 1;
                    }
                }
            }
            _ => _ = sent(tx.try_send(i, &bytes(i))).inspect(|_| i += 1),
        }
    }
}

/// Looks at record `i` and leaves it in the ring.
fn check_kept(i: u32, record: spsc::Record<'_, Trusted>) {
    assert_eq!(record.tag(), i);
    check(i, &record);
    record.keep();
}

/// Reads in place.
fn consume(rx: &mut spsc::Consumer<Trusted>) {
    let mut i = 0;
    let mut buf = [0; LONGEST];
    while i < MESSAGES {
        match i % 3 {
            0 => {
                if let Some(mut batch) = got(rx.try_read_batch(16)) {
                    while let Some(record) = batch.next_record() {
                        assert_eq!((record.tag(), record.len()), (i, length(i, LONGEST)));
                        check(i, &record);
                        i += 1;
                    }
                }
            }
            1 => {
                // Now and then it is kept, and there still.
                let kept = i % 5 == 0 && got(rx.try_read()).map(|record| check_kept(i, record)).is_some();
                if let Some(record) = got(rx.try_read()) {
                    assert_eq!((record.tag(), record.len()), (i, length(i, LONGEST)));
                    check(i, &record);
                    record.release();
                    i += 1;
                } else {
                    assert!(!kept, "record {i} was kept and is gone");
                }
            }
            _ => {
                if let Some(got) = got(rx.try_recv_into(&mut buf)) {
                    assert_eq!((got.tag, got.len), (i, length(i, LONGEST)));
                    check(i, &buf[..got.len]);
                    i += 1;
                }
            }
        }
    }
}

/// Waits for the end of the session.
fn end(mut next: impl FnMut() -> Result<(), TryRecvError>) {
    loop {
        match next() {
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => thread::yield_now(),
            other => panic!("after the last record: {other:?}"),
        }
    }
}

/// All streams; returns the number of records.
pub(crate) fn run() -> u64 {
    let (mut tx, mut rx) = spsc::heap(4096).expect("a heap ring");
    let producer = thread::spawn(move || {
        produce(&mut tx);
        tx
    });
    let consumer = thread::spawn(move || {
        consume(&mut rx);
        rx
    });
    // The handles come back, so that the memory goes after the threads; std's own ordering for its last owner is not
    // seen by a sanitizer, the end of a thread is.
    drop(producer.join().expect("a producer"));
    let mut rx = consumer.join().expect("a consumer");
    end(|| rx.try_read().map(drop));

    let name = format!("race-{}", std::process::id());
    let mut tx = spsc::Producer::create(&name, &spsc::Options::new().capacity(4096)).expect("a named ring");
    let mut rx = spsc::Consumer::open(&name).expect("its other end");
    unlink(&name, true).expect("its name is ours");
    let producer = thread::spawn(move || {
        for i in 0..MESSAGES {
            while sent(tx.try_send(i, &bytes(i))).is_none() {}
        }
    });
    let mut buf = [0; LONGEST];
    for i in 0..MESSAGES {
        let got = loop {
            if let Some(got) = got(rx.try_recv_into(&mut buf)) {
                break got;
            }
        };
        assert_eq!(got.tag, i);
        check(i, &buf[..got.len]);
    }
    end(|| rx.try_recv_into(&mut buf).map(drop));
    producer.join().expect("a producer");
    u64::from(2 * MESSAGES)
}
