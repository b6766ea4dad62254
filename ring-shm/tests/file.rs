//! Rings in files: what a restart, a power loss and other names of the file mean for them.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::{Rng, record, seed};
use ring_shm::spsc::{self, Consumer, Producer, RecvError};
use ring_shm::{Facts, Location, OpenError, OpenRules, Role, SeatState, SetupError, SetupErrorKind, Verdict, mpmc};
use support::{child, hear, say};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "users" => play_users(&args[0]),
        "next-boot" => play_next_boot(&args[0], &args[1]),
        other => panic!("no role {other}"),
    });
}

/// A directory on a real file system, and names in it.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> Location {
        Location::file(self.path(name))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn options() -> spsc::Options {
    spsc::Options::new().capacity(1 << 14)
}

fn jobs() -> mpmc::Options {
    mpmc::Options::new().slots(64).slot_size(200)
}

#[test]
fn a_name_like_any_other() {
    let directory = Directory::new();
    let at = directory.at("a ring, whatever it is called");
    assert_eq!(Consumer::open(&at).unwrap_err().kind(), SetupErrorKind::NotFound);
    let tx = Producer::create(&at, &options()).unwrap();
    assert_eq!(Producer::create(&at, &options()).unwrap_err().kind(), SetupErrorKind::Exists);
    assert_eq!(directory.names().len(), 1, "and nothing else beside it");
    assert!(ring_shm::unlink(&at, false).is_err(), "somebody lives in it");
    drop(tx);
    ring_shm::unlink(&at, false).unwrap();
    assert!(directory.names().is_empty());
    let nowhere = Producer::create(directory.at("no/such"), &options()).unwrap_err();
    assert_eq!(nowhere.kind(), SetupErrorKind::NotFound, "{nowhere}");
}

#[test]
fn relative_to_the_directory_of_then() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(Location::file("x/y"), Location::file(here.join("x/y")));
    assert_eq!("file:x/y".parse(), Ok(Location::file(here.join("x/y"))));
}

#[test]
fn what_must_not_be_opened() {
    let directory = Directory::new();
    let (at, path) = (directory.at("ring"), directory.path("ring"));
    spsc::create(&at, &options()).unwrap();
    let open = || Consumer::open(&at).map(drop);
    open().unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o602)).unwrap();
    assert!(matches!(open(), Err(SetupError::Open(OpenError::WorldWritable { .. }))));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    // Another name of it, be it this one or the other that was meant.
    fs::hard_link(&path, directory.path("link")).unwrap();
    for name in ["ring", "link"] {
        let error = Consumer::open(directory.at(name)).unwrap_err();
        let name = directory.at(name);
        assert_eq!(error, SetupError::Open(OpenError::Linked { name, links: 2 }));
        assert_eq!(error.kind(), SetupErrorKind::Permission);
    }
    fs::remove_file(directory.path("link")).unwrap();
    open().unwrap();
    std::os::unix::fs::symlink(&path, directory.path("symlink")).unwrap();
    let error = Consumer::open(directory.at("symlink")).unwrap_err();
    assert!(matches!(error, SetupError::Open(OpenError::NotASegment { .. })), "{error}");
    assert!(error.to_string().contains("symlink is a symbolic link"), "{error}");
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(matches!(open(), Err(SetupError::Open(OpenError::Empty { .. }))));
    fs::remove_file(&path).unwrap();
    spsc::create(&at, &options()).unwrap();
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        return println!("skipped: needs root");
    }
    assert!(matches!(open(), Err(SetupError::Open(OpenError::ForeignOwner { owner: 65534, .. }))));
    Consumer::open_with(&at, &OpenRules::Anyone).unwrap();
}

#[test]
fn a_restart_leaves_it_whole() {
    let directory = Directory::new();
    let place = directory.0.path().to_str().unwrap();
    let mut users = child("users", &[place]);
    users.wait_for("in the middle");
    let boot = Facts::of_self().boot_hash;
    users.kill();
    // What the disk holds when the machine comes up again: the bytes, and none of the locks.
    for name in ["spsc", "mpmc"] {
        fs::copy(directory.path(name), directory.path("copy")).unwrap();
        fs::rename(directory.path("copy"), directory.path(name)).unwrap();
    }
    let mut next = child("next-boot", &[place, &boot.to_string()]);
    println!("{}", next.wait_for("boot"));
    assert!(next.finish().success());
}

