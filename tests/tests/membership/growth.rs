//! From one node to three to five and back to three, each original replaced, under
//! load: nothing fails, every token verifies everywhere, nothing acknowledged is
//! lost.
//!
//! 100 mints a second are offered to each serving node; `CHANCERY_MEMBERSHIP_RATE=500`
//! makes it 500.

use std::{
    cell::RefCell,
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
};

use chancery_client::{Idempotence, v1};
use chancery_tests::{chancery::binary, cluster::Cluster, until::until};
use v1::agent_service_client::AgentServiceClient;

use crate::{load::Load, narrator::Narrator};

/// The cluster, who works with it, and what is told of it.
struct Story {
    cluster: Cluster,
    load: Load,
    narrator: Narrator,
    /// The positions of the nodes that serve.
    serving: Vec<usize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_shrinks_and_is_replaced_node_by_node_under_load() {
    let mut story = Story::begin().await;
    story.narrator.title("From one node to three");
    for _ in 0..2 {
        story.grow().await;
    }
    story.narrator.title("From three to five");
    for _ in 0..2 {
        story.grow().await;
    }
    story.narrator.title("Each original is replaced");
    story.replace(1, false).await;
    story
        .narrator
        .say("  the second time the operator is interrupted, twice, and types it again");
    story.replace(2, true).await;
    story.replace(3, false).await;
    story.narrator.title("Back to three");
    for number in [4, 5] {
        story.shrink(number).await;
    }
    story.end().await;
}

impl Story {
    async fn begin() -> Self {
        let cluster = Cluster::of(1).await;
        let load = Load::begin(&cluster).await;
        let mut narrator = Narrator::default();
        narrator.say("# One node, born");
        narrator.members(&cluster, &[0]).await;
        narrator.refused(&cluster, &["node", "remove", "1"]);
        Self {
            cluster,
            load,
            narrator,
            serving: vec![0],
        }
    }

    /// Another voter.
    async fn grow(&mut self) {
        let position = self.cluster.admit();
        let number = (position + 1).to_string();
        self.narrator.say(&format!(
            "> chancery node add --request n{number}/request.json"
        ));
        self.narrator.members(&self.cluster, &self.serving).await;
        self.cluster.nodes[position].start();
        // It need not be waited for: the command waits.
        self.narrator
            .order(&self.cluster, &["node", "promote", &number]);
        self.cluster.serving(position).await;
        self.serving.push(position);
        self.load.serve(&self.cluster, &self.serving);
        self.narrator.members(&self.cluster, &self.serving).await;
    }

    /// Another voter in the place of `old`.
    async fn replace(&mut self, old: usize, interrupted: bool) {
        let position = self.cluster.request();
        let number = position + 1;
        self.narrator.say(&format!(
            "> chancery node replace {old} --request n{number}/request.json"
        ));
        self.load.leave(old - 1);
        let mut order = self.replacement(old, position);
        let admission = self.cluster.path().join(format!("n{number}.admission"));
        until("the admission was written", || async {
            let text = std::fs::read_to_string(&admission).ok()?;
            serde_json::from_str::<serde_json::Value>(&text).ok()
        })
        .await;
        if interrupted {
            end(&mut order);
            order = self.replacement(old, position);
        }
        self.cluster.nodes[position].join(admission.to_str().unwrap());
        self.cluster.nodes[position].start();
        if interrupted {
            until("the new node voted", || self.votes(number)).await;
            end(&mut order);
            order = self.replacement(old, position);
        }
        let ended = tokio::task::spawn_blocking(move || order.wait_with_output());
        let ended = ended.await.unwrap().unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        self.cluster.serving(position).await;
        self.serving.push(position);
        self.gone(old).await;
    }

    fn replacement(&self, old: usize, position: usize) -> Child {
        let node = &self.cluster.nodes[position];
        Command::new(binary())
            .args(["node", "replace", &old.to_string()])
            .args(["--request", node.request_file().to_str().unwrap()])
            .args(["--san", &node.address.to_string(), "--ca", "ca"])
            .args(["--admission", &format!("{}.admission", node.name)])
            .args(["--profile", "profile", "--reason", "a new machine"])
            .current_dir(self.cluster.path())
            .env_remove("CHANCERY_PROFILE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    async fn votes(&self, number: usize) -> Option<()> {
        let status = self.cluster.status(self.serving[1]).await.ok()?;
        let node = status
            .nodes
            .into_iter()
            .find(|node| node.number == number as u64)?;
        (node.standing() == v1::node::Standing::Voter).then_some(())
    }

    async fn shrink(&mut self, number: usize) {
        let which = number.to_string();
        self.load.leave(number - 1);
        self.narrator
            .order(&self.cluster, &["node", "remove", &which]);
        self.gone(number).await;
    }

    /// It is out, its process knows that, and nobody asks it any more.
    async fn gone(&mut self, number: usize) {
        let position = number - 1;
        self.serving.retain(|serving| *serving != position);
        self.load.serve(&self.cluster, &self.serving);
        self.narrator.members(&self.cluster, &self.serving).await;
        let node = RefCell::new(&mut self.cluster.nodes[position]);
        let code = until("the removed node had ended", || async {
            node.borrow_mut().ended()
        })
        .await;
        self.narrator.say(&format!(
            "  the process of node {number} ended by itself, with {code}"
        ));
    }

    async fn end(mut self) {
        let tally = self.load.end().await;
        let failed = tally.failed.lock().unwrap().clone();
        let minted = tally.minted.load(Ordering::Relaxed);
        let verified = tally.verified.load(Ordering::Relaxed);
        let (written, last_token) = tally.written.lock().unwrap().clone();
        println!(
            "{} mints offered ({} more were due), {minted} minted, {} first tries failed, \
             {verified} times verified, {} registered, {} failed of all",
            tally.offered.load(Ordering::Relaxed),
            tally.not_offered.load(Ordering::Relaxed),
            tally.failed_first_tries.load(Ordering::Relaxed),
            written.len(),
            failed.len(),
        );
        let some = &failed[..failed.len().min(10)];
        assert!(failed.is_empty(), "{} failed: {some:#?}", failed.len());
        assert!(minted > 1_000, "{minted} mints");
        assert!(verified > 100, "{verified} verifications");
        assert!(written.len() > 50, "{} registrations", written.len());
        for position in &self.serving {
            let client = self.cluster.operator_at(*position);
            for id in &written {
                let request = v1::GetRequest {
                    id: id.clone(),
                    min_revision: last_token.clone(),
                };
                let found = client
                    .call(Idempotence::Repeatable, |channel| {
                        let request = request.clone();
                        async move { AgentServiceClient::new(channel).get(request).await }
                    })
                    .await;
                assert!(found.is_ok(), "{id} on node {}: {found:?}", position + 1);
            }
        }
        self.narrator.title("Under load all along");
        self.narrator.say("  0 mints failed through the SDK");
        self.narrator
            .say("  every token that was tried verified on every serving node");
        self.narrator
            .say("  every acknowledged registration is on every serving node");
        self.narrator.end();
    }
}

/// As by Ctrl-C, at the worst of moments.
fn end(order: &mut Child) {
    let _ = order.kill();
    order.wait().unwrap();
}
