//! What is read back is what was minted, and every filter finds it.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Whether a filter lets something through.
type Holds<'a> = &'a dyn Fn(&Found) -> bool;

fn issued_by_anybody() -> impl Strategy<Value = Issued> {
    let agent = || "[a-z0-9-]{1,12}".prop_map(|path| format!("spiffe://example.org/{path}"));
    let parties = (
        agent(),
        vec(agent(), 0..8),
        vec("[A-Za-z0-9._@-]{1,20}", 0..8),
        "[a-z]{1,400}",
        vec("[a-z0-9-]{1,20}", 0..8),
    );
    let facts = (
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        vec(any::<[u8; 16]>(), 0..8),
        any::<[u8; 32]>(),
        any::<u64>(),
        0..4_000_000_000_u64,
        1..3_600_u64,
        any::<bool>(),
    );
    (parties, facts).prop_map(|(parties, facts)| {
        let (subject, actors, owners, audience, grant_sets) = parties;
        let (id, key, ancestors, scope, rev, issued_at, lifetime, bound) = facts;
        Issued {
            id: TokenId::from_bytes(id),
            key: KeyThumbprint::from_bytes(key),
            subject: subject.parse().unwrap(),
            actors: actors.iter().map(|actor| actor.parse().unwrap()).collect(),
            owners: owners.iter().map(|owner| owner.parse().unwrap()).collect(),
            audience: format!("https://{audience}.example").parse().unwrap(),
            grant_sets: grant_sets.iter().map(|set| set.parse().unwrap()).collect(),
            ancestors: ancestors.into_iter().map(TokenId::from_bytes).collect(),
            scope,
            rev: Revision(rev),
            issued_at,
            expires_at: issued_at + lifetime,
            bound,
        }
    })
}

fn texts<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn found(issued: &Issued) -> Found {
    Found {
        id: issued.id,
        node: NodeNumber(3),
        segment: 1,
        subject: issued.subject.to_string(),
        actors: texts(&issued.actors),
        key: issued.key,
        owners: texts(&issued.owners),
        audience: issued.audience.to_string(),
        grant_sets: texts(&issued.grant_sets),
        ancestors: issued.ancestors.clone(),
        scope_sha256: issued.scope,
        revision: issued.rev,
        issued_at: issued.issued_at,
        expires_at: issued.expires_at,
        bound: issued.bound,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn what_was_minted_is_found_as_it_was(minted in vec(issued_by_anybody(), 1..40)) {
        let desk = Desk::new();
        let records = desk.start(1, 1);
        for issued in &minted {
            records.recorder().record(issued.clone(), WhenBehind::Refuse).unwrap();
        }
        close(records);
        let all: Vec<Found> = minted.iter().map(found).collect();
        prop_assert_eq!(&desk.find(&Filter::default()), &all);

        let sought = &all[all.len() / 2];
        let filters: [(Filter, Holds<'_>); 6] = [
            (
                Filter { agent: Some(sought.subject.clone()), ..Filter::default() },
                &|found| found.subject == sought.subject || found.actors.contains(&sought.subject),
            ),
            (
                Filter { owner: sought.owners.first().cloned(), ..Filter::default() },
                &|found| sought.owners.first().is_none_or(|owner| found.owners.contains(owner)),
            ),
            (
                Filter { audience: Some(sought.audience.clone()), ..Filter::default() },
                &|found| found.audience == sought.audience,
            ),
            (
                Filter { since: Some(sought.issued_at), ..Filter::default() },
                &|found| found.issued_at >= sought.issued_at,
            ),
            (
                Filter { until: Some(sought.issued_at), ..Filter::default() },
                &|found| found.issued_at <= sought.issued_at,
            ),
            (
                Filter { token: Some(sought.id), agent: Some(sought.subject.clone()), ..Filter::default() },
                &|found| found.id == sought.id && (found.subject == sought.subject || found.actors.contains(&sought.subject)),
            ),
        ];
        for (filter, holds) in filters {
            let expected: Vec<Found> = all.iter().filter(|found| holds(found)).cloned().collect();
            prop_assert_eq!(&desk.find(&filter), &expected, "{:?}", filter);
        }
    }
}

/// A name costs its bytes once in a segment, and each segment has its own.
#[test]
fn every_segment_can_be_read_alone() {
    let desk = Desk::with(RecordLimits {
        segment_bytes: 64 << 10,
        ..RecordLimits::default()
    });
    let records = desk.start(1, 1);
    mint_slowly(records.recorder(), 8, 3_000);
    close(records);
    let segments = desk.verify().segments;
    assert!(segments.len() > 2);
    let last = segments[segments.len() - 2].segment;
    let alone = Desk::new();
    fs::copy(desk.segment(last), alone.segment(last)).unwrap();
    let (found, _) = search(alone.path(), &Filter::default());
    assert_eq!(found.len() as u64, segments[segments.len() - 2].records);
    assert_eq!(found[0].subject, "spiffe://example.org/agent/8");
}
