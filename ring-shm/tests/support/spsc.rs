//! Small things that several tests of SPSC handles need. Used beside `support` and `ring`.
#![allow(dead_code, unreachable_pub)]

use std::time::{Duration, Instant};

use ring_shm::spsc::{Consumer, Options, TryRecvError, TrySendError};

use super::ring::until;
use super::support::{TestName, unique};

pub fn make(tag: &str) -> TestName {
    let name = unique(tag);
    ring_shm::spsc::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    name
}

/// Repeats until the ring is no longer full.
pub fn insist<T>(mut send: impl FnMut() -> Result<T, TrySendError>) -> T {
    until("a full ring", || match send() {
        Ok(sent) => Some(sent),
        Err(TrySendError::Full) => None,
        Err(e) => panic!("{e:?}"),
    })
}

/// Asks often and long enough that the kernel is asked, too.
pub fn quiet_end(rx: &mut Consumer) -> Option<TryRecvError> {
    let (start, mut polls) = (Instant::now(), 0);
    while polls < 256 {
        match rx.try_recv_into(&mut [0; 64]) {
            Err(TryRecvError::Empty) => polls += u32::from(start.elapsed() > Duration::from_millis(3)),
            Err(e) => return Some(e),
            Ok(got) => panic!("{got:?}"),
        }
    }
    None
}
