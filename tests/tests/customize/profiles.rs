//! Where the profiles of a node come from: bucket, list, manifest.

use anyhow::Result;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use cf_local::deploy::CUSTOMIZER_BUCKET;
use cf_local::emulator::REGION;
use cf_node::customize::bucket::suggested;
use serde_json::{Value, json};

use crate::cluster::{Cluster, LOGIN};
use crate::common::nodes::NOTE;

#[tokio::test]
async fn b1_the_computed_bucket_is_shown_as_a_suggestion_and_never_asked_for() -> Result<()> {
    let cluster = Cluster::ready("b1", &[("configure.d/own.sh", NOTE)]).await?;
    let settings = cluster.machine(LOGIN).read("etc/clusterdrop/node.json");
    let account = serde_json::from_str::<Value>(&settings)?["account"].as_str().unwrap_or_default().to_owned();
    let shown = cluster.customize(LOGIN, "bucket")?;
    assert!(shown.starts_with(&format!("profiles come from s3://{CUSTOMIZER_BUCKET}/customizer/\n")), "{shown}");
    assert!(shown.contains(&format!("s3://{}/customizer/ for this account; it is a suggestion only", suggested(&account))), "{shown}");
    cluster.write(LOGIN, "etc/clusterdrop/node.json", &settings.replace(&account, "123456789012"))?;
    let shown = cluster.customize(LOGIN, "bucket")?;
    assert!(shown.contains("would take s3://alces-flight-mzqxnzk3m2nknjdm/customizer/ for this account"), "{shown}");
    assert!(!cluster.user.calls(&format!("path={CUSTOMIZER_BUCKET}/customizer/b1/"))?.is_empty());
    for bucket in [suggested(&account), "alces-flight-mzqxnzk3m2nknjdm".to_owned()] {
        assert_eq!(cluster.user.calls(&format!("path={bucket}"))?, [Value::Null; 0]);
    }
    Ok(())
}

#[tokio::test]
async fn b2_profiles_come_from_the_named_bucket_with_or_without_its_scheme() -> Result<()> {
    let mut cluster = Cluster::of("b2", &[("configure.d/own.sh", NOTE)]).await?;
    cluster.order(|text| text.replace(CUSTOMIZER_BUCKET, &format!("s3://{CUSTOMIZER_BUCKET}/"))).await?;
    assert!(cluster.machine(LOGIN).read("etc/clusterdrop/node.json").contains(&format!("\"s3://{CUSTOMIZER_BUCKET}/\"")));
    cluster.start(LOGIN).await?;
    cluster.has_run(LOGIN, &["own.sh configure master demo"]).await?;
    assert!(cluster.customize(LOGIN, "bucket")?.starts_with(&format!("profiles come from s3://{CUSTOMIZER_BUCKET}/customizer/\n")));
    // The template's own user data name the bucket alone.
    let compute = cluster.add().await?;
    assert!(cluster.machine(compute).read("etc/clusterdrop/node.json").contains(&format!("\"{CUSTOMIZER_BUCKET}\"")));
    cluster.has_run(compute, &["own.sh configure slave demo"]).await
}

/// In a bucket of its own: a profile `default` is every cluster's.
#[tokio::test]
async fn b3_without_a_list_default_is_taken_and_with_one_only_what_it_names_in_its_order() -> Result<()> {
    const BUCKET: &str = "b3-profiles";
    let mut cluster = Cluster::of("b3", &[("configure.d/own.sh", NOTE)]).await?;
    let s3 = &cluster.user.deployment.s3;
    let here = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(REGION)).build();
    s3.create_bucket().bucket(BUCKET).create_bucket_configuration(here).send().await?;
    for key in ["b3/configure.d/00-key.sh", "b3/configure.d/own.sh"] {
        let key = format!("customizer/{key}");
        s3.copy_object().copy_source(format!("{CUSTOMIZER_BUCKET}/{key}")).bucket(BUCKET).key(key).send().await?;
    }
    for profile in ["default", "foo", "bar"] {
        cluster.user.deployment.put(BUCKET, &format!("customizer/{profile}/configure.d/{profile}.sh"), NOTE).await?;
    }
    cluster.order(|text| text.replace(CUSTOMIZER_BUCKET, BUCKET)).await?;
    cluster.start(LOGIN).await?;
    cluster.has_run(LOGIN, &["default.sh configure master demo", "own.sh configure master demo"]).await?;
    assert_eq!(cluster.customize(LOGIN, "list")?, "account/default\naccount/b3\n");
    cluster.end(LOGIN)?;
    let other = cluster.replace_login_node(|text| text.replace(CUSTOMIZER_BUCKET, BUCKET).replace("sites=''", "sites='foo,bar'"))?;
    cluster.begin(other)?;
    cluster.has_run(other, &["foo.sh configure master demo", "bar.sh configure master demo", "own.sh configure master demo"]).await?;
    assert_eq!(cluster.customize(other, "list")?, "account/foo\naccount/bar\naccount/b3\n");
    Ok(())
}

