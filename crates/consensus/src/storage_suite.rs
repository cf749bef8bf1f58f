//! openraft's own tests of a log store and a state machine, on the real ones.

use std::sync::Arc;

use chancery_credential::{Lineage, NodeNumber};
use chancery_revocation::View;
use chancery_storage::DataDirectory;
use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use tempfile::TempDir;

use crate::{
    history::HistoryBounds, log_store::LogStore, options::DirectoryIdentity, published::Published,
    raft::Types, release::pair, state_machine::StateMachine,
};

struct OnDisk;

impl StoreBuilder<Types, LogStore, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<Types>> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let lineage = Lineage {
            generation: 1,
            random: 7,
        };
        let identity = DirectoryIdentity {
            lineage,
            node: NodeNumber(1),
            incarnation: 1,
        };
        identity.create_directory(&path).unwrap();
        let directory = DataDirectory::open(&path, &identity.marker()).unwrap();
        let (log, state) = directory.open_stores().unwrap();
        let view = Arc::new(View::new(lineage));
        let published = Arc::new(Published::new(view, Vec::new(), 16));
        let (hold, _released) = pair();
        // The suite applies entries that no log holds, and purges what no state does.
        let machine = StateMachine::new(
            published,
            state,
            None,
            lineage,
            0,
            HistoryBounds::default(),
            hold.clone(),
        )
        .unwrap();
        Ok((home, LogStore::new(log, None, hold), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_keep_what_openraft_demands() {
    Suite::test_all(OnDisk).await.unwrap();
}
