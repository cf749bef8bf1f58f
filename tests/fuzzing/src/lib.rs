//! Runs the parsers' fuzz targets within `cargo test`. The same functions are wrapped
//! for `cargo fuzz` in `fuzz/`.
//!
//! A target is `fn(&[u8]) -> bool`: it gives the bytes to a parser, asserts what must
//! hold of whatever was understood (that it reads back, that it is the one form), and
//! says whether it was. `fuzz/corpus/<target>/` holds inputs: those called `ok-…` are
//! understood, those called `bad-…` are not, so that no target passes by refusing
//! everything.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod corpus;
mod damage;

pub use corpus::keep;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

/// Damaged inputs that one target is tried on.
const CASES: u32 = 384;

/// A fuzz target.
pub type Target = fn(&[u8]) -> bool;

/// Runs a target over its corpus, over damaged forms of it, and over bytes.
///
/// # Panics
/// When the target does, on the smallest input that makes it; when an input of the
/// corpus is not understood as its name says, or there is none that is.
pub fn exercise(name: &str, target: Target) {
    let corpus = corpus::read(name);
    for entry in &corpus {
        let understood = target(&entry.bytes);
        assert_eq!(understood, entry.is_ok, "{}", entry.path.display());
    }
    assert!(
        corpus.iter().any(|entry| entry.is_ok),
        "{name}: nothing in its corpus is understood"
    );
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|entry| entry.bytes).collect();
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let damaged = damage::damaged(inputs);
    let anything = proptest::collection::vec(any::<u8>(), 0..256);
    let outcome = runner.run(&prop_oneof![7 => damaged, 1 => anything], |input| {
        target(&input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{name}: {error}");
    }
}

/// A test for each target of a crate's `fuzz_targets` module, in a module below it.
#[macro_export]
macro_rules! exercise {
    ($($target:ident),+ $(,)?) => {
        $(
            #[test]
            fn $target() {
                $crate::exercise(stringify!($target), super::$target);
            }
        )+
    };
}
