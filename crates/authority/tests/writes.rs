//! However large the state, a command changes a bounded number of its rows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{MAX_NODE_ISSUERS, MAX_NODES, Row, SWEPT_ROWS, State};
use proptest::prelude::*;
use support::World;
use support::histories::{config, furniture, history};

/// Besides issuers and what is swept out: the clock, the request, what the command is
/// about, and what the lineage counts.
const OTHER_ROWS: usize = 8;

/// Rows of the state that a command may change together with its own: issuers, of
/// which there are never more than so many.
const MOST_ISSUERS: usize = MAX_NODES * MAX_NODE_ISSUERS;

/// How many issuers were changed, how many other rows, and how many were dropped.
fn changed(state: &mut State) -> (usize, usize, usize) {
    let changed = state.take_changed_rows();
    let rows: Vec<Row> = changed.iter().filter_map(|key| state.row(key)).collect();
    let issuers = rows.iter().filter(|row| matches!(row, Row::Issuer(_)));
    let issuers = issuers.count();
    (issuers, rows.len() - issuers, changed.len() - rows.len())
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn a_command_changes_few_rows_whatever_there_is(steps in history(60)) {
        let mut world = World::born();
        for step in furniture().iter().chain(&steps) {
            let stamped = step.resolve(&mut world);
            let command = stamped.command.clone();
            let _ = world.apply(stamped);
            let (issuers, others, dropped) = changed(&mut world.state);
            prop_assert!(issuers <= MOST_ISSUERS);
            prop_assert!(others <= OTHER_ROWS, "{others} rows by {:?}", command);
            prop_assert!(dropped <= SWEPT_ROWS + OTHER_ROWS, "{dropped} rows dropped");
        }
    }
}
