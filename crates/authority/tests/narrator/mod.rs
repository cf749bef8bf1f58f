//! Carries out the lines of a transcript, and says what came of them.

mod commands;
mod words;

use std::collections::BTreeMap;

use chancery_authority::IssuerStanding;
use chancery_credential::{IssuerNumber, KeyThumbprint, UnverifiedToken};

use crate::support::{World, key};
pub use words::Words;

pub struct Narrator {
    world: World,
    tokens: BTreeMap<String, String>,
    /// How the keys are called in the story.
    keys: BTreeMap<KeyThumbprint, String>,
}

impl Narrator {
    /// Born, with the four operators.
    pub fn new() -> Self {
        let mut narrator = Self {
            world: World::born(),
            tokens: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        for name in ["root", "rita", "rob", "ada"] {
            narrator.key(name);
        }
        narrator
    }

    pub fn tell(&mut self, line: &str) -> Vec<String> {
        let words = Words::of(line);
        match words.first() {
            "wait" => {
                let seconds: u64 = words.word(1).trim_end_matches('s').parse().unwrap();
                self.world.pass_ms(seconds * 1_000);
                Vec::new()
            }
            "mint" => vec![self.mint(&words)],
            "judge" => self.judge(),
            "issuers" => self.issuers(),
            _ => self.command(&words),
        }
    }

    fn key(&mut self, name: &str) -> KeyThumbprint {
        let thumbprint = key(name);
        self.keys.insert(thumbprint, name.to_owned());
        thumbprint
    }

    fn mint(&mut self, words: &Words<'_>) -> String {
        let issuer = IssuerNumber(words.value("issuer").unwrap().parse().unwrap());
        let name = words.value("as").unwrap();
        match self.world.mint(words.word(1), issuer) {
            Ok(token) => {
                let claims = UnverifiedToken::parse(&token).unwrap().claims().clone();
                self.tokens.insert(name.to_owned(), token);
                let list = |names: Vec<String>| match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(" "),
                };
                format!(
                    "  {name}: rev {}, owners {}, sets {}",
                    claims.rev,
                    list(claims.own.iter().map(ToString::to_string).collect()),
                    list(claims.set.iter().map(ToString::to_string).collect()),
                )
            }
            Err(refusal) => format!("  not minted: {refusal}"),
        }
    }

    fn judge(&self) -> Vec<String> {
        let judged =
            |(name, token): (&String, &String)| format!("  {name}: {}", self.world.judge(token));
        self.tokens.iter().map(judged).collect()
    }

    fn issuers(&self) -> Vec<String> {
        let shown = self.world.state.issuers().map(|issuer| {
            let standing = match issuer.standing {
                IssuerStanding::Open => "open".to_owned(),
                IssuerStanding::Retired(at) => format!("retired at {at}"),
                IssuerStanding::Revoked(at) => format!("revoked at {at}"),
            };
            format!(
                "  issuer {} of node {}, epoch {}, process {}: {standing}",
                issuer.number, issuer.node, issuer.epoch, issuer.process
            )
        });
        shown.collect()
    }
}
