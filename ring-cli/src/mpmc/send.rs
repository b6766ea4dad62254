//! `ringctl send` on an MPMC ring: one of many. It is done when all is committed; the ring stays open.

use std::time::Instant;

use ring_shm::Location;
use ring_shm::mpmc::{Producer, SendError};
use ring_shm::wait::Spin;
use serde_json::json;

use super::InTheWay;
use crate::args::SendArgs;
use crate::attach;
use crate::cut::{Cut, Cutter};
use crate::exit::{Code, Failure};
use crate::input::Input;
use crate::output;
use crate::progress::Progress;
use crate::send::PIECE;
use crate::signals::{REGULARLY, Signals};

/// Runs the command.
///
/// # Errors
/// [`Failure`] with the code to end with.
pub(crate) fn send(args: &SendArgs, name: &Location, input: Input, signals: &Signals) -> Result<(), Failure> {
    let mut producer = attach::when_there(name, &args.waiting, signals, Producer::open)?;
    if args.waiting.spin {
        producer.set_wait_strategy(Spin);
    }
    signals.interrupt(producer.canceller());
    let max = producer.max_len();
    let cut = match args.record {
        Some(bytes) => Cut::Every(usize::try_from(bytes).ok().filter(|len| *len <= max).ok_or_else(|| {
            Failure::new(
                Code::Arguments,
                format!("--record {bytes}: the slots of ring {name} hold {max} bytes; cut shorter ones"),
            )
        })?),
        None if args.lines => Cut::Lines(max),
        None => Cut::Stream(PIECE.min(max)),
    };
    let progress = Progress::new(input.len());
    let mut sender = Sender { producer, signals, in_the_way: InTheWay::default(), progress, bytes: 0, messages: 0 };
    let start = Instant::now();
    let sent = sender.send_all(input, cut);
    let Sender { producer, progress, bytes, messages, .. } = sender;
    drop(producer);
    drop(progress);
    sent.map_err(|failure| failure.with(&format!("; {messages} messages ({bytes} bytes) were committed")))?;
    if args.json {
        output::print_json(&json!({
            "name": args.place.name, "bytes": bytes, "records": messages, "seconds": start.elapsed().as_secs_f64(),
        }))?;
    }
    Ok(())
}

struct Sender<'a> {
    producer: Producer,
    signals: &'a Signals,
    in_the_way: InTheWay,
    progress: Progress,
    bytes: u64,
    messages: u64,
}

impl Sender<'_> {
    fn send_all(&mut self, mut input: Input, cut: Cut) -> Result<(), Failure> {
        let mut cutter = Cutter::new(cut);
        loop {
            let n = input.read(cutter.room(), self.signals)?;
            if n == 0 {
                return cutter.rest().map_or(Ok(()), |message| self.send(message));
            }
            cutter.filled(n);
            let before = self.bytes;
            while let Some(message) = cutter.next().map_err(|_| self.line_too_long())? {
                self.send(message)?;
            }
            self.progress.add(self.bytes.saturating_sub(before));
        }
    }

    /// Sends one message, however long that takes.
    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        loop {
            match self.producer.send_timeout(0, message, REGULARLY) {
                Ok(_) => break,
                Err(SendError::Timeout { by }) => self.in_the_way.waited(by),
                Err(SendError::Cancelled) => {}
                Err(error) => return Err(error.into()),
            }
            self.signals.check()?;
        }
        self.in_the_way.over();
        self.bytes = self.bytes.saturating_add(message.len() as u64);
        self.messages = self.messages.saturating_add(1);
        Ok(())
    }

    fn line_too_long(&self) -> Failure {
        let (line, max) = (self.messages.saturating_add(1), self.producer.max_len());
        Failure::new(
            Code::Other,
            format!("line {line} is longer than {max} bytes, a slot of the ring: create one with a larger --slot-size"),
        )
    }
}
