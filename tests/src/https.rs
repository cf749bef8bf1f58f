//! A page of a node over HTTPS, fetched as any program would: the root trusted, with a
//! client certificate or without.

use chancery_client::Identity;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::tls;

/// An answer, read to its end.
pub struct Answer {
    /// 200, 404, …
    pub status: u16,
    /// What came after the head.
    pub body: String,
}

/// `GET path` at `api`.
pub async fn get(api: &str, root: &str, identity: Option<&Identity>, path: &str) -> Answer {
    let tcp = TcpStream::connect(api).await.unwrap();
    let mut stream = TlsConnector::from(tls::config(root, identity, &[]))
        .connect(tls::name(api), tcp)
        .await
        .unwrap();
    // HTTP/1.0: the body ends with the connection, unchunked.
    let request = format!("GET {path} HTTP/1.0\r\nhost: {api}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Whether the server says goodbye in TLS is not what is tested here.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        body: body.to_owned(),
    }
}
