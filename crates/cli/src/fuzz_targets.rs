//! A fuzz target for each parser of the command line and of a client's files
//! (`chancery-fuzzing` says what one is). Here they are run by `cargo test` only:
//! nothing can be linked with a binary.

use std::time::{Duration, UNIX_EPOCH};

use crate::{
    command::{agent::grant::Grant, token::inspect::inspect},
    order::RequestId,
    profile::Profile,
    span::{Expiry, Moment, Span, instant},
};

fn text(input: &[u8]) -> &str {
    std::str::from_utf8(input).unwrap_or_default()
}

/// `client.toml`.
fn client_profile(input: &[u8]) -> bool {
    let Ok(profile) = Profile::parse(text(input)) else {
        return false;
    };
    let written = profile.text().unwrap();
    assert_eq!(Profile::parse(&written).unwrap(), profile);
    true
}

/// A token that is only looked at.
fn inspected_token(input: &[u8]) -> bool {
    let Ok(view) = inspect(text(input)) else {
        return false;
    };
    let shown = serde_json::to_value(&view).unwrap();
    assert_eq!(shown.pointer("/verified"), Some(&false.into()));
    shown.pointer("/well_formed") == Some(&true.into())
}

/// A span.
fn span(input: &[u8]) -> bool {
    let Ok(span) = text(input).parse::<Span>() else {
        return false;
    };
    assert_eq!(span.to_string().parse(), Ok(span));
    let _ = (span.whole_seconds("it"), span.milliseconds("it"));
    true
}

/// When a registration ends: never 0, which says that it does not.
fn expiry(input: &[u8]) -> bool {
    let Ok(expiry) = text(input).parse::<Expiry>() else {
        return false;
    };
    let seconds = expiry.seconds(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    assert_ne!(seconds, 0);
    assert!(instant(seconds).is_some());
    true
}

/// A moment in the past: an instant is the same whenever it is asked for.
fn moment(input: &[u8]) -> bool {
    let Ok(moment) = text(input).parse::<Moment>() else {
        return false;
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let (at, later) = (
        moment.milliseconds(now),
        moment.milliseconds(now + Duration::from_secs(1)),
    );
    match moment {
        Moment::At(_) => assert_eq!(at, later),
        Moment::Ago(_) => assert!(at <= 1_700_000_000_000 && at <= later),
    }
    true
}

/// A grant in one argument.
fn grant_argument(input: &[u8]) -> bool {
    let Ok(grant) = text(input).parse::<Grant>() else {
        return false;
    };
    let grant = &grant.0;
    let words = [&grant.audience].into_iter().chain(&grant.scopes);
    assert!(
        words
            .clone()
            .all(|word| !word.is_empty() && !word.contains(' '))
    );
    assert!(words.count() > 1);
    true
}

/// The id of a former try.
fn request_id_argument(input: &[u8]) -> bool {
    let Ok(id) = text(input).parse::<RequestId>() else {
        return false;
    };
    assert_eq!(id.text().parse::<RequestId>().unwrap().text(), id.text());
    true
}

mod tests {
    chancery_fuzzing::exercise! {
        client_profile,
        inspected_token,
        span,
        expiry,
        moment,
        grant_argument,
        request_id_argument,
    }
}
