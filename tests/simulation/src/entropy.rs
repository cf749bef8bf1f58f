//! Where randomness comes from when a library asks the system for it: the seed. The
//! standard library's hash maps, openraft's election timeouts and the server's request
//! ids ask `getrandom`; this is that function, for the whole process.
//!
//! TLS alone draws elsewhere. What it draws is seen in the bytes on the wire and in
//! nothing that the simulation goes by.

#![allow(unsafe_code, reason = "a C function is defined")]

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

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
