//! The consumer's handle: ring-core's consumer, the lease it sits under, and the questions about its producer.

use core::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use ring_core::Role;
use ring_core::spsc as core_spsc;
use ring_core::spsc::{NotHere, ReadError, Received};

use super::error::TryRecvError;
use super::guards::{ReadBatch, Record};
use super::setup::{self, Place};
use super::{Options, Stats, strict};
use crate::attach;
use crate::error::MapError;
use crate::fork;
use crate::life::{POLLS_PER_LOOK, UNUSABLE};
use crate::location::ToLocation;
use crate::placement::{Placed, Placement, PlacementError};
use crate::segment::{OpenRules, Segment};
use crate::setup_error::SetupError;
use crate::trust::{Trust, Trusted, Untrusted};

/// The one reading handle of an SPSC ring.
///
/// `Send`, not `Sync`. Dropping it closes in order, except while the thread is panicking: then the producer learns
/// that its consumer died, and a successor gets what was not released, flagged. In a child made by `fork` it does
/// nothing and says [`Forked`](TryRecvError::Forked).
///
/// No method panics, blocks or allocates.
///
/// ```
/// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
/// tx.try_send(0, b"in place")?;
/// let record = rx.try_read()?;
/// assert_eq!(&*record, b"in place");
/// record.release();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[repr(align(128))] // two handles side by side on one stack would share lines
pub struct Consumer<T: Trust = Untrusted> {
    pub(super) seated: Seated,
    trust: PhantomData<T>,
}

/// The handle without its trust; leaves the seat when dropped.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) core: core_spsc::Consumer<'static>,
    /// The process image this handle works in, or [`UNUSABLE`].
    born: u64,
    /// Dropped last: it holds the memory.
    pub(super) place: Box<Place>,
}

// The promise of two cache lines.
const _: () = assert!(size_of::<Consumer>() <= 128);

impl Consumer<Untrusted> {
    /// Creates the ring `name` and sits down as its consumer.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `Exists` when the name is taken.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let at = at.to_location()?;
        attach::create_and_sit(|| setup::create(&at, options), |segment| Self::sit_as(segment, options))
    }

    /// Opens the ring `name` and sits down as its consumer, after the orderly close or the proven death of the one
    /// before. Goes on at the first record that was not released.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `NotFound` without such a segment and `InUse` while a consumer lives, be it
    /// stopped or slow.
    pub fn open(at: impl ToLocation) -> Result<Self, SetupError> {
        Self::open_with(at, &OpenRules::default())
    }

    /// As [`open`](Self::open), but puts up with other owners of the segment only as `rules` say.
    ///
    /// # Errors
    /// As [`open`](Self::open); the kind is `Permission` for a segment that the rules do not let through.
    pub fn open_with(at: impl ToLocation, rules: &OpenRules) -> Result<Self, SetupError> {
        attach::open(at, rules, Self::sit)
    }

    /// Opens the ring `name`, or creates it with `options` when it does not exist. An existing ring keeps the options
    /// it was created with; one of another user is opened only when `options` share too, and with the same group.
    ///
    /// # Errors
    /// [`SetupError`], as for [`create`](Self::create) and [`open`](Self::open); impossible options are refused also
    /// when the ring exists.
    pub fn open_or_create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        setup::open_or_create(&at.to_location()?, options, |segment| Self::sit_as(segment, options))
    }

    /// Takes the *strict* ring that a producer hands over by [`Producer::create_strict`](super::Producer::create_strict)
    /// at the other end of `socket`, within `timeout`, and sits down as its consumer. What a strict ring is, stands there.
    ///
    /// The producer need not be trusted: what it sends is examined before it is mapped.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use std::time::Duration;
    /// use ring_shm::spsc::Consumer;
    /// use ring_shm::{HandoverError, Memfd, SetupError};
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// Memfd::new("something-else")?.send_over(&there)?;
    /// let refused = Consumer::open_strict(&here, Duration::from_secs(1)).unwrap_err();
    /// assert!(matches!(refused, SetupError::Handover(HandoverError::NoHandover { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SetupError`]: no memory, or [`Handover`](SetupError::Handover), which says what became of the other side or what
    /// is wrong with what it sent.
    pub fn open_strict(socket: &UnixStream, timeout: Duration) -> Result<Self, SetupError> {
        strict::open(socket, timeout, None)
    }

    fn sit(segment: &Segment) -> Result<Self, SetupError> {
        Self::from_place(Place::in_segment(segment)?)
    }

    fn sit_as(segment: &Segment, options: &Options) -> Result<Self, SetupError> {
        Self::from_place(Place::in_segment(segment)?.placed(options.wanted())?)
    }
}

