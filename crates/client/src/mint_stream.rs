//! Many mints over one stream: one authentication, answers in request order.

use std::sync::Arc;

use chancery_wire::v1::{
    MintRequest, MintStreamRequest, MintStreamResponse, mint_stream_response::Outcome,
    token_service_client::TokenServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::{
    call::{Idempotence, call},
    client::Minted,
    endpoints::{Endpoints, Node},
    error::{Error, Refusal},
    retry::RetryPolicy,
};

/// Requests under way before [`MintStream::send`] waits.
const WINDOW: usize = 128;

/// An open stream of mints at one node. When it ends (the node is lost, or the
/// caller lost its standing) open another: nothing has to be undone. Who is told
/// that the node settles may do so too: the next stream goes to another node.
pub struct MintStream {
    endpoints: Arc<Endpoints>,
    position: usize,
    requests: mpsc::Sender<MintStreamRequest>,
    answers: Streaming<MintStreamResponse>,
    next: u64,
}

impl MintStream {
    pub(crate) async fn open(
        endpoints: &Arc<Endpoints>,
        retry: RetryPolicy,
    ) -> Result<Self, Error> {
        let opened = call(
            endpoints,
            retry,
            Idempotence::Repeatable,
            |_, node: &Node, _| {
                let channel = node.channel.clone();
                async move {
                    let (requests, receiver) = mpsc::channel(WINDOW);
                    let answers = TokenServiceClient::new(channel)
                        .mint_stream(ReceiverStream::new(receiver))
                        .await?
                        .into_inner();
                    Ok(tonic::Response::new((requests, answers)))
                }
            },
        )
        .await?;
        let (position, (requests, answers)) = opened;
        Ok(Self {
            endpoints: endpoints.clone(),
            position,
            requests,
            answers,
            next: 0,
        })
    }

    /// Sends a request and gives its sequence number. Waits while the window is
    /// full: receive meanwhile.
    ///
    /// # Errors
    /// [`Error::StreamEnded`].
    pub async fn send(&mut self, request: MintRequest) -> Result<u64, Error> {
        let sequence = self.next;
        self.next += 1;
        self.requests
            .send(MintStreamRequest {
                sequence,
                request: Some(self.endpoints.seen.carried(request).0),
            })
            .await
            .map_err(|_| Error::StreamEnded("the node".to_owned()))?;
        Ok(sequence)
    }

    /// The next answer, in the order of the requests: its sequence number, and
    /// the token or why it was refused. A refusal does not end the stream.
    ///
    /// # Errors
    /// When the stream ended.
    pub async fn receive(&mut self) -> Result<(u64, Result<Minted, Refusal>), Error> {
        let answer = self
            .answers
            .message()
            .await
            .map_err(|status| match status.code() {
                Code::Unavailable | Code::Unknown | Code::Cancelled => {
                    Error::StreamEnded(status.message().to_owned())
                }
                _ => Error::Refused(Refusal::of(&status)),
            })?
            .ok_or_else(|| Error::StreamEnded("the node".to_owned()))?;
        let outcome = match answer.outcome {
            Some(Outcome::Response(response)) => {
                self.endpoints.minted(self.position, &response);
                Ok(Minted::from(response))
            }
            Some(Outcome::Refusal(refusal)) => Err(self.endpoints.told(Refusal {
                code: Code::from_i32(refusal.code),
                reason: refusal.reason,
                message: refusal.message,
                remedy: refusal.remedy,
                retry_after: refusal.retry_after.and_then(|delay| delay.try_into().ok()),
            })),
            None => return Err(Error::StreamEnded("a node of a newer protocol".to_owned())),
        };
        Ok((answer.sequence, outcome))
    }
}

impl std::fmt::Debug for MintStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintStream")
            .field("sent", &self.next)
            .finish_non_exhaustive()
    }
}
