//! What stands in for raw bytes under `cfg(loom)`, and the hooks of [`ord!`](crate::sync).
//!
//! A loom atomic is not an integer and cannot be cast from bytes, so a [`Model`] holds a loom atomic for each 8-byte
//! word of a ring. Data words have a tracked cell beside it: whoever stores a header or a payload word opens the cell
//! for writing, whoever reads payload opens it for reading, and loom fails the model when two such accesses are not
//! ordered. The *values* live in the atomics, so that payload bytes that forge a header are seen as one.
//!
//! A crash is an unwinding before the k-th atomic access of a thread: see [`crash_at`].

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::vec::Vec;

use loom::sync::atomic::AtomicBool;
use loom::thread::ThreadId;

use crate::layout::{CONTROL_SIZE, MpmcControl, ParticipantLine, SpscControl};
use crate::position::Position;
use crate::sync::{Ordering, Word, ord};

pub mod once;
mod readers;
mod slots;
mod stretch;
mod tickets;
mod words;

pub use readers::{WatchedU64, begin};
pub(crate) use slots::{Ahead, Passed, Slot, Slots, Walk};
pub(crate) use stretch::{Alike, Behind, Members, Stretch, Taken};
pub(crate) use tickets::{Ticket, ticket_is_void};
pub(crate) use words::ModelU64;
pub use words::show_all;
use words::{Tracked, alone, set_alone};

/// The words of one ring, as loom sees them.
pub struct Model {
    control: Vec<Option<Word>>,
    data_offset: usize,
    data: Vec<(Word, Tracked)>,
    /// The tracked cells of MPMC claims; see `model/slots.rs`.
    claims: Vec<Tracked>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("data_words", &self.data.len()).finish_non_exhaustive()
    }
}

impl Model {
    /// Runs `body` with a fresh region whose data area of `data` bytes starts at `data_offset`. Only the control
    /// words whose offsets `used` accepts exist. `body` must join every thread it starts.
    pub fn run(data_offset: u64, data: u64, used: impl Fn(usize) -> bool, body: impl FnOnce(Region<'static>)) {
        readers::begin();
        tickets::begin();
        let shown = set_alone(true);
        let data_offset = usize::try_from(data_offset).unwrap_or(usize::MAX);
        let word = |offset: usize| (offset % 8 == 0 && used(offset)).then(Word::kept);
        let model = Self {
            control: (0..data_offset / 8).map(|i| word(i * 8)).collect(),
            data_offset,
            data: (0..data / 8).map(|_| (Word::kept(), Tracked::default())).collect(),
            claims: if data_offset > CONTROL_SIZE as usize { slots::claim_cells() } else { Vec::new() },
        };
        if shown {
            model.share();
        }
        let model: *mut Self = Box::into_raw(Box::new(model));
        // SAFETY: freed below, after `body` has joined its threads. A model that fails unwinds past and leaks it.
        #[allow(unsafe_code)]
        body(Region { model: unsafe { &*model } });
        once::complete();
        // SAFETY: made by Box::into_raw above; no user is left.
        #[allow(unsafe_code)]
        drop(unsafe { Box::from_raw(model) });
    }

    /// Shows all of it to loom: threads are about to start.
    fn share(&self) {
        self.control.iter().flatten().for_each(Word::share);
        for (word, cell) in &self.data {
            word.share();
            cell.share();
        }
        self.claims.iter().for_each(Tracked::share);
    }

    /// The control words an SPSC ring has.
    #[must_use]
    pub fn spsc_words(offset: usize) -> bool {
        offset < size_of::<SpscControl>() && offset % 128 < 48 || offset < 128
    }

    /// The control words an MPMC ring with a table of `participants` entries has. Facts and events are left out.
    #[must_use]
    pub fn mpmc_words(participants: usize) -> impl Fn(usize) -> bool {
        move |offset| {
            let table = CONTROL_SIZE as usize..CONTROL_SIZE as usize + participants * size_of::<ParticipantLine>();
            let control =
                offset < size_of::<MpmcControl>() && (offset % 128 == 0 || offset / 128 == 6 && offset % 128 < 24);
            offset < 128 || control || table.contains(&offset) && (offset % 128 < 24 || offset % 128 == 64)
        }
    }
}

/// The loom twin of the region of raw bytes.
#[derive(Clone, Copy, Debug)]
pub struct Region<'m> {
    model: &'m Model,
}

