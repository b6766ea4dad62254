//! What each system call may plausibly say when it fails. A call that is missing here fails the campaign, so that
//! nobody forgets it.
#![allow(non_upper_case_globals, reason = "the system calls are named as the C library names them")]

use nix::libc::{self, c_int};

use crate::victim::{Call, Order};

/// What may go wrong with one call.
pub(crate) struct Faults {
    pub(crate) name: &'static str,
    errnos: &'static [c_int],
    /// It has happened all the same: Linux frees a descriptor whatever `close` says. (`EIO` is for who writes.)
    done: bool,
}

impl Faults {
    /// The orders to be tried, one after the other: `most` of them, from the `turn`-th on.
    pub(crate) fn orders(&self, turn: usize, most: usize) -> impl Iterator<Item = Order> {
        let errnos = self.errnos.iter().cycle().skip(turn.saturating_mul(most) % self.errnos.len().max(1));
        errnos
            .take(most.min(self.errnos.len()))
            .map(|errno| if self.done { Order::Belie(*errno) } else { Order::Refuse(*errno) })
    }
}

const fn faults(name: &'static str, errnos: &'static [c_int]) -> Faults {
    Faults { name, errnos, done: false }
}

/// The faults of `call`; `None` for a call that this table does not know.
pub(crate) fn of(call: &Call) -> Option<Faults> {
    use libc::*;
    const NAMES: &[c_int] = &[EACCES, ENOENT, ENOMEM, EIO];
    Some(match call.number {
        SYS_openat if asks_unnamed(call) => faults(
            "open(O_TMPFILE)",
            &[EACCES, EINTR, EMFILE, ENFILE, ENOMEM, ENOSPC, EOPNOTSUPP, EISDIR, EINVAL, EROFS, EPERM, ENOENT],
        ),
        SYS_openat => faults("open", &[EACCES, EINTR, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, ELOOP, EPERM, ENXIO]),
        SYS_fcntl => faults("fcntl", &[EAGAIN, EACCES, EINTR, ENOLCK, EBADF, EINVAL, EMFILE, ENOMEM]),
        SYS_fstat => faults("fstat", &[ENOMEM, EIO]),
        SYS_newfstatat if call.args[3] as c_int & AT_EMPTY_PATH != 0 => faults("fstat", &[ENOMEM, EIO]),
        SYS_newfstatat => faults("stat", NAMES),
        SYS_statx => faults("statx", &[EACCES, ENOENT, ENOMEM, EIO, ENOSYS, EPERM]),
        SYS_fstatfs | SYS_statfs => faults("statfs", &[EINTR, EIO, ENOSYS, ENOMEM]),
        SYS_fallocate => faults("fallocate", &[EINTR, ENOSPC, EDQUOT, EFBIG, EPERM, EOPNOTSUPP, ENODEV, EIO, ENOMEM]),
        SYS_fchmod => faults("fchmod", &[EPERM, EROFS, EIO]),
        SYS_fchown => faults("fchown", &[EPERM, EINVAL, EROFS, EIO]),
        SYS_mmap => faults("mmap", &[ENOMEM, EAGAIN, EPERM, EACCES, ENODEV, EINVAL]),
        SYS_madvise => faults("madvise", &[ENOMEM, EAGAIN, EINVAL]),
        SYS_mlock => faults("mlock", &[ENOMEM, EPERM, EAGAIN]),
        SYS_mbind => faults("mbind", &[EINVAL, EIO, ENOMEM, EPERM, ENOSYS]),
        SYS_flock => faults("flock", &[EINTR, ENOLCK, EWOULDBLOCK]),
        SYS_linkat => faults("linkat", &[EEXIST, EACCES, ENOENT, ENOSPC, EPERM, EMLINK, EROFS, ENOMEM, EIO]),
        SYS_renameat2 => faults("renameat2", &[EEXIST, EINVAL, ENOSYS, ENOENT, ENOSPC, EACCES, EROFS, EIO]),
        SYS_unlink | SYS_unlinkat => faults("unlink", &[ENOENT, EACCES, EPERM, EBUSY, EROFS, EIO]),
        SYS_read | SYS_pread64 => faults("read", &[EINTR, EIO, ENOMEM]),
        SYS_readlink => faults("readlink", &[EACCES, ENOENT, EINVAL, EIO]),
        SYS_getdents64 => faults("getdents", &[EIO, ENOENT, ENOMEM]),
        SYS_lseek => faults("lseek", &[ESPIPE, EINVAL]),
        SYS_memfd_create => faults("memfd_create", &[EMFILE, ENFILE, ENOMEM, EINVAL, ENOSYS, EPERM]),
        SYS_ftruncate => faults("ftruncate", &[EINTR, EPERM, EFBIG, EIO]),
        SYS_write | SYS_pwrite64 => faults("write", &[EINTR, ENOSPC, EDQUOT, EIO, EFBIG]),
        SYS_sendmsg => {
            faults("sendmsg", &[EAGAIN, EINTR, ETOOMANYREFS, EPIPE, ECONNRESET, ENOBUFS, ENOMEM, EBADF, EPERM])
        }
        SYS_recvmsg => faults("recvmsg", &[EAGAIN, EINTR, ECONNRESET, ENOMEM, ENOBUFS, EBADF]),
        SYS_shmget => faults("shmget", &[ENOENT, EEXIST, EACCES, ENOMEM, ENOSPC, EINVAL, ENFILE]),
        SYS_shmat => faults("shmat", &[ENOMEM, EACCES, EINVAL, EIDRM]),
        // `EINVAL` and `EIDRM` would say that there is no such segment any more.
        SYS_shmctl => faults("shmctl", &[EACCES, EPERM, ENOMEM]),
        SYS_close => Faults { name: "close", errnos: &[EINTR], done: true },
        SYS_futex => faults("futex", &[EINTR, EAGAIN, ETIMEDOUT, EFAULT, ENOMEM, ENOSYS]),
        SYS_membarrier => faults("membarrier", &[EPERM, ENOSYS, EINVAL]),
        SYS_sched_getaffinity => faults("sched_getaffinity", &[EPERM, EINVAL]),
        SYS_getrandom => faults("getrandom", &[EINTR, ENOSYS, EPERM]),
        SYS_prlimit64 => faults("getrlimit", &[EPERM, ENOSYS]),
        SYS_getgroups => faults("getgroups", &[EINVAL]),
        SYS_pidfd_open => faults("pidfd_open", &[EMFILE, ENFILE, ESRCH, ENOSYS, ENOMEM]),
        SYS_poll => faults("poll", &[EINTR, ENOMEM]),
        SYS_clock_nanosleep => faults("clock_nanosleep", &[EINTR]),
        // `munmap` of a whole mapping and `shmdt` free without needing anything, and these cannot fail at all.
        SYS_munmap | SYS_shmdt | SYS_geteuid | SYS_getuid | SYS_getegid | SYS_getgid | SYS_getpid | SYS_gettid
        | SYS_sched_yield | SYS_rt_sigprocmask => faults("infallible", &[]),
        _ => return None,
    })
}

/// Whether it is the allocator that wants memory, without which a Rust program aborts, whatever library it uses. (The
/// library's own anonymous mappings reserve nothing.)
pub(crate) fn is_heap(call: &Call) -> bool {
    let flags = call.args[3] as c_int;
    match call.number {
        libc::SYS_brk | libc::SYS_mremap => true,
        libc::SYS_mmap => flags & libc::MAP_ANONYMOUS != 0 && flags & libc::MAP_NORESERVE == 0,
        _ => false,
    }
}

/// Whether it asks for an unnamed file.
pub(crate) fn asks_unnamed(call: &Call) -> bool {
    call.number == libc::SYS_openat && call.args[2] as c_int & libc::O_TMPFILE == libc::O_TMPFILE
}
