//! The first command of a lineage.

use std::collections::BTreeSet;
use std::sync::Arc;

use chancery_credential::{EpochNumber, Revision};

use super::settings::check_settings;
use super::{Subjected, Transition};
use crate::bounds::MAX_FIRST_OPERATORS;
use crate::command::Birth;
use crate::event::{Answer, Event};
use crate::record::{EpochRecord, MetaRecord};
use crate::rejection::{Reason, Rejection};
use crate::role::Role;
use crate::row::Row;
use crate::settings::{FormerSpans, Settings};
use crate::stamped::Actor;

impl Transition<'_> {
    /// Only in the state before birth, which `apply` has seen to.
    pub(super) fn birth(&mut self, birth: &Birth) -> Result<Answer, Rejection> {
        if *self.actor != Actor::Birth {
            return Err(Rejection::new(Reason::RoleMissing, self.actor));
        }
        check_settings(&birth.settings)?;
        self.check_node(&birth.node)?;
        self.check_first_operators(birth)?;
        if let Subjected::Live(state) = &mut self.state {
            state.move_log_time(self.now_ms);
        }
        self.put(Row::Meta(MetaRecord {
            lineage: birth.lineage,
            next_issuer: 1,
            next_node: 1,
            floor: Revision(0),
            view_revision: Revision(0),
        }));
        self.put(Row::Settings(Arc::new(Settings {
            former: FormerSpans::default(),
            ..birth.settings.clone()
        })));
        self.emit(Event::SettingsChanged);
        self.put_epoch(EpochNumber(1), false);
        let number = self.put_node(&birth.node, true)?;
        for operator in &birth.operators {
            self.put_operator(operator);
        }
        Ok(Answer::Node(number))
    }

    fn check_first_operators(&self, birth: &Birth) -> Result<(), Rejection> {
        let operators = &birth.operators;
        if operators.is_empty() || operators.len() > MAX_FIRST_OPERATORS {
            return Err(Rejection::new(Reason::OperatorsCount, operators.len()));
        }
        let mut names = BTreeSet::new();
        let mut keys = BTreeSet::from([birth.node.peer_key.thumbprint()]);
        for spec in operators {
            self.check_operator(spec, None)?;
            if !names.insert(&spec.name) {
                return Err(Rejection::new(Reason::OperatorExists, &spec.name));
            }
            let own: BTreeSet<_> = spec.keys.iter().copied().collect();
            if let Some(key) = own.intersection(&keys).next() {
                return Err(Rejection::new(Reason::KeyInUse, key));
            }
            keys.extend(own);
        }
        let lasting = |spec: &crate::command::OperatorSpec| {
            spec.roles.contains(Role::Keeper) && spec.expires_at == 0
        };
        match operators.last() {
            Some(last) if !operators.iter().any(lasting) => {
                Err(Rejection::new(Reason::LastKeeper, &last.name))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn put_epoch(&mut self, number: EpochNumber, emergency: bool) {
        self.put(Row::Epoch(EpochRecord {
            number,
            opened_at: self.revision,
            opened_at_ms: self.now_ms,
            emergency,
        }));
        self.emit(Event::EpochOpened {
            epoch: number,
            emergency,
        });
    }
}
