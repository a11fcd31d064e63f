//! Uploads that are replaced or withdrawn while a function reads them: between the listing and the reading, and between
//! the reading and its arrival; by other bytes, and by equal ones. Run on a versioned bucket and on an unversioned one.

mod common;

use anyhow::Result;
use cf_e2e::messages;
use common::{TestUser, stage};
use serde_json::json;

const OTHER: &str = r#"{"ComputeMaxNodes": "7"}"#;

/// When the upload is replaced.
#[derive(Clone, Copy)]
enum Moment {
    /// It was listed, and is about to be read.
    BeforeTheReading,
    /// It was read, and the answer is on its way.
    AfterTheReading,
}

/// Drops an empty request, and in the midst of its being read does `then`.
async fn in_the_midst<F: AsyncFnOnce(&TestUser) -> Result<()>>(user: &str, moment: Moment, then: F) -> Result<TestUser> {
    let s = stage(user).await?;
    let when = match moment {
        Moment::BeforeTheReading => "before",
        Moment::AfterTheReading => "after",
    };
    let key = s.key("demo.cf-create");
    let slow = s.fault(&json!({"kind": "call", "call": "s3.GetObject", "caller": "function/", "text": key, "when": when, "hold": true}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.deployment.until("the reading", async || Ok((slow.hits()? > 0).then_some(()))).await?;
    then(&s).await?;
    // Only now the reading goes on.
    drop(slow);
    Ok(s)
}

/// One cluster, no upload left, nothing owed; and the cluster's `ComputeMaxNodes`.
async fn settled(s: &TestUser) -> Result<String> {
    s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    s.rest().await?;
    let stack = s.only_stack("demo").await?;
    let nodes = stack.parameters().iter().find(|p| p.parameter_key() == Some("ComputeMaxNodes")).and_then(|p| p.parameter_value());
    Ok(nodes.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn other_bytes_before_the_reading_are_what_is_read_and_made() -> Result<()> {
    let s = in_the_midst("replaced1", Moment::BeforeTheReading, async |s| s.drop("demo.cf-create", OTHER).await).await?;
    assert_eq!(settled(&s).await?, "7");
    assert!(s.text("demo.cf-failed").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn other_bytes_after_the_reading_overtake_what_was_read() -> Result<()> {
    // The second upload's own event is quicker: the first reader finds the ledger changed, and nothing left to do.
    let s = in_the_midst("replaced2", Moment::AfterTheReading, async |s| {
        s.drop("demo.cf-create", OTHER).await?;
        s.deployment.until("the second one's stack", async || Ok((!s.stacks("demo").await?.is_empty()).then_some(()))).await
    })
    .await?;
    assert_eq!(settled(&s).await?, "7");
    assert!(s.text("demo.cf-failed").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn other_bytes_after_the_reading_whose_event_is_lost_are_a_request_of_their_own() -> Result<()> {
    let s = in_the_midst("replaced7", Moment::AfterTheReading, async |s| {
        let key = s.key("demo.cf-create");
        let lost = s.fault(&json!({"kind": "event", "detail_type": "Object Created", "text": key, "do": "drop"}))?;
        s.drop("demo.cf-create", OTHER).await?;
        s.deployment.until("the event's loss", async || Ok((lost.hits()? > 0).then_some(()))).await
    })
    .await?;
    s.answers("demo.cf-failed", &[messages::differs("demo", "ComputeMaxNodes", "4", "7")]).await?;
    assert_eq!(settled(&s).await?, "4");
    Ok(())
}

#[tokio::test]
async fn equal_bytes_before_the_reading_are_the_same_request() -> Result<()> {
    let s = in_the_midst("replaced3", Moment::BeforeTheReading, async |s| s.drop("demo.cf-create", "{}").await).await?;
    assert_eq!(settled(&s).await?, "4");
    assert!(s.text("demo.cf-failed").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn equal_bytes_after_the_reading_are_the_same_request() -> Result<()> {
    let s = in_the_midst("replaced4", Moment::AfterTheReading, async |s| s.drop("demo.cf-create", "{}").await).await?;
    assert_eq!(settled(&s).await?, "4");
    assert!(s.text("demo.cf-failed").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn what_is_withdrawn_before_the_reading_is_not_made() -> Result<()> {
    let s = in_the_midst("replaced5", Moment::BeforeTheReading, async |s| s.take_away("demo.cf-create").await).await?;
    // The next request of the same user comes after it, and its answer with it.
    s.drop("other.cf-create", "{}").await?;
    s.answer("other.cf-created").await?;
    s.rest().await?;
    assert!(s.stacks("demo").await?.is_empty());
    assert_eq!(s.deployment.keys(&s.key("demo")).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn what_is_withdrawn_after_the_reading_is_made_and_its_answer_stands() -> Result<()> {
    let s = in_the_midst("replaced6", Moment::AfterTheReading, async |s| s.take_away("demo.cf-create").await).await?;
    assert_eq!(settled(&s).await?, "4");
    Ok(())
}
