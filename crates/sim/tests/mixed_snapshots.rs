//! Snapshots whose queries saw different versions, slow calls, and late events, in the strict world.

use std::any::Any;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cf_core::body::Body;
use cf_core::effect::Effect;
use cf_core::effect::Execute;
use cf_core::fault::Fault;
use cf_core::key::{Reading, read};
use cf_core::ledger::NodeNews;
use cf_core::message::StateText;
use cf_core::observe::query::{FindObject, ListFolder, ReadUpload};
use cf_core::observe::{self, Listed, Object, Observe, Page, RunQuery, Subject};
use cf_core::reconcile::{Outcome, Purpose, reconcile};
use cf_core::request::ETag;
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Lookup, World};
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};

const CREATE: &str = "home/alice/demo.cf-create";

/// A world in which something happens between two calls of a pass.
struct Meanwhile<'w, S, P> {
    world: &'w World,
    /// What becomes of an answer, and what happens after it.
    sees: S,
    /// What happens after an effect.
    done: P,
}

impl<Q: Lookup, S: Fn(&dyn Any, &World, &mut dyn Any) + Sync, P: Fn(&Effect, &World) + Sync> RunQuery<Q> for Meanwhile<'_, S, P> {
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        let mut answer = self.world.run_query(query.clone()).await?;
        (self.sees)(&query, self.world, &mut answer);
        Ok(answer)
    }
}

impl<S: Fn(&dyn Any, &World, &mut dyn Any) + Sync, P: Fn(&Effect, &World) + Sync> Execute for Meanwhile<'_, S, P> {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let done = self.world.execute(effect).await;
        (self.done)(effect, self.world);
        done
    }
}

fn cloud() -> Cloud {
    Cloud::new(testing::settings()).with_profile("alice")
}

fn subject(key: &str) -> Subject {
    let Reading::Request(upload) = read(key) else { panic!("{key} is no request") };
    Subject { cluster: upload.cluster.clone(), upload: Some(upload), stack: None, reports: false }
}

fn pass_in<W: Observe + Execute>(world: &W, cloud: &Cloud, key: &str) -> Result<Outcome, Fault> {
    let outcome =
        reconcile(world, &cloud.world.settings, &subject(key), Purpose::Cluster, &cloud.world).now_or_never().expect("nothing waits");
    outcome.fault.clone().map_or(Ok(outcome), Err)
}

fn put(world: &World, key: &str) {
    let at = world.now();
    world.state().store.put(Bucket::User, key, b"", at);
}

#[test]
fn an_upload_that_an_old_listing_lacks_is_not_forgotten() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    cloud.drop_file("home/alice/demo.cf-delete", b"");
    cloud.drain();
    // It waits for the end of the removal, and the ledger alone knows of it.
    cloud.drop_file("home/alice/x/demo.cf-create", b"{}");
    cloud.drain();
    let world = cloud.world.clone();
    let listings = AtomicUsize::new(0);
    let is_first = |prefix: &str| prefix.starts_with("home/alice/x/") && listings.fetch_add(1, Ordering::Relaxed) == 0;
    let sees = |query: &dyn Any, _: &World, answer: &mut dyn Any| {
        if let (Some(ListFolder(prefix)), Some(page)) = (query.downcast_ref(), answer.downcast_mut::<Page<Listed>>())
            && is_first(prefix)
        {
            page.items.clear();
        }
    };
    // An event of a file that is gone, and a listing from before the other was put, beside a ledger from after.
    let odd = Meanwhile { world: &world, sees, done: |_: &Effect, _: &World| {} };
    pass_in(&odd, &cloud, "home/alice/x/demo.cf-delete").expect("a pass");
    assert_eq!(listings.load(Ordering::Relaxed), 2, "the folder is listed once more");
    cloud.world = world;
    cloud.settle();
    assert!(cloud.text("home/alice/x/demo.cf-created").is_some());
    assert_eq!(cloud.findings_at_rest(), []);
}