impl<'m> Region<'m> {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.model.data_offset + self.model.data.len() * 8
    }

    /// Whether there is not a single byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `f`, which starts threads and joins them. The words are loom's in the meantime, and the main thread's own
    /// before and after.
    pub fn together<R>(&self, f: impl FnOnce() -> R) -> R {
        self.model.share();
        // A preemption is counted from the second step on, and to let the first thread wait at the start is none.
        AtomicBool::new(false).load(Ordering::Relaxed);
        set_alone(false);
        let result = f();
        set_alone(true);
        result
    }

    pub(crate) fn word(&self, offset: usize) -> Option<&'m Word> {
        if offset % 8 != 0 {
            return None;
        }
        match offset.checked_sub(self.model.data_offset) {
            None => self.model.control.get(offset / 8)?.as_ref(),
            Some(data) => self.model.data.get(data / 8).map(|(word, _)| word),
        }
    }

    pub(crate) fn control(&self) -> Option<Control<'m>> {
        Some(Control { region: *self })
    }

    pub(crate) fn area(&self, offset: u64, capacity: u64) -> Option<Area<'m>> {
        let start = usize::try_from(offset).ok()?;
        let capacity = usize::try_from(capacity).ok()?;
        let ok = start + capacity <= self.len() && start >= self.model.data_offset && capacity.is_power_of_two();
        ok.then(|| Area { region: *self, start, mask: capacity - 1 })
    }
}

/// The loom twin of the control block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control<'m> {
    region: Region<'m>,
}

impl<'m> Control<'m> {
    pub(crate) fn word<const OFFSET: usize>(&self) -> &'m Word {
        self.region.word(OFFSET).expect("a control word that the model has")
    }

    pub(crate) fn region(&self) -> Region<'m> {
        self.region
    }
}

/// The loom twin of the data area.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area<'m> {
    region: Region<'m>,
    start: usize,
    mask: usize,
}

impl<'m> Area<'m> {
    fn index(&self, position: Position) -> usize {
        (self.start - self.region.model.data_offset + (position.get() as usize & self.mask)) / 8
    }

    pub(crate) fn word_before<const OFFSET: usize>(&self) -> &'m Word {
        self.region.word(self.start - CONTROL_SIZE as usize + OFFSET).expect("a control word that the model has")
    }

    pub(crate) fn load_header(&self, position: Position, ordering: Ordering) -> u64 {
        self.region.model.data[self.index(position)].0.load(ordering)
    }

    /// A header store needs the space to be the producer's as much as a payload store does.
    pub(crate) fn store_header(&self, position: Position, word: u64, ordering: Ordering) {
        let (atomic, cell) = &self.region.model.data[self.index(position)];
        cell.write();
        atomic.store(word, ordering);
    }

    pub(crate) fn span(&self, position: Position, len: u64) -> Option<Span<'m>> {
        let first = self.index(position);
        let room = self.mask + 1 - (position.get() as usize & self.mask & !7);
        let len = usize::try_from(len).ok()?;
        (len <= room).then(|| Span { model: self.region.model, first, len })
    }

    pub(crate) fn prefetch_read(&self, _from: Position, _to: Position) {}

    pub(crate) fn prefetch_read_at(&self, _position: Position) {}

    pub(crate) fn prefetch_write(&self, _from: Position, _to: Position) {}
}

/// The loom twin of a payload span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'m> {
    model: &'m Model,
    first: usize,
    len: usize,
}

