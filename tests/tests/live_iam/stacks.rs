//! The functions' own keys on stacks: which they make, with what, and which they remove.

use anyhow::Result;
use aws_sdk_cloudformation::operation::create_stack::builders::CreateStackFluentBuilder;
use aws_sdk_cloudformation::types::Tag;
use cf_core::key::Verb;
use cf_core::names::{Cluster, ClusterName, StackName, User};
use cf_e2e::function::Function;
use cf_e2e::live::{ACCOUNT, Live, root_keys, verdict};
use cf_local::deploy::{DEPLOYMENT, PREFIX, USER_BUCKET};
use cf_local::emulator::REGION;
use serde_json::json;

use crate::{ALLOWED, DENIED, FUNCTIONS, bytes, place, text};

/// A stack that is made in no time.
const EMPTY: &str = r#"{"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}"#;

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// An address of an object in a bucket, as the functions write it.
fn address(bucket: &str, key: &str) -> String {
    format!("https://s3.{REGION}.amazonaws.com/{bucket}/{key}")
}

/// Everything as the policy wants it; each case then spoils one thing.
async fn rightful(live: &Live, function: &str, name: &str) -> Result<CreateStackFluentBuilder> {
    let client = live.cloudformation(&live.function_keys(function, "stacks")?).await?;
    let start = client.create_stack().stack_name(name).template_url(address(live.system_bucket(), "templates/empty.json"));
    Ok(start.role_arn(role("clusterdrop-service")).tags(tag("clusterdrop:deployment", DEPLOYMENT)).tags(tag("USER", "somebody")))
}

async fn there(live: &Live, name: &str) -> Result<bool> {
    Ok(live.cloudformation(&root_keys()).await?.describe_stacks().stack_name(name).send().await.is_ok())
}

#[tokio::test]
async fn a18_stacks_are_made_with_the_service_role_from_our_templates_under_our_prefix_and_with_our_tags() -> Result<()> {
    let live = Live::from_environment().await?;
    place(&live, live.system_bucket(), "templates/empty.json", EMPTY).await?;
    place(&live, live.system_bucket(), "ledger/empty.json", EMPTY).await?;
    place(&live, USER_BUCKET, "home/evil/empty.json", EMPTY).await?;
    for function in ["cf-create", "cf-watch"] {
        let own = format!("{PREFIX}-made-by-{function}");
        let name = format!("{PREFIX}-spoilt-{function}");
        assert_eq!(verdict(&rightful(&live, function, &own).await?.send().await), ALLOWED, "{function}");
        live.stack_becomes(&own, "CREATE_COMPLETE").await?;
        let spoilt = [
            ("without a role", rightful(&live, function, &name).await?.set_role_arn(None)),
            ("with a function's role", rightful(&live, function, &name).await?.role_arn(role("clusterdrop-cf-watch"))),
            ("with an administrator's role", rightful(&live, function, &name).await?.role_arn(role("Admin"))),
            ("from a user's file", rightful(&live, function, &name).await?.template_url(address(USER_BUCKET, "home/evil/empty.json"))),
            (
                "from beside the templates",
                rightful(&live, function, &name).await?.template_url(address(live.system_bucket(), "ledger/empty.json")),
            ),
            ("from the web", rightful(&live, function, &name).await?.template_url("https://evil.example/templates/empty.json")),
            ("from a text", rightful(&live, function, &name).await?.set_template_url(None).template_body(EMPTY)),
            ("without any tag", rightful(&live, function, &name).await?.set_tags(None)),
            ("without our tag", rightful(&live, function, &name).await?.set_tags(Some(vec![tag("USER", "somebody")]))),
            (
                "as another deployment's",
                rightful(&live, function, &name).await?.set_tags(Some(vec![tag("clusterdrop:deployment", "other")])),
            ),
            ("with a tag of its own", rightful(&live, function, &name).await?.tags(tag("CostCenter", "1"))),
            ("under another name", rightful(&live, function, &name).await?.stack_name(format!("spoilt-{function}"))),
            ("under the deployment's name", rightful(&live, function, &name).await?.stack_name(DEPLOYMENT)),
        ];
        for (how, request) in spoilt {
            assert_eq!(verdict(&request.send().await), DENIED, "{function} makes a stack {how}");
        }
        assert!(!there(&live, &name).await? && !there(&live, &format!("spoilt-{function}")).await?, "the world after");
    }
    let name = format!("{PREFIX}-made-by-cf-delete");
    assert_eq!(verdict(&rightful(&live, "cf-delete", &name).await?.send().await), DENIED, "cf-delete makes a stack");
    assert!(!there(&live, &name).await?);
    Ok(())
}

