//! Logs that a cluster could have written, and facts that a token could state.

use std::sync::OnceLock;

use chancery_credential::{
    Ed25519PublicKey, EpochNumber, GrantSetName, IssuerNumber, KeyId, NodeNumber, OwnerName,
    Revision, SigningKey, SpiffeId, Subject, TokenId,
};
use chancery_revocation::{Change, Delta, Facts};
use proptest::collection::vec;
use proptest::prelude::*;

/// Issuers that a log opens at most; a few more keys belong to nobody.
pub const ISSUERS: u32 = 6;
const KEYS: usize = ISSUERS as usize + 2;

pub fn keys() -> &'static [Ed25519PublicKey; KEYS] {
    static KEYS_MADE: OnceLock<[Ed25519PublicKey; KEYS]> = OnceLock::new();
    KEYS_MADE.get_or_init(|| {
        std::array::from_fn(|seed| {
            SigningKey::from_seed(&[u8::try_from(seed).unwrap(); 32]).public()
        })
    })
}

/// What a command does; which of them, by an index into what there is.
#[derive(Clone, Debug)]
enum Command {
    Open,
    Retire(u32),
    Expire(u32),
    RevokeIssuer(u32),
    Watermark(Subject),
    RevokeToken(TokenId),
    Floor(u64),
    Time(u64),
    Blank,
}

fn agents() -> impl Strategy<Value = SpiffeId> {
    (0..3).prop_map(|n| format!("spiffe://example.org/agent-{n}").parse().unwrap())
}

fn owners() -> impl Strategy<Value = OwnerName> {
    (0..3).prop_map(|n| format!("owner-{n}").parse().unwrap())
}

fn grant_sets() -> impl Strategy<Value = GrantSetName> {
    (0..2).prop_map(|n| format!("set-{n}").parse().unwrap())
}

fn token_ids() -> impl Strategy<Value = TokenId> {
    (1..=ISSUERS + 1, 0..2_u8)
        .prop_map(|(issuer, random)| TokenId::new(IssuerNumber(issuer), [random; 12]))
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => Just(Command::Open),
        2 => (1..=ISSUERS).prop_map(Command::Retire),
        1 => (1..=ISSUERS).prop_map(Command::Expire),
        1 => (1..=ISSUERS).prop_map(Command::RevokeIssuer),
        2 => agents().prop_map(|id| Command::Watermark(Subject::Agent(id))),
        1 => owners().prop_map(|name| Command::Watermark(Subject::Owner(name))),
        1 => grant_sets().prop_map(|name| Command::Watermark(Subject::GrantSet(name))),
        1 => Just(Command::Watermark(Subject::Everything)),
        3 => token_ids().prop_map(Command::RevokeToken),
        1 => (0..12_u64).prop_map(Command::Floor),
        1 => (0..40_u64).prop_map(Command::Time),
        1 => Just(Command::Blank),
    ]
}

/// The deltas that an authority would publish: numbers ascend, ids are revoked under
/// issuers that were opened, watermarks are of the entry's own revision.
pub fn logs() -> impl Strategy<Value = Vec<Delta>> {
    vec((commands(), 1..3_u64), 1..40).prop_map(|commands| {
        let (mut at, mut opened) = (0, 0);
        let mut deltas = Vec::new();
        for (command, step) in commands {
            let (previous, revision) = (Revision(at), Revision(at + step));
            at += step;
            let changes = change(&command, revision, &mut opened)
                .into_iter()
                .collect();
            deltas.push(Delta {
                previous,
                revision,
                changes,
            });
        }
        deltas
    })
}

fn change(command: &Command, revision: Revision, opened: &mut u32) -> Option<Change> {
    let existing = |number: u32, opened: u32| (number <= opened).then_some(IssuerNumber(number));
    match command {
        Command::Open => (*opened < ISSUERS).then(|| {
            *opened += 1;
            Change::IssuerOpened {
                number: IssuerNumber(*opened),
                node: NodeNumber(1),
                epoch: EpochNumber(1),
                opened_at: revision,
                key: Box::new(keys()[*opened as usize]),
            }
        }),
        Command::Retire(number) => existing(*number, *opened).map(|number| Change::IssuerRetired {
            number,
            retired_at: revision,
        }),
        Command::Expire(number) => existing(*number, *opened).map(Change::IssuerExpired),
        Command::RevokeIssuer(number) => existing(*number, *opened).map(Change::IssuerRevoked),
        Command::Watermark(subject) => Some(Change::Watermark {
            subject: subject.clone(),
            revision,
        }),
        Command::RevokeToken(id) => {
            existing(id.issuer().0, *opened).map(|_| Change::TokenRevoked(*id))
        }
        Command::Floor(back) => Some(Change::Floor(Revision(revision.0.saturating_sub(*back)))),
        Command::Time(seconds) => Some(Change::Time(super::WALL + seconds)),
        Command::Blank => None,
    }
}

/// [`Facts`] that own what they state.
#[derive(Clone, Debug)]
pub struct Stated {
    key_id: KeyId,
    token_id: TokenId,
    revision: u64,
    subject: SpiffeId,
    actors: Vec<SpiffeId>,
    owners: Vec<OwnerName>,
    grant_sets: Vec<GrantSetName>,
    ancestors: Vec<TokenId>,
    issued_at: u64,
    lifetime: u64,
}

impl Stated {
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            key_id: self.key_id,
            token_id: self.token_id,
            revision: Revision(self.revision),
            subject: &self.subject,
            actors: &self.actors,
            owners: &self.owners,
            grant_sets: &self.grant_sets,
            ancestors: &self.ancestors,
            issued_at: self.issued_at,
            expires_at: self.issued_at + self.lifetime,
        }
    }
}

/// Most are stated under an issuer's own key and number.
pub fn statements() -> impl Strategy<Value = Stated> {
    let signed = prop_oneof![
        8 => (1..=ISSUERS + 1, 0..2_u8).prop_map(|(n, random)| (n as usize, n, random)),
        1 => (0..KEYS, 1..=ISSUERS + 1, 0..2_u8),
    ];
    let names = (
        agents(),
        prop_oneof![4 => vec(agents(), 0..1), 1 => vec(agents(), 0..3)],
        prop_oneof![20 => vec(owners(), 1..2), 1 => vec(owners(), 0..3)],
        vec(grant_sets(), 0..2),
        prop_oneof![2 => vec(token_ids(), 0..1), 1 => vec(token_ids(), 0..3)],
    );
    let times = (
        prop_oneof![8 => super::WALL - 5..super::WALL, 1 => super::WALL - 40..super::WALL + 6],
        prop_oneof![20 => 30..=900_u64, 1 => 0..1000_u64],
    );
    (signed, 0..60_u64, names, times).prop_map(|(signed, revision, names, times)| {
        let (key, issuer, random) = signed;
        let (subject, actors, owners, grant_sets, ancestors) = names;
        Stated {
            key_id: keys()[key].key_id(),
            token_id: TokenId::new(IssuerNumber(issuer), [random; 12]),
            revision,
            subject,
            actors,
            owners,
            grant_sets,
            ancestors,
            issued_at: times.0,
            lifetime: times.1,
        }
    })
}
