//! Fuzz targets for what the SDK reads of others (`chancery-fuzzing` says what one
//! is). What the API's messages say is typed in protobuf and interpreted by nobody
//! here.

use chancery_credential::{Lineage, Revision};
use chancery_revocation::{Change, View};
use chancery_wire::v1;
use prost::Message;
use tonic::{Code, Status};

use crate::{Identity, Refusal, protect::Bearer, verifier::decode_changes};

/// The details of a refusal (`grpc-status-details-bin`), which any node, or whoever
/// plays one, may have written.
pub fn refusal(input: &[u8]) -> bool {
    let details = input.to_vec().into();
    let status = Status::with_details(Code::PermissionDenied, "a message", details);
    let refusal = Refusal::of(&status);
    assert_eq!(refusal.code, Code::PermissionDenied);
    let shown = refusal.to_string();
    assert!(shown.starts_with("a message"));
    assert!(shown.contains(&refusal.reason) && shown.ends_with(&refusal.remedy));
    !refusal.reason.is_empty()
}

/// A private key, PEM.
pub fn identity(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(identity) = Identity::from_pem(text, None) else {
        return false;
    };
    let (key, certificate) = (identity.private_key_pem(), identity.certificate_pem());
    let again = Identity::from_pem(&key, Some(&certificate)).unwrap();
    assert_eq!(again.public_key(), identity.public_key());
    assert_eq!(
        again.certificate_thumbprint(),
        identity.certificate_thumbprint()
    );
    true
}

/// Changes of a view, as a feed tells them.
pub fn told_changes(input: &[u8]) -> bool {
    let Ok(delta) = v1::ViewDelta::decode(input) else {
        return false;
    };
    let told = delta.changes.len();
    let Ok(changes) = decode_changes(delta.changes) else {
        return false;
    };
    assert_eq!(changes.len(), told, "none is passed over");
    let view = View::new(Lineage {
        generation: 1,
        random: 1,
    });
    view.publish_changes(Revision(1), &changes);
    for change in changes {
        match change {
            Change::Floor(floor) => assert!(view.floor() >= floor),
            Change::Time(seconds) => assert!(view.time() >= seconds),
            _ => {}
        }
    }
    true
}

/// What a caller of a protected service says in `Authorization`.
pub fn bearer(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Bearer::Token(token) = Bearer::parse(text) else {
        return false;
    };
    assert!(text.ends_with(token) && !token.is_empty());
    assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! { refusal, identity, told_changes, bearer }
}

#[cfg(test)]
mod corpus {
    use std::collections::HashMap;

    use chancery_fuzzing::keep;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    #[test]
    fn what_this_sdk_has_to_read_is_in_the_corpus() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("NO_GRANT", "chancery", HashMap::new())
            .set_localized_message("en", "ask for less")
            .set_retry_info(Some(std::time::Duration::from_secs(1)));
        let whole = Status::with_error_details(Code::NotFound, "a message", details);
        keep("refusal", "ok-whole", whole.details());
        let identity = Identity::generate().unwrap();
        let key = identity.private_key_pem();
        keep("identity", "ok-p256", key.as_bytes());
    }
}
