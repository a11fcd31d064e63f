//! A deployment that takes over the service role and the node boundary of an earlier one: creates are refused with the command that renews
//! them, `iam/renew.sh`, and are taken once it has run. Its AWS CLI is a stand-in that keeps what it is given.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use cf_core::foundation;
use cf_core::message::{Message, Problem};
use cf_core::observe::query::FindRecord;
use cf_core::settings::Settings;
use cf_core::testing;
use cf_sim::{Bucket, Cloud};

const CREATE: &str = "home/alice/demo.cf-create";

/// A deployment with the foundation of an earlier one.
fn settings() -> Settings {
    let settings = testing::settings();
    let record = foundation::record(&settings.user_bucket, &settings.customizer_bucket);
    Settings { foundation_record: Some(record), ..settings }
}

fn refusal(cloud: &Cloud) -> Option<Message> {
    cloud.message("home/alice/demo.cf-failed")
}

/// Answers as the AWS CLI does in this deployment, and keeps what is written in the folder `$KEPT`. There are five versions of the boundary.
const AWS: &str = r#"#!/bin/sh
set -eu
echo "$*" >>"$KEPT/calls"
after() { wanted=$1; shift; while [ "$1" != "$wanted" ]; do shift; done; printf '%s' "$2"; }
case "$1 $2" in
  "lambda get-function-configuration") case "$(after --query "$@")" in
    FunctionArn) echo arn:aws:lambda:eu-west-2:123456789012:function:clusterdrop-cf-create ;;
    *DEPLOYMENT) echo cluster-service ;;
    *URL_SUFFIX) echo amazonaws.com ;;
    *USER_BUCKET) echo af-users-eu-west-2 ;;
    *CUSTOMIZER_BUCKET) echo alces-flight-abcdefghijklnmop ;;
    *SYSTEM_BUCKET) [ "${FAILS:-}" = known ] && echo None || echo cluster-service-system ;;
    *) exit 254 ;;
  esac ;;
  "iam list-policy-versions") case "$(after --query "$@")" in length*) echo 5 ;; *) echo v2 ;; esac ;;
  "iam put-role-policy") after --policy-document "$@" >"$KEPT/service-role" ;;
  "iam create-policy-version") after --policy-document "$@" >"$KEPT/node-boundary" ;;
  "iam delete-policy-version") after --version-id "$@" >"$KEPT/deleted" ;;
  "s3api put-object") after --key "$@" >"$KEPT/record" ;;
  *) exit 254 ;;
esac
[ "$2" != "${FAILS:-}" ]
"#;

/// Runs `iam/renew.sh`; whether it succeeded.
fn renew(kept: &Path, fails: &str) -> bool {
    fs::write(kept.join("aws"), AWS).unwrap();
    fs::set_permissions(kept.join("aws"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../iam/renew.sh");
    let path = format!("{}:{}", kept.display(), std::env::var("PATH").unwrap());
    let ran = Command::new("sh").arg(script).arg("clusterdrop").env("PATH", path).env("KEPT", kept).env("FAILS", fails).output().unwrap();
    println!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    ran.status.success()
}

#[test]
fn a_create_is_refused_with_the_command_that_renews_role_and_boundary_and_taken_once_it_has_run() {
    let mut cloud = Cloud::new(settings()).with_profile("alice");
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    let problems = vec![Problem::OldFoundation { prefix: "clusterdrop".into() }];
    assert_eq!(refusal(&cloud), Some(Message::Refused { cluster: testing::cluster("alice", "demo").name, problems }));
    let text = cloud.text("home/alice/demo.cf-failed").unwrap();
    assert!(text.contains("iam/renew.sh clusterdrop"), "{text}");
    assert!(cloud.world.state().stacks.all().is_empty());

    let kept = tempfile::tempdir().unwrap();
    assert!(renew(kept.path(), ""));
    let record = fs::read_to_string(kept.path().join("record")).unwrap();
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::System, &record, b"", at);
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-created").is_some(), "{record}: {:?}", refusal(&cloud));
}

#[test]
fn the_command_fills_both_policies_in_makes_room_for_the_boundary_and_records_it_last() {
    let kept = tempfile::tempdir().unwrap();
    assert!(renew(kept.path(), ""));
    let read = |name: &str| fs::read_to_string(kept.path().join(name)).unwrap();
    for (name, words) in [
        ("service-role", "arn:aws:iam::123456789012:policy/clusterdrop-node-boundary"),
        ("node-boundary", "arn:aws:s3:::cluster-service-system/nodes/${aws:PrincipalTag/USER}/${aws:PrincipalTag/clusterdrop:cluster}/*"),
    ] {
        let policy = read(name);
        assert!(serde_json::from_str::<serde_json::Value>(&policy).is_ok(), "{policy}");
        let left: Vec<_> = policy.match_indices("${").filter(|(at, _)| !policy[*at..].starts_with("${aws:")).collect();
        assert!(left.is_empty() && policy.contains(words), "{name}: {left:?}");
    }
    assert_eq!(read("deleted"), "v2");
    let calls = read("calls");
    assert!(calls.lines().last().unwrap().starts_with("s3api put-object --bucket cluster-service-system --key foundation/"), "{calls}");
}

#[test]
fn where_something_is_not_known_or_a_policy_not_taken_nothing_is_recorded() {
    for fails in ["known", "put-role-policy", "delete-policy-version", "create-policy-version"] {
        let kept = tempfile::tempdir().unwrap();
        assert!(!renew(kept.path(), fails), "{fails}");
        assert!(!kept.path().join("record").exists(), "{fails}");
    }
}

#[test]
fn a_record_of_other_policies_or_buckets_does_not_do() {
    let ours = testing::settings();
    for record in [foundation::record("another-bucket", &ours.customizer_bucket), format!("{}0123456789abcdef", foundation::PREFIX)] {
        let mut cloud = Cloud::new(settings()).with_profile("alice");
        let at = cloud.world.now();
        cloud.world.state().store.put(Bucket::System, &record, b"", at);
        cloud.drop_file(CREATE, b"{}");
        cloud.settle();
        assert!(matches!(refusal(&cloud), Some(Message::Refused { .. })), "{record}");
    }
}

/// One more query where the foundation is kept, at once with the others, and none where the deployment made it.
#[test]
fn a_create_asks_once_and_only_where_the_foundation_is_an_earlier_deployments() {
    for (settings, asks) in [(settings(), 1), (testing::settings(), 0)] {
        let mut cloud = Cloud::new(settings).with_profile("alice");
        cloud.drop_file(CREATE, b"{}");
        cloud.drain();
        assert_eq!(cloud.world.state().asked.iter().filter(|asked| asked.is::<FindRecord>()).count(), asks);
    }
}

/// A cluster that lives is not touched: what asks for its deletion is answered as ever.
#[test]
fn clusters_that_live_can_be_deleted_under_an_old_foundation() {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    cloud.world.settings.foundation_record = settings().foundation_record;
    cloud.drop_file("home/alice/demo.cf-delete", b"");
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-deleted").is_some());
}
