//! Fuzz targets for the files that travel between a node and the operator
//! (`chancery-fuzzing` says what one is).

use super::{Admission, NodeRequest, SubjectName, host_of, spki_from_pem, spki_pem};

/// A request file: only one whose proofs hold is understood, so all of it is as the
/// node wrote it.
pub fn node_request(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(request) = NodeRequest::parse("request.json", text) else {
        return false;
    };
    let written = request.text().unwrap();
    let again = NodeRequest::parse("request.json", &written).unwrap();
    assert_eq!(again.text().unwrap(), written);
    assert_ne!(request.peer_key().spki(), request.server_key().spki());
    true
}

/// An admission file.
pub fn admission(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(admission) = Admission::parse("admission.json", text) else {
        return false;
    };
    let written = admission.text().unwrap();
    let again = Admission::parse("admission.json", &written).unwrap();
    assert_eq!(again.text().unwrap(), written);
    true
}

/// A public key or a certificate, PEM.
pub fn public_key_pem(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(spki) = spki_from_pem(text) else {
        return false;
    };
    assert_eq!(spki_from_pem(&spki_pem(&spki)), Ok(spki));
    true
}

/// An address, `host:port`.
pub fn address(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(host) = host_of(text) else {
        return false;
    };
    assert_eq!(host.to_string().parse::<SubjectName>().unwrap(), host);
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! { node_request, admission, public_key_pem, address }
}
