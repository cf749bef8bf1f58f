//! Why a text is no token of ours, whatever its signature.

use std::fmt;

/// A part of the compact form (RFC 7515 §7.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The claims.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// What is wrong with one member.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It has to be there.
    Missing,
    /// It is there, and is not what it has to be.
    Expected(&'static str),
    /// It has more elements than it may.
    TooMany(usize),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Expected(what) => write!(f, "is not {what}"),
            Self::TooMany(most) => write!(f, "has more than {most} elements"),
        }
    }
}

/// Why a text is not an access token as Chancery writes it (RFC 9068, RFC 8725).
/// Nothing of the text is repeated in the error.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than 8192 bytes.
    #[error("the token has more than 8192 bytes")]
    TooLong,
    /// Not three parts with a dot between each two.
    #[error("a token is header.payload.signature")]
    Parts,
    /// Padding, another alphabet, or trailing bits that are not zero.
    #[error("the {0} is not canonical base64url")]
    Base64(Part),
    /// The signature has another length than 64 bytes.
    #[error("the signature does not have 64 bytes")]
    SignatureLength,
    /// Not JSON (RFC 8259), or not UTF-8.
    #[error("the {0} is not JSON")]
    Json(Part),
    /// JSON, but no object.
    #[error("the {0} is not a JSON object")]
    NotAnObject(Part),
    /// Something follows the object.
    #[error("the {0} goes on after its JSON object")]
    TrailingData(Part),
    /// One object names one member twice, at any depth (RFC 8725 §2.4, RFC 7493 §2.3).
    #[error("the {0} has a member twice in one object")]
    DuplicateMember(Part),
    /// Objects and arrays nest deeper than 16.
    #[error("the {0} nests deeper than 16")]
    TooDeep(Part),
    /// One object has more than 64 members.
    #[error("the {0} has an object of more than 64 members")]
    TooManyMembers(Part),
    /// The header has a member beside `alg`, `typ` and `kid`: `crit`, `jwk`, `jku`, …
    #[error("the header has a member other than alg, typ and kid")]
    HeaderMember,
    /// A member of the header.
    #[error("the header's {member} {defect}")]
    Header {
        /// `alg`, `typ` or `kid`.
        member: &'static str,
        /// What is wrong with it.
        defect: Defect,
    },
    /// A claim.
    #[error("the claim {claim} {defect}")]
    Claim {
        /// Its name; `act.sub` for one inside `act`.
        claim: &'static str,
        /// What is wrong with it.
        defect: Defect,
    },
    /// `cnf` binds to something else than, or more than, a certificate.
    #[error("the claim cnf has another member than x5t#S256")]
    Confirmation,
    /// `act` says something about an actor that nothing here would heed.
    #[error("the claim act has a member other than sub and act")]
    Actor,
    /// `client_id` is neither the outermost actor nor, without one, the subject.
    #[error("client_id is not the agent that acts")]
    Client,
    /// `exp` is not after `iat`.
    #[error("the token expires before it is issued")]
    Lifetime,
    /// Tokens are never issued for later; one that asks to be ignored until then
    /// is not accepted now.
    #[error("the token has nbf, which is never issued here")]
    NotBefore,
}
