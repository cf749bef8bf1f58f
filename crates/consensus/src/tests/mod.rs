//! Whole clusters in one process: real TLS on loopback, real RocksDB, a network
//! whose links can be cut.

mod bounded_writes;
mod cluster;
mod compaction;
mod failover;
mod freshness;
mod group_commit;
mod growth;
mod many_agents;
mod retries;
mod strangers;
mod switchboard;
mod wall_clocks;
