//! The producer's handle: ring-core's producer, the lease it sits under, and the questions about its consumer.

use core::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use ring_core::spsc as core_spsc;
use ring_core::spsc::ClaimError;
use ring_core::{Position, Role};

use super::error::TrySendError;
use super::guards::{Claim, ClaimBatch};
use super::setup::{self, Place};
use super::{Options, Stats, strict};
use crate::attach;
use crate::error::MapError;
use crate::fork;
use crate::life::UNUSABLE;
use crate::location::ToLocation;
use crate::placement::{Placed, Placement, PlacementError};
use crate::segment::{OpenRules, Segment};
use crate::setup_error::SetupError;
use crate::trust::{Trust, Trusted, Untrusted};

/// The one writing handle of an SPSC ring.
///
/// `Send`, not `Sync`. Dropping it closes the session in order, except while the thread is panicking: then the
/// consumer learns that its producer died. In a child made by `fork` it does nothing and says
/// [`Forked`](TrySendError::Forked); after `exec` it is gone, and its seat free.
///
/// No method panics, blocks or allocates. Whatever this thread did before a commit, the thread that receives the record
/// sees done.
///
/// ```
/// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
/// let position = tx.try_send(7, b"hello")?;
/// let mut buf = [0; 16];
/// let got = rx.try_recv_into(&mut buf)?;
/// assert_eq!((&buf[..got.len], got.tag, got.position), (&b"hello"[..], 7, position));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[repr(align(128))] // two handles side by side on one stack would share lines
pub struct Producer<T: Trust = Untrusted> {
    pub(super) seated: Seated,
    trust: PhantomData<T>,
}

/// The handle without its trust; leaves the seat when dropped.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) core: core_spsc::Producer<'static>,
    /// The process image this handle works in, or [`UNUSABLE`].
    born: u64,
    /// Dropped last: it holds the memory.
    pub(super) place: Box<Place>,
}

// The promise of two cache lines.
const _: () = assert!(size_of::<Producer>() <= 128);

impl Producer<Untrusted> {
    /// Creates the ring `name` and sits down as its producer.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `Exists` when the name is taken.
    pub fn create(at: impl ToLocation, options: &Options) -> Result<Self, SetupError> {
        let at = at.to_location()?;
        attach::create_and_sit(|| setup::create(&at, options), |segment| Self::sit_as(segment, options))
    }

    /// Opens the ring `name` and sits down as its producer: after the orderly close, or the proven death, of the one
    /// before.
    ///
    /// # Errors
    /// [`SetupError`]; its kind is `NotFound` without such a segment and `InUse` while a producer lives, be it
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

    /// Makes a *strict* ring, hands it to the consumer at the other end of `socket`, who has `timeout` to take it by
    /// [`Consumer::open_strict`](super::Consumer::open_strict), and sits down as its producer.
    ///
    /// In a strict ring neither side can touch what the other owns: records and tail are read-only to the consumer, the
    /// head is read-only to the producer, for good and by the kernel's word. It is anonymous memory, sealed against
    /// truncation, and goes with these two handles: it has no name, no successors, and nobody else can look at it. The
    /// handles do the same as others, at nearly the same speed. Of the options, mode, group and placement have no meaning here;
    /// a budget cannot be had.
    ///
    /// The socket is as it was before when this returns, and can be used for something else; after an error it cannot.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use std::time::Duration;
    /// use ring_shm::spsc::{Consumer, Options, Producer};
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// let patience = Duration::from_secs(10);
    /// let other = std::thread::spawn(move || Consumer::open_strict(&there, patience)); // usually another process
    /// let mut tx = Producer::create_strict(&here, &Options::new().capacity(4096), patience)?;
    /// let mut rx = other.join().unwrap()?;
    /// tx.try_send(7, b"nobody can change this")?;
    /// assert_eq!(rx.try_recv_into(&mut [0; 64])?.tag, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SetupError`]: impossible options, no memory, or [`Handover`](SetupError::Handover), which says what became of the
    /// other side. It then has an error too, or a handle that says `PeerDied` or `Disconnected`.
    pub fn create_strict(socket: &UnixStream, options: &Options, timeout: Duration) -> Result<Self, SetupError> {
        strict::create(socket, options, timeout)
    }

    fn sit(segment: &Segment) -> Result<Self, SetupError> {
        Self::from_place(Place::in_segment(segment)?)
    }

    fn sit_as(segment: &Segment, options: &Options) -> Result<Self, SetupError> {
        Self::from_place(Place::in_segment(segment)?.placed(options.wanted())?)
    }
}

impl<T: Trust> Producer<T> {
    pub(super) fn from_place(place: Place) -> Result<Self, SetupError> {
        let (core, place) = place.sit(Role::Producer, |ring, lease, verdict| ring.sit_producer(lease, verdict))?;
        Ok(Self { seated: Seated { core, born: fork::epoch(), place }, trust: PhantomData })
    }

    /// A handle whose claims deref to slices of the ring's memory.
    ///
    /// # Safety
    /// For the life of the handle every process that can write to this segment must follow the protocol: it writes
    /// payload only into its own claims, and nothing else but what this library writes. A peer that writes into a
    /// claim or a record while this process has a slice of it is undefined behaviour here.
    #[must_use]
    #[allow(unsafe_code, reason = "hands the duty to the caller; nothing unsafe happens here")]
    pub unsafe fn trust_peers(self) -> Producer<Trusted> {
        Producer { seated: self.seated, trust: PhantomData }
    }

