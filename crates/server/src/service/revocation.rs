//! `RevocationService`: revoke, check, watch.

use std::{pin::Pin, sync::Arc};

use chancery_authority::{Answer, Command};
use chancery_consensus::{Enforcement, EnforcementState, Wait};
use chancery_credential::{Claims, ConsistencyToken, Subject, UnverifiedToken, Verified};
use chancery_revocation::Clock;
use chancery_wire::v1::{
    self, check_request, revocation_service_server::RevocationService, revoke_request,
};
use futures::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    Desk, batch,
    command::{answered_within, span_of},
    enforcement,
    facts::StatedFacts,
    on_its_own::on_its_own,
    parse,
    refusals::refusal,
    split,
    verdict::Judgement,
    watch,
};
use crate::{
    caller::{Caller, Holder, refuse},
    clock::SystemClock,
};

/// A check says no more than whether.
type Checked = Judgement<()>;

/// Changes that a page lists, bytes: far below what clients read as one message.
const PAGE_BYTES: usize = 1 << 20;

/// The service over a node's desk.
pub(crate) struct Revocations(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl RevocationService for Revocations {
    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let credential = parse::required("credential", message.credential.clone())?;
        let command = match credential {
            revoke_request::Credential::Token(token) => {
                let claims = self.verified(&token)?;
                Command::RevokeToken {
                    token: claims.jti,
                    agent: Some(claims.sub.clone()),
                }
            }
            revoke_request::Credential::TokenId(id) => Command::RevokeToken {
                token: parse::field("token_id", &id)?,
                agent: None,
            },
        };
        let token_id = match &command {
            Command::RevokeToken { token, .. } => token.to_string(),
            _ => String::new(),
        };
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::RevokeResponse {
            committed: Some(self.0.committed(&done)),
            token_id,
        }))
    }

    async fn revoke_held(
        &self,
        request: Request<v1::RevokeHeldRequest>,
    ) -> Result<Response<v1::RevokeHeldResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let subject: Subject = parse::subject(message.subject.clone())?;
        let done = self
            .0
            .command(&caller, meta, Command::RevokeHeld(subject))
            .await?;
        Ok(Response::new(v1::RevokeHeldResponse {
            committed: Some(self.0.committed(&done)),
            may_mint_anew: matches!(done.answer, Answer::MayMintAnew(true)),
        }))
    }

    async fn check(
        &self,
        request: Request<v1::CheckRequest>,
    ) -> Result<Response<v1::CheckResponse>, Status> {
        let (caller, message) = split(request)?;
        self.0.at_least(&message.min_revision).await?;
        let judgement = match parse::required("credential", message.credential)? {
            check_request::Credential::Token(token) => self.check_token(&caller, &token).await?,
            check_request::Credential::Facts(facts) => self.check_facts(&facts).await?,
        };
        Ok(Response::new(self.checked(judgement)))
    }

    /// Asked of any node, at any time: a revision that this cluster answered for is
    /// committed, and in force when its fence says so.
    async fn await_enforced(
        &self,
        request: Request<v1::AwaitEnforcedRequest>,
    ) -> Result<Response<v1::AwaitEnforcedResponse>, Status> {
        let (caller, message) = split(request)?;
        let began = SystemClock.now().boot;
        let within = span_of("wait_at_most", message.wait_at_most)?.min(answered_within(&caller));
        let wait = enforcement::read_wait(message.wait)?.unwrap_or(Wait::Nodes);
        let token: ConsistencyToken =
            parse::field("consistency_token", &message.consistency_token)?;
        let reaching = self
            .0
            .at_least_as("consistency_token", &message.consistency_token);
        let told = match tokio::time::timeout(within, reaching).await {
            Ok(reached) => reached.map(|()| None)?,
            // Whether it was committed is not known here.
            Err(_) => Some(Enforcement::only(EnforcementState::Unknown)),
        };
        let passed = SystemClock.now().boot.since(began).unwrap_or_default();
        let left = within.saturating_sub(passed);
        let told = match told {
            Some(told) => told,
            None => self.0.enforced(token.revision, wait, left).await,
        };
        Ok(Response::new(v1::AwaitEnforcedResponse {
            consistency_token: message.consistency_token,
            enforcement: Some(enforcement::message(&told)),
        }))
    }

    type CheckStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::CheckStreamResponse, Status>> + Send>>;

    async fn check_stream(
        &self,
        request: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        let (caller, requests) = split(request)?;
        let (desk, caller) = (self.0.clone(), Arc::new(caller));
        // One batch at a time: a stream keeps one thread busy at most.
        let answers = requests.then(move |request| {
            let (desk, caller) = (desk.clone(), caller.clone());
            on_its_own(async move { answer(&desk, &caller, request?).await })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (caller, mut requests) = split(request)?;
        let first = watch::first(&mut requests).await?;
        watch::may_ask(&self.0, first.max_age_ms)?;
        let since = watch::since(&self.0, &first.since).await?;
        let desk = self.0.clone();
        let told = watch::responses(desk, &caller.identity, first.max_age_ms, since, requests)?;
        Ok(Response::new(told))
    }

    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesResponse>, Status> {
        let (caller, message) = split(request)?;
        let page = self
            .0
            .changes(&caller.identity, &message.since, PAGE_BYTES)
            .await?;
        Ok(Response::new(v1::ListChangesResponse {
            resync: page.resync,
            changes: page.changes.iter().map(watch::change).collect(),
            next: page.next,
            more: page.more,
            revision: page.revision.0,
            age_ms: page.age_ms,
        }))
    }
}

impl Revocations {
    /// A token whose signature an issuer in this view made: whoever holds it may
    /// say whose it is. Expired or revoked before, it can be revoked again.
    fn verified(&self, token: &str) -> Result<Verified<Claims>, Status> {
        let unverified =
            UnverifiedToken::parse(token).map_err(|error| parse::invalid("token", error))?;
        let key_id = unverified.key_id();
        let issuer = self.0.consensus.view().issuer_of_key(&key_id).ok_or_else(|| {
            refuse(
                Code::FailedPrecondition,
                "ISSUER_UNKNOWN",
                "the token's issuer is not known here: it expired, and the token with it, or it is \
                 of another cluster",
                "nothing is left to revoke if it was this cluster's",
            )
        })?;
        let claims = unverified
            .verify(&issuer.key)
            .map_err(|error| parse::invalid("token", error))?;
        // Whoever has one issuer's key names no other's tokens with it.
        if claims.jti.issuer() != issuer.number {
            let why = "its `jti` is of another issuer than its `kid`";
            return Err(parse::invalid("token", why));
        }
        Ok(claims)
    }

    async fn check_token(&self, caller: &Caller, token: &str) -> Result<Checked, Status> {
        let unverified = UnverifiedToken::parse(token)
            .map_err(|error| parse::invalid("credential.token", error))?;
        self.0.may_judge(caller, &unverified.claims().aud)?;
        // As `Verify`: judging may wait for a proof, and it is the order that counts.
        drop(self.0.turns.take(Holder::of(&caller.identity)).await);
        Ok(match self.0.judge_token(token, None, None).await? {
            Judgement::Valid(_, standing) => Judgement::Valid((), standing),
            Judgement::Refused(code, message) => Judgement::Refused(code, message),
        })
    }

    async fn check_facts(&self, message: &v1::TokenFacts) -> Result<Checked, Status> {
        let stated = StatedFacts::parse(message)?;
        self.0.judge_facts(&stated.facts()).await
    }

    fn checked(&self, judgement: Checked) -> v1::CheckResponse {
        match judgement {
            Judgement::Valid(_, standing) => v1::CheckResponse {
                in_force: true,
                consistency_token: self.0.token_for(standing.revision),
                age_ms: u64::try_from(standing.age.as_millis()).unwrap_or(u64::MAX),
                ..v1::CheckResponse::default()
            },
            Judgement::Refused(reason, message) => v1::CheckResponse {
                in_force: false,
                reason: reason.to_owned(),
                message,
                consistency_token: self.0.token_for(self.0.consensus.view().revision()),
                age_ms: self.0.age_ms().unwrap_or(u64::MAX),
            },
        }
    }
}

/// A refusal answers its batch; what ends a stream is the caller's loss of standing,
/// and a message that cannot be read.
async fn answer(
    desk: &Desk,
    caller: &Caller,
    message: v1::CheckStreamRequest,
) -> Result<v1::CheckStreamResponse, Status> {
    use v1::check_stream_response::Outcome;
    caller.still_stands()?;
    let sequence = message.sequence;
    let outcome = match batch::checked(desk, caller, message).await {
        Ok(checked) => Outcome::Batch(checked),
        Err(status) => {
            caller.count_refusal(&status);
            Outcome::Refusal(refusal(&status))
        }
    };
    Ok(v1::CheckStreamResponse {
        sequence,
        outcome: Some(outcome),
    })
}
