//! Both kinds of ring behind one face, so that one worker can storm either.

use std::ops::ControlFlow;

use ring_shm::{SetupError, SetupErrorKind, mpmc, spsc};

use crate::chance::Rng;

/// A kind of ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Spsc,
    Mpmc,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spsc => "spsc",
            Self::Mpmc => "mpmc",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Spsc, Self::Mpmc].into_iter().find(|kind| kind.name() == text)
    }
}

/// Why an operation did nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nothing there, or no room.
    Wait,
    /// Somebody is in the way.
    Busy,
    /// The end of the ring, or of a session.
    End,
    /// This must not happen.
    Wrong(String),
}

impl From<spsc::TrySendError> for Refused {
    fn from(error: spsc::TrySendError) -> Self {
        match error {
            spsc::TrySendError::Full => Self::Wait,
            spsc::TrySendError::Disconnected | spsc::TrySendError::PeerDied => Self::End,
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<spsc::TryRecvError> for Refused {
    fn from(error: spsc::TryRecvError) -> Self {
        match error {
            spsc::TryRecvError::Empty => Self::Wait,
            spsc::TryRecvError::Disconnected | spsc::TryRecvError::PeerDied => Self::End,
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<mpmc::TrySendError> for Refused {
    fn from(error: mpmc::TrySendError) -> Self {
        match error {
            mpmc::TrySendError::Full => Self::Wait,
            mpmc::TrySendError::Busy { .. } => Self::Busy,
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<mpmc::TryRecvError> for Refused {
    fn from(error: mpmc::TryRecvError) -> Self {
        match error {
            mpmc::TryRecvError::Empty => Self::Wait,
            mpmc::TryRecvError::Busy { .. } => Self::Busy,
            mpmc::TryRecvError::Disconnected => Self::End,
            error => Self::Wrong(error.to_string()),
        }
    }
}

/// A message to be sent, or received.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) tag: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) redelivered: bool,
}

/// Called in the middle of an operation; `Break` abandons it.
pub(crate) type Middle<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// Called with each message received. `Break` keeps a single message in the ring, and ends a batch after this one.
pub(crate) type See<'a> = &'a mut dyn FnMut(&Message) -> ControlFlow<()>;

/// A sending handle.
pub(crate) trait Tx {
    fn max_len(&self) -> usize;
    /// What this handle has repaired so far.
    fn repaired(&self) -> u64;
    fn send(&mut self, message: &Message) -> Result<usize, Refused>;
    /// Returns how many were committed.
    fn claim(&mut self, message: &Message, room: usize, middle: Middle<'_>) -> Result<usize, Refused>;
    /// Sends as many of `messages` as there is room for at once; `announce` is told how many before they are
    /// committed.
    fn batch(
        &mut self,
        messages: &[Message],
        announce: &mut dyn FnMut(usize),
        middle: Middle<'_>,
    ) -> Result<usize, Refused>;
}

/// A receiving handle.
pub(crate) trait Rx {
    fn repaired(&self) -> u64;
    fn read(&mut self, message: &mut Message, see: See<'_>) -> Result<(), Refused>;
    fn batch(&mut self, max: usize, message: &mut Message, see: See<'_>) -> Result<(), Refused>;
}

macro_rules! ends {
    ($kind:ident, |$stats:ident| $repaired:expr) => {
        impl Tx for $kind::Producer {
            fn max_len(&self) -> usize {
                self.max_len()
            }

            fn repaired(&self) -> u64 {
                let $stats = self.stats();
                $repaired
            }

            fn send(&mut self, message: &Message) -> Result<usize, Refused> {
                self.try_send(message.tag, &message.bytes)?;
                Ok(1)
            }

            fn claim(&mut self, message: &Message, room: usize, middle: Middle<'_>) -> Result<usize, Refused> {
                let mut claim = self.try_claim(room)?;
                claim.set_tag(message.tag);
                let (first, second) = message.bytes.split_at(message.bytes.len() / 3);
                claim.write(first);
                let on = middle();
                claim.write(second);
                claim.truncate(message.bytes.len());
                if on.is_break() {
                    return Ok(0);
                }
                claim.commit();
                Ok(1)
            }

            fn batch(
                &mut self,
                messages: &[Message],
                announce: &mut dyn FnMut(usize),
                middle: Middle<'_>,
            ) -> Result<usize, Refused> {
                let longest = messages.iter().map(|message| message.bytes.len()).max().unwrap_or(0);
                let mut batch = self.try_claim_batch(messages.len(), longest)?;
                for message in messages.iter().take(batch.remaining()) {
                    batch.push(message.tag, &message.bytes)?;
                }
                if middle().is_break() {
                    return Ok(0);
                }
                announce(batch.len());
                Ok(batch.commit())
            }
        }

        impl Rx for $kind::Consumer {
            fn repaired(&self) -> u64 {
                let $stats = self.stats();
                $repaired
            }

            fn read(&mut self, message: &mut Message, see: See<'_>) -> Result<(), Refused> {
                let record = self.try_read()?;
                message.bytes.resize(record.len(), 0);
                record.copy_to(&mut message.bytes);
                (message.tag, message.redelivered) = (record.tag(), record.redelivered());
                if see(message).is_break() {
                    record.keep()
                } else {
                    record.release()
                }
                Ok(())
            }

            fn batch(&mut self, max: usize, message: &mut Message, see: See<'_>) -> Result<(), Refused> {
                let mut batch = self.try_read_batch(max)?;
                while let Some(record) = batch.next_record() {
                    message.bytes.resize(record.len(), 0);
                    record.copy_to(&mut message.bytes);
                    (message.tag, message.redelivered) = (record.tag(), record.redelivered());
                    if see(message).is_break() {
                        break;
                    }
                }
                batch.release();
                Ok(())
            }
        }
    };
}
ends!(spsc, |_stats| 0);
ends!(mpmc, |stats| stats.settled.skipped + stats.settled.returned);

/// Opens a sender.
pub(crate) fn sender(kind: Kind, name: &str) -> Result<Box<dyn Tx>, SetupError> {
    Ok(match kind {
        Kind::Spsc => Box::new(spsc::Producer::open(name)?),
        Kind::Mpmc => Box::new(mpmc::Producer::open(name)?),
    })
}

/// Opens a receiver.
pub(crate) fn receiver(kind: Kind, name: &str) -> Result<Box<dyn Rx>, SetupError> {
    Ok(match kind {
        Kind::Spsc => Box::new(spsc::Consumer::open(name)?),
        Kind::Mpmc => Box::new(mpmc::Consumer::open(name)?),
    })
}

/// Whether it is worth trying to open again.
pub(crate) fn is_passing(error: &SetupError) -> bool {
    error.kind() == SetupErrorKind::InUse || *error == SetupError::Contended
}

/// What a ring is like, for people.
pub(crate) struct Shape {
    pub(crate) senders: u32,
    pub(crate) receivers: u32,
    pub(crate) text: String,
}

/// Creates a ring of some shape.
pub(crate) fn create(kind: Kind, name: &str, rng: &mut Rng) -> Result<Shape, SetupError> {
    if kind == Kind::Spsc {
        let capacity = rng.of(&[64, 128, 256, 1024, 4096, 1 << 16]);
        let lines = capacity >= 256 && rng.once_in(4);
        let every = if rng.once_in(3) { capacity / rng.of(&[4, 8]) } else { 0 };
        spsc::create(name, &spsc::Options::new().capacity(capacity).line_aligned(lines).release_every(every))?;
        let text = format!("{capacity} bytes, line aligned {lines}, released every {every}");
        return Ok(Shape { senders: 1, receivers: 1, text });
    }
    let (mut senders, mut receivers) = (1 + rng.below(3) as u32, 1 + rng.below(3) as u32);
    let (slots, size) = (rng.of(&[1, 2, 4, 16, 64, 1024]), rng.of(&[16, 48, 240, 1000]));
    let attempts = 1 + rng.below(31) as u32;
    let participants = if rng.once_in(2) { 64 } else { senders + receivers + 1 };
    let mut options =
        mpmc::Options::new().slots(slots).slot_size(size).at_least_once(attempts).max_participants(participants);
    let mode = rng.below(5);
    if mode == 0 {
        (senders, options) = (1, options.max_producers(1));
    }
    if mode == 1 {
        (receivers, options) = (1, options.max_consumers(1));
    }
    mpmc::create(name, &options)?;
    let single = ["one producer, ", "one consumer, "].get(mode as usize).unwrap_or(&"");
    let text = format!("{slots} slots of {size}, {single}{attempts} attempts, {participants} participants");
    Ok(Shape { senders, receivers, text })
}
