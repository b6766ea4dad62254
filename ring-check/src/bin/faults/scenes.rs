//! The operations whose system calls are refused: for both kinds of ring and each backing, what there is before, and what
//! a victim does. (Those of strict rings: `strict.rs`.)

use std::any::Any;
use std::time::Duration;

use ring_shm::placement::{Placement, Wish};
use ring_shm::{SetupErrorKind, mpmc, spsc};

use crate::Failure;
use crate::backing::Backing;
use crate::peers::{Ends, Peer};
use crate::strict;
use crate::victim;

/// The POSIX ring of a scene, in a directory that only this program sees.
pub(crate) const RING: &str = "faults";

/// What an operation leaves in its caller's hands.
pub(crate) type Hands = Box<dyn Any>;

/// An operation, ready to be done: again and again, if need be.
pub(crate) type Operation = Box<dyn FnMut() -> Result<Hands, String>>;

/// One operation.
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) backing: Backing,
    /// Whether the file system has unnamed files. Where it has none, a creation goes by temporary names.
    pub(crate) unnamed: bool,
    /// Whether it creates the ring if it succeeds: what a killed creator leaves concerns the next one.
    pub(crate) creates: bool,
    /// Who is at the other end of a victim's sockets, if it needs anybody.
    pub(crate) peer: Option<Peer>,
    /// Makes what there is before.
    pub(crate) before: Box<dyn Fn() -> Result<(), Failure>>,
    /// Gets a victim ready, which has these ends of sockets.
    pub(crate) ready: Box<dyn Fn(Ends) -> Result<Operation, Failure>>,
    /// Whether such a ring can be had, and used, now.
    works: Box<dyn Fn() -> Result<(), Failure>>,
}

impl Scene {
    fn new<B, R>(name: &str, before: B, ready: R) -> Self
    where
        B: Fn() -> Result<(), Failure> + 'static,
        R: Fn() -> Result<Operation, Failure> + 'static,
    {
        // In a process of its own, so that ours does nothing for the first time that a victim should do.
        let before = Box::new(move || victim::in_child(&before));
        let (ready, works) = (Box::new(move |_| ready()), Box::new(nothing));
        Self {
            name: name.into(),
            unnamed: true,
            creates: false,
            peer: None,
            backing: Backing::Posix,
            before,
            ready,
            works,
        }
    }

    /// An operation at one end of a socket, with `peer` at the other; nothing is there before.
    pub(crate) fn facing<R>(name: &str, peer: Peer, ready: R) -> Self
    where
        R: Fn(Ends) -> Result<Operation, Failure> + 'static,
    {
        let scene = Self::new(name, nothing, || Err("it has no sockets".into()));
        Self { peer: Some(peer), ready: Box::new(ready), works: Box::new(strict::works), ..scene }
    }

    fn creating(mut self) -> Self {
        self.creates = true;
        self
    }

    /// The same where the file system has no unnamed files.
    fn by_temporary_name(mut self) -> Self {
        self.name.push_str(" by a temporary name");
        self.unnamed = false;
        self
    }
}

/// An operation that can be done again.
pub(crate) fn again<H: Any>(mut operation: impl FnMut() -> Result<H, String> + 'static) -> Result<Operation, Failure> {
    Ok(Box::new(move || operation().map(|hands| Box::new(hands) as Hands)))
}

/// An operation that uses up `what`: the second time there is nothing to be done.
pub(crate) fn once<T: 'static, H: Any>(
    what: T,
    operation: impl Fn(T) -> Result<H, String> + 'static,
) -> Result<Operation, Failure> {
    let mut what = Some(what);
    again(move || what.take().map_or(Err("it is used up: once only".to_owned()), &operation))
}

pub(crate) fn words<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn nothing() -> Result<(), Failure> {
    Ok(())
}

pub(crate) fn spsc_options() -> spsc::Options {
    spsc::Options::new().capacity(4096)
}

/// A ring of more than a huge page, with every wish and limit.
fn large_options() -> spsc::Options {
    let wanted = Placement::new().huge_pages(Wish::Try).numa_node(0, Wish::Try).prefault(Wish::Require).lock(Wish::Try);
    spsc::Options::new().capacity(4 << 20).max_size(8 << 20).budget("", 16 << 20).placement(wanted)
}

fn mpmc_options() -> mpmc::Options {
    mpmc::Options::new().slots(8).slot_size(48).max_participants(4)
}

/// Removes the one ring that nobody holds.
fn remove_stale(backing: Backing) -> Result<(), String> {
    let report = words(backing.remove_stale())?;
    match report.failed.first() {
        Some((_, error)) => Err(error.to_string()),
        // What is left of a removal that failed half way is a name without a segment.
        None if report.removed.is_empty() && report.temporaries == 0 => {
            Err("nothing was removed: it is not there, or not ours".into())
        }
        None => Ok(()),
    }
}

