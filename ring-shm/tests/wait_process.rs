//! Waiting between processes: deaths, stops and closes end a sleep or do not, signals are no reason to return, a sandbox
//! without the barrier is slower and no less safe, and a sleeper costs next to nothing.
#![allow(unsafe_code)]

mod support;

use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use ring_shm::wait::{Canceller, SLICE};
use ring_shm::{mpmc, spsc};
use support::{Child, SOON, TestName, at_once, child, hear, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "spsc-producer" => play_spsc_producer(&args[0]),
        "spsc-consumer" => play_spsc_consumer(&args[0]),
        "mpmc-claimer" => play_mpmc_claimer(&args[0]),
        "mpmc-holder" => play_mpmc_holder(&args[0]),
        "mpmc-sleeper" => play_mpmc_sleeper(&args[0]),
        "sandboxed" => play_sandboxed(&args[0], &args[1]),
        other => panic!("no role {other}"),
    });
}

/// Sends one record an order, and dies or leaves when told.
fn play_spsc_producer(name: &str) {
    let mut tx = spsc::Producer::open(name).unwrap();
    say("ready");
    while let Some(order) = hear() {
        match order.as_str() {
            "send" => {
                tx.send(0, b"record").unwrap();
                say("sent");
            }
            _ => return drop(tx),
        }
    }
}

/// Sits and waits to be killed, or receives for ever, asleep in between.
fn play_spsc_consumer(name: &str) {
    let mut rx = spsc::Consumer::open(name).unwrap();
    rx.set_wait_strategy(at_once());
    say("ready");
    if hear().as_deref() == Some("sleep") {
        while rx.recv_into(&mut [0; 64]).is_ok() {}
    }
    hear();
}

/// Claims a slot and keeps it.
fn play_mpmc_claimer(name: &str) {
    let mut tx = mpmc::Producer::open(name).unwrap();
    let _claim = tx.try_claim(8).unwrap();
    say("claimed");
    hear();
}

/// Takes a message and keeps it in its hands.
fn play_mpmc_holder(name: &str) {
    let mut rx = mpmc::Consumer::open(name).unwrap();
    let _record = rx.try_read().unwrap();
    say("holds");
    hear();
}

