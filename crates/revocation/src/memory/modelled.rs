//! The same memory as loom models it, and ways to weaken it.

use std::cell::Cell;
use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use loom::sync::atomic::AtomicUsize;

pub(super) use loom::sync::atomic::AtomicU64;

/// A mistake that a test makes on purpose, to see that it would be found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Publishing orders nothing.
    RelaxedPublication,
    /// Observing orders nothing.
    RelaxedObservation,
}

thread_local! {
    static WEAKNESS: Cell<Option<Weakness>> = const { Cell::new(None) };
}

/// Runs `model` with the mistake. Modelled threads all run on the caller's own.
pub fn weakened<R>(weakness: Weakness, model: impl FnOnce() -> R) -> R {
    struct Restored;
    impl Drop for Restored {
        fn drop(&mut self) {
            WEAKNESS.set(None);
        }
    }
    WEAKNESS.set(Some(weakness));
    let _restored = Restored;
    model()
}

/// The ordering that is in force: the one that was written, unless weakened.
pub(super) fn in_force(ordering: Ordering) -> Ordering {
    match (WEAKNESS.get(), ordering) {
        (Some(Weakness::RelaxedPublication), Ordering::Release)
        | (Some(Weakness::RelaxedObservation), Ordering::Acquire) => Ordering::Relaxed,
        _ => ordering,
    }
}

/// Entries that a model can have in one table.
const SLOTS: usize = 4;

/// A map in which every key has a slot of its own, a word that says which version
/// of its value is current. Slots order what papaya orders and no more: a read
/// happens after the write that it sees, and may see an earlier one than the last.
/// (A map behind a lock would order every access with every other, and no mistake
/// of ours would ever show.)
pub(crate) struct Table<K, V> {
    current: [AtomicUsize; SLOTS],
    /// Not modelled: no other thread runs while it is held.
    entries: std::sync::Mutex<Vec<(K, Vec<V>)>>,
}

impl<K: Eq + Clone, V: Clone> Table<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            current: std::array::from_fn(|_| AtomicUsize::new(0)),
            entries: std::sync::Mutex::new(Vec::new()),
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<(K, Vec<V>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: &K) -> Option<(usize, &AtomicUsize)> {
        let index = self.entries().iter().position(|(held, _)| held == key)?;
        Some((index, self.current.get(index)?))
    }

    /// Version 0 is absence; version n is the n-th value that was put.
    fn version(&self, index: usize, version: usize) -> Option<V> {
        let entries = self.entries();
        let (_, values) = entries.get(index)?;
        values.get(version.checked_sub(1)?).cloned()
    }

    pub(crate) fn read<R>(&self, key: &K, look: impl FnOnce(&V) -> R) -> Option<R> {
        let (index, current) = self.slot(key)?;
        let version = current.load(Ordering::Acquire);
        self.version(index, version).as_ref().map(look)
    }

    pub(crate) fn put(&self, key: K, value: V) {
        let version = {
            let mut entries = self.entries();
            match entries.iter_mut().find(|(held, _)| *held == key) {
                Some((_, values)) => {
                    values.push(value);
                    values.len()
                }
                None => {
                    entries.push((key.clone(), vec![value]));
                    assert!(entries.len() <= SLOTS, "a model's table is full");
                    1
                }
            }
        };
        if let Some((_, current)) = self.slot(&key) {
            current.store(version, Ordering::Release);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        if let Some((_, current)) = self.slot(key) {
            current.store(0, Ordering::Release);
        }
    }

    pub(crate) fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        let mut gone = Vec::new();
        self.visit(|key, value| {
            if !keep(key, value) {
                gone.push(key.clone());
            }
        });
        gone.iter().for_each(|key| self.remove(key));
    }

    pub(crate) fn visit(&self, mut look: impl FnMut(&K, &V)) {
        let keys: Vec<K> = self.entries().iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let _ = self.read(&key, |value| look(&key, value));
        }
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table(..)")
    }
}

/// What one thread at a time may hold.
#[derive(Debug)]
pub(crate) struct Exclusive<T>(loom::sync::Mutex<T>);

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn hold(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
