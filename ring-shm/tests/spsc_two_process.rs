//! Real data through SPSC rings between real processes: streams, sessions and their ends, races, names, threads.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use std::time::{Duration, Instant};

use ring::{Rng, record, record_of_len, session_of, until};
use ring_shm::spsc::{Consumer, Options, Producer, TryRecvError, TrySendError};
use ring_shm::{SetupErrorKind, Trust};
use support::{Child, child, hear, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "source" => play_source(&args[0], &args[1..]),
        "sink" => play_sink(&args[0], &args[1..]),
        "sender" => play_sender(&args[0], args[1].parse().unwrap()),
        "reader" => play_reader(&args[0]),
        "sessions" => play_sessions(&args[0], args[1].parse().unwrap()),
        "visits" => play_visits(&args[0], args[1].parse().unwrap()),
        "racer" => play_racer(&args[0]),
        other => panic!("no role {other}"),
    });
}

// ---- streams -------------------------------------------------------------------------------------------------------

/// A source and a sink of the same arguments agree on every byte.
#[derive(Clone, Copy)]
struct Stream {
    capacity: u64,
    lines: bool,
    every: u64,
    records: u64,
    way: u64,
}

impl Stream {
    fn args(self) -> Vec<String> {
        [self.capacity, u64::from(self.lines), self.every, self.records, self.way].map(|n| n.to_string()).to_vec()
    }

    fn parse(args: &[String]) -> Self {
        let [capacity, lines, every, records, way] = [0, 1, 2, 3, 4].map(|i: usize| args[i].parse().unwrap());
        Self { capacity, lines: lines == 1, every, records, way }
    }

    fn options(self) -> Options {
        Options::new().capacity(self.capacity).line_aligned(self.lines).release_every(self.every)
    }
}

/// Repeats until the ring is no longer full.
fn insist<T>(mut send: impl FnMut() -> Result<T, TrySendError>) -> T {
    until("a full ring", || match send() {
        Ok(sent) => Some(sent),
        Err(TrySendError::Full) => None,
        Err(e) => panic!("{e:?}"),
    })
}

fn play_source(name: &str, args: &[String]) {
    let stream = Stream::parse(args);
    let tx = Producer::open_or_create(name, &stream.options()).unwrap();
    if stream.way == 3 {
        // SAFETY: both processes of this test go through the library.
        let mut tx = unsafe { tx.trust_peers() };
        let (max, mut payload) = (tx.max_len(), Vec::new());
        let mut seq = 0;
        while seq < stream.records {
            let tag = record(1, seq, max, &mut payload);
            if seq % 2 == 0 {
                insist(|| {
                    let mut claim = tx.try_claim(payload.len())?;
                    claim.set_tag(tag);
                    claim.copy_from_slice(&payload);
                    Ok(claim.commit())
                });
            } else {
                insist(|| {
                    let mut batch = tx.try_claim_batch(1, payload.len())?;
                    batch.push_with(tag, payload.len(), |room| room.copy_from_slice(&payload))?;
                    Ok(batch.commit())
                });
            }
            seq += 1;
        }
        return;
    }
    let mut tx = tx;
    let (max, mut payload) = (tx.max_len(), Vec::new());
    let mut seq = 0;
    while seq < stream.records {
        let tag = record(1, seq, max, &mut payload);
        match stream.way {
            0 => {
                insist(|| tx.try_send(tag, &payload));
                seq += 1;
            }
            1 => {
                // Sometimes a claim is abandoned, and often it is longer than what is committed.
                if seq % 7 == 0 {
                    insist(|| tx.try_claim(max).map(|mut claim| assert_eq!(claim.write(&vec![0xaa; max]), max)));
                }
                insist(|| {
                    let mut claim = tx.try_claim(payload.len() + (seq as usize % 9).min(max - payload.len()))?;
                    claim.set_tag(tag);
                    for part in payload.chunks(13) {
                        assert_eq!(claim.write(part), part.len());
                    }
                    claim.truncate(payload.len());
                    Ok(claim.commit())
                });
                seq += 1;
            }
            _ => {
                seq += insist(|| {
                    let mut batch = tx.try_claim_batch((stream.records - seq).min(16) as usize, max.min(200))?;
                    let (mut at, mut one) = (seq, Vec::new());
                    while batch.remaining() > 0 {
                        let tag = record(1, at, max, &mut one);
                        if one.len() > max.min(200) {
                            break;
                        }
                        batch.push(tag, &one).unwrap();
                        at += 1;
                    }
                    if batch.is_empty() {
                        batch.abort();
                        return tx.try_send(tag, &payload).map(|_| 1);
                    }
                    Ok(batch.commit() as u64)
                });
            }
        }
    }
    tx.close();
}

