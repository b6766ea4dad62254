//! Child processes, unique names and clean-up for the integration tests of this crate.
//!
//! A child is this very test binary, started for its test `child_entry` alone. Each test file defines
//!
//! ```ignore
//! #[test]
//! fn child_entry() {
//!     support::run_role(|role, args| match role { "holder" => …, other => panic!("no role {other}") });
//! }
//! ```
//!
//! which returns at once unless it runs as a child. Parent and child talk in lines: [`say`] and [`hear`] in the
//! child, [`Child::wait_for`] and [`Child::tell`] in the parent. Every [`Child`] and [`TestName`] cleans up when
//! dropped, also by a panic. Only processes started here are ever signalled.
//!
//! Rings are POSIX segments, except in the test programs `over_file`, `over_memfd`, `over_strict` and `over_sysv`: these hold other
//! test files as modules, so that the same tests run over each backing.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, IntoRawFd as _};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use ring_shm::wait::Park;
use ring_shm::{Location, Memfd, NameError, SegmentName, SysvName, ToLocation};

/// What a survivor has to go on in: a slice of 50 ms and the probe.
pub const SOON: Duration = Duration::from_millis(60);

/// Parks without spinning first.
pub fn at_once() -> Park {
    Park::after(Duration::ZERO)
}

const ROLE: &str = "RING_TEST_ROLE";
const ARGS: &str = "RING_TEST_ARGS";
const SEPARATOR: char = '\u{1f}';
const MARK: &str = "@ring ";

/// Where the rings of this test program live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    Posix,
    File,
    Memfd,
    Sysv,
    /// No place: two processes meet at a socket of that path, by `support/strict.rs`.
    Strict,
}

pub fn backing() -> Backing {
    match env!("CARGO_CRATE_NAME") {
        "over_file" => Backing::File,
        "over_memfd" => Backing::Memfd,
        "over_sysv" => Backing::Sysv,
        "over_strict" => Backing::Strict,
        _ => Backing::Posix,
    }
}

/// Whether rings live there, for which `reason` a test makes no sense.
pub fn skip_over(there: Backing, reason: &str) -> bool {
    let yes = backing() == there;
    if yes {
        println!("skipped: {there:?} {reason}");
    }
    yes
}

/// A place for a ring that nobody else uses; what is there is removed at the end.
pub struct TestName(pub Location, String);

/// A unique name with `tag` in it.
pub fn unique(tag: &str) -> TestName {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let name = SegmentName::new(&format!("t-{tag}-{}-{now}", std::process::id())).unwrap();
    TestName::new(match backing() {
        Backing::Posix => name.into(),
        Backing::File | Backing::Strict => {
            Location::file(format!("{}/{}", env!("CARGO_TARGET_TMPDIR"), name.file_name()))
        }
        Backing::Sysv => SysvName::new(name.as_str()).unwrap().into(),
        Backing::Memfd => {
            // Not even the children have the descriptor: they take it from this process.
            let number = Memfd::new(name.as_str()).unwrap().as_fd().try_clone_to_owned().unwrap().into_raw_fd();
            format!("fd:{}/{number}", std::process::id()).parse().unwrap()
        }
    })
}

impl TestName {
    pub fn new(at: impl Into<Location>) -> Self {
        let at = at.into();
        let text = at.to_string();
        Self(at, text)
    }

    pub fn as_str(&self) -> &str {
        &self.1
    }

    pub fn path(&self) -> PathBuf {
        path_of(&self.1)
    }
}

/// Where the bytes of the ring are; with System V, where its side file is.
pub fn path_of(name: &str) -> PathBuf {
    match name.split_once(':') {
        Some(("file", path)) => path.into(),
        Some(("sysv", name)) => format!("/dev/shm/.ring.sysv.{:08x}", name.parse::<SysvName>().unwrap().key()).into(),
        Some(("fd", text)) => format!("/proc/{}", text.replace('/', "/fd/")).into(),
        _ => format!("/dev/shm/ring.{name}").into(),
    }
}

impl ToLocation for TestName {
    fn to_location(&self) -> Result<Location, NameError> {
        Ok(self.0.clone())
    }
}

impl Drop for TestName {
    fn drop(&mut self) {
        let _ = ring_shm::unlink(&self.0, true);
        let _ = std::fs::remove_dir(self.path());
        let _ = std::fs::remove_file(self.path());
        if let Some((_, number)) = self.1.strip_prefix("fd:").and_then(|text| text.split_once('/')) {
            // SAFETY: the number of `unique`, which nobody else closes.
            unsafe { libc::close(number.parse().unwrap()) };
        }
    }
}

