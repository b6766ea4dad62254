//! The operations whose system calls are refused: for both kinds of ring, what there is before, and what a victim does.

use std::any::Any;
use std::time::Duration;

use ring_shm::placement::{Placement, Wish};
use ring_shm::{Segment, SetupErrorKind, mpmc, spsc};

use crate::Failure;
use crate::victim;

/// The ring of every scene, in a directory that only this program sees.
pub(crate) const RING: &str = "faults";

/// What an operation leaves in its caller's hands.
pub(crate) type Hands = Box<dyn Any>;

/// An operation, ready to be done: again and again, if need be.
pub(crate) type Operation = Box<dyn FnMut() -> Result<Hands, String>>;

/// One operation.
pub(crate) struct Scene {
    pub(crate) name: String,
    /// Whether the file system has unnamed files. Where it has none, a creation goes by temporary names.
    pub(crate) unnamed: bool,
    /// Whether it creates the ring if it succeeds: what a killed creator leaves concerns the next one.
    pub(crate) creates: bool,
    /// Makes what there is before.
    pub(crate) before: Box<dyn Fn() -> Result<(), Failure>>,
    /// Gets a victim ready.
    pub(crate) ready: Box<dyn Fn() -> Result<Operation, Failure>>,
}

impl Scene {
    fn new<B, R>(name: &str, before: B, ready: R) -> Self
    where
        B: Fn() -> Result<(), Failure> + 'static,
        R: Fn() -> Result<Operation, Failure> + 'static,
    {
        // In a process of its own, so that ours does nothing for the first time that a victim should do.
        let (before, ready) = (Box::new(move || victim::in_child(&before)), Box::new(ready));
        Self { name: name.into(), unnamed: true, creates: false, before, ready }
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
fn again<H: Any>(mut operation: impl FnMut() -> Result<H, String> + 'static) -> Result<Operation, Failure> {
    Ok(Box::new(move || operation().map(|hands| Box::new(hands) as Hands)))
}

/// An operation that uses up `what`: the second time there is nothing to be done.
fn once<T: 'static, H: Any>(
    what: T,
    operation: impl Fn(T) -> Result<H, String> + 'static,
) -> Result<Operation, Failure> {
    let mut what = Some(what);
    again(move || what.take().map_or(Err("it is used up: once only".to_owned()), &operation))
}

fn words<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn nothing() -> Result<(), Failure> {
    Ok(())
}

fn spsc_options() -> spsc::Options {
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
fn remove_stale() -> Result<(), String> {
    let report = words(Segment::remove_stale())?;
    match report.failed.first() {
        Some((_, error)) => Err(error.to_string()),
        None if report.removed.is_empty() => Err("nothing was removed: it is not there, or not ours".into()),
        None => Ok(()),
    }
}

macro_rules! scenes_of {
    ($kind:ident, $options:ident) => {{
        use $kind::{Consumer, Producer, TypedConsumer, TypedProducer};

        let there = || Ok($kind::create(RING, &$options())?);
        // A producer that has sent a record and died, and a consumer that came and died.
        let dead = || {
            let mut tx = Producer::create(RING, &$options())?;
            let rx = Consumer::open(RING)?;
            tx.try_send(1, b"the last words")?;
            std::mem::forget((tx, rx));
            Ok(())
        };
        let create = || again(|| words($kind::create(RING, &$options())));
        let create_and_sit = || again(|| words(Producer::create(RING, &$options())));
        let open_or_create = || again(|| words(Consumer::open_or_create(RING, &$options())));
        let soon = Duration::from_millis(1);
        vec![
            Scene::new("create", nothing, create).creating(),
            Scene::new("create", nothing, create).creating().by_temporary_name(),
            Scene::new("create and sit", nothing, create_and_sit).creating(),
            Scene::new("create and sit", nothing, create_and_sit).creating().by_temporary_name(),
            Scene::new("create and sit, typed", nothing, || {
                again(|| words(TypedProducer::<u64>::create(RING, &$options())))
            }),
            Scene::new("open or create, new, typed", nothing, || {
                again(|| words(TypedConsumer::<u64>::open_or_create(RING, &$options())))
            }),
            Scene::new("open or create, new", nothing, open_or_create).creating(),
            Scene::new("open or create, there", there, open_or_create),
            Scene::new("open, producer", there, || again(|| words(Producer::open(RING)))),
            Scene::new("open, consumer", there, || again(|| words(Consumer::open(RING)))),
            Scene::new("take over, producer", dead, || again(|| words(Producer::open(RING)))),
            Scene::new("take over, consumer", dead, || again(|| words(Consumer::open(RING)))),
            Scene::new("wait for a record", there, move || {
                let mut rx = Consumer::open(RING)?;
                again(move || words(rx.recv_into_timeout(&mut [0; 64], soon)).map(drop))
            }),
            Scene::new("wait for space", there, move || {
                let mut tx = Producer::open(RING)?;
                while tx.try_send(0, &[0; 40]).is_ok() {}
                again(move || words(tx.send_timeout(0, &[0; 40], soon)).map(drop))
            }),
            Scene::new("wait for the dead", dead, move || {
                let mut rx = Consumer::open(RING)?;
                rx.try_recv_into(&mut [0; 64])?;
                again(move || words(rx.recv_into_timeout(&mut [0; 64], soon)).map(drop))
            }),
            Scene::new("drop, producer", there, || once(Producer::open(RING)?, |tx| Ok(drop(tx)))),
            Scene::new("drop, consumer", there, || once(Consumer::open(RING)?, |rx| Ok(drop(rx)))),
            Scene::new("remove", there, || again(|| words(ring_shm::unlink(RING, false)))),
            Scene::new("remove, forced", there, || again(|| words(ring_shm::unlink(RING, true)))),
            Scene::new("remove the stale", dead, || again(remove_stale)),
            Scene::new("look", dead, || again(|| words($kind::inspect(RING)).map(drop))),
            Scene::new("recover", dead, || again(|| words($kind::recover(RING, None)).map(drop))),
            Scene::new("list", dead, || again(|| words(Segment::list()).map(drop))),
        ]
        .into_iter()
        .map(|scene| Scene { name: format!("{} {}", stringify!($kind), scene.name), ..scene })
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
    scenes_of!(spsc, spsc_options).chain(scenes_of!(mpmc, mpmc_options)).chain([close, placed.creating()]).collect()
}

/// Whether a ring of the scene's kind can be opened or created, and used, now: by another process.
pub(crate) fn works(scene: &Scene) -> Result<(), Failure> {
    victim::in_child(|| use_it(scene))
}

fn use_it(scene: &Scene) -> Result<(), Failure> {
    if scene.name.starts_with("mpmc") { use_mpmc() } else { use_spsc() }
}

fn use_mpmc() -> Result<(), Failure> {
    let mut buf = [0; 64];
    let mut rx = mpmc::Consumer::open_or_create(RING, &mpmc_options())?;
    // What lies there, and the end of a closed ring.
    while rx.try_recv_into(&mut buf).is_ok() {}
    let mut tx = match mpmc::Producer::open(RING) {
        Err(error) if error.kind() == SetupErrorKind::Closed => return Ok(()),
        tx => tx?,
    };
    tx.try_send(7, b"works")?;
    let got = rx.try_recv_into(&mut buf)?;
    if got.tag == 7 { Ok(()) } else { Err(format!("it received {got:?}").into()) }
}

fn use_spsc() -> Result<(), Failure> {
    let mut buf = [0; 64];
    let mut rx = spsc::Consumer::open_or_create(RING, &spsc_options())?;
    // What lies there.
    while rx.try_recv_into(&mut buf).is_ok() {}
    let mut tx = spsc::Producer::open(RING)?;
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
