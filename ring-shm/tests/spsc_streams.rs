//! Real data through SPSC rings between real processes: streams of mixed lengths, sent and read in every way.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
#[path = "support/spsc.rs"]
mod spsc;
#[path = "support/strict.rs"]
mod strict;
mod support;

use ring::{record, until};
use ring_shm::Trust;
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError};
use spsc::insist;
use support::{child, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "source" => play_source(&args[0], &args[1..]),
        "sink" => play_sink(&args[0], &args[1..]),
        other => panic!("no role {other}"),
    });
}

/// Whether the two hand a ring over, instead of meeting at a name.
fn over_strict() -> bool {
    support::backing() == support::Backing::Strict
}

/// A source and a sink of the same arguments agree on every byte.
#[derive(Clone, Copy)]
struct Stream {
    capacity: u64,
    lines: bool,
    every: u64,
    records: u64,
    way: u64,
}

impl Stream {
    fn args(self) -> Vec<String> {
        [self.capacity, u64::from(self.lines), self.every, self.records, self.way].map(|n| n.to_string()).to_vec()
    }

    fn parse(args: &[String]) -> Self {
        let [capacity, lines, every, records, way] = [0, 1, 2, 3, 4].map(|i: usize| args[i].parse().unwrap());
        Self { capacity, lines: lines == 1, every, records, way }
    }

    fn options(self) -> Options {
        Options::new().capacity(self.capacity).line_aligned(self.lines).release_every(self.every)
    }
}

fn play_source(name: &str, args: &[String]) {
    let stream = Stream::parse(args);
    let tx: Producer = if over_strict() {
        strict::producer(name, &stream.options())
    } else {
        Producer::open_or_create(name, &stream.options()).unwrap()
    };
    if stream.way == 3 {
        // SAFETY: both processes of this test go through the library.
        let mut tx = unsafe { tx.trust_peers() };
        let (max, mut payload) = (tx.max_len(), Vec::new());
        let mut seq = 0;
        while seq < stream.records {
            let tag = record(1, seq, max, &mut payload);
            if seq % 2 == 0 {
                insist(|| {
                    let mut claim = tx.try_claim(payload.len())?;
                    claim.set_tag(tag);
                    claim.copy_from_slice(&payload);
                    Ok(claim.commit())
                });
            } else {
                insist(|| {
                    let mut batch = tx.try_claim_batch(1, payload.len())?;
                    batch.push_with(tag, payload.len(), |room| room.copy_from_slice(&payload))?;
                    Ok(batch.commit())
                });
            }
            seq += 1;
        }
        return;
    }
    let mut tx = tx;
    let (max, mut payload) = (tx.max_len(), Vec::new());
    let mut seq = 0;
    while seq < stream.records {
        let tag = record(1, seq, max, &mut payload);
        match stream.way {
            0 => {
                insist(|| tx.try_send(tag, &payload));
                seq += 1;
            }
            1 => {
                // Sometimes a claim is abandoned, and often it is longer than what is committed.
                if seq % 7 == 0 {
                    insist(|| tx.try_claim(max).map(|mut claim| assert_eq!(claim.write(&vec![0xaa; max]), max)));
                }
                insist(|| {
                    let mut claim = tx.try_claim(payload.len() + (seq as usize % 9).min(max - payload.len()))?;
                    claim.set_tag(tag);
                    for part in payload.chunks(13) {
                        assert_eq!(claim.write(part), part.len());
                    }
                    claim.truncate(payload.len());
                    Ok(claim.commit())
                });
                seq += 1;
            }
            _ => {
                seq += insist(|| {
                    let mut batch = tx.try_claim_batch((stream.records - seq).min(16) as usize, max.min(200))?;
                    let (mut at, mut one) = (seq, Vec::new());
                    while batch.remaining() > 0 {
                        let tag = record(1, at, max, &mut one);
                        if one.len() > max.min(200) {
                            break;
                        }
                        batch.push(tag, &one).unwrap();
                        at += 1;
                    }
                    if batch.is_empty() {
                        batch.abort();
                        return tx.try_send(tag, &payload).map(|_| 1);
                    }
                    Ok(batch.commit() as u64)
                });
            }
        }
    }
    tx.close();
}

fn play_sink(name: &str, args: &[String]) {
    let stream = Stream::parse(args);
    let rx: Consumer =
        if over_strict() { strict::consumer(name) } else { Consumer::open_or_create(name, &stream.options()).unwrap() };
    let seq = match stream.way {
        // SAFETY: both processes of this test go through the library.
        3 => drain_all(unsafe { rx.trust_peers() }, stream, |record| record.to_vec()),
        _ => drain_all(rx, stream, |record| {
            let mut copy = vec![0; record.len()];
            assert_eq!(record.copy_to(&mut copy), record.len());
            copy
        }),
    };
    say(&format!("received {seq}"));
}

/// Everything up to the orderly end, which comes after the last record.
fn drain_all<T: Trust>(
    mut rx: Consumer<T>,
    stream: Stream,
    bytes: fn(&ring_shm::spsc::Record<'_, T>) -> Vec<u8>,
) -> u64 {
    let (max, mut seq, mut expected, mut buf) = (rx.max_len(), 0, Vec::new(), vec![0; rx.max_len()]);
    let mut check = |found: u32, payload: &[u8]| {
        let tag = record(1, seq, max, &mut expected);
        assert!(found == tag && payload == expected, "record {seq}");
        seq += 1;
    };
    let mut turn = 0;
    loop {
        turn += 1;
        let got = match (stream.way, turn % 2) {
            (0, _) => rx.try_recv_into(&mut buf).map(|got| check(got.tag, &buf[..got.len])),
            (2, 0) | (3, 0) => rx.try_read_batch(5).map(|mut batch| {
                while let Some(record) = batch.next_record() {
                    let len = record.copy_to(&mut buf);
                    check(record.tag(), &buf[..len]);
                }
            }),
            _ => rx.try_read().map(|record| check(record.tag(), &bytes(&record))),
        };
        match got {
            Ok(()) => {}
            Err(TryRecvError::Empty) => std::thread::yield_now(),
            Err(TryRecvError::Disconnected) => break,
            Err(e) => panic!("{e:?}"),
        }
    }
    for _ in 0..300 {
        assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Empty), "the end is told once");
    }
    seq
}

/// Runs source and sink, whichever is to come first.
fn run_stream(stream: Stream, source_first: bool) {
    let name = unique("stream");
    let mut args = vec![name.as_str().to_owned()];
    args.extend(stream.args());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let start = |role: &str| child(role, &args);
    let (mut source, mut sink);
    if source_first {
        source = start("source");
        until("the source", || name.path().exists().then_some(()));
        sink = start("sink");
    } else {
        sink = start("sink");
        until("the sink", || name.path().exists().then_some(()));
        source = start("source");
    }
    assert!(source.finish().success());
    assert_eq!(sink.wait_for("received"), stream.records.to_string());
    assert!(sink.finish().success());
}

#[test]
fn smoke_streams_of_mixed_lengths_in_every_way() {
    for way in 0..4 {
        for (capacity, lines, every) in [(64, false, 0), (1 << 12, false, 1 << 10), (1 << 14, true, 0)] {
            run_stream(Stream { capacity, lines, every, records: 1500, way }, (way + capacity) % 2 == 0);
        }
    }
}

#[test]
fn smoke_either_side_first() {
    for source_first in [true, false] {
        run_stream(Stream { capacity: 512, lines: false, every: 0, records: 100, way: 0 }, source_first);
    }
}
