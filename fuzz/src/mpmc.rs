//! MPMC rings under scribbles: two handles of each role, those who join, leave and die, and repairers.

use std::sync::atomic::Ordering::Relaxed;

use ring_core::mpmc::{Blocked, ClaimError, Consumer, Format, Producer, ReadError, Redelivery, Ring};
use ring_core::{Kind, Position, mpmc_data_offset, slot_stride};

use crate::arena::{Arena, Arenas};
use crate::clock::Clock;
use crate::input::Input;
use crate::plant::{Plant, is_planted};
use crate::{render, undocumented};

const BUFFER: usize = 256;
const SLOT: u64 = 24;

/// A ring with its participants, all of them leftovers of scribbles.
pub struct World<'a> {
    arena: &'a Arena,
    hot: Vec<usize>,
    slots: Vec<usize>,
    ring: Ring<'static>,
    tx: Vec<Producer<'static>>,
    rx: Vec<Consumer<'static>>,
    /// What stood in the way last.
    blocked: Blocked,
}

/// The shape of a number, its slots and its participants.
fn shape(kind: u8) -> (Format, u64, u32) {
    let slots = [1, 2, 4, 16][usize::from(kind & 3)];
    let participants = if kind & 128 != 0 { 64 } else { 5 };
    let mut format = Format::new(slots, SLOT).participants(participants);
    if kind & 4 != 0 {
        format = format.producers(1);
    }
    if kind & 8 != 0 {
        format = format.consumers(1);
    }
    format = match kind >> 4 & 3 {
        0 => format.redelivery(Redelivery::AtMostOnce),
        1 => format.redelivery(Redelivery::AtLeastOnce { attempts: 31 }),
        _ => format,
    };
    if kind & 64 != 0 {
        format = format.start_at((1 << 52) - 20);
    }
    (format, slots, participants)
}

impl<'a> World<'a> {
    /// A fresh ring of a shape that the input chooses.
    pub fn new(arenas: &'a mut Arenas, input: &mut Input<'_>) -> Self {
        let kind = input.byte();
        let (format, slots, participants) = shape(kind);
        let arena = arenas.take(Kind::Mpmc, kind, |lend| Ring::format(lend(format.footprint()), &format).map(drop));
        let ring = Ring::attach(arena.region(arena.len())).expect("a fresh ring");
        let (data, stride) = (mpmc_data_offset(participants.into()) as usize / 8, slot_stride(SLOT) as usize / 8);
        let slots: Vec<usize> = (0..slots as usize).map(|slot| data + slot * stride).collect();
        let entries = (0..participants as usize).flat_map(|entry| (0..3).map(move |word| 512 + entry * 16 + word));
        let control = (1..7).map(|line| line * 16);
        let hot = control.chain(slots.iter().flat_map(|at| [*at, *at + 1])).chain(entries).collect();
        let mut world = Self { arena, hot, slots, ring, tx: Vec::new(), rx: Vec::new(), blocked: Blocked::Close };
        world.join(&mut Input(&[0]), true);
        world.join(&mut Input(&[0]), false);
        world.join(&mut Input(&[0]), true);
        world.join(&mut Input(&[0]), false);
        world
    }

