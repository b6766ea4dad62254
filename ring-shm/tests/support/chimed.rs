//! In the test program `over_chime` a thread serves a chime from the first call on, so that its tasks are woken by it.
#![allow(dead_code, unreachable_pub)]

use std::os::fd::AsFd as _;
use std::sync::Once;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ring_shm::wait::Chime;

pub fn chimed() {
    static SERVES: Once = Once::new();
    if env!("CARGO_CRATE_NAME") == "over_chime" {
        SERVES.call_once(|| serve(Chime::new().unwrap()));
    }
}

/// What a reactor does.
pub fn serve(chime: Chime) {
    std::thread::spawn(move || {
        loop {
            let _ = poll(&mut [PollFd::new(chime.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
            chime.wake_tasks().unwrap();
        }
    });
}
