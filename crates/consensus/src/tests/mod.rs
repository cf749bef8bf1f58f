//! Whole clusters in one process: real TLS on loopback, real RocksDB, a network
//! whose links can be cut.

mod cluster;
mod compaction;
mod failover;
mod freshness;
mod group_commit;
mod growth;
mod retries;
mod strangers;
mod switchboard;
mod wall_clocks;
