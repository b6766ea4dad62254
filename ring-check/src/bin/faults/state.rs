//! What a process has, and what there is in the directory: as lines that can be compared, since a leak is a line too many.

use std::fs;

use ring_shm::{Kind, SeatState, Segment, mpmc, spsc};

use crate::Failure;

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

/// The names in the directory, and of each ring whether anybody holds a lease, and who is in its seats or its table.
pub(crate) fn directory() -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    let segments = Segment::list()?;
    for entry in fs::read_dir("/dev/shm")? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let Some(info) = segments.iter().find(|info| format!("ring.{}", info.name) == file) else {
            lines.push(file);
            continue;
        };
        let name = &info.name;
        let inside = match ring_shm::kind_of(name)? {
            Kind::Mpmc => mpmc::inspect(name)?.members.iter().map(|m| format!(" {:?}", m.verdict)).collect(),
            _ => {
                let ring = spsc::inspect(name)?;
                [ring.producer, ring.consumer].map(|seat| format!(" {}", seated(&seat))).concat()
            }
        };
        lines.push(format!("{file} of {} bytes, held: {:?}, inside:{inside}", info.len, info.held));
    }
    lines.sort();
    Ok(lines)
}

fn seated(seat: &spsc::Seat) -> String {
    match seat.state {
        SeatState::Held(_) => format!("{:?}", seat.verdict),
        SeatState::Closed(_) => "closed".into(),
        SeatState::Never => "free".into(),
    }
}

/// Empties the directory.
pub(crate) fn sweep() -> Result<(), Failure> {
    for entry in fs::read_dir("/dev/shm")? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
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
