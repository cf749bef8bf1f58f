//! Fuzz targets for the messages of the API that become the model's own types
//! (`chancery-fuzzing` says what one is). Whatever is refused is refused with a
//! reason and a remedy.

use std::time::Duration;

use chancery_authority::{AgentRecord, Limits};
use chancery_credential::Revision;
use chancery_wire::v1;
use prost::Message;
use tonic::Status;
use tonic_types::StatusExt;

use super::{
    agent_messages, changes::Since, command, facts::StatedFacts, parse, principals, watch,
};

/// Reads a message of the API, if the bytes are one.
fn read<M: Message + Default, T>(
    input: &[u8],
    understand: impl FnOnce(M) -> Result<T, Status>,
) -> Option<T> {
    match understand(M::decode(input).ok()?) {
        Ok(understood) => Some(understood),
        Err(refused) => {
            let details = refused.get_error_details();
            assert!(
                details
                    .error_info()
                    .is_some_and(|info| !info.reason.is_empty())
            );
            assert!(
                details
                    .localized_message()
                    .is_some_and(|told| !told.message.is_empty())
            );
            assert!(!refused.message().is_empty());
            None
        }
    }
}

/// A registration, shown and asked for again.
pub fn agent_spec(input: &[u8]) -> bool {
    let Some(spec) = read(input, |message| agent_messages::spec(Some(message))) else {
        return false;
    };
    let at = Revision(1);
    let record = AgentRecord {
        id: spec.id.clone(),
        owners: spec.owners.clone().into(),
        keys: spec.keys.clone().into(),
        grants: spec.grants.clone().into(),
        grant_sets: spec.grant_sets.clone().into(),
        limits: Limits {
            rate: spec.limits.rate,
        },
        expires_at: spec.expires_at,
        description: spec.description.as_str().into(),
        registered_at: at,
        changed_at: at,
    };
    let shown = agent_messages::agent(&record, &[]);
    let again = agent_messages::spec(shown.spec).unwrap();
    assert_eq!(again, spec, "what is shown can be sent back whole");
    true
}

/// What an order is about.
pub fn subject_message(input: &[u8]) -> bool {
    let Some(subject) = read(input, |message| parse::subject(Some(message))) else {
        return false;
    };
    let again = parse::subject(Some(watch::wire_subject(&subject))).unwrap();
    assert_eq!(again, subject);
    true
}

/// The facts of a token.
pub fn token_facts(input: &[u8]) -> bool {
    let mut message = v1::TokenFacts::default();
    let facts = read(input, |read: v1::TokenFacts| {
        message = read;
        StatedFacts::parse(&message)
    });
    let Some(facts) = facts else {
        return false;
    };
    let facts = facts.facts();
    let agents = std::iter::once(facts.subject).chain(facts.actors);
    assert!(
        agents
            .map(ToString::to_string)
            .eq(message.agents.iter().cloned())
    );
    assert_eq!(facts.token_id.to_string(), message.token_id);
    assert_eq!(facts.key_id.to_string(), message.key_id);
    let texts = |list: &[String]| list.to_vec();
    let owners: Vec<String> = facts.owners.iter().map(ToString::to_string).collect();
    assert_eq!(owners, texts(&message.owners));
    let ancestors: Vec<String> = facts.ancestors.iter().map(ToString::to_string).collect();
    assert_eq!(ancestors, texts(&message.ancestors));
    true
}

/// What every command carries.
pub fn command_meta(input: &[u8]) -> bool {
    let read = read(input, |meta: v1::CommandMeta| {
        let wait = command::wait_at_most(&meta)?;
        let wire = parse::required("meta.request_id", meta.request_id.clone())?;
        let request = command::request_id(Some(&wire))?;
        Ok((wait, wire, request))
    });
    let Some((wait, wire, request)) = read else {
        return false;
    };
    assert!(wait <= Duration::from_secs(60));
    assert_eq!(request.random.to_vec(), wire.random);
    assert_eq!(request.time_ms, wire.time_ms);
    true
}

/// An operator's roles.
pub fn roles(input: &[u8]) -> bool {
    let roles = read(input, |message: v1::Operator| {
        principals::roles(&message.roles)
    });
    let Some(roles) = roles else {
        return false;
    };
    let wire: Vec<i32> = roles
        .iter()
        .map(|role| principals::wire_role(role).into())
        .collect();
    assert_eq!(principals::roles(&wire).unwrap(), roles);
    true
}

