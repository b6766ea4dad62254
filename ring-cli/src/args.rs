//! What may be typed: the subcommands and their options. Values are checked here as far as that needs no ring.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use ring_shm::{Location, SegmentName, SetupError};

use crate::exit::{Code, Failure};
use crate::memory::MemoryArgs;
use crate::size;

/// Create, feed, drain, inspect, recover and remove shared-memory rings.
#[derive(Debug, Parser)]
#[command(name = "ringctl", version, propagate_version = true, arg_required_else_help = false)]
#[command(after_help = "\
Examples:
  ringctl demo                                  what this machine can do, in ten seconds
  ringctl create ticks --capacity 1MiB          a ring
  ringctl recv ticks > copy & ringctl send ticks file

Exit codes: 0 done, 1 other failure, 2 arguments, 3 peer died, 4 corrupt or incompatible, 5 no resource or no such
segment, 6 exists, in use or seat taken, 7 permission, 8 timeout, 130/143 after an orderly close on SIGINT/SIGTERM.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(CreateArgs),
    Send(SendArgs),
    Recv(RecvArgs),
    Ls(LsArgs),
    Stat(StatArgs),
    Rm(RmArgs),
    Recover(RecoverArgs),
    Close(CloseArgs),
    Doctor(DoctorArgs),
    Demo(DemoArgs),
    #[command(name = "demo-peer", hide = true)]
    DemoPeer(DemoPeerArgs),
}

/// Where a ring lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backing {
    /// POSIX shared memory: NAME is stored as `ring.NAME` in /dev/shm.
    Posix,
    /// A file: NAME is its path.
    File,
    /// System V shared memory: the key is a hash of NAME, or --key.
    Sysv,
}

/// Which ring, and where.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The ring's name: letters, digits, `.`, `_`, `-`. Or a location: `file:PATH`,
    /// `sysv:NAME`, `fd:PID/NUMBER` for a memfd.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) backing: BackingArg,
}

/// The option that says where a ring lives.
#[derive(Debug, Args)]
pub(crate) struct BackingArg {
    /// Where the ring lives [default: posix, or what a location says].
    #[arg(long, value_enum, hide_possible_values = false)]
    backing: Option<Backing>,
    /// sysv: the key, in decimal or 0x…, where NAME's own is taken.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    key: Option<String>,
}

impl BackingArg {
    /// Where the ring called `name` lives.
    ///
    /// # Errors
    /// With code 2, when it is no name.
    pub(crate) fn locate(&self, name: &str) -> Result<Location, Failure> {
        let at = match (self.backing, &self.key) {
            (Some(Backing::Sysv), Some(key)) => format!("sysv:{name}@{key}").parse(),
            (Some(Backing::Sysv), None) => format!("sysv:{name}").parse(),
            (_, Some(_)) => {
                return Err(Failure::new(Code::Arguments, "only a System V segment has a key: add --backing sysv"));
            }
            (None, None) => name.parse(),
            (Some(Backing::Posix), None) => SegmentName::new(name).map(Location::from),
            (Some(Backing::File), None) => Ok(Location::file(name)),
        };
        at.map_err(|error| SetupError::from(error).into())
    }
}

impl Place {
    /// Where the ring lives.
    ///
    /// # Errors
    /// As [`BackingArg::locate`].
    pub(crate) fn at(&self) -> Result<Location, Failure> {
        self.backing.locate(&self.name)
    }
}

/// The kinds of rings that can be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One producer, one consumer, records of any length.
    Spsc,
    /// Many producers, many consumers, each message to one of them, in slots of a fixed size.
    Mpmc,
}

/// Create a ring. Nobody sits in it yet.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl create ticks --kind spsc --capacity 1MiB --mode 0660 --group market
  ringctl create jobs --kind mpmc --slots 1024 --slot-size 256

An existing name is refused with exit code 6.")]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// What kind of ring.
    #[arg(long, value_enum, default_value_t = Kind::Spsc)]
    pub(crate) kind: Kind,
    #[command(flatten)]
    pub(crate) spsc: SpscArgs,
    #[command(flatten)]
    pub(crate) mpmc: MpmcArgs,
    /// Permission bits in octal, exactly, whatever the umask.
    #[arg(long, value_name = "OCTAL", default_value = "0600", value_parser = size::parse_mode)]
    pub(crate) mode: u32,
    /// Give the ring to this group (a name or a number); combine with --mode 0660.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Refuse to make a segment of more bytes than this.
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    pub(crate) max_size: Option<u64>,
    /// Refuse when all segments of this user whose names begin with PREFIX would have more bytes together.
    #[arg(long, value_name = "PREFIX=BYTES", value_parser = size::parse_budget)]
    pub(crate) budget: Option<(String, u64)>,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    /// Print what was made as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What only an SPSC ring has.
