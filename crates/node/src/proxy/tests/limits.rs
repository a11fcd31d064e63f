//! What bounds the proxy, each bound from both sides.

use super::*;

fn with(port: u16, change: impl FnOnce(&mut Limits)) -> Rules {
    let mut rules = rules(port);
    change(&mut rules.limits);
    rules
}

#[tokio::test]
async fn a_head_may_be_so_long_and_no_longer() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    let padded = |bytes: usize| {
        let mut request = format!("CONNECT outside.test:{port} HTTP/1.1\r\nX: ").into_bytes();
        request.resize(bytes - 4, b'x');
        request.extend(b"\r\n\r\n");
        request
    };
    let most = Limits::default().head_bytes;
    assert_eq!(code(&ask(proxy, &padded(most)).await), "200");
    assert_eq!(code(&ask(proxy, &padded(most + 1)).await), "431");
    assert_eq!(code(&ask(proxy, &padded(4 * most)).await), "431");
    let many = format!("CONNECT outside.test:{port} HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    assert_eq!(code(&ask(proxy, many.as_bytes()).await), "431");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_is_slow_with_a_request_is_not_waited_for_and_who_begins_none_is_not_answered() {
    let (port, _) = echo().await;
    let proxy = proxy(with(port, |limits| limits.patience = Duration::from_millis(50))).await;
    for (begun, answer) in [(b"CONNECT outs".as_slice(), "HTTP/1.1 408 the request has not come\r\n"), (b"", "")] {
        let mut stream = connection_from("127.0.0.1", proxy).await;
        stream.write_all(begun).await.unwrap();
        let mut all = String::new();
        soon(stream.read_to_string(&mut all)).await.unwrap();
        assert!(all.starts_with(answer) && all.is_empty() == answer.is_empty(), "{all}");
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_no_more_time_than_another() {
    let (port, _) = echo().await;
    let proxy = proxy(with(port, |limits| limits.patience = Duration::from_millis(200))).await;
    let mut stream = connection_from("127.0.0.1", proxy).await;
    stream.write_all(b"GET http://outside.test/ HTTP/1.1\r\nX: ").await.unwrap();
    let drip = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
            if stream.try_read(&mut [0; 64]).is_ok() {
                return;
            }
        }
    };
    soon(drip).await;
}

#[tokio::test]
async fn there_are_so_many_ways_to_the_internet_and_the_secret_has_its_own() {
    let (port, _) = echo().await;
    let proxy = proxy(with(port, |limits| limits.onward = 2)).await;
    let outside = format!("outside.test:{port}");
    let first = tunnel(proxy, &outside).await;
    let _second = tunnel(proxy, &outside).await;
    for request in [connect_to(&outside), format!("GET http://{outside}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()] {
        let full = ask(proxy, &request).await;
        assert!(full.starts_with("HTTP/1.1 503 the proxy is busy\r\n") && full.contains("retry-after: 5\r\n"), "{full}");
    }
    assert_eq!(code(&ask(proxy, &connect_to(&format!("secrets.test:{port}"))).await), "200");
    drop(first);
    let again = async { while code(&ask(proxy, &connect_to(&outside)).await) != "200" {} };
    soon(again).await;
}

#[tokio::test]
async fn one_client_has_so_many_connections_and_the_others_have_theirs() {
    let (port, _) = echo().await;
    let proxy = proxy(with(port, |limits| limits.of_client = 2)).await;
    let outside = format!("outside.test:{port}");
    let first = tunnel_from("127.0.0.2", proxy, &outside).await;
    // One that asks for nothing counts as well.
    let _second = connection_from("127.0.0.2", proxy).await;
    let full = ask_from("127.0.0.2", proxy, &connect_to(&outside)).await;
    assert!(full.starts_with("HTTP/1.1 503 too many connections of this node\r\n"), "{full}");
    assert!(full.contains("This node has 2 connections to the proxy"), "{full}");
    assert_eq!(code(&ask_from("127.0.0.3", proxy, &connect_to(&outside)).await), "200");
    drop(first);
    let again = async { while code(&ask_from("127.0.0.2", proxy, &connect_to(&outside)).await) != "200" {} };
    soon(again).await;
}

#[tokio::test]
async fn where_all_places_are_taken_a_connection_is_refused_at_once() {
    let (port, _) = echo().await;
    let proxy = proxy(with(port, |limits| (limits.onward, limits.reserved) = (1, 1))).await;
    let outside = format!("outside.test:{port}");
    let _first = tunnel_from("127.0.0.2", proxy, &outside).await;
    let second = connection_from("127.0.0.3", proxy).await;
    let full = ask_from("127.0.0.4", proxy, &connect_to(&outside)).await;
    assert!(full.starts_with("HTTP/1.1 503 the proxy is busy\r\n") && full.contains("Retry-After: 5\r\n"), "{full}");
    drop(second);
    let again = async { while code(&ask_from("127.0.0.4", proxy, &connect_to(&format!("secrets.test:{port}"))).await) != "200" {} };
    soon(again).await;
}

#[tokio::test]
async fn a_client_whose_names_are_not_answered_holds_up_itself_only() {
    let (port, _) = echo().await;
    let limits = |limits: &mut Limits| (limits.patience, limits.lookups, limits.lookups_of_client) = (Duration::from_millis(500), 3, 2);
    let proxy = proxy(with(port, limits)).await;
    let silent = connect_to(&format!("silent.test:{port}"));
    let asks =
        tokio::join!(ask_from("127.0.0.2", proxy, &silent), ask_from("127.0.0.2", proxy, &silent), ask_from("127.0.0.2", proxy, &silent));
    for answer in [asks.0, asks.1, asks.2] {
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("it took more than 0.5 s"), "{answer}");
    }
    // Its lookups go on for ever, and hold both of its places.
    let outside = connect_to(&format!("outside.test:{port}"));
    assert_eq!(code(&ask_from("127.0.0.2", proxy, &outside).await), "502");
    assert_eq!(code(&ask_from("127.0.0.3", proxy, &outside).await), "200");
}
