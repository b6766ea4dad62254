//! Attaching to whatever a file holds: a good ring with words changed, cut short, its checksum right or wrong.

use ring_core::{Kind, Region, Role, TYPE_TEXT_LEN, mpmc, spsc};

use crate::arena::Arenas;
use crate::clock::Clock;
use crate::input::Input;
use crate::render;

/// Runs the input.
pub fn run(arenas: &mut Arenas, mut input: Input<'_>) {
    let kind = input.byte();
    let spsc = spsc::Format::new([64, 256, 1024, 4096][usize::from(kind & 3)]).line_aligned(kind & 7 == 7);
    let mpmc = mpmc::Format::new(4, 24).participants(5);
    let arena = arenas.take(if kind & 128 == 0 { Kind::Spsc } else { Kind::Mpmc }, kind & 7, |lend| {
        if kind & 128 == 0 {
            spsc::Ring::format(lend(spsc.footprint()), &spsc).map(drop)
        } else {
            mpmc::Ring::format(lend(mpmc.footprint()), &mpmc).map(drop)
        }
    });
    let len = arena.len();
    // Identity and positions.
    let hot: Vec<usize> = (0..18).chain([32, 33, 48, 64, 80, 512, 528, 544]).collect();
    let clock = Clock::start();
    for _ in 0..input.byte() % 32 {
        arena.scribble(&mut input, &hot);
    }
    if kind & 64 == 0 {
        arena.forge();
    }
    let len = if kind & 32 == 0 { len } else { input.short() % (len + 1) };
    attach(arena.region(len), &mut input);
    clock.stop();
    arena.check();
}

/// Attaches as either kind, whatever it says it is, and uses what it gets.
fn attach(region: Region<'static>, input: &mut Input<'_>) {
    if let Err(error) = Kind::of(&region) {
        render(&error);
    }
    let mut buf = [0; 64];
    match spsc::Ring::attach(region) {
        Ok(ring) => {
            assert!(ring.footprint() <= region.len() as u64);
            let _ = (ring.head_and_tail(), ring.facts(Role::Producer), ring.facts_of(Role::Consumer, 1));
            assert!(spsc::Ring::look(region).is_ok() && ring.type_text().as_bytes().len() <= TYPE_TEXT_LEN);
            let lease = ring.next_lease().unwrap_or(1);
            if let Ok(mut tx) = ring.sit_producer(lease, input.oracle()) {
                let _ = tx.try_send(1, b"hello");
            }
            if let Ok(mut rx) = ring.sit_consumer(lease, input.oracle()) {
                let _ = rx.try_recv_into(&mut buf);
            }
        }
        Err(error) => render(&error),
    }
    match mpmc::Ring::attach(region) {
        Ok(ring) => {
            assert!(ring.footprint() <= region.len() as u64);
            let _ = (ring.stat(), ring.participant(0), ring.facts_of(1), ring.redelivery());
            assert!(mpmc::Ring::look(region).is_ok() && ring.type_text().as_bytes().len() <= TYPE_TEXT_LEN);
            let lease = ring.next_lease().unwrap_or(1);
            if let Ok(mut tx) = ring.join_producer(lease, input.oracle()) {
                let _ = tx.try_send(1, b"hello");
            }
            if let Ok(mut rx) = ring.join_consumer(lease, input.oracle()) {
                let _ = rx.try_recv_into(&mut buf);
            }
        }
        Err(error) => render(&error),
    }
}
