//! System V segments: keys, side files, and what others do to them.
#![allow(unsafe_code)]

mod support;

use std::ffi::c_void;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::SystemTime;

use ring_shm::spsc::{self, Consumer, Options, Producer, RecvError};
use ring_shm::{
    Access, CreateError, LeasedMapping, Location, NameError, OpenError, Segment, SelfTest, SetupError, SetupErrorKind,
    SysvName, UnlinkError, mpmc,
};
use support::{child, hear, say};

const LEN: u64 = 8192;

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "dies-in-init" => play_dies_in_init(&args[0]),
        other => panic!("no role {other}"),
    });
}

/// A name of this test's own; its segment and side file go with it.
struct Name(SysvName);

impl Name {
    fn new(tag: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        Self(SysvName::new(&format!("t-{tag}-{}-{now}", std::process::id())).unwrap())
    }

    fn at(&self) -> Location {
        self.0.clone().into()
    }

    /// Another name of the same key.
    fn namesake(&self) -> Location {
        SysvName::with_key("namesake", self.0.key()).unwrap().into()
    }

    fn side(&self) -> PathBuf {
        format!("/dev/shm/.ring.sysv.{:08x}", self.0.key()).into()
    }

    /// What the key means: a segment's id, or nothing.
    fn id(&self) -> Option<i32> {
        // SAFETY: plain numbers.
        let id = unsafe { libc::shmget(self.0.key(), 0, 0) };
        (id >= 0).then_some(id)
    }

    /// Makes a segment with the key by hand, as any other program does.
    fn by_hand(&self, len: u64) -> i32 {
        // SAFETY: plain numbers.
        let id = unsafe { libc::shmget(self.0.key(), len as usize, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
        assert!(id >= 0);
        id
    }

    /// `ipcrm`.
    fn remove(&self) {
        // SAFETY: plain numbers; the command takes no structure.
        self.id().map(|id| unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) });
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.remove();
        let _ = (fs::remove_file(self.side()), fs::remove_dir(self.side()));
    }
}

/// Attached without a lease; for the life of this process unless detached.
fn attach(id: i32) -> *mut c_void {
    // SAFETY: no address is asked for.
    let address = unsafe { libc::shmat(id, std::ptr::null(), 0) };
    assert_ne!(address.addr(), usize::MAX);
    address
}

fn detach(address: *mut c_void) {
    // SAFETY: as `attach` has answered.
    assert_eq!(unsafe { libc::shmdt(address) }, 0);
}

fn options() -> Options {
    Options::new().capacity(4096)
}

#[test]
fn keys_and_texts() {
    let fnv = |text: &str| {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, step)
    };
    for name in ["a", "ticks", "jobs.eu-west_1"] {
        let hash = fnv(name);
        let key = ((hash ^ hash >> 32) as u32 & 0x7fff_ffff) as i32;
        assert_eq!(SysvName::new(name).unwrap().key(), key);
        let at = Location::from(SysvName::new(name).unwrap());
        assert_eq!((at.to_string(), at.name(), at.backing()), (format!("sysv:{name}"), name.to_owned(), "sysv"));
        assert_eq!(format!("sysv:{name}@{key}").parse(), Ok(at), "its own key needs no word");
    }
    let other = Location::from(SysvName::with_key("a", -2).unwrap());
    assert_eq!(other.to_string(), "sysv:a@0xfffffffe");
    assert_eq!(["sysv:a@0xfffffffe", "sysv:a@-2"].map(|text| text.parse()), [Ok(other.clone()), Ok(other)]);
    for text in ["sysv:a@", "sysv:a@x", "sysv:a@0", "sysv:a@0x", "sysv:a@0x100000000"] {
        assert_eq!(text.parse::<Location>(), Err(NameError::BadKey), "{text}");
    }
    assert_eq!("sysv:".parse::<Location>(), Err(NameError::Empty));
}

#[test]
fn one_key_is_one_ring() {
    let name = Name::new("key");
    let mut tx = Producer::create(name.at(), &options()).unwrap();
    let error = CreateError::KeyTaken { name: name.namesake(), key: name.0.key() };
    assert_eq!(Producer::create(name.namesake(), &options()).unwrap_err(), SetupError::Create(error));
    let exists = CreateError::Exists { name: name.at() };
    assert_eq!(Producer::create(name.at(), &options()).unwrap_err(), SetupError::Create(exists));
    let found = name.0.as_str().to_owned();
    let other = SetupError::Open(OpenError::OtherName { name: name.namesake(), found: found.clone() });
    for error in [
        Consumer::open(name.namesake()).map(drop),
        Consumer::open_or_create(name.namesake(), &options()).map(drop),
        spsc::inspect(name.namesake()).map(drop),
        ring_shm::kind_of(name.namesake()).map(drop),
    ] {
        assert_eq!(error, Err(other.clone()));
    }
    for force in [false, true] {
        let error = UnlinkError::OtherName { name: name.namesake(), found: found.clone() };
        assert_eq!(ring_shm::unlink(name.namesake(), force), Err(error));
    }
    tx.try_send(1, b"undisturbed").unwrap();
    assert_eq!(Consumer::open(name.at()).unwrap().recv_into(&mut [0; 64]).unwrap().tag, 1);
}