#[tokio::test]
async fn a18_nobody_changes_a_living_stack() -> Result<()> {
    let live = Live::from_environment().await?;
    place(&live, live.system_bucket(), "templates/empty.json", EMPTY).await?;
    let name = format!("{PREFIX}-living");
    rightful(&live, "cf-create", &name).await?.send().await?;
    live.stack_becomes(&name, "CREATE_COMPLETE").await?;
    for function in FUNCTIONS {
        let client = live.cloudformation(&live.function_keys(function, "living")?).await?;
        let url = address(live.system_bucket(), "templates/empty.json");
        let update = client.update_stack().stack_name(&name).template_url(&url).role_arn(role("clusterdrop-service")).send().await;
        assert_eq!(verdict(&update), DENIED, "{function} updates");
        let change = client.create_change_set().stack_name(&name).change_set_name("c").template_url(&url).send().await;
        assert_eq!(verdict(&change), DENIED, "{function} makes a change set");
    }
    let create = live.cloudformation(&live.function_keys("cf-create", "living")?).await?;
    assert_eq!(verdict(&create.delete_stack().stack_name(&name).send().await), DENIED, "cf-create deletes its own");
    live.stack_becomes(&name, "CREATE_COMPLETE").await
}

#[tokio::test]
async fn a17_a_function_looks_at_clusters_and_only_cf_watch_at_the_list_of_all_stacks() -> Result<()> {
    let live = Live::from_environment().await?;
    place(&live, live.system_bucket(), "templates/empty.json", EMPTY).await?;
    let (ours, foreign) = (format!("{PREFIX}-looked-at"), "looked-at");
    rightful(&live, "cf-create", &ours).await?.send().await?;
    live.cloudformation(&root_keys()).await?.create_stack().stack_name(foreign).template_body(EMPTY).send().await?;
    live.stack_becomes(&ours, "CREATE_COMPLETE").await?;
    for function in FUNCTIONS {
        let client = live.cloudformation(&live.function_keys(function, "looking")?).await?;
        for (name, expected) in [(ours.as_str(), ALLOWED), (foreign, DENIED)] {
            assert_eq!(verdict(&client.describe_stack_events().stack_name(name).send().await), expected, "{function}: events of {name}");
            let resources = client.list_stack_resources().stack_name(name).send().await;
            assert_eq!(verdict(&resources), expected, "{function}: resources of {name}");
            // A name tells less than a list of all, which cf-watch may see for its sweep.
            let expected = if function == "cf-watch" { ALLOWED } else { expected };
            assert_eq!(verdict(&client.describe_stacks().stack_name(name).send().await), expected, "{function}: {name}");
            assert_eq!(verdict(&client.get_template().stack_name(name).send().await), DENIED, "{function}: the template of {name}");
        }
        let all = if function == "cf-watch" { ALLOWED } else { DENIED };
        assert_eq!(verdict(&client.describe_stacks().send().await), all, "{function}: all stacks");
    }
    Ok(())
}

