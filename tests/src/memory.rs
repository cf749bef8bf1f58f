//! Copies of secrets in the memory of a process that runs, read as root or its
//! parent reads it (proc(5), `/proc/PID/mem`): every page that it has, whatever
//! library it belongs to.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    os::unix::fs::FileExt,
};

use aho_corasick::AhoCorasick;
use sha2::{Digest, Sha512};

const PAGE: u64 = 4096;
/// Pages read at a time, and how many bytes of the former are read again.
const STRETCH: u64 = 4096;
const OVERLAP: u64 = 512;

/// A part of a secret, found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Which part of it, and in which form.
    pub what: String,
    /// Where.
    pub address: u64,
    /// In which mapping.
    pub mapping: Mapping,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {:x} in {:?}",
            self.what, self.address, self.mapping
        )
    }
}

/// A stretch of a process's memory (proc(5), `smaps`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    from: u64,
    to: u64,
    name: String,
    flags: BTreeSet<String>,
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        write!(
            f,
            "{:x}-{:x} `{}` {}",
            self.from,
            self.to,
            self.name,
            flags.join(" ")
        )
    }
}

impl Mapping {
    /// Whether it is never swapped out.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.flags.contains("lo")
    }

    /// Whether neither a core dump nor a child gets it.
    #[must_use]
    pub fn is_undumped(&self) -> bool {
        self.flags.contains("dd") && self.flags.contains("dc")
    }
}

/// What a signing key is made of, and what is made of it to sign (RFC 8032 §5.1.5
/// and §5.1.6), in the forms in which the libraries that sign hold it.
pub struct KeyParts {
    patterns: Vec<Vec<u8>>,
    /// For each pattern.
    names: Vec<String>,
}

/// The order of the group: 2^252 + 27742317777372353535851937790883648493.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

impl KeyParts {
    /// Of the key of `seed`, and of the nonces that it signed each of `signed` with:
    /// a nonce is the key to whoever has the signature.
    #[must_use]
    pub fn of(seed: &[u8; 32], signed: &[&[u8]]) -> Self {
        let mut parts = Self {
            patterns: Vec::new(),
            names: Vec::new(),
        };
        let expanded: [u8; 64] = Sha512::digest(seed).into();
        let (scalar, prefix) = expanded.split_at(32);
        parts.bytes("seed", seed);
        // Clamping changes the first and the last byte.
        parts.bytes("scalar", &scalar[1..31]);
        parts.bytes("prefix", prefix);
        let mut clamped: [u8; 32] = scalar.try_into().unwrap();
        clamped[0] &= 248;
        clamped[31] = clamped[31] & 127 | 64;
        parts.number("scalar", &reduced(&clamped));
        for signed in signed {
            let mut hash = Sha512::new();
            hash.update(prefix);
            hash.update(signed);
            let nonce: [u8; 64] = hash.finalize().into();
            parts.bytes("nonce", &nonce);
            parts.number("nonce", &reduced(&nonce));
        }
        parts
    }

    /// A number below the group's order: as bytes, in limbs of 52 bits, in digits of
    /// 4 bits with a sign.
    fn number(&mut self, what: &str, number: &[u8; 32]) {
        self.bytes(&format!("{what}, reduced"), number);
        let limbs: Vec<u8> = (0..5)
            .flat_map(|limb| bits(number, limb * 52, 52).to_le_bytes())
            .collect();
        self.every(&format!("{what}, in limbs"), &limbs, 16);
        let mut digits: Vec<i8> = number
            .iter()
            .flat_map(|byte| [(byte & 15) as i8, (byte >> 4) as i8])
            .collect();
        for at in 0..63 {
            let carry = (digits[at] + 8) >> 4;
            digits[at] -= carry << 4;
            digits[at + 1] += carry;
        }
        let digits: Vec<u8> = digits.into_iter().map(|digit| digit as u8).collect();
        self.every(&format!("{what}, in digits"), &digits, 24);
    }

    /// Bytes, and as words whose order a hash function turned.
    fn bytes(&mut self, what: &str, bytes: &[u8]) {
        self.every(what, bytes, 8);
        for (form, word) in [("in words of 8", 8), ("in words of 4", 4)] {
            let turned: Vec<u8> = bytes
                .chunks_exact(word)
                .flat_map(|word| word.iter().rev().copied())
                .collect();
            self.every(&format!("{what}, {form}"), &turned, 8);
        }
    }

    fn every(&mut self, what: &str, bytes: &[u8], length: usize) {
        for part in bytes.windows(length) {
            self.patterns.push(part.to_vec());
            self.names.push(what.to_owned());
        }
    }
}

/// `count` bits of a little-endian number from bit `from`.
fn bits(number: &[u8; 32], from: usize, count: usize) -> u64 {
    (0..count.min(256_usize.saturating_sub(from)))
        .map(|bit| {
            let at = from + bit;
            u64::from(number[at / 8] >> (at % 8) & 1) << bit
        })
        .sum()
}

