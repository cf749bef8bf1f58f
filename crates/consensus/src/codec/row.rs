//! Rows of the state: the bytes that storage keeps and that a snapshot carries.

use std::sync::Arc;

use bytes::Bytes;
use chancery_authority::{ClockRecord, Row, RowKey, SuspensionRecord};
use chancery_credential::Revision;
use chancery_wire::log as pb;
use prost::Message;

use super::{
    Undecodable, VERSION, check_version,
    grant::{read_subject, subject},
    raft::required,
    record,
    scalar::{bytes, read_token_id},
    settings::{read_settings, settings},
};

/// The key of a row within its table. Numbers are big-endian and requests begin
/// with their time, so that the order of the keys is that of the rows.
pub(crate) fn encode_key(key: &RowKey) -> Bytes {
    match key {
        RowKey::Clock | RowKey::Meta | RowKey::Settings | RowKey::Epoch => Bytes::from_static(b"0"),
        RowKey::Agent(id) => bytes(id.as_str().as_bytes()),
        RowKey::Owner(name) => bytes(name.as_str().as_bytes()),
        RowKey::GrantSet(name) => bytes(name.as_str().as_bytes()),
        RowKey::Operator(name) | RowKey::Service(name) => bytes(name.as_str().as_bytes()),
        RowKey::Node(number) => bytes(&number.0.to_be_bytes()),
        RowKey::Issuer(number) => bytes(&number.0.to_be_bytes()),
        RowKey::Suspension(subject) | RowKey::Watermark(subject) => subject.to_string().into(),
        RowKey::RevokedToken(token) => bytes(token.as_bytes()),
        RowKey::Request(request) => {
            let mut key = request.id.time_ms.to_be_bytes().to_vec();
            key.extend_from_slice(&request.id.random);
            key.extend_from_slice(request.actor.to_string().as_bytes());
            key.into()
        }
    }
}

pub(crate) fn encode_row(row: &Row) -> Bytes {
    use pb::row::Kind;
    let kind = match row {
        Row::Clock(ClockRecord {
            applied,
            log_time_ms,
            told_time_s,
        }) => Kind::Clock(pb::Clock {
            applied: applied.0,
            log_time_ms: *log_time_ms,
            told_time_s: *told_time_s,
        }),
        Row::Meta(it) => Kind::Meta(record::meta(it)),
        Row::Settings(it) => Kind::Settings(settings(it)),
        Row::Epoch(it) => Kind::Epoch(record::epoch(it)),
        Row::Agent(it) => Kind::Agent(record::agent(it)),
        Row::Owner(it) => Kind::Owner(record::owner(it)),
        Row::GrantSet(it) => Kind::GrantSet(record::grant_set(it)),
        Row::Operator(it) => Kind::Operator(record::operator(it)),
        Row::Service(it) => Kind::Service(record::service(it)),
        Row::Node(it) => Kind::Node(record::node(it)),
        Row::Issuer(it) => Kind::Issuer(record::issuer(it)),
        Row::Suspension(whose, it) => Kind::Suspension(pb::Suspension {
            subject: Some(subject(whose)),
            since: it.since.0,
            asked_ms: it.asked_ms,
        }),
        Row::Watermark(whose, revision) => Kind::Watermark(pb::SubjectRevision {
            subject: Some(subject(whose)),
            revision: revision.0,
        }),
        Row::RevokedToken(token) => Kind::RevokedToken(bytes(token.as_bytes())),
        Row::Request(key, it) => Kind::Request(record::request(key, it)),
    };
    pb::Row {
        version: VERSION,
        kind: Some(kind),
    }
    .encode_to_vec()
    .into()
}

pub(crate) fn decode_row(encoded: Bytes) -> Result<Row, Undecodable> {
    use pb::row::Kind;
    let row = pb::Row::decode(encoded)?;
    check_version("a row of the state", row.version)?;
    Ok(
        match row.kind.ok_or(Undecodable::Unknown("a row of the state"))? {
            Kind::Clock(it) => Row::Clock(ClockRecord {
                applied: Revision(it.applied),
                log_time_ms: it.log_time_ms,
                told_time_s: it.told_time_s,
            }),
            Kind::Meta(it) => Row::Meta(record::read_meta(&it)?),
            Kind::Settings(it) => Row::Settings(Arc::new(read_settings(&it)?)),
            Kind::Epoch(it) => Row::Epoch(record::read_epoch(&it)),
            Kind::Agent(it) => Row::Agent(Arc::new(record::read_agent(&it)?)),
            Kind::Owner(it) => Row::Owner(Arc::new(record::read_owner(&it)?)),
            Kind::GrantSet(it) => Row::GrantSet(Arc::new(record::read_grant_set(&it)?)),
            Kind::Operator(it) => Row::Operator(Arc::new(record::read_operator(&it)?)),
            Kind::Service(it) => Row::Service(Arc::new(record::read_service(&it)?)),
            Kind::Node(it) => Row::Node(Arc::new(record::read_node(&it)?)),
            Kind::Issuer(it) => Row::Issuer(Arc::new(record::read_issuer(&it)?)),
            Kind::Suspension(it) => Row::Suspension(
                read_subject(required(it.subject.as_ref(), "suspension.subject")?)?,
                SuspensionRecord {
                    since: Revision(it.since),
                    asked_ms: it.asked_ms,
                },
            ),
            Kind::Watermark(it) => Row::Watermark(
                read_subject(required(it.subject.as_ref(), "watermark.subject")?)?,
                Revision(it.revision),
            ),
            Kind::RevokedToken(token) => Row::RevokedToken(read_token_id(&token)?),
            Kind::Request(it) => {
                let (key, it) = record::read_request(&it)?;
                Row::Request(key, Arc::new(it))
            }
        },
    )
}
