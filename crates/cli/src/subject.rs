//! Whom a verb covers.

use std::fmt;

use chancery_client::v1;
use clap::{Args, ValueEnum};

use crate::failure::Failure;

/// A kind of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SubjectKind {
    /// One agent, by its SPIFFE ID
    Agent,
    /// All agents of an owner
    Owner,
    /// All that was minted under a grant set
    GrantSet,
    /// Every credential of the cluster
    Everything,
}

/// Kind and name, as arguments.
#[derive(Debug, Clone, Args)]
pub struct SubjectArgs {
    /// What kind of subject
    #[arg(value_enum)]
    kind: SubjectKind,
    /// Its id or name; none for everything
    name: Option<String>,
}

impl SubjectArgs {
    pub fn subject(&self) -> Result<v1::Subject, Failure> {
        use v1::subject::Subject;
        let subject = match (self.kind, self.name.clone()) {
            (SubjectKind::Agent, Some(id)) => Subject::Agent(id),
            (SubjectKind::Owner, Some(name)) => Subject::Owner(name),
            (SubjectKind::GrantSet, Some(name)) => Subject::GrantSet(name),
            (SubjectKind::Everything, None) => Subject::Everything(true),
            (SubjectKind::Everything, Some(name)) => {
                return Err(Failure::usage(format_args!(
                    "`everything` covers every credential, and `{name}` was given beside it"
                ))
                .next("leave the name out, or say what kind it is"));
            }
            (_, None) => {
                return Err(Failure::usage(format_args!("which {self}?"))
                    .next("give its name after the kind"));
            }
        };
        Ok(v1::Subject {
            subject: Some(subject),
        })
    }
}

impl fmt::Display for SubjectArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SubjectKind::Agent => "agent",
            SubjectKind::Owner => "owner",
            SubjectKind::GrantSet => "grant set",
            SubjectKind::Everything => return f.write_str("everything"),
        })?;
        match &self.name {
            Some(name) => write!(f, " {}", crate::plain::plain(name)),
            None => Ok(()),
        }
    }
}

/// A subject that came from a node.
pub fn subject_text(subject: Option<v1::Subject>) -> String {
    use v1::subject::Subject;
    match subject.and_then(|subject| subject.subject) {
        Some(Subject::Agent(id)) => id,
        Some(Subject::Owner(name)) => format!("owner {name}"),
        Some(Subject::GrantSet(name)) => format!("grant set {name}"),
        Some(Subject::Everything(_)) => "everything".to_owned(),
        None => "?".to_owned(),
    }
}
