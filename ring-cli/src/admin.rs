//! `ringctl create`, `rm` and `recover`: what an operator does to a ring from outside.

use nix::unistd::Group;
use ring_shm::spsc::{self, Options};
use ring_shm::{AttachError, Field, Location, SeatState, Segment, SetupError, StaleReport, UnlinkError, Verdict};
use serde_json::json;

use crate::args::{CreateArgs, Kind, RecoverArgs, RmArgs, SpscArgs};
use crate::exit::{Code, Failure, Holder, note, unlisted};
use crate::inspect::{living, ring_json, seat_json, seat_long, seat_state};
use crate::mpmc;
use crate::output;

/// Runs `create`.
///
/// # Errors
/// [`Failure`]: the name exists, the options are impossible, or there is no room.
pub(crate) fn create(args: &CreateArgs) -> Result<(), Failure> {
    let name = &args.place.at()?;
    match args.kind {
        Kind::Spsc => create_spsc(name, args),
        Kind::Mpmc => mpmc::create(name, args),
    }
}

fn create_spsc(name: &Location, args: &CreateArgs) -> Result<(), Failure> {
    if args.mpmc.any() {
        return Err(Failure::new(Code::Arguments, "these options are those of an mpmc ring: add --kind mpmc"));
    }
    let SpscArgs { capacity, release_every, line_aligned } = args.spsc;
    let mut options = Options::new()
        .capacity(capacity.unwrap_or(1 << 20))
        .release_every(release_every.unwrap_or(0))
        .line_aligned(line_aligned)
        .mode(args.mode)
        .placement(args.memory.placement());
    if let Some(group) = &args.group {
        options = options.group(group_id(group)?);
    }
    if let Some(bytes) = args.max_size {
        options = options.max_size(bytes);
    }
    if let Some((prefix, bytes)) = &args.budget {
        options = options.budget(prefix, *bytes);
    }
    spsc::create(name, &options).map_err(|error| {
        let failure = Failure::from(error);
        if failure.code == Code::InUse { failure.with(&living(name)) } else { failure }
    })?;
    if args.json { output::print_json(&ring_json(name, &spsc::inspect(name)?)) } else { Ok(()) }
}

/// A group by name or number.
pub(crate) fn group_id(group: &str) -> Result<u32, Failure> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    match Group::from_name(group) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(Failure::new(
            Code::Arguments,
            format!("there is no group {group:?}: name one of `getent group`, or give its number"),
        )),
    }
}

/// Runs `rm`.
///
/// # Errors
/// [`Failure`]: there is no such ring, or somebody lives in it.
pub(crate) fn rm(args: &RmArgs) -> Result<(), Failure> {
    let Some(name) = args.name.as_deref() else { return rm_stale(args) };
    let name = &args.backing.locate(name)?;
    ring_shm::unlink(name, args.force).map_err(|error| match &error {
        UnlinkError::InUse { lease, .. } => Failure::new(
            Code::InUse,
            format!(
                "ring {name} is in use: lease {lease} is held{}; end its users, or take only the name away with \
                 `ringctl rm {name} --force`",
                living(name)
            ),
        ),
        _ => error.into(),
    })?;
    if args.json { output::print_json(&json!({ "removed": [name.name()] })) } else { Ok(()) }
}

fn rm_stale(args: &RmArgs) -> Result<(), Failure> {
    let (report, holder) = match &args.dir {
        Some(directory) => (Segment::remove_stale_files(directory), Holder::Directory(directory)),
        None => (Segment::remove_stale_if(|segment| is_ring(segment.name())), Holder::Names),
    };
    let StaleReport { removed, temporaries, held, failed, .. } = report.map_err(|error| unlisted(holder, error))?;
    if args.json {
        let failed: Vec<_> =
            failed.iter().map(|(name, error)| json!({ "name": name.name(), "error": error.to_string() })).collect();
        let names = |list: &[Location]| list.iter().map(Location::name).collect::<Vec<_>>();
        output::print_json(&json!({
            "removed": names(&removed), "temporaries": temporaries, "held": names(&held), "failed": failed,
        }))?;
    } else {
        let mut text: String = removed.iter().map(|name| format!("removed {name}\n")).collect();
        if temporaries > 0 {
            text.push_str(&format!("removed {temporaries} unfinished segments of dead creators\n"));
        }
        output::print(&text)?;
    }
    let mut code = None;
    for (name, error) in failed {
        note(&format!("{name}: {error}"));
        code = Some(Code::Other);
    }
    code.map_or(Ok(()), |code| Err(Failure::new(code, "not everything could be removed")))
}

