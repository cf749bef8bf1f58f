//! Each fuzz target is run by `cargo test`, has a corpus, and is wrapped for
//! cargo-fuzz.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use chancery_tests::trace::files;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The targets of each crate, by the files called `fuzz_targets.rs` in it.
fn targets() -> BTreeMap<String, BTreeSet<String>> {
    let mut targets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(&root().join("crates")) {
        if file
            .file_name()
            .is_none_or(|name| name != "fuzz_targets.rs")
        {
            continue;
        }
        let path = file.display().to_string();
        let (_, within) = path.rsplit_once("crates/").unwrap();
        let (room, _) = within.split_once('/').unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let names: BTreeSet<String> = text
            .lines()
            .filter(|line| line.ends_with("(input: &[u8]) -> bool {"))
            .map(|line| {
                let line = line.strip_prefix("pub ").unwrap_or(line);
                let line = line.strip_prefix("fn ").unwrap();
                line.split_once('(').unwrap().0.to_owned()
            })
            .collect();
        let run = exercised(&text);
        assert_eq!(names, run, "{path}: a target that is not run, or is none");
        targets.entry(room.to_owned()).or_default().extend(names);
    }
    targets
}

/// What stands in `chancery_fuzzing::exercise! { … }`.
fn exercised(text: &str) -> BTreeSet<String> {
    let (_, list) = text.split_once("exercise! {").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    let names = list.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = targets().into_values().flatten().collect();
    let corpora: BTreeSet<String> = fs::read_dir(root().join("fuzz/corpus"))
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(targets, corpora);
}

#[test]
fn every_target_of_a_library_is_wrapped_for_cargo_fuzz() {
    let fuzz = root().join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let mut expected = BTreeSet::new();
    for (room, names) in targets() {
        if room == "cli" {
            continue; // A binary: nothing can be linked with it.
        }
        for name in names {
            let call = format!("chancery_{room}::fuzz_targets::{name}(input);");
            let wrapper = fuzz.join(format!("fuzz_targets/{name}.rs"));
            let text = fs::read_to_string(&wrapper).unwrap_or_default();
            assert!(text.contains(&call), "{}", wrapper.display());
            assert!(
                manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
                "{name}"
            );
            expected.insert(wrapper);
        }
    }
    let wrapped: BTreeSet<PathBuf> = files(&fuzz.join("fuzz_targets")).into_iter().collect();
    assert_eq!(wrapped, expected);
}