fn play_sink(name: &str, args: &[String]) {
    let stream = Stream::parse(args);
    let rx = Consumer::open_or_create(name, &stream.options()).unwrap();
    let seq = match stream.way {
        // SAFETY: both processes of this test go through the library.
        3 => drain_all(unsafe { rx.trust_peers() }, stream, |record| record.to_vec()),
        _ => drain_all(rx, stream, |record| {
            let mut copy = vec![0; record.len()];
            assert_eq!(record.copy_to(&mut copy), record.len());
            copy
        }),
    };
    say(&format!("received {seq}"));
}

/// Everything up to the orderly end, which comes after the last record.
fn drain_all<T: Trust>(
    mut rx: Consumer<T>,
    stream: Stream,
    bytes: fn(&ring_shm::spsc::Record<'_, T>) -> Vec<u8>,
) -> u64 {
    let (max, mut seq, mut expected, mut buf) = (rx.max_len(), 0, Vec::new(), vec![0; rx.max_len()]);
    let mut check = |found: u32, payload: &[u8]| {
        let tag = record(1, seq, max, &mut expected);
        assert!(found == tag && payload == expected, "record {seq}");
        seq += 1;
    };
    let mut turn = 0;
    loop {
        turn += 1;
        let got = match (stream.way, turn % 2) {
            (0, _) => rx.try_recv_into(&mut buf).map(|got| check(got.tag, &buf[..got.len])),
            (2, 0) | (3, 0) => rx.try_read_batch(5).map(|mut batch| {
                while let Some(record) = batch.next_record() {
                    let len = record.copy_to(&mut buf);
                    check(record.tag(), &buf[..len]);
                }
            }),
            _ => rx.try_read().map(|record| check(record.tag(), &bytes(&record))),
        };
        match got {
            Ok(()) => {}
            Err(TryRecvError::Empty) => std::thread::yield_now(),
            Err(TryRecvError::Disconnected) => break,
            Err(e) => panic!("{e:?}"),
        }
    }
    for _ in 0..300 {
        assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Empty), "the end is told once");
    }
    seq
}

/// Runs source and sink, whichever is to come first.
fn run_stream(stream: Stream, source_first: bool) {
    let name = unique("stream");
    let mut args = vec![name.as_str().to_owned()];
    args.extend(stream.args());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let start = |role: &str| child(role, &args);
    let (mut source, mut sink);
    if source_first {
        source = start("source");
        until("the source", || name.path().exists().then_some(()));
        sink = start("sink");
    } else {
        sink = start("sink");
        until("the sink", || name.path().exists().then_some(()));
        source = start("source");
    }
    assert!(source.finish().success());
    assert_eq!(sink.wait_for("received"), stream.records.to_string());
    assert!(sink.finish().success());
}

#[test]
fn smoke_streams_of_mixed_lengths_in_every_way() {
    for way in 0..4 {
        for (capacity, lines, every) in [(64, false, 0), (1 << 12, false, 1 << 10), (1 << 14, true, 0)] {
            run_stream(Stream { capacity, lines, every, records: 1500, way }, (way + capacity) % 2 == 0);
        }
    }
}

#[test]
fn smoke_either_side_first() {
    for source_first in [true, false] {
        run_stream(Stream { capacity: 512, lines: false, every: 0, records: 100, way: 0 }, source_first);
    }
}

// ---- sessions ------------------------------------------------------------------------------------------------------

