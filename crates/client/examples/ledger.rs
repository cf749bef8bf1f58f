//! A service that only tokens open, over HTTP:
//!
//! ```text
//! cargo run --example ledger -- 127.0.0.1:8080 127.0.0.1:7411 profile
//! ```
//!
//! where `profile` is a directory as `chancery service add` leaves it: `root.pem`,
//! `identity.key`, `identity.pem`.

use std::{error::Error, fs, path::PathBuf, time::Duration};

use axum::{Extension, Router, routing::get};
use chancery_client::{
    Accepted, Client, Config, Identity, Protect, RetryPolicy, Verifier, VerifierConfig,
};

/// Everything below `protect` is served only with a token for this audience that allows
/// to read.
pub fn app(verifier: Verifier) -> Result<Router, Box<dyn Error>> {
    let protect = Protect::new(verifier, "https://ledger.example/v1".parse()?)
        .with_scopes("ledger:read".parse()?);
    Ok(Router::new().route("/balance", get(balance)).layer(protect))
}

async fn balance(Extension(token): Extension<Accepted>) -> String {
    format!("{} may read the balance\n", token.sub)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().ok_or(what);
    let listen = next("where to listen")?;
    let node = next("a node, host:port")?;
    let profile = PathBuf::from(next("the profile's directory")?);
    let read = |name| fs::read_to_string(profile.join(name));

    let client = Client::new(Config {
        endpoints: vec![node],
        root: read("root.pem")?,
        identity: Some(Identity::from_pem(
            &read("identity.key")?,
            Some(&read("identity.pem")?),
        )?),
        retry: RetryPolicy::default(),
    })?;
    let verifier = Verifier::follow(&client, VerifierConfig::default());
    verifier.ready(Duration::from_secs(10)).await?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, app(verifier)?).await?)
}
