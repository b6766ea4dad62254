//! The two processes of a demo, from both ends: how the demo starts them, hears them, and ends them when one fails;
//! and how one of them goes about its work. They say lines of text on their standard output; their standard input
//! says when to begin. They die with the demo.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use ring_shm::spsc::{Consumer, Producer};
use ring_shm::wait::{Idle, Park, Round, WaitStrategy};
use serde_json::Value;

use super::{Plan, cpus, names, stream, trips};
use crate::args::{DemoPeerArgs, Side};
use crate::exit::{Code, Failure, io_failure};
use crate::output;
use crate::signals::Signals;

/// How long the other process may take to say what happened to it when one has failed.
const GRACE: Duration = Duration::from_secs(1);

/// How long a process spins for the other one.
const SPIN: Duration = Duration::from_micros(200);

/// What a process says.
#[derive(Debug)]
pub(super) enum Said {
    /// It sits in its rings.
    Ready,
    /// So many more bytes have been received.
    Through(u64),
    /// What it streamed.
    Streamed(Value),
    /// What the round trips took.
    Tripped(Value),
}

/// One process.
#[derive(Debug)]
struct Peer {
    side: Side,
    child: Child,
    out: ChildStdout,
    /// What it said and nobody has heard yet.
    heard: Vec<u8>,
    /// Its standard output has ended.
    silent: bool,
    /// What it said went wrong.
    failed: Option<Failure>,
}

/// Both of them; killed when dropped.
#[derive(Debug)]
pub(super) struct Peers([Peer; 2]);

impl Peers {
    /// Starts them.
    pub(super) fn start(plan: &Plan) -> Result<Self, Failure> {
        let [one, two] = plan.cpus.map_or([None, None], |cpus| cpus.map(Some));
        let producer = Peer::start(plan, Side::Producer, one)?;
        Ok(Self([producer, Peer::start(plan, Side::Consumer, two)?]))
    }

    /// Lets them begin.
    pub(super) fn go(&mut self) -> Result<(), Failure> {
        for peer in &mut self.0 {
            if let Some(mut stdin) = peer.child.stdin.take() {
                // One that has died is found out by listening to it.
                let _ = stdin.write_all(b"go\n");
            }
        }
        Ok(())
    }

    /// Waits for the next thing said; `None` when both have done their work.
    ///
    /// # Errors
    /// A signal, or what happened to one of them.
    pub(super) fn next(&mut self, signals: &Signals) -> Result<Option<(Side, Said)>, Failure> {
        loop {
            for peer in &mut self.0 {
                while let Some(line) = peer.line() {
                    match peer.understand(&line) {
                        Some(said) => return Ok(Some((peer.side, said))),
                        None if peer.failed.is_some() => return Err(self.post_mortem(signals)),
                        None => {}
                    }
                }
                if peer.silent && !peer.child.wait().is_ok_and(|status| status.success()) {
                    return Err(self.post_mortem(signals));
                }
            }
            if self.0.iter().all(|peer| peer.silent) {
                return Ok(None);
            }
            self.listen(signals, PollTimeout::NONE)?;
        }
    }

    /// Waits until one of them says something, or ends.
    fn listen(&mut self, signals: &Signals, timeout: PollTimeout) -> Result<(), Failure> {
        let ready: Vec<bool> = {
            let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            let speaking = self.0.iter().filter(|peer| !peer.silent);
            fds.extend(speaking.map(|peer| PollFd::new(peer.out.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Failure::new(Code::Other, format!("poll: {errno}"))),
            }
            fds.iter().map(|fd| fd.any().unwrap_or(true)).collect()
        };
        signals.check()?;
        let speaking = self.0.iter_mut().filter(|peer| !peer.silent);
        for (peer, _) in speaking.zip(ready.iter().skip(1)).filter(|(_, ready)| **ready) {
            peer.hear().map_err(|e| io_failure("a process of the demo", &e))?;
        }
        Ok(())
    }

    /// One has failed. The other may know why, and may have been the first.
    fn post_mortem(&mut self, signals: &Signals) -> Failure {
        let end = Instant::now() + GRACE;
        while Instant::now() < end && self.0.iter().any(|peer| !peer.silent) {
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            if let Err(failure) = self.listen(signals, PollTimeout::from(u8::try_from(left).unwrap_or(u8::MAX))) {
                return failure;
            }
        }
        if let Err(failure) = signals.check() {
            return failure;
        }
        for peer in &mut self.0 {
            while let Some(line) = peer.line() {
                let _ = peer.understand(&line);
            }
            if let Some(killer) = peer.status().and_then(|status| status.signal()) {
                let (who, pid) = (peer.name(), peer.child.id());
                let by = Signal::try_from(killer).map_or_else(|_| killer.to_string(), |signal| signal.to_string());
                return Failure::new(
                    Code::PeerDied,
                    format!("the {who} (process {pid}) was killed by {by}; its rings are gone, run the demo again"),
                );
            }
        }
        // What one says of the other's end says nothing new if that one has its own story.
        self.0.sort_by_key(|peer| peer.failed.as_ref().is_none_or(|failure| failure.code == Code::PeerDied));
        let [peer, other] = &mut self.0;
        let failure = peer.failed.take().or_else(|| other.failed.take());
        match failure {
            // Someone else ended it; for the demo that is a peer's death.
            Some(f) if matches!(f.code, Code::Interrupted | Code::Terminated) => {
                Failure::new(Code::PeerDied, format!("the {} was {f}; run the demo again", peer.name()))
            }
            Some(failure) => failure.at(peer.name()),
            None => Failure::new(Code::Other, "a process of the demo ended before its work was done"),
        }
    }
}

impl Peer {
    fn start(plan: &Plan, side: Side, cpu: Option<usize>) -> Result<Self, Failure> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("ringctl").arg("demo-peer");
        if let Some(cpu) = cpu {
            command.arg(format!("--cpu={cpu}"));
        }
        if let Some(seconds) = plan.limit {
            command.arg(format!("--limit={seconds}"));
        }
        command.arg(match side {
            Side::Producer => "producer",
            Side::Consumer => "consumer",
        });
        command.args([&plan.prefix, &plan.total.to_string(), &plan.rounds.to_string()]).arg("--").args(&plan.files);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let failed = |e: io::Error| io_failure("starting a process of the demo", &e);
        let mut child = command.spawn().map_err(failed)?;
        let Some(out) = child.stdout.take() else { return Err(failed(io::ErrorKind::BrokenPipe.into())) };
        Ok(Self { side, child, out, heard: Vec::new(), silent: false, failed: None })
    }

