//! A registry that the tests write, and a clock that they set.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chancery_authority::{Role, Roles};
use chancery_credential::{KeyThumbprint, Revision, Subject};
use chancery_revocation::{BootTime, Clock, Now};
use chancery_server::caller::{Identity, Registration, Registry};
use futures::future::BoxFuture;

use super::Person;

#[derive(Default)]
pub struct FakeRegistry {
    keys: Mutex<HashMap<KeyThumbprint, Registration>>,
    generation: AtomicU64,
    stale: AtomicBool,
    /// What other nodes have acknowledged, and this one has still to apply.
    under_way: Mutex<Vec<(KeyThumbprint, Registration)>>,
}

impl Registry for FakeRegistry {
    fn look_up(&self, key: &KeyThumbprint) -> Option<Registration> {
        self.keys.lock().unwrap().get(key).cloned()
    }

    fn standing_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn revision(&self) -> Revision {
        Revision(7)
    }

    fn is_fresh(&self) -> bool {
        !self.stale.load(Ordering::Acquire)
    }

    fn catch_up(&self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            // Not at once, as it is with a proof.
            tokio::task::yield_now().await;
            if self.stale.load(Ordering::Acquire) {
                return false;
            }
            let arrived = std::mem::take(&mut *self.under_way.lock().unwrap());
            self.keys.lock().unwrap().extend(arrived);
            true
        })
    }
}

pub fn agent(name: &str) -> Identity {
    Identity::Agent {
        id: format!("spiffe://example.org/{name}").parse().unwrap(),
    }
}

pub fn service(name: &str) -> Identity {
    Identity::Service {
        name: name.parse().unwrap(),
    }
}

pub fn operator(name: &str, roles: &[Role]) -> Identity {
    Identity::Operator {
        name: name.parse().unwrap(),
        roles: Roles::of(roles),
    }
}

impl FakeRegistry {
    /// From here on it cannot prove that it is recent.
    pub fn go_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Another node has acknowledged it.
    pub fn registered_elsewhere(&self, person: &Person, identity: Identity) {
        let registration = Registration {
            identity,
            suspended: None,
            expires_at: None,
        };
        let mut under_way = self.under_way.lock().unwrap();
        under_way.push((person.thumbprint(), registration));
    }

    pub fn register(&self, person: &Person, identity: Identity) {
        self.put(
            person,
            Registration {
                identity,
                suspended: None,
                expires_at: None,
            },
        );
    }

    pub fn register_agent(&self, name: &str) -> Person {
        let person = Person::new();
        self.register(&person, agent(name));
        person
    }

    pub fn register_service(&self, name: &str) -> Person {
        let person = Person::new();
        self.register(&person, service(name));
        person
    }

    pub fn register_operator(&self, name: &str, roles: &[Role]) -> Person {
        let person = Person::new();
        self.register(&person, operator(name, roles));
        person
    }

    pub fn put(&self, person: &Person, registration: Registration) {
        self.keys
            .lock()
            .unwrap()
            .insert(person.thumbprint(), registration);
    }

    /// Somebody lost standing, and it is published.
    pub fn lose(&self, change: impl FnOnce(&mut HashMap<KeyThumbprint, Registration>)) {
        change(&mut self.keys.lock().unwrap());
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub fn suspend(&self, person: &Person) {
        self.lose(|keys| {
            let registration = keys.get_mut(&person.thumbprint()).unwrap();
            registration.suspended = registration.identity.agent().cloned().map(Subject::Agent);
        });
    }

    pub fn remove(&self, person: &Person) {
        self.lose(|keys| drop(keys.remove(&person.thumbprint())));
    }
}

pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn at(seconds: u64) -> Self {
        Self(AtomicU64::new(seconds))
    }

    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now {
            wall: self.0.load(Ordering::SeqCst),
            boot: BootTime(0),
        }
    }
}