#[test]
fn leases_live_as_long_as_attachments() {
    let name = Name::new("lease");
    let segment = Segment::create(name.at(), LEN, &Access::default(), |mapping| assert_eq!(mapping.len() as u64, LEN));
    let segment = segment.unwrap();
    let one = LeasedMapping::acquire(&segment, || 1).unwrap();
    assert_eq!((one.self_test(), one.mapping().len() as u64, segment.len()), (SelfTest::Passed, LEN, LEN));
    assert_eq!(ring_shm::unlink(name.at(), false), Err(UnlinkError::InUse { name: name.at(), lease: 1 }));
    drop(one);
    assert_eq!(segment.any_lease(), Ok(None));
    ring_shm::unlink(name.at(), false).unwrap();
    assert!(name.id().is_none() && !name.side().exists());
    assert_eq!(ring_shm::unlink(name.at(), false), Err(UnlinkError::NotFound { name: name.at() }));
    let short = Segment::create(name.at(), 4095, &Access::default(), |_| panic!("not reached"));
    assert_eq!(short.unwrap_err(), CreateError::BadLength { len: 4095 }, "no room for the name");
}

#[test]
fn who_is_attached_without_a_lease_counts() {
    let name = Name::new("nattch");
    spsc::create(name.at(), &options()).unwrap();
    let address = attach(name.id().unwrap());
    assert_eq!(ring_shm::unlink(name.at(), false), Err(UnlinkError::Attached { name: name.at(), count: 1 }));
    assert!(name.id().is_some());
    ring_shm::unlink(name.at(), true).unwrap();
    assert!(name.id().is_none() && !name.side().exists());
    detach(address);
}

#[test]
fn a_foreign_segment_of_the_key_is_left_alone() {
    let name = Name::new("foreign");
    let id = name.by_hand(1000);
    assert_eq!(Consumer::open(name.at()).unwrap_err().kind(), SetupErrorKind::NotFound);
    for _ in 0..2 {
        let error = Producer::open_or_create(name.at(), &options()).unwrap_err();
        assert!(matches!(error, SetupError::Create(CreateError::KeyTaken { .. })), "{error}");
        assert!(error.to_string().contains("ipcrm"), "{error}");
    }
    assert_eq!(name.id(), Some(id));
    assert!(!name.side().exists(), "and nothing is left behind");
}

#[test]
fn a_creator_that_dies_leaves_room_for_the_next() {
    let name = Name::new("died");
    let works = || {
        assert_eq!(Consumer::open(name.at()).unwrap_err().kind(), SetupErrorKind::NotFound);
        assert_eq!(spsc::inspect(name.at()).unwrap_err().kind(), SetupErrorKind::NotFound);
        let mut tx = Producer::open_or_create(name.at(), &options()).unwrap();
        tx.try_send(1, b"").unwrap();
        assert_eq!(Consumer::open(name.at()).unwrap().recv_into(&mut []).unwrap().tag, 1);
        drop(tx);
        ring_shm::unlink(name.at(), false).unwrap();
    };
    // In the middle of the contents.
    for _ in 0..5 {
        let mut creator = child("dies-in-init", &[&name.at().to_string()]);
        creator.wait_for("inside");
        assert_eq!(Consumer::open(name.at()).unwrap_err().kind(), SetupErrorKind::NotFound);
        creator.kill();
        works();
    }
    // Before it had a segment, and before it could note which.
    let side = |words: [u64; 4]| {
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).chain([0; 4096 - 32]).collect();
        fs::write(name.side(), bytes).unwrap();
        fs::set_permissions(name.side(), Permissions::from_mode(0o600)).unwrap();
    };
    let magic = u64::from_le_bytes(*b"RINGSYSV");
    side([magic, 0, 0, 0]);
    works();
    side([magic, 0, 0, 0]);
    name.by_hand(LEN);
    works();
    // A namesake's segment in that place, which somebody has written to, is not taken for an orphan.
    side([magic, 0, 0, 0]);
    let address = attach(name.by_hand(LEN));
    // SAFETY: a segment of this test's own.
    unsafe { address.cast::<u8>().write_volatile(1) };
    detach(address);
    let error = Producer::create(name.at(), &options()).unwrap_err();
    assert!(matches!(error, SetupError::Create(CreateError::KeyTaken { .. })), "{error}");
    name.remove();
    // Its segment has been removed by other means.
    spsc::create(name.at(), &options()).unwrap();
    name.remove();
    works();
}

