//! The registry, a process that signs and the keeper: one rule at a time, each beside the mutant
//! that leaves it out.

/// F, and TTL cap + leeway, in ticks of the slowest clock.
const F: u8 = 2;
const LIFE: u8 = 4;
/// The fastest clock against the slowest.
const KAPPA: u8 = 2;
pub const PROCESSES: usize = 3;
pub const KEYS: usize = 2;
pub const ISSUERS: usize = 4;
pub const BEHIND: usize = 3;

/// What one exhaustive search covers.
#[derive(Copy, Clone, Debug)]
pub struct Size {
    pub processes: usize,
    /// How many `OpenIssuer` a process makes at most.
    pub keys: usize,
    pub epochs: u8,
    pub revocations: u8,
    /// Time passes and tokens are signed; otherwise what is retired may expire at any moment.
    pub clock: bool,
}

/// A rule left out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The number of an expired issuer is handed out again.
    NumberReused,
    /// The former number is not compared.
    LateOpenAccepted,
    /// The node's newest number is forgotten when that issuer expires.
    FormerForgotten,
    /// A restart is recognised by the epoch, not by the process.
    RestartToldByEpoch,
    OldEpochAccepted,
    /// The peer key stays what it was when the node was revoked.
    ReadmittedWithSamePeerKey,
    RevokedMayRetire,
    RevokedNodeMayOpen,
    /// The keeper waits W, and not for what was signed within it.
    ExpiredAfterW,
    /// It waits κ·(TTL cap + leeway), and not for what is signed before all know.
    ExpiredWithoutW,
    /// It waits W + TTL cap + leeway, although its clock may run fast.
    ExpiredWithoutKappa,
    NewKeeperDoesNotWait,
    /// A process signs with its issuer as soon as it is told that it has been opened.
    SignedBeforeApplied,
    /// `rev ≤ retired_at` is not judged.
    RetiredWithoutBound,
}
use Mutant::*;

pub type Key = usize;
pub type Revision = u8;

/// A proposed `OpenIssuer`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    pub key: Key,
    pub epoch: u8,
    /// The number of the node's newest issuer; 0: it has none.
    pub former: u8,
    pub peer_key: u8,
}

/// The process that made a key; `OpenIssuer` names it.
pub fn process(key: Key) -> usize {
    key / KEYS
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Open,
    Retired { at: Revision },
    Expired,
    Revoked,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    pub number: u8,
    pub key: Key,
    pub epoch: u8,
    pub opened_at: Revision,
    pub status: Status,
}

impl Issuer {
    pub fn retired(&self) -> bool {
        matches!(self.status, Status::Retired { .. })
    }
    pub fn revoke(&mut self) {
        if self.status != Status::Expired {
            self.status = Status::Revoked;
        }
    }
}

/// Issuers are named by their place, in the order of opening.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    OpenIssuer(Proposal),
    OpenEpoch,
    Retire(usize),
    Expire(usize),
    RevokeIssuer(usize),
    RevokeEpoch(u8),
    RevokeNode,
    Readmit,
}

impl Command {
    pub fn revokes(&self) -> bool {
        matches!(
            self,
            Command::RevokeIssuer(_) | Command::RevokeEpoch(_) | Command::RevokeNode
        )
    }
}

/// The replicated state.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registry {
    pub revision: Revision,
    pub epoch: u8,
    pub barred: bool,
    pub peer_key: u8,
    pub newest: u8,
    pub issuers: [Option<Issuer>; ISSUERS],
}

impl Registry {
    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter().flatten()
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    pub key: Key,
    pub rev: Revision,
    pub left: u8,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// After the whole log.
    pub registry: Registry,
    /// After what the process has applied; what it has not, with its age.
    pub view: Registry,
    pub behind: [Option<(Command, u8)>; BEHIND],
    /// How long the keeper still waits before it lets a retired issuer expire.
    pub waits: [u8; ISSUERS],
    pub process: usize,
    /// With which the process signs its proposals.
    pub peer_key: u8,
    /// All that were ever made: any may arrive at any time, and again.
    pub proposals: [Option<Proposal>; PROCESSES * KEYS],
    pub token: Option<Token>,
    pub revocations: u8,
    /// Keys that were revoked, opened or not.
    pub revoked: [bool; PROCESSES * KEYS],
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The keeper's clock ran fast, or not.
    Tick {
        fast: bool,
    },
    Commit(Command),
    Apply,
    Propose,
    Sign(usize),
    Restart,
    NewKeeper,
}

