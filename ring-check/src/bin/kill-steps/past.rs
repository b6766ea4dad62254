//! What lies in a ring before an operation: messages, the end of the data area close by, the dead.

use ring_shm::{mpmc, spsc};

use crate::Failure;
use crate::message::{ALIKE_LEN, Author, Id};
use crate::peer::Kind;
use crate::stage::{Past, Stage};
use crate::trace::{Victim, mark};

/// Sends what is numbered next, `count` times.
fn queue(stage: &Stage, past: &mut Past, count: usize) -> Result<(), Failure> {
    let mut tx = stage.shape.kind.sender(&stage.name)?;
    for _ in 0..count {
        tx.send(past.next()).map_err(|refused| format!("queueing: {refused:?}"))?;
    }
    Ok(())
}

/// Runs `play` in a child that is killed at its mark.
fn leave_dead(play: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    Victim::spawn(play).map(Victim::kill)
}

/// Nothing.
pub(crate) fn nothing(_: &Stage) -> Result<Past, Failure> {
    Ok(Past::default())
}

/// One message.
pub(crate) fn one(stage: &Stage) -> Result<Past, Failure> {
    let mut past = Past::default();
    queue(stage, &mut past, 1)?;
    Ok(past)
}

/// A few messages.
pub(crate) fn some(stage: &Stage) -> Result<Past, Failure> {
    let mut past = Past::default();
    queue(stage, &mut past, 3)?;
    Ok(past)
}

/// An SPSC ring with one message, and its next producer's first record `left` bytes before the end of the data area.
/// All of it is full of old payload that looks like records.
fn near_the_end(stage: &Stage, left: u64, count: usize) -> Result<Past, Failure> {
    let mut past = Past::default();
    let ids: Vec<Id> = (0..count).map(|_| past.next()).collect();
    let size = |len: usize| 8 + len.next_multiple_of(8) as u64;
    let ours: u64 = ids.iter().map(|id| size(id.message().bytes().len())).sum();
    // The next producer's mark takes 8 bytes.
    let goal = 2 * stage.shape.capacity - left - 8 - ours;
    let forged = [9_u64.to_le_bytes(); 6].concat();
    let (mut tx, mut rx) = (spsc::Producer::open(&stage.name)?, spsc::Consumer::open(&stage.name)?);
    loop {
        let room = goal - tx.stats().position.get();
        if room == 0 {
            break;
        }
        // Not so much that less than a record is left.
        let len = if room <= 56 { room } else { 24.min(room - 16) } as usize;
        tx.try_send(1, &forged[..len - 8])?;
        rx.try_recv_into(&mut [0; 64])?;
    }
    for id in ids {
        let message = id.message();
        tx.try_send(message.tag(), message.bytes())?;
    }
    Ok(past)
}

/// The next record finds 16 bytes before the end.
pub(crate) fn padding_next(stage: &Stage) -> Result<Past, Failure> {
    near_the_end(stage, 16, 1)
}

/// The next record fits, the second one does not.
pub(crate) fn padding_second(stage: &Stage) -> Result<Past, Failure> {
    near_the_end(stage, 64, 1)
}

/// Nothing fits before the end.
pub(crate) fn eight_left(stage: &Stage) -> Result<Past, Failure> {
    near_the_end(stage, 8, 1)
}

/// Three messages that lie around the end.
pub(crate) fn around_the_end(stage: &Stage) -> Result<Past, Failure> {
    let mut past = near_the_end(stage, 16, 1)?;
    queue(stage, &mut past, 2)?;
    Ok(past)
}

/// A producer that died in the middle of a commit: after its header, and before its tail.
pub(crate) fn dead_sender(stage: &Stage) -> Result<Past, Failure> {
    let mut past = some(stage)?;
    let id = past.next();
    stage_death(stage, || {
        let mut tx = stage.shape.kind.sender(&stage.name)?;
        mark();
        tx.send(id).map_err(|refused| format!("{refused:?}"))?;
        mark();
        Ok(())
    })?;
    past.dead = true;
    Ok(past)
}

/// Sends `ids` as one train.
fn send_train(tx: &mut spsc::Producer, ids: &[Id]) -> Result<(), Failure> {
    let mut batch = tx.try_claim_batch_exact(ids.len(), ALIKE_LEN)?;
    let mut at = Vec::new();
    for id in ids {
        let message = id.message();
        at.push(batch.push(message.tag(), message.bytes())?.get());
    }
    batch.commit();
    if at.windows(2).all(|pair| pair[1] == pair[0] + 8) { Ok(()) } else { Err(format!("no train: {at:?}").into()) }
}

/// A train of three messages, and another message.
pub(crate) fn train(stage: &Stage) -> Result<Past, Failure> {
    let mut past = Past::default();
    let ids: [_; 3] = std::array::from_fn(|_| past.next_alike());
    let (mut tx, message) = (spsc::Producer::open(&stage.name)?, past.next().message());
    send_train(&mut tx, &ids)?;
    tx.try_send(message.tag(), message.bytes())?;
    Ok(past)
}

