//! Each boundary of a window: the times, the keys, the budgets, what is not ours.

use super::*;

const OPENED: i64 = 1_795_257_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(OPENED + seconds).unwrap()
}

fn record(stage: Stage) -> FirstHour {
    FirstHour { stage, ..FirstHour::of_adoption("af-users-eu-west-2", at(0)) }
}

const fn open(probed: bool) -> Stage {
    Stage::Open { probed, listed: None }
}

fn listing(after: Option<&str>, heard: bool, owed: &[&str]) -> Stage {
    let owed = owed.iter().map(|key| (*key).to_owned()).collect();
    Stage::Listing { after: after.map(str::to_owned), heard, begun: at(400), owed }
}

#[test]
fn an_upload_counts_from_the_second_of_the_switch_on() {
    let adopted = record(open(true));
    assert!(!adopted.wants("home/alice/demo.cf-create", at(-1)), "the bucket's past");
    assert!(adopted.wants("home/alice/demo.cf-create", at(0)), "S3's times are whole seconds: it may have come after the switch");
    assert!(adopted.wants("home/alice/deep/er/demo.cf-delete", at(1)));
    let fractions = FirstHour { since: at(0) + SignedDuration::from_millis(999), ..adopted };
    assert!(fractions.wants("home/alice/demo.cf-create", at(0)));
    let deployed = FirstHour::of_deployment("b", at(0), true);
    assert!(deployed.wants("home/alice/demo.cf-create", at(-DEPLOYMENT_SECONDS)));
    assert!(!deployed.wants("home/alice/demo.cf-create", at(-DEPLOYMENT_SECONDS - 1)));
}

#[test]
fn only_what_asks_for_something_gets_a_pass() {
    let adopted = record(open(true));
    for key in
        ["home/alice/data.csv", "home/alice/demo.cf-created", "home/alice/demo.cf-status", "home/alice/", PROBE, "archive/x.cf-create"]
    {
        assert!(!adopted.wants(key, at(9)), "{key}");
    }
    // Answered beside it, as its event would have had it answered.
    assert!(adopted.wants("home/alice/a_b.cf-create", at(9)));
}

#[test]
fn the_probe_is_what_the_trigger_takes_and_nobodys_request() {
    assert!(PROBE.starts_with(HOME) && PROBE.ends_with(".cf-create"));
    assert_eq!(PROBE.matches('/').count(), 1, "it lies in nobody's home");
    let Reading::Refused { .. } = read(PROBE) else { panic!("the probe is somebody's request") };
}

#[test]
fn a_trigger_is_switched_on_by_a_first_deployment_and_by_a_change_of_it() {
    let ours = Trigger { bucket: "b", mode: "create", kind: "s3" };
    let theirs = Trigger { mode: "existing", ..ours };
    assert!(ours.is_switched_on(true, None));
    assert!(!ours.is_switched_on(false, Some(ours)), "an upgrade");
    assert!(!ours.is_switched_on(false, None), "an upgrade from a version that did not record it");
    assert!(ours.is_switched_on(false, Some(Trigger { kind: "eventbridge", ..ours })));
    assert!(ours.is_switched_on(false, Some(Trigger { bucket: "a", ..ours })));
    assert!(ours.is_switched_on(false, Some(theirs)));
    assert!(!theirs.is_switched_on(true, None), "adopting does");
    assert!(!theirs.is_switched_on(false, Some(ours)));
}

#[test]
fn the_listing_begins_once_the_probe_was_heard_of_and_s3_has_settled() {
    let stage = |probed, there, seconds| record(open(probed)).advance(there, at(seconds));
    assert_eq!(stage(true, Some(false), SETTLE_SECONDS - 1), open(true));
    assert!(matches!(stage(true, Some(false), SETTLE_SECONDS), Stage::Listing { heard: true, .. }));
    assert_eq!(stage(true, Some(true), LATE_SECONDS - 1), open(true), "it lies there: nobody has heard of it");
    assert_eq!(stage(false, Some(false), LATE_SECONDS - 1), open(false), "it was never put");
    assert_eq!(stage(true, None, LATE_SECONDS - 1), open(true), "it could not be looked for");
    // Nobody waits for ever, whatever is wrong with the probe.
    for (probed, there) in [(true, Some(true)), (false, Some(false)), (true, None), (false, None)] {
        assert!(matches!(stage(probed, there, LATE_SECONDS), Stage::Listing { heard: false, .. }), "{probed} {there:?}");
    }
}

