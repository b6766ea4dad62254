//! What a message holds and how a receiver proves that it read every word of it.
//!
//! A message is `W` words; word `i` of message number `n` is `n + i * STEP`, so each word of each message differs
//! and the whole can be folded into a checksum. Every candidate sends and folds through these functions, so that
//! all of them do the same work. Must never branch on the payload: the cost has to be the same for all.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. `[u64; W]` has no padding and every bit pattern of it is valid, so its bytes may be read and written freely,
//!    and a byte slice over it has `8 * W` bytes with an alignment that is never stricter.

/// Distance between neighbouring words of one message.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Message number `number`, every word of it.
#[inline(always)]
#[must_use]
pub fn message<const W: usize>(number: u64) -> [u64; W] {
    core::array::from_fn(|i| number.wrapping_add((i as u64).wrapping_mul(STEP)))
}

/// The wrapping sum over all words: reads the whole message.
#[inline(always)]
#[must_use]
pub fn fold<const W: usize>(words: &[u64; W]) -> u64 {
    words.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

/// Whether `words` are message number `number`, told by their sum: one comparison a message, all words read, and no
/// word looked at apart (a scalar load of one word beside vector loads of the others would make the figure depend on
/// how a copy was stored a moment before).
#[inline(always)]
#[must_use]
pub fn is_numbered<const W: usize>(words: &[u64; W], number: u64) -> bool {
    let base = fold(&message::<W>(0));
    fold(words) == base.wrapping_add(number.wrapping_mul(W as u64))
}

/// What [`fold`] gives summed over the messages `first .. first + count`, in closed form: a sender need not read back
/// what it wrote.
#[inline(always)]
#[must_use]
pub fn checksum<const W: usize>(first: u64, count: u64) -> u64 {
    let base = fold(&message::<W>(0)).wrapping_mul(count);
    let pairs = u128::from(first) * 2 + u128::from(count.saturating_sub(1));
    let numbers = (pairs * u128::from(count) / 2) as u64;
    base.wrapping_add(numbers.wrapping_mul(W as u64))
}

/// A message for who takes anything that has bytes.
#[derive(Debug, Clone, Copy)]
pub struct Message<const W: usize>(pub [u64; W]);

impl<const W: usize> AsRef<[u8]> for Message<W> {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        bytes(&self.0)
    }
}

/// The bytes of a message, to be copied into a ring.
#[inline(always)]
#[must_use]
pub fn bytes<const W: usize>(words: &[u64; W]) -> &[u8] {
    // SAFETY: invariant 1; the borrow of `words` is handed on.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), 8 * W) }
}

/// The bytes of a message, to be filled out of a ring.
#[inline(always)]
#[must_use]
pub fn bytes_mut<const W: usize>(words: &mut [u64; W]) -> &mut [u8] {
    // SAFETY: invariant 1; the exclusive borrow of `words` is handed on.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 8 * W) }
}

/// Rebuilds a message from the bytes of a record in place; `None` when the length is another.
#[inline(always)]
#[must_use]
pub fn words<const W: usize>(bytes: &[u8]) -> Option<[u64; W]> {
    if bytes.len() != 8 * W {
        return None;
    }
    let mut words = [0; W];
    bytes_mut(&mut words).copy_from_slice(bytes);
    Some(words)
}

/// A message that lies in a ring's memory, to be read there.
///
/// # Safety
/// `bytes` has at least `8 * W` bytes and begins on a multiple of 8.
#[inline(always)]
#[must_use]
pub unsafe fn in_place<const W: usize>(bytes: &[u8]) -> &[u64; W] {
    // SAFETY: the caller's word, and invariant 1; the borrow is handed on.
    unsafe { &*bytes.as_ptr().cast() }
}

/// The same, to be written.
///
/// # Safety
/// As [`in_place`].
#[inline(always)]
#[must_use]
pub unsafe fn in_place_mut<const W: usize>(bytes: &mut [u8]) -> &mut [u64; W] {
    // SAFETY: the caller's word, and invariant 1; the borrow is handed on.
    unsafe { &mut *bytes.as_mut_ptr().cast() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_words_agree() {
        let sent = message::<8>(42);
        assert_eq!(words::<8>(bytes(&sent)), Some(sent));
        assert_eq!(words::<8>(&bytes(&sent)[1..]), None);
    }

    #[test]
    fn numbers_are_told_by_the_sum() {
        assert!(is_numbered(&message::<8>(9), 9));
        assert!(!is_numbered(&message::<8>(9), 10));
    }

    #[test]
    fn checksum_is_the_sum_of_folds() {
        let sum = (5..22).fold(0u64, |sum, n| sum.wrapping_add(fold(&message::<8>(n))));
        assert_eq!(checksum::<8>(5, 17), sum);
        assert_eq!(checksum::<8>(5, 0), 0);
    }

    #[test]
    fn every_word_matters_to_the_fold() {
        let mut words = message::<4>(7);
        let whole = fold(&words);
        for i in 0..4 {
            words[i] ^= 1;
            assert_ne!(fold(&words), whole);
            words[i] ^= 1;
        }
    }
}
