//! The SPSC consumer, while a peer scribbles on the ring.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ring_fuzz::arena::Arenas;
use ring_fuzz::input::Input;
use ring_fuzz::spsc::World;
thread_local!(static ARENAS: RefCell<Arenas> = RefCell::default());

fuzz_target!(|data: &[u8]| {
    ARENAS.with_borrow_mut(|arenas| {
        let mut input = Input(data);
        World::new(arenas, &mut input).run(input, World::consume);
    });
});
