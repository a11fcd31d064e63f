//! Many uploads at once: all are answered, none twice, and the functions grow no larger. 20 users with five files each;
//! `CLUSTERDROP_BURST=200x5` makes it a thousand, which takes minutes. Counts are asserted, times are only told: how many
//! clusters a second, and beside it, from the same run, how many stacks a second the emulator makes when nobody else asks.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
use cf_e2e::deployment::Deployment;
use cf_e2e::invocations::Invocation;
use cf_local::deploy::{CUSTOMIZER_BUCKET, PREFIX, USER_BUCKET, aws};
use common::{EXAMPLE, stage};
use tokio::task::JoinSet;

/// As long as this nothing may stand still.
const STILL_SECONDS_MAX: u64 = 180;

/// Stacks that are made for comparison.
const BARE_MAX: usize = 100;

/// What a function's process may have resident: it has 128 MB.
const PEAK_KIB_MAX: u64 = 48 * 1024;

/// How many of each function run at a time. An account's concurrency has an end, and so has the machine of a test: with
/// hundreds of processes at once it would measure nothing but how they stand in each other's way.
const CONCURRENCY: &str = "8";

/// Users, and files of each.
fn size() -> Result<(usize, usize)> {
    let text = std::env::var("CLUSTERDROP_BURST").unwrap_or_else(|_| "20x5".to_owned());
    let (users, each) = text.split_once('x').context("CLUSTERDROP_BURST is users x files of each: 200x5")?;
    Ok((users.parse()?, each.parse()?))
}

/// Does many things at once, and waits for all of them.
async fn together<F: Future<Output = Result<()>> + Send + 'static>(all: impl IntoIterator<Item = F>) -> Result<()> {
    let mut set: JoinSet<Result<()>> = all.into_iter().collect();
    while let Some(done) = set.join_next().await {
        done??;
    }
    Ok(())
}

