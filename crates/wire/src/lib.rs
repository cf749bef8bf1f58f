//! The protocol: what clients and nodes say, and what stands in the log and on
//! disk, generated from `proto/`.
//!
//! It holds no rules: what a message means is decided where it is used.
//!
//! - [`v1`]: the public API.
//! - [`peer`]: node to node.
//! - [`log`]: what stands in the Raft log and in the state tables.

#![forbid(unsafe_code)]

mod redaction;

/// As the packages are nested: what is generated refers to the others by this path.
#[allow(missing_docs, clippy::all, rust_2018_idioms)]
mod chancery {
    pub mod v1 {
        tonic::include_proto!("chancery.v1");
    }
    pub mod peer {
        pub mod v1 {
            tonic::include_proto!("chancery.peer.v1");
        }
    }
    pub mod log {
        pub mod v1 {
            tonic::include_proto!("chancery.log.v1");
        }
    }
}

pub use chancery::{log::v1 as log, peer::v1 as peer, v1};

/// Descriptors of the public API, for reflection and for tests that walk every
/// method.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/chancery.v1.bin"));

/// Descriptors of the protocol between nodes, for tests that walk every method.
pub const PEER_FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/chancery.peer.v1.bin"));
