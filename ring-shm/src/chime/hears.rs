//! The side that is woken: what is watched for whom, and the descriptor that tells.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use ring_core::Epoch;

use super::OWN;
use crate::descriptor;
use crate::error::OsError;
use crate::fork;
use crate::hub::{self, Place};
use crate::sys;

/// The one that handles turn to when they begin to wait, and of which process image it is.
static CURRENT: Mutex<(u64, Weak<Hears>)> = Mutex::new((0, Weak::new()));

/// How many there have been.
static MADE: Epoch = Epoch::new();

/// How many there have been: who was told there is none need not ask again before this has changed.
pub(crate) fn made() -> u64 {
    MADE.get()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn os(call: &'static str) -> impl FnOnce(nix::Error) -> OsError {
    move |code| OsError { call, code: code as i32 }
}

/// Wakes the tasks of this process from a runtime's own reactor: a descriptor that becomes readable when one of the rings
/// they await may have something, and a call that finds and wakes them.
///
/// Without it a task of a runtime is woken by two wake-ups, since a thread of this crate sleeps for it. With it one is enough:
/// a runtime that polls the descriptor is woken by the publisher itself. As long as it lives, all handles of the
/// process that begin to await count on it, of whatever ring and in whatever runtime; of several the one made last.
/// [`block_on`](crate::wait::block_on) has no need of it. Those who wait when it is dropped notice within a slice (50 ms),
/// and so they do where a call of [`wake_tasks`](Self::wake_tasks) does not come.
///
/// With the feature `tokio`: `tokio::spawn(Chime::new()?.serve_in_tokio())`. With any other runtime:
///
/// ```
/// use ring_shm::wait::Chime;
///
/// let chime = Chime::new()?;
/// let (mut tx, rx) = ring_shm::spsc::heap(1 << 12)?;
/// let mut rx = rx.into_async();
/// let waits = std::thread::spawn(move || pollster::block_on(async { rx.recv().await.map(|record| record.tag()) }));
/// tx.try_send(7, b"hello")?;
/// while !waits.is_finished() {
///     // What a reactor does when `chime.as_fd()` is readable:
///     chime.wake_tasks()?;
///     # std::thread::sleep(std::time::Duration::from_millis(1));
/// }
/// assert_eq!(waits.join().unwrap()?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Chime(Arc<Hears>);

/// What a chime has.
#[derive(Debug)]
struct Hears {
    inotify: Inotify,
    born: u64,
    /// Who listens, by what is watched for them.
    listeners: Mutex<HashMap<WatchDescriptor, Vec<Place>>>,
}

impl Chime {
    /// A new one, which handles that begin to await from now on count on.
    ///
    /// # Errors
    /// [`OsError`] where inotify is not to be had: it is missing or forbidden, or this user has as many instances
    /// as he may (`fs.inotify.max_user_instances`, 128 in all his processes).
    pub fn new() -> Result<Self, OsError> {
        let _pause = fork::pause()?; // no child finds the lock held
        if OWN.get().is_none() {
            // A description of its own: files that the kernel opens by itself it does not tell of.
            let file = descriptor::open_anew(sys::memfd("ring.chime")?.as_raw_fd())?;
            file.set_len(8).map_err(|error| OsError::from_io("ftruncate", &error))?;
            let _ = OWN.set(file); // or somebody else's
        }
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let inotify = Inotify::init(flags).map_err(os("inotify_init1"))?;
        let hears = Arc::new(Hears { inotify, born: fork::epoch(), listeners: Mutex::default() });
        *lock(&CURRENT) = (fork::epoch(), Arc::downgrade(&hears));
        MADE.bump();
        Ok(Self(hears))
    }

    /// Wakes the tasks for whom there may be something. To be called whenever the descriptor is readable; it does not block,
    /// and leaves the descriptor unreadable. In a forked child it does nothing.
    ///
    /// Where many rings of the heap are awaited, each of their chimes costs a look at all of them.
    ///
    /// # Errors
    /// What the descriptor says, which it does not as long as it is nobody else's.
    pub fn wake_tasks(&self) -> Result<(), OsError> {
        if self.0.born != fork::epoch() {
            return Ok(());
        }
        let mut wakers = Vec::new();
        loop {
            let events = match self.0.inotify.read_events() {
                Ok(events) => events,
                Err(nix::Error::EAGAIN) => break,
                Err(nix::Error::EINTR) => continue,
                Err(code) => return Err(os("read(inotify)")(code)),
            };
            let all = events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
            let listeners = lock(&self.0.listeners);
            if all {
                wakers.extend(listeners.values().flatten().filter_map(Place::take_moved));
            } else {
                let told = events.iter().filter_map(|event| listeners.get(&event.wd));
                wakers.extend(told.flatten().filter_map(Place::take_moved));
            }
            drop(listeners);
            if events.len() < FEW {
                break; // that was all
            }
        }
        hub::wake_all(&mut wakers);
        Ok(())
    }

    /// [`wake_tasks`](Self::wake_tasks) whenever it is due, by the reactor of the tokio runtime that polls this: to be spawned
    /// there. It ends only by an error.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
    /// use ring_shm::wait::Chime;
    ///
    /// tokio::spawn(Chime::new()?.serve_in_tokio());
    /// let (mut tx, rx) = ring_shm::spsc::heap(1 << 12)?;
    /// let mut rx = rx.into_async();
    /// std::thread::spawn(move || tx.send(7, b"hello"));
    /// assert_eq!(rx.recv().await?.tag(), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What registering with the reactor or [`wake_tasks`](Self::wake_tasks) says.
    ///
    /// # Panics
    /// If it is polled in no tokio runtime, or in one without `enable_io`.
    #[cfg(feature = "tokio")]
    #[allow(deprecated, reason = "from 1.54 on, for descriptors that may be closed meanwhile: this one is owned")]
    pub async fn serve_in_tokio(self) -> std::io::Result<core::convert::Infallible> {
        use tokio::io::Interest;
        use tokio::io::unix::AsyncFd;

        let chime = AsyncFd::with_interest(self, Interest::READABLE)?;
        loop {
            let mut ready = chime.readable().await?;
            let told = chime.get_ref().wake_tasks();
            told.map_err(|error| std::io::Error::from_raw_os_error(error.code))?;
            ready.clear_ready();
        }
    }
}

/// With fewer events a read has emptied the queue: it has room for more of those without names.
const FEW: usize = 64;

impl AsFd for Chime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.inotify.as_fd()
    }
}

