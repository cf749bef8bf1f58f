//! A record: 100 bytes, with numbers for names.

use bytes::{Buf, BufMut, TryGetError};
use chancery_credential::{Revision, TokenId};

use super::{Hash, NameKind, NameTable, Names};
use crate::records::Issued;

/// The size of every record.
pub(in crate::records) const RECORD_BYTES: usize = 100;
const BOUND: u32 = 1;

/// What stands of one token. Numbers are those of the segment's names; 0 is an
/// empty list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) struct Record {
    pub(in crate::records) id: TokenId,
    pub(in crate::records) subject: u32,
    pub(in crate::records) actors: u32,
    pub(in crate::records) owners: u32,
    pub(in crate::records) audience: u32,
    pub(in crate::records) grant_sets: u32,
    pub(in crate::records) ancestors: u32,
    pub(in crate::records) key: u32,
    pub(in crate::records) scope: Hash,
    pub(in crate::records) rev: Revision,
    /// Seconds since the Unix epoch.
    pub(in crate::records) issued_at: u64,
    /// Seconds.
    pub(in crate::records) lifetime: u32,
    /// Whether a certificate has to be presented with it.
    pub(in crate::records) bound: bool,
}

impl Record {
    /// Puts what was issued into numbers, giving new names theirs.
    pub(in crate::records) fn of(issued: &Issued, names: &mut NameTable) -> Self {
        let lifetime = issued.expires_at.saturating_sub(issued.issued_at);
        Self {
            id: issued.id,
            subject: names.number(NameKind::Agent, issued.subject.as_str().as_bytes()),
            actors: names.list(NameKind::Agent, &issued.actors),
            owners: names.list(NameKind::Owner, &issued.owners),
            audience: names.number(NameKind::Audience, issued.audience.as_str().as_bytes()),
            grant_sets: names.list(NameKind::GrantSet, &issued.grant_sets),
            ancestors: names.tokens(&issued.ancestors),
            key: names.number(NameKind::Key, issued.key.as_bytes()),
            scope: issued.scope,
            rev: issued.rev,
            issued_at: issued.issued_at,
            lifetime: u32::try_from(lifetime).unwrap_or(u32::MAX),
            bound: issued.bound,
        }
    }

    /// Whether every number is that of a name of the right kind.
    pub(in crate::records) fn is_named(&self, names: &Names) -> bool {
        names.is(NameKind::Agent, self.subject)
            && names.is(NameKind::Audience, self.audience)
            && names.is(NameKind::Key, self.key)
            && names.is_list_of(NameKind::Agent, self.actors)
            && names.is_list_of(NameKind::Owner, self.owners)
            && names.is_list_of(NameKind::GrantSet, self.grant_sets)
            && (self.ancestors == 0 || names.is(NameKind::Tokens, self.ancestors))
    }

    pub(in crate::records) fn encode(&self, out: &mut Vec<u8>) {
        out.put_slice(self.id.as_bytes());
        for number in [
            self.subject,
            self.actors,
            self.owners,
            self.audience,
            self.grant_sets,
            self.ancestors,
            self.key,
        ] {
            out.put_u32(number);
        }
        out.put_slice(&self.scope);
        out.put_u64(self.rev.0);
        out.put_u64(self.issued_at);
        out.put_u32(self.lifetime);
        out.put_u32(if self.bound { BOUND } else { 0 });
    }

    /// Reads a record; `None` when there are fewer than [`RECORD_BYTES`].
    pub(in crate::records) fn decode(mut bytes: &[u8]) -> Option<Self> {
        Self::read(&mut bytes).ok()
    }

    fn read(input: &mut &[u8]) -> Result<Self, TryGetError> {
        let (mut id, mut scope) = ([0; 16], [0; 32]);
        input.try_copy_to_slice(&mut id)?;
        let record = Self {
            id: TokenId::from_bytes(id),
            subject: input.try_get_u32()?,
            actors: input.try_get_u32()?,
            owners: input.try_get_u32()?,
            audience: input.try_get_u32()?,
            grant_sets: input.try_get_u32()?,
            ancestors: input.try_get_u32()?,
            key: input.try_get_u32()?,
            scope: {
                input.try_copy_to_slice(&mut scope)?;
                scope
            },
            rev: Revision(input.try_get_u64()?),
            issued_at: input.try_get_u64()?,
            lifetime: input.try_get_u32()?,
            bound: input.try_get_u32()? & BOUND != 0,
        };
        Ok(record)
    }
}