macro_rules! scenes_of {
    ($kind:ident, $options:ident, $backing:expr, $works:ident) => {{
        use $kind::{Consumer, Producer, TypedConsumer, TypedProducer};

        let (backing, at) = ($backing, $backing.at());
        let there = move || Ok($kind::create(at, &$options())?);
        // A producer that has sent a record and died, and a consumer that came and died.
        let dead = move || {
            let mut tx = Producer::create(at, &$options())?;
            let rx = Consumer::open(at)?;
            tx.try_send(1, b"the last words")?;
            std::mem::forget((tx, rx));
            Ok(())
        };
        let create = move || again(move || words($kind::create(at, &$options())));
        let create_and_sit = move || again(move || words(Producer::create(at, &$options())));
        let open_or_create = move || again(move || words(Consumer::open_or_create(at, &$options())));
        let soon = Duration::from_millis(1);
        vec![
            Scene::new("create", nothing, create).creating(),
            Scene::new("create", nothing, create).creating().by_temporary_name(),
            Scene::new("create and sit", nothing, create_and_sit).creating(),
            Scene::new("create and sit", nothing, create_and_sit).creating().by_temporary_name(),
            Scene::new("create and sit, typed", nothing, move || {
                again(move || words(TypedProducer::<u64>::create(at, &$options())))
            }),
            Scene::new("open or create, new, typed", nothing, move || {
                again(move || words(TypedConsumer::<u64>::open_or_create(at, &$options())))
            }),
            Scene::new("open or create, new", nothing, open_or_create).creating(),
            Scene::new("open or create, there", there, open_or_create),
            Scene::new("open, producer", there, move || again(move || words(Producer::open(at)))),
            Scene::new("open, consumer", there, move || again(move || words(Consumer::open(at)))),
            Scene::new("take over, producer", dead, move || again(move || words(Producer::open(at)))),
            Scene::new("take over, consumer", dead, move || again(move || words(Consumer::open(at)))),
            Scene::new("wait for a record", there, move || {
                let mut rx = Consumer::open(at)?;
                again(move || words(rx.recv_into_timeout(&mut [0; 64], soon)).map(drop))
            }),
            Scene::new("wait for space", there, move || {
                let mut tx = Producer::open(at)?;
                while tx.try_send(0, &[0; 40]).is_ok() {}
                again(move || words(tx.send_timeout(0, &[0; 40], soon)).map(drop))
            }),
            Scene::new("wait for the dead", dead, move || {
                let mut rx = Consumer::open(at)?;
                rx.try_recv_into(&mut [0; 64])?;
                again(move || words(rx.recv_into_timeout(&mut [0; 64], soon)).map(drop))
            }),
            Scene::new("drop, producer", there, move || once(Producer::open(at)?, |tx| Ok(drop(tx)))),
            Scene::new("drop, consumer", there, move || once(Consumer::open(at)?, |rx| Ok(drop(rx)))),
            Scene::new("remove", there, move || again(move || words(ring_shm::unlink(at, false)))),
            Scene::new("remove, forced", there, move || again(move || words(ring_shm::unlink(at, true)))),
            Scene::new("remove the stale", dead, move || again(move || remove_stale(backing))),
            Scene::new("look", dead, move || again(move || words($kind::inspect(at)).map(drop))),
            Scene::new("recover", dead, move || again(move || words($kind::recover(at, None)).map(drop))),
            Scene::new("list", dead, move || again(move || backing.list())),
        ]
        .into_iter()
        .filter(move |scene| backing.concerns(&scene.name))
        .map(move |scene| {
            let name = format!("{}{} {}", stringify!($kind), backing.word(), scene.name);
            Scene { name, backing, works: Box::new(move || $works(at)), ..scene }
        })
    }};
}

/// Every operation.
pub(crate) fn all() -> Vec<Scene> {
    let close = Scene::new(
        "mpmc close from outside",
        || Ok(mpmc::create(RING, &mpmc_options())?),
        || again(|| words(mpmc::close(RING))),
    );
    let placed = Scene::new("spsc create with limits, placed", nothing, || {
        again(|| words(spsc::Producer::create(RING, &large_options())))
    });
    let close = Scene { works: Box::new(|| use_mpmc(RING)), ..close };
    let placed = Scene { works: Box::new(|| use_spsc(RING)), ..placed.creating() };
    let mut all = Vec::new();
    for backing in Backing::ALL {
        all.extend(scenes_of!(spsc, spsc_options, backing, use_spsc));
        all.extend(scenes_of!(mpmc, mpmc_options, backing, use_mpmc));
    }
    all.into_iter().chain([close, placed]).chain(strict::scenes()).collect()
}

/// Whether a ring of the scene's kind can be opened or created, and used, now: by another process.
pub(crate) fn works(scene: &Scene) -> Result<(), Failure> {
    victim::in_child(&*scene.works)
}

fn use_mpmc(at: &str) -> Result<(), Failure> {
    let mut buf = [0; 64];
    let mut rx = mpmc::Consumer::open_or_create(at, &mpmc_options())?;
    // What lies there, and the end of a closed ring.
    while rx.try_recv_into(&mut buf).is_ok() {}
    let mut tx = match mpmc::Producer::open(at) {
        Err(error) if error.kind() == SetupErrorKind::Closed => return Ok(()),
        tx => tx?,
    };
    tx.try_send(7, b"works")?;
    let got = rx.try_recv_into(&mut buf)?;
    if got.tag == 7 { Ok(()) } else { Err(format!("it received {got:?}").into()) }
}

fn use_spsc(at: &str) -> Result<(), Failure> {
    let mut buf = [0; 64];
    let mut rx = spsc::Consumer::open_or_create(at, &spsc_options())?;
    // What lies there.
    while rx.try_recv_into(&mut buf).is_ok() {}
    let mut tx = spsc::Producer::open(at)?;
    tx.try_send(7, b"works")?;
    loop {
        match rx.recv_into_timeout(&mut buf, Duration::from_secs(1)) {
            Ok(got) if got.tag == 7 => return Ok(()),
            // The session before has an end too.
            Err(spsc::RecvError::PeerDied | spsc::RecvError::Disconnected) => {}
            other => return Err(format!("it received {other:?}").into()),
        }
    }
}
