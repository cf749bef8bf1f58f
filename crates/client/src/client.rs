//! The handle that users hold.

use std::{future::Future, sync::Arc, time::Duration};

use chancery_wire::v1::{self, revocation_service_client::RevocationServiceClient};
use tonic::{Response, Status, transport::Channel};

use crate::{
    attempt::Attempt,
    call::{Idempotence, call},
    clock::SystemClock,
    endpoints::{Endpoints, InvalidEndpoint, Node},
    error::Error,
    identity::Identity,
    mint_stream::MintStream,
    retry::RetryPolicy,
    statistics::Statistics,
};

/// What a client needs to know.
#[derive(Debug)]
pub struct Config {
    /// The nodes, as `host:port`, in the order of preference.
    pub endpoints: Vec<String>,
    /// The cluster's root certificate, PEM.
    pub root: String,
    /// Who is calling; `None` reaches health and key material only.
    pub identity: Option<Identity>,
    /// Bounds of every call's retries.
    pub retry: RetryPolicy,
}

/// A token, just minted.
pub struct Minted {
    /// The JWS in compact form. A secret when it is bound to no key.
    pub token: String,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
    /// From when it was minted to that, whatever the clock of this machine says.
    pub lasts: Duration,
    /// Its `jti`.
    pub token_id: String,
    /// Names a state of the cluster that knows the registration minted under.
    pub consistency_token: String,
    /// Its issuer is so young that verifiers which know keys only by a cached JWKS
    /// may not know it yet. The next tokens come from another node if one answers.
    pub settling: bool,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted")
            .field("token_id", &self.token_id)
            .finish_non_exhaustive()
    }
}

impl From<v1::MintResponse> for Minted {
    fn from(response: v1::MintResponse) -> Self {
        Self {
            token: response.token,
            expires_at: response.expires_at,
            lasts: Duration::from_secs(response.expires_in.into()),
            token_id: response.token_id,
            consistency_token: response.consistency_token,
            settling: response.settling,
        }
    }
}

/// A client of a cluster. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    endpoints: Arc<Endpoints>,
    retry: RetryPolicy,
}

impl Client {
    /// Makes a client. It connects at its first call.
    ///
    /// # Errors
    /// When an endpoint, the root or the identity cannot be used.
    pub fn new(config: Config) -> Result<Self, InvalidEndpoint> {
        let identity = config.identity.map(Arc::new);
        let endpoints = Endpoints::new(&config.endpoints, &config.root, &identity)?;
        Ok(Self {
            endpoints: Arc::new(endpoints),
            retry: config.retry,
        })
    }

    /// Mints a token for the calling agent, at whichever node answers. When it says
    /// that it settles, the next ones are minted at another if there is one.
    ///
    /// Mints that many tasks ask for at once share a stream or a few, which are opened
    /// when they are needed and end when they are not; each is answered, refused,
    /// retried or given up by itself, as if it were alone. None is answered from
    /// before a state that an earlier answer of this client came from.
    ///
    /// # Errors
    /// [`Error::Refused`] is final. A mint leaves nothing behind, so it is tried
    /// at every node until the deadline.
    pub async fn mint(&self, request: v1::MintRequest) -> Result<Minted, Error> {
        let mint = |position, _: &Node, _| {
            let (endpoints, request) = (self.endpoints.clone(), request.clone());
            async move {
                let answer = endpoints.mint_at(position, request).await;
                answer.map(Response::new)
            }
        };
        let (position, response) =
            call(&self.endpoints, self.retry, Idempotence::Repeatable, mint).await?;
        self.endpoints.minted(position, &response);
        Ok(Minted::from(response))
    }

    /// Opens a stream of mints to the preferred node.
    ///
    /// # Errors
    /// As [`Self::mint`].
    pub async fn mint_stream(&self) -> Result<MintStream, Error> {
        MintStream::open(&self.endpoints, self.retry).await
    }

