//! Uploads that nobody has told of are found by hand and sent. The bucket of this deployment has no trigger
//! (UserBucketMode=existing, not adopted), so nothing else ever tells of them.

mod common;

use anyhow::{Result, ensure};
use cf_e2e::cli::{Ran, clusterdrop};
use common::{TestUser, stage};
use serde_json::json;

fn rescan(s: &TestUser, options: &[&str]) -> Result<Ran> {
    clusterdrop(&s.deployment.url, &[&["admin", "rescan", "--prefix", &s.key("")], options].concat())
}

fn rescanned(s: &TestUser, options: &[&str]) -> Result<String> {
    let ran = rescan(s, options)?;
    ensure!(ran.code == Some(0) && ran.err.is_empty(), "{options:?}: {ran:?}");
    Ok(ran.out)
}

#[tokio::test]
async fn what_lies_there_is_shown_first_and_answered_once_it_is_sent() -> Result<()> {
    let s = stage("finder").await?;
    assert_eq!(rescanned(&s, &[])?, "No upload of that kind waits there.\n");
    for (name, text) in [("a b/demo.cf-create", "{}"), ("a+b.cf-delete", ""), ("none.cf-delete", ""), ("data.csv", "1")] {
        s.drop(name, text).await?;
    }
    only_shown(&s)?;
    refused(&s)?;
    one_after_the_other(&s)?;
    s.answer("a b/demo.cf-created").await?;
    s.answer("a+b.cf-failed").await?;
    s.answer("none.cf-failed").await?;
    s.deployment
        .until("the uploads' end", async || Ok((rescanned(&s, &[])? == "No upload of that kind waits there.\n").then_some(())))
        .await?;
    s.rest().await
}

fn only_shown(s: &TestUser) -> Result<()> {
    // Other tests have sent messages of theirs on this emulator.
    let sent = s.calls("call=sqs.SendMessage")?.len();
    for options in [&[][..], &["--dry-run"], &["--newer-than", "1h"], &["--newer-than", "2020-01-01"]] {
        let shown = rescanned(s, options)?;
        assert!(shown.contains("   1. s3://af-users-eu-west-2/home/finder/a b/demo.cf-create   20"), "{shown}");
        assert!(shown.contains("3 uploads. Dry run: nothing was sent.") && !shown.contains("data.csv"), "{shown}");
    }
    assert_eq!(rescanned(s, &["--older-than", "1h"])?, "No upload of that kind waits there.\n");
    assert_eq!(s.calls("call=sqs.SendMessage")?.len(), sent, "nothing was sent");
    Ok(())
}

fn refused(s: &TestUser) -> Result<()> {
    for (options, told) in [
        (&["--newer-than", "yesterday"][..], "cannot read \"yesterday\" as a time"),
        (&["--prefix", "customizer/"], "Give --prefix home/USER/"),
    ] {
        // The last of two prefixes would be a usage error, so here is only this one.
        let ran = clusterdrop(&s.deployment.url, &[&["admin", "rescan"], options].concat())?;
        assert!(ran.code == Some(1) && ran.err.contains(told) && ran.err.lines().count() == 1, "{ran:?}");
    }
    assert_eq!(rescan(s, &["--yes", "--dry-run"])?.code, Some(2));
    let denied = s.fault(&json!({"kind": "call", "call": "sqs.SendMessageBatch", "error": "AccessDenied", "status": 403, "times": 1}))?;
    let ran = rescan(s, &["--yes"])?;
    assert_eq!((ran.code, denied.hits()?), (Some(1), 1), "{ran:?}");
    assert!(ran.err.contains("lack sqs:SendMessage") && ran.out.contains("0 uploads sent"), "{ran:?}");
    Ok(())
}

fn one_after_the_other(s: &TestUser) -> Result<()> {
    let shown = rescanned(s, &["--yes", "--max", "1"])?;
    assert!(shown.contains("1 upload sent to the failure queue"), "{shown}");
    let after = s.key("a b/demo.cf-create");
    assert!(shown.contains(&format!("go on with --after {after:?}")), "{shown}");
    let shown = rescanned(s, &["--yes", "--after", &after])?;
    assert!(shown.contains("2 uploads sent to the failure queue") && !shown.contains("go on with"), "{shown}");
    Ok(())
}
