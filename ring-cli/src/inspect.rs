//! `ringctl ls` and `ringctl stat`: what there is, how full it is, and who sits in it. Looking changes nothing and
//! takes no seat.

use std::fmt::Write as _;

use ring_shm::spsc::{self, Seat, Snapshot, StrictSnapshot};
use ring_shm::{
    Kind, Location, SeatState, Segment, SegmentInfo, SetupError, SetupErrorKind, TypeFacts, Verdict, Waiting,
};
use serde_json::{Value, json};

use crate::args::{LsArgs, StatArgs};
use crate::exit::{Failure, Holder, unlisted};
use crate::memory::{memory_json, memory_text};
use crate::mpmc;
use crate::output;
use crate::size;

/// A ring of either kind, or what two processes share of a strict one.
enum Seen {
    Spsc(Snapshot),
    Strict(StrictSnapshot),
    Mpmc(ring_shm::mpmc::Snapshot),
}

fn look(name: &Location) -> Result<Seen, SetupError> {
    Ok(match ring_shm::kind_of(name) {
        Ok(Kind::Mpmc) => Seen::Mpmc(ring_shm::mpmc::inspect(name)?),
        Ok(_) => Seen::Spsc(spsc::inspect(name)?),
        // Of a strict ring processes have the common object open, which says what it is in another place.
        Err(error) if matches!(name, Location::Memfd(_)) => {
            Seen::Strict(spsc::inspect_strict(name).map_err(|_| error)?)
        }
        Err(error) => return Err(error),
    })
}

/// Runs `ls`.
///
/// # Errors
/// [`Failure`] when `/dev/shm`, or what was asked for, cannot be read.
pub(crate) fn ls(args: &LsArgs) -> Result<(), Failure> {
    let mut found = Vec::new();
    let infos = match (&args.dir, args.pid) {
        (Some(directory), _) => {
            Segment::list_files(directory).map_err(|error| unlisted(Holder::Directory(directory), error))?
        }
        (_, Some(pid)) => Segment::list_memfds(pid).map_err(|error| unlisted(Holder::Process(pid), error))?,
        _ => Segment::list().map_err(|error| unlisted(Holder::Names, error))?,
    };
    for info in infos {
        match look(&info.name) {
            Err(error) if error.kind() == SetupErrorKind::NotFound => {} // removed meanwhile
            seen => found.push((info, seen)),
        }
    }
    if args.json {
        return output::print_json(&found.iter().map(|(info, seen)| ls_json(info, seen)).collect());
    }
    output::print(&ls_table(&found))
}

fn ls_json(info: &SegmentInfo, seen: &Result<Seen, SetupError>) -> Value {
    let with_owner = |mut value: Value| {
        value["owner"] = json!(info.owner);
        value
    };
    match seen {
        Ok(Seen::Spsc(ring)) => with_owner(ring_json(&info.name, ring)),
        Ok(Seen::Mpmc(ring)) => with_owner(mpmc::ring_json(&info.name, ring)),
        Ok(Seen::Strict(ring)) => with_owner(strict_json(&info.name, ring)),
        Err(error) => json!({
            "name": info.name.name(), "kind": null, "backing": info.name.backing(), "size": info.len, "owner": info.owner,
            "mode": octal(info.mode), "held": info.held, "error": error.to_string(),
        }),
    }
}

