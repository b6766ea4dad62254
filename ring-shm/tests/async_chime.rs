//! Tasks of tokio's runtimes that are woken by a chime: over each backing, from another process, and what is left when it goes.
#![allow(unsafe_code)]

mod support;

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ring_shm::wait::Chime;
use ring_shm::{Location, Memfd, SegmentName, SysvName, ToLocation, mpmc, spsc};
use support::{SOON, TestName, child, say, unique};
use tokio::runtime::{Builder, Runtime};

const MOMENT: Duration = Duration::from_millis(20);

/// Of so many wake-ups most must come at once: that of a slice does so by chance only.
const ROUNDS: u32 = 20;

/// A chime is the whole process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.worker_threads(2).enable_all().build().unwrap())
}

/// Runs `future` as a task of a runtime that serves a chime.
fn served<R: Send + 'static>(runtime: &Runtime, future: impl Future<Output = R> + Send + 'static) -> R {
    runtime.block_on(async {
        let serves = tokio::spawn(Chime::new().unwrap().serve_in_tokio());
        let result = tokio::spawn(future).await.unwrap();
        serves.abort();
        assert!(serves.await.unwrap_err().is_cancelled());
        result
    })
}

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "sender" => play_sender(&args[0]),
        "awaiter" => play_awaiter(&args[0]),
        "forker" => play_forker(&args[0]),
        other => panic!("no role {other}"),
    });
}

/// Sends the time to whoever sleeps, `ROUNDS` times.
fn send_times(mut tx: spsc::Producer) {
    for _ in 0..ROUNDS {
        thread::sleep(MOMENT + Duration::from_millis(17)); // not in step with slices
        tx.try_send(0, &now().to_le_bytes()).unwrap();
    }
}

/// Nanoseconds on the clock that all processes share.
fn now() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(|time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
        .unwrap()
}

/// How many of the times came at once.
async fn quick_ones(rx: spsc::Consumer) -> u32 {
    let (mut rx, mut quick, mut sent) = (rx.into_async(), 0, [0; 8]);
    while rx.recv_into(&mut sent).await.is_ok() {
        quick += u32::from(now() - u64::from_le_bytes(sent) < 10_000_000);
    }
    quick
}

fn play_sender(name: &str) {
    send_times(spsc::Producer::open(name).unwrap());
}

#[test]
fn a_sender_in_another_process_wakes_the_task_itself() {
    let _alone = alone();
    for runtime in runtimes() {
        let name = unique("chime-process");
        let rx = spsc::Consumer::create(name.as_str(), &spsc::Options::new().capacity(1 << 12)).unwrap();
        let mut sender = child("sender", &[name.as_str()]);
        let quick = served(&runtime, quick_ones(rx));
        assert!(sender.finish().success());
        assert!(quick > ROUNDS * 2 / 3, "{quick} of {ROUNDS} wake-ups came within 10 ms");
    }
}

fn quick_over(tx: spsc::Producer, rx: spsc::Consumer) -> u32 {
    let sends = thread::spawn(|| send_times(tx));
    let [runtime, _] = runtimes();
    let quick = served(&runtime, quick_ones(rx));
    sends.join().unwrap();
    quick
}

#[test]
fn each_backing_has_it() {
    let _alone = alone();
    let made = |at: Location| -> (TestName, (spsc::Producer, spsc::Consumer)) {
        let name = TestName::new(at);
        let tx = spsc::Producer::create(name.as_str(), &spsc::Options::new().capacity(1 << 12)).unwrap();
        let rx = spsc::Consumer::open(name.as_str()).unwrap();
        (name, (tx, rx))
    };
    let memfd = Memfd::new("chime").unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    let strict = thread::spawn(move || {
        spsc::Producer::create_strict(&here, &spsc::Options::new().capacity(1 << 12), Duration::from_secs(5))
    });
    let strict_rx = spsc::Consumer::open_strict(&there, Duration::from_secs(5)).unwrap();
    let text = format!("chime-{}", std::process::id());
    let file = format!("{}/{text}", env!("CARGO_TARGET_TMPDIR"));
    let (_file, on_file) = made(Location::file(Path::new(&file)));
    let (_sysv, on_sysv) = made(SysvName::new(&text).unwrap().into());
    let (_posix, on_posix) = made(SegmentName::new(&text).unwrap().into());
    let (_memfd, on_memfd) = made(memfd.to_location().unwrap());
    let rings = [
        ("a file", on_file),
        ("System V", on_sysv),
        ("POSIX", on_posix),
        ("a memfd", on_memfd),
        ("a strict ring", (strict.join().unwrap().unwrap(), strict_rx)),
    ];
    for (which, (tx, rx)) in rings {
        let quick = quick_over(tx, rx);
        assert!(quick > ROUNDS * 2 / 3, "{which}: {quick} of {ROUNDS} wake-ups came within 10 ms");
    }
}

