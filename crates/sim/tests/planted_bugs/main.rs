//! Bugs planted between the functions and their world, each of a kind that a program like ours has had. The simulator must
//! catch every one of them, and must find nothing in the same run without it.

mod reports;

use std::any::Any;
use std::collections::BTreeMap;

use cf_core::causes::StackEvent;
use cf_core::effect::{Effect, Expect};
use cf_core::fault::{Fault, Kind};
use cf_core::key::{Answer, AnswerKey, Reading, RequestFileKey, Verb, read};
use cf_core::ledger::{self, Ledger, OPEN_MAX, Open, Phase};
use cf_core::message::{Advice, Message};
use cf_core::observe::query::{ListEvents, ReadUpload};
use cf_core::observe::{Listed, Object, Page};
use cf_core::request::{ETag, RequestId};
use cf_core::stack::{Stack, StackState, TAG_REQUEST, tags};
use cf_core::testing;
use cf_sim::simulate::script::{CLUSTERS, USERS};
use cf_sim::simulate::{Bug, FaultKind, RunSettings, run, shrink, tally};
use cf_sim::{Bucket, Finding, FindingKind, State};
use jiff::Timestamp;
use reports::{
    AJobTooMany, ANOTHERS_REPORT, AddressOfTheNode, LoginNodeLeftOut, ReadyByReport, ReportsForgotten, SlurmForgotten, UnboundedReports,
};

/// So many runs are tried; a bug that none of them notices is not caught.
const RUNS: u64 = 3_000;

/// Runs that begin with an empty deployment: there everything that is said is judged.
fn seeds() -> impl Iterator<Item = u64> {
    (0..RUNS).map(|n| 2 * n + 1)
}

/// The first seed that notices a bug, and what it says. Bugs that need a rare fault get it more often.
fn catch(bug: &dyn Bug, rates: &[(FaultKind, u64)]) -> (u64, Finding) {
    let sound = |seed| RunSettings { rates: rates.to_vec(), ..tally::setting(seed) };
    let noticed = |seed| run(&RunSettings { bug: Some(bug), ..sound(seed) }).findings.into_iter().next().map(|what| (seed, what));
    let (seed, what) = seeds().find_map(noticed).expect("a planted bug was not noticed");
    assert_eq!(run(&sound(seed)).findings, [], "seed {seed} without the bug");
    (seed, what)
}

/// Each of these faulty programs is caught, and what is found is its kind of harm.
macro_rules! caught {
    ($($test:ident: $bug:ident $(with $kind:ident $rate:literal)* finds $pattern:pat,)*) => {$(
        #[test]
        fn $test() {
            let (seed, found) = catch(&$bug, &[$((FaultKind::$kind, $rate)),*]);
            println!("seed {seed}: {found}");
            assert!(matches!(found.kind, $pattern), "{found}");
        }
    )*};
}

