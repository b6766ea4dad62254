//! Rings in files: what waits for the disk, and what a power loss leaves.
#![allow(unsafe_code)]

#[path = "support/files.rs"]
mod files;
#[path = "support/ring.rs"]
mod ring;

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use files::{Directory, jobs, options, plant};
use ring::{Rng, record, seed};
use ring_shm::spsc::{self, Consumer, Producer};
use ring_shm::{SetupErrorKind, mpmc};

/// How a ring may be found after a power loss: each page as it was at the sync, or as it was later.
fn mixture(rng: &mut Rng, synced: &[u8], later: &[u8]) -> Vec<u8> {
    assert_eq!(synced.len(), later.len());
    let pages = synced.chunks(4096).zip(later.chunks(4096));
    pages.flat_map(|(then, now)| if rng.once_in(2) { then } else { now }).copied().collect()
}

/// A stream of records whose contents follow from their numbers.
struct Stream {
    sent: u64,
    got: u64,
    payload: Vec<u8>,
}

impl Stream {
    /// Sends the next record if it fits, with padding and the zero behind it, into `room` bytes; how many it took.
    fn send(&mut self, tx: &mut Producer, room: u64) -> Option<u64> {
        let tag = record(1, self.sent, 500, &mut self.payload);
        if (self.payload.len() as u64 + 24) * 2 > room {
            return None;
        }
        let before = tx.stats().position.get();
        tx.try_send(tag, &self.payload).ok()?;
        self.sent += 1;
        Some(tx.stats().position.get() - before)
    }

    /// Receives the next record, which must be the next. False: there is nothing to receive.
    fn receive(&mut self, rx: &mut Consumer) -> bool {
        let mut buf = [0; 512];
        let Ok(got) = rx.try_recv_into(&mut buf) else { return false };
        let tag = record(1, self.got, 500, &mut self.payload);
        assert_eq!((got.tag, &buf[..got.len]), (tag, &*self.payload), "record {}", self.got);
        self.got += 1;
        true
    }
}

