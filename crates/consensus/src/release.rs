//! Knowing when the last holder of the storage is gone, so that a shutdown can
//! say that the directory is closed.

use tokio::sync::mpsc;

/// Kept by everything that keeps the storage open.
#[derive(Clone, Debug)]
pub(crate) struct Hold(#[allow(dead_code, reason = "its drop is what counts")] mpsc::Sender<()>);

/// Waits for the last [`Hold`].
#[derive(Debug)]
pub(crate) struct Released(mpsc::Receiver<()>);

pub(crate) fn pair() -> (Hold, Released) {
    let (sender, receiver) = mpsc::channel(1);
    (Hold(sender), Released(receiver))
}

impl Released {
    /// Resolves when nothing keeps the storage open any more.
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: the end of the channel is the news.
        while self.0.recv().await.is_some() {}
    }
}
