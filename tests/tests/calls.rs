//! Every call to AWS in a cluster's life, counted, each with the reason why it cannot be saved (`tests/calls.md`); and what a
//! life costs, against the polling original. It has a deployment of its own: nobody else's calls may be among them.

mod common;

use std::fmt::Write as _;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::{ResourceSignalStatus, ResourceStatus};
use cf_e2e::invocations::{Call, Invocation};
use common::{EXAMPLE, TestUser, stage};
use serde_json::{Value, json};

/// The reasons: a table, for people to read and for this test to hold against what happens.
const REASONS: &str = include_str!("../calls.md");

/// One row of the table.
struct Reason {
    pass: String,
    call: String,
    why: String,
    used: bool,
}

fn reasons() -> Vec<Reason> {
    let rows = REASONS.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [pass, call, why] = cells[..] else { panic!("three cells: {row}") };
        Reason { pass: pass.to_owned(), call: call.trim_matches('`').to_owned(), why: why.to_owned(), used: false }
    })
    .collect()
}

/// What a pass did, with the reasons.
fn explained(pass: &str, calls: &[Call], reasons: &mut [Reason]) -> String {
    let mut told = format!("{pass}: {} calls\n", calls.len());
    for call in calls {
        let of = |pass: &str| reasons.iter().position(|reason| reason.pass == pass && reason.call == call.what);
        let why = of(pass).or_else(|| of("every")).map_or("NO REASON: say in tests/calls.md why it cannot be saved, or save it", |at| {
            reasons[at].used = true;
            &reasons[at].why
        });
        let status = if call.status < 300 { String::new() } else { format!(" ({})", call.status) };
        let _ = writeln!(told, "  {}{status}\n      {why}", call.what);
    }
    told
}

/// CloudFormation's event as EventBridge hands it on.
fn envelope(event: &Value) -> Value {
    json!({"source": event["Source"], "detail-type": event["DetailType"], "detail": event["Detail"], "resources": event["Resources"]})
}

/// Some of them as a queue hands them on.
fn batch(events: &[Value]) -> Value {
    let record = |(nth, event): (usize, &Value)| json!({"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-2:000000000000:clusterdrop-progress", "messageId": nth.to_string(), "body": envelope(event).to_string()});
    json!({"Records": events.iter().enumerate().map(record).collect::<Vec<_>>()})
}

/// The invocations that concerned a user, in the order in which they began; every pass looks at the ledger.
fn of_user(s: &TestUser, after: u64) -> Result<Vec<Invocation>> {
    let ledger = format!("system/ledger/{}.json", s.user);
    let touches = |i: &Invocation| i.ms.is_none() || i.calls.iter().any(|call| call.what.ends_with(&ledger));
    Ok(s.deployment.invocations(after)?.into_iter().filter(touches).collect())
}

/// A life, pass by pass: CloudFormation's own events are held back, and handed over one after the other.
struct Life {
    s: TestUser,
    stack: String,
    seen: u64,
    passes: Vec<(String, Vec<Call>)>,
}

impl Life {
    /// The one invocation since the last, once it has ended.
    async fn took(&mut self, pass: &str) -> Result<()> {
        let ended = async || {
            let all = of_user(&self.s, self.seen)?;
            Ok((!all.is_empty() && all.iter().all(|i| i.ms.is_some())).then_some(all))
        };
        let all = self.s.deployment.until(pass, ended).await?;
        let [one] = &all[..] else { panic!("one invocation for {pass}: {all:#?}") };
        assert!(one.error.is_none() && one.looks().len() == 1, "{one:#?}");
        self.passes.push((pass.to_owned(), one.calls_in_order()));
        self.seen = one.n;
        Ok(())
    }

    async fn upload(&mut self, name: &str, text: &str) -> Result<()> {
        self.s.drop(name, text).await?;
        self.took(&format!("upload of {name}")).await
    }

    /// CloudFormation has told of this status.
    async fn told(&mut self, status: &str) -> Result<()> {
        let of = |event: &Value| event["Detail"]["status-details"]["status"] == status;
        let event = async || Ok(self.s.deployment.events("Stack", &self.stack)?.into_iter().find(|e| of(e)));
        let event = self.s.deployment.until(status, event).await?;
        self.hand_over(status, &envelope(&event)).await
    }

