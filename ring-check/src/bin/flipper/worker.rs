//! One who works with the ring as if nothing were wrong: a handle that says `Corrupt` is dropped, and another opened.

use std::ops::ControlFlow;

use nix::sys::signal::{Signal, raise};
use nix::unistd::alarm;

use crate::Failure;
use crate::chance::Rng;
use crate::ends::{self, Kind, Message, Refused, Rx, Tx};

/// A bug of the worker's, to see that the flipper can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// It takes for granted that no ring is corrupt.
    Panic,
    /// It tries a corrupt handle again until it works.
    Hang,
    /// It dies of what it read.
    Crash,
}

impl Plant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::Crash => "crash",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Panic, Self::Hang, Self::Crash].into_iter().find(|plant| plant.name() == text)
    }
}

/// Seconds that so many operations may take.
const PATIENCE: u32 = 10;
const AT_A_TIME: u64 = 256;

/// Works; says how many operations it made, and how many handles it found corrupt.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let [role, kind, name, operations, seed, plant] = arguments else { return Err("arguments".into()) };
    let kind = Kind::parse(kind).ok_or("kind")?;
    let (operations, mut rng): (u64, _) = (operations.parse()?, Rng(seed.parse()?));
    let plant = Plant::parse(plant).ok_or("plant")?;
    let corrupt = if role == "send" {
        work(operations, plant, || ends::sender(kind, name), |tx| send(tx.as_mut(), &mut rng))?
    } else {
        work(operations, plant, || ends::receiver(kind, name), |rx| receive(rx.as_mut(), &mut rng))?
    };
    println!("{operations} {corrupt}");
    Ok(())
}

fn work<H>(
    operations: u64,
    plant: Plant,
    open: impl Fn() -> Result<H, ring_shm::SetupError>,
    mut operate: impl FnMut(&mut H) -> Result<(), Refused>,
) -> Result<u64, Failure> {
    let (mut handle, mut corrupt) = (None, 0);
    for operation in 0..operations {
        if operation % AT_A_TIME == 0 {
            alarm::set(PATIENCE);
        }
        let Some(at_work) = &mut handle else {
            // Opening is an operation, too: it may be refused, and its words can be read.
            match open() {
                Ok(opened) => handle = Some(opened),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
            continue;
        };
        let mut outcome = operate(at_work);
        while plant == Plant::Hang && is_corrupt(&outcome) {
            outcome = operate(at_work);
        }
        if is_corrupt(&outcome) {
            assert!(plant != Plant::Panic, "planted: a corrupt ring");
            if plant == Plant::Crash {
                raise(Signal::SIGSEGV)?;
            }
            corrupt += 1;
            handle = None;
        } else if let Err(Refused::Wrong(what)) = outcome {
            // As far as the words tell, positions may have been used up, and the ring closed.
            if !what.contains("2^52") && !what.starts_with("the ring is closed") {
                return Err(format!("not a documented answer here: {what}").into());
            }
            handle = None;
        } else if outcome == Err(Refused::End) {
            // The words say that it has been closed.
            handle = None;
        }
    }
    Ok(corrupt)
}

fn is_corrupt(outcome: &Result<(), Refused>) -> bool {
    matches!(outcome, Err(Refused::Wrong(what)) if what.starts_with("corrupt ring"))
}

/// Some operation of a sender's.
fn send(tx: &mut dyn Tx, rng: &mut Rng) -> Result<(), Refused> {
    let len = rng.below(tx.max_len().min(300) as u64 + 1) as usize;
    let message = Message { tag: 7, bytes: vec![0xa5; len], redelivered: false };
    let mut middle = || if rng.once_in(4) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    match len % 3 {
        0 => tx.send(&message),
        1 => tx.claim(&message, len, &mut middle),
        _ => tx.batch(&[message.clone(), message], &mut |_| (), &mut middle),
    }
    .map(drop)
}

/// Some operation of a receiver's.
fn receive(rx: &mut dyn Rx, rng: &mut Rng) -> Result<(), Refused> {
    let mut message = Message::default();
    let many = rng.once_in(3);
    let mut see = |message: &Message| {
        assert!(message.bytes.len() < 1 << 20, "a message longer than any of these rings");
        if rng.once_in(8) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    if many { rx.batch(8, &mut message, &mut see) } else { rx.read(&mut message, &mut see) }
}
