//! `stores`: what it costs in which order words are stored to lines that another CPU has read; decisions 0032 and 0033.
//!
//! One thread reads a ring's bytes, then another one stores to them by some pattern, while the first one waits: nothing but the
//! order of the stores differs. What has been stored is counted by the reader, each time. Exit status: 0 measured, 2 wrong
//! arguments, 3 nothing could be measured, or not everything arrived.

use clap::Parser;
use ring_bench::{Quartiles, pin, two_cpus};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release, Ordering::SeqCst, fence};
use std::time::Instant;

/// What it costs in which order words are stored to lines that another CPU has read: nanoseconds a line of 64 bytes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Rounds of all patterns in turn, of which the medians are printed.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Leaves a word out of each pattern: the reader must notice
    #[arg(long, hide = true)]
    spoil: bool,
}

/// 256 KiB, as much as the rings of `ratios` have one way.
const WORDS: usize = 32 << 10;
const LINES: f64 = (WORDS / 8) as f64;
/// Words that are zeroed at once where zeroes come ahead, or whose lines are touched: 1 KiB.
const AHEAD: usize = 128;

/// The words, and what is stored to them in a round; 0 only where a header is to come.
struct Target {
    words: Vec<AtomicU64>,
    stamp: u64,
}

impl Target {
    #[inline(always)]
    fn put(&self, at: usize) {
        self.words[at].store(self.stamp, Release);
    }

    #[inline(always)]
    fn zero(&self, at: usize) {
        self.words[at].store(0, Release);
    }

    /// Stores records of `SIZE` words, the header first, by `record`.
    #[inline(always)]
    fn records<const SIZE: usize>(&self, record: impl FnMut(usize)) {
        (0..WORDS - SIZE).step_by(SIZE).for_each(record);
    }

    /// A record's payload.
    #[inline(always)]
    fn payload<const SIZE: usize>(&self, at: usize) {
        (1..SIZE).for_each(|word| self.put(at + word));
    }

    /// Payload, a zero behind it, the header.
    fn zero_behind<const SIZE: usize>(&self) {
        self.records::<SIZE>(|at| {
            self.payload::<SIZE>(at);
            self.zero(at + SIZE);
            self.put(at);
        });
    }

    /// One word of each line that begins from `from` on, before `to`.
    #[inline(always)]
    fn touch(&self, from: usize, to: usize) {
        (from.next_multiple_of(8)..to).step_by(8).for_each(|word| self.zero(word));
    }

    /// All words, each `AHEAD` of them after their lines were touched.
    fn touched(&self) {
        (0..WORDS).step_by(AHEAD).for_each(|from| {
            self.touch(from, from + AHEAD);
            (from..from + AHEAD).for_each(|word| self.put(word));
        });
    }

    /// Payload, a zero behind it, the header; many lines touched before.
    fn touched_ahead<const SIZE: usize>(&self) {
        let mut touched = 0;
        self.records::<SIZE>(|at| {
            if at + SIZE >= touched {
                touched = (at + AHEAD).min(WORDS);
                self.touch(at + 1, touched);
            }
            self.payload::<SIZE>(at);
            self.zero(at + SIZE);
            self.put(at);
        });
    }

    /// Payload, the header; zeroes before, many at once.
    fn zeroes_ahead<const SIZE: usize>(&self) {
        let mut swept = 0;
        self.records::<SIZE>(|at| {
            if at + SIZE >= swept {
                let from = swept.max(at + 1);
                swept = (from + AHEAD).min(WORDS);
                (from..swept).for_each(|word| self.zero(word));
            }
            self.payload::<SIZE>(at);
            self.put(at);
        });
    }
}

