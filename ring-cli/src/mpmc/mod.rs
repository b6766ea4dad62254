//! What the commands do to an MPMC ring. `send` and `recv` may run many times at once; neither ends the ring, which
//! `close` does.

mod recv;
mod send;
mod show;

pub(crate) use recv::recv;
pub(crate) use send::send;
pub(crate) use show::{living, ls_row, ring_json, stat_text};

use ring_shm::mpmc::{self, Holder, Member, Options};
use ring_shm::{Kind, Location, Role, Verdict};
use serde_json::json;

use crate::admin;
use crate::args::{CloseArgs, CreateArgs, MpmcArgs, RecoverArgs};
use crate::exit::{Code, Failure, note};
use crate::output;

impl MpmcArgs {
    /// Whether anything was said.
    pub(crate) fn any(&self) -> bool {
        let Self { slots, slot_size, max_participants, max_producers, max_consumers, attempts, at_most_once } = self;
        slots.or(*slot_size).is_some()
            || max_participants.or(*max_producers).or(*max_consumers).or(*attempts).is_some()
            || *at_most_once
    }
}

/// Runs `create --kind mpmc`.
///
/// # Errors
/// [`Failure`]: the name exists, the options are impossible, or there is no room.
pub(crate) fn create(name: &Location, args: &CreateArgs) -> Result<(), Failure> {
    if args.spsc.capacity.or(args.spsc.release_every).is_some() || args.spsc.line_aligned {
        return Err(Failure::new(
            Code::Arguments,
            "an mpmc ring has --slots and --slot-size, no --capacity, --release-every or --line-aligned",
        ));
    }
    let asked = &args.mpmc;
    let mut options = Options::new().mode(args.mode);
    if let Some(slots) = asked.slots {
        options = options.slots(slots);
    }
    if let Some(bytes) = asked.slot_size {
        options = options.slot_size(bytes);
    }
    if let Some(most) = asked.max_participants {
        options = options.max_participants(most);
    }
    if let Some(most) = asked.max_producers {
        options = options.max_producers(most);
    }
    if let Some(most) = asked.max_consumers {
        options = options.max_consumers(most);
    }
    if let Some(attempts) = asked.attempts {
        options = options.at_least_once(attempts);
    }
    if asked.at_most_once {
        options = options.at_most_once();
    }
    if let Some(group) = &args.group {
        options = options.group(admin::group_id(group)?);
    }
    options = options.placement(args.memory.placement());
    if let Some(bytes) = args.max_size {
        options = options.max_size(bytes);
    }
    if let Some((prefix, bytes)) = &args.budget {
        options = options.budget(prefix, *bytes);
    }
    mpmc::create(name, &options).map_err(|error| {
        let failure = Failure::from(error);
        if failure.code == Code::InUse { failure.with(&crate::inspect::living(name)) } else { failure }
    })?;
    if args.json { output::print_json(&ring_json(name, &mpmc::inspect(name)?)) } else { Ok(()) }
}

/// Runs `close`.
///
/// # Errors
/// [`Failure`]: there is no such ring, or it is none that can be closed.
pub(crate) fn close(args: &CloseArgs) -> Result<(), Failure> {
    let name = &args.place.at()?;
    if ring_shm::kind_of(name)? != Kind::Mpmc {
        return Err(Failure::new(
            Code::Arguments,
            format!("ring {name} is spsc: it ends with its producer, who closes by ending in order"),
        ));
    }
    mpmc::close(name)?;
    let ring = mpmc::inspect(name)?;
    if ring.closing {
        let producer = ring.members.iter().find(|member| member.role == Some(Role::Producer));
        let who = producer.map_or(String::new(), |member| format!(", process {},", member.facts.pid));
        note(&format!("ring {name} will close when its only producer{who} sends the next message, or ends"));
    }
    Ok(())
}

/// Runs `recover` on an MPMC ring.
///
/// # Errors
/// [`Failure`]: a participant can neither be shown to be dead nor was assumed so, or is alive and was assumed dead.
pub(crate) fn recover(args: &RecoverArgs, name: &Location) -> Result<(), Failure> {
    let (found, released) = mpmc::recover(name, args.assume_dead)?;
    let assumed = |member: &&Member| Some(member.lease) == args.assume_dead && member.verdict == Verdict::Alive;
    if let Some(member) = found.members.iter().find(assumed) {
        return Err(admin::alive(&show::member_short(member)));
    }
    if args.json {
        output::print_json(&json!({
            "name": name.name(),
            "recovered": released,
            "participants": found.members.iter().map(|member| show::member_json(name, member)).collect::<Vec<_>>(),
        }))?;
    } else {
        let mut text = String::new();
        for member in &found.members {
            let done = if released.contains(&member.lease) {
                "recovered"
            } else if member.verdict == Verdict::Dead {
                "not yet: somebody alive is in the middle of the same slot"
            } else {
                "nothing to do"
            };
            text.push_str(&format!("{:>2}  {}: {done}\n", member.index, show::member_short(member)));
        }
        if text.is_empty() {
            text.push_str("nobody is in it\n");
        }
        output::print(&text)?;
    }
    match found.members.iter().find(|member| member.verdict == Verdict::Unknown && !released.contains(&member.lease)) {
        None => Ok(()),
        Some(member) => Err(Failure::new(
            Code::InUse,
            format!(
                "process {} cannot be shown to be dead: make sure, then `ringctl recover {name} --assume-dead {}`",
                member.facts.pid, member.lease
            ),
        )),
    }
}

/// Waits in vain, half a second each ([`REGULARLY`](crate::signals::REGULARLY)), before somebody in the way is worth a
/// word.
const PATIENCE: u32 = 4;

/// Tells once when somebody has been in the way for long.
#[derive(Debug, Default)]
struct InTheWay {
    waits: u32,
    told: Option<Holder>,
}

impl InTheWay {
    /// A wait was in vain, and this is who was in the way, if somebody was.
    fn waited(&mut self, by: Option<Holder>) {
        self.waits = if by.is_some() { self.waits.saturating_add(1) } else { 0 };
        let Some(holder) = by.filter(|_| self.waits >= PATIENCE) else { return };
        if self.told != Some(holder) {
            self.told = Some(holder);
            note(&format!("waiting for {holder}, which is in the middle of the slot that is next: stopped, or slow"));
        }
    }

    /// Nobody is.
    fn over(&mut self) {
        self.waits = 0;
    }
}
