//! The first hour in the strict world: S3 tells of nothing, and every upload of that time is answered all the same.

use cf_core::first_hour::{self, FirstHour, KEY, LATE_SECONDS, PASSES_MAX, PROBE, Stage};
use cf_core::message::StateText;
use cf_core::observe::query::ListHomes;
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Event, FaultTiming, Pages};
use futures_util::FutureExt;

fn stage(cloud: &Cloud) -> Stage {
    let text = cloud.world.state().store.text(Bucket::System, KEY).expect("a record");
    FirstHour::read(text.as_bytes()).expect("a record of ours").stage
}

/// A deployment that was just made.
fn deployed() -> Cloud {
    let cloud = Cloud::new(testing::settings()).with_profile("alice").with_profile("bob");
    let fault = first_hour::open(&cloud.world, &cloud.world.settings, cloud.world.now()).now_or_never().unwrap().unwrap();
    assert_eq!(fault, None);
    assert_eq!(cloud.keys(), [PROBE]);
    cloud
}

/// A file that S3 tells nobody of.
fn put(cloud: &Cloud, key: &str) {
    cloud.world.wait(1);
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::User, key, b"{}", at);
}

/// Five minutes later.
fn sweep(cloud: &mut Cloud) {
    cloud.world.wait(300);
    cloud.deliver(&Event::Sweep).expect("a sweep");
}

/// S3 has begun to tell: of the probe that lies there.
fn heard(cloud: &mut Cloud) {
    cloud.deliver(&Event::Upload(PROBE.to_owned())).expect("the probe's event");
    assert_eq!(cloud.text(PROBE), None);
}

fn homes(cloud: &Cloud) -> usize {
    cloud.world.state().asked.iter().filter(|asked| asked.is::<ListHomes>()).count()
}

#[test]
fn what_s3_told_nobody_of_is_answered_once_it_tells_and_home_is_never_listed_again() {
    let mut cloud = deployed();
    put(&cloud, "home/alice/demo.cf-create");
    put(&cloud, "home/bob/broken name.cf-create");
    put(&cloud, "home/bob/none.cf-delete");
    put(&cloud, "home/bob/data.csv");
    sweep(&mut cloud);
    assert_eq!((homes(&cloud), stage(&cloud)), (0, Stage::Open { probed: true, listed: None }), "nothing before the probe");
    assert_eq!(cloud.text("home/alice/demo.cf-status"), None);
    heard(&mut cloud);
    sweep(&mut cloud);
    assert!(matches!(stage(&cloud), Stage::Done { .. }), "{:?}", stage(&cloud));
    let listed = homes(&cloud);
    cloud.settle();
    assert_eq!(cloud.text("home/alice/demo.cf-created").as_deref(), Some("198.51.100.7\n"));
    assert!(cloud.text("home/bob/broken name.cf-failed").is_some() && cloud.text("home/bob/none.cf-failed").is_some());
    put(&cloud, "home/bob/later.cf-create");
    sweep(&mut cloud);
    assert_eq!(homes(&cloud), listed, "once");
    assert_eq!(cloud.text("home/bob/later.cf-status"), None, "its event will come");
    assert_eq!(cloud.findings_at_rest().iter().filter(|c| !c.what.contains("later")).count(), 0, "{:?}", cloud.findings_at_rest());
}

#[test]
fn the_past_of_an_adopted_bucket_stays_as_it_is() {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    put(&cloud, "home/alice/years-old.cf-create");
    cloud.world.wait(1);
    let record = FirstHour::of_adoption(&cloud.world.settings.user_bucket, cloud.world.now());
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::System, KEY, &record.bytes(), at);
    put(&cloud, "home/alice/new.cf-create");
    sweep(&mut cloud);
    assert!(cloud.text(PROBE).is_some(), "adopting leaves the probe to the sweep");
    heard(&mut cloud);
    sweep(&mut cloud);
    cloud.settle();
    assert!(cloud.text("home/alice/new.cf-created").is_some() && cloud.text("home/alice/years-old.cf-create").is_some());
    assert_eq!(cloud.world.state().stacks.all().len(), 1);
}

#[test]
fn where_the_probe_is_never_heard_of_nobody_waits_for_ever() {
    let mut cloud = deployed();
    put(&cloud, "home/alice/demo.cf-create");
    for _ in 0..=LATE_SECONDS / 300 {
        sweep(&mut cloud);
    }
    assert!(cloud.text("home/alice/demo.cf-status").is_some(), "{:?}", stage(&cloud));
    assert!(matches!(stage(&cloud), Stage::Open { probed: true, listed: Some(_) }), "the window stays open");
    put(&cloud, "home/bob/demo.cf-create");
    for _ in 0..=LATE_SECONDS / 300 {
        sweep(&mut cloud);
    }
    assert!(cloud.text("home/bob/demo.cf-status").is_some());
    put(&cloud, "home/bob/last.cf-create");
    heard(&mut cloud);
    sweep(&mut cloud);
    assert!(cloud.text("home/bob/last.cf-status").is_some() && matches!(stage(&cloud), Stage::Done { .. }));
}

