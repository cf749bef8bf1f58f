//! `PrincipalService`: operators, services and owners.

use std::sync::Arc;

use chancery_authority::{
    Command, KeyChange, OperatorChange, OperatorRecord, OperatorSpec, OwnerRecord, Role, Roles,
    ServiceChange, ServiceRecord, ServiceSpec, State,
};
use chancery_credential::{OwnerName, PrincipalName, Subject};
use chancery_wire::v1::{
    self, principal_service_server::PrincipalService, remove_principal_request::Principal,
};
use tonic::{Request, Response, Status};

use super::{
    Desk,
    page::{self, PAGE_BYTES},
    parse, split,
};
use crate::caller::Holder;

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
            committed: Some(self.0.committed(&done)),
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
            committed: Some(self.0.committed(&done)),
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
            committed: Some(self.0.committed(&done)),
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
            committed: Some(self.0.committed(&done)),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListPrincipalsRequest>,
    ) -> Result<Response<v1::ListPrincipalsResponse>, Status> {
        let (caller, message) = split(request)?;
        let size = parse::page_size(message.page_size)?;
        let after = After::parse(&message.page_token)?;
        self.0.at_least(&message.min_revision).await?;
        let find = |state: &State| page::find(after.records(state), size, |_| true, Seen::name);
        let (found, revision) = self.0.look(find).await?;
        let _turn = self.0.turns.take(Holder::of(&caller.identity)).await;
        let (principals, next_page_token) = found.page(PAGE_BYTES, Seen::name, Seen::message);
        Ok(Response::new(v1::ListPrincipalsResponse {
            consistency_token: self.0.token_for(revision),
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
            committed: Some(self.0.committed(&done)),
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
            committed: Some(self.0.committed(&done)),
        }))
    }

    async fn list_owners(
        &self,
        request: Request<v1::ListOwnersRequest>,
    ) -> Result<Response<v1::ListOwnersResponse>, Status> {
        let (caller, message) = split(request)?;
        let size = parse::page_size(message.page_size)?;
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(parse::field::<OwnerName>("page_token", token)?),
        };
        self.0.at_least(&message.min_revision).await?;
        let name = |(record, _): &(Arc<OwnerRecord>, bool)| record.name.to_string();
        let find = |state: &State| {
            let suspended =
                |record: &OwnerRecord| state.is_suspended(&Subject::Owner(record.name.clone()));
            let records = state.owners_after(after.as_ref());
            let owners = records.map(|record| (record.clone(), suspended(record)));
            page::find(owners, size, |_| true, name)
        };
        let (found, revision) = self.0.look(find).await?;
        let _turn = self.0.turns.take(Holder::of(&caller.identity)).await;
        let (owners, next_page_token) = found.page(PAGE_BYTES, name, owner);
        Ok(Response::new(v1::ListOwnersResponse {
            consistency_token: self.0.token_for(revision),
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

/// Where a page begins: operators by name, then services by name. The page token is the
/// last one shown, `operator:<name>` or `service:<name>`.
enum After {
    Nothing,
    Operator(PrincipalName),
    Service(PrincipalName),
}

impl After {
    fn parse(token: &str) -> Result<Self, Status> {
        let name = |name: &str| parse::field("page_token", name);
        match token.split_once(':') {
            None if token.is_empty() => Ok(Self::Nothing),
            Some(("operator", last)) => Ok(Self::Operator(name(last)?)),
            Some(("service", last)) => Ok(Self::Service(name(last)?)),
            _ => Err(parse::invalid(
                "page_token",
                "it is not one that this service gave",
            )),
        }
    }

    fn records<'a>(&'a self, state: &'a State) -> impl Iterator<Item = Seen> + 'a {
        let (operators, services) = match self {
            Self::Nothing => (Some(None), None),
            Self::Operator(last) => (Some(Some(last)), None),
            Self::Service(last) => (None, Some(last)),
        };
        let operators = operators.map(|after| state.operators_after(after).cloned());
        let operators = operators.into_iter().flatten().map(Seen::Operator);
        let services = state.services_after(services).cloned();
        operators.chain(services.map(Seen::Service))
    }
}

/// A principal as it was found.
enum Seen {
    Operator(Arc<OperatorRecord>),
    Service(Arc<ServiceRecord>),
}

impl Seen {
    fn name(&self) -> String {
        match self {
            Self::Operator(record) => format!("operator:{}", record.name),
            Self::Service(record) => format!("service:{}", record.name),
        }
    }

    fn message(&self) -> v1::Principal {
        match self {
            Self::Operator(record) => operator(record),
            Self::Service(record) => service(record),
        }
    }
}

fn owner((record, suspended): &(Arc<OwnerRecord>, bool)) -> v1::Owner {
    v1::Owner {
        name: record.name.to_string(),
        suspended: *suspended,
        description: record.description.to_string(),
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