/// Two tasks await one ring of many by a chime, and end without a word.
fn play_awaiter(name: &str) {
    let [runtime, _] = runtimes();
    let receives = |name: String| async move {
        let mut rx = mpmc::Consumer::open(name.as_str()).unwrap().into_async();
        say("ready");
        let _ = rx.recv_into(&mut [0; 8]).await;
    };
    let (one, other) = (receives(name.to_owned()), receives(name.to_owned()));
    served(&runtime, async { tokio::join!(one, other) });
}

/// Those whose wishes are left of a kill take no wake-up from the living.
#[test]
fn the_dead_are_not_told_instead_of_the_living() {
    let _alone = alone();
    let mut quick = 0;
    for _ in 0..ROUNDS {
        let name = unique("chime-dead");
        let mut tx = mpmc::Producer::create(name.as_str(), &mpmc::Options::new().slots(4).slot_size(8)).unwrap();
        // Later places of consumers are asked first.
        let mut rx = mpmc::Consumer::open(name.as_str()).unwrap();
        let mut awaiter = child("awaiter", &[name.as_str()]);
        awaiter.wait_for("ready");
        awaiter.wait_for("ready");
        thread::sleep(MOMENT);
        let waits = thread::spawn(move || {
            rx.set_wait_strategy(support::at_once());
            rx.recv_into(&mut [0; 8]).map(|_| Instant::now())
        });
        thread::sleep(MOMENT / 4);
        awaiter.kill();
        let start = Instant::now();
        tx.try_send(7, b"").unwrap();
        let took = waits.join().unwrap().unwrap() - start;
        assert!(took < SOON + MOMENT, "{took:?}");
        quick += u32::from(took < Duration::from_millis(10));
    }
    assert!(quick > ROUNDS * 2 / 3, "{quick} of {ROUNDS} wake-ups came within 10 ms");
}

/// One of many tasks is woken by one message, and each has its turn.
#[test]
fn one_of_many_tasks_is_woken() {
    let _alone = alone();
    const TASKS: u32 = 8;
    for runtime in runtimes() {
        let name = unique("chime-many");
        let mut tx = mpmc::Producer::create(name.as_str(), &mpmc::Options::new().slots(16).slot_size(8)).unwrap();
        let consumers: Vec<_> = (0..TASKS).map(|_| mpmc::Consumer::open(name.as_str()).unwrap().into_async()).collect();
        let sends = thread::spawn(move || {
            for tag in 0..200 {
                thread::sleep(Duration::from_millis(1));
                tx.send(tag, b"").unwrap();
            }
            tx.close().unwrap();
        });
        let (count, polls) = served(&runtime, async {
            let tasks = consumers.into_iter().map(|mut rx| {
                rx.spin_for(Duration::ZERO);
                tokio::spawn(async move {
                    let (mut count, mut polls) = (0, 0);
                    while std::future::poll_fn(|cx| {
                        polls += 1;
                        rx.poll_recv(cx, &mut [0; 8])
                    })
                    .await
                    .is_ok()
                    {
                        count += 1;
                    }
                    (count, polls)
                })
            });
            let (mut count, mut polls) = (0, 0);
            for task in tasks.collect::<Vec<_>>() {
                let (one, its) = task.await.unwrap();
                (count, polls) = (count + one, polls + its);
            }
            (count, polls)
        });
        sends.join().unwrap();
        assert_eq!(count, 200);
        // Two for each message, and those of slices: all eight at each message would be 1,600.
        assert!(polls < 1000, "{polls} polls");
    }
}

