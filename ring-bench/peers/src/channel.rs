//! What a rival is to this crate: one direction of a channel, described before the fork, and the candidates made of it.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use ring_bench::crowd;
use ring_bench::kit::{
    BATCH_8, BATCH_64, BatchDrain, BatchRx, BatchSource, BatchTx, Build, Candidate, Drain, Fault, Maker, ONE_WAY_BYTES,
    Part, PayloadDrain, PayloadRx, PayloadSource, PayloadTx, Ping, Place, Pong, ROUND_TRIP_BYTES, Rx, Setup, Source,
    Tx, Work, crowded, one_way, payload, round_trip,
};

use crate::scenario::{Entry, Scenario};

/// Makes one end, in the process or thread that will use it.
pub(crate) type Make<T> = Box<dyn FnOnce() -> Result<T, Fault> + Send>;

/// The two ends of one direction.
pub(crate) struct Ends<T, R> {
    pub(crate) tx: Make<T>,
    pub(crate) rx: Make<R>,
}

impl<T: Send + 'static, R: Send + 'static> Ends<T, R> {
    /// Ends that exist already: memory or descriptors that the fork hands on, or the heap of one process.
    pub(crate) fn ready(tx: T, rx: R) -> Self {
        Self { tx: Box::new(|| Ok(tx)), rx: Box::new(|| Ok(rx)) }
    }
}

/// A rival with one sender and one receiver.
pub(crate) trait Rival: 'static {
    /// As in the names of its candidates.
    const NAME: &'static str;
    const PLACE: Place;
    /// Round trips in a slice, about a millisecond or a few of them.
    const TRIPS: u64 = 4_000;
    /// Thousands of single messages one way in a slice. A sender that is done before the receiver's clock starts would
    /// leave a receiver alone with a full ring: who sends fewer than a large ring holds gets the small one.
    const THOUSANDS: u64 = 100;
    /// Whether its calls sleep in the kernel.
    const SLEEPS: bool = false;

    /// One direction for messages of `W` words with `bytes` of capacity.
    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String>;
}

/// A rival that publishes and takes several messages at once.
pub(crate) trait Batched: Rival {
    /// As [`Rival::ends`].
    fn batch_ends<const W: usize>(
        bytes: usize,
    ) -> Result<Ends<impl BatchTx<W> + 'static, impl BatchRx<W> + 'static>, String>;
}

/// Set by a test: every sender that is described from now on changes the payload of one message of the check.
static PLANT: AtomicBool = AtomicBool::new(false);

/// From now on every single-message candidate has a sender that hands over one wrong payload.
pub fn plant() {
    PLANT.store(true, Relaxed);
}

/// A sender that hands over one wrong payload: two words change places (their sum, which is all that a timed slice looks
/// at, stays), or, of a single word, a bit.
struct Planted<const W: usize>(Box<dyn Tx<W>>, u64);

impl<const W: usize> Tx<W> for Planted<W> {
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        let mut message = *message;
        if self.1 == 1 {
            if W == 1 { message[0] ^= 1 << 40 } else { message.swap(0, W - 1) }
        }
        let sent = self.0.try_send(&message);
        self.1 -= u64::from(sent && self.1 > 0);
        sent
    }
}

fn part<P: Part + 'static>(make: impl FnOnce() -> Result<P, Fault> + Send + 'static) -> Maker {
    Box::new(move || make().map(|part| Box::new(part) as Box<dyn Part>))
}

fn duplex<const W: usize, T, B, R>(out: Ends<T, R>, back: Ends<B, R>) -> Setup
where
    T: Tx<W> + 'static,
    B: Tx<W> + 'static,
    R: Rx<W> + 'static,
{
    let (out_tx, out_rx, back_tx, back_rx) = (out.tx, out.rx, back.tx, back.rx);
    let ping = part(move || Ok(Ping::<W, _, _>::new(out_tx()?, back_rx()?)));
    let pong = part(move || Ok(Pong::<W, _, _>::new(back_tx()?, out_rx()?)));
    Setup { parties: vec![ping, pong], published: None }
}

/// `ends` with a sender whose last message of `check` is wrong, so that nobody waits for the rest.
fn planted<const W: usize, T: Tx<W> + 'static, R>(ends: Ends<T, R>, check: u64) -> Ends<Planted<W>, R> {
    let tx = ends.tx;
    Ends { tx: Box::new(move || Ok(Planted(Box::new(tx()?), check))), rx: ends.rx }
}

/// Round trips over one direction each way.
pub(crate) fn trips<const W: usize, R: Rival>() -> Build {
    Box::new(move |_| {
        let (out, back) = (R::ends::<W>(ROUND_TRIP_BYTES)?, R::ends::<W>(ROUND_TRIP_BYTES)?);
        Ok(if PLANT.load(Relaxed) { duplex(planted(out, check::<R>()), back) } else { duplex(out, back) })
    })
}

fn stream<const W: usize, T: Tx<W> + 'static, R: Rx<W> + 'static>(ends: Ends<T, R>) -> Setup {
    let (tx, rx) = (ends.tx, ends.rx);
    let source = part(move || Ok(Source::<W, _>::new(tx()?)));
    Setup { parties: vec![source, part(move || Ok(Drain::<W, _>::new(rx()?)))], published: None }
}