/// A producer that does as it is told: `send N LEN`, `close`.
fn play_sender(name: &str, session: u32) {
    let mut tx = Some(Producer::open(name).unwrap());
    say("sits");
    let mut seq = 0;
    let mut payload = Vec::new();
    while let Some(order) = hear() {
        if let Some(rest) = order.strip_prefix("send ") {
            let (count, len) = rest.split_once(' ').unwrap();
            let (count, len): (u64, usize) = (count.parse().unwrap(), len.parse().unwrap());
            let mut sent = 0;
            while sent < count {
                let tag = record_of_len(session, seq, len, &mut payload);
                match tx.as_mut().unwrap().try_send(tag, &payload) {
                    Ok(_) => (seq, sent) = (seq + 1, sent + 1),
                    Err(TrySendError::Full) => break,
                    Err(e) => panic!("{e:?}"),
                }
            }
            say(&format!("sent {sent}"));
        } else {
            drop(tx.take());
            say("closed");
        }
    }
}

/// A consumer that does as it is told: `recv`, `hold N` (and never release).
fn play_reader(name: &str) {
    let mut rx = Consumer::open(name).unwrap();
    say("sits");
    let mut buf = vec![0; rx.max_len()];
    while let Some(order) = hear() {
        if let Some(count) = order.strip_prefix("hold ") {
            let mut batch = rx.try_read_batch(count.parse().unwrap()).unwrap();
            let mut tags = Vec::new();
            while let Some(record) = batch.next_record() {
                tags.push(format!("{}:{}", record.tag(), record.redelivered()));
            }
            say(&format!("holds {}", tags.join(" ")));
            hear();
            unreachable!("killed with the batch in its hands");
        }
        let got = rx.try_recv_into(&mut buf);
        say(&format!("got {:?}", got.map(|got| (got.tag, got.redelivered))));
    }
}

fn sender(name: &str, session: u32) -> Child {
    let mut sender = child("sender", &[name, &session.to_string()]);
    sender.wait_for("sits");
    sender
}

fn reader(name: &str) -> Child {
    let mut reader = child("reader", &[name]);
    reader.wait_for("sits");
    reader
}

/// What a consumer tells.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Record(u32, u64),
    End(TryRecvError),
}
use Told::{End, Record};

/// Polls until nothing has come for a while: the kernel is asked once a millisecond.
fn everything(rx: &mut Consumer) -> Vec<Told> {
    let (mut told, mut buf, mut quiet, mut polls) = (Vec::new(), vec![0; rx.max_len()], Instant::now(), 0);
    while polls < 256 {
        match rx.try_recv_into(&mut buf) {
            Ok(got) => told.push(Record(session_of(got.tag), u64::from(got.tag & 0xf_ffff))),
            Err(TryRecvError::Empty) => {
                polls += u32::from(quiet.elapsed() > Duration::from_millis(2));
                continue;
            }
            Err(e) => told.push(End(e)),
        }
        (quiet, polls) = (Instant::now(), 0);
        assert!(told.len() < 1000, "it never ends: {:?} …", &told[..20]);
    }
    told
}

const CLOSED: Told = End(TryRecvError::Disconnected);
const DIED: Told = End(TryRecvError::PeerDied);

#[test]
fn sessions_three_before_the_consumer_drains() {
    for consumer_first in [true, false] {
        let name = unique("three");
        ring_shm::spsc::create(name.as_str(), &Options::new().capacity(4096)).unwrap();
        let name = name.as_str();
        let early = consumer_first.then(|| Consumer::open(name).unwrap());
        let mut first = sender(name, 1);
        first.ask("send 2 10", "sent");
        first.ask("close", "closed");
        let mut second = sender(name, 2);
        second.ask("send 3 0", "sent");
        second.kill();
        let mut third = sender(name, 3);
        third.ask("send 1 100", "sent");
        let mut rx = early.unwrap_or_else(|| Consumer::open(name).unwrap());
        assert_eq!(
            everything(&mut rx),
            [Record(1, 0), Record(1, 1), CLOSED, Record(2, 0), Record(2, 1), Record(2, 2), DIED, Record(3, 0)]
        );
        third.ask("send 1 1", "sent");
        third.ask("close", "closed");
        assert_eq!(everything(&mut rx), [Record(3, 1), CLOSED]);
        assert_eq!(everything(&mut rx), [], "the next call waits for a successor");
        let mut fourth = sender(name, 4);
        assert_eq!(everything(&mut rx), []);
        fourth.ask("send 1 1", "sent");
        assert_eq!(everything(&mut rx), [Record(4, 0)]);
        fourth.kill_unreaped();
        assert_eq!(everything(&mut rx), [DIED]);
        assert_eq!(everything(&mut rx), []);
    }
}

