//! The memory that nodes and verifiers run on.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) use std::sync::atomic::AtomicU64;

/// The ordering that is in force: the one that was written.
pub(super) const fn in_force(ordering: Ordering) -> Ordering {
    ordering
}

/// A concurrent map whose readers neither block nor wait. A read happens after the
/// write (or removal) whose result it sees.
pub(crate) struct Table<K, V>(papaya::HashMap<K, V>);

impl<K: Hash + Eq, V> Table<K, V> {
    pub(crate) fn new() -> Self {
        Self(papaya::HashMap::new())
    }

    /// Looks at the value of `key` in place, without copying it.
    pub(crate) fn read<R>(&self, key: &K, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.pin().get(key).map(look)
    }

    pub(crate) fn put(&self, key: K, value: V) {
        self.0.pin().insert(key, value);
    }

    pub(crate) fn remove(&self, key: &K) {
        self.0.pin().remove(key);
    }

    pub(crate) fn retain(&self, keep: impl FnMut(&K, &V) -> bool) {
        self.0.pin().retain(keep);
    }

    /// Every entry that is there throughout, in no order, and perhaps some that
    /// come or go meanwhile.
    pub(crate) fn visit(&self, mut look: impl FnMut(&K, &V)) {
        for (key, value) in &self.0.pin() {
            look(key, value);
        }
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table(..)")
    }
}

/// What one thread at a time may hold. A thread that died holding it left nothing
/// half done that matters here: changes that are not published license nothing.
#[derive(Debug, Default)]
pub(crate) struct Exclusive<T>(Mutex<T>);

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn hold(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
