//! Whole clusters in one process: real TLS on loopback, real RocksDB, a network
//! whose links can be cut.

mod cluster;
mod compaction;
mod departures;
mod failover;
mod freshness;
mod growth;
mod strangers;
mod switchboard;
mod wall_clocks;
