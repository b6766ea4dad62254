//! Ends of sessions that come while the other side is asking after them: an orderly end is never told as a death, and
//! the last record comes before either.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
#[path = "support/spsc.rs"]
mod spsc;
mod support;

use std::time::{Duration, Instant};

use ring::{Rng, record_of_len, session_of};
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError};
use spsc::insist;
use support::{child, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "sessions" => play_sessions(&args[0], args[1].parse().unwrap()),
        "visits" => play_visits(&args[0], args[1].parse().unwrap()),
        other => panic!("no role {other}"),
    });
}

/// A producer that opens, sends and closes again and again, in order.
fn play_sessions(name: &str, sessions: u32) {
    for session in 0..sessions {
        let mut tx = Producer::open(name).unwrap();
        for seq in 0..u64::from(session % 3) {
            let mut payload = Vec::new();
            let tag = record_of_len(session % 4096, seq, 5, &mut payload);
            insist(|| tx.try_send(tag, &payload));
        }
        // So that the reader meets each end in the seat as well as in the ring.
        let start = Instant::now();
        let pause = Rng(u64::from(session)).delay(Duration::from_micros(150));
        while start.elapsed() < pause {}
        tx.close();
    }
}

/// Ends a child that a thread of this process waits for.
fn end_early(pid: i32) {
    // SAFETY: plain numbers; the child is ours and, since its peer has failed, still at work.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// An orderly close is never reported as a death, however the look at the seat and the question to the kernel fall.
#[test]
fn sessions_an_orderly_end_is_never_a_death() {
    let name = unique("orderly");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let sessions = 2000;
    let mut child = child("sessions", &[name.as_str(), &sessions.to_string()]);
    let pid = child.pid();
    let (mut ends, mut records) = (0, 0);
    // The session whose records have come, and whether its end has.
    let mut last = (0, true);
    std::thread::scope(|s| {
        let end = s.spawn(|| assert!(child.finish().success()));
        loop {
            let over = end.is_finished();
            match rx.try_recv_into(&mut [0; 8]) {
                Ok(got) => {
                    assert!(last.1 || last.0 == session_of(got.tag), "session {} has ended in silence", last.0);
                    last = (session_of(got.tag), false);
                    records += 1;
                }
                Err(TryRecvError::Empty) if over => break,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    last.1 = true;
                    ends += 1;
                    if ends > sessions {
                        end_early(pid);
                        panic!("more ends than sessions");
                    }
                }
                Err(e) => {
                    end_early(pid);
                    panic!("after {ends} orderly sessions: {e:?}")
                }
            }
        }
    });
    assert_eq!(records, (0..sessions).map(|s| s % 3).sum::<u32>());
    // Two of three have sent something. The end of one that found the ring full and has sent nothing may fall
    // together with the end before it.
    assert!(last.1 && (sessions * 2 / 3 - 1..=sessions).contains(&ends), "{ends} ends");
}

/// A consumer that comes, takes a record if there is one, and goes.
fn play_visits(name: &str, visits: u64) {
    for visit in 0..visits {
        let mut rx = Consumer::open(name).unwrap();
        let start = Instant::now();
        let pause = Rng(visit).delay(Duration::from_micros(150));
        while start.elapsed() < pause {}
        let _ = rx.try_recv_into(&mut [0; 8]);
        rx.close();
        let start = Instant::now();
        while start.elapsed() < pause / 4 {}
    }
}

#[test]
fn sessions_an_orderly_end_of_a_consumer_is_never_a_death() {
    let name = unique("visits");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let visits = 2000;
    let mut child = child("visits", &[name.as_str(), &visits.to_string()]);
    let pid = child.pid();
    let mut ends = 0;
    std::thread::scope(|s| {
        let end = s.spawn(|| assert!(child.finish().success()));
        while !end.is_finished() {
            match tx.try_send(0, b"visitor") {
                Ok(_) | Err(TrySendError::Full) => {}
                Err(TrySendError::Disconnected) => ends += 1,
                Err(e) => {
                    end_early(pid);
                    panic!("after {ends} orderly ends: {e:?}")
                }
            }
        }
    });
    assert!(ends <= visits, "{ends}"); // how many it is told of is the scheduler's affair
}

/// The same, made certain: it closes, or closes and somebody follows, between the look at the seat and the question.
#[test]
fn outcomes_an_orderly_end_while_the_kernel_is_asked() {
    use ring_core::spsc::{ClaimError, Format, ReadError, Ring};
    use ring_core::{Line, Region, SessionEnd, Verdict};

    for followed in [false, true] {
        let memory: Vec<Line> = (0..64).map(|_| Line::new()).collect();
        let ring = Ring::format(Region::new(&memory), &Format::new(64)).unwrap();
        let alive = |_| Verdict::Alive;
        let mut tx = ring.sit_producer(ring.next_lease().unwrap(), alive).unwrap();
        let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), alive).unwrap();
        let mut successor = None;
        let told = rx.try_recv_into_asking(&mut [0; 8], |_| {
            tx.close();
            successor = followed.then(|| ring.sit_producer(ring.next_lease().unwrap(), alive).unwrap());
            Verdict::Dead
        });
        let closed = Err(ReadError::Ended(SessionEnd::Closed));
        // With a successor it may be told a call later, from its mark.
        let told = if followed && told == Err(ReadError::Empty) { rx.try_recv_into(&mut [0; 8]) } else { told };
        assert_eq!(told, closed, "followed: {followed}");

        let mut tx = successor.unwrap_or_else(|| ring.sit_producer(ring.next_lease().unwrap(), alive).unwrap());
        while tx.try_send(0, &[]).is_ok() {}
        let told = tx.try_send_asking(0, &[], |_| {
            rx.close();
            Verdict::Dead
        });
        assert_eq!(told, Err(ClaimError::Ended(SessionEnd::Closed)), "followed: {followed}");
    }
}

/// A record committed, and its producer dead, between the look at the header and the question: the record comes first.
#[test]
fn outcomes_a_last_record_while_the_kernel_is_asked() {
    use ring_core::spsc::{Format, ReadError, Ring};
    use ring_core::{Line, Region, SessionEnd, Verdict};

    for closes in [false, true] {
        let memory: Vec<Line> = (0..64).map(|_| Line::new()).collect();
        let ring = Ring::format(Region::new(&memory), &Format::new(64)).unwrap();
        let alive = |_| Verdict::Alive;
        let mut tx = ring.sit_producer(ring.next_lease().unwrap(), alive).unwrap();
        let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), alive).unwrap();
        let told = rx.try_recv_into_asking(&mut [0; 8], |_| {
            tx.try_send(7, b"last").unwrap();
            if closes {
                tx.close();
            }
            Verdict::Dead
        });
        assert_eq!(told, Err(ReadError::Empty), "closes: {closes}");
        assert_eq!(rx.try_recv_into_asking(&mut [0; 8], |_| Verdict::Dead).map(|got| got.tag), Ok(7));
        let end = if closes { SessionEnd::Closed } else { SessionEnd::Died };
        assert_eq!(rx.try_recv_into_asking(&mut [0; 8], |_| Verdict::Dead), Err(ReadError::Ended(end)));
        assert_eq!(rx.try_recv_into_asking(&mut [0; 8], |_| Verdict::Dead), Err(ReadError::Empty));
    }
}
