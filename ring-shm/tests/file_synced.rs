//! Rings in files after a power loss, cut to what was synced: images of sectors of many moments, in any combination.

#[path = "support/files.rs"]
mod files;
#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fs;
use std::time::Duration;

use files::{Directory, options, plant};
use ring::{Rng, record, seed};
use ring_shm::spsc::{self, Consumer, Producer, RecvError, TryRecvError};
use ring_shm::{SetupErrorKind, mpmc};

/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;

/// Images that each campaign looks at.
const IMAGES: usize = 2500;

/// How a file may be found: each sector as it was at the sync, or at any moment after.
fn mixture(rng: &mut Rng, moments: &[Vec<u8>]) -> Vec<u8> {
    let mut image = moments[0].clone();
    // Some images are nearly of one moment, some of all.
    let one_in = 1 + rng.below(6);
    let favourite = rng.below(moments.len() as u64) as usize;
    for (i, sector) in image.chunks_mut(SECTOR).enumerate() {
        let moment = if rng.once_in(one_in) { rng.below(moments.len() as u64) as usize } else { favourite };
        sector.copy_from_slice(&moments[moment][i * SECTOR..][..sector.len()]);
    }
    image
}

/// A ring with its traffic: whatever is in it can be told from its number.
struct Traffic {
    tx: Producer,
    rx: Consumer,
    sent: u64,
    got: u64,
    payload: Vec<u8>,
}

impl Traffic {
    fn send(&mut self) -> bool {
        let tag = record(1, self.sent, 700, &mut self.payload);
        let done = self.tx.try_send(tag, &self.payload).is_ok();
        self.sent += u64::from(done);
        done
    }

    fn receive(&mut self) {
        self.got += u64::from(self.rx.try_recv_into(&mut [0; 1024]).is_ok());
    }
}

