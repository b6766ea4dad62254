//! Deaths in the middle of something, one at a time: what the survivors see, and how soon. Every victim is a process
//! that has said what it is in the middle of.

mod support;
#[path = "support/mpmc.rs"]
mod workers;

use std::time::{Duration, Instant};

use ring_shm::mpmc::{Consumer, Options, Producer, TryRecvError, TrySendError, inspect, recover};
use ring_shm::{Role, SetupErrorKind, Verdict};
use workers::{answers, assert_soon, facts, make, next, play, recv, send, small, until, worker};

/// Long enough for many questions to the kernel.
const A_WHILE: Duration = Duration::from_millis(150);

#[test]
fn child_entry() {
    support::run_role(|role, args| play(role, &args[0]));
}

#[test]
fn recover_a_writer_killed_between_claim_and_commit() {
    let name = make("writer", &small());
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let mut took = Vec::new();
    for round in 0..5 {
        let (mut victim, _) = worker("producer", &name);
        let claimed: u64 = victim.ask("claim 666", "claimed").parse().unwrap();
        assert_eq!(send(&mut tx, round).unwrap(), claimed + 1);
        assert_eq!(recv(&mut rx), Err(TryRecvError::Busy { by: None }));
        victim.kill();
        let start = Instant::now();
        assert_eq!(facts(next(&mut rx)), (round, 0, false));
        took.push(start.elapsed());
        assert_eq!(rx.stats().settled.skipped, u64::from(round) + 1);
        assert_eq!(rx.stats().settled.released, u64::from(round) + 1, "and its place is free");
    }
    assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
    assert_soon(took);
}

/// The call that finds out about a death does not come back empty-handed, whichever it is.
#[test]
fn recover_and_go_on_in_one_call() {
    for way in 0..4 {
        let name = make("one-call", &small());
        let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
        let (mut victim, _) = worker("producer", &name);
        victim.ask("claim 666", "claimed");
        send(&mut tx, 1).unwrap();
        assert!(matches!(recv(&mut rx), Err(TryRecvError::Busy { .. })));
        victim.kill();
        std::thread::sleep(Duration::from_millis(5));
        let tag = match way {
            0 => rx.try_recv_into(&mut [0; 48]).map(|got| got.tag),
            1 => rx.try_read().map(|record| record.tag()),
            2 => rx.try_read_batch(1).map(|mut batch| batch.next_record().unwrap().tag()),
            _ => rx.try_read_batch(9).map(|mut batch| batch.next_record().unwrap().tag()),
        };
        assert_eq!(tag, Ok(1), "way {way}");
        assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
    }
}