/// A little-endian number modulo the group's order: bit by bit from the top.
fn reduced(number: &[u8]) -> [u8; 32] {
    let mut rest = [0_u8; 32];
    for bit in (0..number.len() * 8).rev() {
        let mut carry = number[bit / 8] >> (bit % 8) & 1;
        for byte in &mut rest {
            let shifted = u16::from(*byte) << 1 | u16::from(carry);
            [*byte, carry] = shifted.to_le_bytes();
        }
        let mut less = rest;
        let mut borrow = 0;
        for (byte, order) in less.iter_mut().zip(ORDER) {
            let difference = i16::from(*byte) - i16::from(order) - borrow;
            borrow = i16::from(difference < 0);
            *byte = difference.rem_euclid(256) as u8;
        }
        if borrow == 0 {
            rest = less;
        }
    }
    rest
}

/// Looks through all memory of the process `pid`.
///
/// # Panics
/// When it may not be read, or hardly any of it could be.
#[must_use]
pub fn search(pid: u32, parts: &KeyParts) -> Vec<Found> {
    let patterns = AhoCorasick::new(&parts.patterns).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let pages = File::open(format!("/proc/{pid}/pagemap")).unwrap();
    let mut found = BTreeSet::new();
    let mut looked_at = 0;
    for mapping in mappings(pid) {
        for (from, to) in present(&pages, &mapping) {
            let from = from.saturating_sub(OVERLAP).max(mapping.from);
            for (from, bytes) in read(&memory, from, to) {
                looked_at += bytes.len();
                for part in patterns.find_overlapping_iter(&bytes) {
                    found.insert(Found {
                        what: parts.names[part.pattern().as_usize()].clone(),
                        address: from + part.start() as u64,
                        mapping: mapping.clone(),
                    });
                }
            }
        }
    }
    assert!(
        looked_at > 8 << 20,
        "only {looked_at} bytes of {pid} were read"
    );
    found.into_iter().collect()
}

/// What can be read of a stretch, with where each piece begins: all of it, or page by
/// page when one has gone since. The kernel's own cannot be read.
fn read(memory: &File, from: u64, to: u64) -> Vec<(u64, Vec<u8>)> {
    let piece = |from: u64, to: u64| {
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        let read = memory.read_exact_at(&mut bytes, from);
        read.is_ok().then_some((from, bytes))
    };
    if let Some(whole) = piece(from, to) {
        return vec![whole];
    }
    let first = from / PAGE;
    let pages = (first..to.div_ceil(PAGE)).map(|page| (page * PAGE, (page + 1) * PAGE));
    let pages = pages.map(|(begin, end)| (begin.max(from), end.min(to)));
    pages.filter_map(|(begin, end)| piece(begin, end)).collect()
}

/// The stretches of a mapping that are in memory or swapped out (pagemap, bits 63
/// and 62).
fn present(pages: &File, mapping: &Mapping) -> Vec<(u64, u64)> {
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    let mut page = mapping.from / PAGE;
    let end = mapping.to / PAGE;
    while page < end {
        let count = (end - page).min(STRETCH);
        let mut entries = vec![0; usize::try_from(count * 8).unwrap()];
        if pages.read_exact_at(&mut entries, page * 8).is_err() {
            break;
        }
        for (number, entry) in (page..).zip(entries.chunks_exact(8)) {
            if entry[7] & 0b1100_0000 == 0 {
                continue;
            }
            let (from, to) = (number * PAGE, (number + 1) * PAGE);
            match stretches.last_mut() {
                Some((first, last)) if *last == from && to - *first <= STRETCH * PAGE => *last = to,
                _ => stretches.push((from, to)),
            }
        }
        page += count;
    }
    stretches
}

fn mappings(pid: u32) -> Vec<Mapping> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let flags = flags.split_whitespace().map(str::to_owned).collect();
            mappings.last_mut().unwrap().flags = flags;
            continue;
        }
        let mut words = line.split_whitespace();
        let range = words.next().and_then(|range| range.split_once('-'));
        if let Some((from, to)) = range
            && let Ok(from) = u64::from_str_radix(from, 16)
            && let Ok(to) = u64::from_str_radix(to, 16)
        {
            mappings.push(Mapping {
                from,
                to,
                name: words.nth(4).unwrap_or_default().to_owned(),
                flags: BTreeSet::new(),
            });
        }
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scalar with all bits, 2^256 − 1, and its remainder by another calculator.
    #[test]
    fn numbers_are_reduced_as_the_libraries_reduce_them() {
        assert_eq!(reduced(&ORDER), [0; 32]);
        let mut more = ORDER;
        more[0] += 5;
        assert_eq!(reduced(&more)[0], 5);
        let all = reduced(&[0xff; 32]);
        assert_eq!(
            hex::encode(all),
            "1c95988d7431ecd670cf7d73f45befc6feffffffffffffffffffffffffffff0f"
        );
    }

    #[test]
    fn a_key_that_lies_in_this_process_is_found_in_each_form() {
        let seed: [u8; 32] = Sha512::digest("planted in memory")[..32]
            .try_into()
            .unwrap();
        let parts = KeyParts::of(&seed, &[b"signed"]);
        for what in [
            "seed",
            "scalar",
            "prefix",
            "nonce",
            "scalar, in limbs",
            "nonce, in digits",
        ] {
            let pattern = parts.names.iter().position(|name| name == what).unwrap();
            let planted = std::hint::black_box(parts.patterns[pattern].clone());
            let found = search(std::process::id(), &parts);
            let address = planted.as_ptr().addr() as u64;
            assert!(
                found
                    .iter()
                    .any(|found| found.what == what && found.address == address),
                "{what}"
            );
        }
    }
}
