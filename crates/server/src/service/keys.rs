//! `KeyService`: issuers and epochs.

use std::{sync::Arc, time::Duration};

use chancery_authority::{Answer, Command, IssuerRecord, IssuerStanding};
use chancery_credential::{EpochNumber, IssuerNumber, NodeNumber};
use chancery_wire::v1::{self, key_service_server::KeyService, revoke_key_request::Keys as Which};
use tonic::{Request, Response, Status};

use super::{Desk, parse, split};

/// The service over a node's desk.
pub(crate) struct Keys(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl KeyService for Keys {
    async fn list(
        &self,
        request: Request<v1::ListKeysRequest>,
    ) -> Result<Response<v1::ListKeysResponse>, Status> {
        let message = request.into_inner();
        self.0.at_least(&message.min_revision).await?;
        let ((epoch, issuers), current) = self.0.read(|| {
            self.0.consensus.read_state(|state| {
                let issuers = state.issuers().map(|record| issuer(record)).collect();
                (state.epoch().map_or(0, |epoch| epoch.number.0), issuers)
            })
        })?;
        Ok(Response::new(v1::ListKeysResponse {
            consistency_token: self.0.token_for(current.revision),
            epoch,
            issuers,
        }))
    }

    async fn rotate(
        &self,
        request: Request<v1::RotateRequest>,
    ) -> Result<Response<v1::RotateResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let command = Command::OpenEpoch {
            emergency: message.emergency,
        };
        let done = self.0.command(&caller, meta, command).await?;
        let epoch = match done.answer {
            Answer::Epoch(EpochNumber(number)) => number,
            _ => 0,
        };
        let (lead, refusals) = if message.emergency {
            (0, self.jwks_lag_ms())
        } else {
            (self.lead_ms(), 0)
        };
        Ok(Response::new(v1::RotateResponse {
            committed: Some(self.0.committed(&done)),
            epoch,
            lead: duration(lead),
            jwks_refusals_at_most: duration(refusals),
        }))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeKeyRequest>,
    ) -> Result<Response<v1::RevokeKeyResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let command = match parse::required("keys", message.keys)? {
            Which::Issuer(number) => Command::RevokeIssuer(IssuerNumber(number)),
            Which::Epoch(number) => Command::RevokeEpoch(EpochNumber(number)),
            Which::Node(number) => Command::RevokeNode(NodeNumber(number)),
        };
        let done = self.0.command(&caller, meta, command).await?;
        let issuers = match &done.answer {
            Answer::Issuers(issuers) => issuers.iter().map(|number| number.0).collect(),
            _ => Vec::new(),
        };
        Ok(Response::new(v1::RevokeKeyResponse {
            committed: Some(self.0.committed(&done)),
            issuers,
            // Processes whose issuer is dead sign with another at once: a cache
            // that is as old as it may be does not know it yet.
            jwks_refusals_at_most: duration(self.jwks_lag_ms()),
        }))
    }
}

impl Keys {
    fn lead_ms(&self) -> u64 {
        self.0
            .consensus
            .directory()
            .settings()
            .map_or(0, |settings| settings.rotation_lead_ms())
    }

    fn jwks_lag_ms(&self) -> u64 {
        self.0
            .consensus
            .directory()
            .settings()
            .map_or(0, |settings| settings.jwks_lag_ms())
    }
}

fn duration(milliseconds: u64) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(Duration::from_millis(milliseconds)).ok()
}

fn issuer(record: &IssuerRecord) -> v1::Issuer {
    use v1::issuer::State;
    let (state, retired_at) = match record.standing {
        IssuerStanding::Open => (State::Open, 0),
        IssuerStanding::Retired(at) => (State::Retired, at.0),
        IssuerStanding::Revoked(_) => (State::Revoked, 0),
    };
    v1::Issuer {
        number: record.number.0,
        node: record.node.0,
        epoch: record.epoch.0,
        state: state.into(),
        opened_at: record.opened_at.0,
        retired_at,
        key_id: record.key.key_id().to_string(),
        ed25519: record.key.as_bytes().to_vec(),
    }
}
