//! Handles for tasks between processes: deaths, a sandbox, and fork.
#![allow(unsafe_code)]

#[path = "support/chimed.rs"]
mod chimed;
mod support;

use std::future::Future;
use std::time::{Duration, Instant};

use ring_shm::{mpmc, spsc};
use support::{SOON, TestName, child, hear, say, unique};

fn block_on<F: Future>(future: F) -> F::Output {
    chimed::chimed();
    pollster::block_on(future)
}

const MOMENT: Duration = Duration::from_millis(20);

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "producer" => play_producer(&args[0]),
        "consumer" => play_consumer(&args[0]),
        "holder" => play_holder(&args[0]),
        "awaiter" => play_awaiter(&args[0]),
        "sandboxed" => play_sandboxed(&args[0]),
        "forker" => play_forker(&args[0]),
        other => panic!("no role {other}"),
    });
}

fn spsc_ring(tag: &str) -> TestName {
    let name = unique(tag);
    drop(spsc::Consumer::create(name.as_str(), &spsc::Options::new().capacity(1 << 12)).unwrap());
    name
}

fn play_producer(name: &str) {
    let _tx = spsc::Producer::open(name).unwrap();
    say("ready");
    hear();
}

fn play_consumer(name: &str) {
    let _rx = spsc::Consumer::open(name).unwrap();
    say("ready");
    hear();
}

/// Takes a message and keeps it in its hands.
fn play_holder(name: &str) {
    let mut rx = mpmc::Consumer::open(name).unwrap();
    let _record = rx.try_read().unwrap();
    say("holds");
    hear();
}

/// Awaits on a ring of many, for ever.
fn play_awaiter(name: &str) {
    let mut rx = mpmc::Consumer::open(name).unwrap().into_async();
    say("ready");
    let _ = block_on(rx.recv_into(&mut [0; 8]));
}

#[test]
fn the_death_of_a_peer_is_told_to_the_task() {
    let name = spsc_ring("async-kill");
    let mut producer = child("producer", &[name.as_str()]);
    producer.wait_for("ready");
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap().into_async();
    let killed = std::thread::spawn(move || {
        std::thread::sleep(MOMENT);
        producer.kill();
        Instant::now()
    });
    assert_eq!(block_on(rx.recv_into(&mut [])), Err(spsc::RecvError::PeerDied));
    let took = killed.join().unwrap().elapsed();
    assert!(took < SOON, "{took:?}");
    drop(rx);
    let mut consumer = child("consumer", &[name.as_str()]);
    consumer.wait_for("ready");
    let mut tx = spsc::Producer::open(name.as_str()).unwrap().into_async();
    while tx.get_mut().try_send(0, &[0; 64]).is_ok() {}
    let killed = std::thread::spawn(move || {
        std::thread::sleep(MOMENT);
        consumer.kill();
        Instant::now()
    });
    assert_eq!(block_on(tx.send(0, &[0; 64])), Err(spsc::SendError::PeerDied));
    let took = killed.join().unwrap().elapsed();
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_message_in_dead_hands_reaches_a_task() {
    let name = unique("async-hands");
    let mut tx = mpmc::Producer::create(name.as_str(), &mpmc::Options::new().slots(4).slot_size(8)).unwrap();
    tx.try_send(7, b"message").unwrap();
    let mut holder = child("holder", &[name.as_str()]);
    holder.wait_for("holds");
    let mut rx = mpmc::Consumer::open(name.as_str()).unwrap().into_async();
    let killed = std::thread::spawn(move || {
        std::thread::sleep(MOMENT);
        holder.kill();
        Instant::now()
    });
    let got = block_on(rx.recv_into(&mut [0; 8])).unwrap();
    assert_eq!((got.tag, got.redelivered), (7, true));
    let took = killed.join().unwrap().elapsed();
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_killed_awaiter_is_no_obstacle() {
    let name = unique("async-dead");
    let mut tx = mpmc::Producer::create(name.as_str(), &mpmc::Options::new().slots(4).slot_size(8)).unwrap();
    let mut awaiter = child("awaiter", &[name.as_str()]);
    awaiter.wait_for("ready");
    std::thread::sleep(MOMENT);
    let mut rx = mpmc::Consumer::open(name.as_str()).unwrap().into_async();
    awaiter.kill();
    let sent = std::thread::spawn(move || {
        std::thread::sleep(MOMENT);
        let now = Instant::now();
        tx.try_send(7, b"").unwrap();
        now
    });
    assert_eq!(block_on(rx.recv_into(&mut [0; 8])).unwrap().tag, 7);
    let took = sent.join().unwrap().elapsed();
    assert!(took < SOON, "{took:?}");
}

/// Answers in a process whose waiter can neither sleep on many words nor issue the barrier.
fn play_sandboxed(name: &str) {
    support::forbid(&[libc::SYS_futex_waitv, libc::SYS_membarrier]);
    let mut rx = spsc::Consumer::open(name).unwrap().into_async();
    say("ready");
    block_on(async {
        while let Ok(got) = rx.recv_into(&mut [0; 8]).await {
            say(&got.tag.to_string());
        }
    });
    say("left");
}

#[test]
fn a_sandbox_without_the_call_naps() {
    let name = spsc_ring("async-box");
    let mut peer = child("sandboxed", &[name.as_str()]);
    peer.wait_for("ready");
    let mut tx = spsc::Producer::open(name.as_str()).unwrap();
    const ROUNDS: u32 = 50;
    let start = Instant::now();
    for tag in 0..ROUNDS {
        tx.send(tag, b"").unwrap();
        peer.wait_for(&tag.to_string());
    }
    assert!(start.elapsed() < ROUNDS * SOON / 3, "{ROUNDS} answers took {:?}", start.elapsed());
    drop(tx);
    peer.wait_for("left");
}

/// Awaits, forks with a waiter at work, and awaits in parent and child.
fn play_forker(name: &str) {
    let (mut tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    chimed::chimed();
    let polls = |rx: &mut spsc::AsyncConsumer<ring_shm::Trusted>| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        rx.poll_recv(&mut cx, &mut [0; 8])
    };
    assert!(polls(&mut rx).is_pending());
    std::thread::sleep(MOMENT);
    // SAFETY: the child runs what this crate promises to work there, and exits.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let inherited = matches!(polls(&mut rx), std::task::Poll::Ready(Err(spsc::RecvError::Forked)));
        drop(rx);
        let (mut own_tx, own_rx) = spsc::heap(64).unwrap();
        let sends = std::thread::spawn(move || {
            std::thread::sleep(MOMENT);
            own_tx.try_send(7, b"").map(|_| own_tx).is_ok()
        });
        let got = block_on(own_rx.into_async().recv_into(&mut [0; 8]));
        let good = inherited && got.is_ok_and(|got| got.tag == 7) && sends.join().is_ok();
        // SAFETY: ends the child.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: a child of this process, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child could not await, or did with the parent's handle");
    tx.try_send(8, b"").unwrap();
    assert_eq!(block_on(rx.recv_into(&mut [0; 8])).unwrap().tag, 8);
    say(name);
}

#[test]
fn a_forked_child_awaits_with_a_waiter_of_its_own() {
    let mut forker = child("forker", &["good"]);
    forker.wait_for("good");
}