fn ls_table(found: &[(SegmentInfo, Result<Seen, SetupError>)]) -> String {
    let mut rows = vec![["NAME", "KIND", "CAPACITY", "UNREAD", "PRODUCER", "CONSUMER"].map(str::to_owned)];
    for (info, seen) in found {
        let name = info.name.to_string();
        rows.push(match seen {
            Ok(Seen::Mpmc(ring)) => mpmc::ls_row(name, ring),
            Ok(Seen::Spsc(ring)) => [
                name,
                "spsc".to_owned(),
                size::exact(ring.capacity),
                size::exact(unread(ring)),
                seat_short(&ring.producer),
                seat_short(&ring.consumer),
            ],
            Ok(Seen::Strict(ring)) => [
                name,
                "strict".to_owned(),
                "?".to_owned(),
                "?".to_owned(),
                seat_short(&ring.producer),
                seat_short(&ring.consumer),
            ],
            Err(error) => {
                let why = match error.kind() {
                    SetupErrorKind::Permission => "not ours",
                    SetupErrorKind::Corrupt => "no ring, or damaged",
                    _ => "cannot be opened",
                };
                [name, "?".to_owned(), size::exact(info.len), "?".to_owned(), why.to_owned(), String::new()]
            }
        });
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Runs `stat`.
///
/// # Errors
/// [`Failure`] when there is no such ring, or it cannot be looked at.
pub(crate) fn stat(args: &StatArgs) -> Result<(), Failure> {
    let name = &args.place.at()?;
    match look(name)? {
        Seen::Spsc(ring) if args.json => output::print_json(&ring_json(name, &ring)),
        Seen::Spsc(ring) => output::print(&stat_text(name, &ring)),
        Seen::Strict(ring) if args.json => output::print_json(&strict_json(name, &ring)),
        Seen::Strict(ring) => output::print(&strict_text(name, &ring)),
        Seen::Mpmc(ring) if args.json => output::print_json(&mpmc::ring_json(name, &ring)),
        Seen::Mpmc(ring) => output::print(&mpmc::stat_text(name, &ring)),
    }
}

fn stat_text(name: &Location, ring: &Snapshot) -> String {
    let release = match ring.release_every {
        0 => "each record".to_owned(),
        bytes => format!("every {}", size::exact(bytes)),
    };
    let aligned = if ring.line_aligned { "64-byte lines" } else { "8 bytes" };
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<14}{value}");
    };
    line("name", name.name());
    line("kind", format!("spsc, {}", name.backing()));
    line("capacity", format!("{} (longest record {} bytes)", size::exact(ring.capacity), ring.max_len));
    line("segment", format!("{} bytes, mode {}", ring.size, octal(ring.mode)));
    line("records", format!("aligned to {aligned}, released {release}"));
    line("generation", format!("{:016x}", ring.generation));
    line("payload", payload_text(ring.payload.as_ref()));
    line("tail", ring.tail.to_string());
    line("head", ring.head.to_string());
    line("unread", format!("{} bytes, headers included", unread(ring)));
    for seat in [&ring.producer, &ring.consumer] {
        line(&seat.role.to_string(), seat_long(seat));
        if let (SeatState::Held(_), Some(memory)) = (seat.state, memory_text(name, &seat.facts)) {
            line("  its memory", memory);
        }
    }
    text
}

fn strict_text(name: &Location, ring: &StrictSnapshot) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<14}{value}");
    };
    line("name", name.name());
    line("kind", format!("strict spsc, {}: what is in it shows to its two sides alone", name.backing()));
    line("generation", format!("{:016x}", ring.generation));
    for seat in [&ring.producer, &ring.consumer] {
        let told = match seat_state(seat) {
            // Nobody succeeds anybody in a strict ring, and an operator's word changes nothing.
            state @ ("dead" | "unknown") => format!("{state}: process {}; nobody can take its seat", seat.facts.pid),
            _ => seat_long(seat),
        };
        line(&seat.role.to_string(), told);
    }
    text
}

/// The same for programs: what a ring has and this does not show is null.
fn strict_json(name: &Location, ring: &StrictSnapshot) -> Value {
    json!({
        "name": name.name(),
        "kind": "strict",
        "backing": name.backing(),
        "capacity": null,
        "unread": null,
        "generation": format!("{:016x}", ring.generation),
        "producer": seat_json(name, &ring.producer),
        "consumer": seat_json(name, &ring.consumer),
    })
}

/// What `stat`, `create` and `recover` say about a ring.
pub(crate) fn ring_json(name: &Location, ring: &Snapshot) -> Value {
    json!({
        "name": name.name(),
        "kind": "spsc",
        "backing": name.backing(),
        "capacity": ring.capacity,
        "max_len": ring.max_len,
        "line_aligned": ring.line_aligned,
        "release_every": ring.release_every,
        "generation": format!("{:016x}", ring.generation),
        "payload": payload_json(ring.payload.as_ref()),
        "size": ring.size,
        "mode": octal(ring.mode),
        "head": ring.head.get(),
        "tail": ring.tail.get(),
        "unread": unread(ring),
        "producer": seat_json(name, &ring.producer),
        "consumer": seat_json(name, &ring.consumer),
    })
}

/// What a ring carries, for programs; null for bytes of no stated type.
pub(crate) fn payload_json(payload: Option<&TypeFacts>) -> Value {
    payload
        .map_or(Value::Null, |kind| json!({ "hash": format!("{:016x}", kind.hash), "description": kind.description }))
}

