//! What passes count: what they have done, once the ledger says so. Not what was planned, and nothing twice.

use std::any::Any;
use std::sync::Mutex;

use cf_core::decide::Action;
use cf_core::effect::{Effect, Execute};
use cf_core::fault::Fault;
use cf_core::ledger::Ledger;
use cf_core::observe::RunQuery;
use cf_core::observe::Subject;
use cf_core::observe::query::ReadLedger;
use cf_core::reconcile::{Counts, Purpose, reconcile};
use cf_core::request::ETag;
use cf_core::testing;
use cf_sim::{Bucket, Cloud, FaultTiming, Lookup, StackBehaviour, World};
use futures_util::FutureExt;

const CREATE: &str = "home/alice/demo.cf-create";
const DELETE: &str = "home/alice/demo.cf-delete";

fn cloud() -> Cloud {
    Cloud::new(testing::settings()).with_profile("alice")
}

/// The sum of what all passes have counted.
fn sum(cloud: &Cloud) -> Counts {
    cloud.outcomes.iter().map(|outcome| outcome.counts).fold(Counts::default(), |a, b| Counts {
        started: a.started + b.started,
        ready: a.ready + b.ready,
        failed: a.failed + b.failed,
        gone: a.gone + b.gone,
        stuck: a.stuck + b.stuck,
        refused: a.refused + b.refused,
        mails_in_doubt: a.mails_in_doubt + b.mails_in_doubt,
    })
}

#[test]
fn a_whole_life_counts_each_of_its_steps_once() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    cloud.drop_file(DELETE, b"");
    cloud.settle();
    assert_eq!(sum(&cloud), Counts { started: 1, ready: 1, gone: 1, ..Counts::default() });
}

#[test]
fn a_plan_that_is_broken_off_counts_only_what_it_did() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    // The ledger is written; the call that starts the stack fails.
    cloud.world.inject_fault(1, FaultTiming::Before);
    let event = cloud.queue.pop_front().expect("its event");
    assert!(cloud.deliver(&event).is_err());
    assert_eq!(sum(&cloud), Counts { started: 1, ..Counts::default() }, "it is accepted");
    let outcome = cloud.outcomes.last().expect("a pass that failed tells what it planned");
    assert_eq!(outcome.actions().collect::<Vec<_>>(), [Action::Start]);
    assert!(outcome.fault.is_some());
    cloud.queue.push_back(event);
    cloud.settle();
    assert_eq!(sum(&cloud), Counts { started: 1, ready: 1, ..Counts::default() });
}

/// Whatever effect of a whole life is lost, none of its steps is counted twice.
#[test]
fn what_has_to_be_done_again_is_not_counted_again() {
    let mut effects = 1;
    for nth in 0.. {
        if nth >= effects {
            break;
        }
        for when in [FaultTiming::Before, FaultTiming::After] {
            let mut cloud = cloud();
            cloud.world.inject_fault(nth, when);
            cloud.drop_file(CREATE, b"{}");
            cloud.settle();
            cloud.drop_file(DELETE, b"");
            cloud.settle();
            effects = effects.max(cloud.world.state().effects.len());
            let got = Counts { mails_in_doubt: 0, ..sum(&cloud) };
            let all = Counts { started: 1, ready: 1, gone: 1, ..Counts::default() };
            // The answer to the write that closes a step may be lost: then nobody knows that it was theirs to count.
            let missing =
                [all.started - got.started.min(1), all.ready - got.ready.min(1), all.gone - got.gone.min(1)].iter().sum::<usize>();
            let most = Counts { started: got.started.min(1), ready: got.ready.min(1), gone: got.gone.min(1), ..Counts::default() };
            assert_eq!(got, most, "effect {nth} lost {when:?}");
            assert!(missing <= usize::from(when == FaultTiming::After), "effect {nth} lost {when:?}: {got:?}");
        }
    }
    assert!(effects > 15, "{effects} effects");
}

/// A stack that a lost ledger took over, with nobody known to wait for it.
#[test]
fn a_removal_that_fails_counts_as_stuck_also_where_nobody_can_be_answered() {
    let mut cloud = cloud();
    cloud.world.state().stacks.next_behaviour = StackBehaviour::DeleteFails;
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    let ledger = cf_core::ledger::key(&testing::cluster("alice", "demo").user);
    cloud.world.state().store.delete(Bucket::System, &ledger);
    cloud.settle();
    let id = cloud.world.state().stacks.all()[0].stack.id.clone();
    let now = cloud.world.now();
    cloud.world.state().stacks.delete(&id, now).expect("an administrator tries to remove it");
    cloud.settle();
    assert_eq!(sum(&cloud), Counts { started: 1, ready: 1, stuck: 1, ..Counts::default() });
}

