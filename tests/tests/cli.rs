//! What the command line says when it cannot: one line, what stands in the way, and what to do.

mod common;

use anyhow::Result;
use cf_e2e::cli::{Ran, clusterdrop, clusterdrop_signed_out};
use common::stage;
use serde_json::json;

fn one_line(ran: &Ran, parts: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (Some(1), "", 1), "{ran:?}");
    assert!(ran.err.starts_with("clusterdrop: ") && parts.iter().all(|part| ran.err.contains(part)), "{ran:?}");
}

#[tokio::test]
async fn each_command_says_in_one_line_why_it_cannot() -> Result<()> {
    let s = stage("admin").await?;
    let url = &s.deployment.url;
    let ran = clusterdrop(url, &["admin", "adopt-bucket"])?;
    one_line(&ran, &["UserBucketMode=create", "nothing to adopt"]);
    let ran = clusterdrop(url, &["admin", "redrive", "--deployment", "elsewhere"])?;
    one_line(&ran, &["\"elsewhere\" in eu-west-2", "no such stack", "--deployment", "--region"]);
    let ran = clusterdrop_signed_out(url, &["admin", "redrive"])?;
    one_line(&ran, &["no AWS credentials", "aws sso login", "--profile"]);
    // Whoever names a profile does not act with what the environment has.
    let ran = clusterdrop(url, &["admin", "redrive", "--profile", "nobody"])?;
    one_line(&ran, &["the profile \"nobody\" gives no AWS credentials", "--profile nobody"]);
    let ran = clusterdrop("http://127.0.0.1:1", &["admin", "redrive"])?;
    one_line(&ran, &["AWS did not answer", "Are you connected"]);
    let _denied = s.fault(&json!({"kind": "call", "call": "cloudformation.DescribeStacks", "text": "StackName=forbidden", "error": "AccessDenied", "status": 403}))?;
    let ran = clusterdrop(url, &["admin", "redrive", "--deployment", "forbidden"])?;
    one_line(&ran, &["access denied", "cloudformation:DescribeStacks"]);
    let ran = clusterdrop(url, &["admin", "redrive", "--max", "none"])?;
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    Ok(())
}
