//! Faults at the wire: the real adapters against the emulator, through an HTTP client that spoils one request. Every operation
//! of a create, a failure and a delete is spoiled in every way, and with `CLUSTERDROP_WIRE=requests` every single request; the
//! event is then delivered again, as Lambda does it, and the world must be the same as if nothing had happened.

#[path = "../bare/mod.rs"]
mod bare;
mod layer;
mod path;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use cf_local::root;
use futures_util::{StreamExt, stream};
use serde_json::json;

use bare::{Account, Way};
use layer::{Kind, Request, Spoil, Wire};
use path::{ATTEMPTS, Path, Run, Runner};

/// In which way the n-th request is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// Once, and the SDK may try again: it should, and nobody behind it should notice.
    Once,
    /// Once, and the SDK may not try again: the domain has to come to terms with it.
    OnceUnretried,
    /// From there on, for the rest of the pass, all of the service: more than the SDK's attempts can mend.
    Lasting,
}

/// Every way in which a request is spoiled. What lasts is either never acted on or always; how it is told makes no
/// difference any more once the SDK has given up.
fn ways() -> impl Iterator<Item = (Form, Kind)> {
    let once = [Form::Once, Form::OnceUnretried].into_iter().flat_map(|form| Kind::ALL.map(|kind| (form, kind)));
    once.chain([Kind::Throttled, Kind::Cut].map(|kind| (Form::Lasting, kind)))
}

/// So many runs side by side: they wait for stacks and timeouts, not for the processor.
const SIDE_BY_SIDE: usize = 8;

#[tokio::test]
async fn whatever_befalls_a_request_of_a_create_the_cluster_is_ready_and_told_once() -> Result<()> {
    spoil(Path::Create).await
}

#[tokio::test]
async fn whatever_befalls_a_request_of_a_failure_it_is_told_once_and_cleared_away() -> Result<()> {
    fail_stacks_of(Path::Failure)?;
    spoil(Path::Failure).await
}

#[tokio::test]
async fn whatever_befalls_a_request_of_a_delete_the_cluster_is_gone_and_told_once() -> Result<()> {
    spoil(Path::Delete).await
}

#[tokio::test]
async fn whatever_befalls_a_request_of_a_report_it_is_shown() -> Result<()> {
    spoil(Path::Report).await
}

/// One run to be made.
#[derive(Debug, Clone)]
struct Case {
    form: Form,
    spoil: Spoil,
}

/// How the environment asks for every request, of which some are much alike.
const EVERY_REQUEST: (&str, &str) = ("CLUSTERDROP_WIRE", "requests");

/// What is spoiled in the way of this number: every request, or one of each operation. An operation that a path makes more than
/// once is spoiled at another of its times in each way.
fn chosen(requests: &[Request], way: usize) -> Vec<&Request> {
    if std::env::var(EVERY_REQUEST.0).is_ok_and(|what| what == EVERY_REQUEST.1) {
        return requests.iter().collect();
    }
    let mut operations: BTreeMap<(&str, &str), Vec<&Request>> = BTreeMap::new();
    for request in requests {
        operations.entry((request.service, &request.what)).or_default().push(request);
    }
    operations.values().map(|times| times[way % times.len()]).collect()
}

async fn spoil(path: Path) -> Result<()> {
    let begun = Instant::now();
    let way = Way::plain();
    let (clean, requests) = Box::pin(clean(path, &way)).await?;
    let cases: Vec<Case> = ways()
        .enumerate()
        .flat_map(|(nth, (form, kind))| {
            let spoil = move |request: &Request| Spoil { request: request.clone(), kind, lasts: form == Form::Lasting };
            chosen(&requests, nth).into_iter().map(move |request| Case { form, spoil: spoil(request) }).collect::<Vec<_>>()
        })
        .collect();
    let runs = stream::iter(cases.clone()).map(|case| {
        let (way, clean) = (&way, &clean);
        // Boxed: a run's future is large.
        async move { (Box::pin(spoiled(path, way, &case, clean)).await, case) }
    });
    let runs: Vec<(Result<Tally>, Case)> = runs.buffer_unordered(SIDE_BY_SIDE).collect().await;
    report(path, &requests, &runs, begun)
}

/// What one spoiled run came to.
#[derive(Debug)]
struct Tally {
    /// Every request that was spoiled; the first is the one that was meant.
    struck: Vec<Request>,
    /// Whether a pass gave its event back.
    given_back: bool,
    /// Whether the world was right only after the sweeps.
    was_swept: bool,
    /// Whether a mail fell victim to it.
    mail_lost: bool,
}

/// The undisturbed run, and its requests.
async fn clean(path: Path, way: &Way) -> Result<(Run, Vec<Request>)> {
    let account = Account::new(bare::emulator(path as usize)?, way.clone(), true).await?;
    let wire = Wire::new(way.http.clone(), &account.id, None);
    let runner = Box::pin(Runner::new(path, &account, &wire, ATTEMPTS)).await?;
    let run = Box::pin(runner.run()).await.context("undisturbed")?;
    ensure!(!run.was_swept, "a sweep changes what nothing disturbed: {run:#?}");
    ensure!(run.world.stacks.len() == 1, "{:?}", run.world.stacks);
    Ok((run, wire.seen()))
}

