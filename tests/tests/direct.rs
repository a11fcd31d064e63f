//! A deployment whose uploads are told by the bucket's own notifications instead of EventBridge (Trigger=s3).

mod common;

use anyhow::Result;
use common::stage;

#[tokio::test]
async fn the_whole_life_of_a_cluster_by_direct_notifications() -> Result<()> {
    let s = stage("direct").await?;
    s.drop("my folder/demo.cf-create", "{}").await?;
    s.answer("my folder/demo.cf-created").await?;
    s.drop("a+b.cf-create", "{}").await?;
    s.answer("a+b.cf-failed").await?;
    s.drop("my folder/demo.cf-delete", "").await?;
    s.answer("my folder/demo.cf-deleted").await?;
    assert!(s.stacks("demo").await?.is_empty());
    s.rest().await
}
