//! Typed handles of slices: any number of values in a record, by value and in place, and what is refused.

mod support;
#[path = "support/tick.rs"]
mod tick;

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use ring_shm::spsc::{self, Options, RecvError, TryRecvError, TrySendError, TypedConsumer, TypedProducer};
use ring_shm::{Payload, SetupErrorKind, Trust};
use support::{child, say, unique};
use tick::Tick;

fn tick(price: u64) -> Tick {
    Tick { price, quantity: 5, side: 1 }
}

/// Values of three bytes, whose slices end anywhere in a word.
type Pixel = [u8; 3];

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "sum" => {
            let mut rx = TypedConsumer::<[Tick]>::open(&args[0]).unwrap();
            let mut ticks = [tick(0); 100];
            let (mut slices, mut prices) = (0, 0);
            loop {
                match rx.recv_into(&mut ticks) {
                    Ok((count, received)) => {
                        assert_eq!((received.tag as usize, received.redelivered), (count, false));
                        assert!(ticks[..count].iter().all(|tick| (tick.quantity, tick.side) == (5, 1)));
                        prices += ticks[..count].iter().map(|tick| tick.price).sum::<u64>();
                        slices += 1;
                    }
                    Err(RecvError::Disconnected) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            say(&format!("{slices} {prices}"));
        }
        other => panic!("no role {other}"),
    });
}

#[test]
fn slices_go_to_another_process() {
    let name = unique("typed-slices");
    let mut tx = TypedProducer::<[Tick]>::create(name.as_str(), &Options::new().capacity(1 << 12)).unwrap();
    let mut other = child("sum", &[name.as_str()]);
    let ticks: Vec<Tick> = (1..=100).map(tick).collect();
    for count in 0..=100 {
        tx.send(count, &ticks[..count as usize]).unwrap();
    }
    tx.close();
    let prices: u64 = (0..=100).map(|count| count * (count + 1) / 2).sum();
    assert_eq!(other.next().unwrap(), format!("101 {prices}"));
    assert!(other.finish().success());
}

#[test]
fn slices_are_another_type_than_their_values() {
    assert_eq!(<[Tick]>::TYPE.to_string(), format!("[{}]", Tick::TYPE));
    let hashes = [<[Tick]>::TYPE.hash(), Tick::TYPE.hash(), <[Tick; 1]>::TYPE.hash(), <[u64]>::TYPE.hash()];
    for (i, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..i].contains(hash));
    }
    let name = unique("typed-slices-other");
    let _tx = TypedProducer::<[u64]>::create(name.as_str(), &Options::new()).unwrap();
    let refused = TypedConsumer::<u64>::open(name.as_str()).unwrap_err();
    assert_eq!(refused.kind(), SetupErrorKind::WrongType);
    assert!(refused.to_string().contains("[u64]"), "{refused}");
    assert_eq!(TypedConsumer::<[u32]>::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::WrongType);
    assert_eq!(TypedConsumer::<[[u64; 2]]>::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::WrongType);
    assert!(TypedConsumer::<[u64]>::open(name.as_str()).is_ok());
}

#[test]
fn a_capacity_for_less_than_one_value_is_refused() {
    let refused = spsc::typed_heap::<[[u64; 5]]>(64).unwrap_err();
    assert_eq!(refused.kind(), SetupErrorKind::Invalid, "{refused}");
    let (mut tx, mut rx) = spsc::typed_heap::<[[u64; 3]]>(64).unwrap();
    tx.try_send(0, &[[1, 2, 3]]).unwrap();
    assert_eq!(rx.try_read().unwrap()[..], [[1, 2, 3]]);
    assert!(matches!(tx.try_send(0, &[[0; 3]; 2]), Err(TrySendError::TooLong { len: 48, max: 24 })));
}

/// What is said of the copying way holds of handles that trust nobody, too.
fn by_value<P: Trust>(tx: &mut TypedProducer<[Pixel], P>, rx: &mut TypedConsumer<[Pixel], P>) {
    let mut pixels = [[0; 3]; 4];
    // None is a number.
    let sent = tx.try_send(1, &[]).unwrap();
    let (count, received) = rx.try_recv_into(&mut pixels).unwrap();
    assert_eq!((count, received.tag, received.position), (0, 1, sent));
    // As many as the buffer has room for, and more: those stay.
    tx.try_send(2, &[[1; 3], [2; 3], [3; 3], [4; 3]]).unwrap();
    tx.try_send(3, &[[5; 3]; 5]).unwrap();
    assert_eq!(rx.try_recv_into(&mut pixels).unwrap().0, 4);
    assert_eq!(pixels, [[1; 3], [2; 3], [3; 3], [4; 3]]);
    assert_eq!(rx.try_recv_into(&mut pixels), Err(TryRecvError::BufferTooSmall { needed: 15 }));
    let waited = rx.recv_into_timeout(&mut pixels, Duration::from_secs(5));
    assert_eq!(waited, Err(RecvError::BufferTooSmall { needed: 15 }));
    let slice = rx.try_read().unwrap();
    assert_eq!((slice.len(), slice.tag(), slice.copy_to(&mut pixels[..2])), (5, 3, 2));
    assert_eq!(pixels[..3], [[5; 3], [5; 3], [3; 3]]);
    slice.release();
    assert_eq!(rx.try_recv_into(&mut pixels), Err(TryRecvError::Empty));
}

