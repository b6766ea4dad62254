//! Typed SPSC handles for tasks: values by every way in and out, and what is none.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;

use futures_util::{SinkExt as _, StreamExt as _};
use ring_shm::spsc::{self, RecvError};
use ring_shm::wait::block_on;

type Tick = [u64; 2];

fn tick(price: u64) -> Tick {
    [price, 5]
}

const COUNT: u32 = 1000;

/// Through a ring of a few values, so that both sides wait.
#[test]
fn values_come_as_they_were_sent() {
    let (tx, rx) = spsc::typed_heap::<Tick>(128).unwrap();
    let (mut tx, mut rx) = (tx.into_async(), rx.into_async());
    thread::scope(|s| {
        s.spawn(|| {
            block_on(async {
                for tag in 0..COUNT {
                    if tag % 2 == 0 {
                        tx.send(tag, &tick(tag.into())).await.unwrap();
                    } else {
                        let mut claim = tx.claim().await.unwrap();
                        claim.set_tag(tag);
                        *claim = tick(tag.into());
                        claim.commit();
                    }
                }
                drop(tx);
            });
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for tag in 0..COUNT {
                let (value, of) = if tag % 3 == 0 {
                    let record = rx.read().await.unwrap();
                    (*record, record.tag())
                } else {
                    let (value, received) = rx.recv().await.unwrap();
                    (value, received.tag)
                };
                assert_eq!((value, of), (tick(tag.into()), tag));
            }
            assert_eq!(rx.recv().await, Err(RecvError::Disconnected));
        });
    });
}

#[test]
fn streams_and_sinks() {
    let (tx, rx) = spsc::typed_heap::<Tick>(128).unwrap();
    let (mut tx, mut rx) = (tx.into_async(), rx.into_async());
    let sender = thread::spawn(move || {
        block_on(async {
            for tag in 0..COUNT {
                tx.feed((tag, tick(tag.into()))).await.unwrap();
            }
            tx.close().await.unwrap();
        });
    });
    let values: Vec<u64> = block_on((&mut rx).map(|item| item.unwrap().0[0]).collect());
    assert!(values.iter().copied().eq(0..COUNT.into()), "{values:?}");
    sender.join().unwrap();
}

/// Records of a handle of bytes, too short and too long: each is told once, out of the way, and not the end.
#[test]
fn what_is_no_value_is_told_and_passed_over() {
    let wrong = |len| RecvError::WrongLength { len, expected: size_of::<Tick>() };
    let (mut tx, rx) = spsc::typed_heap::<Tick>(1 << 12).unwrap();
    let mut rx = rx.into_async();
    for _ in 0..4 {
        tx.get_mut().try_send(0, &[0; 3]).unwrap();
        tx.get_mut().try_send(0, &[0; 40]).unwrap();
        tx.try_send(0, &tick(1)).unwrap();
    }
    block_on(async {
        assert_eq!(rx.recv().await, Err(wrong(3)));
        assert_eq!(rx.recv().await, Err(wrong(40)));
        assert_eq!(rx.recv().await.unwrap().0, tick(1));
        assert_eq!(rx.read().await.unwrap_err(), wrong(3));
        assert_eq!(rx.read().await.unwrap_err(), wrong(40));
        assert_eq!(*rx.read().await.unwrap(), tick(1));
        for expected in [Err(wrong(3)), Err(wrong(40)), Ok(tick(1))] {
            let item = rx.next().await.expect("it is not the end");
            assert_eq!(item.map(|(value, _)| value), expected);
        }
        let mut polled = |expected: Result<Tick, RecvError>| {
            let polled = rx.poll_recv(&mut Context::from_waker(Waker::noop()));
            assert_eq!(polled.map_ok(|(value, _)| value), std::task::Poll::Ready(expected));
        };
        polled(Err(wrong(3)));
        polled(Err(wrong(40)));
        polled(Ok(tick(1)));
    });
    drop(tx);
    assert!(block_on(rx.next()).is_none());
}

#[test]
fn what_is_dropped_has_taken_and_sent_nothing() {
    let (tx, rx) = spsc::typed_heap::<u64>(64).unwrap();
    let (mut tx, mut rx) = (tx.into_async(), rx.into_async());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(rx.recv()).poll(&mut cx).is_pending());
    let mut sent = 0;
    while pin!(tx.send(0, &sent)).poll(&mut cx).is_ready() {
        sent += 1;
    }
    assert!(pin!(tx.claim()).poll(&mut cx).is_pending());
    for value in 0..sent {
        assert_eq!(block_on(rx.recv()).unwrap().0, value);
    }
    assert!(pin!(rx.recv()).poll(&mut cx).is_pending(), "what was dropped was sent");
    assert!(pin!(tx.send(7, &7)).poll(&mut cx).is_ready());
    assert_eq!(block_on(rx.recv()).unwrap().0, 7);
}
