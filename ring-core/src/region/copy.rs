//! Copies wider than a word between a record and private memory: whole lines and pairs of words, where the machine's rules
//! for them are known. What is left over goes word by word; so does everything on other machines, and where a sanitizer
//! has to see each access (`--cfg ring_sanitized`).
//!
//! A line in eight stores takes eight places of the queue in which stores wait for lines that the other side has, so fewer
//! lines are on their way; and who looks at what it received by 16-byte loads would wait until 8-byte stores have reached
//! the cache, behind a head store that may miss. On x86-64 each aligned half of a 16-byte access is one access, as of a
//! relaxed atomic word, which is all that is claimed of it. Figures: decisions 0008 and 0026.
//!
//! # Safety
//!
//! With the invariants of `region.rs`:
//!
//! R16. Of what is copied the one end is in a span (R5), the other one borrowed by the caller, and both have `len` bytes.
#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
use core::arch::x86_64::__m128i;

/// Where the pairs of a line begin.
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
const LINE: [usize; 4] = [0, 16, 32, 48];

/// Copies as many whole lines of 64 bytes as there are in `len`, and then as many pairs of words, out of a span; returns how many bytes.
/// What is loaded is in registers, and known to the compiler: so it goes through memory only where it has to.
///
/// # Safety
/// R16: `len` bytes can be read at `from` and written at `to`.
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
pub(super) unsafe fn out(from: *const u8, to: *mut u8, len: usize) -> usize {
    let pair = |at: usize| {
        // SAFETY: R16, and sixteen bytes are left.
        let words = unsafe { load(from.wrapping_add(at)) };
        // SAFETY: as above.
        unsafe { to.wrapping_add(at).cast::<__m128i>().write_unaligned(words) };
    };
    let lines = pieces::<64>(len, |at| LINE.into_iter().for_each(|by| pair(at.wrapping_add(by))));
    lines.wrapping_add(pieces::<16>(len.wrapping_sub(lines), |at| pair(lines.wrapping_add(at))))
}

/// Copies as many whole lines of 64 bytes as there are in `len` into a span; returns how many bytes.
///
/// # Safety
/// As of [`out`].
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
pub(super) unsafe fn lines_in(from: *const u8, to: *mut u8, len: usize) -> usize {
    pieces::<64>(len, |at| {
        for by in LINE {
            let at = at.wrapping_add(by);
            // SAFETY: R16, and sixteen bytes are left.
            let words = unsafe { from.wrapping_add(at).cast::<__m128i>().read_unaligned() };
            // SAFETY: as above.
            unsafe { store(to.wrapping_add(at), words) };
        }
    })
}

/// Loads a pair of words of a span.
///
/// # Safety
/// R16: sixteen bytes can be read at `from`.
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
unsafe fn load(from: *const u8) -> __m128i {
    let pair;
    // SAFETY: the caller's R16; no flags, no stack, nothing is written.
    unsafe {
        core::arch::asm!(
            "movups {pair}, [{from}]",
            pair = out(xmm_reg) pair,
            from = in(reg) from,
            options(nostack, preserves_flags, readonly)
        );
    }
    pair
}

/// Stores a pair of words of a span.
///
/// # Safety
/// R16: sixteen bytes can be written at `to`.
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
unsafe fn store(to: *mut u8, pair: __m128i) {
    // SAFETY: the caller's R16; no flags, no stack.
    unsafe {
        core::arch::asm!(
            "movups [{to}], {pair}",
            pair = in(xmm_reg) pair,
            to = in(reg) to,
            options(nostack, preserves_flags)
        );
    }
}

/// Has `each` see to as many pieces of `N` bytes as there are in `len`, told where each begins; returns how many bytes.
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
fn pieces<const N: usize>(len: usize, each: impl Fn(usize)) -> usize {
    let mut at = 0_usize;
    while len.wrapping_sub(at) >= N {
        each(at);
        at = at.wrapping_add(N);
    }
    at
}

/// None where the machine's rules are not known.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(ring_sanitized))))]
pub(super) unsafe fn out(_from: *const u8, _to: *mut u8, _len: usize) -> usize {
    0
}

/// None there either.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(ring_sanitized))))]
pub(super) unsafe fn lines_in(_from: *const u8, _to: *mut u8, _len: usize) -> usize {
    0
}
