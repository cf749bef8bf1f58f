//! The memory that a private key lies in.

/// A private key as it is kept: the two halves of the seed's SHA-512 (RFC 8032
/// §5.1.5), of which the first becomes the scalar and the second the prefix that
/// nonces are made of.
pub type KeyBytes = [[u8; 32]; 2];

/// Memory for one private key. It lies still until it is dropped, however its owner
/// moves, and whoever makes it decides how well it is kept: locked, out of core
/// dumps. This crate asks no machine for anything; it wipes what it wrote.
pub trait KeyMemory: Send + Sync {
    /// What lies in it.
    fn read(&self) -> &KeyBytes;

    /// The same, to write to.
    fn write(&mut self) -> &mut KeyBytes;
}

/// The heap, which may be swapped out and dumped: for keys that guard nothing.
impl KeyMemory for Box<KeyBytes> {
    fn read(&self) -> &KeyBytes {
        self
    }

    fn write(&mut self) -> &mut KeyBytes {
        self
    }
}
