//! Whole lives with the real functions under their own roles: nothing that they need is refused.

use anyhow::{Context, Result};
use cf_core::message::{NumberError, Wrong};
use cf_core::names::{Cluster, ClusterName, StackName, User};
use cf_core::number::Range;
use cf_core::settings;
use cf_core::status::{State, Status};
use cf_e2e::function::Function;
use cf_e2e::live::{Keys, Live, Verdict, root_keys, verdict};
use cf_e2e::messages;
use cf_local::deploy::{PREFIX, USER_BUCKET};
use serde_json::{Value, json};

use crate::{ALLOWED, both_ways, bytes, keys_below};

/// The three functions for one user.
struct Functions {
    create: Function,
    delete: Function,
    watch: Function,
    session: String,
}

impl Functions {
    async fn start(live: &Live, session: &str) -> Result<Self> {
        let start = async |which: settings::Function| Function::start(live, which, &live.function_keys(which.name(), session)?).await;
        let (create, delete) = (start(settings::Function::Create).await?, start(settings::Function::Delete).await?);
        let watch = start(settings::Function::Watch).await?;
        Ok(Self { create, delete, watch, session: session.to_owned() })
    }

    /// That IAM has refused none of their calls, and that it was asked at all.
    fn were_refused_nothing(&self, live: &Live, at_least: &[(&str, &str)]) -> Result<()> {
        let all = live.verdicts(&format!("/{}", self.session))?;
        let refused: Vec<&Verdict> = all.iter().filter(|v| !v.allowed).collect();
        assert!(refused.is_empty(), "{refused:#?}");
        for (action, resource) in at_least {
            assert!(all.iter().any(|v| v.action == *action && v.resource.contains(resource)), "nobody asked for {action} on {resource}");
        }
        for function in [&self.create, &self.delete, &self.watch] {
            assert!(!function.logged()?.contains("AccessDenied"), "{}", function.logged()?);
        }
        Ok(())
    }
}

fn uploaded(key: &str) -> Value {
    json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": key}}})
}

fn stack_is(id: &str, status: &str) -> Value {
    json!({"source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change",
        "detail": {"stack-id": id, "status-details": {"status": status, "status-reason": ""}}})
}

fn resource_is(id: &str) -> Value {
    let body = json!({"source": "aws.cloudformation", "detail-type": "CloudFormation Resource Status Change",
        "detail": {"stack-id": id, "logical-resource-id": "LoginNode", "status-details": {"status": "CREATE_COMPLETE"}}});
    json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body.to_string()}]})
}

/// A user, looking with their own keys.
struct Person {
    name: String,
    s3: aws_sdk_s3::Client,
}

impl Person {
    async fn new(live: &Live, name: String, keys: &Keys) -> Result<Self> {
        live.give_profile(&name).await?;
        Ok(Self { name, s3: live.s3(keys).await? })
    }

    async fn drops(&self, file: &str, body: &str) -> Result<String> {
        let key = format!("home/{}/{file}", self.name);
        let put = self.s3.put_object().bucket(USER_BUCKET).key(&key).body(bytes(body)).send().await;
        assert_eq!(verdict(&put), ALLOWED, "{key}");
        Ok(key)
    }

    async fn reads(&self, file: &str) -> Result<String> {
        let key = format!("home/{}/{file}", self.name);
        let got = self.s3.get_object().bucket(USER_BUCKET).key(&key).send().await.with_context(|| format!("{key} does not stand"))?;
        Ok(String::from_utf8(got.body.collect().await?.to_vec())?)
    }
}

async fn stack_of(live: &Live, user: &str) -> Result<String> {
    let name = StackName::of(PREFIX, USER_BUCKET, &Cluster { user: User::parse(user)?, name: ClusterName::parse("demo")? });
    let found = live.cloudformation(&root_keys()).await?.describe_stacks().stack_name(name.as_str()).send().await?;
    Ok(found.stacks().first().and_then(|s| s.stack_id()).context("there is a stack")?.to_owned())
}

