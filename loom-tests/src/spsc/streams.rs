//! Models of one living producer and one living consumer: what is published is whole, in order, and never
//! overwritten before it is released.

use core::ops::ControlFlow;

use ring_core::SessionEnd;
use ring_core::model::once::yield_now;
use ring_core::spsc::{Claim, ClaimError, Consumer, Producer, ReadError};

use super::world::{Event, check, msg, payload, recv, recv_wait, send, try_send};
use super::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("empty_and_zero_length", Bound::ALL, Body::Plain(empty_and_zero_length)),
    model("short_commit", Bound::ALL, Body::Plain(short_commit)),
    model("abort", Bound::ALL, Body::Plain(abort)),
    model("full", Bound::ALL, Body::Plain(full)),
    model("padding", Bound::ALL, Body::Plain(padding)),
    model("wrap", Bound::ALL, Body::Plain(wrap)),
    model("wrap_at_2_64", Bound::ALL, Body::Plain(wrap)).start_at(u64::MAX),
    model("stream", Bound::ALL, Body::Plain(stream)),
    model("in_place", Bound::ALL, Body::Plain(in_place)),
    model("batch_is_all_or_nothing", Bound::ALL, Body::Plain(batch_is_all_or_nothing)),
    model("batch_with_padding", Bound::ALL, Body::Plain(batch_with_padding)),
    model("batch_read", Bound::ALL, Body::Plain(batch_read)),
    model("batch_grows", Bound::ALL, Body::Plain(batch_grows)),
    // Large enough for records that are marked as seen ahead.
    model("many_at_once", Bound::ALL, Body::Plain(many_at_once)).capacity(512),
    model("rest", Bound::ALL, Body::Plain(rest)),
    model("release_every", Bound::ALL, Body::Plain(release_every)).release_every(16),
    model("release_every_is_held_back", Bound::ALL, Body::Plain(release_every_is_held_back)).release_every(16),
];

/// Leaves forged headers of former records all over the data area, and the ring empty.
pub(crate) fn dirty(tx: &mut Producer<'_>, rx: &mut Consumer<'_>, tags: &[u32]) {
    for &tag in tags {
        send(tx, tag);
        recv(rx, tag);
    }
}

/// Sees the consumer a record before it is there, or a payload where a length of zero was sent?
fn empty_and_zero_length(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let sender = move || {
        assert!(try_send(&mut tx, msg(1, 0)).is_some());
        assert!(try_send(&mut tx, 0).is_some());
        assert!(try_send(&mut tx, msg(2, 8)).is_some());
    };
    let receiver = move || {
        recv_wait(&mut rx, msg(1, 0));
        recv_wait(&mut rx, 0);
        recv_wait(&mut rx, msg(2, 8));
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    };
    w.both(sender, receiver);
}

/// Does a commit shorter than its claim end on payload that forges a header?
fn short_commit(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    // Forged headers of a former lap lie where the records will end.
    dirty(&mut tx, &mut rx, &[msg(1, 24), msg(2, 24)]);
    let sender = move || {
        let mut claim = tx.try_claim(24).unwrap();
        claim.set_tag(msg(3, 8));
        assert_eq!(claim.write(&payload(msg(3, 24))), 24);
        claim.truncate(8);
        claim.commit();
        let mut claim = tx.try_claim(20).unwrap();
        claim.set_tag(msg(4, 4));
        // Two writes, the second one merging with the first.
        let bytes = payload(msg(4, 4));
        assert_eq!((claim.write(&bytes[..3]), claim.write(&bytes[3..])), (3, 1));
        claim.truncate(4);
        claim.commit();
    };
    let receiver = move || {
        let mut buf = [0; 8];
        let first = loop {
            match rx.try_recv_into(&mut buf) {
                Ok(got) => break got,
                Err(ReadError::Empty) => yield_now(),
                Err(e) => panic!("{e}"),
            }
        };
        assert_eq!((first.tag, first.len, &buf[..]), (msg(3, 8), 8, &payload(msg(3, 24))[..8]));
        recv_wait(&mut rx, msg(4, 4));
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    };
    w.both(sender, receiver);
}

/// Does an aborted, dropped or forgotten claim leave a trace?
fn abort(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let sender = move || {
        let write = |mut claim: Claim<'_, '_>| {
            claim.write(&payload(msg(9, 24)));
            claim.abort();
        };
        write(tx.try_claim(24).unwrap());
        let mut batch = tx.try_claim_batch_exact(2, 8).unwrap();
        batch.push(msg(8, 8), &payload(msg(8, 8))).unwrap();
        batch.push(msg(7, 8), &payload(msg(7, 8))).unwrap();
        drop(batch);
        assert!(tx.try_claim_batch(2, 8).unwrap().commit() == 0);
        assert!(try_send(&mut tx, msg(1, 8)).is_some());
    };
    let receiver = move || {
        recv_wait(&mut rx, msg(1, 8));
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    };
    w.both(sender, receiver);
}

