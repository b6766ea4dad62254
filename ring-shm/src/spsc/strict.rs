//! Handing a strict ring over: how its three objects are made, sealed, sent, examined and mapped. Cold.
//!
//! The producer makes its own object and the common one, sits down, and sends both; the consumer examines them, makes
//! its own, sits down, and sends that; the producer examines it and says so with one byte more. Each side seals what is
//! its own when it has mapped it and before anybody else has it: from then on nobody, its maker included, can map it
//! writable, write to it, or make it shorter. Whoever dies or gives up in between leaves the other with an error.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ring_core::spsc::{MIN_CAPACITY, Ring, strict};
use ring_core::{CONTROL_SIZE, Role, STRICT_BLOCK, STRICT_COMMON, STRICT_OTHER, STRICT_PAGE, STRICT_REST};

use super::setup::Place;
use super::{Consumer, Options, Producer};
use crate::descriptor;
use crate::error::{CreateError, HandoverError, MapError, OsError, StrictObject};
use crate::fork;
use crate::futex;
use crate::lease::LeasedMapping;
use crate::life::{self, Life};
use crate::location::Location;
use crate::mapping::{Mapping, Piece};
use crate::memfd::Memfd;
use crate::name::SegmentName;
use crate::payload::{self, PayloadType};
use crate::placement::{Placement, PlacementError};
use crate::posix;
use crate::segment::Segment;
use crate::setup_error::SetupError;
use crate::socket::{self, Waiting};
use crate::sys;

/// The byte that comes with the producer's two objects.
const RING: u8 = b's';
/// The byte that comes with the consumer's object.
const ANSWER: u8 = b'h';
/// The byte with which the producer agrees.
const AGREED: u8 = b'g';

/// The smallest object of a producer.
const LEAST: u64 = STRICT_BLOCK + CONTROL_SIZE + MIN_CAPACITY;

/// Makes a ring, hands it over, and sits down as its producer.
pub(super) fn create(socket: &UnixStream, options: &Options, timeout: Duration) -> Result<Producer, SetupError> {
    let (waiting, peer) = (until(timeout), Role::Consumer);
    let format = options.fresh_format();
    format.check()?;
    if *options.wanted() != Placement::default() {
        return Err(PlacementError::Strict.into());
    }
    let (own_len, len) = (strict::producer_len(&format), strict::footprint(&format));

    let common = object("strict", STRICT_PAGE)?;
    let at = Memfd::from(common.as_fd().try_clone_to_owned().map_err(|error| os("dup", &error))?).into();
    let _reserved = options.limits().reserve(&at, len)?;
    // Everybody who has its descriptor may open it anew, also a peer who is another user. Nobody else can reach it.
    common.set_permissions(Permissions::from_mode(0o666)).map_err(|error| os("fchmod", &error))?;
    let own = object("strict-producer", own_len)?;
    let pieces = [
        Piece { at: 0, of: &own, from: 0, len: STRICT_PAGE, writable: true },
        Piece { at: STRICT_COMMON, of: &common, from: 0, len: STRICT_PAGE, writable: true },
        Piece {
            at: STRICT_REST,
            of: &own,
            from: STRICT_PAGE,
            len: own_len.saturating_sub(STRICT_PAGE),
            writable: true,
        },
    ];
    let mapping = map(len, &pieces)?;
    seal(&common, StrictObject::Common)?;
    seal(&own, StrictObject::Of(Role::Producer))?;
    let leased = lease(&common, at, Role::Producer)?.over(mapping);

    let parts = life::producer_parts(&leased)?;
    let ring = Ring::format_strict(parts, &format)?;
    let producer = Producer::from_place(place(ring, leased))?;
    send(socket, RING, &[common.as_fd(), own.as_fd()], peer, waiting)?;
    let [theirs] = receive(socket, ANSWER, peer, waiting)?;
    examine(&theirs, StrictObject::Of(peer), STRICT_PAGE)?;
    let page = Piece { at: STRICT_OTHER, of: &theirs, from: 0, len: STRICT_PAGE, writable: false };
    producer.seated.place.life.put(&page)?;
    let foreign = |error| HandoverError::Foreign { object: StrictObject::Of(peer), error };
    parts.expect_consumer(&ring).map_err(foreign)?;
    send(socket, AGREED, &[], peer, waiting)?;
    Ok(producer)
}

/// Takes a ring that is handed over, and sits down as its consumer.
pub(super) fn open(
    socket: &UnixStream,
    timeout: Duration,
    wanted: Option<&PayloadType>,
) -> Result<Consumer, SetupError> {
    let (waiting, peer) = (until(timeout), Role::Producer);
    let [common, theirs] = receive(socket, RING, peer, waiting)?;
    examine(&common, StrictObject::Common, STRICT_PAGE)?;
    let theirs_len = examine(&theirs, StrictObject::Of(peer), LEAST)?;

    let own = object("strict-consumer", STRICT_PAGE)?;
    let pieces = [
        Piece { at: 0, of: &own, from: 0, len: STRICT_PAGE, writable: true },
        Piece { at: STRICT_COMMON, of: &common, from: 0, len: STRICT_PAGE, writable: true },
        Piece { at: STRICT_OTHER, of: &theirs, from: 0, len: theirs_len, writable: false },
    ];
    let mapping = map(STRICT_OTHER.saturating_add(theirs_len), &pieces)?;
    seal(&own, StrictObject::Of(Role::Consumer))?;
    let at = Memfd::from(common.as_fd().try_clone_to_owned().map_err(|error| os("dup", &error))?).into();
    let leased = lease(&common, at, Role::Consumer)?.over(mapping);

    let foreign = |error| HandoverError::Foreign { object: StrictObject::Of(peer), error };
    let ring = Ring::attach_strict(life::consumer_parts(&leased)?).map_err(foreign)?;
    payload::check(wanted, ring.type_hash(), || ring.type_text())?;
    let consumer = Consumer::from_place(place(ring, leased))?;
    send(socket, ANSWER, &[own.as_fd()], peer, waiting)?;
    let [] = receive(socket, AGREED, peer, waiting)?;
    Ok(consumer)
}

