//! How a node comes to be one: keys that it makes itself, a request file, and
//! the admission file that the operator returns.
//!
//! ```text
//!  on the node                     where the operator is
//!  NodeKeys ─► NodeRequest ──file──►  Root::sign, AddNode
//!     │                                     │
//!  InstalledNode ◄─ install ◄──file── Admission
//! ```
//!
//! No file that travels holds a secret, and none is trusted for where it came
//! from: a request proves that its maker held the node's keys, an admission is
//! accepted by nobody but the node with those keys. Who is not in the record
//! gets nothing: an admission without the `AddNode` behind it opens no door.

mod admission_file;
mod admitted;
mod birth;
mod document;
mod error;
mod files;
#[cfg(any(test, fuzzing))]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub(crate) mod fuzz_targets;
mod installed;
#[cfg(test)]
mod joining_tests;
mod node_keys;
mod public_key;
mod request;
mod root;
mod server_names;

pub use admitted::{Admission, AdmittedPeer};
pub use birth::{Birth, BirthSettings, FirstOperator};
pub use error::AdmissionError;
pub(crate) use files::{Readers, Unread, read_wiped};
pub use files::{
    create_private_directory, read, read_private, replace_public, write_new_private,
    write_new_public,
};
pub use installed::{ADMISSION_FILE, Installed, InstalledNode, SERVER_CERTIFICATE_FILE};
pub use node_keys::{NodeKeys, PEER_KEY_FILE, SERVER_KEY_FILE};
pub use public_key::{spki_from_pem, spki_pem};
pub use request::NodeRequest;
pub use root::{ROOT_CERTIFICATE_FILE, ROOT_KEY_FILE, Root, SERVER_CERTIFICATE_DAYS};
pub use server_names::{SubjectName, host_of};
