//! Everything that the public listener answers: the services, health,
//! reflection, the JWKS.

use std::{sync::Arc, time::Duration};

use chancery_wire::v1::{
    agent_service_server::AgentServiceServer, cluster_service_server::ClusterServiceServer,
    key_service_server::KeyServiceServer, principal_service_server::PrincipalServiceServer,
    revocation_service_server::RevocationServiceServer, token_service_server::TokenServiceServer,
};
use thiserror::Error;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    jwks,
    listener::Limits,
    service::{Agents, Clusters, Desk, Keys, Principals, Revocations, Tokens},
    status::NodeStatus,
};

/// The descriptors that reflection serves cannot be read: a defect of the build.
#[derive(Debug, Error)]
#[error("the protocol's descriptors cannot be served: {0}")]
pub struct ReflectionError(String);

const MESSAGE_BYTES: usize = Limits::MESSAGE_BYTES;
const HEALTH_EVERY: Duration = Duration::from_millis(250);

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
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    routes
        .add_service(bounded!(AgentServiceServer, Agents(desk.clone())))
        .add_service(bounded!(PrincipalServiceServer, Principals(desk.clone())))
        .add_service(bounded!(TokenServiceServer, Tokens(desk.clone())))
        .add_service(bounded!(RevocationServiceServer, Revocations(desk.clone())))
        .add_service(bounded!(KeyServiceServer, Keys(desk.clone())))
        .add_service(bounded!(ClusterServiceServer, Clusters(desk.clone())))
        .add_service(describe().build_v1().map_err(failed)?)
        .add_service(describe().build_v1alpha().map_err(failed)?)
        .add_service(health);
    let router = routes
        .routes()
        .into_axum_router()
        .merge(jwks::routes(desk.consensus.clone()));
    Ok((Routes::from(router), reporter))
}

/// Keeps `grpc.health.v1` true, for the node and for each of its services.
/// Settling is no reason to refuse a call, so it counts for `/readyz` only.
pub(crate) async fn report_health(status: NodeStatus, reporter: HealthReporter) {
    let mut look = tokio::time::interval(HEALTH_EVERY);
    let mut told = None;
    loop {
        look.tick().await;
        let answers = status.health().serving();
        if told == Some(answers) {
            continue;
        }
        told = Some(answers);
        let serving = if answers {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in [
            "",
            "chancery.v1.AgentService",
            "chancery.v1.PrincipalService",
            "chancery.v1.TokenService",
            "chancery.v1.RevocationService",
            "chancery.v1.KeyService",
            "chancery.v1.ClusterService",
        ] {
            reporter.set_service_status(service, serving).await;
        }
    }
}
