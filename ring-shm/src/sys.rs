//! Thin, safe wrappers around the system calls that std and nix do not offer in the form needed.
//!
//! Called by the other files of the operating-system layer, by nobody else. A wrapper makes one call, retries
//! EINTR where waiting is meant, and turns the answer into a `Result`. It decides nothing and keeps no state.
//!
//! # Safety
//!
//! 1. Descriptors are plain numbers here. A number that is closed or means another file is answered by the
//!    kernel with an error or with facts about that file; no memory of this process depends on it.
//! 2. Every pointer handed to the kernel comes from a live local or a `CStr`, has the type the call asks for,
//!    and is not kept by the kernel after the call.
#![allow(unsafe_code)]
// The widths of libc types differ between targets.
#![allow(clippy::unnecessary_cast, clippy::useless_conversion)]

use core::mem::MaybeUninit;
use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, FdFlag, SealFlag};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC, XFS_SUPER_MAGIC};

use crate::error::{FileKind, OsError};

#[cfg(not(target_os = "linux"))]
compile_error!(
    "ring-shm needs Linux: open-file-description locks that live as long as a mapping, /proc/self/fd, O_TMPFILE, \
     MADV_DONTFORK and futexes on shared memory; no other system has all of them"
);

#[cfg(target_pointer_width = "64")]
use libc::{flock as Flock, fstat as raw_fstat, off_t as Offset, pread as raw_pread, stat as RawStat};
#[cfg(target_pointer_width = "32")]
use libc::{flock64 as Flock, fstat64 as raw_fstat, off64_t as Offset, pread64 as raw_pread, stat64 as RawStat};

/// Which object a descriptor or a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// The facts about an object that this crate looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) id: FileId,
    pub(crate) size: u64,
    /// Type and permission bits.
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) links: u64,
    /// The unit that the file system likes; where it has huge pages, one of them.
    pub(crate) unit: u64,
}

impl Stat {
    /// The permission bits.
    pub(crate) fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    /// What it is, if it is no regular file.
    pub(crate) fn foreign_kind(&self) -> Option<FileKind> {
        match self.mode & libc::S_IFMT {
            libc::S_IFREG => None,
            libc::S_IFDIR => Some(FileKind::Directory),
            libc::S_IFLNK => Some(FileKind::Symlink),
            libc::S_IFIFO => Some(FileKind::Fifo),
            libc::S_IFSOCK => Some(FileKind::Socket),
            _ => Some(FileKind::Device),
        }
    }
}

impl From<&Metadata> for Stat {
    fn from(meta: &Metadata) -> Self {
        Self {
            id: FileId { device: meta.dev(), inode: meta.ino() },
            size: meta.size(),
            mode: meta.mode(),
            owner: meta.uid(),
            group: meta.gid(),
            links: meta.nlink(),
            unit: meta.blksize(),
        }
    }
}

/// The facts about whatever `fd` means now.
pub(crate) fn stat(fd: RawFd) -> Result<Stat, OsError> {
    let mut raw = MaybeUninit::<RawStat>::uninit();
    // SAFETY: 1 and 2; the pointer is to a whole `stat`.
    if unsafe { raw_fstat(fd, raw.as_mut_ptr()) } != 0 {
        return Err(OsError::last("fstat"));
    }
    // SAFETY: 2; fstat succeeded and filled it.
    let raw = unsafe { raw.assume_init() };
    Ok(Stat {
        id: FileId { device: raw.st_dev as u64, inode: raw.st_ino as u64 },
        size: u64::try_from(raw.st_size).unwrap_or(0),
        mode: raw.st_mode,
        owner: raw.st_uid,
        group: raw.st_gid,
        links: raw.st_nlink as u64,
        unit: u64::try_from(raw.st_blksize).unwrap_or(0),
    })
}

/// The facts about whatever has the name `path` now; a symbolic link is not followed.
pub(crate) fn stat_name(path: &Path) -> io::Result<Stat> {
    std::fs::symlink_metadata(path).map(|meta| Stat::from(&meta))
}

