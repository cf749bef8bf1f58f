//! What changed since, for services that poll: a page of the log's changes, or of all
//! that is in force.
//!
//! ```text
//!  since ─┬─ a revision that is remembered ─► the changes after it
//!         ├─ none, another lineage, older ──► all that is in force, page by page
//!         └─ a place within that ───────────► the next page
//! ```
//!
//! The pages of what is in force are read from states that move on: what was dropped
//! in between is in none of them. So the last one asks for the changes since before
//! the first, and only what ends there can be judged by.

use std::{fmt, str::FromStr};

use chancery_authority::ViewPlace;
use chancery_credential::{ConsistencyToken, IssuerNumber, Revision};
use chancery_revocation::Change;
use tonic::Status;

use super::{Desk, in_force::Part, parse};
use crate::caller::{Holder, Identity};

/// From where a poller wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Beginning,
    /// What it has is complete up to here.
    Known(ConsistencyToken),
    /// It is being told all that is in force, which began at this revision.
    Within(ConsistencyToken, ViewPlace),
}

/// Why a text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give the `next` of an answer, a consistency token, or nothing")]
pub(super) struct NoPlace;

/// What one answer tells.
#[derive(Debug)]
pub(crate) struct Page {
    /// What was known before is void.
    pub(crate) resync: bool,
    pub(crate) changes: Vec<Change>,
    /// What to ask with next.
    pub(crate) next: String,
    pub(crate) more: bool,
    /// What the poller has reached when there is no more.
    pub(crate) revision: Revision,
    pub(crate) age_ms: u64,
}

impl Desk {
    /// The page after `since`, of about `weight` bytes, when it is `poller`'s turn.
    pub(crate) async fn changes(
        &self,
        poller: &Identity,
        since: &str,
        weight: usize,
    ) -> Result<Page, Status> {
        let since: Since = parse::field("since", since)?;
        drop(self.turns.take(Holder::of(poller)).await);
        let lineage = self.consensus.view().lineage();
        match since {
            Since::Known(token) if token.lineage == lineage => {
                self.hold("since", token.revision).await?;
                match self.remembered(token.revision, weight)? {
                    Some(page) => Ok(page),
                    None => self.in_force(None, weight).await,
                }
            }
            Since::Within(began, place) if began.lineage == lineage => {
                self.hold("since", began.revision).await?;
                self.in_force(Some((began, place)), weight).await
            }
            _ => self.in_force(None, weight).await,
        }
    }

    /// The changes after a revision; `None` when some are forgotten.
    fn remembered(&self, since: Revision, weight: usize) -> Result<Option<Page>, Status> {
        let through = || {
            // Before the changes: those up to it are then remembered.
            let through = self.consensus.view().revision();
            (through, self.recent.after(since, through, weight))
        };
        let ((through, found), current) = self.read(through)?;
        let Some(found) = found else {
            return Ok(None);
        };
        let last = found.last().map(|(revision, _)| *revision);
        let more = match last {
            Some(last) => self.has_more(last, through),
            None => false,
        };
        // Never before what the poller has, nor after what it was told.
        let reached = match last {
            Some(last) if more => last,
            _ => through.max(since),
        };
        Ok(Some(Page {
            resync: false,
            changes: (found.iter())
                .flat_map(|(_, changes)| changes.iter().cloned())
                .collect(),
            next: self.token_for(reached),
            more,
            revision: reached,
            age_ms: u64::try_from(current.age.as_millis()).unwrap_or(u64::MAX),
        }))
    }

    /// Whether something is remembered after `last`, or was and is not any more.
    fn has_more(&self, last: Revision, through: Revision) -> bool {
        let found = self.recent.after(last, through, 1);
        found.is_none_or(|found| !found.is_empty())
    }

