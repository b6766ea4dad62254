//! What all benches of messages share: the sizes, the ways, messages of any size, and polling that ends.
//!
//! Message `n` of any size is words `n, n + 1, …`; the receiver compares all of them before anything is timed and
//! the first and the last one while it is.

#![allow(dead_code, reason = "each bench uses its part")]

#[path = "queue.rs"]
pub(crate) mod queue;

use ring_bench::kit::Patience;
use ring_shm::Trust;
use ring_shm::spsc::{Consumer, Producer, TryRecvError, TrySendError};

/// Payload sizes in bytes; the rtrb twins have `size / 8` words.
pub(crate) const SIZES: [usize; 6] = [8, 64, 256, 1024, 65536, 1 << 20];

/// No larger ones between rivals that pass values: they would be moved on the stack.
pub(crate) const LARGEST_VALUE: usize = 65536;

/// Messages of the full check.
pub(crate) fn checked(size: usize) -> u64 {
    ((64 << 20) / size as u64).min(2_000)
}

/// How messages go in and out.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Copy,
    Place,
    Batch(usize),
}

impl Way {
    /// As a word of a child's job.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Copy => "copy".to_owned(),
            Self::Place => "place".to_owned(),
            Self::Batch(count) => count.to_string(),
        }
    }

    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "copy" => Self::Copy,
            "place" => Self::Place,
            count => Self::Batch(count.parse().expect("a number of messages")),
        }
    }
}

/// A reusable message buffer.
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(size: usize) -> Self {
        Self(vec![0; size])
    }

    /// Writes every word of message `n`.
    #[inline(always)]
    pub(crate) fn fill(&mut self, n: u64) -> &[u8] {
        Self::fill_slice(&mut self.0, n);
        &self.0
    }

    /// The same where it will lie.
    #[inline(always)]
    pub(crate) fn fill_slice(bytes: &mut [u8], n: u64) {
        for (i, word) in bytes.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&(n + i as u64).to_le_bytes());
        }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// First and last word.
    #[inline(always)]
    pub(crate) fn assert_number(&self, n: u64) {
        assert_number(&self.0, n);
    }

    /// Every word.
    pub(crate) fn assert_all(&self, n: u64) {
        assert_all(&self.0, n);
    }
}

/// Its word `i`.
pub(crate) fn word(bytes: &[u8], i: usize) -> u64 {
    bytes[i * 8..i * 8 + 8].try_into().map_or(0, u64::from_le_bytes)
}

/// First and last word are those of message `n`.
#[inline(always)]
pub(crate) fn assert_number(bytes: &[u8], n: u64) {
    let last = bytes.len() / 8 - 1;
    assert_eq!((word(bytes, 0), word(bytes, last)), (n, n + last as u64), "FIFO or payload broken");
}

/// Every word is.
pub(crate) fn assert_all(bytes: &[u8], n: u64) {
    for i in 0..bytes.len() / 8 {
        assert_eq!(word(bytes, i), n + i as u64, "payload broken at word {i} of message {n}");
    }
}

/// Polls `done`, not for ever: whoever should have done it may have died.
#[inline(always)]
pub(crate) fn poll<T>(mut done: impl FnMut() -> Option<T>) -> T {
    let mut patience = Patience::new();
    loop {
        if let Some(done) = done() {
            return done;
        }
        patience.miss().expect("the other side");
    }
}

/// Nothing but a full ring is a reason to wait.
#[inline(always)]
pub(crate) fn wait_for_room(error: TrySendError, patience: &mut Patience) {
    assert_eq!(error, TrySendError::Full);
    patience.miss().expect("a consumer");
}

/// Sends, polling.
#[inline(always)]
pub(crate) fn send<T: Trust>(tx: &mut Producer<T>, tag: u32, payload: &[u8]) {
    let mut patience = Patience::new();
    while let Err(error) = tx.try_send(tag, payload) {
        wait_for_room(error, &mut patience);
    }
}

/// Whether nothing will come any more.
#[inline(always)]
pub(crate) fn is_over(error: TryRecvError) -> bool {
    match error {
        TryRecvError::Empty => false,
        TryRecvError::Disconnected | TryRecvError::PeerDied => true,
        error => panic!("{error}"),
    }
}

/// Receives, polling; false when the producer has gone.
#[inline(always)]
pub(crate) fn recv<T: Trust>(rx: &mut Consumer<T>, message: &mut Message) -> bool {
    poll(|| match rx.try_recv_into(message.bytes()) {
        Ok(received) => {
            assert_eq!(received.len, message.0.len());
            Some(true)
        }
        Err(error) => is_over(error).then_some(false),
    })
}
