//! An incremental hash of a set of rows.

use sha2::{Digest as _, Sha256};

use crate::encoding::canonical;
use crate::row::Row;

/// Separates these hashes from any other use of SHA-256.
const DOMAIN: &[u8] = b"chancery row v1\0";

/// The sum, modulo 2^256, of the SHA-256 of each row's canonical bytes.
///
/// A sum can be kept up to date with each row written, in any order, which is
/// what lets every node compare its state without walking it. Addition, not XOR:
/// a row that is there twice shows in a sum and vanishes in an XOR. It finds
/// nodes that differ by a fault; it is no proof against somebody who chooses the
/// rows, who would have to hold a quorum anyway.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    pub(crate) fn add(&mut self, row: &Row) {
        self.combine(hash(row), u64::overflowing_add);
    }

    pub(crate) fn subtract(&mut self, row: &Row) {
        self.combine(hash(row), u64::overflowing_sub);
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (room, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            room.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// Limb by limb from the least significant, with the carry or the borrow.
    fn combine(&mut self, hash: [u64; 4], step: fn(u64, u64) -> (u64, bool)) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(hash) {
            let (partial, first) = step(*limb, other);
            let (whole, second) = step(partial, u64::from(carry));
            *limb = whole;
            carry = first || second;
        }
    }
}

fn hash(row: &Row) -> [u64; 4] {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(canonical(row));
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(hasher.finalize().chunks_exact(8)) {
        *limb = bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
    }
    limbs
}

/// One hash over the sums of several tables.
pub(crate) fn combined<'a>(sums: impl IntoIterator<Item = &'a Sum>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"chancery state v1\0");
    for sum in sums {
        hasher.update(sum.to_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_credential::TokenId;

    fn row(byte: u8) -> Row {
        Row::RevokedToken(TokenId::from_bytes([byte; 16]))
    }

    #[test]
    fn the_order_does_not_matter_and_the_count_does() {
        let (mut forth, mut back) = (Sum::default(), Sum::default());
        for byte in 0..100 {
            forth.add(&row(byte));
            back.add(&row(99 - byte));
        }
        assert_eq!(forth, back);
        back.add(&row(7));
        back.add(&row(7));
        assert_ne!(forth, back, "an even number of a row is not none");
    }

    #[test]
    fn what_is_taken_out_leaves_no_trace() {
        let mut sum = Sum::default();
        for byte in 0..100 {
            sum.add(&row(byte));
        }
        for byte in 0..100 {
            sum.subtract(&row(byte));
        }
        assert_eq!(sum, Sum::default());
        sum.subtract(&row(1));
        sum.add(&row(1));
        assert_eq!(sum, Sum::default(), "below nothing and back");
    }
}
