//! Who comes when within a round: another order each time, since a slice depends on the one before it (decision 0031).

/// The numbers below `count`, in the order of round `round`: the same in every run, each order as likely as any other.
pub(crate) fn turns(count: usize, round: usize) -> Vec<usize> {
    let mut state = round as u64;
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // Of 2^64 numbers some more fall to small ones: by a part in 10^17.
        order.swap(last, (next(&mut state) % (last as u64 + 1)) as usize);
    }
    order
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
