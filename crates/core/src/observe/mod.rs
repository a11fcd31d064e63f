//! Looking: the one way in which a cluster is looked at, and the few in which all of them are.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use futures_util::{join, try_join};
use jiff::Timestamp;

use crate::causes::{Causes, Gatherer, StackEvent};
use crate::decide::state::{PhaseKind, phase};
use crate::decide::triage::is_to_be_validated;
use crate::fault::{Fault, Kind};
use crate::key::{Folder, StatusKey, UploadKey, Verb};
use crate::ledger::{Entry, Ledger, Open, Phase};
use crate::ledger_cache::LedgerCache;
use crate::names::{Cluster, StackName, User};
use crate::node_reports::ObservedReports;
use crate::profile::Profile;
use crate::request::{ETag, RequestId};
use crate::settings::Settings;
use crate::snapshot::{ObservedStack, Refusal, Snapshot};
use crate::stack::{ResourceStatus, Stack, StackId, StackState};
use crate::status::Progress;

/// Lists longer than this are not read to their end, those of nested stacks taken together: 100 pages of 100 events are far
/// more than any stack of ours has.
const PAGES_MAX: usize = 100;

mod folder;
pub mod query;
mod reports;

use folder::{ClusterFiles, folder};
use query::{
    FindObject, FindRecord, ListEvents, ListHomes, ListLedgers, ListResources, ListStacks, ReadFirstHour, ReadLedger, ReadLedgerCache,
    ReadProfile, ReadStatus, StackById, StackByName,
};
pub use query::{Listed, Object, Observe, Page, Query, RunQuery};
use reports::{life, shows_reports};

/// What a pass is about: which cluster, and what its event already showed.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Which cluster.
    pub cluster: Cluster,
    /// The upload that the event named.
    pub upload: Option<UploadKey>,
    /// The stack that the event named, as it was seen a moment ago: the first look does not ask for it again.
    pub stack: Option<Box<Stack>>,
    /// Whether the event is a node's report.
    pub reports: bool,
}

/// Takes a snapshot of one cluster. Reads that do not need each other go together.
pub async fn look<'a, W: Observe>(
    world: &W,
    settings: &'a Settings,
    subject: &Subject,
    now: Timestamp,
    refusal: Option<Refusal>,
) -> Result<Snapshot<'a>, Fault> {
    let cluster = &subject.cluster;
    let named = settings.stack_name(cluster);
    let (ledger, by_name, seen_gate, mut near) = try_join!(
        ledger(world, &cluster.user),
        stack_named(world, &named, subject.stack.as_deref()),
        async {
            if subject.upload.as_ref().is_some_and(|key| key.verb.spec().reads_body) {
                gate(world, settings, &cluster.user).await.map(Some)
            } else {
                Ok(None)
            }
        },
        async {
            match &subject.upload {
                Some(key) => folder(world, &key.folder, cluster, Some(key)).await,
                None => Ok(ClusterFiles::default()),
            }
        },
    )?;
    let (ledger, ledger_etag) = ledger.map_or((Ledger::default(), None), |(ledger, etag)| (ledger, Some(etag)));
    let entry = ledger.entry(&cluster.name);
    let mut others: BTreeSet<Folder> = folders(&entry).collect();
    if let Some(listed) = subject.upload.as_ref().map(|key| &key.folder) {
        // Where the ledger, read meanwhile, is newer than the listing, an upload that it knows may be missing there.
        let is_missing = |open: &Open| open.key.folder == *listed && near.uploads.iter().all(|u| u.request != open.request);
        if entry.open.iter().any(is_missing) {
            near = ClusterFiles::default();
        } else {
            others.remove(listed);
        }
    }
    let (elsewhere, stack, shown) = try_join!(
        try_join_all(others.iter().map(|f| folder(world, f, cluster, None))),
        known_stack(world, &entry, by_name, subject.stack.as_deref()),
        async {
            match &entry.accepted {
                Some(accepted) => status(world, accepted.key.status()).await,
                None => Ok(None),
            }
        },
    )?;
    for more in elsewhere {
        near.merge(more);
    }
    // Conditional writes use the ETag of the GET, not of the listing.
    let shown = shown.zip(entry.accepted.as_ref()).and_then(|(seen, accepted)| near.note_status_version(accepted.key.status(), seen));
    let stack = match stack {
        None => ObservedStack::Absent,
        Some(stack) if stack.cluster(&settings.deployment).as_ref() == Some(cluster) => ObservedStack::Ours(stack),
        Some(_) => ObservedStack::Foreign,
    };
    // Creates found by another event or the sweep are validated too, unless already accepted.
    let (profile, is_foundation_old) = match seen_gate {
        Some(gate) => gate,
        None if near.uploads.iter().any(|u| is_to_be_validated(&entry, u)) => gate(world, settings, &cluster.user).await?,
        None => (Profile::default(), false),
    };
    // What was answered and left over while it could not be read is answered, though its version is known by now.
    for upload in near.uploads.iter_mut().filter(|_| !entry.left_over.is_empty()) {
        let unread = RequestId::of(&upload.key.to_string(), None, &upload.etag, upload.modified);
        if entry.left_over.contains(&unread) {
            upload.request = unread;
        }
    }
    let mut snapshot = Snapshot {
        now,
        settings,
        cluster: cluster.clone(),
        ledger,
        ledger_etag,
        uploads: near.uploads,
        answers: near.answers,
        statuses: near.statuses,
        status_file: shown,
        stack,
        profile,
        is_foundation_old,
        causes: Causes::default(),
        progress: None,
        reports: ObservedReports::default(),
        refusal,
    };
    read_details(world, &mut snapshot, subject.reports).await?;
    Ok(snapshot)
}

