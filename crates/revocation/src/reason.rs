//! Why a credential is refused.

use chancery_credential::{Audience, IssuerNumber, KeyId, Malformed, Revision, Subject, TokenId};

/// A ground for refusal. The text says what to do, to whoever has to do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Not a token of this kind, or beyond the limits.
    #[error("not an access token of Chancery: {0}; send a token exactly as it was minted")]
    Malformed(#[from] Malformed),
    /// `iss` is not the expected one.
    #[error(
        "minted by {iss}, and tokens of {expected} are accepted here: mint where this service \
         belongs, or correct the issuer that it expects"
    )]
    WrongIssuer {
        /// What the token says.
        iss: String,
        /// What was expected.
        expected: String,
    },
    /// `aud` is not the expected one.
    #[error("meant for {aud}, not for {expected}: mint a token for the audience that is called")]
    WrongAudience {
        /// What the token says.
        aud: Audience,
        /// What was expected.
        expected: Audience,
    },
    /// The issuer expired: every token that it signed has ended.
    #[error("issuer {0} has expired, and all its tokens with it: mint a new token")]
    IssuerExpired(IssuerNumber),
    /// The issuer was revoked.
    #[error("issuer {0} was revoked, and all that it signed is dead: mint a new token")]
    IssuerRevoked(IssuerNumber),
    /// The `jti` belongs to another issuer than the one that signed.
    #[error(
        "the token's id belongs to issuer {token_id}, which its key is not of: the token is \
         forged or damaged, discard it"
    )]
    WrongTokenId {
        /// The number inside `jti`.
        token_id: IssuerNumber,
    },
    /// The signature does not verify.
    #[error("the signature does not verify: the token is forged or damaged, discard it")]
    BadSignature,
    /// `rev` is lower than the revision that opened the issuer.
    #[error(
        "bears revision {revision}, before its issuer was opened at {opened_at}: no process \
         signs that, so its key is in other hands; revoke the issuer"
    )]
    BeforeIssuer {
        /// The token's `rev`.
        revision: Revision,
        /// Of the issuer.
        opened_at: Revision,
    },
    /// `rev` is higher than the revision that retired the issuer.
    #[error(
        "bears revision {revision}, after its issuer was retired at {retired_at}: mint a new \
         token"
    )]
    AfterRetirement {
        /// The token's `rev`.
        revision: Revision,
        /// Of the issuer.
        retired_at: Revision,
    },
    /// `exp - iat` exceeds the cap.
    #[error("lives {seconds} s, and the cap is {cap} s: mint a shorter one")]
    Lifetime {
        /// `exp - iat`.
        seconds: u64,
        /// The cap that was in force.
        cap: u64,
    },
    /// `iat` is in the future by more than the leeway.
    #[error(
        "issued at {issued_at}, which is {seconds} s ahead: a clock is wrong, here or where it \
         was minted"
    )]
    NotYetValid {
        /// The token's `iat`.
        issued_at: u64,
        /// How far ahead of the time here.
        seconds: u64,
    },
    /// `exp` has come.
    #[error("expired at {expires_at}: mint a new token")]
    Expired {
        /// The token's `exp`.
        expires_at: u64,
    },
    /// The token is bound to a certificate, and none was presented.
    #[error(
        "bound to a client certificate (RFC 8705), and none was presented: call with the \
         certificate that the token was minted with"
    )]
    ProofMissing,
    /// The token is bound to another certificate than the presented one.
    #[error(
        "bound to another client certificate than the one presented: call with the certificate \
         that the token was minted with, or mint with this one"
    )]
    ProofMismatch,
    /// Older than anything that can still be in force.
    #[error("bears revision {revision}, below the floor {floor}: mint a new token")]
    BelowFloor {
        /// The token's `rev`.
        revision: Revision,
        /// Of the view.
        floor: Revision,
    },
    /// All that a subject held was taken away.
    #[error(
        "all that {subject} held before revision {watermark} is dead, this token too: mint a new \
         one, if that is allowed again"
    )]
    Watermark {
        /// Whose.
        subject: Subject,
        /// Tokens with a lower `rev` are dead.
        watermark: Revision,
    },
    /// The token was revoked by its id.
    #[error("this token was revoked: mint a new one")]
    TokenRevoked,
    /// A token that it derives from was revoked by its id.
    #[error("token {0}, from which this one derives, was revoked: begin again with a new one")]
    AncestorRevoked(TokenId),
    /// The issuer of a token that it derives from was revoked.
    #[error(
        "issuer {0}, of a token from which this one derives, was revoked: begin again with a new \
         token"
    )]
    AncestorIssuerRevoked(IssuerNumber),
    /// The issuer of a token that it derives from expired, so that token has ended.
    #[error(
        "issuer {0}, of a token from which this one derives, has expired: begin again with a new \
         token"
    )]
    AncestorIssuerExpired(IssuerNumber),
    /// The issuer of a token that it derives from was not open at the token's `rev`.
    #[error(
        "derives from a token of issuer {issuer}, which was not open at revision {revision}: the \
         token is forged, discard it"
    )]
    AncestorIssuerNotOpen {
        /// The number inside the ancestor's id.
        issuer: IssuerNumber,
        /// The token's `rev`.
        revision: Revision,
    },
    /// No issuer with this `kid`, even after a new proof of freshness.
    #[error(
        "signed with key {0}, which is no issuer's here: mint a new token, and see that this \
         service trusts the cluster that minted it"
    )]
    IssuerUnknown(KeyId),
    /// `rev` is higher than anything committed, even after a new proof of freshness.
    #[error(
        "bears revision {0}, which this cluster has not reached: an issuer's key is in other \
         hands; find its issuer and revoke it"
    )]
    RevisionUnknown(Revision),
}

