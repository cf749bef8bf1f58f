//! The methods that the descriptors list, and calls of them by path, so that none
//! is forgotten when one is added.

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Request, Status, codec::Streaming, transport::Channel};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

/// A method of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// `/chancery.v1.TokenService/Mint`
    pub path: String,
    /// Whether the server answers with more than one message.
    pub streams: bool,
    /// Whether the client sends more than one.
    pub takes_stream: bool,
}

/// Every method of the public API.
#[must_use]
pub fn public() -> Vec<Method> {
    of("chancery.v1", chancery_wire::FILE_DESCRIPTOR_SET)
}

/// Every method that nodes call on each other.
#[must_use]
pub fn between_nodes() -> Vec<Method> {
    of("chancery.peer.v1", chancery_wire::PEER_FILE_DESCRIPTOR_SET)
}

fn of(package: &str, descriptors: &[u8]) -> Vec<Method> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let mut methods = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == package) {
        for service in &file.service {
            for method in &service.method {
                methods.push(Method {
                    path: format!("/{package}.{}/{}", service.name(), method.name()),
                    streams: method.server_streaming(),
                    takes_stream: method.client_streaming(),
                });
            }
        }
    }
    assert!(!methods.is_empty(), "the descriptors list {package}");
    methods
}

/// Calls a method with an empty message, which every request of the protocol can be
/// read from, and gives the refusal.
pub async fn refusal(channel: &Channel, method: &Method) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    if let Err(error) = client.ready().await {
        return Some(Status::unavailable(error.to_string()));
    }
    let path = method.path.parse().unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let answer: Result<tonic::Response<Streaming<()>>, Status> =
        client.server_streaming(Request::new(()), path, codec).await;
    match answer {
        Err(status) => Some(status),
        Ok(answer) => answer.into_inner().message().await.err(),
    }
}

/// The reason that a refusal gives to programs.
#[must_use]
pub fn reason(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}
