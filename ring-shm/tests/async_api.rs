//! Handles for tasks, in one process: on tokio's two runtimes and on an executor that knows nothing of it.

#[path = "support/chimed.rs"]
mod chimed;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chimed::chimed;
use futures_util::{SinkExt as _, StreamExt as _};
use ring_shm::wait::SLICE;
use ring_shm::{mpmc, spsc};

const MOMENT: Duration = Duration::from_millis(20);

fn current_thread<F: Future>(future: F) -> F::Output {
    chimed();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn multi_thread<F: Future>(future: F) -> F::Output {
    chimed();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

fn pollster<F: Future>(future: F) -> F::Output {
    chimed();
    ::pollster::block_on(future)
}

/// The same tests on each executor.
macro_rules! on_each {
    ($($test:ident)*) => {
        mod current_thread { $(#[test] fn $test() { super::current_thread(super::$test()); })* }
        mod multi_thread { $(#[test] fn $test() { super::multi_thread(super::$test()); })* }
        mod pollster { $(#[test] fn $test() { super::pollster(super::$test()); })* }
        mod own { $(#[test] fn $test() { ring_shm::wait::block_on(super::$test()); })* }
    };
}

on_each! { data_wakes space_wakes an_end_wakes batches_and_claims streams_and_sinks }

/// Does `act` in a moment, in another thread; how long after it `future` was ready.
async fn after<R>(act: impl FnOnce() + Send + 'static, future: impl Future<Output = R>) -> (R, Duration) {
    let acted = thread::spawn(|| {
        thread::sleep(MOMENT);
        let now = Instant::now();
        act();
        now
    });
    let result = future.await;
    let end = Instant::now();
    (result, end.saturating_duration_since(acted.join().unwrap()))
}

async fn data_wakes() {
    let (mut tx, rx) = spsc::heap(1 << 12).unwrap();
    let mut rx = rx.into_async();
    let mut buf = [0; 8];
    let (got, took) = after(move || drop(tx.try_send(7, b"record").map(|_| tx)), rx.recv_into(&mut buf)).await;
    assert_eq!((got.unwrap().tag, &buf[..6]), (7, &b"record"[..]));
    assert!(took < SLICE, "{took:?}: a wake-up was lost");
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap().into_async());
    for tag in 0..3 {
        let mut sender = ring.producer().unwrap();
        let (got, took) = after(move || assert!(sender.try_send(tag, b"message").is_ok()), rx.recv()).await;
        assert_eq!(got.unwrap().tag(), tag);
        assert!(took < SLICE, "{took:?}: a wake-up was lost");
    }
    tx.try_send(9, b"").unwrap();
    assert_eq!(rx.recv_into(&mut buf).await.unwrap().tag, 9, "what is there is not waited for");
}

async fn space_wakes() {
    let (tx, mut rx) = spsc::heap(64).unwrap();
    let mut tx = tx.into_async();
    while tx.get_mut().try_send(0, &[0; 8]).is_ok() {}
    let (sent, took) = after(
        move || {
            rx.try_recv_into(&mut [0; 8]).unwrap();
            thread::sleep(MOMENT);
        },
        tx.send(1, &[0; 8]),
    )
    .await;
    assert!(sent.is_ok() && took < SLICE, "{took:?}: a wake-up was lost");
    let ring = mpmc::heap(2, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap().into_async(), ring.consumer().unwrap());
    while tx.get_mut().try_send(0, &[0; 8]).is_ok() {}
    let (sent, took) = after(move || assert!(rx.try_recv_into(&mut [0; 8]).is_ok()), tx.send(1, &[0; 8])).await;
    assert!(sent.is_ok() && took < SLICE, "{took:?}: a wake-up was lost");
}

/// Wake-ups come from publishers: the end of a slice would be as quick by chance only.
#[test]
fn wake_ups_come_at_once() {
    const ROUNDS: usize = 20;
    let (tx, rx) = spsc::heap(64).unwrap();
    let (mut rx, tx) = (rx.into_async(), Arc::new(std::sync::Mutex::new(tx)));
    let mut quick = 0;
    for _ in 0..ROUNDS {
        let sender = Arc::clone(&tx);
        let act = move || assert!(sender.lock().unwrap().try_send(0, b"").is_ok());
        let (got, took) = current_thread(after(act, async { rx.recv_into(&mut []).await.map(|got| got.len) }));
        assert_eq!(got, Ok(0));
        quick += usize::from(took < Duration::from_millis(10));
    }
    assert!(quick > ROUNDS * 2 / 3, "{quick} of {ROUNDS} wake-ups came within 10 ms");
}

async fn an_end_wakes() {
    let (tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    let (ended, took) = after(|| drop(tx), rx.recv_into(&mut [])).await;
    assert_eq!(ended, Err(spsc::RecvError::Disconnected));
    assert!(took < SLICE, "{took:?}: a wake-up was lost");
    let ring = mpmc::heap(2, 8).unwrap();
    let (mut closer, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap().into_async());
    let (ended, took) = after(move || closer.close().unwrap(), rx.recv_into(&mut [])).await;
    assert_eq!(ended, Err(mpmc::RecvError::Disconnected));
    assert!(took < SLICE, "{took:?}: a wake-up was lost");
    assert_eq!(rx.recv().await.unwrap_err(), mpmc::RecvError::Disconnected);
}

/// One claim, a batch of three, and all of it received at once.
macro_rules! claims_and_a_batch {
    ($tx:expr, $rx:expr) => {{
        let mut claim = $tx.claim(8).await.unwrap();
        claim.write(b"claimed");
        claim.commit();
        let mut batch = $tx.claim_batch(3, 8).await.unwrap();
        while batch.remaining() > 0 {
            batch.push(1, b"batch").unwrap();
        }
        batch.commit();
        let mut batch = $rx.recv_many(10).await.unwrap();
        while batch.next_record().is_some() {}
        assert_eq!(batch.release(), 4);
    }};
}

async fn batches_and_claims() {
    let (tx, rx) = spsc::heap(1 << 10).unwrap();
    let (mut tx, mut rx) = (tx.into_async(), rx.into_async());
    claims_and_a_batch!(tx, rx);
    assert_eq!(rx.recv_many(0).await.unwrap_err(), spsc::RecvError::Timeout);
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap().into_async(), ring.consumer().unwrap().into_async());
    claims_and_a_batch!(tx, rx);
}

async fn streams_and_sinks() {
    const COUNT: u32 = 1000;
    let (tx, rx) = spsc::heap(256).unwrap();
    let ring = mpmc::heap(4, 8).unwrap();
    let (m_tx, m_rx) = (ring.producer().unwrap().into_async(), ring.consumer().unwrap().into_async());
    let mut tx = tx.into_async();
    let feeds = thread::spawn(move || {
        pollster(async {
            let mut items = futures_util::stream::iter((0..COUNT).map(|tag| Ok((tag, tag.to_le_bytes().to_vec()))));
            tx.send_all(&mut items).await.unwrap();
        });
    });
    // From the one ring into the other, and out again.
    let pipes = thread::spawn(move || {
        pollster(async {
            let mut m_tx = m_tx;
            let mut messages = rx.into_async().map(|message| message.map(|m| (m.tag, m.payload)).map_err(drop));
            while let Some(item) = messages.next().await {
                m_tx.feed(item.unwrap()).await.unwrap();
            }
            m_tx.flush().await.unwrap();
            m_tx.get_mut().close().unwrap();
        });
    });
    let tags: Vec<u32> =
        m_rx.map(|m| m.unwrap()).map(|m| (m.payload == m.tag.to_le_bytes()) as u32 * m.tag).collect().await;
    assert_eq!(tags, (0..COUNT).collect::<Vec<_>>());
    feeds.join().unwrap();
    pipes.join().unwrap();
}

/// Wakes nobody, and counts.
#[derive(Default)]
struct Counts(std::sync::Mutex<u32>);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

impl Counts {
    fn reaches(&self, count: u32) -> bool {
        let end = Instant::now() + MOMENT;
        while Instant::now() < end {
            if *self.0.lock().unwrap() >= count {
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

/// Its sender has woken the task for the message, and nobody else: a future that is dropped without having looked leaves
/// another receiver asleep.
#[test]
fn a_dropped_recv_passes_its_wake_up_on() {
    // Several times: now and then the end of a slice wakes whom nobody has woken.
    for drops_the_handle in [false, true].repeat(8) {
        let ring = mpmc::heap(4, 8).unwrap();
        let mut tx = ring.producer().unwrap();
        let (mut first, mut second) = (ring.consumer().unwrap().into_async(), ring.consumer().unwrap().into_async());
        // A publisher wakes whoever has the lower place in the table: that is the one to be dropped.
        if second.get_mut().stats().index < first.get_mut().stats().index {
            std::mem::swap(&mut first, &mut second);
        }
        let (woken, other) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
        let (w, o) = (Waker::from(Arc::clone(&woken)), Waker::from(Arc::clone(&other)));
        let (mut w, mut o) = (Context::from_waker(&w), Context::from_waker(&o));
        let before;
        let mut buf = [0; 8];
        if drops_the_handle {
            assert!(first.poll_recv(&mut w, &mut buf).is_pending());
            assert!(second.poll_recv(&mut o, &mut [0; 8]).is_pending());
            thread::sleep(MOMENT); // the waiter sleeps
            // Once more, in case a slice has just been over.
            assert!(first.poll_recv(&mut w, &mut buf).is_pending());
            assert!(second.poll_recv(&mut o, &mut [0; 8]).is_pending());
            before = *other.0.lock().unwrap();
            tx.try_send(7, b"").unwrap();
            drop(first);
        } else {
            let mut recv = Box::pin(first.recv_into(&mut buf));
            assert!(recv.as_mut().poll(&mut w).is_pending());
            assert!(second.poll_recv(&mut o, &mut [0; 8]).is_pending());
            thread::sleep(MOMENT);
            assert!(recv.as_mut().poll(&mut w).is_pending());
            assert!(second.poll_recv(&mut o, &mut [0; 8]).is_pending());
            before = *other.0.lock().unwrap();
            tx.try_send(7, b"").unwrap();
            drop(recv);
        }
        assert!(other.reaches(before + 1), "the other one was left asleep");
        assert!(second.poll_recv(&mut o, &mut [0; 8]).is_ready());
    }
}

#[test]
fn a_dropped_recv_loses_nothing() {
    const COUNT: u32 = 3000;
    let (mut tx, rx) = spsc::heap(1 << 12).unwrap();
    let ring = mpmc::heap(64, 8).unwrap();
    let (mut m_tx, m_rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let sends = thread::spawn(move || {
        for tag in 0..COUNT {
            tx.send(tag, b"").unwrap();
            m_tx.send(tag, b"").unwrap();
            if tag % 7 == 0 {
                thread::sleep(Duration::from_micros(u64::from(tag % 300)));
            }
        }
        drop(tx);
        m_tx.close().unwrap();
    });
    multi_thread(async {
        let (mut rx, mut m_rx) = (rx.into_async(), m_rx.into_async());
        let (mut next, mut m_next, mut cancelled) = (0, 0, 0);
        loop {
            let (mut buf, mut m_buf) = ([0; 8], [0; 8]);
            tokio::select! {
                got = rx.recv_into(&mut buf) => match got {
                    Ok(got) => { assert_eq!(got.tag, next); next += 1; }
                    Err(error) => { assert_eq!((error, next), (spsc::RecvError::Disconnected, COUNT)); break }
                },
                got = m_rx.recv_into(&mut m_buf) => match got {
                    Ok(got) => { assert_eq!(got.tag, m_next); m_next += 1; }
                    Err(error) => assert_eq!((error, m_next), (mpmc::RecvError::Disconnected, COUNT)),
                },
                () = tokio::time::sleep(Duration::from_micros(50)) => cancelled += 1,
            }
        }
        while let Ok(got) = m_rx.recv_into(&mut [0; 8]).await {
            assert_eq!(got.tag, m_next);
            m_next += 1;
        }
        assert_eq!((next, m_next), (COUNT, COUNT));
        assert!(cancelled > 0);
    });
    sends.join().unwrap();
}

#[test]
fn a_dropped_send_has_sent_nothing() {
    const TRIES: u32 = 300;
    let (tx, mut rx) = spsc::heap(64).unwrap();
    let receives = thread::spawn(move || {
        let mut tags = Vec::new();
        while let Ok(got) = rx.recv_into(&mut [0; 8]) {
            tags.push(got.tag);
            if got.tag % 5 == 0 {
                thread::sleep(Duration::from_millis(5));
            }
        }
        tags
    });
    let sent = current_thread(async {
        let mut tx = tx.into_async();
        let mut sent = Vec::new();
        for tag in 0..TRIES {
            if tokio::time::timeout(Duration::from_micros(50), tx.send(tag, &[0; 8]))
                .await
                .is_ok_and(|sent| sent.is_ok())
            {
                sent.push(tag);
            }
        }
        sent
    });
    assert!((1..TRIES as usize).contains(&sent.len()), "{} of {TRIES} sent", sent.len());
    assert_eq!(receives.join().unwrap(), sent);
}

#[test]
fn a_runtime_that_goes_leaves_rings_intact() {
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    chimed();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for _ in 0..20 {
        let mut waits = ring.consumer().unwrap().into_async();
        runtime.spawn(async move { waits.recv_into(&mut [0; 8]).await.is_ok() });
    }
    thread::sleep(MOMENT);
    runtime.shutdown_background();
    thread::sleep(MOMENT);
    for tag in 0..100 {
        tx.send_timeout(tag, b"", SLICE).unwrap();
        assert_eq!(rx.recv_into_timeout(&mut [0; 8], SLICE).unwrap().tag, tag);
    }
}

/// A task that is polled by others in between keeps its place, and the waker of the last poll is the one that counts.
#[test]
fn the_last_waker_counts() {
    let (mut tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    let (first, last) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
    for counts in [&first, &last] {
        let waker = Waker::from(Arc::clone(counts));
        assert_eq!(rx.poll_recv(&mut Context::from_waker(&waker), &mut []), Poll::Pending);
    }
    thread::sleep(MOMENT);
    let before = (*first.0.lock().unwrap(), *last.0.lock().unwrap());
    // Once more, in case a slice has just been over. Should one be over before the message on a busy machine, it wakes the last one, too.
    assert!(rx.poll_recv(&mut Context::from_waker(&Waker::from(Arc::clone(&last))), &mut []).is_pending());
    tx.try_send(0, b"").unwrap();
    assert!(last.reaches(before.1 + 1));
    assert_eq!(*first.0.lock().unwrap(), before.0);
    let mut recv = pin!(rx.recv_into(&mut []));
    assert!(recv.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// While it spins it wakes itself and announces nothing; then it waits like any other.
#[test]
fn who_spins_is_polled_at_once_for_as_long() {
    const SPIN: Duration = Duration::from_millis(5);
    let (mut tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    rx.spin_for(SPIN);
    let counts = Arc::new(Counts::default());
    let waker = Waker::from(Arc::clone(&counts));
    let mut cx = Context::from_waker(&waker);
    assert!(rx.poll_recv(&mut cx, &mut []).is_pending());
    assert_eq!(*counts.0.lock().unwrap(), 1);
    thread::sleep(SPIN);
    assert!(rx.poll_recv(&mut cx, &mut []).is_pending());
    let (got, took) = multi_thread(after(move || drop(tx.try_send(0, b"").map(|_| tx)), rx.recv_into(&mut [])));
    assert!(got.is_ok() && took < SLICE, "{took:?}");
}

/// Nobody has to ask for it, and it does not go on for long.
#[test]
fn a_task_is_polled_at_once_for_a_moment_unless_it_was_in_vain() {
    let (_tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    let counts = Arc::new(Counts::default());
    let waker = Waker::from(Arc::clone(&counts));
    let mut at_once = 0;
    for _ in 0..100 {
        let before = *counts.0.lock().unwrap();
        assert!(rx.poll_recv(&mut Context::from_waker(&waker), &mut []).is_pending());
        at_once += *counts.0.lock().unwrap() - before;
        rx.get_mut(); // gives up
    }
    assert!((1..20).contains(&at_once), "{at_once} of 100 waits in vain were polled at once");
}

/// The waiter remembers a ring for a while after the wait, and sleeps on its event as whoever blocks with the handle now
/// does: a wake-up is for both.
#[test]
fn who_blocks_after_awaiting_is_woken_at_once() {
    const ROUNDS: usize = 20;
    /// Not so long that the waiter forgets the ring, nor that it goes to sleep once more after whoever blocks.
    const SOON: Duration = Duration::from_millis(3);
    let (mut tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    rx.get_mut().set_wait_strategy(ring_shm::wait::Park::after(Duration::ZERO));
    let mut quick = 0;
    for _ in 0..ROUNDS {
        thread::scope(|s| {
            let sends = s.spawn(|| {
                for _ in 0..2 {
                    thread::sleep(SOON);
                    assert!(tx.try_send(0, b"").is_ok());
                }
                Instant::now()
            });
            assert!(current_thread(rx.recv_into(&mut [])).is_ok());
            assert!(rx.get_mut().recv_into(&mut []).is_ok());
            quick += usize::from(sends.join().unwrap().elapsed() < Duration::from_millis(10));
        });
    }
    assert!(quick > ROUNDS * 2 / 3, "{quick} of {ROUNDS} wake-ups came within 10 ms");
}
