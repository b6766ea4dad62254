//! Producers that send sessions as they are told, and what a consumer is told of them. Used beside `support`, `ring` and
//! `spsc`.
#![allow(dead_code, unreachable_pub)]

use std::time::{Duration, Instant};

use Told::{End, Record};
use ring_shm::spsc::{Consumer, Producer, TryRecvError, TrySendError};

use super::ring::{record_of_len, session_of};
use super::support::{Child, child, hear, say};

/// A producer that does as it is told: `send N LEN`, `close`.
pub fn play_sender(name: &str, session: u32) {
    let mut tx = Some(Producer::open(name).unwrap());
    say("sits");
    let mut seq = 0;
    let mut payload = Vec::new();
    while let Some(order) = hear() {
        if let Some(rest) = order.strip_prefix("send ") {
            let (count, len) = rest.split_once(' ').unwrap();
            let (count, len): (u64, usize) = (count.parse().unwrap(), len.parse().unwrap());
            let mut sent = 0;
            while sent < count {
                let tag = record_of_len(session, seq, len, &mut payload);
                match tx.as_mut().unwrap().try_send(tag, &payload) {
                    Ok(_) => (seq, sent) = (seq + 1, sent + 1),
                    Err(TrySendError::Full) => break,
                    Err(e) => panic!("{e:?}"),
                }
            }
            say(&format!("sent {sent}"));
        } else {
            drop(tx.take());
            say("closed");
        }
    }
}

/// A consumer that does as it is told: `recv`, `hold N` (and never release).
pub fn play_reader(name: &str) {
    let mut rx = Consumer::open(name).unwrap();
    say("sits");
    let mut buf = vec![0; rx.max_len()];
    while let Some(order) = hear() {
        if let Some(count) = order.strip_prefix("hold ") {
            let mut batch = rx.try_read_batch(count.parse().unwrap()).unwrap();
            let mut tags = Vec::new();
            while let Some(record) = batch.next_record() {
                tags.push(format!("{}:{}", record.tag(), record.redelivered()));
            }
            say(&format!("holds {}", tags.join(" ")));
            hear();
            unreachable!("killed with the batch in its hands");
        }
        let got = rx.try_recv_into(&mut buf);
        say(&format!("got {:?}", got.map(|got| (got.tag, got.redelivered))));
    }
}

pub fn sender(name: &str, session: u32) -> Child {
    let mut sender = child("sender", &[name, &session.to_string()]);
    sender.wait_for("sits");
    sender
}

pub fn reader(name: &str) -> Child {
    let mut reader = child("reader", &[name]);
    reader.wait_for("sits");
    reader
}

/// What a consumer tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    Record(u32, u64),
    End(TryRecvError),
}

/// Polls until nothing has come for a while: the kernel is asked once a millisecond.
pub fn everything(rx: &mut Consumer) -> Vec<Told> {
    let (mut told, mut buf, mut quiet, mut polls) = (Vec::new(), vec![0; rx.max_len()], Instant::now(), 0);
    while polls < 256 {
        match rx.try_recv_into(&mut buf) {
            Ok(got) => told.push(Record(session_of(got.tag), u64::from(got.tag & 0xf_ffff))),
            Err(TryRecvError::Empty) => {
                polls += u32::from(quiet.elapsed() > Duration::from_millis(2));
                continue;
            }
            Err(e) => told.push(End(e)),
        }
        (quiet, polls) = (Instant::now(), 0);
        assert!(told.len() < 1000, "it never ends: {:?} …", &told[..20]);
    }
    told
}

pub const CLOSED: Told = End(TryRecvError::Disconnected);
pub const DIED: Told = End(TryRecvError::PeerDied);