#[test]
fn recover_a_batch_writer_with_every_slot_of_the_ring() {
    let name = make("batch", &Options::new().slots(1024).slot_size(8));
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let (mut victim, _) = worker("producer", &name);
    victim.ask("batch 1024", "claimed");
    assert_eq!(send(&mut tx, 0), Err(TrySendError::Full));
    assert!(matches!(recv(&mut rx), Err(TryRecvError::Busy { .. })));
    victim.kill();
    let start = Instant::now();
    // Not one of the 1024 gaps may cost a question each.
    until("the gaps", || (recv(&mut rx) == Err(TryRecvError::Empty)).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    send(&mut tx, 1).unwrap();
    assert_eq!(facts(next(&mut rx)), (1, 0, false));
}

#[test]
fn recover_the_claims_of_several_at_once() {
    let name = make("several", &Options::new().slots(64).slot_size(48));
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let mut victims: Vec<_> = (0..6).map(|_| worker("producer", &name).0).collect();
    for (n, victim) in victims.iter_mut().enumerate() {
        victim.ask("claim 666", "claimed");
        send(&mut tx, n as u32).unwrap();
    }
    victims.iter_mut().for_each(support::Child::kill);
    for n in 0..6 {
        assert_eq!(facts(next(&mut rx)), (n, 0, false));
    }
    assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
}

#[test]
fn recover_a_reader_killed_with_a_message() {
    let name = make("reader", &small());
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let mut took = Vec::new();
    for round in 0..5 {
        let (mut victim, _) = worker("consumer", &name);
        send(&mut tx, round).unwrap();
        assert_eq!(victim.ask("hold", "holds"), format!("({round}, 0, false)"));
        assert!(answers(A_WHILE / 5, || recv(&mut rx)).iter().all(|got| *got == Err(TryRecvError::Empty)));
        victim.kill();
        let start = Instant::now();
        assert_eq!(facts(next(&mut rx)), (round, 1, false), "flagged");
        took.push(start.elapsed());
    }
    assert_soon(took);
}

#[test]
fn recover_a_reader_that_blocks_the_senders() {
    let name = make("wrap", &small());
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let (mut victim, _) = worker("consumer", &name);
    send(&mut tx, 0).unwrap();
    victim.ask("hold", "holds");
    for n in 1..4 {
        send(&mut tx, n).unwrap();
        assert_eq!(facts(next(&mut rx)), (n, 0, false));
    }
    assert_eq!(send(&mut tx, 4), Err(TrySendError::Busy { by: None }), "its slot is next");
    let by = answers(A_WHILE, || send(&mut tx, 4)).pop().unwrap();
    let Err(TrySendError::Busy { by: Some(holder) }) = by else { panic!("{by:?}") };
    assert_eq!(holder.pid, victim.pid() as u32);
    victim.kill();
    // The sender gives the message back to the ring; it takes a consumer to free the slot.
    until("returned", || {
        assert!(matches!(send(&mut tx, 4), Err(TrySendError::Busy { .. })));
        (tx.stats().settled.returned == 1).then_some(())
    });
    assert_eq!(facts(next(&mut rx)), (0, 1, false));
    send(&mut tx, 4).unwrap();
    assert_eq!(facts(next(&mut rx)), (4, 0, false));
}

#[test]
fn recover_a_batch_reader() {
    let name = make("batch-reader", &Options::new().slots(16).slot_size(48));
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let (mut victim, _) = worker("consumer", &name);
    (0..6).for_each(|n| assert_eq!(send(&mut tx, n), Ok(n.into())));
    assert_eq!(victim.ask("hold-batch 4", "holds"), "[0, 1, 2, 3]");
    victim.kill();
    let mut got: Vec<_> = (0..6).map(|_| facts(next(&mut rx))).collect();
    got.sort_unstable();
    assert_eq!(got, [(0, 1, false), (1, 1, false), (2, 1, false), (3, 1, false), (4, 0, false), (5, 0, false)]);
    assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
}

#[test]
fn dead_letter_after_as_many_deliveries_as_allowed() {
    let name = make("letter", &small().at_least_once(2));
    let mut tx = Producer::open(name.as_str()).unwrap();
    send(&mut tx, 7).unwrap();
    for attempt in 0..2 {
        let (mut victim, _) = worker("consumer", &name);
        assert_eq!(victim.ask("hold", "holds"), format!("(7, {attempt}, false)"));
        victim.kill();
        // Settled here, so that the next one finds it at once.
        assert_eq!(recover(name.as_str(), None).unwrap().1.len(), 1);
    }
    let mut rx = Consumer::open(name.as_str()).unwrap();
    assert_eq!(facts(next(&mut rx)), (7, 2, true));
    assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
}

#[test]
fn at_most_once_a_dead_reader_takes_its_message_along() {
    let name = make("once", &small().at_most_once());
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let (mut victim, _) = worker("consumer", &name);
    send(&mut tx, 0).unwrap();
    victim.ask("hold", "holds");
    victim.kill();
    until("dropped", || {
        assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
        (rx.stats().settled.dropped == 1).then_some(())
    });
    for n in 1..20 {
        send(&mut tx, n).unwrap();
        assert_eq!(facts(next(&mut rx)), (n, 0, false));
    }
}

#[test]
fn busy_a_stopped_writer_is_never_put_out_of_the_way() {
    let name = make("stopped", &small());
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let (mut stopped, lease) = worker("producer", &name);
    stopped.ask("claim 1", "claimed");
    send(&mut tx, 2).unwrap();
    stopped.signal(libc::SIGSTOP);
    stopped.wait_for_state('T');
    let got = answers(A_WHILE * 3, || recv(&mut rx));
    assert_eq!(got[0], Err(TryRecvError::Busy { by: None }));
    let Err(TryRecvError::Busy { by: Some(holder) }) = got[1] else { panic!("{got:?}") };
    assert_eq!((holder.pid, holder.lease, got.len()), (stopped.pid() as u32, lease, 2), "{got:?}");
    let seen = inspect(name.as_str()).unwrap();
    let member = seen.members.iter().find(|member| member.lease == lease).unwrap();
    assert_eq!((member.role, member.verdict), (Some(Role::Producer), Verdict::Alive));
    assert!(member.writing.is_some_and(|work| work.open && work.count == 1));
    assert!(recover(name.as_str(), None).unwrap().1.is_empty());
    stopped.signal(libc::SIGCONT);
    stopped.ask("commit", "committed");
    assert_eq!(facts(next(&mut rx)), (1, 0, false));
    assert_eq!(facts(next(&mut rx)), (2, 0, false));
}

#[test]
fn busy_a_stopped_reader_keeps_its_message() {
    let name = make("stopped-reader", &small());
    let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
    let (mut stopped, lease) = worker("consumer", &name);
    send(&mut tx, 0).unwrap();
    stopped.ask("hold", "holds");
    stopped.signal(libc::SIGSTOP);
    stopped.wait_for_state('T');
    assert_eq!(answers(A_WHILE * 2, || recv(&mut rx)), [Err(TryRecvError::Empty)]);
    for n in 1..4 {
        send(&mut tx, n).unwrap();
        assert_eq!(facts(next(&mut rx)), (n, 0, false));
    }
    let sent = answers(A_WHILE, || send(&mut tx, 4));
    assert!(sent.iter().all(|sent| matches!(sent, Err(TrySendError::Busy { .. }))), "{sent:?}");
    assert!(matches!(sent[1], Err(TrySendError::Busy { by: Some(holder) }) if holder.lease == lease));
    stopped.signal(libc::SIGCONT);
    stopped.ask("release", "done");
    send(&mut tx, 4).unwrap();
    assert_eq!(facts(next(&mut rx)), (4, 0, false));
    assert_eq!(rx.stats().settled, Default::default());
}

#[test]
fn recover_by_a_tool_and_what_it_shows() {
    let name = make("tool", &small());
    let mut tx = Producer::open(name.as_str()).unwrap();
    let ((mut writer, writer_lease), (mut reader, reader_lease)) =
        (worker("producer", &name), worker("consumer", &name));
    send(&mut tx, 0).unwrap();
    reader.ask("hold", "holds");
    writer.ask("claim 9", "claimed");
    send(&mut tx, 2).unwrap();
    writer.kill();
    reader.kill();
    let seen = inspect(name.as_str()).unwrap();
    assert_eq!((seen.count(Role::Producer, Verdict::Alive), seen.count(Role::Producer, Verdict::Dead)), (1, 1));
    assert_eq!((seen.head.get(), seen.tail.get(), seen.len_guess(), seen.closed), (1, 3, 2, false));
    let dead = seen.members.iter().find(|member| member.lease == writer_lease).unwrap();
    assert_eq!(dead.facts.pid, writer.pid() as u64);
    assert!(dead.writing.is_some_and(|work| work.open && work.position.get() == 1));
    assert_eq!(inspect(name.as_str()).unwrap(), seen, "looking changes nothing");
    let (found, mut released) = recover(name.as_str(), None).unwrap();
    released.sort_unstable();
    assert_eq!((found, released), (seen, vec![writer_lease, reader_lease]));
    assert_eq!(inspect(name.as_str()).unwrap().members.len(), 1);
    let mut rx = Consumer::open(name.as_str()).unwrap();
    assert_eq!(facts(next(&mut rx)), (2, 0, false), "a message that lost its reader waits for an empty ring");
    assert_eq!(facts(next(&mut rx)), (0, 1, false));
    assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
    assert_eq!(rx.stats().settled, Default::default(), "nothing was left to do");
}

#[test]
fn recover_places_when_the_table_is_full() {
    let name = make("full", &small().max_participants(3).max_producers(2).max_consumers(3));
    let mut workers: Vec<_> = (0..2).map(|_| worker("producer", &name).0).collect();
    assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::InUse, "two producers");
    let mut reader = worker("consumer", &name).0;
    let error = Consumer::open(name.as_str()).unwrap_err();
    assert_eq!(error.kind(), SetupErrorKind::InUse);
    assert!(error.to_string().contains("3 taken by the living"), "{error}");
    workers[0].signal(libc::SIGSTOP);
    assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::InUse);
    workers[0].kill();
    let mut tx = Producer::open(name.as_str()).unwrap();
    send(&mut tx, 1).unwrap();
    assert_eq!(reader.ask("recv", "got"), "Ok((1, 0, false))");
    workers[1].ask("leave", "left");
    until("its end", || Producer::open(name.as_str()).ok());
}

