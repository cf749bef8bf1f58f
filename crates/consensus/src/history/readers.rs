//! Who looks into the history at a time. A page reads the disk for a while, on a thread
//! that may wait: so many at once, and none for somebody who has gone.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Semaphore;

use crate::disk_work::on_a_thread;

/// Pages that are read at a time, and threads that this takes.
const AT_ONCE: usize = 4;

/// The places of those who read.
#[derive(Clone, Debug)]
pub(crate) struct Readers(Arc<Semaphore>);

impl Default for Readers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Readers {
    /// Does `read` when there is a place, on a thread that may wait. `read` is to ask
    /// what it is given every now and then, and to end when that says that nobody wants
    /// it any more: because this future was dropped, or [`close`](Self::close) called.
    /// The place is free when `read` has ended, and not before.
    ///
    /// # Errors
    /// Those of `read`, or that the node stops.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Fn() -> bool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let places = self.0.clone();
        let place = places.acquire_owned().await.map_err(|_| stopping())?;
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let (still, places) = (wanted.0.clone(), self.0.clone());
        let reading = move || {
            let _place = place;
            read(&|| still.load(Ordering::Relaxed) && !places.is_closed())
        };
        let done = on_a_thread(reading).await;
        drop(wanted);
        done?
    }

    /// Takes nobody any more, and has those end who read.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        AT_ONCE - self.0.available_permits()
    }
}

/// Turns false when it is dropped.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub(crate) fn stopping() -> io::Error {
    io::Error::other("this node is stopping")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{sync::atomic::AtomicUsize, time::Duration};

    /// Who reads at the moment, and who did at most.
    #[derive(Default)]
    struct Reading {
        now: AtomicUsize,
        most: AtomicUsize,
        begun: AtomicUsize,
    }

    impl Reading {
        /// Reads until nobody wants it any more.
        fn until_left(&self, is_wanted: &dyn Fn() -> bool) -> io::Result<()> {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.begun.fetch_add(1, Ordering::SeqCst);
            while is_wanted() {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            Err(io::ErrorKind::Interrupted.into())
        }
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        let waiting = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        let within = Duration::from_secs(60);
        let waited = tokio::time::timeout(within, waiting).await;
        assert!(waited.is_ok(), "it was never so that {what}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn so_many_read_at_a_time_and_none_for_who_has_gone() {
        let (readers, reading) = (Readers::default(), Arc::new(Reading::default()));
        let asked: Vec<_> = (0..100)
            .map(|_| {
                let (readers, reading) = (readers.clone(), reading.clone());
                tokio::spawn(async move {
                    let read = move |is_wanted: &dyn Fn() -> bool| reading.until_left(is_wanted);
                    readers.read(read).await
                })
            })
            .collect();
        let now = |count| reading.now.load(Ordering::SeqCst) == count;
        until("as many read as may", || now(AT_ONCE)).await;
        for one in &asked {
            one.abort();
        }
        until("all have ended", || now(0) && readers.count() == 0).await;
        assert_eq!(reading.most.load(Ordering::SeqCst), AT_ONCE);
        for one in asked {
            assert!(one.await.unwrap_err().is_cancelled());
        }
        // Those who waited for a place have left the line, too.
        let begun = reading.begun.load(Ordering::SeqCst);
        assert_eq!(readers.read(|_| Ok(7)).await.unwrap(), 7);
        assert_eq!(reading.begun.load(Ordering::SeqCst), begun);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_that_stops_waits_for_no_page() {
        let (readers, reading) = (Readers::default(), Arc::new(Reading::default()));
        let asked: Vec<_> = (0..2 * AT_ONCE)
            .map(|_| {
                let (readers, reading) = (readers.clone(), reading.clone());
                let read = move |is_wanted: &dyn Fn() -> bool| reading.until_left(is_wanted);
                tokio::spawn(async move { readers.read(read).await })
            })
            .collect();
        let now = |count| reading.now.load(Ordering::SeqCst) == count;
        until("as many read as may", || now(AT_ONCE)).await;
        readers.close();
        for one in asked {
            assert!(one.await.unwrap().is_err());
        }
        assert!(now(0));
        assert!(readers.read(|_| Ok(7)).await.is_err());
    }
}