    /// The queue hands over a few of the events so far: which ones makes no difference, for they only say where to look.
    async fn progress(&mut self, when: &str) -> Result<()> {
        let events = self.s.deployment.events("Resource", &self.stack)?;
        let event = batch(&events[events.len().saturating_sub(3)..]);
        self.hand_over(&format!("progress, {when}"), &event).await
    }

    async fn hand_over(&mut self, pass: &str, event: &Value) -> Result<()> {
        let told = self.s.invoke("cf-watch", event)?;
        assert_eq!(told.error, None, "{told:?}");
        self.took(pass).await
    }

    /// Everything is made but the login node, which is awaited; its id.
    async fn only_the_node_is_missing(&self) -> Result<String> {
        let node = async || {
            let resources = self.s.deployment.cloudformation.list_stack_resources().stack_name(&self.stack).send().await?;
            let mut missing = resources.stack_resource_summaries().iter().filter(|r| !r.resource_status().is_some_and(is_made));
            let node = missing.next().filter(|r| r.logical_resource_id() == Some("LoginNode"));
            let id = node.and_then(|r| r.physical_resource_id()).map(str::to_owned);
            Ok(id.filter(|_| missing.next().is_none()))
        };
        self.s.deployment.until("all but the login node", node).await
    }

    /// The login node says that it is ready.
    async fn signal(&self, node: String) -> Result<()> {
        let signal = self.s.deployment.cloudformation.signal_resource().stack_name(&self.stack).logical_resource_id("LoginNode");
        signal.unique_id(node).status(ResourceSignalStatus::Success).send().await?;
        Ok(())
    }
}

fn is_made(status: &ResourceStatus) -> bool {
    *status == ResourceStatus::CreateComplete
}

/// One whole life, each pass alone, so that the calls are the same in every run.
async fn life() -> Result<Vec<(String, Vec<Call>)>> {
    let s = stage("life").await?;
    let deployment = s.deployment.clone();
    let of_stack = |mut order: Value| {
        order["stack"] = "clusterdrop-life-".into();
        deployment.fault(&order)
    };
    let _held = deployment
        .fault(&json!({"kind": "event", "detail_type": "CloudFormation", "text": "clusterdrop-life-", "do": "drop", "times": null}))?;
    let _silent = of_stack(json!({"kind": "node", "signal": "never", "timeout": 600}))?;
    // So slow that each pass comes while it is still under way.
    let _making = of_stack(json!({"kind": "pace", "resource": "LoginSecurityGroup", "each": 10}))?;
    let _removing = of_stack(json!({"kind": "pace", "resource": "LoginSecurityGroup", "on": "delete", "each": 10}))?;
    let mut life = Life { s, stack: String::new(), seen: deployment.invocations(0)?.last().map_or(0, |i| i.n), passes: Vec::new() };
    life.upload("demo.cf-create", EXAMPLE).await?;
    life.stack = life.s.only_stack("demo").await?.stack_name.context("a stack has a name")?;
    life.told("CREATE_IN_PROGRESS").await?;
    let node = life.only_the_node_is_missing().await?;
    life.progress("creating, with news").await?;
    life.progress("creating, without news").await?;
    life.signal(node).await?;
    life.told("CREATE_COMPLETE").await?;
    life.progress("ready").await?;
    assert!(life.s.text("demo.cf-created").await?.is_some());
    life.upload("demo.cf-delete", "").await?;
    life.told("DELETE_IN_PROGRESS").await?;
    life.told("DELETE_COMPLETE").await?;
    assert!(life.s.text("demo.cf-deleted").await?.is_some());
    Ok(life.passes)
}

#[tokio::test]
async fn every_call_of_a_clusters_life_has_its_reason() -> Result<()> {
    let passes = life().await?;
    let mut reasons = reasons();
    let told: Vec<String> = passes.iter().map(|(pass, calls)| explained(pass, calls, &mut reasons)).collect();
    assert!(!told.iter().any(|text| text.contains("NO REASON")), "{}", told.join("\n"));
    let idle: Vec<_> = reasons.iter().filter(|r| !r.used).map(|r| format!("{}: {}", r.pass, r.call)).collect();
    assert!(idle.is_empty(), "tests/calls.md gives reasons for what no pass does: {idle:#?}");
    insta::assert_snapshot!("life", told.join("\n"));
    Ok(())
}