/// Is space given out before it is released, or refused for ever after?
fn full(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 24)).is_some());
    assert!(try_send(&mut tx, msg(2, 16)).is_some());
    assert!(try_send(&mut tx, msg(3, 8)).is_none());
    let sender = move || {
        send(&mut tx, msg(3, 8));
        assert!(matches!(tx.try_claim(25), Err(ClaimError::TooLong { len: 25, max: 24 })));
    };
    let receiver = move || {
        recv(&mut rx, msg(1, 24));
        recv(&mut rx, msg(2, 16));
        recv_wait(&mut rx, msg(3, 8));
    };
    w.both(sender, receiver);
}

/// Are padding and its record one commit?
fn padding(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(1, 24), msg(2, 8)]);
    let sender = move || {
        // At 48 of 64: 24 bytes do not fit.
        assert!(try_send(&mut tx, msg(3, 16)).is_some());
    };
    let receiver = move || {
        recv_wait(&mut rx, msg(3, 16));
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    };
    w.both(sender, receiver);
}

/// Does a stream that ends exactly at the wrap, and passes it, come whole?
fn wrap(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(1, 16), msg(2, 8)]);
    // From 40 to 64, and from 0.
    let tags = [msg(3, 16), msg(4, 8)];
    let sender = move || {
        for tag in tags {
            send(&mut tx, tag);
        }
    };
    let receiver = move || {
        for tag in tags {
            recv_wait(&mut rx, tag);
        }
    };
    w.both(sender, receiver);
}

/// Does a stream of mixed lengths, with padding, come whole in its third lap, where each record waits for room?
fn stream(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(1, 16), msg(2, 24), msg(3, 8), msg(4, 0)]);
    // At 88, which is 24 of 64: to 56, then 8 of padding, and the last record from 0, for which the first makes room.
    let tags = [msg(5, 24), msg(6, 16)];
    let sender = move || {
        for tag in tags {
            send(&mut tx, tag);
        }
    };
    let receiver = move || {
        for tag in tags {
            recv_wait(&mut rx, tag);
        }
    };
    w.both(sender, receiver);
}

/// Is a record that is being read in place safe until its release, and the same again when it was kept?
fn in_place(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 16)).is_some());
    assert!(try_send(&mut tx, msg(2, 16)).is_some());
    let sender = move || {
        send(&mut tx, msg(3, 16));
    };
    let receiver = move || {
        for tag in [msg(1, 16), msg(2, 16)] {
            let mut buf = [0; 16];
            let record = rx.try_read().unwrap();
            let position = record.position();
            record.keep();
            let record = rx.try_read().unwrap();
            assert_eq!((record.position(), record.tag(), record.redelivered()), (position, tag, false));
            assert_eq!(record.copy_to(&mut buf), 16);
            check(tag, &buf);
            record.release();
        }
        recv_wait(&mut rx, msg(3, 16));
    };
    w.both(sender, receiver);
}

/// Does whoever sees the first record of a batch see them all?
fn batch_is_all_or_nothing(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(8, 24), msg(9, 24)]);
    let tags = [msg(1, 8), msg(2, 0), msg(3, 8)];
    let sender = move || {
        let mut batch = tx.try_claim_batch_exact(3, 8).unwrap();
        for tag in tags {
            batch.push(tag, &payload(tag)).unwrap();
        }
        assert_eq!(batch.commit(), 3);
    };
    let receiver = move || {
        recv_wait(&mut rx, tags[0]);
        recv(&mut rx, tags[1]);
        recv(&mut rx, tags[2]);
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    };
    w.both(sender, receiver);
}

/// The same with padding between two records of the batch, and a claim that has to wait.
fn batch_with_padding(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(8, 24), msg(7, 24), msg(6, 8)]);
    assert!(try_send(&mut tx, msg(9, 16)).is_some());
    let tags = [msg(1, 8), msg(2, 8)];
    let sender = move || {
        let mut batch = loop {
            // From 40: 16 bytes, 8 of padding, 16 bytes, the next header: those before 40 are in the way.
            match tx.try_claim_batch_exact(2, 8) {
                Ok(batch) => break batch,
                Err(ClaimError::Full) => yield_now(),
                Err(e) => panic!("{e}"),
            }
        };
        for tag in tags {
            batch.push(tag, &payload(tag)).unwrap();
        }
        assert_eq!(batch.commit(), 2);
    };
    let receiver = move || {
        recv(&mut rx, msg(9, 16));
        recv_wait(&mut rx, tags[0]);
        recv(&mut rx, tags[1]);
        assert!(matches!(rx.try_read(), Err(ReadError::Empty)));
    };
    w.both(sender, receiver);
}

/// Reads batches of at most three, in `looks` looks; what came.
fn read_batches(rx: &mut Consumer<'_>, looks: usize) -> Vec<u32> {
    let mut tags = vec![];
    for _ in 0..looks {
        match rx.try_read_batch(3) {
            Ok(mut batch) => {
                while let Some(record) = batch.next_record().unwrap() {
                    let mut buf = [0; 32];
                    let len = record.copy_to(&mut buf);
                    assert!(!record.redelivered());
                    check(record.tag(), &buf[..len]);
                    tags.push(record.tag());
                }
                assert!(batch.len() <= 3);
                batch.release();
            }
            Err(ReadError::Empty) => {}
            Err(e) => panic!("{e}"),
        }
    }
    tags
}

