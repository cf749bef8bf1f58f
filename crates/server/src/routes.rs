//! Everything that the public listener answers: the services, health,
//! reflection, the JWKS.

use std::{sync::Arc, time::Duration};

use chancery_wire::v1::{
    agent_service_server::AgentServiceServer, cluster_service_server::ClusterServiceServer,
    grant_set_service_server::GrantSetServiceServer, history_service_server::HistoryServiceServer,
    key_service_server::KeyServiceServer, principal_service_server::PrincipalServiceServer,
    revocation_service_server::RevocationServiceServer,
    settings_service_server::SettingsServiceServer, token_service_server::TokenServiceServer,
};
use thiserror::Error;
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health as HealthService, HealthServer},
    server::HealthReporter,
};

use crate::{
    jwks,
    listener::Limits,
    polling,
    service::{
        Agents, Clusters, Desk, GrantSets, Histories, Keys, Principals, Revocations, SettingsDesk,
        Tokens, session,
    },
    status::{Health, NodeStatus},
};

/// The descriptors that reflection serves cannot be read: a defect of the build.
#[derive(Debug, Error)]
#[error("the protocol's descriptors cannot be served: {0}")]
pub struct ReflectionError(String);

const MESSAGE_BYTES: usize = Limits::MESSAGE_BYTES;
/// A request for health is a name.
const HEALTH_BYTES: usize = 1024;
const HEALTH_EVERY: Duration = Duration::from_millis(250);

/// The name under which `grpc.health.v1` says what `/readyz` says: for balancers,
/// which send new callers to settled nodes while there are any.
const SETTLED: &str = "chancery.settled";
/// What it says the same of: the node, and each of its services.
const SERVICES: [&str; 10] = [
    "",
    "chancery.v1.AgentService",
    "chancery.v1.GrantSetService",
    "chancery.v1.PrincipalService",
    "chancery.v1.TokenService",
    "chancery.v1.RevocationService",
    "chancery.v1.KeyService",
    "chancery.v1.ClusterService",
    "chancery.v1.SettingsService",
    "chancery.v1.HistoryService",
];

/// The one method that reads more than [`MESSAGE_BYTES`].
const CHECK_STREAM: &str = "/chancery.v1.RevocationService/CheckStream";

macro_rules! bounded {
    ($server:ident, $service:expr) => {
        $server::new($service)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(4 * 1024 * 1024)
    };
}