impl AsRawFd for Chime {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// That a place is woken by a chime, if that still lives.
#[derive(Debug)]
pub(crate) struct Heard {
    by: Weak<Hears>,
    born: u64,
    watched: WatchDescriptor,
    place: Place,
}

impl Heard {
    /// Has `place` told of what is done to the object behind `path`; `None` where nobody serves.
    pub(crate) fn at(path: &Path, place: Place) -> Option<Self> {
        let _pause = fork::pause().ok()?; // no child finds the lock held
        let current = lock(&CURRENT);
        let by = current.1.clone();
        let hears = by.upgrade().filter(|_| current.0 == fork::epoch())?;
        drop(current);
        let mut listeners = lock(&hears.listeners);
        // Watched twice an object has one number.
        let watched = hears.inotify.add_watch(path, AddWatchFlags::IN_ACCESS).ok()?;
        listeners.entry(watched).or_default().push(place.clone());
        Some(Self { by, born: hears.born, watched, place })
    }

    /// Whether somebody may still serve it.
    pub(crate) fn is_served(&self) -> bool {
        self.by.strong_count() > 0
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        let Some(hears) = self.by.upgrade().filter(|_| self.born == fork::epoch()) else { return };
        let mut listeners = lock(&hears.listeners);
        let Some(places) = listeners.get_mut(&self.watched) else { return };
        places.retain(|place| !place.is(&self.place));
        if places.is_empty() {
            listeners.remove(&self.watched);
            // It has gone by itself where the object has.
            let _ = hears.inotify.rm_watch(self.watched);
        }
    }
}

#[cfg(test)]
mod tests;
