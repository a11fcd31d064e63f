//! Loses each effect of each start's first passes, before or after it is executed, delivers the event again, and compares the
//! final worlds: they are the same but for a mail, which may be lost and is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use cf_core::decide::state::{CreateAsk, DeleteAsk, PhaseKind, StackKind};
use cf_core::decide::{Action, Plan, Row, Situation, decide};
use cf_core::effect::Effect;
use cf_core::ledger::{Entry, Ledger};
use cf_core::observe::{Subject, look};
use cf_core::settings::{Function, Settings};
use cf_core::stack::{StackState, StackStatus};
use cf_sim::start::{self, Start};
use cf_sim::{Bucket, Cloud, Event, FaultTiming, build};
use futures_util::FutureExt;

/// The function that an event wakes, and what it is told.
fn subject(event: &Event) -> (Function, Subject) {
    let cluster = cf_core::testing::cluster(build::USER, build::CLUSTER);
    match event {
        Event::Upload(key) => {
            let key = build::upload_key(key);
            let function = key.verb.spec().function;
            (function, Subject { cluster, upload: Some(key), stack: None, reports: false })
        }
        Event::Stack(_) | Event::Report(_) | Event::Sweep => {
            (Function::Watch, Subject { cluster, upload: None, stack: None, reports: false })
        }
    }
}

fn first_plan(cloud: &Cloud, event: &Event) -> Plan {
    let (function, subject) = subject(event);
    let settings = Settings { function, ..cloud.world.settings.clone() };
    let snapshot = look(&cloud.world, &settings, &subject, cloud.world.now(), None).now_or_never().unwrap().unwrap();
    decide(&snapshot)
}

/// In parallel, for thousands of starts are many; what fails is told with its start.
fn for_each_start(starts: &[Start], check: impl Fn(Start) -> Vec<String> + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(start) = starts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(*start)));
                    let told = told.unwrap_or_else(|_| vec!["it panicked".to_owned()]);
                    wrong.lock().unwrap().extend(told.into_iter().map(|what| (*start, what)));
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    let told = wrong.iter().take(40).fold(String::new(), |mut text, (start, what)| {
        let _ = writeln!(text, "\n{start}\n  {what}");
        text
    });
    assert!(wrong.is_empty(), "{} failures, the first of them:\n{told}", wrong.len());
}

#[test]
fn every_start_exists_as_a_world_or_there_is_a_reason() {
    let (all, possible) = (start::all().count(), start::possible());
    assert_eq!((possible.len(), all - possible.len()), (11027, 12909), "starts that exist, starts that cannot");
    let situations: BTreeSet<Situation> = possible.iter().map(Start::situation).collect();
    let rows: BTreeSet<Row> = situations.iter().filter_map(|situation| situation.row()).collect();
    let meanings: BTreeSet<_> = rows.iter().map(|row| meaning(*row)).collect();
    assert_eq!(
        (rows.len(), meanings.len(), situations.len() - rows.len()),
        (4092, 1268, 6),
        "rows of the table, by meaning, and what triage answers"
    );
    for_each_start(possible, |wanted| {
        let (cloud, events) = build::world(&wanted, is_versioned(wanted));
        let got = first_plan(&cloud, &events[0]).situation;
        if got == wanted.situation() { vec![] } else { vec![format!("is found as {got}")] }
    });
}

/// A row by the meaning of its stack's status.
fn meaning(row: Row) -> (CreateAsk, DeleteAsk, PhaseKind, Option<StackState>, bool, bool) {
    let has_no_login = matches!(row.stack, StackKind::WithoutLogin(_));
    (row.create, row.delete, row.phase, row.stack.state(), row.stack == StackKind::Absent, has_no_login)
}

fn timeless(text: &str) -> String {
    static TIME: OnceLock<regex_lite::Regex> = OnceLock::new();
    let time = TIME.get_or_init(|| regex_lite::Regex::new(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)").unwrap());
    // A failure is told as soon as it is seen: during the rollback, or after it.
    time.replace_all(text, "<time>").replace("has been removed.", "is being removed; if that fails, this file says so.")
}

/// All that people can see, and what is owed, without times and revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rest {
    files: BTreeMap<String, String>,
    stacks: Vec<String>,
    ledger: String,
    mails: Vec<String>,
}

