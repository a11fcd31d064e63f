//! Tests of the link: what it carries, and what it refuses.

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::channel::{MESSAGE_BYTES_MAX, TAG_BYTES, body_length, builder, read_handshake, write_frame};
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(200);

/// Limits that no test reaches, however busy the machine is: what is held stays held.
const UNHURRIED: Limits = Limits {
    unproven: 64,
    unproven_per_address: 64,
    proven: 64,
    handshake: Duration::from_mins(10),
    request: Duration::from_mins(10),
    handler: Duration::from_mins(10),
    answer: Duration::from_mins(10),
};

struct Server {
    address: SocketAddr,
    counters: Arc<Counters>,
    handled: Arc<AtomicUsize>,
}

fn key(byte: u8) -> LinkKey {
    LinkKey::derive(&[byte; 32])
}

/// A server that answers a text with its length, and the text "wait" not at all.
async fn server(limits: Limits) -> Server {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (counters, handled) = (Arc::new(Counters::default()), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&handled);
    let answer = move |_, text: String| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            if text == "wait" {
                std::future::pending::<()>().await;
            }
            text.len()
        }
    };
    tokio::spawn(serve(socket, key(1), limits, Arc::clone(&counters), answer));
    Server { address, counters, handled }
}

impl Server {
    async fn ask(&self, text: &str) -> Result<usize, LinkError> {
        ask(self.address, &key(1), &text, PATIENCE).await
    }

    /// Waits until so many requests have reached the handler.
    async fn handles(&self, count: usize) {
        self.reaches(|| self.handled.load(Ordering::Relaxed) == count).await;
    }

    async fn counted(&self, counter: fn(&Counters) -> &AtomicU64, count: u64) {
        self.reaches(|| counter(&self.counters).load(Ordering::Relaxed) == count).await;
    }

    /// Waits for a state, for ten seconds at most.
    async fn reaches(&self, state: impl Fn() -> bool) {
        for _ in 0..1000 {
            if state() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}, handled {}", self.counters, self.handled.load(Ordering::Relaxed));
    }

    /// Sends these bytes and reads until the server closes.
    async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn a_request_is_answered_whether_it_fits_into_one_message_or_needs_many() {
    let server = server(Limits::default()).await;
    let one_message = MESSAGE_BYTES_MAX - TAG_BYTES - 4 - 2;
    for length in [0, 1, one_message - 1, one_message, one_message + 1, 1_000_000] {
        assert_eq!(server.ask(&"a".repeat(length)).await.unwrap(), length);
    }
    assert_eq!((server.counters.answered.load(Ordering::Relaxed), server.counters.refused()), (6, 0));
}

/// The cipher is slow without optimisation, so that no body of this size is sent here.
#[tokio::test]
async fn a_body_has_its_longest_length_and_not_a_byte_more() {
    assert_eq!(body_length(BODY_BYTES_MAX).unwrap(), 8 * 1024 * 1024);
    assert!(matches!(body_length(BODY_BYTES_MAX + 1), Err(LinkError::Oversized(bytes)) if bytes == BODY_BYTES_MAX + 1));
    let server = server(Limits::default()).await;
    for (bytes, truncated, oversized) in [(BODY_BYTES_MAX, 1, 0), (BODY_BYTES_MAX + 1, 1, 1)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let mut channel = Channel::connect(&mut stream, &key(1)).await.unwrap();
        let mut message = [0; 64];
        let sent = channel.0.write_message(&u32::try_from(bytes).unwrap().to_be_bytes(), &mut message).unwrap();
        write_frame(&mut stream, &message[..sent]).await.unwrap();
        stream.shutdown().await.unwrap();
        server.counted(|counters| &counters.truncated, truncated).await;
        server.counted(|counters| &counters.oversized, oversized).await;
    }
}

#[tokio::test]
async fn a_peer_with_another_key_gets_nothing_and_is_counted() {
    let server = server(Limits::default()).await;
    let answer = ask::<_, usize>(server.address, &key(2), &"x", PATIENCE).await;
    assert!(matches!(answer, Err(LinkError::Closed(_) | LinkError::Stranger)), "{answer:?}");
    server.counted(|counters| &counters.strangers, 1).await;
    assert_eq!(server.handled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_server_with_another_key_learns_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stranger = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut noise = builder(&key(2)).unwrap().build_responder().unwrap();
        assert!(matches!(read_handshake(&mut stream, &mut noise).await, Err(LinkError::Stranger)));
        // It answers all the same, with what it can make up.
        write_frame(&mut stream, &[0; 48]).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        rest
    });
    assert!(matches!(ask::<_, usize>(address, &key(1), &"secret", PATIENCE).await, Err(LinkError::Stranger)));
    assert_eq!(stranger.await.unwrap(), b"", "no byte of the request was sent");
}

#[tokio::test]
async fn garbage_and_bytes_that_end_early_are_refused_without_an_answer() {
    let server = server(Limits::default()).await;
    for bytes in
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3_000).as_slice(), &[0, 0], &[0, 3, 1, 2, 3], [0xff].repeat(70_000).as_slice()]
    {
        assert_eq!(server.send(bytes).await, b"");
    }
    server.counted(|counters| &counters.strangers, 4).await;
    for bytes in [&[][..], &[0], &[0, 48], &[0, 48, 1], &[0xff, 0xff, 1]] {
        assert_eq!(server.send(bytes).await, b"");
    }
    server.counted(|counters| &counters.truncated, 5).await;
    assert_eq!(server.ask("still there").await.unwrap(), 11);
}