/// Runs `play` if this process is a child. To be called by `child_entry`.
pub fn run_role(play: impl FnOnce(&str, &[String])) {
    let Ok(role) = std::env::var(ROLE) else { return };
    let args: Vec<String> =
        std::env::var(ARGS).unwrap_or_default().split(SEPARATOR).map(String::from).filter(|a| !a.is_empty()).collect();
    play(&role, &args);
}

/// Tells the parent something.
pub fn say(text: &str) {
    // libtest has left the cursor in the middle of a line.
    let mut out = std::io::stdout().lock();
    write!(out, "\n{MARK}{text}\n").unwrap();
    out.flush().unwrap();
}

/// What the parent tells; `None` when it is gone.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    (std::io::stdin().read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
}

/// A child process, killed and reaped when dropped.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Starts a child that plays `role`.
pub fn child(role: &str, args: &[&str]) -> Child {
    // The test file that this belongs to may be a module of a larger program.
    let module = module_path!().split_once("::").unwrap().1.strip_suffix("support").unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}child_entry"), "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(ARGS, args.join(&SEPARATOR.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = process.stdin.take();
    let output = BufReader::new(process.stdout.take().unwrap());
    Child { process, input, output }
}

/// Plays `role` in a process of its own, which says `word` when all is well, and ends; what it says behind that.
pub fn play_alone(role: &str, word: &str) -> String {
    let mut alone = child(role, &[]);
    let told = alone.wait_for(word);
    assert!(alone.finish().success());
    told
}

impl Child {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next thing the child says; `None` at its end.
    pub fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(text) = line.trim_end().strip_prefix(MARK) {
                return Some(text.to_owned());
            }
            line.clear();
        }
        None
    }

    /// The rest of the next thing said, which has to begin with `word`.
    pub fn wait_for(&mut self, word: &str) -> String {
        let text = self.next().unwrap_or_else(|| panic!("the child ended before it said {word:?}"));
        text.strip_prefix(word).unwrap_or_else(|| panic!("expected {word:?}, heard {text:?}")).trim().to_owned()
    }

    /// Tells and waits for the answer.
    pub fn ask(&mut self, line: &str, word: &str) -> String {
        self.tell(line);
        self.wait_for(word)
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: plain numbers; the process is ours and not reaped, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    /// SIGKILL, and waits until the process is a zombie with all its threads, without reaping it. (`/proc/PID/stat`
    /// would not do: it says `Z` for a leader whose threads still run.)
    pub fn kill_unreaped(&self) {
        self.signal(libc::SIGKILL);
        // SAFETY: `siginfo_t` is plain numbers, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: our child, and a live `siginfo_t`.
        let done = unsafe { libc::waitid(libc::P_PID, self.process.id(), &mut info, libc::WEXITED | libc::WNOWAIT) };
        assert_eq!(done, 0);
    }

    /// SIGKILL and `waitpid`.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Closes its input and waits for its end.
    pub fn finish(&mut self) -> ExitStatus {
        self.input = None;
        self.process.wait().unwrap()
    }

    /// Waits until `/proc/PID/stat` shows the state.
    pub fn wait_for_state(&self, state: char) {
        for _ in 0..5000 {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
            if stat.rsplit_once(") ").unwrap().1.starts_with(state) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("process {} never came to state {state}", self.pid());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Gives this process a mount namespace of its own, whose mounts nobody else sees. The reason if it may not.
pub fn own_mounts() -> Result<(), String> {
    // SAFETY: plain numbers.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(format!("unshare: {}", std::io::Error::last_os_error()));
    }
    mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")
}

/// `mount(2)`. Only after [`own_mounts`].
pub fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) -> Result<(), String> {
    let [source, target, kind, data] = [source, target, kind, data].map(|text| std::ffi::CString::new(text).unwrap());
    // SAFETY: four C strings that live until the call returns.
    let done = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    if done == 0 { Ok(()) } else { Err(format!("mount {target:?}: {}", std::io::Error::last_os_error())) }
}

/// Mounts a tmpfs of its own over `/dev/shm`, for this process and its children.
pub fn own_shm(size: &str) -> Result<(), String> {
    own_mounts()?;
    mount("ring-test", "/dev/shm", "tmpfs", 0, &format!("size={size},mode=1777"))
}

/// Takes system calls away from this process, as a sandbox does: they fail with EPERM.
pub fn forbid(calls: &[libc::c_long]) {
    let code = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = vec![code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for call in calls {
        program.extend([
            libc::sock_filter {
                code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
                jt: 0,
                jf: 1,
                k: *call as u32,
            },
            code(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        ]);
    }
    program.push(code(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: a program that lives until the call returns.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    for call in calls {
        // SAFETY: plain numbers; the call does not happen.
        assert_eq!(unsafe { libc::syscall(*call, 0, 0, 0, 0, 0) }, -1);
    }
}