fn play_mpmc_sleeper(name: &str) {
    let mut rx = mpmc::Consumer::open(name).unwrap();
    rx.set_wait_strategy(at_once());
    say("ready");
    while let Ok(got) = rx.recv_into(&mut [0; 8]) {
        say(&format!("got {}", got.tag));
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    println!("{took:?}");
    took[took.len() / 2]
}

fn spsc_ring(tag: &str) -> TestName {
    let name = unique(tag);
    spsc::create(name.as_str(), &spsc::Options::new().capacity(4096)).unwrap();
    name
}

fn mpmc_ring(tag: &str) -> TestName {
    let name = unique(tag);
    mpmc::create(name.as_str(), &mpmc::Options::new().slots(8).slot_size(8).max_participants(8)).unwrap();
    name
}

/// Kills `peer` when we are asleep; when that was.
fn kill_soon(peer: &mut Child) -> Instant {
    thread::sleep(Duration::from_millis(20));
    let now = Instant::now();
    peer.kill();
    now
}

#[test]
fn the_death_of_a_producer_ends_a_sleep() {
    let name = spsc_ring("wait-death");
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap();
    rx.set_wait_strategy(at_once());
    let mut took = Vec::new();
    for _ in 0..9 {
        let mut peer = child("spsc-producer", &[name.as_str()]);
        peer.wait_for("ready");
        peer.ask("send", "sent");
        assert_eq!(rx.recv_into(&mut [0; 64]).map(|got| got.len), Ok(6));
        thread::scope(|s| {
            let killed = s.spawn(|| kill_soon(&mut peer));
            assert_eq!(rx.recv_into(&mut [0; 64]), Err(spsc::RecvError::PeerDied));
            let now = Instant::now();
            took.push(now - killed.join().unwrap());
        });
    }
    assert!(median(took) < SOON);
    assert_eq!(rx.recv_into_timeout(&mut [0; 64], Duration::from_millis(1)), Err(spsc::RecvError::Timeout));
}

#[test]
fn the_death_of_a_consumer_ends_a_sleep() {
    let name = spsc_ring("wait-death");
    let mut tx = spsc::Producer::open(name.as_str()).unwrap();
    tx.set_wait_strategy(at_once());
    while tx.try_send(0, &[0; 100]).is_ok() {}
    let mut took = Vec::new();
    for _ in 0..9 {
        let mut peer = child("spsc-consumer", &[name.as_str()]);
        peer.wait_for("ready");
        thread::scope(|s| {
            let killed = s.spawn(|| kill_soon(&mut peer));
            assert_eq!(tx.send(0, &[0; 100]), Err(spsc::SendError::PeerDied));
            let now = Instant::now();
            took.push(now - killed.join().unwrap());
        });
    }
    assert!(median(took) < SOON);
}

/// The slot in the way is settled by whoever sleeps behind it, and what comes after it arrives.
#[test]
fn a_death_in_the_way_of_a_sleeper_is_settled() {
    let mut took = Vec::new();
    for _ in 0..9 {
        let name = mpmc_ring("wait-claim");
        let mut tx = mpmc::Producer::open(name.as_str()).unwrap();
        let mut rx = mpmc::Consumer::open(name.as_str()).unwrap();
        rx.set_wait_strategy(at_once());
        let mut claimer = child("mpmc-claimer", &[name.as_str()]);
        claimer.wait_for("claimed");
        tx.try_send(7, b"behind").unwrap();
        match rx.recv_into_timeout(&mut [0; 8], Duration::from_millis(20)) {
            Err(mpmc::RecvError::Timeout { by: Some(holder) }) => {
                assert_eq!(holder.pid, u32::try_from(claimer.pid()).unwrap());
            }
            other => panic!("{other:?}"),
        }
        thread::scope(|s| {
            let killed = s.spawn(|| kill_soon(&mut claimer));
            assert_eq!(rx.recv_into(&mut [0; 8]).map(|got| got.tag), Ok(7));
            let now = Instant::now();
            took.push(now - killed.join().unwrap());
        });
    }
    assert!(median(took) < SOON);
}

/// Nobody is blocked by it, so the sleeper has to look for it.
#[test]
fn a_message_in_dead_hands_reaches_a_sleeper() {
    let mut took = Vec::new();
    for round in 0..9 {
        let name = mpmc_ring("wait-hands");
        let mut tx = mpmc::Producer::open(name.as_str()).unwrap();
        tx.try_send(round, b"message").unwrap();
        let mut holder = child("mpmc-holder", &[name.as_str()]);
        holder.wait_for("holds");
        let mut rx = mpmc::Consumer::open(name.as_str()).unwrap();
        rx.set_wait_strategy(at_once());
        thread::scope(|s| {
            let killed = s.spawn(|| kill_soon(&mut holder));
            assert_eq!(rx.recv_into(&mut [0; 8]).map(|got| (got.tag, got.redelivered)), Ok((round, true)));
            let now = Instant::now();
            took.push(now - killed.join().unwrap());
        });
    }
    assert!(median(took) < SOON);
}

#[test]
fn a_stopped_peer_is_waited_for() {
    let name = spsc_ring("wait-stop");
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap();
    let mut peer = child("spsc-producer", &[name.as_str()]);
    peer.wait_for("ready");
    peer.signal(libc::SIGSTOP);
    peer.wait_for_state('T');
    assert_eq!(rx.recv_into_timeout(&mut [0; 64], 4 * SLICE), Err(spsc::RecvError::Timeout));
    peer.signal(libc::SIGCONT);
    peer.tell("send");
    assert_eq!(rx.recv_into(&mut [0; 64]).map(|got| got.len), Ok(6));
    peer.tell("leave");
    assert_eq!(rx.recv_into(&mut [0; 64]), Err(spsc::RecvError::Disconnected));
}

/// A sleeper that is killed leaves its bit; a message costs its sender one wake-up for nothing, and reaches the other
/// sleeper at once all the same.
#[test]
fn a_killed_sleeper_is_no_obstacle() {
    let name = mpmc_ring("wait-killed");
    let mut tx = mpmc::Producer::open(name.as_str()).unwrap();
    let mut took = Vec::new();
    for round in 0..9 {
        // Consumers take their places from the end, and wakers begin at the front: the dead one comes first.
        let mut alive = child("mpmc-sleeper", &[name.as_str()]);
        alive.wait_for("ready");
        let mut dead = child("mpmc-sleeper", &[name.as_str()]);
        dead.wait_for("ready");
        thread::sleep(Duration::from_millis(2)); // both asleep, and early in their slices
        dead.kill();
        let start = Instant::now();
        tx.send(round, b"message").unwrap();
        assert_eq!(alive.wait_for("got"), round.to_string());
        took.push(start.elapsed());
    }
    assert!(median(took) < SLICE / 5);
}

#[test]
fn a_ring_whose_name_is_gone_still_wakes() {
    if support::skip_over(support::Backing::Memfd, "has no name") {
        return;
    }
    let name = spsc_ring("wait-unlinked");
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap();
    rx.set_wait_strategy(at_once());
    let mut peer = child("spsc-producer", &[name.as_str()]);
    peer.wait_for("ready");
    ring_shm::unlink(name.as_str(), true).unwrap();
    // Another ring of the same name is another ring.
    spsc::create(name.as_str(), &spsc::Options::new().capacity(4096)).unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(Duration::from_millis(10));
            peer.tell("send");
        });
        let start = Instant::now();
        assert_eq!(rx.recv_into(&mut [0; 64]).map(|got| got.len), Ok(6));
        assert!(start.elapsed() < SOON);
    });
}

