//! Server certificates that are renewed while the node serves, and a node that is
//! brought back by a fresh admission.

use std::{fs, sync::Arc};

use chancery_tests::{
    chancery::{json, run, succeed},
    cluster::Cluster,
    node::Node,
    peer::handshake,
    until::until,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::shell::said;

/// The certificate that a node shows to clients who trust the root.
async fn served(node: &Node, root: &str) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(node.api()).await.unwrap();
    let name = ServerName::try_from(node.address.to_string()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let tls = connector.connect(name, tcp).await.unwrap();
    let (_, session) = tls.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

fn serial(certificate: &CertificateDer<'_>) -> String {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    parsed.raw_serial_as_string()
}

/// `node renew`, where the operator is, of what `former` holds.
fn renew<'a>(node: &'a str, former: &'a str, renewed: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["node", "renew", former, "--san", node, "--ca", "ca"];
    arguments.extend(["--admission", renewed]);
    arguments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let cluster = Cluster::of(1).await;
    let (home, root, node) = (cluster.path(), cluster.root(), &cluster.nodes[0]);
    let san = node.address.to_string();
    let before = served(node, &root).await;

    let renewed = json(&home, &renew(&san, "n1.admission", "n1.renewed"));
    assert_eq!(
        (&renewed["node"], &renewed["name"]),
        (&1.into(), &"n1".into())
    );
    let joined = json(&home, &["join", "--dir", "n1", "n1.renewed"]);
    assert_eq!(joined["installed"], "a fresh admission of this node");
    let installed = fs::read(home.join("n1/server.pem")).unwrap();
    let installed = CertificateDer::from_pem_slice(&installed).unwrap();
    assert_ne!(serial(&before), serial(&installed));

    until("the node served the renewed certificate", || async {
        let now = served(node, &root).await;
        let is_renewed = serial(&now) == serial(&installed);
        assert!(is_renewed || now == before, "it served a third certificate");
        is_renewed.then_some(())
    })
    .await;
    assert_eq!(served(node, &root).await, installed);
    cluster.serving(0).await;

    let again = run(&home, &renew(&san, "n1.admission", "n1.renewed"));
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(
        said(&again).contains("never overwritten"),
        "{}",
        said(&again)
    );
}

/// It was admitted when there was one other node, and started when that one was
/// lost and others had taken its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_knows_no_present_member_is_brought_back_by_a_fresh_admission() {
    let mut cluster = Cluster::of(1).await;
    let home = cluster.path();
    let away = cluster.admit();
    for _ in 0..2 {
        let joined = cluster.join().await;
        cluster.promote(joined).await;
    }
    cluster.nodes[0].kill();
    cluster.leader(&[2, 3]).await;

    let key_of = |node: &str| fs::read_to_string(home.join(node).join("peer.key")).unwrap();
    cluster.nodes[away].start();
    let (peer, san) = (
        cluster.nodes[away].peer(),
        cluster.nodes[away].address.to_string(),
    );
    until("the node listened for its peers", || async {
        TcpStream::connect(&peer).await.ok()
    })
    .await;
    assert!(
        handshake(&peer, &key_of("n1")).await.is_ok(),
        "whom it was told of"
    );
    for present in ["n3", "n4"] {
        let stranger = handshake(&peer, &key_of(present)).await;
        assert!(stranger.is_err(), "it knows none of the present nodes");
    }

    let mut fresh = renew(&san, "n2.admission", "n2.fresh");
    // Asked at a node that is present: the one to be brought back knows nobody.
    let present = cluster.nodes[2].api();
    fresh.extend(["--peers", "--profile", "profile", "--endpoint", &present]);
    succeed(&home, &fresh);
    succeed(&home, &["join", "--dir", "n2", "n2.fresh"]);
    assert_eq!(cluster.nodes[away].stop(), Some(0));
    cluster.nodes[away].start();
    cluster.serving(away).await;
    let status = cluster.status(away).await.unwrap();
    assert_eq!(status.node, 2, "it is the same node");
}