fn play_dies_in_init(at: &str) {
    let _ = Segment::create(at, LEN, &Access::default(), |mapping| {
        // SAFETY: inside of the mapping, which nobody else has.
        unsafe { mapping.as_ptr().write_bytes(0xff, mapping.len()) };
        say("inside");
        hear();
    });
}

#[test]
fn removed_by_other_means_while_somebody_lives_in_it() {
    let name = Name::new("ipcrm");
    let mut tx = Producer::create(name.at(), &options()).unwrap();
    let mut rx = Consumer::open(name.at()).unwrap();
    name.remove();
    assert_eq!(Consumer::open(name.at()).unwrap_err().kind(), SetupErrorKind::NotFound);
    // Another ring takes the name; the living go on, and their deaths are still proven.
    let mut other = Producer::open_or_create(name.at(), &options()).unwrap();
    other.try_send(2, b"").unwrap();
    tx.try_send(1, b"").unwrap();
    assert_eq!(rx.recv_into(&mut []).unwrap().tag, 1);
    drop(tx);
    assert_eq!(rx.recv_into(&mut []), Err(RecvError::Disconnected));
    assert_eq!(Consumer::open(name.at()).unwrap().recv_into(&mut []).unwrap().tag, 2);
}

#[test]
fn side_files_are_looked_at_with_suspicion() {
    let name = Name::new("side");
    let refused = |expected: SetupErrorKind| {
        let kinds = [
            Consumer::open(name.at()).map(drop).unwrap_err().kind(),
            Producer::open(name.at()).map(drop).unwrap_err().kind(),
            spsc::recover(name.at(), None).map(drop).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [expected; 3]);
        let created = Producer::create(name.at(), &options()).unwrap_err().kind();
        assert_eq!(created, SetupErrorKind::Exists);
        assert!(name.id().is_none());
    };
    fs::create_dir(name.side()).unwrap();
    refused(SetupErrorKind::Corrupt);
    fs::remove_dir(name.side()).unwrap();
    std::os::unix::fs::symlink("/dev/null", name.side()).unwrap();
    refused(SetupErrorKind::Corrupt);
    fs::remove_file(name.side()).unwrap();
    fs::write(name.side(), "something else, which is long enough to be looked at").unwrap();
    fs::set_permissions(name.side(), Permissions::from_mode(0o600)).unwrap();
    refused(SetupErrorKind::Corrupt);
    fs::remove_file(name.side()).unwrap();

    spsc::create(name.at(), &options()).unwrap();
    fs::set_permissions(name.side(), Permissions::from_mode(0o602)).unwrap();
    assert_eq!(Consumer::open(name.at()).unwrap_err().kind(), SetupErrorKind::Permission);
    fs::set_permissions(name.side(), Permissions::from_mode(0o600)).unwrap();
    // It tells of another segment, of no segment, of a length that the segment has not.
    let file = File::options().write(true).read(true).open(name.side()).unwrap();
    let mut good = [0; 32];
    file.read_exact_at(&mut good, 0).unwrap();
    let other = Name::new("side-other");
    let id = u64::try_from(other.by_hand(LEN)).unwrap() + 1;
    for (at, word, kind) in [
        (16, id, SetupErrorKind::NotFound),
        (16, 0, SetupErrorKind::NotFound),
        (16, u64::MAX, SetupErrorKind::NotFound),
        (8, 0, SetupErrorKind::NotFound),
        (8, 2, SetupErrorKind::Corrupt),
        (24, 0, SetupErrorKind::Corrupt),
        (24, 1 << 40, SetupErrorKind::Corrupt),
        (24, 4096, SetupErrorKind::Corrupt),
    ] {
        file.write_all_at(&word.to_le_bytes(), at).unwrap();
        assert_eq!(Consumer::open(name.at()).unwrap_err().kind(), kind, "{word:#x} at {at}");
        assert_eq!(spsc::inspect(name.at()).unwrap_err().kind(), kind, "{word:#x} at {at}");
        file.write_all_at(&good, 0).unwrap();
    }
    Consumer::open(name.at()).unwrap();
    if std::os::unix::fs::chown(name.side(), Some(65534), None).is_err() {
        return println!("skipped: needs root");
    }
    assert_eq!(Consumer::open(name.at()).unwrap_err().kind(), SetupErrorKind::Permission);
}

#[test]
fn listed_beside_the_others() {
    let (one, two) = (Name::new("list-one"), Name::new("list-two"));
    spsc::create(one.at(), &options()).unwrap();
    let _rx = mpmc::Consumer::create(two.at(), &mpmc::Options::new().slots(8).mode(0o640)).unwrap();
    let list = Segment::list().unwrap();
    let info = |name: &Name| list.iter().find(|info| info.name == name.at()).unwrap();
    assert_eq!((info(&one).len, info(&one).mode, info(&one).held), (LEN, 0o600, Some(false)));
    assert_eq!((info(&two).mode, info(&two).held), (0o640, Some(true)));
}
