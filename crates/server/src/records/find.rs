//! Finding what was minted: by agent, owner, audience, time, id.

use std::{io, ops::ControlFlow, path::Path};

use chancery_credential::{KeyThumbprint, NodeNumber, Revision, TokenId};

use super::{
    Damage, Gap, Standing,
    format::{NameKind, Names, Record, SegmentHeader},
    read::SegmentReader,
    walk::{Visitor, walk},
};

/// What is sought: everything that is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The subject, or one who acts for it.
    pub agent: Option<String>,
    /// One of its owners.
    pub owner: Option<String>,
    /// Its audience.
    pub audience: Option<String>,
    /// Issued at or after this, seconds since the Unix epoch.
    pub since: Option<u64>,
    /// Issued at or before this, seconds since the Unix epoch.
    pub until: Option<u64>,
    /// This one.
    pub token: Option<TokenId>,
}

/// A token that was minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: TokenId,
    /// The node that minted it.
    pub node: NodeNumber,
    /// Where its record stands.
    pub segment: u64,
    /// On whose account.
    pub subject: String,
    /// Who acts for the subject, the outermost first.
    pub actors: Vec<String>,
    /// The key that asked for it.
    pub key: KeyThumbprint,
    /// Who answers for it.
    pub owners: Vec<String>,
    /// For whom.
    pub audience: String,
    /// The grant sets it was minted under.
    pub grant_sets: Vec<String>,
    /// The tokens it was derived from.
    pub ancestors: Vec<TokenId>,
    /// SHA-256 of its `scope` claim.
    pub scope_sha256: [u8; 32],
    /// Its `rev`.
    pub revision: Revision,
    /// Seconds since the Unix epoch.
    pub issued_at: u64,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
    /// Whether a certificate has to be presented with it.
    pub bound: bool,
}

/// Gives every record that the filter lets through to `found`, in the order of the
/// chain, until that says to stop. Nothing is kept in memory but one segment's names
/// and one frame. What is given has been held against the chain up to there; a
/// segment that cannot have anything is not read.
///
/// # Errors
/// When the directory or a file cannot be read, or there is none.
pub fn find(
    directory: &Path,
    filter: &Filter,
    found: &mut dyn FnMut(Found) -> ControlFlow<()>,
) -> io::Result<Vec<Damage>> {
    let mut search = Search { filter, found };
    walk(directory, &mut search).map(|walked| walked.damage)
}

struct Search<'a> {
    filter: &'a Filter,
    found: &'a mut dyn FnMut(Found) -> ControlFlow<()>,
}

impl Visitor for Search<'_> {
    /// As the next says of the records themselves: when it was begun says nothing of
    /// them, for a clock may have been set back.
    fn wants(&self, _header: &SegmentHeader, next: Option<&SegmentHeader>) -> bool {
        let (since, until) = (self.filter.since, self.filter.until);
        next.is_none_or(|next| next.former.issued.overlaps(since, until))
    }

    fn records(&mut self, reader: &SegmentReader) -> ControlFlow<()> {
        for record in reader.records() {
            if self.filter.is(&record, reader.names())
                && let Some(found) = Found::of(&record, reader)
            {
                (self.found)(found)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn gap(&mut self, _segment: u64, _gap: Gap) {}

    fn ended(&mut self, _reader: &SegmentReader, _standing: Standing) {}
}

impl Filter {
    /// Copies nothing: it is asked of every record.
    fn is(&self, record: &Record, names: &Names) -> bool {
        let is = |kind, number, sought: &str| names.text(kind, number) == Some(sought);
        let lists = |kind, list, sought: &str| {
            let texts = names.texts(kind, list).unwrap_or_default();
            texts.contains(&sought)
        };
        let agent = |sought: &String| {
            is(NameKind::Agent, record.subject, sought)
                || lists(NameKind::Agent, record.actors, sought)
        };
        let owner = |sought: &String| lists(NameKind::Owner, record.owners, sought);
        let audience = |sought: &String| is(NameKind::Audience, record.audience, sought);
        self.since.is_none_or(|since| since <= record.issued_at)
            && self.until.is_none_or(|until| record.issued_at <= until)
            && self.token.is_none_or(|token| token == record.id)
            && self.agent.as_ref().is_none_or(agent)
            && self.owner.as_ref().is_none_or(owner)
            && self.audience.as_ref().is_none_or(audience)
    }
}

impl Found {
    fn of(record: &Record, reader: &SegmentReader) -> Option<Self> {
        let names = reader.names();
        Some(Self {
            id: record.id,
            node: reader.header().node,
            segment: reader.header().segment,
            subject: names.text(NameKind::Agent, record.subject)?.to_owned(),
            actors: texts(names, NameKind::Agent, record.actors)?,
            key: names.key(record.key)?,
            owners: texts(names, NameKind::Owner, record.owners)?,
            audience: names.text(NameKind::Audience, record.audience)?.to_owned(),
            grant_sets: texts(names, NameKind::GrantSet, record.grant_sets)?,
            ancestors: names.tokens(record.ancestors)?,
            scope_sha256: record.scope,
            revision: record.rev,
            issued_at: record.issued_at,
            expires_at: record.issued_at.saturating_add(u64::from(record.lifetime)),
            bound: record.bound,
        })
    }
}

fn texts(names: &Names, kind: NameKind, list: u32) -> Option<Vec<String>> {
    let texts = names.texts(kind, list)?;
    Some(texts.into_iter().map(str::to_owned).collect())
}