#[test]
fn sessions_a_consumer_with_nothing_unread_waits_for_the_next() {
    let name = unique("next");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(512)).unwrap();
    assert_eq!(everything(&mut rx), [], "nobody has ever been there");
    for (session, killed) in [(1, false), (2, true)] {
        let mut tx = sender(name.as_str(), session);
        tx.ask("send 2 8", "sent");
        if killed {
            tx.kill();
        } else {
            tx.ask("close", "closed");
        }
        // This one reads the records and leaves before it is told of the end, the next has nothing to do with it.
        for _ in 0..2 {
            assert!(rx.try_recv_into(&mut [0; 8]).is_ok());
        }
        rx.close();
        rx = Consumer::open(name.as_str()).unwrap();
        assert_eq!(everything(&mut rx), [], "session {session}");
        assert!(rx.is_disconnected());
    }
    let mut tx = sender(name.as_str(), 3);
    tx.ask("send 1 8", "sent");
    tx.ask("close", "closed");
    assert_eq!(everything(&mut rx), [Record(3, 0), CLOSED]);
}

/// A full ring has no room for the mark that a successor writes about the session before it. If the successor then
/// leaves in order, having sent nothing, the consumer must not take the dead session for a whole one.
#[test]
fn sessions_a_death_in_a_full_ring_is_not_hidden_by_an_empty_session() {
    let name = unique("full");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let mut dies = sender(name.as_str(), 1);
    assert_eq!(dies.ask("send 100 0", "sent"), "7");
    dies.kill();
    let mut empty = sender(name.as_str(), 2);
    assert_eq!(empty.ask("send 100 0", "sent"), "0");
    empty.ask("close", "closed");
    let told = everything(&mut rx);
    assert_eq!(told[..7], [0, 1, 2, 3, 4, 5, 6].map(|seq| Record(1, seq)));
    assert_eq!(told.get(7), Some(&DIED), "session 1 was cut off, and its reader is told {:?}", &told[7..]);
}

/// The same with an orderly end first: nobody has died with something unread.
#[test]
fn sessions_an_orderly_end_in_a_full_ring_is_told() {
    let name = unique("full-closed");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let mut closes = sender(name.as_str(), 1);
    assert_eq!(closes.ask("send 100 0", "sent"), "7");
    closes.ask("close", "closed");
    let mut next = sender(name.as_str(), 2);
    assert_eq!(next.ask("send 1 0", "sent"), "0");
    for seq in 0..7 {
        assert_eq!(rx.try_recv_into(&mut []).map(|got| got.tag), Ok(ring::tag(1, seq)));
    }
    assert_eq!(next.ask("send 1 0", "sent"), "1");
    assert_eq!(everything(&mut rx), [CLOSED, Record(2, 0)]);
    next.kill();
    assert_eq!(everything(&mut rx), [DIED]);
}

/// What one dead consumer has seen stays flagged, though a second one dies before it has come that far.
#[test]
fn recover_what_the_first_of_two_dead_consumers_has_seen_is_flagged() {
    let name = unique("seen");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(4096)).unwrap();
    for tag in 0..9 {
        tx.try_send(tag, &[7; 20]).unwrap();
    }
    let mut first = reader(name.as_str());
    assert_eq!(first.ask("hold 8", "holds").split(' ').count(), 8);
    first.kill();
    let mut second = reader(name.as_str());
    assert_eq!(second.ask("hold 2", "holds"), "0:true 1:true");
    second.kill();
    let mut third = reader(name.as_str());
    for tag in 0..9 {
        let got = third.ask("recv", "got");
        // The mark of a batch runs some bytes ahead.
        let right = got == format!("Ok(({tag}, true))") || tag == 8 && got == "Ok((8, false))";
        assert!(right, "record {tag}: {got}");
    }
}

