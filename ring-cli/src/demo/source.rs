//! What a demo streams: files, cut into records of mixed lengths by a fixed sequence. Both processes read for
//! themselves and cut alike, so that each record can be compared with what it should be.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// The longest record.
pub(crate) const LONGEST: usize = 64 << 10;

/// How much of the files is held at a time. Records do not cross its end.
const WINDOW: usize = 64 << 20;

/// The file of the program that runs.
const OWN: &str = "/proc/self/exe";

/// Files, as records.
#[derive(Debug)]
pub(crate) struct Source {
    files: Vec<PathBuf>,
    open: Option<File>,
    next_file: usize,
    window: Vec<u8>,
    at: usize,
    /// The window holds all there is, and is used again and again.
    whole: bool,
    left: u64,
    random: u64,
}

impl Source {
    /// `total` bytes of `files`, one after the other, over and over; of the program's own file when there are none.
    pub(crate) fn new(files: &[PathBuf], total: u64) -> Self {
        let files = if files.is_empty() { vec![PathBuf::from(OWN)] } else { files.to_vec() };
        let (window, random) = (Vec::new(), 0x5EED);
        Self { files, open: None, next_file: 0, window, at: 0, whole: false, left: total, random }
    }

    /// The next record; `None` when all have been.
    ///
    /// # Errors
    /// When a file cannot be read, or none holds anything.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.at == self.window.len() {
            if !self.whole {
                self.fill()?;
            }
            self.at = 0;
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.window.len() - self.at);
        let record = self.at..self.at + self.length().min(most);
        self.at = record.end;
        self.left -= record.len() as u64;
        Ok(self.window.get(record))
    }

    /// A length from 1 to [`LONGEST`]: as often from 1 to 2 as from 32 Ki to 64 Ki.
    fn length(&mut self) -> usize {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let bits = (z >> 32) % 17;
        1 + usize::try_from(z & ((1 << bits) - 1)).unwrap_or(0)
    }

    /// The next bytes of the files, up to a window of them, and not beyond the last file.
    fn fill(&mut self) -> io::Result<()> {
        self.window.clear();
        let from_the_start = self.open.is_none() && self.next_file == 0;
        while self.window.len() < WINDOW {
            let Some(mut file) = self.open_file()? else {
                self.whole = from_the_start;
                break;
            };
            let room = (WINDOW - self.window.len()) as u64;
            if (&mut file).take(room).read_to_end(&mut self.window)? as u64 == room {
                self.open = Some(file);
            }
        }
        match (self.window.is_empty(), from_the_start) {
            (false, _) => Ok(()),
            (true, false) => self.fill(), // the last window ended with the last file
            (true, true) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the files hold nothing (any more)")),
        }
    }

    /// The file that is open, or the next one; `None` once after the last.
    fn open_file(&mut self) -> io::Result<Option<File>> {
        if let Some(file) = self.open.take() {
            return Ok(Some(file));
        }
        let Some(path) = self.files.get(self.next_file) else {
            self.next_file = 0;
            return Ok(None);
        };
        self.next_file += 1;
        File::open(path).map(Some).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
    }
}

/// A 64-bit hash of a sequence of records: their bytes, their bounds and their order. Against mistakes, not malice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StreamHash(u64);

impl StreamHash {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

    /// Adds a record.
    pub(crate) fn add(&mut self, record: &[u8]) {
        let mut lanes = [1_u64, 2, 3, record.len() as u64];
        let blocks = record.chunks_exact(32);
        let rest = blocks.remainder();
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
                *lane = mix(*lane, word.try_into().map_or(0, u64::from_le_bytes));
            }
        }
        for byte in rest {
            lanes[0] = mix(lanes[0], u64::from(*byte));
        }
        for lane in lanes {
            self.0 = mix(self.0, lane);
        }
    }

    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

fn mix(state: u64, word: u64) -> u64 {
    ((state ^ word).wrapping_mul(StreamHash::FACTOR)).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(files: &[PathBuf], total: u64) -> Vec<Vec<u8>> {
        let mut source = Source::new(files, total);
        let mut records = Vec::new();
        while let Some(record) = source.next().unwrap() {
            assert!((1..=LONGEST).contains(&record.len()));
            records.push(record.to_vec());
        }
        records
    }

    #[test]
    fn repeats_the_files_and_cuts_alike() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = ["a", "empty", "b"].iter().map(|name| dir.path().join(name)).collect();
        for (file, text) in files.iter().zip(["one ", "", "two "]) {
            std::fs::write(file, text).unwrap();
        }
        assert_eq!(records(&files, 20).concat(), b"one two one two one ");
        assert_eq!(records(&files, 20), records(&files, 20));
        assert_eq!(records(&files, 0).len(), 0);
        let own = std::fs::read(OWN).unwrap();
        let all = records(&[], own.len() as u64 + 5).concat();
        assert_eq!((&all[..own.len()], &all[own.len()..]), (&own[..], &own[..5]));
        assert!(Source::new(&files[1..2], 1).next().is_err());
    }

    #[test]
    fn hash_sees_bytes_bounds_and_order() {
        let hash = |records: &[&[u8]]| {
            let mut hash = StreamHash::default();
            records.iter().for_each(|record| hash.add(record));
            hash
        };
        let long = [7; 100];
        let mut other = long;
        other[64] = 8;
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"c", b"ab"]));
        assert_ne!(hash(&[&long]), hash(&[&other]));
        assert_eq!(hash(&[&long, b"x"]), hash(&[&long, b"x"]));
    }
}
