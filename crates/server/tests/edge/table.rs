//! The permission table against the descriptors: no method without a row, no
//! row without a method, and each row meant as it stands.

use std::collections::BTreeSet;

use chancery_authority::{Role, Roles};
use chancery_server::caller::Identity;
use chancery_server::caller::permission::{Row, Shape, TABLE, Who, row_of};
use prost::Message;
use prost_types::FileDescriptorSet;

use crate::support::{Client, Node, call, registry};

/// Every method that the listener serves, and whether it streams.
fn methods() -> Vec<(String, bool)> {
    let mut methods = Vec::new();
    for set in [
        chancery_wire::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ] {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    methods.push((path, method.client_streaming() || method.server_streaming()));
                }
            }
        }
    }
    assert!(methods.len() > 20, "the descriptors are missing");
    methods
}

#[test]
fn every_method_has_a_row_of_its_shape() {
    for (path, streams) in methods() {
        let row =
            row_of(&path).unwrap_or_else(|| panic!("{path} has no row: decide who may call it"));
        let is_stream = matches!(row.shape, Shape::Streaming | Shape::Batches);
        assert_eq!(is_stream, streams, "{path}");
    }
}

#[test]
fn every_row_has_a_method() {
    let methods: BTreeSet<_> = methods().into_iter().map(|(path, _)| path).collect();
    for row in TABLE.iter().filter(|row| !row.shape.is_http()) {
        assert!(methods.contains(row.path), "{} is no method", row.path);
    }
}

#[test]
fn the_table_is_in_order_and_has_no_row_twice() {
    assert!(TABLE.is_sorted_by(|row, next| row.path < next.path));
    assert!(TABLE.iter().all(|row| row_of(row.path) == Some(row)));
    assert_eq!(row_of("/chancery.v1.TokenService/mint"), None);
    assert_eq!(row_of(""), None);
}

#[test]
fn without_a_certificate_there_is_health_and_the_jwks() {
    let open: Vec<_> = TABLE
        .iter()
        .filter(|row| row.who.is_anyone())
        .map(|row| row.path)
        .collect();
    assert_eq!(
        open,
        [
            "/.well-known/jwks.json",
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch"
        ],
    );
}

#[test]
fn an_auditor_changes_nothing_and_an_agent_asks_for_itself() {
    let may = |identity: &Identity| -> Vec<&str> {
        TABLE
            .iter()
            .filter(|row| !row.who.is_anyone() && row.who.includes(identity))
            .filter_map(|row| row.path.strip_prefix("/chancery.v1."))
            .collect()
    };
    assert_eq!(
        may(&registry::operator("a", &[Role::Auditor])),
        [
            "AgentService/Get",
            "AgentService/List",
            "ClusterService/Status",
            "GrantSetService/Get",
            "GrantSetService/List",
            "HistoryService/List",
            "KeyService/List",
            "PrincipalService/List",
            "PrincipalService/ListOwners",
            "PrincipalService/WhoAmI",
            "RevocationService/AwaitEnforced",
            "RevocationService/Check",
            "RevocationService/CheckStream",
            "RevocationService/ListChanges",
            "RevocationService/Watch",
            "SettingsService/Explain",
            "SettingsService/Get",
            "TokenService/Verify",
        ],
    );
    assert_eq!(
        may(&registry::agent("a")),
        [
            "KeyService/List",
            "PrincipalService/WhoAmI",
            "RevocationService/AwaitEnforced",
            "RevocationService/Revoke",
            "TokenService/Mint",
            "TokenService/MintStream",
        ],
    );
    assert_eq!(
        may(&registry::service("a")),
        [
            "KeyService/List",
            "PrincipalService/WhoAmI",
            "RevocationService/AwaitEnforced",
            "RevocationService/Check",
            "RevocationService/CheckStream",
            "RevocationService/ListChanges",
            "RevocationService/Watch",
            "TokenService/Verify",
        ],
    );
    let nobody = Identity::Operator {
        name: "a".parse().unwrap(),
        roles: Roles::NONE,
    };
    assert!(
        may(&nobody).is_empty(),
        "an operator without a role may do nothing"
    );
}

