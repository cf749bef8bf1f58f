//! What a node does with the events: it publishes them, mints, and judges.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use chancery_authority::{Directory, Event, NoStanding, State};
use chancery_credential::{
    CertificateThumbprint, Claims, IssuerNumber, Revision, SigningKey, TokenId,
};
use chancery_revocation::{BootTime, Change, Expectations, Limits, Now, Verdict, View, check};

use super::{LINEAGE, agent_id, key, settings};

pub struct Consumers {
    pub view: View,
    pub directory: Directory,
    /// Kept even when the issuer is dead: a thief would.
    pub signers: BTreeMap<IssuerNumber, SigningKey>,
    minted: Cell<u64>,
}

impl Consumers {
    pub fn new() -> Self {
        let view = View::new(LINEAGE);
        view.prove_fresh(BootTime(0), Duration::from_secs(1));
        Self {
            view,
            directory: Directory::new(),
            signers: BTreeMap::new(),
            minted: Cell::new(0),
        }
    }

    /// In the order that a node keeps: changes, directory, revision.
    pub fn publish(&self, state: &State, revision: Revision, events: &[Event]) {
        let changes: Vec<Change> = events
            .iter()
            .filter_map(|event| match event {
                Event::View(change) => Some(change.clone()),
                _ => None,
            })
            .collect();
        self.view.publish_changes(revision, &changes);
        self.directory.publish(state, events);
        self.view.publish_revision(revision);
    }

    /// As `agent` with its own key, bound to a certificate, for all its grant sets
    /// that are not suspended.
    pub fn mint(&self, agent: &str, issuer: IssuerNumber, now_s: u64) -> Result<String, String> {
        let rev = self.view.begin().view_revision();
        let directory = &self.directory;
        let principal = directory.standing(&key(agent), now_s);
        principal.map_err(|refusal: NoStanding| refusal.code().to_owned())?;
        if directory.everything_suspended() {
            return Err("EVERYTHING_SUSPENDED".to_owned());
        }
        let record = directory.agent(&agent_id(agent)).unwrap().record;
        let active = |set: &&chancery_credential::GrantSetName| {
            directory
                .grant_set(set)
                .is_some_and(|entry| !entry.suspended)
        };
        let set: Vec<_> = record.grant_sets.iter().filter(active).cloned().collect();
        if set.is_empty() && record.grants.is_empty() {
            return Err("NOTHING_GRANTED".to_owned());
        }
        self.minted.set(self.minted.get() + 1);
        let mut random = [0; 12];
        random[..8].copy_from_slice(&self.minted.get().to_be_bytes());
        let claims = Claims {
            iss: settings().issuer_url,
            sub: record.id.clone(),
            aud: "files".parse().unwrap(),
            client_id: record.id.clone(),
            iat: now_s,
            exp: now_s + 300,
            jti: TokenId::new(issuer, random),
            scope: "read".parse().unwrap(),
            rev,
            own: record.owners.to_vec(),
            set,
            anc: Vec::new(),
            act: Vec::new(),
            cnf: Some(CertificateThumbprint::of_certificate(b"a certificate")),
        };
        Ok(self.signers[&issuer].token(&claims).unwrap())
    }

    pub fn judge(&self, token: &str, now_s: u64) -> &'static str {
        let expected = Expectations {
            issuer: settings().issuer_url,
            audience: None,
            limits: Limits {
                leeway: 2,
                ttl_cap: 900,
            },
        };
        let now = Now {
            wall: now_s,
            boot: BootTime(0),
        };
        match check(token, &expected, &self.view, &now) {
            Verdict::Valid(..) => "VALID",
            Verdict::Refused(reason) => reason.code(),
            Verdict::Behind(_) => "BEHIND",
            _ => "STALE",
        }
    }
}