    /// Runs the input: scribbles, and operations of which half are of the kind that this target is about.
    pub fn run(&mut self, mut input: Input<'_>, about: fn(&mut Self, &mut Input<'_>)) {
        let clock = Clock::start();
        while !input.is_empty() {
            match input.byte() % 16 {
                0..=5 => self.arena.scribble(&mut input, &self.hot),
                6..=11 => about(self, &mut input),
                12 | 13 => self.push(&mut input),
                14 => self.pop(&mut input),
                _ => self.recover(&mut input),
            }
        }
        clock.stop();
        self.arena.check();
    }

    fn refused(&mut self, error: ClaimError, possible: bool) {
        match error {
            ClaimError::TooLong { .. } if possible => undocumented(&error),
            ClaimError::Busy(Some(blocked)) => self.blocked = blocked,
            _ => {}
        }
        render(&error);
    }

    /// One operation of a producer.
    pub fn push(&mut self, input: &mut Input<'_>) {
        let which = usize::from(input.byte());
        let count = self.tx.len().max(1);
        let Some(tx) = self.tx.get_mut(which % count) else { return self.join(input, true) };
        let (len, bytes) = (input.len().min(BUFFER), [0xa5; BUFFER]);
        let mut possible = len <= tx.ring().max_len();
        let refused = match which >> 3 & 7 {
            0 => tx.try_send(7, &bytes[..len]).err(),
            1 => match tx.try_claim(len) {
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
            2 => tx.try_claim(len).map(|claim| claim.abort()).err(),
            3 => tx.try_claim(len).map(core::mem::forget).err(),
            how @ (4 | 5) => {
                let max = input.len();
                possible &= max <= 1;
                let batch = if how == 4 { tx.try_claim_batch(max, len) } else { tx.try_claim_batch_exact(max, len) };
                match batch {
                    Ok(mut batch) => {
                        assert!(batch.remaining() <= max.max(1));
                        for _ in 0..input.len().min(batch.remaining()) {
                            batch.push(9, &bytes[..len]).expect("the batch has room");
                        }
                        if input.byte() & 1 == 0 {
                            batch.commit();
                        } else {
                            core::mem::forget(batch);
                        }
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            6 => tx.reserve(input.len()).err(),
            _ => {
                let _ = (tx.is_ready(), tx.lease(), tx.index(), tx.repair(self.blocked, input.oracle()));
                None
            }
        };
        if let Some(error) = refused {
            self.refused(error, possible);
        }
    }

    fn not_read(&mut self, error: ReadError, room: usize) {
        match error {
            ReadError::BufferTooSmall { needed } if needed <= room || needed > self.ring.max_len() => {
                undocumented(&error)
            }
            ReadError::Busy(Some(blocked)) => self.blocked = blocked,
            _ => {}
        }
        render(&error);
    }

    /// One operation of a consumer.
    pub fn pop(&mut self, input: &mut Input<'_>) {
        if is_planted(Plant::Panic) {
            let most = self.slots.iter().map(|at| self.arena.word(*at).load(Relaxed) >> 3 & 31).max().unwrap_or(0);
            assert!([0; 31].get(most as usize).is_some(), "planted: attempt {most}");
        }
        let which = usize::from(input.byte());
        let count = self.rx.len().max(1);
        let Some(rx) = self.rx.get_mut(which % count) else { return self.join(input, false) };
        let (room, most, mut buf) = (input.len().min(BUFFER), self.ring.max_len(), [0; BUFFER]);
        let refused = match which >> 3 & 7 {
            0 => {
                let got = rx.try_recv_into(&mut buf[..room]);
                if let Ok(got) = got {
                    assert!(got.len <= room.min(most), "{got:?}");
                }
                got.err()
            }
            how @ 1..=4 => {
                let record = if how == 4 { rx.redeliver(input.oracle(), |_| ()) } else { rx.try_read() };
                match record {
                    Ok(record) => {
                        assert!(record.len() <= most);
                        assert_eq!(record.copy_to(&mut buf[..room]), room.min(record.len()));
                        match how {
                            1 | 4 => record.release(),
                            2 => record.keep(),
                            _ => core::mem::forget(record),
                        }
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            5 => {
                let max = if input.byte() & 1 == 0 { input.len() } else { usize::MAX };
                match rx.try_read_batch(max) {
                    Ok(mut batch) => {
                        loop {
                            match batch.next_record() {
                                Ok(Some(record)) => assert!(record.copy_to(&mut buf[..room]) <= most),
                                Ok(None) => break,
                                Err(ReadError::Corrupt(c)) => {
                                    render(&c);
                                    break;
                                }
                                Err(error) => undocumented(&error),
                            }
                            assert!(batch.len() <= self.slots.len(), "a batch of more than the ring has room for");
                            if input.byte() & 7 == 7 {
                                break;
                            }
                        }
                        if input.byte() & 1 == 0 {
                            batch.release();
                        } else {
                            batch.keep();
                        }
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            6 => rx.fetch(input.len()).err(),
            _ => {
                let _ = (rx.is_ready(), rx.lease(), rx.index(), rx.repair(self.blocked, input.oracle()));
                None
            }
        };
        if let Some(error) = refused {
            self.not_read(error, room);
        }
    }

    fn join(&mut self, input: &mut Input<'_>, produces: bool) {
        let lease = self.ring.next_lease().unwrap_or(3);
        let refused = if produces {
            self.ring.join_producer(lease, input.oracle()).map(|tx| self.tx.push(tx)).err()
        } else {
            self.ring.join_consumer(lease, input.oracle()).map(|rx| self.rx.push(rx)).err()
        };
        if let Some(error) = refused {
            render(&error);
        }
        // Those who are dropped without leaving count as dead, if the oracle says so.
        self.tx.truncate(3);
        self.rx.truncate(3);
    }

    /// Those who come and go, and those who clear up.
    pub fn recover(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let entry = u32::from(what >> 4);
        let corrupt = match what & 15 {
            0 | 1 => {
                self.join(input, what & 1 == 0);
                None
            }
            2 => {
                if let Some(tx) = self.tx.pop() {
                    tx.leave();
                }
                None
            }
            3 => {
                if let Some(rx) = self.rx.pop() {
                    rx.leave();
                }
                None
            }
            4 => {
                self.tx.pop();
                self.rx.pop();
                None
            }
            5 | 6 => self.ring.recover(entry, input.oracle()).err(),
            7..=9 => {
                let p = Position::new(if what & 1 == 0 { u64::from(entry) } else { input.word() });
                let blocked = [Blocked::Write(p), Blocked::Read(p), self.blocked][usize::from(input.byte() % 3)];
                assert!(self.ring.holders(blocked).count() <= 64);
                self.ring.repair(blocked, input.word() >> 33, input.oracle()).err()
            }
            10 => self.ring.close(input.byte().into(), input.oracle()).err(),
            11 => {
                if let Some(tx) = self.tx.first_mut() {
                    tx.close();
                }
                None
            }
            12 | 13 => match Ring::attach(self.arena.region(self.arena.len())) {
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
                let _ = (self.ring.participant(entry), self.ring.facts_of(entry.into()), self.ring.stat());
                assert!(self.ring.len_guess() <= self.ring.capacity());
                None
            }
        };
        if let Some(corrupt) = corrupt {
            render(&corrupt);
        }
    }
}