pub struct Rotation {
    pub size: Size,
    pub mutant: Option<Mutant>,
}

/// What every node does alike.
impl Rotation {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// `None`: rejected.
    pub fn apply(&self, r: &mut Registry, command: Command) -> Option<()> {
        r.revision += 1;
        let (at, epoch) = (r.revision, r.epoch);
        let issuers = r.issuers.iter_mut().flatten();
        match command {
            Command::OpenIssuer(proposal) => self.open(r, proposal)?,
            Command::OpenEpoch => r.epoch += 1,
            Command::Retire(i) => {
                let again = |i: &Issuer| self.is(RevokedMayRetire) && i.status == Status::Revoked;
                let issuer = r.issuers[i]
                    .as_mut()
                    .filter(|i| i.status == Status::Open || again(i))?;
                issuer.status = Status::Retired { at };
            }
            Command::Expire(i) => {
                r.issuers[i].as_mut().filter(|i| i.retired())?.status = Status::Expired
            }
            Command::RevokeIssuer(i) => r.issuers[i].as_mut()?.revoke(),
            Command::RevokeEpoch(of) => {
                issuers.filter(|i| i.epoch == of).for_each(Issuer::revoke);
                r.epoch += u8::from(of == epoch);
            }
            Command::RevokeNode => {
                issuers.for_each(Issuer::revoke);
                r.barred = true;
            }
            Command::Readmit => {
                r.barred = Some(false).filter(|_| r.barred)?;
                r.peer_key += u8::from(!self.is(ReadmittedWithSamePeerKey));
            }
        }
        Some(())
    }

    fn open(&self, r: &mut Registry, proposal: Proposal) -> Option<()> {
        let Proposal {
            key,
            epoch,
            former,
            peer_key,
        } = proposal;
        let forgotten = self.is(FormerForgotten)
            && r.issuers()
                .last()
                .is_some_and(|i| i.status == Status::Expired);
        let newest = if forgotten { 0 } else { r.newest };
        if former != newest && !self.is(LateOpenAccepted)
            || epoch != r.epoch && !self.is(OldEpochAccepted)
            || r.barred && !self.is(RevokedNodeMayOpen)
            || peer_key != r.peer_key
        {
            return None;
        }
        let open = |i: &&mut Issuer| i.status == Status::Open;
        for issuer in r.issuers.iter_mut().flatten().filter(open) {
            let restart = if self.is(RestartToldByEpoch) {
                issuer.epoch == epoch
            } else {
                process(issuer.key) != process(key)
            };
            if restart {
                issuer.status = Status::Retired { at: r.revision };
            }
        }
        let place = r.issuers.iter().position(Option::is_none)?;
        r.newest = if self.is(NumberReused) {
            let taken = |n: u8| {
                r.issuers()
                    .any(|i| i.number == n && i.status != Status::Expired)
            };
            (1..).find(|n| !taken(*n))?
        } else {
            place as u8 + 1
        };
        let issuer = Issuer {
            number: r.newest,
            key,
            epoch,
            opened_at: r.revision,
            status: Status::Open,
        };
        r.issuers[place] = Some(issuer);
        Some(())
    }

    /// What is said of a token with this key and revision by a node that has applied the whole log.
    pub fn judge(&self, s: &State, key: Key, rev: Revision) -> bool {
        s.registry.issuers().filter(|i| i.key == key).any(|i| {
            let standing = match i.status {
                Status::Open => true,
                Status::Retired { at } => rev <= at || self.is(RetiredWithoutBound),
                Status::Expired | Status::Revoked => false,
            };
            standing && i.opened_at <= rev
        })
    }

    /// A command is accepted; the keeper begins to wait for what it retires.
    pub fn commit(&self, s: &mut State, command: Command) -> Option<()> {
        if matches!(command, Command::Expire(i) if s.waits[i] > 0) {
            return None;
        }
        let before = s.registry;
        self.apply(&mut s.registry, command)?;
        let last = s.behind.iter().position(Option::is_none)?;
        s.behind[last] = Some((command, 0));
        for (i, issuer) in s.registry.issuers.iter().enumerate() {
            if issuer.is_some_and(|i| i.retired()) && *issuer != before.issuers[i] {
                s.waits[i] = self.wait();
            }
        }
        let covered = |p: &Proposal| match command {
            Command::RevokeNode => true,
            Command::RevokeEpoch(epoch) => p.epoch == epoch,
            Command::RevokeIssuer(i) => before.issuers[i].is_some_and(|i| i.key == p.key),
            _ => false,
        };
        for proposal in s.proposals.iter().flatten().filter(|p| covered(p)) {
            s.revoked[proposal.key] = true;
        }
        s.revocations += u8::from(command.revokes());
        Some(())
    }