/// The word at `offset` of whatever `fd` means now; `None` where there is none, or it cannot be read.
pub(crate) fn read_word(fd: RawFd, offset: u64) -> Option<u64> {
    let mut word = [0_u8; 8];
    let offset = Offset::try_from(offset).ok()?;
    // SAFETY: 1 and 2; as many bytes as the array has.
    let read = unsafe { raw_pread(fd, word.as_mut_ptr().cast(), word.len(), offset) };
    (read == 8).then(|| u64::from_ne_bytes(word))
}

/// Reads a byte of whatever `fd` means now; whether there was one.
pub(crate) fn touch(fd: RawFd) -> bool {
    let mut byte = 0_u8;
    // SAFETY: 1 and 2; one byte.
    unsafe { raw_pread(fd, (&raw mut byte).cast(), 1, 0) == 1 }
}

/// Closes a number that this process owns by its own account.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: 1; the caller has checked that the number still means its own object. An error leaves nothing to do.
    unsafe { libc::close(fd) };
}

/// How to hold a range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockKind {
    Shared,
    Exclusive,
    Unlocked,
}

fn range(kind: LockKind, start: i64, len: i64) -> Flock {
    // SAFETY: 2; `flock` is plain numbers, for which zero is a value. (It has padding on some targets, so it cannot
    // be written out field by field.)
    let mut range: Flock = unsafe { MaybeUninit::zeroed().assume_init() };
    range.l_type = match kind {
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
        LockKind::Unlocked => libc::F_UNLCK,
    } as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = start as Offset;
    range.l_len = len as Offset;
    range
}

fn fcntl_lock(fd: RawFd, command: libc::c_int, range: &mut Flock) -> libc::c_int {
    let range: *mut Flock = range;
    #[cfg(target_pointer_width = "64")]
    // SAFETY: 1 and 2; both commands take a pointer to a `flock`.
    return unsafe { libc::fcntl(fd, command, range) };
    #[cfg(target_pointer_width = "32")]
    // SAFETY: 1 and 2; both commands take a pointer to a `flock64`.
    return unsafe { libc::syscall(libc::SYS_fcntl64, fd, command, range) } as libc::c_int;
}

/// Locks or unlocks `len` bytes from `start` (0: to the end) for the description behind `fd`, without waiting.
/// False: another description holds a part of it.
pub(crate) fn try_lock(fd: RawFd, kind: LockKind, start: i64, len: i64) -> Result<bool, OsError> {
    loop {
        if fcntl_lock(fd, libc::F_OFD_SETLK, &mut range(kind, start, len)) == 0 {
            return Ok(true);
        }
        let error = OsError::last("fcntl(F_OFD_SETLK)");
        match error.code {
            libc::EAGAIN | libc::EACCES => return Ok(false),
            libc::EINTR => {}
            _ => return Err(error),
        }
    }
}

/// The first byte of some lock that another description holds in `len` bytes from `start` (0: to the end).
#[inline]
pub(crate) fn conflict(fd: RawFd, start: i64, len: i64) -> Result<Option<i64>, OsError> {
    let mut range = range(LockKind::Exclusive, start, len);
    if fcntl_lock(fd, libc::F_OFD_GETLK, &mut range) != 0 {
        return Err(OsError::last("fcntl(F_OFD_GETLK)"));
    }
    if range.l_type == libc::F_UNLCK as libc::c_short { Ok(None) } else { Ok(Some(i64::from(range.l_start))) }
}

/// Locks all of `file`, a directory perhaps, for its description, without waiting. False: another one has it.
pub(crate) fn try_lock_whole(file: &File) -> Result<bool, OsError> {
    // SAFETY: 1; plain numbers.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    match OsError::last("flock") {
        OsError { code: libc::EWOULDBLOCK | libc::EINTR, .. } => Ok(false),
        error => Err(error),
    }
}