/// The same, of which a consumer that has gone took the first.
pub(crate) fn half_taken(stage: &Stage) -> Result<Past, Failure> {
    let mut past = train(stage)?;
    spsc::Consumer::open(&stage.name)?.try_recv_into(&mut [0; ALIKE_LEN])?;
    past.queued.remove(0);
    Ok(past)
}

/// The same, of which a consumer took the first, and died with the second in its hand.
pub(crate) fn dead_in_train(stage: &Stage) -> Result<Past, Failure> {
    let mut past = train(stage)?;
    leave_dead(|| {
        let mut rx = spsc::Consumer::open(&stage.name)?;
        rx.try_recv_into(&mut [0; ALIKE_LEN])?;
        let _record = rx.try_read()?;
        mark();
        Ok(())
    })?;
    past.queued.remove(0);
    past.lent.push(past.queued[0]);
    past.dead = true;
    Ok(past)
}

/// A producer that died in the middle of the commit of a train: after its header, and before its tail.
pub(crate) fn dead_sender_of_a_train(stage: &Stage) -> Result<Past, Failure> {
    let mut past = one(stage)?;
    let ids: [_; 3] = std::array::from_fn(|_| past.next_alike());
    stage_death(stage, || {
        let mut tx = spsc::Producer::open(&stage.name)?;
        mark();
        send_train(&mut tx, &ids)?;
        mark();
        Ok(())
    })?;
    past.dead = true;
    Ok(past)
}

/// Kills the victim before the last of the stores that it makes between its marks.
fn stage_death(stage: &Stage, play: impl Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    let before = stage.bytes()?;
    let mut last = before.clone();
    let trace = Victim::spawn(&play)?.record(|_| {
        let now = stage.bytes().unwrap_or_default();
        now != std::mem::replace(&mut last, now.clone())
    })?;
    stage.put_back(&before)?;
    let at = trace.borders().into_iter().rev().nth(1).ok_or("no store to die at")?;
    let mut victim = Victim::spawn(&play)?;
    victim.advance(&trace, at)?;
    victim.kill();
    Ok(())
}

/// A consumer that died with the first message in its hand.
pub(crate) fn dead_reader(stage: &Stage) -> Result<Past, Failure> {
    let mut past = some(stage)?;
    die_reading(stage)?;
    past.lent.push(past.queued[0]);
    past.dead = true;
    Ok(past)
}

fn die_reading(stage: &Stage) -> Result<(), Failure> {
    leave_dead(|| {
        match stage.shape.kind {
            Kind::Spsc => {
                let mut rx = spsc::Consumer::open(&stage.name)?;
                let _record = rx.try_read()?;
                mark();
            }
            Kind::Mpmc => {
                let mut rx = mpmc::Consumer::open(&stage.name)?;
                let _record = rx.try_read()?;
                mark();
            }
        }
        Ok(())
    })
}

/// An MPMC producer that died with a claim before all messages.
fn die_writing(stage: &Stage) -> Result<(), Failure> {
    leave_dead(|| {
        let mut tx = mpmc::Producer::open(&stage.name)?;
        let mut claim = tx.try_claim(20)?;
        claim.set_tag(Id::new(Author::Dead, 0).0);
        claim.write(&[1; 20]);
        mark();
        Ok(())
    })
}

/// A dead producer's claim in the way of some messages.
pub(crate) fn dead_claim(stage: &Stage) -> Result<Past, Failure> {
    die_writing(stage)?;
    let mut past = some(stage)?;
    past.dead = true;
    Ok(past)
}

/// A full ring whose first message is in a dead consumer's hand.
pub(crate) fn full_behind_the_dead(stage: &Stage) -> Result<Past, Failure> {
    let mut past = dead_reader(stage)?;
    queue(stage, &mut past, stage.shape.capacity as usize - 3)?;
    Ok(past)
}

/// One message, which has been taken from a dead consumer's hand.
pub(crate) fn orphan(stage: &Stage) -> Result<Past, Failure> {
    let mut past = one(stage)?;
    die_reading(stage)?;
    mpmc::recover(&stage.name, None)?;
    past.lent.push(past.queued[0]);
    past.dead = true;
    Ok(past)
}

/// Both sides died: the producer with an open claim (MPMC), or in the middle of a commit, the consumer with a message.
pub(crate) fn both_dead(stage: &Stage) -> Result<Past, Failure> {
    if stage.shape.kind == Kind::Mpmc {
        let past = dead_reader(stage)?;
        die_writing(stage)?;
        return Ok(past);
    }
    let mut past = dead_sender(stage)?;
    die_reading(stage)?;
    past.lent.push(past.queued[0]);
    Ok(past)
}

/// A gap before the messages.
pub(crate) fn gap(stage: &Stage) -> Result<Past, Failure> {
    mpmc::Producer::open(&stage.name)?.try_claim(8)?.abort();
    some(stage)
}
