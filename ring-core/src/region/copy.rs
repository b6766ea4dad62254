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

/// Copies as many whole lines of 64 bytes as there are in `len`; returns how many bytes.
///
/// # Safety
/// R16: `len` bytes can be read at `from` and written at `to`.
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
pub(super) unsafe fn lines(from: *const u8, to: *mut u8, len: usize) -> usize {
    pieces::<64>(len, |at| {
        let (from, to) = (from.wrapping_add(at), to.wrapping_add(at));
        // SAFETY: R16, and 64 bytes are left; no flags, no stack.
        unsafe {
            core::arch::asm!(
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]",
                "movups {d}, [{from} + 48]",
                "movups [{to}], {a}",
                "movups [{to} + 16], {b}",
                "movups [{to} + 32], {c}",
                "movups [{to} + 48], {d}",
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                from = in(reg) from,
                to = in(reg) to,
                options(nostack, preserves_flags)
            );
        }
    })
}

/// Copies as many pairs of words as there are in `len`; returns how many bytes.
///
/// # Safety
/// As of [`lines`].
#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
pub(super) unsafe fn pairs(from: *const u8, to: *mut u8, len: usize) -> usize {
    pieces::<16>(len, |at| {
        let (from, to) = (from.wrapping_add(at), to.wrapping_add(at));
        // SAFETY: R16, and 16 bytes are left; no flags, no stack.
        unsafe {
            core::arch::asm!(
                "movups {pair}, [{from}]",
                "movups [{to}], {pair}",
                pair = out(xmm_reg) _,
                from = in(reg) from,
                to = in(reg) to,
                options(nostack, preserves_flags)
            );
        }
    })
}

#[cfg(all(target_arch = "x86_64", not(miri), not(ring_sanitized)))]
#[inline(always)]
pub(super) unsafe fn pair(to: *mut u8, low: u64, high: u64) {
    // SAFETY: R16
    unsafe {
        let v = core::arch::x86_64::_mm_set_epi64x(high as i64, low as i64);
        core::arch::asm!(
            "movups [{to}], {a}",
            a = in(xmm_reg) v,
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
pub(super) unsafe fn lines(_from: *const u8, _to: *mut u8, _len: usize) -> usize {
    0
}

/// None there either.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(ring_sanitized))))]
pub(super) unsafe fn pairs(_from: *const u8, _to: *mut u8, _len: usize) -> usize {
    0
}
