//! What the MPMC suites share: rings on the heap, oracles, messages.
#![allow(dead_code, reason = "every suite uses a part of it")]

use std::cell::RefCell;
use std::collections::HashSet;

use ring_core::mpmc::{Consumer, Format, Producer, Redelivery, Ring};
use ring_core::{Line, Position, Region, Verdict};

/// Memory for a ring of `format`, never freed: a test process is short.
pub(crate) fn memory(format: &Format) -> &'static [Line] {
    let lines = usize::try_from(format.footprint().div_ceil(128)).unwrap();
    Vec::leak((0..lines).map(|_| Line::new()).collect())
}

pub(crate) fn ring(format: &Format) -> Ring<'static> {
    Ring::format(Region::new(memory(format)), format).unwrap()
}

/// Four slots of eight bytes for up to eight participants.
pub(crate) fn small() -> Format {
    Format::new(4, 8).participants(8)
}

pub(crate) fn at_most_once() -> Format {
    small().redelivery(Redelivery::AtMostOnce)
}

pub(crate) fn alive(_: u64) -> Verdict {
    Verdict::Alive
}

/// An oracle that knows whom the test has killed.
#[derive(Default)]
pub(crate) struct Deaths(RefCell<HashSet<u64>>);

impl Deaths {
    pub(crate) fn kill(&self, lease: u64) {
        self.0.borrow_mut().insert(lease);
    }

    pub(crate) fn verdict(&self) -> impl FnMut(u64) -> Verdict + '_ {
        |lease| if self.0.borrow().contains(&lease) { Verdict::Dead } else { Verdict::Alive }
    }
}

pub(crate) fn producer(ring: &Ring<'static>) -> Producer<'static> {
    ring.join_producer(ring.next_lease().unwrap(), alive).unwrap()
}

pub(crate) fn consumer(ring: &Ring<'static>) -> Consumer<'static> {
    ring.join_consumer(ring.next_lease().unwrap(), alive).unwrap()
}

/// Sends the number `n` with itself as the tag.
pub(crate) fn send(tx: &mut Producer<'_>, n: u64) -> Result<u64, ring_core::mpmc::ClaimError> {
    tx.try_send(n as u32, &n.to_le_bytes()).map(|p| p.get())
}

/// Receives a number, which must be its tag.
pub(crate) fn recv(rx: &mut Consumer<'_>) -> Result<u64, ring_core::mpmc::ReadError> {
    let mut buf = [0; 8];
    let got = rx.try_recv_into(&mut buf)?;
    assert_eq!(got.len, 8);
    let n = u64::from_le_bytes(buf);
    assert_eq!(got.tag, n as u32);
    Ok(n)
}

pub(crate) fn at(p: u64) -> Position {
    Position::new(p)
}

/// Head and tail.
pub(crate) fn positions(ring: &Ring<'_>) -> (u64, u64) {
    let stat = ring.stat().unwrap();
    (stat.head.get(), stat.tail.get())
}
