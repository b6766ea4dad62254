//! One way with several producers and consumers, more than there are CPUs if need be; messages of one word.
//!
//! A message is its producer's index in the upper 16 bits and that producer's count in the others. In the check each
//! consumer demands that every producer's counts only grow, and the harness compares the sums of all. After 64 failed
//! tries in a row a party gives its CPU away, since the party it waits for may need it.

use crate::candidate::Maker;
use crate::seam::{Fault, Outcome, Part, Patience, Rx, Tx, Work};
use crate::sys;

/// What a party of the crowd does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends its share, as producer number so-and-so.
    Producer(usize),
    /// Receives its share.
    Consumer,
}

/// The roles of `pairs` producers and as many consumers in party order. Party `i` runs on CPU `i % 2`; producer `i`
/// lands on CPU `i % 2` and its consumer on the other, so both kinds are on both CPUs as soon as there are two.
pub fn roles(pairs: usize) -> Vec<Role> {
    (0..pairs)
        .flat_map(
            |i| if i % 2 == 0 { [Role::Producer(i), Role::Consumer] } else { [Role::Consumer, Role::Producer(i)] },
        )
        .collect()
}

/// The part of producer number `index` among `pairs`.
pub fn producer<T: Tx<1> + 'static>(index: usize, pairs: usize, tx: T) -> impl Part + 'static {
    Producer { tx, index, pairs, next: 1 }
}

/// The part of a consumer of what `pairs` producers send.
pub fn consumer<R: Rx<1> + 'static>(pairs: usize, rx: R) -> impl Part + 'static {
    Consumer { rx, pairs, last: vec![0; pairs] }
}

/// Makes the party of `role` out of a handle that can do either.
pub fn maker(role: Role, pairs: usize, handle: impl Tx<1> + Rx<1> + 'static) -> Maker {
    match role {
        Role::Producer(index) => Box::new(move || Ok(Box::new(producer(index, pairs, handle)))),
        Role::Consumer => Box::new(move || Ok(Box::new(consumer(pairs, handle)))),
    }
}

const COUNT_BITS: u32 = 48;

#[derive(Debug)]
struct Producer<T> {
    tx: T,
    index: usize,
    pairs: usize,
    next: u64,
}

#[derive(Debug)]
struct Consumer<R> {
    rx: R,
    pairs: usize,
    last: Vec<u64>,
}

/// Everybody's share of a slice; shares are equal, so a slice is rounded up.
fn share(count: u64, pairs: usize) -> u64 {
    count.div_ceil(pairs as u64)
}

impl<T: Tx<1>> Producer<T> {
    #[inline(always)]
    fn send(&mut self, count: u64, out: &mut Outcome) -> Result<(), Fault> {
        let (mut patience, mut tries) = (Patience::new(), 0);
        for _ in 0..share(count, self.pairs) {
            let word = (self.index as u64) << COUNT_BITS | self.next;
            while !self.tx.try_send(&[word]) {
                patience.miss_crowded(&mut tries)?;
            }
            tries = 0;
            out.sent = out.sent.wrapping_add(word);
            self.next += 1;
        }
        Ok(())
    }
}

impl<T: Tx<1>> Part for Producer<T> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut out = Outcome::default();
        self.send(count, &mut out)?;
        Ok(out)
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        let mut out = Outcome { begin: sys::now(), ..Outcome::default() };
        self.send(work.warm + work.count, &mut out)?;
        out.end = sys::now();
        Ok(out)
    }
}

impl<R: Rx<1>> Consumer<R> {
    #[inline(always)]
    fn recv(&mut self, count: u64, mut each: impl FnMut(&mut [u64], u64)) -> Result<Outcome, Fault> {
        let (mut patience, mut tries) = (Patience::new(), 0);
        let mut out = Outcome { begin: sys::now(), ..Outcome::default() };
        for _ in 0..share(count, self.pairs) {
            let mut word = [0];
            while !self.rx.try_recv(&mut word) {
                patience.miss_crowded(&mut tries)?;
            }
            tries = 0;
            out.received = out.received.wrapping_add(word[0]);
            each(&mut self.last, word[0]);
        }
        out.end = sys::now();
        Ok(out)
    }
}

impl<R: Rx<1>> Part for Consumer<R> {
    fn check(&mut self, count: u64) -> Result<Outcome, Fault> {
        let mut orderly = true;
        let out = self.recv(count, |last, word| {
            let (index, count) = ((word >> COUNT_BITS) as usize, word & ((1 << COUNT_BITS) - 1));
            match last.get_mut(index) {
                Some(last) => {
                    orderly &= count > *last;
                    *last = count;
                }
                None => orderly = false,
            }
        })?;
        if orderly { Ok(out) } else { Err(Fault::Disorder) }
    }

    fn slice(&mut self, work: Work) -> Result<Outcome, Fault> {
        self.recv(work.warm + work.count, |_, _| ())
    }
}