/// Gives `file`, which is new, `len` bytes of real memory or disk.
pub(crate) fn allocate(file: &File, len: i64) -> Result<(), OsError> {
    let too_large = OsError { call: "fallocate", code: libc::EFBIG };
    let offset = libc::off_t::try_from(len).map_err(|_| too_large)?;
    loop {
        match nix::fcntl::fallocate(file, nix::fcntl::FallocateFlags::empty(), 0, offset) {
            Ok(()) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            // Some file systems (NFS before 4.2, FUSE, FAT) cannot promise; what has been written they have.
            Err(nix::Error::EOPNOTSUPP) => return write_zeros(file, len.unsigned_abs()),
            Err(code) => return Err(OsError { call: "fallocate", code: code as i32 }),
        }
    }
}

/// Writes `len` zeros.
fn write_zeros(file: &File, len: u64) -> Result<(), OsError> {
    static PIECE: [u8; 1 << 16] = [0; 1 << 16];
    let mut done = 0;
    while done < len {
        let piece = PIECE.len().min(usize::try_from(len - done).unwrap_or(PIECE.len()));
        let bytes = PIECE.get(..piece).unwrap_or_default();
        file.write_all_at(bytes, done).map_err(|error| OsError::from_io("write", &error))?;
        done += piece as u64;
    }
    Ok(())
}

/// Bytes free to this user in the file system of `file`; 0 where it will not say.
pub(crate) fn free_space(file: &File) -> u64 {
    nix::sys::statvfs::fstatvfs(file)
        .map_or(0, |stat| (stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64))
}

/// Bytes of the file system at `path`, those free to this user, and how many more objects it may have.
pub(crate) fn space(path: &Path) -> Option<(u64, u64, u64)> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size() as u64);
    let inodes = if stat.files() == 0 { u64::MAX } else { stat.files_available() as u64 };
    Some((bytes(stat.blocks() as u64), bytes(stat.blocks_available() as u64), inodes))
}

/// Bytes of memory that the machine has free; 0 where it will not say.
pub(crate) fn free_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// The largest file this process may make; going beyond it would be a signal, not an error.
pub(crate) fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: 2; the pointer is to a whole `rlimit`. On failure it keeps the value above.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    if limit.rlim_cur == libc::RLIM_INFINITY { u64::MAX } else { limit.rlim_cur as u64 }
}

/// Bytes of a memory page.
pub(crate) fn page_size() -> u64 {
    // SAFETY: plain numbers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The effective user id.
pub(crate) fn user() -> u32 {
    // SAFETY: no pointers, and it cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether this process belongs to `group`, by its effective or a supplementary group id.
pub(crate) fn in_group(group: u32) -> Result<bool, OsError> {
    if nix::unistd::getegid().as_raw() == group {
        return Ok(true);
    }
    let groups = nix::unistd::getgroups().map_err(|code| OsError { call: "getgroups", code: code as i32 })?;
    Ok(groups.iter().any(|one| one.as_raw() == group))
}

/// Whether `file` lies on a file system that is known to keep locks with mappings: one that maps the very file that
/// was opened.
pub(crate) fn keeps_locks(file: &File) -> bool {
    const KNOWN: [FsType; 4] = [TMPFS_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC];
    nix::sys::statfs::fstatfs(file).is_ok_and(|stat| KNOWN.contains(&stat.filesystem_type()))
}

/// Whether `file`, a directory perhaps, lies on a tmpfs.
pub(crate) fn is_tmpfs(file: &File) -> bool {
    nix::sys::statfs::fstatfs(file).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC)
}

/// A new memfd that can be sealed. The name is for people.
pub(crate) fn memfd(name: &str) -> Result<File, OsError> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // A sysctl may demand that one says whether it is to be executable; kernels before 6.3 do not know the word.
    let made = match memfd_create(name, flags | MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL)) {
        Err(nix::Error::EINVAL) => memfd_create(name, flags),
        made => made,
    };
    made.map(File::from).map_err(|code| OsError { call: "memfd_create", code: code as i32 })
}

/// The seals of a memfd; `None` for what is none.
pub(crate) fn seals(file: &File) -> Option<SealFlag> {
    // Other files of a tmpfs answer too; they are sealed against sealing from the start.
    nix::fcntl::fcntl(file, FcntlArg::F_GET_SEALS).ok().map(SealFlag::from_bits_retain)
}

