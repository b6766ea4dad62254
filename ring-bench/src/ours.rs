//! Ours: `ring_shm::spsc` between two processes, through a named segment, by the safe API that copies.
//!
//! The driver creates the rings, the peer opens them by name, and the names are removed at once. Both sides use the
//! crate as its README shows it: default options but for the capacity, no trust, one `try_send` or `try_recv_into`
//! per message, or the batch calls, or typed rings of slices, in which a batch is one record.

use crate::candidate::{Build, Maker, Setup};
use crate::duplex::{Ping, Pong};
use crate::message::{Message, bytes, bytes_mut, message};
use crate::seam::{BatchRx, BatchTx, Fault, Outcome, Part, Rx, Tx, Work};
use crate::stream::{BatchDrain, BatchSource, Drain, Source};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use ring_shm::spsc::{Consumer, Options, Producer, TypedConsumer, TypedProducer};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) struct Sender(pub(crate) Producer);
pub(crate) struct Receiver(pub(crate) Consumer);

impl<const W: usize> Tx<W> for Sender {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        // Whatever else than `Full` it may be, it lasts, and the patience of the caller ends it.
        self.0.try_send(0, bytes(message)).is_ok()
    }
}

impl<const W: usize> Rx<W> for Receiver {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        self.0.try_recv_into(bytes_mut(message)).is_ok_and(|received| received.len == 8 * W)
    }
}

impl<const W: usize> BatchTx<W> for Sender {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        let Ok(mut batch) = self.0.try_claim_batch_exact(count, 8 * W) else {
            return false;
        };
        batch.push_each(0, (first..).take(count).map(|number| Message(message::<W>(number)))).is_ok_and(|n| n == count)
            && batch.commit() == count
    }
}

impl<const W: usize> BatchRx<W> for Receiver {
    #[inline(always)]
    fn try_recv_batch(
        &mut self,
        max: usize,
        mut each: impl FnMut(&[u64; W]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let Ok(mut batch) = self.0.try_read_batch(max) else {
            return Ok(0);
        };
        batch.try_for_each(|record| {
            let mut words = [0; W];
            if !record.copy_exact(bytes_mut(&mut words)) {
                return Err(Fault::Content);
            }
            each(&words)
        })?;
        Ok(batch.release())
    }
}

/// A batch as one record, made in private memory.
struct SliceSender<const W: usize> {
    tx: TypedProducer<[[u64; W]]>,
    messages: Vec<[u64; W]>,
}

/// A batch as one record, copied to private memory.
struct SliceReceiver<const W: usize> {
    rx: TypedConsumer<[[u64; W]]>,
    messages: Vec<[u64; W]>,
}

impl<const W: usize> BatchTx<W> for SliceSender<W> {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        let messages = &mut self.messages[..count];
        messages.iter_mut().zip(first..).for_each(|(to, number)| *to = message::<W>(number));
        self.tx.try_send(0, messages).is_ok()
    }
}

impl<const W: usize> BatchRx<W> for SliceReceiver<W> {
    #[inline(always)]
    fn try_recv_batch(&mut self, max: usize, each: impl FnMut(&[u64; W]) -> Result<(), Fault>) -> Result<usize, Fault> {
        let Ok((count, _)) = self.rx.try_recv_into(&mut self.messages) else { return Ok(0) };
        if count > max {
            return Err(Fault::Content);
        }
        self.messages[..count].iter().try_for_each(each)?;
        Ok(count)
    }
}

/// The name of one ring of this run.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("ring-bench.{}.{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

pub(crate) fn options(bytes: usize) -> Options {
    Options::new().capacity(bytes as u64)
}

pub(crate) fn failed(why: impl core::fmt::Display) -> Fault {
    Fault::Setup(why.to_string())
}

/// A part that is made out of handles which are created or opened where it will run.
pub(crate) fn maker<P: Part + 'static>(make: impl FnOnce() -> Result<P, Fault> + Send + 'static) -> Maker {
    Box::new(move || make().map(|part| Box::new(part) as Box<dyn Part>))
}

/// Removes names that nobody needs any more; some were perhaps never made.
pub(crate) fn unlink(names: Vec<String>) -> Option<Box<dyn FnOnce()>> {
    Some(Box::new(move || names.iter().for_each(|name| drop(ring_shm::unlink(name, true)))))
}

/// Round trip over two rings of `bytes`.
pub(crate) fn round_trip<const W: usize>(bytes: usize) -> Build {
    Box::new(move |_| {
        let (out, back) = (fresh_name(), fresh_name());
        let published = unlink(vec![out.clone(), back.clone()]);
        let names = (out.clone(), back.clone());
        let ping = maker(move || {
            let tx = Producer::create(&names.0, &options(bytes)).map_err(failed)?;
            let rx = Consumer::create(&names.1, &options(bytes)).map_err(failed)?;
            Ok(Ping::<W, _, _>::new(Sender(tx), Receiver(rx)))
        });
        let pong = maker(move || {
            let tx = Producer::open(&back).map_err(failed)?;
            let rx = Consumer::open(&out).map_err(failed)?;
            Ok(Pong::<W, _, _>::new(Sender(tx), Receiver(rx)))
        });
        Ok(Setup { parties: vec![ping, pong], published })
    })
}

