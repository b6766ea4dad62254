//! One file a rival: how its ends are made and what one operation is, as its documentation shows it.

use memmap2::MmapOptions;
use std::fs::File;

#[cfg(has_boost)]
pub(crate) mod boost;
pub(crate) mod disruptor;
pub(crate) mod iceoryx;
pub(crate) mod ipc_channel;
pub(crate) mod ringbuf;
pub(crate) mod shaq;
pub(crate) mod shmem_ipc;
#[cfg(has_tbb)]
pub(crate) mod tbb;
#[cfg(has_zmq)]
pub(crate) mod zmq;

/// A file without a name in shared memory.
pub(crate) fn nameless_file(bytes: usize) -> Result<File, String> {
    let failed = |why| format!("no file of {bytes} bytes in /dev/shm: {why}");
    let file = tempfile::tempfile_in("/dev/shm").map_err(failed)?;
    file.set_len(bytes as u64).map_err(failed)?;
    Ok(file)
}

/// Zeroed shared memory that is mapped for good; whoever is forked later has it at the same address.
pub(crate) fn shared_memory(bytes: usize) -> Result<*mut u8, String> {
    let memory = MmapOptions::new().populate().map_raw(&nameless_file(bytes)?);
    let memory = memory.map_err(|why| format!("cannot map {bytes} bytes of shared memory: {why}"))?;
    let first = memory.as_mut_ptr();
    core::mem::forget(memory);
    Ok(first)
}
