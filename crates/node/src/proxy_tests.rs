//! Real connections on loopback. Only the rule about loopback addresses is another one where a tunnel is wanted.

use super::*;

/// A target that returns what it gets until its peer ends, and counts its connections.
async fn echo() -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    (port, count)
}

fn loopback() -> Vec<Network> {
    vec!["127.0.0.0/8".parse().unwrap()]
}

fn rules(port: u16) -> Rules {
    let limits = Limits { patience: Duration::from_secs(20), ..Limits::default() };
    Rules { target: format!("localhost:{port}"), networks: loopback(), limits, reaches: |_| true }
}

async fn proxy(rules: Rules) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, rules));
    address
}

/// Sends a text and gives all that comes back until the proxy ends.
async fn ask(proxy: SocketAddr, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    // A proxy that has seen enough may have ended before it is all sent.
    let _ = stream.write_all(text).await;
    let _ = stream.shutdown().await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut all)).await;
    // A tunnel that has taken too much ends by a reset.
    let _ = read.expect("the proxy ends the connection");
    String::from_utf8_lossy(&all).into_owned()
}

fn connect_to(target: &str) -> Vec<u8> {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_tunnel_leads_to_the_target_and_carries_every_byte_both_ways() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    let hello = [connect_to(&format!("localhost:{port}")), b"\x16\x03\x01 not a line of HTTP".to_vec()].concat();
    let all = ask(proxy, &hello).await;
    assert_eq!(all, "HTTP/1.1 200 Connection established\r\n\r\n\u{16}\u{3}\u{1} not a line of HTTP");
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nothing_else_is_reached_through_it() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    for (request, status) in [
        (connect_to("169.254.169.254:80"), "403"),
        (connect_to(&format!("127.0.0.1:{port}")), "403"),
        (connect_to("localhost:22"), "403"),
        (connect_to(&format!("localhost:{port}.example.com")), "403"),
        (connect_to(&format!("user@localhost:{port}")), "403"),
        (connect_to(&format!("LOCALHOST:{port}")), "403"),
        (format!("GET http://localhost:{port}/ HTTP/1.1\r\n\r\n").into_bytes(), "403"),
        (format!("CONNECT  localhost:{port} HTTP/1.1\r\n\r\n").into_bytes(), "400"),
        (format!("CONNECT localhost:{port} HTTP/2\r\n\r\n").into_bytes(), "400"),
        (format!("CONNECT localhost:{port}\r\n\r\n").into_bytes(), "400"),
        (format!("connect localhost:{port} HTTP/1.1\r\n\r\n").into_bytes(), "400"),
        (b"\xff\xfe \r\n\r\n".to_vec(), "400"),
        (b"CONNECT".to_vec(), "400"),
        (b"\r\n\r\n".to_vec(), "400"),
        (vec![], "400"),
    ] {
        let all = ask(proxy, &request).await;
        assert!(all.starts_with(&format!("HTTP/1.1 {status} ")), "{} got {all:?}", String::from_utf8_lossy(&request));
    }
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 0, "the target has seen nobody");
}

#[tokio::test]
async fn a_request_may_be_so_long_and_no_longer() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    let padded = |bytes: usize| {
        let mut request = format!("CONNECT localhost:{port} HTTP/1.1\r\nX: ").into_bytes();
        request.resize(bytes - 4, b'x');
        request.extend(b"\r\n\r\n");
        request
    };
    assert!(ask(proxy, &padded(4096)).await.starts_with("HTTP/1.1 200 "));
    let refused = ask(proxy, &padded(4097)).await;
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_is_slow_is_not_waited_for() {
    let (port, _) = echo().await;
    let limits = Limits { patience: Duration::from_millis(50), ..Limits::default() };
    let proxy = proxy(Rules { limits, ..rules(port) }).await;
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(b"CONNECT ").await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 408 "), "{all}");
}

#[tokio::test]
async fn there_are_so_many_tunnels_and_one_that_ends_makes_room() {
    let (port, _) = echo().await;
    let limits = Limits { tunnels: 1, patience: Duration::from_secs(20), ..Limits::default() };
    let proxy = proxy(Rules { limits, ..rules(port) }).await;
    let target = format!("localhost:{port}");
    let mut first = TcpStream::connect(proxy).await.unwrap();
    first.write_all(&connect_to(&target)).await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(ask(proxy, &connect_to(&target)).await.starts_with("HTTP/1.1 503 "));
    drop(first);
    for _ in 0..1000 {
        if ask(proxy, &connect_to(&target)).await.starts_with("HTTP/1.1 200 ") {
            return;
        }
    }
    panic!("the place of the first tunnel is not free again");
}

