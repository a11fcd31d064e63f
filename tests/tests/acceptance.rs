//! The acceptance checks A1 to A16 with the real binaries on the emulator. Each test has a user of its own, so that all
//! may run side by side. A17 and A18 are in `live_iam`, where IAM judges, and in the strict world
//! (`crates/sim/tests/acceptance`), for the emulator acts with every right.

mod common;

use anyhow::Result;
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use cf_core::body::Mistake;
use cf_core::ledger::MailKind;
use cf_core::message::{Advice, FileProblem, JsonType, Message, Problem, Remains, TextProblem, ValueProblem, Wrong};
use cf_core::names::User;
use cf_core::template::default_template;
use cf_e2e::messages;
use cf_local::deploy::USER_BUCKET;
use common::{EXAMPLE, TestUser, stage};
use serde_json::json;

#[tokio::test]
async fn a1_the_founding_example_becomes_a_stack_with_its_nine_values_and_an_owner() -> Result<()> {
    let s = stage("a1").await?;
    s.drop("demo.cf-create", EXAMPLE).await?;
    s.answer("demo.cf-created").await?;
    let stack = s.only_stack("demo").await?;
    let parameter = |name: &str| {
        stack.parameters().iter().find(|p| p.parameter_key() == Some(name)).and_then(|p| p.parameter_value()).map(str::to_owned)
    };
    let asked: serde_json::Map<String, serde_json::Value> = serde_json::from_str(EXAMPLE)?;
    assert_eq!(asked.len(), 9);
    for (name, value) in &asked {
        assert_eq!(parameter(name).as_deref(), value.as_str(), "{name}");
    }
    assert_eq!(parameter("ClusterUser").as_deref(), Some("a1"));
    assert_eq!(parameter("AccessUsername").as_deref(), Some("a1"));
    assert_eq!(parameter("ProfileName").as_deref(), Some("a1"));
    assert!(stack.tags().iter().any(|t| t.key() == Some("USER") && t.value() == Some("a1")));
    Ok(())
}

