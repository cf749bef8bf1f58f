//! The beginning of a cluster: one node, alone, becomes the first voter, and the
//! lineage is the first command of its log.

use std::{collections::BTreeMap, time::Duration};

use chancery_authority::{Actor, Birth, Command, RequestId};
use chancery_credential::{NodeNumber, Revision};
use openraft::errors::{InitializeError, RaftError};

use crate::{
    consensus::Consensus,
    error::BirthError,
    outcome::{Outcome, Proposal},
    peer_record::PeerRecord,
};

/// The number that birth hands out.
const FIRST: NodeNumber = NodeNumber(1);

impl Consensus {
    /// Begins the cluster on this node, which must be node 1 with an empty log.
    /// After an interruption it can be asked for again.
    ///
    /// # Errors
    /// [`BirthError`].
    pub async fn birth(
        &self,
        birth: Birth,
        request: RequestId,
        within: Duration,
    ) -> Result<Outcome, BirthError> {
        let not_here = |why: String| Err(BirthError::NotHere(why));
        if self.node() != FIRST {
            return not_here(format!("it is node {}, and node 1 begins", self.node()));
        }
        if birth.lineage != self.view().lineage() {
            return not_here(format!(
                "its directory is of lineage {}, and the birth of {}",
                self.view().lineage(),
                birth.lineage
            ));
        }
        if birth.node.peer_key.spki() != self.peer_public_key() {
            return not_here("the birth names another peer key than this node has".into());
        }
        self.initialize(&birth).await?;
        let proposal = Proposal {
            command: Command::Birth(birth),
            actor: Actor::Birth,
            key: None,
            authorised_at: Revision(0),
            reason: "birth".into(),
            request,
            retried: false,
            awaited: false,
        };
        Ok(self.propose(proposal, within).await?)
    }

    async fn initialize(&self, birth: &Birth) -> Result<(), BirthError> {
        let record = PeerRecord {
            name: birth.node.name.clone(),
            peer_address: birth.node.peer_address.clone(),
            api_address: birth.node.api_address.clone(),
            peer_public_key: birth.node.peer_key.spki().to_vec(),
        };
        match self
            .raft()
            .initialize(BTreeMap::from([(FIRST.0, record)]))
            .await
        {
            Ok(()) => Ok(()),
            // It was, and the command was not reached; or this is no empty log, and
            // the command says so.
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(BirthError::NotHere(error.to_string())),
        }
    }
}
