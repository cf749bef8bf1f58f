//! The marker: which life of which node of which cluster a directory belongs to.

use std::path::Path;

use crate::{ClusterName, Error, Result, durable, sealed::Kind};

/// The marker's file in a data directory.
const FILE: &str = "MARKER";
const KIND: Kind = Kind {
    name: b"MARK",
    version: 1,
};

/// The identity of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The cluster, as drawn at its birth.
    pub cluster: [u8; 16],
    /// The node's number, never given to another.
    pub node: u64,
    /// Which life of the node: raised whenever it is admitted anew.
    pub incarnation: u64,
}

/// How far the directory has come. Nothing is stored before `Member`; a `Member`'s databases must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The databases are being made.
    Creating,
    /// The databases stand, and may hold a vote.
    Member,
}

impl Marker {
    /// Writes the marker durably.
    pub(crate) fn write(&self, directory: &Path, phase: Phase) -> Result<()> {
        durable::replace_file(&directory.join(FILE), &KIND.seal(&self.content(phase)))
    }

    pub(crate) fn content(&self, phase: Phase) -> Vec<u8> {
        let mut content = Vec::with_capacity(33);
        content.push(match phase {
            Phase::Creating => 0,
            Phase::Member => 1,
        });
        content.extend_from_slice(&self.cluster);
        content.extend_from_slice(&self.node.to_be_bytes());
        content.extend_from_slice(&self.incarnation.to_be_bytes());
        content
    }

    /// The marker of a directory, `None` where there is none.
    pub(crate) fn read(directory: &Path) -> Result<Option<(Self, Phase)>> {
        let path = directory.join(FILE);
        let Some(sealed) = durable::read_file(&path)? else {
            return Ok(None);
        };
        let content = KIND.unseal(&path, &sealed)?;
        parse(content).map(Some).ok_or_else(|| Error::Damaged {
            path,
            why: "is not a marker".into(),
        })
    }

    /// Refuses a directory that is not this node's, or has lived on without it.
    pub(crate) fn admit(&self, directory: &Path, found: &Self) -> Result<()> {
        let path = directory.to_owned();
        if found.cluster != self.cluster {
            let (found, expected) = (ClusterName(found.cluster), ClusterName(self.cluster));
            return Err(Error::AnotherCluster {
                path,
                found,
                expected,
            });
        }
        if found.node != self.node {
            return Err(Error::AnotherNode {
                path,
                found: found.node,
                expected: self.node,
            });
        }
        if found.incarnation > self.incarnation {
            let (found, expected) = (found.incarnation, self.incarnation);
            return Err(Error::LaterIncarnation {
                path,
                found,
                expected,
            });
        }
        Ok(())
    }
}

pub(crate) fn parse(content: &[u8]) -> Option<(Marker, Phase)> {
    let (phase, rest) = content.split_first()?;
    let (cluster, rest) = rest.split_first_chunk::<16>()?;
    let (node, rest) = rest.split_first_chunk::<8>()?;
    let incarnation: [u8; 8] = rest.try_into().ok()?;
    let phase = match phase {
        0 => Phase::Creating,
        1 => Phase::Member,
        _ => return None,
    };
    let marker = Marker {
        cluster: *cluster,
        node: u64::from_be_bytes(*node),
        incarnation: u64::from_be_bytes(incarnation),
    };
    Some((marker, phase))
}
