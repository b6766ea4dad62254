//! The input, read from the front; behind its end are zeros, so that every prefix means something.

use ring_core::Verdict;

/// The rest of an input.
#[derive(Debug, Clone)]
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// The next `N` bytes.
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.byte())
    }

    /// The next two bytes.
    pub fn short(&mut self) -> usize {
        u16::from_le_bytes(self.bytes()).into()
    }

    /// The next eight bytes.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// One of `choices`, which is not empty.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// A length, mostly short, that need not be possible.
    pub fn len(&mut self) -> usize {
        match self.byte() {
            255 => self.short(),
            n => usize::from(n & 63),
        }
    }

    /// What `now` is changed to: near it, far from it, or the value of another word.
    pub fn change(&mut self, now: u64, other: u64) -> u64 {
        let kind = self.byte();
        match kind & 7 {
            0 => self.word(),
            1 => now.wrapping_add(self.byte().into()),
            2 => now.wrapping_sub(self.byte().into()),
            3 => now ^ 1 << (self.byte() & 63),
            4 => u64::from(self.byte()) << (kind >> 3 << 1),
            5 => other,
            6 => other.wrapping_add_signed(self.byte().cast_signed().into()),
            _ => !u64::from(self.byte()),
        }
    }

    /// An oracle that says what the input says.
    pub fn oracle(&mut self) -> impl FnMut(u64) -> Verdict + use<> {
        let mut answers = self.byte();
        move |_| {
            answers = answers.rotate_right(1);
            match answers & 3 {
                0 => Verdict::Alive,
                1 => Verdict::Unknown,
                _ => Verdict::Dead,
            }
        }
    }
}
