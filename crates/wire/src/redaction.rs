//! `Debug` for messages that carry a token, a secret or a proof: they name what
//! they are about and never print it.

use std::fmt;

use crate::{peer, v1};

impl fmt::Debug for v1::MintResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintResponse")
            .field("token_id", &self.token_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::VerifyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyRequest")
            .field("audience", &self.audience)
            .field("min_revision", &self.min_revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::RevokeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeRequest")
            .field("meta", &self.meta)
            .field("credential", &self.credential)
            .finish()
    }
}

impl fmt::Debug for v1::CheckRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckRequest")
            .field("credential", &self.credential)
            .field("min_revision", &self.min_revision)
            .finish()
    }
}

impl fmt::Debug for v1::revoke_request::Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::TokenId(id) => f.debug_tuple("TokenId").field(id).finish(),
        }
    }
}

impl fmt::Debug for v1::check_request::Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Facts(facts) => f.debug_tuple("Facts").field(facts).finish(),
        }
    }
}

impl fmt::Debug for v1::Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credential").field(&self.credential).finish()
    }
}

impl fmt::Debug for v1::credential::Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Facts(facts) => f.debug_tuple("Facts").field(facts).finish(),
        }
    }
}

impl fmt::Debug for peer::ProposeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProposeRequest")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_prints() {
        let token = "eyJhbGciOiJFZERTQSJ9.payload.signature".to_owned();
        let printed = [
            format!(
                "{:?}",
                v1::MintResponse {
                    token: token.clone(),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::VerifyRequest {
                    token: token.clone(),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::RevokeRequest {
                    credential: Some(v1::revoke_request::Credential::Token(token.clone())),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::CheckRequest {
                    credential: Some(v1::check_request::Credential::Token(token.clone())),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::CheckStreamRequest {
                    credentials: vec![v1::Credential {
                        credential: Some(v1::credential::Credential::Token(token.clone())),
                    }],
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::MintStreamResponse {
                    outcome: Some(v1::mint_stream_response::Outcome::Response(
                        v1::MintResponse {
                            token,
                            ..Default::default()
                        }
                    )),
                    ..Default::default()
                }
            ),
        ];
        for text in printed {
            assert!(!text.contains("payload"), "{text}");
        }
    }
}
