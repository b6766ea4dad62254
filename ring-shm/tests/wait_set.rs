//! One thread that waits for many rings, in one process and between processes.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use ring_shm::wait::{Park, Readiness, Ready, SLICE, WaitError, WaitSet, Waitable};
use ring_shm::{mpmc, spsc};
use support::{SOON, TestName, child, hear, say, unique};

const MOMENT: Duration = Duration::from_millis(20);

/// In less than what was left of the slice: who was not woken looks then.
const SOON_ENOUGH: Duration = Duration::from_millis(25);

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "producer" => play_producer(&args[0]),
        "claimer" => play_claimer(&args[0]),
        "sandboxed" => play_sandboxed(&args[0], &args[1]),
        other => panic!("no role {other}"),
    });
}

/// A set that parks at once.
fn sleepy() -> WaitSet {
    let mut set = WaitSet::new();
    set.set_wait_strategy(Park::after(Duration::ZERO));
    set
}

fn indices(ready: &[Ready]) -> Vec<usize> {
    ready.iter().map(|ready| ready.index).collect()
}

/// Does `act` while `set` is asleep on `handles`; what the wait says, and how long after `act` it said so.
fn woken_by<W: Waitable>(set: &mut WaitSet, handles: &mut [W], act: impl FnOnce() + Send) -> (Vec<Ready>, Duration) {
    thread::scope(|s| {
        let acted = s.spawn(|| {
            thread::sleep(MOMENT);
            let now = Instant::now();
            act();
            now
        });
        let ready = set.wait_timeout(handles, Duration::from_secs(10)).unwrap().to_vec();
        let end = Instant::now();
        (ready, end.saturating_duration_since(acted.join().unwrap()))
    })
}

#[test]
fn mixed_handles_wake_for_data_and_for_space() {
    let (mut s_tx, mut s_rx) = spsc::heap(64).unwrap();
    let (mut f_tx, mut f_rx) = spsc::heap(64).unwrap();
    let (m_ring, g_ring) = (mpmc::heap(2, 8).unwrap(), mpmc::heap(2, 8).unwrap());
    let (mut m_tx, mut m_rx) = (m_ring.producer().unwrap(), m_ring.consumer().unwrap());
    let (mut g_tx, mut g_rx) = (g_ring.producer().unwrap(), g_ring.consumer().unwrap());
    while f_tx.try_send(0, &[0; 8]).is_ok() {}
    while g_tx.try_send(0, &[0; 8]).is_ok() {}
    let mut set = sleepy();
    // Who is ready when `$act` happens: the one at `$index`, for `$what`, and again as long as nobody takes it.
    macro_rules! wakes {
        ($index:expr, $what:expr, $act:expr) => {{
            let mut room = f_tx.room_for(8);
            let mut handles: [&mut dyn Waitable; 4] = [&mut s_rx, &mut m_rx, &mut room, &mut g_tx];
            let (ready, took) = woken_by(&mut set, &mut handles, || assert!($act.is_ok()));
            assert_eq!(indices(&ready), [$index]);
            assert_eq!(ready[0].what, $what);
            assert!(took < SOON_ENOUGH, "{took:?}: a wake-up was lost");
            assert_eq!(indices(set.wait(&mut handles).unwrap()), [$index]);
            assert_eq!(indices(set.wait_timeout(&mut handles, Duration::ZERO).unwrap()), [$index]);
        }};
    }
    wakes!(0, Readiness::Data, s_tx.try_send(0, b"record"));
    s_rx.try_recv_into(&mut [0; 8]).unwrap();
    wakes!(1, Readiness::Data, m_tx.try_send(0, b"message"));
    m_rx.try_recv_into(&mut [0; 8]).unwrap();
    wakes!(2, Readiness::Space, f_rx.try_recv_into(&mut [0; 8]));
    f_tx.try_send(0, &[0; 8]).unwrap();
    wakes!(3, Readiness::Space, g_rx.try_recv_into(&mut [0; 8]));
}

#[test]
fn nobody_starves_behind_a_busy_one() {
    let mut rings: Vec<_> = (0..5).map(|_| spsc::heap(64).unwrap()).collect();
    for (tx, _) in &mut rings {
        tx.try_send(0, b"").unwrap();
    }
    let mut set = WaitSet::new();
    let mut firsts = [0; 5];
    for _ in 0..25 {
        let mut handles: Vec<_> = rings.iter_mut().map(|(_, rx)| rx).collect();
        let ready = set.wait(&mut handles).unwrap();
        assert_eq!(ready.len(), 5, "all that are ready are in the answer");
        firsts[ready[0].index] += 1;
    }
    assert_eq!(firsts, [5; 5]);
}

