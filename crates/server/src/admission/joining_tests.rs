//! Nodes that join, that are turned away, and that come back.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use chancery_consensus::DirectoryIdentity;
use chancery_credential::{Lineage, NodeNumber, Revision};

use super::*;

const API: &str = "127.0.0.1:7411";

/// An operator with a root, and the directories of nodes.
struct Story {
    home: tempfile::TempDir,
    root: Root,
    now: SystemTime,
}

impl Story {
    fn begin() -> Self {
        let home = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let domain = "example.org".parse().unwrap();
        let root = Root::create(&home.path().join("ca"), &domain, now).unwrap();
        Self { home, root, now }
    }

    fn node(&self, name: &str) -> (PathBuf, NodeKeys, NodeRequest) {
        let directory = self.home.path().join(name);
        let keys = NodeKeys::generate_in(&directory).unwrap();
        let request = NodeRequest::new(
            name.parse().unwrap(),
            API.to_owned(),
            "127.0.0.1:7412".to_owned(),
            &keys,
        );
        (directory, keys, request.unwrap())
    }

    fn names() -> [SubjectName; 1] {
        ["127.0.0.1".parse().unwrap()]
    }

    fn admit(&self, request: &NodeRequest, node: u64) -> Admission {
        let operator = NodeKeys::generate_in(&self.home.path().join(format!("op-{node}")));
        Admission {
            lineage: Lineage {
                generation: 1,
                random: u64::MAX - 7,
            },
            trust_domain: "example.org".parse().unwrap(),
            node: NodeNumber(node),
            name: request.name().clone(),
            api_address: request.api_address().to_owned(),
            peer_address: request.peer_address().to_owned(),
            peer_key: request.peer_key().clone(),
            server_certificate_chain: self.root.sign(request, &Self::names(), self.now).unwrap(),
            root_certificate: self.root.certificate_pem().to_owned(),
            peers: Vec::new(),
            as_of: Revision(0),
            birth: Some(Birth {
                settings: BirthSettings::new("example.org", "https://issuer.example.org").unwrap(),
                operators: vec![FirstOperator {
                    name: "alice".parse().unwrap(),
                    public_keys: vec![operator.unwrap().peer_public().spki().to_vec()],
                }],
            }),
            readmitted: false,
        }
    }
}

#[test]
fn a_node_joins_once_and_starts_from_what_was_installed() {
    let story = Story::begin();
    let (directory, keys, request) = story.node("node-1");
    let before = InstalledNode::load(&directory).unwrap_err();
    assert!(matches!(before, AdmissionError::NotJoined(_)), "{before}");

    let file = story.home.path().join("node-1.admission.json");
    story.admit(&request, 1).write_new(&file).unwrap();
    let admission = Admission::read(&file).unwrap();
    assert_eq!(admission, story.admit_again(&admission));
    assert_eq!(
        admission.install(&directory, &keys, story.now).unwrap(),
        Installed::Joined
    );

    let installed = InstalledNode::load(&directory).unwrap();
    assert_eq!(installed.admission(), &admission);
    assert_eq!(
        DirectoryIdentity::of_directory(&installed.data_directory()).unwrap(),
        Some(admission.identity())
    );
    let birth = installed.admission().birth().unwrap().unwrap();
    assert_eq!(birth.operators.len(), 1);
    assert!(birth.settings.check().is_ok());
    let files = installed.server_identity_files();
    assert!(files.certificate.exists() && files.key.exists());
}

impl Story {
    /// Through its file and back.
    fn admit_again(&self, admission: &Admission) -> Admission {
        let path = self.home.path().join("again.json");
        admission.write_new(&path).unwrap();
        Admission::read(&path).unwrap()
    }
}

#[test]
fn an_admission_for_other_keys_is_refused_and_leaves_nothing() {
    let story = Story::begin();
    let (_, _, first) = story.node("node-1");
    let (directory, keys, second) = story.node("node-2");

    let refused = story
        .admit(&first, 1)
        .install(&directory, &keys, story.now)
        .unwrap_err();
    assert!(
        matches!(refused, AdmissionError::OtherKeys("peer")),
        "{refused}"
    );

    // The right peer key under the other node's certificate.
    let mixed = Admission {
        server_certificate_chain: story.admit(&first, 3).server_certificate_chain,
        ..story.admit(&second, 2)
    };
    let refused = mixed.install(&directory, &keys, story.now).unwrap_err();
    assert!(
        matches!(refused, AdmissionError::OtherKeys("server")),
        "{refused}"
    );
    assert!(!directory.join(ADMISSION_FILE).exists() && !directory.join("data").exists());
}

#[test]
fn a_certificate_that_clients_would_not_trust_is_refused() {
    let story = Story::begin();
    let (directory, keys, request) = story.node("node-1");
    let admission = story.admit(&request, 1);
    let day = Duration::from_secs(24 * 60 * 60);
    for (what, now) in [
        ("expired", story.now + 91 * day),
        ("not yet", story.now - 2 * day),
    ] {
        let refused = admission.install(&directory, &keys, now).unwrap_err();
        assert!(
            matches!(refused, AdmissionError::Untrusted(_)),
            "{what}: {refused}"
        );
    }
    let stranger = Story::begin();
    let other_root = Admission {
        root_certificate: stranger.root.certificate_pem().to_owned(),
        ..admission.clone()
    };
    let refused = other_root
        .install(&directory, &keys, story.now)
        .unwrap_err();
    assert!(matches!(refused, AdmissionError::Untrusted(_)), "{refused}");
    let elsewhere = Admission {
        api_address: "127.0.0.2:7411".to_owned(),
        ..admission
    };
    let refused = elsewhere.install(&directory, &keys, story.now).unwrap_err();
    assert!(matches!(refused, AdmissionError::Untrusted(_)), "{refused}");
}

