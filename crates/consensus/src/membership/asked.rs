//! What a node asks of the leader, and what it is answered.

use chancery_credential::NodeNumber;
use chancery_wire::peer as pb;

use super::{ChangeError, Departure, MembershipChange, Progress};

/// What is asked of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) change: MembershipChange,
    /// Only whether it can be.
    pub(crate) look_only: bool,
}

impl Asked {
    /// What a peer asks; `None` when this build does not know it.
    pub(crate) fn read(request: &pb::ChangeMembershipRequest) -> Option<Self> {
        Some(Self {
            change: read(request.change.as_ref()?)?,
            look_only: request.look_only,
        })
    }

    /// As node `from` asks a peer.
    pub(crate) fn request(self, from: NodeNumber) -> pb::ChangeMembershipRequest {
        pb::ChangeMembershipRequest {
            from: from.0,
            change: Some(encode(self.change)),
            look_only: self.look_only,
        }
    }
}

/// What a peer is answered.
pub(crate) fn answered(
    outcome: Result<Progress, ChangeError>,
) -> pb::change_membership_response::Outcome {
    use pb::change_membership_response::Outcome;
    match outcome {
        Ok(Progress::Done) => Outcome::Done(true),
        Ok(Progress::Possible(node)) => Outcome::Possible(node.0),
        Ok(Progress::Waits(wait)) => {
            Outcome::WaitMs(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
        }
        Err(ChangeError::NotLeader(leader)) => Outcome::NotLeader(pb::NotLeader {
            leader: leader.map_or(0, |number| number.0),
        }),
        Err(ChangeError::Refused(why)) => Outcome::Refused(why),
        Err(ChangeError::NotYet(why)) => Outcome::NotYet(why),
        Err(ChangeError::Unknown(why)) => Outcome::Unknown(why),
    }
}

/// As a peer is asked.
fn encode(change: MembershipChange) -> pb::change_membership_request::Change {
    use pb::change_membership_request::{Change, Departure as Wire, Removal};
    match change {
        MembershipChange::Enrol(node) => Change::AddLearner(node.0),
        MembershipChange::Promote(node) => Change::Promote(node.0),
        MembershipChange::Demote(node) => Change::Demote(node.0),
        MembershipChange::Transfer(node) => Change::Transfer(node.map_or(0, |node| node.0)),
        MembershipChange::Remove(node, how) => {
            let how = match how {
                Departure::Graceful => Wire::Graceful,
                Departure::Lost => Wire::Lost,
                Departure::Compromised => Wire::Compromised,
            };
            Change::Remove(Removal {
                number: node.0,
                how: how.into(),
            })
        }
    }
}

/// What a peer asks; `None` when this build does not know it.
fn read(change: &pb::change_membership_request::Change) -> Option<MembershipChange> {
    use pb::change_membership_request::{Change, Departure as Wire};
    Some(match change {
        Change::AddLearner(node) => MembershipChange::Enrol(NodeNumber(*node)),
        Change::Promote(node) => MembershipChange::Promote(NodeNumber(*node)),
        Change::Demote(node) => MembershipChange::Demote(NodeNumber(*node)),
        Change::Transfer(node) => {
            MembershipChange::Transfer((*node != 0).then_some(NodeNumber(*node)))
        }
        Change::Remove(removal) => {
            let how = match removal.how() {
                Wire::Graceful => Departure::Graceful,
                Wire::Lost => Departure::Lost,
                Wire::Compromised => Departure::Compromised,
                Wire::Unspecified => return None,
            };
            MembershipChange::Remove(NodeNumber(removal.number), how)
        }
    })
}
