//! A progress bar on standard error: only when that is a terminal, and only once a transfer has taken half a second.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a transfer may take before a bar appears.
const PATIENCE: Duration = Duration::from_millis(500);

/// The progress of one transfer.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    /// `None` where nobody would see a bar.
    start: Option<Instant>,
    done: u64,
}

impl Progress {
    /// Of `total` bytes, where that is known.
    pub(crate) fn new(total: Option<u64>) -> Self {
        let start = io::stderr().is_terminal().then(Instant::now);
        Self { bar: None, total, start, done: 0 }
    }

    /// `bytes` more are through.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        let Some(start) = self.start else { return };
        match &self.bar {
            Some(bar) => bar.set_position(self.done),
            None if start.elapsed() > PATIENCE => self.bar = Some(self.show(start)),
            None => {}
        }
    }

    /// It is over: the bar goes.
    pub(crate) fn finish(&mut self) {
        self.start = None;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn show(&self, start: Instant) -> ProgressBar {
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let (bar, template) = match self.total {
            Some(total) => (
                ProgressBar::with_draw_target(Some(total), target),
                "{bar:32} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left",
            ),
            None => (ProgressBar::with_draw_target(None, target), "{spinner} {bytes}  {bytes_per_sec}  {elapsed}"),
        };
        let bar = bar.with_elapsed(start.elapsed()).with_position(self.done);
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
