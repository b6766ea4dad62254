//! What one user can do to another who uses the same `/dev/shm`: a table of attacks, each played by a process of one user
//! against a process of another. Some fail because of the kernel; from the others the library must draw its conclusion
//! with an error: no use of the name gets through, and none hangs or dies.
#![allow(unsafe_code)]

mod support;

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use ring_shm::spsc::{Consumer, Options, Producer};
use ring_shm::{OpenRules, Segment};
use support::{child, say};

const VICTIM: u32 = 65_534;
const ATTACKER: u32 = 65_533;
/// Both belong to it.
const GROUP: u32 = 54_321;
/// The attacker's own.
const OTHER: u32 = 54_322;

/// The name that the victim will use.
const NAME: &str = "wanted";
const PATH: &str = "/dev/shm/ring.wanted";
/// A ring of the victim's that it did not ask for.
const BESIDE: &str = "/dev/shm/ring.beside";

type Deed = fn() -> io::Result<()>;

struct Attack {
    name: &'static str,
    /// What the victim has done before.
    before: Deed,
    attack: Deed,
    /// Words of every refusal; `None`: the attack itself is refused, and the victim works on.
    refusal: Option<&'static str>,
}

const fn attack(name: &'static str, before: Deed, attack: Deed, refusal: &'static str) -> Attack {
    Attack { name, before, attack, refusal: Some(refusal) }
}

/// An attack that the kernel, or the library in the attacker's hands, refuses.
const fn hopeless(name: &'static str, before: Deed, attack: Deed) -> Attack {
    Attack { name, before, attack, refusal: None }
}

const ATTACKS: &[Attack] = &[
    attack("a symbolic link to another ring of the victim", beside, || symlink(BESIDE, PATH), "symbolic link"),
    attack("a symbolic link to a file of root's", nothing, || symlink("/etc/passwd", PATH), "symbolic link"),
    attack("a symbolic link to nowhere", nothing, || symlink("/dev/shm/ring.nowhere", PATH), "symbolic link"),
    attack("a symbolic link to itself", nothing, || symlink(PATH, PATH), "symbolic link"),
    attack("a directory", nothing, || fs::create_dir(PATH), "directory"),
    attack("a fifo, to hang who opens it", nothing, fifo, "fifo"),
    attack("a socket", nothing, || UnixListener::bind(PATH).map(drop), "socket"),
    attack("an empty file", nothing, || own_file(b"", 0o644), "may not be opened"),
    attack("an empty file of everybody's", nothing, || own_file(b"", 0o666), "is empty"),
    attack("a file of rubbish", nothing, || own_file(&[0x5a; 8192], 0o664), "belongs to user"),
    attack("a ring that nobody else may open", nothing, || own_ring(0o600, None), "may not be opened"),
    attack("a ring that everybody may read", nothing, || own_ring(0o644, None), "may not be opened"),
    attack("a ring that everybody may write", nothing, || own_ring(0o666, None), "belongs to user"),
    attack("a ring shared with others", nothing, || own_ring(0o660, Some(OTHER)), "may not be opened"),
    attack(
        "a ring shared with the victim's group, for who wants his own",
        nothing,
        || own_ring(0o660, Some(GROUP)),
        "belongs to user",
    ),
    attack("another name for a ring of the victim", beside, || fs::hard_link(BESIDE, PATH), "2 names"),
    attack("a shared ring cut to nothing", shared, || open(PATH)?.set_len(0), "is empty"),
    attack("a shared ring cut short", shared, || open(PATH)?.set_len(4096), "8192"),
    attack(
        "a shared ring made longer, for who locks or fills all of it",
        shared,
        || open(PATH)?.set_len(1 << 40),
        "resized",
    ),
    attack("a shared ring with a false length", shared, || write(40, 1 << 40), "checksum"),
    attack("a shared ring with a false capacity", shared, || write(48, 1 << 40), "checksum"),
    attack("a shared ring of another kind", shared, || write(0, u64::from_le_bytes(*b"RINGMPMC")), "magic"),
    attack("a shared ring of another version", shared, || write(8, 2), "version"),
    attack("a shared ring full of ones", shared, || open(PATH)?.write_all_at(&[0xff; 4096], 0), "magic"),
    attack("a shared ring whose lease numbers are used up", shared, || write(640, u64::MAX), "lease"),
    hopeless("a shared ring made everybody's", shared, || fs::set_permissions(PATH, Permissions::from_mode(0o666))),
    hopeless("taking the name away", shared, || fs::remove_file(PATH)),
    hopeless("taking the name away by the library", shared, || ring_shm::unlink(NAME, true).map_err(io::Error::other)),
    hopeless("another ring under the same name", shared, || {
        own_ring(0o666, None).and_then(|()| fs::rename(BESIDE, PATH))
    }),
    hopeless("a ring given away to the victim", nothing, give_away),
    hopeless("opening what is private", private, || {
        Segment::open_with(NAME, &OpenRules::Anyone).map(drop).map_err(io::Error::other)
    }),
    hopeless("reading what is private", private, || File::open(PATH).map(drop)),
    hopeless("a path for a name", private, || ring_shm::unlink("../shm/ring.wanted", true).map_err(io::Error::other)),
    hopeless("temporary names for the victim to clean", private, || {
        fs::write("/dev/shm/.ring.tmp.trap", b"")?;
        symlink(PATH, "/dev/shm/.ring.tmp.link")?;
        Err(io::Error::other("they are just there"))
    }),
];

