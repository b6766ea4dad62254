//! `ringctl recv` on an MPMC ring: one of many, its share of the messages, until the ring is closed and empty. A
//! message leaves the ring when it has been written; what a killed `recv` had not written, another one gets, flagged.

use std::time::Instant;

use ring_shm::Location;
use ring_shm::mpmc::{Consumer, RecvError};
use ring_shm::wait::Spin;
use serde_json::json;

use super::InTheWay;
use crate::args::RecvArgs;
use crate::attach;
use crate::exit::{Code, Failure, note};
use crate::output::{self, Output, Unwritten};
use crate::progress::Progress;
use crate::recv::eprintln_json;
use crate::signals::{REGULARLY, Signals};

/// The most messages taken at once: what this process holds while it writes, nobody else can work on.
const BATCH: u64 = 64;

/// Runs the command.
///
/// # Errors
/// [`Failure`] with the code to end with.
pub(crate) fn recv(args: &RecvArgs, name: &Location, signals: &Signals) -> Result<(), Failure> {
    if args.follow {
        return Err(Failure::new(
            Code::Arguments,
            format!("--follow: ring {name} is mpmc, whose producers may come and go anyway"),
        ));
    }
    let mut consumer = attach::when_there(name, &args.waiting, signals, Consumer::open)?;
    if args.waiting.spin {
        consumer.set_wait_strategy(Spin);
    }
    signals.interrupt(consumer.canceller());
    let output = Output::open(args.file.as_deref(), signals)?;
    let aside = args.dead_letters.as_deref().map(|path| Output::open(Some(path), signals)).transpose()?;
    let most = usize::try_from((consumer.capacity() / 4).clamp(1, BATCH)).unwrap_or(1);
    let mut receiver =
        Receiver { consumer, output, aside, signals, most, progress: Progress::new(None), got: Got::default() };
    let start = Instant::now();
    let end = receiver.receive();
    let Receiver { consumer, progress, got, .. } = receiver;
    drop(consumer);
    drop(progress);
    got.tell(args, start)?;
    end
}

/// What came.
#[derive(Debug, Default, Clone, Copy)]
struct Got {
    bytes: u64,
    messages: u64,
    redelivered: u64,
    dead_letters: u64,
}

impl Got {
    fn tell(&self, args: &RecvArgs, start: Instant) -> Result<(), Failure> {
        let Self { bytes, messages, redelivered, dead_letters } = *self;
        if redelivered > 0 {
            note(&format!("{redelivered} messages may have been written before, by a `recv` that ended in between"));
        }
        if dead_letters > 0 {
            let place = if args.dead_letters.is_some() { "put aside" } else { "written with the others" };
            note(&format!("{dead_letters} dead letters, whose consumers died as often as the ring allows: {place}"));
        }
        if !args.json {
            return Ok(());
        }
        let facts = json!({
            "name": args.place.name, "bytes": bytes, "records": messages, "redelivered": redelivered,
            "dead_letters": dead_letters, "seconds": start.elapsed().as_secs_f64(),
        });
        if args.file.is_some() {
            return output::print_json(&facts);
        }
        eprintln_json(&facts);
        Ok(())
    }
}

struct Receiver<'a> {
    consumer: Consumer,
    output: Output,
    /// For dead letters.
    aside: Option<Output>,
    signals: &'a Signals,
    most: usize,
    progress: Progress,
    got: Got,
}

impl Receiver<'_> {
    /// Until the ring is closed and empty, the reader of the output goes away, or a signal comes.
    fn receive(&mut self) -> Result<(), Failure> {
        let mut in_the_way = InTheWay::default();
        loop {
            match self.pass_on() {
                Ok(()) => in_the_way.over(),
                Err(Stop::Refused(RecvError::Timeout { by })) => in_the_way.waited(by),
                Err(Stop::Refused(RecvError::Cancelled)) => {}
                Err(Stop::Refused(RecvError::Disconnected) | Stop::Unwritten(Unwritten::ReaderGone)) => {
                    return Ok(());
                }
                Err(Stop::Refused(error)) => return Err(error.into()),
                Err(Stop::Unwritten(Unwritten::Failed(failure))) => return Err(failure),
            }
            self.signals.check()?;
        }
    }

    /// Waits for something, writes what is there, up to a batch, and then gives the slots back.
    fn pass_on(&mut self) -> Result<(), Stop> {
        let mut batch = self.consumer.read_batch_timeout(self.most, REGULARLY)?;
        let (mut ordinary, mut letters, mut got) = (Vec::new(), Vec::new(), self.got);
        while let Some(record) = batch.next_record() {
            let put_aside = record.dead_letter() && self.aside.is_some();
            let to = if put_aside { &mut letters } else { &mut ordinary };
            let start = to.len();
            to.resize(start.saturating_add(record.len()), 0);
            record.copy_to(to.get_mut(start..).unwrap_or_default());
            got.bytes = got.bytes.saturating_add(record.len() as u64);
            got.messages = got.messages.saturating_add(1);
            got.redelivered = got.redelivered.saturating_add(u64::from(record.redelivered()));
            got.dead_letters = got.dead_letters.saturating_add(u64::from(record.dead_letter()));
        }
        let mut written = self.output.write_all(&ordinary, self.signals);
        if let (Ok(()), Some(aside)) = (&written, &mut self.aside) {
            written = aside.write_all(&letters, self.signals);
        }
        if let Err(unwritten) = written {
            batch.keep();
            return Err(Stop::Unwritten(unwritten));
        }
        batch.release();
        self.progress.add(got.bytes.saturating_sub(self.got.bytes));
        self.got = got;
        Ok(())
    }
}

/// Why nothing was passed on.
enum Stop {
    Refused(RecvError),
    Unwritten(Unwritten),
}

impl From<RecvError> for Stop {
    fn from(error: RecvError) -> Self {
        Self::Refused(error)
    }
}
