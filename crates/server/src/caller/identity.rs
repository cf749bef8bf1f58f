//! What a service learns of its caller.

use std::fmt;
use std::sync::Arc;

use chancery_authority::{Actor, Role, Roles};
use chancery_credential::{
    CertificateThumbprint, KeyThumbprint, PrincipalName, Revision, SpiffeId,
};
use chancery_revocation::BootTime;
use tonic::{Code, Status};

use super::refusal::refuse;
use super::standing::Standing;

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// No certificate, or a key that is nobody's: health and the JWKS.
    Anyone,
    /// A person or a tool of theirs.
    Operator {
        /// Unique among operators.
        name: PrincipalName,
        /// What it may do.
        roles: Roles,
    },
    /// A resource server, which verifies and checks.
    Service {
        /// Unique among services.
        name: PrincipalName,
    },
    /// An agent, which mints.
    Agent {
        /// Its SPIFFE ID.
        id: SpiffeId,
    },
}

impl Identity {
    /// Whether it is the same principal, whatever its roles became.
    #[must_use]
    pub fn is_same_principal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anyone, Self::Anyone) => true,
            (Self::Operator { name, .. }, Self::Operator { name: other, .. })
            | (Self::Service { name }, Self::Service { name: other }) => name == other,
            (Self::Agent { id }, Self::Agent { id: other }) => id == other,
            _ => false,
        }
    }

    /// Whether it is an operator with this role.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        matches!(self, Self::Operator { roles, .. } if roles.contains(role))
    }

    /// Its roles; none unless it is an operator.
    #[must_use]
    pub fn roles(&self) -> Roles {
        match self {
            Self::Operator { roles, .. } => *roles,
            _ => Roles::NONE,
        }
    }

    /// The agent's id, if it is one.
    #[must_use]
    pub fn agent(&self) -> Option<&SpiffeId> {
        match self {
            Self::Agent { id } => Some(id),
            _ => None,
        }
    }
}

/// `agent:spiffe://…`, `operator:<name>`, `service:<name>` or `anyone`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Operator { name, .. } => write!(f, "operator:{name}"),
            Self::Service { name } => write!(f, "service:{name}"),
            Self::Agent { id } => write!(f, "agent:{id}"),
        }
    }
}

/// Who sent a request: the layer puts one into the extensions of every request
/// that it lets through.
#[derive(Clone)]
pub struct Caller {
    /// Who, by the registry.
    pub identity: Identity,
    /// The key that the handshake proved, known or not; `None` without a
    /// certificate.
    pub key: Option<KeyThumbprint>,
    /// The certificate that carried it: what `cnf` of a token is.
    pub certificate: Option<CertificateThumbprint>,
    /// The revision of the registry that it was judged by, or an earlier one.
    pub authorised_at: Revision,
    /// Of this request; it stands in the answer and in the log.
    pub request_id: Arc<str>,
    /// Whether the request says that it was sent before.
    pub retried: bool,
    /// Until when the answer to a single request is waited for.
    pub answer_by: BootTime,
    pub(super) standing: Arc<Standing>,
}

impl Caller {
    /// The caller of `request`.
    ///
    /// # Errors
    ///
    /// `INTERNAL` when the service does not sit behind the layer: then nobody
    /// was judged, and nothing may be done.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self, Status> {
        request.extensions().get().ok_or_else(|| {
            refuse(
                Code::Internal,
                "CALLER_NOT_JUDGED",
                "this node does not know who is calling: its service is not behind the caller layer",
                "report this as a defect of chancery; ask another node",
            )
        })
    }

    /// Judges the caller again. A stream's bodies are judged frame by frame;
    /// a service that acts on each of several messages of one frame asks this
    /// before each of them. Costs one comparison when nothing has changed.
    ///
    /// # Errors
    ///
    /// The refusal, when the caller has lost its standing.
    pub fn still_stands(&self) -> Result<(), Status> {
        self.standing.check().map_err(Status::from)
    }

    /// Whether another message of a stream is heard: not when too many of the
    /// caller's were refused just now.
    ///
    /// # Errors
    ///
    /// `TOO_MANY_REJECTIONS`, for this message.
    pub fn hear(&self) -> Result<(), Status> {
        self.standing.hear().map_err(Status::from)
    }

    /// Counts the refusal of one message of a stream. Those of whole requests are
    /// counted by the layer.
    pub fn count_refusal(&self, refusal: &Status) {
        self.standing.count(refusal.code());
    }

    /// Who the record of a command names.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` for anyone: no method that commands lets anyone in.
    pub fn actor(&self) -> Result<Actor, Status> {
        match &self.identity {
            Identity::Operator { name, .. } => Ok(Actor::Operator(name.clone())),
            Identity::Service { name } => Ok(Actor::Service(name.clone())),
            Identity::Agent { id } => Ok(Actor::Agent(id.clone())),
            Identity::Anyone => Err(refuse(
                Code::Unauthenticated,
                "NO_CERTIFICATE",
                "a command needs a registered key, and none was proved",
                "call with the certificate and key of an operator or agent",
            )),
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("identity", &self.identity)
            .field("key", &self.key)
            .field("authorised_at", &self.authorised_at)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
