//! Names of files that only look like a request's: each gets a word with the name that works, and stays.

use anyhow::Result;
use aws_sdk_s3::primitives::ByteStream;
use cf_e2e::messages;
use cf_local::deploy::USER_BUCKET;

use crate::Case;
use crate::common::{TestUser, stage};

/// What the answer to a misnamed file says, and that the file is left alone.
async fn told(s: &TestUser, name: &str, right: &str) -> Result<()> {
    let (message, found) = messages::look_alike(&s.key(name))?;
    assert_eq!(found.to_string(), s.key(right), "{name}");
    s.answers(&format!("{name}.cf-failed"), &[message]).await?;
    assert!(s.text(name).await?.is_some(), "{name} is its user's");
    Ok(())
}

#[tokio::test]
async fn b09_names_that_windows_and_browsers_make_are_told_the_name_that_works() -> Result<()> {
    let mut case = Case::load("b09").await?;
    case.play_all().await?;
    let s = &case.s;
    for (name, right) in [
        ("n1.cf-create.txt", "n1.cf-create"),
        ("n3.cf-create.json", "n3.cf-create"),
        ("n4.CF-CREATE", "n4.cf-create"),
        ("n5.cf-create~", "n5.cf-create"),
        ("n6.cf_create", "n6.cf-create"),
        ("n7.cf-delete.txt", "n7.cf-delete"),
    ] {
        told(s, name, right).await?;
    }
    // Its ending is right, so it is a request, and one with a bad name.
    let answer = s.answers("n2 (1).cf-failed", &[messages::wrong_name(&s.key("n2 (1).cf-create"), "n2 (1)")?]).await?;
    assert!(answer.contains("n2-1"), "a name that works: {answer}");
    s.gone("n2 (1).cf-create").await?;
    for cluster in ["n1", "n3", "n4", "n5", "n6", "n7"] {
        assert!(s.stacks(cluster).await?.is_empty(), "{cluster}");
    }
    Ok(())
}

#[tokio::test]
async fn who_follows_the_advice_gets_the_cluster() -> Result<()> {
    let s = stage("b09-advice").await?;
    s.drop("run 7/demo (1).cf-create.txt", "{}").await?;
    told(&s, "run 7/demo (1).cf-create.txt", "run 7/demo-1.cf-create").await?;
    s.drop("run 7/demo-1.cf-create", "{}").await?;
    s.answer("run 7/demo-1.cf-created").await?;
    // A look-alike of its removal removes nothing.
    s.drop("run 7/demo-1.cf-delete.json", "").await?;
    told(&s, "run 7/demo-1.cf-delete.json", "run 7/demo-1.cf-delete").await?;
    assert_eq!(s.stacks("demo-1").await?.len(), 1);
    s.drop("run 7/demo-1.cf-delete", "").await?;
    s.answer("run 7/demo-1.cf-deleted").await?;
    s.rest().await
}

#[tokio::test]
async fn an_answer_is_written_once_and_never_answered() -> Result<()> {
    let s = stage("b09-once").await?;
    let bytes = |text: &str| ByteStream::from(text.as_bytes().to_vec());
    s.drop("x.Cf-Create.TXT", "{}").await?;
    told(&s, "x.Cf-Create.TXT", "x.cf-create").await?;
    let version = async || -> Result<Option<String>> {
        let head = s.deployment.s3.head_object().bucket(USER_BUCKET).key(s.key("x.Cf-Create.TXT.cf-failed")).send().await?;
        Ok(head.version_id)
    };
    let first = version().await?;
    // Silent, and dropped before what is answered: once the last one has its word, nothing came for these.
    for silent in ["README.txt", "notes about cf-create.md", "x.cf-creates.txt", "cf-create.json", "x.cf-create/part.txt"] {
        s.deployment.s3.put_object().bucket(USER_BUCKET).key(s.key(silent)).body(bytes("hello")).send().await?;
    }
    s.drop("x.Cf-Create.TXT", "{}").await?;
    s.drop("y.cf_delete.txt", "").await?;
    told(&s, "y.cf_delete.txt", "y.cf-delete").await?;
    s.drop("z.cf-create - Copy", "{}").await?;
    told(&s, "z.cf-create - Copy", "z.cf-create").await?;
    let attempts = "call=s3.PutObject&caller=function/&path=x.Cf-Create.TXT.cf-failed";
    s.deployment.until("the word for the second upload", async || Ok((s.calls(attempts)?.len() >= 2).then_some(()))).await?;
    let mut answers = s.deployment.keys(&s.key("")).await?;
    answers.retain(|key| key.ends_with(".cf-failed"));
    assert_eq!(answers, ["x.Cf-Create.TXT", "y.cf_delete.txt", "z.cf-create - Copy"].map(|name| s.key(&format!("{name}.cf-failed"))));
    assert_eq!(version().await?, first, "an answer that says the same is not written again");
    Ok(())
}
