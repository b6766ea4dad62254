//! What the MPMC tests share: a worker process that does as it is told, and patience. Used beside `support`; a test
//! file says `#[path = "support/mpmc.rs"] mod workers;` after it has declared `support`.
#![allow(dead_code, unreachable_pub)]

use std::time::{Duration, Instant};

use ring_shm::mpmc::{Consumer, Options, Producer, Received, TryRecvError, TrySendError};

use super::support::{Child, SOON, TestName, child, hear, say, unique};

/// How long anything may take before it counts as hung. Long, because the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls `f` until it has an answer; `what` is said when that takes too long.
pub fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = f() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "hung: {what}");
        std::thread::yield_now();
    }
}

/// Makes a ring of `options`.
pub fn make(tag: &str, options: &Options) -> TestName {
    let name = unique(tag);
    ring_shm::mpmc::create(name.as_str(), options).unwrap();
    name
}

pub fn small() -> Options {
    Options::new().slots(4).slot_size(48).max_participants(8)
}

/// Sends `n` as tag and payload.
pub fn send(tx: &mut Producer, n: u32) -> Result<u64, TrySendError> {
    tx.try_send(n, &n.to_le_bytes()).map(|position| position.get())
}

/// Receives a number, which must be its tag.
pub fn recv(rx: &mut Consumer) -> Result<Received, TryRecvError> {
    let mut buf = [0; 48];
    let got = rx.try_recv_into(&mut buf)?;
    assert_eq!(buf[..got.len], got.tag.to_le_bytes());
    Ok(got)
}

/// The next number, which must come.
pub fn next(rx: &mut Consumer) -> Received {
    until("a message", || match recv(rx) {
        Ok(got) => Some(got),
        Err(TryRecvError::Empty | TryRecvError::Busy { .. }) => None,
        Err(e) => panic!("{e:?}"),
    })
}

/// Tag, attempt, whether it is a dead letter; and that the flag goes with the attempt.
pub fn facts(got: Received) -> (u32, u32, bool) {
    assert_eq!(got.redelivered, got.attempt > 0);
    (got.tag, got.attempt, got.dead_letter)
}

/// Every answer of `f` for a while, without repetitions.
pub fn answers<T: PartialEq>(how_long: Duration, mut f: impl FnMut() -> T) -> Vec<T> {
    let (start, mut answers) = (Instant::now(), Vec::new());
    while start.elapsed() < how_long {
        let answer = f();
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    answers
}

/// A process with one handle. Orders of a producer: `send N`, `claim N` then `commit`, `abort` or death, `batch N` of
/// which half is pushed. Of a consumer: `recv`, `hold` then `release`, `keep` or death, `hold-batch N`. Of both:
/// `close`, `leave`.
pub fn play(role: &str, name: &str) {
    match role {
        "producer" => play_producer(name),
        "consumer" => play_consumer(name),
        other => panic!("no role {other}"),
    }
}

fn play_producer(name: &str) {
    let mut tx = Producer::open(name).unwrap();
    say(&format!("joined {}", tx.stats().lease));
    while let Some(order) = hear() {
        let (verb, number) = order.split_once(' ').unwrap_or((&order, "0"));
        let number: u32 = number.parse().unwrap();
        match verb {
            "send" => say(&format!("sent {:?}", send(&mut tx, number))),
            "claim" => {
                let mut claim = tx.try_claim(4).unwrap();
                claim.set_tag(number);
                claim.write(&number.to_le_bytes());
                say(&format!("claimed {}", claim.position()));
                match hear().as_deref() {
                    Some("commit") => say(&format!("committed {}", claim.commit())),
                    _ => say("aborted"),
                }
            }
            "batch" => {
                let mut batch = tx.try_claim_batch_exact(number as usize, 4).unwrap();
                for n in 0..number / 2 {
                    batch.push(n, &n.to_le_bytes()).unwrap();
                }
                say("claimed");
                match hear().as_deref() {
                    Some("commit") => say(&format!("committed {}", batch.commit())),
                    _ => say("aborted"),
                }
            }
            "close" => say(&format!("closed {:?}", tx.close())),
            "leave" => return say("left"),
            other => panic!("no order {other}"),
        }
    }
}

fn play_consumer(name: &str) {
    let mut rx = Consumer::open(name).unwrap();
    say(&format!("joined {}", rx.stats().lease));
    while let Some(order) = hear() {
        let (verb, number) = order.split_once(' ').unwrap_or((&order, "0"));
        match verb {
            "recv" => say(&format!("got {:?}", recv(&mut rx).map(facts))),
            "hold" => {
                let record = rx.try_read().unwrap();
                say(&format!("holds {:?}", (record.tag(), record.attempt(), record.dead_letter())));
                match hear().as_deref() {
                    Some("release") => record.release(),
                    _ => record.keep(),
                }
                say("done");
            }
            "hold-batch" => {
                let mut batch = rx.try_read_batch(number.parse().unwrap()).unwrap();
                let mut tags = Vec::new();
                while let Some(record) = batch.next_record() {
                    tags.push(record.tag());
                }
                say(&format!("holds {tags:?}"));
                match hear().as_deref() {
                    Some("release") => say(&format!("released {}", batch.release())),
                    _ => batch.keep(),
                }
            }
            "close" => say(&format!("closed {:?}", rx.close())),
            "leave" => return say("left"),
            other => panic!("no order {other}"),
        }
    }
}

/// Starts a worker; the process and its lease.
pub fn worker(role: &str, name: &TestName) -> (Child, u64) {
    let mut worker = child(role, &[name.as_str()]);
    let lease = worker.wait_for("joined").parse().unwrap();
    (worker, lease)
}

/// `rounds` measurements of how long it took to go on; most of them have to be short. (A busy machine may keep the
/// survivor itself off the processor.)
pub fn assert_soon(mut took: Vec<Duration>) {
    took.sort_unstable();
    println!("went on after {took:?}");
    assert!(took[took.len() / 2] < SOON, "too slow: {took:?}");
}