#[test]
fn while_nothing_is_heard_it_is_listed_again_and_again() {
    let again = |seconds| record(Stage::Open { probed: true, listed: Some(at(2000)) }).advance(Some(true), at(seconds));
    assert!(matches!(again(2000 + LATE_SECONDS - 1), Stage::Open { .. }));
    assert!(matches!(again(2000 + LATE_SECONDS), Stage::Listing { heard: false, .. }));
    let heard = record(Stage::Open { probed: true, listed: Some(at(2000)) }).advance(Some(false), at(2001));
    assert!(matches!(heard, Stage::Listing { heard: true, .. }), "what came since then is listed once more");
}

#[test]
fn silence_is_told_after_a_while_and_only_while_it_lasts() {
    for (stage, silent) in [
        (open(true), true),
        (open(false), true),
        (listing(None, false, &[]), true),
        (listing(None, true, &[]), false),
        (Stage::Done { at: at(9) }, false),
    ] {
        assert!(!record(stage.clone()).is_silent(at(SILENT_SECONDS)));
        assert_eq!(record(stage.clone()).is_silent(at(SILENT_SECONDS + 1)), silent, "{stage:?}");
    }
}

#[test]
fn a_listing_ends_with_its_last_pass() {
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    let end = |stage, tried: &[&str], failed: &[&str]| concluded(stage, &keys(tried), &keys(failed), at(500));
    assert_eq!(end(listing(None, true, &[]), &["a"], &[]), Stage::Done { at: at(500) });
    assert_eq!(end(listing(Some("k"), true, &[]), &["a"], &[]), listing(Some("k"), true, &[]));
    assert_eq!(end(listing(None, true, &[]), &["a", "b"], &["b"]), listing(None, true, &["b"]), "one that failed is not lost");
    assert_eq!(end(listing(None, true, &["b", "c"]), &["b"], &[]), listing(None, true, &["c"]));
    assert_eq!(end(listing(None, true, &["b"]), &["b"], &["b"]), listing(None, true, &["b"]));
    assert_eq!(end(listing(None, true, &["b"]), &["b"], &[]), Stage::Done { at: at(500) });
    let open_again = Stage::Open { probed: false, listed: Some(at(400)) };
    assert_eq!(end(listing(None, false, &[]), &["a"], &["a"]), open_again, "the window stays open");
    assert_eq!(end(open(true), &[], &[]), open(true));
}

#[test]
fn a_record_is_read_as_it_was_written_and_what_is_none_is_none() {
    for stage in
        [open(false), Stage::Open { probed: true, listed: Some(at(7)) }, listing(Some("home/é\n"), true, &["k"]), Stage::Done { at: at(1) }]
    {
        let record = record(stage);
        assert_eq!(FirstHour::read(&record.bytes()), Some(record));
    }
    let other = String::from_utf8(record(open(true)).bytes()).unwrap().replace("\"format\": 1", "\"format\": 2");
    for text in ["", "{}", "[]", "null", "\u{0}", other.as_str()] {
        assert_eq!(FirstHour::read(text.as_bytes()), None, "{text:?}");
    }
}

/// A record of the largest kind is read again: its keys are as long as S3 lets them be, and JSON may write a byte as six.
#[test]
fn the_largest_record_is_within_its_bound() {
    let key = |n: usize| format!("home/alice/{n:03}{}", "x".repeat(crate::key::KEY_BYTES_MAX - 14));
    let owed = (0..OWED_MAX + PASSES_MAX).map(key).collect();
    let stage = Stage::Listing { after: Some("\u{1}".repeat(1024)), heard: true, begun: at(1), owed };
    assert!(record(stage).bytes().len() < BYTES_MAX);
}

/// The policies are put to effects by how these print (`tests/iam/effects.mjs`); these are in no plan's snapshot.
#[test]
fn what_is_done_outside_of_plans_prints_as_the_policies_are_asked() {
    let expect = Expect::Is(ETag(String::new()));
    for effect in [Effect::WriteFirstHour { record: record(open(true)), expect }, Effect::WriteProbe] {
        let prints = format!("  outside_plans: {effect}\n");
        assert!(include_str!("../../../tests/iam/effects.yaml").contains(&prints), "{prints}");
    }
    assert!(include_str!("../../../tests/iam/effects.yaml").contains(&format!("key: {PROBE}")));
}
