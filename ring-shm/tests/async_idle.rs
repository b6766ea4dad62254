//! What a thousand rings cost that are awaited and empty, with a chime and without, and what nothing costs. A program of its own: it counts the
//! threads and the time of the whole process.
#![allow(unsafe_code)]

#[path = "support/waiters.rs"]
mod waiters;

use std::thread;
use std::time::{Duration, Instant};

use ring_shm::spsc;
use waiters::waiters;

const RINGS: usize = 1000;

/// The CPU time of this process.
fn cpu_time() -> Duration {
    // SAFETY: all-zero bytes are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills it in.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) }, 0);
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// One after the other.
#[test]
fn a_thousand_idle_rings_cost_next_to_nothing() {
    cost("", || ());
    #[cfg(feature = "tokio")]
    cost(", by a chime", || drop(tokio::spawn(ring_shm::wait::Chime::new().unwrap().serve_in_tokio())));
}

fn cost(how: &str, begin: impl FnOnce()) {
    assert_eq!(waiters(), 0, "nobody waits, and somebody is there to wait for him");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        begin();
        let (mut producers, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..RINGS {
            let (tx, rx) = spsc::heap(256).unwrap();
            producers.push(tx);
            let mut rx = rx.into_async();
            tasks.push(tokio::spawn(async move { rx.recv_into(&mut [0; 8]).await.unwrap().tag }));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!((1..=8).contains(&waiters()), "{} threads", waiters());
        let (start, before) = (Instant::now(), cpu_time());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (wall, cpu) = (start.elapsed(), cpu_time() - before);
        let share = cpu.as_secs_f64() / wall.as_secs_f64();
        println!("{RINGS} idle rings{how}: {:.2} % of a core, {} threads", share * 100.0, waiters());
        // What the machine's figure is stands in docs/waiting.md; a build without optimisation gets its double.
        assert!(share < if cfg!(debug_assertions) { 0.04 } else { 0.01 }, "{:.2} % of a core", share * 100.0);
        for (tag, tx) in (0..).zip(&mut producers) {
            tx.try_send(tag, b"").unwrap();
        }
        for (tag, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap(), tag);
        }
    });
    let end = Instant::now() + Duration::from_secs(10);
    while waiters() > 0 {
        assert!(Instant::now() < end, "{} threads wait for nobody", waiters());
        thread::sleep(Duration::from_millis(50));
    }
}
