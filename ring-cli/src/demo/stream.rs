//! The stream of a demo. The producer copies records in; the consumer copies them out and compares each, byte for
//! byte, with what it reads itself: number, length, place and contents. Both hash what they had.

use std::time::Instant;

use ring_shm::spsc::{Consumer, Producer, Received, RecvError, SendError};
use serde_json::{Value, json};

use super::source::{LONGEST, Source, StreamHash};
use crate::args::DemoPeerArgs;
use crate::exit::{Code, Failure, io_failure};
use crate::output;
use crate::signals::{REGULARLY, Signals};

/// How often the consumer says how far it is.
const REPORTS: u64 = 50;

/// Records between two looks at the signals.
const RECORDS_PER_CHECK: u64 = 1 << 8;

/// What one side has seen go by.
#[derive(Debug, Default)]
struct Seen {
    bytes: u64,
    records: u64,
    hash: StreamHash,
}

impl Seen {
    fn add(&mut self, record: &[u8]) {
        self.bytes += record.len() as u64;
        self.records += 1;
        self.hash.add(record);
    }

    fn facts(&self, start: Instant) -> Value {
        let seconds = start.elapsed().as_secs_f64();
        json!({ "bytes": self.bytes, "records": self.records, "hash": self.hash.get(), "seconds": seconds })
    }
}

/// Sends it all, and closes.
pub(super) fn send(mut tx: Producer, args: &DemoPeerArgs, signals: &Signals) -> Result<Value, Failure> {
    let mut source = Source::new(&args.files, args.total);
    let mut seen = Seen::default();
    let start = Instant::now();
    while let Some(record) = source.next().map_err(|e| io_failure("reading", &e))? {
        if seen.records % RECORDS_PER_CHECK == 0 {
            signals.check()?;
            if args.limit.is_some_and(|limit| start.elapsed() > limit) {
                break;
            }
        }
        // The tag carries the record's number.
        let number = seen.records as u32;
        loop {
            match tx.send_timeout(number, record, REGULARLY) {
                Ok(_) => break,
                Err(SendError::Timeout | SendError::Cancelled) => signals.check()?,
                // It has its own story to tell.
                Err(SendError::Disconnected) => return Err(Failure::new(Code::PeerDied, "the consumer has left")),
                Err(error) => return Err(error.into()),
            }
        }
        seen.add(record);
    }
    tx.close();
    Ok(seen.facts(start))
}

/// Receives it all, to the orderly end, and checks it.
pub(super) fn receive(mut rx: Consumer, args: &DemoPeerArgs, signals: &Signals) -> Result<Value, Failure> {
    let mut source = Source::new(&args.files, args.total);
    let mut buf = vec![0; LONGEST];
    let mut seen = Seen::default();
    let (mut last, mut said) = (None, 0);
    let mut start = Instant::now();
    loop {
        let received = match rx.recv_into_timeout(&mut buf, REGULARLY) {
            Ok(received) => received,
            Err(RecvError::Timeout | RecvError::Cancelled) => {
                signals.check()?;
                continue;
            }
            Err(RecvError::Disconnected) => break,
            Err(error) => return Err(error.into()),
        };
        if seen.records % RECORDS_PER_CHECK == 0 {
            signals.check()?;
        }
        if seen.records == 0 {
            start = Instant::now();
        }
        let expected = source.next().map_err(|e| io_failure("reading", &e))?;
        let record = buf.get(..received.len).unwrap_or_default();
        if let Some(what) = wrong(&received, record, expected, seen.records, last) {
            let number = seen.records;
            return Err(Failure::new(Code::Other, format!("record {number} is wrong: {what}")));
        }
        last = Some(received.position);
        seen.add(record);
        if (seen.bytes - said) / (args.total / REPORTS).max(1) > 0 && seen.bytes < args.total {
            output::print(&format!("through {}\n", seen.bytes - said))?;
            said = seen.bytes;
        }
    }
    // What was sent in time, the producer says; the demo compares.
    if seen.bytes != args.total && args.limit.is_none() {
        let (bytes, total) = (seen.bytes, args.total);
        return Err(Failure::new(Code::Other, format!("the stream ended after {bytes} of {total} bytes")));
    }
    Ok(seen.facts(start))
}

/// What is wrong with a record, if anything.
fn wrong(
    received: &Received,
    record: &[u8],
    expected: Option<&[u8]>,
    number: u64,
    last: Option<ring_shm::Position>,
) -> Option<String> {
    let Some(expected) = expected else { return Some("there should be no more".to_owned()) };
    if received.tag != number as u32 {
        return Some(format!("it is record {} of the producer", received.tag));
    }
    if last.is_some_and(|last| received.position <= last) {
        return Some(format!("its position {} does not follow the one before", received.position));
    }
    if received.redelivered {
        return Some("it is flagged as redelivered, and no consumer has died".to_owned());
    }
    if record.len() != expected.len() {
        return Some(format!("it has {} bytes instead of {}", record.len(), expected.len()));
    }
    if record != expected {
        let at = record.iter().zip(expected).position(|(is, should)| is != should).unwrap_or(0);
        return Some(format!("byte {at} of {} differs from the file (if that did not change meanwhile)", record.len()));
    }
    None
}