/// Are the records of a batch read safe until they are released together?
fn batch_read(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let tags = [msg(1, 8), msg(2, 8), msg(3, 24)];
    assert!(try_send(&mut tx, tags[0]).is_some() && try_send(&mut tx, tags[1]).is_some());
    // The third one wants the room of the others.
    let sender = move || (try_send(&mut tx, tags[2]).is_some() || try_send(&mut tx, tags[2]).is_some(), tx);
    let receiver = move || (read_batches(&mut rx, 2), rx);
    let ((sent, mut tx), (mut seen, mut rx)) = w.both(sender, receiver);
    assert!(sent || try_send(&mut tx, tags[2]).is_some(), "all of them were released");
    seen.extend(read_batches(&mut rx, 2));
    assert_eq!(seen, tags);
}

/// Are the records whole that come while a batch of those before them is read?
fn batch_grows(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let tags = [msg(1, 8), msg(2, 8), msg(3, 0)];
    assert!(try_send(&mut tx, tags[0]).is_some());
    let sender = move || tags[1..].iter().for_each(|tag| assert!(try_send(&mut tx, *tag).is_some()));
    let receiver = move || (read_batches(&mut rx, 2), rx);
    let ((), (mut seen, mut rx)) = w.both(sender, receiver);
    seen.extend(read_batches(&mut rx, 2));
    assert_eq!(seen, tags);
}

/// The same of what is laid out, and read, in one go.
fn many_at_once(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let tag = msg(1, 8);
    let sender = move || {
        send(&mut tx, tag);
        let mut batch = tx.try_claim_batch_exact(3, 8).unwrap();
        assert_eq!(batch.push_each(tag, (0..3).map(|_| payload(tag))), Ok(3));
        batch.commit();
    };
    let receiver = move || {
        let mut left = 4;
        while left > 0 {
            match rx.try_read_batch(4) {
                Ok(mut batch) => {
                    let mut seen = 0;
                    let flow = batch.try_for_each(|record| {
                        let mut buf = [0; 32];
                        let len = record.copy_to(&mut buf);
                        assert_eq!((record.tag(), record.redelivered()), (tag, false));
                        check(record.tag(), &buf[..len]);
                        seen += 1;
                        ControlFlow::<()>::Continue(())
                    });
                    assert!(flow.is_ok());
                    assert_eq!(batch.release(), seen);
                    // The first by itself or with all the others, which come together.
                    assert!(matches!((left, seen), (4, 1 | 4) | (3, 3)), "{seen} of {left}");
                    left -= seen;
                }
                Err(ReadError::Empty) => yield_now(),
                Err(e) => panic!("{e}"),
            }
        }
    };
    w.both(sender, receiver);
}

/// Does a consumer that does not ask at each look still get what comes, and then the end, told once?
fn rest(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    rx.ask_after(1);
    assert!(try_send(&mut tx, msg(1, 8)).is_some());
    let sender = move || {
        send(&mut tx, msg(2, 8));
        tx.close();
    };
    let other = w.clone();
    let receiver = move || {
        let log = other.collect(&mut rx, |event| matches!(event, Event::End(_)));
        let got = |tag| Event::Got { tag, redelivered: false };
        assert_eq!(log, [got(msg(1, 8)), got(msg(2, 8)), Event::End(SessionEnd::Closed)]);
        assert_eq!(other.glance(&mut rx, 3), []);
    };
    w.both(sender, receiver);
}

/// Is a head that is held back published before the producer would wait for it for ever?
fn release_every(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let tags = [msg(1, 24), msg(2, 0)];
    for tag in tags {
        assert!(try_send(&mut tx, tag).is_some());
    }
    // What is behind them, from 40, is too short; the last 8 bytes are held back until the consumer finds nothing more.
    let sender = move || _ = send(&mut tx, msg(3, 24));
    let receiver = move || {
        for tag in tags {
            recv(&mut rx, tag);
        }
        recv_wait(&mut rx, msg(3, 24));
    };
    w.both(sender, receiver);
}

/// Are records whole that come while the head is held back, and is room that was not published given out?
fn release_every_is_held_back(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let tags = [msg(1, 0), msg(2, 8), msg(3, 0), msg(4, 8)];
    for tag in tags {
        assert!(try_send(&mut tx, tag).is_some());
    }
    let sender = move || (try_send(&mut tx, msg(5, 16)).is_some(), tx);
    let receiver = move || {
        for tag in tags {
            recv(&mut rx, tag);
        }
        rx
    };
    let ((sent, mut tx), mut rx) = w.both(sender, receiver);
    assert!(sent || rx.try_read().is_err() && try_send(&mut tx, msg(5, 16)).is_some(), "there is room");
    recv(&mut rx, msg(5, 16));
}
