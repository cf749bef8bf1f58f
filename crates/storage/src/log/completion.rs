//! Being told that something is on the disk.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

/// Called when a change is on the disk, or never will be.
///
/// Exactly once, whatever happens, also when the call that took it answers an error; in the order in which the
/// changes were asked for; on the group-commit thread, or on the caller's when the change is refused at once.
/// It must neither block nor panic: the next sync waits for it.
pub type OnFlushed = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A callback, and the future that resolves with what it is called with.
pub fn completion() -> (OnFlushed, Completion) {
    let (sender, receiver) = oneshot::channel();
    // Nobody may be waiting any more.
    (
        Box::new(move |result| drop(sender.send(result))),
        Completion { receiver },
    )
}

/// Resolves when its callback is called.
#[derive(Debug)]
#[must_use = "a change is on the disk only once this has resolved"]
pub struct Completion {
    receiver: oneshot::Receiver<io::Result<()>>,
}

impl Future for Completion {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|called| {
            called.unwrap_or_else(|_| Err(io::Error::other("the callback was dropped uncalled")))
        })
    }
}