/// All routes, and what reports the node's health to them.
pub(crate) fn all(desk: Arc<Desk>) -> Result<(Routes, HealthReporter), ReflectionError> {
    let failed = |error: tonic_reflection::server::Error| ReflectionError(error.to_string());
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(chancery_wire::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (reporter, health) = health();
    let mut routes = Routes::builder();
    routes
        .add_service(bounded!(AgentServiceServer, Agents(desk.clone())))
        .add_service(bounded!(GrantSetServiceServer, GrantSets(desk.clone())))
        .add_service(bounded!(PrincipalServiceServer, Principals(desk.clone())))
        .add_service(bounded!(TokenServiceServer, Tokens(desk.clone())))
        .add_service(bounded!(RevocationServiceServer, Revocations(desk.clone())))
        .add_service(bounded!(KeyServiceServer, Keys(desk.clone())))
        .add_service(bounded!(ClusterServiceServer, Clusters(desk.clone())))
        .add_service(bounded!(SettingsServiceServer, SettingsDesk(desk.clone())))
        .add_service(bounded!(
            HistoryServiceServer,
            Histories::over(desk.clone())
        ))
        .add_service(
            describe()
                .build_v1()
                .map_err(failed)?
                .max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(
            describe()
                .build_v1alpha()
                .map_err(failed)?
                .max_decoding_message_size(MESSAGE_BYTES),
        )
        .add_service(health);
    // Batches are larger than what else the service is sent.
    let batches = RevocationServiceServer::new(Revocations(desk.clone()))
        .max_decoding_message_size(Limits::BATCH_BYTES);
    let router = routes
        .routes()
        .into_axum_router()
        .route_service(CHECK_STREAM, batches)
        .merge(jwks::routes(desk.consensus.clone()))
        .merge(polling::routes(desk.clone()))
        .layer(axum::middleware::from_fn_with_state(desk, session::go_on));
    Ok((Routes::from(router), reporter))
}

fn health() -> (HealthReporter, HealthServer<impl HealthService>) {
    let (reporter, health) = tonic_health::server::health_reporter();
    (reporter, health.max_decoding_message_size(HEALTH_BYTES))
}

/// Keeps `grpc.health.v1` true, for the node, for each of its services, and for
/// `chancery.settled`. Settling is no reason to refuse a call, so it counts for
/// that one and for `/readyz` only.
pub(crate) async fn report_health(status: NodeStatus, reporter: HealthReporter) {
    let mut look = tokio::time::interval(HEALTH_EVERY);
    let mut told = None;
    loop {
        look.tick().await;
        let statuses = statuses(status.health());
        if told == Some(statuses) {
            continue;
        }
        told = Some(statuses);
        for (service, serving) in statuses {
            reporter.set_service_status(service, serving).await;
        }
    }
}

fn statuses(health: Health) -> [(&'static str, ServingStatus); SERVICES.len() + 1] {
    let said = |yes| {
        if yes {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    };
    let mut statuses = [(SETTLED, said(health.ready())); SERVICES.len() + 1];
    for (status, service) in statuses.iter_mut().zip(SERVICES) {
        *status = (service, said(health.serving()));
    }
    statuses
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chancery_credential::IssuerNumber;
    use http::Request;
    use prost::Message;
    use tonic::{Code, Status, body::Body};
    use tonic_health::pb::HealthCheckRequest;
    use tower::ServiceExt;

    #[test]
    fn a_settling_node_serves_and_is_no_place_for_new_callers() {
        let settling = Health {
            fresh: true,
            issuer: Some(IssuerNumber(1)),
            settling: true,
            all_settle: false,
            records_behind: false,
            draining: false,
            check_only: false,
            leaving: false,
        };
        let said = |health, wanted: &str| {
            let found = statuses(health)
                .into_iter()
                .find(|(name, _)| *name == wanted);
            found.unwrap().1
        };
        for service in SERVICES {
            assert_eq!(said(settling, service), ServingStatus::Serving);
        }
        assert_eq!(said(settling, SETTLED), ServingStatus::NotServing);
        let emergency = Health {
            all_settle: true,
            ..settling
        };
        assert_eq!(said(emergency, SETTLED), ServingStatus::Serving);
        let settled = Health {
            settling: false,
            ..settling
        };
        assert_eq!(said(settled, SETTLED), ServingStatus::Serving);
        let behind = Health {
            records_behind: true,
            ..settled
        };
        assert_eq!(said(behind, ""), ServingStatus::Serving);
        assert_eq!(said(behind, SETTLED), ServingStatus::NotServing);
        let stale = Health {
            fresh: false,
            ..settled
        };
        assert_eq!(said(stale, ""), ServingStatus::NotServing);
        assert_eq!(said(stale, SETTLED), ServingStatus::NotServing);
        let unsigned = Health {
            issuer: None,
            ..settled
        };
        assert_eq!(said(unsigned, ""), ServingStatus::NotServing);
        let checking = Health {
            check_only: true,
            ..unsigned
        };
        assert_eq!(
            said(checking, SETTLED),
            ServingStatus::Serving,
            "a node that only checks needs no issuer"
        );
        let leaving = Health {
            leaving: true,
            ..settled
        };
        assert_eq!(said(leaving, ""), ServingStatus::NotServing);
    }

    async fn ask_for_health_of(name: String) -> Code {
        let message = HealthCheckRequest { service: name }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let framed = [&[0], &length[..], &message].concat();
        let request = Request::post("/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc")
            .body(Body::new(axum::body::Body::from(framed)));
        let (_reporter, health) = health();
        let answer = health.oneshot(request.unwrap()).await.unwrap();
        Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code())
    }

    #[tokio::test]
    async fn a_question_for_health_that_is_no_name_is_not_read() {
        assert_eq!(ask_for_health_of(String::new()).await, Code::Ok);
        assert_eq!(ask_for_health_of("x".repeat(256)).await, Code::NotFound);
        assert_eq!(ask_for_health_of("x".repeat(1100)).await, Code::OutOfRange);
    }
}
