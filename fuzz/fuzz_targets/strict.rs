//! Strict rings: their hand-over and both handles, with a liar on the other side.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ring_fuzz::input::Input;
use ring_fuzz::objects::Shapes;
use ring_fuzz::strict;
thread_local!(static SHAPES: RefCell<Shapes> = RefCell::default());

fuzz_target!(|data: &[u8]| {
    SHAPES.with_borrow_mut(|shapes| {
        strict::run(shapes, Input(data));
    });
});
