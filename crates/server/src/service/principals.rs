//! `PrincipalService`: operators, services and owners.

use std::sync::Arc;

use chancery_authority::{
    Command, KeyChange, OperatorChange, OperatorRecord, OperatorSpec, Role, Roles, ServiceChange,
    ServiceRecord, ServiceSpec,
};
use chancery_credential::{OwnerName, Subject};
use chancery_wire::v1::{
    self, principal_service_server::PrincipalService, remove_principal_request::Principal,
};
use tonic::{Request, Response, Status};

use super::{Desk, parse, split};

/// The service over a node's desk.
pub(crate) struct Principals(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl PrincipalService for Principals {
    async fn add_operator(
        &self,
        request: Request<v1::AddOperatorRequest>,
    ) -> Result<Response<v1::AddOperatorResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let command = Command::AddOperator(OperatorSpec {
            name: parse::field("name", &message.name)?,
            roles: roles(&message.roles)?,
            keys: parse::public_keys("public_keys", &message.public_keys)?,
            expires_at: message.expires_at,
        });
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::AddOperatorResponse {
            committed: Some(self.0.committed(done.revision)),
        }))
    }

    async fn add_service(
        &self,
        request: Request<v1::AddServiceRequest>,
    ) -> Result<Response<v1::AddServiceResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let command = Command::AddService(ServiceSpec {
            name: parse::field("name", &message.name)?,
            audiences: parse::list("audiences", &message.audiences)?,
            keys: parse::public_keys("public_keys", &message.public_keys)?,
        });
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::AddServiceResponse {
            committed: Some(self.0.committed(done.revision)),
        }))
    }

    async fn update_operator(
        &self,
        request: Request<v1::UpdateOperatorRequest>,
    ) -> Result<Response<v1::UpdateOperatorResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let command = Command::UpdateOperator(OperatorChange {
            name: parse::field("name", &message.name)?,
            roles: match message.roles[..] {
                [] => None,
                _ => Some(roles(&message.roles)?),
            },
            keys: key_change(&message.added_public_keys, &message.removed_key_thumbprints)?,
            expires_at: message.expires_at,
        });
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::UpdateOperatorResponse {
            committed: Some(self.0.committed(done.revision)),
        }))
    }

    async fn update_service(
        &self,
        request: Request<v1::UpdateServiceRequest>,
    ) -> Result<Response<v1::UpdateServiceResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let audiences = parse::list("audiences", &message.audiences)?;
        let command = Command::UpdateService(ServiceChange {
            name: parse::field("name", &message.name)?,
            audiences: Some(audiences).filter(|audiences: &Vec<_>| !audiences.is_empty()),
            keys: key_change(&message.added_public_keys, &message.removed_key_thumbprints)?,
        });
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::UpdateServiceResponse {
            committed: Some(self.0.committed(done.revision)),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListPrincipalsRequest>,
    ) -> Result<Response<v1::ListPrincipalsResponse>, Status> {
        let message = request.into_inner();
        let size = parse::page_size(message.page_size)?;
        self.0.at_least(&message.min_revision).await?;
        let ((principals, next_page_token), current) =
            self.0.read(|| self.principals(&message.page_token, size))?;
        Ok(Response::new(v1::ListPrincipalsResponse {
            consistency_token: self.0.token_for(current.revision),
            principals,
            next_page_token,
        }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemovePrincipalRequest>,
    ) -> Result<Response<v1::RemovePrincipalResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let command = match parse::required("principal", message.principal.clone())? {
            Principal::Operator(name) => Command::RemoveOperator(parse::field("operator", &name)?),
            Principal::Service(name) => Command::RemoveService(parse::field("service", &name)?),
        };
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::RemovePrincipalResponse {
            committed: Some(self.0.committed(done.revision)),
        }))
    }

    async fn add_owner(
        &self,
        request: Request<v1::AddOwnerRequest>,
    ) -> Result<Response<v1::AddOwnerResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let command = Command::AddOwner {
            name: parse::field("name", &message.name)?,
            description: message.description.clone(),
        };
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::AddOwnerResponse {
            committed: Some(self.0.committed(done.revision)),
        }))
    }

    async fn list_owners(
        &self,
        request: Request<v1::ListOwnersRequest>,
    ) -> Result<Response<v1::ListOwnersResponse>, Status> {
        let message = request.into_inner();
        let size = parse::page_size(message.page_size)?;
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(parse::field::<OwnerName>("page_token", token)?),
        };
        self.0.at_least(&message.min_revision).await?;
        let (page, current) = self.0.read(|| self.owners(after.as_ref(), size))?;
        let (owners, next_page_token) = page;
        Ok(Response::new(v1::ListOwnersResponse {
            consistency_token: self.0.token_for(current.revision),
            owners,
            next_page_token,
        }))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let (caller, _) = split(request)?;
        // Who somebody is, is an answer too: not out of an old state.
        self.0.read(|| ())?;
        Ok(Response::new(v1::WhoAmIResponse {
            principal: caller.identity.to_string(),
            roles: caller
                .identity
                .roles()
                .iter()
                .map(|role| wire_role(role).into())
                .collect(),
            key_thumbprint: caller.key.map(|key| key.to_string()).unwrap_or_default(),
        }))
    }
}

