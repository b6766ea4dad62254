//! What is known of the program's instructions once a victim was stepped over them. All victims are forks of one process, so
//! it holds for each of them: where one instruction always follows another, a victim may run over several at a time.

use std::collections::HashMap;

/// What comes after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The kernel.
    Call,
    /// Always the one at this address.
    On(u64),
    /// This one or that one; or it has changed the segment, and whoever executes it is to be looked at after it.
    Open,
}

/// The instructions that are known, by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Code(HashMap<u64, Way>);

impl Code {
    /// Whether the instruction at `address` enters the kernel; `read` gives its first eight bytes if it is not known yet.
    pub(crate) fn is_call<E>(&self, address: u64, read: impl FnOnce() -> Result<u64, E>) -> Result<bool, E> {
        match self.0.get(&address) {
            Some(way) => Ok(*way == Way::Call),
            None => Ok(read()? & 0xffff == 0x050f),
        }
    }

    /// The instruction at `address`, which begins with these bytes, was executed: `next` came then, and it has changed the
    /// segment or not.
    pub(crate) fn learn<E>(
        &mut self,
        address: u64,
        next: Option<u64>,
        changed: bool,
        read: impl FnOnce() -> Result<u64, E>,
    ) -> Result<(), E> {
        if let Some(way) = self.0.get_mut(&address) {
            if changed && *way != Way::Call {
                *way = Way::Open;
            }
            return Ok(());
        }
        let bytes = read()?.to_le_bytes();
        // No instruction is longer than 15 bytes.
        let behind = next.filter(|next| (1..16).contains(&next.wrapping_sub(address)));
        let way = match behind {
            _ if bytes[..2] == [0x0f, 0x05] => Way::Call,
            Some(next) if !changed && goes_on(&bytes) => Way::On(next),
            _ => Way::Open,
        };
        self.0.insert(address, way);
        Ok(())
    }

    /// The instructions from the one at `address` that follow each other whatever happens, and the first that is no longer
    /// one of them.
    pub(crate) fn straight(&self, address: u64) -> (Vec<u64>, u64) {
        let (mut way, mut at) = (Vec::new(), address);
        while let Some(Way::On(next)) = self.0.get(&at) {
            way.push(at);
            at = *next;
        }
        (way, at)
    }
}

/// Whether an instruction of these bytes is neither a jump, a call nor a return, enters no kernel, is executed once and not
/// by turns, and leaves alone what steps depend on: what does otherwise is listed here, all of it.
pub(crate) fn goes_on(bytes: &[u8; 8]) -> bool {
    let prefix = |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let mut rest = bytes.iter().skip_while(|byte| prefix(byte)).peekable();
    rest.next_if(|byte| matches!(byte, 0x40..=0x4f));
    let (Some(&first), Some(&second)) = (rest.next(), rest.next()) else { return false };
    match first {
        // Two bytes: system calls, conditional jumps.
        0x0f => !matches!(second, 0x05 | 0x07 | 0x0b | 0x34 | 0x35 | 0x80..=0x8f | 0xb9 | 0xff),
        // Strings, which are repeated.
        0x6c..=0x6f | 0xa4..=0xa7 | 0xaa..=0xaf => false,
        // Conditional jumps, loops, jumps, calls, returns, interrupts.
        0x70..=0x7f | 0xe0..=0xe3 | 0xe8..=0xeb | 0x9a | 0xc2 | 0xc3 | 0xca..=0xcf | 0xf1 | 0xf4 => false,
        // Flags and the stack's segment; transactions.
        0x9c | 0x9d | 0x8e | 0x17 => false,
        0xc6 | 0xc7 => second != 0xf8,
        // Jumps and calls through a word, by the second byte's middle bits.
        0xff => !matches!(second >> 3 & 7, 2..=5),
        _ => true,
    }
}
