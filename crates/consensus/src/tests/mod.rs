//! Whole clusters in one process: real TLS on loopback, real RocksDB, a network
//! whose links can be cut.

mod bounded_writes;
mod cluster;
mod compaction;
mod comparison;
mod departures;
mod failover;
mod fence;
mod following;
mod freshness;
mod group_commit;
mod growth;
mod history;
mod keeping;
mod many_agents;
mod rejections;
mod retries;
mod seats;
mod strangers;
mod switchboard;
mod wall_clocks;
