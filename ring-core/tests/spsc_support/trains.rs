//! Trains as the documents have them: where the records of batches come to stand, and the ways to take them.

use core::ops::ControlFlow;
use std::collections::VecDeque;

use ring_core::spsc::{BatchRecord, Consumer, Format, Producer};
use ring_core::{Line, Wake};

use super::{Bench, bytes, recv, send};

/// A record that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) position: u64,
    pub(crate) tag: u32,
    pub(crate) len: usize,
    /// Tells its payload.
    pub(crate) seed: u64,
    /// Where the header before it is; of a train, before the first one of it.
    pub(crate) header: u64,
    /// What is behind it for who marks what was seen.
    pub(crate) end: u64,
}

/// The longest train of a ring.
pub(crate) fn longest(capacity: u64) -> u64 {
    (capacity / 8).min(8192)
}

/// Where the records of one batch come to stand from `at` on, and what is behind them: by the documents, and one thing more, that a
/// train leaves a word before the end of the area.
pub(crate) fn lay_out(at: u64, capacity: u64, records: &[(u32, usize)], seed: u64) -> (Vec<Sent>, u64) {
    let (mut at, mut all) = (at, Vec::<Sent>::new());
    for (n, (tag, len)) in records.iter().copied().enumerate() {
        let (step, seed) = (len.next_multiple_of(8) as u64, seed + n as u64);
        if let Some(last) = all.last_mut() {
            let size = at.wrapping_sub(last.header) + step;
            let fits = size <= longest(capacity) && last.header % capacity + size + 8 <= capacity;
            if (last.tag, last.len) == (tag, len) && len > 0 && fits {
                last.end = at.wrapping_sub(8);
                let sent = Sent { position: last.end, seed, end: at.wrapping_add(step), ..*last };
                at = sent.end;
                all.push(sent);
                continue;
            }
        }
        let to_end = capacity - at % capacity;
        let position = if step + 8 > to_end { at.wrapping_add(to_end) } else { at };
        at = position.wrapping_add(step + 8);
        all.push(Sent { position, tag, len, seed, header: position, end: at });
    }
    (all, at)
}

/// How records are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    One,
    Each,
    With,
}

pub(crate) const PUSHES: [Push; 3] = [Push::One, Push::Each, Push::With];

/// Pushes a batch and says what was sent. Positions are checked where the call tells them, and the tail.
pub(crate) fn push(tx: &mut Producer<'_>, how: Push, records: &[(u32, usize)], seed: u64) -> Vec<Sent> {
    let (capacity, from) = (tx.capacity(), tx.tail().get());
    let most = records.iter().map(|(_, len)| *len).max().unwrap();
    let mut batch = tx.try_claim_batch(records.len(), most).unwrap();
    assert_eq!(batch.remaining(), records.len(), "the caller has seen room");
    let mut positions = vec![];
    let mut groups = records.iter().copied().enumerate().peekable();
    while let Some((n, (tag, len))) = groups.next() {
        let payload = bytes(seed + n as u64, len);
        match how {
            Push::One => positions.push(batch.push(tag, &payload).unwrap().get()),
            #[allow(unsafe_code)]
            Push::With => positions.push(
                // SAFETY: nobody else uses the region.
                unsafe { batch.push_with(tag, len, |slice| slice.copy_from_slice(&payload)) }.unwrap().get(),
            ),
            Push::Each => {
                let mut payloads = vec![payload];
                while let Some((n, (_, len))) = groups.next_if(|(_, (next, _))| *next == tag) {
                    payloads.push(bytes(seed + n as u64, len));
                }
                let count = payloads.len();
                assert_eq!(batch.push_each(tag, payloads), Ok(count));
            }
        }
    }
    assert_eq!(batch.commit(), records.len());
    let (sent, tail) = lay_out(from, capacity, records, seed);
    assert_eq!(tx.tail().get(), tail, "{records:?}");
    if how != Push::Each {
        let expected: Vec<_> = sent.iter().map(|sent| sent.position).collect();
        assert_eq!(positions, expected, "{records:?}");
    }
    sent
}

