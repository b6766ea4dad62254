//! What a process has, and what there is in all places where rings live: as lines that can be compared, since a leak is a line too many.

use std::fs;
use std::path::Path;

use ring_shm::{Kind, Location, SeatState, Segment, SetupErrorKind, mpmc, spsc};

use crate::Failure;
use crate::backing;

/// The descriptors and the mappings of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) descriptors: Vec<String>,
    pub(crate) maps: Vec<String>,
}

impl Holdings {
    /// Those of the process `pid`, which stands still or is this one.
    pub(crate) fn of(pid: &str) -> Result<Self, Failure> {
        let mut descriptors = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            // The listing's own is gone by now.
            let Ok(target) = fs::read_link(entry?.path()) else { continue };
            let target = target.display().to_string();
            // The standard library keeps one for good where `getrandom` is refused.
            if target != "/dev/urandom" {
                // Without the number of the pipe or socket.
                descriptors.push(target.split('[').next().unwrap_or_default().into());
            }
        }
        descriptors.sort();
        let mut maps: Vec<String> = fs::read_to_string(format!("/proc/{pid}/maps"))?
            .lines()
            .filter(|line| !line.ends_with("[heap]") && !line.ends_with("[stack]"))
            .filter_map(without_address)
            .collect();
        maps.sort();
        Ok(Self { descriptors, maps })
    }
}

/// Length, permissions and what is mapped, of a line of `/proc/PID/maps`.
fn without_address(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let len = u64::from_str_radix(to, 16).ok()?.checked_sub(u64::from_str_radix(from, 16).ok()?)?;
    let permissions = words.next()?;
    let what: Vec<&str> = words.skip(3).collect();
    Some(format!("{len} {permissions} {}", what.join(" ")))
}

/// The line of a memfd in which nobody has made a ring yet.
pub(crate) const NO_MEMFD_RING: &str = "the memfd: empty";

/// The names in the directory, the System V segments, the rings in files and in the memfd; and of each ring whether
/// anybody holds a lease, and who is in its seats or its table.
pub(crate) fn directory() -> Result<Vec<String>, Failure> {
    let mut lines: Vec<String> = backing::sysv()?.into_iter().map(|(_, line)| line).collect();
    let segments = Segment::list()?;
    let files = Segment::list_files(Path::new(backing::DIRECTORY))?;
    for entry in fs::read_dir(backing::DIRECTORY)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let posix = segments.iter().find(|info| format!("ring.{}", info.name) == file);
        let named = format!("file:{}/{file}", backing::DIRECTORY);
        lines.push(match posix.or_else(|| files.iter().find(|info| info.name.to_string() == named)) {
            Some(info) => {
                format!("{file} of {} bytes, held: {:?}, inside:{}", info.len, info.held, inside(&info.name)?)
            }
            None => file,
        });
    }
    for info in segments.iter().filter(|info| matches!(info.name, Location::Sysv(_))) {
        lines.push(format!("{}, held: {:?}, inside:{}", info.name, info.held, inside(&info.name)?));
    }
    if let Some(at) = backing::memfd_if_any() {
        let at: Location = at.parse()?;
        lines.push(match ring_shm::kind_of(&at) {
            Ok(_) => format!("the memfd, inside:{}", inside(&at)?),
            Err(error) if error.kind() == SetupErrorKind::NotFound => NO_MEMFD_RING.into(),
            Err(error) => format!("the memfd: {:?}", error.kind()),
        });
    }
    lines.sort();
    Ok(lines)
}

/// Who is in the ring.
fn inside(name: &Location) -> Result<String, Failure> {
    Ok(match ring_shm::kind_of(name)? {
        Kind::Mpmc => mpmc::inspect(name)?.members.iter().map(|m| format!(" {:?}", m.verdict)).collect(),
        _ => {
            let ring = spsc::inspect(name)?;
            [ring.producer, ring.consumer].map(|seat| format!(" {}", seated(&seat))).concat()
        }
    })
}

fn seated(seat: &spsc::Seat) -> String {
    match seat.state {
        SeatState::Held(_) => format!("{:?}", seat.verdict),
        SeatState::Closed(_) => "closed".into(),
        SeatState::Never => "free".into(),
    }
}

/// Lines that are in one list and not in the other, for people.
pub(crate) fn difference(before: &[String], after: &[String]) -> String {
    let more = surplus(before, after).into_iter().map(|line| format!("\n    more: {line}"));
    let less = surplus(after, before).into_iter().map(|line| format!("\n    less: {line}"));
    more.chain(less).collect()
}

/// The lines of `after` that `before` has not.
pub(crate) fn surplus<'l>(before: &[String], after: &'l [String]) -> Vec<&'l String> {
    let mut rest: Vec<&String> = before.iter().collect();
    let mut more = Vec::new();
    for line in after {
        match rest.iter().position(|one| *one == line) {
            Some(at) => drop(rest.swap_remove(at)),
            None => more.push(line),
        }
    }
    more
}
