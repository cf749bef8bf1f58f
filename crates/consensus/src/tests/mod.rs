//! Whole clusters in one process: real TLS on loopback, real RocksDB, a network
//! whose links can be cut.

mod cluster;
mod compaction;
mod failover;
mod following;
mod freshness;
mod growth;
mod rejections;
mod strangers;
mod switchboard;
mod wall_clocks;
