//! SPSC handles that race for a name, lose it while they live, move between threads, and see their thread panic.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
#[path = "support/sessions.rs"]
mod sessions;
#[path = "support/spsc.rs"]
mod spsc;
mod support;

use ring::{record, until};
use ring_shm::spsc::{self as spsc_handles, Consumer, Options, Producer, TrySendError};
use ring_shm::{SetupErrorKind, Untrusted};
use sessions::Told::Record;
use sessions::*;
use spsc::insist;
use support::{Child, child, hear, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "sender" => play_sender(&args[0], args[1].parse().unwrap()),
        "racer" => play_racer(),
        other => panic!("no role {other}"),
    });
}

/// Does what it is told, once all are ready: `create NAME`, `tx NAME`, `rx NAME`, `make NAME`.
fn play_racer() {
    say("ready");
    let mut kept: Vec<Box<dyn std::any::Any>> = Vec::new();
    while let Some(order) = hear() {
        let (what, name) = order.split_once(' ').unwrap();
        let options = Options::new().capacity(256);
        let keep = |handle: Box<dyn std::any::Any>, kept: &mut Vec<_>| kept.push(handle);
        let got = match what {
            "create" => ring_shm::spsc::create(name, &options),
            "make" => Producer::create(name, &options).map(|tx| keep(Box::new(tx), &mut kept)),
            "tx" => Producer::open_or_create(name, &options).map(|tx| keep(Box::new(tx), &mut kept)),
            "rx" => Consumer::open_or_create(name, &options).map(|rx| keep(Box::new(rx), &mut kept)),
            _ => {
                kept.clear();
                say("gone");
                continue;
            }
        };
        let generation = ring_shm::spsc::inspect(name).map(|seen| seen.generation);
        say(&format!("result {:?} {generation:?}", got.map_err(|e| e.kind())));
    }
}

#[test]
fn race_of_eight_processes() {
    let mut racers: Vec<Child> = (0..8).map(|_| child("racer", &[])).collect();
    for racer in &mut racers {
        racer.wait_for("ready");
    }
    for round in 0..ring::number("RING_RACES", 30) {
        let name = unique("race");
        // Everybody creates; everybody creates and sits; half of them want either seat, and it may exist or not.
        let orders = match round % 3 {
            0 => ["create"; 8],
            1 => ["make"; 8],
            _ => ["tx", "rx", "tx", "rx", "tx", "rx", "tx", "rx"],
        };
        for (racer, order) in racers.iter_mut().zip(orders) {
            racer.tell(&format!("{order} {}", name.as_str()));
        }
        let results: Vec<String> = racers.iter_mut().map(|racer| racer.wait_for("result")).collect();
        let generations: Vec<_> = results.iter().map(|r| r.rsplit_once(" Ok").map(|(_, g)| g)).collect();
        assert!(generations.iter().all(|g| g.is_some() && *g == generations[0]), "one ring for all: {results:?}");
        let count = |start: &str| results.iter().filter(|r| r.starts_with(start)).count();
        let expected = match round % 3 {
            0 | 1 => (1, 7, 0),
            _ => (2, 0, 6),
        };
        assert_eq!((count("Ok(())"), count("Err(Exists)"), count("Err(InUse)")), expected, "{results:?}");
        for racer in &mut racers {
            racer.ask("leave now", "gone");
        }
        if support::backing() != support::Backing::Memfd {
            ring_shm::unlink(&name, false).unwrap();
            assert_eq!(ring::left_behind(name.as_str()), [""; 0]);
        }
    }
}

#[test]
fn unlink_while_living() {
    if support::skip_over(support::Backing::Memfd, "has no name") {
        return;
    }
    let name = unique("unlink");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let mut tx = sender(name.as_str(), 1);
    assert!(ring_shm::unlink(name.as_str(), false).is_err(), "somebody lives in it");
    ring_shm::unlink(name.as_str(), true).unwrap();
    // The living go on, also through a death and its proof; nobody new comes in.
    tx.ask("send 2 3", "sent");
    assert_eq!(everything(&mut rx), [Record(1, 0), Record(1, 1)]);
    assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::NotFound);
    // Another ring of the same name is another ring.
    let mut other = Producer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    other.try_send(0, b"other").unwrap();
    tx.ask("send 1 3", "sent");
    assert_eq!(everything(&mut rx), [Record(1, 2)]);
    tx.kill();
    assert_eq!(everything(&mut rx), [DIED]);
}

