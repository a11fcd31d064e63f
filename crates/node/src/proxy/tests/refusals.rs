//! What is not reached, and how that is explained.

use super::*;

fn get(address: &str) -> Vec<u8> {
    format!("GET {address} HTTP/1.1\r\nHost: outside.test\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn addresses_of_this_network_and_of_machines_themselves_are_not_reached_by_name_or_number() {
    let (port, count) = echo().await;
    let inner = TcpListener::bind(("127.1.0.1", port)).await.unwrap();
    let proxy = proxy(rules(port)).await;
    for host in [
        "inner.test",
        "metadata.test",
        "six.test",
        "mapped.test",
        "127.1.0.1",
        "169.254.169.254",
        "10.75.0.9",
        "192.168.0.1",
        "0.0.0.0",
        "[::1]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
    ] {
        for request in [connect_to(&format!("{host}:{port}")), get(&format!("http://{host}:{port}/"))] {
            let answer = ask(proxy, &request).await;
            assert!(answer.starts_with("HTTP/1.1 403 only public IPv4 addresses are reached through the proxy\r\n"), "{host}: {answer}");
            assert!(answer.contains(&format!("{host}:{port} was asked for, which leads to ")), "{answer}");
            assert!(answer.contains("Addresses of this network are not reached through the proxy"), "{answer}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "the target has seen nobody");
    let seen = timeout(Duration::ZERO, inner.accept()).await;
    assert!(seen.is_err(), "nobody has come to the inner address");
}

#[tokio::test]
async fn a_name_with_an_inner_and_an_outer_address_leads_to_the_outer_one() {
    let (port, count) = echo().await;
    let inner = TcpListener::bind(("127.1.0.1", port)).await.unwrap();
    let proxy = proxy(rules(port)).await;
    assert_eq!(code(&ask(proxy, &connect_to(&format!("mixed.test:{port}"))).await), "200");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(timeout(Duration::ZERO, inner.accept()).await.is_err(), "nobody has come to the inner address");
}

#[tokio::test]
async fn a_name_that_changes_after_it_was_looked_at_leads_where_it_led_then() {
    let (port, count) = echo().await;
    let inner = TcpListener::bind(("127.1.0.1", port)).await.unwrap();
    let proxy = proxy(rules(port)).await;
    assert_eq!(code(&ask(proxy, &connect_to(&format!("rebind.test:{port}"))).await), "200");
    assert_eq!((REBOUND.load(Ordering::SeqCst), count.load(Ordering::SeqCst)), (1, 1), "it is looked up once");
    assert_eq!(code(&ask(proxy, &connect_to(&format!("rebind.test:{port}"))).await), "403");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(timeout(Duration::ZERO, inner.accept()).await.is_err(), "nobody has come to the inner address");
}

#[tokio::test]
async fn each_refusal_says_what_was_asked_what_stands_in_the_way_and_what_to_do() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    let trace = String::from_utf8(get(&format!("http://outside.test:{port}/"))).unwrap().replace("GET", "TRACE");
    for (request, status, words) in [
        (
            connect_to("outside.test:22"),
            "403 tunnels lead to port 443 only",
            "A tunnel to outside.test:22 was asked for. Only http and https",
        ),
        (connect_to(&format!("nowhere.test:{port}")), "502 the proxy finds no such host", "finds no address of it: no such host. Look at"),
        (connect_to(&format!("empty.test:{port}")), "502 the proxy does not reach the host", "it has no address"),
        (get("http://outside.test/"), "403 http is asked at port 80 only", "outside.test:80 was asked for."),
        (get("https://outside.test/"), "403 only http and https", "https by CONNECT. Set https_proxy as well"),
        (get("ftp://outside.test/x"), "403 only http and https", "An address of ftp was asked for"),
        (get("/index.html"), "400 this is a proxy and no web server", "http_proxy and https_proxy"),
        (get(&format!("http://u:p@outside.test:{port}/")), "400 not a request for a proxy", "in the header Authorization"),
        (trace.into_bytes(), "501 not passed on", "TRACE"),
    ] {
        let answer = ask(proxy, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{} got {answer}", String::from_utf8_lossy(&request));
        assert!(answer.contains(words) && answer.contains("content-type: text/plain"), "{answer}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "the target has seen nobody");
}

#[tokio::test]
async fn a_host_that_refuses_is_an_answer_with_its_reason() {
    let (port, listener) = target().await;
    drop(listener);
    let proxy = proxy(rules(port)).await;
    let answer = ask(proxy, &connect_to(&format!("outside.test:{port}"))).await;
    assert!(answer.starts_with("HTTP/1.1 502 the proxy does not reach the host\r\n"), "{answer}");
    assert!(answer.contains("127.0.0.1: Connection refused") && answer.contains("another mirror"), "{answer}");
}

#[tokio::test]
async fn where_the_network_has_a_way_out_only_the_secret_is_reached_through_the_proxy() {
    let (port, count) = echo().await;
    let proxy = proxy(Rules { internet: None, ..rules(port) }).await;
    for request in [
        connect_to(&format!("outside.test:{port}")),
        connect_to("secrets.test:22"),
        connect_to(&format!("127.0.0.1:{port}")),
        connect_to(&format!("secrets.test.example.com:{port}")),
        get(&format!("http://secrets.test:{port}/")),
    ] {
        let answer = ask(proxy, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403 this proxy leads to Secrets Manager only\r\n"), "{answer}");
        assert!(answer.contains("Ask your administrator which way to the Internet"), "{answer}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "the target has seen nobody");
    assert_eq!(code(&ask(proxy, &connect_to(&format!("secrets.test:{port}"))).await), "200");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_secret_may_have_an_address_of_this_network_and_none_of_this_machine() {
    let (port, count) = echo().await;
    let rules = Rules { secrets_reaches: address::is_another_machine, ..rules(port) };
    assert!(rules.reaches(Way::Secret, "10.75.0.9".parse().unwrap()) && !rules.reaches(Way::Internet, "10.75.0.9".parse().unwrap()));
    let proxy = proxy(rules).await;
    assert_eq!(code(&ask(proxy, &connect_to(&format!("secrets.test:{port}"))).await), "403");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_stranger_is_not_even_answered() {
    let (port, count) = echo().await;
    let proxy = proxy(Rules { clients: Network::PRIVATE.to_vec(), ..rules(port) }).await;
    let mut stream = connection_from("127.0.0.1", proxy).await;
    let _ = stream.write_all(&connect_to(&format!("outside.test:{port}"))).await;
    let mut all = Vec::new();
    let _ = soon(stream.read_to_end(&mut all)).await;
    assert_eq!((all, count.load(Ordering::SeqCst)), (vec![], 0));
}

#[tokio::test]
async fn what_is_no_request_is_refused_or_ends_and_nothing_is_asked_for_it() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    for (request, status) in [
        (format!("CONNECT outside.test:{port} HTTP/2\r\n\r\n").into_bytes(), "400"),
        (format!("CONNECT outside.test:{port}\r\n\r\n").into_bytes(), "400"),
        (format!("CONNECT http://outside.test:{port}/ HTTP/1.1\r\n\r\n").into_bytes(), "400"),
        (b"CONNECT /path HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (connect_to("outside.test"), "400"),
        (connect_to(&format!("user@outside.test:{port}")), "400"),
        (connect_to("outside.test:99999"), "400"),
        (format!("GET http://outside.test:{port}/ HTTP/1.1\r\nno colon\r\n\r\n").into_bytes(), "400"),
        (format!("GET http://outside.test:{port}/ HTTP/1.1\r\nX : y\r\n\r\n").into_bytes(), "400"),
        (format!("GET http://outside.test:{port}/ HTTP/1.1\r\nX: y\r\n folded\r\n\r\n").into_bytes(), "400"),
        (format!("GET http://outside.test:{port}/a b HTTP/1.1\r\n\r\n").into_bytes(), "400"),
        (b"GET http:///x HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 the hello of TLS".to_vec(), "400"),
        (b"\xff\xfe \r\n\r\n".to_vec(), "400"),
    ] {
        let answer = ask(proxy, &request).await;
        assert_eq!(code(&answer), status, "{} got {answer:?}", String::from_utf8_lossy(&request));
    }
    // Nothing is answered to what ends before it is a request.
    for silent in [b"".as_slice(), b"CONNECT", b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        assert_eq!(ask(proxy, silent).await, "");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "the target has seen nobody");
}

#[tokio::test]
async fn the_internet_begins_beyond_the_vpc_and_is_reached_where_the_template_makes_the_proxy_the_way_out() {
    let rules = Rules::secrets_of("eu-west-2", Network::PRIVATE.to_vec()).await.unwrap();
    assert!(rules.secrets().starts_with("secretsmanager.eu-west-2.") && rules.secrets().ends_with(":443"), "{}", rules.secrets());
    let [private, of_vpc, outside, debian] = ["10.75.1.2", "203.0.113.1", "203.0.114.1", "151.101.2.132"].map(|a| a.parse().unwrap());
    assert_eq!([private, of_vpc].map(|source| rules.admits(source)), [true, false]);
    let vpc = [network("203.0.113.0/24")];
    for outbound in [None, Some(Outbound::Direct)] {
        let rules = rules.clone().in_vpc(&vpc, outbound);
        assert_eq!((rules.admits(of_vpc), rules.reaches(Way::Internet, debian)), (true, false));
    }
    let rules = rules.in_vpc(&vpc, Some(Outbound::Proxy));
    assert_eq!([private, of_vpc, outside].map(|source| rules.admits(source)), [true, true, false]);
    assert_eq!([private, of_vpc, outside, debian].map(|a| rules.reaches(Way::Internet, a)), [false, false, true, true]);
    let target = |text: &str| Target::of_tunnel(&text.parse().unwrap()).unwrap();
    assert_eq!(rules.way(&target("pypi.org:443"), Manner::Tunnel), Ok(Way::Internet));
    assert_eq!(rules.way(&target("deb.debian.org:80"), Manner::Request), Ok(Way::Internet));
    for (text, manner) in [("deb.debian.org:80", Manner::Tunnel), ("pypi.org:443", Manner::Request), ("pypi.org:22", Manner::Tunnel)] {
        assert_eq!(rules.way(&target(text), manner), Err(Refusal::Port(target(text), manner)));
    }
}
