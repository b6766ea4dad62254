//! What typed handles lend: a claim or a record that is a `T`. Thin: the guard of the bytes, whose length has been checked
//! once, and the type to see them as.
//!
//! # Safety
//!
//! 1. The bytes of a `Typed`'s guard are as many as a `T` has: checked by `lend`, promised to `lend_exact`; and nobody is
//!    lent the guard itself.
//! 2. They begin on a multiple of 8, and a `T` wants no more: records and slots lie so (ring-core's R5 and R3 of its
//!    slots), and both refuse other types at compile time.
//! 3. Whatever they hold is a `T` (`FromBytes`), and whatever a `T` holds is bytes (`IntoBytes`).
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use core::mem::{align_of, size_of};
use core::ops::{Deref, DerefMut};

use ring_core::Position;

use crate::payload::{MAX_ALIGN, Payload};
use crate::trust::Trust;
use crate::{mpmc, spsc};

mod slices;

/// A claim or a record of a typed handle: [`spsc::TypedClaim`], [`spsc::TypedRecord`], [`mpmc::TypedClaim`],
/// [`mpmc::TypedRecord`]. What the guard of bytes says of dropping holds here too.
///
/// From a trusting handle it derefs to the `T` in the ring's memory; otherwise a record gives a copy.
#[must_use = "a claim that is dropped is aborted, a record that is dropped is released"]
pub struct Typed<G, T: ?Sized> {
    guard: G,
    payload: PhantomData<fn() -> T>,
}

/// A guard over the bytes of one message. Only this crate makes such.
pub trait Guard {
    /// How many.
    fn len(&self) -> usize;
}

macro_rules! guards {
    ($($guard:path),+) => {$(
        impl<P: Trust> Guard for $guard {
            #[inline(always)]
            fn len(&self) -> usize {
                self.len()
            }
        }
    )+};
}
guards!(spsc::Claim<'_, P>, spsc::Record<'_, P>, mpmc::Claim<'_, P>, mpmc::Record<'_, P>);

impl<G: Guard, T: ?Sized> Typed<G, T> {
    #[inline(always)]
    fn of(guard: G) -> Self {
        Self { guard, payload: PhantomData }
    }
}

impl<G: Guard, T: Payload> Typed<G, T> {
    const LIES_RIGHT: () = assert!(align_of::<T>() <= MAX_ALIGN, "payloads lie on multiples of 8: the type wants more");

    /// What was lent, seen as a `T`. If it has another length, it is dropped, and `wrong` is told that length.
    ///
    /// One match over the whole result: a guard is large, and a `?` copies it.
    #[inline(always)]
    pub(crate) fn lend<E>(lent: Result<G, E>, wrong: impl FnOnce(usize) -> E) -> Result<Self, E> {
        let () = Self::LIES_RIGHT;
        match lent {
            Ok(guard) if guard.len() == size_of::<T>() => Ok(Self::of(guard)),
            Ok(guard) => Err(wrong(guard.len())),
            Err(error) => Err(error),
        }
    }

    /// The same of what is known to be as long as a `T`.
    ///
    /// # Safety
    /// It is.
    #[inline(always)]
    pub(crate) unsafe fn lend_exact<E>(lent: Result<G, E>) -> Result<Self, E> {
        let () = Self::LIES_RIGHT;
        lent.map(Self::of)
    }
}

impl<G: Guard + Deref<Target = [u8]>, T: Payload> Deref for Typed<G, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        let bytes: &[u8] = &self.guard;
        // SAFETY: 1, 2 and 3; borrowed as the slice is.
        unsafe { &*bytes.as_ptr().cast::<T>() }
    }
}

impl<G: Guard + DerefMut<Target = [u8]>, T: Payload> DerefMut for Typed<G, T> {
    /// The value in place, which at first is whatever the ring's memory held.
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        let bytes: &mut [u8] = &mut self.guard;
        // SAFETY: 1, 2 and 3; borrowed as the slice is.
        unsafe { &mut *bytes.as_mut_ptr().cast::<T>() }
    }
}

impl<G: fmt::Debug, T: ?Sized> fmt::Debug for Typed<G, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("guard", &self.guard).finish_non_exhaustive()
    }
}

macro_rules! claims {
    ($($claim:path),+) => {$(
        impl<T: Payload + ?Sized, P: Trust> Typed<$claim, T> {
            /// Writes a copy of `value`, in the place of what was written before.
            #[inline(always)]
            pub fn set(&mut self, value: &T) {
                self.guard.set(value.as_bytes());
            }

            /// Sends what has been written; a claim into which nothing was sends zeroes.
            #[inline(always)]
            pub fn commit(self) -> Position {
                self.guard.commit()
            }

            /// Gives the space back; nothing was sent. The same as dropping the claim.
            pub fn abort(self) {}

            /// Sets the tag, 0 at first.
            pub fn set_tag(&mut self, tag: u32) {
                self.guard.set_tag(tag);
            }

            /// The delivery id, should it be sent.
            #[must_use]
            pub fn position(&self) -> Position {
                self.guard.position()
            }
        }
    )+};
}
claims!(spsc::Claim<'_, P>, mpmc::Claim<'_, P>);

macro_rules! records {
    ($($record:path),+) => {$(
        impl<T: Payload, P: Trust> Typed<$record, T> {
            /// A copy of the value. Sound whatever a peer does.
            #[inline(always)]
            #[must_use]
            pub fn get(&self) -> T {
                let mut value = T::new_zeroed();
                self.guard.copy_to(value.as_mut_bytes());
                value
            }
        }

        impl<T: Payload + ?Sized, P: Trust> Typed<$record, T> {
            /// Gives the space back.
            #[inline(always)]
            pub fn release(self) {
                self.guard.release();
            }

            /// As the `keep` of a record of bytes.
            pub fn keep(self) {
                self.guard.keep();
            }

            /// The sender's tag.
            #[must_use]
            pub fn tag(&self) -> u32 {
                self.guard.tag()
            }

            /// The delivery id, the same that the sender was told.
            #[must_use]
            pub fn position(&self) -> Position {
                self.guard.position()
            }

            /// Whether a consumer that did not release it may have seen it. May be true wrongly, never false wrongly.
            #[must_use]
            pub fn redelivered(&self) -> bool {
                self.guard.redelivered()
            }
        }
    )+};
}
records!(spsc::Record<'_, P>, mpmc::Record<'_, P>);

impl<T: Payload, P: Trust> Typed<mpmc::Record<'_, P>, T> {
    /// Deliveries before this one.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.guard.attempt()
    }

    /// Whether the message has had all the deliveries that the ring allows: put it aside, do not work on it.
    #[must_use]
    pub fn dead_letter(&self) -> bool {
        self.guard.dead_letter()
    }
}