#[tokio::test]
async fn a17_the_keys_that_delete_reach_no_stack_but_this_deployments() -> Result<()> {
    let live = Live::from_environment().await?;
    let by_hand = live.cloudformation(&root_keys()).await?;
    for function in ["cf-delete", "cf-watch"] {
        let client = live.cloudformation(&live.function_keys(function, "foreign")?).await?;
        let make = |name: &str| by_hand.create_stack().stack_name(format!("{name}-{function}")).template_body(EMPTY);
        let foreign = [
            make("production"),
            make("production-tagged").tags(tag("clusterdrop:deployment", DEPLOYMENT)),
            make("clusterdrop-untagged"),
            make("clusterdrop-others").tags(tag("clusterdrop:deployment", "other")).tags(tag("USER", "somebody")),
            make("clusterdropx").tags(tag("clusterdrop:deployment", DEPLOYMENT)),
        ];
        for request in foreign {
            let id = request.send().await?.stack_id().unwrap_or_default().to_owned();
            live.stack_becomes(&id, "CREATE_COMPLETE").await?;
            assert_eq!(verdict(&client.delete_stack().stack_name(&id).send().await), DENIED, "{function} deletes {id}");
            let name = id.split('/').nth(1).unwrap_or_default();
            assert_eq!(verdict(&client.delete_stack().stack_name(name).send().await), DENIED, "{function} deletes {name}");
            live.stack_becomes(&id, "CREATE_COMPLETE").await?;
        }
        assert_eq!(verdict(&client.delete_stack().stack_name(DEPLOYMENT).send().await), DENIED, "{function} deletes the deployment");
        live.stack_becomes(DEPLOYMENT, "CREATE_COMPLETE").await?;
        let own = make("clusterdrop-own").tags(tag("clusterdrop:deployment", DEPLOYMENT)).send().await?;
        let id = own.stack_id().unwrap_or_default().to_owned();
        live.stack_becomes(&id, "CREATE_COMPLETE").await?;
        assert_eq!(verdict(&client.delete_stack().stack_name(&id).send().await), ALLOWED, "{function} deletes its own");
        live.stack_becomes(&id, "DELETE_COMPLETE").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a17_a_foreign_stack_with_the_very_name_of_a_cluster_is_neither_deleted_nor_taken_over() -> Result<()> {
    let live = Live::from_environment().await?;
    let user = "a17squat";
    let cluster = Cluster { user: User::parse(user)?, name: ClusterName::parse("demo")? };
    let name = StackName::of(PREFIX, USER_BUCKET, &cluster);
    let by_hand = live.cloudformation(&root_keys()).await?;
    let others = by_hand.create_stack().stack_name(name.as_str()).template_body(EMPTY).tags(tag("USER", user));
    let id = others.tags(tag("clusterdrop:deployment", "other")).send().await?.stack_id().unwrap_or_default().to_owned();
    live.stack_becomes(&id, "CREATE_COMPLETE").await?;
    live.give_profile(user).await?;
    let s3 = live.s3(&live.iam_user(user)?).await?;
    for verb in [Verb::Delete, Verb::Create] {
        let function = verb.spec().function;
        let key = format!("home/{user}/demo{}", verb.suffix());
        s3.put_object().bucket(USER_BUCKET).key(&key).body(bytes("{}")).send().await?;
        let session = format!("squat-{}", function.name());
        let mut running = Function::start(&live, function, &live.function_keys(function.name(), &session)?).await?;
        let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": key}}});
        running.invoke(&event).await?;
        let refused: Vec<_> = live.verdicts(&session)?.into_iter().filter(|v| !v.allowed || v.action.ends_with("DeleteStack")).collect();
        assert_eq!(refused, [], "our code does not even try");
        let answer = text(&live, USER_BUCKET, &format!("home/{user}/demo.cf-failed")).await?;
        assert!(answer.is_some(), "{verb} is answered:\n{}", running.logged()?);
        assert_eq!(text(&live, USER_BUCKET, &key).await?, None, "{verb} is done with");
        live.stack_becomes(&id, "CREATE_COMPLETE").await?;
    }
    Ok(())
}
