//! Leaving nothing of a private key on the stack.
//!
//! The libraries wipe what they hold when they drop it. What they leave is what the
//! compiler spilled and moved: digests, schedules, limbs of the scalar, the nonce,
//! which together with the signature is the key. It lies below the caller's frame
//! until a later call happens to cover it, on the stack of whichever thread signed.

use std::hint::black_box;

/// More than twice as much stack as any work below uses, which a test measures.
const DEPTH: usize = 16 << 10;
/// How far below its caller the work begins, so that the frame of what overwrites
/// it, saved registers and alignment included, ends above it.
const STEP: usize = 256;

/// Does `work`, then overwrites the stack that it used. What it gives back is moved
/// by its caller and must be no secret.
pub(crate) fn with_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    let done = a_step_down(work);
    zeroize::zeroize_stack::<DEPTH>();
    done
}

#[inline(never)]
fn a_step_down<T>(work: impl FnOnce() -> T) -> T {
    let step = [0_u8; STEP];
    black_box(&step);
    let done = below(work);
    black_box(&step);
    done
}

#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use super::*;
    use crate::signing_key::SigningKey;

    /// Below anything that a test's own frames reach.
    const LOOKED_AT: usize = 256 << 10;
    const PAINT: u8 = 0xa5;
    /// How far below its caller work begins: what reads the stack afterwards lies above.
    const WELL: usize = 4 << 10;

    /// Runs `work` over a painted stack on a thread of its own, and gives the stack
    /// below it as it was left, lowest address first.
    fn left_by(work: impl FnOnce() + Send) -> Vec<u8> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(2 << 20);
            let thread = thread.spawn_scoped(scope, || {
                paint();
                well_below(work);
                stack_below_here()
            });
            thread.unwrap().join().unwrap()
        })
    }

    #[inline(never)]
    fn paint() {
        let paint = [PAINT; LOOKED_AT];
        black_box(&paint);
    }

    #[inline(never)]
    fn well_below(work: impl FnOnce()) {
        let room = [0_u8; WELL];
        black_box(&room);
        below(work);
        black_box(&room);
    }

    /// Read through the kernel: to read what no variable holds is nothing that the
    /// language knows.
    #[inline(never)]
    fn stack_below_here() -> Vec<u8> {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut here = [0_u8; 8];
        let top = std::ptr::from_mut(&mut here).addr();
        // What is read is not written over by reading it: the buffer is on the heap, and
        // the frames of `read` lie above the work.
        let mut stack = vec![0; LOOKED_AT - (16 << 10)];
        let bottom = top - stack.len();
        memory.read_exact_at(&mut stack, bottom as u64).unwrap();
        black_box(&here);
        stack
    }

    fn touched(stack: &[u8]) -> usize {
        let untouched = stack.iter().take_while(|byte| **byte == PAINT).count();
        (stack.len() - untouched).saturating_sub(WELL)
    }

    /// How many bytes, where work can have been, say anything at all. Above it stand the
    /// frames that lead to it, below it where the wiping returned to.
    fn left_over(stack: &[u8]) -> usize {
        let top = stack.len() - WELL - 2 * STEP;
        let judged = &stack[top - DEPTH / 2..top];
        let says_nothing = |byte: &&u8| **byte == PAINT || **byte == 0;
        judged.len() - judged.iter().filter(says_nothing).count()
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    #[test]
    fn the_stack_that_signing_uses_is_less_than_half_of_what_is_wiped() {
        let key = key();
        let message = vec![7_u8; 8192];
        let signing = touched(&left_by(|| {
            black_box(key.sign_unwiped(&message));
        }));
        let making = touched(&left_by(|| {
            let mut bytes = [[7; 32], [0; 32]];
            black_box(SigningKey::expand_unwiped(&mut bytes));
        }));
        for used in [signing, making] {
            assert!(used > 1024, "the measure measures: {used}");
            assert!(used < DEPTH / 2, "{used} of {DEPTH} bytes");
        }
    }

    #[test]
    fn signing_leaves_nothing_on_the_stack() {
        let key = key();
        let unwiped = left_over(&left_by(|| {
            black_box(key.sign_unwiped(b"a message"));
        }));
        assert!(unwiped > 256, "the measure measures: {unwiped}");
        let wiped = left_by(|| {
            black_box(key.sign(b"a message"));
        });
        assert_eq!(left_over(&wiped), 0);
    }

    #[test]
    fn making_a_key_leaves_nothing_on_the_stack() {
        let unwiped = left_over(&left_by(|| {
            let mut bytes = [[7; 32], [0; 32]];
            black_box(SigningKey::expand_unwiped(&mut bytes));
        }));
        assert!(unwiped > 256, "the measure measures: {unwiped}");
        let wiped = left_by(|| {
            black_box(with_wiped_stack(|| {
                let mut bytes = [[7; 32], [0; 32]];
                SigningKey::expand_unwiped(&mut bytes)
            }));
        });
        assert_eq!(left_over(&wiped), 0);
    }
}
