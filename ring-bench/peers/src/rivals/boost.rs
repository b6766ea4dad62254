//! Boost, between processes: Lockfree's spsc_queue and queue in shared memory that the fork hands on, and Interprocess's
//! message_queue, polled. Each operation crosses into C++ by one call.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The functions are those of `shim/boost.cpp`, with these signatures; a table has functions for messages of its `words`.
//! 2. A queue is as long as its size function says, initialised before the fork, and mapped for good; one party pushes and
//!    one pops (any number of parties of `queue` and `message_queue`).
//! 3. A message is plain words, of exactly as many bytes as the callee is told.

use crate::channel::{Batched, Ends, Rival, crowd_entry, mpmc_trips, payload_entry};
use crate::litter;
use crate::rivals::shared_memory;
use crate::scenario::{Entry, Scenario};
use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use ring_bench::kit::{BatchRx, BatchTx, Fault, PAYLOAD_BYTES, PayloadRx, PayloadTx, Place, Rx, Tx};
use ring_bench::message::message;
use std::ffi::CString;

/// As `Spsc` in the shim.
#[repr(C)]
struct Table {
    words: usize,
    slots: usize,
    size: usize,
    init: unsafe extern "C" fn(*mut c_void),
    push: unsafe extern "C" fn(*mut c_void, *const c_void) -> bool,
    pop: unsafe extern "C" fn(*mut c_void, *mut c_void) -> bool,
    push_many: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> usize,
    pop_many: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> usize,
}

unsafe extern "C" {
    fn peers_boost_version() -> u32;
    fn peers_boost_spsc(words: usize, slots: usize) -> Option<&'static Table>;
    fn peers_boost_mpmc_size() -> usize;
    fn peers_boost_mpmc_init(at: *mut c_void);
    fn peers_boost_mpmc_push(queue: *mut c_void, word: u64) -> bool;
    fn peers_boost_mpmc_pop(queue: *mut c_void, word: *mut u64) -> bool;
    fn peers_boost_mq_new(name: *const c_char, slots: usize, size: usize) -> *mut c_void;
    fn peers_boost_mq_send(queue: *mut c_void, message: *const c_void, size: usize) -> bool;
    fn peers_boost_mq_recv(queue: *mut c_void, message: *mut c_void, size: usize) -> usize;
}

/// For the table of versions.
pub(crate) fn version() -> String {
    // SAFETY: 1.
    let version = unsafe { peers_boost_version() };
    format!("Boost {}.{}.{}", version / 100_000, version / 100 % 1_000, version % 100)
}

/// A queue that C++ made.
#[derive(Clone, Copy)]
struct Queue(*mut c_void);

// SAFETY: 2: the queues are made for parties in several threads and processes.
unsafe impl Send for Queue {}

/// `boost::lockfree::spsc_queue`.
pub(crate) enum Spsc {}

/// Room for a batch of messages, which Boost takes and gives as arrays.
const BATCH: usize = 64;

struct SpscEnd<const W: usize> {
    queue: Queue,
    table: &'static Table,
    batch: Box<[[u64; W]; BATCH]>,
}

impl<const W: usize> Tx<W> for SpscEnd<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { (self.table.push)(self.queue.0, message.as_ptr().cast()) }
    }
}

impl<const W: usize> Rx<W> for SpscEnd<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { (self.table.pop)(self.queue.0, message.as_mut_ptr().cast()) }
    }
}

impl<const W: usize> BatchTx<W> for SpscSender<W> {
    #[inline(always)]
    fn try_send_batch(&mut self, first: u64, count: usize) -> bool {
        let count = count.min(BATCH);
        if self.sent == 0 {
            for (place, number) in self.end.batch[..count].iter_mut().zip(first..) {
                *place = message(number);
            }
        }
        // It takes what it has room for.
        let rest = &self.end.batch[self.sent..count];
        // SAFETY: 1, 2 and 3.
        self.sent += unsafe { (self.end.table.push_many)(self.end.queue.0, rest.as_ptr().cast(), rest.len()) };
        let whole = self.sent == count;
        if whole {
            self.sent = 0;
        }
        whole
    }
}

/// A sender of batches, and how much of the one under way is sent.
struct SpscSender<const W: usize> {
    end: SpscEnd<W>,
    sent: usize,
}

impl<const W: usize> BatchRx<W> for SpscEnd<W> {
    #[inline(always)]
    fn try_recv_batch(
        &mut self,
        max: usize,
        mut each: impl FnMut(&[u64; W]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        // SAFETY: 1, 2 and 3.
        let count = unsafe { (self.table.pop_many)(self.queue.0, self.batch.as_mut_ptr().cast(), max.min(BATCH)) };
        self.batch[..count].iter().try_for_each(&mut each)?;
        Ok(count)
    }
}

fn spsc<const W: usize>(bytes: usize) -> Result<[SpscEnd<W>; 2], String> {
    let slots = bytes / (8 * W);
    // SAFETY: 1.
    let table = unsafe { peers_boost_spsc(W, slots) };
    let table = table.ok_or_else(|| format!("the shim has no spsc_queue of {slots} messages of {W} words"))?;
    let queue = Queue(shared_memory(table.size)?.cast());
    // SAFETY: 1 and 2.
    unsafe { (table.init)(queue.0) };
    debug_assert!(table.words == W && table.slots == slots);
    Ok([(); 2].map(|()| SpscEnd { queue, table, batch: Box::new([[0; W]; BATCH]) }))
}

impl Rival for Spsc {
    const NAME: &'static str = "boost-spsc";
    const PLACE: Place = Place::Processes;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let [tx, rx] = spsc::<W>(bytes)?;
        Ok(Ends::ready(tx, rx))
    }
}