#[tokio::test]
async fn a_whole_life_is_refused_nothing() -> Result<()> {
    let live = Live::from_environment().await?;
    for (name, keys) in both_ways(&live, "life")? {
        let person = Person::new(&live, name.clone(), &keys).await?;
        let mut functions = Functions::start(&live, &name).await?;
        functions
            .create
            .invoke(&uploaded(&person.drops("demo.cf-create", include_str!("../../../templates/example.cf-create")).await?))
            .await?;
        let status: Status = serde_json::from_str(&person.reads("demo.cf-status").await?)?;
        assert_eq!(status.state, State::Creating, "{:?}", person.reads("demo.cf-failed").await);
        let id = stack_of(&live, &name).await?;
        live.stack_becomes(&id, "CREATE_COMPLETE").await?;
        functions.watch.invoke(&resource_is(&id)).await?;
        functions.watch.invoke(&stack_is(&id, "CREATE_COMPLETE")).await?;
        let login = person.reads("demo.cf-created").await?;
        assert!(login.trim_end().parse::<std::net::IpAddr>().is_ok(), "{login}");
        assert!(!keys_below(&live, &format!("home/{name}/")).await?.contains(&format!("home/{name}/demo.cf-create")));

        functions.delete.invoke(&uploaded(&person.drops("demo.cf-delete", "").await?)).await?;
        live.stack_becomes(&id, "DELETE_COMPLETE").await?;
        functions.watch.invoke(&stack_is(&id, "DELETE_COMPLETE")).await?;
        person.reads("demo.cf-deleted").await?;
        let left = keys_below(&live, &format!("home/{name}/")).await?;
        assert_eq!(left, ["cf-deleted", "cf-status"].map(|suffix| format!("home/{name}/demo.{suffix}")), "receipt and state");

        functions.watch.invoke(&json!({"clusterdrop": "sweep"})).await?;
        let asked = [
            ("s3:GetObject", "demo.cf-create"),
            ("s3:PutObject", "/ledger/"),
            ("s3:PutObject", "demo.cf-created"),
            ("s3:DeleteObject", "demo.cf-create"),
            ("s3:ListBucket", "alces-flight"),
            ("cloudformation:CreateStack", "clusterdrop-life"),
            ("cloudformation:TagResource", "clusterdrop-life"),
            ("iam:PassRole", "role/clusterdrop-service"),
            ("s3:GetObject", "/templates/"),
            ("cloudformation:DescribeStacks", "clusterdrop-life"),
            ("cloudformation:DeleteStack", "clusterdrop-life"),
            ("ses:SendEmail", "admin@site.example"),
        ];
        functions.were_refused_nothing(&live, &asked)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_life_that_only_the_sweep_follows_is_refused_nothing() -> Result<()> {
    let live = Live::from_environment().await?;
    let person = Person::new(&live, "swept".into(), &live.iam_user("swept")?).await?;
    let mut functions = Functions::start(&live, "swept").await?;
    let sweep = json!({"clusterdrop": "sweep"});
    let upload = uploaded(&person.drops("demo.cf-create", "{}").await?);
    // The functions' failures are fed back to cf-watch, which may do both.
    functions.watch.invoke(&upload).await?;
    let id = stack_of(&live, "swept").await?;
    live.stack_becomes(&id, "CREATE_COMPLETE").await?;
    functions.watch.invoke(&sweep).await?;
    person.reads("demo.cf-created").await?;
    let upload = uploaded(&person.drops("demo.cf-delete", "").await?);
    functions.watch.invoke(&upload).await?;
    live.stack_becomes(&id, "DELETE_COMPLETE").await?;
    functions.watch.invoke(&sweep).await?;
    person.reads("demo.cf-deleted").await?;
    functions.were_refused_nothing(
        &live,
        &[("cloudformation:CreateStack", "swept"), ("cloudformation:DeleteStack", "swept"), ("cloudformation:DescribeStacks", "stack/*")],
    )
}

#[tokio::test]
async fn a_request_that_is_refused_is_answered_with_the_rights_that_there_are() -> Result<()> {
    let live = Live::from_environment().await?;
    let person = Person::new(&live, "refused".into(), &live.iam_user("refused")?).await?;
    let mut functions = Functions::start(&live, "refused").await?;
    let broken = person.drops("demo.cf-create", r#"{"ComputeMaxNodes": "many"}"#).await?;
    functions.create.invoke(&uploaded(&broken)).await?;
    let range = Range { least: Some(1.into()), most: Some(32.into()), is_whole: true };
    let many = Wrong::Number { why: NumberError::Unreadable, range, meant: None, example: 4.into() };
    let refused = messages::refused("demo", vec![messages::wrong("ComputeMaxNodes", "many", many)]);
    assert_eq!(person.reads("demo.cf-failed").await?, refused.to_string());
    let unknown = person.drops("nothing.cf-delete", "").await?;
    functions.delete.invoke(&uploaded(&unknown)).await?;
    assert_eq!(person.reads("nothing.cf-failed").await?, messages::no_such_cluster("nothing").to_string());
    let nameless = person.drops("a_b.cf-create", "{}").await?;
    functions.create.invoke(&uploaded(&nameless)).await?;
    assert_eq!(person.reads("a_b.cf-failed").await?, messages::wrong_name(&nameless, "a_b")?.to_string());
    // Gone before anybody looked.
    let key = format!("home/{}/late.cf-create", person.name);
    functions.create.invoke(&uploaded(&key)).await?;
    functions.were_refused_nothing(&live, &[("s3:PutObject", "demo.cf-failed"), ("s3:PutObject", "nothing.cf-failed")])
}
