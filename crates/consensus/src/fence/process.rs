//! Which process of a node it is, and which came later.

use std::fmt;

use chancery_wire::peer as pb;

/// One process of one node. Of two the later one is the greater: a directory is opened
/// by one process at a time, and counts how often it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// Of the directory: raised each time that the node begins with an empty one.
    pub(crate) incarnation: u64,
    /// Which opening of the directory.
    pub(crate) start: u64,
    /// Drawn when the process started.
    pub(crate) random: u64,
}

impl Process {
    /// Both say that they are the same start of the same directory, and only one can
    /// be: a directory was copied.
    pub(crate) const fn is_copy_of(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation
            && self.start == other.start
            && self.random != other.random
    }

    pub(crate) const fn wire(&self) -> pb::Process {
        pb::Process {
            incarnation: self.incarnation,
            start: self.start,
            random: self.random,
        }
    }
}

impl From<pb::Process> for Process {
    fn from(wire: pb::Process) -> Self {
        Self {
            incarnation: wire.incarnation,
            start: wire.start,
            random: wire.random,
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {} of directory {}", self.start, self.incarnation)
    }
}