fn rest(cloud: &Cloud) -> Rest {
    let state = cloud.world.state();
    let text = |v: &[u8]| timeless(&String::from_utf8_lossy(v));
    let ledger = state.store.list(Bucket::System, cf_core::ledger::PREFIX).map(|(_, version)| {
        let mut ledger: Ledger = serde_json::from_slice(&version.bytes).unwrap();
        ledger.revision = 0;
        for entry in ledger.clusters.values_mut() {
            entry.mails.clear();
            // An upload that went, and whose last note was lost, counts as withdrawn: nothing is owed either way.
            entry.answered.clear();
            entry.stack = None;
            // Noted where it was told; nothing is known of what was told before.
            entry.login = None;
            // When a file was first seen hangs on how often it was looked at.
            entry.open.iter_mut().for_each(|open| open.seen = 0);
            (entry.last_create_seen, entry.last_delete_seen) = (None, None);
        }
        // A name that was only ever refused is remembered, or not.
        ledger.clusters.retain(|_, entry| *entry != Entry::default());
        timeless(&serde_json::to_string_pretty(&ledger).unwrap())
    });
    let mut mails: Vec<String> = state.mails.iter().map(|m| timeless(&format!("{}\n{}", m.subject(), m.body()))).collect();
    mails.sort();
    Rest {
        files: state.store.list(Bucket::User, "").map(|(key, v)| (key.clone(), text(&v.bytes))).collect(),
        stacks: state.stacks.all_living().map(|s| format!("{:?} {} {:?}", s.stack.id.name(), s.stack.status, s.stack.tags)).collect(),
        ledger: ledger.collect(),
        mails,
    }
}

/// What differs, in words.
fn differences(want: &Rest, got: &Rest, mails_counted: usize) -> Vec<String> {
    let mut told = Vec::new();
    if want.files != got.files {
        told.push(format!("files {:#?}\n  instead of {:#?}", got.files, want.files));
    }
    if want.stacks != got.stacks {
        told.push(format!("stacks {:?} instead of {:?}", got.stacks, want.stacks));
    }
    if want.ledger != got.ledger {
        told.push(format!("ledger {}\n  instead of {}", got.ledger, want.ledger));
    }
    let mut missing = want.mails.clone();
    for mail in &got.mails {
        match missing.iter().position(|m| m == mail) {
            Some(at) => drop(missing.remove(at)),
            None => told.push(format!("a mail too many: {mail}")),
        }
    }
    if missing.len() > mails_counted {
        told.push(format!("{mails_counted} mails counted, and missing are {missing:?}"));
    }
    told
}

fn mails_counted(cloud: &Cloud) -> usize {
    cloud.outcomes.iter().map(|o| o.mails_lost.len() + o.counts.mails_in_doubt).sum()
}

/// How the event of a spoiled pass comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A minute later, as Lambda does it.
    Soon,
    /// That, and both events once more.
    Doubled,
    /// After a sweep.
    Late,
    /// The other events first, once more, and the stack's.
    OutOfOrder,
    /// Soon, and the first look does not see the stack: DescribeStacks lags behind CreateStack.
    Blind,
}

const AGAIN: [Again; 4] = [Again::Soon, Again::Doubled, Again::Late, Again::OutOfOrder];

fn deliver_again(cloud: &mut Cloud, events: &[Event], again: Again) {
    let stack = cloud.world.state().stacks.all().last().map(|s| Event::Stack(s.stack.id.clone()));
    for event in events {
        if matches!(again, Again::Soon | Again::Doubled | Again::Blind) {
            cloud.queue.push_back(event.clone());
            cloud.drain();
            continue;
        }
        if let Err(fault) = cloud.deliver(event) {
            cloud.faults.push(fault);
            cloud.world.wait(60);
            let others = events.iter().filter(|e| *e != event).cloned().chain(stack.clone());
            let first: Vec<Event> = if again == Again::Late { vec![Event::Sweep] } else { others.collect() };
            cloud.queue.extend(first);
            cloud.queue.push_back(event.clone());
            cloud.drain();
        }
    }
    if again == Again::Doubled {
        cloud.queue.extend(events.iter().chain(events).cloned());
        cloud.drain();
    }
}

/// An effect of the first plan of a start: which, and what it does.
type Triple = (Start, usize, &'static str, FaultTiming);

fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::WriteLedger { .. } => "write the ledger",
        Effect::CreateStack(_) => "create the stack",
        Effect::DeleteStack { .. } => "delete the stack",
        Effect::WriteStatus { .. } => "write the state",
        Effect::WriteAnswer { .. } => "write an answer",
        Effect::RemoveAnswer { .. } => "remove an answer",
        Effect::RemoveUpload { .. } => "remove an upload",
        Effect::SendMail(_) => "send a mail",
        Effect::WriteLedgerCache(_) => "write the cache",
        Effect::WriteFirstHour { .. } | Effect::WriteProbe => "the first hour",
    }
}

/// Every other status has the user bucket of the other kind.
fn is_versioned(start: Start) -> bool {
    StackKind::all().position(|kind| kind == start.stack).is_some_and(|at| at % 2 == 0)
}