/// Whoever waits when nobody serves any more goes on by the waiter, and to a chime that comes later.
#[test]
fn a_chime_that_goes_costs_a_slice_and_no_more() {
    let _alone = alone();
    let name = unique("chime-goes");
    let mut tx = spsc::Producer::create(name.as_str(), &spsc::Options::new().capacity(1 << 12)).unwrap();
    let mut rx = spsc::Consumer::open(name.as_str()).unwrap().into_async();
    let [serving, _] = runtimes();
    let serves = serving.spawn(Chime::new().unwrap().serve_in_tokio());
    serving.block_on(tokio::task::yield_now());
    let (says, told) = std::sync::mpsc::channel();
    let waits = thread::spawn(move || {
        pollster::block_on(async {
            let mut sent = [0; 8];
            while rx.recv_into(&mut sent).await.is_ok() {
                says.send(now() - u64::from_le_bytes(sent)).unwrap();
            }
        });
    });
    let mut send = || {
        tx.try_send(0, &now().to_le_bytes()).unwrap();
        Duration::from_nanos(told.recv_timeout(Duration::from_secs(5)).unwrap())
    };
    thread::sleep(MOMENT);
    // The runtime does not run: the chime is lost.
    let lost = send();
    assert!(lost < SOON + MOMENT, "{lost:?}");
    thread::sleep(MOMENT);
    // It goes with its runtime.
    drop(serving);
    assert!(serves.is_finished());
    let lost = send();
    assert!(lost < SOON + MOMENT, "{lost:?}");
    let mut quick = || {
        (0..ROUNDS)
            .filter(|_| {
                thread::sleep(MOMENT);
                send() < Duration::from_millis(10)
            })
            .count()
    };
    let by_waiter = quick();
    assert!(by_waiter > ROUNDS as usize * 2 / 3, "{by_waiter} of {ROUNDS} came within 10 ms");
    let [_, serving] = runtimes();
    serving.spawn(async { Chime::new().unwrap().serve_in_tokio().await });
    let by_chime = quick();
    assert!(by_chime > ROUNDS as usize * 2 / 3, "{by_chime} of {ROUNDS} came within 10 ms");
    drop(tx);
    waits.join().unwrap();
}

/// Forks with a chime, which in the child is nobody's.
fn play_forker(word: &str) {
    let chime = Chime::new().unwrap();
    let (mut tx, rx) = spsc::heap(64).unwrap();
    let mut rx = rx.into_async();
    rx.spin_for(Duration::ZERO);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(rx.poll_recv(&mut cx, &mut []).is_pending());
    tx.try_send(0, b"").unwrap();
    assert!(chime_has(&chime));
    // SAFETY: the child runs what this crate promises to work there, and exits.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        chime.wake_tasks().unwrap();
        let is_left = chime_has(&chime);
        drop(rx);
        let (mut own_tx, own_rx) = spsc::heap(64).unwrap();
        let own = Chime::new().unwrap();
        let waits = thread::spawn(move || pollster::block_on(own_rx.into_async().recv_into(&mut [])).is_ok());
        thread::sleep(MOMENT);
        own_tx.try_send(7, b"").unwrap();
        let heard = chime_has(&own);
        own.wake_tasks().unwrap();
        let good = waits.join().unwrap() && heard && is_left;
        // SAFETY: ends the child.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: a child of this process, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child could not await by its own chime, or took what its parent's had");
    assert!(rx.poll_recv(&mut cx, &mut []).is_ready());
    say(word);
}

fn chime_has(chime: &Chime) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    poll(&mut [PollFd::new(chime.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn a_forked_child_has_a_chime_of_its_own() {
    let _alone = alone();
    child("forker", &["good"]).wait_for("good");
}