#[derive(Debug, Args)]
#[group(id = "spsc", multiple = true)]
pub(crate) struct SpscArgs {
    /// spsc: bytes of the data area, a power of two: 4096, 64KiB, 1MiB [default: 1MiB]. The longest record is half of
    /// it less 8 bytes.
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    pub(crate) capacity: Option<u64>,
    /// spsc: tell the producer of released space only every so many bytes (at most a quarter of the capacity).
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    pub(crate) release_every: Option<u64>,
    /// spsc: start every payload on a 64-byte line: for payloads of 1 KiB and more.
    #[arg(long)]
    pub(crate) line_aligned: bool,
}

/// What only an MPMC ring has.
#[derive(Debug, Args)]
#[group(id = "mpmc", multiple = true, conflicts_with = "spsc")]
pub(crate) struct MpmcArgs {
    /// mpmc: slots, a power of two [default: 1024].
    #[arg(long, value_name = "N", value_parser = size::parse_nonzero)]
    pub(crate) slots: Option<u64>,
    /// mpmc: bytes of the longest message [default: 240].
    #[arg(long, value_name = "BYTES", value_parser = size::parse_nonzero)]
    pub(crate) slot_size: Option<u64>,
    /// mpmc: the most users at a time, 2 to 64 [default: 64].
    #[arg(long, value_name = "N")]
    pub(crate) max_participants: Option<u32>,
    /// mpmc: the most producers at a time; 1 is quicker [default: all places but one].
    #[arg(long, value_name = "N")]
    pub(crate) max_producers: Option<u32>,
    /// mpmc: the most consumers at a time; 1 is quicker [default: all places but one].
    #[arg(long, value_name = "N")]
    pub(crate) max_consumers: Option<u32>,
    /// mpmc: deliveries of a message whose consumers die, before it is a dead letter, 1 to 31 [default: 3].
    #[arg(long, value_name = "N", conflicts_with = "at_most_once")]
    pub(crate) attempts: Option<u32>,
    /// mpmc: drop a message whose consumer dies.
    #[arg(long)]
    pub(crate) at_most_once: bool,
}

/// Close an MPMC ring: nothing more can be sent, and each `recv` ends when everything has been received.
#[derive(Debug, Args)]
#[command(after_help = "Example: ringctl close jobs")]
pub(crate) struct CloseArgs {
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Send a file, or standard input, through a ring. Done when all of it is committed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl send ticks --lines < feed.txt      each line, with its newline, is a record as soon as it is read
  ringctl send frames video.raw --record 64KiB

Waits for space, so a consumer may come later; the seat is taken before anything is read. Exit code 3 when the
consumer dies while the ring is full, 1 when it closes then. When the input cannot be read to its end, the session is
left unclosed, so that `recv` ends with 3 and not with 0.")]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// What to send; standard input when it is left out.
    pub(crate) file: Option<PathBuf>,
    /// Cut the input into records of this many bytes; the last one may be shorter.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_nonzero, conflicts_with = "lines")]
    pub(crate) record: Option<u64>,
    /// A record is a line with its newline.
    #[arg(long)]
    pub(crate) lines: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    /// Print what was sent as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a ring's records to a file, or to standard output, as they are.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl recv ticks                        until the producer closes (exit code 0) or dies (3)
  ringctl recv ticks log --follow           one producer after the other
  ringctl recv jobs mine                    (mpmc) its share, until `ringctl close jobs`, whoever dies on the way

A record leaves the ring when it has been written; what a killed `recv` had not written, its successor gets.")]
pub(crate) struct RecvArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where to write; standard output when it is left out. An existing file is replaced.
    pub(crate) file: Option<PathBuf>,
    /// Go on with the next producer when one closes or dies.
    #[arg(long)]
    pub(crate) follow: bool,
    /// mpmc: where to write messages whose consumers have died too often, instead of with the others.
    #[arg(long, value_name = "FILE")]
    pub(crate) dead_letters: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    /// Print what was received as a JSON object: to standard output with FILE, else to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to wait.
#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// Wait this long for the segment to appear; exit code 8 when it does not.
    #[arg(long, value_name = "SECONDS", value_parser = size::parse_seconds)]
    pub(crate) wait: Option<Duration>,
    /// Never sleep while waiting for others: a little quicker, and a whole CPU.
    #[arg(long)]
    pub(crate) spin: bool,
}

