//! Strict rings under scribbles: what a liar on one side can do to the other. He owns one object, and writes to the common
//! one; both lie behind guard pages, mapped as the kernel would have them mapped: what a side does not own is read-only.
//!
//! An input says on which side the liar is, changes words before the hand-over is examined, and between operations after.

use std::ops::Range;

use ring_core::spsc::{ClaimError, Consumer, Producer, Ring};
use ring_core::{Role, STRICT_BLOCK, STRICT_PAGE, SeatError, SeatState, Verdict};

use crate::clock::Clock;
use crate::input::Input;
use crate::objects::{Objects, Shapes};
use crate::plant::{Plant, is_planted};
use crate::spsc::{consume, produce, shape};
use crate::{render, undocumented};

/// One page, in words.
const PAGE: usize = STRICT_PAGE as usize / 8;
/// Where a page's words begin.
const BLOCK: usize = STRICT_BLOCK as usize / 8;

/// The common words, the consumer's, and the records, which lie behind the producer's own page.
const COMMON: usize = PAGE;
const CONSUMERS: usize = 2 * PAGE;
const RECORDS: usize = 3 * PAGE;

/// Whoever writes where he can.
struct Liar<'a> {
    objects: &'a Objects,
    /// The words that he can write and that mean something.
    hot: Vec<usize>,
    /// All that he can write, as runs of words.
    his: Vec<Range<usize>>,
}

/// Both sides of a ring, one of them a liar.
struct World<'a> {
    liar: Liar<'a>,
    /// Which side tells the truth.
    honest: Role,
    tx: Producer<'static>,
    rx: Consumer<'static>,
}

/// Runs the input.
pub fn run(shapes: &mut Shapes, mut input: Input<'_>) {
    let kind = input.byte();
    let format = shape(kind & 31);
    let honest = if kind & 32 == 0 { Role::Producer } else { Role::Consumer };
    let objects = shapes.take(kind & 31, &format);
    let liar = Liar::facing(honest, objects);
    let clock = Clock::start();
    if let Some(mut world) = World::meet(liar, honest, kind, &mut input) {
        while !input.is_empty() {
            match input.byte() % 8 {
                0..=2 => world.liar.scribble(&mut input),
                3 | 4 => world.produce(&mut input),
                5 | 6 => consume(&mut world.rx, &mut input),
                _ => world.others(&mut input),
            }
        }
    }
    clock.stop();
    objects.check();
}

impl<'a> Liar<'a> {
    /// The one on the other side.
    fn facing(honest: Role, objects: &'a Objects) -> Self {
        let (common, end) = (COMMON..CONSUMERS, objects.words());
        let seats = [0, 1, 5, 6, 16, 17, 21, 22, 32, 48, 49, 50, 64, 80, 96, 97];
        let mut hot = seats.map(|i| COMMON + i).to_vec();
        let his = match honest {
            Role::Producer => {
                hot.extend([0, 1, PAGE - 16, PAGE - 15].map(|i| CONSUMERS + i));
                vec![common, CONSUMERS..RECORDS]
            }
            Role::Consumer => {
                // Its first words are those of an identity line; the records begin behind the block.
                hot.extend((0..17).map(|i| BLOCK + i));
                hot.extend((0..64).map(|i| RECORDS + BLOCK + i));
                vec![common, 0..PAGE, RECORDS..end]
            }
        };
        hot.retain(|word| *word < end);
        Self { objects, hot, his }
    }

    /// Changes a word.
    fn scribble(&self, input: &mut Input<'_>) {
        let (at, other) = (self.pick(input), self.pick(input));
        let now = self.objects.word(at);
        self.objects.set(at, input.change(now, self.objects.word(other)));
    }

    fn pick(&self, input: &mut Input<'_>) -> usize {
        match input.byte() {
            255 => {
                let run = &self.his[usize::from(input.byte()) % self.his.len()];
                run.start + input.short() % run.len()
            }
            i => self.hot[usize::from(i) % self.hot.len()],
        }
    }
}

impl<'a> World<'a> {
    /// The hand-over, with the liar's changes before it is examined; `None` when it is refused.
    fn meet(liar: Liar<'a>, honest: Role, kind: u8, input: &mut Input<'_>) -> Option<Self> {
        let (objects, ring) = (liar.objects, liar.objects.ring());
        let scribbles = usize::from(if kind & 64 == 0 { 0 } else { input.byte() % 16 });
        if honest == Role::Consumer {
            (0..scribbles).for_each(|_| liar.scribble(input));
            if kind & 128 == 0 {
                objects.forge(BLOCK);
            }
        }
        let tx = refused(ring.sit_producer(1, |_| Verdict::Alive))?;
        let theirs = match Ring::attach_strict(objects.consumer()) {
            Ok(ring) => ring,
            Err(error) => {
                render(&error);
                return None;
            }
        };
        let rx = refused(theirs.sit_consumer(2, |_| Verdict::Alive))?;
        assert!(rx.head().get() & 7 == 0, "{} was taken for a position", rx.head().get());
        if honest == Role::Producer {
            (0..scribbles).for_each(|_| liar.scribble(input));
            if let Err(error) = objects.producer().expect_consumer(&ring) {
                render(&error);
                return None;
            }
        }
        Some(Self { liar, honest, tx, rx })
    }

    fn produce(&mut self, input: &mut Input<'_>) {
        if is_planted(Plant::Clamp) && self.honest == Role::Producer {
            // As much room as the consumer's word says, and no less.
            let objects = self.liar.objects;
            let head = objects.word(RECORDS - 16);
            let room = head.wrapping_add(self.tx.capacity()).wrapping_sub(self.tx.tail().get());
            let at = self.tx.tail().get() % self.tx.capacity();
            objects.fill_unclamped(RECORDS * 8 + STRICT_BLOCK as usize + at as usize, room.min(1 << 20) as usize);
        }
        let refused = produce(&mut self.tx, input);
        if refused == Some(ClaimError::Full) && self.honest == Role::Producer {
            // It has just looked: a head that nobody can have come to is not one that is late.
            let head = self.liar.objects.word(RECORDS - 16);
            let used = self.tx.tail().get().wrapping_sub(head);
            assert!(used <= self.tx.capacity() && head & 7 == 0, "{head} was taken for the consumer's head");
        }
    }

    /// Whoever wants what nobody gets: a seat that was taken, and an operator's repair.
    fn others(&self, input: &mut Input<'_>) {
        let ring = self.liar.objects.ring();
        match input.byte() & 3 {
            // A liar may have made the seat free again: then its own side gets it, if it asks twice.
            0 if ring.seat(Role::Producer).is_ok_and(|seat| seat == SeatState::Never) => {}
            0 => never(ring.sit_producer(3, input.oracle()).err()),
            1 => never(ring.sit_consumer(3, input.oracle()).err()),
            2 => never(ring.recover(Role::Consumer, 3, true, input.oracle()).err()),
            _ => {
                let _ = (ring.facts(self.honest), ring.facts_of(self.honest, 1), ring.seat(self.honest));
                let _ = (ring.waiting(Role::Producer), ring.waiting(Role::Consumer), ring.head_and_tail());
            }
        }
    }
}

/// What was refused is no more than that.
fn refused<T>(result: Result<T, SeatError>) -> Option<T> {
    result.map_err(|error| render(&error)).ok()
}

/// A refusal that has to come.
fn never(refusal: Option<SeatError>) {
    match refusal {
        Some(error) => render(&error),
        None => undocumented(&"a seat of a strict ring was taken twice"),
    }
}