#[test]
fn a_fresh_admission_renews_and_another_nodes_does_not() {
    let story = Story::begin();
    let (directory, keys, request) = story.node("node-1");
    let former = story.admit(&request, 1);
    former.install(&directory, &keys, story.now).unwrap();

    let later = story.now + Duration::from_secs(80 * 24 * 60 * 60);
    let renewed = story.root.renew(&former, &Story::names(), later).unwrap();
    assert_ne!(
        renewed.server_certificate_chain,
        former.server_certificate_chain
    );
    assert_eq!(
        renewed.install(&directory, &keys, later).unwrap(),
        Installed::Renewed
    );
    let certificate = directory.join(SERVER_CERTIFICATE_FILE);
    assert_eq!(
        fs::read_to_string(certificate).unwrap(),
        renewed.server_certificate_chain
    );

    let renumbered = Admission {
        node: NodeNumber(9),
        ..former.clone()
    };
    let refused = renumbered
        .install(&directory, &keys, story.now)
        .unwrap_err();
    assert!(
        matches!(refused, AdmissionError::AlreadyJoined { node: 1, .. }),
        "{refused}"
    );

    let stranger = Story::begin();
    let refused = stranger
        .root
        .renew(&former, &Story::names(), later)
        .unwrap_err();
    assert!(matches!(refused, AdmissionError::OtherRoot(_)), "{refused}");
}

#[test]
fn a_member_whose_data_is_gone_is_not_made_anew() {
    let story = Story::begin();
    let (directory, keys, request) = story.node("node-1");
    let admission = story.admit(&request, 1);
    admission.install(&directory, &keys, story.now).unwrap();
    fs::remove_dir_all(directory.join("data")).unwrap();
    let refused = admission.install(&directory, &keys, story.now).unwrap_err();
    assert!(
        matches!(refused, AdmissionError::DataGone { node: 1, .. }),
        "{refused}"
    );
    assert!(!directory.join("data").exists());
}

#[test]
fn a_member_does_not_start_without_its_own_data() {
    let story = Story::begin();
    let (directory, keys, request) = story.node("node-1");
    let admission = story.admit(&request, 1);
    admission.install(&directory, &keys, story.now).unwrap();
    let data = directory.join("data");

    fs::remove_dir_all(&data).unwrap();
    let missing = InstalledNode::load(&directory).unwrap_err();
    fs::create_dir(&data).unwrap();
    let empty = InstalledNode::load(&directory).unwrap_err();
    for refused in [missing, empty] {
        assert!(
            matches!(refused, AdmissionError::DataGone { node: 1, .. }),
            "{refused}"
        );
    }

    let elsewhere = Admission {
        node: NodeNumber(2),
        ..admission
    };
    elsewhere.identity().create_directory(&data).unwrap();
    let other = InstalledNode::load(&directory).unwrap_err();
    assert!(matches!(other, AdmissionError::OtherData { .. }), "{other}");
    assert!(other.to_string().contains("node 2 of lineage"), "{other}");
}

#[test]
fn joining_that_was_interrupted_can_be_done_again() {
    let story = Story::begin();
    let (directory, keys, request) = story.node("node-1");
    let admission = story.admit(&request, 1);
    admission
        .identity()
        .create_directory(&directory.join("data"))
        .unwrap();
    assert_eq!(
        admission.install(&directory, &keys, story.now).unwrap(),
        Installed::Joined
    );
}

#[test]
fn a_node_does_not_start_with_keys_that_were_exchanged() {
    let story = Story::begin();
    let (directory, keys, request) = story.node("node-1");
    story
        .admit(&request, 1)
        .install(&directory, &keys, story.now)
        .unwrap();
    let (other, ..) = story.node("node-2");
    fs::rename(other.join("peer.key"), directory.join("peer.key")).unwrap();
    let refused = InstalledNode::load(&directory).unwrap_err();
    assert!(
        matches!(refused, AdmissionError::OtherKeys("peer")),
        "{refused}"
    );
}

#[test]
fn both_files_are_in_the_corpus_of_their_parsers() {
    let story = Story::begin();
    let (_, _, request) = story.node("node-1");
    let text = request.text().unwrap();
    chancery_fuzzing::keep("node_request", "ok-of-node-1", text.as_bytes());
    let first = story.admit(&request, 1);
    chancery_fuzzing::keep(
        "admission",
        "ok-of-the-first",
        first.text().unwrap().as_bytes(),
    );
    let mut second = story.admit(&request, 2);
    second.birth = None;
    second.peers = vec![AdmittedPeer {
        number: NodeNumber(1),
        name: "node-1".to_owned(),
        peer_address: "127.0.0.1:7412".to_owned(),
        api_address: API.to_owned(),
        public_key: request.peer_key().clone(),
    }];
    chancery_fuzzing::keep(
        "admission",
        "ok-of-the-second",
        second.text().unwrap().as_bytes(),
    );
    let pem = spki_pem(request.server_key().spki());
    chancery_fuzzing::keep("public_key_pem", "ok-public-key", pem.as_bytes());
    let certificate = story.root.certificate_pem();
    chancery_fuzzing::keep("public_key_pem", "ok-certificate", certificate.as_bytes());
}