#[test]
fn many_homes_are_gone_through_some_at_a_time_and_none_is_passed_over() {
    let mut cloud = deployed();
    cloud.world.state().pages = Pages { keys: 7, ..Pages::SHORT };
    let count = PASSES_MAX * 2 + 5;
    for n in 0..count {
        put(&cloud, &format!("home/alice/n{n:03}.cf-delete"));
        put(&cloud, &format!("home/alice/n{n:03}.csv"));
    }
    heard(&mut cloud);
    for nth in 1..=6 {
        sweep(&mut cloud);
        let answered = cloud.keys().iter().filter(|key| key.ends_with(".cf-failed")).count();
        assert!(answered <= PASSES_MAX * nth, "{answered} after {nth} sweeps");
    }
    assert_eq!(cloud.keys().iter().filter(|key| key.ends_with(".cf-failed")).count(), count);
    assert!(matches!(stage(&cloud), Stage::Done { .. }));
}

#[test]
fn a_pass_that_fails_is_tried_again_and_holds_nobody_up() {
    let mut cloud = deployed();
    for user in ["alice", "bob"] {
        put(&cloud, &format!("home/{user}/none.cf-delete"));
    }
    heard(&mut cloud);
    cloud.world.inject_fault(0, FaultTiming::Before);
    sweep(&mut cloud);
    assert!(cloud.text("home/alice/none.cf-failed").is_none() && cloud.text("home/bob/none.cf-failed").is_some());
    assert!(matches!(stage(&cloud), Stage::Listing { owed, .. } if owed.len() == 1));
    sweep(&mut cloud);
    assert!(cloud.text("home/alice/none.cf-failed").is_some() && matches!(stage(&cloud), Stage::Done { .. }));
}

/// Whatever call of a sweep is lost, before or after it was done, the next ones bring it to the same end.
#[test]
fn a_sweep_that_dies_anywhere_is_taken_up_by_the_next() {
    for nth in 0..12 {
        for when in [FaultTiming::Before, FaultTiming::After] {
            let mut cloud = deployed();
            put(&cloud, "home/alice/demo.cf-create");
            cloud.world.inject_fault(nth, when);
            for _ in 0..6 {
                cloud.world.wait(300);
                drop(cloud.deliver(&Event::Sweep));
                // S3 has begun to tell, of every probe.
                if cloud.text(PROBE).is_some() {
                    drop(cloud.deliver(&Event::Upload(PROBE.to_owned())));
                }
            }
            cloud.settle();
            assert!(matches!(stage(&cloud), Stage::Done { .. }), "{nth} {when:?}: {:?}", stage(&cloud));
            assert!(cloud.text("home/alice/demo.cf-created").is_some(), "{nth} {when:?}: {:?}", cloud.keys());
            assert_eq!(cloud.findings_at_rest(), []);
        }
    }
}

#[test]
fn a_record_of_another_bucket_and_one_that_nobody_can_read_do_nothing() {
    for text in [FirstHour::of_adoption("another", testing_time()).bytes(), b"{}".to_vec()] {
        let mut cloud = Cloud::new(testing::settings());
        let at = cloud.world.now();
        cloud.world.state().store.put(Bucket::System, KEY, &text, at);
        sweep(&mut cloud);
        assert_eq!((homes(&cloud), cloud.keys().len()), (0, 0));
        // A deployment opens a window over it.
        first_hour::open(&cloud.world, &cloud.world.settings, cloud.world.now()).now_or_never().unwrap().unwrap();
        assert!(matches!(stage(&cloud), Stage::Open { probed: true, .. }));
    }
}

fn testing_time() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

/// A role that was made a moment ago may not be there for hours: the user hears what is waited for.
#[test]
fn who_waits_for_cloudformation_is_told_so_after_a_while() {
    let text = |cloud: &Cloud| cloud.state_text("home/alice/demo.cf-status");
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    put(&cloud, "home/alice/demo.cf-create");
    let event = Event::Upload("home/alice/demo.cf-create".to_owned());
    // Ledger and stack: the second effect of each pass is lost, until it is told what is waited for.
    cloud.world.inject_fault(1, FaultTiming::Before);
    assert!(cloud.deliver(&event).is_err());
    assert_eq!(text(&cloud), None);
    let since = cloud.world.now();
    for minutes in [5, 10] {
        cloud.world.wait(300);
        cloud.world.inject_fault(if minutes < 10 { 1 } else { 2 }, FaultTiming::Before);
        assert_eq!(cloud.deliver(&Event::Sweep), Ok(()), "a sweep does not give back what failed for one cluster");
        assert!(cloud.outcomes.last().is_some_and(|outcome| outcome.fault.is_some()), "{minutes}");
        assert_eq!(text(&cloud), (minutes == 10).then_some(StateText::NotTaken { since }), "{minutes}");
    }
    cloud.settle();
    assert_eq!(text(&cloud), Some(StateText::Ready { login: "198.51.100.7".into(), nodes: None, scheduler: None }));
    assert_eq!(cloud.findings_at_rest(), []);
}
