//! ZeroMQ's PAIR sockets over `ipc://` between processes. Its calls sleep: its own thread, which moves the messages, runs
//! on the caller's CPU and would starve beside a poller. High-water marks are the capacity in messages, and each side has
//! one.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The functions are those of libzmq 4, with these signatures. Contexts and sockets are never freed.
//! 2. A socket is made in the thread that uses it and never leaves it.
//! 3. Options and messages are as long as the callee is told, and outlive the call.

use crate::channel::{Ends, Rival};
use crate::litter;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use ring_bench::kit::{Fault, Place, Rx, Tx};
use std::ffi::CString;
use std::sync::OnceLock;

unsafe extern "C" {
    fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
    fn zmq_ctx_new() -> *mut c_void;
    fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    fn zmq_setsockopt(socket: *mut c_void, option: c_int, value: *const c_void, size: usize) -> c_int;
    fn zmq_bind(socket: *mut c_void, address: *const c_char) -> c_int;
    fn zmq_connect(socket: *mut c_void, address: *const c_char) -> c_int;
    fn zmq_send(socket: *mut c_void, message: *const c_void, size: usize, flags: c_int) -> c_int;
    fn zmq_recv(socket: *mut c_void, message: *mut c_void, size: usize, flags: c_int) -> c_int;
}

const PAIR: c_int = 0;
const SNDHWM: c_int = 23;
const RCVHWM: c_int = 24;
const RCVTIMEO: c_int = 27;
const SNDTIMEO: c_int = 28;
/// Milliseconds after which a message was lost.
const LOST: c_int = 3_000;

/// For the table of versions.
pub(crate) fn version() -> String {
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: 1.
    unsafe { zmq_version(&raw mut major, &raw mut minor, &raw mut patch) };
    format!("ZeroMQ {major}.{minor}.{patch}")
}

pub(crate) enum Zmq {}

struct Socket(*mut c_void);

// SAFETY: 2; `Send` is asked for by the seam alone.
unsafe impl Send for Socket {}

/// This process's context; made after the fork, since it has threads.
fn context() -> *mut c_void {
    struct Context(*mut c_void);
    // SAFETY: libzmq's contexts are made for any number of threads.
    unsafe impl Send for Context {}
    // SAFETY: as above.
    unsafe impl Sync for Context {}
    static CONTEXT: OnceLock<Context> = OnceLock::new();
    // SAFETY: 1.
    CONTEXT.get_or_init(|| Context(unsafe { zmq_ctx_new() })).0
}

impl Socket {
    fn new(slots: usize) -> Result<Self, Fault> {
        // SAFETY: 1; a null context gives a null socket.
        let socket = unsafe { zmq_socket(context(), PAIR) };
        if socket.is_null() {
            return Err(Fault::Setup("no socket".into()));
        }
        for (option, value) in [(SNDHWM, slots as c_int), (RCVHWM, slots as c_int), (RCVTIMEO, LOST), (SNDTIMEO, LOST)]
        {
            // SAFETY: 1 and 3.
            let done = unsafe { zmq_setsockopt(socket, option, (&raw const value).cast(), size_of::<c_int>()) };
            if done != 0 {
                return Err(Fault::Setup(format!("option {option} is refused")));
            }
        }
        Ok(Self(socket))
    }
}

impl<const W: usize> Tx<W> for Socket {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { zmq_send(self.0, message.as_ptr().cast(), 8 * W, 0) == 8 * W as c_int }
    }
}

impl<const W: usize> Rx<W> for Socket {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        // SAFETY: 1, 2 and 3.
        unsafe { zmq_recv(self.0, message.as_mut_ptr().cast(), 8 * W, 0) == 8 * W as c_int }
    }
}

impl Rival for Zmq {
    const NAME: &'static str = "zmq";
    const PLACE: Place = Place::Processes;
    const TRIPS: u64 = 30;
    const THOUSANDS: u64 = 10;
    const SLEEPS: bool = true;

    fn ends<const W: usize>(bytes: usize) -> Result<Ends<impl Tx<W> + 'static, impl Rx<W> + 'static>, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let slots = bytes / (8 * W);
        let address = format!("ipc://{}/zmq{}", litter::folder(), NEXT.fetch_add(1, Relaxed));
        let address = CString::new(address).map_err(|why| why.to_string())?;
        let other = address.clone();
        let reached = |done: c_int, address: &CStr| {
            if done == 0 { Ok(()) } else { Err(Fault::Setup(format!("{address:?} cannot be reached"))) }
        };
        let tx = move || {
            let socket = Socket::new(slots)?;
            // SAFETY: 1 and 3.
            reached(unsafe { zmq_bind(socket.0, address.as_ptr()) }, &address)?;
            Ok(socket)
        };
        let rx = move || {
            let socket = Socket::new(slots)?;
            // SAFETY: 1 and 3.
            reached(unsafe { zmq_connect(socket.0, other.as_ptr()) }, &other)?;
            Ok(socket)
        };
        Ok(Ends { tx: Box::new(tx), rx: Box::new(rx) })
    }
}