#[test]
fn the_upload_of_an_event_is_read_once_beside_the_listing() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    let world = cloud.world.clone();
    let asked = Mutex::new(Vec::new());
    let sees = |query: &dyn Any, _: &World, _: &mut dyn Any| {
        let listing = query.downcast_ref::<ListFolder>().map(|_| "listing");
        asked.lock().unwrap().extend(listing.or_else(|| query.downcast_ref::<ReadUpload>().map(|_| "upload")));
    };
    pass_in(&Meanwhile { world: &world, sees, done: |_: &Effect, _: &World| {} }, &cloud, CREATE).expect("a pass");
    assert_eq!(*asked.lock().unwrap(), ["listing", "upload"]);
    cloud.world = world;
    assert!(cloud.text("home/alice/demo.cf-status").is_some());
}

/// The listing tells what lies there; an upload that was read before it was replaced is read again.
#[test]
fn an_upload_replaced_between_its_read_and_the_listing_is_read_again() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{\"NoSuchParameter\": 1}");
    let world = cloud.world.clone();
    let reads = AtomicUsize::new(0);
    for older in [None, Some(b"{}".to_vec())] {
        reads.store(0, Ordering::Relaxed);
        let sees = |query: &dyn Any, _: &World, answer: &mut dyn Any| {
            if query.is::<ReadUpload>() && reads.fetch_add(1, Ordering::Relaxed) == 0 {
                let answer = answer.downcast_mut::<Option<Object>>().expect("an object");
                let of_then = |old: Vec<u8>| Object { etag: ETag("\"old\"".into()), body: Body::Read(old), ..answer.clone().unwrap() };
                *answer = older.clone().map(of_then);
            }
        };
        let odd = Meanwhile { world: &world, sees, done: |_: &Effect, _: &World| {} };
        let subject = subject(CREATE);
        let look = observe::look(&odd, &cloud.world.settings, &subject, cloud.world.now(), None);
        let snapshot = look.now_or_never().expect("nothing waits").expect("a look");
        assert_eq!(reads.load(Ordering::Relaxed), 2, "{older:?}");
        assert_eq!(snapshot.uploads[0].body, Body::Read(b"{\"NoSuchParameter\": 1}".to_vec()), "{older:?}");
    }
}

/// A pass for a create in a folder that is too long for one page, so that each file is looked up by itself. At the first lookup,
/// `change` happens.
fn pass_with_a_change_between_lookups(change: impl Fn(&World) + Sync) -> (Cloud, Outcome) {
    let mut cloud = cloud();
    cloud.world.state().pages.files = 2;
    for nth in 0..5 {
        put(&cloud.world, &format!("home/alice/demo.cf-old{nth}"));
    }
    cloud.drop_file(CREATE, b"{}");
    let lookups = AtomicUsize::new(0);
    let sees = |query: &dyn Any, world: &World, _: &mut dyn Any| {
        if let Some(FindObject(key)) = query.downcast_ref()
            && key.ends_with(".cf-status")
            && lookups.fetch_add(1, Ordering::Relaxed) == 0
        {
            change(world);
        }
    };
    let world = cloud.world.clone();
    let outcome = pass_in(&Meanwhile { world: &world, sees, done: |_: &Effect, _: &World| {} }, &cloud, CREATE).expect("a pass");
    cloud.world = world;
    (cloud, outcome)
}

#[test]
fn a_file_put_between_two_lookups_begins_the_look_anew() {
    let (mut cloud, outcome) = pass_with_a_change_between_lookups(|world| put(world, "home/alice/demo.cf-delete"));
    assert_eq!(outcome.conflicts, 1);
    cloud.settle();
    assert_eq!(cloud.findings_at_rest(), []);
}

/// The first snapshot counts, also where looking had to begin anew for it.
#[test]
fn a_file_that_goes_while_a_look_begins_anew_is_reported_as_not_there() {
    let (_, outcome) = pass_with_a_change_between_lookups(|world| {
        world.state().store.delete(Bucket::User, CREATE);
        put(world, "home/alice/demo.cf-delete");
    });
    assert!(outcome.conflicts == 1 && outcome.is_without_upload, "{outcome:?}");
}