caught! {
    a_token_made_of_the_name_alone_is_caught: TokenOfTheName finds FindingKind::UntrueAnswer(_) | FindingKind::NeverAnswered | FindingKind::LastRequestNotCarriedOut | FindingKind::LedgerUntrue | FindingKind::StillOwes,
    a_delete_that_asks_for_no_tags_is_caught: NoTagCheck finds FindingKind::AnothersTouched | FindingKind::ForeignDeleted | FindingKind::UntrueAnswer(_) | FindingKind::LedgerUntrue,
    an_upload_removed_before_its_answer_is_caught: UploadFirst finds FindingKind::UploadFirst,
    a_failed_stack_deleted_before_its_upload_is_removed_is_caught: StackFirst finds FindingKind::FailedStackFirst,
    a_ledger_written_after_the_effect_is_caught: LedgerLast finds FindingKind::NotAccepted | FindingKind::StillOwes,
    an_own_earlier_attempt_that_is_not_recognised_is_caught: OwnAttemptForgotten finds FindingKind::UntrueAnswer(_) | FindingKind::FailedStackFirst,
    a_missing_sweep_is_caught: NoSweep finds FindingKind::NeverAnswered | FindingKind::StillOwes | FindingKind::LedgerUntrue,
    a_mail_that_is_not_claimed_is_caught: MailNotClaimed finds FindingKind::MailNotClaimed,
    a_delete_answered_while_a_create_is_in_flight_is_caught: FlightForgotten with CallTimedOut 3000 with StackNotVisible 5000 finds FindingKind::UntrueAnswer("deleted") | FindingKind::LastRequestNotCarriedOut,
    a_request_id_made_of_the_event_is_caught: RequestOfTheEvent finds FindingKind::Restless | FindingKind::NeverAnswered | FindingKind::StillOwes | FindingKind::UntrueAnswer(_),
    an_upload_removed_whatever_version_it_has_is_caught: AnyVersion finds FindingKind::UploadFirst | FindingKind::LastRequestNotCarriedOut,
    a_ledger_written_whatever_stands_there_is_caught: LedgerForced finds FindingKind::MailNotClaimed | FindingKind::UntrueAnswer(_) | FindingKind::NeverAnswered | FindingKind::StillOwes | FindingKind::LedgerUntrue | FindingKind::LastRequestNotCarriedOut,
    one_file_that_is_not_given_out_and_stops_its_neighbours_is_caught: NeighboursStopped with GetObjectRefused 2000 finds FindingKind::Restless | FindingKind::NeverAnswered | FindingKind::StillOwes | FindingKind::LedgerUntrue | FindingKind::LastRequestNotCarriedOut,
    a_listing_that_is_not_read_to_its_end_is_caught: OnePageOnly with ListingTruncated 5000 finds FindingKind::UntrueAnswer(_) | FindingKind::NeverAnswered | FindingKind::StillOwes | FindingKind::UntrueAddress | FindingKind::LedgerUntrue,
    a_file_put_again_and_again_that_counts_as_many_is_caught: EachVersionWaits finds FindingKind::UntrueAnswer("refused" | "not-removed"),
    an_order_that_nobody_knows_is_caught: OrderMadeUp finds FindingKind::UntrueAnswer("withdrawn"),
    a_receipt_that_takes_a_ties_answer_away_is_caught: TieForgotten finds FindingKind::TieUnanswered,
    an_answer_that_waits_for_a_list_that_cannot_be_read_is_caught: ListAwaited with StackFails 6000 with ListUnreadable 6000 finds FindingKind::Restless | FindingKind::NeverAnswered | FindingKind::StillOwes | FindingKind::LedgerUntrue,
    a_cause_dropped_for_the_word_cancelled_is_caught: CancelledDropped with StackFails 6000 finds FindingKind::UntrueAnswer("failed"),
    a_report_of_another_life_that_is_shown_is_caught: ANOTHERS_REPORT finds FindingKind::UntrueReport | FindingKind::UntrueAnswer("failed"),
    a_nodes_own_word_for_its_address_is_caught: AddressOfTheNode finds FindingKind::UntrueReport,
    reports_of_more_nodes_than_there_may_be_are_caught: UnboundedReports finds FindingKind::ReportsUnbounded | FindingKind::UntrueReport,
    a_report_that_makes_a_cluster_ready_is_caught: ReadyByReport finds FindingKind::UntrueReport,
    a_login_node_that_is_left_out_is_caught: LoginNodeLeftOut finds FindingKind::ReportNotShown,
    a_job_that_no_login_node_has_reported_is_caught: AJobTooMany finds FindingKind::UntrueReport,
    jobs_and_nodes_that_stay_as_they_were_first_shown_are_caught: SlurmForgotten finds FindingKind::ReportNotShown,
    reports_that_are_owed_and_forgotten_are_caught: ReportsForgotten with EventLost 4000 finds FindingKind::ReportNotShown,
    advice_by_a_single_word_is_caught: AdviceByAWord with StackFails 6000 finds FindingKind::UntrueAnswer("failed"),
}

struct TokenOfTheName;
impl Bug for TokenOfTheName {
    fn does(&self, effect: &Effect, _: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::CreateStack(new) = &mut effect {
            new.token = format!("create-{}", new.name.as_str());
        }
        vec![effect]
    }
}