/// Refuses calls that are signed by a node's role, whose keys begin so, or those that nobody signs, for a user's profile.
fn refused(call: &str, caller: &str, user: &str) -> Value {
    let text = format!("customizer/{user}/");
    json!({"kind": "call", "call": call, "caller": caller, "text": text, "error": "AccessDenied", "status": 403, "times": null})
}

#[tokio::test]
async fn b13_without_a_right_to_s3_public_files_come_by_the_manifest_and_a_missing_one_fails_the_profile() -> Result<()> {
    let mut cluster = Cluster::of("b13", &[("configure.d/listed.sh", NOTE), ("configure.d/unlisted.sh", NOTE)]).await?;
    cluster.put_own("manifest.txt", "configure.d/00-key.sh\nconfigure.d/listed.sh\n").await?;
    let (list, get) = (refused("s3.ListObjectsV2", "ASIA", "b13"), refused("s3.GetObject", "ASIA", "b13"));
    let (list, get) = (cluster.user.fault(&list)?.keep(), cluster.user.fault(&get)?.keep());
    cluster.order(str::to_owned).await?;
    cluster.start(LOGIN).await?;
    cluster.has_run(LOGIN, &["listed.sh configure master demo"]).await?;
    let unsigned = cluster.user.calls("call=s3.GetObject&caller=anonymous&path=customizer/b13/")?;
    let read =
        |name: &str| unsigned.iter().any(|call| call["status"] == 200 && call["path"].as_str().is_some_and(|path| path.ends_with(name)));
    assert!(read("/manifest.txt") && read("/configure.d/listed.sh") && !read("/configure.d/unlisted.sh"), "{unsigned:?}");
    cluster.remove("b13/configure.d/listed.sh").await?;
    let pulled = cluster.tried(LOGIN, "pull", &[])?;
    assert_eq!(pulled.code, Some(1), "{pulled:?}");
    assert!(pulled.err.contains("profile b13: its file configure.d/listed.sh cannot be fetched: "), "{pulled:?}");
    assert!(pulled.err.contains("the scripts that were fetched last stay"), "{pulled:?}");
    cluster.forget(LOGIN)?;
    cluster.customize(LOGIN, "trigger configure")?;
    assert_eq!(cluster.machine(LOGIN).read("ran"), "listed.sh configure master demo\n", "its last state");
    // Nor are they public.
    let unsigned = cluster.user.fault(&refused("s3.GetObject", "anonymous", "b13"))?.keep();
    let pulled = cluster.tried(LOGIN, "pull", &[])?;
    assert_eq!(pulled.code, Some(1), "{pulled:?}");
    assert!(pulled.err.contains("nor is there a manifest.txt that it gives out"), "{pulled:?}");
    for fault in [list, get, unsigned] {
        cluster.user.deployment.end_fault(fault);
    }
    cluster.customize(LOGIN, "pull")?;
    cluster.forget(LOGIN)?;
    cluster.customize(LOGIN, "trigger configure")?;
    assert_eq!(cluster.machine(LOGIN).read("ran"), "unlisted.sh configure master demo\n", "the listing counts again");
    Ok(())
}

#[tokio::test]
async fn b14_all_scripts_come_without_a_manifest_and_with_one_that_names_fewer() -> Result<()> {
    let mut cluster = Cluster::ready("b14", &[("configure.d/a.sh", NOTE), ("configure.d/b.sh", NOTE)]).await?;
    cluster.has_run(LOGIN, &["a.sh configure master demo", "b.sh configure master demo"]).await?;
    cluster.put_own("manifest.txt", "configure.d/a.sh\n").await?;
    cluster.put_own("configure.d/c.sh", NOTE).await?;
    assert_eq!(cluster.customize(LOGIN, "pull")?, "1 profiles are on this node now; nothing was run\n");
    cluster.forget(LOGIN)?;
    cluster.customize(LOGIN, "trigger configure")?;
    let all = ["a.sh configure master demo", "b.sh configure master demo", "c.sh configure master demo"];
    cluster.has_run(LOGIN, &all).await
}