    /// Sends a copy of `payload`, 0 to [`max_len`](Self::max_len) bytes, with a tag of the caller's. `Ok` means committed: the consumer will get it, whatever
    /// happens to this process. The position is the record's delivery id.
    ///
    /// Wait-free; no system call, except that a full ring is asked at most four times a millisecond whether its consumer
    /// still lives.
    ///
    /// # Errors
    /// [`TrySendError`]; nothing was sent.
    #[inline(always)]
    pub fn try_send(&mut self, tag: u32, payload: &[u8]) -> Result<Position, TrySendError> {
        self.usable()?;
        match self.seated.core.send_here(tag, payload) {
            Some(position) => Ok(position),
            None => self.seated.send_slowly(tag, payload),
        }
    }

    /// Reserves space for a record of up to `len` bytes (0 to [`max_len`](Self::max_len)), to be written before it is
    /// committed. Dropping the claim aborts it: nothing was sent.
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
    /// let mut claim = tx.try_claim(100)?;
    /// let written = claim.write(b"shorter after all");
    /// claim.truncate(written);
    /// let position = claim.commit();
    /// assert_eq!(rx.try_read()?.position(), position);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError`]; nothing is reserved.
    #[inline(always)]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, T>, TrySendError> {
        self.usable()?;
        let Seated { core, born, place } = &mut self.seated;
        match core.try_claim_asking(len, |lease| place.ask(Role::Consumer, lease)) {
            Ok(claim) => Ok(Claim::new(claim)),
            Err(error) => Err(refuse(error, born, place)),
        }
    }

    /// Claims space for as many records of up to `len` bytes each as fit, at least one and at most `max`; they become
    /// visible together when the batch is committed, all or none, whatever happens to this process.
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
    /// let mut batch = tx.try_claim_batch(3, 16)?;
    /// for word in ["all", "or", "none"] {
    ///     batch.push(0, word.as_bytes())?;
    /// }
    /// assert_eq!(batch.commit(), 3);
    /// assert_eq!(&*rx.try_read()?, b"all");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError`]; `Full` also for a `max` of 0.
    #[inline(always)]
    pub fn try_claim_batch(&mut self, max: usize, len: usize) -> Result<ClaimBatch<'_, T>, TrySendError> {
        self.batch(1, max, len)
    }

    /// Like [`try_claim_batch`](Self::try_claim_batch), for exactly `count` records or none.
    ///
    /// # Errors
    /// [`TrySendError`]; `TooLong` also when so many would not fit into an empty ring, `Full` also for a
    /// `count` of 0.
    #[inline(always)]
    pub fn try_claim_batch_exact(&mut self, count: usize, len: usize) -> Result<ClaimBatch<'_, T>, TrySendError> {
        self.batch(count, count, len)
    }

    #[inline(always)]
    fn batch(&mut self, min: usize, max: usize, len: usize) -> Result<ClaimBatch<'_, T>, TrySendError> {
        self.usable()?;
        let Seated { core, born, place } = &mut self.seated;
        match core.try_claim_batch_asking(min, max, len, |lease| place.ask(Role::Consumer, lease)) {
            Ok(batch) => Ok(ClaimBatch::new(batch)),
            Err(error) => Err(refuse(error, born, place)),
        }
    }

    /// Whether a claim of up to `max` records would succeed, which it then does: only this handle takes space.
    pub(crate) fn has_room(&mut self, min: usize, max: usize, len: usize) -> Result<(), TrySendError> {
        self.usable()?;
        let Seated { core, born, place } = &mut self.seated;
        let ask = |lease| place.ask(Role::Consumer, lease);
        let room = if max == 1 { core.ready_asking(len, ask) } else { core.ready_batch_asking(min, max, len, ask) };
        room.map_err(|error| refuse(error, born, place))
    }

    #[inline(always)]
    fn usable(&self) -> Result<(), TrySendError> {
        if self.seated.is_usable() { Ok(()) } else { Err(self.seated.place.life.refusal().into()) }
    }

    /// Whether a consumer sat here and has left or died, with nobody in its place. A promise only about that moment:
    /// a successor may sit down at any time. Asks the kernel.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.seated.is_usable() && self.seated.place.is_over(Role::Consumer)
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

    /// Bytes committed and not yet released, headers and padding included: never less than the truth at the moment
    /// of the call, and the consumer may have gone on since. 0 in a process that inherited the handle.
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
        self.seated.place.life.sync_marked(Role::Producer)
    }

    /// The handle's numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { position: self.seated.core.tail(), len_guess: self.len_guess(), lease: self.seated.core.lease() }
    }

    /// Closes the session in order: the consumer gets everything committed, then `Disconnected`. The same as dropping
    /// the handle.
    pub fn close(self) {}
}

/// What a refusal of the core means here. `Corrupt` is the end of the handle: its fast check fails from now on.
#[cold]
fn refuse(mut error: ClaimError, born: &mut u64, place: &mut Place) -> TrySendError {
    if let Some(corrupt) = place.life.cut() {
        error = corrupt.into(); // whatever the zeros in its place say
    }
    if let ClaimError::Corrupt(corrupt) = error {
        place.life.poison(corrupt);
        *born = UNUSABLE;
    }
    error.into()
}

impl Seated {
    /// What the quick way did not see to. Apart, so that the caller's registers are its own.
    #[cold]
    #[inline(never)]
    fn send_slowly(&mut self, tag: u32, payload: &[u8]) -> Result<Position, TrySendError> {
        let Self { core, born, place } = self;
        core.try_send_asking(tag, payload, |lease| place.ask(Role::Consumer, lease))
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