/// Carries bytes between a client and the server, and keeps what the client sent.
async fn recorder(server: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut onward = TcpStream::connect(server).await.unwrap();
        let (mut client_in, mut client_out) = client.split();
        let (mut server_in, mut server_out) = onward.split();
        let mut kept = Vec::new();
        let up = async {
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = client_in.read(&mut buffer).await {
                kept.extend_from_slice(&buffer[..bytes]);
                server_out.write_all(&buffer[..bytes]).await.unwrap();
            }
        };
        tokio::select! {
            () = up => {}
            _ = tokio::io::copy(&mut server_in, &mut client_out) => {}
        }
        kept
    });
    (address, task)
}

#[tokio::test]
async fn a_recorded_request_cannot_be_replayed() {
    let server = server(Limits::default()).await;
    let (address, recording) = recorder(server.address).await;
    assert_eq!(ask::<_, usize>(address, &key(1), &"once", PATIENCE).await.unwrap(), 4);
    let bytes = recording.await.unwrap();
    let answer = server.send(&bytes).await;
    server.counted(|counters| &counters.forged, 1).await;
    assert_eq!(server.handled.load(Ordering::Relaxed), 1, "the request was not handled again");
    assert_eq!(answer.len(), 2 + 48, "only the handshake's second message, which tells nothing");
}

#[tokio::test]
async fn a_changed_byte_is_noticed() {
    let server = server(Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut channel = Channel::connect(&mut stream, &key(1)).await.unwrap();
    let mut message = [0; 64];
    let bytes = channel.0.write_message(b"\0\0\0\x03\"a\"", &mut message).unwrap();
    message[5] ^= 1;
    write_frame(&mut stream, &message[..bytes]).await.unwrap();
    server.counted(|counters| &counters.forged, 1).await;
}

#[tokio::test]
async fn a_member_that_sends_too_much_or_another_form_is_refused() {
    let server = server(Limits::default()).await;
    let too_long = u32::try_from(BODY_BYTES_MAX + 1).unwrap().to_be_bytes();
    for (plain, oversized, malformed) in [(&too_long[..], 1, 0), (b"\0\0\0\x01ab", 2, 0), (b"\0\0\0\x02{}", 2, 1), (b"\0\0\0\x01\"", 2, 2)]
    {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let mut channel = Channel::connect(&mut stream, &key(1)).await.unwrap();
        let mut message = [0; 64];
        let bytes = channel.0.write_message(plain, &mut message).unwrap();
        write_frame(&mut stream, &message[..bytes]).await.unwrap();
        server.counted(|counters| &counters.oversized, oversized).await;
        server.counted(|counters| &counters.malformed, malformed).await;
    }
    assert_eq!(server.handled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn one_address_holds_only_so_many_places_while_it_is_silent() {
    let server = server(Limits { unproven: 3, unproven_per_address: 2, ..UNHURRIED }).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.counted(|counters| &counters.busy, 1).await;
    assert!(matches!(server.ask("x").await, Err(LinkError::Closed(_))), "no place is free");
    drop(silent.drain(..2));
    server.counted(|counters| &counters.truncated, 2).await;
    assert_eq!(server.ask("x").await.unwrap(), 1, "and then there is");
}

#[tokio::test]
async fn a_silent_stranger_loses_its_place_after_the_stated_time() {
    let server = server(Limits { unproven: 1, unproven_per_address: 1, handshake: SHORT, ..UNHURRIED }).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    server.counted(|counters| &counters.late, 1).await;
}

#[tokio::test]
async fn members_that_wait_hold_places_of_their_own() {
    let server = Arc::new(server(Limits { unproven: 1, unproven_per_address: 1, proven: 2, ..UNHURRIED }).await);
    for waiting in 1..=2 {
        let asking = Arc::clone(&server);
        tokio::spawn(async move { asking.ask("wait").await });
        server.handles(waiting).await;
    }
    assert!(matches!(server.ask("x").await, Err(LinkError::Closed(_))), "both places are taken");
    server.counted(|counters| &counters.busy, 1).await;
}

#[tokio::test]
async fn a_handler_that_does_not_end_gives_its_place_back_at_its_limit() {
    let server = server(Limits { proven: 1, handler: SHORT, ..UNHURRIED }).await;
    assert!(matches!(server.ask("wait").await, Err(LinkError::Closed(_))));
    server.counted(|counters| &counters.late, 1).await;
    assert_eq!(server.ask("x").await.unwrap(), 1);
}

#[tokio::test]
async fn a_slow_request_and_no_server_at_all_end_with_a_reason() {
    let server = server(Limits { request: SHORT, ..UNHURRIED }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let _channel = Channel::connect(&mut stream, &key(1)).await.unwrap();
    server.counted(|counters| &counters.late, 1).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let answer = ask::<_, usize>(nobody, &key(1), &"x", PATIENCE).await;
    assert!(matches!(answer, Err(LinkError::Unreachable(_))), "{answer:?}");
}

#[test]
fn keys_differ_with_the_clusters_key_and_are_not_it() {
    assert_ne!(key(1).0, key(2).0);
    assert_ne!(key(1).0, [1; 32]);
    assert_eq!(key(1).0, key(1).0);
    assert_eq!(format!("{:?}", key(1)), "LinkKey(..)");
}
