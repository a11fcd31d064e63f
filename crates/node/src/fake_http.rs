//! A small HTTP server for tests of the SDK's clients: each request is answered by a function, and the answer can be late or break off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /path?query`.
    pub line: String,
    /// By names in small letters.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// Whether it is signed.
    pub fn is_signed(&self) -> bool {
        self.headers.contains_key("authorization")
    }

    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status, headers such as `etag: "x"`, and a body.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A status and a body; the connection ends after this many bytes of it.
    Cut(u16, Vec<u8>, usize),
    /// The same, and then nothing comes for ever.
    Stalled(u16, Vec<u8>, usize),
    /// An empty body with this status, after a while: as of a request that took so long to come.
    Late(u16, Duration),
    /// Nothing, for ever.
    Silence,
}

impl Answer {
    /// S3's error of this code.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Whole(status, vec![], format!("<Error><Code>{code}</Code><Message>Words of {code}</Message></Error>").into_bytes())
    }

    /// An object.
    pub fn object(body: &[u8]) -> Self {
        Self::Whole(200, vec![("etag", "\"e\"".into())], body.to_vec())
    }
}

/// A server; it ends with the test.
pub struct Server {
    /// `http://127.0.0.1:port`.
    pub url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts one. The function also gets the number of the request, from 0 on.
    pub async fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (all, answer) = (asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, answer) = (all.clone(), answer.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, &all, &*answer).await;
                });
            }
        });
        Self { url, asked }
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// Their first lines.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|request| request.line).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    all: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(usize, &Request) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let request = read(&mut stream).await?;
    let number = {
        let mut all = all.lock().unwrap();
        all.push(request.clone());
        all.len() - 1
    };
    let (status, headers, body, sent, is_stalled) = match answer(number, &request) {
        Answer::Whole(status, headers, body) => (status, headers, body.clone(), body.len(), false),
        Answer::Cut(status, body, sent) => (status, vec![], body, sent, false),
        Answer::Stalled(status, body, sent) => (status, vec![], body, sent, true),
        Answer::Late(status, after) => {
            tokio::time::sleep(after).await;
            (status, vec![("etag", "\"e\"".to_owned())], vec![], 0, false)
        }
        Answer::Silence => return std::future::pending().await,
    };
    let mut head = format!("HTTP/1.1 {status} Words\r\nconnection: close\r\n");
    if status != 204 {
        head += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&body[..sent]).await?;
    stream.flush().await?;
    if is_stalled {
        return std::future::pending().await;
    }
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Request { line, headers, body })
}

/// A configuration for an emulator at this address, with made-up credentials, and almost without waiting.
pub async fn configuration(url: &str) -> aws_config::SdkConfig {
    use aws_config::retry::RetryConfig;
    use aws_config::timeout::TimeoutConfig;

    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(300)).operation_timeout(Duration::from_secs(5));
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-west-2"))
        .credentials_provider(aws_credential_types::Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(url)
        .http_client(crate::aws::Wire::direct())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1)))
        .load()
        .await
}
