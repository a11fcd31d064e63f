//! The users: their own home, and nothing else.

use anyhow::Result;
use aws_sdk_s3::types::{Delete, ObjectCannedAcl, ObjectIdentifier};
use cf_e2e::live::{ACCOUNT, Live, verdict};
use cf_local::deploy::{CUSTOMIZER_BUCKET, PREFIX, USER_BUCKET};

use crate::{ALLOWED, ANSWERS, Call, DENIED, both_ways, bytes, keys_below, place, text};

#[tokio::test]
async fn a17_a_user_does_as_they_like_in_their_own_home() -> Result<()> {
    let live = Live::from_environment().await?;
    for (me, keys) in both_ways(&live, "own")? {
        let s3 = live.s3(&keys).await?;
        let key = |name: &str| format!("home/{me}/{name}");
        for name in ["demo.cf-create", "demo.cf-delete", "data.csv", "my projects/demo.cf-create"] {
            let put = s3.put_object().bucket(USER_BUCKET).key(key(name)).body(bytes("{}")).send().await;
            assert_eq!(verdict(&put), ALLOWED, "{me} uploads {name}");
            let got = s3.get_object().bucket(USER_BUCKET).key(key(name)).send().await;
            assert_eq!(verdict(&got), ALLOWED, "{me} reads {name}");
        }
        let listed = s3.list_objects_v2().bucket(USER_BUCKET).prefix(key("")).send().await;
        assert_eq!(listed.map_or(0, |l| l.contents().len()), 4, "{me} lists");
        let versions = s3.list_object_versions().bucket(USER_BUCKET).prefix(key("")).send().await;
        assert_eq!(verdict(&versions), ALLOWED, "{me} lists versions");
        let version = versions?.versions().first().and_then(|v| v.version_id()).map(str::to_owned);
        let first = s3.get_object().bucket(USER_BUCKET).key(key("data.csv")).set_version_id(version.clone()).send().await;
        assert_eq!(verdict(&first), ALLOWED, "{me} reads a version");
        let tagged = s3.put_object().bucket(USER_BUCKET).key(key("tagged")).tagging("a=b").body(bytes("")).send().await;
        assert_eq!(verdict(&tagged), ALLOWED, "{me} tags");
        let copied = s3.copy_object().bucket(USER_BUCKET).key(key("copy")).copy_source(format!("{USER_BUCKET}/{}", key("data.csv")));
        assert_eq!(verdict(&copied.send().await), ALLOWED, "{me} copies");
        let large = s3.create_multipart_upload().bucket(USER_BUCKET).key(key("large")).send().await;
        assert_eq!(verdict(&large), ALLOWED, "{me} begins a large upload");
        let id = large?.upload_id().map(str::to_owned);
        let aborted = s3.abort_multipart_upload().bucket(USER_BUCKET).key(key("large")).set_upload_id(id).send().await;
        assert_eq!(verdict(&aborted), ALLOWED, "{me} gives it up");
        let removed = s3.delete_object().bucket(USER_BUCKET).key(key("data.csv")).set_version_id(version).send().await;
        assert_eq!(verdict(&removed), ALLOWED, "{me} removes a version");
        assert_eq!(verdict(&s3.get_bucket_location().bucket(USER_BUCKET).send().await), ALLOWED, "{me} asks where it is");
    }
    Ok(())
}

