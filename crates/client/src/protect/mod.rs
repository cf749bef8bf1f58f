//! A layer that serves a request only when its token is accepted: for tonic, axum and
//! whatever else is a [`tower::Service`] over [`http::Request`].

mod answer;
mod bearer;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use chancery_credential::{Audience, CertificateThumbprint, Scopes};
use chancery_revocation::Proof;
use http::{Extensions, HeaderMap, Request, Response};
use tower::{Layer, Service};

use answer::{Denied, is_grpc};
#[cfg(not(any(test, fuzzing)))]
use bearer::Bearer;
#[cfg(any(test, fuzzing))]
pub(crate) use bearer::Bearer;

use crate::verifier::{Accepted, Expectations, Rejected, Verifier};

/// The certificate whose key the client proved in its TLS handshake. Whoever accepts
/// connections puts it into the extensions of their requests: tokens that are bound to a
/// certificate (RFC 8705) are refused without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub CertificateThumbprint);

impl ClientCertificate {
    /// Of the end-entity certificate of a finished handshake, DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(CertificateThumbprint::of_certificate(certificate))
    }
}

/// Protects services: requests reach them only with a token that is accepted, and with
/// [`Accepted`] in their extensions.
///
/// ```no_run
/// # use chancery_client::{Client, Config, Protect, Verifier, VerifierConfig};
/// # use tower::ServiceBuilder;
/// # fn f(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = Verifier::follow(client, VerifierConfig::default());
/// let protect = Protect::new(verifier, "https://ledger.example/v1".parse()?);
/// let service = ServiceBuilder::new().layer(protect.with_scopes("ledger:read".parse()?));
/// # Ok(()) }
/// ```
///
/// | request | HTTP | gRPC |
/// |---|---|---|
/// | without a token | 401 `Bearer` | `UNAUTHENTICATED` |
/// | with one that is not accepted | 401 `invalid_token` | `UNAUTHENTICATED` |
/// | with one that does not allow it | 403 `insufficient_scope` | `PERMISSION_DENIED` |
/// | while the verifier cannot tell | 503 | `UNAVAILABLE` |
#[derive(Clone, Debug)]
pub struct Protect(Arc<Guard>);

#[derive(Clone, Debug)]
struct Guard {
    verifier: Verifier,
    expected: Expectations,
    certificate: fn(&Extensions) -> Option<CertificateThumbprint>,
}

impl Protect {
    /// For requests that bear a token for `audience`.
    #[must_use]
    pub fn new(verifier: Verifier, audience: Audience) -> Self {
        Self(Arc::new(Guard {
            verifier,
            expected: Expectations::of(audience),
            certificate: |extensions| {
                extensions
                    .get::<ClientCertificate>()
                    .map(|presented| presented.0)
            },
        }))
    }

    /// That has to allow all of these.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        Arc::make_mut(&mut self.0).expected.scopes = scopes;
        self
    }

    /// Finds the client's certificate elsewhere than in [`ClientCertificate`]. It must be
    /// one whose key this connection proved, and never what a header says.
    #[must_use]
    pub fn with_certificate_from(
        mut self,
        find: fn(&Extensions) -> Option<CertificateThumbprint>,
    ) -> Self {
        Arc::make_mut(&mut self.0).certificate = find;
        self
    }
}

impl<S> Layer<S> for Protect {
    type Service = Protected<S>;

    fn layer(&self, inner: S) -> Protected<S> {
        Protected {
            guard: self.0.clone(),
            inner,
        }
    }
}

/// A service behind [`Protect`].
#[derive(Clone, Debug)]
pub struct Protected<S> {
    guard: Arc<Guard>,
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Protected<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    A: Send + 'static,
    B: Default + Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let guard = self.guard.clone();
        // The one that is ready serves; its clone has to be waited for anew.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        Box::pin(async move {
            let headers = request.headers();
            match guard.admit(headers, request.extensions()).await {
                Ok(accepted) => {
                    request.extensions_mut().insert(accepted);
                    inner.call(request).await
                }
                Err(denied) => {
                    tracing::debug!(?denied, "a request was not served");
                    Ok(denied.answer(is_grpc(request.headers())))
                }
            }
        })
    }
}

impl Guard {
    fn admit(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> impl Future<Output = Result<Accepted, Denied>> + Send + use<> {
        let token = match Bearer::of(headers) {
            Bearer::Token(token) => Ok(token.to_owned()),
            Bearer::Absent => Err(Denied::NoToken),
            Bearer::Invalid => Err(Denied::InvalidRequest),
        };
        let proof = Proof {
            certificate: (self.certificate)(extensions),
        };
        let (verifier, expected) = (self.verifier.clone(), self.expected.clone());
        async move {
            let judged = verifier.verify(&token?, &expected, &proof).await;
            judged.map_err(Denied::Rejected)
        }
    }
}

/// Whoever answers by itself what is not accepted, as the layer does.
impl Rejected {
    /// The answer to a request (RFC 6750 §3): 401, 403 or 503, with nothing in its body.
    #[must_use]
    pub fn to_http<B: Default>(&self) -> Response<B> {
        Denied::Rejected(self.clone()).answer(false)
    }
}
