//! Reading the state back from its rows, at start and after a snapshot.

use std::io;

use chancery_authority::{State, Table};
use chancery_credential::Lineage;
use chancery_storage::StateStore;

use crate::{
    codec::{decode_applied, decode_row},
    published::Position,
};

/// The state on disk and how far it has come.
///
/// # Errors
/// Rows that this build cannot read or that do not hold together, another lineage,
/// a failing disk.
pub(crate) fn load(store: &StateStore, lineage: Lineage) -> io::Result<(State, Position)> {
    let mut state = State::default();
    for table in Table::ALL {
        for row in store.scan(table as u8) {
            state.load_row(decode_row(row?.value)?);
        }
    }
    let position = match store.applied() {
        None => Position::default(),
        Some(applied) => {
            let (last, membership) = decode_applied(applied.meta)?;
            Position { last, membership }
        }
    };
    check(&state, &position, lineage)?;
    Ok((state, position))
}

fn check(state: &State, position: &Position, lineage: Lineage) -> io::Result<()> {
    state.validate().map_err(|broken| damaged(&broken))?;
    let (rows, record) = (
        state.revision().0,
        position.last.map_or(0, |last| last.index),
    );
    if rows != record {
        return Err(damaged(&format_args!(
            "rows of revision {rows}, a record of {record}"
        )));
    }
    match state.lineage() {
        Some(born) if born != lineage => Err(other_lineage(lineage, born)),
        _ => Ok(()),
    }
}

pub(super) fn damaged(what: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "the state does not hold together ({what}): the disk is damaged; remove this node \
             and admit it anew"
        ),
    )
}

pub(super) fn other_lineage(own: Lineage, found: Lineage) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "this node was admitted to lineage {own}, and the state is of lineage {found}: use \
             the admission file and the data directory of one cluster"
        ),
    )
}
