//! Whether this node serves, as operators, balancers and probes see it.

use std::sync::Arc;

use chancery_authority::NodeRecord;
use chancery_consensus::Consensus;
use chancery_credential::IssuerNumber;
use chancery_revocation::Clock;

use crate::{
    clock::SystemClock,
    issuance::{ActiveIssuer, Signer},
    records::Recorder,
    running::Draining,
};

/// Reads the node's health.
#[derive(Clone)]
pub(crate) struct NodeStatus {
    pub(crate) consensus: Consensus,
    pub(crate) signer: Arc<Signer>,
    pub(crate) records: Arc<Recorder>,
    pub(crate) draining: Draining,
}

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Health {
    /// Its state is proved to be recent.
    pub(crate) fresh: bool,
    /// The issuer that signs.
    pub(crate) issuer: Option<IssuerNumber>,
    /// The issuer is younger than the rotation lead: verifiers that know keys
    /// only by a cached JWKS may not know it yet.
    pub(crate) settling: bool,
    /// So are those of all other nodes: an emergency gave each a new one.
    pub(crate) all_settle: bool,
    /// Its records of mints are not in the file in time.
    pub(crate) records_behind: bool,
    pub(crate) draining: bool,
    /// It only checks: it has no issuer, and needs none.
    pub(crate) check_only: bool,
    /// It is being removed.
    pub(crate) leaving: bool,
}

impl Health {
    /// Whether it answers at all.
    pub(crate) const fn serving(self) -> bool {
        self.fresh && !self.lacks_issuer() && !self.draining && !self.leaving
    }

    /// Whether it should sign and cannot.
    pub(crate) const fn lacks_issuer(self) -> bool {
        self.issuer.is_none() && !self.check_only
    }

    /// Whether new callers are better off elsewhere, where issuers are known for longer.
    /// When all settle they are not, and a balancer must not take away the last node.
    pub(crate) const fn is_avoidable(self) -> bool {
        self.settling && !self.all_settle
    }

    /// Whether new callers should come here.
    pub(crate) const fn ready(self) -> bool {
        self.serving() && !self.is_avoidable() && !self.records_behind
    }
}

impl NodeStatus {
    pub(crate) fn health(&self) -> Health {
        let view = self.consensus.view();
        let fresh = view.begin().finish(&SystemClock).is_ok();
        let active = self
            .signer
            .active()
            .filter(|issuer| issuer.is_open_in(view));
        Health {
            fresh,
            settling: active.as_ref().is_some_and(|issuer| self.settles(issuer)),
            all_settle: (active.as_ref()).is_some_and(|issuer| self.is_of_an_emergency(issuer)),
            issuer: active.map(|issuer| issuer.number),
            records_behind: self.records.is_behind(SystemClock::boot()),
            draining: self.draining.is_draining(),
            check_only: self.is_check_only(),
            leaving: self.own_record(|node| node.retiring || node.removed_at.is_some()),
        }
    }

    /// Whether this node answers checks and never mints.
    pub(crate) fn is_check_only(&self) -> bool {
        self.own_record(|node| node.check_only)
    }

    fn own_record(&self, is: impl FnOnce(&NodeRecord) -> bool) -> bool {
        let own = self.consensus.node();
        (self.consensus).read_state(|state| state.node(own).is_some_and(|node| is(node)))
    }

    /// [`Health::settling`] alone, cheap enough for every mint.
    pub(crate) fn is_settling(&self) -> bool {
        self.signer
            .active()
            .is_some_and(|issuer| self.settles(&issuer))
    }

    /// Every process that signed then did as this one: it switched at once.
    fn is_of_an_emergency(&self, issuer: &ActiveIssuer) -> bool {
        let newest = self.consensus.read_state(chancery_authority::State::epoch);
        let of_newest =
            newest.is_some_and(|newest| newest.emergency && newest.number == issuer.epoch);
        issuer.follows_another && of_newest
    }

    fn settles(&self, issuer: &ActiveIssuer) -> bool {
        let lead = self
            .consensus
            .directory()
            .settings()
            .map_or(0, |settings| settings.rotation_lead_ms());
        let age = SystemClock.now().boot.since(issuer.known_since);
        age.is_none_or(|age| age.as_millis() < u128::from(lead))
    }
}
