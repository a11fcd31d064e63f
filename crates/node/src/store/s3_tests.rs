//! S3's answers, by a server that gives them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::fake_http::{Answer, Request, Server, configuration};

const HASTE: Patience =
    Patience { new_role: Duration::ZERO, pause: Duration::ZERO, stall: Duration::from_millis(200), object: Duration::from_secs(10) };

async fn store(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> (S3, Server) {
    let server = Server::start(answer).await;
    (S3::new(&configuration(&server.url).await, "123456789012", HASTE), server)
}

fn page(keys: &[&str], next: Option<&str>) -> Answer {
    let object = |key: &&str| {
        let rest = "<LastModified>2026-11-21T09:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size>";
        format!("<Contents><Key>{key}</Key>{rest}</Contents>")
    };
    let contents: String = keys.iter().map(object).collect();
    let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>")).unwrap_or_default();
    let body = format!("<ListBucketResult><EncodingType>url</EncodingType>{contents}{next}</ListBucketResult>");
    Answer::Whole(200, vec![], body.into_bytes())
}

#[tokio::test]
async fn a_listing_is_read_page_by_page_up_to_its_bound_and_names_the_owner() {
    let (s3, server) = store(|_, request| match request.line.split_once("continuation-token=") {
        None => page(&["p/a", "p/b%0A+c"], Some("two")),
        Some(_) => page(&["p/d"], None),
    })
    .await;
    let keys = |found: Vec<Object>| found.into_iter().map(|object| object.key).collect::<Vec<_>>();
    let (found, more) = s3.list("bucket", "p/", 3).await.unwrap();
    assert_eq!((found[0].size, found[0].etag.as_str(), found[0].modified), (7, "\"e\"", 1_795_251_600));
    assert_eq!((keys(found), more), (vec!["p/a".into(), "p/b\n c".into(), "p/d".into()], false));
    let (found, more) = s3.list("bucket", "p/", 2).await.unwrap();
    assert_eq!((found.len(), more), (2, true));
    assert!(server.asked().iter().all(|request| request.header("x-amz-expected-bucket-owner") == "123456789012" && request.is_signed()));
    assert!(server.lines()[0].starts_with("GET /bucket/?"), "{:?}", server.lines());
}

#[tokio::test]
async fn a_listing_that_does_not_end_is_given_up() {
    let (s3, server) = store(|_, _| page(&[], Some("again"))).await;
    assert_eq!(s3.list("bucket", "p/", 10).await, Err(StoreError::Unreachable("its listing does not end".into())));
    assert_eq!(server.asked().len(), SPARE_PAGES);
}

#[tokio::test]
async fn each_status_has_its_meaning() {
    for (status, code, expected) in [
        (403, "AccessDenied", StoreError::Denied("AccessDenied: Words of AccessDenied".into())),
        (404, "NoSuchKey", StoreError::Missing("NoSuchKey: Words of NoSuchKey".into())),
        (404, "NoSuchBucket", StoreError::Missing("NoSuchBucket: Words of NoSuchBucket".into())),
        (301, "PermanentRedirect", StoreError::Denied("PermanentRedirect: Words of PermanentRedirect".into())),
        (503, "SlowDown", StoreError::Unreachable("SlowDown: Words of SlowDown".into())),
        (500, "InternalError", StoreError::Unreachable("InternalError: Words of InternalError".into())),
    ] {
        let (s3, _server) = store(move |_, _| Answer::error(status, code)).await;
        assert_eq!(s3.get("bucket", "key", 10).await.unwrap_err(), expected);
        assert_eq!(s3.list("bucket", "key", 10).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_server_error_passes_and_silence_is_unreachable() {
    let (s3, server) = store(|number, _| if number < 2 { Answer::error(503, "SlowDown") } else { Answer::object(b"content") }).await;
    assert_eq!(s3.get("bucket", "key", 7).await, Ok((b"content".to_vec(), "\"e\"".into())));
    assert_eq!(server.asked().len(), 3);
    let (s3, _server) = store(|_, _| Answer::Silence).await;
    assert!(matches!(s3.get("bucket", "key", 7).await, Err(StoreError::Unreachable(_))));
    let unreachable = S3::new(&configuration("http://127.0.0.1:1").await, "123456789012", HASTE);
    assert!(matches!(unreachable.list("bucket", "p/", 1).await, Err(StoreError::Unreachable(_))));
}

#[tokio::test]
async fn b13_what_the_role_may_not_read_is_asked_for_without_a_signature() {
    let (s3, server) =
        store(|_, request| if request.is_signed() { Answer::error(403, "AccessDenied") } else { Answer::object(b"public") }).await;
    assert_eq!(s3.get("bucket", "key", 10).await.unwrap().0, b"public");
    let asked = server.asked();
    assert_eq!(asked.iter().map(Request::is_signed).collect::<Vec<_>>(), [true, false]);
    assert!(asked.iter().all(|request| request.header("x-amz-expected-bucket-owner") == "123456789012"));
    // A listing is never asked for without one.
    assert!(matches!(s3.list("bucket", "p/", 1).await, Err(StoreError::Denied(_))));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_role_that_was_just_made_is_waited_for_once() {
    let server = Server::start(|number, _| if number < 5 { Answer::error(403, "InvalidAccessKeyId") } else { page(&[], None) }).await;
    let patience = Patience { new_role: Duration::from_secs(30), ..HASTE };
    let s3 = S3::new(&configuration(&server.url).await, "123456789012", patience);
    assert_eq!(s3.list("bucket", "p/", 1).await, Ok((vec![], false)));

    let (_, server) = (s3, Server::start(|number, _| if number == 0 { page(&[], None) } else { Answer::error(403, "AccessDenied") }).await);
    let s3 = S3::new(&configuration(&server.url).await, "123456789012", patience);
    s3.list("bucket", "p/", 1).await.unwrap();
    assert!(s3.clone().list("other", "p/", 1).await.is_err(), "the role is known: it has no right");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_object_becomes_a_file_that_only_root_reads() {
    let (s3, _server) = store(|_, _| Answer::object(b"content")).await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    s3.fetch("bucket", "key", 7, &to).await.unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"content");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    // What is there is not written over, and stays.
    assert!(matches!(s3.fetch("bucket", "key", 7, &to).await, Err(StoreError::Local(_))));
    assert_eq!(fs::read(&to).unwrap(), b"content");
}

#[tokio::test]
async fn an_object_that_is_too_long_or_breaks_off_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    let (s3, _server) = store(|_, _| Answer::object(b"content")).await;
    assert_eq!(s3.fetch("bucket", "key", 6, &to).await, Err(StoreError::TooLong(6)));
    assert!(!to.exists());
    let (s3, server) = store(|_, _| Answer::Cut(200, vec![b'x'; 1000], 400)).await;
    assert!(matches!(s3.fetch("bucket", "key", 1000, &to).await, Err(StoreError::Unreachable(_))));
    assert_eq!((to.exists(), server.asked().len()), (false, DOWNLOADS_MAX));
    let (s3, _server) = store(|_, _| Answer::Stalled(200, vec![b'x'; 1000], 400)).await;
    let Err(StoreError::Unreachable(why)) = s3.fetch("bucket", "key", 1000, &to).await else { panic!("it stalls") };
    assert!(why.contains("nothing more of the object came"), "{why}");
    assert!(!to.exists());
    let full = Path::new("/dev/full/file");
    assert!(matches!(s3.fetch("bucket", "key", 1000, full).await, Err(StoreError::Local(_))));
}

#[tokio::test]
async fn a_body_that_breaks_off_once_is_read_again_from_its_start() {
    let (s3, _server) =
        store(|number, _| if number == 0 { Answer::Cut(200, vec![b'x'; 10], 4) } else { Answer::object(&[b'y'; 10]) }).await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    s3.fetch("bucket", "key", 10, &to).await.unwrap();
    assert_eq!(fs::read(to).unwrap(), [b'y'; 10]);
}

#[tokio::test]
async fn a_full_disk_is_this_nodes_own_failure() {
    let mut body = std::fs::OpenOptions::new().write(true).open("/dev/full").map(tokio::fs::File::from_std).unwrap();
    let copied = copy(ByteStream::from(vec![0; 100_000]), 100_000, &mut body, HASTE.stall).await;
    assert!(matches!(copied, Err(StoreError::Local(_))), "{copied:?}");
}

#[tokio::test]
async fn a_write_says_what_it_expects_and_another_state_than_expected_is_changed() {
    let (s3, server) = store(|number, _| match number {
        0 => Answer::Whole(200, vec![("etag", "\"new\"".into())], vec![]),
        1 => Answer::error(412, "PreconditionFailed"),
        2 => Answer::error(409, "ConditionalRequestConflict"),
        3 => Answer::error(404, "NoSuchKey"),
        4 => Answer::error(404, "NoSuchBucket"),
        _ => Answer::error(403, "AccessDenied"),
    })
    .await;
    let put = |expect| s3.put("bucket", "key", b"content".to_vec(), "text/plain", expect);
    assert_eq!(put(Expect::Anything).await, Ok("\"new\"".into()));
    let is = || Expect::Is("\"old\"".into());
    assert!(matches!(put(Expect::Absent).await, Err(StoreError::Changed(_))));
    assert!(matches!(put(is()).await, Err(StoreError::Changed(_))));
    assert!(matches!(put(is()).await, Err(StoreError::Changed(_))));
    assert!(matches!(put(is()).await, Err(StoreError::Missing(_))));
    assert!(matches!(put(Expect::Anything).await, Err(StoreError::Denied(_))));
    let asked = server.asked();
    let conditions = |nth: usize| (asked[nth].header("if-none-match"), asked[nth].header("if-match"));
    assert_eq!((conditions(0), conditions(1), conditions(2)), (("", ""), ("*", ""), ("", "\"old\"")));
    assert_eq!((asked[0].body.as_slice(), asked[0].header("content-type")), (b"content".as_slice(), "text/plain"));
    assert!(asked.iter().all(|request| request.header("x-amz-expected-bucket-owner") == "123456789012" && request.is_signed()));
}

#[tokio::test]
async fn a_long_write_has_more_time_than_a_short_one_and_no_more_than_its_size_needs() {
    // Longer than an attempt of the test's configuration takes, and shorter than it takes with a second more.
    let (s3, server) = store(|_, _| Answer::Late(200, Duration::from_millis(700))).await;
    let put = |bytes: u64| s3.put("bucket", "key", vec![0; usize::try_from(bytes).unwrap()], "text/plain", Expect::Anything);
    assert!(matches!(put(UPLOAD_BYTES_A_SECOND - 1).await, Err(StoreError::Unreachable(_))));
    assert_eq!(server.asked().len(), 3);
    assert_eq!(put(UPLOAD_BYTES_A_SECOND).await, Ok("\"e\"".into()));
    let seconds = |limits: TimeoutConfig| {
        [limits.operation_attempt_timeout(), limits.operation_timeout()].map(|limit| limit.map_or(0, |limit| limit.as_secs()))
    };
    let on_a_node = S3::new(&crate::aws::configuration("eu-west-2").await, "123456789012", Patience::default());
    assert_eq!(seconds(on_a_node.upload_timeouts(1)), [8, 20]);
    assert_eq!(seconds(on_a_node.upload_timeouts(64 * 1024 * 1024)), [8 + 1024, 20 + 3 * 1024]);
}

#[tokio::test]
async fn what_is_not_there_is_removed() {
    let (s3, server) = store(|number, _| match number {
        0 => Answer::Whole(204, vec![], vec![]),
        1 => Answer::error(404, "NoSuchKey"),
        2 => Answer::error(404, "NoSuchBucket"),
        _ => Answer::error(403, "AccessDenied"),
    })
    .await;
    assert_eq!(s3.remove("bucket", "key").await, Ok(()));
    assert_eq!(s3.remove("bucket", "key").await, Ok(()));
    assert!(matches!(s3.remove("bucket", "key").await, Err(StoreError::Missing(_))));
    assert!(matches!(s3.remove("bucket", "key").await, Err(StoreError::Denied(_))));
    assert!(server.asked().iter().all(|request| request.header("x-amz-expected-bucket-owner") == "123456789012"));
}
