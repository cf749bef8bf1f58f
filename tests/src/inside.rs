//! A node inside the test's own process, whose signing keys the test knows.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use chancery_credential::SigningKey;
use chancery_server::{Config, DrawSeed, serve_drawing};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

/// A node's threads.
#[derive(Debug)]
pub struct Inside {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Inside {
    /// Serves on threads of its own until it is stopped.
    pub(crate) fn start(configuration: &Path, draw_seed: DrawSeed) -> Self {
        let config = Config::from_file(configuration).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            runtime
                .block_on(serve_drawing(config, draw_seed, shutdown))
                .unwrap();
        });
        Self { stop, thread }
    }

    /// Drains it, and waits until it is gone.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(());
        let ended = self.thread.join();
        assert!(
            ended.is_ok() || std::thread::panicking(),
            "the node inside this process failed"
        );
    }
}

/// Seeds that a test chose, in the order in which keys were made of them.
#[derive(Debug, Clone, Default)]
pub struct ChosenSeeds(Arc<Mutex<Vec<[u8; 32]>>>);

impl ChosenSeeds {
    /// What a node draws from: another seed each time, and this knows them all.
    #[must_use]
    pub fn draw(&self) -> DrawSeed {
        let seeds = self.0.clone();
        Box::new(move |room| {
            let mut seeds = seeds.lock().unwrap();
            *room = Sha256::digest(format!("seed {} of a test", seeds.len())).into();
            seeds.push(*room);
            Ok(())
        })
    }

    /// Every seed that was drawn.
    #[must_use]
    pub fn drawn(&self) -> Vec<[u8; 32]> {
        self.0.lock().unwrap().clone()
    }

    /// The private key whose published half is `public`, as a thief of the
    /// process's memory has it.
    #[must_use]
    pub fn stolen(&self, public: &[u8]) -> Option<SigningKey> {
        self.drawn()
            .iter()
            .map(SigningKey::from_seed)
            .find(|key| key.public().as_bytes() == public)
    }
}
