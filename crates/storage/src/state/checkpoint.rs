//! Images of the state, from which a joining node is brought up.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Applied, installed};
use crate::{DataDirectory, Error, Result, Rows, database::Database, durable};

/// Images kept, beside those whose rows are being read.
const KEPT: usize = 2;
/// Where an image is made, until it is whole.
const MAKING: &str = "making";

/// An image of the state at one index. Cheap to clone; its files stay as long as a clone of it, or [`Rows`] of it, lives
/// in this process.
#[derive(Clone)]
pub struct Checkpoint {
    image: Arc<Image>,
}

struct Image {
    applied: Applied,
    path: PathBuf,
    directory: DataDirectory,
}

impl Checkpoint {
    /// The log index that it stands for.
    pub fn index(&self) -> u64 {
        self.image.applied.index
    }

    /// How far the state had come, with what its owner kept with it.
    pub fn applied(&self) -> &Applied {
        &self.image.applied
    }

    /// All rows, in the order of (table, key), and nothing else than the state at [`Self::index`]. A row that the disk
    /// has changed is an error in their midst: discard the checkpoint then ([`super::StateStore::discard_checkpoint`]).
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::DatabaseMissing`], or the disk's.
    pub fn rows(&self) -> Result<Rows> {
        let Image {
            path, directory, ..
        } = &*self.image;
        let held = Box::new(self.clone());
        let (cache, marker) = (directory.cache(), directory.marker());
        let database = Database::open_read_only(path, cache, marker, Some(held))?;
        Ok(Rows::of(Arc::new(database), None, directory))
    }

    fn open(path: &Path, directory: &DataDirectory) -> Result<Self> {
        let (cache, marker) = (directory.cache(), directory.marker());
        let database = Database::open_read_only(path, cache, marker, None)?;
        let applied = Applied::read(&database)?.ok_or(Error::NothingApplied)?;
        let image = Image {
            applied,
            path: path.to_owned(),
            directory: directory.clone(),
        };
        Ok(Self {
            image: Arc::new(image),
        })
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("index", &self.index())
            .finish_non_exhaustive()
    }
}

/// The images of a directory, by index. `None` has not been opened yet.
pub(super) struct Images {
    root: PathBuf,
    known: BTreeMap<u64, Option<Checkpoint>>,
}

impl Images {
    /// Lists the images; what is not one is the rest of one that was never whole, and goes.
    pub(super) fn open(directory: &DataDirectory) -> Result<Self> {
        let root = directory.path().join(super::CHECKPOINTS);
        durable::make_directory(&root)?;
        let mut known = BTreeMap::new();
        for child in durable::children(&root)? {
            match installed::number(&child) {
                Some(index) => {
                    known.insert(index, None);
                }
                None => durable::remove(&child)?,
            }
        }
        Ok(Self { root, known })
    }

    pub(super) fn make(
        &mut self,
        database: &Database,
        directory: &DataDirectory,
    ) -> Result<Checkpoint> {
        let making = self.root.join(MAKING);
        durable::remove(&making)?;
        database.image(&making)?;
        let index = Checkpoint::open(&making, directory)?.index();
        if let Some(Some(same)) = self.known.get(&index) {
            // The same index is the same state.
            durable::remove(&making)?;
            return Ok(same.clone());
        }
        durable::sync_content(&making)?;
        let path = installed::path(&self.root, index);
        durable::remove(&path)?;
        durable::rename(&making, &path)?;
        durable::sync_directory(&self.root)?;
        let made = Checkpoint::open(&path, directory)?;
        self.known.insert(index, Some(made.clone()));
        self.retire();
        Ok(made)
    }

    pub(super) fn newest(&mut self, directory: &DataDirectory) -> Option<Checkpoint> {
        for (index, known) in self.known.iter_mut().rev() {
            if let Some(known) = known {
                return Some(known.clone());
            }
            let path = installed::path(&self.root, *index);
            match Checkpoint::open(&path, directory) {
                Ok(opened) if opened.index() == *index => {
                    return Some(known.insert(opened).clone());
                }
                Ok(opened) => {
                    let found = opened.index();
                    tracing::warn!(
                        index,
                        found,
                        "a checkpoint is not what its name says; passed over"
                    );
                }
                Err(error) => tracing::warn!(index, %error, "a checkpoint is damaged; passed over"),
            }
        }
        None
    }

    pub(super) fn discard(&mut self, index: u64) -> Result<()> {
        self.known.remove(&index);
        durable::remove(&installed::path(&self.root, index))
    }

    /// Removes all but the newest; one that is being read goes the next time.
    fn retire(&mut self) {
        let root = &self.root;
        let newest = self.known.len().saturating_sub(KEPT);
        let old: Vec<u64> = self.known.keys().copied().take(newest).collect();
        for index in old {
            let read = self.known.get(&index).and_then(Option::as_ref);
            if read.is_some_and(|checkpoint| Arc::strong_count(&checkpoint.image) > 1) {
                continue;
            }
            if let Err(error) = durable::remove(&installed::path(root, index)) {
                tracing::warn!(index, %error, "cannot remove an old checkpoint");
            }
            self.known.remove(&index);
        }
    }
}
