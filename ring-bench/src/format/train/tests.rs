use super::*;

#[test]
fn trains_come_in_order_whole_or_not_at_all() {
    let (mut tx, mut rx) = leaked::<2, 18>(1 << 10);
    let (mut sent, mut received) = (0, 0);
    for step in 0..1000_usize {
        for _ in 0..=step % 3 {
            let count = 1 + step % 9;
            if tx.send_batch(sent, count) {
                sent += count as u64;
            }
        }
        let before = received;
        let got = rx.recv_batch(|words| {
            let expected = received;
            received += 1;
            if *words == message::<2>(expected) { Ok(()) } else { Err(expected) }
        });
        assert_eq!(got, Ok((received - before) as usize));
    }
    assert!(received > 2000, "{received}");
    assert!(sent - received <= 9 * 6, "{sent}");
}

#[test]
fn what_is_longer_than_a_train_is_refused() {
    let (mut tx, mut rx) = leaked::<1, 4>(1 << 10);
    assert!(!tx.send_batch(0, 5) && !tx.send_batch(0, 0));
    assert!(tx.send_batch(7, 4));
    let mut got = vec![];
    rx.recv_batch(|words| -> Result<(), ()> {
        got.push(*words);
        Ok(())
    })
    .unwrap();
    assert_eq!(got, (7..11).map(message::<1>).collect::<Vec<_>>());
}

/// The bytes are those that a ring of ours has.
#[test]
fn the_bytes_are_ours() {
    use ring_core::{CONTROL_SIZE, Line, Region, Verdict, spsc};
    use std::sync::atomic::Ordering::Relaxed;

    let memory: Vec<Line> = (0..(CONTROL_SIZE + 1024) / 128).map(|_| Line::new()).collect();
    let ring = spsc::Ring::format(Region::new(&memory), &spsc::Format::new(1024)).unwrap();
    let mut ours = ring.sit_producer(1, |_| Verdict::Alive).unwrap();
    let (mut tx, rx) = leaked::<1, 4>(1 << 10);
    assert!(tx.send_batch(7, 4));
    let mut batch = ours.try_claim_batch_exact(4, 8).unwrap();
    batch.push_each(0, (7..11).map(|number| message::<1>(number)[0].to_le_bytes())).unwrap();
    batch.commit();
    let data = memory.as_ptr().cast::<AtomicU64>().wrapping_add(CONTROL_SIZE as usize / 8);
    for i in 0..6 {
        // SAFETY: both rings have as many words: a header, four messages, a zero.
        let [ours, floor] = [data, rx.0.side.at].map(|at| unsafe { super::super::word(at, i) }.load(Relaxed));
        assert_eq!(ours, floor, "word {i}");
    }
}
