//! Requests of plain HTTP: what the target gets, and what the client gets back.

use super::*;

/// Answers the next connection's one request with these bytes, and gives the request, up to `body` bytes after its head.
async fn answer_one(target: &TcpListener, body: usize, answer: &[u8]) -> (String, String) {
    let (mut stream, _) = soon(target.accept()).await.unwrap();
    let head = head(&mut stream).await;
    let mut rest = vec![0; body];
    soon(stream.read_exact(&mut rest)).await.unwrap();
    stream.write_all(answer).await.unwrap();
    (head, String::from_utf8(rest).unwrap())
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Sends a request and ends; gives the request that the target got, with `body` bytes, and the answer.
async fn passed_on(request: &str, body: usize, answer: &[u8]) -> (String, String, String) {
    let (port, target) = target().await;
    let proxy = proxy(rules(port)).await;
    let request = request.replace("PORT", &port.to_string());
    let ((head, rest), answer) = tokio::join!(answer_one(&target, body, answer), ask(proxy, request.as_bytes()));
    (head.replace(&port.to_string(), "PORT"), rest, answer)
}

#[tokio::test]
async fn c6_a_request_reaches_the_host_of_its_address_without_what_is_between_client_and_proxy_only() {
    let request = "GET http://Outside.TEST:PORT/debian/dists?x=%20 HTTP/1.1\r\nHost: inner.test\r\nUser-Agent: Debian APT\r\n\
                   Proxy-Connection: keep-alive\r\nConnection: keep-alive, X-Hop, content-length, host\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
                   Proxy-Authorization: Basic eA==\r\nUpgrade: websocket\r\nTE: trailers\r\nRange: bytes=1-\r\n\r\n";
    let (head, _, answer) = passed_on(request, 0, OK).await;
    let expected = "GET /debian/dists?x=%20 HTTP/1.1\r\nhost: outside.test:PORT\r\nuser-agent: Debian APT\r\nrange: bytes=1-\r\n\
                    via: 1.1 clusterdrop\r\n\r\n";
    assert_eq!(head, expected);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn an_answer_comes_without_what_is_between_proxy_and_host_only() {
    let hops = b"HTTP/1.1 206 Some\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\nETag: \"e\"\r\n\
                 Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (_, _, answer) = passed_on("GET http://outside.test:PORT/ HTTP/1.1\r\nHost: x\r\n\r\n", 0, hops).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
    lines.sort_unstable();
    // Of two lengths the one by which the body was read; a client never sees both.
    assert_eq!(lines, ["HTTP/1.1 206 Some", "etag: \"e\"", "transfer-encoding: chunked", "via: 1.1 clusterdrop"]);
    assert_eq!(body, "5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn bodies_go_both_ways_however_they_are_framed() {
    let request = "POST http://outside.test:PORT/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
    let (head, body, _) = passed_on(request, 4, OK).await;
    assert!(head.contains("content-length: 4\r\n") && body == "body", "{head}{body}");
    let request = "PUT http://outside.test:PORT/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let (head, body, _) = passed_on(request, 14, OK).await;
    assert!(head.contains("transfer-encoding: chunked\r\n") && body == "4\r\nbody\r\n0\r\n\r\n", "{head}{body}");
    // The old manner, whose end is the connection's.
    let (_, _, answer) = passed_on("GET http://outside.test:PORT/ HTTP/1.0\r\n\r\n", 0, b"HTTP/1.0 200 OK\r\n\r\nto the end").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nto the end"), "{answer}");
    // A head without its body, and answers that have none.
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n";
    let (head, _, answer) = passed_on("HEAD http://outside.test:PORT HTTP/1.1\r\nHost: x\r\n\r\n", 0, length).await;
    assert!(head.starts_with("HEAD / HTTP/1.1\r\n") && answer.contains("content-length: 1234\r\n"), "{head}{answer}");
    let (_, _, answer) =
        passed_on("GET http://outside.test:PORT/ HTTP/1.1\r\nHost: x\r\n\r\n", 0, b"HTTP/1.1 304 Not Modified\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_with_its_body_is_let_go_on() {
    let (port, target) = target().await;
    let proxy = proxy(rules(port)).await;
    let client = async {
        let mut stream = connection_from("127.0.0.1", proxy).await;
        let head_only =
            format!("POST http://outside.test:{port}/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
        stream.write_all(head_only.as_bytes()).await.unwrap();
        assert_eq!(head(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"body").await.unwrap();
        head(&mut stream).await
    };
    let (got, answer) = tokio::join!(answer_one(&target, 4, OK), client);
    assert!(!got.0.contains("expect") && got.1 == "body" && code(&answer) == "200", "{got:?}{answer}");
}

#[tokio::test]
async fn one_connection_serves_requests_to_several_hosts_and_then_a_tunnel() {
    let (port, target) = target().await;
    let proxy = proxy(rules(port)).await;
    let mut stream = connection_from("127.0.0.1", proxy).await;
    let all_at_once =
        ["outside.test", "other.test", "inner.test"].map(|host| format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n")).concat();
    stream.write_all(all_at_once.as_bytes()).await.unwrap();
    for host in ["outside.test", "other.test"] {
        let (got, _) = answer_one(&target, 0, OK).await;
        assert!(got.contains(&format!("host: {host}:{port}\r\n")), "{got}");
        assert_eq!(code(&head(&mut stream).await), "200");
        let mut body = [0; 5];
        soon(stream.read_exact(&mut body)).await.unwrap();
    }
    let refused = head(&mut stream).await;
    let length = refused.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap();
    soon(stream.read_exact(&mut vec![0; length])).await.unwrap();
    assert_eq!(code(&refused), "403");
    stream.write_all(&connect_to(&format!("outside.test:{port}"))).await.unwrap();
    assert_eq!(code(&head(&mut stream).await), "200");
    let (mut far, _) = soon(target.accept()).await.unwrap();
    far.write_all(b"!").await.unwrap();
    assert_eq!(soon(stream.read_u8()).await.unwrap(), b'!');
}

#[tokio::test]
async fn a_request_with_a_doubtful_length_never_becomes_two() {
    for (lengths, rest) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\nGET http://inner.test/ HTTP/1.1\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\nGET http://inner.test/ HTTP/1.1\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nConnection: transfer-encoding", "0\r\n\r\nGET http://inner.test/ HTTP/1.1\r\n\r\n"),
        ("Content-Length: 0\r\nConnection: content-length", "GET http://inner.test/ HTTP/1.1\r\n\r\n"),
    ] {
        let request = format!("POST http://outside.test:PORT/ HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n{rest}");
        let (port, target) = target().await;
        let proxy = proxy(rules(port)).await;
        let request = request.replace("PORT", &port.to_string());
        let far = async {
            let (mut stream, _) = soon(target.accept()).await.unwrap();
            let head = head(&mut stream).await;
            let is_chunked = head.contains("transfer-encoding: chunked\r\n");
            assert!(is_chunked != head.contains("content-length: "), "one length: {head}");
            if is_chunked {
                let mut end = [0; 5];
                soon(stream.read_exact(&mut end)).await.unwrap();
                assert_eq!(&end, b"0\r\n\r\n");
            }
            stream.write_all(OK).await.unwrap();
            let mut more = Vec::new();
            soon(stream.read_to_end(&mut more)).await.unwrap();
            more
        };
        let (more, answer) = tokio::join!(far, ask(proxy, request.as_bytes()));
        assert_eq!(String::from_utf8_lossy(&more), "", "what comes after the request is another request, for the proxy: {lengths}");
        // It is refused as such: http at port 80 of an inner host.
        assert!(code(&answer) == "200" && answer.matches("HTTP/1.1 403 ").count() <= 1, "{answer}");
    }
}

#[tokio::test]
async fn a_request_whose_length_is_none_is_refused() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    for lengths in [
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +4",
        "Content-Length: 4, 5",
        "Content-Length: 0x4",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity",
    ] {
        let answer = ask(proxy, format!("POST http://outside.test:{port}/ HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\nbody").as_bytes()).await;
        assert_eq!(code(&answer), "400", "{lengths}");
    }
    let old = format!("POST http://outside.test:{port}/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(ask(proxy, old.as_bytes()).await.contains(" 400 "));
    assert_eq!(count.load(Ordering::SeqCst), 0, "the target has seen nobody");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let request = "GET http://outside.test:PORT/ HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let (_, _, answer) = passed_on(request, 0, chunked).await;
    assert!(answer.contains("5\r\nhello\r\n") && !answer.contains("0\r\n\r\n"), "{answer}");
    let (_, _, answer) = passed_on(request, 0, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    assert!(answer.contains("content-length: 10\r\n") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn what_a_host_gives_that_is_no_answer_is_told_to_the_client() {
    let request = "GET http://outside.test:PORT/ HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let huge = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 100_000], b"\r\n\r\n".to_vec()].concat();
    for none in [b"".as_slice(), b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 101 Over\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", &huge] {
        let (_, _, answer) = passed_on(request, 0, none).await;
        assert!(answer.starts_with("HTTP/1.1 502 the host gives the proxy no answer\r\n"), "{answer}");
        assert!(answer.contains("was asked for, and gives no answer of HTTP: "), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_stops_its_host_and_ends_after_the_idle_time() {
    let (port, target) = target().await;
    let limits = Limits { idle: Duration::from_millis(300), ..rules(port).limits };
    let proxy = proxy(Rules { limits, ..rules(port) }).await;
    let mut stream = connection_from("127.0.0.1", proxy).await;
    stream.write_all(format!("GET http://outside.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let (mut far, _) = soon(target.accept()).await.unwrap();
    head(&mut far).await;
    far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await.unwrap();
    let mut sent: usize = 0;
    let fill = async {
        while let Ok(bytes) = far.write(&vec![0; 65536]).await {
            sent += bytes;
        }
    };
    soon(fill).await;
    // What the kernel holds for four sockets, and no more than a little beside.
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
    drop(stream);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_download() {
    let (port, target) = target().await;
    let proxy = proxy(rules(port)).await;
    let mut stream = connection_from("127.0.0.1", proxy).await;
    stream.write_all(format!("GET http://outside.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let (mut far, _) = soon(target.accept()).await.unwrap();
    head(&mut far).await;
    far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await.unwrap();
    head(&mut stream).await;
    drop(stream);
    soon(async { while far.write_all(&vec![0; 65536]).await.is_ok() {} }).await;
}
