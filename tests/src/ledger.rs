//! One log over many runs: a line a round, and a round that is done again replaces what
//! stands there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Serialize, Deserialize)]
struct Line<T> {
    round: u64,
    #[serde(flatten)]
    counts: T,
}

/// What was counted in each round.
#[derive(Debug)]
pub struct Ledger<T> {
    path: PathBuf,
    rounds: BTreeMap<u64, T>,
}

impl<T: Serialize + DeserializeOwned> Ledger<T> {
    /// Goes on with a log. A run from the first round begins another.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn open(path: &Path, from: u64) -> Self {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if from == 0 {
            let _ = fs::remove_file(path);
        }
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        Self {
            path: path.to_owned(),
            rounds: lines
                .map(|line: Line<T>| (line.round, line.counts))
                .collect(),
        }
    }

    /// Adds a round, at once.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn add(&mut self, round: u64, counts: T) {
        let line = Line { round, counts };
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&self.path)
            .unwrap();
        writeln!(file, "{}", serde_json::to_string(&line).unwrap()).unwrap();
        self.rounds.insert(round, line.counts);
    }

    /// What was counted in each, in their order.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.rounds.values()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_and_a_round_that_is_done_again_counts_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log/rounds.jsonl");
        let counts = |number: u64| BTreeMap::from([("lost".to_owned(), number)]);
        let mut ledger = Ledger::open(&path, 0);
        ledger.add(0, counts(1));
        ledger.add(1, counts(2));
        let mut again = Ledger::open(&path, 1);
        again.add(1, counts(3));
        let all: Vec<_> = Ledger::<BTreeMap<String, u64>>::open(&path, 2)
            .all()
            .cloned()
            .collect();
        assert_eq!(all, [counts(1), counts(3)]);
        assert_eq!(
            Ledger::<BTreeMap<String, u64>>::open(&path, 0)
                .all()
                .count(),
            0
        );
    }
}
