//! SPSC rings under scribbles: both handles, their successors and an operator.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use ring_core::spsc::{ClaimError, Consumer, Format, Producer, ReadError, Ring};
use ring_core::{Kind, Role, SeatError, Verdict, spsc_data_offset};

use crate::arena::{Arena, Arenas};
use crate::clock::Clock;
use crate::input::Input;
use crate::plant::{Plant, is_planted};
use crate::{render, undocumented};

/// The longest record that a shape below has room for, and more.
const BUFFER: usize = 512;

/// A ring with a handle on either side, all of them leftovers of scribbles.
pub struct World<'a> {
    arena: &'a Arena,
    hot: Vec<usize>,
    ring: Ring<'static>,
    tx: Producer<'static>,
    rx: Consumer<'static>,
}

/// The shape of a number.
pub fn shape(kind: u8) -> Format {
    let capacity = [64, 128, 256, 1024][usize::from(kind & 3)];
    let aligned = kind & 4 != 0 && capacity >= 256;
    let every = if kind & 8 != 0 { capacity / 4 } else { 0 };
    let start = if kind & 16 != 0 { u64::MAX } else { 0 };
    Format::new(capacity).line_aligned(aligned).release_every(every).start_at(start)
}

/// The words that mean something: positions, how far in a train, seats with their facts, counter; the first words of the data, wherever it begins.
fn hot(words: usize) -> Vec<usize> {
    let control = [16, 32, 33, 34, 48, 64, 80];
    let facts = (49..54).chain(65..70);
    control.into_iter().chain(511..words.min(512 + 64)).chain(facts).collect()
}

impl<'a> World<'a> {
    /// A fresh ring of a shape that the input chooses, both seats taken.
    pub fn new(arenas: &'a mut Arenas, input: &mut Input<'_>) -> Self {
        let kind = input.byte();
        let format = shape(kind);
        let arena = arenas.take(Kind::Spsc, kind, |lend| Ring::format(lend(format.footprint()), &format).map(drop));
        let ring = Ring::attach(arena.region(arena.len())).expect("a fresh ring");
        let tx = ring.sit_producer(1, |_| Verdict::Alive).expect("a fresh ring");
        let rx = ring.sit_consumer(2, |_| Verdict::Alive).expect("a fresh ring");
        Self { hot: hot(arena.len() / 8), arena, ring, tx, rx }
    }

    /// Runs the input: scribbles, and operations of which half are of the kind that this target is about.
    pub fn run(&mut self, mut input: Input<'_>, about: fn(&mut Self, &mut Input<'_>)) {
        let clock = Clock::start();
        while !input.is_empty() {
            match input.byte() % 16 {
                0..=5 => self.arena.scribble(&mut input, &self.hot),
                6..=11 => about(self, &mut input),
                12 | 13 => self.produce(&mut input),
                14 => self.consume(&mut input),
                _ => self.recover(&mut input),
            }
        }
        clock.stop();
        self.arena.check();
    }

    /// One operation of the producer.
    pub fn produce(&mut self, input: &mut Input<'_>) {
        let _ = produce(&mut self.tx, input);
    }

    /// One operation of the consumer.
    pub fn consume(&mut self, input: &mut Input<'_>) {
        if is_planted(Plant::Stray) {
            let head = self.rx.head().get() as usize % self.rx.capacity() as usize;
            let at = spsc_data_offset(self.ring.line_aligned()) as usize + (head & !7);
            let header = self.arena.word(at / 8).load(Relaxed);
            (0..(header as u32 & 0x7fff_ffff) as usize).for_each(|i| _ = self.arena.believe(at + 8 + i));
        }
        consume(&mut self.rx, input);
    }

    /// Successors, newcomers, an operator.
    pub fn recover(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let role = if what & 8 == 0 { Role::Producer } else { Role::Consumer };
        if what & 16 != 0 {
            // Otherwise the seat stays as a death would leave it.
            self.tx.close();
        }
        if what & 32 != 0 {
            self.rx.close();
        }
        if is_planted(Plant::Hang) {
            let (words, mut at) = (self.ring.capacity() as usize / 8, self.rx.head().get() as usize / 8);
            while self.arena.word(512 + at % words).load(Relaxed) != 0 {
                at += (self.arena.word(512 + at % words).load(Relaxed) as usize & 0x7fff_ffff).div_ceil(8) + 1;
            }
        }
        let lease = if what & 64 == 0 { self.ring.next_lease().unwrap_or(3) } else { input.word() >> 33 };
        let refused = match what & 7 {
            0 | 1 => self.ring.sit_producer(lease, input.oracle()).map(|tx| self.tx = tx).err(),
            2 | 3 => self.ring.sit_consumer(lease, input.oracle()).map(|rx| self.rx = rx).err(),
            4 | 5 => self.ring.recover(role, lease, what & 1 == 0, input.oracle()).err(),
            6 => match Ring::attach(self.arena.region(self.arena.len())) {
                Ok(ring) => {
                    self.ring = ring;
                    None
                }
                Err(error) => {
                    render(&error);
                    None
                }
            },
            _ => {
                let facts = self.ring.facts(role);
                self.ring.set_facts(role, lease, facts);
                let _ = (self.ring.facts_of(role, lease), self.ring.seat(role), self.ring.head_and_tail());
                None
            }
        };
        match refused {
            Some(SeatError::Contended) => undocumented(&refused),
            Some(error) => render(&error),
            None => {}
        }
    }
}

