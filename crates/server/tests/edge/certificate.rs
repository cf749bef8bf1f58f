//! The server certificate: its files, and their replacement while it serves.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use chancery_server::tls::{IdentityError, ServerIdentity};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::support::{Node, ServerFiles, call, node::NOW};

async fn shown(node: &Node) -> CertificateDer<'static> {
    let tls = call::shake_hands(node.address, call::client_config(None, b"h2"))
        .await
        .unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_from_the_next_handshake_on() {
    let node = Node::start().await;
    let former = shown(&node).await;
    let standing = node.connect_as_nobody().await;
    let (certificate, key) = ServerFiles::issue((2020, 2090));

    // Half of it is there: the former stays.
    node.files.write_key(&key);
    assert!(matches!(
        node.identity.reload(NOW as i64),
        Err(IdentityError::Mismatch { .. })
    ));
    assert_eq!(shown(&node).await, former);

    node.files.write_certificate(&certificate);
    assert!(node.identity.reload(NOW as i64).unwrap());
    let renewed = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    assert_eq!(shown(&node).await, renewed);
    assert!(
        !node.identity.reload(NOW as i64).unwrap(),
        "nothing changed since"
    );

    let answer = standing.call("/grpc.health.v1.Health/Check").await;
    assert_eq!(answer.status().await.code(), tonic::Code::Ok);
}

#[tokio::test]
async fn a_certificate_that_has_run_out_replaces_nothing() {
    let node = Node::start().await;
    let former = shown(&node).await;
    let (certificate, key) = ServerFiles::issue((2020, 2021));
    node.files.write_key(&key);
    node.files.write_certificate(&certificate);
    assert!(matches!(
        node.identity.reload(NOW as i64),
        Err(IdentityError::OutOfDate { .. })
    ));
    assert_eq!(shown(&node).await, former);
    // A node that restarts with it still votes and counts.
    let validity = ServerIdentity::load(node.files.paths()).unwrap().validity();
    assert!(validity.remaining(NOW as i64) < 0);
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let files = ServerFiles::new();
    let key = files.paths().key;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = ServerIdentity::load(files.paths()).unwrap_err();
    assert!(matches!(
        error,
        IdentityError::KeyExposed { mode: 0o640, .. }
    ));
    assert!(
        error
            .to_string()
            .contains(&format!("chmod 600 {}", key.display())),
        "{error}"
    );
}

#[test]
fn files_that_hold_something_else_are_refused_by_name() {
    let files = ServerFiles::new();
    let paths = files.paths();
    files.write_certificate("nothing");
    assert!(
        matches!(ServerIdentity::load(files.paths()), Err(IdentityError::NoCertificate(path)) if path == paths.certificate)
    );
    let files = ServerFiles::new();
    let paths = files.paths();
    files.write_key("nothing");
    assert!(
        matches!(ServerIdentity::load(files.paths()), Err(IdentityError::NoKey(path)) if path == paths.key)
    );
    files.write_key(&"x".repeat(70_000));
    assert!(
        matches!(ServerIdentity::load(files.paths()), Err(IdentityError::TooLong(path)) if path == paths.key)
    );
    fs::remove_file(&paths.key).unwrap();
    assert!(matches!(
        ServerIdentity::load(files.paths()),
        Err(IdentityError::Unreadable { .. })
    ));
}

#[test]
fn a_key_never_prints() {
    let identity = ServerIdentity::load(ServerFiles::new().paths()).unwrap();
    let printed = format!("{identity:?}");
    assert!(
        printed.contains("not_after") && !printed.contains("PRIVATE"),
        "{printed}"
    );
}