/// Waits until `seen` has come to `all`, for as long as it grows.
async fn grown<F: AsyncFnMut() -> Result<usize>>(what: &str, all: usize, mut seen: F) -> Result<()> {
    let (mut most, mut since) = (0, Instant::now());
    loop {
        let now = seen().await?;
        if now >= all {
            return Ok(());
        }
        if now > most {
            (most, since) = (now, Instant::now());
        }
        ensure!(since.elapsed() < Duration::from_secs(STILL_SECONDS_MAX), "{what}: {most} of {all}, and no more for {STILL_SECONDS_MAX} s");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The names and statuses of all stacks that ever were.
async fn stacks(deployment: &Deployment, prefix: &str) -> Result<Vec<(String, StackStatus)>> {
    let mut found = Vec::new();
    let mut pages = deployment.cloudformation.list_stacks().into_paginator().send();
    while let Some(page) = pages.next().await {
        for stack in page?.stack_summaries() {
            if let (Some(name), Some(status)) = (stack.stack_name().filter(|name| name.starts_with(prefix)), stack.stack_status()) {
                found.push((name.to_owned(), status.clone()));
            }
        }
    }
    Ok(found)
}

/// The keys under `home/` with this ending.
async fn keys(deployment: &Deployment, ending: &str) -> Result<usize> {
    let mut count = 0;
    let mut pages = deployment.s3.list_objects_v2().bucket(USER_BUCKET).prefix("home/").into_paginator().send();
    while let Some(page) = pages.next().await {
        count += page?.contents().iter().filter(|o| o.key().is_some_and(|key| key.ends_with(ending))).count();
    }
    Ok(count)
}

/// How many stacks a second are made of the same template, with the same parameters, without anybody of ours.
async fn bare_rate(deployment: &Deployment, count: usize) -> Result<f64> {
    let sample = stage("sample").await?;
    sample.drop("demo.cf-create", EXAMPLE).await?;
    sample.answer("demo.cf-created").await?;
    let stack = sample.only_stack("demo").await?;
    let parameters: Vec<Parameter> = stack.parameters().to_vec();
    let role = stack.role_arn().context("a cluster has a service role")?.to_owned();
    let body = deployment.cloudformation.get_template().stack_name(stack.stack_name().unwrap_or_default()).send().await?;
    let key = format!("templates/bare-{count}.yaml");
    let text = body.template_body().context("a stack has a template")?.to_owned();
    deployment.s3.put_object().bucket(&deployment.system_bucket).key(&key).body(text.into_bytes().into()).send().await?;
    let url = format!("https://s3.eu-west-2.amazonaws.com/{}/{key}", deployment.system_bucket);
    let begun = Instant::now();
    together((0..count).map(|nth| {
        let call = deployment.cloudformation.create_stack().stack_name(format!("bare-{nth}")).template_url(&url).role_arn(&role);
        let call = call.set_parameters(Some(parameters.clone())).capabilities(Capability::CapabilityIam);
        async move { Ok(call.send().await.map(drop)?) }
    }))
    .await?;
    let made = async || Ok(stacks(deployment, "bare-").await?.iter().filter(|(_, status)| *status == StackStatus::CreateComplete).count());
    grown("stacks for comparison", count, made).await?;
    Ok(number(count) / begun.elapsed().as_secs_f64())
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The most that any process of a function had resident: at its first event, and at its last.
fn peaks(all: &[Invocation]) -> BTreeMap<String, (u64, u64, usize)> {
    let mut peaks = BTreeMap::new();
    for one in all {
        let peak = one.peak_kib.unwrap_or_default();
        let (first, last, count) = peaks.entry(one.function.clone()).or_insert((0, 0, 0));
        if one.cold {
            *first = peak.max(*first);
        }
        *last = peak.max(*last);
        *count += 1;
    }
    peaks
}

#[tokio::test]
async fn many_uploads_at_once_are_all_answered_and_none_twice() -> Result<()> {
    let (users, each) = size()?;
    let (all, deployment) = (users * each, Deployment::from_environment().await?);
    for function in ["cf-create", "cf-delete", "cf-watch"] {
        let name = format!("{PREFIX}-{function}");
        // As the parameter ReservedConcurrency does it, which the emulator does not take from a template.
        let limit = ["lambda", "put-function-concurrency", "--reserved-concurrent-executions", CONCURRENCY, "--function-name", &name];
        aws(&deployment.url, &limit)?;
    }
    let bare = bare_rate(&deployment, all.min(BARE_MAX)).await?;
    let (before, made_before, created_before) = (
        deployment.invocations(0)?.last().map_or(0, |i| i.n),
        stacks(&deployment, &format!("{PREFIX}-")).await?.len(),
        keys(&deployment, ".cf-created").await?,
    );
    together((0..users).map(|user| {
        let put = deployment.s3.put_object().bucket(CUSTOMIZER_BUCKET).key(format!("customizer/burst{user}/configure.d/user.sh"));
        async move { Ok(put.body(b"#!/bin/bash\n".to_vec().into()).send().await.map(drop)?) }
    }))
    .await?;
    let begun = Instant::now();
    together((0..all).map(|nth| {
        let deployment = deployment.clone();
        async move { deployment.drop_file(&format!("home/burst{}/c{}.cf-create", nth % users, nth / users), EXAMPLE.as_bytes()).await }
    }))
    .await?;
    grown("answers", created_before + all, async || keys(&deployment, ".cf-created").await).await?;
    let seconds = begun.elapsed().as_secs_f64();
    grown("uploads answered and gone", 1, async || Ok(usize::from(keys(&deployment, ".cf-create").await? == 0))).await?;
    for user in 0..users {
        deployment.at_rest(&format!("burst{user}")).await?;
    }
    // Late news of progress is still worked through; while more of it ends, nothing stands still.
    let ended = async || {
        let invocations = deployment.invocations(before)?;
        let count = invocations.iter().filter(|i| i.ms.is_some()).count();
        Ok(if count == invocations.len() { usize::MAX } else { count })
    };
    grown("invocations ended", usize::MAX, ended).await?;

    // None twice: a stack each, ever; a mail each; and nobody was refused.
    let made: Vec<String> = stacks(&deployment, &format!("{PREFIX}-burst")).await?.into_iter().map(|(name, _)| name).collect();
    assert_eq!((made.len(), made.iter().collect::<BTreeSet<_>>().len()), (all, all), "stacks ever made, and their names");
    assert_eq!(made_before, 1, "the sample");
    assert_eq!(keys(&deployment, ".cf-failed").await?, 0);
    let mails: Vec<String> = deployment.all_mails()?.into_iter().map(|(subject, _)| subject).filter(|s| s.contains(" burst")).collect();
    assert_eq!((mails.len(), mails.iter().collect::<BTreeSet<_>>().len()), (all, all), "mails, and different ones");

    let invocations = deployment.invocations(before)?;
    let calls: usize = invocations.iter().map(|i| i.calls.len()).sum();
    let failed = invocations.iter().filter(|i| i.error.is_some()).count();
    let rate = number(all) / seconds;
    println!("{all} uploads of {users} users: answered in {seconds:.1} s, {rate:.2} clusters a second");
    println!("the emulator alone: {bare:.2} stacks a second; ratio {:.2}", rate / bare);
    println!("{} invocations ({failed} given back), {calls} calls", invocations.len());
    for (function, (first, last, count)) in peaks(&invocations) {
        println!("{function}: {count} invocations, resident at most {first} KiB after a first event, {last} KiB at the end");
        assert!(last < PEAK_KIB_MAX && last < 2 * first, "{function}: {last} KiB");
    }
    Ok(())
}
