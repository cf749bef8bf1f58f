//! One stream of mints that many tasks share: whoever asks waits for the answer to
//! its own request, and for nothing else.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chancery_revocation::BootTime;
use chancery_wire::v1::{
    MintRequest, MintResponse, MintStreamRequest, MintStreamResponse,
    mint_stream_response::Outcome, token_service_client::TokenServiceClient,
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport::Channel};

use crate::{clock::SystemClock, error::status_of};

/// Requests of one stream that wait for their answers.
pub(crate) const WINDOW: usize = 256;

/// A stream on which nothing was answered for so long ends, unless somebody asked
/// later: either nobody asks, or the node has fallen silent.
const IDLE: Duration = Duration::from_secs(15);

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The node answered it, with a token or a refusal.
    Given(Result<MintResponse, Status>),
    /// The stream ended before its answer came.
    Lost(Status),
    /// The stream had ended before it was sent.
    NotSent,
}

/// The asking end of a stream. It ends when this is dropped.
pub(crate) struct SharedStream {
    /// Has room for all that the window lets wait.
    requests: mpsc::Sender<MintStreamRequest>,
    room: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits, in the order of the requests, which is that of the answers.
#[derive(Default)]
struct Waiting {
    next: u64,
    line: VecDeque<Waiter>,
    ended: bool,
}

struct Waiter {
    sequence: u64,
    since: BootTime,
    answer: oneshot::Sender<Answer>,
    _room: OwnedSemaphorePermit,
}

impl SharedStream {
    /// Opens one. What is asked meanwhile is sent along: a stream that cannot be
    /// opened has lost it.
    pub(crate) fn open(channel: Channel) -> Self {
        let (requests, receiver) = mpsc::channel(WINDOW);
        let room = Arc::new(Semaphore::new(WINDOW));
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let reader = Reader {
            room: room.clone(),
            waiting: waiting.clone(),
        };
        tokio::spawn(reader.run(channel, receiver));
        Self {
            requests,
            room,
            waiting,
        }
    }

    /// Whether a request would be sent at once.
    pub(crate) fn has_room(&self) -> bool {
        self.room.available_permits() > 0
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.room.is_closed()
    }

    /// Sends a request when there is room for it, and waits for its answer. Dropped
    /// meanwhile, only this answer is lost.
    pub(crate) async fn mint(&self, request: MintRequest) -> Answer {
        let Ok(room) = self.room.clone().acquire_owned().await else {
            return Answer::NotSent;
        };
        let Some(answer) = self.send(request, room) else {
            return Answer::NotSent;
        };
        match answer.await {
            Ok(answer) => answer,
            // The runtime on which the stream was opened is gone.
            Err(_) => Answer::Lost(lost("nobody reads it any more")),
        }
    }

    fn send(
        &self,
        request: MintRequest,
        room: OwnedSemaphorePermit,
    ) -> Option<oneshot::Receiver<Answer>> {
        // Numbered and sent under one lock, so that the order is the same.
        let mut waiting = self.waiting.lock();
        if waiting.ended {
            return None;
        }
        let sequence = waiting.next;
        let message = MintStreamRequest {
            sequence,
            request: Some(request),
        };
        if self.requests.try_send(message).is_err() {
            // Its reader is about to find out.
            self.room.close();
            return None;
        }
        let (answer, receiver) = oneshot::channel();
        waiting.next += 1;
        waiting.line.push_back(Waiter {
            sequence,
            since: SystemClock::boot(),
            answer,
            _room: room,
        });
        Some(receiver)
    }
}

/// Hands the answers out, until the stream ends however that comes about.
struct Reader {
    room: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Reader {
    async fn run(self, channel: Channel, requests: mpsc::Receiver<MintStreamRequest>) {
        let status = self.read(channel, requests).await;
        let left = {
            let mut waiting = self.waiting.lock();
            waiting.ended = true;
            std::mem::take(&mut waiting.line)
        };
        self.room.close();
        for waiter in left {
            // Who went away needs no answer; so below.
            let _ = waiter.answer.send(Answer::Lost(status.clone()));
        }
    }

    /// Gives what ended the stream.
    async fn read(&self, channel: Channel, requests: mpsc::Receiver<MintStreamRequest>) -> Status {
        let mut client = TokenServiceClient::new(channel);
        let opening = client.mint_stream(ReceiverStream::new(requests));
        let mut answers = match tokio::time::timeout(IDLE, opening).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return status,
            Err(_) => return lost("it was not opened in time"),
        };
        let mut patience = IDLE;
        loop {
            let answer = match tokio::time::timeout(patience, answers.message()).await {
                Ok(Ok(Some(answer))) => answer,
                Ok(Ok(None)) => return lost("the node ended it"),
                Ok(Err(status)) => return status,
                Err(_) => match self.patience() {
                    Some(left) => {
                        patience = left;
                        continue;
                    }
                    None => return lost("nothing was answered for a while"),
                },
            };
            if let Err(status) = self.hand_out(answer) {
                return status;
            }
            patience = IDLE;
        }
    }

    /// How much longer whoever was sent first may wait: nobody is given up for having
    /// asked when nobody had for a while. Nobody there: the stream takes nothing more.
    fn patience(&self) -> Option<Duration> {
        let mut waiting = self.waiting.lock();
        let left = waiting
            .line
            .front()
            .map(|first| {
                IDLE.saturating_sub(SystemClock::boot().since(first.since).unwrap_or_default())
            })
            .filter(|left| !left.is_zero());
        waiting.ended = left.is_none();
        left
    }

    fn hand_out(&self, message: MintStreamResponse) -> Result<(), Status> {
        let next = {
            let mut waiting = self.waiting.lock();
            let line = &mut waiting.line;
            let next = line.front().map(|next| next.sequence);
            (next == Some(message.sequence)).then(|| line.pop_front())
        };
        let waiter = next
            .flatten()
            .ok_or_else(|| lost("an answer came out of order"))?;
        let given = match message.outcome {
            Some(Outcome::Response(response)) => Ok(response),
            Some(Outcome::Refusal(refusal)) => Err(status_of(refusal)),
            None => Err(lost("a node of a newer protocol answered")),
        };
        let _ = waiter.answer.send(Answer::Given(given));
        Ok(())
    }
}

fn lost(why: &str) -> Status {
    Status::unavailable(format!("the stream of mints ended: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A stream on which nothing was answered for a while, and the one who waits was
    /// sent so long ago; how long it goes on, and whether it takes more.
    fn idle(sent: Option<Duration>) -> (Option<Duration>, bool) {
        let room = Arc::new(Semaphore::new(1));
        let mut waiting = Waiting::default();
        waiting.line.extend(sent.map(|ago| Waiter {
            sequence: 0,
            since: SystemClock::boot().minus(ago),
            answer: oneshot::channel().0,
            _room: room.clone().try_acquire_owned().unwrap(),
        }));
        let reader = Reader {
            room,
            waiting: Arc::new(Mutex::new(waiting)),
        };
        let patience = reader.patience();
        let ended = reader.waiting.lock().ended;
        (patience, !ended)
    }

    #[test]
    fn who_asks_when_nobody_had_for_a_while_has_its_own_time() {
        let (patience, goes_on) = idle(Some(Duration::from_secs(1)));
        assert!(goes_on && patience.unwrap() > Duration::from_secs(5));
        assert_eq!(
            idle(Some(IDLE)),
            (None, false),
            "the node has fallen silent"
        );
        assert_eq!(idle(None), (None, false), "nobody asks");
    }
}
