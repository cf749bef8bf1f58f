//! Stories of records: written through the real lanes and the real writer, read back
//! as an auditor reads them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod chain;
mod clocks;
mod crash;
mod disk_faults;
mod faulty_disk;
mod hand_over;
mod keeping;
mod names;

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use chancery_authority::WhenBehind;
use chancery_credential::{IssuerNumber, KeyThumbprint, Lineage, NodeNumber, Revision, TokenId};
use tempfile::TempDir;

use super::{
    Author, BootId, Damage, Filter, Found, Issued, RecordLimits, Recorder, Records, Report,
    Unrecorded, find, format::segment_path, start, verify,
};
use crate::clock::SystemClock;

/// How long a condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const ISSUER: IssuerNumber = IssuerNumber(7);

/// A directory of records, and who writes there.
struct Desk {
    home: TempDir,
    limits: RecordLimits,
}

impl Desk {
    fn new() -> Self {
        Self::with(RecordLimits::default())
    }

    fn with(limits: RecordLimits) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            limits,
        }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    /// A process of the node, for threads that mint.
    fn start(&self, process: u64, threads: usize) -> Records {
        self.start_after(process, threads, &|_| Vec::new())
    }

    fn start_after(
        &self,
        process: u64,
        threads: usize,
        issuers_of: &dyn Fn(Option<u64>) -> Vec<IssuerNumber>,
    ) -> Records {
        self.start_as(author(process), threads, issuers_of)
    }

    /// A process after the machine went down.
    fn start_after_power_loss(&self, process: u64) -> Records {
        let boot = BootId([2; 16]);
        let author = Author {
            boot,
            ..author(process)
        };
        self.start_as(author, 1, &|_| Vec::new())
    }

    fn start_as(
        &self,
        author: Author,
        threads: usize,
        issuers_of: &dyn Fn(Option<u64>) -> Vec<IssuerNumber>,
    ) -> Records {
        let records = start(self.path(), &self.limits, threads, author, issuers_of, ()).unwrap();
        until("its first segment was begun", || {
            !records.recorder().is_full()
        });
        records
    }

    fn verify(&self) -> Report {
        verify(self.path()).unwrap()
    }

    fn find(&self, filter: &Filter) -> Vec<Found> {
        let (found, damage) = search(self.path(), filter);
        assert_eq!(damage, []);
        found
    }

    /// What lies on the disk now, as after `kill -9`.
    fn copy(&self) -> Self {
        let copy = Self::with(self.limits.clone());
        for entry in fs::read_dir(self.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }

    fn segment(&self, segment: u64) -> PathBuf {
        segment_path(self.path(), segment)
    }
}

fn search(directory: &Path, filter: &Filter) -> (Vec<Found>, Vec<Damage>) {
    let mut found = Vec::new();
    let mut keep = |record| {
        found.push(record);
        ControlFlow::Continue(())
    };
    let damage = find(directory, filter, &mut keep).unwrap();
    (found, damage)
}

fn author(process: u64) -> Author {
    Author {
        node: NodeNumber(3),
        lineage: Lineage {
            generation: 1,
            random: 5,
        },
        process,
        boot: BootId([1; 16]),
    }
}

/// Another token each time, of [`ISSUER`].
fn token_id() -> TokenId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 12];
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    random[4..].copy_from_slice(&number.to_be_bytes());
    TokenId::new(ISSUER, random)
}

/// What agent `agent` was given at `issued_at`.
pub(super) fn issued(agent: u64, issued_at: u64) -> Issued {
    Issued {
        id: token_id(),
        key: KeyThumbprint::of_spki(&agent.to_be_bytes()),
        subject: format!("spiffe://example.org/agent/{agent}")
            .parse()
            .unwrap(),
        actors: Vec::new(),
        owners: vec![format!("owner-{}", agent % 3).parse().unwrap()],
        audience: format!("https://{}.example/v1", agent % 5).parse().unwrap(),
        grant_sets: Vec::new(),
        ancestors: Vec::new(),
        scope: [9; 32],
        rev: Revision(11),
        issued_at,
        expires_at: issued_at + 300,
        bound: true,
    }
}

/// Hands over, waiting for room. Gives the ids.
fn mint(recorder: &Recorder, agent: u64, count: u64) -> Vec<TokenId> {
    let mut ids = Vec::new();
    for second in 0..count {
        let mut record = issued(agent, 1_000 + second);
        // A record that found no room is made again: it never was.
        while let Err(why) = recorder.record(record.clone(), WhenBehind::Refuse) {
            assert_eq!(why, Unrecorded::Full);
            thread::yield_now();
            record.id = token_id();
        }
        ids.push(record.id);
    }
    ids
}

/// Hands over in batches that are small beside a segment.
fn mint_slowly(recorder: &Recorder, agent: u64, count: u64) {
    for _ in 0..count / 100 {
        mint(recorder, agent, 100);
        until("the lanes were empty", || recorder.waiting() == 0);
    }
}

/// Takes no more, and waits until everything is written.
fn close(records: Records) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(records.close());
}

/// Looks until it is so.
fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = SystemClock::boot();
    while !condition() {
        assert!(
            SystemClock::boot().since(begun).unwrap() < PATIENCE,
            "it was never so that {what}"
        );
        thread::park_timeout(Duration::from_millis(2));
    }
}
