//! Standing is judged on every request and every message, and a stream ends
//! with it.

use chancery_authority::{Role, Roles};
use chancery_credential::Subject;
use chancery_server::caller::{Identity, Registration};
use tonic::Code;

use crate::support::{Answer, Node, Person, Witness, call, node::NOW, registry, soon};

const WATCH: &str = "/chancery.v1.RevocationService/Watch";
const MINT: &str = "/chancery.v1.TokenService/Mint";
const MINT_STREAM: &str = "/chancery.v1.TokenService/MintStream";
const LIST: &str = "/chancery.v1.AgentService/List";

/// A stream of `person` that has said its one message and says nothing more.
async fn idle_stream(node: &mut Node, person: &Person, caller: &str) -> Answer {
    let mut stream = node.connect(person).await.call(WATCH).await;
    node.reached(caller, WATCH).await;
    stream.next().await.unwrap();
    stream
}

#[tokio::test]
async fn a_stream_ends_at_once_when_its_key_is_removed_although_nothing_moves() {
    let mut node = Node::start().await;
    let service = node.registry.register_service("shop");
    let mut stream = idle_stream(&mut node, &service, "service:shop").await;

    node.registry.remove(&service);
    node.callers.standing_changed();

    assert_eq!(stream.refusal().await, "UNKNOWN_KEY");
    assert_eq!(node.next().await, Witness::Dropped);
}

#[tokio::test]
async fn a_suspended_agent_is_cut_off_in_the_middle_of_its_stream() {
    let node = Node::start().await;
    let agent = node.registry.register_agent("one");
    let mut stream = node.connect(&agent).await.begin(MINT_STREAM);
    let mut answers = stream.answer().await;
    stream.say(b"first");
    assert_eq!(answers.next().await.unwrap(), "first");

    node.registry.suspend(&agent);
    // Before the bell rings: the message itself is judged.
    stream.say(b"second");
    let status = answers.next().await.unwrap_err();
    assert_eq!(
        (status.code(), call::reason(&status).as_str()),
        (Code::PermissionDenied, "AGENT_SUSPENDED")
    );

    // Nor can it begin anything, and it gets in again once it is resumed.
    let client = node.connect(&agent).await;
    assert_eq!(
        call::reason(&client.call(MINT).await.status().await),
        "AGENT_SUSPENDED"
    );
    node.registry.register(&agent, registry::agent("one"));
    assert_eq!(client.call(MINT).await.status().await.code(), Code::Ok);
}

#[tokio::test]
async fn an_agent_whose_owner_is_suspended_is_told_so() {
    let node = Node::start().await;
    let agent = node.registry.register_agent("one");
    let owner = Subject::Owner("payments".parse().unwrap());
    let identity = registry::agent("one");
    node.registry.put(
        &agent,
        Registration {
            identity,
            suspended: Some(owner),
            expires_at: None,
        },
    );
    let status = node.connect(&agent).await.call(MINT).await.status().await;
    assert_eq!(call::reason(&status), "OWNER_SUSPENDED");
    assert!(status.message().contains("payments"), "{status}");
}

