//! Sessions of SPSC rings between real processes: one producer after another, and what a consumer is told of each.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
#[path = "support/sessions.rs"]
mod sessions;
#[path = "support/spsc.rs"]
mod spsc;
mod support;

use ring_shm::spsc::{Consumer, Options, Producer};
use sessions::Told::Record;
use sessions::*;
use support::unique;

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "sender" => play_sender(&args[0], args[1].parse().unwrap()),
        "reader" => play_reader(&args[0]),
        other => panic!("no role {other}"),
    });
}

#[test]
fn sessions_three_before_the_consumer_drains() {
    for consumer_first in [true, false] {
        let name = unique("three");
        ring_shm::spsc::create(name.as_str(), &Options::new().capacity(4096)).unwrap();
        let name = name.as_str();
        let early = consumer_first.then(|| Consumer::open(name).unwrap());
        let mut first = sender(name, 1);
        first.ask("send 2 10", "sent");
        first.ask("close", "closed");
        let mut second = sender(name, 2);
        second.ask("send 3 0", "sent");
        second.kill();
        let mut third = sender(name, 3);
        third.ask("send 1 100", "sent");
        let mut rx = early.unwrap_or_else(|| Consumer::open(name).unwrap());
        assert_eq!(
            everything(&mut rx),
            [Record(1, 0), Record(1, 1), CLOSED, Record(2, 0), Record(2, 1), Record(2, 2), DIED, Record(3, 0)]
        );
        third.ask("send 1 1", "sent");
        third.ask("close", "closed");
        assert_eq!(everything(&mut rx), [Record(3, 1), CLOSED]);
        assert_eq!(everything(&mut rx), [], "the next call waits for a successor");
        let mut fourth = sender(name, 4);
        assert_eq!(everything(&mut rx), []);
        fourth.ask("send 1 1", "sent");
        assert_eq!(everything(&mut rx), [Record(4, 0)]);
        fourth.kill_unreaped();
        assert_eq!(everything(&mut rx), [DIED]);
        assert_eq!(everything(&mut rx), []);
    }
}

#[test]
fn sessions_a_consumer_with_nothing_unread_waits_for_the_next() {
    let name = unique("next");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(512)).unwrap();
    assert_eq!(everything(&mut rx), [], "nobody has ever been there");
    for (session, killed) in [(1, false), (2, true)] {
        let mut tx = sender(name.as_str(), session);
        tx.ask("send 2 8", "sent");
        if killed {
            tx.kill();
        } else {
            tx.ask("close", "closed");
        }
        // This one reads the records and leaves before it is told of the end, the next has nothing to do with it.
        for _ in 0..2 {
            assert!(rx.try_recv_into(&mut [0; 8]).is_ok());
        }
        rx.close();
        rx = Consumer::open(name.as_str()).unwrap();
        assert_eq!(everything(&mut rx), [], "session {session}");
        assert!(rx.is_disconnected());
    }
    let mut tx = sender(name.as_str(), 3);
    tx.ask("send 1 8", "sent");
    tx.ask("close", "closed");
    assert_eq!(everything(&mut rx), [Record(3, 0), CLOSED]);
}

/// A full ring has no room for the mark that a successor writes about the session before it. If the successor then
/// leaves in order, having sent nothing, the consumer must not take the dead session for a whole one.
#[test]
fn sessions_a_death_in_a_full_ring_is_not_hidden_by_an_empty_session() {
    let name = unique("full");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let mut dies = sender(name.as_str(), 1);
    assert_eq!(dies.ask("send 100 0", "sent"), "7");
    dies.kill();
    let mut empty = sender(name.as_str(), 2);
    assert_eq!(empty.ask("send 100 0", "sent"), "0");
    empty.ask("close", "closed");
    let told = everything(&mut rx);
    assert_eq!(told[..7], [0, 1, 2, 3, 4, 5, 6].map(|seq| Record(1, seq)));
    assert_eq!(told.get(7), Some(&DIED), "session 1 was cut off, and its reader is told {:?}", &told[7..]);
}

/// The same with an orderly end first: nobody has died with something unread.
#[test]
fn sessions_an_orderly_end_in_a_full_ring_is_told() {
    let name = unique("full-closed");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let mut closes = sender(name.as_str(), 1);
    assert_eq!(closes.ask("send 100 0", "sent"), "7");
    closes.ask("close", "closed");
    let mut next = sender(name.as_str(), 2);
    assert_eq!(next.ask("send 1 0", "sent"), "0");
    for seq in 0..7 {
        assert_eq!(rx.try_recv_into(&mut []).map(|got| got.tag), Ok(ring::tag(1, seq)));
    }
    assert_eq!(next.ask("send 1 0", "sent"), "1");
    assert_eq!(everything(&mut rx), [CLOSED, Record(2, 0)]);
    next.kill();
    assert_eq!(everything(&mut rx), [DIED]);
}

/// What one dead consumer has seen stays flagged, though a second one dies before it has come that far.
#[test]
fn recover_what_the_first_of_two_dead_consumers_has_seen_is_flagged() {
    let name = unique("seen");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(4096)).unwrap();
    for tag in 0..9 {
        tx.try_send(tag, &[7; 20]).unwrap();
    }
    let mut first = reader(name.as_str());
    assert_eq!(first.ask("hold 8", "holds").split(' ').count(), 8);
    first.kill();
    let mut second = reader(name.as_str());
    assert_eq!(second.ask("hold 2", "holds"), "0:true 1:true");
    second.kill();
    let mut third = reader(name.as_str());
    for tag in 0..9 {
        let got = third.ask("recv", "got");
        // The mark of a batch runs some bytes ahead.
        let right = got == format!("Ok(({tag}, true))") || tag == 8 && got == "Ok((8, false))";
        assert!(right, "record {tag}: {got}");
    }
}

/// The mark of what has been seen runs ahead of a batch, and the stored head lags behind: whoever comes after a death
/// must not find that impossible.
#[test]
fn recover_after_a_batch_of_a_whole_ring() {
    for lines in [false, true] {
        let name = unique("whole");
        let options = Options::new().capacity(4096).release_every(1024).line_aligned(lines);
        let mut tx = Producer::create(name.as_str(), &options).unwrap();
        let mut sent = 0;
        while tx.try_send(sent, &[7; 56]).is_ok() || tx.try_send(sent, &[7; 8]).is_ok() {
            sent += 1;
        }
        let mut dies = reader(name.as_str());
        for tag in 0..5 {
            assert_eq!(dies.ask("recv", "got"), format!("Ok(({tag}, false))"));
        }
        // Exactly to the end: one look further would publish the head.
        let rest = sent as usize - 5;
        assert_eq!(dies.ask(&format!("hold {rest}"), "holds").split(' ').count(), rest);
        dies.kill();
        let mut rx = Consumer::open(name.as_str()).unwrap_or_else(|e| panic!("a successor is refused: {e}"));
        for tag in 0..sent {
            let got = rx.try_recv_into(&mut [0; 56]).unwrap();
            assert_eq!((got.tag, got.redelivered), (tag, true));
        }
    }
}
