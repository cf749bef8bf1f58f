//! The invariants of the state, executable: what the prose on the records says.
//! Every test checks them after every command; a node checks them after it has
//! loaded its tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use chancery_credential::{
    GrantSetName, IssuerNumber, KeyThumbprint, NodeNumber, Revision, Subject,
};

use crate::bounds::{
    MAX_AGENT_GRANT_SETS, MAX_AGENT_OWNERS, MAX_AUDIENCES, MAX_DESCRIPTION_BYTES, MAX_GRANTS,
    MAX_KEYS, MAX_NODE_ISSUERS, MAX_NODES, MAX_OPERATORS, MAX_REQUESTS, MAX_REVOKED_TOKENS,
};
use crate::digest::Sum;
use crate::record::{AgentRecord, Holder, IssuerRecord, IssuerStanding, MetaRecord, NodeRecord};
use crate::role::Role;
use crate::row::{Row, Table};
use crate::settings::Settings;
use crate::state::State;

/// An invariant that does not hold: no log leads to such a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state is broken: {0}; take this node out and let it join again from its peers")]
pub struct Broken(String);

fn hold(condition: bool, what: impl Display) -> Result<(), Broken> {
    if condition {
        Ok(())
    } else {
        Err(Broken(what.to_string()))
    }
}

