//! Two programs that share work through an MPMC ring: `jobs send NAME WHO COUNT` and `jobs recv NAME`, as many of each
//! as there are places, in any order, and `jobs close NAME` when no more is to come.
//!
//! A build for 32 bits and one for 64 understand each other, also about each other's deaths: `ci/msrv.sh` lets them talk
//! and kills one of them. A receiver prints a line `WHO NUMBER AGAIN` for each job, before it gives it back.

use std::error::Error;
use std::io::Write as _;

use ring_shm::mpmc::{Consumer, Options, Producer, RecvError};

/// The payload of a job: its number, and as many bytes that follow from it.
fn payload(who: u32, number: u64) -> Vec<u8> {
    let len = 8 + (number % 33) as usize;
    let word = (number ^ u64::from(who) << 40).to_le_bytes();
    word.iter().cycle().take(len).copied().collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // A few slots, so that the ring is gone round often.
    let options = Options::new().slots(16).slot_size(40);
    match words[..] {
        ["send", name, who, count] => {
            let (who, count): (u32, u64) = (who.parse()?, count.parse()?);
            let mut tx = Producer::open_or_create(name, &options)?;
            for number in 0..count {
                tx.send(who, &payload(who, number))?;
                // What is told here is committed.
                println!("{who} {number} sent");
            }
        }
        ["recv", name] => {
            let mut rx = Consumer::open_or_create(name, &options)?;
            let mut out = std::io::stdout().lock();
            let mut buf = [0; 40];
            loop {
                let record = match rx.read() {
                    Ok(record) => record,
                    Err(RecvError::Disconnected) => return Ok(()),
                    Err(error) => return Err(error.into()),
                };
                let len = record.copy_to(&mut buf);
                let who = record.tag();
                let word = buf.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
                let number = word ^ u64::from(who) << 40;
                if buf[..len] != payload(who, number)[..] {
                    return Err(format!("a job of {who} came garbled: {:?}", &buf[..len]).into());
                }
                writeln!(out, "{who} {number} {}", if record.redelivered() { "again" } else { "first" })?;
                out.flush()?;
                record.release();
            }
        }
        ["close", name] => ring_shm::mpmc::close(name)?,
        _ => return Err("usage: jobs send NAME WHO COUNT | recv NAME | close NAME".into()),
    }
    Ok(())
}