/// What is read of a stack beside its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StackDetails {
    Nothing,
    /// Why it failed and what is left of it.
    Causes,
    /// How many of its resources are there.
    Progress,
}

/// What some actions report, by phase and stack, whether a create is there, and whether a delete was refused: nothing is decided
/// before all is read.
const fn details_to_read(phase: PhaseKind, state: StackState, has_create: bool, is_delete_refused: bool) -> StackDetails {
    use {PhaseKind as P, StackState as S};
    match (phase, state) {
        (P::Creating, S::Creating) => StackDetails::Progress,
        // Somebody may have removed it before it was seen to fail.
        (P::Creating, S::RollingBack | S::Failed | S::DeleteFailed | S::Deleted) => StackDetails::Causes,
        (P::Ready | P::Moved, S::RollingBack | S::Failed | S::DeleteFailed) => StackDetails::Causes,
        // The last pass may not have reported the failure to everybody.
        (P::Failing, _) if has_create => StackDetails::Causes,
        (P::New | P::Blocked | P::Deleting | P::Failing | P::Gone, S::DeleteFailed) | (P::Stuck, S::DeleteFailed | S::Failed) => {
            StackDetails::Causes
        }
        // `.cf-failed` is written over: what it says is left is said again.
        (_, S::DeleteFailed | S::Failed) if is_delete_refused => StackDetails::Causes,
        _ => StackDetails::Nothing,
    }
}

/// Completes a look. None of it waits for a list that cannot be read.
async fn read_details<W: Observe>(world: &W, snapshot: &mut Snapshot<'_>, is_of_reports: bool) -> Result<(), Fault> {
    let Some(stack) = snapshot.stack() else { return Ok(()) };
    let (id, state) = (stack.id.clone(), stack.status.state());
    let is_delete_refused = matches!(snapshot.refusal, Some(Refusal::Delete(_)));
    let entry = snapshot.entry();
    let has_create = snapshot.uploads.iter().any(|u| u.key.verb == Verb::Create) || entry.joined(Verb::Create).next().is_some();
    let kind = phase(snapshot, &entry);
    let is_asked = is_of_reports || has_create || entry.reports_owed;
    let is_shown = shows_reports(kind, state, is_asked, snapshot.settings.function);
    let life = life(snapshot, &entry).filter(|_| is_shown);
    let total = snapshot.settings.template.resources_with(&stack.parameters);
    let (details, reports) = join!(
        async {
            match details_to_read(kind, state, has_create, is_delete_refused) {
                StackDetails::Nothing => Ok((Causes::default(), None)),
                StackDetails::Causes => causes(world, &id, state).await.map(|causes| (causes, None)),
                StackDetails::Progress => Ok(match progress(world, &id, total).await {
                    Ok(progress) => (Causes::default(), Some(progress)),
                    Err(fault) => (Causes { unread: vec![fault], ..Causes::default() }, None),
                }),
            }
        },
        async {
            let Some(life) = &life else { return ObservedReports::NotRead };
            reports::reports(world, life).await.map_or_else(ObservedReports::Unread, ObservedReports::Read)
        },
    );
    (snapshot.causes, snapshot.progress) = details?;
    snapshot.reports = reports;
    Ok(())
}

