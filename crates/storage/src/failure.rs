//! The one-way switch: once a write has failed, nothing is written again.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use crate::{Error, Result};

/// Whether storage has failed, for everything in one data directory.
///
/// After a failed write or sync nobody knows what the disk holds: the kernel may already have dropped
/// the pages that it could not write, and a second sync would report success without them. So the first
/// failure is the last word: every later operation is refused with it, and the process must end.
/// A restart reads what is really there. Never cleared. Clones share the switch.
#[derive(Clone)]
pub struct Failure {
    why: Arc<watch::Sender<Option<Arc<str>>>>,
}

impl Failure {
    pub(crate) fn none() -> Self {
        Self {
            why: Arc::new(watch::Sender::new(None)),
        }
    }

    /// The failure, if there was one.
    pub fn get(&self) -> Option<Error> {
        self.why.borrow().clone().map(Error::Failed)
    }

    /// Waits for the failure: the owner of the process ends it then.
    pub async fn occurred(&self) -> Error {
        let mut why = self.why.subscribe();
        match why.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(why)) => Error::Failed(why.clone()),
            // The sender lives in `self`; it cannot be gone.
            Ok(None) | Err(_) => Error::Failed("the switch is gone".into()),
        }
    }

    /// Declares failure: every later operation on the directory is refused. The first reason stands.
    ///
    /// Also for owners that find what is stored to be wrong (a state digest that differs, say).
    pub fn declare(&self, why: impl Into<Arc<str>>) {
        self.why.send_if_modified(|stands| {
            let first = stands.is_none();
            if first {
                let why = why.into();
                tracing::error!(reason = %why, "storage has failed");
                *stands = Some(why);
            }
            first
        });
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.get().map_or(Ok(()), Err)
    }

    /// Passes a result through; an error is declared first.
    pub(crate) fn watch<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.declare(error.to_string());
        }
        result
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&*self.why.borrow()).finish()
    }
}