/// The same for people.
pub(crate) fn payload_text(payload: Option<&TypeFacts>) -> String {
    payload.map_or_else(|| "bytes".to_owned(), TypeFacts::to_string)
}

/// A seat for programs. `state` is `free`, `closed`, `alive`, `dead` or `unknown`.
pub(crate) fn seat_json(name: &Location, seat: &Seat) -> Value {
    let signed = seat.state != SeatState::Never && seat.facts.pid != 0;
    let held = matches!(seat.state, SeatState::Held(_));
    json!({
        "state": seat_state(seat),
        "lease": seat.state.lease(),
        "pid": signed.then_some(seat.facts.pid),
        "start_time": signed.then_some(seat.facts.start_time),
        "waiting": held.then(|| waiting_json(seat.waiting)),
        "memory": held.then(|| memory_json(name, &seat.facts)),
    })
}

/// How somebody waits and publishes, for programs.
pub(crate) fn waiting_json(waiting: Waiting) -> Value {
    json!({ "asleep": waiting.asleep, "barrier": barrier(waiting), "wants_fences": waiting.wants_fences })
}

/// The same for people, to be added to a line: `, asleep, barrier membarrier`.
pub(crate) fn waiting_text(waiting: Waiting) -> String {
    let mut text = if waiting.asleep { ", asleep".to_owned() } else { String::new() };
    if let Some(barrier) = barrier(waiting) {
        let _ = write!(text, ", barrier {barrier}");
    }
    if waiting.wants_fences {
        text.push_str(", wants fences of all");
    }
    text
}

/// What orders a publication before the look for sleepers; `None` until its owner has said so.
fn barrier(waiting: Waiting) -> Option<&'static str> {
    waiting.light.map(|light| if light { "membarrier" } else { "fence" })
}

/// One word about a seat.
pub(crate) fn seat_state(seat: &Seat) -> &'static str {
    match (seat.state, seat.verdict) {
        (SeatState::Never, _) => "free",
        (SeatState::Closed(_), _) => "closed",
        (SeatState::Held(_), Some(Verdict::Alive)) => "alive",
        (SeatState::Held(_), Some(Verdict::Dead)) => "dead",
        (SeatState::Held(_), _) => "unknown",
    }
}

fn seat_short(seat: &Seat) -> String {
    match seat.state {
        SeatState::Never => "-".to_owned(),
        _ => format!("{} {}", seat_state(seat), seat.facts.pid),
    }
}

/// A line about a seat.
pub(crate) fn seat_long(seat: &Seat) -> String {
    let pid = seat.facts.pid;
    match (seat.state, seat_state(seat)) {
        (SeatState::Never, _) => "nobody has come yet".to_owned(),
        (SeatState::Closed(lease), _) => format!("closed: was process {pid} (lease {lease})"),
        (SeatState::Held(lease), "dead") => {
            format!("dead: was process {pid} (lease {lease}); a successor may take the seat")
        }
        (SeatState::Held(lease), "unknown") => format!(
            "unknown: process {pid} (lease {lease}) cannot be shown to be dead; if it is, say so with --assume-dead \
             {lease}"
        ),
        (SeatState::Held(lease), _) => {
            format!("alive: process {pid} (lease {lease}){}", waiting_text(seat.waiting))
        }
    }
}

/// Who lives in the ring, for messages: ` (its producer is process 1)`; empty when nobody does.
pub(crate) fn living(name: &Location) -> String {
    let ring = match look(name) {
        Ok(Seen::Spsc(ring)) => ring,
        Ok(Seen::Mpmc(ring)) => return mpmc::living(&ring),
        Ok(Seen::Strict(_)) | Err(_) => return String::new(),
    };
    let mut who = Vec::new();
    for seat in [ring.producer, ring.consumer] {
        if matches!(seat_state(&seat), "alive" | "unknown") {
            who.push(format!("its {} is process {}", seat.role, seat.facts.pid));
        }
    }
    if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) }
}

fn unread(ring: &Snapshot) -> u64 {
    // Right but for records that a dead producer committed without storing the tail.
    let (head, tail) = (ring.head.get(), ring.tail.get());
    tail.saturating_sub(head).min(ring.capacity)
}

pub(crate) fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}