#[tokio::test]
async fn a1_an_empty_object_takes_the_defaults() -> Result<()> {
    let s = stage("a1b").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let stack = s.only_stack("demo").await?;
    let value = |name: &str| {
        stack.parameters().iter().find(|p| p.parameter_key() == Some(name)).and_then(|p| p.parameter_value()).map(str::to_owned)
    };
    // The defaults that af-user's cf_create.py sent.
    for (name, default) in [
        ("ComputeInstanceType", "other"),
        ("ComputeInstanceTypeOther", "c4.large-2C-3.75GB"),
        ("MasterInstanceTypeOther", "c4.large-2C-3.75GB"),
        ("ComputeSpotPrice", "0.03"),
        ("AutoscalingPolicy", "enabled"),
        ("ComputeInitialNodes", "1"),
        ("ComputeMaxNodes", "4"),
        ("MasterSystemVolumeSize", "16"),
    ] {
        assert_eq!(value(name).as_deref(), Some(default), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a2_the_answer_is_the_login_address_and_a_newline_and_stands_before_the_upload_goes() -> Result<()> {
    let s = stage("a2").await?;
    s.drop("demo.cf-create", "{}").await?;
    let answer = s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    let stack = s.only_stack("demo").await?;
    let login = stack.outputs().iter().find(|o| o.output_key() == Some("AccessIP")).and_then(|o| o.output_value()).unwrap_or_default();
    assert_eq!(answer, format!("{login}\n"));
    assert!(login.parse::<std::net::IpAddr>().is_ok(), "{login}");
    let calls = s.calls("path=home/a2/demo.cf-create")?;
    let nth = |call: &str, path: &str| {
        calls.iter().find(|c| c["call"] == call && c["path"].as_str().is_some_and(|p| p.ends_with(path))).and_then(|c| c["n"].as_u64())
    };
    let (stood, went) = (nth("s3.PutObject", "demo.cf-created"), nth("s3.DeleteObject", "demo.cf-create"));
    assert!(stood.is_some() && stood < went, "{calls:#?}");
    Ok(())
}

#[tokio::test]
async fn a3_without_a_profile_there_is_no_cluster_no_mail_and_a_reason() -> Result<()> {
    let s = common::stage_without_profile("a3").await?;
    s.drop("demo.cf-create", "{}").await?;
    let nobody = Problem::NoProfile { user: User::parse("a3")?, others: None };
    s.answers("demo.cf-failed", &[messages::refused("demo", vec![nobody])]).await?;
    s.gone("demo.cf-create").await?;
    assert!(s.stacks("demo").await?.is_empty());
    assert!(s.mails("demo")?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a4_what_cannot_be_understood_creates_nothing_and_is_answered() -> Result<()> {
    let s = stage("a4").await?;
    let large = vec![b' '; 70_000];
    let names = default_template().metadata.user_parameters.clone();
    let spot_price = Wrong::Unknown { nearest: Some("ComputeSpotPrice".into()), names };
    let comma = FileProblem::Line {
        line: 1,
        width: 1,
        mistakes: vec![(Mistake::ExtraComma, vec![24])],
        corrected: Some(("{\"ComputeMaxNodes\": \"4\"}".into(), 23)),
    };
    let reference = ValueProblem::Reference("{{resolve:ssm:/admin}}".into());
    let cases: [(&str, &[u8], Problem); 9] = [
        ("unknown", br#"{"ComputeSpotPrize": "0.03"}"#, messages::wrong("ComputeSpotPrize", "0.03", spot_price)),
        ("nonstring", br#"{"ComputeMaxNodes": [4]}"#, messages::no_value("ComputeMaxNodes", ValueProblem::Array)),
        ("array", br#"["ComputeMaxNodes"]"#, Problem::File(FileProblem::JsonType { what: JsonType::Array, instead: TextProblem::Other })),
        ("broken", br#"{"ComputeMaxNodes": "4",}"#, Problem::File(comma)),
        ("empty", b"", Problem::File(FileProblem::Empty)),
        (
            "twice",
            br#"{"ComputeMaxNodes": "4", "ComputeMaxNodes": "5"}"#,
            messages::no_value("ComputeMaxNodes", ValueProblem::Twice("5".into())),
        ),
        ("utf16", b"\xFF\xFE{\0}\0", Problem::File(FileProblem::Utf16)),
        ("secret", br#"{"ComputeInstanceTypeOther": "{{resolve:ssm:/admin}}"}"#, messages::no_value("ComputeInstanceTypeOther", reference)),
        ("large", &large, Problem::File(FileProblem::TooLarge(70_000))),
    ];
    for (name, body, _) in &cases {
        s.deployment.drop_file(&s.key(&format!("{name}.cf-create")), body).await?;
    }
    for (name, _, problem) in cases {
        s.answers(&format!("{name}.cf-failed"), &[messages::refused(name, vec![problem])]).await?;
        s.gone(&format!("{name}.cf-create")).await?;
        assert!(s.stacks(name).await?.is_empty());
    }
    assert!(s.calls("call=cloudformation.CreateStack&stack=clusterdrop-a4-")?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a5_nobody_runs_under_anothers_name() -> Result<()> {
    let s = stage("a5").await?;
    s.drop("demo.cf-create", r#"{"AccessUsername": "bob", "FlightProfiles": "bob"}"#).await?;
    let problems = ["AccessUsername", "FlightProfiles"].map(|name| messages::wrong(name, "bob", Wrong::SystemOnly));
    s.answers("demo.cf-failed", &[messages::refused("demo", problems.to_vec())]).await?;
    assert!(s.stacks("demo").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a6_a_foreign_users_cluster_cannot_be_deleted() -> Result<()> {
    let (u, v) = (stage("a6u").await?, stage("a6v").await?);
    u.drop("demo.cf-create", "{}").await?;
    u.answer("demo.cf-created").await?;
    v.drop("demo.cf-delete", "").await?;
    v.answers("demo.cf-failed", &[messages::no_such_cluster("demo")]).await?;
    v.gone("demo.cf-delete").await?;
    assert_eq!(u.stacks("demo").await?.len(), 1);
    assert!(u.text("demo.cf-created").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a7_deleted_means_gone() -> Result<()> {
    let s = stage("a7").await?;
    // So slow that whoever told of the end at the beginning would be caught.
    let _slow =
        s.fault(&json!({"kind": "pace", "stack": "clusterdrop-a7-", "resource": "LoginSecurityGroup", "on": "delete", "each": 3}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let id = s.only_stack("demo").await?.stack_id().unwrap_or_default().to_owned();
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    let after = s.deployment.cloudformation.describe_stacks().stack_name(&id).send().await?;
    assert_eq!(after.stacks().first().and_then(Stack::stack_status).map(StackStatus::as_str), Some("DELETE_COMPLETE"));
    s.gone("demo.cf-delete").await?;
    s.gone("demo.cf-created").await?;
    s.mail("demo", MailKind::Gone).await?;
    Ok(())
}

#[tokio::test]
async fn a7_a_failed_delete_is_told_with_what_is_left() -> Result<()> {
    let s = stage("a7b").await?;
    let fault = s.fault(&json!({"kind": "resource", "stack": "clusterdrop-a7b-", "resource": "LoginSecurityGroup", "on": "delete", "reason": "resource sg-0a1b has a dependent object"}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    // A delete that comes before the create's upload is removed takes the create back, which is answered in the same file.
    s.gone("demo.cf-create").await?;
    s.drop("demo.cf-delete", "").await?;
    let answer = s.answer("demo.cf-failed").await?;
    let left = s.left("demo", "LoginSecurityGroup", "resource sg-0a1b has a dependent object").await?;
    let remains = Remains { resources: vec![left], stack: None };
    let stuck = Message::Stuck { cluster: messages::name("demo"), was_made: true, causes: vec![], remains };
    assert_eq!(answer, stuck.to_string());
    s.gone("demo.cf-delete").await?;
    assert!(s.text("demo.cf-deleted").await?.is_none());
    s.mail("demo", MailKind::Stuck).await?;
    // And once the cause is gone, a second try finishes it.
    drop(fault);
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    assert!(s.stacks("demo").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a8_every_record_of_an_event_is_handled() -> Result<()> {
    let s = stage("a8").await?;
    // Uploaded without the rule's help: the events are lost, and one notification tells of both.
    let lost = s.fault(&json!({"kind": "event", "detail_type": "Object Created", "text": "home/a8/", "do": "drop", "times": 2}))?;
    s.drop("one.cf-create", "{}").await?;
    s.drop("two.cf-create", "{}").await?;
    s.deployment.until("both events to be lost", async || Ok((lost.hits()? == 2).then_some(()))).await?;
    let record = |name: &str| json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": USER_BUCKET}, "object": {"key": s.key(name)}}});
    let told = s.invoke("cf-create", &json!({"Records": [record("one.cf-create"), record("two.cf-create")]}))?;
    assert_eq!(told.error, None, "{told:?}");
    s.answer("one.cf-created").await?;
    s.answer("two.cf-created").await?;
    Ok(())
}

#[tokio::test]
async fn a9_a_failure_is_told_with_its_cause_when_the_rollback_starts_and_the_name_is_free_again() -> Result<()> {
    let s = stage("a9").await?;
    let reason = "We currently do not have sufficient r4.large capacity in the Availability Zone you requested";
    let order = json!({"kind": "resource", "stack": "clusterdrop-a9-", "resource": "LoginNode", "reason": reason});
    let fault = s.fault(&order)?;
    // Still being made when the node fails, and so cancelled, which is no cause; and a rollback that takes its time.
    let cancelled = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-a9-", "resource": "ComputeRole", "each": 60}))?;
    let slow =
        s.fault(&json!({"kind": "pace", "stack": "clusterdrop-a9-", "resource": "LoginSecurityGroup", "on": "delete", "each": 5}))?;
    s.drop("demo.cf-create", "{}").await?;
    let cause = messages::login_node(reason, Advice::TryLater { zones: vec![] });
    s.answers("demo.cf-failed", &messages::failed("demo", &cause)[..1]).await?;
    let stack = s.only_stack("demo").await?;
    assert_eq!(stack.stack_status().map(StackStatus::as_str), Some("ROLLBACK_IN_PROGRESS"));
    let id = stack.stack_id().unwrap_or_default().to_owned();
    let events = s.deployment.cloudformation.describe_stack_events().stack_name(id).send().await?;
    assert!(events.stack_events().iter().any(|e| e.resource_status_reason().is_some_and(|r| r.contains("cancelled"))), "{events:?}");
    s.gone("demo.cf-create").await?;
    s.mail("demo", MailKind::Failed).await?;
    drop((fault, cancelled, slow));
    s.deployment.until("the failed stack's removal", async || Ok(s.stacks("demo").await?.is_empty().then_some(()))).await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    assert!(s.text("demo.cf-failed").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a10_the_same_event_three_times_is_one_cluster_and_one_mail() -> Result<()> {
    let s = stage("a10").await?;
    let twice =
        s.fault(&json!({"kind": "event", "detail_type": "Object Created", "text": "home/a10/demo.cf-create", "do": "double", "times": 2}))?;
    let status =
        s.fault(&json!({"kind": "event", "detail_type": "Stack Status", "text": "clusterdrop-a10-", "do": "double", "times": 4}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": s.key("demo.cf-create")}}});
    s.deployment.send(&event)?;
    s.rest().await?;
    // Once more each, and waited for: whatever comes of it has come when the mails are counted.
    let id = s.only_stack("demo").await?.stack_id().unwrap_or_default().to_owned();
    let news = json!({"source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change", "detail": {"stack-id": id}});
    for (function, event) in [("cf-create", &event), ("cf-watch", &news)] {
        let told = s.invoke(function, event)?;
        assert_eq!(told.error, None, "{told:?}");
    }
    assert!(twice.hits()? > 0 && status.hits()? > 0);
    assert_eq!(s.stacks("demo").await?.len(), 1);
    s.mail("demo", MailKind::Ready).await?;
    assert_eq!(s.mails("demo")?.len(), 1, "{:?}", s.mails("demo")?);
    Ok(())
}

#[tokio::test]
async fn a11_an_unchanged_request_is_adopted_and_a_changed_one_refused_with_the_differences() -> Result<()> {
    let s = stage("a11").await?;
    s.drop("demo.cf-create", EXAMPLE).await?;
    let first = s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    let id = s.only_stack("demo").await?.stack_id().map(str::to_owned);
    s.take_away("demo.cf-created").await?;
    s.drop("demo.cf-create", EXAMPLE).await?;
    assert_eq!(s.answer("demo.cf-created").await?, first);
    assert_eq!(s.only_stack("demo").await?.stack_id().map(str::to_owned), id);
    s.gone("demo.cf-create").await?;
    s.drop("demo.cf-create", &EXAMPLE.replace("\"25\"", "\"26\"")).await?;
    s.answers("demo.cf-failed", &[messages::differs("demo", "ComputeMaxNodes", "25", "26")]).await?;
    s.gone("demo.cf-create").await?;
    assert_eq!(s.text("demo.cf-created").await?, Some(first));
    Ok(())
}

#[tokio::test]
async fn a12_a_cluster_whose_events_were_lost_is_found_by_the_sweep_behind_pages_of_others() -> Result<()> {
    let s = stage("a12").await?;
    common::hundred_other_stacks(&s).await?;
    let lost =
        s.fault(&json!({"kind": "event", "detail_type": "CloudFormation", "text": "clusterdrop-a12-", "do": "drop", "times": null}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.deployment.sweep()?;
    s.answer("demo.cf-created").await?;
    assert!(lost.hits()? > 1, "nobody but the sweep knew");
    // Should the ledger be lost, only the last page of stacks tells of the cluster.
    s.rest().await?;
    let (system, key) = (&s.deployment.system_bucket, cf_core::ledger::key(&User::parse(&s.user)?));
    s.deployment.s3.delete_object().bucket(system).key(key).send().await?;
    s.deployment.sweep()?;
    let found = async || Ok(s.deployment.ledger(&s.user).await?.filter(|l| l.living().any(|name| name.as_str() == "demo")));
    s.deployment.until("the ledger, written anew", found).await?;
    Ok(())
}

#[tokio::test]
async fn a13_names_that_cannot_be_are_refused_before_anything_is_made() -> Result<()> {
    let s = stage("a13").await?;
    let long = "x".repeat(200);
    for name in ["a_b", "-a", "a.b", &long] {
        s.drop(&format!("{name}.cf-create"), "{}").await?;
        let file = format!("{name}.cf-create");
        s.answers(&format!("{name}.cf-failed"), &[messages::wrong_name(&s.key(&file), name)?]).await?;
        s.gone(&file).await?;
    }
    s.drop("foocf-create", "{}").await?;
    // The rule lets no such key through, so the function is told by other means.
    let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": s.key("foocf-create")}}});
    let told = s.invoke("cf-create", &event)?;
    assert_eq!(told.error, None, "{told:?}");
    s.drop("1abc.cf-create", "{}").await?;
    s.answer("1abc.cf-created").await?;
    assert!(s.text("foocf-create").await?.is_some(), "no request of ours, and not ours to remove");
    assert_eq!(s.calls("call=cloudformation.CreateStack&stack=clusterdrop-a13-")?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a14_keys_are_decoded_once() -> Result<()> {
    let s = stage("a14").await?;
    s.drop("my projects/demo.cf-create", "{}").await?;
    s.answer("my projects/demo.cf-created").await?;
    for name in ["a+b/demo", "a%20b/demo", "a b", "c+d"] {
        s.drop(&format!("{name}.cf-create"), "{}").await?;
        s.answer(&format!("{name}.cf-failed")).await?;
        s.gone(&format!("{name}.cf-create")).await?;
    }
    assert_eq!(s.calls("call=cloudformation.CreateStack&stack=clusterdrop-a14-")?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a15_a_mailer_that_is_down_costs_a_mail_and_no_cluster() -> Result<()> {
    let s = stage("a15").await?;
    let down =
        s.fault(&json!({"kind": "call", "call": "ses.SendEmail", "text": "a15", "error": "Throttling", "status": 400, "times": 3}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    s.rest().await?;
    // The SDK tries three times; then the mail is lost.
    s.deployment.until("the last try", async || Ok((down.hits()? == 3).then_some(()))).await?;
    assert!(s.mails("demo")?.is_empty());
    // Counted: a metric in the embedded format, beside a line that names the mail.
    let lost = format!("{}: ses:SendEmail", messages::subject("a15", "demo", MailKind::Ready));
    for text in [lost.as_str(), "\"MailsLost\":1"] {
        let logged = async || Ok((!s.deployment.log("/aws/lambda/clusterdrop-cf-watch", text)?.is_empty()).then_some(()));
        s.deployment.until(text, logged).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a16_two_users_may_both_have_a_test() -> Result<()> {
    let (u, v) = (stage("a16u").await?, stage("a16v").await?);
    u.drop("test.cf-create", "{}").await?;
    v.drop("test.cf-create", "{}").await?;
    u.answer("test.cf-created").await?;
    v.answer("test.cf-created").await?;
    let (a, b): (TestUser, TestUser) = (u, v);
    assert_ne!(a.only_stack("test").await?.stack_id(), b.only_stack("test").await?.stack_id());
    Ok(())
}
