//! The graph of an execution so far, as a hash, and the graphs that have been met.
//!
//! Each thread, each word and the fences have a chain of their own, extended by what happens there; the state is the sum of
//! the chains, each one mixed with its name, so that it does not tell in which order independent things happened.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::vec::Vec;

use loom::sync::Mutex;
use loom::thread::ThreadId;

use super::Mode;
use crate::sync::Ordering;

const THREADS: usize = loom::MAX_THREADS;

/// Marks the number of a word that is shared in any case.
pub(super) const SHARED: usize = 1 << 30;

/// What a thread is about to do, in the eyes of who counts preemptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It cannot go on, or does not want to: if another one runs, that is no preemption.
    Waits,
    /// An access, or its end.
    Access,
}

/// What happened to a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) word: usize,
    pub(super) kind: Kind,
    pub(super) ordering: Ordering,
    /// Which store was read.
    pub(super) read: Option<u64>,
    /// What was stored.
    pub(super) stored: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Load = 1,
    Store,
    Swap,
    Refused,
    Lock,
    Fence,
    Unparked,
    Yielded,
}

#[derive(Clone, Copy, Default)]
struct Thread {
    chain: u128,
    stores: u64,
    ended: bool,
    next: Option<Next>,
    round: Round,
}

/// What a thread has done since it last yielded.
#[derive(Clone, Copy, Default)]
struct Round {
    /// Its chain then.
    from: u128,
    reads: u128,
    /// Whether it did anything but read.
    acts: bool,
    /// The reads of the round before, if there was nothing else in it.
    before: Option<u128>,
}

/// Which threads have touched a word and stored to it while threads ran, in any execution.
#[derive(Clone, Copy, Default)]
struct Use {
    touched: u8,
    stored: u8,
    /// Whether the word is taken for shared in this pass.
    shared: bool,
    /// And in the next one.
    will_be: bool,
}

pub(super) struct Graph {
    mode: Mode,
    bounded: bool,
    // Of the execution.
    ids: Vec<(ThreadId, usize)>,
    threads: [Thread; THREADS],
    words: Vec<u128>,
    fences: u128,
    state: u128,
    marker: Option<Rc<Mutex<()>>>,
    running: usize,
    preemptions: u8,
    steps: Vec<u128>,
    /// Whether it has parted from the one before.
    parted: bool,
    looked_up: Option<(u128, usize)>,
    skips: bool,
    // Of the exploration.
    steps_before: Vec<u128>,
    /// The fewest preemptions that were used up in this state, by which thread was running.
    met: HashMap<u128, [u8; THREADS]>,
    complete: HashSet<u128>,
    learned: bool,
    // Of the model.
    uses: Vec<Use>,
}

impl Default for Graph {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            bounded: false,
            ids: Vec::new(),
            threads: Default::default(),
            words: Vec::new(),
            fences: 0,
            state: 0,
            marker: None,
            running: 0,
            preemptions: 0,
            steps: Vec::new(),
            parted: true,
            looked_up: None,
            skips: false,
            steps_before: Vec::new(),
            met: HashMap::new(),
            complete: HashSet::new(),
            learned: false,
            uses: Vec::new(),
        }
    }
}

fn mix(h: u128, x: u128) -> u128 {
    // Any odd number whose bits look random.
    const K: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
    let h = (h ^ x ^ (x << 71)).wrapping_mul(K);
    let h = (h ^ (h >> 67)).wrapping_mul(K);
    h ^ (h >> 61)
}

/// Extends a chain by `x`, and the state by the difference.
fn extend(state: &mut u128, name: (u64, usize), chain: &mut u128, x: u128) {
    let new = mix(chain.wrapping_add(1), x);
    replace(state, name, chain, new);
}

fn replace(state: &mut u128, (kind, number): (u64, usize), chain: &mut u128, new: u128) {
    let name = u128::from(kind) << 64 | number as u128;
    let part = |chain| if chain == 0 { 0 } else { mix(name, chain) };
    *state = state.wrapping_sub(part(*chain)).wrapping_add(part(new));
    *chain = new;
}

const THREAD: u64 = 1;
const WORD: u64 = 2;
const FENCES: u64 = 3;

impl Graph {
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn explore(&mut self, mode: Mode, bounded: bool) {
        let mut uses = std::mem::take(&mut self.uses);
        uses.iter_mut().for_each(|word| word.shared = word.will_be);
        *self = Self { mode, bounded, uses, ..Self::default() };
    }

    pub(super) fn has_learned(&self) -> bool {
        self.learned
    }

    pub(super) fn take_complete(&mut self) -> HashSet<u128> {
        std::mem::take(&mut self.complete)
    }

    pub(super) fn begin(&mut self, main: ThreadId, marker: Rc<Mutex<()>>) {
        self.ids.clear();
        self.ids.push((main, 0));
        self.threads = Default::default();
        self.words.clear();
        (self.fences, self.state) = (0, 0);
        self.marker = Some(marker);
        (self.running, self.preemptions) = (0, 0);
        self.steps_before = std::mem::take(&mut self.steps);
        self.parted = self.steps_before.is_empty();
        self.looked_up = None;
        self.skips = false;
    }

    pub(super) fn complete(&mut self) {
        if self.mode != Mode::Off && !self.skips {
            self.complete.insert(self.state);
        }
        self.marker = None;
    }

    /// What makes the running thread's accesses dependent on others'. The main thread runs before and after all others.
    pub(super) fn marker(&self) -> Option<Rc<Mutex<()>>> {
        self.marker.clone().filter(|_| self.mode == Mode::Once && self.me() > 0)
    }

    pub(super) fn starts(&mut self, id: ThreadId, number: usize) {
        self.ids.push((id, number));
        self.runs();
    }

