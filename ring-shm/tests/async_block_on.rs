//! A thread that runs one future and is the waiter of its own rings. A program of its own: it counts the threads of the
//! whole process, so it is one test, step by step.

#[path = "support/waiters.rs"]
mod waiters;

use std::future::poll_fn;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ring_shm::spsc;
use ring_shm::wait::{SLICE, block_on};
use waiters::waiters;

const MOMENT: Duration = Duration::from_millis(5);
const ROUNDS: u32 = 20;

/// Two rings, the second of which is rung at each time.
fn wakes_itself() {
    let (_tx, rx) = spsc::heap(64).unwrap();
    let (mut tx, second) = spsc::heap(64).unwrap();
    let (mut rx, mut second) = (rx.into_async(), second.into_async());
    let (ask, asked) = std::sync::mpsc::channel();
    let sender = thread::spawn(move || {
        for tag in asked {
            thread::sleep(MOMENT);
            tx.try_send(tag, &[]).unwrap();
        }
    });
    let mut quick = 0;
    for tag in 0..ROUNDS {
        let start = Instant::now();
        ask.send(tag).unwrap();
        let got = block_on(async {
            tokio::select! {
                got = rx.recv_into(&mut []) => panic!("{got:?}"),
                got = second.recv_into(&mut []) => got.unwrap().tag,
            }
        });
        assert_eq!(got, tag);
        quick += u32::from(start.elapsed() < MOMENT + SLICE / 5);
    }
    assert!(quick > ROUNDS * 2 / 3, "{quick} of {ROUNDS} wake-ups came at once");
    drop(ask);
    sender.join().unwrap();
}

/// What is not a ring wakes as well, and it does not go round meanwhile.
fn others_wake_it() {
    let (_tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    let mut quick = 0;
    for _ in 0..ROUNDS {
        let (told, tell) = tokio::sync::oneshot::channel();
        let sender = thread::spawn(move || {
            thread::sleep(2 * MOMENT);
            told.send(Instant::now()).unwrap();
        });
        let mut polls = 0;
        block_on(async {
            let turns = poll_fn(|_| -> Poll<()> {
                polls += 1;
                Poll::Pending
            });
            tokio::select! {
                biased;
                () = turns => {}
                got = rx.recv_into(&mut []) => panic!("{got:?}"),
                sent = tell => quick += u32::from(sent.unwrap().elapsed() < SLICE / 5),
            }
        });
        // A stretch of 20 µs at most is spent polling, in one wait of 16.
        assert!(polls < 10_000, "{polls} polls in 10 ms");
        sender.join().unwrap();
    }
    assert!(quick > ROUNDS * 2 / 3, "{quick} of {ROUNDS} wake-ups came at once");
}

/// A ring that is awaited here, then there, then here: its watch moves with it.
fn a_handle_moves() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    rx.spin_for(Duration::ZERO);
    let mut quick = 0;
    for round in 0..ROUNDS {
        thread::scope(|s| {
            let sends = s.spawn(|| {
                thread::sleep(MOMENT);
                tx.try_send(round, &[]).unwrap();
                Instant::now()
            });
            // Polled once by a thread's own future, which is then given up, and by another one in a runtime.
            if round % 2 == 0 {
                block_on(poll_fn(|cx| {
                    assert!(rx.poll_recv(cx, &mut []).is_pending());
                    Poll::Ready(())
                }));
                assert_eq!(runtime.block_on(rx.recv_into(&mut [])).unwrap().tag, round);
            } else {
                assert_eq!(block_on(rx.recv_into(&mut [])).unwrap().tag, round);
            }
            quick += u32::from(sends.join().unwrap().elapsed() < SLICE / 5);
        });
    }
    assert!(quick > ROUNDS * 2 / 3, "{quick} of {ROUNDS} wake-ups came at once");
}

/// More rings than a thread can sleep on, and wakers of their own: the process's waiter helps.
fn many() {
    let (mut producers, consumers): (Vec<_>, Vec<_>) = (0..200).map(|_| spsc::heap(64).unwrap()).unzip();
    let sender = thread::spawn(move || {
        for (tag, tx) in producers.iter_mut().enumerate().rev() {
            thread::sleep(Duration::from_micros(100));
            tx.try_send(tag as u32, &[]).unwrap();
        }
        producers
    });
    let tags = block_on(async {
        let mut all: Vec<_> = consumers.into_iter().map(spsc::Consumer::into_async).collect();
        let (plain, own) = all.split_at_mut(150);
        let mut own: FuturesUnordered<_> = own.iter_mut().map(|rx| async { rx.recv().await.unwrap().tag() }).collect();
        let mut tags = Vec::new();
        while let Some(tag) = own.next().await {
            tags.push(tag);
        }
        let mut got = vec![false; plain.len()];
        poll_fn(|cx| {
            for (rx, got) in plain.iter_mut().zip(&mut got).filter(|(_, got)| !**got) {
                if let Poll::Ready(received) = rx.poll_recv(cx, &mut []) {
                    tags.push(received.unwrap().tag);
                    *got = true;
                }
            }
            if got.iter().all(|got| *got) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        tags
    });
    assert_eq!(tags.len(), 200);
    sender.join().unwrap();
}

/// The inner one sleeps for itself, and the outer one goes on as before.
fn one_in_the_other() {
    let (mut tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    let sum = block_on(async {
        tx.try_send(1, &[]).unwrap();
        let outer = rx.recv().await.unwrap().tag();
        let (mut tx, inner) = spsc::heap(64).unwrap();
        let sender = thread::spawn(move || {
            thread::sleep(MOMENT);
            tx.try_send(2, &[]).unwrap();
            tx
        });
        let mut inner = inner.into_async();
        let inner = block_on(async { inner.recv().await.unwrap().tag() });
        drop(sender.join().unwrap());
        outer + inner
    });
    assert_eq!(sum, 3);
}

#[test]
fn a_thread_waits_for_its_own_rings() {
    wakes_itself();
    others_wake_it();
    one_in_the_other();
    assert_eq!(waiters(), 0, "a thread that sleeps for itself needs nobody to do it");
    a_handle_moves();
    many();
}