#[test]
fn a_power_loss_leaves_what_was_synced() {
    let directory = Directory::new();
    let mut rng = Rng(seed());
    for _ in 0..150 {
        let at = directory.at("ring");
        let mut tx = Producer::create(&at, &options()).unwrap();
        let mut rx = Consumer::open(&at).unwrap();
        let mut stream = Stream { sent: 0, got: 0, payload: Vec::new() };
        // Somewhere in the life of a ring, a record in hands, a claim open:
        for _ in 0..rng.below(200) {
            stream.send(&mut tx, u64::MAX);
            let _ = rng.once_in(2) && stream.receive(&mut rx);
        }
        if let Ok(held) = rx.try_read() {
            held.keep();
        }
        let mut room = tx.capacity() - tx.len_guess();
        if let Ok(mut claim) = tx.try_claim(8) {
            claim.write(&[0xff; 8]);
            rx.sync().unwrap();
        }
        tx.sync().unwrap();
        let (synced, got_then) = (stream.sent, stream.got);
        let then = fs::read(directory.path("ring")).unwrap();
        // Traffic goes on as far as the space goes that was free.
        while let Some(taken) = stream.send(&mut tx, room) {
            room -= taken;
            if rng.once_in(20) {
                break;
            }
            let _ = rng.once_in(3) && stream.receive(&mut rx);
        }
        let (now, got_now) = (fs::read(directory.path("ring")).unwrap(), stream.got);
        drop((tx, rx));
        ring_shm::unlink(&at, false).unwrap();
        for image in [then.clone(), mixture(&mut rng, &then, &now), mixture(&mut rng, &then, &now)] {
            plant(&directory.path("found"), &image);
            // The head is that of the one moment or of the other.
            stream.got = if image[256..264] == then[256..264] { got_then } else { got_now };
            let mut rx = match Consumer::open(directory.at("found")) {
                Ok(rx) => rx,
                // Beyond what was synced nothing is promised.
                Err(error) if stream.got >= synced => {
                    assert_eq!(error.kind(), SetupErrorKind::Corrupt);
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            while stream.got < synced {
                assert!(stream.receive(&mut rx), "{} of {synced} is missing", stream.got);
            }
            // What came later is nobody's promise, but no trap either.
            for _ in 0..1000 {
                let _ = rx.try_recv_into(&mut [0; 1 << 14]);
            }
        }
    }
}

/// While nothing is received a ring of messages can be read even without `recover`.
#[test]
fn a_power_loss_leaves_what_was_synced_of_messages_too() {
    let directory = Directory::new();
    let mut rng = Rng(seed());
    let mut payload = Vec::new();
    for _ in 0..150 {
        let at = directory.at("ring");
        let mut tx = mpmc::Producer::create(&at, &jobs()).unwrap();
        let mut rx = mpmc::Consumer::open(&at).unwrap();
        let (mut sent, mut got) = (0, 0);
        let mut send = |tx: &mut mpmc::Producer| {
            let tag = record(1, sent, 200, &mut payload);
            let done = tx.try_send(tag, &payload).is_ok();
            sent += u64::from(done);
            done.then_some(sent)
        };
        let mut synced = 0;
        for _ in 0..rng.below(300) {
            synced = send(&mut tx).unwrap_or(synced);
            got += u64::from(rng.once_in(2) && rx.try_recv_into(&mut [0; 200]).is_ok());
        }
        rx.sync().unwrap();
        let then = fs::read(directory.path("ring")).unwrap();
        // Traffic goes on as far as there is space, and nothing is received.
        for _ in 0..rng.below(64) {
            send(&mut tx);
        }
        let now = fs::read(directory.path("ring")).unwrap();
        drop((tx, rx));
        ring_shm::unlink(&at, false).unwrap();
        for image in [then.clone(), mixture(&mut rng, &then, &now), mixture(&mut rng, &then, &now)] {
            plant(&directory.path("found"), &image);
            let mut rx = mpmc::Consumer::open(directory.at("found")).unwrap();
            let mut buf = [0; 200];
            for seq in got..synced {
                let found = rx.try_recv_into(&mut buf).unwrap_or_else(|error| panic!("{seq} of {synced}: {error}"));
                assert_eq!(found.tag, record(1, seq, 200, &mut payload));
                assert_eq!(&buf[..found.len], payload);
            }
            for _ in 0..100 {
                let _ = rx.try_recv_into(&mut buf);
            }
        }
    }
}

/// With messages received after the sync as well, `recover` makes a ring of the pages: what was committed before the
/// sync and not released comes, some of it flagged, and the ring goes on.
#[test]
fn a_power_loss_is_put_right_by_recover() {
    let directory = Directory::new();
    let mut rng = Rng(seed());
    let (mut payload, mut buf, mut flagged) = (Vec::new(), [0; 200], 0);
    for round in 0..60 {
        let at = directory.at("ring");
        let single = rng.once_in(3);
        let options = if single { jobs().max_consumers(1) } else { jobs() };
        let mut tx = mpmc::Producer::create(&at, &options).unwrap();
        let mut rx = mpmc::Consumer::open(&at).unwrap();
        let (mut sent, mut got) = (0, 0);
        for _ in 0..rng.below(300) {
            let tag = record(1, sent, 200, &mut payload);
            sent += u64::from(tx.try_send(tag, &payload).is_ok());
            got += u64::from(rng.once_in(2) && rx.try_recv_into(&mut buf).is_ok());
        }
        tx.sync().unwrap();
        let (synced, mut room) = (sent, 64 - (sent - got));
        let then = fs::read(directory.path("ring")).unwrap();
        // Others come, and everybody goes on, as far as the space goes that was free.
        let mut other = (!single).then(|| mpmc::Consumer::open(&at).unwrap());
        for _ in 0..rng.below(100) {
            let tag = record(1, sent, 200, &mut payload);
            if room > 0 && tx.try_send(tag, &payload).is_ok() {
                (sent, room) = (sent + 1, room - 1);
            }
            let rx = other.as_mut().filter(|_| rng.once_in(2)).unwrap_or(&mut rx);
            got += u64::from(rng.once_in(3) && rx.try_recv_into(&mut buf).is_ok());
        }
        // One message is in somebody's hands when the power fails.
        let held = if rng.once_in(2) { rx.try_read().ok() } else { None };
        let now = fs::read(directory.path("ring")).unwrap();
        drop(held);
        drop((tx, rx, other));
        ring_shm::unlink(&at, false).unwrap();
        for image in [then.clone(), now.clone(), mixture(&mut rng, &then, &now), mixture(&mut rng, &then, &now)] {
            let at = directory.at("found");
            plant(&directory.path("found"), &image);
            mpmc::recover(&at, None).unwrap();
            let (mut tx, mut rx) = (mpmc::Producer::open(&at).unwrap(), mpmc::Consumer::open(&at).unwrap());
            let mut found = Vec::new();
            let mut tell = |got: mpmc::Received, buf: &[u8]| {
                flagged += u64::from(got.redelivered);
                found.push((got.tag, buf[..got.len].to_vec()));
            };
            // Whatever is there, and a lap of new ones behind it.
            let mut news = 0;
            while news < 100 {
                if tx.try_send(0xffff_0000 + news, b"new").is_ok() {
                    news += 1;
                }
                match rx.try_recv_into(&mut buf) {
                    Ok(got) => tell(got, &buf),
                    Err(mpmc::TryRecvError::Empty | mpmc::TryRecvError::Busy { .. }) => {}
                    Err(error) => panic!("round {round}: {error}"),
                }
            }
            let patience = std::time::Instant::now();
            while mpmc::inspect(&at).unwrap().len_guess() > 0 || patience.elapsed().as_millis() < 2 {
                if let Ok(got) = rx.try_recv_into(&mut buf) {
                    tell(got, &buf);
                }
            }
            for seq in got..synced {
                let tag = record(1, seq, 200, &mut payload);
                let there = found.iter().any(|(found, bytes)| (*found, bytes) == (tag, &payload));
                assert!(there, "round {round}: {seq} of {got} to {synced} is missing");
            }
            let news = found.iter().filter(|(tag, _)| *tag >= 0xffff_0000).map(|(tag, _)| *tag).collect::<Vec<_>>();
            assert_eq!(news, (0xffff_0000..0xffff_0000 + 100).collect::<Vec<_>>(), "round {round}");
        }
    }
    assert!(flagged > 0);
}

/// What is right as it is stays so: a tail that a dead producer has not stored, and a message that is not to come twice.
#[test]
fn what_recover_puts_right_loses_and_repeats_nothing() {
    let directory = Directory::new();
    let (at, mut buf) = (directory.at("ring"), [0; 200]);
    let found = |image: &[u8], buf: &mut [u8]| {
        plant(&directory.path("found"), image);
        mpmc::recover(directory.at("found"), None).unwrap();
        let mut rx = mpmc::Consumer::open(directory.at("found")).unwrap();
        let tags: Vec<_> =
            std::iter::from_fn(|| rx.try_recv_into(buf).ok()).map(|got| (got.tag, got.redelivered)).collect();
        tags
    };
    for tail in 0..4_u64 {
        let mut tx = mpmc::Producer::create(&at, &jobs().max_producers(1)).unwrap();
        for tag in 0..3 {
            tx.try_send(tag, b"").unwrap();
        }
        let mut image = fs::read(directory.path("ring")).unwrap();
        if tail < 3 {
            image[128..136].copy_from_slice(&(tail << 1).to_le_bytes());
        }
        assert_eq!(found(&image, &mut buf), [(0, false), (1, false), (2, false)], "tail {tail}");
        drop(tx);
        ring_shm::unlink(&at, false).unwrap();
    }
    for (options, first) in [(jobs(), Some((0, true))), (jobs().at_most_once(), None)] {
        let mut tx = mpmc::Producer::create(&at, &options).unwrap();
        let mut rx = mpmc::Consumer::open(&at).unwrap();
        for tag in 0..2 {
            tx.try_send(tag, b"").unwrap();
        }
        let _held = rx.try_read().unwrap();
        let image = fs::read(directory.path("ring")).unwrap();
        let mut expected: Vec<_> = first.into_iter().chain([(1, false)]).collect();
        expected.sort_unstable();
        let mut tags = found(&image, &mut buf);
        tags.sort_unstable();
        assert_eq!(tags, expected);
        ring_shm::unlink(&at, true).unwrap();
    }
}

/// How many pages of a file are not on its disk yet; `None` where the kernel (before 6.5) does not say.
fn unwritten(path: &Path) -> Option<u64> {
    const CACHESTAT: i64 = 451;
    let file = File::open(path).unwrap();
    let (range, mut stat) = ([0_u64, 0], [0_u64; 5]);
    // SAFETY: a `cachestat_range` of two words, and a `cachestat` of five: cache, dirty, writeback, evicted, recently so.
    let done = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0) };
    (done == 0).then_some(stat[1] + stat[2])
}