#[test]
fn threads_handles_move() {
    let name = unique("threads");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let mut rx = Consumer::open(name.as_str()).unwrap();
    for round in 0..20 {
        // Each time other threads.
        (tx, rx) = std::thread::scope(|s| {
            let sends = s.spawn(move || {
                let mut payload = Vec::new();
                for seq in round * 100..(round + 1) * 100 {
                    let tag = record(0, seq, 100, &mut payload);
                    insist(|| tx.try_send(tag, &payload));
                }
                tx
            });
            let receives = s.spawn(move || {
                let mut expected = Vec::new();
                for seq in round * 100..(round + 1) * 100 {
                    let mut buf = [0; 128];
                    let got = until("a record", || rx.try_recv_into(&mut buf).ok());
                    assert_eq!(got.tag, record(0, seq, 100, &mut expected));
                    assert_eq!(buf[..got.len], expected);
                }
                rx
            });
            (sends.join().unwrap(), receives.join().unwrap())
        });
    }
}

/// Without its message, which is meant.
fn panics(f: impl FnOnce() + Send) {
    std::thread::scope(|s| {
        let thread = std::thread::Builder::new().name("meant to panic".into()).spawn_scoped(s, f).unwrap();
        assert!(thread.join().is_err());
    });
}

#[test]
fn threads_a_panicking_consumer_keeps_its_record_and_is_dead() {
    let name = unique("panic-rx");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let mut rx = Consumer::open(name.as_str()).unwrap();
    while tx.try_send(9, b"kept").is_ok() {}
    panics(move || {
        let record = rx.try_read().unwrap();
        assert_eq!(record.tag(), 9);
        panic!("with a record in hand");
    });
    assert!(tx.is_disconnected());
    until("the death", || match tx.try_send(9, b"full") {
        Err(TrySendError::Full) => None,
        Err(TrySendError::PeerDied) => Some(()),
        other => panic!("{other:?}"),
    });
    let mut rx = Consumer::open(name.as_str()).unwrap();
    let first = rx.try_recv_into(&mut [0; 8]).unwrap();
    assert!(first.redelivered, "its reader may have seen it");
    assert!(!rx.try_recv_into(&mut [0; 8]).unwrap().redelivered);
}

/// Released when it is dropped, by a call.
struct Released<'a>(Option<spsc_handles::Record<'a, Untrusted>>);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.take().unwrap().release();
    }
}

#[test]
fn threads_what_a_panicking_consumer_releases_by_a_call_is_released() {
    let name = unique("panic-release");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let mut rx = Consumer::open(name.as_str()).unwrap();
    for tag in 1..=3 {
        tx.try_send(tag, b"").unwrap();
    }
    panics(move || {
        let _first = Released(Some(rx.try_read().unwrap()));
        panic!("with a record that is released");
    });
    let mut rx = until("the death", || Consumer::open(name.as_str()).ok());
    assert_eq!(rx.try_recv_into(&mut []).unwrap().tag, 2);
}

#[test]
fn threads_a_panicking_producer_sends_no_half_record_and_is_dead() {
    let name = unique("panic-tx");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let mut tx = Producer::open(name.as_str()).unwrap();
    panics(move || {
        tx.try_send(ring::tag(1, 0), b"whole").unwrap();
        let mut claim = tx.try_claim(20).unwrap();
        claim.write(b"half");
        let _guard = claim;
        panic!("with a claim in hand");
    });
    assert_eq!(everything(&mut rx), [Record(1, 0), DIED]);
    let mut tx = sender(name.as_str(), 2);
    tx.ask("send 1 4", "sent");
    assert_eq!(everything(&mut rx), [Record(2, 0)]);
}