/// Where a poll goes on: what is understood is written as it was, but for the case of
/// hex digits and leading zeros, and then as it is.
pub fn poll_place(input: &[u8]) -> bool {
    let text = std::str::from_utf8(input);
    let Ok(Ok(since)) = text.map(str::parse::<Since>) else {
        return false;
    };
    let written = since.to_string();
    assert_eq!(written.parse(), Ok(since), "{written}");
    true
}

/// A public key of any algorithm, DER.
pub fn spki(input: &[u8]) -> bool {
    let Ok(thumbprint) = parse::public_key(input) else {
        return false;
    };
    let named = parse::public_keys("keys", &[input.to_vec()]).unwrap();
    assert_eq!(named, [thumbprint]);
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! {
        agent_spec,
        subject_message,
        token_facts,
        command_meta,
        roles,
        poll_place,
        spki,
    }
}

#[cfg(test)]
mod corpus {
    use chancery_fuzzing::keep;
    use prost::Message as _;

    use super::*;

    const AGENT: &str = "spiffe://example.org/billing";
    const TOKEN: &str = "AAAAAQAAAAAAAAAAAAAAAA";
    const KEY: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn spki() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::PublicKeyData::subject_public_key_info(&key)
    }

    fn agent() -> v1::AgentSpec {
        v1::AgentSpec {
            id: AGENT.to_owned(),
            owners: vec!["payments".to_owned()],
            public_keys: vec![spki()],
            key_thumbprints: Vec::new(),
            grants: vec![v1::Grant {
                audience: "https://ledger.example/*".to_owned(),
                scopes: vec!["ledger:*".to_owned(), "health".to_owned()],
                max_ttl_seconds: 60,
                bearer: true,
            }],
            grant_sets: vec!["readers".to_owned()],
            limits: Some(v1::Limits { rate: 7 }),
            expires_at: 2_000_000_000,
            description: "Pays bills".to_owned(),
        }
    }

    #[test]
    fn every_message_is_in_the_corpus() {
        use v1::subject::Subject;
        let message = |target: &str, name: &str, bytes: Vec<u8>| keep(target, name, &bytes);
        message("agent_spec", "ok-whole", agent().encode_to_vec());
        let nobody = v1::AgentSpec {
            id: "billing".to_owned(),
            ..agent()
        };
        message("agent_spec", "bad-id", nobody.encode_to_vec());
        for (name, subject) in [
            ("ok-agent", Subject::Agent(AGENT.to_owned())),
            ("ok-owner", Subject::Owner("payments".to_owned())),
            ("ok-grant-set", Subject::GrantSet("readers".to_owned())),
            ("ok-everything", Subject::Everything(true)),
            ("bad-nothing", Subject::Everything(false)),
        ] {
            let subject = v1::Subject {
                subject: Some(subject),
            };
            message("subject_message", name, subject.encode_to_vec());
        }
        let facts = v1::TokenFacts {
            token_id: TOKEN.to_owned(),
            revision: 7,
            agents: vec![AGENT.to_owned(), format!("{AGENT}/helper")],
            owners: vec!["payments".to_owned()],
            grant_sets: vec!["readers".to_owned()],
            ancestors: vec![TOKEN.to_owned()],
            issued_at: 1,
            expires_at: 2,
            key_id: KEY.to_owned(),
        };
        message("token_facts", "ok-whole", facts.encode_to_vec());
        let of_nobody = v1::TokenFacts {
            agents: Vec::new(),
            ..facts
        };
        message("token_facts", "bad-of-nobody", of_nobody.encode_to_vec());
        let meta = v1::CommandMeta {
            request_id: Some(v1::RequestId {
                time_ms: 1,
                random: vec![9; 16],
            }),
            reason: "a test".to_owned(),
            wait_at_most: Some(prost_types::Duration {
                seconds: 5,
                nanos: 1,
            }),
            ..v1::CommandMeta::default()
        };
        message("command_meta", "ok-whole", meta.encode_to_vec());
        let backwards = v1::CommandMeta {
            wait_at_most: Some(prost_types::Duration {
                seconds: -5,
                nanos: 1,
            }),
            ..meta
        };
        message("command_meta", "bad-wait", backwards.encode_to_vec());
        let operator = v1::Operator {
            roles: vec![v1::Role::Keeper.into(), v1::Role::Auditor.into()],
            ..v1::Operator::default()
        };
        message("roles", "ok-two", operator.encode_to_vec());
        keep("spki", "ok-p256", &spki());
    }
}
