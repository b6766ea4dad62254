//! Cutting a stream of bytes into records: by length, by line, or as it comes. Knows no ring and no file.

/// How a stream is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// As it comes, in pieces of at most this many bytes.
    Stream(usize),
    /// Every so many bytes.
    Every(usize),
    /// After every newline; no line may be longer than this, newline included.
    Lines(usize),
}

/// Less than this is never asked of the input.
const ROOM: usize = 64 << 10;

/// A buffer between an input and the records cut from it.
#[derive(Debug)]
pub(crate) struct Cutter {
    cut: Cut,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// Up to here there is no newline.
    searched: usize,
}

/// A line that no record can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineTooLong;

impl Cutter {
    /// An empty buffer.
    pub(crate) fn new(cut: Cut) -> Self {
        let least = match cut {
            Cut::Every(len) => len,
            _ => 0,
        };
        Self { cut, buf: vec![0; least.saturating_add(ROOM)], start: 0, end: 0, searched: 0 }
    }

    /// Room for more input, never empty. What was cut before is gone.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.searched = self.searched.saturating_sub(self.start);
            self.start = 0;
        }
        if self.buf.len() - self.end < ROOM / 2 {
            self.buf.resize(self.buf.len().saturating_mul(2), 0);
        }
        self.buf.get_mut(self.end..).unwrap_or_default()
    }

    /// `n` bytes of the room have been filled.
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.buf.len());
    }

    /// The next whole record.
    ///
    /// # Errors
    /// [`LineTooLong`].
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let waiting = self.end - self.start;
        let len = match self.cut {
            Cut::Stream(most) => waiting.min(most),
            Cut::Every(len) if waiting >= len => len,
            Cut::Every(_) => 0,
            Cut::Lines(most) => {
                let from = self.searched.max(self.start);
                let new = self.buf.get(from..self.end).unwrap_or_default();
                let newline = new.iter().position(|byte| *byte == b'\n');
                self.searched = newline.map_or(self.end, |at| from + at + 1);
                let len = newline.map_or(0, |_| self.searched - self.start);
                if len > most || (len == 0 && waiting > most) {
                    return Err(LineTooLong);
                }
                len
            }
        };
        if len == 0 { Ok(None) } else { Ok(self.take(len)) }
    }

    /// What is left at the end of the input, if anything.
    pub(crate) fn rest(&mut self) -> Option<&[u8]> {
        if self.end == self.start { None } else { self.take(self.end - self.start) }
    }

    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let record = self.start..self.start + len;
        self.start = record.end;
        self.buf.get(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts `input`, fed in pieces of `step` bytes.
    fn all(cut: Cut, input: &[u8], step: usize) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut cutter = Cutter::new(cut);
        let mut records = Vec::new();
        for piece in input.chunks(step) {
            cutter.room()[..piece.len()].copy_from_slice(piece);
            cutter.filled(piece.len());
            while let Some(record) = cutter.next()? {
                records.push(record.to_vec());
            }
        }
        records.extend(cutter.rest().map(<[u8]>::to_vec));
        Ok(records)
    }

    #[test]
    fn cuts() {
        for step in [1, 2, 3, 7, 100] {
            let lines = all(Cut::Lines(100), b"one\n\ntwo\nthree", step);
            assert_eq!(lines, Ok(vec![b"one\n".to_vec(), b"\n".to_vec(), b"two\n".to_vec(), b"three".to_vec()]));
            let every = all(Cut::Every(4), b"0123456789", step);
            assert_eq!(every, Ok(vec![b"0123".to_vec(), b"4567".to_vec(), b"89".to_vec()]));
            let stream = all(Cut::Stream(4), b"0123456789", step);
            assert_eq!(stream.map(|r| r.concat()), Ok(b"0123456789".to_vec()));
            assert_eq!(all(Cut::Lines(3), b"ok\nfour\n", step), Err(LineTooLong));
            assert_eq!(all(Cut::Lines(3), b"ok\nfour", step), Err(LineTooLong));
            assert_eq!(all(Cut::Lines(3), b"ok\nok\nrst", step).map(|r| r.len()), Ok(3));
        }
    }

    #[test]
    fn long_pieces() {
        let input = vec![7; 300_000];
        assert_eq!(all(Cut::Every(100_000), &input, 20_000).map(|r| r.len()), Ok(3));
        assert_eq!(all(Cut::Lines(1 << 20), &input, 20_000).map(|r| r.len()), Ok(1));
    }
}
