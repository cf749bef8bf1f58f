//! Where randomness and the time of day come from when a library asks the system for
//! them: the seed, and the simulation. The standard library's hash maps, openraft's
//! election timeouts and the server's request ids ask `getrandom`, HTTP's `date` header
//! asks `clock_gettime`, and a header that is a byte longer can make two writes of one;
//! so does h2, which forgets a stream that it reset after a second.
//! These are those functions, for the whole process.
//!
//! TLS alone draws elsewhere. What it draws is seen in the bytes on the wire and in
//! nothing that the simulation goes by.

#![allow(unsafe_code, reason = "a C function is defined")]

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);
/// Microseconds since the Unix epoch; 0 while nothing is simulated.
static TIME: AtomicU64 = AtomicU64::new(0);

/// From here on it is that late, microseconds since the Unix epoch; 0: as late as it is.
pub fn set_time(us: u64) {
    TIME.store(us, Ordering::Relaxed);
}

/// From here on what the system gives follows from `seed`.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

/// SplitMix64.
fn draw() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut word = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// `getrandom(2)`.
///
/// # Safety
/// `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    for at in 0..length {
        // SAFETY: the caller's promise.
        unsafe { buffer.add(at).write(draw() as u8) };
    }
    length as isize
}

/// `getentropy(3)`.
///
/// # Safety
/// `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(buffer: *mut u8, length: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { getrandom(buffer, length, 0) };
    0
}

/// `struct timespec`.
#[repr(C)]
pub struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

const CLOCK_REALTIME: i32 = 0;
const CLOCK_MONOTONIC: i32 = 1;
#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: i64 = 228;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: i64 = 113;

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
}

/// `clock_gettime(2)`: the wall clock and the monotonic one are the simulation's while it
/// runs, all others are the machine's.
///
/// # Safety
/// `time` points to a `struct timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: i32, time: *mut TimeSpec) -> i32 {
    let us = TIME.load(Ordering::Relaxed);
    if !matches!(clock, CLOCK_REALTIME | CLOCK_MONOTONIC) || us == 0 {
        // SAFETY: the system call that the caller means, with what the caller gave.
        return unsafe { syscall(SYS_CLOCK_GETTIME, clock, time) } as i32;
    }
    let simulated = TimeSpec {
        seconds: i64::try_from(us / 1_000_000).unwrap_or(i64::MAX),
        nanoseconds: i64::try_from(us % 1_000_000 * 1_000).unwrap_or(0),
    };
    // SAFETY: the caller's promise.
    unsafe { time.write(simulated) };
    0
}