/// Until when to wait.
fn until(timeout: Duration) -> Waiting {
    const FOR_EVER: Duration = Duration::from_secs(1 << 30);
    Waiting::Until(Instant::now() + timeout.min(FOR_EVER))
}

/// An object of `len` bytes of real memory.
fn object(name: &str, len: u64) -> Result<File, SetupError> {
    let page = sys::page_size();
    if page != STRICT_PAGE {
        return Err(HandoverError::PageSize { found: page }.into());
    }
    let file = sys::memfd(&SegmentName::new(name)?.file_name()).map_err(CreateError::from)?;
    sys::allocate(&file, posix::length(len)?).map_err(|error| match error.code {
        libc::ENOSPC | libc::EDQUOT => CreateError::NoSpace { asked: len, free: sys::free_space(&file) },
        _ => CreateError::Os(error),
    })?;
    Ok(file)
}

/// Maps the pieces, and zeros where there is none.
fn map(len: u64, pieces: &[Piece<'_>]) -> Result<Mapping, MapError> {
    let pause = fork::pause()?;
    let mapping = Mapping::in_parts(len, STRICT_REST, &pause)?;
    pieces.iter().try_for_each(|piece| mapping.put(piece, &pause))?;
    Ok(mapping)
}

/// Seals what was made here.
fn seal(file: &File, object: StrictObject) -> Result<(), SetupError> {
    sys::seal(file, object.seals()).map_err(|error| CreateError::Os(error).into())
}

/// Looks at what the peer has sent; how many bytes it has. They are its bytes for ever, when the seals have been seen.
fn examine(file: &File, object: StrictObject, expected: u64) -> Result<u64, SetupError> {
    let seals = sys::seals(file);
    if !seals.is_some_and(|seals| seals.contains(object.seals()) && !seals.intersects(object.open_to())) {
        return Err(HandoverError::Seals { object, found: seals.map(|seals| seals.bits()) }.into());
    }
    let found = sys::stat(file.as_raw_fd()).map_err(MapError::from)?.size;
    let good = if object == StrictObject::Of(Role::Producer) { found >= expected } else { found == expected };
    if good { Ok(found) } else { Err(HandoverError::Size { object, found, expected }.into()) }
}

/// The lease of a side, which lives with its mapping of the common object. Nobody comes after it, so its number is
/// always the same.
fn lease(common: &File, at: Location, role: Role) -> Result<LeasedMapping, SetupError> {
    let stat = sys::stat(common.as_raw_fd()).map_err(MapError::from)?;
    // Of a description that memfd_create made the kernel tells nobody: the chime needs another one.
    let file = descriptor::open_anew(common.as_raw_fd()).map_err(MapError::from)?;
    let number = match role {
        Role::Producer => 1,
        Role::Consumer => 2,
    };
    Ok(LeasedMapping::acquire(&Segment::from_file(file, &stat, at), || number)?)
}

/// A place in a ring that has been made or validated.
fn place(ring: Ring<'static>, leased: LeasedMapping) -> Place {
    let (lease, wake) = (leased.lease(), futex::registered_wake(leased.object()));
    Place { waiter: None, ring: ring.with_wake(wake), life: Life::mapped(leased), lease }
}

fn send(
    socket: &UnixStream,
    byte: u8,
    descriptors: &[BorrowedFd<'_>],
    peer: Role,
    waiting: Waiting,
) -> Result<(), HandoverError> {
    socket::send(socket, byte, descriptors, waiting).map_err(|error| failed(&error, peer))
}

/// Takes the message that begins with `byte` and has so many descriptors.
fn receive<const N: usize>(
    socket: &UnixStream,
    byte: u8,
    peer: Role,
    waiting: Waiting,
) -> Result<[File; N], HandoverError> {
    let (found, descriptors) = socket::receive(socket, waiting).map_err(|error| failed(&error, peer))?;
    let none = HandoverError::NoHandover { peer, descriptors: descriptors.len() };
    if found != byte {
        return Err(none);
    }
    descriptors.into_iter().map(File::from).collect::<Vec<_>>().try_into().map_err(|_| none)
}

/// What went wrong with the socket.
fn failed(error: &io::Error, peer: Role) -> HandoverError {
    match error.kind() {
        io::ErrorKind::TimedOut => HandoverError::TimedOut { peer },
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            HandoverError::PeerGone { peer }
        }
        _ => HandoverError::Socket(OsError::from_io("sendmsg or recvmsg", error)),
    }
}

fn os(call: &'static str, error: &io::Error) -> SetupError {
    CreateError::Os(OsError::from_io(call, error)).into()
}