/// One operation of a producer; why it was refused, if it was.
pub fn produce(tx: &mut Producer<'static>, input: &mut Input<'_>) -> Option<ClaimError> {
    let bytes = [0xa5; BUFFER];
    let (len, most) = (input.len().min(BUFFER), tx.max_len());
    let refused = match input.byte() % 8 {
        0 => tx.try_send(7, &bytes[..len]).err(),
        1 => tx.try_send_asking(7, &bytes[..len], input.oracle()).err(),
        2 => match tx.try_claim(len) {
            Ok(mut claim) => {
                assert_eq!(claim.len(), len);
                assert!(claim.write(&bytes[..input.len().min(BUFFER)]) <= len);
                claim.truncate(input.len());
                claim.set_tag(u32::MAX);
                claim.commit();
                None
            }
            Err(error) => Some(error),
        },
        3 => tx.try_claim_asking(len, input.oracle()).map(core::mem::forget).err(),
        how @ 4..=6 => {
            let max = input.len();
            let batch = match how {
                4 => tx.try_claim_batch(max, len),
                5 => tx.try_claim_batch_exact(max, len),
                _ => tx.try_claim_batch_asking(1, max, len, input.oracle()),
            };
            match batch {
                Ok(mut batch) => {
                    assert!(batch.remaining() <= max);
                    let (room, many) = (batch.remaining(), input.len());
                    if how == 4 {
                        let pushed = batch.push_each(9, core::iter::repeat_n(&bytes[..len], many));
                        assert_eq!(pushed.expect("none is too long"), many.min(room));
                    } else {
                        for _ in 0..many.min(room) {
                            batch.push(9, &bytes[..len]).expect("the batch has room");
                        }
                    }
                    batch.commit();
                    None
                }
                // So many, or as much, that no such ring has room for it.
                Err(ClaimError::TooLong { .. }) if max > 1 => None,
                // None was asked for, and no room looked for.
                Err(ClaimError::Full) if max == 0 => None,
                Err(error) => Some(error),
            }
        }
        _ => {
            let _ = (tx.tail(), tx.lease(), tx.consumer_end(input.oracle()));
            assert!(tx.len_guess() <= tx.capacity());
            None
        }
    };
    match &refused {
        Some(ClaimError::TooLong { .. }) if len <= most => undocumented(&refused),
        Some(error) => render(error),
        None => {}
    }
    refused
}

/// One operation of a consumer.
pub fn consume(rx: &mut Consumer<'static>, input: &mut Input<'_>) {
    let mut buf = [0; BUFFER];
    let (room, most) = (input.len().min(BUFFER), rx.max_len());
    let refused = match input.byte() % 8 {
        how @ (0 | 1) => {
            let got = match how {
                0 => rx.try_recv_into(&mut buf[..room]),
                _ => rx.try_recv_into_asking(&mut buf[..room], input.oracle()),
            };
            if let Ok(got) = got {
                assert!(got.len <= room.min(most), "{got:?}");
            }
            got.err()
        }
        how @ 2..=4 => match rx.try_read_asking(input.oracle()) {
            Ok(record) => {
                assert!(record.len() <= most);
                assert_eq!(record.copy_to(&mut buf[..room]), room.min(record.len()));
                match how {
                    2 => record.release(),
                    3 => record.keep(),
                    _ => core::mem::forget(record),
                }
                None
            }
            Err(error) => Some(error),
        },
        how @ (5 | 6) => {
            let (count, places) = (input.len(), rx.capacity() as usize / 8);
            let max = if how == 5 { count } else { usize::MAX };
            match rx.try_read_batch_asking(max, input.oracle()) {
                Ok(mut batch) => {
                    let mut read = 0;
                    let told = if how == 5 {
                        loop {
                            match batch.next_record() {
                                Ok(Some(record)) => assert!(record.copy_to(&mut buf[..room]) <= most),
                                Ok(None) => break Ok(()),
                                Err(error) => break Err(error),
                            }
                            read += 1;
                            assert!(read <= max.min(places), "a batch of more than the ring has room for");
                        }
                    } else {
                        let told = batch.try_for_each(|record| {
                            assert!(record.copy_to(&mut buf[..room]) <= most);
                            read += 1;
                            assert!(read <= places, "a batch of more than the ring has room for");
                            if read == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                        });
                        told.map(drop)
                    };
                    assert_eq!(batch.len(), read);
                    match told {
                        Ok(()) => {}
                        Err(ReadError::Corrupt(c)) => render(&c),
                        Err(error) => undocumented(&error),
                    }
                    batch.release();
                    None
                }
                Err(error) => Some(error),
            }
        }
        _ => {
            rx.flush();
            let _ = (rx.lease(), rx.producer_end(input.oracle()));
            assert!(rx.len_guess() <= rx.capacity());
            None
        }
    };
    match refused {
        Some(ReadError::BufferTooSmall { needed }) if needed <= room || needed > most => undocumented(&refused),
        Some(error) => render(&error),
        None => {}
    }
}
