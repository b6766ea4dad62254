//! What typed handles of slices lend: a claim or a record that holds any number of values. Safe: the length is divided, and
//! zerocopy looks at the bytes again.

use core::mem::size_of;
use core::ops::{Deref, DerefMut};

use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{Guard, Typed};
use crate::payload::Payload;
use crate::spsc;
use crate::trust::Trust;

impl<G: Guard, T: Payload> Typed<G, [T]> {
    /// A guard of a whole number of values; of any other it shows none.
    #[inline(always)]
    pub(crate) fn of_values(guard: G) -> Self {
        let () = Typed::<G, T>::LIES_RIGHT;
        Self::of(guard)
    }

    /// What was lent, seen as values. If its bytes are no whole number of them, it is dropped, and `wrong` is told how many
    /// they are.
    #[inline(always)]
    pub(crate) fn lend_slice<E>(lent: Result<G, E>, wrong: impl FnOnce(usize) -> E) -> Result<Self, E> {
        match lent {
            Ok(guard) if guard.len() % size_of::<T>() == 0 => Ok(Self::of_values(guard)),
            Ok(guard) => Err(wrong(guard.len())),
            Err(error) => Err(error),
        }
    }
}

impl<G: Guard + Deref<Target = [u8]>, T: Payload> Deref for Typed<G, [T]> {
    type Target = [T];

    /// The values. Never the other case: of a whole number, and all payloads lie on multiples of 8.
    #[inline(always)]
    fn deref(&self) -> &[T] {
        <[T]>::ref_from_bytes(&self.guard).unwrap_or_default()
    }
}

impl<G: Guard + DerefMut<Target = [u8]>, T: Payload> DerefMut for Typed<G, [T]> {
    /// The values in place, which at first are whatever the ring's memory held.
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        <[T]>::mut_from_bytes(&mut self.guard).unwrap_or_default()
    }
}

impl<T: Payload, P: Trust> Typed<spsc::Claim<'_, P>, [T]> {
    /// How many values there is room for.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.guard.len() / size_of::<T>()
    }

    /// Appends a copy of `values` to what has been written; returns how many fitted.
    #[inline]
    pub fn write(&mut self, values: &[T]) -> usize {
        self.guard.write(values.as_bytes()) / size_of::<T>()
    }

    /// Leaves room for at most `count` values.
    pub fn truncate(&mut self, count: usize) {
        self.guard.truncate(count.saturating_mul(size_of::<T>()));
    }
}

impl<T: Payload, P: Trust> Typed<spsc::Record<'_, P>, [T]> {
    /// How many values.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.guard.len() / size_of::<T>()
    }

    /// Copies as many values as fit into `values`, from the first one on; returns how many. Sound whatever a peer does.
    #[inline]
    pub fn copy_to(&self, values: &mut [T]) -> usize {
        self.guard.copy_to(values.as_mut_bytes()) / size_of::<T>()
    }
}
