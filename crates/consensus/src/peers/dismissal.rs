//! How a node learns that it was removed: its peers end its handshakes with the
//! alert `certificate_revoked` (RFC 8446 §6.2). Whoever says so has proved its own
//! pinned key by then.

use std::{
    collections::BTreeSet,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use chancery_credential::NodeNumber;
use rustls::AlertDescription;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

/// The peers that said so to this process.
#[derive(Clone, Debug)]
pub(crate) struct Dismissals(Arc<watch::Sender<BTreeSet<NodeNumber>>>);

impl Default for Dismissals {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeSet::new())))
    }
}

impl Dismissals {
    /// Moves each time that somebody says so.
    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeSet<NodeNumber>> {
        self.0.subscribe()
    }

    /// Looks at how a connection to `peer` ended.
    pub(crate) fn look_at(&self, peer: NodeNumber, error: &io::Error) {
        if is_dismissal(error) {
            self.0.send_modify(|by| {
                by.insert(peer);
            });
        }
    }
}

fn is_dismissal(error: &io::Error) -> bool {
    let inner = error.get_ref();
    let alert = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        alert,
        Some(rustls::Error::AlertReceived(
            AlertDescription::CertificateRevoked
        ))
    )
}

/// Whether what peers said settles that this node was removed. Of one that knows
/// that it is leaving, anybody's word does. Else a majority of the voters that it
/// knows beside itself has to say so: one that lies turns nobody off.
pub(crate) fn settles(
    said_by: &BTreeSet<NodeNumber>,
    own: NodeNumber,
    voters: impl Iterator<Item = NodeNumber>,
    is_leaving: bool,
) -> bool {
    let others: BTreeSet<NodeNumber> = voters.filter(|voter| *voter != own).collect();
    let saying = others.intersection(said_by).count();
    (is_leaving && !said_by.is_empty()) || (saying > 0 && saying * 2 > others.len())
}

/// A connection to a peer, whose end is looked at.
pub(crate) struct Attentive<S> {
    pub(crate) stream: S,
    pub(crate) peer: NodeNumber,
    pub(crate) dismissals: Dismissals,
}

impl<S: AsyncRead + Unpin> AsyncRead for Attentive<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &read {
            self.dismissals.look_at(self.peer, error);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Attentive<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[u64]) -> BTreeSet<NodeNumber> {
        numbers.iter().copied().map(NodeNumber).collect()
    }

    #[test]
    fn one_word_is_enough_for_who_leaves_and_a_majority_for_who_knows_nothing() {
        let own = NodeNumber(3);
        let settled = |said: &[u64], voters: &[u64], leaving: bool| {
            settles(&numbers(said), own, numbers(voters).into_iter(), leaving)
        };
        assert!(!settled(&[], &[1, 2, 3], true), "nobody said so");
        assert!(settled(&[4], &[1, 2, 3], true));
        assert!(!settled(&[1], &[1, 2, 3], false), "one of two others");
        assert!(settled(&[1, 2], &[1, 2, 3], false));
        assert!(settled(&[1], &[1, 3], false), "the only other");
        assert!(!settled(&[4, 5], &[1, 2, 3], false), "no voters it knows");
        assert!(!settled(&[3], &[3], false), "not on its own word");
    }

    #[test]
    fn only_that_alert_is_a_dismissal() {
        let ended = |alert| {
            let error = rustls::Error::AlertReceived(alert);
            is_dismissal(&io::Error::new(io::ErrorKind::InvalidData, error))
        };
        assert!(ended(AlertDescription::CertificateRevoked));
        assert!(!ended(AlertDescription::AccessDenied), "a stranger's");
        assert!(!is_dismissal(&io::ErrorKind::ConnectionReset.into()));
    }
}