#[test]
fn sync_waits_for_the_disk() {
    let directory = Directory::new();
    let mut tx = Producer::create(directory.at("spsc"), &options()).unwrap();
    let rx = Consumer::open(directory.at("spsc")).unwrap();
    let mut sender = mpmc::Producer::create(directory.at("mpmc"), &jobs()).unwrap();
    let receiver = mpmc::Consumer::open(directory.at("mpmc")).unwrap();
    for name in ["spsc", "mpmc"] {
        match unwritten(&directory.path(name)) {
            None => return println!("skipped: this kernel does not tell"),
            Some(pages) => assert!(pages > 0, "{name}: formatting it has made pages that nobody has written"),
        }
    }
    for _ in 0..10 {
        tx.try_send(1, &[7; 500]).unwrap();
        sender.try_send(1, &[7; 200]).unwrap();
    }
    assert_eq!((tx.sync(), sender.sync()), (Ok(()), Ok(())));
    assert_eq!([unwritten(&directory.path("spsc")), unwritten(&directory.path("mpmc"))], [Some(0); 2]);
    tx.try_send(2, &[7; 500]).unwrap();
    sender.try_send(2, &[7; 200]).unwrap();
    assert!(unwritten(&directory.path("spsc")) > Some(0) && unwritten(&directory.path("mpmc")) > Some(0));
    // Either side may do it.
    assert_eq!((rx.sync(), receiver.sync()), (Ok(()), Ok(())));
    assert_eq!([unwritten(&directory.path("spsc")), unwritten(&directory.path("mpmc"))], [Some(0); 2]);
    // Without the name, and for who has forked, it still is an answer.
    ring_shm::unlink(directory.at("spsc"), true).unwrap();
    assert_eq!(tx.sync(), Ok(()));
    let (heap, _) = spsc::heap(64).unwrap();
    assert_eq!(heap.sync(), Ok(()));
}
