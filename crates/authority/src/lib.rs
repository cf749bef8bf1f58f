//! The replicated state machine: which agents, operators, services, nodes and
//! issuers there are, and what of theirs was suspended, revoked or removed.
//!
//! It never asks a machine for anything: no clock, no randomness, no IO, no order
//! that differs between nodes. The same log gives the same state everywhere.
//!
//! ```text
//!            Stamped (Command, Meta, Stamp)                       rows ──► disk
//!  the log ───────────────► State::apply ──► changed rows ──────┘
//!                                │
//!                                ├──► events ──► Directory   (callers, mints)
//!                                │          └──► revocation  (what is in force)
//!                                └──► answer or rejection ──► who asked
//! ```
//!
//! - what is asked: `command`, `stamped` (who, why, when), `permission` (who may);
//! - what there is: `record`, `row`, `state`, `settings`, `bounds`;
//! - what comes of it: `event`, `rejection`, `directory`; what would: `foresight`.

#![forbid(unsafe_code)]

mod about;
mod apply;
mod bounds;
mod command;
mod digest;
mod directory;
mod encoding;
mod event;
mod foresight;
mod inequality;
mod judgement;
mod permission;
mod principal;
mod record;
mod rejection;
mod requests;
mod role;
mod row;
mod settings;
mod settings_change;
mod stamped;
mod state;
mod sweep;
mod tables;
mod transition;
mod validate;
mod view;

pub use bounds::*;
pub use command::{
    AgentSpec, Birth, Command, KeyChange, NodeSpec, OpenIssuer, OperatorChange, OperatorSpec, Seat,
    ServiceChange, ServiceSpec,
};
pub use directory::Directory;
pub use event::{Answer, Event};
pub use foresight::Foreseen;
pub use inequality::Inequality;
pub use permission::{NodeRight, Permission, permission};
pub use principal::{AgentEntry, GrantSetEntry, NoStanding, OwnerEntry, Principal};
pub use record::{
    AgentRecord, ClockRecord, EpochRecord, GrantSetRecord, Holder, IssuerRecord, IssuerStanding,
    Limits, MetaRecord, NodeRecord, OperatorRecord, OwnerRecord, RequestKey, RequestRecord,
    ServiceRecord, SuspensionRecord,
};
pub use rejection::{Kind, Reason, Rejection};
pub use role::{Role, Roles};
pub use row::{Row, RowKey, Table};
pub use settings::{FormerSpans, NoWhenBehind, Settings, WhenBehind};
pub use settings_change::SettingsChange;
pub use stamped::{Actor, Meta, RequestId, Stamp, Stamped};
pub use state::State;
pub use transition::open_issuer_message;
pub use validate::Broken;
pub use view::ViewPlace;
