//! Calls of the public API, as a client makes them.

/// Calls one method with the SDK's failover, the same request each time:
/// `call!(client, AgentServiceClient::remove, request)`.
#[macro_export]
macro_rules! call {
    ($client:expr, $service:ident :: $method:ident, $request:expr) => {{
        let request = $request;
        $client
            .call(::chancery_client::Idempotence::Repeatable, |channel| {
                let request = request.clone();
                async move { $service::new(channel).$method(request).await }
            })
            .await
    }};
}
