//! A bound on the work of an input. The rings are small and so are the inputs: if every operation is bounded, all of them
//! together end within microseconds. One that is not, or by something huge that a peer wrote, is caught here; one that
//! never ends, by libFuzzer's `-timeout`.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Time of this thread's own that an input may take.
const BOUND: Duration = Duration::from_millis(20);

/// Watches one input.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    own: Duration,
}

impl Clock {
    /// Starts it.
    pub fn start() -> Self {
        Self { start: Instant::now(), own: own() }
    }

    /// At the end of the input. The system's clock is asked first, since it is quick; it also runs while this thread
    /// does not, so its word alone is not enough.
    pub fn stop(self) {
        if self.start.elapsed() > BOUND {
            let took = own() - self.own;
            assert!(took < BOUND, "{took:?}: these are not bounded operations");
        }
    }
}

/// What this thread has been running for.
fn own() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock").into()
}
