//! What a command did: what each consumer has to publish, and the answer.

use chancery_credential::{
    EpochNumber, GrantSetName, IssuerNumber, KeyThumbprint, NodeNumber, OwnerName, PrincipalName,
    Revision, SpiffeId,
};
use chancery_revocation::Change;

/// One consequence of a command, in the order in which they have to be published.
/// The changed records are read from the [`State`](crate::State).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What is in force changed.
    View(Change),
    /// An agent was registered, changed, suspended, resumed or removed.
    AgentChanged(SpiffeId),
    /// An owner was added, suspended or resumed.
    OwnerChanged(OwnerName),
    /// A grant set was put, suspended or resumed.
    GrantSetChanged(GrantSetName),
    /// An operator was added or removed.
    OperatorChanged(PrincipalName),
    /// A service was added or removed.
    ServiceChanged(PrincipalName),
    /// A key has another holder, or none.
    KeyChanged(KeyThumbprint),
    /// A node was admitted, barred, retired, readmitted or removed.
    NodeChanged(NodeNumber),
    /// The settings are others.
    SettingsChanged,
    /// An epoch was opened, and processes have to follow.
    EpochOpened {
        /// Which.
        epoch: EpochNumber,
        /// At once, without the rotation lead.
        emergency: bool,
    },
    /// Minting is refused everywhere, or allowed again.
    EverythingSuspended(bool),
    /// Somebody may no longer do what they could: streams have to look again.
    StandingLost,
    /// The outcome for who asked. Always there, always last.
    Answer {
        /// The revision that holds the change: that of the first time, when the
        /// request is a retry.
        revision: Revision,
        /// What it says.
        answer: Answer,
    },
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; nothing to say.
    Nothing,
    /// The agent as registered.
    Agent(SpiffeId),
    /// The number of the node admitted.
    Node(NodeNumber),
    /// The number of the issuer opened.
    Issuer(IssuerNumber),
    /// The number of the epoch opened.
    Epoch(EpochNumber),
    /// The issuers revoked or retired.
    Issuers(Vec<IssuerNumber>),
    /// Of an update: whether what was held is dead.
    HeldKilled(bool),
    /// Of a revocation of what was held, and of a resumption: whether the subject
    /// can mint anew at once, or something else that covers it is suspended. (What
    /// was held is dead either way.)
    MayMintAnew(bool),
    /// How many registrations had ended and were dropped.
    Expired(u32),
}
