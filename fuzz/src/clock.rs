//! A bound on the work of each operation. The rings are small, so whatever is bounded ends within microseconds; one that
//! is not, or by something huge that a peer wrote, is caught here, and one that never ends by libFuzzer's `-timeout`.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Time of this thread's own that an operation may take.
const BOUND: Duration = Duration::from_millis(20);

/// Watches the operations of one input.
#[derive(Debug)]
pub struct Clock {
    last: Instant,
    own: Duration,
}

impl Clock {
    /// Starts it.
    pub fn start() -> Self {
        Self { last: Instant::now(), own: own() }
    }

    /// After an operation. The system's clock is asked first, since it is quick; it also runs while this thread does
    /// not, so its word alone is not enough.
    pub fn tick(&mut self, operation: u8) {
        let now = Instant::now();
        if now - self.last > BOUND {
            let took = own() - self.own;
            assert!(took < BOUND, "operation {operation} took {took:?}: that is no bounded operation");
            self.own = own();
        }
        self.last = now;
    }
}

/// What this thread has been running for.
fn own() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock").into()
}
