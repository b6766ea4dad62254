//! Peers that open, send and are killed, one after the other, and a survivor that recovers, takes what they sent, and
//! opens and closes handles itself: what it has, and what there is in the directory, is the same after ten thousand of
//! them as after the second.

use nix::sys::signal::{Signal, raise};
use ring_shm::{mpmc, spsc};

use crate::Failure;
use crate::backing;
use crate::play::leak_mapping;
use crate::state::{self, Holdings, difference};
use crate::victim;

/// The two rings.
const RINGS: [&str; 2] = ["cycles-spsc", "cycles-mpmc"];

/// What is wrong with the survivor, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// It never closes a descriptor of the last handle.
    Descriptor,
    /// It never unmaps something.
    Mapping,
    /// It never leaves its place in the table.
    Entry,
}

impl Plant {
    pub(crate) const ALL: [Self; 3] = [Self::Descriptor, Self::Mapping, Self::Entry];
}

/// Goes through `cycles` deaths.
pub(crate) fn run(cycles: u64, plant: Plant) -> Result<(), Failure> {
    backing::sweep()?;
    let options = mpmc::Options::new().slots(8).slot_size(48).max_participants(4);
    let mut rx = spsc::Consumer::create(RINGS[0], &spsc::Options::new().capacity(4096))?;
    let mut all = mpmc::Consumer::create(RINGS[1], &options)?;
    let mut first = None;
    for cycle in 0..cycles {
        let fail = |what: String| -> Failure { format!("cycle {cycle}: {what}").into() };
        let word = cycle.to_le_bytes();
        victim::in_child_that_dies(|| {
            let mut tx = spsc::Producer::open(RINGS[0])?;
            let mut one = mpmc::Producer::open(RINGS[1])?;
            tx.try_send(1, &word)?;
            one.try_send(1, &word)?;
            raise(Signal::SIGKILL)?;
            Ok(())
        })?;
        spsc::recover(RINGS[0], None)?;
        mpmc::recover(RINGS[1], None)?;
        let mut buf = [0; 64];
        let got = rx.try_recv_into(&mut buf)?;
        if buf[..got.len] != word {
            return Err(fail("the SPSC ring lost a record".into()));
        }
        match rx.recv_into(&mut buf) {
            Err(spsc::RecvError::PeerDied) => {}
            other => return Err(fail(format!("the SPSC ring ends a dead one's session with {other:?}"))),
        }
        let got = all.try_recv_into(&mut buf)?;
        if buf[..got.len] != word {
            return Err(fail("the MPMC ring lost a message".into()));
        }
        let another = mpmc::Consumer::open(RINGS[1])?;
        match plant {
            Plant::Entry => std::mem::forget(another),
            Plant::Descriptor => std::mem::forget(std::fs::File::open("/dev/null")?),
            Plant::Mapping => leak_mapping(),
            _ => {}
        }
        let now = (Holdings::of("self")?, state::directory()?);
        let Some((holdings, names)) = &first else {
            // The first cycle may do things once.
            first = (cycle > 0).then_some(now);
            continue;
        };
        let difference = difference(&holdings.descriptors, &now.0.descriptors)
            + &difference(&holdings.maps, &now.0.maps)
            + &difference(names, &now.1);
        if !difference.is_empty() {
            return Err(fail(difference));
        }
    }
    drop((rx, all));
    RINGS.into_iter().try_for_each(|name| Ok(ring_shm::unlink(name, false)?))
}
