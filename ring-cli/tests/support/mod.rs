//! Running the real `ringctl`: commands with a deadline, processes that are killed when a test ends, rings that are
//! removed when it panics. Only processes started here are ever signalled.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use ring_shm::{Location, NameError, SeatState, ToLocation, spsc};
use serde_json::Value;

/// What anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A name nobody else uses, and the ring that may have it.
pub struct Ring(pub String);

impl Ring {
    /// The name alone.
    pub fn name(tag: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        Self(format!("cli-{tag}-{}-{n}-{now}", std::process::id()))
    }

    /// A ring of `capacity`.
    pub fn new(tag: &str, capacity: &str) -> Self {
        let ring = Self::name(tag);
        run(&["create", &ring, "--kind", "spsc", "--capacity", capacity], b"").expect(0);
        ring
    }

    pub fn path(&self) -> PathBuf {
        format!("/dev/shm/ring.{}", self.0).into()
    }

    pub fn stat(&self) -> Value {
        run(&["stat", self, "--json"], b"").expect(0).json()
    }

    /// Waits until somebody has sat down as producer.
    pub fn wait_for_producer(&self) {
        wait_until("a producer", || held(&spsc::inspect(self).unwrap().producer));
    }

    /// Waits until somebody has sat down as consumer.
    pub fn wait_for_consumer(&self) {
        wait_until("a consumer", || held(&spsc::inspect(self).unwrap().consumer));
    }

    /// Waits until the head has moved to `position`, or beyond.
    pub fn wait_for_head(&self, position: u64) {
        wait_until("the head", || spsc::inspect(self).unwrap().head.get() >= position);
    }

    /// Waits until the tail has moved to `position`, or beyond.
    pub fn wait_for_tail(&self, position: u64) {
        wait_until("the tail", || spsc::inspect(self).unwrap().tail.get() >= position);
    }
}

fn held(seat: &spsc::Seat) -> bool {
    matches!(seat.state, SeatState::Held(_)) && seat.facts.pid != 0
}

impl ToLocation for Ring {
    fn to_location(&self) -> Result<Location, NameError> {
        self.0.to_location()
    }
}

impl std::ops::Deref for Ring {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.path());
        let _ = fs::remove_file(self.path());
    }
}

/// What runs another command as somebody else; for root.
pub fn as_somebody_else(groups: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", groups]);
    command
}

/// Whether that can be done here.
pub fn can_be_somebody_else(groups: &str) -> bool {
    geteuid().is_root() && as_somebody_else(groups).arg("true").status().is_ok_and(|status| status.success())
}

/// Puts the binary where others can look. Another process writes it: a file that this one has open for writing is inherited by what its
/// other threads start meanwhile, and then cannot be run ("Text file busy").
pub fn copy_binary(to: &Path) {
    let done = Command::new("cp").arg(env!("CARGO_BIN_EXE_ringctl")).arg(to).status();
    assert!(done.is_ok_and(|status| status.success()), "cp to {}", to.display());
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited too long for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Out {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Out {
    /// Fails unless it ended with `code`, and, if that is none of success, said why.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{:?}\n{}\n{}", self.status, self.text(), self.stderr);
        if code != 0 {
            assert!(self.stderr.contains("ringctl: "), "{:?}", self.stderr);
        }
        self
    }

    /// Fails unless standard error has `text` in it.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {:?}", self.stderr);
        self
    }

    /// Requires `text` in what was written to standard output.
    #[track_caller]
    pub fn shows(self, text: &str) -> Self {
        assert!(self.text().contains(text), "no {text:?} in {:?}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// A process of ours.
pub struct Running {
    child: Child,
    pub stdin: Option<ChildStdin>,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
}

pub fn ringctl() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ringctl"))
}

/// Starts `ringctl`, its standard input open.
pub fn start(args: &[&str]) -> Running {
    start_command(ringctl().args(args))
}

pub fn start_command(command: &mut Command) -> Running {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    Running { stdin: child.stdin.take(), child, out, err }
}

/// Starts `ringctl` with something else than a pipe that is read as standard output.
pub fn start_into(args: &[&str], stdout: Stdio) -> Running {
    let mut child = ringctl().args(args).stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let err = read_all(child.stderr.take());
    Running { stdin: child.stdin.take(), child, out: None, err }
}

/// Runs `ringctl` on `input`.
pub fn run(args: &[&str], input: &[u8]) -> Out {
    let mut running = start(args);
    running.feed(input);
    running.finish()
}

fn read_all(from: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    from.map(|mut from| {
        thread::spawn(move || {
            let mut all = Vec::new();
            let _ = from.read_to_end(&mut all);
            all
        })
    })
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Writes to its standard input; if it does not read it all, that is its affair.
    pub fn feed(&mut self, input: &[u8]) {
        let _ = self.stdin.as_mut().unwrap().write_all(input);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends its input, and waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Out {
        drop(self.stdin.take());
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "process {} does not end", self.pid()),
            }
            thread::sleep(Duration::from_millis(2));
        };
        let text = |from: &mut Option<JoinHandle<Vec<u8>>>| from.take().map_or(Vec::new(), |t| t.join().unwrap());
        let (stdout, stderr) = (text(&mut self.out), text(&mut self.err));
        Out { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }

    /// Kills it by SIGKILL and waits.
    pub fn kill(mut self) -> Out {
        self.child.kill().unwrap();
        self.finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `len` bytes of every value, always the same.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