/// Takes every stack of a cluster's name for the cluster's.
struct NoTagCheck;
impl Bug for NoTagCheck {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let Some(Some(stack)) = answer.downcast_mut::<Option<Box<Stack>>>()
            && stack.tags.is_empty()
        {
            let settings = testing::settings();
            let all = USERS.iter().flat_map(|user| CLUSTERS.iter().map(|name| testing::cluster(user, name)));
            if let Some(cluster) = all.into_iter().find(|c| stack.id.name() == Some(settings.stack_name(c).as_str())) {
                stack.tags = tags(&cluster, &RequestId::from_tag("00000000000000ff"), &settings.deployment);
            }
        }
    }
}

struct UploadFirst;
impl Bug for UploadFirst {
    fn does(&self, effect: &Effect, world: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let Effect::WriteAnswer { key, .. } = effect else { return vec![effect.clone()] };
        let stem = Answer::ALL.iter().find_map(|a| key.strip_suffix(a.suffix())).unwrap_or_default();
        let beside = Verb::ALL.iter().filter_map(|verb| {
            let key = RequestFileKey::read(&format!("{stem}{}", verb.suffix()))?;
            let etag = world.store.get(Bucket::User, &key)?.etag();
            Some(Effect::RemoveUpload { key, etag })
        });
        beside.chain([effect.clone()]).collect()
    }
}

struct StackFirst;
impl Bug for StackFirst {
    fn does(&self, effect: &Effect, world: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let Effect::RemoveUpload { key, .. } = effect else { return vec![effect.clone()] };
        let is_failed = |status: StackState| matches!(status, StackState::Failed);
        let is_users = |user: Option<&String>| user.is_some_and(|user| key.starts_with(&format!("home/{user}/")));
        let failed = world.stacks.all_living().find(|s| is_failed(s.stack.status.state()) && is_users(s.stack.tags.get("USER")));
        failed.map(|s| Effect::DeleteStack { id: s.stack.id.clone() }).into_iter().chain([effect.clone()]).collect()
    }
}

/// Writes the ledger once the first thing is done that it should have announced.
struct LedgerLast;
impl Bug for LedgerLast {
    fn does(&self, effect: &Effect, _: &State, held: &mut Vec<Effect>) -> Vec<Effect> {
        if let (Effect::WriteLedger { .. }, true) = (effect, held.is_empty()) {
            held.push(effect.clone());
            return Vec::new();
        }
        [effect.clone()].into_iter().chain(held.drain(..)).collect()
    }
}

struct OwnAttemptForgotten;
impl Bug for OwnAttemptForgotten {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let Some(Some(stack)) = answer.downcast_mut::<Option<Box<Stack>>>()
            && let Some(request) = stack.tags.get_mut(TAG_REQUEST)
        {
            "0000000000000000".clone_into(request);
        }
    }
}

struct NoSweep;
impl Bug for NoSweep {
    fn sweeps(&self) -> bool {
        false
    }
}

struct MailNotClaimed;
impl Bug for MailNotClaimed {
    fn does(&self, effect: &Effect, _: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteLedger { ledger, .. } = &mut effect {
            ledger.clusters.values_mut().for_each(|entry| entry.mails.clear());
        }
        vec![effect]
    }
}

/// Takes a create that nobody sees for one that never was, at once.
struct FlightForgotten;
impl Bug for FlightForgotten {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let Some(Some((ledger, _))) = answer.downcast_mut::<Option<(Ledger, ETag)>>() {
            for entry in ledger.clusters.values_mut() {
                if let Phase::Unwanted { since } = &mut entry.phase {
                    *since = Timestamp::UNIX_EPOCH;
                }
            }
        }
    }
}

struct RequestOfTheEvent;
impl Bug for RequestOfTheEvent {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, now: Timestamp) {
        if let Some(Some(object)) = answer.downcast_mut::<Option<Object>>() {
            object.version = Some(now.to_string());
        }
    }
}

struct AnyVersion;
impl Bug for AnyVersion {
    fn does(&self, effect: &Effect, world: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::RemoveUpload { key, etag } = &mut effect
            && let Some(version) = world.store.get(Bucket::User, key)
        {
            *etag = version.etag();
        }
        vec![effect]
    }
}

struct LedgerForced;
impl Bug for LedgerForced {
    fn does(&self, effect: &Effect, world: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteLedger { user, expect, .. } = &mut effect {
            *expect = Expect::seen(world.store.get(Bucket::System, &ledger::key(user)).map(|v| &v.etag));
        }
        vec![effect]
    }
}

