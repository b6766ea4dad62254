use super::*;
use crate::message::message;

/// Two records of 8 bytes and a header more, so that the last record of a lap and the full ring come often.
const SMALL: usize = 5 * 16;

#[test]
fn messages_come_in_order_through_many_laps() {
    let (mut tx, mut rx) = leaked::<1>(SMALL);
    let (mut sent, mut received) = (0, 0);
    for step in 0..1000_u64 {
        for _ in 0..=step % 7 {
            sent += u64::from(tx.send(&message(sent)));
        }
        for _ in 0..=step % 5 {
            if let Some(words) = rx.recv() {
                assert_eq!(words, message(received));
                received += 1;
            }
        }
        assert!(sent - received <= 4, "eight bytes are no record's");
    }
    assert!(received > 900);
}

/// The bytes are those of ours: header, payload, header, and zero behind the last.
#[test]
fn a_reader_stops_at_the_zero_behind_the_last_record() {
    let (mut tx, mut rx) = leaked::<1>(SMALL);
    for lap in 0..20 {
        assert!(tx.send(&[lap]));
        assert_eq!(rx.recv(), Some([lap]));
        assert_eq!(rx.recv(), None, "what an older lap has left here is no message");
    }
}

#[test]
#[should_panic(expected = "two records")]
fn a_ring_of_one_record_is_none() {
    let _ = leaked::<8>(72);
}