    /// Any call of the public API, with failover and retries:
    ///
    /// ```no_run
    /// # use chancery_client::{Client, Error, Idempotence, v1};
    /// # async fn f(client: &Client) -> Result<(), Error> {
    /// let status = client
    ///     .call(Idempotence::Repeatable, |attempt| async move {
    ///         v1::cluster_service_client::ClusterServiceClient::new(attempt)
    ///             .status(v1::StatusRequest::default())
    ///             .await
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// No call is answered from before a state that an earlier answer of this client, or
    /// of a clone, came from: not by another node either, nor after its own commands.
    ///
    /// Commands are repeatable when they carry a request id ([`crate::meta`]). Who
    /// sends one again after [`Error::Unknown`] says so ([`Idempotence::Repeated`]).
    ///
    /// # Errors
    /// [`Error::Refused`] is final, [`Error::Unavailable`] changed nothing, and
    /// [`Error::Unknown`] asks to be repeated.
    pub async fn call<T, F, Fut>(&self, idempotence: Idempotence, attempt: F) -> Result<T, Error>
    where
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let attempt = |_, node: &Node, previous| {
            let (attempt, endpoints) = (&attempt, &self.endpoints);
            let channel = node.channel.clone();
            let limit = self.retry.try_timeout.min(self.retry.deadline);
            async move {
                let begin =
                    || Attempt::after(previous, channel.clone(), limit, endpoints.seen.clone());
                let carried = endpoints.seen.is_any();
                match attempt(begin()).await {
                    // The caller asked for no state, and is not refused for one.
                    Err(status) if carried && endpoints.is_of_another_life(&status) => {
                        attempt(begin()).await
                    }
                    answer => answer,
                }
            }
        };
        call(&self.endpoints, self.retry, idempotence, attempt)
            .await
            .map(|(_, answer)| answer)
    }

    /// Waits until a change that was answered before is in force as far as `wait` says,
    /// or `within` has passed, at whichever nodes answer; and gives how far it has come.
    /// A command that was answered COMMITTED goes on so, as does one whose answer was
    /// lost and that was then found.
    ///
    /// # Errors
    /// As [`Self::call`]; a cluster of which no node answered has said nothing.
    pub async fn await_enforced(
        &self,
        consistency_token: &str,
        wait: v1::Wait,
        within: Duration,
    ) -> Result<v1::Enforcement, Error> {
        let began = SystemClock::boot();
        loop {
            let left = within.saturating_sub(SystemClock::boot().since(began).unwrap_or_default());
            let wait_at_most = left.min(self.retry.try_timeout);
            let request = v1::AwaitEnforcedRequest {
                consistency_token: consistency_token.to_owned(),
                wait: wait.into(),
                wait_at_most: wait_at_most.try_into().ok(),
            };
            let asked = self.call(Idempotence::Repeatable, |attempt| {
                let request = request.clone();
                async move {
                    RevocationServiceClient::new(attempt)
                        .await_enforced(request)
                        .await
                }
            });
            let response: v1::AwaitEnforcedResponse = match asked.await {
                Err(Error::Unavailable { .. } | Error::Unknown { .. }) if !left.is_zero() => {
                    continue;
                }
                answer => answer?,
            };
            let told = response.enforcement.unwrap_or_default();
            let is_in_force = told.state() == v1::EnforcementState::Enforced
                && (told.verifiers || wait != v1::Wait::Verifiers);
            if is_in_force || left.is_zero() {
                return Ok(told);
            }
        }
    }

    pub(crate) const fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    pub(crate) const fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// How the calls went so far, those of all clones together.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.endpoints.counters.read()
    }

    /// A channel to the preferred node, for streams and for calls that want no
    /// retry. What is called over it neither knows nor adds to what this client has seen.
    #[must_use]
    pub fn channel(&self) -> Option<Channel> {
        self.endpoints
            .preferred()
            .map(|(_, node)| node.channel.clone())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("nodes", &self.endpoints.len())
            .finish_non_exhaustive()
    }
}
