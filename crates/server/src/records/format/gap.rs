//! Gaps: what is known of records that are missing.

use bytes::{Buf, BufMut, TryGetError};
use chancery_credential::IssuerNumber;

use super::Unreadable;

/// Why records are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The process ended without closing its segment. Whether the volume that it wrote to
    /// went away too does not show: what was not synced may be missing.
    Crash,
    /// The node could not keep up, and the cluster's setting is `drop`.
    Dropped,
    /// The former segment does not end as an interrupted one does: it was damaged
    /// before the node started.
    Damage,
    /// The machine went down, and with it what was not synced: a second of records, of
    /// which any part may be missing.
    PowerLoss,
    /// The volume went away under a machine that ran on (a disk over the network, a
    /// forced unmount), and with it what was not synced: whole blocks of it are empty.
    VolumeLoss,
    /// There were no records at all, and the cluster knows issuers of former processes
    /// of this node.
    Absent,
}

impl Cause {
    /// Every one, by its number in the file less one.
    const ALL: [Self; 6] = [
        Self::Crash,
        Self::Dropped,
        Self::Damage,
        Self::PowerLoss,
        Self::VolumeLoss,
        Self::Absent,
    ];

    /// `crash`, `dropped`, `damage`, `power loss`, `volume loss` or `absent`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Dropped => "dropped",
            Self::Damage => "damage",
            Self::PowerLoss => "power loss",
            Self::VolumeLoss => "volume loss",
            Self::Absent => "absent",
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Crash => 1,
            Self::Dropped => 2,
            Self::Damage => 3,
            Self::PowerLoss => 4,
            Self::VolumeLoss => 5,
            Self::Absent => 6,
        }
    }
}

/// Records that are missing from the chain, in the place where they would stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub cause: Cause,
    /// How many: exactly when they were dropped, and at most so many after a crash or
    /// a loss of power or of the volume: what waited, and what was not synced. With what
    /// the node said it might have dropped uncounted, where the cluster's setting is
    /// `drop`. 0 where it is not known: of damage, and where there was nothing.
    pub records: u64,
    /// What is missing was handed over at or after this, milliseconds since the
    /// Unix epoch. Where the clock was set back since: the last that was written which
    /// is not later than the clock that it was set to; 0 when there is none.
    pub from_ms: u64,
    /// And before this, by either clock.
    pub to_ms: u64,
    /// The issuers under which the process signed then, sorted. Of what was dropped,
    /// the first and the last, counted from the first drop of the process.
    pub issuers: Vec<IssuerNumber>,
    /// Bytes at the end of the former segment that are not part of the chain: a
    /// frame that was being written.
    pub torn_bytes: u64,
}

impl Gap {
    /// Whether `records` is their number, or else the most that there can be.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        matches!(self.cause, Cause::Dropped)
    }

    pub(in crate::records) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(33 + 4 * self.issuers.len());
        out.put_u8(self.cause.number());
        out.put_u64(self.records);
        out.put_u64(self.from_ms);
        out.put_u64(self.to_ms);
        out.put_u64(self.torn_bytes);
        for issuer in &self.issuers {
            out.put_u32(issuer.0);
        }
        out
    }

    /// # Errors
    /// [`Unreadable`].
    pub(in crate::records) fn decode(mut payload: &[u8]) -> Result<Self, Unreadable> {
        let length = |_: TryGetError| Unreadable::Length("a gap");
        let input = &mut payload;
        let number = input.try_get_u8().map_err(length)?;
        let named = |cause: &Cause| cause.number() == number;
        let Some(cause) = Cause::ALL.into_iter().find(named) else {
            return Err(Unreadable::Value("a gap"));
        };
        let mut gap = Self {
            cause,
            records: input.try_get_u64().map_err(length)?,
            from_ms: input.try_get_u64().map_err(length)?,
            to_ms: input.try_get_u64().map_err(length)?,
            torn_bytes: input.try_get_u64().map_err(length)?,
            issuers: Vec::new(),
        };
        while !input.is_empty() {
            let number = input.try_get_u32().map_err(length)?;
            gap.issuers.push(IssuerNumber(number));
        }
        Ok(gap)
    }
}
