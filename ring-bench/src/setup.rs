//! Creating and opening a ring of 1 MiB as candidates of the rounds, beside the least that the kernel makes of it: a name,
//! memory that is really there, a mapping, and the first touch.
//!
//! One party works, the other sleeps. A slice's figure is the median of its calls; what goes before and after a call is
//! not in it. Each ring that is checked carries a message before anything is timed.

use crate::arena::{Arena, Words};
use crate::candidate::{Build, Setup};
use crate::message::{bytes, bytes_mut, message};
use crate::ours::{self, failed, fresh_name, maker};
use crate::seam::{Fault, Outcome, Part, Work};
use crate::stats::Quartiles;
use crate::sys;
use core::marker::PhantomData;
use nix::fcntl::{FallocateFlags, fallocate};
use ring_shm::spsc::{Consumer, Producer};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Bytes of the rings that are made.
pub(crate) const BYTES: usize = 1 << 20;
/// Other rings there are, where there are many.
pub(crate) const MANY: usize = 500;

/// A way to make shared memory under a name and to find it there.
pub(crate) trait Kind: Sized + 'static {
    type Created;
    type Opened;
    fn create(name: &str, bytes: usize) -> Result<Self::Created, String>;
    fn open(name: &str, bytes: usize) -> Result<Self::Opened, String>;
    /// Whether what is written into the one is read from the other.
    fn carries(made: &mut Self::Created, found: &mut Self::Opened, words: [u64; 8]) -> bool;
    fn remove(name: &str);
}

/// A ring of ours and its two handles.
pub(crate) struct Ours;

impl Kind for Ours {
    type Created = Producer;
    type Opened = Consumer;

    fn create(name: &str, bytes: usize) -> Result<Producer, String> {
        Producer::create(name, &ours::options(bytes)).map_err(|why| why.to_string())
    }

    fn open(name: &str, _bytes: usize) -> Result<Consumer, String> {
        Consumer::open(name).map_err(|why| why.to_string())
    }

    fn carries(tx: &mut Producer, rx: &mut Consumer, words: [u64; 8]) -> bool {
        let mut found = [0; 8];
        tx.try_send(0, bytes(&words)).is_ok() && rx.try_recv_into(bytes_mut(&mut found)).is_ok() && found == words
    }

    fn remove(name: &str) {
        drop(ring_shm::unlink(name, true));
    }
}

/// Bytes under a name, and nothing that anybody has to know about them.
pub(crate) struct Raw;

impl Raw {
    fn path(name: &str) -> PathBuf {
        // Of the same directory and length as a ring's.
        PathBuf::from(format!("/dev/shm/bare.{name}"))
    }

    fn file(name: &str, new: bool) -> Result<File, String> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(new).mode(0o600);
        options.open(Self::path(name)).map_err(|why| format!("{name}: {why}"))
    }
}

impl Kind for Raw {
    type Created = Words;
    type Opened = Words;

    fn create(name: &str, bytes: usize) -> Result<Words, String> {
        let file = Self::file(name, true)?;
        // As many bytes as a ring has, with its control block.
        let len = ours::options(bytes).footprint() as usize;
        fallocate(&file, FallocateFlags::empty(), 0, len as i64).map_err(|why| format!("fallocate: {why}"))?;
        let words = Words::map(&file, len)?;
        words.set(0, 1);
        Ok(words)
    }

    fn open(name: &str, _bytes: usize) -> Result<Words, String> {
        let file = Self::file(name, false)?;
        let len = file.metadata().map_err(|why| format!("fstat: {why}"))?.len() as usize;
        let words = Words::map(&file, len)?;
        if words.get(0) == 1 { Ok(words) } else { Err("it is not what was made".into()) }
    }

    fn carries(made: &mut Words, found: &mut Words, words: [u64; 8]) -> bool {
        let last = made.len() - 8;
        words.iter().enumerate().for_each(|(i, word)| made.set(last + i, *word));
        core::array::from_fn(|i| found.get(last + i)) == words
    }