fn key_change(added: &[Vec<u8>], removed: &[String]) -> Result<KeyChange, Status> {
    Ok(KeyChange {
        added: parse::public_keys("added_public_keys", added)?,
        removed: parse::list("removed_key_thumbprints", removed)?,
    })
}

impl Principals {
    /// Operators by name, then services by name; the page token is the last one
    /// shown, `operator:<name>` or `service:<name>`.
    fn principals(&self, token: &str, size: usize) -> (Vec<v1::Principal>, String) {
        self.0.consensus.read_state(|state| {
            let operators = state
                .operators()
                .map(|record| (format!("operator:{}", record.name), operator(record)));
            let services = state
                .services()
                .map(|record| (format!("service:{}", record.name), service(record)));
            let after = operators
                .chain(services)
                .filter(|(name, _)| name.as_str() > token);
            take_page(after, size)
        })
    }

    fn owners(&self, after: Option<&OwnerName>, size: usize) -> (Vec<v1::Owner>, String) {
        self.0.consensus.read_state(|state| {
            let owners = state.owners_after(after).map(|record| {
                (
                    record.name.to_string(),
                    v1::Owner {
                        name: record.name.to_string(),
                        suspended: state.is_suspended(&Subject::Owner(record.name.clone())),
                        description: record.description.to_string(),
                    },
                )
            });
            take_page(owners, size)
        })
    }
}

fn operator(record: &OperatorRecord) -> v1::Principal {
    v1::Principal {
        kind: Some(v1::principal::Kind::Operator(v1::Operator {
            name: record.name.to_string(),
            roles: record
                .roles
                .iter()
                .map(|role| wire_role(role).into())
                .collect(),
            expires_at: record.expires_at,
        })),
        key_thumbprints: record.keys.iter().map(ToString::to_string).collect(),
    }
}

fn service(record: &ServiceRecord) -> v1::Principal {
    v1::Principal {
        kind: Some(v1::principal::Kind::Service(v1::Service {
            name: record.name.to_string(),
            audiences: record.audiences.iter().map(ToString::to_string).collect(),
        })),
        key_thumbprints: record.keys.iter().map(ToString::to_string).collect(),
    }
}

/// The first `size` entries, and the name of the last when more follow.
fn take_page<T>(entries: impl Iterator<Item = (String, T)>, size: usize) -> (Vec<T>, String) {
    let mut page = Vec::new();
    let mut last = String::new();
    for (name, entry) in entries {
        if page.len() == size {
            return (page, last);
        }
        last = name;
        page.push(entry);
    }
    (page, String::new())
}

pub(super) fn roles(wire: &[i32]) -> Result<Roles, Status> {
    wire.iter()
        .map(|role| match v1::Role::try_from(*role) {
            Ok(v1::Role::Registrar) => Ok(Role::Registrar),
            Ok(v1::Role::Responder) => Ok(Role::Responder),
            Ok(v1::Role::Keeper) => Ok(Role::Keeper),
            Ok(v1::Role::Auditor) => Ok(Role::Auditor),
            Ok(v1::Role::Unspecified) | Err(_) => {
                Err(parse::invalid("roles", format!("{role} is no role")))
            }
        })
        .collect()
}

pub(super) const fn wire_role(role: Role) -> v1::Role {
    match role {
        Role::Registrar => v1::Role::Registrar,
        Role::Responder => v1::Role::Responder,
        Role::Keeper => v1::Role::Keeper,
        Role::Auditor => v1::Role::Auditor,
    }
}
