//! Golden transcripts: stories in `transcripts/*.txt` that a reviewer can read.
//! A line after `> ` is what somebody does; what follows, up to an empty line, is
//! what came of it. `REWRITE=1 cargo test -p chancery-authority --test transcripts`
//! writes what comes of it now; read the difference before you keep it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod narrator;
mod support;

use std::fs;
use std::path::Path;

use narrator::Narrator;

/// The story again, with what came of each line now.
fn retold(story: &str) -> String {
    let mut narrator = Narrator::new();
    let mut told = String::new();
    let mut outcome = false;
    for line in story.lines() {
        if let Some(deed) = line.strip_prefix("> ") {
            told.push_str(line);
            told.push('\n');
            for consequence in narrator.tell(deed) {
                told.push_str(&consequence);
                told.push('\n');
            }
            outcome = true;
            continue;
        }
        // The former outcome ends with an empty line.
        outcome &= !line.is_empty();
        if !outcome {
            told.push_str(line);
            told.push('\n');
        }
    }
    told
}

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(name);
    let story = fs::read_to_string(&path).unwrap();
    let told = retold(&story);
    if std::env::var_os("REWRITE").is_some() {
        fs::write(&path, told).unwrap();
        return;
    }
    let lines = story.lines().zip(told.lines()).enumerate();
    for (at, (expected, came)) in lines {
        assert_eq!(came, expected, "{name}:{}", at + 1);
    }
    assert_eq!(told, story, "{name}");
}

#[test]
fn the_life_of_an_agent() {
    check("agent.txt");
}

#[test]
fn the_life_of_an_issuer() {
    check("issuer.txt");
}

#[test]
fn the_life_of_a_revocation() {
    check("revocation.txt");
}