/// What Lambda costs, in dollars: a GB-second on x86, an invocation (Lambda's price list; docs/performance.md).
const GB_SECOND: f64 = 0.000_016_666_7;
const INVOCATION: f64 = 0.000_000_2;
/// 128 MB.
const GB: f64 = 0.125;
/// The queue gathers progress for so long (template.yaml, `MaximumBatchingWindowInSeconds`).
const WINDOW_SECONDS: f64 = 10.0;

/// What a life in free run came to.
struct Counted {
    invocations: usize,
    batches: usize,
    messages: usize,
    milliseconds: f64,
    calls: usize,
}

/// One whole life with CloudFormation's events as they come.
async fn free_run(s: &TestUser) -> Result<Vec<Invocation>> {
    let before = s.deployment.invocations(0)?.last().map_or(0, |i| i.n);
    let _pace = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-free-", "each": 0.5}))?;
    s.drop("demo.cf-create", EXAMPLE).await?;
    s.answer("demo.cf-created").await?;
    let stack = s.only_stack("demo").await?.stack_name.context("a stack has a name")?;
    s.rest().await?;
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    let told = |of: &[Invocation]| of.iter().filter(|i| i.by.contains("Stack Status")).count();
    let heard =
        |of: &[Invocation]| of.iter().filter(|i| i.by.ends_with("-progress")).filter_map(|i| i.about.parse::<usize>().ok()).sum::<usize>();
    let all = async || {
        let all = of_user(s, before)?;
        let stack_events = s.deployment.events("Stack", &stack)?.len();
        let progress = s.deployment.events("Resource", &stack)?.iter().filter(|e| is_progress(e)).count();
        Ok((told(&all) >= stack_events && heard(&all) >= progress && all.iter().all(|i| i.ms.is_some())).then_some(all))
    };
    s.deployment.until("every event's own pass", all).await
}

/// What the rule of template.yaml lets into the queue.
fn is_progress(event: &Value) -> bool {
    event["Detail"]["status-details"]["status"] == "CREATE_COMPLETE"
}

fn count(all: &[Invocation]) -> Counted {
    let batches: Vec<_> = all.iter().filter(|i| i.by.ends_with("-progress")).collect();
    Counted {
        invocations: all.len(),
        batches: batches.len(),
        messages: batches.iter().filter_map(|i| i.about.parse::<usize>().ok()).sum(),
        milliseconds: all.iter().filter_map(|i| i.ms).sum(),
        calls: all.iter().map(|i| i.calls.len()).sum(),
    }
}