#[test]
fn damage_ends_a_sleep_within_a_slice() {
    if support::skip_over(support::Backing::Sysv, "has no file to damage") {
        return;
    }
    let name = spsc_ring("wait-damage");
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap();
    rx.set_wait_strategy(at_once());
    let file = std::fs::OpenOptions::new().write(true).open(name.path()).unwrap();
    thread::scope(|s| {
        let damaged = s.spawn(|| {
            thread::sleep(Duration::from_millis(10));
            file.write_all_at(&[0xff; 8], 4096).unwrap();
            Instant::now()
        });
        assert!(matches!(rx.recv_into(&mut [0; 64]), Err(spsc::RecvError::Corrupt(_))));
        let now = Instant::now();
        assert!(now - damaged.join().unwrap() < 2 * SOON);
    });
    assert!(matches!(rx.recv_into(&mut [0; 64]), Err(spsc::RecvError::Corrupt(_))), "and for good");
}

static CANCELLER: OnceLock<Canceller> = OnceLock::new();

extern "C" fn cancel(_: libc::c_int) {
    if let Some(canceller) = CANCELLER.get() {
        canceller.cancel();
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// Has `handler` called for `signal`, and system calls interrupted by it.
fn on(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: `sigaction` is plain numbers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    // SAFETY: a whole `sigaction`; the handlers are async-signal-safe.
    assert_eq!(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }, 0);
}

#[test]
fn signals_are_no_reason_to_return_and_a_handler_can_cancel() {
    on(libc::SIGUSR1, nothing);
    on(libc::SIGUSR2, cancel);
    let (_tx, mut rx) = spsc::heap(4096).unwrap();
    rx.set_wait_strategy(at_once());
    CANCELLER.set(rx.canceller()).unwrap();
    // SAFETY: no arguments.
    let waiter = unsafe { libc::pthread_self() };
    let rain = |signal: libc::c_int, times: u32| {
        for _ in 0..times {
            thread::sleep(Duration::from_micros(100));
            // SAFETY: the waiter is the thread whose scope this one runs in.
            assert_eq!(unsafe { libc::pthread_kill(waiter, signal) }, 0);
        }
    };
    thread::scope(|s| {
        s.spawn(|| rain(libc::SIGUSR1, 1000));
        let (start, timeout) = (Instant::now(), Duration::from_millis(120));
        assert_eq!(rx.recv_into_timeout(&mut [0; 8], timeout), Err(spsc::RecvError::Timeout));
        let took = start.elapsed();
        assert!(took >= timeout && took < timeout + 2 * SLICE, "{took:?}");
    });
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(Duration::from_millis(10));
            rain(libc::SIGUSR2, 1);
        });
        let start = Instant::now();
        assert_eq!(rx.recv_into(&mut [0; 8]), Err(spsc::RecvError::Cancelled));
        assert!(start.elapsed() < SOON);
    });
}

