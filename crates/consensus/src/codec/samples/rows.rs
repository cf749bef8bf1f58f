//! Any record and any row.

use std::sync::Arc;

use chancery_authority::{
    AgentRecord, ClockRecord, EpochRecord, GrantSetRecord, IssuerRecord, IssuerStanding,
    MetaRecord, NodeRecord, OperatorRecord, OperatorSpec, OwnerRecord, RequestKey, RequestRecord,
    Row, ServiceRecord, ServiceSpec, SuspensionRecord,
};
use proptest::{collection::vec, option, prelude::*, strategy::Union};

use super::{
    actor, agent_spec, epoch_number, grant, grant_set_name, issuer_key, issuer_number, lineage,
    node_number, node_spec, operator_spec, owner_name, request_id, revision, service_spec,
    settings, subject, text, token_id, verdict,
};

fn agent_record() -> impl Strategy<Value = AgentRecord> {
    (agent_spec(), revision(), revision()).prop_map(|(spec, registered_at, changed_at)| {
        AgentRecord {
            id: spec.id,
            owners: spec.owners.into(),
            keys: spec.keys.into(),
            grants: spec.grants.into(),
            grant_sets: spec.grant_sets.into(),
            limits: spec.limits,
            expires_at: spec.expires_at,
            description: spec.description.into(),
            registered_at,
            changed_at,
        }
    })
}

fn node_record() -> impl Strategy<Value = NodeRecord> {
    let seat = (any::<bool>(), option::of(revision()));
    let flags = (
        any::<bool>(),
        any::<bool>(),
        option::of(issuer_number()),
        revision(),
        option::of(revision()),
    );
    (node_number(), node_spec(), flags, seat).prop_map(
        |(number, spec, flags, (votes, lead_asked_at))| {
            let (barred, retiring, newest_issuer, admitted_at, removed_at) = flags;
            NodeRecord {
                number,
                name: spec.name.into(),
                api_address: spec.api_address.into(),
                peer_address: spec.peer_address.into(),
                peer_key: spec.peer_key,
                check_only: spec.check_only,
                barred,
                retiring,
                votes,
                lead_asked_at,
                newest_issuer,
                admitted_at,
                removed_at,
            }
        },
    )
}

fn issuer_record() -> impl Strategy<Value = IssuerRecord> {
    let standing = prop_oneof![
        Just(IssuerStanding::Open),
        revision().prop_map(IssuerStanding::Retired),
        revision().prop_map(IssuerStanding::Revoked),
    ];
    let numbers = (issuer_number(), node_number(), epoch_number(), any::<u64>());
    (numbers, issuer_key(), (revision(), any::<u64>()), standing).prop_map(
        |((number, node, epoch, process), key, (opened_at, expiry_ms), standing)| IssuerRecord {
            number,
            node,
            epoch,
            process,
            key,
            opened_at,
            expiry_ms,
            standing,
        },
    )
}

fn once() -> Vec<BoxedStrategy<Row>> {
    vec![
        (revision(), any::<u64>(), any::<u64>())
            .prop_map(|(applied, log_time_ms, told_time_s)| {
                Row::Clock(ClockRecord {
                    applied,
                    log_time_ms,
                    told_time_s,
                })
            })
            .boxed(),
        (
            lineage(),
            any::<u32>(),
            any::<u64>(),
            revision(),
            revision(),
        )
            .prop_map(|(lineage, next_issuer, next_node, floor, view_revision)| {
                Row::Meta(MetaRecord {
                    lineage,
                    next_issuer,
                    next_node,
                    floor,
                    view_revision,
                })
            })
            .boxed(),
        settings()
            .prop_map(|settings| Row::Settings(Arc::new(settings)))
            .boxed(),
        (epoch_number(), revision(), any::<u64>(), any::<bool>())
            .prop_map(|(number, opened_at, opened_at_ms, emergency)| {
                Row::Epoch(EpochRecord {
                    number,
                    opened_at,
                    opened_at_ms,
                    emergency,
                })
            })
            .boxed(),
    ]
}

fn principals() -> Vec<BoxedStrategy<Row>> {
    vec![
        agent_record()
            .prop_map(|record| Row::Agent(Arc::new(record)))
            .boxed(),
        (owner_name(), text(), revision())
            .prop_map(|(name, description, added_at)| {
                let description = description.into();
                Row::Owner(Arc::new(OwnerRecord {
                    name,
                    description,
                    added_at,
                }))
            })
            .boxed(),
        (
            grant_set_name(),
            vec(grant(), 0..4),
            revision(),
            any::<u64>(),
        )
            .prop_map(|(name, grants, changed_at, asked_ms)| {
                let grants = grants.into();
                Row::GrantSet(Arc::new(GrantSetRecord {
                    name,
                    grants,
                    changed_at,
                    asked_ms,
                }))
            })
            .boxed(),
        (operator_spec(), revision(), any::<u64>())
            .prop_map(|(spec, added_at, asked_ms)| {
                let OperatorSpec {
                    name,
                    roles,
                    keys,
                    expires_at,
                } = spec;
                let keys = keys.into();
                Row::Operator(Arc::new(OperatorRecord {
                    name,
                    roles,
                    keys,
                    expires_at,
                    added_at,
                    asked_ms,
                }))
            })
            .boxed(),
        (service_spec(), revision(), any::<u64>())
            .prop_map(|(spec, added_at, asked_ms)| {
                let ServiceSpec {
                    name,
                    audiences,
                    keys,
                } = spec;
                let (audiences, keys) = (audiences.into(), keys.into());
                Row::Service(Arc::new(ServiceRecord {
                    name,
                    audiences,
                    keys,
                    added_at,
                    asked_ms,
                }))
            })
            .boxed(),
    ]
}

/// One strategy for each kind of row, in the order of the tables.
pub(crate) fn rows() -> Vec<BoxedStrategy<Row>> {
    let request = (
        actor(),
        request_id(),
        any::<[u8; 32]>(),
        revision(),
        verdict(),
    );
    let mut rows = once();
    rows.extend(principals());
    rows.extend([
        node_record()
            .prop_map(|record| Row::Node(Arc::new(record)))
            .boxed(),
        issuer_record()
            .prop_map(|record| Row::Issuer(Arc::new(record)))
            .boxed(),
        (subject(), revision(), any::<u64>())
            .prop_map(|(whose, since, asked_ms)| {
                Row::Suspension(whose, SuspensionRecord { since, asked_ms })
            })
            .boxed(),
        (subject(), revision())
            .prop_map(|(whose, at)| Row::Watermark(whose, at))
            .boxed(),
        token_id().prop_map(Row::RevokedToken).boxed(),
        request
            .prop_map(|(actor, id, digest, revision, outcome)| {
                let record = RequestRecord {
                    digest,
                    revision,
                    outcome,
                };
                Row::Request(RequestKey { id, actor }, Arc::new(record))
            })
            .boxed(),
    ]);
    rows
}

pub(in crate::codec) fn row() -> impl Strategy<Value = Row> {
    Union::new(rows())
}
