//! Runs one future in a thread that sleeps on the very events its rings are awaited by: a publisher's wake-up reaches
//! it without the process's waiter in between. The thread is the waiter ([`hub`](crate::hub)) of its own rings.

use core::cell::RefCell;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;

use crate::hub::{List, Shard};

thread_local! {
    /// The innermost call of [`block_on`] of this thread.
    static HERE: RefCell<Option<(Arc<Shard>, Waker)>> = const { RefCell::new(None) };
}

/// The waiter of this thread's own [`block_on`], if `waker` wakes that. Any other waker, as a set of futures makes one for
/// each, belongs to somebody whose thread may be another one by the time it is woken.
pub(crate) fn here(waker: &Waker) -> Option<Arc<Shard>> {
    HERE.with_borrow(|here| {
        let (shard, own) = here.as_ref()?;
        (own.data() == waker.data()).then(|| Arc::clone(shard))
    })
}

/// Runs a future in this thread, which sleeps until it can go on.
///
/// A ring that is awaited by the future itself, be it in a `select!` or `join!`, wakes this thread as it wakes one that
/// parks: without the way over the process's waiter that a task of a runtime takes. That is for up to 127 rings at a time;
/// more, and those awaited with wakers of their own (`FuturesUnordered`, tasks of a runtime), are woken as always.
/// Timers and sockets of a runtime that runs elsewhere can be awaited beside them, in its context (tokio's
/// `Handle::enter`). Not to be called in a task: it would hold up the runtime, as any call that blocks.
///
/// ```
/// use ring_shm::wait::block_on;
///
/// let (mut tx, rx) = ring_shm::spsc::heap(1 << 12)?;
/// let mut rx = rx.into_async();
/// std::thread::spawn(move || tx.send(7, b"hello"));
/// assert_eq!(block_on(async { rx.recv().await.map(|record| record.tag()) })?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// If the future does.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let shard = Arc::new(Shard::new(true));
    let waker = Waker::from(Arc::clone(&shard));
    let _here = Here(HERE.replace(Some((Arc::clone(&shard), waker.clone()))));
    let mut list = List::new();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        shard.sleep_until_called(&mut list);
    }
}

/// Puts back what was there before the call.
struct Here(Option<(Arc<Shard>, Waker)>);

impl Drop for Here {
    fn drop(&mut self) {
        let own = HERE.replace(self.0.take());
        drop(own); // not while it is borrowed
    }
}

impl Wake for Shard {
    fn wake(self: Arc<Self>) {
        self.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.call();
    }
}
