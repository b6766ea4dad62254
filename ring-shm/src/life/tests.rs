use super::*;

/// Who sleeps between two looks looks twenty times a second: at one question in 64 looks a death would be noticed
/// after seconds.
#[test]
fn who_has_slept_asks_at_the_next_look() {
    let mut life = Life::heap(HeapLease::take(Heap::new(128).unwrap(), 1));
    for _ in 0..3 {
        assert!((1..POLLS_PER_LOOK).all(|_| !life.probe_is_due()));
        life.ask_soon();
        assert!(life.probe_is_due());
    }
}