/// Whether a rival streams through the small ring.
fn small<R: Rival>() -> bool {
    R::THOUSANDS < 100
}

/// One way, one operation a message.
fn single<const W: usize, R: Rival>() -> Build {
    Box::new(move |_| {
        let ends = R::ends::<W>(if small::<R>() { ROUND_TRIP_BYTES } else { ONE_WAY_BYTES })?;
        Ok(if PLANT.load(Relaxed) { stream(planted(ends, many::<R>())) } else { stream(ends) })
    })
}

/// One way in batches.
fn batches<const W: usize, R: Batched>(batch: usize) -> Build {
    Box::new(move |_| {
        let ends = R::batch_ends::<W>(ONE_WAY_BYTES)?;
        let (tx, rx) = (ends.tx, ends.rx);
        let source = part(move || Ok(BatchSource::<W, _>::new(tx()?, batch)));
        let drain = part(move || Ok(BatchDrain::<W, _>::new(rx()?, batch)));
        Ok(Setup { parties: vec![source, drain], published: None })
    })
}

/// Messages of the check of a round trip: fewer of a rival whose calls sleep.
fn check<R: Rival>() -> u64 {
    if R::SLEEPS { 200 } else { 5_000 }
}

/// Messages of the check of a stream: more than the ring holds.
fn many<R: Rival>() -> u64 {
    if small::<R>() { 10 << 10 } else { 100 << 10 }
}

/// The candidates of a rival that sends one message an operation.
pub(crate) fn singles<R: Rival>() -> Vec<Entry> {
    let trip = |scenario: Scenario, build| {
        let candidate = round_trip(scenario.candidate(R::NAME), R::PLACE, build);
        let work = Work { warm: R::TRIPS / 10, count: R::TRIPS };
        Entry {
            scenario,
            rival: R::NAME,
            candidate: Candidate { work, check: check::<R>(), sleeps: R::SLEEPS, ..candidate },
        }
    };
    let way = if small::<R>() { Scenario::OneWay8Small } else { Scenario::OneWay8 };
    let stream = one_way(way.candidate(R::NAME), R::PLACE, R::THOUSANDS, single::<1, R>());
    let stream = Candidate { check: many::<R>(), sleeps: R::SLEEPS, ..stream };
    vec![
        trip(Scenario::Trip8, trips::<1, R>()),
        trip(Scenario::Trip64, trips::<8, R>()),
        trip(Scenario::Trip256, trips::<32, R>()),
        Entry { scenario: way, rival: R::NAME, candidate: stream },
    ]
}

/// The candidates of a rival that has batches too.
pub(crate) fn with_batches<R: Batched>() -> Vec<Entry> {
    let batch = |scenario: Scenario, thousands, build| {
        let candidate = one_way(scenario.candidate(R::NAME), R::PLACE, thousands, build);
        Entry { scenario, rival: R::NAME, candidate }
    };
    let mut entries = singles::<R>();
    entries.push(batch(Scenario::Batch8, 400, batches::<1, R>(BATCH_8)));
    entries.push(batch(Scenario::Batch64, 200, batches::<8, R>(BATCH_64)));
    entries
}

/// Payloads of `bytes` one way, `count` a slice.
pub(crate) fn payload_entry<T: PayloadTx + 'static, R: PayloadRx + 'static>(
    scenario: Scenario,
    rival: &'static str,
    bytes: usize,
    count: u64,
    ends: impl Fn() -> Result<Ends<T, R>, String> + 'static,
) -> Entry {
    let build: Build = Box::new(move |_| {
        let Ends { tx, rx } = ends()?;
        let source = part(move || Ok(PayloadSource::new(tx()?, bytes)));
        let drain = part(move || Ok(PayloadDrain::new(rx()?, bytes)));
        Ok(Setup { parties: vec![source, drain], published: None })
    });
    let candidate = payload(scenario.candidate(rival), Place::Processes, bytes, count, build);
    Entry { scenario, rival, candidate }
}

/// Round trips of single words over two queues for many, one party at each end.
pub(crate) fn mpmc_trips<T: Tx<1> + 'static, R: Rx<1> + 'static>(
    rival: &'static str,
    place: Place,
    ends: impl Fn() -> Result<Ends<T, R>, String> + 'static,
) -> Entry {
    let build: Build = Box::new(move |_| {
        let (out, back) = (ends()?, ends()?);
        Ok(if PLANT.load(Relaxed) { duplex(planted(out, 5_000), back) } else { duplex(out, back) })
    });
    let scenario = Scenario::MpmcTrip8;
    Entry { scenario, rival, candidate: round_trip(scenario.candidate(rival), place, build) }
}

/// `pairs` producers and as many consumers of single words; each handle is used for one or the other.
pub(crate) fn crowd_entry<H: Tx<1> + Rx<1> + 'static>(
    scenario: Scenario,
    rival: &'static str,
    place: Place,
    pairs: usize,
    handles: impl Fn(usize) -> Result<Vec<H>, String> + 'static,
) -> Entry {
    let build: Build = Box::new(move |_| {
        let handles = handles(2 * pairs)?;
        let parties = crowd::roles(pairs).into_iter().zip(handles).map(|(role, one)| crowd::maker(role, pairs, one));
        Ok(Setup { parties: parties.collect(), published: None })
    });
    Entry { scenario, rival, candidate: crowded(scenario.candidate(rival), place, pairs, build) }
}
