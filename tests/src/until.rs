//! Waiting for a condition, never for a time.

use std::{future::Future, time::Duration};

/// How long a condition may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `condition` gives something.
///
/// # Panics
/// When it gives nothing for a minute.
pub async fn until<T, F, Fut>(what: &str, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let looking = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if let Some(found) = condition().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("within {PATIENCE:?} it was never so that {what}"))
}