    /// A page of all that is in force: the first, or the one after a place.
    async fn in_force(
        &self,
        within: Option<(ConsistencyToken, ViewPlace)>,
        weight: usize,
    ) -> Result<Page, Status> {
        let read = || {
            // Before the state, which is then at least as far.
            let began = self.consensus.view().consistency_token();
            let place = within.as_ref().map(|(_, place)| place);
            let part = (self.consensus).read_state(|state| Part::of(state, place, weight));
            (began, part)
        };
        let ((now, part), current) = self.read(read)?;
        // The changes that end the listing are then those of its last page's state too.
        self.reach(part.revision).await?;
        let resync = within.is_none();
        let began = within.map_or(now, |(began, _)| began);
        let whole = resync && part.place.is_none();
        let next = match part.place {
            Some(place) => Since::Within(began, place).to_string(),
            None => began.to_string(),
        };
        Ok(Page {
            resync,
            changes: part.changes,
            next,
            more: !whole,
            revision: began.revision,
            age_ms: u64::try_from(current.age.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// A consistency token, alone or with a place after it: `~i<number>`,
/// `~w<subject in hex>` or `~t<token id>`. All of it can stand in a URL.
impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => Ok(()),
            Self::Known(token) => token.fmt(f),
            Self::Within(token, ViewPlace::Issuer(number)) => write!(f, "{token}~i{number}"),
            Self::Within(token, ViewPlace::Watermark(subject)) => {
                write!(f, "{token}~w{}", hex::encode(subject.to_string()))
            }
            Self::Within(token, ViewPlace::Token(id)) => write!(f, "{token}~t{id}"),
        }
    }
}

impl FromStr for Since {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if text.is_empty() {
            return Ok(Self::Beginning);
        }
        let token = |text: &str| text.parse::<ConsistencyToken>().map_err(|_| NoPlace);
        let Some((began, place)) = text.split_once('~') else {
            return token(text).map(Self::Known);
        };
        Ok(Self::Within(token(began)?, place_of(place).ok_or(NoPlace)?))
    }
}

fn place_of(text: &str) -> Option<ViewPlace> {
    let (kind, key) = text.split_at_checked(1)?;
    match kind {
        "i" => key.parse().ok().map(IssuerNumber).map(ViewPlace::Issuer),
        "w" => {
            let text = String::from_utf8(hex::decode(key).ok()?).ok()?;
            text.parse().ok().map(ViewPlace::Watermark)
        }
        "t" => key.parse().ok().map(ViewPlace::Token),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chancery_credential::{Lineage, Subject, TokenId};

    const TOKEN: ConsistencyToken = ConsistencyToken {
        lineage: Lineage {
            generation: 1,
            random: 7,
        },
        revision: Revision(42),
    };

    #[test]
    fn a_place_is_read_as_it_is_written_and_fits_a_url() {
        let agent = "spiffe://example.org/team/a".parse().unwrap();
        let id = TokenId::new(IssuerNumber(3), [0xff; 12]);
        for since in [
            Since::Beginning,
            Since::Known(TOKEN),
            Since::Within(TOKEN, ViewPlace::Issuer(IssuerNumber(9))),
            Since::Within(TOKEN, ViewPlace::Watermark(Subject::Agent(agent))),
            Since::Within(TOKEN, ViewPlace::Watermark(Subject::Everything)),
            Since::Within(TOKEN, ViewPlace::Token(id)),
        ] {
            let text = since.to_string();
            let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            assert!(text.bytes().all(unreserved), "RFC 3986, 2.3: {text}");
            assert_eq!(text.parse(), Ok(since), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_place() {
        for place in ["~", "~i", "~ix", "~wzz", "~w00", "~t", "~x1", "~i1~i2"] {
            let text = format!("{TOKEN}{place}");
            assert_eq!(text.parse::<Since>(), Err(NoPlace), "{text}");
        }
        for text in ["x", "~i1", "%20"] {
            assert_eq!(text.parse::<Since>(), Err(NoPlace), "{text}");
        }
    }
}
