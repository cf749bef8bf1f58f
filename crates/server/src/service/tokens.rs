//! `TokenService`: mint and verify.

use std::{pin::Pin, sync::Arc};

use chancery_credential::{Audience, CertificateThumbprint, Claims, Scopes, Verified};
use chancery_revocation::Proof;
use chancery_wire::v1::{self, mint_stream_response::Outcome, token_service_server::TokenService};
use futures::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt;

use super::{
    Desk, consistency::stale, on_its_own::on_its_own, parse, refusals::refusal, split, verdict,
};
use crate::{
    caller::{Caller, Holder, Identity, Refusal, refuse},
    minting::{Bearer, MintError, Wanted},
};

/// Requests of one stream that are read ahead of their answers.
const READ_AHEAD: usize = 16;

/// The service over a node's desk.
#[derive(Clone)]
pub(crate) struct Tokens(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn mint(
        &self,
        request: Request<v1::MintRequest>,
    ) -> Result<Response<v1::MintResponse>, Status> {
        let (caller, message) = split(request)?;
        self.mint_one(&caller, message).await.map(Response::new)
    }

    type MintStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::MintStreamResponse, Status>> + Send>>;

    async fn mint_stream(
        &self,
        request: Request<Streaming<v1::MintStreamRequest>>,
    ) -> Result<Response<Self::MintStreamStream>, Status> {
        let (caller, requests) = split(request)?;
        let caller = Arc::new(caller);
        let service = self.clone();
        let answers = requests
            .map(move |request| {
                let (service, caller) = (service.clone(), caller.clone());
                on_its_own(async move { service.answer(&caller, request?).await })
            })
            .buffered(READ_AHEAD);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        let (caller, message) = split(request)?;
        let audience: Audience = parse::field("audience", &message.audience)?;
        self.0.may_judge(&caller, &audience)?;
        let proof = Proof {
            certificate: certificate(&message.certificate_sha256)?,
        };
        self.0.at_least(&message.min_revision).await?;
        // Handed on at once: judging may wait for a proof, and it is the order that counts.
        drop(self.0.turns.take(Holder::of(&caller.identity)).await);
        let judgement = self
            .0
            .judge_token(&message.token, Some(audience), Some(proof))
            .await?;
        Ok(Response::new(self.verified(judgement, &message.token)))
    }
}

impl Tokens {
    /// A refusal answers its request; what ends a stream is the caller's loss of
    /// standing, and a message that cannot be read.
    async fn answer(
        &self,
        caller: &Caller,
        message: v1::MintStreamRequest,
    ) -> Result<v1::MintStreamResponse, Status> {
        // Several messages can arrive in one frame, and the layer judges frames.
        caller.still_stands()?;
        let outcome = match self.mint_heard(caller, message.request).await {
            Ok(response) => Outcome::Response(response),
            Err(status) => {
                caller.count_refusal(&status);
                Outcome::Refusal(refusal(&status))
            }
        };
        Ok(v1::MintStreamResponse {
            sequence: message.sequence,
            outcome: Some(outcome),
        })
    }

    async fn mint_heard(
        &self,
        caller: &Caller,
        request: Option<v1::MintRequest>,
    ) -> Result<v1::MintResponse, Status> {
        caller.hear()?;
        self.mint_one(caller, parse::required("request", request)?)
            .await
    }

    async fn mint_one(
        &self,
        caller: &Caller,
        message: v1::MintRequest,
    ) -> Result<v1::MintResponse, Status> {
        let minted = self.try_mint(caller, message).await;
        match &minted {
            Ok(_) => metrics::counter!("chancery_mints_total").increment(1),
            Err(status) => count_refusal(status),
        }
        minted
    }

    /// A node that only checks has no issuer, and waiting for one is of no use.
    fn mint_refusal(&self, error: &MintError) -> Status {
        if matches!(error, MintError::NoIssuer) && self.0.status.is_check_only() {
            return refuse(
                Code::Unavailable,
                "CHECK_ONLY",
                "this node only checks tokens, and mints none",
                "ask another node",
            );
        }
        mint_refusal(error)
    }

    async fn try_mint(
        &self,
        caller: &Caller,
        message: v1::MintRequest,
    ) -> Result<v1::MintResponse, Status> {
        let bearer = bearer(caller, &message.agent)?;
        let wanted = wanted(&message)?;
        self.0.at_least(&message.min_revision).await?;
        let _turn = self.0.turns.take(Holder::of(&caller.identity)).await;
        let minted = self
            .0
            .minter
            .mint(bearer, &wanted)
            .map_err(|error| self.mint_refusal(&error))?;
        Ok(v1::MintResponse {
            token: minted.token,
            expires_at: minted.expires_at,
            expires_in: u32::try_from(minted.expires_in).unwrap_or(u32::MAX),
            token_id: minted.id.to_string(),
            consistency_token: self.0.token_for(minted.revision),
            settling: self.0.status.is_settling(),
        })
    }

    fn verified(
        &self,
        judgement: verdict::Judgement<Verified<Claims>>,
        token: &str,
    ) -> v1::VerifyResponse {
        let current = self.0.consensus.view().revision();
        match judgement {
            verdict::Judgement::Valid(claims, standing) => v1::VerifyResponse {
                verdict: v1::verify_response::Verdict::Valid.into(),
                claims: Some(verdict::claims(&claims, key_id(token))),
                consistency_token: self.0.token_for(standing.revision),
                age_ms: u64::try_from(standing.age.as_millis()).unwrap_or(u64::MAX),
                ..v1::VerifyResponse::default()
            },
            verdict::Judgement::Refused(reason, message) => v1::VerifyResponse {
                verdict: v1::verify_response::Verdict::Refused.into(),
                reason: reason.to_owned(),
                message,
                consistency_token: self.0.token_for(current),
                age_ms: self.0.age_ms().unwrap_or(u64::MAX),
                ..v1::VerifyResponse::default()
            },
        }
    }
}