/// Longer than any hand-over takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// A part that comes into being while the other side makes its own: parties are made one after the other, and a strict
/// ring takes both.
struct Late<P>(Option<JoinHandle<Result<P, Fault>>>, Option<P>);

impl<P: Send + 'static> Late<P> {
    fn new(make: impl FnOnce() -> Result<P, Fault> + Send + 'static) -> Self {
        Self(Some(std::thread::spawn(make)), None)
    }

    fn part(&mut self) -> Result<&mut P, Fault> {
        if let Some(making) = self.0.take() {
            self.1 = Some(making.join().map_err(|_| failed("a hand-over has panicked"))??);
        }
        self.1.as_mut().ok_or_else(|| failed("a hand-over has failed before"))
    }
}

impl<P: Part + 'static> Part for Late<P> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        self.part()?.check(count)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.part()?.slice(work)
    }
}

fn sockets() -> Result<(UnixStream, UnixStream), String> {
    UnixStream::pair().map_err(|error| error.to_string())
}

/// [`round_trip`] over two strict rings.
pub(crate) fn strict_round_trip<const W: usize>(bytes: usize) -> Build {
    Box::new(move |_| {
        let ((out, there), (back, here)) = (sockets()?, sockets()?);
        let ping = maker(move || {
            Ok(Late::new(move || {
                let tx = Producer::create_strict(&out, &options(bytes), PATIENCE).map_err(failed)?;
                let rx = Consumer::open_strict(&here, PATIENCE).map_err(failed)?;
                Ok(Ping::<W, _, _>::new(Sender(tx), Receiver(rx)))
            }))
        });
        let pong = maker(move || {
            let rx = Consumer::open_strict(&there, PATIENCE).map_err(failed)?;
            let tx = Producer::create_strict(&back, &options(bytes), PATIENCE).map_err(failed)?;
            Ok(Pong::<W, _, _>::new(Sender(tx), Receiver(rx)))
        });
        Ok(Setup { parties: vec![ping, pong], published: None })
    })
}

/// [`one_way`] over a strict ring.
pub(crate) fn strict_one_way<const W: usize>(bytes: usize) -> Build {
    Box::new(move |_| {
        let (here, there) = sockets()?;
        let source = maker(move || {
            Ok(Late::new(move || {
                let tx = Producer::create_strict(&here, &options(bytes), PATIENCE).map_err(failed)?;
                Ok(Source::<W, _>::new(Sender(tx)))
            }))
        });
        let drain = maker(move || {
            let rx = Consumer::open_strict(&there, PATIENCE).map_err(failed)?;
            Ok(Drain::<W, _>::new(Receiver(rx)))
        });
        Ok(Setup { parties: vec![source, drain], published: None })
    })
}

/// One ring: what the two sides make out of their handles.
fn one_ring<S: Part + 'static, D: Part + 'static>(
    options: Options,
    source: impl FnOnce(Sender) -> S + Send + 'static,
    drain: impl FnOnce(Receiver) -> D + Send + 'static,
) -> Setup {
    let name = fresh_name();
    let published = unlink(vec![name.clone()]);
    let create = name.clone();
    let source = maker(move || Producer::create(&create, &options).map(|tx| source(Sender(tx))).map_err(failed));
    let drain = maker(move || Consumer::open(&name).map(|rx| drain(Receiver(rx))).map_err(failed));
    Setup { parties: vec![source, drain], published }
}

/// One way, one operation a message, over a ring of `bytes`.
pub(crate) fn one_way<const W: usize>(bytes: usize) -> Build {
    Box::new(move |_| Ok(one_ring(options(bytes), Source::<W, _>::new, Drain::<W, _>::new)))
}

/// The same with payloads on lines.
pub(crate) fn one_way_on_lines<const W: usize>(bytes: usize) -> Build {
    Box::new(move |_| Ok(one_ring(options(bytes).line_aligned(true), Source::<W, _>::new, Drain::<W, _>::new)))
}

/// One way in slices of `batch` messages over a ring of `bytes`.
pub(crate) fn slices<const W: usize>(bytes: usize, batch: usize) -> Build {
    Box::new(move |_| {
        let name = fresh_name();
        let published = unlink(vec![name.clone()]);
        let create = name.clone();
        let source = maker(move || {
            let tx = TypedProducer::create(&create, &options(bytes)).map_err(failed)?;
            Ok(BatchSource::<W, _>::new(SliceSender { tx, messages: vec![[0; W]; batch] }, batch))
        });
        let drain = maker(move || {
            let rx = TypedConsumer::open(&name).map_err(failed)?;
            Ok(BatchDrain::<W, _>::new(SliceReceiver { rx, messages: vec![[0; W]; batch] }, batch))
        });
        Ok(Setup { parties: vec![source, drain], published })
    })
}

/// One way in batches over a ring of `bytes`.
pub(crate) fn batch<const W: usize>(bytes: usize, batch: usize) -> Build {
    Box::new(move |_| {
        Ok(one_ring(
            options(bytes),
            move |tx| BatchSource::<W, _>::new(tx, batch),
            move |rx| BatchDrain::<W, _>::new(rx, batch),
        ))
    })
}