/// The mark of what has been seen runs ahead of a batch, and the stored head lags behind: whoever comes after a death
/// must not find that impossible.
#[test]
fn recover_after_a_batch_of_a_whole_ring() {
    for lines in [false, true] {
        let name = unique("whole");
        let options = Options::new().capacity(4096).release_every(1024).line_aligned(lines);
        let mut tx = Producer::create(name.as_str(), &options).unwrap();
        let mut sent = 0;
        while tx.try_send(sent, &[7; 56]).is_ok() || tx.try_send(sent, &[7; 8]).is_ok() {
            sent += 1;
        }
        let mut dies = reader(name.as_str());
        for tag in 0..5 {
            assert_eq!(dies.ask("recv", "got"), format!("Ok(({tag}, false))"));
        }
        // Exactly to the end: one look further would publish the head.
        let rest = sent as usize - 5;
        assert_eq!(dies.ask(&format!("hold {rest}"), "holds").split(' ').count(), rest);
        dies.kill();
        let mut rx = Consumer::open(name.as_str()).unwrap_or_else(|e| panic!("a successor is refused: {e}"));
        for tag in 0..sent {
            let got = rx.try_recv_into(&mut [0; 56]).unwrap();
            assert_eq!((got.tag, got.redelivered), (tag, true));
        }
    }
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

// ---- races, names --------------------------------------------------------------------------------------------------

/// Does what it is told, once all are ready: `create NAME`, `tx NAME`, `rx NAME`, `make NAME`.
fn play_racer(names: &str) {
    say("ready");
    let mut kept: Vec<Box<dyn std::any::Any>> = Vec::new();
    while let Some(order) = hear() {
        let (what, round) = order.split_once(' ').unwrap();
        let name = format!("{names}-{round}");
        let options = Options::new().capacity(256);
        let keep = |handle: Box<dyn std::any::Any>, kept: &mut Vec<_>| kept.push(handle);
        let got = match what {
            "create" => ring_shm::spsc::create(&name, &options),
            "make" => Producer::create(&name, &options).map(|tx| keep(Box::new(tx), &mut kept)),
            "tx" => Producer::open_or_create(&name, &options).map(|tx| keep(Box::new(tx), &mut kept)),
            "rx" => Consumer::open_or_create(&name, &options).map(|rx| keep(Box::new(rx), &mut kept)),
            _ => {
                kept.clear();
                say("gone");
                continue;
            }
        };
        let generation = ring_shm::spsc::inspect(&name).map(|seen| seen.generation);
        say(&format!("result {:?} {generation:?}", got.map_err(|e| e.kind())));
    }
}

#[test]
fn race_of_eight_processes() {
    let name = unique("race");
    let mut racers: Vec<Child> = (0..8).map(|_| child("racer", &[name.as_str()])).collect();
    for racer in &mut racers {
        racer.wait_for("ready");
    }
    for round in 0..30 {
        let ring = format!("{}-{round}", name.as_str());
        // Everybody creates; everybody creates and sits; half of them want either seat, and it may exist or not.
        let orders = match round % 3 {
            0 => ["create"; 8],
            1 => ["make"; 8],
            _ => ["tx", "rx", "tx", "rx", "tx", "rx", "tx", "rx"],
        };
        for (racer, order) in racers.iter_mut().zip(orders) {
            racer.tell(&format!("{order} {round}"));
        }
        let results: Vec<String> = racers.iter_mut().map(|racer| racer.wait_for("result")).collect();
        let generations: Vec<_> = results.iter().map(|r| r.rsplit_once(" Ok").map(|(_, g)| g)).collect();
        assert!(generations.iter().all(|g| g.is_some() && *g == generations[0]), "one ring for all: {results:?}");
        let count = |start: &str| results.iter().filter(|r| r.starts_with(start)).count();
        let expected = match round % 3 {
            0 | 1 => (1, 7, 0),
            _ => (2, 0, 6),
        };
        assert_eq!((count("Ok(())"), count("Err(Exists)"), count("Err(InUse)")), expected, "{results:?}");
        for racer in &mut racers {
            racer.ask("leave now", "gone");
        }
        ring_shm::unlink(&ring, false).unwrap();
        assert_eq!(ring::left_behind(&ring), [""; 0]);
    }
}

#[test]
fn unlink_while_living() {
    let name = unique("unlink");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let mut tx = sender(name.as_str(), 1);
    assert!(ring_shm::unlink(name.as_str(), false).is_err(), "somebody lives in it");
    ring_shm::unlink(name.as_str(), true).unwrap();
    // The living go on, also through a death and its proof; nobody new comes in.
    tx.ask("send 2 3", "sent");
    assert_eq!(everything(&mut rx), [Record(1, 0), Record(1, 1)]);
    assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::NotFound);
    // Another ring of the same name is another ring.
    let mut other = Producer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    other.try_send(0, b"other").unwrap();
    tx.ask("send 1 3", "sent");
    assert_eq!(everything(&mut rx), [Record(1, 2)]);
    tx.kill();
    assert_eq!(everything(&mut rx), [DIED]);
}