#[test]
fn a_pass_whose_create_call_took_long_is_no_error() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.queue.clear();
    let done = |effect: &Effect, world: &World| {
        if matches!(effect, Effect::CreateStack(_)) {
            world.wait(25);
        }
    };
    let world = cloud.world.clone();
    let slow = Meanwhile { world: &world, sees: |_: &dyn Any, _: &World, _: &mut dyn Any| {}, done };
    let outcome =
        reconcile(&slow, &cloud.world.settings, &subject(CREATE), Purpose::Cluster, &world).now_or_never().expect("nothing waits");
    assert!(outcome.is_handed_over && outcome.fault.is_none());
    cloud.world = world;
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-created").is_some(), "the sweep takes it up");
    assert_eq!(cloud.findings_at_rest(), []);
}

/// News of machines, so many seconds after the cluster was accepted, and why the status file now says that none come, if it does.
fn news(cloud: &Cloud, accepted: Timestamp, seconds: i64, failure: Option<&str>) -> Option<String> {
    let subject = Subject { upload: None, ..subject(CREATE) };
    let news = NodeNews { at: accepted + SignedDuration::from_secs(seconds), failure: failure.map(str::to_owned) };
    let world = &cloud.world;
    let outcome = reconcile(world, &world.settings, &subject, Purpose::Instances(&news), world).now_or_never().expect("nothing waits");
    assert_eq!(outcome.fault, None);
    match cloud.state_text("home/alice/demo.cf-status") {
        Some(StateText::Ready { nodes, .. }) => nodes.map(|missing| missing.reason),
        other => panic!("{other:?}"),
    }
}

fn ready() -> (Cloud, Timestamp) {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    let accepted = cloud.world.now();
    cloud.settle();
    (cloud, accepted)
}

const NO_MACHINE: &str = "We currently do not have sufficient r4.large capacity";

#[test]
fn news_of_an_earlier_cluster_of_the_name_are_not_told() {
    let (cloud, accepted) = ready();
    assert_eq!(news(&cloud, accepted, -1, Some(NO_MACHINE)), None, "a second before");
    assert_eq!(news(&cloud, accepted, 0, Some(NO_MACHINE)).as_deref(), Some(NO_MACHINE), "in its first second");
}

#[test]
fn late_news_do_not_take_the_place_of_later_ones() {
    let (cloud, accepted) = ready();
    assert_eq!(news(&cloud, accepted, 100, Some(NO_MACHINE)).as_deref(), Some(NO_MACHINE));
    assert_eq!(news(&cloud, accepted, 300, Some(NO_MACHINE)).as_deref(), Some(NO_MACHINE), "the same, later");
    assert_eq!(news(&cloud, accepted, 200, None).as_deref(), Some(NO_MACHINE), "an older success");
    assert_eq!(news(&cloud, accepted, 400, None), None, "a later success");
    assert_eq!(news(&cloud, accepted, 399, Some(NO_MACHINE)), None, "an older failure");
    let before = cloud.world.state().effects.len();
    let _ = news(&cloud, accepted, 459, None);
    assert_eq!(cloud.world.state().effects.len(), before, "machines that come are not worth a write each");
    let _ = news(&cloud, accepted, 460, None);
    assert_eq!(news(&cloud, accepted, 459, Some(NO_MACHINE)), None, "a minute later it is noted that machines come");
}

#[test]
fn a_failure_that_is_older_than_the_first_success_is_not_told() {
    let (cloud, accepted) = ready();
    let _ = news(&cloud, accepted, 200, None);
    assert_eq!(news(&cloud, accepted, 100, Some(NO_MACHINE)), None);
    assert_eq!(news(&cloud, accepted, 201, Some(NO_MACHINE)).as_deref(), Some(NO_MACHINE));
}