    pub(super) fn ended(&mut self, number: usize) {
        self.threads[number].ended = true;
    }

    fn number(&self, id: ThreadId) -> usize {
        self.ids.iter().find(|(known, _)| *known == id).expect("a thread of the model").1
    }

    fn me(&self) -> usize {
        self.number(loom::thread::current().id())
    }

    /// A word is made.
    pub(super) fn word(&mut self) -> usize {
        let word = self.words.len();
        self.words.push(0);
        if self.uses.len() <= word {
            self.uses.push(Use::default());
        }
        // If made by a thread, which one this is depends on who was first.
        if self.me() > 0 { word | SHARED } else { word }
    }

    fn is_shared(&self, word: usize) -> bool {
        word & SHARED != 0 || self.uses[word].shared
    }

    pub(super) fn is_place_for_others(&self, word: usize) -> bool {
        self.mode != Mode::Once || self.is_shared(word) || self.me() == 0
    }

    /// The identity of the store that the running thread makes next.
    pub(super) fn next_store(&self) -> u64 {
        let me = self.me();
        (me as u64) << 32 | (self.threads[me].stores + 1)
    }

    /// Notes who is running, and whether he has preempted who was.
    pub(super) fn runs(&mut self) -> usize {
        let me = self.me();
        let was = self.threads[self.running];
        self.preemptions += u8::from(me != self.running && was.next == Some(Next::Access) && !was.ended);
        self.running = me;
        self.threads[me].next = None;
        me
    }

    fn step(&mut self, me: usize, x: u128) {
        let step = mix(x, me as u128);
        self.parted |= self.steps_before.get(self.steps.len()) != Some(&step);
        self.steps.push(step);
    }

    /// The running thread does something.
    fn does(&mut self, kind: Kind, parts: [u128; 4]) -> usize {
        let me = self.runs();
        let x = parts.into_iter().fold(kind as u128, mix);
        let thread = &mut self.threads[me];
        extend(&mut self.state, (THREAD, me), &mut thread.chain, x);
        thread.round.reads = mix(thread.round.reads, x);
        self.step(me, x);
        me
    }

    /// Notes an access; what has to be touched with it.
    pub(super) fn access(&mut self, access: &Access) -> Option<Rc<Mutex<()>>> {
        let part = |x: Option<u64>| x.map_or(u128::MAX, u128::from);
        let parts = [access.word as u128, access.ordering as u128, part(access.read), part(access.stored)];
        let me = self.does(access.kind, parts);
        let number = access.word & !SHARED;
        if access.stored.is_some() {
            let thread = &mut self.threads[me];
            thread.stores += 1;
            thread.round.acts = true;
            let store = u128::from((me as u64) << 32 | thread.stores);
            extend(&mut self.state, (WORD, number), &mut self.words[number], store);
        }
        if me > 0 {
            let word = &mut self.uses[number];
            word.touched |= 1 << me;
            word.stored |= u8::from(access.stored.is_some()) << me;
            if !word.will_be && word.stored != 0 && word.touched.count_ones() > 1 {
                word.will_be = true;
                self.learned |= access.word & SHARED == 0;
            }
        }
        self.marker().filter(|_| self.is_shared(access.word))
    }

    pub(super) fn fence(&mut self, ordering: Ordering) {
        let me = self.does(Kind::Fence, [ordering as u128, 0, 0, 0]);
        if ordering == Ordering::SeqCst {
            self.threads[me].round.acts = true;
            extend(&mut self.state, (FENCES, 0), &mut self.fences, self.threads[me].chain);
        }
    }

    /// The running thread unparks another one, which has seen all that it has seen from now on.
    pub(super) fn unparks(&mut self, id: ThreadId) {
        let (me, other) = (self.runs(), self.number(id));
        let x = mix(Kind::Unparked as u128, self.threads[me].chain);
        let thread = &mut self.threads[other];
        thread.round.acts = true;
        extend(&mut self.state, (THREAD, other), &mut thread.chain, x);
    }

    /// The running thread yields: after a round like the one before it is where it was then.
    pub(super) fn yields(&mut self) {
        let me = self.runs();
        let Thread { chain, round, .. } = &mut self.threads[me];
        let reads = (!round.acts).then_some(round.reads);
        if reads.is_some() && reads == round.before {
            replace(&mut self.state, (THREAD, me), chain, round.from);
        } else {
            extend(&mut self.state, (THREAD, me), chain, Kind::Yielded as u128);
        }
        *round = Round { from: *chain, before: reads, ..Round::default() };
        self.step(me, Kind::Yielded as u128);
    }

    /// The running thread stands before `next`; whether nothing of what follows need be explored.
    pub(super) fn decide(&mut self, next: Next, yields: bool) -> bool {
        let me = self.runs();
        self.threads[me].next = Some(next);
        if self.mode != Mode::Once || self.skips {
            return false;
        }
        // Who has yielded cannot go on at once, and who has read the same before the others went on can.
        let state = if yields { mix(self.state, me as u128) } else { self.state };
        self.skips = self.learned || self.is_known(me, state);
        self.skips
    }

    fn is_known(&mut self, me: usize, state: u128) -> bool {
        // A thread that has only just begun changes nothing: this is where the execution was.
        let here = Some((state, self.steps.len()));
        let stands = std::mem::replace(&mut self.looked_up, here) == here;
        if stands || !self.parted {
            return false;
        }
        let fewest = self.met.entry(state).or_insert([u8::MAX; THREADS]);
        let known = |(thread, fewest): (usize, &u8)| match self.bounded {
            false => *fewest < u8::MAX,
            true if thread == me => *fewest <= self.preemptions,
            true => *fewest < self.preemptions,
        };
        if fewest.iter().enumerate().any(known) {
            return true;
        }
        fewest[me] = self.preemptions;
        false
    }
}
