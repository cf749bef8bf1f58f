//! Whole clusters in one process: real TLS on loopback, real RocksDB, a network
//! whose links can be cut.

mod cluster;
mod compaction;
mod comparison;
mod departures;
mod failover;
mod following;
mod freshness;
mod growth;
mod history;
mod keeping;
mod rejections;
mod strangers;
mod switchboard;
mod wall_clocks;