/// Gives the event back where S3 does not give out one of the files that a look meets.
struct NeighboursStopped;
impl Bug for NeighboursStopped {
    fn gives_back(&self, query: &dyn Any, fault: &Fault) -> bool {
        query.is::<ReadUpload>() && fault.kind == Kind::Rejected
    }
}

struct OnePageOnly;
impl Bug for OnePageOnly {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let Some(page) = answer.downcast_mut::<Page<Listed>>() {
            page.next = None;
        }
    }
}

/// Counts the versions of one key as files that wait.
struct EachVersionWaits;
impl Bug for EachVersionWaits {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let Some(Some((ledger, _))) = answer.downcast_mut::<Option<(Ledger, ETag)>>() {
            for entry in ledger.clusters.values_mut().filter(|entry| entry.open.len() > 1) {
                for nth in 0..OPEN_MAX {
                    let Reading::Request(key) = read(&format!("home/alice/version {nth}/demo.cf-create")) else { continue };
                    entry.open.push(Open { key, request: RequestId::from_tag(&format!("{nth:016}")), joined: true, seen: 0 });
                }
            }
        }
    }
}

/// Tells which of two files of one second was the later one.
struct OrderMadeUp;
impl Bug for OrderMadeUp {
    fn does(&self, effect: &Effect, _: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteAnswer { message: Message::Withdrawn { tied, .. }, .. } = &mut effect {
            *tied = None;
        }
        vec![effect]
    }
}

/// Answers a create that is of one second with a delete by the receipt of the removal alone.
struct TieForgotten;
impl Bug for TieForgotten {
    fn does(&self, effect: &Effect, world: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        match effect {
            Effect::WriteAnswer { key, message: Message::Withdrawn { cluster, tied: Some(at) }, .. } => {
                let key = AnswerKey::read(&key.replace(Answer::Failed.suffix(), Answer::Deleted.suffix())).expect("an answer's key");
                let expect = Expect::seen(world.store.get(Bucket::User, &key).map(|v| &v.etag));
                let stack = testing::settings().stack_name(&testing::cluster("alice", "demo"));
                let message = Message::Deleted { cluster: cluster.clone(), at: *at, stack, types: BTreeMap::new() };
                vec![Effect::WriteAnswer { key, message, expect }]
            }
            effect => vec![effect.clone()],
        }
    }
}

/// Lets the event come again where a list cannot be read, for ever.
struct ListAwaited;
impl Bug for ListAwaited {
    fn gives_back(&self, query: &dyn Any, fault: &Fault) -> bool {
        query.is::<ListEvents>() && fault.kind == Kind::Rejected
    }
}

/// Takes every cause that holds the word for a resource that was given up because another failed.
struct CancelledDropped;
impl Bug for CancelledDropped {
    fn sees(&self, _: &dyn Any, answer: &mut dyn Any, _: Timestamp) {
        if let Some(page) = answer.downcast_mut::<Page<StackEvent>>() {
            page.items.retain(|event| !event.reason.contains("cancelled"));
        }
    }
}

struct AdviceByAWord;
impl Bug for AdviceByAWord {
    fn does(&self, effect: &Effect, _: &State, _: &mut Vec<Effect>) -> Vec<Effect> {
        let mut effect = effect.clone();
        if let Effect::WriteAnswer { message: Message::Failed { causes, .. }, .. } = &mut effect {
            for cause in causes.iter_mut().filter(|cause| cause.reason.contains("spot") && cause.advice == Advice::TellAdministrator) {
                cause.advice = Advice::HigherPrice { least: None };
            }
        }
        vec![effect]
    }
}

#[test]
fn a_seed_replays_exactly_and_what_fails_is_shrunk_to_less_that_still_fails() {
    let (seed, _) = catch(&AnyVersion, &[]);
    let setting = RunSettings { bug: Some(&AnyVersion), keeps_log: true, ..tally::setting(seed) };
    let (once, twice) = (run(&setting), run(&setting));
    assert_eq!(once.log, twice.log);
    let least = run(&shrink(&setting));
    assert!(!least.findings.is_empty());
    assert!(least.log.len() < once.log.len() && least.injected.len() < once.injected.len(), "{} faults are left", least.injected.len());
}
