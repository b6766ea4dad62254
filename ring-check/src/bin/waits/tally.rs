//! How often the sleepers of a campaign have slept so far, and how much rain has come down: in a memfd that its processes
//! have for their standard input. The sleepers know by it when it is enough, so that none idles while another one goes on;
//! the rain keeps step with them, and they wait for it if it cannot.

use std::cell::Cell;
use std::fs::File;
use std::io::stdin;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Failure, SLEEPERS};

/// Bytes of one number.
const WORD: u64 = size_of::<u64>() as u64;

/// A sleeper says how often it has slept after so many more.
const STEP: u64 = 16;

/// Sleeps to each drop of rain.
const SLEEPS_PER_DROP: u64 = 10;

/// Drops that may be missing before sleepers wait for them.
const MISSING: u64 = 64;

/// The number of drops comes after those of the sleepers, and of the one that is not counted.
const DROPS: u64 = SLEEPERS + 1;

/// How often each has slept, and the drops.
#[derive(Debug)]
pub(super) struct Tally(File);

impl Tally {
    pub(super) fn new() -> Result<Self, Failure> {
        let file = File::from(memfd_create(c"ring-waits", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(WORD * (DROPS + 1))?;
        Ok(Self(file))
    }

    /// For a process that [`Share`]s in it.
    pub(super) fn handed(&self) -> Result<Stdio, Failure> {
        Ok(self.0.try_clone()?.into())
    }

    /// One more drop has come down, which makes that many. Whether it was due.
    pub(super) fn drop(&self, drops: u64) -> Result<bool, Failure> {
        self.say(DROPS, drops)?;
        Ok(self.read()?.is_due(0))
    }

    fn read(&self) -> Result<Seen, Failure> {
        let mut words = [[0; WORD as usize]; DROPS as usize + 1];
        self.0.read_exact_at(words.as_flattened_mut(), 0)?;
        let words = words.map(u64::from_ne_bytes);
        Ok(Seen { sleeps: words[..SLEEPERS as usize].iter().sum(), drops: words[DROPS as usize] })
    }

    fn say(&self, place: u64, slept: u64) -> Result<(), Failure> {
        Ok(self.0.write_all_at(&slept.to_ne_bytes(), WORD * place)?)
    }
}

/// What a tally says.
struct Seen {
    /// Those who are counted.
    sleeps: u64,
    drops: u64,
}

impl Seen {
    /// Whether more drops than so many are missing.
    fn is_due(&self, missing: u64) -> bool {
        self.sleeps > (self.drops + missing) * SLEEPS_PER_DROP
    }
}

/// One sleeper's part.
#[derive(Debug)]
pub(super) struct Share {
    tally: Tally,
    place: u64,
    /// How often all are to sleep.
    sleeps: u64,
    /// How often this one has.
    slept: Cell<u64>,
    said: Cell<u64>,
    enough: Cell<bool>,
    dry: Cell<bool>,
}

impl Share {
    /// Of the tally that this process was handed.
    pub(super) fn handed(place: &str, sleeps: &str) -> Result<Self, Failure> {
        let tally = Tally(stdin().as_fd().try_clone_to_owned()?.into());
        let (place, sleeps) = (place.parse()?, sleeps.parse()?);
        let [slept, said] = [Cell::new(0), Cell::new(0)];
        Ok(Self { tally, place, sleeps, slept, said, enough: Cell::new(false), dry: Cell::new(false) })
    }

    /// This one has slept so many times more.
    pub(super) fn add(&self, sleeps: u64) -> Result<(), Failure> {
        let slept = self.slept.get() + sleeps;
        self.slept.set(slept);
        if slept - self.said.get() >= STEP {
            self.said.set(slept);
            self.tally.say(self.place, slept)?;
            self.look()?;
        }
        Ok(())
    }

    fn look(&self) -> Result<(), Failure> {
        let seen = self.tally.read()?;
        // Three quarters of an even share are its own, however slow it is.
        self.enough.set(self.slept.get() >= self.sleeps / SLEEPERS / 4 * 3 && seen.sleeps >= self.sleeps);
        self.dry.set(seen.is_due(MISSING));
        Ok(())
    }

    /// Whether it does not rain enough to go on: then it is to be asked again a little later.
    pub(super) fn is_dry(&self) -> Result<bool, Failure> {
        if self.dry.get() {
            self.look()?;
        }
        Ok(self.dry.get())
    }

    /// Whether all have slept as often as they are to, and this one its part.
    pub(super) fn is_enough(&self) -> bool {
        self.enough.get()
    }
}
