//! The permission table: one row per method, and no method without a row.
//!
//! It says who may *call*. What they may do it to (their own token, their own
//! agent, a role that only a keeper gives) is decided by the service, and once
//! more where the command is applied.

use chancery_authority::Role;
use http::Method;

use super::identity::Identity;

/// Which callers: a set of kinds and roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who(u8);

impl Who {
    /// Also without a certificate, and with a key that is nobody's.
    pub const ANYONE: Self = Self(1);
    /// Agents.
    pub const AGENT: Self = Self(1 << 1);
    /// Services.
    pub const SERVICE: Self = Self(1 << 2);
    /// Operators with the role registrar.
    pub const REGISTRAR: Self = Self(1 << 3);
    /// Operators with the role responder.
    pub const RESPONDER: Self = Self(1 << 4);
    /// Operators with the role keeper.
    pub const KEEPER: Self = Self(1 << 5);
    /// Operators with the role auditor.
    pub const AUDITOR: Self = Self(1 << 6);

    /// Every operator, whatever its role.
    pub const OPERATOR: Self = Self::REGISTRAR
        .or(Self::RESPONDER)
        .or(Self::KEEPER)
        .or(Self::AUDITOR);
    /// Everyone whose key is registered.
    pub const PRINCIPAL: Self = Self::OPERATOR.or(Self::AGENT).or(Self::SERVICE);

    /// Both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nobody has to be known.
    #[must_use]
    pub const fn is_anyone(self) -> bool {
        self.0 & Self::ANYONE.0 != 0
    }

    /// Whether `identity` is among them.
    #[must_use]
    pub fn includes(self, identity: &Identity) -> bool {
        self.is_anyone() || self.0 & Self::of(identity).0 != 0
    }

    fn of(identity: &Identity) -> Self {
        match identity {
            Identity::Anyone => Self::ANYONE,
            Identity::Agent { .. } => Self::AGENT,
            Identity::Service { .. } => Self::SERVICE,
            Identity::Operator { roles, .. } => roles.iter().fold(Self(0), |who, role| {
                who.or(match role {
                    Role::Registrar => Self::REGISTRAR,
                    Role::Responder => Self::RESPONDER,
                    Role::Keeper => Self::KEEPER,
                    Role::Auditor => Self::AUDITOR,
                })
            }),
        }
    }
}

/// For people: `agents, services and operators that are keepers or responders`.
impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [(Who, &str); 8] = [
            (Who::ANYONE, "anyone"),
            (Who::AGENT, "agents"),
            (Who::SERVICE, "services"),
            (Who::OPERATOR, "operators"),
            (Who::REGISTRAR, "registrars"),
            (Who::RESPONDER, "responders"),
            (Who::KEEPER, "keepers"),
            (Who::AUDITOR, "auditors"),
        ];
        let mut left = *self;
        let mut separator = "";
        for (who, name) in NAMES {
            if left.0 & who.0 == who.0 {
                write!(f, "{separator}{name}")?;
                separator = ", ";
                left = Self(left.0 & !who.0);
            }
        }
        Ok(())
    }
}

/// How a method talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// gRPC, one request and one answer.
    Unary,
    /// The same, whose answer is a page of a list: up to a mebibyte or so, kept until
    /// it was read.
    Pages,
    /// gRPC, with a stream in either direction.
    Streaming,
    /// The same, of messages that are as large as [`Limits::BATCH_BYTES`].
    ///
    /// [`Limits::BATCH_BYTES`]: crate::listener::Limits::BATCH_BYTES
    Batches,
    /// Plain HTTP, `GET` and `HEAD`.
    Http,
    /// The same, whose answer is a page of a list.
    HttpPages,
}

impl Shape {
    /// Whether it is plain HTTP and not gRPC.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::HttpPages)
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The path of the request: for gRPC, `/package.Service/Method`.
    pub path: &'static str,
    /// Who may call it.
    pub who: Who,
    /// How it talks.
    pub shape: Shape,
}

const fn row(path: &'static str, who: Who, shape: Shape) -> Row {
    Row { path, who, shape }
}

/// Where the JWKS is served.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";
/// Where what changed is listed as JSON.
pub const REVOCATIONS_PATH: &str = "/v1/revocations";

use Shape::{Batches, Http, HttpPages, Pages, Streaming, Unary};