// ---- rings of one producer, or one consumer ------------------------------------------------------------------------

#[test]
fn single_producer_dies_in_a_claim_and_blocks_nobody() {
    let name = make("sp", &small().max_producers(1));
    let mut rx = Consumer::open(name.as_str()).unwrap();
    for round in 0..3 {
        let (mut victim, _) = worker("producer", &name);
        assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::InUse);
        victim.ask(&format!("send {round}"), "sent");
        victim.ask("claim 666", "claimed");
        assert_eq!(facts(next(&mut rx)), (round, 0, false));
        assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
        victim.kill();
        assert_eq!(answers(A_WHILE / 5, || recv(&mut rx)), [Err(TryRecvError::Empty)]);
    }
    let mut tx = Producer::open(name.as_str()).unwrap();
    assert_eq!(send(&mut tx, 3).unwrap(), 3, "nothing was skipped");
    assert_eq!(facts(next(&mut rx)), (3, 0, false));
}

#[test]
fn single_consumer_dies_with_messages_and_its_successor_gets_them() {
    for once in [false, true] {
        let options = small().max_consumers(1);
        let name = make("sc", &if once { options.at_most_once() } else { options });
        let mut tx = Producer::open(name.as_str()).unwrap();
        let (mut victim, _) = worker("consumer", &name);
        (0..3).for_each(|n| assert_eq!(send(&mut tx, n), Ok(n.into())));
        assert_eq!(victim.ask("hold-batch 2", "holds"), "[0, 1]");
        assert_eq!(Consumer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::InUse);
        victim.kill();
        let mut rx = Consumer::open(name.as_str()).unwrap();
        if !once {
            assert_eq!(facts(next(&mut rx)), (0, 1, false));
            assert_eq!(facts(next(&mut rx)), (1, 1, false));
        }
        assert_eq!(facts(next(&mut rx)), (2, 0, false));
        assert_eq!(recv(&mut rx), Err(TryRecvError::Empty));
    }
}

