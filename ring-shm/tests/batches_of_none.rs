//! A batch of at most none: the same answer from both kinds of ring, from every call, and never a wait.

use std::time::{Duration, Instant};

use ring_shm::{mpmc, spsc};

#[test]
fn spsc_has_no_batch_of_none() {
    use spsc::{RecvError, SendError, TryRecvError, TrySendError};
    let (mut tx, mut rx) = spsc::heap(4096).unwrap();
    for filled in [false, true] {
        if filled {
            tx.try_send(7, b"stays").unwrap();
        }
        let start = Instant::now();
        assert_eq!(tx.try_claim_batch(0, 8).unwrap_err(), TrySendError::Full);
        assert_eq!(tx.try_claim_batch_exact(0, 8).unwrap_err(), TrySendError::Full);
        assert_eq!(tx.claim_batch(0, 8).unwrap_err(), SendError::Timeout);
        assert_eq!(tx.claim_batch_timeout(0, 8, Duration::from_secs(9)).unwrap_err(), SendError::Timeout);
        assert_eq!(rx.try_read_batch(0).unwrap_err(), TryRecvError::Empty);
        assert_eq!(rx.read_batch(0).unwrap_err(), RecvError::Timeout);
        assert_eq!(rx.read_batch_timeout(0, Duration::from_secs(9)).unwrap_err(), RecvError::Timeout);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(rx.try_read().unwrap().tag(), 7);
}

#[test]
fn mpmc_has_no_batch_of_none() {
    use mpmc::{RecvError, SendError, TryRecvError, TrySendError};
    let ring = mpmc::heap(4, 8).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for filled in [false, true] {
        if filled {
            tx.try_send(7, b"stays").unwrap();
        }
        let start = Instant::now();
        assert_eq!(tx.try_claim_batch(0, 8).unwrap_err(), TrySendError::Full);
        assert_eq!(tx.try_claim_batch_exact(0, 8).unwrap_err(), TrySendError::Full);
        assert_eq!(tx.claim_batch(0, 8).unwrap_err(), SendError::Timeout { by: None });
        let nine = Duration::from_secs(9);
        assert_eq!(tx.claim_batch_timeout(0, 8, nine).unwrap_err(), SendError::Timeout { by: None });
        assert_eq!(rx.try_read_batch(0).unwrap_err(), TryRecvError::Empty);
        assert_eq!(rx.read_batch(0).unwrap_err(), RecvError::Timeout { by: None });
        assert_eq!(rx.read_batch_timeout(0, nine).unwrap_err(), RecvError::Timeout { by: None });
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    // Nothing was claimed: the message is the first, and no gap follows it.
    let got = rx.try_read().unwrap();
    assert_eq!((got.tag(), got.position().get()), (7, 0));
    drop(got);
    assert_eq!(tx.try_send(8, b"next").unwrap().get(), 1);
}