/// List the rings.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl ls --json
  ringctl ls --dir /var/lib/feed       the files there that are rings
  ringctl ls --pid 4711                the memfd rings of a process, strict ones among them; the names shown are
                                       locations for `stat`

What may not be read is listed as `not ours`, what holds no ring as `no ring, or damaged`.")]
pub(crate) struct LsArgs {
    /// List the rings that are files in this directory.
    #[arg(long, value_name = "D", conflicts_with = "pid")]
    pub(crate) dir: Option<PathBuf>,
    /// List the memfd rings that this process has open.
    #[arg(long, value_name = "P")]
    pub(crate) pid: Option<u32>,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what a ring is, how full it is, and who sits in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: ringctl stat ticks

Needs no more than the right to read the segment, and changes nothing.")]
pub(crate) struct StatArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove a ring, or all that no living process holds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl rm ticks           refused with exit code 6 while somebody lives in it
  ringctl rm ticks --force   takes the name away; the living go on
  ringctl rm --stale         every POSIX and System V ring of this user that no living process holds
  ringctl rm --stale --dir /var/lib/feed        those that are files there")]
pub(crate) struct RmArgs {
    /// The ring's name.
    #[arg(required_unless_present = "stale", conflicts_with = "stale")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) backing: BackingArg,
    /// Remove the name although somebody lives in it.
    #[arg(long, conflicts_with = "stale")]
    pub(crate) force: bool,
    /// Remove every ring of this user that no living process holds.
    #[arg(long)]
    pub(crate) stale: bool,
    /// With --stale: of the rings that are files in this directory.
    #[arg(long, value_name = "D", requires = "stale", conflicts_with = "name")]
    pub(crate) dir: Option<PathBuf>,
    /// Print what was removed as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Settle what dead owners left: take over their seats, find the end of what they committed. Nothing needs this: a
/// successor does the same when it sits down.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl recover ticks
  ringctl recover file:/var/lib/feed/ticks --power-loss      what was committed before the last sync, and nothing else")]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Your word that the owner of lease N is dead, where the system cannot show it (`ringctl stat` says so).
    #[arg(long, value_name = "N")]
    pub(crate) assume_dead: Option<u64>,
    /// Your word that the power failed while the ring, which lies in a file, was in use: what was never synced goes.
    /// Not after an orderly restart, which leaves all of it.
    #[arg(long, conflicts_with = "assume_dead")]
    pub(crate) power_loss: bool,
    /// Print what was found and done as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check what this machine is like for rings, and what this process may do: one line a check.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl doctor
  ringctl doctor --strict        exit code 1 when there is a warning: before a service is started

Changes nothing. What is no warning may still be worth reading: each line says what it means for rings here.")]
pub(crate) struct DoctorArgs {
    /// End with exit code 1 when there is a warning.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Stream data between two processes, check every byte, and measure throughput and round trips.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringctl demo                    this program's own file, over and over, up to 1 GiB or 5 seconds
  ringctl demo a.bin b.bin        your files, once")]
pub(crate) struct DemoArgs {
    /// What to stream; this program's own file, over and over, when it is left out.
    pub(crate) files: Vec<PathBuf>,
    /// Stream this many bytes, repeating the input as often as it takes.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_nonzero)]
    pub(crate) size: Option<u64>,
    /// A small run: 32 MiB and 20 000 round trips.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print the results as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// One of the two processes of a demo. Talks to the demo in lines.
#[derive(Debug, Args)]
pub(crate) struct DemoPeerArgs {
    /// Which of the two.
    #[arg(value_enum)]
    pub(crate) side: Side,
    /// What the names of the demo's three rings begin with.
    pub(crate) prefix: String,
    /// Bytes to stream.
    pub(crate) total: u64,
    /// Round trips to measure.
    pub(crate) rounds: u64,
    /// The CPU to run on.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// End the stream after this time, however much of it is through.
    #[arg(long, value_parser = size::parse_seconds)]
    pub(crate) limit: Option<Duration>,
    /// What to stream.
    pub(crate) files: Vec<PathBuf>,
}

/// The two processes of a demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Streams, then answers round trips.
    Producer,
    /// Receives and checks, then measures round trips.
    Consumer,
}