// ---- the end -------------------------------------------------------------------------------------------------------

#[test]
fn close_waits_for_what_is_in_hands_and_redelivers_what_dies() {
    for dies in [false, true] {
        let name = make("close", &small());
        let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
        let (mut reader, lease) = worker("consumer", &name);
        send(&mut tx, 0).unwrap();
        reader.ask("hold", "holds");
        ring_shm::mpmc::close(name.as_str()).unwrap();
        assert_eq!(send(&mut tx, 1), Err(TrySendError::Disconnected));
        assert!(tx.is_disconnected() && rx.is_disconnected());
        assert_eq!(Producer::open(name.as_str()).unwrap_err().kind(), SetupErrorKind::Closed);
        let got = answers(A_WHILE, || recv(&mut rx));
        assert!(got.iter().all(|got| matches!(got, Err(TryRecvError::Busy { .. }))), "{got:?}");
        assert!(matches!(got[1], Err(TryRecvError::Busy { by: Some(holder) }) if holder.lease == lease));
        if dies {
            reader.kill();
            assert_eq!(facts(next(&mut rx)), (0, 1, false));
        } else {
            reader.ask("release", "done");
        }
        assert_eq!(answers(A_WHILE / 5, || recv(&mut rx)), [Err(TryRecvError::Disconnected)], "for good");
    }
}

#[test]
fn close_lets_claims_finish_and_skips_those_of_the_dead() {
    for dies in [false, true] {
        let name = make("close-claim", &small());
        let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
        let (mut writer, _) = worker("producer", &name);
        writer.ask("claim 5", "claimed");
        send(&mut tx, 6).unwrap();
        rx.close().unwrap();
        assert_eq!(send(&mut tx, 7), Err(TrySendError::Disconnected));
        assert!(matches!(recv(&mut rx), Err(TryRecvError::Busy { .. })));
        if dies {
            writer.kill();
        } else {
            writer.ask("commit", "committed");
            assert_eq!(facts(next(&mut rx)), (5, 0, false));
        }
        assert_eq!(facts(next(&mut rx)), (6, 0, false));
        assert_eq!(recv(&mut rx), Err(TryRecvError::Disconnected));
    }
}

#[test]
fn close_of_a_single_producer_ring_waits_for_it_or_its_end() {
    for dies in [false, true] {
        let name = make("close-sp", &small().max_producers(1));
        let mut rx = Consumer::open(name.as_str()).unwrap();
        let (mut writer, _) = worker("producer", &name);
        writer.ask("send 1", "sent");
        ring_shm::mpmc::close(name.as_str()).unwrap();
        assert_eq!(facts(next(&mut rx)), (1, 0, false));
        let got = answers(A_WHILE, || recv(&mut rx));
        assert!(got.iter().all(|got| matches!(got, Err(TryRecvError::Busy { .. }))), "{got:?}");
        assert!(inspect(name.as_str()).unwrap().closing);
        if dies {
            writer.kill();
        } else {
            assert_eq!(writer.ask("send 2", "sent"), "Err(Disconnected)");
        }
        until("the end", || (recv(&mut rx) == Err(TryRecvError::Disconnected)).then_some(()));
        assert!(inspect(name.as_str()).unwrap().closed);
    }
}