impl<T: Trust> Consumer<T> {
    pub(super) fn from_place(place: Place) -> Result<Self, SetupError> {
        let (mut core, place) = place.sit(Role::Consumer, |ring, lease, verdict| ring.sit_consumer(lease, verdict))?;
        core.ask_after(POLLS_PER_LOOK - 1);
        Ok(Self { seated: Seated { core, born: fork::epoch(), place }, trust: PhantomData })
    }

    /// A handle whose records deref to slices of the ring's memory.
    ///
    /// # Safety
    /// For the life of the handle every process that can write to this segment must follow the protocol: it writes
    /// payload only into its own claims, and nothing else but what this library writes. A peer that writes into a
    /// record while this process has a slice of it is undefined behaviour here.
    #[must_use]
    #[allow(unsafe_code, reason = "hands the duty to the caller; nothing unsafe happens here")]
    pub unsafe fn trust_peers(self) -> Consumer<Trusted> {
        Consumer { seated: self.seated, trust: PhantomData }
    }

    /// Copies the next record into `buf` and releases it.
    ///
    /// Wait-free; no system call, except that an empty ring is asked at most four times a millisecond whether its producer
    /// still lives.
    ///
    /// # Errors
    /// [`TryRecvError`]; on `BufferTooSmall` the record stays.
    #[inline(always)]
    pub fn try_recv_into(&mut self, buf: &mut [u8]) -> Result<Received, TryRecvError> {
        self.usable()?;
        match self.seated.core.try_recv_into_here(buf) {
            Ok(received) => Ok(received),
            Err(NotHere::Nothing) => Err(TryRecvError::Empty),
            Err(what) => self.seated.recv_not_here(what, buf),
        }
    }

