//! Real data through MPMC rings between real processes: exactly once, FIFO per sender, in every way of sending and
//! receiving; joining and leaving all the time; creation races.
#![allow(unsafe_code)]

mod support;
#[path = "support/mpmc.rs"]
mod workers;

use std::collections::HashMap;

use ring_shm::mpmc::{Consumer, Options, Producer, TryRecvError, TrySendError};
use ring_shm::{SetupError, SetupErrorKind};
use support::{Child, TestName, child, hear, say, unique};
use workers::{facts, make, next, recv, send, until};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "source" => play_source(&args[0], args[1].parse().unwrap(), args[2].parse().unwrap(), args[3].parse().unwrap()),
        "sink" => play_sink(&args[0], args[1].parse().unwrap()),
        "visitor" => play_visitor(&args[0], args[1].parse().unwrap(), args[2].parse().unwrap()),
        "racer" => play_racer(&args[0]),
        other => panic!("no role {other}"),
    });
}

/// Payload `seq` of sender `sender`: as long as the two numbers say, all bytes derived from them.
fn payload(sender: u32, seq: u32, max: usize, buf: &mut Vec<u8>) {
    let mut x = u64::from(sender) << 32 | u64::from(seq) | 1 << 63;
    let len = x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    buf.clear();
    buf.extend_from_slice(&(u64::from(sender) << 32 | u64::from(seq)).to_le_bytes());
    while buf.len() < max {
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
        buf.extend_from_slice(&x.to_le_bytes());
    }
    buf.truncate(8 + len as usize % (max - 7));
}

fn insist<T>(mut send: impl FnMut() -> Result<T, TrySendError>) -> T {
    until("a slot", || match send() {
        Ok(sent) => Some(sent),
        Err(TrySendError::Full | TrySendError::Busy { .. }) => None,
        Err(e) => panic!("{e:?}"),
    })
}

/// Sends `count` messages: copied, claimed, in batches, or in place.
fn play_source(name: &str, sender: u32, count: u32, way: u32) {
    let mut tx = Producer::open(name).unwrap();
    let (max, mut buf, mut seq) = (tx.max_len(), Vec::new(), 0);
    say("ready");
    hear();
    // SAFETY: all processes of this test go through the library.
    let mut trusting = (way == 3).then(|| unsafe { Producer::open(name).unwrap().trust_peers() });
    while seq < count {
        payload(sender, seq, max, &mut buf);
        match way {
            0 => drop(insist(|| tx.try_send(sender, &buf).map(Some))),
            1 => {
                if seq % 5 == 0 {
                    insist(|| tx.try_claim(max).map(|mut claim| assert_eq!(claim.write(&vec![0xaa; max]), max)));
                }
                insist(|| {
                    let mut claim = tx.try_claim(max)?;
                    claim.set_tag(sender);
                    assert_eq!(claim.write(&buf[..3]) + claim.write(&buf[3..]), buf.len());
                    claim.truncate(buf.len());
                    Ok(claim.commit())
                });
            }
            2 => {
                let sent = insist(|| {
                    let mut batch = tx.try_claim_batch((count - seq).min(7) as usize, max)?;
                    let mut one = Vec::new();
                    // Now and then a claimed slot is left over.
                    let leave = usize::from(batch.remaining() > 1 && seq % 3 == 0);
                    while batch.remaining() > leave {
                        payload(sender, seq + batch.len() as u32, max, &mut one);
                        batch.push(sender, &one).unwrap();
                    }
                    Ok(batch.commit() as u32)
                });
                seq += sent - 1;
            }
            _ => {
                let tx = trusting.as_mut().unwrap();
                insist(|| {
                    if seq % 2 == 0 {
                        let mut claim = tx.try_claim(buf.len())?;
                        claim.set_tag(sender);
                        claim.copy_from_slice(&buf);
                        claim.commit();
                    } else {
                        let mut batch = tx.try_claim_batch_exact(1, buf.len())?;
                        batch.push_with(sender, buf.len(), |room| room.copy_from_slice(&buf))?;
                        assert_eq!(batch.commit(), 1);
                    }
                    Ok(())
                });
            }
        }
        seq += 1;
    }
}