/// What a life costs at most that is so many minutes in the making: no more batches than windows,
/// no more than events, and a whole second for each invocation. Beside it the original, which sleeps in its function until
/// the stack is complete (two seconds, look, again), and is billed for all of that; its other calls are left out. The last
/// column says how long an invocation may take for the original to cost a hundred times as much.
fn cost(counted: &Counted, minutes: f64) -> String {
    let windows = minutes * 60.0 / WINDOW_SECONDS;
    let invocations = number(counted.invocations - counted.batches) + windows.min(number(counted.messages));
    let (ours, theirs) = (invocations * GB, minutes * 60.0 * GB);
    let dollars = |gb_seconds: f64, invocations: f64| (gb_seconds * GB_SECOND + invocations * INVOCATION) * 1000.0;
    format!(
        "{minutes:2} min | {invocations:2} invocations, {ours:4.1} GB-s, {:.3} $ for 1,000 clusters | original {theirs:5.1} GB-s, {:.3} $ | {:2.0} times, 100 times at {:3.0} ms\n",
        dollars(ours, invocations),
        dollars(theirs, 2.0),
        theirs / ours,
        minutes * 60_000.0 / invocations / 100.0,
    )
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[tokio::test]
async fn a_life_in_free_run_takes_no_invocation_and_no_call_too_many() -> Result<()> {
    let s = stage("free").await?;
    let all = free_run(&s).await?;
    let known = life_lists(include_str!("snapshots/calls__life.snap"));
    let by = |word: &str| all.iter().filter(|i| i.by.contains(word)).count();
    // An upload each, a status each: beginning and end of the making, of the going.
    assert_eq!((by("Object Created"), by("Stack Status")), (2, 4), "{all:#?}");
    let counted = count(&all);
    assert_eq!(counted.invocations, 6 + counted.batches, "{all:#?}");
    for one in &all {
        assert_eq!(one.error, None, "{one:#?}");
        assert!(is_known(one, &known), "calls that tests/calls.md does not know: {one:#?}");
    }
    let crossed = all.iter().filter(|i| i.looks().len() > 1).count();
    println!(
        "free run: {} invocations, {} of them for {} progress events, {crossed} crossed; {} calls; here {:.0} ms each, cold starts and all",
        counted.invocations,
        counted.batches,
        counted.messages,
        counted.calls,
        counted.milliseconds / number(counted.invocations)
    );
    let table: String = [3.0, 6.0, 15.0].map(|minutes| cost(&counted, minutes)).concat();
    insta::assert_snapshot!("cost", table);
    Ok(())
}

/// Whether each look of an invocation makes no call that one pass of the table does not make, and none more often. Passes meet
/// here: one finds the world between two steps of another and has less to do, or is broken off and looks again. It has found
/// its cluster by then, and a mail that it has claimed is sent before. What the event's stack was a moment ago no longer holds:
/// the next look asks for the stack by its name.
fn is_known(one: &Invocation, known: &[Vec<String>]) -> bool {
    let again: Vec<Vec<String>> = known.iter().map(|list| list.iter().map(|call| of_any_stack(call)).collect()).collect();
    one.looks().iter().enumerate().all(|(nth, look)| {
        let list: Vec<String> = look.iter().map(|call| call.what.replace("/free", "/life")).collect();
        if nth == 0 {
            return known.iter().any(|known| is_within(&list, known));
        }
        let list: Vec<String> = list.iter().filter(|call| *call != "ses.SendEmail").map(|call| of_any_stack(call)).collect();
        again.iter().any(|known| is_within(&list, known))
    })
}

/// A call as it is whichever way the stack is named.
fn of_any_stack(call: &str) -> String {
    call.replace("DescribeStacks by name", "DescribeStacks by id")
}

fn is_within(list: &[String], known: &[String]) -> bool {
    let mut rest = known.to_vec();
    list.iter().all(|call| rest.iter().position(|other| other == call).map(|at| rest.remove(at)).is_some())
}

/// The lists of calls in the snapshot of the other test.
fn life_lists(snapshot: &str) -> Vec<Vec<String>> {
    let is_call = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let of_pass =
        |pass: &str| pass.lines().filter(is_call).map(|line| line.trim().split(" (").next().unwrap_or_default().to_owned()).collect();
    snapshot.split("\n\n").map(of_pass).collect()
}

/// Two passes meet when the cluster is ready, as they did once: the other has removed the request, and this one looks again.
#[test]
fn a_second_look_at_a_ready_cluster_is_known_and_one_that_creates_again_is_not() {
    let known = life_lists(include_str!("snapshots/calls__life.snap"));
    let call = |what: &str, status| Call { what: what.to_owned(), status };
    let reads = |stack: &str| {
        let calls = [stack, "s3.GetObject system/ledger/free.json", "s3.ListObjectsV2 users/home/free/demo.cf-*"];
        calls.map(|what| call(what, 200)).to_vec()
    };
    let crossed = call("s3.PutObject users/home/free/demo.cf-status", 412);
    let of = |stack: &str, last: &str| {
        let first = [reads("cloudformation.DescribeStacks by id"), vec![crossed.clone()]].concat();
        let second = [reads(stack), vec![call("s3.PutObject users/home/free/demo.cf-created", 200), call(last, 200)]].concat();
        let calls = [first, second].concat();
        let (function, by, about) = ("cf-watch".to_owned(), "clusterdrop-progress".to_owned(), "2".to_owned());
        Invocation { n: 1, function, by, about, ms: Some(1.0), cold: false, peak_kib: None, error: None, calls }
    };
    let by_name = "cloudformation.DescribeStacks by name";
    assert!(is_known(&of(by_name, "s3.PutObject users/home/free/demo.cf-status"), &known));
    assert!(!is_known(&of(by_name, "cloudformation.CreateStack by name"), &known));
    assert!(!is_known(&of("cloudformation.ListStacks", "s3.PutObject users/home/free/demo.cf-status"), &known));
}
