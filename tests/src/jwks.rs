//! The published JWKS, fetched as any verifier would: HTTPS, the root trusted,
//! no client certificate.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::tls;

/// The status line and the body of `GET /.well-known/jwks.json` at `api`.
///
/// # Panics
/// When the node does not answer.
pub async fn fetch(api: &str, root: &str) -> (String, String) {
    try_fetch(api, root).await.unwrap()
}

/// The same; nothing from a node that is down, or goes down meanwhile.
pub async fn try_fetch(api: &str, root: &str) -> Option<(String, String)> {
    let tcp = TcpStream::connect(api).await.ok()?;
    let mut stream = TlsConnector::from(tls::config(root, None, &[]))
        .connect(tls::name(api), tcp)
        .await
        .ok()?;
    let request =
        format!("GET /.well-known/jwks.json HTTP/1.1\r\nhost: {api}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    // Whether the server says goodbye in TLS is not what is tested here.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    ))
}