/// Labels are the reasons of the protocol: a bounded set.
fn count_refusal(status: &Status) {
    let details = status.get_error_details();
    let reason = details
        .error_info()
        .map_or("", |info| info.reason.as_str())
        .to_owned();
    metrics::counter!("chancery_mint_refusals_total", "reason" => reason).increment(1);
}

fn key_id(token: &str) -> String {
    chancery_credential::UnverifiedToken::parse(token)
        .map(|token| token.key_id().to_string())
        .unwrap_or_default()
}

/// An agent mints for itself and for nobody else.
fn bearer<'a>(caller: &'a Caller, named: &str) -> Result<Bearer<'a>, Status> {
    let Identity::Agent { id, .. } = &caller.identity else {
        return Err(refuse(
            Code::PermissionDenied,
            "NOT_AN_AGENT",
            "tokens are minted for agents, and the caller is none",
            "call with the key of a registered agent",
        ));
    };
    if !named.is_empty() && named != id.as_str() {
        return Err(refuse(
            Code::PermissionDenied,
            "OTHER_AGENT",
            "the request names another agent than the caller",
            "leave `agent` empty, or call with that agent's key",
        ));
    }
    let (Some(key), Some(certificate)) = (caller.key, caller.certificate) else {
        return Err(refuse(
            Code::Unauthenticated,
            "NO_CERTIFICATE",
            "no client certificate was presented, so the token cannot be bound to one",
            "present a client certificate in the handshake",
        ));
    };
    Ok(Bearer {
        agent: id,
        key,
        certificate,
    })
}

fn wanted(message: &v1::MintRequest) -> Result<Wanted, Status> {
    let scopes = parse::list("scopes", &message.scopes)?;
    Ok(Wanted {
        audience: parse::field("audience", &message.audience)?,
        scopes: Scopes::new(scopes).map_err(|error| parse::invalid("scopes", error))?,
        ttl_seconds: message.ttl_seconds,
        bearer: message.bearer,
    })
}

fn mint_refusal(error: &MintError) -> Status {
    let message = error.to_string();
    match error {
        MintError::Refused(refusal) => refuse(
            Code::PermissionDenied,
            refusal.code(),
            message,
            refusal.remedy(),
        ),
        MintError::KeyLost(_) => refuse(
            Code::Unauthenticated,
            "UNKNOWN_KEY",
            message,
            "call with a key that is registered for the agent",
        ),
        MintError::RateLimited { wait, .. } => Refusal::new(
            Code::ResourceExhausted,
            "RATE_LIMITED",
            message,
            "wait as long as the answer says, use another node, or have a registrar raise the rate",
        )
        .retry_after(*wait)
        .into(),
        MintError::Stale => stale(),
        MintError::NoIssuer => refuse(
            Code::Unavailable,
            "NO_ISSUER",
            message,
            "ask another node; this one signs once its issuer is open",
        ),
        MintError::Unrecorded(_) => refuse(
            Code::Unavailable,
            "AUDIT_BEHIND",
            message,
            "ask another node; this one mints again once its records can be written",
        ),
        MintError::Entropy(_) => {
            refuse(Code::Unavailable, "NO_ENTROPY", message, "ask another node")
        }
        MintError::Encoding(_) => refuse(
            Code::InvalidArgument,
            "TOKEN_TOO_LARGE",
            message,
            "ask for fewer scopes or a shorter audience",
        ),
    }
}

fn certificate(bytes: &[u8]) -> Result<Option<CertificateThumbprint>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes = bytes
        .try_into()
        .map_err(|_| parse::invalid("certificate_sha256", "expected 32 bytes, or none"))?;
    Ok(Some(CertificateThumbprint::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Unrecorded;

    #[test]
    fn who_is_refused_for_want_of_a_record_is_sent_to_another_node() {
        for why in [Unrecorded::Full, Unrecorded::Closed] {
            let refusal = refusal(&mint_refusal(&why.into()));
            assert_eq!(refusal.code, i32::from(Code::Unavailable));
            assert_eq!(refusal.reason, "AUDIT_BEHIND");
            assert!(
                refusal.remedy.starts_with("ask another node"),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn a_refusal_of_a_stream_says_as_much_as_a_status() {
        let refusal = refusal(&mint_refusal(&MintError::NoIssuer));
        assert_eq!(refusal.code, i32::from(Code::Unavailable));
        assert_eq!(refusal.reason, "NO_ISSUER");
        assert_eq!(refusal.message, MintError::NoIssuer.to_string());
        assert!(
            refusal.remedy.starts_with("ask another node"),
            "{refusal:?}"
        );
        assert_eq!(refusal.retry_after, None);
    }

    #[test]
    fn a_mint_over_the_rate_is_told_when_to_come_again() {
        let wait = std::time::Duration::from_millis(250);
        let status = mint_refusal(&MintError::RateLimited { rate: 4, wait });
        assert_eq!(status.code(), Code::ResourceExhausted);
        let told = status.get_error_details();
        let told = told.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(told, Some(wait));
        let refusal = refusal(&status);
        assert_eq!(refusal.reason, "RATE_LIMITED");
        assert_eq!(
            refusal.retry_after,
            prost_types::Duration::try_from(wait).ok()
        );
    }
}