/// How records are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Recv,
    /// Lent singly.
    Read,
    /// `next_record` as often.
    Singly,
    /// `try_for_each` until it breaks off.
    Break,
    /// `try_for_each`, and no more may come.
    Max,
    /// One singly, some by the plural call, the last one singly again.
    Mixed,
}

pub(crate) const TAKES: [Take; 6] = [Take::Recv, Take::Read, Take::Singly, Take::Break, Take::Max, Take::Mixed];

/// A record as it came.
pub(crate) type Came = (u64, u32, Vec<u8>, bool);

fn came(record: &BatchRecord<'_, '_>) -> Came {
    let mut buf = vec![0; record.len()];
    assert_eq!(record.copy_to(&mut buf), buf.len());
    (record.position().get(), record.tag(), buf, record.redelivered())
}

/// Takes `count` records and releases them; or not: then, but with `recv`, they come again. The first only where they come singly.
pub(crate) fn take(rx: &mut Consumer<'_>, how: Take, count: usize, release: bool) -> Vec<Came> {
    let mut all = vec![];
    if count == 0 {
        return all;
    }
    match how {
        Take::Recv => {
            for _ in 0..count {
                let mut buf = [0; 1024];
                let got = rx.try_recv_into(&mut buf).unwrap();
                all.push((got.position.get(), got.tag, buf[..got.len].to_vec(), got.redelivered));
            }
        }
        Take::Read => {
            for _ in 0..if release { count } else { 1 } {
                let record = rx.try_read().unwrap();
                let mut buf = vec![0; record.len()];
                record.copy_to(&mut buf);
                all.push((record.position().get(), record.tag(), buf, record.redelivered()));
                if release {
                    record.release();
                }
            }
        }
        _ => {
            let mut batch = rx.try_read_batch(if how == Take::Max { count } else { usize::MAX }).unwrap();
            let singly = match how {
                Take::Singly => count,
                Take::Mixed => 1,
                _ => 0,
            };
            for _ in 0..singly {
                all.push(came(&batch.next_record().unwrap().unwrap()));
            }
            let plural = if how == Take::Mixed { count.saturating_sub(1).max(1) } else { count };
            if how == Take::Max {
                let flow = batch.try_for_each(|record| {
                    all.push(came(&record));
                    ControlFlow::<()>::Continue(())
                });
                assert!(flow.unwrap().is_continue());
                assert!(batch.next_record().unwrap().is_none());
            } else if all.len() < plural {
                let flow = batch.try_for_each(|record| {
                    all.push(came(&record));
                    if all.len() == plural { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                assert!(flow.unwrap().is_break());
            }
            while all.len() < count {
                all.push(came(&batch.next_record().unwrap().unwrap()));
            }
            assert_eq!(batch.len(), count);
            if release { assert_eq!(batch.release(), count) } else { batch.keep() }
        }
    }
    all
}

/// That what came is what was sent.
pub(crate) fn check<'s>(came: &[Came], sent: impl IntoIterator<Item = &'s Sent>) {
    for ((position, tag, payload, _), sent) in came.iter().zip(sent) {
        assert_eq!((*position, *tag, payload.len()), (sent.position, sent.tag, sent.len));
        assert_eq!(*payload, bytes(sent.seed, sent.len), "{sent:?}");
    }
}

/// The wake of a process that has to fence.
pub(crate) static HEAVY: Wake = Wake::new(|_| true, false);

/// A ring in use, whose next record is at `start`, a multiple of 8.
pub(crate) fn at<'m>(memory: &'m [Line], format: Format, start: u64) -> (Bench<'m>, Producer<'m>, Consumer<'m>) {
    let b = Bench::new(memory, &format.start_at(start));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    for n in 0..start % 64 / 8 {
        send(&mut tx, n, 0);
        recv(&mut rx, n, 0);
    }
    rx.flush();
    assert_eq!(tx.tail().get(), start);
    (b, tx, rx)
}

/// What is unread, in order, as the tests count it.
pub(crate) type Queue = VecDeque<Sent>;