#[tokio::test]
async fn a_tunnel_ends_by_its_time_and_by_its_bytes() {
    let (port, _) = echo().await;
    let target = connect_to(&format!("localhost:{port}"));
    let limits = Limits { tunnel: Duration::from_millis(50), patience: Duration::from_secs(20), ..Limits::default() };
    let timed = proxy(Rules { limits, ..rules(port) }).await;
    let mut stream = TcpStream::connect(timed).await.unwrap();
    stream.write_all(&target).await.unwrap();
    let mut all = Vec::new();
    // It ends although neither side does.
    let _ = stream.read_to_end(&mut all).await;
    assert!(all.starts_with(b"HTTP/1.1 200 "));
    let limits = Limits { tunnel_bytes: 1000, patience: Duration::from_secs(20), ..Limits::default() };
    let counted = proxy(Rules { limits, ..rules(port) }).await;
    let answer = "HTTP/1.1 200 Connection established\r\n\r\n".len();
    assert_eq!(ask(counted, &[target.clone(), vec![b'x'; 999]].concat()).await.len(), answer + 999);
    assert!(ask(counted, &[target, vec![b'x'; 5000]].concat()).await.len() <= answer + 1000);
}

#[tokio::test]
async fn a_stranger_is_not_even_answered() {
    let (port, count) = echo().await;
    let proxy = proxy(Rules { networks: Network::PRIVATE.to_vec(), ..rules(port) }).await;
    assert_eq!(ask(proxy, &connect_to(&format!("localhost:{port}"))).await, "");
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_opens_nothing() {
    let (port, count) = echo().await;
    let proxy = proxy(Rules { reaches, ..rules(port) }).await;
    assert!(ask(proxy, &connect_to(&format!("localhost:{port}"))).await.starts_with("HTTP/1.1 403 "));
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn addresses_of_this_machine_and_its_metadata_are_not_reached() {
    for (address, is_reached) in [
        ("52.94.5.1", true),
        ("10.75.0.9", true),
        ("2a05:d000::1", true),
        ("127.0.0.1", false),
        ("127.8.9.10", false),
        ("169.254.169.254", false),
        ("0.0.0.0", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("::1", false),
        ("::", false),
        ("fe80::1", false),
        ("::ffff:127.0.0.1", false),
        ("::ffff:169.254.169.254", false),
    ] {
        assert_eq!(reaches(address.parse().unwrap()), is_reached, "{address}");
    }
}

#[test]
fn a_network_holds_its_own_addresses_from_the_first_to_the_last() {
    for (network, inside, outside) in [
        ("10.75.0.0/16", ["10.75.0.0", "10.75.255.255"], ["10.74.255.255", "10.76.0.0"]),
        ("192.0.2.8/32", ["192.0.2.8", "::ffff:192.0.2.8"], ["192.0.2.7", "192.0.2.9"]),
        ("172.16.0.0/12", ["172.16.0.0", "172.31.255.255"], ["172.15.255.255", "172.32.0.0"]),
    ] {
        let network: Network = network.parse().unwrap();
        assert!(inside.iter().all(|address| network.holds(address.parse().unwrap())), "{network:?}");
        assert!(!outside.iter().any(|address| network.holds(address.parse().unwrap())), "{network:?}");
        assert!(!network.holds("2a05:d000::1".parse().unwrap()));
    }
    assert!("0.0.0.0/0".parse::<Network>().unwrap().holds("203.0.113.1".parse().unwrap()));
    for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "::/0"] {
        assert!(text.parse::<Network>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_target_is_the_secrets_manager_of_the_region() {
    let rules = Rules::secrets_of("eu-west-2", Network::PRIVATE.to_vec()).await.unwrap();
    assert!(rules.target().starts_with("secretsmanager.eu-west-2.") && rules.target().ends_with(":443"), "{}", rules.target());
    assert_eq!((rules.admits("10.75.1.2".parse().unwrap()), rules.admits("203.0.113.1".parse().unwrap())), (true, false));
}
