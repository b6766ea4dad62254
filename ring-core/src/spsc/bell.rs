//! Who sleeps where in an SPSC ring, and how each side finds the other asleep.

use core::mem::offset_of;

use crate::layout::SpscControl;
use crate::park::{Bed, Bell, Wake};
use crate::region::Control;
use crate::seat::Role;
use crate::sync::Word;

/// The bell of who waits for records.
#[inline(always)]
pub(super) fn of_data<'m>(control: &Control<'m>) -> Bell<'m> {
    Bell { sleepers: control.word::<{ offset_of!(SpscControl, waiters.receivers) }>(), fences: None }
}

/// The bell of who waits for space.
#[inline(always)]
pub(super) fn of_space<'m>(control: &Control<'m>) -> Bell<'m> {
    Bell { sleepers: control.word::<{ offset_of!(SpscControl, waiters.senders) }>(), fences: None }
}

/// Wakes who waits for records. Apart from the handles, which so need not be in memory where all else is in registers.
#[cold]
#[inline(never)]
pub(super) fn wake_receiver(control: Control<'_>, wake: &'static Wake) {
    of_data(&control).ring(1, wake, |index| bed(&control, index));
}

/// Wakes who waits for space.
#[cold]
#[inline(never)]
pub(super) fn wake_sender(control: Control<'_>, wake: &'static Wake) {
    of_space(&control).ring(1, wake, |index| bed(&control, index));
}

/// Where the holder of a seat stands in the bitmaps.
pub(super) const fn index(role: Role) -> u32 {
    match role {
        Role::Producer => 0,
        Role::Consumer => 1,
    }
}

/// Where the participant `index` is woken; there is nobody else to wake.
fn bed<'m>(control: &Control<'m>, index: u32) -> Option<Bed<'m>> {
    Some(Bed { event: event(control, index)?, lease: None })
}

/// The word on which the participant `index` sleeps.
pub(super) fn event<'m>(control: &Control<'m>, index: u32) -> Option<&'m Word> {
    match index {
        0 => Some(control.word::<{ offset_of!(SpscControl, producer_event) }>()),
        1 => Some(control.word::<{ offset_of!(SpscControl, consumer_event) }>()),
        _ => None,
    }
}
