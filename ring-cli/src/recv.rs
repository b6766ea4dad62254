//! `ringctl recv`: a ring's records into an output, byte for byte. A record leaves the ring when it has been written,
//! so whatever ends this process, nothing is lost: a successor gets what was not, flagged where it may be twice.

use std::time::Instant;

use ring_shm::Kind;
use ring_shm::spsc::{Consumer, RecvError};
use ring_shm::wait::Spin;
use serde_json::json;

use crate::args::RecvArgs;
use crate::attach;
use crate::exit::{Code, Failure, note};
use crate::mpmc;
use crate::output::{self, Output, Unwritten};
use crate::progress::Progress;
use crate::signals::{REGULARLY, Signals};

/// How many bytes are written at once, if so many are there.
const PIECE: usize = 256 << 10;

/// Runs the command.
///
/// # Errors
/// [`Failure`] with the code to end with.
pub(crate) fn run(args: &RecvArgs) -> Result<(), Failure> {
    let name = &args.place.at()?;
    let signals = Signals::watch()?;
    if attach::when_there(name, &args.waiting, &signals, ring_shm::kind_of)? == Kind::Mpmc {
        return mpmc::recv(args, name, &signals);
    }
    if args.dead_letters.is_some() {
        return Err(Failure::new(Code::Arguments, format!("--dead-letters: ring {name} is spsc and has none")));
    }
    let mut consumer = attach::when_there(name, &args.waiting, &signals, Consumer::open)?;
    if args.waiting.spin {
        consumer.set_wait_strategy(Spin);
    }
    signals.interrupt(consumer.canceller());
    let output = Output::open(args.file.as_deref(), &signals)?;
    // While a piece is being written its space is not the producer's.
    let piece = usize::try_from(consumer.capacity() / 4).unwrap_or(PIECE).min(PIECE);
    let mut receiver = Receiver {
        consumer,
        output,
        signals: &signals,
        buf: Vec::new(),
        piece,
        progress: Progress::new(None),
        got: Got::default(),
    };
    let start = Instant::now();
    let end = receiver.receive(args);
    let Receiver { consumer, progress, got, .. } = receiver;
    consumer.close();
    drop(progress);
    got.tell(args, start)?;
    end
}

/// What came.
#[derive(Debug, Default)]
struct Got {
    bytes: u64,
    records: u64,
    redelivered: u64,
    sessions: u64,
}

impl Got {
    fn tell(&self, args: &RecvArgs, start: Instant) -> Result<(), Failure> {
        let Self { bytes, records, redelivered, sessions } = *self;
        if redelivered > 0 {
            note(&format!("{redelivered} records may have been written before, by a `recv` that ended in between"));
        }
        if !args.json {
            return Ok(());
        }
        let facts = json!({
            "name": args.place.name, "bytes": bytes, "records": records, "redelivered": redelivered,
            "sessions": sessions, "seconds": start.elapsed().as_secs_f64(),
        });
        if args.file.is_some() {
            return output::print_json(&facts);
        }
        eprintln_json(&facts);
        Ok(())
    }
}

/// Where standard output carries the records.
pub(crate) fn eprintln_json(facts: &serde_json::Value) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{facts}");
}

struct Receiver<'a> {
    consumer: Consumer,
    output: Output,
    signals: &'a Signals,
    buf: Vec<u8>,
    piece: usize,
    progress: Progress,
    got: Got,
}

impl Receiver<'_> {
    /// Until the session ends (all of them with `--follow`), the reader of the output goes away, or a signal comes.
    fn receive(&mut self, args: &RecvArgs) -> Result<(), Failure> {
        loop {
            match self.pass_on() {
                Ok(()) => {}
                Err(Stop::Nothing) => self.signals.check()?,
                Err(Stop::ReaderGone) => return Ok(()),
                Err(Stop::Session(code, message)) => {
                    self.got.sessions = self.got.sessions.saturating_add(1);
                    match code {
                        _ if args.follow => note(&format!("{message}; waiting for the next one")),
                        None => return Ok(()),
                        Some(code) => return Err(Failure::new(code, message)),
                    }
                }
                Err(Stop::Failed(failure)) => return Err(failure),
            }
        }
    }

    /// Waits for something, writes what is there, up to a piece, and then gives its space back.
    fn pass_on(&mut self) -> Result<(), Stop> {
        let mut batch = self.consumer.read_batch_timeout(usize::MAX, REGULARLY)?;
        let (mut end, mut redelivered) = (0_usize, 0_u64);
        while end < self.piece {
            let Some(record) = batch.next_record() else { break };
            let next = end.saturating_add(record.len());
            if self.buf.len() < next {
                self.buf.resize(next.max(self.piece), 0);
            }
            record.copy_to(self.buf.get_mut(end..next).unwrap_or_default());
            redelivered = redelivered.saturating_add(u64::from(record.redelivered()));
            end = next;
        }
        if let Err(unwritten) = self.output.write_all(self.buf.get(..end).unwrap_or_default(), self.signals) {
            batch.keep();
            return Err(unwritten.into());
        }
        let records = batch.release() as u64;
        let got = &mut self.got;
        got.bytes = got.bytes.saturating_add(end as u64);
        got.records = got.records.saturating_add(records);
        got.redelivered = got.redelivered.saturating_add(redelivered);
        self.progress.add(end as u64);
        Ok(())
    }
}

/// Why nothing was passed on.
enum Stop {
    Nothing,
    ReaderGone,
    /// A session is over; the code where that is a failure.
    Session(Option<Code>, String),
    Failed(Failure),
}

impl From<RecvError> for Stop {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Timeout | RecvError::Cancelled => Self::Nothing,
            RecvError::Disconnected => Self::Session(None, error.to_string()),
            RecvError::PeerDied => Self::Session(Some(Code::PeerDied), error.to_string()),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<Unwritten> for Stop {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::ReaderGone => Self::ReaderGone,
            Unwritten::Failed(failure) => Self::Failed(failure),
        }
    }
}