/// Seals a memfd.
pub(crate) fn seal(file: &File, seals: SealFlag) -> Result<(), OsError> {
    let done = nix::fcntl::fcntl(file, FcntlArg::F_ADD_SEALS(seals));
    done.map(drop).map_err(|code| OsError { call: "fcntl(F_ADD_SEALS)", code: code as i32 })
}

/// Whether a descriptor is closed by exec.
pub(crate) fn close_on_exec(file: &File, yes: bool) -> Result<(), OsError> {
    let flags = if yes { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    let done = nix::fcntl::fcntl(file, FcntlArg::F_SETFD(flags));
    done.map(drop).map_err(|code| OsError { call: "fcntl(F_SETFD)", code: code as i32 })
}

/// The path that reaches the object of `fd` whatever its name.
pub(crate) fn proc_path(fd: RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

/// Gives an unnamed file a name; `EEXIST` if the name is taken.
pub(crate) fn link_unnamed(file: &File, path: &Path) -> Result<(), OsError> {
    let source = proc_path(file.as_raw_fd());
    nix::unistd::linkat(AT_FDCWD, source.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
        .map_err(|code| OsError { call: "linkat(/proc/self/fd)", code: code as i32 })
}

/// Renames, never over an existing name: `EEXIST`.
pub(crate) fn rename_noreplace(from: &Path, to: &Path) -> Result<(), OsError> {
    let nul = |_| OsError { call: "renameat2", code: libc::EINVAL };
    let from = CString::new(from.as_os_str().as_bytes()).map_err(nul)?;
    let to = CString::new(to.as_os_str().as_bytes()).map_err(nul)?;
    let (here, flag) = (libc::AT_FDCWD, libc::RENAME_NOREPLACE);
    // SAFETY: 2; two C strings that live until the call returns. (musl has no wrapper.)
    let done = unsafe { libc::syscall(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), flag) };
    if done == 0 { Ok(()) } else { Err(OsError::last("renameat2")) }
}

/// A descriptor of the process `pid`; `ESRCH` if there is none.
pub(crate) fn pidfd_open(pid: i32) -> Result<OwnedFd, OsError> {
    // SAFETY: 1; plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(OsError::last("pidfd_open"));
    }
    // SAFETY: the call has just made this descriptor, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether the process behind `pidfd` has exited with all its threads, reaped or not.
pub(crate) fn pidfd_exited(pidfd: &OwnedFd) -> bool {
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: 2; one `pollfd`, and a count of one.
    let ready = unsafe { libc::poll(&mut poll, 1, 0) };
    ready == 1 && poll.revents & libc::POLLIN != 0
}

/// Starts a thread on which no signal handler of the program runs, but for those of faults.
pub(crate) fn spawn_without_signals(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OsError> {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: a set of this frame's.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    for fault in [libc::SIGBUS, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS] {
        // SAFETY: a set of this frame's, and a signal that exists.
        unsafe { libc::sigdelset(all.as_mut_ptr(), fault) };
    }
    // SAFETY: two sets of this frame's.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    // SAFETY: the set that the call above has filled in.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), core::ptr::null_mut()) };
    spawned.map(drop).map_err(|error| OsError { call: "clone", code: error.raw_os_error().unwrap_or(libc::EAGAIN) })
}

/// Calls the three handlers at every `fork` of this process: before it, and after it in parent and child.
pub(crate) fn at_fork(
    prepare: extern "C" fn(),
    parent: extern "C" fn(),
    child: extern "C" fn(),
) -> Result<(), OsError> {
    // SAFETY: the handlers are functions of this program, live as long as it, and cannot unwind (`extern "C"`).
    let code = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    if code == 0 { Ok(()) } else { Err(OsError { call: "pthread_atfork", code }) }
}

#[cfg(test)]
mod tests {
    use super::write_zeros;

    #[test]
    fn zeros_are_as_many_as_asked_for() {
        for len in [1, 4096, (1 << 16) - 1, 1 << 16, (1 << 17) + 1] {
            let file = tempfile::tempfile().unwrap();
            write_zeros(&file, len).unwrap();
            assert_eq!(file.metadata().unwrap().len(), len);
        }
    }
}
