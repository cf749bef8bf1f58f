//! Who is not in the record gets nothing, and who is in it speaks for itself only.

use bytes::Bytes;
use chancery_authority::{Actor, Command, Meta};
use chancery_credential::{NodeNumber, Revision};
use chancery_wire::peer as pb;
use tonic::{Code, Status};

use super::cluster::{Cluster, PATIENCE, eventually, new_peer_key, owner};
use crate::{
    Clocks, Departure, MembershipChange, SystemClocks, codec,
    peers::{
        dialer::{Dialer, Lane, PeerClient},
        listener::{HANDSHAKE_LIMIT, HANDSHAKES},
        tls::PeerIdentity,
    },
};

/// A connection to node `to` with the key `pkcs8`, which reaches everybody.
async fn connect(cluster: &Cluster, pkcs8: &[u8], to: u64) -> PeerClient {
    let identity = PeerIdentity::from_pkcs8(pkcs8).unwrap();
    let wire = cluster.board.listen(99, None).await;
    let dialer = Dialer::new(identity, wire);
    dialer
        .client(
            NodeNumber(to),
            &cluster.machines[&to].record(),
            Lane::Control,
        )
        .unwrap()
}

fn question(from: u64) -> pb::ProveFreshRequest {
    let wall_ms = crate::Clocks::wall_ms(&crate::SystemClocks);
    pb::ProveFreshRequest {
        from,
        wall_ms,
        state_digest: None,
        report: Some(report()),
    }
}

fn report() -> pb::Report {
    let process = pb::Process {
        incarnation: 1,
        start: 99,
        random: 1,
    };
    pb::Report {
        process: Some(process),
        applied: 0,
        verifiers: None,
    }
}