#[test]
fn a_set_of_callers_is_named_as_people_would() {
    let names = |path: &str| row_of(path).unwrap().who.to_string();
    assert_eq!(
        names("/chancery.v1.TokenService/Verify"),
        "services, operators"
    );
    assert_eq!(
        names("/chancery.v1.RevocationService/Revoke"),
        "agents, registrars, responders"
    );
    assert_eq!(Who::PRINCIPAL.to_string(), "agents, services, operators");
}

/// Who has each of the rights, and one right only.
fn people(node: &Node) -> Vec<(Identity, crate::support::Person)> {
    let mut people = vec![registry::agent("a"), registry::service("s")];
    people.extend(Role::ALL.map(|role| registry::operator(role.as_str(), &[role])));
    let register = |identity: Identity| {
        let person = crate::support::Person::new();
        node.registry.register(&person, identity.clone());
        (identity, person)
    };
    people.into_iter().map(register).collect()
}

/// The HTTP status that a refusal stands for, and its reason.
async fn refused(client: &Client, row: &Row) -> (u16, String) {
    if row.shape.is_http() {
        let request = http::Request::get(format!("https://localhost{}", row.path));
        let mut answer = client.send(request).await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&answer.whole().await).unwrap();
        let reason = told["error"]["reason"].as_str().unwrap().to_owned();
        return (answer.code.as_u16(), reason);
    }
    let status = client.call(row.path).await.status().await;
    let code = match status.code() {
        tonic::Code::PermissionDenied => 403,
        tonic::Code::Unauthenticated => 401,
        other => panic!("{row:?}: {other:?}"),
    };
    (code, call::reason(&status))
}

#[tokio::test]
async fn whoever_is_not_in_a_method_s_row_is_refused_there() {
    let mut node = Node::start().await;
    for (identity, person) in people(&node) {
        let client = node.connect(&person).await;
        for row in TABLE.iter().filter(|row| !row.who.includes(&identity)) {
            let told = refused(&client, row).await;
            assert_eq!(
                told,
                (403, "METHOD_NOT_PERMITTED".into()),
                "{identity} {row:?}"
            );
        }
    }
    let stranger = node.connect(&crate::support::Person::new()).await;
    let nobody = node.connect_as_nobody().await;
    for row in TABLE.iter().filter(|row| !row.who.is_anyone()) {
        assert_eq!(refused(&stranger, row).await, (401, "UNKNOWN_KEY".into()));
        assert_eq!(refused(&nobody, row).await, (401, "NO_CERTIFICATE".into()));
    }
    assert!(node.is_quiet(), "a refused request reached a service");
}

#[tokio::test]
async fn a_path_without_a_row_is_nobody_s() {
    let mut node = Node::start().await;
    let keeper = node.registry.register_operator("keeper", &Role::ALL);
    let client = node.connect(&keeper).await;
    let status = client
        .call("/chancery.v1.TokenService/Forge")
        .await
        .status()
        .await;
    assert_eq!(call::reason(&status), "METHOD_NOT_IN_TABLE");
    let ask = async |request: http::request::Builder| client.send(request).await.unwrap().code;
    let mint = "https://localhost/chancery.v1.TokenService/Mint";
    let jwks = "https://localhost/.well-known/jwks.json";
    assert_eq!(ask(http::Request::get("https://localhost/")).await, 404);
    assert_eq!(ask(http::Request::get(mint)).await, 405);
    assert_eq!(ask(http::Request::post(mint)).await, 415);
    assert_eq!(ask(http::Request::post(jwks)).await, 405);
    assert!(node.is_quiet(), "a refused request reached a service");
    // Every row names a path, so that nothing is reachable by another spelling.
    assert!(
        TABLE
            .iter()
            .all(|Row { path, .. }| path.starts_with('/') && !path.ends_with('/'))
    );
}