/// Receives until the end, and tells what it got.
fn play_sink(name: &str, way: u32) {
    let rx = Consumer::open(name).unwrap();
    say("ready");
    let mut expected = Vec::new();
    let mut got: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut check = |tag: u32, bytes: &[u8], max: usize| {
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let (sender, seq) = ((number >> 32) as u32, number as u32);
        payload(sender, seq, max, &mut expected);
        assert!(sender == tag && bytes == expected, "message {seq} of {sender}");
        let seqs = got.entry(sender).or_default();
        assert!(seqs.last().is_none_or(|last| *last < seq), "{seq} of {sender} after {:?}", seqs.last());
        seqs.push(seq);
    };
    if way == 3 {
        // SAFETY: all processes of this test go through the library.
        let mut rx = unsafe { rx.trust_peers() };
        let max = rx.max_len();
        drain(|| {
            let record = rx.try_read()?;
            assert!(!record.redelivered());
            check(record.tag(), &record, max);
            Ok(())
        });
    } else {
        let mut rx = rx;
        let (max, mut buf) = (rx.max_len(), vec![0; rx.max_len()]);
        drain(|| {
            match way {
                0 => {
                    let got = rx.try_recv_into(&mut buf)?;
                    check(got.tag, &buf[..got.len], max);
                }
                1 => {
                    let record = rx.try_read()?;
                    let len = record.copy_to(&mut buf);
                    check(record.tag(), &buf[..len], max);
                }
                _ => {
                    let mut batch = rx.try_read_batch(5)?;
                    while let Some(record) = batch.next_record() {
                        let len = record.copy_to(&mut buf);
                        check(record.tag(), &buf[..len], max);
                    }
                    batch.release();
                }
            }
            Ok(())
        });
    }
    let all: Vec<String> = got.iter().map(|(sender, seqs)| format!("{sender}:{seqs:?}")).collect();
    say(&format!("got {}", all.join(" ").replace(", ", ",")));
}

fn drain(mut one: impl FnMut() -> Result<(), TryRecvError>) {
    until("the end", || match one() {
        Ok(()) => None,
        Err(TryRecvError::Empty | TryRecvError::Busy { .. }) => {
            std::thread::yield_now();
            None
        }
        Err(TryRecvError::Disconnected) => Some(()),
        Err(e) => panic!("{e:?}"),
    });
}

fn run_streams(options: &Options, sources: u32, sinks: u32, count: u32) {
    let name = make("streams", options);
    let name = name.as_str();
    let mut sinks: Vec<Child> = (0..sinks).map(|way| child("sink", &[name, &(way % 4).to_string()])).collect();
    let mut sources: Vec<Child> = (0..sources)
        .map(|n| child("source", &[name, &n.to_string(), &count.to_string(), &(n % 4).to_string()]))
        .collect();
    sinks.iter_mut().chain(&mut sources).for_each(|worker| drop(worker.wait_for("ready")));
    sources.iter_mut().for_each(|source| source.tell("go"));
    for source in &mut sources {
        assert!(source.finish().success());
    }
    ring_shm::mpmc::close(name).unwrap();
    let mut got: HashMap<u32, Vec<u32>> = HashMap::new();
    for sink in &mut sinks {
        for part in sink.wait_for("got").split_whitespace() {
            let (sender, seqs) = part.split_once(':').unwrap();
            let seqs = seqs.trim_matches(['[', ']']).split(',').map(|seq| seq.parse::<u32>().unwrap());
            got.entry(sender.parse().unwrap()).or_default().extend(seqs);
        }
        assert!(sink.finish().success());
    }
    assert_eq!(got.len(), sources.len());
    for (sender, mut seqs) in got {
        seqs.sort_unstable();
        assert!(seqs.iter().copied().eq(0..count), "of {sender}: each exactly once");
    }
}

