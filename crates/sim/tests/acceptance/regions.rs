//! The types of nodes, Region by Region: what is taken where a file names none, what is refused, and what people are shown.

use std::collections::BTreeMap;

use cf_core::message::{Difference, Message, Problem, RegionAdvice, Wrong};
use cf_core::region::Region;
use cf_core::settings::Settings;
use cf_core::template::default_template;
use cf_core::testing;
use cf_sim::{Cloud, Event, FaultTiming};

use super::{CREATE, DELETE, EXAMPLE, at_rest, demo, failed, made, parameter, refused, stacks, state};

const COMPUTE: &str = "ComputeInstanceTypeOther";
const LOGIN: &str = "MasterInstanceTypeOther";

fn cloud_in(region: Region) -> Cloud {
    Cloud::new(Settings { region, ..testing::settings() }).with_profile("alice")
}

/// A Region with an administrator's defaults.
fn with_defaults(name: &str, defaults: &[(&str, &str)]) -> Region {
    let defaults = defaults.iter().map(|(parameter, value)| ((*parameter).to_owned(), (*value).to_owned())).collect();
    Region::new(name, default_template(), &defaults)
}

fn absent(kind: &str, region: &str, advice: RegionAdvice) -> Wrong {
    Wrong::NotInRegion { kind: kind.into(), region: region.into(), advice }
}

/// The values of the one stack: compute nodes, login node.
fn types(cloud: &Cloud) -> (String, String) {
    let [stack] = &stacks(cloud)[..] else { panic!("one stack") };
    (stack.parameters[COMPUTE].clone(), stack.parameters[LOGIN].clone())
}

/// What the status file shows.
fn shown(cloud: &Cloud) -> BTreeMap<String, String> {
    let text = cloud.text("home/alice/demo.cf-status").expect("a status file");
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    serde_json::from_value(status["types"].clone()).expect("a type for each kind of node")
}

fn of(compute: &str, login: &str) -> BTreeMap<String, String> {
    [("compute".to_owned(), compute.to_owned()), ("login".to_owned(), login.to_owned())].into()
}

#[test]
fn a_file_that_names_no_type_gets_one_that_the_region_has_and_status_and_receipt_show_it() {
    for (name, value, kind) in [
        ("eu-west-2", "c4.large-2C-3.75GB", "c4.large"),
        ("eu-north-1", "c6i.large-2C-4GB", "c6i.large"),
        ("eu-south-2", "c5.large-2C-4GB", "c5.large"),
        ("xx-newer-1", "c7i.large-2C-4GB", "c7i.large"),
    ] {
        let mut cloud = cloud_in(testing::region(name));
        cloud.drop_file(CREATE, b"{}");
        let mut cloud = at_rest(cloud);
        assert_eq!(types(&cloud), (value.to_owned(), value.to_owned()), "{name}");
        assert_eq!((state(&cloud).as_str(), shown(&cloud)), ("ready", of(kind, kind)), "{name}");
        cloud.drop_file(DELETE, b"");
        let cloud = at_rest(cloud);
        let receipt = cloud.message("home/alice/demo.cf-deleted");
        assert!(matches!(&receipt, Some(Message::Deleted { types, .. }) if *types == of(kind, kind)), "{receipt:?}");
        assert_eq!(shown(&cloud), of(kind, kind), "{name}");
    }
}

