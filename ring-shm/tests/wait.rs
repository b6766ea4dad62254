//! Blocking calls: woken by data, by space, by a close, by a cancel; ended by deadlines; whatever the strategy. Both kinds
//! of ring go through the same tests, and so does a strict one.
#![allow(unsafe_code)]

#[path = "support/strict.rs"]
mod strict;
mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ring_shm::wait::{Canceller, Idle, Park, Round, Spin, SpinYield, WaitStrategy};
use ring_shm::{Trusted, mpmc, spsc};
use support::at_once;

/// A sleep that nobody ends lasts as long.
const SLICE: Duration = ring_shm::wait::SLICE;

const MS: Duration = Duration::from_millis(1);

/// What both kinds of refusal have in common.
#[derive(Debug, PartialEq)]
enum Refusal {
    Timeout,
    Cancelled,
    Disconnected,
    Other,
}

trait Sends: Send {
    fn send(&mut self, tag: u32) -> Result<(), Refusal>;
    fn send_timeout(&mut self, tag: u32, timeout: Duration) -> Result<(), Refusal>;
    fn send_deadline(&mut self, tag: u32, deadline: Instant) -> Result<(), Refusal>;
    fn try_send(&mut self, tag: u32) -> bool;
    fn canceller(&mut self) -> Canceller;
    /// The orderly end, as this kind of ring has it.
    fn end(self);
}

trait Receives: Send {
    fn recv(&mut self) -> Result<u32, Refusal>;
    fn recv_timeout(&mut self, timeout: Duration) -> Result<u32, Refusal>;
    fn recv_deadline(&mut self, deadline: Instant) -> Result<u32, Refusal>;
    fn read(&mut self) -> Result<u32, Refusal>;
    fn try_recv(&mut self) -> Option<u32>;
    fn by(&mut self, strategy: impl WaitStrategy + 'static);
    fn canceller(&mut self) -> Canceller;
}

const PAYLOAD: &[u8] = &[7; 8];

macro_rules! handles {
    ($module:ident, $timeout:pat) => {
        impl From<$module::SendError> for Refusal {
            fn from(error: $module::SendError) -> Self {
                match error {
                    $timeout => Self::Timeout,
                    $module::SendError::Cancelled => Self::Cancelled,
                    $module::SendError::Disconnected => Self::Disconnected,
                    _ => Self::Other,
                }
            }
        }
    };
}

handles!(spsc, spsc::SendError::Timeout);
handles!(mpmc, mpmc::SendError::Timeout { .. });

impl From<spsc::RecvError> for Refusal {
    fn from(error: spsc::RecvError) -> Self {
        match error {
            spsc::RecvError::Timeout => Self::Timeout,
            spsc::RecvError::Cancelled => Self::Cancelled,
            spsc::RecvError::Disconnected => Self::Disconnected,
            _ => Self::Other,
        }
    }
}

impl From<mpmc::RecvError> for Refusal {
    fn from(error: mpmc::RecvError) -> Self {
        match error {
            mpmc::RecvError::Timeout { .. } => Self::Timeout,
            mpmc::RecvError::Cancelled => Self::Cancelled,
            mpmc::RecvError::Disconnected => Self::Disconnected,
            _ => Self::Other,
        }
    }
}

macro_rules! ends {
    ($module:ident, $end:expr) => {
        impl Sends for $module::Producer<Trusted> {
            fn send(&mut self, tag: u32) -> Result<(), Refusal> {
                self.send(tag, PAYLOAD)?;
                Ok(())
            }

            fn send_timeout(&mut self, tag: u32, timeout: Duration) -> Result<(), Refusal> {
                self.send_timeout(tag, PAYLOAD, timeout)?;
                Ok(())
            }

            fn send_deadline(&mut self, tag: u32, deadline: Instant) -> Result<(), Refusal> {
                // The way in place, for once.
                let mut claim = self.claim_deadline(PAYLOAD.len(), deadline)?;
                claim.set_tag(tag);
                claim.write(PAYLOAD);
                claim.commit();
                Ok(())
            }

            fn try_send(&mut self, tag: u32) -> bool {
                self.try_send(tag, PAYLOAD).is_ok()
            }

            fn canceller(&mut self) -> Canceller {
                self.canceller()
            }

            fn end(self) {
                $end(self);
            }
        }

        impl Receives for $module::Consumer<Trusted> {
            fn recv(&mut self) -> Result<u32, Refusal> {
                let mut buf = [0; 8];
                let got = self.recv_into(&mut buf)?;
                assert_eq!(&buf, PAYLOAD);
                Ok(got.tag)
            }

            fn recv_timeout(&mut self, timeout: Duration) -> Result<u32, Refusal> {
                Ok(self.recv_into_timeout(&mut [0; 8], timeout)?.tag)
            }

            fn recv_deadline(&mut self, deadline: Instant) -> Result<u32, Refusal> {
                Ok(self.recv_into_deadline(&mut [0; 8], deadline)?.tag)
            }

            fn read(&mut self) -> Result<u32, Refusal> {
                let record = self.read()?;
                assert_eq!(&*record, PAYLOAD);
                let tag = record.tag();
                record.release();
                Ok(tag)
            }

            fn try_recv(&mut self) -> Option<u32> {
                self.try_recv_into(&mut [0; 8]).ok().map(|got| got.tag)
            }

            fn by(&mut self, strategy: impl WaitStrategy + 'static) {
                self.set_wait_strategy(strategy);
            }

            fn canceller(&mut self) -> Canceller {
                self.canceller()
            }
        }
    };
}

ends!(spsc, drop);
ends!(mpmc, |mut tx: mpmc::Producer<Trusted>| tx.close().unwrap());

/// A ring that is full with four messages.
fn spsc_ring() -> (spsc::Producer<Trusted>, spsc::Consumer<Trusted>) {
    let (mut tx, mut rx) = spsc::heap(64).unwrap();
    tx.set_wait_strategy(at_once());
    rx.set_wait_strategy(at_once());
    (tx, rx)
}

/// The same over a strict ring: cases wait on words of the object that both sides write.
fn strict_ring() -> (spsc::Producer<Trusted>, spsc::Consumer<Trusted>) {
    let (tx, rx) = strict::pair(&spsc::Options::new().capacity(64));
    // SAFETY: both handles are this process's.
    let mut tx = unsafe { tx.trust_peers() };
    // SAFETY: as above.
    let mut rx = unsafe { rx.trust_peers() };
    tx.set_wait_strategy(at_once());
    rx.set_wait_strategy(at_once());
    (tx, rx)
}

fn mpmc_ring() -> (mpmc::Producer<Trusted>, mpmc::Consumer<Trusted>) {
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.set_wait_strategy(at_once());
    rx.set_wait_strategy(at_once());
    (tx, rx)
}

fn fill(tx: &mut impl Sends) -> u32 {
    (0..).find(|n| !tx.try_send(*n)).unwrap()
}

macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn spsc() {
                let (tx, rx) = super::spsc_ring();
                super::cases::$test(tx, rx);
            }