/// Every call that a peer can make, as node `from`.
async fn every_call(client: &mut PeerClient, from: u64) -> Vec<(&'static str, Status)> {
    let vote = pb::VoteRequest {
        from,
        ..Default::default()
    };
    let transfer = pb::TransferLeaderRequest {
        from,
        ..Default::default()
    };
    let append = futures::stream::iter([pb::AppendRequest {
        from,
        ..Default::default()
    }]);
    let chunks = futures::stream::iter([pb::SnapshotChunk {
        from,
        part: Some(pb::snapshot_chunk::Part::Rows(pb::SnapshotRows::default())),
    }]);
    let proposal = pb::ProposeRequest {
        from,
        proposal: Bytes::new(),
        ..Default::default()
    };
    let applied = pb::ReportAppliedRequest {
        from,
        report: Some(report()),
        ended_in: Some(1),
    };
    let awaited = pb::AwaitEnforcedRequest {
        from,
        ..Default::default()
    };
    let change = pb::ChangeMembershipRequest {
        from,
        change: Some(pb::change_membership_request::Change::Promote(from)),
        look_only: false,
    };
    let append = match client.append(append).await {
        Ok(answers) => match answers.into_inner().message().await {
            Ok(answer) => panic!("an append was answered: {answer:?}"),
            Err(status) => status,
        },
        Err(status) => status,
    };
    vec![
        ("Append", append),
        ("Vote", client.vote(vote).await.unwrap_err()),
        ("PreVote", client.pre_vote(vote).await.unwrap_err()),
        (
            "TransferLeader",
            client.transfer_leader(transfer).await.unwrap_err(),
        ),
        (
            "InstallSnapshot",
            client.install_snapshot(chunks).await.unwrap_err(),
        ),
        (
            "ProveFresh",
            client.prove_fresh(question(from)).await.unwrap_err(),
        ),
        (
            "ReportApplied",
            client.report_applied(applied).await.unwrap_err(),
        ),
        (
            "AwaitEnforced",
            client.await_enforced(awaited).await.unwrap_err(),
        ),
        ("Propose", client.propose(proposal).await.unwrap_err()),
        (
            "ChangeMembership",
            client.change_membership(change).await.unwrap_err(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_an_unknown_key_gets_nothing() {
    let cluster = Cluster::born().await;
    let before = cluster.nodes[&1].state_digest();
    let mut stranger = connect(&cluster, &new_peer_key(), 1).await;
    for (call, status) in every_call(&mut stranger, 1).await {
        // Hung up on, before any service could say a word.
        let hung_up = matches!(
            status.code(),
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
        );
        assert!(hung_up, "{call}: {status}");
    }
    assert_eq!(cluster.nodes[&1].state_digest(), before);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_claims_another_number_is_refused_at_every_call() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    let before = cluster.nodes[&1].state_digest();
    let mut liar = connect(&cluster, &cluster.machines[&2].key, 1).await;
    for (call, status) in every_call(&mut liar, 1).await {
        assert_eq!(status.code(), Code::PermissionDenied, "{call}: {status}");
    }
    // The same connection speaks for itself.
    liar.prove_fresh(question(2)).await.unwrap();
    assert_eq!(cluster.nodes[&1].state_digest(), before);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_does_not_talk_to_an_impostor() {
    let cluster = Cluster::born().await;
    let identity = PeerIdentity::from_pkcs8(&cluster.machines[&1].key).unwrap();
    let dialer = Dialer::new(identity, cluster.board.listen(99, None).await);
    let mut record = cluster.machines[&1].record();
    record.peer_public_key = PeerIdentity::from_pkcs8(&new_peer_key())
        .unwrap()
        .spki()
        .to_vec();
    let mut client = dialer
        .client(NodeNumber(1), &record, Lane::Control)
        .unwrap();
    let status = client.prove_fresh(question(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_speaks_for_itself_and_through_itself_only() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    let mut client = connect(&cluster, &cluster.machines[&2].key, 1).await;
    let command = owner("forwarded");
    let meta = |actor: Actor| Meta {
        actor,
        key: Some(chancery_credential::KeyThumbprint::of_spki(
            b"the root operator's key",
        )),
        via: NodeNumber(1),
        authorised_at: Revision(1),
        reason: String::new(),
        request: cluster.request(),
        digest: codec::command_digest(&command),
    };
    for actor in [Actor::Node(NodeNumber(1)), Actor::Birth] {
        let proposal = codec::encode_proposal(&command, &meta(actor.clone()));
        let answer = client
            .propose(pb::ProposeRequest {
                from: 2,
                proposal,
                retried: false,
                awaited: false,
            })
            .await
            .unwrap();
        let outcome = answer.into_inner().outcome.unwrap();
        assert!(
            matches!(outcome, pb::propose_response::Outcome::Refused(_)),
            "{actor}"
        );
    }

    // What it forwards is recorded as come through it, whatever it says.
    let operator = Actor::Operator("root".parse().unwrap());
    let proposal = codec::encode_proposal(&command, &meta(operator));
    let answer = client
        .propose(pb::ProposeRequest {
            from: 2,
            proposal,
            retried: false,
            awaited: false,
        })
        .await
        .unwrap();
    let Some(pb::propose_response::Outcome::Decided(bytes)) = answer.into_inner().outcome else {
        panic!("it was not taken");
    };
    assert!(codec::decode_outcome(bytes).unwrap().verdict.is_ok());
    assert!(cluster.knows_owner(1, "forwarded"));
    cluster.end().await;
}

/// A vote of a term that is still to come, as of its elected leader.
fn elected(node: u64) -> chancery_wire::log::Vote {
    chancery_wire::log::Vote {
        leader: Some(chancery_wire::log::LeaderId { term: 99, node }),
        committed: true,
    }
}

/// Every call by which node `from` can want to be followed, with a vote that names
/// `named`.
async fn every_claim_to_lead(
    client: &mut PeerClient,
    from: u64,
    named: u64,
) -> Vec<(&'static str, Status)> {
    let append = pb::AppendRequest {
        from,
        vote: Some(elected(named)),
        ..Default::default()
    };
    let vote = pb::VoteRequest {
        from,
        vote: Some(elected(named)),
        ..Default::default()
    };
    let transfer = pb::TransferLeaderRequest {
        from,
        from_leader: Some(elected(named)),
        to: 1,
        ..Default::default()
    };
    let header = pb::SnapshotHeader {
        vote: Some(elected(named)),
        last_log_id: Some(chancery_wire::log::LogId {
            leader: Some(chancery_wire::log::LeaderId { term: 1, node: 1 }),
            index: 1_000,
        }),
        membership: Some(chancery_wire::log::StoredMembership {
            log_id: None,
            membership: Some(chancery_wire::log::Membership::default()),
        }),
        state_digest: Bytes::from_static(&[0; 32]),
        rows: 0,
    };
    let header = pb::SnapshotChunk {
        from,
        part: Some(pb::snapshot_chunk::Part::Header(header)),
    };
    let append = client.append(futures::stream::iter([append])).await;
    let mut answers = append.unwrap().into_inner();
    let header = futures::stream::iter([header]);
    vec![
        ("Append", answers.message().await.unwrap_err()),
        ("Vote", client.vote(vote).await.unwrap_err()),
        ("PreVote", client.pre_vote(vote).await.unwrap_err()),
        (
            "TransferLeader",
            client.transfer_leader(transfer).await.unwrap_err(),
        ),
        (
            "InstallSnapshot",
            client.install_snapshot(header).await.unwrap_err(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_followed_who_was_not_elected() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    let term = cluster.nodes[&1].status().term;
    let mut learner = connect(&cluster, &cluster.machines[&2].key, 1).await;
    let claims = [("a learner as itself", 2), ("a learner as the leader", 1)];
    for (who, named) in claims {
        for (call, status) in every_claim_to_lead(&mut learner, 2, named).await {
            assert_eq!(
                status.code(),
                Code::PermissionDenied,
                "{who}, {call}: {status}"
            );
        }
    }
    cluster.promote(2).await;
    let mut voter = connect(&cluster, &cluster.machines[&2].key, 1).await;
    for (call, status) in every_claim_to_lead(&mut voter, 2, 1).await {
        assert_eq!(
            status.code(),
            Code::PermissionDenied,
            "a voter, {call}: {status}"
        );
    }
    assert_eq!(cluster.nodes[&1].status().term, term, "no claim was heard");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_understood_ends_the_stream() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    let mut client = connect(&cluster, &cluster.machines[&2].key, 1).await;
    // An append without a vote.
    let requests = futures::stream::iter([pb::AppendRequest {
        from: 2,
        ..Default::default()
    }]);
    let mut answers = client.append(requests).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_snapshot_is_never_installed() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    let before = cluster.nodes[&2].state_digest();
    let mut client = connect(&cluster, &cluster.machines[&1].key, 2).await;
    let chunk = |part| pb::SnapshotChunk {
        from: 1,
        part: Some(part),
    };
    let log_id = Some(chancery_wire::log::LogId {
        leader: Some(chancery_wire::log::LeaderId { term: 1, node: 1 }),
        index: 1_000,
    });
    let header = pb::SnapshotHeader {
        vote: Some(chancery_wire::log::Vote {
            leader: Some(chancery_wire::log::LeaderId { term: 1, node: 1 }),
            committed: true,
        }),
        last_log_id: log_id,
        membership: Some(chancery_wire::log::StoredMembership {
            log_id: None,
            membership: Some(chancery_wire::log::Membership::default()),
        }),
        state_digest: Bytes::from_static(&[0; 32]),
        rows: 0,
    };
    let header = chunk(pb::snapshot_chunk::Part::Header(header));
    let trailer = chunk(pb::snapshot_chunk::Part::Trailer(pb::SnapshotTrailer {
        rows: 3,
        sha256: Bytes::from_static(&[0; 32]),
    }));
    for chunks in [
        vec![header.clone()],
        vec![header.clone(), trailer.clone()],
        vec![trailer],
    ] {
        let call = client.install_snapshot(futures::stream::iter(chunks));
        let answer = tokio::time::timeout(PATIENCE, call).await.unwrap();
        assert!(answer.is_err());
    }
    assert_eq!(cluster.nodes[&2].state_digest(), before);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_finish_a_handshake_holds_nobody_up() {
    let cluster = Cluster::born().await;
    let address = cluster.machines[&1].address.clone();
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let mut client = connect(&cluster, &cluster.machines[&1].key, 1).await;
    client.prove_fresh(question(1)).await.unwrap();
    // The oldest were hung up on, to make room, and not for having been slow.
    let mut oldest = silent.swap_remove(0);
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut oldest, &mut rest);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    drop(silent);
    cluster.end().await;
}

/// Whatever it holds of a node (streams, messages half sent, the one turn to bring a
/// snapshot) it holds no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_removed_is_hung_up_on() {
    let mut cluster = Cluster::of_three().await;
    let through = cluster.leader_among(3).await;
    cluster.stop(3).await;
    let mut client = connect(&cluster, &cluster.machines[&3].key, through).await;
    let stream = client.append(futures::stream::pending()).await.unwrap();
    let mut held = stream.into_inner();

    let (node, how) = (NodeNumber(3), Departure::Lost);
    cluster
        .command(through, Command::RetireNode(node))
        .await
        .unwrap();
    let remove = MembershipChange::Remove(node, how);
    eventually("out of the membership", async || {
        let leader = &cluster.nodes[&through];
        let _ = leader.change_membership(remove, PATIENCE).await;
        leader
            .status()
            .members
            .iter()
            .all(|member| member.number != node)
    })
    .await;
    let ended = tokio::time::timeout(PATIENCE, held.message())
        .await
        .unwrap();
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    cluster.end().await;
}

/// From an address of its own; loopback has many.
async fn connect_from(host: u8, to: &str) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    socket.connect(to.parse().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_handshakes_ends_none_of_another_address() {
    let cluster = Cluster::born().await;
    let address = cluster.machines[&1].address.clone();
    loop {
        let began = SystemClocks.boot();
        let slow = connect_from(1, &address).await;
        let mut flood = Vec::new();
        for _ in 0..2 * HANDSHAKES {
            flood.push(connect_from(2, &address).await);
        }
        let mut rest = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut flood[0], &mut rest);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        let slow = slow.into_std().unwrap();
        let read = slow.peek(&mut [0]).map_err(|error| error.kind());
        // On a machine that is so slow it may have been hung up on for its slowness.
        let taken = SystemClocks.boot().since(began).unwrap();
        if taken < HANDSHAKE_LIMIT {
            assert_eq!(read, Err(std::io::ErrorKind::WouldBlock));
            break;
        }
    }
    cluster.end().await;
}