/// Processor time of this thread.
fn used() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a whole `rusage`.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) }, 0);
    // SAFETY: filled in, and zero before.
    let usage = unsafe { usage.assume_init() };
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec.unsigned_abs()) + Duration::from_micros(t.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// What `wait` takes of a processor.
fn cost(wait: &mut dyn FnMut()) -> Duration {
    let before = used();
    wait();
    used() - before
}

/// The least of a few tries: other users of the processor only ever add to it. Where they add to every one, by what they do to its
/// caches and its clock, a thread that does nothing but sleep thirty times takes more as well, and is what counts.
#[test]
fn a_parked_handle_costs_next_to_nothing() {
    let (_tx, mut rx) = spsc::heap(4096).unwrap();
    let ring = mpmc::heap(16, 8).unwrap();
    let mut many = ring.consumer().unwrap();
    let time = Duration::from_millis(1500);
    // Thirty bare sleeps on a futex alone take a thousandth of a core where an idle CPU wakes up slowly.
    let bar = time / 250;
    let mut sleeps = || (0..30).for_each(|_| thread::sleep(time / 30));
    for wait in [&mut (|| assert!(rx.recv_into_timeout(&mut [0; 8], time).is_err())) as &mut dyn FnMut(), &mut || {
        assert!(many.recv_into_timeout(&mut [0; 8], time).is_err())
    }] {
        let mut seen = Vec::new();
        let cheap = (0..4).any(|_| {
            let used = cost(wait);
            let sleeping = if used < bar { Duration::ZERO } else { cost(&mut sleeps) };
            seen.push((used, sleeping));
            used < bar.max(4 * sleeping)
        });
        println!("{seen:?} of {time:?}");
        assert!(cheap, "{seen:?} (beside sleeps alone) of {time:?}");
    }
}

/// One side of a conversation over two rings, both ends asleep most of the time, in a process without the barrier.
fn play_sandboxed(there: &str, back: &str) {
    support::forbid(&[libc::SYS_membarrier]);
    let mut rx = spsc::Consumer::open(there).unwrap();
    let mut tx = spsc::Producer::open(back).unwrap();
    rx.set_wait_strategy(at_once());
    tx.set_wait_strategy(at_once());
    say("ready");
    let mut buf = [0; 8];
    while let Ok(got) = rx.recv_into(&mut buf) {
        tx.send(got.tag, &buf[..got.len]).unwrap();
    }
    say("left");
}

#[test]
fn a_sandbox_without_the_barrier_wakes_and_is_woken() {
    let (there, back) = (spsc_ring("wait-box"), spsc_ring("wait-box"));
    let mut peer = child("sandboxed", &[there.as_str(), back.as_str()]);
    peer.wait_for("ready");
    let mut tx = spsc::Producer::open(there.as_str()).unwrap();
    let mut rx = spsc::Consumer::open(back.as_str()).unwrap();
    rx.set_wait_strategy(at_once());
    const ROUNDS: u32 = 400;
    let start = Instant::now();
    for tag in 0..ROUNDS {
        tx.send(tag, &[1; 8]).unwrap();
        assert_eq!(rx.recv_into(&mut [0; 8]).map(|got| got.tag), Ok(tag));
        if tag % 16 == 0 {
            thread::sleep(Duration::from_millis(1)); // so that the other side sleeps soundly
        }
    }
    assert!(start.elapsed() < ROUNDS * SLICE / 20, "{ROUNDS} round trips took {:?}", start.elapsed());
    drop(tx);
    peer.wait_for("left");
}
