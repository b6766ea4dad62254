//! Both ends of a ring and their bells, behind one pointer.

use core::mem::offset_of;

use crate::layout::MpmcControl;
use crate::park::{Bell, Wake};
use crate::region::Control;
use crate::sync::Word;

/// The words that all handles share: one pointer, so that an operation can keep it in a register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'m> {
    control: Control<'m>,
}

impl<'m> Ends<'m> {
    #[inline(always)]
    pub(super) fn new(control: Control<'m>) -> Self {
        Self { control }
    }

    /// Where the next message goes.
    #[inline(always)]
    pub(super) fn tail(self) -> &'m Word {
        self.control.word::<{ offset_of!(MpmcControl, tail) }>()
    }

    /// Where the next message is.
    #[inline(always)]
    pub(super) fn head(self) -> &'m Word {
        self.control.word::<{ offset_of!(MpmcControl, head) }>()
    }

    /// The bell of who waits for messages.
    #[inline(always)]
    pub(super) fn data(self) -> Bell<'m> {
        Bell {
            sleepers: self.control.word::<{ offset_of!(MpmcControl, waiters.receivers) }>(),
            fences: Some(self.control.word::<{ offset_of!(MpmcControl, waiters.fences) }>()),
        }
    }

    /// The bell of who waits for free slots.
    #[inline(always)]
    pub(super) fn space(self) -> Bell<'m> {
        Bell {
            sleepers: self.control.word::<{ offset_of!(MpmcControl, waiters.senders) }>(),
            fences: Some(self.control.word::<{ offset_of!(MpmcControl, waiters.fences) }>()),
        }
    }

    /// Whether somebody may wait for messages. After what they may be waiting for.
    #[inline(always)]
    pub(super) fn receivers_wait(self, wake: &Wake) -> bool {
        self.data().may_be_wanted(wake)
    }

    /// Whether somebody may wait for free slots. After what they may be waiting for.
    #[inline(always)]
    pub(super) fn senders_wait(self, wake: &Wake) -> bool {
        self.space().may_be_wanted(wake)
    }

    /// [`receivers_wait`](Self::receivers_wait) of who takes the long way if `wake` is not light.
    #[inline(always)]
    pub(super) fn receivers_seem_to_wait(self, wake: &Wake) -> bool {
        self.data().is_wanted(|| wake)
    }

    /// [`senders_wait`](Self::senders_wait) of who takes the long way if `wake` is not light.
    #[inline(always)]
    pub(super) fn senders_seem_to_wait(self, wake: &Wake) -> bool {
        self.space().is_wanted(|| wake)
    }
}
