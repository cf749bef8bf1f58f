//! When an update takes something away.

use chancery_credential::Grant;

use crate::record::AgentRecord;

/// Whether going from `former` to `next` takes anything away, so that what the
/// agent holds has to end. Field by field:
///
/// | field | narrows when | because |
/// |---|---|---|
/// | owners | the set differs at all | a token names the owners it was minted under. Without one, it names somebody who no longer answers for the agent; with another one, suspending the new owner would not reach it |
/// | keys | one is missing | whoever holds the key may hold what it minted |
/// | grants | one is not covered by a single new one | a held token may say what no grant says any more. Grants of a set do not count: a token that names no set would outlive the set's suspension |
/// | grant sets | one is missing | what was minted under it has lost its ground. Another one only widens |
/// | rate | lower than before (0 is the highest) | a bound was tightened |
/// | expiry | earlier than before (0 is the latest) | no token may outlive its registration |
/// | description | never | it bounds nothing |
pub(super) fn narrows(former: &AgentRecord, next: &AgentRecord) -> bool {
    former.owners != next.owners
        || !all_in(&former.keys, &next.keys)
        || !covers(&next.grants, &former.grants)
        || !all_in(&former.grant_sets, &next.grant_sets)
        || unlimited_last(next.limits.rate.into()) < unlimited_last(former.limits.rate.into())
        || unlimited_last(next.expires_at) < unlimited_last(former.expires_at)
}

/// Whether each grant of `former` is covered by one of `next`.
pub(super) fn covers(next: &[Grant], former: &[Grant]) -> bool {
    former
        .iter()
        .all(|old| next.iter().any(|new| new.covers(old)))
}

fn all_in<T: Ord>(former: &[T], next: &[T]) -> bool {
    former.iter().all(|item| next.binary_search(item).is_ok())
}

/// Orders 0, which stands for no bound, after every bound.
const fn unlimited_last(bound: u64) -> u64 {
    match bound {
        0 => u64::MAX,
        bound => bound,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::Limits;
    use chancery_credential::{KeyThumbprint, Revision};

    fn grant(audience: &str, scope: &str) -> Grant {
        Grant {
            audience: audience.parse().unwrap(),
            scopes: vec![scope.parse().unwrap()],
            max_ttl_seconds: 60,
            bearer: false,
        }
    }

    fn agent() -> AgentRecord {
        AgentRecord {
            id: "spiffe://example.org/a".parse().unwrap(),
            owners: ["alice", "bob"].map(|name| name.parse().unwrap()).into(),
            keys: [1, 2]
                .map(|byte| KeyThumbprint::from_bytes([byte; 32]))
                .into(),
            grants: [grant("files", "read"), grant("mail", "send:*")].into(),
            grant_sets: ["base".parse().unwrap()].into(),
            limits: Limits { rate: 10 },
            expires_at: 1_000,
            description: "".into(),
            registered_at: Revision(1),
            changed_at: Revision(1),
        }
    }

    fn after(change: impl FnOnce(&mut AgentRecord)) -> bool {
        let mut next = agent();
        change(&mut next);
        narrows(&agent(), &next)
    }

    #[test]
    fn what_takes_nothing_away() {
        assert!(!after(|_| ()));
        assert!(!after(|next| next.description = "other".into()));
        assert!(!after(|next| next.expires_at = 1_001));
        assert!(!after(|next| next.expires_at = 0));
        assert!(!after(|next| next.limits.rate = 11));
        assert!(!after(|next| next.limits.rate = 0));
        let keys = [1, 2, 3].map(|byte| KeyThumbprint::from_bytes([byte; 32]));
        assert!(!after(|next| next.keys = keys.into()));
        let sets = ["base", "more"].map(|name| name.parse().unwrap());
        assert!(!after(|next| next.grant_sets = sets.into()));
        assert!(!after(|next| next.grants = [grant("*", "*")].into()));
        assert!(!after(|next| next.grants.reverse()));
    }

    #[test]
    fn what_takes_something_away() {
        assert!(after(|next| next.owners = ["alice".parse().unwrap()].into()));
        let owners = ["alice", "bob", "carol"].map(|name| name.parse().unwrap());
        assert!(after(|next| next.owners = owners.into()), "another owner");
        let keys = [1, 3].map(|byte| KeyThumbprint::from_bytes([byte; 32]));
        assert!(after(|next| next.keys = keys.into()));
        assert!(after(|next| next.grants = [grant("files", "*")].into()));
        assert!(after(|next| next.grants = [].into()));
        assert!(after(|next| next.grant_sets = [].into()));
        assert!(after(|next| next.limits.rate = 9));
        assert!(after(|next| next.expires_at = 999));
    }

    #[test]
    fn what_was_unbounded_narrows_by_any_bound() {
        let mut unbounded = agent();
        unbounded.limits.rate = 0;
        unbounded.expires_at = 0;
        let mut slower = unbounded.clone();
        slower.limits.rate = u32::MAX;
        assert!(narrows(&unbounded, &slower));
        let mut shorter = unbounded.clone();
        shorter.expires_at = u64::MAX;
        // The end of time is no bound that anybody reaches.
        assert!(!narrows(&unbounded, &shorter));
        shorter.expires_at = u64::MAX - 1;
        assert!(narrows(&unbounded, &shorter));
    }
}