#[test]
fn times_are_kept_and_requests_are_used_up() {
    let (mut tx, mut rx) = spsc::heap(64).unwrap();
    let mut set = sleepy();
    for timeout in [Duration::ZERO, MOMENT, 2 * SLICE + MOMENT] {
        let start = Instant::now();
        assert_eq!(set.wait_timeout(&mut [&mut rx], timeout), Err(WaitError::Timeout));
        let took = start.elapsed();
        assert!(took >= timeout && took < timeout + SLICE, "{took:?} for {timeout:?}");
    }
    assert_eq!(set.wait_deadline(&mut [&mut rx], Instant::now()), Err(WaitError::Timeout));
    let canceller = set.canceller();
    canceller.cancel();
    assert_eq!(set.wait(&mut [&mut rx]), Err(WaitError::Cancelled));
    assert_eq!(set.wait_timeout(&mut [&mut rx], MOMENT), Err(WaitError::Timeout), "one request ends one wait");
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(MOMENT);
            canceller.cancel();
        });
        let start = Instant::now();
        assert_eq!(set.wait(&mut [&mut rx]), Err(WaitError::Cancelled));
        assert!(start.elapsed() < MOMENT + SLICE, "the request did not end the sleep");
        s.spawn(|| {
            thread::sleep(MOMENT);
            canceller.cancel();
        });
        assert_eq!(set.wait::<&mut dyn Waitable>(&mut []), Err(WaitError::Cancelled), "with nobody to wait for");
    });
    canceller.cancel();
    tx.try_send(0, b"").unwrap();
    assert!(set.wait(&mut [&mut rx]).is_ok(), "something ready comes before a request");
    drop(set);
    canceller.cancel();
}

#[test]
fn an_end_is_an_event() {
    let (tx, mut rx) = spsc::heap(64).unwrap();
    let ring = mpmc::heap(2, 8).unwrap();
    let (mut closer, mut m_rx, mut m_tx) =
        (ring.producer().unwrap(), ring.consumer().unwrap(), ring.producer().unwrap());
    while m_tx.try_send(0, b"").is_ok() {}
    let mut set = sleepy();
    let (ready, took) = woken_by(&mut set, &mut [&mut rx], || drop(tx));
    assert_eq!((ready[0].what, took < SOON_ENOUGH), (Readiness::Disconnected, true));
    assert_eq!(set.wait_timeout(&mut [&mut rx], MOMENT), Err(WaitError::Timeout), "said once for each session");
    let (ready, took) = woken_by(&mut set, &mut [&mut m_tx], || closer.close().unwrap());
    assert_eq!((ready[0].what, took < SOON_ENOUGH), (Readiness::Disconnected, true));
    while m_rx.try_recv_into(&mut [0; 8]).is_ok() {}
    for _ in 0..2 {
        assert_eq!(set.wait(&mut [&mut m_rx]).unwrap()[0].what, Readiness::Disconnected, "said by every wait");
    }
}

#[test]
fn more_rings_than_one_call_takes() {
    const RINGS: usize = 300;
    let (mut producers, mut consumers): (Vec<_>, Vec<_>) = (0..RINGS).map(|_| spsc::heap(64).unwrap()).unzip();
    let mut set = sleepy();
    for index in [0, 126, 127, 128, 255, RINGS - 1] {
        let (ready, took) = woken_by(&mut set, &mut consumers, || assert!(producers[index].try_send(0, b"").is_ok()));
        assert_eq!(indices(&ready), [index]);
        assert!(took < SOON_ENOUGH, "{index} took {took:?}: a wake-up was lost");
        consumers[index].try_recv_into(&mut [0; 8]).unwrap();
    }
    assert_eq!(set.wait_timeout(&mut consumers, MOMENT), Err(WaitError::Timeout));
}

fn spsc_ring(tag: &str) -> TestName {
    let name = unique(tag);
    drop(spsc::Consumer::create(name.as_str(), &spsc::Options::new().capacity(1 << 12)).unwrap());
    name
}

/// Sends what it is told to, until it is killed.
fn play_producer(name: &str) {
    let mut tx = spsc::Producer::open(name).unwrap();
    say("ready");
    while hear().is_some() {
        tx.send(0, b"record").unwrap();
        say("sent");
    }
}

