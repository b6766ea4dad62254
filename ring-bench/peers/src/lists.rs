//! The candidates and rows of this crate: each scenario with ours first and the rivals after it, and what is not built.

use crate::channel::{singles, with_batches};
use crate::rivals::{disruptor, iceoryx, ipc_channel, ringbuf, shaq, shmem_ipc};
use crate::scenario::Entry;
use ring_bench::kit::{Row, own_candidates};
use ring_bench::run::Lists;

/// Every rival's candidates.
fn entries() -> Vec<Entry> {
    let mut entries = with_batches::<shaq::Shaq>();
    entries.extend(shaq::more());
    entries.extend(with_batches::<shmem_ipc::ShmemIpc>());
    entries.extend(shmem_ipc::payloads());
    entries.extend(singles::<iceoryx::Iceoryx2>());
    entries.extend(iceoryx::payloads());
    entries.extend(singles::<ipc_channel::IpcChannel>());
    entries.extend(with_batches::<disruptor::Disruptor>());
    entries.extend(with_batches::<ringbuf::Ringbuf>());
    #[cfg(has_boost)]
    {
        use crate::rivals::boost;
        entries.extend(with_batches::<boost::Spsc>());
        entries.extend(boost::queue());
        entries.extend(singles::<boost::MessageQueue>());
        entries.extend(boost::payloads());
    }
    #[cfg(has_tbb)]
    {
        use crate::rivals::tbb;
        entries.extend(singles::<tbb::Tbb>());
        entries.extend(tbb::many());
    }
    #[cfg(has_zmq)]
    entries.extend(singles::<crate::rivals::zmq::Zmq>());
    entries
}

/// The rivals that were left out when this was built, and what would bring them.
fn absent() -> Vec<(&'static str, String)> {
    let needs = |package: &str| format!("not built: needs Debian's package {package} (then build again)");
    let mut absent = Vec::new();
    if cfg!(not(has_boost)) {
        for rival in ["boost-spsc", "boost-queue", "boost-mq"] {
            absent.push((rival, needs("libboost-dev")));
        }
    }
    if cfg!(not(has_tbb)) {
        absent.push(("tbb", needs("libtbb-dev")));
    }
    if cfg!(not(has_zmq)) {
        absent.push(("zmq", needs("libzmq3-dev")));
    }
    absent
}

/// What `peers` runs.
#[must_use]
pub fn lists() -> Lists {
    let mut entries = entries();
    entries.sort_by_key(|entry| entry.scenario);
    let mut own = own_candidates();
    let (mut candidates, mut rows) = (Vec::new(), Vec::<Row>::new());
    for entry in entries {
        for row in entry.scenario.rows(&entry) {
            // Ours stands before the first rival that is compared with it.
            if let Some(place) = own.iter().position(|candidate| candidate.name == row.ours) {
                candidates.push(own.swap_remove(place));
            }
            rows.push(row);
        }
        candidates.push(entry.candidate);
    }
    Lists { candidates, rows, absent: absent() }
}

/// The C++ libraries that this was built with.
#[must_use]
pub fn versions() -> Vec<String> {
    vec![
        #[cfg(has_boost)]
        crate::rivals::boost::version(),
        #[cfg(has_tbb)]
        crate::rivals::tbb::version(),
        #[cfg(has_zmq)]
        crate::rivals::zmq::version(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_candidates_that_exist_once() {
        let Lists { candidates, rows, .. } = lists();
        for row in &rows {
            for name in [row.ours, row.base] {
                assert_eq!(candidates.iter().filter(|candidate| candidate.name == name).count(), 1, "{name}");
            }
            assert_eq!(rows.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
    }

    #[test]
    fn every_rival_is_there_or_said_to_be_absent() {
        let Lists { rows, absent, .. } = lists();
        for rival in [
            "shaq",
            "shmem-ipc",
            "iceoryx2",
            "ipc-channel",
            "disruptor",
            "ringbuf",
            "boost-spsc",
            "boost-queue",
            "boost-mq",
            "tbb",
            "zmq",
        ] {
            let built = rows.iter().any(|row| row.name.ends_with(&format!("-vs-{rival}")));
            assert_ne!(built, absent.iter().any(|(name, _)| *name == rival), "{rival}");
        }
    }
}