impl State {
    /// Checks every invariant. Walks the whole state, the hashes of all its rows
    /// included.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn validate(&self) -> Result<(), Broken> {
        let tables = &self.tables;
        let (Some(meta), Some(settings)) = (tables.meta, &tables.settings) else {
            let only_clock = tables.rows().all(|row| matches!(row, Row::Clock(_)));
            return hold(only_clock, "there are rows before birth");
        };
        self.validate_clock(&meta)?;
        hold(
            settings.check().is_ok(),
            "the settings do not hold together",
        )?;
        hold(
            self.past(settings.former.since),
            "the former settings are ahead of the log",
        )?;
        for agent in tables.agents.values() {
            self.validate_agent(agent, settings)?;
        }
        self.validate_principals()?;
        self.validate_keys()?;
        self.validate_sets_in_use()?;
        for node in tables.nodes.values() {
            self.validate_node(node, &meta)?;
        }
        self.validate_names_of_nodes()?;
        for issuer in tables.issuers.values() {
            self.validate_issuer(issuer, &meta)?;
        }
        self.validate_issuer_keys()?;
        self.validate_revocations(&meta)?;
        hold(tables.requests.len() <= MAX_REQUESTS, "too many requests")?;
        self.validate_sums()
    }

    /// Whether a revision is one that was applied.
    fn past(&self, revision: Revision) -> bool {
        revision <= self.revision()
    }

    fn validate_clock(&self, meta: &MetaRecord) -> Result<(), Broken> {
        let clock = self.clock();
        let told = clock.told_time_s <= clock.log_time_ms / 1_000;
        hold(told, "time was told that has not come")?;
        hold(
            meta.floor <= meta.view_revision,
            "the floor is above what is minted",
        )?;
        hold(
            self.past(meta.view_revision),
            "the view is ahead of the log",
        )?;
        let Some(epoch) = self.epoch() else {
            return hold(false, "there is no epoch");
        };
        hold(epoch.number.0 > 0, "epochs count from 1")?;
        hold(self.past(epoch.opened_at), "the epoch is ahead of the log")?;
        hold(
            epoch.opened_at_ms <= clock.log_time_ms,
            "the epoch is ahead of log time",
        )
    }

    fn validate_agent(&self, agent: &AgentRecord, settings: &Settings) -> Result<(), Broken> {
        let id = &agent.id;
        hold(
            id.is_member_of(&settings.trust_domain),
            format!("{id} is a stranger"),
        )?;
        hold(
            within(&agent.owners, 1, MAX_AGENT_OWNERS),
            format!("{id}: its owners"),
        )?;
        hold(within(&agent.keys, 1, MAX_KEYS), format!("{id}: its keys"))?;
        hold(
            within(&agent.grant_sets, 0, MAX_AGENT_GRANT_SETS),
            format!("{id}: its grant sets"),
        )?;
        hold(
            agent.grants.len() <= MAX_GRANTS,
            format!("{id}: its grants"),
        )?;
        hold(
            agent.description.len() <= MAX_DESCRIPTION_BYTES,
            format!("{id}: its description"),
        )?;
        let owned = agent.owners.iter().all(|owner| self.owner(owner).is_some());
        hold(owned, format!("{id} has an unknown owner"))?;
        let granted = agent
            .grant_sets
            .iter()
            .all(|set| self.grant_set(set).is_some());
        hold(granted, format!("{id} has an unknown grant set"))?;
        let dated = agent.registered_at <= agent.changed_at && self.past(agent.changed_at);
        hold(dated, format!("{id}: its dates"))
    }

    fn validate_principals(&self) -> Result<(), Broken> {
        let tables = &self.tables;
        for owner in tables.owners.values() {
            let sound =
                owner.description.len() <= MAX_DESCRIPTION_BYTES && self.past(owner.added_at);
            hold(sound, format!("owner {}", owner.name))?;
        }
        for set in tables.grant_sets.values() {
            let sound = set.grants.len() <= MAX_GRANTS && self.past(set.changed_at);
            hold(sound, format!("grant set {}", set.name))?;
        }
        for service in tables.services.values() {
            let sound = within(&service.audiences, 1, MAX_AUDIENCES)
                && within(&service.keys, 1, MAX_KEYS)
                && self.past(service.added_at);
            hold(sound, format!("service {}", service.name))?;
        }
        for operator in tables.operators.values() {
            let sound = !operator.roles.is_empty()
                && within(&operator.keys, 1, MAX_KEYS)
                && self.past(operator.added_at);
            hold(sound, format!("operator {}", operator.name))?;
        }
        hold(
            tables.operators.len() <= MAX_OPERATORS,
            "too many operators",
        )?;
        let lasting = |operator: &std::sync::Arc<crate::record::OperatorRecord>| {
            operator.roles.contains(Role::Keeper) && operator.expires_at == 0
        };
        hold(self.operators().any(lasting), "no keeper lasts")
    }

    /// The index of the agents under each grant set is what their records say.
    fn validate_sets_in_use(&self) -> Result<(), Broken> {
        let mut counted: BTreeMap<&GrantSetName, u64> = BTreeMap::new();
        for set in self
            .tables
            .agents
            .values()
            .flat_map(|agent| &agent.grant_sets)
        {
            *counted.entry(set).or_default() += 1;
        }
        let indexed = self.tables.agents_under.iter();
        let same = indexed.eq(counted.iter().map(|(set, agents)| (*set, agents)));
        hold(
            same,
            "the index of the agents under grant sets differs from them",
        )
    }

    /// The index of keys is what the records say, and no key is said twice.
    fn validate_keys(&self) -> Result<(), Broken> {
        let mut count = 0_usize;
        let mut check = |keys: &[KeyThumbprint], holder: &Holder| {
            count += keys.len();
            let held = keys.iter().all(|key| self.holder(key) == Some(holder));
            hold(held, format!("a key of {holder:?} is somebody else's"))
        };
        for agent in self.tables.agents.values() {
            check(&agent.keys, &Holder::Agent(agent.id.clone()))?;
        }
        for operator in self.tables.operators.values() {
            check(&operator.keys, &Holder::Operator(operator.name.clone()))?;
        }
        for service in self.tables.services.values() {
            check(&service.keys, &Holder::Service(service.name.clone()))?;
        }
        for node in self.tables.nodes.values() {
            check(&[node.peer_key.thumbprint()], &Holder::Node(node.number))?;
        }
        hold(count == self.tables.keys.len(), "a key has no holder")?;
        self.validate_ends()
    }

    /// The index of what ends is what the records say.
    fn validate_ends(&self) -> Result<(), Broken> {
        let agents = (self.tables.agents.values())
            .map(|agent| (agent.expires_at, Holder::Agent(agent.id.clone())));
        let operators = (self.tables.operators.values())
            .map(|operator| (operator.expires_at, Holder::Operator(operator.name.clone())));
        let said: BTreeSet<_> = agents.chain(operators).filter(|(at, _)| *at != 0).collect();
        hold(
            said == self.tables.ends,
            "the index of ends differs from them",
        )
    }

    fn validate_node(&self, node: &NodeRecord, meta: &MetaRecord) -> Result<(), Broken> {
        let number = node.number;
        let handed_out = NodeNumber(0) < number && number.0 < meta.next_node;
        hold(handed_out, format!("node {number} has no number of ours"))?;
        hold(
            self.past(node.admitted_at),
            format!("node {number}: its date"),
        )?;
        let gone = node.removed_at.is_none_or(|at| {
            (node.retiring || node.barred) && node.admitted_at <= at && self.past(at)
        });
        hold(gone, format!("node {number}: its removal"))?;
        let seated = node.lead_asked_at.is_none_or(|at| self.past(at))
            && !(node.check_only && node.votes && number != NodeNumber(1));
        hold(seated, format!("node {number}: its seat"))?;
        let newest = node.newest_issuer.unwrap_or(IssuerNumber(0));
        hold(
            newest.0 < meta.next_issuer,
            format!("node {number}: its newest issuer"),
        )?;
        let issuers: Vec<_> = self.issuers_of(number).collect();
        hold(
            issuers.len() <= MAX_NODE_ISSUERS,
            format!("node {number}: too many issuers"),
        )?;
        hold(
            issuers.iter().all(|issuer| issuer.number <= newest),
            format!("node {number}: an issuer after its newest"),
        )?;
        hold(
            !node.check_only || issuers.is_empty(),
            format!("node {number} only checks"),
        )?;
        let revoked = |issuer: &IssuerRecord| matches!(issuer.standing, IssuerStanding::Revoked(_));
        hold(
            !node.barred || issuers.iter().all(|issuer| revoked(issuer)),
            format!("node {number} is barred, and an issuer of it counts"),
        )?;
        let open: Vec<_> = (issuers.iter())
            .filter(|issuer| issuer.standing == IssuerStanding::Open)
            .collect();
        hold(
            !node.retiring || open.is_empty(),
            format!("node {number} is retiring, and signs"),
        )?;
        let one_process = open.windows(2).all(|pair| match pair {
            [older, newer] => older.process == newer.process && older.epoch < newer.epoch,
            _ => true,
        });
        hold(
            one_process,
            format!("node {number}: issuers of a dead process are open"),
        )
    }

    fn validate_names_of_nodes(&self) -> Result<(), Broken> {
        let mut names = BTreeMap::new();
        for node in self.nodes().filter(|node| node.removed_at.is_none()) {
            let other = names.insert(&node.name, node.number);
            hold(
                other.is_none(),
                format!("two nodes are named {}", node.name),
            )?;
        }
        hold(self.nodes().count() <= MAX_NODES, "too many nodes")
    }

    fn validate_issuer(&self, issuer: &IssuerRecord, meta: &MetaRecord) -> Result<(), Broken> {
        let number = issuer.number;
        let handed_out = IssuerNumber(0) < number && number.0 < meta.next_issuer;
        hold(handed_out, format!("issuer {number} has no number of ours"))?;
        hold(
            self.node(issuer.node).is_some(),
            format!("issuer {number} is nobody's"),
        )?;
        let newest = self.epoch().map(|epoch| epoch.number);
        hold(
            Some(issuer.epoch) <= newest,
            format!("issuer {number} is of no epoch yet"),
        )?;
        let since = match issuer.standing {
            IssuerStanding::Open => issuer.opened_at,
            IssuerStanding::Retired(at) | IssuerStanding::Revoked(at) => at,
        };
        let dated = issuer.opened_at <= since && since <= meta.view_revision;
        hold(dated, format!("issuer {number}: its dates"))?;
        let present = (self.settings()).map_or(0, |settings| settings.issuer_expiry_ms());
        let outlives = issuer.expiry_ms >= present || issuer.standing != IssuerStanding::Open;
        hold(
            outlives,
            format!("issuer {number} expires before what it signs"),
        )
    }

    fn validate_issuer_keys(&self) -> Result<(), Broken> {
        let keys: BTreeSet<_> = self.issuers().map(|issuer| issuer.key).collect();
        hold(keys.len() == self.issuers().count(), "issuers share a key")
    }

    fn validate_revocations(&self, meta: &MetaRecord) -> Result<(), Broken> {
        let tables = &self.tables;
        for (subject, revision) in &tables.watermarks {
            let sound = *revision <= meta.view_revision
                && tables.watermark_at.get(revision) == Some(subject);
            hold(sound, format!("the watermark of {subject}"))?;
        }
        let counts = tables.watermark_at.len() == tables.watermarks.len();
        hold(counts, "the index of watermarks differs from them")?;
        for (issuer, tokens) in &tables.revoked {
            let sound = issuer.0 < meta.next_issuer
                && !tokens.is_empty()
                && tokens.len() <= MAX_REVOKED_TOKENS
                && tokens.iter().all(|token| token.issuer() == *issuer);
            hold(sound, format!("the revoked tokens of issuer {issuer}"))?;
        }
        for (subject, record) in &tables.suspensions {
            // Owners are never removed; an agent's suspension outlives it, and a set's.
            let known = match subject {
                Subject::Owner(name) => self.owner(name).is_some(),
                Subject::Agent(_) | Subject::GrantSet(_) | Subject::Everything => true,
            };
            hold(
                known && self.past(record.since),
                format!("the suspension of {subject}"),
            )?;
            let killed = tables
                .watermarks
                .get(subject)
                .is_some_and(|at| *at >= record.since);
            hold(
                killed || record.since <= meta.floor,
                format!("{subject} is suspended, and holds"),
            )?;
        }
        Ok(())
    }

    /// The sums that were kept up to date are those of the rows.
    fn validate_sums(&self) -> Result<(), Broken> {
        let mut fresh = [Sum::default(); Table::ALL.len()];
        for row in self.tables.rows() {
            let place = (row.key().table() as usize).checked_sub(1);
            if let Some(sum) = place.and_then(|place| fresh.get_mut(place)) {
                sum.add(&row);
            }
        }
        hold(
            fresh == *self.tables.sums(),
            "the digest is not that of the rows",
        )
    }
}

/// Whether a list is sorted without repetition and has so many items.
fn within<T: Ord>(list: &[T], least: usize, most: usize) -> bool {
    let ascending = list.windows(2).all(|pair| match pair {
        [first, second] => first < second,
        _ => true,
    });
    ascending && least <= list.len() && list.len() <= most
}
