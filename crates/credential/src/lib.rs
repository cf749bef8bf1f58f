//! The credential itself: who it speaks of, what it allows, how it is written,
//! signed and read back.
//!
//! It never says whether a credential is *in force*: there is no clock, no IO
//! and no list of revocations here; that is `chancery-revocation`'s to judge.
//!
//! ```text
//!  Claims ──SigningKey::sign_token──► header.payload.signature
//!                                             │
//!                                  UnverifiedToken::parse      (form and limits)
//!                                             │
//!                     .verify(&Ed25519PublicKey)               (signature)
//!                                             ▼
//!                                     Verified<Claims>
//! ```
//!
//! - ids: [`SpiffeId`], [`TokenId`], [`OwnerName`], [`Subject`], the numbers;
//! - place in the log: [`Revision`], [`Lineage`], [`ConsistencyToken`];
//! - what may be asked for: [`Scopes`], [`Audience`], [`Grant`] and its patterns;
//! - keys: [`SigningKey`] in its [`KeyMemory`], [`Ed25519PublicKey`], [`PeerSigningKey`], [`Jwks`];
//! - the artefact: [`Claims`], [`UnverifiedToken`], [`Verified`].

#![forbid(unsafe_code)]

mod audience;
mod base64url;
mod claims;
mod consistency;
mod decode;
mod encode;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub mod fuzz_targets;
mod grant;
mod json;
mod jwk;
mod key_memory;
mod malformed;
mod name;
mod number;
mod pattern;
mod peer;
mod public_key;
mod scope;
mod signing_key;
mod spiffe;
mod statement;
mod subject;
mod thumbprint;
mod token;
mod token_id;
mod verified;
mod wiped_stack;

pub use audience::{Audience, AudienceError, AudiencePattern};
pub use base64url::EncodingError;
pub use claims::{Claims, MAX_ACTORS, MAX_ANCESTORS, MAX_GRANT_SETS, MAX_OWNERS};
pub use consistency::{ConsistencyToken, Lineage, Revision};
pub use grant::Grant;
pub use jwk::{Jwk, Jwks};
pub use key_memory::{KeyBytes, KeyMemory};
pub use malformed::{Defect, Malformed, Part};
pub use name::{GrantSetName, NameError, OwnerName, PrincipalName};
pub use number::{EpochNumber, IssuerNumber, NodeNumber};
pub use peer::{PeerPublicKey, PeerSigningKey};
pub use public_key::{BadSignature, Ed25519PublicKey, KeyError, KeyId};
pub use scope::{Scope, ScopeError, ScopePattern, Scopes};
pub use signing_key::SigningKey;
pub use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};
pub use subject::{Subject, SubjectError};
pub use thumbprint::{CertificateThumbprint, KeyThumbprint};
pub use token::{MAX_TOKEN_BYTES, UnverifiedToken};
pub use token_id::TokenId;
pub use verified::Verified;