impl Batched for Spsc {
    fn batch_ends<const W: usize>(
        bytes: usize,
    ) -> Result<Ends<impl BatchTx<W> + 'static, impl BatchRx<W> + 'static>, String> {
        let [end, rx] = spsc::<W>(bytes)?;
        Ok(Ends::ready(SpscSender { end, sent: 0 }, rx))
    }
}

/// `boost::lockfree::queue` of 1024 words, fixed in size.
struct Mpmc(Queue);

impl Tx<1> for Mpmc {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; 1]) -> bool {
        // SAFETY: 1 and 2.
        unsafe { peers_boost_mpmc_push(self.0.0, message[0]) }
    }
}

impl Rx<1> for Mpmc {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; 1]) -> bool {
        // SAFETY: 1 and 2.
        unsafe { peers_boost_mpmc_pop(self.0.0, message.as_mut_ptr()) }
    }
}

fn mpmc() -> Result<Queue, String> {
    // SAFETY: 1.
    let size = unsafe { peers_boost_mpmc_size() };
    let queue = Queue(shared_memory(size)?.cast());
    // SAFETY: 1 and 2.
    unsafe { peers_boost_mpmc_init(queue.0) };
    Ok(queue)
}

/// Its candidates.
pub(crate) fn queue() -> Vec<Entry> {
    const NAME: &str = "boost-queue";
    let handles = |parties| mpmc().map(|queue| (0..parties).map(|_| Mpmc(queue)).collect());
    vec![
        mpmc_trips(NAME, Place::Processes, || mpmc().map(|queue| Ends::ready(Mpmc(queue), Mpmc(queue)))),
        crowd_entry(Scenario::Mpmc1p1c, NAME, Place::Processes, 1, handles),
        crowd_entry(Scenario::Mpmc2p2c, NAME, Place::Processes, 2, handles),
    ]
}

/// `boost::interprocess::message_queue`.
pub(crate) enum MessageQueue {}

struct Messages(Queue);
/// The same for payloads, which are copied in and out of a buffer.
struct Payloads(Queue, Vec<u64>);

impl<const W: usize> Tx<W> for Messages {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { peers_boost_mq_send(self.0.0, message.as_ptr().cast(), 8 * W) }
    }
}

impl<const W: usize> Rx<W> for Messages {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { peers_boost_mq_recv(self.0.0, message.as_mut_ptr().cast(), 8 * W) == 8 * W }
    }
}

impl PayloadTx for Payloads {
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        // It has no way to ask for room beforehand, so a payload is made once and kept until it was sent.
        fill(&mut self.1);
        let mut patience = ring_bench::kit::Patience::new();
        loop {
            // SAFETY: 1, 2 and 3.
            if unsafe { peers_boost_mq_send(self.0.0, self.1.as_ptr().cast(), 8 * self.1.len()) } {
                return true;
            }
            if patience.miss().is_err() {
                return false;
            }
        }
    }
}

impl PayloadRx for Payloads {
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
        let size = 8 * self.1.len();
        // SAFETY: 1, 2 and 3.
        if unsafe { peers_boost_mq_recv(self.0.0, self.1.as_mut_ptr().cast(), size) } != size {
            return false;
        }
        each(&self.1);
        true
    }
}

fn message_queue(slots: usize, size: usize) -> Result<Queue, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}mq{}", litter::prefix(), NEXT.fetch_add(1, Relaxed));
    let name: &CStr = &CString::new(name).map_err(|why| why.to_string())?;
    // SAFETY: 1; the name outlives the call.
    let queue = unsafe { peers_boost_mq_new(name.as_ptr(), slots, size) };
    if queue.is_null() {
        Err(format!("no message_queue of {slots} messages of {size} bytes"))
    } else {
        Ok(Queue(queue))
    }
}

impl Rival for MessageQueue {
    const NAME: &'static str = "boost-mq";
    const PLACE: Place = Place::Processes;
    const TRIPS: u64 = 400;
    const THOUSANDS: u64 = 8;
    // Two that meet in its lock sleep a little.
    const SLEEPS: bool = true;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        let queue = message_queue(bytes / (8 * W), 8 * W)?;
        Ok(Ends::ready(Messages(queue), Messages(queue)))
    }
}

/// Its whole payloads.
pub(crate) fn payloads() -> Vec<Entry> {
    let payload = |scenario, bytes: usize, count| {
        payload_entry(scenario, MessageQueue::NAME, bytes, count, move || {
            let queue = message_queue(PAYLOAD_BYTES / bytes, bytes)?;
            let end = || Payloads(queue, vec![0; bytes / 8]);
            Ok(Ends::ready(end(), end()))
        })
    };
    vec![
        payload(Scenario::Payload1k, 1 << 10, 8192),
        payload(Scenario::Payload64k, 64 << 10, 128),
        payload(Scenario::Payload1m, 1 << 20, 16),
    ]
}