    fn name(&self) -> &'static str {
        match self.side {
            Side::Producer => "producer process",
            Side::Consumer => "consumer process",
        }
    }

    fn hear(&mut self) -> io::Result<()> {
        let mut buf = [0; 1 << 14];
        let n = self.out.read(&mut buf)?;
        self.silent = n == 0;
        self.heard.extend_from_slice(buf.get(..n).unwrap_or_default());
        Ok(())
    }

    /// The next whole line.
    fn line(&mut self) -> Option<String> {
        let end = self.heard.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.heard.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// What `line` means; a failure is remembered.
    fn understand(&mut self, line: &str) -> Option<Said> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "ready" => Some(Said::Ready),
            "through" => rest.parse().ok().map(Said::Through),
            "streamed" => serde_json::from_str(rest).ok().map(Said::Streamed),
            "tripped" => serde_json::from_str(rest).ok().map(Said::Tripped),
            _ => {
                let (code, message) = rest.split_once(' ').unwrap_or(("", line));
                let code = code.parse().ok().and_then(Code::from_number).unwrap_or(Code::Other);
                self.failed = Some(Failure::new(code, message));
                None
            }
        }
    }

    /// How it ended, if it has.
    fn status(&mut self) -> Option<ExitStatus> {
        let end = Instant::now() + GRACE;
        loop {
            match self.child.try_wait() {
                Ok(None) if self.silent && Instant::now() < end => thread::sleep(Duration::from_millis(1)),
                status => return status.ok().flatten(),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Spins, and sleeps only when the other one has lost its CPU; although this process is pinned to one CPU, since the
/// other one is pinned to another.
#[derive(Debug)]
struct Patient {
    park: Park,
    alone: bool,
}

impl WaitStrategy for Patient {
    #[inline]
    fn idle(&mut self, mut round: Round) -> Idle {
        round.one_cpu = self.alone;
        self.park.idle(round)
    }
}

/// Does the work of one process.
///
/// # Errors
/// [`Failure`].
pub(super) fn act(args: &DemoPeerArgs) -> Result<(), Failure> {
    let signals = Signals::watch()?;
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| Failure::new(Code::Other, format!("prctl: {e}")))?;
    let patient = || Patient { park: Park::after(SPIN), alone: args.cpu.is_none() };
    if let Some(cpu) = args.cpu {
        cpus::pin(cpu);
    }
    let [stream, ping, pong] = names(&args.prefix);
    match args.side {
        Side::Producer => {
            let (mut tx, mut ping, pong) = (Producer::open(&stream)?, Consumer::open(&ping)?, Producer::open(&pong)?);
            tx.set_wait_strategy(patient());
            ping.set_wait_strategy(patient());
            ready()?;
            say("streamed", &stream::send(tx, args, &signals)?)?;
            trips::answer(ping, pong, &signals)
        }
        Side::Consumer => {
            let (mut rx, ping, mut pong) = (Consumer::open(&stream)?, Producer::open(&ping)?, Consumer::open(&pong)?);
            rx.set_wait_strategy(patient());
            pong.set_wait_strategy(patient());
            ready()?;
            say("streamed", &stream::receive(rx, args, &signals)?)?;
            say("tripped", &trips::measure(ping, pong, args.rounds, &signals)?)
        }
    }
}

/// Says so, and waits for the word to begin.
fn ready() -> Result<(), Failure> {
    output::print("ready\n")?;
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(n) if n > 0 => Ok(()),
        _ => Err(Failure::new(Code::Other, "the demo is gone")),
    }
}

/// Says one of the words that have facts.
fn say(word: &str, facts: &Value) -> Result<(), Failure> {
    output::print(&format!("{word} {facts}\n"))
}