/// Whether the segment holds a ring, be it damaged: other programs may use such names too, and theirs stay.
fn is_ring(name: &str) -> bool {
    !matches!(
        ring_shm::kind_of(name),
        Err(SetupError::Attach(AttachError::Incompatible { field: Field::Magic, .. } | AttachError::Truncated { .. }))
    )
}

/// What is said to a word about the living; `who` they are.
pub(crate) fn alive(who: &str) -> Failure {
    Failure::new(Code::InUse, format!("{who}: the system knows that it is alive; end it, then recover"))
}

/// What was synced last, after a power loss.
fn recover_synced(name: &Location, as_json: bool) -> Result<(), Failure> {
    let cut = spsc::recover_synced(name)?;
    if as_json {
        return output::print_json(&json!({
            "name": name.name(), "records": cut.records, "head": cut.head.get(), "tail": cut.tail.get(),
            "whole": cut.whole,
        }));
    }
    let whole = if cut.whole {
        "all that was unread at the last sync and has not been released"
    } else {
        "not all of it is there: after the last sync more was sent than was free then"
    };
    output::print(&format!("{} records, from {} to {}: {whole}\n", cut.records, cut.head, cut.tail))
}

/// Runs `recover`.
///
/// # Errors
/// [`Failure`]: there is no such ring, or a seat's owner can neither be shown to be dead nor was assumed so.
pub(crate) fn recover(args: &RecoverArgs) -> Result<(), Failure> {
    let name = &args.place.at()?;
    if ring_shm::kind_of(name)? == ring_shm::Kind::Mpmc {
        if args.power_loss {
            return Err(Failure::new(
                Code::Arguments,
                "slots of an mpmc ring tell themselves what they are: recover it without --power-loss",
            ));
        }
        return mpmc::recover(args, name);
    }
    if args.power_loss {
        return recover_synced(name, args.json);
    }
    let (found, recovered) = spsc::recover(name, args.assume_dead)?;
    for seat in [found.producer, found.consumer] {
        let SeatState::Held(lease) = seat.state else { continue };
        if Some(lease) == args.assume_dead && seat.verdict == Some(Verdict::Alive) {
            return Err(alive(&format!("{} process {} (lease {lease})", seat.role, seat.facts.pid)));
        }
    }
    if args.json {
        let roles: Vec<_> = recovered.iter().map(ToString::to_string).collect();
        output::print_json(&json!({
            "name": name.name(),
            "recovered": roles,
            "producer": seat_json(name, &found.producer),
            "consumer": seat_json(name, &found.consumer),
        }))?;
    } else {
        let mut text = String::new();
        for seat in [found.producer, found.consumer] {
            let done = if recovered.contains(&seat.role) {
                format!("recovered: process {} is {}", seat.facts.pid, seat_state(&seat))
            } else {
                format!("nothing to do: {}", seat_long(&seat))
            };
            text.push_str(&format!("{:<10}{done}\n", seat.role.to_string()));
        }
        output::print(&text)?;
    }
    for seat in [found.producer, found.consumer] {
        let SeatState::Held(lease) = seat.state else { continue };
        if seat.verdict == Some(Verdict::Unknown) && !recovered.contains(&seat.role) {
            return Err(Failure::new(
                Code::InUse,
                format!(
                    "process {} ({}) cannot be shown to be dead: make sure, then `ringctl recover {name} \
                     --assume-dead {lease}`",
                    seat.facts.pid, seat.role
                ),
            ));
        }
    }
    Ok(())
}