    /// Lends the next record. Dropping it releases its space, except while the thread is panicking: then it is kept,
    /// and whoever reads next gets it again.
    ///
    /// # Errors
    /// [`TryRecvError`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Record<'_, T>, TryRecvError> {
        self.try_read_as(None, Ok)
    }

    /// [`try_read`](Self::try_read) of a record that likely has `len` bytes, if that is known, and becomes something else before
    /// it is handed on.
    #[inline(always)]
    pub(super) fn try_read_as<'a, R>(
        &'a mut self,
        len: Option<usize>,
        see: impl FnOnce(Record<'a, T>) -> Result<R, TryRecvError>,
    ) -> Result<R, TryRecvError> {
        self.usable()?;
        let Seated { core, born, place } = &mut self.seated;
        match core.try_read_likely(len, |lease| place.ask_again(Role::Producer, lease)) {
            Ok(record) => see(Record::new(record)),
            Err(error) => Err(refuse(error, born, place)),
        }
    }

    /// Lends up to `max` records, whose space is released together; with a `max` of 0 none, though there is one.
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
    /// for i in 0..3 {
    ///     tx.try_send(i, b"")?;
    /// }
    /// let mut batch = rx.try_read_batch(10)?;
    /// let mut tags = Vec::new();
    /// while let Some(record) = batch.next_record() {
    ///     tags.push(record.tag());
    /// }
    /// assert_eq!((tags, batch.release()), (vec![0, 1, 2], 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TryRecvError`]; `Empty` also for a `max` of 0.
    #[inline(always)]
    pub fn try_read_batch(&mut self, max: usize) -> Result<ReadBatch<'_, T>, TryRecvError> {
        self.usable()?;
        if max == 0 {
            return Err(TryRecvError::Empty);
        }
        let Seated { core, born, place } = &mut self.seated;
        match core.try_read_batch_asking(max, |lease| place.ask_again(Role::Producer, lease)) {
            Ok(batch) => Ok(ReadBatch::new(batch)),
            Err(error) => Err(refuse(error, born, place)),
        }
    }

    /// Whether a record can be read, which it then can: only this handle takes records.
    pub(crate) fn has_record(&mut self) -> Result<(), TryRecvError> {
        self.usable()?;
        let Seated { core, born, place } = &mut self.seated;
        core.ready_asking(|lease| place.ask_again(Role::Producer, lease)).map_err(|error| refuse(error, born, place))
    }

    #[inline(always)]
    fn usable(&self) -> Result<(), TryRecvError> {
        if self.seated.is_usable() { Ok(()) } else { Err(self.seated.place.life.refusal().into()) }
    }

    /// Whether a producer sat here and has left or died, with nobody in its place. Records may still be unread. A
    /// promise only about that moment: a successor may sit down at any time. Asks the kernel.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.seated.is_usable() && self.seated.place.is_over(Role::Producer)
    }

    /// Bytes of the ring's data area; all but 8 hold records.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.seated.core.capacity()
    }

    /// The longest payload of one record, in bytes.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.seated.core.max_len()
    }

    /// Bytes committed and not yet released, headers and padding included: a guess, the producer may have gone on.
    /// 0 in a process that inherited the handle.
    #[must_use]
    pub fn len_guess(&self) -> u64 {
        if self.seated.is_usable() { self.seated.core.len_guess() } else { 0 }
    }

    /// Places this handle's mapping of the ring as `wanted`, and says how it lies then: for who opens a ring, and so has
    /// no options.
    ///
    /// # Errors
    /// [`PlacementError`] for a requirement that is not met; the handle goes on as it is.
    pub fn place(&mut self, wanted: &Placement) -> Result<Placed, PlacementError> {
        self.seated.place.life.place(wanted)?;
        self.placed()
    }

    /// How the memory of this handle's mapping lies, as the kernel tells it.
    ///
    /// # Errors
    /// [`PlacementError`] on the heap, and where `/proc` does not tell.
    pub fn placed(&self) -> Result<Placed, PlacementError> {
        self.seated.place.life.placed()
    }

    /// Waits until the ring, as it is now, would survive a power loss: every record committed before this call and
    /// not released. Payload is written before positions. Only a ring in a file has a disk to be written to; on the
    /// others this does nothing. What traffic after the call means for the promise: `docs/operating.md`; how to
    /// find what was synced again: [`recover_synced`](super::recover_synced).
    ///
    /// # Errors
    /// [`MapError`]: the disk has failed, or the file is out of reach; or the handle was inherited over a fork.
    pub fn sync(&self) -> Result<(), MapError> {
        self.seated.place.life.sync_marked(Role::Consumer)
    }

    /// The handle's numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { position: self.seated.core.head(), len_guess: self.len_guess(), lease: self.seated.core.lease() }
    }

    /// Closes in order. What was not read stays for a successor. The same as dropping the handle.
    pub fn close(self) {}
}

/// What a refusal of the core means here. `Corrupt` is the end of the handle: its fast check fails from now on.
#[inline]
fn refuse(mut error: ReadError, born: &mut u64, place: &mut Place) -> TryRecvError {
    if let Some(corrupt) = place.life.cut() {
        error = corrupt.into(); // whatever the zeros in its place say
    }
    if let ReadError::Corrupt(corrupt) = error {
        place.life.poison(corrupt);
        *born = UNUSABLE;
    }
    error.into()
}

impl Seated {
    /// What the quick look did not see to. Apart, so that the caller's registers are its own.
    #[inline(never)]
    fn recv_not_here(&mut self, what: NotHere, buf: &mut [u8]) -> Result<Received, TryRecvError> {
        let Self { core, born, place } = self;
        core.recv_not_here(what, buf, |lease| place.ask_again(Role::Producer, lease))
            .map_err(|error| refuse(error, born, place))
    }

    #[inline(always)]
    fn is_usable(&self) -> bool {
        self.born == fork::epoch()
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if self.is_usable() && !thread::panicking() {
            self.core.close();
        }
    }
}