/// What a pattern is called, how it stores, and to how many words something else than 0.
type Pattern = (&'static str, fn(&Target), usize);

/// Words of records of so many.
const fn whole(size: usize) -> usize {
    (WORDS - 1) / size * size
}

const PATTERNS: [Pattern; 14] = [
    ("one word of each line", |t| (0..WORDS).step_by(8).for_each(|at| t.put(at)), WORDS / 8),
    ("all eight, upwards", |t| (0..WORDS).for_each(|at| t.put(at)), WORDS),
    ("the same, lines touched 1 KiB ahead", Target::touched, WORDS),
    (
        "records of 16 bytes: header, payload",
        |t| {
            t.records::<2>(|at| {
                t.put(at);
                t.put(at + 1);
            });
        },
        whole(2),
    ),
    (
        "the same: payload, header",
        |t| {
            t.records::<2>(|at| {
                t.put(at + 1);
                t.put(at);
            });
        },
        whole(2),
    ),
    (
        "the same: header, payload, zero",
        |t| {
            t.records::<2>(|at| {
                t.put(at);
                t.put(at + 1);
                t.zero(at + 2);
            });
        },
        whole(2),
    ),
    ("the same: payload, zero, header", Target::zero_behind::<2>, whole(2)),
    ("the same: payload, header, zeroes 1 KiB ahead", Target::zeroes_ahead::<2>, whole(2)),
    ("payload, zero, header, touched 1 KiB ahead", Target::touched_ahead::<2>, whole(2)),
    ("records of 72 bytes: payload, zero, header", Target::zero_behind::<9>, whole(9)),
    ("the same: payload, header, zeroes 1 KiB ahead", Target::zeroes_ahead::<9>, whole(9)),
    ("payload, zero, header, touched 1 KiB ahead", Target::touched_ahead::<9>, whole(9)),
    ("records of 264 bytes: payload, zero, header", Target::zero_behind::<33>, whole(33)),
    ("the same: touched 1 KiB ahead", Target::touched_ahead::<33>, whole(33)),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(arguments.rounds, arguments.spoil) {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("stores: {why}");
            ExitCode::from(3)
        }
    }
}

fn measure(rounds: u32, spoil: bool) -> Result<String, String> {
    let [reader, writer] = two_cpus()?;
    let mut target = Target { words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(), stamp: 0 };
    let mut figures = vec![Vec::new(); PATTERNS.len()];
    for _ in 0..rounds {
        for (number, (name, pattern, stamped)) in PATTERNS.iter().enumerate() {
            target.stamp += 1;
            let (ready, target) = (AtomicU64::new(0), &target);
            let (nanos, found) = std::thread::scope(|threads| {
                let reads = threads.spawn(|| {
                    pin(reader)?;
                    let count = || target.words.iter().filter(|word| word.load(Acquire) == target.stamp).count();
                    // Twice: then this CPU has them all, and nobody else.
                    let before = count() + count();
                    ready.store(1, Release);
                    while ready.load(Acquire) == 1 {
                        std::hint::spin_loop();
                    }
                    if before == 0 { Ok(count()) } else { Err(format!("{name}: stamped before")) }
                });
                pin(writer)?;
                while ready.load(Acquire) == 0 && !reads.is_finished() {
                    std::hint::spin_loop();
                }
                let start = Instant::now();
                pattern(target);
                fence(SeqCst); // all of it is out
                let nanos = start.elapsed().as_nanos();
                if spoil {
                    target.zero(0);
                }
                ready.store(2, Release);
                let found = reads.join().map_err(|_| String::from("the reader has panicked"))??;
                Ok::<_, String>((nanos, found))
            })?;
            if found != *stamped {
                return Err(format!("{name}: wrong content: {found} words of {stamped} arrived"));
            }
            figures[number].push(nanos as f64 / LINES);
        }
    }
    let mut table = String::new();
    for ((name, _, _), figures) in PATTERNS.iter().zip(figures) {
        let median = Quartiles::of(figures).ok_or("no rounds")?.p50;
        table += &format!("{name:<48} {median:>6.1} ns a line\n");
    }
    Ok(table)
}