/// The table, in the order of the paths.
pub const TABLE: &[Row] = &[
    row(JWKS_PATH, Who::ANYONE, Http),
    row("/chancery.v1.AgentService/Get", Who::OPERATOR, Unary),
    row("/chancery.v1.AgentService/List", Who::OPERATOR, Pages),
    row("/chancery.v1.AgentService/Register", Who::REGISTRAR, Unary),
    row("/chancery.v1.AgentService/Remove", Who::REGISTRAR, Unary),
    row("/chancery.v1.AgentService/Resume", Who::RESPONDER, Unary),
    row("/chancery.v1.AgentService/Suspend", Who::RESPONDER, Unary),
    row("/chancery.v1.AgentService/Update", Who::REGISTRAR, Unary),
    row("/chancery.v1.ClusterService/AddNode", Who::KEEPER, Unary),
    row("/chancery.v1.ClusterService/Demote", Who::KEEPER, Unary),
    row("/chancery.v1.ClusterService/Promote", Who::KEEPER, Unary),
    row(
        "/chancery.v1.ClusterService/ReadmitNode",
        Who::KEEPER,
        Unary,
    ),
    row("/chancery.v1.ClusterService/RemoveNode", Who::KEEPER, Unary),
    row("/chancery.v1.ClusterService/Status", Who::OPERATOR, Unary),
    row("/chancery.v1.ClusterService/Transfer", Who::KEEPER, Unary),
    row("/chancery.v1.GrantSetService/Get", Who::OPERATOR, Unary),
    row("/chancery.v1.GrantSetService/List", Who::OPERATOR, Pages),
    row("/chancery.v1.GrantSetService/Put", Who::REGISTRAR, Unary),
    row("/chancery.v1.GrantSetService/Remove", Who::REGISTRAR, Unary),
    row("/chancery.v1.HistoryService/List", Who::AUDITOR, Pages),
    row("/chancery.v1.KeyService/List", Who::PRINCIPAL, Unary),
    row("/chancery.v1.KeyService/Revoke", Who::KEEPER, Unary),
    row("/chancery.v1.KeyService/Rotate", Who::KEEPER, Unary),
    row(
        "/chancery.v1.PrincipalService/AddOperator",
        Who::KEEPER,
        Unary,
    ),
    row(
        "/chancery.v1.PrincipalService/AddOwner",
        Who::REGISTRAR,
        Unary,
    ),
    row(
        "/chancery.v1.PrincipalService/AddService",
        Who::REGISTRAR,
        Unary,
    ),
    row(
        "/chancery.v1.PrincipalService/List",
        Who::AUDITOR.or(Who::KEEPER).or(Who::REGISTRAR),
        Pages,
    ),
    // Responders suspend owners, and have to find them.
    row(
        "/chancery.v1.PrincipalService/ListOwners",
        Who::OPERATOR,
        Pages,
    ),
    // An operator by a keeper, a service by a registrar: the service tells.
    row(
        "/chancery.v1.PrincipalService/Remove",
        Who::KEEPER.or(Who::REGISTRAR),
        Unary,
    ),
    row(
        "/chancery.v1.PrincipalService/UpdateOperator",
        Who::KEEPER,
        Unary,
    ),
    row(
        "/chancery.v1.PrincipalService/UpdateService",
        Who::REGISTRAR,
        Unary,
    ),
    row(
        "/chancery.v1.PrincipalService/WhoAmI",
        Who::PRINCIPAL,
        Unary,
    ),
    row(
        "/chancery.v1.RevocationService/AwaitEnforced",
        Who::PRINCIPAL,
        Unary,
    ),
    row(
        "/chancery.v1.RevocationService/Check",
        Who::SERVICE.or(Who::OPERATOR),
        Unary,
    ),
    row(
        "/chancery.v1.RevocationService/CheckStream",
        Who::SERVICE.or(Who::OPERATOR),
        Batches,
    ),
    row(
        "/chancery.v1.RevocationService/ListChanges",
        Who::SERVICE.or(Who::OPERATOR),
        Pages,
    ),
    // An agent its own tokens only, a registrar whole tokens only: the service
    // tells.
    row(
        "/chancery.v1.RevocationService/Revoke",
        Who::AGENT.or(Who::REGISTRAR).or(Who::RESPONDER),
        Unary,
    ),
    row(
        "/chancery.v1.RevocationService/RevokeHeld",
        Who::RESPONDER,
        Unary,
    ),
    row(
        "/chancery.v1.RevocationService/Watch",
        Who::SERVICE.or(Who::OPERATOR),
        Streaming,
    ),
    row("/chancery.v1.SettingsService/Explain", Who::OPERATOR, Unary),
    row("/chancery.v1.SettingsService/Get", Who::OPERATOR, Unary),
    row("/chancery.v1.SettingsService/Set", Who::KEEPER, Unary),
    row("/chancery.v1.TokenService/Mint", Who::AGENT, Unary),
    row(
        "/chancery.v1.TokenService/MintStream",
        Who::AGENT,
        Streaming,
    ),
    row(
        "/chancery.v1.TokenService/Verify",
        Who::SERVICE.or(Who::OPERATOR),
        Unary,
    ),
    row("/grpc.health.v1.Health/Check", Who::ANYONE, Unary),
    row("/grpc.health.v1.Health/Watch", Who::ANYONE, Streaming),
    // Without a certificate there is health and the JWKS, and nothing to explore.
    row(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Who::PRINCIPAL,
        Streaming,
    ),
    row(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Who::PRINCIPAL,
        Streaming,
    ),
    row(REVOCATIONS_PATH, Who::SERVICE.or(Who::OPERATOR), HttpPages),
];

/// The row of a path; `None` when nobody may call it, because nobody decided
/// who may.
#[must_use]
pub fn row_of(path: &str) -> Option<&'static Row> {
    TABLE
        .binary_search_by(|row| row.path.cmp(path))
        .ok()
        .and_then(|at| TABLE.get(at))
}

impl Row {
    /// Whether a request may have this HTTP method.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        match self.shape {
            Shape::Http | Shape::HttpPages => method == Method::GET || method == Method::HEAD,
            Shape::Unary | Shape::Pages | Shape::Streaming | Shape::Batches => {
                method == Method::POST
            }
        }
    }
}
