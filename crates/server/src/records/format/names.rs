//! The names of a segment: each stands there once, before the first record that
//! has it, and records hold its number.

use std::collections::HashMap;

use chancery_credential::{KeyThumbprint, TokenId};

use super::Unreadable;

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) enum NameKind {
    /// A SPIFFE ID.
    Agent = 1,
    Owner = 2,
    Audience = 3,
    GrantSet = 4,
    /// 32 bytes: the thumbprint of a key.
    Key = 5,
    /// Numbers of names, 4 bytes each.
    List = 6,
    /// Token ids, 16 bytes each.
    Tokens = 7,
}

impl NameKind {
    pub(in crate::records) const ALL: [Self; 7] = [
        Self::Agent,
        Self::Owner,
        Self::Audience,
        Self::GrantSet,
        Self::Key,
        Self::List,
        Self::Tokens,
    ];

    const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Agent | Self::Owner | Self::Audience | Self::GrantSet
        )
    }
}

/// Most names of one segment: it is rotated before it has more.
const MAX_NAMES: usize = 262_144;
/// Most bytes of them.
const MAX_NAMES_BYTES: usize = 16 << 20;
/// Kind and length before each name.
const ENTRY_HEAD: usize = 3;

/// The names that were written into a segment, by their bytes.
#[derive(Debug, Default)]
pub(in crate::records) struct NameTable {
    numbers: HashMap<Box<[u8]>, u32>,
    bytes: usize,
    /// Names that have a number and are not in the file yet.
    fresh: Vec<u8>,
    entry: Vec<u8>,
}

impl NameTable {
    /// The number of a name, a new one if it has none. 0 is never one.
    pub(in crate::records) fn number(&mut self, kind: NameKind, name: &[u8]) -> u32 {
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        debug_assert_eq!(usize::from(length), name.len(), "names are bounded");
        self.entry.clear();
        self.entry.push(kind as u8);
        self.entry.extend_from_slice(&length.to_be_bytes());
        self.entry.extend_from_slice(name);
        if let Some(number) = self.numbers.get(self.entry.as_slice()) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).map_or(u32::MAX, |count| count + 1);
        self.numbers.insert(self.entry.as_slice().into(), number);
        self.bytes += self.entry.len();
        self.fresh.extend_from_slice(&self.entry);
        number
    }

    /// The number of a list of names; 0 for an empty one.
    pub(in crate::records) fn list<T: AsRef<str>>(&mut self, kind: NameKind, names: &[T]) -> u32 {
        if names.is_empty() {
            return 0;
        }
        let mut numbers = Vec::with_capacity(4 * names.len());
        for name in names {
            let number = self.number(kind, name.as_ref().as_bytes());
            numbers.extend_from_slice(&number.to_be_bytes());
        }
        self.number(NameKind::List, &numbers)
    }

    /// The number of a list of token ids; 0 for an empty one.
    pub(in crate::records) fn tokens(&mut self, ids: &[TokenId]) -> u32 {
        if ids.is_empty() {
            return 0;
        }
        let bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
        self.number(NameKind::Tokens, &bytes)
    }

    /// Whether the segment should end here.
    pub(in crate::records) fn is_full(&self) -> bool {
        self.numbers.len() >= MAX_NAMES || self.bytes >= MAX_NAMES_BYTES
    }

    /// Bytes of names that have to be written before the records that have them.
    pub(in crate::records) fn fresh_bytes(&self) -> usize {
        self.fresh.len()
    }

    /// Takes them: the payload of a frame of names.
    pub(in crate::records) fn take_fresh(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.fresh)
    }
}

/// The names that were read from a segment, by their numbers.
#[derive(Debug, Default)]
pub(in crate::records) struct Names {
    entries: Vec<(NameKind, Box<[u8]>)>,
    bytes: usize,
}