#[test]
fn a_cluster_without_a_login_counts_as_failed() {
    let mut cloud = cloud();
    cloud.world.state().stacks.next_behaviour = StackBehaviour::NoLogin;
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    assert_eq!(sum(&cloud), Counts { started: 1, failed: 1, ..Counts::default() });
}

#[test]
fn a_stack_that_is_removed_while_it_is_made_counts_as_failed() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.drain();
    let id = cloud.world.state().stacks.all()[0].stack.id.clone();
    let now = cloud.world.now();
    cloud.world.state().stacks.delete(&id, now).expect("somebody removes it");
    cloud.settle();
    assert_eq!(sum(&cloud), Counts { started: 1, failed: 1, ..Counts::default() });
}

#[test]
fn a_create_that_breaks_the_rules_counts_as_refused_alone() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"[]");
    cloud.settle();
    assert_eq!(sum(&cloud), Counts { refused: 1, ..Counts::default() });
}

/// A world that is copied as soon as the first pass has claimed its mail.
struct Claiming<'w> {
    world: &'w World,
    copy: Mutex<Option<World>>,
}

impl<Q: Lookup> RunQuery<Q> for Claiming<'_> {
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        self.world.run_query(query).await
    }
}

impl Execute for Claiming<'_> {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let done = self.world.execute(effect).await;
        self.copy.lock().expect("nobody panicked").get_or_insert_with(|| self.world.clone());
        done
    }
}

/// A world that shows the ledger of an earlier moment once.
struct Late<'w> {
    world: &'w World,
    ledger: Mutex<Option<(Ledger, ETag)>>,
}

impl<Q: Lookup> RunQuery<Q> for Late<'_> {
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        let mut answer = self.world.run_query(query).await?;
        if let Some(ledger) = (&mut answer as &mut dyn Any).downcast_mut::<Option<(Ledger, ETag)>>()
            && let Some(earlier) = self.ledger.lock().expect("nobody panicked").take()
        {
            *ledger = Some(earlier);
        }
        Ok(answer)
    }
}

impl Execute for Late<'_> {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        self.world.execute(effect).await
    }
}

/// A cluster whose stack is gone and whose delete is to be answered; the world after that, and as it was when the mail of it was
/// claimed and nothing else was done.
fn removal() -> (Subject, World, World) {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    cloud.drop_file(DELETE, b"");
    cloud.drain();
    let now = cloud.world.now();
    let login = cloud.world.settings.template.metadata.login_output.clone();
    while !cloud.world.state().stacks.step(&login, now).is_empty() {}
    let subject = Subject { cluster: testing::cluster("alice", "demo"), upload: None, stack: None, reports: false };
    let claiming = Claiming { world: &cloud.world, copy: Mutex::default() };
    let outcome =
        reconcile(&claiming, &cloud.world.settings, &subject, Purpose::Cluster, &cloud.world).now_or_never().expect("nothing waits");
    assert_eq!((outcome.counts.gone, outcome.counts.mails_in_doubt), (1, 0));
    let claimed = claiming.copy.into_inner().expect("nobody panicked").expect("it wrote something");
    (subject, cloud.world, claimed)
}

#[test]
fn a_mail_is_in_doubt_once_another_pass_has_closed_what_its_claimant_left() {
    let (subject, _, claimed) = removal();
    let outcome = reconcile(&claimed, &claimed.settings, &subject, Purpose::Cluster, &claimed).now_or_never().expect("nothing waits");
    assert_eq!((outcome.counts.gone, outcome.counts.mails_in_doubt), (1, 1));
}

/// A pass sees that another has claimed the mail, and its own write finds that this one has closed the work since.
#[test]
fn a_conflict_puts_no_mail_in_doubt() {
    let (subject, closed, claimed) = removal();
    let earlier = claimed.run_query(ReadLedger(subject.cluster.user.clone())).now_or_never().expect("nothing waits");
    let late = Late { world: &closed, ledger: Mutex::new(earlier.expect("a ledger")) };
    let outcome = reconcile(&late, &closed.settings, &subject, Purpose::Cluster, &closed).now_or_never().expect("nothing waits");
    assert_eq!(outcome.actions().collect::<Vec<_>>(), [Action::ReportDeleted, Action::Wait], "it has decided to do the same");
    assert_eq!((outcome.conflicts, outcome.counts), (1, Counts::default()));
}
