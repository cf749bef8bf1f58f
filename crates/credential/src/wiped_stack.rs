//! Leaving nothing of a private key on the stack.
//!
//! The libraries wipe what they hold when they drop it. What they leave is what the
//! compiler spilled and moved: digests, schedules, limbs of the scalar, the nonce,
//! which together with the signature is the key. It lies below the caller's frame
//! until a later call happens to cover it, on the stack of whichever thread signed.

use std::hint::black_box;

/// More than twice as much stack as any work below uses, which a test measures.
const DEPTH: usize = 24 << 10;
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

    use sha2::{Digest as _, Sha512};

    use super::*;
    use crate::signing_key::SigningKey;

    /// Below anything that a test's own frames reach.
    const LOOKED_AT: usize = 256 << 10;
    const PAINT: u8 = 0xa5;

    /// Runs `work` over a painted stack on a thread of its own, and gives the stack
    /// below it as it was left, lowest address first.
    fn left_by(work: impl FnOnce() + Send) -> Vec<u8> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(2 << 20);
            let thread = thread.spawn_scoped(scope, || {
                paint();
                below(work);
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

    /// Read through the kernel: to read what no variable holds is nothing that the
    /// language knows.
    #[inline(never)]
    fn stack_below_here() -> Vec<u8> {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut here = [0_u8; 8];
        let top = std::ptr::from_mut(&mut here).addr();
        // What is read must not be written over by reading it: the buffer is on the
        // heap, and the frames of `read` lie at the top, where nothing is judged.
        let mut stack = vec![0; LOOKED_AT - (16 << 10)];
        let bottom = top - stack.len();
        memory.read_exact_at(&mut stack, bottom as u64).unwrap();
        black_box(&here);
        stack
    }

    fn touched(stack: &[u8]) -> usize {
        let untouched = stack.iter().take_while(|byte| **byte == PAINT).count();
        stack.len() - untouched
    }

    fn seed() -> [u8; 32] {
        Sha512::digest("a seed that stands nowhere else")[..32]
            .try_into()
            .unwrap()
    }

    #[test]
    fn the_stack_that_signing_uses_is_less_than_half_of_what_is_wiped() {
        let key = SigningKey::from_seed(&seed());
        let message = vec![7_u8; 8192];
        let signing = touched(&left_by(|| {
            black_box(key.sign_unwiped(&message));
        }));
        let making = touched(&left_by(|| {
            let mut bytes = Box::new([seed(), [0; 32]]);
            black_box(SigningKey::expand_unwiped(&mut bytes));
        }));
        assert!(signing > 1024, "the measure measures: {signing}");
        for used in [signing, making] {
            assert!(used < DEPTH / 2, "{used} of {DEPTH} bytes");
        }
    }

    /// Each 8 bytes of what the key is made of, in either order of a word.
    fn parts() -> Vec<[u8; 8]> {
        let expanded = Sha512::digest(seed());
        let scalar_and_prefix = [&expanded[1..31], &expanded[32..64]];
        let mut parts: Vec<[u8; 8]> = [&seed()[..], scalar_and_prefix[0], scalar_and_prefix[1]]
            .iter()
            .flat_map(|secret| secret.windows(8))
            .map(|part| part.try_into().unwrap())
            .collect();
        for part in parts.clone() {
            parts.push(u64::from_le_bytes(part).to_be_bytes());
        }
        parts
    }

    fn holds(stack: &[u8], parts: &[[u8; 8]]) -> bool {
        stack.windows(8).any(|bytes| {
            let bytes: [u8; 8] = bytes.try_into().unwrap();
            parts.contains(&bytes)
        })
    }

    #[test]
    fn signing_leaves_nothing_of_the_key_on_the_stack() {
        let parts = parts();
        let key = SigningKey::from_seed(&seed());
        let unwiped = left_by(|| {
            black_box(key.sign_unwiped(b"a message"));
        });
        assert!(holds(&unwiped, &parts), "the search finds what is left");
        let wiped = left_by(|| {
            black_box(key.sign(b"a message"));
        });
        assert!(!holds(&wiped, &parts));
    }

    #[test]
    fn making_a_key_leaves_nothing_of_it_on_the_stack() {
        let parts = parts();
        let drawn = seed();
        let wiped = left_by(|| {
            let memory = Box::new([[0; 32]; 2]);
            let draw = |seed: &mut [u8; 32]| {
                seed.copy_from_slice(&drawn);
                Ok::<(), ()>(())
            };
            drop(black_box(SigningKey::draw(Box::new(memory), draw)));
        });
        assert!(!holds(&wiped, &parts));
    }
}
