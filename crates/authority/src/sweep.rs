//! Dropping what nothing can reach any more, a bounded number of rows at a time:
//! a million ids that expire together cost no single command more than its share.

use crate::bounds::SWEPT_ROWS;
use crate::row::RowKey;
use crate::state::State;

impl State {
    /// Drops requests below the request floor, then revoked ids of expired
    /// issuers, then watermarks at or below the floor: at most [`SWEPT_ROWS`].
    pub(crate) fn sweep(&mut self) {
        for _ in 0..SWEPT_ROWS {
            let unreachable = (self.forgotten_request())
                .or_else(|| self.orphaned_token())
                .or_else(|| self.sunken_watermark());
            match unreachable {
                Some(key) => self.erase(key),
                None => return,
            }
        }
    }

    fn forgotten_request(&self) -> Option<RowKey> {
        let (key, _) = self.tables.requests.first_key_value()?;
        (key.id.time_ms < self.request_floor_ms()).then(|| RowKey::Request(key.clone()))
    }

    fn orphaned_token(&self) -> Option<RowKey> {
        let known = &self.tables.issuers;
        let mut orphaned =
            (self.tables.revoked.iter()).filter(|(issuer, _)| !known.contains_key(issuer));
        let (_, tokens) = orphaned.next()?;
        tokens.first().map(|token| RowKey::RevokedToken(*token))
    }

    fn sunken_watermark(&self) -> Option<RowKey> {
        let (revision, subject) = self.tables.watermark_at.first_key_value()?;
        (*revision <= self.floor()).then(|| RowKey::Watermark(subject.clone()))
    }
}
