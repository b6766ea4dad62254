//! `ringctl send`: an input, cut into records, into a ring. The seat is taken before anything is read; it is over when
//! all is committed, whether or not anybody has read it.

use std::mem;
use std::time::Instant;

use ring_shm::spsc::{self, Producer, SendError};
use ring_shm::wait::Spin;
use ring_shm::{Kind, Location};
use serde_json::json;

use crate::args::SendArgs;
use crate::attach;
use crate::cut::{Cut, Cutter};
use crate::exit::{Code, Failure, note};
use crate::input::Input;
use crate::mpmc;
use crate::output;
use crate::progress::Progress;
use crate::signals::{REGULARLY, Signals};

/// The longest record of an input that is sent as it comes.
pub(crate) const PIECE: usize = 64 << 10;

/// Runs the command.
///
/// # Errors
/// [`Failure`] with the code to end with.
pub(crate) fn run(args: &SendArgs) -> Result<(), Failure> {
    let name = &args.place.at()?;
    let signals = Signals::watch()?;
    let input = Input::open(args.file.as_deref())?;
    if attach::when_there(name, &args.waiting, &signals, ring_shm::kind_of)? == Kind::Mpmc {
        return mpmc::send(args, name, input, &signals);
    }
    let record = args.record.map(|bytes| check_record(name, bytes, args, &signals)).transpose()?;
    let mut producer = attach::when_there(name, &args.waiting, &signals, Producer::open)?;
    if args.waiting.spin {
        producer.set_wait_strategy(Spin);
    }
    signals.interrupt(producer.canceller());
    let max = producer.max_len();
    let cut = match record {
        Some(len) => Cut::Every(len.min(max)),
        None if args.lines => Cut::Lines(max),
        None => Cut::Stream(PIECE.min(max)),
    };
    let progress = Progress::new(input.len());
    let mut sender = Sender { producer, signals: &signals, progress, bytes: 0, records: 0 };
    let start = Instant::now();
    match sender.send_all(input, cut) {
        Ok(()) => sender.finish(args, start),
        Err(end) => Err(sender.end(end)),
    }
}

/// Refuses `--record` beyond what the ring takes, before a session is begun that would have to be ended.
fn check_record(name: &Location, bytes: u64, args: &SendArgs, signals: &Signals) -> Result<usize, Failure> {
    let ring = attach::when_there(name, &args.waiting, signals, spsc::inspect)?;
    match usize::try_from(bytes).ok().filter(|len| *len <= ring.max_len) {
        Some(len) => Ok(len),
        None => Err(Failure::new(
            Code::Arguments,
            format!(
                "--record {bytes}: the longest record of ring {name} has {} bytes; cut shorter ones, or create a ring \
                 of twice the record's size",
                ring.max_len
            ),
        )),
    }
}

/// Why sending stopped before the end of the input.
enum End {
    /// The ring or a signal ended it: the session is closed in order.
    Close(Failure),
    /// The input cannot be sent to its end: whoever reads must not take what came for all there was.
    Abandon(Failure),
}

/// One session.
#[derive(Debug)]
struct Sender<'a> {
    producer: Producer,
    signals: &'a Signals,
    progress: Progress,
    bytes: u64,
    records: u64,
}

impl Sender<'_> {
    fn send_all(&mut self, mut input: Input, cut: Cut) -> Result<(), End> {
        let mut cutter = Cutter::new(cut);
        loop {
            let n = input.read(cutter.room(), self.signals).map_err(|failure| match failure.code {
                Code::Interrupted | Code::Terminated => End::Close(failure),
                _ => End::Abandon(failure),
            })?;
            if n == 0 {
                return cutter.rest().map_or(Ok(()), |record| self.send(record));
            }
            cutter.filled(n);
            let before = self.bytes;
            while let Some(record) = cutter.next().map_err(|_| End::Abandon(self.line_too_long()))? {
                self.send(record)?;
            }
            self.progress.add(self.bytes.saturating_sub(before));
        }
    }

    /// Sends one record, however long the consumer takes.
    fn send(&mut self, record: &[u8]) -> Result<(), End> {
        loop {
            match self.producer.send_timeout(0, record, REGULARLY) {
                Ok(_) => {
                    self.bytes = self.bytes.saturating_add(record.len() as u64);
                    self.records = self.records.saturating_add(1);
                    return Ok(());
                }
                Err(SendError::Timeout | SendError::Cancelled) => self.signals.check().map_err(End::Close)?,
                Err(error) => return Err(End::Close(error.into())),
            }
        }
    }

    fn line_too_long(&self) -> Failure {
        let max = self.producer.max_len();
        let line = self.records.saturating_add(1);
        Failure::new(
            Code::Other,
            format!(
                "line {line} is longer than {max} bytes, the ring's longest record: send with --record instead, or \
                 create a ring of a larger capacity"
            ),
        )
    }

    fn finish(self, args: &SendArgs, start: Instant) -> Result<(), Failure> {
        let Self { producer, progress, bytes, records, .. } = self;
        producer.close();
        drop(progress);
        let seconds = start.elapsed().as_secs_f64();
        if args.json {
            output::print_json(&json!({
                "name": args.place.name, "bytes": bytes, "records": records, "seconds": seconds,
            }))?;
        }
        Ok(())
    }

    fn end(self, end: End) -> Failure {
        let Self { producer, progress, bytes, records, .. } = self;
        drop(progress);
        let committed =
            format!("; {records} records ({bytes} bytes) were committed, and what is unread stays in the ring");
        match end {
            End::Close(failure) => {
                producer.close();
                failure.with(&committed)
            }
            End::Abandon(failure) => {
                // The seat falls free when the process is gone, unclosed.
                mem::forget(producer);
                note("the session is left unclosed, so that its consumer does not take it for complete");
                failure.with(&committed)
            }
        }
    }
}