impl Span<'_> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn store(&self, i: usize, word: u64, ordering: Ordering) {
        let (atomic, cell) = &self.model.data[self.first + i];
        cell.write();
        atomic.store(word, ordering);
    }

    fn load(&self, i: usize, ordering: Ordering) -> u64 {
        let (atomic, cell) = &self.model.data[self.first + i];
        cell.read();
        atomic.load(ordering)
    }

    pub(crate) fn copy_in(&self, bytes: &[u8]) {
        let len = bytes.len().min(self.len);
        for (i, chunk) in bytes[..len].chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.store(i, u64::from_le_bytes(word), ord!(D1, Relaxed));
        }
    }

    pub(crate) fn fill(&self, buf: &mut [u8]) -> bool {
        buf.len() == self.len && self.copy_out(buf) == self.len
    }

    pub(crate) fn copy_out(&self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.len);
        for (i, chunk) in buf[..len].chunks_mut(8).enumerate() {
            let word = self.load(i, ord!(D3, Relaxed)).to_le_bytes();
            let n = chunk.len();
            chunk.copy_from_slice(&word[..n]);
        }
        len
    }

    pub(crate) fn copy_in_at(&self, at: usize, bytes: &[u8]) {
        for (to, byte) in (at..self.len).zip(bytes) {
            let mut word = self.load(to / 8, ord!(D5, Relaxed)).to_le_bytes();
            word[to % 8] = *byte;
            self.store(to / 8, u64::from_le_bytes(word), ord!(D6, Relaxed));
        }
    }
}

std::thread_local! {
    // loom runs the threads of a model as coroutines on one OS thread, so these are per model run.
    static PLANTED: RefCell<Option<String>> = const { RefCell::new(None) };
    static REACHED: Cell<bool> = const { Cell::new(false) };
    static VICTIMS: RefCell<Vec<(ThreadId, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Weakens one row by a notch from now on, in models run by this OS thread: `"S3"` makes an `Acquire` or `Release`
/// access `Relaxed`, leaves such a fence out, and makes a `SeqCst` fence `AcqRel`; `"T2.acquire"` and `"T2.release"`
/// take one half from an `AcqRel`.
pub fn plant(row: Option<&str>) {
    PLANTED.with(|p| *p.borrow_mut() = row.map(String::from));
    REACHED.set(false);
}

/// Whether the row planted last has weakened anything since.
#[must_use]
pub fn plant_reached() -> bool {
    REACHED.get()
}

/// What is left of the ordering of row `id`.
fn planted(id: &str, ordering: Ordering) -> Ordering {
    let weaker = PLANTED.with(|p| match (p.borrow().as_deref()?.strip_prefix(id)?, ordering) {
        ("", Ordering::Acquire | Ordering::Release) => Some(Ordering::Relaxed),
        ("", Ordering::SeqCst) => Some(Ordering::AcqRel),
        (".acquire", Ordering::AcqRel) => Some(Ordering::Release),
        (".release", Ordering::AcqRel) => Some(Ordering::Acquire),
        _ => None,
    });
    REACHED.set(REACHED.get() || weaker.is_some());
    weaker.unwrap_or(ordering)
}

/// The ordering of row `id`, weakened if planted; the running thread dies here if its time has come.
pub(crate) fn access(id: &str, ordering: Ordering) -> Ordering {
    crash_point();
    planted(id, ordering)
}

/// The fence of row `id`, weakened if planted.
pub(crate) fn fence(id: &str, ordering: Ordering) {
    crash_point();
    match planted(id, ordering) {
        Ordering::Relaxed => {}
        // It has nobody to order with.
        _ if alone() => {}
        ordering => once::fence(ordering),
    }
}

/// The payload of the unwinding that stands for SIGKILL.
struct Crash;

/// Runs `op` and kills the running thread just before its `step`-th atomic access (0 is the first): `None` when it
/// died, its result when it finished before. Destructors along the way must do nothing: see [`crashing`].
pub fn crash_at<R>(step: u32, op: impl FnOnce() -> R) -> Option<R> {
    let me = loom::thread::current().id();
    VICTIMS.with(|v| v.borrow_mut().push((me, step)));
    let result = catch_unwind(AssertUnwindSafe(op));
    VICTIMS.with(|v| v.borrow_mut().retain(|(id, _)| *id != me));
    match result {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Crash>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// Whether this thread is unwinding, which in a model means that it has been killed.
#[must_use]
pub fn crashing() -> bool {
    std::thread::panicking()
}

fn crash_point() {
    let dies = VICTIMS.with(|v| {
        let mut victims = v.borrow_mut();
        if victims.is_empty() {
            return false;
        }
        let me = loom::thread::current().id();
        victims.iter_mut().find(|(id, _)| *id == me).is_some_and(|(_, steps)| match steps.checked_sub(1) {
            Some(left) => {
                *steps = left;
                false
            }
            None => true,
        })
    });
    if dies && !std::thread::panicking() {
        resume_unwind(Box::new(Crash));
    }
}
