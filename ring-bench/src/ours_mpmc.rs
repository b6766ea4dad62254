//! Our MPMC ring between processes: named segments, default options, the safe API that copies.
//!
//! Slots hold eight bytes, so a slot takes half a line, but for round trips of longer messages. The first party creates the
//! ring, the others open it; the name is gone once all of them have it.

use crate::candidate::{Build, Maker, Setup};
use crate::crowd::{self, Role};
use crate::duplex::{Ping, Pong};
use crate::message::{bytes, bytes_mut};
use crate::ours::{failed, fresh_name, maker, unlink};
use crate::seam::{Rx, Tx};
use ring_shm::mpmc::{Consumer, Options, Producer};

pub(crate) struct Sender(pub(crate) Producer);
pub(crate) struct Receiver(pub(crate) Consumer);

impl<const W: usize> Tx<W> for Sender {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        // Whatever else than `Full` or `Busy` it may be, it lasts, and the patience of the caller ends it.
        self.0.try_send(0, bytes(message)).is_ok()
    }
}

impl<const W: usize> Rx<W> for Receiver {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        self.0.try_recv_into(bytes_mut(message)).is_ok_and(|received| received.len == 8 * W)
    }
}

pub(crate) fn options(slots: usize) -> Options {
    Options::new().slots(slots as u64).slot_size(8)
}

/// Round trip of messages of `W` words over two rings of `slots` slots.
pub(crate) fn round_trip<const W: usize>(slots: usize) -> Build {
    Box::new(move |_| {
        let (out, back) = (fresh_name(), fresh_name());
        let published = unlink(vec![out.clone(), back.clone()]);
        let names = (out.clone(), back.clone());
        let options = options(slots).slot_size(8 * W as u64);
        let ping = maker(move || {
            let tx = Producer::create(&names.0, &options).map_err(failed)?;
            let rx = Consumer::create(&names.1, &options).map_err(failed)?;
            Ok(Ping::<W, _, _>::new(Sender(tx), Receiver(rx)))
        });
        let pong = maker(move || {
            let tx = Producer::open(&back).map_err(failed)?;
            let rx = Consumer::open(&out).map_err(failed)?;
            Ok(Pong::<W, _, _>::new(Sender(tx), Receiver(rx)))
        });
        Ok(Setup { parties: vec![ping, pong], published })
    })
}

/// One way: `pairs` producers and as many consumers on two CPUs over a ring of `slots` slots.
pub(crate) fn one_way(slots: usize, pairs: usize) -> Build {
    over(move || options(slots), pairs)
}

/// One way from one to one, over a ring that is made for no more of either.
pub(crate) fn one_way_alone(slots: usize) -> Build {
    over(move || options(slots).max_producers(1).max_consumers(1), 1)
}

fn over(options: impl Fn() -> Options + Clone + Send + 'static, pairs: usize) -> Build {
    Box::new(move |_| {
        let name = fresh_name();
        let published = unlink(vec![name.clone()]);
        let party = |role| -> Maker {
            let (name, options) = (name.clone(), options.clone());
            match role {
                Role::Producer(index) => maker(move || {
                    let tx = Producer::open_or_create(&name, &options()).map_err(failed)?;
                    Ok(crowd::producer(index, pairs, Sender(tx)))
                }),
                Role::Consumer => maker(move || {
                    let rx = Consumer::open_or_create(&name, &options()).map_err(failed)?;
                    Ok(crowd::consumer(pairs, Receiver(rx)))
                }),
            }
        };
        Ok(Setup { parties: crowd::roles(pairs).into_iter().map(party).collect(), published })
    })
}