#[test]
fn slices_of_any_length_come_as_they_were_sent() {
    let (mut tx, mut rx) = spsc::typed_heap::<[Pixel]>(1 << 12).unwrap();
    by_value(&mut tx, &mut rx);
    let name = unique("typed-slices-by-value");
    let mut tx = TypedProducer::create(name.as_str(), &Options::new()).unwrap();
    by_value(&mut tx, &mut TypedConsumer::open(name.as_str()).unwrap());
}

#[test]
fn what_is_no_whole_number_of_values_is_released_and_told() {
    let (mut tx, mut rx) = spsc::typed_heap::<[u32]>(1 << 12).unwrap();
    let mut values = [0; 2];
    // Shorter than the buffer, as long as it, and longer; then the same for who is lent it.
    for len in [3, 7, 9, 63, 5] {
        tx.get_mut().try_send(0, &vec![1; len]).unwrap();
        tx.try_send(0, &[7, 8]).unwrap();
        let told = match len {
            5 => rx.try_read().unwrap_err(),
            63 => match rx.recv_into_timeout(&mut values, Duration::from_secs(5)) {
                Err(RecvError::WrongLength { len, expected }) => TryRecvError::WrongLength { len, expected },
                other => panic!("{other:?}"),
            },
            _ => rx.try_recv_into(&mut values).unwrap_err(),
        };
        assert_eq!(told, TryRecvError::WrongLength { len, expected: 4 });
        assert_eq!(rx.try_recv_into(&mut values).unwrap().0, 2);
        assert_eq!(values, [7, 8]);
    }
}

#[test]
fn slices_are_lent_in_place_where_peers_are_trusted() {
    let (mut tx, mut rx) = spsc::typed_heap::<[Tick]>(1 << 12).unwrap();
    let mut claim = tx.try_claim(10).unwrap();
    assert_eq!((claim.len(), claim[..].len()), (10, 10));
    claim[0] = tick(1);
    claim[1] = tick(2);
    claim.truncate(2);
    assert_eq!(claim[..].len(), 2);
    claim.set_tag(9);
    let sent = claim.commit();
    let slice = rx.try_read().unwrap();
    assert_eq!((&slice[..], slice.tag(), slice.position()), (&[tick(1), tick(2)][..], 9, sent));
    slice.keep();
    assert_eq!(rx.read_timeout(Duration::ZERO).unwrap()[1], tick(2));
    // Too many for any ring, also where their bytes are more than numbers can say.
    for count in [1 << 12, usize::MAX / size_of::<Tick>() + 1, usize::MAX] {
        assert!(matches!(tx.try_claim(count), Err(TrySendError::TooLong { .. })), "{count}");
    }
    tx.try_claim(3).unwrap().abort();
    assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn claims_of_who_trusts_nobody_are_written_by_value() {
    let name = unique("typed-slices-claim");
    let mut tx = TypedProducer::<[u16]>::create(name.as_str(), &Options::new()).unwrap();
    let mut rx = TypedConsumer::<[u16]>::open(name.as_str()).unwrap();
    let mut claim = tx.claim(4).unwrap();
    assert_eq!((claim.write(&[1, 2, 3]), claim.write(&[4, 5])), (3, 1));
    claim.commit();
    let mut claim = tx.try_claim(3).unwrap();
    claim.set(&[9, 8]);
    claim.commit(); // what was not written is zero
    let mut values = [7; 4];
    assert_eq!((rx.try_recv_into(&mut values).unwrap().0, values), (4, [1, 2, 3, 4]));
    assert_eq!((rx.try_recv_into(&mut values).unwrap().0, values), (3, [9, 8, 0, 4]));
}

#[test]
fn who_waits_for_slices_is_woken_or_told_in_time() {
    let (mut tx, mut rx) = spsc::typed_heap::<[u64]>(1 << 12).unwrap();
    let mut values = [0; 8];
    let patience = Duration::from_millis(1);
    assert_eq!(rx.recv_into_timeout(&mut values, patience), Err(RecvError::Timeout));
    assert!(matches!(rx.read_timeout(patience), Err(RecvError::Timeout)));
    std::thread::scope(|s| {
        s.spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            for slice in [&[1_u64][..], &[2, 3]] {
                tx.send(0, slice).unwrap();
            }
        });
        assert_eq!(rx.recv_into(&mut values).unwrap().0, 1);
        assert_eq!(rx.read().unwrap()[..], [2, 3]);
        assert!(matches!(rx.recv_into(&mut values), Err(RecvError::Disconnected)));
    });
}

proptest! {
    /// Against a queue of vectors, round and round a small ring.
    #[test]
    fn a_ring_of_slices_is_a_queue_of_slices(lengths in proptest::collection::vec(0_usize..60, 1..200), room in 60_usize..80) {
        let (mut tx, mut rx) = spsc::typed_heap::<[u16]>(512).unwrap();
        let (mut queue, mut next, mut values) = (VecDeque::new(), 0_u16, vec![0; room]);
        for length in lengths {
            let slice: Vec<u16> = (0..length).map(|_| { next = next.wrapping_add(1); next }).collect();
            while let Err(error) = tx.try_send(0, &slice) {
                prop_assert_eq!(error, TrySendError::Full);
                let (count, _) = rx.try_recv_into(&mut values).unwrap();
                prop_assert_eq!(Some(values[..count].to_vec()), queue.pop_front());
            }
            queue.push_back(slice);
        }
        while let Some(slice) = queue.pop_front() {
            prop_assert_eq!(&rx.try_read().unwrap()[..], &slice[..]);
        }
        prop_assert_eq!(rx.try_recv_into(&mut values), Err(TryRecvError::Empty));
    }
}