/// Whether an action only answers one upload, and what comes after it is the start without that upload, which is swept itself.
const fn only_answers(action: Action) -> bool {
    matches!(
        action,
        Action::RemoveSettled
            | Action::RefuseInvalid
            | Action::RefuseTooMany
            | Action::AnswerSupersededCreate
            | Action::AnswerSupersededDelete
            | Action::RefuseDiffering
    )
}

/// Starts whose stacks have statuses of equal meaning take the same actions: one of them is enough.
fn is_first_of_its_meaning(start: Start) -> bool {
    match start.stack {
        StackKind::Ours(status) | StackKind::WithoutLogin(status) => {
            StackStatus::ALL.iter().find(|s| s.state() == status.state()) == Some(&status)
        }
        StackKind::Absent | StackKind::Foreign => true,
    }
}

/// The ways in which the event comes again: all of them (`Doubled` begins as `Soon` does), or in turn where the first plan only
/// answers one upload.
fn variants(start: Start, action: Action, nth: usize, when: FaultTiming) -> Vec<Again> {
    if only_answers(action) {
        return vec![AGAIN[(nth * 2 + usize::from(when == FaultTiming::After)) % AGAIN.len()]];
    }
    // Only what was never seen can be missed.
    let may_be_missed = matches!((start.phase, start.stack), (PhaseKind::Unwanted, StackKind::Ours(_)));
    AGAIN.into_iter().filter(|again| *again != Again::Soon).chain(may_be_missed.then_some(Again::Blind)).collect()
}

fn check_start(start: Start, reached: &Mutex<BTreeSet<Triple>>, wanted: &Mutex<BTreeSet<Triple>>) -> Vec<String> {
    let (built, events) = build::world(&start, is_versioned(start));
    let plan = first_plan(&built, &events[0]);
    let triples = |effects: &[Effect], when| effects.iter().enumerate().map(|(at, e)| (start, at, name(e), when)).collect::<Vec<_>>();
    for when in [FaultTiming::Before, FaultTiming::After] {
        wanted.lock().unwrap().extend(triples(&plan.effects, when));
    }
    let mut cloud = built.clone();
    cloud.queue.extend(events.iter().cloned());
    cloud.drain();
    let effects = cloud.world.state().effects.clone();
    cloud.settle();
    let want = rest(&cloud);
    let mut told: Vec<String> = cloud.findings_at_rest().iter().map(ToString::to_string).collect();
    let swept = if only_answers(plan.action) { plan.effects.len() } else { effects.len() };
    for nth in 0..swept {
        for when in [FaultTiming::Before, FaultTiming::After] {
            for again in variants(start, plan.action, nth, when) {
                let mut cloud = built.clone();
                cloud.world.state().hidden_lookups = usize::from(again == Again::Blind);
                cloud.world.inject_fault(nth, when);
                deliver_again(&mut cloud, &events, again);
                let spoiled = cloud.world.state().faulted_effects.clone();
                if nth < plan.effects.len() {
                    reached.lock().unwrap().extend(spoiled.iter().map(|effect| (start, nth, name(effect), when)));
                }
                cloud.settle();
                let mut wrong: Vec<String> = cloud.findings_at_rest().iter().map(ToString::to_string).collect();
                wrong.extend(differences(&want, &rest(&cloud), mails_counted(&cloud)));
                let history =
                    || cloud.outcomes.iter().flat_map(|o| o.plans.iter().map(ToString::to_string)).collect::<Vec<_>>().join("\n  ");
                told.extend(wrong.into_iter().map(|what| {
                    format!(
                        "{nth} {:?} spoiled {when:?}, again {again:?}: {what}\n  {}",
                        spoiled.first().map(ToString::to_string),
                        history()
                    )
                }));
            }
        }
    }
    told
}

#[test]
fn whatever_effect_is_lost_the_world_ends_the_same() {
    let (reached, wanted) = (Mutex::default(), Mutex::default());
    let starts: Vec<Start> = start::possible().iter().copied().filter(|start| is_first_of_its_meaning(*start)).collect();
    for_each_start(&starts, |start| check_start(start, &reached, &wanted));
    let (reached, wanted) = (reached.into_inner().unwrap(), wanted.into_inner().unwrap());
    let unreached: Vec<_> = wanted.difference(&reached).collect();
    assert!(
        unreached.is_empty(),
        "{} of {} were never spoiled: {:?}",
        unreached.len(),
        wanted.len(),
        &unreached[..unreached.len().min(10)]
    );
    println!("{} starts, {} effects before and after", starts.len(), wanted.len());
}
