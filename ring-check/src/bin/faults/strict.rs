//! The operations of strict rings whose system calls are refused: both sides of a hand-over, waiting, and the end. There
//! is no name that could be left; what can be is descriptors, mappings, and a peer that waits for ever.

use std::any::Any;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ring_shm::spsc::{Consumer, Producer, TrySendError};
use ring_shm::wait::Park;

use crate::Failure;
use crate::peers::{Ends, PATIENCE, Peer};
use crate::scenes::{Operation, Scene, again, once, spsc_options, words};

/// Sleeps without having spun: how often a spinning wait asks after its peer hangs on the clock, and each run has to make the
/// calls of the first.
fn at_once() -> Park {
    Park::after(Duration::ZERO)
}

/// Every operation.
pub(crate) fn scenes() -> Vec<Scene> {
    let soon = Duration::from_millis(1);
    vec![
        Scene::facing("strict create", Peer::Consumer, |ends| create(ends, PATIENCE)),
        Scene::facing("strict open", Peer::Producer, |ends| open(ends, PATIENCE)),
        Scene::facing("strict create, nobody answers", Peer::Mute, move |ends| create(ends, soon)),
        Scene::facing("strict open, nobody comes", Peer::Mute, move |ends| open(ends, soon)),
        Scene::facing("strict create, the peer is gone", Peer::Nobody, |ends| create(ends, PATIENCE)),
        Scene::facing("strict open, the peer is gone", Peer::Nobody, |ends| open(ends, PATIENCE)),
        Scene::facing("strict wait for a record", Peer::IdleProducer, move |ends| {
            let mut rx = Consumer::open_strict(&ends.sockets[0], PATIENCE)?;
            rx.set_wait_strategy(at_once());
            again(move || words(rx.recv_into_timeout(&mut [0; 64], soon)).map(drop))
        }),
        Scene::facing("strict wait for space", Peer::IdleConsumer, move |ends| {
            let mut tx = filled(&ends.sockets[0])?;
            tx.set_wait_strategy(at_once());
            again(move || words(tx.send_timeout(0, &[0; 40], soon)).map(drop))
        }),
        Scene::facing("strict wait for a dead producer", Peer::DyingProducer, move |ends| {
            let mut rx = Consumer::open_strict(&ends.sockets[0], PATIENCE)?;
            rx.set_wait_strategy(at_once());
            ends.wait_for_death()?;
            rx.try_recv_into(&mut [0; 64])?;
            again(move || words(rx.recv_into_timeout(&mut [0; 64], soon)).map(drop))
        }),
        Scene::facing("strict wait for a dead consumer", Peer::DyingConsumer, move |ends| {
            let mut tx = Producer::create_strict(&ends.sockets[0], &spsc_options(), PATIENCE)?;
            tx.set_wait_strategy(at_once());
            ends.wait_for_death()?;
            while tx.try_send(0, &[0; 40]).is_ok() {}
            again(move || words(tx.send_timeout(0, &[0; 40], soon)).map(drop))
        }),
        Scene::facing("strict drop, producer", Peer::IdleConsumer, |ends| {
            once(filled(&ends.sockets[0])?, |tx| {
                drop(tx);
                Ok(())
            })
        }),
        Scene::facing("strict drop, consumer", Peer::IdleProducer, |ends| {
            once(Consumer::open_strict(&ends.sockets[0], PATIENCE)?, |rx| {
                drop(rx);
                Ok(())
            })
        }),
    ]
}

/// An operation on each of the sockets, one after the other.
fn on_each<H: Any>(
    ends: Ends,
    operation: impl Fn(&UnixStream) -> Result<H, String> + 'static,
) -> Result<Operation, Failure> {
    let mut sockets = ends.sockets.into_iter();
    // The sockets stay open: what the operation does with them is all that the peer may see.
    let mut used: Vec<UnixStream> = Vec::new();
    again(move || {
        used.extend(sockets.next());
        operation(used.last().ok_or("no socket: none was made")?)
    })
}

/// A ring, and a record in it, which the peer has to get.
fn create(ends: Ends, timeout: Duration) -> Result<Operation, Failure> {
    on_each(ends, move |socket| {
        let mut tx = words(Producer::create_strict(socket, &spsc_options(), timeout))?;
        words(tx.try_send(7, b"works"))?;
        Ok(tx)
    })
}

/// The other side of it.
fn open(ends: Ends, timeout: Duration) -> Result<Operation, Failure> {
    on_each(ends, move |socket| words(Consumer::open_strict(socket, timeout)))
}

/// A producer without room.
fn filled(socket: &UnixStream) -> Result<Producer, Failure> {
    let mut tx = Producer::create_strict(socket, &spsc_options(), PATIENCE)?;
    loop {
        match tx.try_send(0, &[0; 40]) {
            Ok(_) => {}
            Err(TrySendError::Full) => return Ok(tx),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a strict ring can be handed over, and used, now.
pub(crate) fn works() -> Result<(), Failure> {
    let (here, there) = UnixStream::pair()?;
    let consumer = std::thread::spawn(move || {
        let mut rx = words(Consumer::open_strict(&there, PATIENCE))?;
        words(rx.recv_into_timeout(&mut [0; 64], PATIENCE))
    });
    let mut tx = Producer::create_strict(&here, &spsc_options(), PATIENCE)?;
    tx.try_send(7, b"works")?;
    let got = consumer.join().map_err(|_| "the consumer panicked")??;
    if got.tag == 7 { Ok(()) } else { Err(format!("it received {got:?}").into()) }
}
