//! A node's edge and its callers.

pub mod call;
mod identities;
pub mod node;
pub mod registry;
mod service;

use std::time::Duration;

pub use call::{Answer, Client};
pub use identities::{Person, ServerFiles, root};
pub use node::{Node, Settings};
pub use registry::{FakeRegistry, ManualClock};
pub use service::{Probe, Witness};

/// Fails a test that waits for what does not come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"))
}
