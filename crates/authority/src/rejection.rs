//! A committed refusal: the command stands in the log, and this is its outcome.

use std::fmt;

/// Why a command was refused, and about what. It is recorded with the request,
/// so it is made of a code and the offending value; the words are put together
/// when it is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Rejection {
    reason: Reason,
    about: Box<str>,
}

impl Rejection {
    /// A refusal about `about`: an id, a name, a number, some arithmetic.
    #[must_use]
    pub fn new(reason: Reason, about: impl fmt::Display) -> Self {
        Self {
            reason,
            about: about.to_string().into_boxed_str(),
        }
    }

    /// Which refusal.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The offending value.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// UPPER_SNAKE, stable: for programs, the wire and the disk.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// What sort of refusal: it decides the gRPC status.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.reason.kind()
    }

    /// What is wrong.
    #[must_use]
    pub fn fault(&self) -> String {
        self.reason.fault().replace("{}", &self.about)
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        self.reason.remedy()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault(), self.remedy())
    }
}

/// What sort of refusal a [`Reason`] is, by the names of google.rpc.Code.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What the command speaks of is not there.
    NotFound,
    /// It is there already, or taken.
    AlreadyExists,
    /// The actor may not.
    PermissionDenied,
    /// Not in the present state; another command has to come first.
    FailedPrecondition,
    /// Never, whatever the state.
    InvalidArgument,
    /// A bound of the cluster is reached; later perhaps.
    ResourceExhausted,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $code:literal $kind:ident $fault:literal $remedy:literal)*) => {
        /// Why a command was refused: of each, what is wrong and what to do.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* #[doc = concat!("`", $code, "`: ", $fault, ": ", $remedy)] $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// UPPER_SNAKE, stable.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What sort of refusal.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// `{}` stands for what it is about.
            const fn fault(self) -> &'static str {
                match self { $(Self::$name => $fault,)* }
            }

            /// The same whatever it is about.
            const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }

            /// Reads [`code`](Self::code).
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    NotBorn "NOT_BORN" FailedPrecondition
        "the cluster has not been born"
        "found it first, with `chancery init` and `chancery join` on its first node"
    AlreadyBorn "ALREADY_BORN" FailedPrecondition
        "the cluster was born as lineage {}, and a log has one birth"
        "use it as it is, or begin another cluster in empty directories"
    RevisionNotNew "REVISION_NOT_NEW" FailedPrecondition
        "revision {} was applied before, and entries are applied once and in order"
        "take this node out and let it join again from its peers"

    RequestTooOld "REQUEST_TOO_OLD" FailedPrecondition
        "the request id is {} ms behind the oldest that is remembered, so it cannot be told whether it was done"
        "look at the state, then send a new request"
    RequestAhead "REQUEST_AHEAD" InvalidArgument
        "the request id is {} ms ahead of log time"
        "set the client's clock"
    RequestReused "REQUEST_REUSED" InvalidArgument
        "the request id {} named another command before"
        "draw a new id for a new command"
    RequestsFull "REQUESTS_FULL" ResourceExhausted
        "the cluster remembers {} requests and no more"
        "send it again in a minute"
    ReasonTooLong "REASON_TOO_LONG" InvalidArgument
        "the reason has {} bytes"
        "use at most 512"

    ActorUnknown "ACTOR_UNKNOWN" PermissionDenied
        "{} is not registered (any more)"
        "ask a keeper to add an operator, with `chancery operator add`, or a registrar to add an agent or a service"
    ActorKeyNotTheirs "ACTOR_KEY_NOT_THEIRS" PermissionDenied
        "the key that was proved does not belong to {} (any more)"
        "use a registered key"
    ActorExpired "ACTOR_EXPIRED" PermissionDenied
        "the registration of {} has ended"
        "ask a keeper (operators) or a registrar (agents) for a new one"
    ActorSuspended "ACTOR_SUSPENDED" PermissionDenied
        "{} is suspended"
        "ask a responder to resume it"
    RoleMissing "ROLE_MISSING" PermissionDenied
        "{} does not have a role that may do this"
        "ask an operator who has"
    NotYourToken "NOT_YOUR_TOKEN" PermissionDenied
        "the token is not {}'s, and an agent revokes its own tokens only"
        "ask a registrar or a responder"
    NotYourNode "NOT_YOUR_NODE" PermissionDenied
        "node {} may act for itself only"
        "let each node send its own commands"
    ViaUnknown "VIA_UNKNOWN" PermissionDenied
        "node {} is not admitted (any more), so it can forward nothing"
        "admit it first"
    ViaBarred "VIA_BARRED" PermissionDenied
        "node {} was revoked and may be in other hands, so nobody is heard through it"
        "send the same request through another node"
    AuthorisedAhead "AUTHORISED_AHEAD" InvalidArgument
        "the command claims to be authorised at revision {}, which is not before its own"
        "send it again, through another node"

    AgentExists "AGENT_EXISTS" AlreadyExists
        "agent {} is registered"
        "change it with `chancery agent update`, or choose another id"
    AgentChanged "AGENT_CHANGED" FailedPrecondition
        "agent {} was changed since it was read"
        "read it again, and change what it is now"
    AskedBefore "ASKED_BEFORE" FailedPrecondition
        "{} was changed by a request that was made after this one"
        "look at what stands now, and ask again; if nothing came between, a clock is wrong, yours behind or theirs ahead, by at most half a minute"
    AgentUnknown "AGENT_UNKNOWN" NotFound
        "agent {} is not registered"
        "check the id, `chancery agent list` shows those that are registered"
    OutsideTrustDomain "OUTSIDE_TRUST_DOMAIN" InvalidArgument
        "agent {} is not in the cluster's trust domain"
        "use an id that is"
    OwnersCount "OWNERS_COUNT" InvalidArgument
        "an agent has 1 to 8 owners, not {}"
        "name 1 to 8"
    KeysCount "KEYS_COUNT" InvalidArgument
        "a principal has 1 to 8 keys, not {}"
        "register 1 to 8"
    GrantsCount "GRANTS_COUNT" InvalidArgument
        "at most 64 grants, not {}"
        "use grant sets"
    GrantSetsCount "GRANT_SETS_COUNT" InvalidArgument
        "an agent has at most 8 grant sets, not {}"
        "put what it needs into fewer sets"
    GrantsTooLarge "GRANTS_TOO_LARGE" InvalidArgument
        "the grants' patterns have {} bytes together"
        "use at most 16384, or grant sets"
    ScopesCount "SCOPES_COUNT" InvalidArgument
        "a grant has at most 64 scope patterns, not {}"
        "use a pattern that covers several"
    DescriptionTooLong "DESCRIPTION_TOO_LONG" InvalidArgument
        "the description has {} bytes"
        "use at most 256"
    ExpiryPast "EXPIRY_PAST" InvalidArgument
        "the registration would end at {}, which is past"
        "choose a later time, or suspend or remove it instead"
    KeyNotTheirs "KEY_NOT_THEIRS" FailedPrecondition
        "key {} is not one of those that are to lose it"
        "look which keys there are, with `chancery operator list` or `chancery service list`"
    KeyInUse "KEY_IN_USE" AlreadyExists
        "key {} belongs to another principal or node"
        "use a key of its own"
    OwnerExists "OWNER_EXISTS" AlreadyExists
        "owner {} is there already"
        "use it, or choose another name"
    OwnerUnknown "OWNER_UNKNOWN" NotFound
        "owner {} is not known"
        "check the name, `chancery owner list` shows them and `chancery owner add` adds one"
    GrantSetUnknown "GRANT_SET_UNKNOWN" NotFound
        "grant set {} is not known"
        "check the name, `chancery grant-set list` shows them and `chancery grant-set put` makes one"
    GrantSetInUse "GRANT_SET_IN_USE" FailedPrecondition
        "registrations refer to grant set {}"
        "find them with `chancery agent list --grant-set NAME`, and update them to do without it"

    OperatorExists "OPERATOR_EXISTS" AlreadyExists
        "operator {} is there already"
        "remove it first, or choose another name"
    OperatorUnknown "OPERATOR_UNKNOWN" NotFound
        "operator {} is not known"
        "check the name, `chancery operator list` shows them"
    RolesEmpty "ROLES_EMPTY" InvalidArgument
        "operator {} would have no role"
        "give it at least one"
    LastKeeper "LAST_KEEPER" FailedPrecondition
        "without {} no keeper would be left that does not expire"
        "add another keeper first, with `chancery operator add NAME --role keeper`"
    ServiceExists "SERVICE_EXISTS" AlreadyExists
        "service {} is there already"
        "remove it first, or choose another name"
    ServiceUnknown "SERVICE_UNKNOWN" NotFound
        "service {} is not known"
        "check the name, `chancery service list` shows them"
    AudiencesCount "AUDIENCES_COUNT" InvalidArgument
        "a service has 1 to 64 audiences, not {}"
        "name 1 to 64"
    OperatorsFull "OPERATORS_FULL" ResourceExhausted
        "there are {} operators, and no more can be added"
        "remove one first"
    OperatorsCount "OPERATORS_COUNT" InvalidArgument
        "a cluster begins with 1 to 16 operators, not {}"
        "name 1 to 16, and add the others later"

    IssuerUnknown "ISSUER_UNKNOWN" NotFound
        "issuer {} was never opened or has expired, so nothing that it signed is accepted"
        "check the number, `chancery epoch show` lists those that have not expired; of another nothing is left to do"
    IssuerStillOpen "ISSUER_STILL_OPEN" FailedPrecondition
        "issuer {} is open, and only a retired or revoked one expires"
        "retire it first"
    IssuerInForce "ISSUER_IN_FORCE" PermissionDenied
        "issuer {} belongs to another node, and its epoch is not superseded"
        "let its own node retire it, or open another epoch first"
    EpochUnknown "EPOCH_UNKNOWN" NotFound
        "epoch {} was never opened"
        "check the number, `chancery epoch show` lists the issuers with their epochs"
    EpochNotNewest "EPOCH_NOT_NEWEST" FailedPrecondition
        "epoch {} is not the newest"
        "open an issuer of the newest one"
    EpochNotDue "EPOCH_NOT_DUE" FailedPrecondition
        "epoch {} has not run its time"
        "wait, or let an operator open the next one earlier"
    EpochsFull "EPOCHS_FULL" ResourceExhausted
        "issuers of {} epochs have not expired"
        "wait for the older ones before another rotation"
    FormerNotNewest "FORMER_NOT_NEWEST" FailedPrecondition
        "the node's newest issuer is {}, so a request that follows another one comes too late"
        "ask again, after that one"
    IssuerKeysCount "ISSUER_KEYS_COUNT" InvalidArgument
        "an issuer has exactly one Ed25519 key with one proof, not {}"
        "send one of each"
    IssuerKeyInUse "ISSUER_KEY_IN_USE" AlreadyExists
        "key {} is another issuer's"
        "draw a new one for each issuer"
    PeerProofWrong "PEER_PROOF_WRONG" PermissionDenied
        "the request is not signed by the peer key of node {}"
        "sign it with the key that the node was admitted with"
    KeyProofWrong "KEY_PROOF_WRONG" PermissionDenied
        "the request is not signed by the new key {}"
        "sign it with that key too"
    IssuersFull "ISSUERS_FULL" ResourceExhausted
        "node {} has 32 unexpired issuers"
        "wait until the older ones expire"
    NumbersExhausted "NUMBERS_EXHAUSTED" ResourceExhausted
        "no {} number is left in this lineage"
        "restore into a new one"
    NodeUnknown "NODE_UNKNOWN" NotFound
        "node {} is not admitted"
        "check the number, `chancery node list` shows them"
    NodeExists "NODE_EXISTS" AlreadyExists
        "a node named {} is there already"
        "choose another name"
    NodeNameInvalid "NODE_NAME_INVALID" InvalidArgument
        "{} is no name of a node"
        "use 1 to 128 of A-Z a-z 0-9 . _ @ -"
    NodesFull "NODES_FULL" ResourceExhausted
        "there are {} nodes, and no more can be admitted"
        "remove one for good first, with `chancery node remove`"
    NodeBarred "NODE_BARRED" FailedPrecondition
        "node {} is barred"
        "let a keeper readmit it with new keys, with `chancery node readmit`"
    NodeStands "NODE_STANDS" FailedPrecondition
        "node {} is neither barred nor being removed"
        "check the number, `chancery node list` shows which are"
    PeerKeyUnchanged "PEER_KEY_UNCHANGED" FailedPrecondition
        "node {} has this peer key already, so what it signed before would count again"
        "make new keys with `chancery node request` in a directory of their own, and readmit it with those"
    NodeRetiring "NODE_RETIRING" FailedPrecondition
        "node {} is being removed, so it opens no issuer"
        "readmit it with `chancery node readmit` if it is to stay"
    NodeRemoved "NODE_REMOVED" FailedPrecondition
        "node {} was removed for good, and its number is never given again"
        "make a new node of its machine with `chancery node request`, in an empty directory and under a new name"
    NodeLeaving "NODE_LEAVING" FailedPrecondition
        "node {} is being removed or was revoked, so it takes no part in elections"
        "readmit it with new keys (`chancery node readmit`) if it is to stay, or choose another node"
    NodeNotLeaving "NODE_NOT_LEAVING" FailedPrecondition
        "node {} was neither retired nor revoked, so its removal has not begun"
        "begin it with `chancery node remove`"
    NodeReadmitted "NODE_READMITTED" FailedPrecondition
        "node {} came back with another key since its removal began"
        "look at it with `chancery node list`, and remove it again if that is still wanted"
    CheckOnlyVoter "CHECK_ONLY_VOTER" FailedPrecondition
        "node {} only checks, and such a node is always a learner"
        "promote another node, or admit this machine anew without check-only"
    NodeCheckOnly "NODE_CHECK_ONLY" FailedPrecondition
        "node {} only checks, so it opens no issuer"
        "mint on another node"
    AddressInvalid "ADDRESS_INVALID" InvalidArgument
        "{} is no address"
        "use host:port, at most 256 visible characters"

    RevokedTokensFull "REVOKED_TOKENS_FULL" ResourceExhausted
        "issuer {} has as many revoked tokens as are kept"
        "revoke the issuer, or what the agent holds"
    FloorNotRaised "FLOOR_NOT_RAISED" FailedPrecondition
        "the floor is {} already, and it only rises"
        "choose a later revision"
    FloorNotAChange "FLOOR_NOT_A_CHANGE" FailedPrecondition
        "revision {} is not known to have changed what is in force, so a floor there would kill tokens in force"
        "choose a revision that did"
    SettingsUnsound "SETTINGS_UNSOUND" InvalidArgument
        "the settings do not hold together ({})"
        "see with `chancery settings explain` and the same options which rules hold, and change them so that all do"
    ComparedAhead "COMPARED_AHEAD" InvalidArgument
        "revision {} is not past, so nobody has had a state there"
        "compare an earlier one"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_stable_names() {
        let mut seen = BTreeSet::new();
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert!(seen.insert(reason.code()), "{reason:?}");
            let upper = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            assert!(reason.code().bytes().all(upper), "{reason:?}");
        }
        assert_eq!(Reason::from_code("WHATEVER"), None);
    }

    #[test]
    fn every_reason_says_what_is_wrong_and_what_to_do() {
        for reason in Reason::ALL {
            let rejection = Rejection::new(*reason, "this");
            for text in [&*rejection.fault(), rejection.remedy()] {
                assert!(text.len() > 5 && !text.contains("{}"), "{reason:?}: {text}");
                // Both are parts of one sentence.
                assert!(
                    !text.contains(": ") && !text.ends_with('.'),
                    "{reason:?}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_rejection_says_what_it_is_about() {
        let rejection = Rejection::new(Reason::OwnerUnknown, "treasury");
        assert_eq!(
            rejection.to_string(),
            "owner treasury is not known: check the name, `chancery owner list` shows them and \
             `chancery owner add` adds one"
        );
        assert_eq!(rejection.code(), "OWNER_UNKNOWN");
        assert_eq!(rejection.kind(), Kind::NotFound);
    }
}
