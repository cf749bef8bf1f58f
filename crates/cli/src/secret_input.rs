//! Tokens come from a file or from standard input, never from the command line,
//! where everybody on the machine can read them.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use chancery_credential::TokenId;
use clap::Args;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// No token is longer (8 KiB), white space apart.
const MAX_INPUT_BYTES: u64 = 16 << 10;

/// Where a token is read from.
#[derive(Debug, Clone, Args)]
pub struct TokenInput {
    /// File with the token; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    from: PathBuf,
}

impl TokenInput {
    /// Whether what stands in the place of the file is a token's id.
    pub fn is_named_like_an_id(&self) -> bool {
        let name = self.from.to_str();
        name.is_some_and(|name| name.parse::<TokenId>().is_ok())
    }

    /// Reads the token.
    pub fn read(&self) -> Result<Zeroizing<String>, Failure> {
        if looks_like_a_token(&self.from) {
            return Err(Failure::usage(
                "this is a token, and the command line is open to everybody on this machine",
            )
            .next("give a file or standard input; if this was a bearer token, revoke it"));
        }
        // Room for all of it, so that growing leaves no unwiped copy behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_INPUT_BYTES as usize + 1));
        let read = if self.from.as_os_str() == "-" {
            std::io::stdin()
                .take(MAX_INPUT_BYTES + 1)
                .read_to_string(&mut text)
        } else {
            std::fs::File::open(&self.from)
                .and_then(|file| file.take(MAX_INPUT_BYTES + 1).read_to_string(&mut text))
        };
        let from = self.from.display();
        read.map_err(|error| {
            Failure::local(format_args!(
                "no token could be read from `{from}`: {error}"
            ))
        })?;
        if text.len() as u64 > MAX_INPUT_BYTES {
            return Err(Failure::usage(format_args!(
                "`{from}` is longer than any token"
            )));
        }
        let token = text.trim();
        if token.is_empty() {
            return Err(Failure::usage(format_args!("`{from}` holds no token")));
        }
        Ok(Zeroizing::new(token.to_owned()))
    }
}

/// A JWS in compact form begins with base64url of `{"`.
fn looks_like_a_token(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.starts_with("eyJ") && text.matches('.').count() == 2
}