fn nothing() -> io::Result<()> {
    Ok(())
}

fn private() -> io::Result<()> {
    ring_shm::spsc::create(NAME, &Options::new().capacity(4096)).map_err(io::Error::other)
}

fn shared() -> io::Result<()> {
    ring_shm::spsc::create(NAME, &Options::new().capacity(4096).mode(0o660).group(GROUP)).map_err(io::Error::other)
}

fn beside() -> io::Result<()> {
    ring_shm::spsc::create("beside", &Options::new().capacity(4096).mode(0o660).group(GROUP)).map_err(io::Error::other)
}

fn fifo() -> io::Result<()> {
    let path = CString::new(PATH)?;
    // SAFETY: a C string that lives until the call returns.
    if unsafe { libc::mkfifo(path.as_ptr(), 0o666) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn own_file(bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::write(PATH, bytes)?;
    chown(PATH, None, Some(GROUP))?;
    fs::set_permissions(PATH, Permissions::from_mode(mode))
}

fn own_ring(mode: u32, group: Option<u32>) -> io::Result<()> {
    ring_shm::spsc::create(NAME, &Options::new().capacity(4096)).map_err(io::Error::other)?;
    if let Some(group) = group {
        chown(PATH, None, Some(group))?;
    }
    fs::set_permissions(PATH, Permissions::from_mode(mode))
}

fn give_away() -> io::Result<()> {
    own_ring(0o600, None)?;
    let given = chown(PATH, Some(VICTIM), None);
    fs::remove_file(PATH)?;
    given
}

fn open(path: &str) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

fn write(offset: u64, word: u64) -> io::Result<()> {
    open(PATH)?.write_all_at(&word.to_le_bytes(), offset)
}

#[test]
fn child_entry() {
    support::run_role(|role, _| match role {
        "table" => play_table(),
        other => panic!("no role {other}"),
    });
}

#[test]
fn attacks_of_one_user_on_another() {
    let mut child = child("table", &[]);
    let told = child.next();
    println!("{}", told.as_deref().unwrap_or("nothing was said"));
    assert!(child.finish().success() && told.is_some());
}

fn play_table() {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return say("skipped: needs root to become two users");
    }
    if let Err(reason) = support::own_shm("4m") {
        return say(&format!("skipped: {reason}"));
    }
    fs::set_permissions("/dev/shm", Permissions::from_mode(0o1777)).unwrap();
    assert!(ATTACKS.len() >= 15);
    let mut failures = Vec::new();
    for Attack { name, before, attack, refusal } in ATTACKS {
        for entry in fs::read_dir("/dev/shm").unwrap() {
            let path = entry.unwrap().path();
            let _ = fs::remove_dir(&path);
            let _ = fs::remove_file(&path);
        }
        let done = |deed: &Deed| deed().map_or_else(|error| format!("refused: {error}"), |()| "done".into());
        assert_eq!(as_user(VICTIM, || done(before)), "done", "{name}");
        let done = as_user(ATTACKER, || done(attack));
        let start = Instant::now();
        let verdict = as_user(VICTIM, || defend(*refusal));
        let took = start.elapsed();
        if refusal.is_some() != (done == "done") || verdict != "fine" || took > Duration::from_secs(60) {
            failures.push(format!("{name}: {done}; {verdict}; it took {took:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    say(&format!("{} attacks, none got through", ATTACKS.len()));
}

/// What the victim gets of every use of the name.
fn defend(refusal: Option<&str>) -> String {
    let own = Options::new().capacity(4096);
    let Some(words) = refusal else {
        // Nothing has happened to it.
        let used = Producer::open_or_create(NAME, &own).or_else(|_| Producer::open(NAME)).and_then(|mut tx| {
            let mut rx = Consumer::open(NAME)?;
            assert!(tx.try_send(0, b"unharmed").is_ok() && rx.try_recv_into(&mut [0; 64]).is_ok());
            Ok(())
        });
        let report = Segment::remove_stale().unwrap();
        return match used {
            Ok(()) if report.removed.len() == 1 && report.temporaries == 0 => "fine".into(),
            other => format!("{other:?}, {report:?}"),
        };
    };
    let uses = [
        Producer::open_with(NAME, &OpenRules::Own).map(drop),
        Producer::open_or_create(NAME, &own).map(drop),
        Consumer::open_or_create(NAME, &own).map(drop),
        ring_shm::spsc::recover(NAME, None).map(drop),
    ];
    for (i, used) in uses.into_iter().enumerate() {
        // Whoever says `recover` puts up with a ring that is shared with his group.
        match used {
            Err(error) if error.to_string().contains(words) => {}
            _ if i == 3 && words == "belongs to user" => {}
            other => return format!("use {i}: {other:?}, and not {words:?}"),
        }
    }
    match ring_shm::spsc::create(NAME, &own) {
        Err(error) if error.to_string().contains("exists") => {}
        other => return format!("create: {other:?}"),
    }
    // Looking harms nobody.
    let _ = (ring_shm::kind_of(NAME), ring_shm::spsc::inspect(NAME), Segment::list().unwrap());
    "fine".into()
}

/// What `f` says as that user, of both users' group.
fn as_user(user: u32, f: impl FnOnce() -> String) -> String {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    // SAFETY: the other thread of this process is the test harness, which waits for this one.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let groups = if user == ATTACKER { vec![GROUP, OTHER] } else { vec![GROUP] };
        // SAFETY: a live array of so many groups.
        let mut done = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
        // SAFETY: plain numbers.
        done |= unsafe { libc::setresgid(user, user, user) };
        // SAFETY: plain numbers.
        done |= unsafe { libc::setresuid(user, user, user) };
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or_else(|_| "it panicked".into());
        let said = if done == 0 { said } else { "it could not become that user".into() };
        let _ = there.write_all(said.as_bytes());
        // SAFETY: ends this process, and runs nothing of the harness.
        unsafe { libc::_exit(0) };
    }
    drop(there);
    let mut said = String::new();
    here.read_to_string(&mut said).unwrap();
    let mut status = 0;
    // SAFETY: our child, and a live number.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "it died");
    said
}

/// Somebody who may open a ring can lock what others have to lock: that holds them up for two seconds, and no longer.
#[test]
fn a_locker_holds_nobody_up_for_long() {
    let name = support::unique("locker");
    ring_shm::spsc::create(name.as_str(), &Options::new().capacity(4096)).unwrap();
    let file = File::options().read(true).write(true).open(name.path()).unwrap();
    let lock = |start: i64, len: i64| {
        // SAFETY: plain numbers, for which zero is a value.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        (range.l_type, range.l_start, range.l_len) = (libc::F_WRLCK as i16, start, len);
        // SAFETY: a live `flock`.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &mut range) }, 0);
        range.l_type = libc::F_UNLCK as i16;
        range
    };
    let start = Instant::now();
    let mut gate = lock(1 << 40, 1);
    let error = Producer::open(name.as_str()).unwrap_err();
    assert!(error.to_string().contains("gate"), "{error}");
    assert!(matches!(ring_shm::unlink(name.as_str(), false), Err(ring_shm::UnlinkError::GateBusy { .. })));
    // SAFETY: a live `flock`.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &mut gate) }, 0);
    lock((1 << 40) + 1, 0);
    let error = Producer::open(name.as_str()).unwrap_err();
    assert!(error.to_string().contains("lease numbers"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60));
    ring_shm::unlink(name.as_str(), true).unwrap();
}