/// Claims a slot and keeps it.
fn play_claimer(name: &str) {
    let mut tx = mpmc::Producer::open(name).unwrap();
    let _claim = tx.try_claim(8).unwrap();
    say("claimed");
    hear();
}

#[test]
fn a_killed_producer_is_an_event() {
    let names: Vec<_> = (0..3).map(|_| spsc_ring("set-kill")).collect();
    let mut children: Vec<_> = names.iter().map(|name| child("producer", &[name.as_str()])).collect();
    children.iter_mut().for_each(|child| drop(child.wait_for("ready")));
    let mut consumers: Vec<_> = names.iter().map(|name| spsc::Consumer::open(name.as_str()).unwrap()).collect();
    let mut set = sleepy();
    children[1].tell("send");
    assert_eq!(indices(set.wait(&mut consumers).unwrap()), [1]);
    consumers[1].try_recv_into(&mut [0; 8]).unwrap();
    let killed = Instant::now();
    children[2].kill();
    let ready = set.wait(&mut consumers).unwrap();
    assert_eq!((ready.len(), ready[0].index, ready[0].what), (1, 2, Readiness::PeerDied));
    assert!(killed.elapsed() < SOON + MOMENT, "{:?}", killed.elapsed());
}

#[test]
fn a_death_in_the_way_is_settled() {
    let name = unique("set-claim");
    let mut rx = mpmc::Consumer::create(name.as_str(), &mpmc::Options::new().slots(4).slot_size(8)).unwrap();
    let mut tx = mpmc::Producer::open(name.as_str()).unwrap();
    let mut claimer = child("claimer", &[name.as_str()]);
    claimer.wait_for("claimed");
    tx.send(7, b"behind").unwrap();
    let mut set = sleepy();
    assert_eq!(set.wait_timeout(&mut [&mut rx], MOMENT), Err(WaitError::Timeout), "the living hold up");
    let killed = Instant::now();
    claimer.kill();
    assert_eq!(indices(set.wait(&mut [&mut rx]).unwrap()), [0]);
    assert!(killed.elapsed() < SOON + MOMENT, "{:?}", killed.elapsed());
    assert_eq!(rx.try_recv_into(&mut [0; 8]).unwrap().tag, 7);
}

/// One side of a conversation over two rings in a process that cannot sleep on many words, nor issue the barrier.
fn play_sandboxed(there: &str, back: &str) {
    support::forbid(&[libc::SYS_futex_waitv, libc::SYS_membarrier]);
    let mut rx = spsc::Consumer::open(there).unwrap();
    let mut tx = spsc::Producer::open(back).unwrap();
    let (_other_tx, mut other) = spsc::heap(64).unwrap();
    let mut set = sleepy();
    let canceller = set.canceller();
    canceller.cancel();
    assert_eq!(set.wait(&mut [&mut rx as &mut dyn Waitable, &mut other]), Err(WaitError::Cancelled));
    let start = Instant::now();
    assert_eq!(set.wait_timeout(&mut [&mut rx as &mut dyn Waitable, &mut other], MOMENT), Err(WaitError::Timeout));
    assert!(start.elapsed() >= MOMENT);
    say("ready");
    loop {
        let ready = set.wait(&mut [&mut other as &mut dyn Waitable, &mut rx]).unwrap();
        assert_eq!(indices(ready), [1]);
        if ready[0].what != Readiness::Data {
            break;
        }
        let got = rx.try_recv_into(&mut [0; 8]).unwrap();
        tx.send(got.tag, b"").unwrap();
    }
    say("left");
}

#[test]
fn a_sandbox_without_the_call_naps() {
    let (there, back) = (spsc_ring("set-box"), spsc_ring("set-box"));
    let mut peer = child("sandboxed", &[there.as_str(), back.as_str()]);
    peer.wait_for("ready");
    let mut tx = spsc::Producer::open(there.as_str()).unwrap();
    let mut rx = spsc::Consumer::open(back.as_str()).unwrap();
    const ROUNDS: u32 = 100;
    let start = Instant::now();
    for tag in 0..ROUNDS {
        tx.send(tag, &[1; 8]).unwrap();
        assert_eq!(rx.recv_into(&mut [0; 8]).map(|got| got.tag), Ok(tag));
    }
    assert!(start.elapsed() < ROUNDS * SLICE / 10, "{ROUNDS} round trips took {:?}", start.elapsed());
    drop(tx);
    peer.wait_for("left");
}