#[tokio::test]
async fn another_s_loss_disturbs_nobody() {
    let mut node = Node::start().await;
    let service = node.registry.register_service("shop");
    let other = node.registry.register_service("other");
    let mut stream = idle_stream(&mut node, &service, "service:shop").await;

    node.registry.remove(&other);
    node.callers.standing_changed();
    // The stream lives on until it is its own turn.
    node.registry.lose(|keys| {
        keys.get_mut(&service.thumbprint()).unwrap().suspended = Some(Subject::Everything);
    });
    node.callers.standing_changed();
    assert_eq!(stream.refusal().await, "AGENT_SUSPENDED");
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_s_role_is_taken() {
    let mut node = Node::start().await;
    let operator = node.registry.register_operator("eve", &[Role::Auditor]);
    let mut stream = idle_stream(&mut node, &operator, "operator:eve").await;
    node.registry.lose(|keys| {
        keys.get_mut(&operator.thumbprint()).unwrap().identity = Identity::Operator {
            name: "eve".parse().unwrap(),
            roles: Roles::NONE,
        };
    });
    node.callers.standing_changed();
    assert_eq!(stream.refusal().await, "METHOD_NOT_PERMITTED");
}

#[tokio::test]
async fn a_stream_does_not_pass_to_the_key_s_next_holder() {
    let mut node = Node::start().await;
    let person = node.registry.register_service("shop");
    let mut stream = idle_stream(&mut node, &person, "service:shop").await;
    node.registry.lose(|keys| {
        keys.get_mut(&person.thumbprint()).unwrap().identity = registry::service("another");
    });
    node.callers.standing_changed();
    assert_eq!(stream.refusal().await, "KEY_MOVED");
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_s_registration_does() {
    let mut node = Node::start().await;
    let operator = Person::new();
    node.registry.put(
        &operator,
        Registration {
            identity: registry::operator("temp", &[Role::Auditor]),
            suspended: None,
            expires_at: Some(NOW + 1),
        },
    );
    let mut stream = idle_stream(&mut node, &operator, "operator:temp").await;
    // Nothing rings: the stream wakes by itself when the time has come.
    node.clock.set(NOW + 1);
    assert_eq!(stream.refusal().await, "REGISTRATION_EXPIRED");
    let again = node
        .connect(&operator)
        .await
        .call(WATCH)
        .await
        .status()
        .await;
    assert_eq!(call::reason(&again), "REGISTRATION_EXPIRED");
}

#[tokio::test]
async fn a_request_that_was_begun_before_the_suspension_is_not_read_after_it() {
    let mut node = Node::start().await;
    let agent = node.registry.register_agent("one");
    let mut request = node.connect(&agent).await.begin(MINT);
    node.reached("agent:spiffe://example.org/one", MINT).await;

    // The service waits for the message. What comes now is judged before it is
    // handed over.
    node.registry.suspend(&agent);
    request.say(b"late");
    assert_eq!(
        node.next().await,
        Witness::Read(Vec::new(), Some(Code::PermissionDenied))
    );
    assert_eq!(
        call::reason(&request.answer().await.status().await),
        "AGENT_SUSPENDED"
    );
}

#[tokio::test]
async fn a_single_request_under_way_is_answered() {
    let mut node = Node::start().await;
    let operator = node.registry.register_operator("ann", &[Role::Keeper]);
    let client = node.connect(&operator).await;
    let asked = tokio::spawn(async move { client.call(LIST).await.code });
    node.reached("operator:ann", LIST).await;
    // Who removes itself has to learn that it was done.
    node.registry.remove(&operator);
    node.callers.standing_changed();
    node.answer.notify_one();
    assert_eq!(soon("the answer", asked).await.unwrap(), 200);
}

#[tokio::test]
async fn a_request_takes_no_longer_than_it_says() {
    let mut node = Node::start().await;
    let operator = node.registry.register_operator("ann", &[Role::Auditor]);
    let request = http::Request::post(format!("https://localhost{LIST}"))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "50m");
    let answer = node.connect(&operator).await.send(request).await.unwrap();
    let status = soon("the time limit", answer.status()).await;
    assert_eq!(
        (status.code(), call::reason(&status).as_str()),
        (Code::DeadlineExceeded, "TIME_LIMIT")
    );
    node.reached("operator:ann", LIST).await;
}

#[tokio::test]
async fn a_request_has_one_id_in_the_service_and_in_the_answer() {
    let node = Node::start().await;
    let client = node.connect_as_nobody().await;
    let ask = async |id: Option<&'static str>| {
        let mut request = http::Request::post("https://localhost/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc");
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let answer = client.send(request).await.unwrap();
        assert_eq!(
            answer.header("x-request-id"),
            answer.header("x-caller-request")
        );
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(ask(Some("0189-mine")).await, "0189-mine");
    assert_eq!(ask(Some("not plain")).await, "0000000000000001-0");
    assert_eq!(ask(None).await, "0000000000000001-1");
    // A refusal has one, too.
    let refused = client.call(MINT).await;
    assert_eq!(refused.header("x-request-id"), "0000000000000001-2");
}
