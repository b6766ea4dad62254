//! The seam between the harness and a candidate: what a transport must offer, what one party's part of a slice is.
//!
//! A transport implements [`Tx`] and [`Rx`] (and the batch forms when it has batches); `duplex`, `stream` and
//! `crowd` turn those into parts. A part never sleeps, never prints and never gives up silently: whatever goes
//! wrong is a [`Fault`], and a lost message ends as one because all polling is bounded by [`Patience`].

use core::fmt;
use core::hint::spin_loop;

/// The sending end of a transport for messages of `W` words.
pub trait Tx<const W: usize>: Send {
    /// Sends one message; false when there is no room now.
    fn try_send(&mut self, message: &[u64; W]) -> bool;
}

/// The receiving end of a transport for messages of `W` words.
pub trait Rx<const W: usize>: Send {
    /// Receives one message into `message`; false when there is none now.
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool;
}

/// A sending end that publishes several messages at once.
pub trait BatchTx<const W: usize>: Send {
    /// Sends the messages numbered `first .. first + count` with one publication; false when they do not all fit now.
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool;
}

/// A receiving end that takes several messages at once.
pub trait BatchRx<const W: usize>: Send {
    /// Shows up to `max` messages to `each`, in order, until one is refused, and releases them together; returns how
    /// many there were.
    fn try_recv_batch(&mut self, max: usize, each: impl FnMut(&[u64; W]) -> Result<(), Fault>) -> Result<usize, Fault>;
}

/// How much one slice does.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Untimed messages (or round trips) first, so that caches and positions are those of a running stream.
    pub warm: u64,
    /// Timed messages (or round trips).
    pub count: u64,
}

/// What one party saw of a slice. Times are monotonic nanoseconds of the whole machine; a party that does not time
/// leaves `begin` and `end` zero. The harness compares what all parties sent with what all parties received.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// When the timed part began.
    pub begin: u64,
    /// When it ended.
    pub end: u64,
    /// Checksum over all messages sent.
    pub sent: u64,
    /// Checksum over all messages received.
    pub received: u64,
}

/// Why a part could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing moved for seconds: a message was lost or the other party is gone.
    Stuck,
    /// A message came out of order.
    Disorder,
    /// A message came with the wrong content.
    Content,
    /// A transport could not be set up.
    Setup(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck => f.write_str("no progress for seconds; a message was lost or the other party is gone"),
            Self::Disorder => f.write_str("messages arrived out of order"),
            Self::Content => f.write_str("a message arrived with wrong content"),
            Self::Setup(why) => write!(f, "set-up failed: {why}"),
        }
    }
}

/// One party's part of a candidate.
pub trait Part: Send {
    /// Runs `count` messages and checks number and every word of each.
    fn check(&mut self, count: u64) -> Result<Outcome, Fault>;

    /// Runs one slice; cheap checks only (number and checksum).
    fn slice(&mut self, work: Work) -> Result<Outcome, Fault>;
}

/// Bounds the polling of one slice; the policy between two tries is the same for every candidate.
#[derive(Debug)]
pub struct Patience {
    left: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}

impl Patience {
    /// About three seconds of nothing but failed tries.
    const TRIES: u64 = 1 << 27;

    /// A fresh allowance.
    pub fn new() -> Self {
        Self { left: Self::TRIES }
    }

    /// Called after a failed try: one `pause`, as a good user of a polled queue would write it.
    #[inline(always)]
    pub fn miss(&mut self) -> Result<(), Fault> {
        spin_loop();
        self.left -= 1;
        if self.left == 0 { Err(Fault::Stuck) } else { Ok(()) }
    }

    /// As [`miss`](Self::miss), for more parties than CPUs: after 64 failed tries in a row the CPU is given away.
    #[inline(always)]
    pub fn miss_crowded(&mut self, tries: &mut u32) -> Result<(), Fault> {
        *tries += 1;
        if *tries >= 64 {
            *tries = 0;
            std::thread::yield_now();
            self.left = self.left.saturating_sub(63);
            if self.left <= 1 {
                return Err(Fault::Stuck);
            }
        }
        self.miss()
    }
}
