//! A plain `main` (no libtest, which ThreadSanitizer reports itself) that streams through rings between threads: once
//! over the heap and once over two mappings of one named segment. `cargo test` runs it as it is; `ci/san.sh` runs it
//! under ThreadSanitizer and AddressSanitizer. `--plant` adds a race of its own, to show that the sanitizer looks.
#![allow(unsafe_code)]
// # Safety
//
// 1. Planted: two threads write one static without order. Only reached with `--plant`, under a sanitizer.

use std::thread;

use ring_shm::spsc::{self, TryRecvError, TrySendError};
use ring_shm::{Trust, unlink};

/// Messages per stream: enough to wrap a 4-KiB ring some hundred times, few enough for a sanitizer.
const MESSAGES: u32 = 40_000;

/// A payload whose length and bytes follow from its number.
fn payload(i: u32) -> Vec<u8> {
    let len = (i.wrapping_mul(2_654_435_761) >> 24) as usize;
    (0..len).map(|k| (i as usize).wrapping_add(k) as u8).collect()
}

fn produce<T: Trust>(tx: &mut spsc::Producer<T>) {
    let mut i = 0;
    while i < MESSAGES {
        let sent = if i % 3 == 0 {
            tx.try_claim_batch(8, 256).map(|mut batch| {
                while batch.remaining() > 0 && i < MESSAGES {
                    batch.push(i, &payload(i)).expect("the batch has room");
                    i += 1;
                }
                batch.commit();
            })
        } else if i % 3 == 1 {
            let bytes = payload(i);
            tx.try_claim(256).map(|mut claim| {
                claim.set_tag(i);
                let (a, b) = bytes.split_at(bytes.len() / 2);
                claim.write(a);
                claim.write(b);
                claim.truncate(bytes.len());
                claim.commit();
                i += 1;
            })
        } else {
            tx.try_send(i, &payload(i)).map(|_| i += 1)
        };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full) => thread::yield_now(),
            Err(error) => panic!("send: {error}"),
        }
    }
}

fn consume<T: Trust>(rx: &mut spsc::Consumer<T>) {
    let mut buf = [0; 256];
    let mut i = 0;
    let mut check = |tag: u32, bytes: &[u8]| {
        assert_eq!((tag, bytes), (i, payload(i).as_slice()));
        i += 1;
        i
    };
    let mut done = 0;
    while done < MESSAGES {
        let got = if done % 2 == 0 {
            rx.try_recv_into(&mut buf).map(|got| done = check(got.tag, &buf[..got.len]))
        } else {
            rx.try_read_batch(16).map(|mut batch| {
                while let Some(record) = batch.next_record() {
                    let n = record.copy_to(&mut buf);
                    done = check(record.tag(), &buf[..n]);
                }
            })
        };
        match got {
            Ok(()) => {}
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(error) => panic!("receive: {error}"),
        }
    }
}

fn stream<T: Trust + Send, U: Trust + Send>(mut tx: spsc::Producer<T>, mut rx: spsc::Consumer<U>) {
    thread::scope(|scope| {
        scope.spawn(move || produce(&mut tx));
        scope.spawn(move || {
            consume(&mut rx);
            loop {
                match rx.try_recv_into(&mut [0; 256]) {
                    Err(TryRecvError::Disconnected) => break,
                    Err(TryRecvError::Empty) => thread::yield_now(),
                    other => panic!("after the last record: {other:?}"),
                }
            }
        });
    });
}

/// A race that a sanitizer must report.
fn plant() {
    static mut VICTIM: u64 = 0;
    thread::scope(|scope| {
        for i in 0..2 {
            scope.spawn(move || {
                let victim = &raw mut VICTIM;
                // SAFETY: 1.
                unsafe { victim.write_volatile(i) };
            });
        }
    });
}

fn main() {
    if std::env::args().any(|arg| arg == "--plant") {
        plant();
        return;
    }
    let (tx, rx) = spsc::heap(4096).expect("a heap ring");
    stream(tx, rx);

    let name = format!("race-{}", std::process::id());
    let tx = spsc::Producer::create(&name, &spsc::Options::new().capacity(4096)).expect("a named ring");
    let rx = spsc::Consumer::open(&name).expect("its other end");
    unlink(&name, true).expect("its name is ours");
    stream(tx, rx);
    println!("race: {} messages in order", 2 * MESSAGES);
}