impl Names {
    /// Takes in the payload of a frame of names.
    ///
    /// # Errors
    /// [`Unreadable`], also for more than a segment may have: a reader's memory is
    /// bounded whatever stands in a file.
    pub(in crate::records) fn add(&mut self, mut payload: &[u8]) -> Result<(), Unreadable> {
        while let Some((head, rest)) = payload.split_first_chunk::<ENTRY_HEAD>() {
            let [kind, high, low] = *head;
            let length = usize::from(u16::from_be_bytes([high, low]));
            let (name, rest) = rest.split_at_checked(length).ok_or(TOO_SHORT)?;
            let kind = NameKind::ALL.into_iter().find(|known| *known as u8 == kind);
            let kind = kind.ok_or(Unreadable::Value("a name"))?;
            self.check(kind, name)?;
            self.bytes += ENTRY_HEAD + name.len();
            self.entries.push((kind, name.into()));
            payload = rest;
        }
        // A batch may end beyond the bound at which its segment does.
        let within = self.entries.len() <= 2 * MAX_NAMES && self.bytes <= 2 * MAX_NAMES_BYTES;
        if payload.is_empty() && within {
            Ok(())
        } else {
            Err(TOO_SHORT)
        }
    }

    fn check(&self, kind: NameKind, name: &[u8]) -> Result<(), Unreadable> {
        let sound = match kind {
            NameKind::Key => name.len() == 32,
            NameKind::Tokens => name.len().is_multiple_of(16),
            NameKind::List => {
                let known = |number: u32| self.get(number).is_some_and(|(kind, _)| kind.is_text());
                name.len().is_multiple_of(4) && numbers(name).all(known)
            }
            text => {
                debug_assert!(text.is_text());
                std::str::from_utf8(name).is_ok()
            }
        };
        if sound {
            Ok(())
        } else {
            Err(Unreadable::Value("a name"))
        }
    }

    fn get(&self, number: u32) -> Option<(NameKind, &[u8])> {
        let position = usize::try_from(number).ok()?.checked_sub(1)?;
        self.entries
            .get(position)
            .map(|(kind, name)| (*kind, &**name))
    }

    /// Whether a number is that of a name of this kind.
    pub(in crate::records) fn is(&self, kind: NameKind, number: u32) -> bool {
        self.get(number).is_some_and(|(found, _)| found == kind)
    }

    /// Whether a number is that of a list of names of this kind; 0 is the empty one.
    pub(in crate::records) fn is_list_of(&self, kind: NameKind, list: u32) -> bool {
        match self.get(list) {
            _ if list == 0 => true,
            Some((NameKind::List, members)) => numbers(members).all(|number| self.is(kind, number)),
            _ => false,
        }
    }

    /// The text of a name of this kind; `None` when the number is none's.
    pub(in crate::records) fn text(&self, kind: NameKind, number: u32) -> Option<&str> {
        let (found, name) = self.get(number)?;
        (found == kind)
            .then(|| std::str::from_utf8(name).ok())
            .flatten()
    }

    /// The texts of a list; none for 0.
    pub(in crate::records) fn texts(&self, kind: NameKind, list: u32) -> Option<Vec<&str>> {
        if list == 0 {
            return Some(Vec::new());
        }
        let (found, members) = self.get(list)?;
        if found != NameKind::List {
            return None;
        }
        numbers(members)
            .map(|number| self.text(kind, number))
            .collect()
    }

    /// A key.
    pub(in crate::records) fn key(&self, number: u32) -> Option<KeyThumbprint> {
        let (found, name) = self.get(number)?;
        let bytes = name.try_into().ok()?;
        (found == NameKind::Key).then(|| KeyThumbprint::from_bytes(bytes))
    }

    /// Token ids; none for 0.
    pub(in crate::records) fn tokens(&self, number: u32) -> Option<Vec<TokenId>> {
        if number == 0 {
            return Some(Vec::new());
        }
        let (found, name) = self.get(number)?;
        let ids = name.chunks_exact(16).map(|id| TokenId::try_from(id).ok());
        (found == NameKind::Tokens).then(|| ids.collect()).flatten()
    }
}

const TOO_SHORT: Unreadable = Unreadable::Length("the names");

fn numbers(list: &[u8]) -> impl Iterator<Item = u32> + '_ {
    list.chunks_exact(4)
        .filter_map(|number| number.try_into().ok().map(u32::from_be_bytes))
}
