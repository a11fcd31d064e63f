//! A deployment whose uploads are told by the bucket's own notifications instead of EventBridge (Trigger=s3).

mod common;

use anyhow::Result;
use cf_e2e::messages;
use common::stage;

#[tokio::test]
async fn the_whole_life_of_a_cluster_by_direct_notifications() -> Result<()> {
    let s = stage("direct").await?;
    s.drop("my folder/demo.cf-create", "{}").await?;
    s.answer("my folder/demo.cf-created").await?;
    s.drop("a+b.cf-create", "{}").await?;
    s.answer("a+b.cf-failed").await?;
    // Names that only look like a request's: those that a bucket's filters can name.
    for (name, right) in [("c.cf-create.txt", "c.cf-create"), ("d.CF-DELETE", "d.cf-delete"), ("e.cf_create", "e.cf-create")] {
        s.drop(name, "{}").await?;
        let (message, found) = messages::look_alike(&s.key(name))?;
        assert_eq!(found.to_string(), s.key(right));
        s.answers(&format!("{name}.cf-failed"), &[message]).await?;
    }
    s.drop("my folder/demo.cf-delete", "").await?;
    s.answer("my folder/demo.cf-deleted").await?;
    assert!(s.stacks("demo").await?.is_empty());
    s.rest().await
}

/// The same deployment has a default of the administrator's own, for the login node.
#[tokio::test]
async fn the_administrators_default_type_reaches_the_stack_and_the_status() -> Result<()> {
    let s = stage("chosen").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let stack = s.only_stack("demo").await?;
    let value = |name: &str| stack.parameters().iter().find(|p| p.parameter_key() == Some(name)).and_then(|p| p.parameter_value());
    assert_eq!(value("MasterInstanceTypeOther"), Some("t3.large"));
    assert_eq!(value("ComputeInstanceTypeOther"), Some("c4.large-2C-3.75GB"));
    let status = s.deployment.status(&s.key("demo.cf-status")).await?.expect("a status file");
    assert_eq!((status.types["login"].as_str(), status.types["compute"].as_str()), ("t3.large", "c4.large"));
    // What a file names goes before it.
    s.drop("named.cf-create", r#"{"MasterInstanceTypeOther": "r4.large-2C-15.25GB"}"#).await?;
    s.answer("named.cf-created").await?;
    let status = s.deployment.status(&s.key("named.cf-status")).await?.expect("a status file");
    assert_eq!(status.types["login"], "r4.large");
    s.rest().await
}