// ---- threads -------------------------------------------------------------------------------------------------------

#[test]
fn threads_handles_move() {
    let name = unique("threads");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let mut rx = Consumer::open(name.as_str()).unwrap();
    for round in 0..20 {
        // Each time other threads.
        (tx, rx) = std::thread::scope(|s| {
            let sends = s.spawn(move || {
                let mut payload = Vec::new();
                for seq in round * 100..(round + 1) * 100 {
                    let tag = record(0, seq, 100, &mut payload);
                    insist(|| tx.try_send(tag, &payload));
                }
                tx
            });
            let receives = s.spawn(move || {
                let mut expected = Vec::new();
                for seq in round * 100..(round + 1) * 100 {
                    let mut buf = [0; 128];
                    let got = until("a record", || rx.try_recv_into(&mut buf).ok());
                    assert_eq!(got.tag, record(0, seq, 100, &mut expected));
                    assert_eq!(buf[..got.len], expected);
                }
                rx
            });
            (sends.join().unwrap(), receives.join().unwrap())
        });
    }
}

/// Without its message, which is meant.
fn panics(f: impl FnOnce() + Send) {
    std::thread::scope(|s| {
        let thread = std::thread::Builder::new().name("meant to panic".into()).spawn_scoped(s, f).unwrap();
        assert!(thread.join().is_err());
    });
}

#[test]
fn threads_a_panicking_consumer_keeps_its_record_and_is_dead() {
    let name = unique("panic-rx");
    let mut tx = Producer::create(name.as_str(), &Options::new().capacity(64)).unwrap();
    let mut rx = Consumer::open(name.as_str()).unwrap();
    while tx.try_send(9, b"kept").is_ok() {}
    panics(move || {
        let record = rx.try_read().unwrap();
        assert_eq!(record.tag(), 9);
        panic!("with a record in hand");
    });
    assert!(tx.is_disconnected());
    until("the death", || match tx.try_send(9, b"full") {
        Err(TrySendError::Full) => None,
        Err(TrySendError::PeerDied) => Some(()),
        other => panic!("{other:?}"),
    });
    let mut rx = Consumer::open(name.as_str()).unwrap();
    let first = rx.try_recv_into(&mut [0; 8]).unwrap();
    assert!(first.redelivered, "its reader may have seen it");
    assert!(!rx.try_recv_into(&mut [0; 8]).unwrap().redelivered);
}

#[test]
fn threads_a_panicking_producer_sends_no_half_record_and_is_dead() {
    let name = unique("panic-tx");
    let mut rx = Consumer::create(name.as_str(), &Options::new().capacity(256)).unwrap();
    let mut tx = Producer::open(name.as_str()).unwrap();
    panics(move || {
        tx.try_send(ring::tag(1, 0), b"whole").unwrap();
        let mut claim = tx.try_claim(20).unwrap();
        claim.write(b"half");
        let _guard = claim;
        panic!("with a claim in hand");
    });
    assert_eq!(everything(&mut rx), [Record(1, 0), DIED]);
    let mut tx = sender(name.as_str(), 2);
    tx.ask("send 1 4", "sent");
    assert_eq!(everything(&mut rx), [Record(2, 0)]);
}