#[tokio::test]
async fn a17_a_user_reaches_nobody_elses_home() -> Result<()> {
    let live = Live::from_environment().await?;
    for (me, keys) in both_ways(&live, "foreign")? {
        let s3 = live.s3(&keys).await?;
        // The second begins like mine, the third is not below home/.
        for other in [format!("home/{me}-bob"), format!("home/{me}2"), format!("not-home/{me}")] {
            let (upload, data) = (format!("{other}/demo.cf-create"), format!("{other}/data.csv"));
            place(&live, USER_BUCKET, &data, "theirs").await?;
            for key in [&upload, &data, &format!("{other}/demo.cf-delete")] {
                let put = s3.put_object().bucket(USER_BUCKET).key(key).body(bytes("mine")).send().await;
                assert_eq!(verdict(&put), DENIED, "{me} writes {key}");
            }
            assert_eq!(verdict(&s3.get_object().bucket(USER_BUCKET).key(&data).send().await), DENIED, "{me} reads {data}");
            assert_eq!(verdict(&s3.delete_object().bucket(USER_BUCKET).key(&data).send().await), DENIED, "{me} deletes {data}");
            let stolen = s3.copy_object().bucket(USER_BUCKET).key(format!("home/{me}/stolen")).copy_source(format!("{USER_BUCKET}/{data}"));
            assert_eq!(verdict(&stolen.send().await), DENIED, "{me} copies {data} home");
            let one = ObjectIdentifier::builder().key(&data).build()?;
            let many = s3.delete_objects().bucket(USER_BUCKET).delete(Delete::builder().objects(one).build()?);
            assert_eq!(verdict(&many.send().await), DENIED, "{me} deletes {data} among others");
            let listed = s3.list_objects_v2().bucket(USER_BUCKET).prefix(format!("{other}/")).send().await;
            assert_eq!(verdict(&listed), DENIED, "{me} lists {other}/");
            assert_eq!(keys_below(&live, &format!("{other}/")).await?, [data.as_str()], "the world after");
            assert_eq!(text(&live, USER_BUCKET, &data).await?.as_deref(), Some("theirs"));
        }
        assert_eq!(text(&live, USER_BUCKET, &format!("home/{me}/stolen")).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a17_a_user_sees_neither_the_whole_bucket_nor_the_other_buckets() -> Result<()> {
    let live = Live::from_environment().await?;
    let ledger = "ledger/someone.json";
    let profile = "customizer/someone/configure.d/user.sh";
    place(&live, live.system_bucket(), ledger, "{}").await?;
    place(&live, CUSTOMIZER_BUCKET, profile, "#!/bin/bash").await?;
    for (me, keys) in both_ways(&live, "whole")? {
        let s3 = live.s3(&keys).await?;
        for prefix in [None, Some(""), Some("home/"), Some("home/wh"), Some("home")] {
            let listed = s3.list_objects_v2().bucket(USER_BUCKET).set_prefix(prefix.map(str::to_owned)).send().await;
            assert_eq!(verdict(&listed), DENIED, "{me} lists {prefix:?}");
            let listed = s3.list_object_versions().bucket(USER_BUCKET).set_prefix(prefix.map(str::to_owned)).send().await;
            assert_eq!(verdict(&listed), DENIED, "{me} lists versions of {prefix:?}");
        }
        assert_eq!(verdict(&s3.list_buckets().send().await), DENIED, "{me} lists buckets");
        for (bucket, key) in [(live.system_bucket(), ledger), (CUSTOMIZER_BUCKET, profile)] {
            assert_eq!(verdict(&s3.get_object().bucket(bucket).key(key).send().await), DENIED, "{me} reads {bucket}/{key}");
            assert_eq!(verdict(&s3.list_objects_v2().bucket(bucket).prefix(key).send().await), DENIED, "{me} lists {bucket}");
            assert_eq!(verdict(&s3.delete_object().bucket(bucket).key(key).send().await), DENIED, "{me} deletes {bucket}/{key}");
            for key in [key, &format!("home/{me}/demo.cf-create"), "templates/mine.yaml", &format!("customizer/{me}/configure.d/x.sh")] {
                let put = s3.put_object().bucket(bucket).key(key).body(bytes("mine")).send().await;
                assert_eq!(verdict(&put), DENIED, "{me} writes {bucket}/{key}");
            }
        }
    }
    assert_eq!(text(&live, live.system_bucket(), ledger).await?.as_deref(), Some("{}"));
    assert_eq!(text(&live, CUSTOMIZER_BUCKET, profile).await?.as_deref(), Some("#!/bin/bash"));
    Ok(())
}

#[tokio::test]
async fn a17_a_user_changes_no_rights_and_calls_nothing_but_s3() -> Result<()> {
    let live = Live::from_environment().await?;
    for (me, keys) in both_ways(&live, "rights")? {
        let s3 = live.s3(&keys).await?;
        let key = format!("home/{me}/data.csv");
        let open = s3.put_object().bucket(USER_BUCKET).key(&key).acl(ObjectCannedAcl::PublicRead).body(bytes("")).send().await;
        assert_eq!(verdict(&open), DENIED, "{me} opens a file to the world");
        assert_eq!(verdict(&s3.delete_bucket_policy().bucket(USER_BUCKET).send().await), DENIED, "{me} removes the bucket's policy");
        assert_eq!(verdict(&s3.delete_bucket().bucket(USER_BUCKET).send().await), DENIED, "{me} removes the bucket");
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{PREFIX}-cf-watch");
        let calls: [Call; 8] = [
            ("cloudformation", "DescribeStacks", &[]),
            ("cloudformation", "CreateStack", &[("StackName", "clusterdrop-x"), ("TemplateBody", "{}")]),
            ("cloudformation", "DeleteStack", &[("StackName", "clusterdrop")]),
            ("ec2", "DescribeInstances", &[]),
            ("ec2", "RunInstances", &[("ImageId", "ami-12345678"), ("MinCount", "1"), ("MaxCount", "1")]),
            ("iam", "ListUsers", &[]),
            ("iam", "CreateAccessKey", &[("UserName", "somebody")]),
            ("sts", "AssumeRole", &[("RoleArn", &role), ("RoleSessionName", "me")]),
        ];
        for (service, action, parameters) in calls {
            assert_eq!(live.query(&keys, service, action, parameters)?.1, DENIED, "{me}: {service}:{action}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a17_without_a_name_there_is_no_home() -> Result<()> {
    let live = Live::from_environment().await?;
    let keys = live.signed_on("nameless-people", None)?;
    let s3 = live.s3(&keys).await?;
    for key in ["home//demo.cf-create", "home/demo.cf-create", "home/nameless-people/demo.cf-create"] {
        let put = s3.put_object().bucket(USER_BUCKET).key(key).body(bytes("{}")).send().await;
        assert_eq!(verdict(&put), DENIED, "{key}");
        assert_eq!(text(&live, USER_BUCKET, key).await?, None);
    }
    assert_eq!(verdict(&s3.list_objects_v2().bucket(USER_BUCKET).prefix("home//").send().await), DENIED);
    Ok(())
}

#[tokio::test]
async fn a17_nothing_goes_in_the_clear() -> Result<()> {
    let live = Live::from_environment().await?;
    for (me, keys) in both_ways(&live, "clear")? {
        let key = format!("home/{me}/data.csv");
        let put = live.s3_in_the_clear(&keys).await?.put_object().bucket(USER_BUCKET).key(&key).body(bytes("x")).send().await;
        assert_eq!(verdict(&put), DENIED, "{me}");
        assert_eq!(text(&live, USER_BUCKET, &key).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a18_a_user_forges_no_answer() -> Result<()> {
    let live = Live::from_environment().await?;
    for (me, keys) in both_ways(&live, "forger")? {
        let s3 = live.s3(&keys).await?;
        let note = format!("home/{me}/note");
        assert_eq!(verdict(&s3.put_object().bucket(USER_BUCKET).key(&note).body(bytes("203.0.113.1")).send().await), ALLOWED);
        for suffix in ANSWERS {
            for key in [format!("home/{me}/demo.{suffix}"), format!("home/{me}/deep/er/demo.{suffix}"), format!("home/{me}/.{suffix}")] {
                let put = s3.put_object().bucket(USER_BUCKET).key(&key).body(bytes("203.0.113.1\n")).send().await;
                assert_eq!(verdict(&put), DENIED, "{me} puts {key}");
                let copy = s3.copy_object().bucket(USER_BUCKET).key(&key).copy_source(format!("{USER_BUCKET}/{note}")).send().await;
                assert_eq!(verdict(&copy), DENIED, "{me} copies to {key}");
                let large = s3.create_multipart_upload().bucket(USER_BUCKET).key(&key).send().await;
                assert_eq!(verdict(&large), DENIED, "{me} begins a large {key}");
            }
        }
        assert_eq!(keys_below(&live, &format!("home/{me}/")).await?, [note]);
    }
    Ok(())
}

#[tokio::test]
async fn a18_not_even_who_may_do_anything_in_s3_forges_an_answer() -> Result<()> {
    let live = Live::from_environment().await?;
    let s3 = live.s3(&live.careless_admin("careless")?).await?;
    let put = async |key: &str| verdict(&s3.put_object().bucket(USER_BUCKET).key(key).body(bytes("x")).send().await);
    // All else is allowed to this one: it is the bucket's policy that refuses, not the lack of a right.
    assert_eq!(put("home/carl/demo.cf-create").await, ALLOWED);
    for suffix in ANSWERS {
        assert_eq!(put(&format!("home/carl/demo.{suffix}")).await, DENIED, "{suffix}");
    }
    assert_eq!(keys_below(&live, "home/carl/").await?, ["home/carl/demo.cf-create"]);
    Ok(())
}

#[tokio::test]
async fn a_user_removes_a_folder_with_all_answers_in_it() -> Result<()> {
    let live = Live::from_environment().await?;
    let function = live.s3(&live.function_keys("cf-create", "tidy")?).await?;
    for (me, keys) in both_ways(&live, "tidy")? {
        for suffix in ANSWERS {
            let key = format!("home/{me}/project/demo.{suffix}");
            assert_eq!(verdict(&function.put_object().bucket(USER_BUCKET).key(key).body(bytes("ours")).send().await), ALLOWED);
        }
        place(&live, USER_BUCKET, &format!("home/{me}/kept"), "").await?;
        let folder = format!("s3://{USER_BUCKET}/home/{me}/project/");
        live.aws(&keys, &["s3", "rm", "--recursive", &folder])?;
        assert_eq!(keys_below(&live, &format!("home/{me}/")).await?, [format!("home/{me}/kept")]);
    }
    Ok(())
}