/// One run with its fault, compared with the undisturbed one.
async fn spoiled(path: Path, way: &Way, case: &Case, clean: &Run) -> Result<Tally> {
    let account = Account::new(bare::emulator(path as usize)?, way.clone(), true).await?;
    let wire = Wire::new(way.http.clone(), &account.id, Some(case.spoil.clone()));
    let attempts = if case.form == Form::OnceUnretried { 1 } else { ATTEMPTS };
    let runner = Box::pin(Runner::new(path, &account, &wire, attempts)).await?;
    let run = Box::pin(runner.run()).await?;
    let struck = wire.struck();
    ensure!(struck.first() == Some(&case.spoil.request), "another request was spoiled, or none: {struck:?}");
    let is_list = case.spoil.request.what.starts_with("DescribeStackEvents");
    // What nodes report is shown where it can be read; only a pass for it waits.
    let is_aside = is_list || (path != Path::Report && case.spoil.request.what.contains("nodes/"));
    let is_like = if is_list { run.world.is_like_but_for_the_causes(&clean.world) } else { run.world.is_like(&clean.world) };
    if !is_like {
        bail!("the world differs.\nspoiled: {:#?}\nclean: {:#?}", run.world, clean.world);
    }
    let mail_lost = lost_mail(case, &run, clean)?;
    match case.form {
        Form::Once => ensure!(run.errors.is_empty(), "the SDK's own attempts were not enough: {:?}", run.errors),
        // The list may be the last thing that its pass asks for while the fault lasts, or not.
        Form::Lasting if is_aside => {}
        // A mail's fault stops nothing, and neither does that of the list of a stack at rest.
        _ => ensure!(run.errors.is_empty() == (case.spoil.request.service == "ses" || is_aside), "given back: {:?}", run.errors),
    }
    Ok(Tally { struck, given_back: !run.errors.is_empty(), was_swept: run.was_swept, mail_lost })
}

/// Whether a mail of the undisturbed run is missing; an error where it may not be, and where it should be.
fn lost_mail(case: &Case, run: &Run, clean: &Run) -> Result<bool> {
    let (there, wanted): (BTreeSet<_>, BTreeSet<_>) = (run.world.mails.iter().collect(), clean.world.mails.iter().collect());
    ensure!(there.is_subset(&wanted), "mails that nobody wanted: {there:?}");
    let is_lost = there != wanted;
    if let Some(expected) = case.loses_a_mail() {
        ensure!(is_lost == expected, "there are the mails {there:?}, and undisturbed {wanted:?}");
    }
    Ok(is_lost)
}

impl Case {
    /// Whether a mail falls victim to it; `None` where it may.
    fn loses_a_mail(&self) -> Option<bool> {
        let is_acted_on = matches!(self.spoil.kind, Kind::Delayed | Kind::Cut);
        match self.spoil.request.service {
            // Sent, although nobody heard so; sent again only where SES itself said that it did not send it.
            "ses" => Some(!is_acted_on && (self.form, self.spoil.kind) != (Form::Once, Kind::Throttled)),
            // The ledger's claim of a mail. One that stands although its writer never heard so might be another pass's, and no
            // mail is better than two.
            _ if is_acted_on && self.spoil.request.what.starts_with("PUT system/ledger/") => None,
            // The pass goes on without the reports, and what lasts befalls that claim too.
            _ if is_acted_on && self.form == Form::Lasting && self.spoil.request.what.contains("nodes/") => None,
            _ => Some(false),
        }
    }
}

/// Where `cargo xtask test` finds what each path came to.
const REPORTS: &str = "target/wire";

/// Says what was done, and fails if anything failed or was left out.
fn report(path: Path, requests: &[Request], runs: &[(Result<Tally>, Case)], begun: Instant) -> Result<()> {
    let mut failures = Vec::new();
    let (mut spoiled, mut struck, mut given_back, mut swept, mut mails) = (0, 0, 0, 0, 0);
    let mut reached: BTreeSet<(Form, Kind, &Request)> = BTreeSet::new();
    for (result, case) in runs {
        match result {
            Ok(tally) => {
                reached.extend(tally.struck.first().map(|request| (case.form, case.spoil.kind, request)));
                spoiled += 1;
                struck += tally.struck.len();
                given_back += usize::from(tally.given_back);
                swept += usize::from(tally.was_swept);
                mails += usize::from(tally.mail_lost);
            }
            Err(e) => failures.push(format!("{:?} {:?} of {:?}: {e:#}", case.form, case.spoil.kind, case.spoil.request)),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (all, each, ways_each) = (requests.len(), chosen(requests, 0).len(), ways().count());
    let said = format!(
        "{path:?}: {each} of {all} requests in each of {ways_each} ways: {spoiled} of {} runs as they should be; {struck} requests spoiled, \
         {given_back} events given back, {swept} runs mended only by a sweep, {mails} mails lost; {seconds:.0} s\n",
        runs.len(),
    );
    print!("{said}");
    std::fs::create_dir_all(root().join(REPORTS))?;
    std::fs::write(root().join(REPORTS).join(format!("{path:?}.txt")), said)?;
    if !failures.is_empty() {
        bail!("{} of {} runs failed:\n{}", failures.len(), runs.len(), failures.join("\n\n"));
    }
    ensure!(given_back > 0, "no fault ever came through to the domain");
    for (nth, (form, kind)) in ways().enumerate() {
        let of: BTreeSet<_> = reached.iter().filter(|(f, k, _)| (*f, *k) == (form, kind)).map(|(.., request)| *request).collect();
        let wanted: BTreeSet<_> = chosen(requests, nth).into_iter().collect();
        ensure!(of == wanted, "{form:?} {kind:?}: {} of {} requests were spoiled", of.len(), wanted.len());
    }
    Ok(())
}

/// The login node of every cluster of this user cannot be made.
fn fail_stacks_of(path: Path) -> Result<()> {
    let order = json!({"kind": "resource", "stack": format!("clusterdrop-{}-", path.user()), "resource": "LoginNode", "reason": "We currently do not have sufficient capacity"});
    ureq::post(format!("{}/_clusterdrop/faults", bare::emulator(path as usize)?)).send_json(order)?;
    Ok(())
}
