//! Which system calls a slice of a parked handle takes, told by a tracer: this is what its CPU time is made of, and unlike
//! that it can be counted.
#![allow(unsafe_code)]

mod support;

use std::mem::MaybeUninit;
use std::thread;
use std::time::Duration;

use ring_shm::wait::{SLICE, WaitSet, Waitable};
use ring_shm::{mpmc, spsc};
use support::{TestName, at_once, child, say, unique};

#[test]
fn child_entry() {
    support::run_role(|role, args| {
        // SAFETY: no arguments.
        say(&unsafe { libc::gettid() }.to_string());
        play_parked(role, &args[0], &args[1]);
    });
}

/// Parks a handle in one call, over and over.
macro_rules! park {
    ($open:expr, $wait:ident($($arg:expr),*)) => {{
        let mut handle = $open.unwrap();
        handle.set_wait_strategy(at_once());
        while handle.$wait($($arg),*).is_ok() {}
    }};
}

/// Parks until it is killed.
fn play_parked(role: &str, name: &str, other: &str) {
    match role {
        "spsc-consumer" => park!(spsc::Consumer::open(name), recv_into(&mut [0; 8])),
        "spsc-producer" => park!(spsc::Producer::open(name), send(0, &[0; 8])),
        "mpmc-consumer" => park!(mpmc::Consumer::open(name), recv_into(&mut [0; 8])),
        "mpmc-producer" => park!(mpmc::Producer::open(name), send(0, &[0; 8])),
        "set" => {
            let (mut one, mut many) = (spsc::Consumer::open(name).unwrap(), mpmc::Consumer::open(other).unwrap());
            let mut set = WaitSet::new();
            set.set_wait_strategy(at_once());
            set.wait(&mut [&mut one as &mut dyn Waitable, &mut many]).unwrap();
        }
        other => panic!("no role {other}"),
    }
    panic!("nobody sends, or receives");
}

fn ptrace(request: libc::c_uint, thread: i32, address: usize, data: usize) -> Result<i64, std::io::Error> {
    // SAFETY: the requests used here take no pointer, or the size and the address of a live `ptrace_syscall_info`.
    let done = unsafe { libc::ptrace(request as _, thread, address, data) };
    if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(done) }
}

fn wait_for_stop(thread: i32) {
    let mut status = 0;
    // SAFETY: a whole int.
    assert_eq!(unsafe { libc::waitpid(thread, &mut status, libc::__WALL) }, thread);
    assert!(libc::WIFSTOPPED(status), "{status:#x}");
}

/// The system call that the stopped `thread` is about to make, if it is.
fn entered(thread: i32) -> Option<libc::c_long> {
    const ENTRY: u8 = 1;
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of_val(&info);
    ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, size, info.as_mut_ptr().expose_provenance()).unwrap();
    // SAFETY: plain numbers, zero before and filled in.
    let info = unsafe { info.assume_init() };
    // SAFETY: plain numbers, whatever `op` says of them.
    let call = unsafe { info.u.entry.nr };
    (info.op == ENTRY).then_some(call as libc::c_long)
}

const SLICES: usize = 5;

/// The calls of some slices, each from one sleep to the next; the error if nobody may be traced here.
fn slices(thread: i32) -> Result<Vec<Vec<libc::c_long>>, std::io::Error> {
    ptrace(libc::PTRACE_SEIZE, thread, 0, libc::PTRACE_O_TRACESYSGOOD as usize)?;
    ptrace(libc::PTRACE_INTERRUPT, thread, 0, 0)?;
    wait_for_stop(thread);
    let mut slices: Vec<Vec<_>> = Vec::new();
    for _ in 0..1000 {
        ptrace(libc::PTRACE_SYSCALL, thread, 0, 0)?;
        wait_for_stop(thread);
        match entered(thread) {
            None => {}
            // A clock that the kernel cannot show to everybody is asked by a call.
            Some(libc::SYS_clock_gettime) => {}
            Some(call) => {
                if call == libc::SYS_futex || call == libc::SYS_futex_waitv {
                    if slices.len() > SLICES {
                        // A traced thread that dies has to be reaped by its tracer.
                        ptrace(libc::PTRACE_DETACH, thread, 0, 0)?;
                        // The first sleep is the one that the tracer has interrupted.
                        return Ok(slices.split_off(1));
                    }
                    slices.push(Vec::new());
                }
                if let Some(slice) = slices.last_mut() {
                    // The C library has two ways to ask what a descriptor means.
                    slice.push(if call == libc::SYS_newfstatat { libc::SYS_fstat } else { call });
                }
            }
        }
    }
    panic!("{slices:?}");
}

fn expect(role: &str, names: [&str; 2], calls: &[libc::c_long]) {
    let mut parked = child(role, &names);
    let thread = parked.wait_for("").parse().unwrap();
    thread::sleep(3 * SLICE + Duration::from_millis(100));
    match slices(thread) {
        Ok(slices) => assert_eq!(slices, vec![calls; SLICES], "{role}"),
        Err(error) => println!("skipped: {role} cannot be traced here: {error}"),
    }
    parked.kill();
}

fn spsc_ring() -> TestName {
    let name = unique("calls");
    spsc::create(name.as_str(), &spsc::Options::new().capacity(64)).unwrap();
    name
}

fn mpmc_ring() -> TestName {
    let name = unique("calls");
    mpmc::create(name.as_str(), &mpmc::Options::new().slots(4).slot_size(8)).unwrap();
    name
}

/// The question about the other side, and one that shows that it was about this ring.
const VERDICT: [libc::c_long; 2] = [libc::SYS_fcntl, libc::SYS_fstat];

#[test]
fn a_slice_is_a_sleep_and_a_verdict_on_an_spsc_ring() {
    let name = spsc_ring();
    let tx = spsc::Producer::open(name.as_str()).unwrap();
    expect("spsc-consumer", [name.as_str(), "-"], &[libc::SYS_futex, VERDICT[0], VERDICT[1]]);
    drop(tx);
    let name = spsc_ring();
    let _rx = spsc::Consumer::open(name.as_str()).unwrap();
    expect("spsc-producer", [name.as_str(), "-"], &[libc::SYS_futex, VERDICT[0], VERDICT[1]]);
}

#[test]
fn a_slice_is_a_sleep_on_an_mpmc_ring() {
    let name = mpmc_ring();
    let _tx = mpmc::Producer::open(name.as_str()).unwrap();
    expect("mpmc-consumer", [name.as_str(), "-"], &[libc::SYS_futex]);
    expect("mpmc-producer", [name.as_str(), "-"], &[libc::SYS_futex]);
}

#[test]
fn a_slice_of_a_wait_set_is_one_sleep_and_a_verdict_for_each_spsc_ring() {
    let (one, many) = (spsc_ring(), mpmc_ring());
    let _tx = spsc::Producer::open(one.as_str()).unwrap();
    expect("set", [one.as_str(), many.as_str()], &[libc::SYS_futex_waitv, VERDICT[0], VERDICT[1]]);
}