    fn wait(&self) -> u8 {
        match self.mutant {
            _ if !self.size.clock => 0,
            Some(ExpiredAfterW) => KAPPA * F,
            Some(ExpiredWithoutW) => KAPPA * LIFE,
            Some(ExpiredWithoutKappa) => KAPPA * F + LIFE,
            _ => KAPPA * (F + LIFE),
        }
    }

    /// The keeper's successor has seen nothing retire, so it waits in full for all that is.
    pub fn new_keeper(&self, s: &mut State) {
        for (i, issuer) in s.registry.issuers.iter().enumerate() {
            if issuer.is_some_and(|i| i.retired()) {
                let waited = self.is(NewKeeperDoesNotWait);
                s.waits[i] = if waited { 0 } else { self.wait() };
            }
        }
    }
}

/// The process, and time.
impl Rotation {
    pub fn catch_up(&self, s: &mut State) -> Option<()> {
        let (command, _) = s.behind[0]?;
        self.apply(&mut s.view, command)?;
        s.behind.rotate_left(1);
        s.behind[BEHIND - 1] = None;
        Some(())
    }

    pub fn tick(&self, s: &mut State, fast: bool) -> Option<()> {
        if !self.size.clock || fast && s.waits.iter().all(|left| *left == 0) {
            return None;
        }
        for left in &mut s.waits {
            *left = left.saturating_sub(1 + u8::from(fast));
        }
        for (_, age) in s.behind.iter_mut().flatten() {
            *age += 1;
        }
        // From here on it is stale, so whatever it does next, it catches up first.
        while s.behind[0].is_some_and(|(_, age)| age >= F) {
            self.catch_up(s)?;
        }
        s.token = s.token.filter(|t| t.left > 1).map(|t| Token {
            left: t.left - 1,
            ..t
        });
        Some(())
    }

    pub fn propose(&self, s: &mut State) -> Option<()> {
        let own = |i: &Issuer| process(i.key) == s.process && i.status == Status::Open;
        if s.view.barred || s.view.issuers().any(|i| own(i) && i.epoch == s.view.epoch) {
            return None;
        }
        let first = s.process * KEYS;
        let key = (first..first + self.size.keys).find(|key| s.proposals[*key].is_none())?;
        let (epoch, former) = (s.view.epoch, s.view.newest);
        s.proposals[key] = Some(Proposal {
            key,
            epoch,
            former,
            peer_key: s.peer_key,
        });
        Some(())
    }

    pub fn sign(&self, s: &mut State, issuer: usize) -> Option<()> {
        let known = if self.is(SignedBeforeApplied) {
            &s.registry
        } else {
            &s.view
        };
        let own = |i: &Issuer| process(i.key) == s.process && i.status == Status::Open;
        let issuer = known.issuers[issuer].filter(own)?;
        if s.token.is_some() || !self.size.clock {
            return None;
        }
        s.token = Some(Token {
            key: issuer.key,
            rev: s.view.revision,
            left: LIFE,
        });
        Some(())
    }

    /// The next process of the node, with the peer key that the registry has for it.
    pub fn restart(&self, s: &mut State) -> Option<()> {
        s.process = Some(s.process + 1).filter(|p| *p < self.size.processes)?;
        s.peer_key = s.registry.peer_key;
        Some(())
    }

    /// Forgets what can no longer matter.
    pub fn settle(&self, s: &mut State) {
        for (i, issuer) in s.registry.issuers.iter().enumerate() {
            let Some(issuer) = issuer else { continue };
            let signed = s.token.is_some_and(|t| t.key == issuer.key);
            let signing = process(issuer.key) == s.process
                && s.view.issuers[i].is_none_or(|i| i.status == Status::Open);
            if !issuer.retired() || !signed && !signing {
                s.waits[i] = 0;
            }
        }
        for issuer in s
            .registry
            .issuers
            .iter_mut()
            .chain(&mut s.view.issuers)
            .flatten()
        {
            if matches!(issuer.status, Status::Expired | Status::Revoked) {
                (issuer.epoch, issuer.opened_at) = (0, 0);
            }
        }
    }
}
