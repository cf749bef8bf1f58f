//! Traces of secrets: in files, in what was printed, in what a process shows of
//! itself. A secret is found by any part of 8 bytes, in every form in which
//! software writes bytes down, so that neither a line break, a log's block header
//! nor compression hides it.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Bytes of a secret that are a trace of it: by chance they stand nowhere.
const PART: usize = 8;

/// What must be nowhere but where it was put for its holder.
#[derive(Clone)]
pub struct Secret {
    /// What to call it.
    pub name: String,
    /// The secret. At least as many bytes of high entropy as are looked for at a time.
    pub bytes: Vec<u8>,
    /// The files that its holder keeps it in.
    pub homes: Vec<PathBuf>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

/// A secret where it must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace {
    /// Which secret.
    pub secret: String,
    /// Written how.
    pub form: &'static str,
    /// Where.
    pub place: String,
}

/// Looks for many secrets at once.
#[derive(Debug)]
pub struct Search {
    secrets: Vec<Secret>,
    parts: AhoCorasick,
    /// For each pattern of `parts`, the secret and the form.
    meaning: Vec<(usize, &'static str)>,
}

impl Search {
    /// For all of `secrets`.
    #[must_use]
    pub fn of(secrets: Vec<Secret>) -> Self {
        let mut patterns = Vec::new();
        let mut meaning = Vec::new();
        for (number, secret) in secrets.iter().enumerate() {
            assert!(secret.bytes.len() >= PART, "{secret:?} is too short");
            for (form, text) in forms(&secret.bytes) {
                let length = if form == "raw" {
                    PART
                } else if form.starts_with("hex") {
                    2 * PART
                } else {
                    // 11 characters are 66 bits.
                    11
                };
                for part in text.windows(length) {
                    patterns.push(part.to_vec());
                    meaning.push((number, form));
                }
            }
        }
        let parts = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(patterns)
            .unwrap();
        Self {
            secrets,
            parts,
            meaning,
        }
    }

    /// The traces in some bytes, read as they are and with line breaks left out.
    #[must_use]
    pub fn in_bytes(&self, place: &str, bytes: &[u8]) -> BTreeSet<Trace> {
        self.at(place, None, bytes)
    }

    /// The traces in every file below `directory`, but for each secret's homes.
    #[must_use]
    pub fn in_tree(&self, directory: &Path) -> BTreeSet<Trace> {
        let mut traces = BTreeSet::new();
        for file in files(directory) {
            let bytes = fs::read(&file).unwrap();
            let place = file.display().to_string();
            traces.extend(self.at(&place, Some(&file), &bytes));
        }
        traces
    }

    /// The secrets that do not stand in all of their homes.
    #[must_use]
    pub fn away_from_home(&self) -> Vec<&Secret> {
        let at_home = |secret: &Secret| {
            secret.homes.iter().all(|home| {
                let found = self.at("home", None, &fs::read(home).unwrap());
                found.iter().any(|trace| trace.secret == secret.name)
            })
        };
        self.secrets
            .iter()
            .filter(|secret| !at_home(secret))
            .collect()
    }

    fn at(&self, place: &str, file: Option<&Path>, bytes: &[u8]) -> BTreeSet<Trace> {
        let joined: Vec<u8> = bytes
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let mut found = BTreeSet::new();
        for text in [bytes, &joined] {
            for part in self.parts.find_overlapping_iter(text) {
                found.insert(self.meaning[part.pattern().as_usize()]);
            }
        }
        found
            .into_iter()
            .map(|(number, form)| (&self.secrets[number], form))
            .filter(|(secret, _)| {
                !file.is_some_and(|file| secret.homes.iter().any(|home| home == file))
            })
            .map(|(secret, form)| Trace {
                secret: secret.name.clone(),
                form,
                place: place.to_owned(),
            })
            .collect()
    }
}

/// A secret in each form. Base64 comes at the three places that it can begin at
/// within a longer text, without the characters that its neighbours decide too.
fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("raw", secret.to_vec()),
        ("hex", hex::encode(secret).into_bytes()),
        ("hex, upper case", hex::encode_upper(secret).into_bytes()),
    ];
    for before in 0..3_usize {
        let mut shifted = vec![0; before];
        shifted.extend(secret);
        let first = (before * 8).div_ceil(6);
        let whole = shifted.len() * 8 / 6;
        for (form, engine) in [
            ("base64", &STANDARD_NO_PAD),
            ("base64url", &URL_SAFE_NO_PAD),
        ] {
            let text = engine.encode(&shifted).into_bytes();
            forms.push((form, text[first..whole].to_vec()));
        }
    }
    forms
}

/// Every file below a directory.
#[must_use]
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                all.push(entry.path());
            }
        }
    }
    all.sort();
    all
}
