//! The proof that ring-core needs no `std` and no allocator: a program without either, with a panic handler of its own,
//! that links ring-core and passes messages through a ring in a `static`. Built and run by `ci/no-std.sh`, which also
//! looks for traces of `std` in the binary. If any crate brought `std` in, its panic handler would collide with ours.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use ring_core::{Line, Region, Verdict, spsc};

// The C runtime calls `main`; nothing else of libc is used but `abort`.
#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes no arguments and never returns.
    unsafe { abort() }
}

static MEMORY: [Line; 40] = [const { Line::new() }; 40];

/// How many of a thousand messages came back as they were sent; `None` when the ring refused something.
fn pass() -> Option<u32> {
    let ring = spsc::Ring::format(Region::new(&MEMORY), &spsc::Format::new(1024)).ok()?;
    let mut tx = ring.sit_producer(ring.next_lease().ok()?, |_| Verdict::Alive).ok()?;
    let mut rx = ring.sit_consumer(ring.next_lease().ok()?, |_| Verdict::Alive).ok()?;
    let mut good = 0;
    for i in 0..1000u32 {
        let (mut sent, mut got) = ([0u8; 200], [0u8; 200]);
        sent.fill(i as u8);
        let len = (i % 200) as usize;
        tx.try_send(i, sent.get(..len)?).ok()?;
        let received = rx.try_recv_into(&mut got).ok()?;
        good += u32::from(received.tag == i && sent.get(..len) == got.get(..received.len));
    }
    Some(good)
}

/// 0 when all is well.
// SAFETY: the only `main` there is, with the signature that the C runtime calls.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    if pass() == Some(1000) { 0 } else { 1 }
}