    fn remove(name: &str) {
        drop(fs::remove_file(Self::path(name)));
    }
}

/// Takes names away again, whatever happens.
pub(crate) struct Names<K: Kind>(Vec<String>, PhantomData<fn() -> K>);

impl<K: Kind> Names<K> {
    pub(crate) fn new() -> Self {
        Self(Vec::new(), PhantomData)
    }

    /// A name that will be removed.
    pub(crate) fn fresh(&mut self) -> &str {
        self.0.push(fresh_name());
        self.0.last().map_or("", String::as_str)
    }

    /// Makes rings until there are `count`.
    pub(crate) fn fill(&mut self, count: usize) -> Result<(), String> {
        while self.0.len() < count {
            drop(K::create(self.fresh(), 4 << 10)?);
        }
        Ok(())
    }
}

impl<K: Kind> Drop for Names<K> {
    fn drop(&mut self) {
        self.0.iter().for_each(|name| K::remove(name));
    }
}

/// What creating one takes and what opening it takes, in nanoseconds.
pub(crate) fn call<K: Kind>(bytes: usize) -> Result<[u64; 2], String> {
    let mut names = Names::<K>::new();
    let name = names.fresh();
    let begin = sys::now();
    let made = K::create(name, bytes)?;
    let between = sys::now();
    let found = K::open(name, bytes)?;
    let end = sys::now();
    drop((made, found));
    Ok([between - begin, end - between])
}

/// Which of the two calls is meant.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Create,
    Open,
}

struct Caller<K> {
    call: Call,
    others: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Part for Caller<K> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        for number in 0..count {
            let mut names = Names::<K>::new();
            let name = names.fresh();
            let mut made = K::create(name, BYTES).map_err(failed)?;
            let mut found = K::open(name, BYTES).map_err(failed)?;
            if !K::carries(&mut made, &mut found, message(number)) {
                return Err(Fault::Content);
            }
        }
        Ok(Outcome::default())
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut others = Names::<K>::new();
        others.fill(self.others).map_err(failed)?;
        let mut nanos = Vec::new();
        for number in 0..work.warm + work.count {
            let times = call::<K>(BYTES).map_err(failed)?;
            if number >= work.warm {
                nanos.push(times[self.call as usize] as f64);
            }
        }
        // The harness divides by the count.
        let median = Quartiles::of(nanos).map_or(0.0, |quartiles| quartiles.p50);
        let begin = sys::now();
        Ok(Outcome { begin, end: begin + (median * work.count as f64) as u64, ..Outcome::default() })
    }
}

/// The other party, which has nothing to do.
pub(crate) struct Nothing;

impl Part for Nothing {
    fn check(&mut self, _count: u64) -> Result<Outcome, Fault> {
        Ok(Outcome::default())
    }

    fn slice(&mut self, _work: Work) -> Result<Outcome, Fault> {
        Ok(Outcome::default())
    }
}

/// What a call takes, while there are `others` of its kind.
pub(crate) fn cost<K: Kind>(call: Call, others: usize) -> Build {
    Box::new(move |_: &mut Arena| {
        let caller = maker(move || Ok(Caller::<K> { call, others, kind: PhantomData }));
        Ok(Setup { parties: vec![caller, maker(|| Ok(Nothing))], published: None })
    })
}

/// A time that is allowed, to compare with.
struct Allowed(u64);

impl Part for Allowed {
    fn check(&mut self, _count: u64) -> Result<Outcome, Fault> {
        Ok(Outcome::default())
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let begin = sys::now();
        Ok(Outcome { begin, end: begin + self.0 * 1_000 * work.count, ..Outcome::default() })
    }
}

/// So many microseconds, whatever happens.
pub(crate) fn allowed(micros: u64) -> Build {
    Box::new(move |_: &mut Arena| {
        let parties = vec![maker(move || Ok(Allowed(micros))), maker(|| Ok(Nothing))];
        Ok(Setup { parties, published: None })
    })
}
