//! Work that waits for the disk, where it holds nobody up.

use std::io;

/// Does `work` on a thread that may wait.
///
/// # Errors
/// It panicked.
#[cfg(not(simulation))]
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
}

/// A simulation has one thread, and disks that answer at once: what would have waited
/// is done a moment later instead.
///
/// # Errors
/// None.
#[cfg(simulation)]
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    Ok(work())
}
