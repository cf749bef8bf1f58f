//! Whether the nodes' states are the same. Every node takes down the digest of its
//! state at the same revisions; the leader asks for one of them with the answers to
//! proofs, and what most voters say becomes an entry of the log, which stops whoever
//! had another state there.

use std::collections::{BTreeMap, VecDeque};

use chancery_credential::{NodeNumber, Revision};
use parking_lot::Mutex;

/// A digest is taken down at each revision that is a multiple of this.
const MARK_EVERY: u64 = 32;
/// Digests that are kept: those of the last half a million entries, which are two
/// minutes at four thousand a second. From when a digest is asked for until what most
/// said of it is applied, a few proofs and one round of the log pass. 640 KiB.
const MARKS_KEPT: usize = 16_384;

/// A node's digests at the revisions where all nodes take theirs down.
#[derive(Default)]
pub(crate) struct Marks(Mutex<VecDeque<(Revision, [u8; 32])>>);

impl Marks {
    /// Takes the digest down, if it is to be at `revision`.
    pub(crate) fn pass(&self, revision: Revision, digest: impl FnOnce() -> [u8; 32]) {
        if !revision.0.is_multiple_of(MARK_EVERY) {
            return;
        }
        let mut marks = self.0.lock();
        marks.push_back((revision, digest()));
        while marks.len() > MARKS_KEPT {
            marks.pop_front();
        }
    }

    pub(crate) fn newest(&self) -> Option<Revision> {
        self.0.lock().back().map(|(revision, _)| *revision)
    }

    /// What the digest was there; unknown before this process, and of long ago.
    pub(crate) fn at(&self, revision: Revision) -> Option<[u8; 32]> {
        let marks = self.0.lock();
        let place = marks.binary_search_by_key(&revision, |(at, _)| *at).ok()?;
        marks.get(place).map(|(_, digest)| *digest)
    }
}

/// What the leader has been told of the states of others.
#[derive(Default)]
pub(crate) struct Comparison(Mutex<Option<Asked>>);

struct Asked {
    at: Revision,
    said: BTreeMap<NodeNumber, [u8; 32]>,
}

impl Comparison {
    /// Asks for the digests at `at` from here on, and forgets what was said before.
    pub(crate) fn ask(&self, at: Revision) {
        let said = BTreeMap::new();
        *self.0.lock() = Some(Asked { at, said });
    }

    /// The revision whose digests are asked for.
    pub(crate) fn asked(&self) -> Option<Revision> {
        self.0.lock().as_ref().map(|asked| asked.at)
    }

    /// A node that has applied `at` says what its digest was there.
    pub(crate) fn hear(&self, from: NodeNumber, at: Revision, digest: [u8; 32]) {
        if let Some(asked) = self.0.lock().as_mut().filter(|asked| asked.at == at) {
            asked.said.insert(from, digest);
        }
    }

    /// What most of `voters` say, once. Nothing is asked for after that.
    pub(crate) fn settle(&self, voters: &[NodeNumber]) -> Option<(Revision, [u8; 32])> {
        let mut comparison = self.0.lock();
        let asked = comparison.as_ref()?;
        let digest = said_by_most(&asked.said, voters)?;
        let settled = (asked.at, digest);
        *comparison = None;
        Some(settled)
    }
}

fn said_by_most(said: &BTreeMap<NodeNumber, [u8; 32]>, voters: &[NodeNumber]) -> Option<[u8; 32]> {
    let mut counts = BTreeMap::<[u8; 32], usize>::new();
    for digest in voters.iter().filter_map(|voter| said.get(voter)) {
        let count = counts.entry(*digest).or_default();
        *count = count.saturating_add(1);
    }
    let (digest, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count > voters.len() / 2).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [u8; 32] = [1; 32];
    const BAD: [u8; 32] = [2; 32];

    fn voters(count: u64) -> Vec<NodeNumber> {
        (1..=count).map(NodeNumber).collect()
    }

    #[test]
    fn what_most_voters_say_counts_and_only_once_it_is_most() {
        let comparison = Comparison::default();
        comparison.ask(Revision(64));
        comparison.hear(NodeNumber(1), Revision(64), BAD);
        comparison.hear(NodeNumber(2), Revision(64), GOOD);
        assert_eq!(comparison.settle(&voters(3)), None, "one against one");
        comparison.hear(NodeNumber(3), Revision(32), GOOD);
        assert_eq!(comparison.settle(&voters(3)), None, "of another revision");
        comparison.hear(NodeNumber(9), Revision(64), GOOD);
        assert_eq!(comparison.settle(&voters(3)), None, "of no voter");
        comparison.hear(NodeNumber(3), Revision(64), GOOD);
        let settled = Some((Revision(64), GOOD));
        assert_eq!(comparison.settle(&voters(3)), settled);
        assert_eq!(comparison.settle(&voters(3)), None, "once");
    }

    #[test]
    fn half_is_not_most() {
        let comparison = Comparison::default();
        comparison.ask(Revision(32));
        for (node, digest) in [(1, GOOD), (2, GOOD), (3, BAD), (4, BAD)] {
            comparison.hear(NodeNumber(node), Revision(32), digest);
        }
        assert_eq!(comparison.settle(&voters(4)), None);
    }

    #[test]
    fn marks_are_taken_where_everybody_takes_them_and_the_old_go() {
        let marks = Marks::default();
        for revision in 1..=1_000_000 {
            marks.pass(Revision(revision), || [(revision / MARK_EVERY) as u8; 32]);
        }
        assert_eq!(marks.newest(), Some(Revision(1_000_000)));
        assert_eq!(marks.at(Revision(999_968)), Some([17; 32]));
        assert_eq!(marks.at(Revision(999_967)), None, "no mark");
        assert_eq!(marks.at(Revision(2_048)), None, "long ago");
        assert_eq!(marks.0.lock().len(), MARKS_KEPT);
    }

    /// However fast the log moves, an answer that comes a minute later finds its digest.
    #[test]
    fn a_mark_stays_for_a_minute_of_the_fastest_log() {
        const ENTRIES_A_MINUTE: u64 = 60 * 8_000;
        let marks = Marks::default();
        let asked = Revision(MARK_EVERY);
        for revision in 1..=ENTRIES_A_MINUTE {
            marks.pass(Revision(revision), || [1; 32]);
        }
        assert_eq!(marks.at(asked), Some([1; 32]));
    }
}