            #[test]
            fn strict() {
                let (tx, rx) = super::strict_ring();
                super::cases::$test(tx, rx);
            }

            #[test]
            fn mpmc() {
                let (tx, rx) = super::mpmc_ring();
                super::cases::$test(tx, rx);
            }
        }
    )+};
}

on_both!(
    zero_past_and_enormous_timeouts,
    data_wakes,
    space_wakes,
    an_end_wakes,
    a_cancel_wakes_and_is_used_up,
    a_cancel_before_and_after,
    deadlines_are_kept,
    every_strategy_works,
    waits_in_place,
    something_ready_beats_deadline_and_cancel,
);

/// The last message of a closed ring is in other hands: its release is the end, and is told at once.
#[test]
fn the_last_release_of_a_closed_ring_wakes() {
    let mut took = Vec::new();
    for _ in 0..5 {
        let ring = mpmc::heap(4, 8).unwrap();
        let (mut tx, mut holder, mut rx) =
            (ring.producer().unwrap(), ring.consumer().unwrap(), ring.consumer().unwrap());
        rx.set_wait_strategy(at_once());
        tx.send(0, PAYLOAD).unwrap();
        let record = holder.try_read().unwrap();
        tx.close().unwrap();
        thread::scope(|s| {
            let told = s.spawn(|| {
                assert_eq!(rx.recv_into(&mut [0; 8]), Err(mpmc::RecvError::Disconnected));
                Instant::now()
            });
            // Its sleeps have become long by now: the next one would end 40 ms later.
            thread::sleep(70 * MS);
            let released = Instant::now();
            record.release();
            took.push(told.join().unwrap().saturating_duration_since(released));
        });
    }
    took.sort();
    assert!(took[2] < SLICE / 5, "{took:?}");
}

