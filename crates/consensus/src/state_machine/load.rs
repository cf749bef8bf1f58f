//! Reading a state from its rows: at start, and from a snapshot before it takes the
//! place of the state that is in force.

use std::io;

use chancery_authority::{State, Table};
use chancery_credential::{Lineage, Revision};
use chancery_storage::{Applied, Rows};

use crate::{
    codec::{AppliedRecord, Undecodable, decode_applied, decode_row},
    history,
    published::Position,
};

/// A state, and how far it has come.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) position: Position,
}

/// Rows that are no state of this cluster that this build can serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// Passing it over would be to forget what stands in it.
    #[error(
        "there are rows of table {0}, which this build does not know: upgrade this node to the \
         build that the rest of the cluster runs"
    )]
    UnknownTable(u8),
    /// Written when it was found out, so that no restart serves it.
    #[error(
        "at revision {0} this node's state was not that of most voters: something on this machine \
         is broken, so remove this node, look into the machine, and admit another in its place"
    )]
    Differs(Revision),
    #[error("the state does not hold together: {0}")]
    Incoherent(String),
    #[error(
        "this node was admitted to lineage {own}, and the state is of lineage {found}: use the \
         directory and the admission that belong together"
    )]
    OtherLineage { own: Lineage, found: Lineage },
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Disk(error) => error,
            unfit => Self::new(io::ErrorKind::InvalidData, unfit),
        }
    }
}

/// Reads all rows, and sees that they are what the record beside them says.
pub(crate) fn load(
    rows: Rows,
    applied: Option<Applied>,
    lineage: Lineage,
) -> Result<Loaded, Unfit> {
    let mut state = State::default();
    for row in rows {
        let row = row.map_err(io::Error::from)?;
        // The last table, and no part of the state.
        if row.table == history::TABLE {
            break;
        }
        if !Table::ALL.iter().any(|table| *table as u8 == row.table) {
            return Err(Unfit::UnknownTable(row.table));
        }
        state.load_row(decode_row(row.value)?);
    }
    let record = applied
        .map(|applied| decode_applied(applied.meta))
        .transpose()?;
    if let Some(at) = record.as_ref().and_then(|record| record.differs_at) {
        return Err(Unfit::Differs(at));
    }
    check(&state, record.as_ref(), lineage)?;
    let position = record.map_or_else(Position::default, |record| Position {
        last: record.last,
        membership: record.membership,
        term_began: record.last,
    });
    Ok(Loaded { state, position })
}

fn check(state: &State, record: Option<&AppliedRecord>, lineage: Lineage) -> Result<(), Unfit> {
    let incoherent = |why: String| Err(Unfit::Incoherent(why));
    if let Err(broken) = state.validate() {
        return incoherent(broken.to_string());
    }
    let rows = state.revision().0;
    let recorded = record
        .and_then(|record| record.last)
        .map_or(0, |last| last.index);
    if rows != recorded {
        return incoherent(format!("rows of revision {rows}, a record of {recorded}"));
    }
    if record.is_some_and(|record| record.digest != state.digest()) {
        return incoherent("rows are missing, or are not those that were written".into());
    }
    check_lineage(state, lineage)
}

/// A log that was begun under another lineage than this node was admitted to is not
/// its log.
pub(super) fn check_lineage(state: &State, own: Lineage) -> Result<(), Unfit> {
    match state.lineage() {
        Some(found) if found != own => Err(Unfit::OtherLineage { own, found }),
        _ => Ok(()),
    }
}
