//! Attaching to anything at all.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ring_fuzz::arena::Arenas;
use ring_fuzz::attach;
use ring_fuzz::input::Input;
thread_local!(static ARENAS: RefCell<Arenas> = RefCell::default());

fuzz_target!(|data: &[u8]| {
    ARENAS.with_borrow_mut(|arenas| {
        attach::run(arenas, Input(data));
    });
});
