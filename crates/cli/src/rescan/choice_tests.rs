//! Which uploads are chosen, and that cf-watch reads each message as the upload that it is about.

use cf_aws::event::{self, Work};
use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    "2026-11-27T12:00:00Z".parse().unwrap()
}

fn options() -> RescanOptions {
    RescanOptions { prefix: HOME.to_owned(), newer_than: None, older_than: None, max: 1000, after: None, dry_run: false, yes: false }
}

fn some(newer: Option<&str>, older: Option<&str>) -> Result<Choice> {
    let text = |t: Option<&str>| t.map(str::to_owned);
    Choice::of(&RescanOptions { newer_than: text(newer), older_than: text(older), ..options() }, now())
}

fn upload(key: &str, at: &str) -> Upload {
    Upload { key: key.to_owned(), modified: at.parse().unwrap() }
}

#[test]
fn only_requests_are_sent() {
    let all = Choice::of(&options(), now()).unwrap();
    let wants = |key| all.wants(&upload(key, "2020-01-01T00:00:00Z"));
    for key in ["home/alice/demo.cf-create", "home/alice/my folder/demo.cf-delete", "home/alice/a+b.cf-create"] {
        assert!(wants(key), "{key}");
    }
    for key in [
        "home/alice/demo.cf-created",
        "home/alice/demo.cf-status",
        "home/alice/data.csv",
        "home/clusterdrop-probe.cf-create",
        "archive/x.cf-create",
    ] {
        assert!(!wants(key), "{key}");
    }
}

#[test]
fn time_bounds_are_exclusive() {
    let recent = some(Some("2d"), Some("3h")).unwrap();
    let wants = |at| recent.wants(&upload("home/alice/demo.cf-create", at));
    assert!(!wants("2026-11-25T12:00:00Z") && wants("2026-11-25T12:00:01Z"));
    assert!(wants("2026-11-27T08:59:59Z") && !wants("2026-11-27T09:00:00Z"));
    let day = some(Some("2026-11-25"), None).unwrap();
    assert!(
        !day.wants(&upload("home/a/x.cf-create", "2026-11-25T00:00:00Z"))
            && day.wants(&upload("home/a/x.cf-create", "2026-11-25T00:00:01Z"))
    );
    assert_eq!(some(Some("2026-11-25T12:00:00Z"), None).unwrap(), some(Some("2d"), None).unwrap());
}

#[test]
fn what_is_no_time_is_told_with_what_would_be() {
    for text in ["", "yesterday", "3", "h", "-3h", "3.5h", "3é", "2026-13-01", "99999999999w", "4294967295w"] {
        let error = some(Some(text), None).expect_err(text).to_string();
        assert!(error.contains("2026-11-21T09:00:00Z"), "{error}");
    }
    assert!(some(Some("1h"), Some("2h")).expect_err("no such time").to_string().contains("Exchange"));
    let elsewhere = Choice::of(&RescanOptions { prefix: "customizer/".into(), ..options() }, now());
    assert!(elsewhere.expect_err("not there").to_string().contains("--prefix home/USER/"));
}

#[test]
fn an_upload_is_shown_with_its_age() {
    let all = Choice::of(&options(), now()).unwrap();
    for (at, shown) in [
        ("2026-11-27T11:59:59Z", "1 second old"),
        ("2026-11-27T11:01:00Z", "59 minutes old"),
        ("2026-11-27T11:00:00Z", "1 hour old"),
        ("2026-11-26T12:00:00Z", "1 day old"),
        ("2020-11-27T12:00:00Z", "2191 days old"),
        ("2026-11-27T12:00:09Z", "0 seconds old"),
    ] {
        let said = all.describe(7, "users", &upload("home/alice/\u{1b}[2J.cf-create", at));
        assert!(said.ends_with(shown) && said.starts_with("   7. s3://users/home/alice/\\u{1b}[2J.cf-create"), "{said}");
    }
}

#[test]
fn a_listing_is_read_as_s3_encodes_it() {
    for (encoded, key) in [
        ("home/a/my+x", "home/a/my x"),
        ("home/a/x%2By", "home/a/x+y"),
        ("home/a/100%2525", "home/a/100%25"),
        ("home/a/%01", "home/a/\u{1}"),
    ] {
        assert_eq!(decode(encoded).as_deref(), Some(key));
    }
    assert_eq!(decode("%FF"), None);
}

proptest! {
    /// It is read by the very code that cf-watch reads it with.
    #[test]
    fn cf_watch_reads_of_every_key_what_was_sent(key in any::<String>()) {
        let body = serde_json::from_str(&message("users", &key)).unwrap();
        let read = event::read(&body);
        prop_assert_eq!(read, vec![Ok(Work::Upload { bucket: "users".into(), key })]);
    }
}