/// The folders that a cluster's files lie in, as far as the ledger knows.
fn folders(entry: &Entry) -> impl Iterator<Item = Folder> {
    let accepted = entry.accepted.as_ref().map(|a| a.key.folder.clone());
    let announced = entry.announced.iter().map(|key| key.folder.clone());
    let remains_reported = entry.remains_reported.iter().map(|key| key.folder.clone());
    entry.open.iter().map(|o| o.key.folder.clone()).chain(announced).chain(remains_reported).chain(accepted)
}

/// The stack that the ledger knows by id, dead or alive; else the living one of the cluster's name.
async fn known_stack<W: Observe>(
    world: &W,
    entry: &Entry,
    by_name: Option<Box<Stack>>,
    seen: Option<&Stack>,
) -> Result<Option<Box<Stack>>, Fault> {
    let is_over = matches!(entry.phase, Phase::New | Phase::Gone { .. });
    match &entry.stack {
        Some(id) if !is_over && seen.is_some_and(|s| s.id == *id) => Ok(seen.cloned().map(Box::new)),
        Some(id) if !is_over && by_name.as_ref().map(|s| &s.id) != Some(id) => world.run_query(StackById(id.clone())).await,
        _ => Ok(by_name),
    }
}

/// A user's ledger and its version.
pub async fn ledger<W: Observe>(world: &W, user: &User) -> Result<Option<(Ledger, ETag)>, Fault> {
    world.run_query(ReadLedger(user.clone())).await
}

/// A stack by id.
pub async fn stack<W: Observe>(world: &W, id: &StackId) -> Result<Option<Box<Stack>>, Fault> {
    world.run_query(StackById(id.clone())).await
}

/// An object in the user bucket, as a listing shows it.
pub async fn listed<W: Observe>(world: &W, key: &str) -> Result<Option<Listed>, Fault> {
    world.run_query(FindObject(key.to_owned())).await
}

/// The living stack of a name: the one that was just seen, if it is that.
async fn stack_named<W: Observe>(world: &W, name: &StackName, seen: Option<&Stack>) -> Result<Option<Box<Stack>>, Fault> {
    let is_it = |s: &&Stack| s.id.name() == Some(name.as_str()) && s.status.state() != StackState::Deleted;
    if let Some(stack) = seen.filter(is_it) {
        return Ok(Some(Box::new(stack.clone())));
    }
    world.run_query(StackByName(name.clone())).await
}

/// What a create has to meet beside its own file: the user's profile, and whether the foundation is too old. Of a foundation that the
/// deployment made itself, nothing is asked.
async fn gate<W: Observe>(world: &W, settings: &Settings, user: &User) -> Result<(Profile, bool), Fault> {
    try_join!(world.run_query(ReadProfile(user.clone())), async {
        match &settings.foundation_record {
            Some(key) => world.run_query(FindRecord(key.clone())).await.map(|is_there| !is_there),
            None => Ok(false),
        }
    })
}

