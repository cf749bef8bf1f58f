//! What a database takes of the machine.

/// About how much a database takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Table files on the disk.
    pub tables: u64,
    /// Of the memory, what is written and not in a table yet; the write-ahead log on the disk holds it too.
    pub memtables: u64,
    /// Of the memory, blocks that were read; shared by the databases of one directory, and the same for each.
    pub block_cache: u64,
}

impl Footprint {
    /// What is kept: in tables, or on the way there.
    #[must_use]
    pub const fn kept(&self) -> u64 {
        self.tables.saturating_add(self.memtables)
    }
}
