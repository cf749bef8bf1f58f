//! Follows the cluster, at one node after another: the clock, the streams and the pauses
//! around [`Follower`].

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use chancery_revocation::{BootTime, Clock, Limits, View};
use chancery_wire::v1::{self, revocation_service_client::RevocationServiceClient};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::follower::Follower;
use crate::{
    call::jitter,
    endpoints::{Endpoints, Node},
    error::Refusal,
    retry::RetryPolicy,
};

/// What the machine's clocks, or those of a simulation, are reached by.
pub(super) type SharedClock = Arc<dyn Clock + Send + Sync>;

/// A node that says nothing at all while it has to begin is left after this.
const SILENCE: Duration = Duration::from_secs(2);
/// The longest sleep: the clock that counts goes on while the machine sleeps, and the
/// runtime's does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// By what tokens are judged now.
pub(super) struct Following {
    pub(super) view: Arc<View>,
    pub(super) issuer: String,
    pub(super) limits: Limits,
}

/// Between the one that follows and those that verify.
pub(super) struct Shared {
    pub(super) current: ArcSwapOption<Following>,
    /// When the last ping was sent that was answered.
    pub(super) answered: watch::Sender<Option<BootTime>>,
    /// Since when somebody waits for a proof.
    wanted: Mutex<Option<BootTime>>,
    asked: Notify,
    /// Why a stream ended last.
    pub(super) last_trouble: Mutex<String>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            answered: watch::Sender::new(None),
            wanted: Mutex::new(None),
            asked: Notify::new(),
            last_trouble: Mutex::new("no node was asked yet".to_owned()),
        }
    }

    /// Asks for a proof that begins after `since`. However many ask, one ping serves.
    pub(super) fn want(&self, since: BootTime) {
        let mut wanted = self.wanted.lock();
        *wanted = (*wanted).max(Some(since));
        self.asked.notify_one();
    }

    fn wanted(&self) -> Option<BootTime> {
        *self.wanted.lock()
    }

    fn publish(&self, follower: &Follower) {
        let Some((view, terms)) = follower.following() else {
            return;
        };
        let is_known = self.current.load().as_ref().is_some_and(|current| {
            Arc::ptr_eq(&current.view, view)
                && current.limits == terms.limits
                && current.issuer == terms.issuer
        });
        if !is_known {
            self.current.store(Some(Arc::new(Following {
                view: view.clone(),
                issuer: terms.issuer.clone(),
                limits: terms.limits,
            })));
        }
    }
}

/// Follows until it is dropped.
pub(super) async fn follow(
    shared: Arc<Shared>,
    endpoints: Arc<Endpoints>,
    retry: RetryPolicy,
    asked_ms: u64,
    clock: SharedClock,
) {
    let mut follower = Follower::new(asked_ms);
    let mut rounds = 0;
    loop {
        let Some((position, node)) = endpoints.preferred() else {
            return;
        };
        let before = *shared.answered.borrow();
        let why = stream(&shared, &mut follower, node, retry, &clock).await;
        follower.end();
        shared.publish(&follower);
        tracing::info!(node = node.address, %why, "the feed ended: another node is followed");
        *shared.last_trouble.lock() = format!("{}: {why}", node.address);
        endpoints.leave(position, clock.now().boot);
        if *shared.answered.borrow() == before {
            rounds += 1;
        } else {
            rounds = 0;
        }
        tokio::time::sleep(retry.pause_after(rounds, jitter())).await;
    }
}

/// Follows one stream to its end, and gives why it ended.
async fn stream(
    shared: &Shared,
    follower: &mut Follower,
    node: &Node,
    retry: RetryPolicy,
    clock: &SharedClock,
) -> String {
    let (say, mut feed) = match open(follower.begin(), node, retry).await {
        Ok(opened) => opened,
        Err(why) => return why,
    };
    let mut heard = clock.now().boot;
    loop {
        let now = clock.now().boot;
        if follower.is_left_alone(now) {
            return "it left a ping unanswered".to_owned();
        }
        let silent = now.since(heard).unwrap_or(Duration::ZERO);
        if !follower.is_live() && silent >= SILENCE {
            return "it says nothing".to_owned();
        }
        let wanted = shared.wanted();
        if let Some(ping) = follower.ping(now, wanted) {
            let request = v1::WatchRequest {
                ping: Some(ping),
                ..v1::WatchRequest::default()
            };
            if say.try_send(request).is_err() {
                return "it takes no ping".to_owned();
            }
        }
        let idle = follower.idle(now, wanted).min(LONGEST_SLEEP);
        tokio::select! {
            message = feed.message() => {
                let event = match message {
                    Ok(Some(message)) => message.event,
                    Ok(None) => return "it ended the feed".to_owned(),
                    Err(status) => return Refusal::of(&status).to_string(),
                };
                heard = clock.now().boot;
                // An event of a later version, which tells nothing that can be read here.
                let Some(event) = event else {
                    continue;
                };
                match follower.told(event) {
                    Ok(answered) => {
                        shared.publish(follower);
                        if let Some(answered) = answered {
                            shared.answered.send_replace(Some(answered.sent));
                        }
                    }
                    Err(broken) => {
                        shared.publish(follower);
                        return broken.to_string();
                    }
                }
            }
            () = tokio::time::sleep(idle) => {}
            () = shared.asked.notified() => {}
        }
    }
}

type Opened = (mpsc::Sender<v1::WatchRequest>, Streaming<v1::WatchResponse>);

async fn open(begin: v1::WatchRequest, node: &Node, retry: RetryPolicy) -> Result<Opened, String> {
    // The first message, and one ping at a time.
    let (say, requests) = mpsc::channel(2);
    say.try_send(begin)
        .map_err(|_| "there is no room to begin".to_owned())?;
    let mut client = RevocationServiceClient::new(node.channel.clone());
    let opening = client.watch(ReceiverStream::new(requests));
    match tokio::time::timeout(retry.try_timeout, opening).await {
        Ok(Ok(feed)) => Ok((say, feed.into_inner())),
        Ok(Err(status)) => Err(Refusal::of(&status).to_string()),
        Err(_) => Err(format!("no answer within {:?}", retry.try_timeout)),
    }
}
