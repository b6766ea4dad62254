//! An MPMC ring for people and for programs.

use std::fmt::Write as _;

use ring_shm::mpmc::{Member, Redelivery, Snapshot, Work};
use ring_shm::{Location, Role, Verdict};
use serde_json::{Value, json};

use crate::inspect::{octal, payload_json, payload_text, waiting_json, waiting_text};
use crate::memory::{memory_json, memory_text};
use crate::size;

/// A row of `ls`.
pub(crate) fn ls_row(name: String, ring: &Snapshot) -> [String; 6] {
    let who = |role| {
        let count = |verdict| ring.count(role, verdict);
        let all = [("alive", Verdict::Alive), ("dead", Verdict::Dead), ("unknown", Verdict::Unknown)];
        let some: Vec<String> = all
            .into_iter()
            .filter(|(_, verdict)| count(*verdict) > 0)
            .map(|(word, verdict)| format!("{} {word}", count(verdict)))
            .collect();
        if some.is_empty() { "-".to_owned() } else { some.join(", ") }
    };
    let capacity = format!("{} x {}", ring.slots, size::exact(ring.slot_size as u64));
    let unread = if ring.closed { format!("{}, closed", ring.len_guess()) } else { ring.len_guess().to_string() };
    [name, "mpmc".to_owned(), capacity, unread, who(Role::Producer), who(Role::Consumer)]
}

/// What `stat` tells.
pub(crate) fn stat_text(name: &Location, ring: &Snapshot) -> String {
    let state = match (ring.closed, ring.closing) {
        (true, _) => "closed",
        (_, true) => "closing: its only producer has not noticed yet",
        _ => "open",
    };
    let redelivery = match ring.redelivery {
        Redelivery::AtMostOnce => "at most once".to_owned(),
        Redelivery::AtLeastOnce { attempts } => format!("at least once, a dead letter after {attempts} deliveries"),
    };
    let (all, producers, consumers) = (ring.max_participants, ring.max_producers, ring.max_consumers);
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<16}{value}");
    };
    line("name", name.name());
    line("kind", format!("mpmc, {}", name.backing()));
    line("capacity", format!("{} slots of {}", ring.slots, size::exact(ring.slot_size as u64)));
    line("segment", format!("{} bytes, mode {}", ring.size, octal(ring.mode)));
    line("delivery", redelivery);
    line("limits", format!("{all} participants, {producers} producers, {consumers} consumers"));
    line("generation", format!("{:016x}", ring.generation));
    line("payload", payload_text(ring.payload.as_ref()));
    line("state", state.to_owned());
    line("tail", ring.tail.to_string());
    line("head", ring.head.to_string());
    line("unread", format!("{} messages", ring.len_guess()));
    for member in &ring.members {
        line(&format!("participant {}", member.index), member_long(member));
        if let Some(memory) = memory_text(name, &member.facts).filter(|_| member.verdict == Verdict::Alive) {
            line("  its memory", memory);
        }
    }
    if ring.members.is_empty() {
        line("participants", "none".to_owned());
    }
    text
}

/// One word about a verdict.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Alive => "alive",
        Verdict::Dead => "dead",
        Verdict::Unknown => "unknown",
    }
}

fn role(member: &Member) -> String {
    member.role.map_or("joining".to_owned(), |role| role.to_string())
}

/// Who a participant is.
pub(crate) fn member_short(member: &Member) -> String {
    format!("{} process {} (lease {}), {}", role(member), member.facts.pid, member.lease, word(member.verdict))
}

fn member_long(member: &Member) -> String {
    let mut text = member_short(member);
    if member.verdict == Verdict::Alive {
        text.push_str(&waiting_text(member.waiting));
    }
    for (what, work) in [("writing", member.writing), ("reading", member.reading)] {
        let Some(Work { position, count, open, .. }) = work else { continue };
        let last = position.get().saturating_add(count.saturating_sub(1));
        let what = if open { what.to_owned() } else { format!("last {what}") };
        let _ = if count == 1 {
            write!(text, ", {what} {position}")
        } else {
            write!(text, ", {what} {position} to {last}")
        };
    }
    if member.verdict == Verdict::Unknown {
        let _ = write!(text, "; if it is dead, say so with --assume-dead {}", member.lease);
    }
    text
}

/// A participant for programs.
pub(crate) fn member_json(name: &Location, member: &Member) -> Value {
    let work = |work: Option<Work>| {
        work.map(
            |Work { position, count, open, .. }| json!({ "position": position.get(), "count": count, "open": open }),
        )
    };
    json!({
        "index": member.index,
        "role": member.role.map(|role| role.to_string()),
        "state": word(member.verdict),
        "lease": member.lease,
        "pid": member.facts.pid,
        "start_time": member.facts.start_time,
        "waiting": waiting_json(member.waiting),
        "writing": work(member.writing),
        "reading": work(member.reading),
        "memory": memory_json(name, &member.facts),
    })
}

/// What `stat`, `ls` and `create` say to programs.
pub(crate) fn ring_json(name: &Location, ring: &Snapshot) -> Value {
    json!({
        "name": name.name(),
        "kind": "mpmc",
        "backing": name.backing(),
        "slots": ring.slots,
        "slot_size": ring.slot_size,
        "max_participants": ring.max_participants,
        "max_producers": ring.max_producers,
        "max_consumers": ring.max_consumers,
        "attempts": match ring.redelivery {
            Redelivery::AtMostOnce => None,
            Redelivery::AtLeastOnce { attempts } => Some(attempts),
        },
        "generation": format!("{:016x}", ring.generation),
        "payload": payload_json(ring.payload.as_ref()),
        "size": ring.size,
        "mode": octal(ring.mode),
        "head": ring.head.get(),
        "tail": ring.tail.get(),
        "unread": ring.len_guess(),
        "closed": ring.closed,
        "closing": ring.closing,
        "participants": ring.members.iter().map(|member| member_json(name, member)).collect::<Vec<_>>(),
    })
}

/// Who lives in the ring, for messages; empty when nobody does.
pub(crate) fn living(ring: &Snapshot) -> String {
    let who: Vec<String> = ring
        .members
        .iter()
        .filter(|member| member.verdict != Verdict::Dead)
        .map(|member| format!("{} is process {}", role(member), member.facts.pid))
        .collect();
    if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) }
}