impl Reason {
    /// The name by which programs know it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "MALFORMED",
            Self::WrongIssuer { .. } => "WRONG_ISSUER",
            Self::WrongAudience { .. } => "WRONG_AUDIENCE",
            Self::IssuerExpired(_) => "ISSUER_EXPIRED",
            Self::IssuerRevoked(_) => "ISSUER_REVOKED",
            Self::WrongTokenId { .. } => "WRONG_TOKEN_ID",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::BeforeIssuer { .. } => "BEFORE_ISSUER",
            Self::AfterRetirement { .. } => "AFTER_RETIREMENT",
            Self::Lifetime { .. } => "LIFETIME_EXCEEDS_CAP",
            Self::NotYetValid { .. } => "NOT_YET_VALID",
            Self::Expired { .. } => "EXPIRED",
            Self::ProofMissing => "PROOF_MISSING",
            Self::ProofMismatch => "PROOF_MISMATCH",
            Self::BelowFloor { .. } => "BELOW_FLOOR",
            Self::Watermark { subject, .. } => match subject {
                Subject::Agent(_) => "AGENT_REVOKED",
                Subject::Owner(_) => "OWNER_REVOKED",
                Subject::GrantSet(_) => "GRANT_SET_REVOKED",
                Subject::Everything => "EVERYTHING_REVOKED",
            },
            Self::TokenRevoked => "TOKEN_REVOKED",
            Self::AncestorRevoked(_) => "ANCESTOR_REVOKED",
            Self::AncestorIssuerRevoked(_) => "ANCESTOR_ISSUER_REVOKED",
            Self::AncestorIssuerExpired(_) => "ANCESTOR_ISSUER_EXPIRED",
            Self::AncestorIssuerNotOpen { .. } => "ANCESTOR_ISSUER_NOT_OPEN",
            Self::IssuerUnknown(_) => "ISSUER_UNKNOWN",
            Self::RevisionUnknown(_) => "REVISION_UNKNOWN",
        }
    }
}