mod cases {
    use super::*;

    pub(super) fn zero_past_and_enormous_timeouts(mut tx: impl Sends, mut rx: impl Receives) {
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(rx.recv_timeout(Duration::ZERO), Err(Refusal::Timeout));
            assert_eq!(rx.recv_deadline(start), Err(Refusal::Timeout));
            assert_eq!(rx.recv_deadline(start.checked_sub(MS).unwrap()), Err(Refusal::Timeout));
        }
        let n = fill(&mut tx);
        for _ in 0..100 {
            assert_eq!(tx.send_timeout(0, Duration::ZERO), Err(Refusal::Timeout));
            assert_eq!(tx.send_deadline(0, start), Err(Refusal::Timeout));
        }
        assert!(start.elapsed() < SLICE, "none of these waits");
        for tag in 0..n {
            assert_eq!(rx.recv_timeout(Duration::MAX), Ok(tag));
        }
        assert_eq!(tx.send_timeout(5, Duration::from_secs(u64::MAX)), Ok(()));
        assert_eq!(rx.recv_timeout(Duration::from_nanos(u64::MAX)), Ok(5));
        // And one that really waits.
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(3 * MS);
                tx.send(6).unwrap();
            });
            assert_eq!(rx.recv_timeout(Duration::MAX), Ok(6));
        });
    }

    /// Were the wake-ups lost, each of these rounds would cost a slice.
    pub(super) fn data_wakes(mut tx: impl Sends, mut rx: impl Receives) {
        const ROUNDS: u32 = 60;
        let start = Instant::now();
        let (go, wait) = mpsc::channel();
        thread::scope(|s| {
            s.spawn(move || {
                for tag in wait {
                    thread::sleep(MS);
                    tx.send(tag).unwrap();
                }
            });
            for tag in 0..ROUNDS {
                go.send(tag).unwrap();
                assert_eq!(if tag % 2 == 0 { rx.recv() } else { rx.read() }, Ok(tag));
            }
            drop(go);
        });
        assert!(start.elapsed() < ROUNDS * SLICE / 2, "{ROUNDS} wake-ups took {:?}", start.elapsed());
    }

    /// The same: the ring is full before each of them, and one message leaves it.
    pub(super) fn space_wakes(mut tx: impl Sends, mut rx: impl Receives) {
        const ROUNDS: u32 = 60;
        let n = fill(&mut tx);
        let start = Instant::now();
        let (go, wait) = mpsc::channel();
        thread::scope(|s| {
            s.spawn(move || {
                for tag in wait {
                    thread::sleep(MS);
                    assert_eq!(rx.recv(), Ok(tag));
                }
            });
            for tag in 0..ROUNDS {
                go.send(tag).unwrap();
                let far = Instant::now() + Duration::from_secs(60);
                assert_eq!(if tag % 2 == 0 { tx.send(n + tag) } else { tx.send_deadline(n + tag, far) }, Ok(()));
            }
            drop(go);
        });
        assert!(start.elapsed() < ROUNDS * SLICE / 2, "{ROUNDS} wake-ups took {:?}", start.elapsed());
    }

    pub(super) fn an_end_wakes(mut tx: impl Sends, mut rx: impl Receives) {
        tx.send(1).unwrap();
        thread::scope(|s| {
            let (say, hear) = mpsc::channel();
            s.spawn(move || {
                thread::sleep(5 * MS);
                say.send(Instant::now()).unwrap();
                tx.end();
            });
            assert_eq!(rx.recv(), Ok(1));
            assert_eq!(rx.recv(), Err(Refusal::Disconnected));
            let took = hear.recv().unwrap().elapsed();
            assert!(took < SLICE / 2, "told after {took:?}");
        });
    }

    pub(super) fn a_cancel_wakes_and_is_used_up(mut tx: impl Sends, mut rx: impl Receives) {
        fill(&mut tx);
        while rx.try_recv().is_some() {}
        let canceller = rx.canceller();
        let start = Instant::now();
        const ROUNDS: u32 = 40;
        thread::scope(|s| {
            let (say, hear) = mpsc::channel();
            s.spawn(move || {
                for () in hear {
                    thread::sleep(MS);
                    canceller.clone().cancel();
                }
            });
            for _ in 0..ROUNDS {
                say.send(()).unwrap();
                assert_eq!(rx.recv(), Err(Refusal::Cancelled));
            }
            drop(say);
        });
        assert!(start.elapsed() < ROUNDS * SLICE / 2, "{ROUNDS} cancels took {:?}", start.elapsed());
        assert_eq!(rx.recv_timeout(MS), Err(Refusal::Timeout), "each request cancels one call");
        fill(&mut tx);
        let canceller = tx.canceller();
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(MS);
                canceller.cancel();
            });
            assert_eq!(tx.send(0), Err(Refusal::Cancelled));
        });
    }

    pub(super) fn a_cancel_before_and_after(tx: impl Sends, mut rx: impl Receives) {
        let canceller = rx.canceller();
        canceller.cancel();
        canceller.cancel();
        assert_eq!(rx.recv(), Err(Refusal::Cancelled));
        drop(rx);
        canceller.cancel();
        drop(tx);
        canceller.cancel();
    }

    pub(super) fn deadlines_are_kept(mut tx: impl Sends, mut rx: impl Receives) {
        let mut late = Vec::new();
        for strategy in 0..3 {
            for timeout in [MS / 10, MS, 3 * MS, 2 * SLICE] {
                match strategy {
                    0 => rx.by(Spin),
                    1 => rx.by(SpinYield::default()),
                    _ => rx.by(at_once()),
                }
                let start = Instant::now();
                assert_eq!(rx.recv_timeout(timeout), Err(Refusal::Timeout));
                let took = start.elapsed();
                assert!(took >= timeout, "{took:?} of {timeout:?}");
                late.push(took - timeout);
            }
        }
        fill(&mut tx);
        let start = Instant::now();
        assert_eq!(tx.send_timeout(0, 2 * MS), Err(Refusal::Timeout));
        assert!(start.elapsed() >= 2 * MS);
        late.sort();
        assert!(late[late.len() / 2] < SLICE, "late by {late:?}");
    }

    /// Yields, and counts on the calling thread how often.
    #[derive(Debug)]
    struct Counting(mpsc::Sender<Round>);

    impl WaitStrategy for Counting {
        fn idle(&mut self, round: Round) -> Idle {
            let _ = self.0.send(round);
            thread::sleep(MS / 4);
            Idle::Look
        }
    }

    pub(super) fn every_strategy_works(mut tx: impl Sends, mut rx: impl Receives) {
        let (say, hear) = mpsc::channel();
        for strategy in 0..5 {
            match strategy {
                0 => rx.by(Spin),
                1 => rx.by(SpinYield::new(MS / 100)),
                2 => rx.by(Park::default()),
                3 => rx.by(Park::after(Duration::from_secs(10))),
                _ => rx.by(Counting(say.clone())),
            }
            thread::scope(|s| {
                s.spawn(|| {
                    for tag in 0..20 {
                        thread::sleep(MS);
                        tx.send(tag).unwrap();
                    }
                });
                for tag in 0..20 {
                    assert_eq!(rx.recv(), Ok(tag));
                }
            });
        }
        let rounds: Vec<u32> = hear.try_iter().map(|round| round.number).collect();
        assert!(rounds.len() > 20 && rounds.contains(&0) && rounds.contains(&1), "{rounds:?}");
    }

    pub(super) fn waits_in_place(mut tx: impl Sends, mut rx: impl Receives) {
        thread::scope(|s| {
            s.spawn(|| {
                for tag in 0..2000 {
                    let far = Instant::now() + Duration::from_secs(60);
                    tx.send_deadline(tag, far).unwrap();
                }
            });
            for tag in 0..2000 {
                assert_eq!(rx.read(), Ok(tag));
            }
        });
    }

    pub(super) fn something_ready_beats_deadline_and_cancel(mut tx: impl Sends, mut rx: impl Receives) {
        let canceller = rx.canceller();
        for tag in 0..10 {
            tx.send(tag).unwrap();
            canceller.cancel();
            assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(tag));
        }
        assert_eq!(rx.recv(), Err(Refusal::Cancelled), "the request still stands");
        assert_eq!(rx.recv_timeout(Duration::ZERO), Err(Refusal::Timeout));
    }
}