#[test]
fn smoke_many_to_many_exactly_once_in_order() {
    for slots in [1, 4, 256] {
        run_streams(&Options::new().slots(slots).slot_size(100), 4, 4, 1500);
    }
}

#[test]
fn smoke_every_mode() {
    let options = Options::new().slots(16).slot_size(64);
    run_streams(&options.clone().max_producers(1), 1, 4, 3000);
    run_streams(&options.clone().max_consumers(1), 4, 1, 1000);
    run_streams(&options.clone().max_producers(1).max_consumers(1), 1, 1, 5000);
    run_streams(&options.max_participants(4).max_producers(3).max_consumers(3), 2, 2, 2000);
}

/// Joins, sends or receives a little, leaves; again and again. Tells how much.
fn play_visitor(name: &str, number: u32, visits: u32) {
    let (mut sent, mut got, mut seq) = (0, 0, 0);
    for visit in 0..visits {
        if (visit + number) % 2 == 0 {
            let mut tx = until("a place", || allowed(Producer::open(name)));
            for _ in 0..visit % 5 {
                if tx.try_send(number, &[number as u8; 9]).is_ok() {
                    sent += 1;
                }
                seq += 1;
            }
        } else {
            let mut rx = until("a place", || allowed(Consumer::open(name)));
            for _ in 0..visit % 7 {
                let mut buf = [0; 48];
                if let Ok(received) = rx.try_recv_into(&mut buf) {
                    assert!(buf[..received.len] == [received.tag as u8; 9] && !received.redelivered);
                    got += 1;
                }
                // What is kept comes again to somebody, flagged; here its reader is told once too often.
            }
        }
    }
    assert!(seq >= sent);
    say(&format!("moved {sent} {got}"));
}

fn allowed<H>(opened: Result<H, SetupError>) -> Option<H> {
    match opened {
        Ok(handle) => Some(handle),
        Err(e) if e.kind() == SetupErrorKind::InUse || e == SetupError::Contended => None,
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn smoke_visitors_come_and_go() {
    let name = make("visits", &Options::new().slots(8).slot_size(48).max_participants(3));
    let mut visitors: Vec<Child> =
        (0..5).map(|number: u32| child("visitor", &[name.as_str(), &number.to_string(), "150"])).collect();
    let (mut sent, mut got) = (0, 0);
    for visitor in &mut visitors {
        let moved = visitor.wait_for("moved");
        let (s, g) = moved.split_once(' ').unwrap();
        (sent, got) = (sent + s.parse::<u64>().unwrap(), got + g.parse::<u64>().unwrap());
        assert!(visitor.finish().success());
    }
    assert!(ring_shm::mpmc::inspect(name.as_str()).unwrap().members.is_empty(), "everybody has left");
    let mut rx = Consumer::open(name.as_str()).unwrap();
    let mut buf = [0; 48];
    while rx.try_recv_into(&mut buf).is_ok() {
        got += 1;
    }
    assert_eq!((rx.try_recv_into(&mut buf), sent), (Err(TryRecvError::Empty), got));
    assert!(sent > 0);
}

fn play_racer(name: &str) {
    hear();
    let mut tx = Producer::open_or_create(name, &Options::new().slots(64).slot_size(48)).unwrap();
    send(&mut tx, std::process::id()).unwrap();
    say("sent");
}

#[test]
fn smoke_of_many_creators_one_wins_and_all_meet() {
    for _ in 0..5 {
        let name: TestName = unique("race");
        let mut racers: Vec<Child> = (0..4).map(|_| child("racer", &[name.as_str()])).collect();
        racers.iter_mut().for_each(|racer| racer.tell("go"));
        racers.iter_mut().for_each(|racer| drop(racer.wait_for("sent")));
        let mut rx = Consumer::open(name.as_str()).unwrap();
        let mut tags: Vec<u32> = (0..4).map(|_| facts(next(&mut rx)).0).collect();
        assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
        let mut pids: Vec<u32> = racers.iter().map(|racer| racer.pid() as u32).collect();
        tags.sort_unstable();
        pids.sort_unstable();
        assert_eq!(tags, pids);
    }
}
