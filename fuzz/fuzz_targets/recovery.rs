//! Successors, repairers and operators of either kind of ring, while a peer scribbles on it.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ring_fuzz::arena::Arenas;
use ring_fuzz::input::Input;
use ring_fuzz::{mpmc, spsc};
thread_local!(static ARENAS: RefCell<Arenas> = RefCell::default());

fuzz_target!(|data: &[u8]| {
    ARENAS.with_borrow_mut(|arenas| {
        let mut input = Input(data);
        if input.byte() & 1 == 0 {
            spsc::World::new(arenas, &mut input).run(input, spsc::World::recover);
        } else {
            mpmc::World::new(arenas, &mut input).run(input, mpmc::World::recover);
        }
    });
});