#[test]
fn a_named_type_is_taken_as_it_is_or_refused_and_never_replaced() {
    let mut cloud = cloud_in(testing::region("eu-north-1"));
    cloud.drop_file(CREATE, EXAMPLE);
    let cloud = at_rest(cloud);
    let near = ["r7i.large-2C-16GB", "r7a.large-2C-16GB", "r6i.large-2C-16GB"].map(str::to_owned).to_vec();
    let advice = RegionAdvice::Nearest { near, default: "c6i.large-2C-4GB".into() };
    let absent = |name| parameter(name, "r4.large-2C-15.25GB", absent("r4.large", "eu-north-1", advice.clone()));
    assert_eq!(refused(&cloud), [absent(COMPUTE), absent(LOGIN)]);
    assert_eq!(made(&cloud), 0);
    // What the answer advises is accepted.
    let mut cloud = cloud;
    cloud.drop_file(CREATE, br#"{"ComputeInstanceTypeOther": "r7i.large-2C-16GB", "MasterInstanceTypeOther": "r6i.large"}"#);
    let cloud = at_rest(cloud);
    assert_eq!((types(&cloud).0.as_str(), shown(&cloud)), ("r7i.large-2C-16GB", of("r7i.large", "r6i.large")));
}

#[test]
fn named_sizes_are_types_too() {
    let mut cloud = cloud_in(testing::region("ap-southeast-3"));
    cloud.drop_file(CREATE, br#"{"MasterInstanceType": "small-t2.large", "ComputeInstanceType": "balanced-2C-8GB.small-m5.large"}"#);
    let mut cloud = at_rest(cloud);
    let near = ["t3.large-2C-8GB", "m7i.large-2C-8GB", "m6i.large-2C-8GB"].map(str::to_owned).to_vec();
    let advice = RegionAdvice::ByName { size: "MasterInstanceType", other: LOGIN, near };
    let problem = parameter("MasterInstanceType", "small-t2.large", absent("t2.large", "ap-southeast-3", advice));
    assert_eq!(refused(&cloud), [problem]);
    cloud.drop_file(CREATE, br#"{"MasterInstanceType": "other", "MasterInstanceTypeOther": "t3.large-2C-8GB", "ComputeInstanceType": "balanced-2C-8GB.small-m5.large"}"#);
    assert_eq!(shown(&at_rest(cloud)), of("m5.large", "t3.large"));
}

#[test]
fn an_absent_type_and_a_misspelt_number_are_told_in_one_answer() {
    let mut cloud = cloud_in(testing::region("mx-central-1"));
    cloud.drop_file(CREATE, br#"{"ComputeInstanceTypeOther": "c5.large", "MasterSystemVolumeSize": "8"}"#);
    let cloud = at_rest(cloud);
    let [Problem::Parameter(kind), Problem::Parameter(size)] = &refused(&cloud)[..] else { panic!("{:?}", refused(&cloud)) };
    let Wrong::NotInRegion { kind, advice: RegionAdvice::Nearest { near, .. }, .. } = &kind.wrong else { panic!("{kind:?}") };
    assert!(kind == "c5.large" && near.contains(&"c6i.large-2C-4GB".to_owned()), "{near:?}");
    assert!(size.name == "MasterSystemVolumeSize" && matches!(size.wrong, Wrong::Number { .. }), "{size:?}");
}

#[test]
fn the_administrators_default_is_taken_in_every_region() {
    for name in ["eu-west-2", "eu-north-1", "xx-newer-1"] {
        let mut cloud = cloud_in(with_defaults(name, &[(COMPUTE, "m6i.xlarge"), (LOGIN, "t3.large")]));
        cloud.drop_file(CREATE, b"{}");
        let cloud = at_rest(cloud);
        assert_eq!(types(&cloud), ("m6i.xlarge".to_owned(), "t3.large".to_owned()), "{name}");
        assert_eq!(shown(&cloud), of("m6i.xlarge", "t3.large"), "{name}");
    }
}

/// CloudFormation refuses a token that comes with other parameters, so every attempt must ask for what the first one did.
#[test]
fn a_default_that_changes_while_a_cluster_is_made_changes_nothing_of_it() {
    for nth in 0..8 {
        for when in [FaultTiming::Before, FaultTiming::After] {
            let mut cloud = cloud_in(with_defaults("eu-west-2", &[(COMPUTE, "m6i.large"), (LOGIN, "m6i.large")]));
            cloud.world.inject_fault(nth, when);
            cloud.drop_file(CREATE, b"{}");
            let is_broken_off = cloud.deliver(&Event::Upload(CREATE.to_owned())).is_err();
            let is_accepted = cloud.world.state().store.text(cf_sim::Bucket::System, "ledger/alice.json").is_some();
            cloud.world.settings.region = with_defaults("eu-west-2", &[(COMPUTE, "r6i.large"), (LOGIN, "r6i.large")]);
            let cloud = at_rest(cloud);
            let want = if is_accepted { "m6i.large" } else { "r6i.large" };
            assert_eq!(types(&cloud), (want.to_owned(), want.to_owned()), "effect {nth}, {when:?}, broken off: {is_broken_off}");
            assert_eq!((made(&cloud), shown(&cloud)), (1, of(want, want)), "effect {nth}, {when:?}");
        }
    }
}

#[test]
fn a_living_cluster_is_not_another_one_because_the_default_has_changed() {
    let mut cloud = cloud_in(testing::region("eu-north-1"));
    cloud.drop_file(CREATE, b"{}");
    let mut cloud = at_rest(cloud);
    cloud.world.settings.region = with_defaults("eu-north-1", &[(COMPUTE, "m6i.large"), (LOGIN, "m6i.large")]);
    for same in [&b"{}"[..], b"{ }\n", br#"{"ComputeSpotPrice": "0.03"}"#, br#"{"ComputeInstanceTypeOther": "c6i.large-2C-4GB"}"#] {
        cloud.drop_file(CREATE, same);
        cloud = at_rest(cloud);
        assert!(cloud.text("home/alice/demo.cf-created").is_some(), "{}", String::from_utf8_lossy(same));
        assert!(cloud.text("home/alice/demo.cf-failed").is_none(), "{}", String::from_utf8_lossy(same));
    }
    assert_eq!((made(&cloud), shown(&cloud)), (1, of("c6i.large", "c6i.large")));
    cloud.drop_file(CREATE, br#"{"MasterInstanceTypeOther": "m6i.large"}"#);
    let cloud = at_rest(cloud);
    let different = Difference { parameter: LOGIN.into(), has: "c6i.large-2C-4GB".into(), asked: "m6i.large".into() };
    assert_eq!(failed(&cloud, "home/alice/demo"), Message::Differs { cluster: demo(), differences: vec![different] });
}