/// Sits in both rings and is in the middle of everything.
fn play_users(directory: &str) {
    let at = |name: &str| Location::file(Path::new(directory).join(name));
    let mut tx = Producer::create(at("spsc"), &options()).unwrap();
    let mut rx = Consumer::open(at("spsc")).unwrap();
    for tag in 0..10 {
        tx.try_send(tag, &[7; 100]).unwrap();
    }
    for _ in 0..3 {
        rx.try_recv_into(&mut [0; 100]).unwrap();
    }
    let mut sender = mpmc::Producer::create(at("mpmc"), &jobs()).unwrap();
    let mut receiver = mpmc::Consumer::open(at("mpmc")).unwrap();
    for tag in 0..10 {
        sender.try_send(tag, &[7; 100]).unwrap();
    }
    for _ in 0..3 {
        receiver.try_recv_into(&mut [0; 200]).unwrap();
    }
    let (_read, _claim) = (rx.try_read().unwrap(), tx.try_claim(100).unwrap());
    let (_job, _slot) = (receiver.try_read().unwrap(), sender.try_claim(100).unwrap());
    say("in the middle");
    hear();
}

/// A process after the restart, to which the kernel gives another boot id.
fn play_next_boot(directory: &str, boot: &str) {
    let id = Path::new(directory).join("boot_id");
    fs::write(&id, "11111111-2222-3333-4444-555555555555\n").unwrap();
    let there = "/proc/sys/kernel/random/boot_id";
    let other = support::own_mounts().and_then(|()| support::mount(id.to_str().unwrap(), there, "", libc::MS_BIND, ""));
    say(&match &other {
        Ok(()) => "boot: another".to_owned(),
        Err(reason) => format!("boot: the same ({reason})"),
    });
    assert!(other.is_err() || Facts::of_self().boot_hash.to_string() != boot);
    let at = |name: &str| Location::file(Path::new(directory).join(name));

    let seen = spsc::inspect(at("spsc")).unwrap();
    assert_eq!((seen.producer.verdict, seen.consumer.verdict), (Some(Verdict::Dead), Some(Verdict::Dead)));
    let (found, recovered) = spsc::recover(at("spsc"), None).unwrap();
    assert_eq!((found, recovered), (seen, vec![Role::Producer, Role::Consumer]));
    let mut rx = Consumer::open(at("spsc")).unwrap();
    let mut buf = [0; 200];
    for tag in 3..10 {
        let got = rx.try_recv_into(&mut buf).unwrap();
        assert_eq!((got.tag, got.redelivered, &buf[..got.len]), (tag, tag == 3, &[7; 100][..]));
    }
    assert_eq!(rx.recv_into(&mut buf), Err(RecvError::PeerDied));
    let mut tx = Producer::open(at("spsc")).unwrap();
    tx.try_send(10, b"goes on").unwrap();
    assert_eq!(rx.try_recv_into(&mut buf).unwrap().tag, 10);
    assert!(matches!(spsc::inspect(at("spsc")).unwrap().producer.state, SeatState::Held(_)));

    let (found, released) = mpmc::recover(at("mpmc"), None).unwrap();
    assert!(found.members.len() == 2 && found.members.iter().all(|member| member.verdict == Verdict::Dead));
    assert_eq!(released.len(), 2);
    let (mut sender, mut receiver) =
        (mpmc::Producer::open(at("mpmc")).unwrap(), mpmc::Consumer::open(at("mpmc")).unwrap());
    sender.try_send(10, b"goes on").unwrap();
    let mut tags = Vec::new();
    while tags.len() < 8 {
        match receiver.try_recv_into(&mut buf) {
            Ok(got) => tags.push((got.tag, got.redelivered)),
            Err(mpmc::TryRecvError::Empty | mpmc::TryRecvError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    tags.sort_unstable();
    assert_eq!(tags, (3..11).map(|tag| (tag, tag == 3)).collect::<Vec<_>>());
}

/// How a ring may be found after a power loss: each page as it was at the sync, or as it was later.
fn mixture(rng: &mut Rng, synced: &[u8], later: &[u8]) -> Vec<u8> {
    assert_eq!(synced.len(), later.len());
    let pages = synced.chunks(4096).zip(later.chunks(4096));
    pages.flat_map(|(then, now)| if rng.once_in(2) { then } else { now }).copied().collect()
}

fn plant(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    let file = File::options().write(true).create_new(true).open(path).unwrap();
    file.set_permissions(Permissions::from_mode(0o600)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
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
