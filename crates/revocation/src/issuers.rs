//! The issuers that a view knows, with the ids revoked under each.

use std::sync::Arc;

use chancery_credential::{
    Ed25519PublicKey, EpochNumber, IssuerNumber, KeyId, NodeNumber, Revision, TokenId,
};

use crate::memory::{Published, Table};

/// Where an issuer stands. An expired one is not in the view at all.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum IssuerState {
    /// Its process may sign.
    Open,
    /// It signs no more; its tokens with at most this `rev` still verify.
    Retired(Revision),
    /// Nothing of it verifies, whatever the `rev`, which a thief would choose.
    Revoked,
}

/// An issuer: a signing key with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its number, never reused.
    pub number: IssuerNumber,
    /// The node whose process holds the private key.
    pub node: NodeNumber,
    /// The generation that it belongs to.
    pub epoch: EpochNumber,
    /// The lowest `rev` of its tokens.
    pub opened_at: Revision,
    /// What its tokens verify under.
    pub key: Ed25519PublicKey,
    /// Where it stands.
    pub state: IssuerState,
}

impl Issuer {
    /// Whether its tokens can verify: it is open or retired, and belongs in the JWKS.
    #[must_use]
    pub const fn verifies(&self) -> bool {
        !matches!(self.state, IssuerState::Revoked)
    }
}

/// An issuer and its revoked ids. Replaced as a whole; the set is shared by the
/// record before and the one after, so that an id is never missing from the
/// record that a reader happens to hold.
#[derive(Clone)]
struct Record {
    issuer: Issuer,
    revoked: Arc<Table<TokenId, ()>>,
}

/// How many numbers had been handed out when it was looked: read it before any
/// issuer that it is to say something about.
#[derive(Copy, Clone, Debug)]
pub(crate) struct HandedOut(u64);

impl HandedOut {
    pub(crate) fn includes(self, number: IssuerNumber) -> bool {
        u64::from(number.0) < self.0
    }
}

/// What a view knows of a number.
#[derive(Debug)]
pub(crate) enum Found<T> {
    Known(T),
    /// Handed out, and no longer there.
    Expired,
    /// Not handed out as far as this view knows.
    Unknown,
}

/// Its methods that take `&self` and change something are its one writer's.
#[derive(Debug)]
pub(crate) struct Issuers {
    by_key: Table<KeyId, IssuerNumber>,
    by_number: Table<IssuerNumber, Record>,
    /// One more than the highest number that was ever handed out.
    next: Published,
}

impl Issuers {
    pub(crate) fn new() -> Self {
        Self {
            by_key: Table::new(),
            by_number: Table::new(),
            next: Published::new(0),
        }
    }

    pub(crate) fn handed_out(&self) -> HandedOut {
        HandedOut(self.next.observe())
    }

    /// One more than the highest number that was ever handed out.
    pub(crate) fn next_number(&self) -> u64 {
        self.next.observe()
    }

    pub(crate) fn number_of(&self, key: &KeyId) -> Option<IssuerNumber> {
        self.by_key.read(key, |number| *number)
    }

    pub(crate) fn get(&self, number: IssuerNumber) -> Option<Issuer> {
        self.by_number.read(&number, |record| record.issuer.clone())
    }

    /// Looks at an issuer, and whether `id` is revoked under it.
    pub(crate) fn find<R>(
        &self,
        id: &TokenId,
        handed_out: HandedOut,
        look: impl FnOnce(&Issuer, bool) -> R,
    ) -> Found<R> {
        let number = id.issuer();
        let found = self.by_number.read(&number, |record| {
            let revoked = record.revoked.read(id, |()| ()).is_some();
            look(&record.issuer, revoked)
        });
        match found {
            Some(seen) => Found::Known(seen),
            None if handed_out.includes(number) => Found::Expired,
            None => Found::Unknown,
        }
    }

    /// Every issuer that has not expired, by number, each with its revoked ids in
    /// order if `with_ids`.
    pub(crate) fn list(&self, with_ids: bool) -> Vec<(Issuer, Vec<TokenId>)> {
        let mut issuers = Vec::new();
        self.by_number.visit(|_, record| {
            let mut ids = Vec::new();
            if with_ids {
                record.revoked.visit(|id, ()| ids.push(*id));
                ids.sort_unstable();
            }
            issuers.push((record.issuer.clone(), ids));
        });
        issuers.sort_unstable_by_key(|(issuer, _)| issuer.number);
        issuers
    }

    /// Opens an issuer whose number `before` does not include; one that it includes
    /// was opened already, and perhaps is over. The number counts as handed out
    /// only with [`hand_out`](Self::hand_out), when the issuer can be found: a
    /// reader that finds nothing under a number handed out takes it as expired.
    pub(crate) fn open(&self, issuer: Issuer, before: HandedOut) {
        let number = issuer.number;
        if before.includes(number) || self.get(number).is_some() {
            return;
        }
        let key_id = issuer.key.key_id();
        let revoked = Arc::new(Table::new());
        self.by_number.put(number, Record { issuer, revoked });
        self.by_key.put(key_id, number);
    }

    pub(crate) fn hand_out(&self, number: IssuerNumber) {
        let next = u64::from(number.0).saturating_add(1);
        self.next.raise(next, |held, new| new > held);
    }

    pub(crate) fn retire(&self, number: IssuerNumber, retired_at: Revision) {
        self.replace(number, |record| {
            (record.issuer.state == IssuerState::Open).then(|| Record {
                issuer: Issuer {
                    state: IssuerState::Retired(retired_at),
                    ..record.issuer.clone()
                },
                revoked: Arc::clone(&record.revoked),
            })
        });
    }

    /// Its revoked ids go: each of its tokens is dead, and so is what derives from
    /// them. The set of the record before stays whole for readers that hold it.
    pub(crate) fn revoke(&self, number: IssuerNumber) {
        self.replace(number, |record| {
            record.issuer.verifies().then(|| Record {
                issuer: Issuer {
                    state: IssuerState::Revoked,
                    ..record.issuer.clone()
                },
                revoked: Arc::new(Table::new()),
            })
        });
    }

    fn replace(&self, number: IssuerNumber, change: impl FnOnce(&Record) -> Option<Record>) {
        if let Some(record) = self.by_number.read(&number, change).flatten() {
            self.by_number.put(number, record);
        }
    }

    pub(crate) fn expire(&self, number: IssuerNumber) {
        self.hand_out(number);
        if let Some(issuer) = self.get(number) {
            self.by_key.remove(&issuer.key.key_id());
            self.by_number.remove(&number);
        }
    }

    /// Kept only while the issuer's tokens could be in force without it.
    pub(crate) fn revoke_token(&self, id: TokenId) {
        let _ = self.by_number.read(&id.issuer(), |record| {
            if record.issuer.verifies() {
                record.revoked.put(id, ());
            }
        });
    }
}
