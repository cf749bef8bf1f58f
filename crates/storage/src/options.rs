//! How RocksDB is set up: small data on small machines, bounded memory, a quick start, nothing taken on trust.
//!
//! # What recovery must tell apart
//!
//! After a crash the end of the write-ahead log (WAL) may be a write that was never synced. Whatever became of it
//! (cut short, full of zeros, half there with a checksum that does not fit) nobody was told that it was durable,
//! and it must not stop a healthy node from starting. Damage to a write that *was* synced is another matter: a
//! vote or an entry that others count on is gone. RocksDB has no mode that tells the two apart:
//!
//! - `TolerateCorruptedTailRecords` refuses to start on a bad checksum in the last, unsynced record (a page that
//!   reached the disk without its neighbour), yet takes a record whose *length* was flipped for a torn one when it
//!   stands in the last block, and silently drops it with all that follows.
//! - `PointInTime` takes any damage for the end, and silently drops all that follows.
//!
//! So both databases open with `PointInTime`, which yields a prefix of what was written, in whole batches, and
//! whether that prefix is long enough is judged by us:
//!
//! - **log**: every synced batch carries a number, and the number of the last one synced is kept beside the
//!   database ([`crate::log`]). A log that ends before it is refused, before anything is changed.
//! - **state**: a shorter prefix is a correct state of an earlier index, and is brought up from the log; the state
//!   is synced through what the log forgets, and a state that ends before the log begins is refused.
//!
//! Damage elsewhere (tables, manifest) is found by RocksDB's checksums on every read.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options, ReadOptions,
    statistics::StatsLevel,
};

/// Blocks of both databases, their indexes and filters included.
const BLOCK_CACHE: usize = 32 << 20;
/// One memtable; a database has at most [`MEMTABLES`].
const MEMTABLE: usize = 8 << 20;
const MEMTABLES: i32 = 3;
/// Open table files of one database.
const OPEN_FILES: i32 = 128;
/// Write-ahead log kept by one database, and so the most that a start reads again.
const WAL: u64 = 32 << 20;
/// RocksDB's own diary in the database's directory.
const DIARY: usize = 1 << 20;
const DIARIES: usize = 3;

/// The cache that the databases of one directory share.
pub(crate) fn block_cache() -> Cache {
    Cache::new_lru_cache(BLOCK_CACHE)
}

/// The options of either database.
pub(crate) fn database(cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // Each write goes to the kernel at once: it survives the process, and one sync makes it survive the machine.
    options.set_manual_wal_flush(false);
    options.set_max_total_wal_size(WAL);
    options.set_write_buffer_size(MEMTABLE);
    options.set_max_write_buffer_number(MEMTABLES);
    options.set_max_bytes_for_level_base(4 * MEMTABLE as u64);
    options.set_target_file_size_base(MEMTABLE as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES);
    options.set_skip_stats_update_on_db_open(true);
    options.set_bytes_per_sync(1 << 20);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&tables(cache));
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // Counters only: how often the WAL was synced is part of what the log says about itself.
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(DIARY);
    options.set_keep_log_file_num(DIARIES);
    options
}

fn tables(cache: &Cache) -> BlockBasedOptions {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    tables.set_bloom_filter(10.0, false);
    tables
}

/// Reads `[from, to)` in order without pushing out what point reads use.
pub(crate) fn range(from: Vec<u8>, to: Vec<u8>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    options
}
