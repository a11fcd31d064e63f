//! What goes through a tunnel, and how it ends.

use super::*;

#[tokio::test]
async fn c6_a_tunnel_leads_to_the_target_and_carries_every_byte_both_ways() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    for host in ["outside.test", "OUTSIDE.test", "127.0.0.1", "secrets.test"] {
        // The client does not wait for the answer, as it may not (RFC 9110, 9.3.6); no byte is lost all the same.
        let hello = [connect_to(&format!("{host}:{port}")), b"\x16\x03\x01 not a line of HTTP\r\n\r\n".to_vec()].concat();
        let all = ask(proxy, &hello).await;
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK") && !head.contains("content-length"), "{head}");
        assert_eq!(body, "\u{16}\u{3}\u{1} not a line of HTTP\r\n\r\n");
    }
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_side_that_has_ended_still_gets_what_the_other_has_to_send() {
    const BYTES: usize = 4 * 1024 * 1024;
    let (port, target) = target().await;
    let proxy = proxy(rules(port)).await;
    for client_ends_first in [true, false] {
        let mut near = tunnel(proxy, &format!("outside.test:{port}")).await;
        let (mut far, _) = soon(target.accept()).await.unwrap();
        let (first, second) = if client_ends_first { (&mut near, &mut far) } else { (&mut far, &mut near) };
        first.write_all(b"that is all").await.unwrap();
        first.shutdown().await.unwrap();
        let mut heard = String::new();
        soon(second.read_to_string(&mut heard)).await.unwrap();
        assert_eq!(heard, "that is all");
        let mut answer = Vec::new();
        let (sent, read) = tokio::join!(
            async {
                second.write_all(&vec![7; BYTES]).await?;
                second.shutdown().await
            },
            soon(first.read_to_end(&mut answer))
        );
        sent.unwrap();
        read.unwrap();
        assert_eq!(answer, vec![7; BYTES]);
    }
}

#[tokio::test]
async fn where_one_side_breaks_off_the_other_ends_too() {
    let (port, target) = target().await;
    let proxy = proxy(rules(port)).await;
    for client_breaks_off in [true, false] {
        let near = tunnel(proxy, &format!("outside.test:{port}")).await;
        let (far, _) = soon(target.accept()).await.unwrap();
        let (gone, mut left) = if client_breaks_off { (near, far) } else { (far, near) };
        // Without a second of waiting, the kernel resets the connection.
        gone.set_zero_linger().unwrap();
        drop(gone);
        let mut heard = Vec::new();
        let _ = soon(left.read_to_end(&mut heard)).await;
        assert_eq!(heard, b"");
    }
}

#[tokio::test]
async fn hundreds_of_tunnels_go_at_a_time_and_none_gets_the_bytes_of_another() {
    let (port, count) = echo().await;
    let proxy = proxy(rules(port)).await;
    let mut tunnels = Vec::new();
    for nth in 0..384_u16 {
        let client = format!("127.0.0.{}", 1 + nth % 8);
        tunnels.push((nth, tunnel_from(&client, proxy, &format!("outside.test:{port}")).await));
    }
    for (nth, stream) in &mut tunnels {
        stream.write_all(&nth.to_be_bytes()).await.unwrap();
    }
    for (nth, stream) in tunnels.iter_mut().rev() {
        assert_eq!(soon(stream.read_u16()).await.unwrap(), *nth);
    }
    assert_eq!(count.load(Ordering::SeqCst), 384);
}

#[tokio::test]
async fn a_silent_tunnel_ends_and_one_that_is_used_goes_on() {
    let idle = Duration::from_millis(400);
    let (port, _) = echo().await;
    let limits = Limits { idle, ..rules(port).limits };
    let proxy = proxy(Rules { limits, ..rules(port) }).await;
    let begin = tokio::time::Instant::now();
    let mut stream = tunnel(proxy, &format!("outside.test:{port}")).await;
    while begin.elapsed() < 3 * idle {
        stream.write_all(b"x").await.unwrap();
        assert_eq!(soon(stream.read_u8()).await.unwrap(), b'x');
    }
    let last = tokio::time::Instant::now();
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    // The clock of activity counts whole milliseconds.
    assert!(rest.is_empty() && last.elapsed() + Duration::from_millis(50) >= idle, "{:?}", last.elapsed());
}

#[tokio::test]
async fn a_tunnel_to_the_secret_ends_by_its_time_although_bytes_go() {
    let (port, _) = echo().await;
    let limits = Limits { secret: Duration::from_millis(50), ..rules(port).limits };
    let proxy = proxy(Rules { limits, ..rules(port) }).await;
    let mut stream = tunnel(proxy, &format!("secrets.test:{port}")).await;
    let ends = async { while stream.write_all(b"x").await.is_ok() && stream.read_u8().await.is_ok() {} };
    soon(ends).await;
}