/// Takes all that comes, which must be records one after the other, each as it was sent: the first and last numbers.
fn drain(rx: &mut Consumer, from: u64, to: u64) -> Option<(u64, u64)> {
    let (mut expected, mut found, mut buf) = (Vec::new(), None, [0; 1024]);
    loop {
        match rx.try_recv_into(&mut buf) {
            Ok(got) => {
                let next = match found {
                    Some((_, last)) => last + 1,
                    None => (from..to)
                        .find(|seq| (record(1, *seq, 700, &mut expected), &*expected) == (got.tag, &buf[..got.len]))
                        .expect("what comes first is a record that was sent, and had been synced"),
                };
                let tag = record(1, next, 700, &mut expected);
                assert_eq!((got.tag, &buf[..got.len]), (tag, &*expected), "record {next} of {from} to {to}");
                assert!(got.redelivered, "somebody may have seen it");
                found = Some((found.map_or(next, |(first, _)| first), next));
            }
            // Sessions of before, that are told in the stream.
            Err(TryRecvError::Disconnected) => {}
            Err(TryRecvError::PeerDied) => return found,
            Err(TryRecvError::Empty) => {
                // Of a session of which nothing is unread nobody is told. Any other has ended by a death.
                let patience = if found.is_some() { Duration::from_secs(20) } else { Duration::ZERO };
                match rx.recv_into_timeout(&mut buf, patience) {
                    Err(RecvError::PeerDied) => return found,
                    Err(RecvError::Timeout) if found.is_none() => return found,
                    Err(RecvError::Disconnected) => {}
                    other => panic!("{found:?}, then {other:?}"),
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The ring goes on as any other, for more than a lap.
fn goes_on(at: &ring_shm::Location, mut rx: Consumer) {
    let mut tx = Producer::open(at).unwrap();
    let mut buf = [0; 1024];
    for seq in 0..60 {
        tx.try_send(seq, &[seq as u8; 500]).unwrap();
        let got = match rx.try_recv_into(&mut buf) {
            // The end of before, where nothing of it was unread: told here, or not at all.
            Err(TryRecvError::PeerDied) if seq == 0 => rx.try_recv_into(&mut buf).unwrap(),
            got => got.unwrap(),
        };
        assert_eq!((got.tag, got.redelivered, &buf[..got.len]), (seq, false, &[seq as u8; 500][..]));
    }
    // What it says of itself is as good as new.
    drop((tx, rx));
    let seen = spsc::inspect(at).unwrap();
    assert_eq!(seen.head, seen.tail);
}

/// A stream of small records takes what it was free to take, and stores to nothing beyond.
#[test]
fn what_was_synced_is_there_until_more_is_sent_than_was_free() {
    let directory = Directory::in_memory();
    let at = directory.at("ring");
    let mut tx = Producer::create(&at, &options().capacity(4096)).unwrap();
    let mut rx = Consumer::open(&at).unwrap();
    let mut send = |count: u64| (0..count).for_each(|n| assert!(tx.try_send(0, &n.to_le_bytes()).is_ok()));
    let mut read = |count: u64| (0..count).for_each(|_| assert!(rx.try_recv_into(&mut [0; 8]).is_ok()));
    // A full ring; then 101 more, when 200 are known to be released, and three are that the producer does not know of.
    let full = 4096 / 16 - 1;
    send(full);
    read(200);
    send(101);
    read(3);
    tx.sync().unwrap();
    let unread = full + 101 - 203;
    read(unread - 1);
    (0..full - unread).for_each(|n| assert!(tx.try_send(0, &n.to_le_bytes()).is_ok()));
    plant(&directory.path("found"), &fs::read(directory.path("ring")).unwrap());
    assert!(spsc::recover_synced(directory.at("found")).unwrap().whole);
}

/// Runs rounds of traffic, with a power loss after the last sync; `keeps` says whether no more is sent after it than was free.
fn campaign(keeps: bool) -> (u64, u64) {
    let directory = Directory::in_memory();
    let mut rng = Rng(seed());
    let (mut images, mut whole, mut records) = (0, 0, 0);
    while images < IMAGES {
        let at = directory.at("ring");
        let aligned = rng.once_in(3);
        // Releases are told of late: some records come again.
        let late = rng.once_in(3);
        let options = options().line_aligned(aligned).release_every(if late { 2048 } else { 0 });
        let mut ring = Traffic {
            tx: Producer::create(&at, &options).unwrap(),
            rx: Consumer::open(&at).unwrap(),
            sent: 0,
            got: 0,
            payload: Vec::new(),
        };
        for _ in 0..rng.below(4) {
            for _ in 0..rng.below(120) {
                ring.send();
                if rng.once_in(2) {
                    ring.receive();
                }
                // Successors, with marks of sessions.
                if rng.once_in(40) {
                    let Traffic { tx, rx, sent, got, payload } = ring;
                    drop((tx, rx));
                    let (tx, mut rx) = (Producer::open(&at).unwrap(), Consumer::open(&at).unwrap());
                    let _ = rx.try_read().map(|record| record.keep());
                    ring = Traffic { tx, rx, sent, got, payload };
                }
            }
            let _ = if rng.once_in(2) { ring.tx.sync() } else { ring.rx.sync() };
        }
        // A claim is open when it is synced for the last time, and is never committed.
        if let Ok(mut claim) = ring.tx.try_claim(100) {
            claim.write(&[0xff; 100]);
            ring.rx.sync().unwrap();
        } else {
            ring.tx.sync().unwrap();
        }
        if rng.once_in(2) {
            ring.tx.sync().unwrap();
        }
        let (synced, got_then) = (ring.sent, ring.got);
        let (begin, free) = (ring.tx.stats().position.get(), ring.tx.capacity() - ring.tx.len_guess());
        let mut moments = vec![fs::read(directory.path("ring")).unwrap()];
        for _ in 0..1 + rng.below(5) {
            for _ in 0..1 + rng.below(40) {
                // The longest one, with padding, and the word behind it.
                let used = ring.tx.stats().position.get() - begin;
                if !keeps || used + 2 * 800 < free {
                    ring.send();
                }
                if rng.once_in(2) {
                    ring.receive();
                }
            }
            moments.push(fs::read(directory.path("ring")).unwrap());
        }
        let got_now = ring.got;
        drop(ring);
        ring_shm::unlink(&at, false).unwrap();
        for _ in 0..25 {
            images += 1;
            plant(&directory.path("found"), &mixture(&mut rng, &moments));
            let found = directory.at("found");
            let cut = spsc::recover_synced(&found).unwrap();
            let mut rx = Consumer::open(&found).unwrap();
            let came = drain(&mut rx, 0, synced);
            assert_eq!(cut.records, came.map_or(0, |(first, last)| last + 1 - first));
            if keeps {
                assert!(cut.whole, "{cut:?}");
                // All to the last sync; and none that was received before it, but for what was not told of yet.
                match came {
                    Some((first, last)) => {
                        assert!(first <= got_now && last + 1 == synced, "{came:?} of {got_now} to {synced}")
                    }
                    None => assert!(got_now >= synced, "{got_now} of {synced} were received: the rest is missing"),
                }
                assert!(came.is_none_or(|(first, _)| late || first >= got_then.min(synced)));
            }
            whole += u64::from(cut.whole);
            records += cut.records;
            goes_on(&found, rx);
        }
    }
    (whole, records)
}

#[test]
fn every_record_up_to_the_last_sync_comes_and_nothing_else() {
    let (whole, records) = campaign(true);
    assert!(whole >= IMAGES as u64 && records > IMAGES as u64, "{records} records in {whole} images");
}

/// Beyond what is promised: more was sent than was free at the sync. Then some of it may be missing, and that is told; and
/// what comes is as it was sent.
#[test]
fn what_was_written_over_is_not_taken_for_data() {
    let (whole, _) = campaign(false);
    assert!(whole > 0 && whole < IMAGES as u64, "{whole} of {IMAGES} images were whole");
}

#[test]
fn it_is_for_rings_that_nobody_has_open_and_that_were_synced() {
    let directory = Directory::in_memory();
    let at = directory.at("ring");
    let mut tx = Producer::create(&at, &options()).unwrap();
    let held = spsc::recover_synced(&at).unwrap_err();
    assert_eq!(held.kind(), SetupErrorKind::InUse, "{held}");
    tx.try_send(1, b"x").unwrap();
    drop(tx);
    let never = spsc::recover_synced(&at).unwrap_err();
    assert_eq!(never.kind(), SetupErrorKind::Corrupt, "{never}");
    assert!(never.to_string().contains("sync"), "{never}");
    // It was not touched.
    assert_eq!(Consumer::open(&at).unwrap().try_recv_into(&mut [0; 8]).unwrap().tag, 1);
    mpmc::create(directory.at("other"), &mpmc::Options::new().slots(8)).unwrap();
    assert_eq!(spsc::recover_synced(directory.at("other")).unwrap_err().kind(), SetupErrorKind::Corrupt);
}

/// A recovery that dies in the middle of its own writes, and a power loss then, are recovered from as well.
#[test]
fn twice_is_as_good_as_once() {
    let directory = Directory::in_memory();
    let at = directory.at("ring");
    let mut rng = Rng(seed());
    let mut tx = Producer::create(&at, &options()).unwrap();
    for seq in 0..9 {
        tx.try_send(seq, &[seq as u8; 300]).unwrap();
    }
    tx.sync().unwrap();
    for seq in 9..12 {
        tx.try_send(seq, &[seq as u8; 300]).unwrap();
    }
    drop(tx);
    let before = fs::read(directory.path("ring")).unwrap();
    spsc::recover_synced(&at).unwrap();
    let after = fs::read(directory.path("ring")).unwrap();
    for _ in 0..500 {
        plant(&directory.path("found"), &mixture(&mut rng, &[before.clone(), after.clone()]));
        let cut = spsc::recover_synced(directory.at("found")).unwrap();
        assert_eq!((cut.records, cut.whole), (9, true));
        let mut rx = Consumer::open(directory.at("found")).unwrap();
        for seq in 0..9 {
            assert_eq!(rx.try_recv_into(&mut [0; 512]).unwrap().tag, seq);
        }
        assert_eq!(rx.recv_into(&mut [0; 512]), Err(RecvError::PeerDied));
    }
}

/// The power fails in the middle of a sync, and its mark is torn: then the last one that was whole counts.
#[test]
fn a_torn_mark_leaves_the_one_before() {
    const MARKS: std::ops::Range<usize> = 2048..2304;
    let directory = Directory::in_memory();
    let at = directory.at("ring");
    let mut tx = Producer::create(&at, &options()).unwrap();
    let rx = Consumer::open(&at).unwrap();
    let mut images = Vec::new();
    for seq in 0..6 {
        tx.try_send(seq, &[seq as u8; 300]).unwrap();
        // Both sides sync, by turns; each has marks of its own.
        if seq % 3 == 2 {
            rx.sync().unwrap()
        } else {
            tx.sync().unwrap()
        }
        images.push(fs::read(directory.path("ring")).unwrap());
    }
    let mut torn = 0;
    for (i, pair) in images.windows(2).enumerate() {
        let changed: Vec<usize> =
            MARKS.step_by(8).filter(|at| pair[0][*at..*at + 8] != pair[1][*at..*at + 8]).collect();
        for some in 0..1_u32 << changed.len() {
            let mut image = pair[1].clone();
            image[MARKS].copy_from_slice(&pair[0][MARKS]);
            for word in changed.iter().enumerate().filter(|(n, _)| some >> n & 1 == 1).map(|(_, word)| *word) {
                image[word..word + 8].copy_from_slice(&pair[1][word..word + 8]);
            }
            plant(&directory.path("found"), &image);
            let cut = spsc::recover_synced(directory.at("found")).unwrap();
            let all = some.count_ones() as usize == changed.len();
            assert_eq!((cut.records, cut.whole), (i as u64 + 1 + u64::from(all), true), "{some:b} of {changed:?}");
            torn += 1;
        }
    }
    assert_eq!(torn, 5 * 8);
}

/// What lies in memory has no disk to be found on: a sync sums nothing up, and there is nothing to recover.
#[test]
fn rings_in_memory_leave_no_marks() {
    let name = support::unique("unmarked");
    let directory = Directory::new();
    for (at, path, marked) in
        [(name.0.clone(), name.path(), false), (directory.at("ring"), directory.path("ring"), true)]
    {
        let mut tx = Producer::create(&at, &options()).unwrap();
        tx.try_send(1, b"unread").unwrap();
        let before = fs::read(&path).unwrap();
        tx.sync().unwrap();
        assert_eq!(fs::read(&path).unwrap() != before, marked, "{at}");
        drop(tx);
        let recovered = spsc::recover_synced(&at).map(|cut| cut.records);
        match recovered {
            Ok(records) => assert!(marked && records == 1),
            Err(error) => {
                assert!(!marked && error.kind() == SetupErrorKind::Invalid, "{error}");
                assert!(error.to_string().contains("open it as it is"), "{error}");
            }
        }
        // It was not touched.
        assert_eq!(Consumer::open(&at).unwrap().try_recv_into(&mut [0; 8]).unwrap().tag, 1);
    }
}