/// A status file: its content and version. The outer `None`: S3 does not give it out, and then it is written over unread.
async fn status<W: Observe>(world: &W, key: StatusKey) -> Result<Option<Option<(Vec<u8>, ETag)>>, Fault> {
    match world.run_query(ReadStatus(key)).await {
        Ok(seen) => Ok(Some(seen)),
        Err(fault) if fault.kind == Kind::Rejected => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Why a stack failed and what is left of it, through all pages and into nested stacks.
///
/// A list that cannot be read blocks no final answer: the other lists and the stack's own reason are used. A fault that may pass is
/// returned only while the stack still changes, because its end brings another event; a stack at rest sends none.
pub async fn causes<W: Observe>(world: &W, root: &StackId, state: StackState) -> Result<Causes, Fault> {
    let is_at_rest = matches!(state, StackState::Failed | StackState::DeleteFailed | StackState::Deleted);
    let (mut gatherer, mut unread) = (Gatherer::default(), Vec::new());
    let (mut stacks, mut seen, mut pages) = (vec![root.clone()], BTreeSet::new(), 0);
    while let Some(stack) = stacks.pop() {
        if !seen.insert(stack.clone()) {
            continue;
        }
        let mut page = None;
        while pages < PAGES_MAX {
            pages += 1;
            let read: Result<Page<StackEvent>, Fault> = world.run_query(ListEvents { stack: stack.clone(), page }).await;
            match read {
                Ok(events) => {
                    stacks.extend(events.items.into_iter().filter_map(|event| gatherer.take(event, &stack, root)));
                    page = events.next;
                }
                Err(fault) if is_at_rest || fault.kind == Kind::Rejected => {
                    unread.push(fault);
                    break;
                }
                Err(fault) => return Err(fault),
            }
            if page.is_none() {
                break;
            }
        }
    }
    Ok(Causes { found: gatherer.causes(), unread })
}

/// Resources finished, of the template's number of them.
async fn progress<W: Observe>(world: &W, id: &StackId, total: usize) -> Result<Progress, Fault> {
    let (mut done, mut all, mut page) = (0, 0, None);
    for _ in 0..PAGES_MAX {
        let seen = world.run_query(ListResources { stack: id.clone(), page }).await?;
        all += seen.items.len();
        done += seen.items.iter().filter(|status| **status == ResourceStatus::CreateComplete).count();
        page = seen.next;
        if page.is_none() {
            break;
        }
    }
    Ok(Progress { done, total: total.max(all) })
}

/// Every ledger there is, and its version.
pub async fn ledgers<W: Observe>(world: &W) -> Result<Vec<(User, ETag)>, Fault> {
    let (mut all, mut page) = (Vec::new(), None);
    loop {
        let seen = world.run_query(ListLedgers(page)).await?;
        all.extend(seen.items.into_iter().filter_map(|(key, etag)| Some((crate::ledger::user_of(&key)?, etag))));
        page = seen.next;
        if page.is_none() {
            return Ok(all);
        }
    }
}

/// A stack of this deployment that lives, as far as a sweep needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivingStack {
    /// Whose it is.
    pub cluster: Cluster,
    /// How it stands.
    pub state: StackState,
    /// The login address among its outputs; empty where there is none.
    pub login: String,
}

/// Every stack that bears this deployment's tags and lives.
pub async fn living<W: Observe>(world: &W, settings: &Settings) -> Result<Vec<LivingStack>, Fault> {
    let (mut all, mut page) = (Vec::new(), None);
    let login =
        |stack: &Stack| stack.outputs.get(&settings.template.metadata.login_output).map(|l| l.trim().to_owned()).unwrap_or_default();
    loop {
        let seen = world.run_query(ListStacks(page)).await?;
        let ours = seen
            .items
            .iter()
            .filter_map(|s| Some(LivingStack { cluster: s.cluster(&settings.deployment)?, state: s.status.state(), login: login(s) }));
        all.extend(ours.filter(|l| l.state != StackState::Deleted));
        page = seen.next;
        if page.is_none() {
            return Ok(all);
        }
    }
}

/// What the last sweep has left, if it is of any use.
pub async fn seen<W: Observe>(world: &W) -> Result<Option<LedgerCache>, Fault> {
    let text = world.run_query(ReadLedgerCache).await?;
    Ok(text.and_then(|text| LedgerCache::read(&text)))
}

/// The record of the first hour, as it lies there.
pub async fn first_hour<W: Observe>(world: &W) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
    world.run_query(ReadFirstHour).await
}

/// One page of the users' homes.
pub async fn homes<W: Observe>(world: &W, after: String) -> Result<Page<(String, Timestamp)>, Fault> {
    world.run_query(ListHomes(after)).await
}
