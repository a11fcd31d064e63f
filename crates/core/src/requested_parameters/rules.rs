//! The rules that no template can express: one function and one line in the list for each.

use super::{INITIAL, MOST, RequestedParameters};
use crate::instance_type::{Architecture, NODES, Node};
use crate::message::{ParameterProblem, Problem, Rule, Wrong};
use crate::number::Number;
use crate::template::SystemValue;

/// The parameter that bounds how many of the nodes may be on demand; empty: all.
const ON_DEMAND: &str = "ComputeOnDemandMaxNodes";

/// The price of spot nodes; 0: all nodes are on demand.
const PRICE: &str = "ComputeSpotPrice";

/// Which folders have a volume of their own.
const LAYOUT: &str = "VolumeLayout";

/// A kept volume that is to be the home again.
const KEPT_HOME: &str = "HomeVolumeId";

/// A volume's size, its kind, and the folder in [`LAYOUT`] that has it; none: it is always there.
const VOLUMES: [(&str, &str, Option<&str>); 3] = [
    ("HomeVolumeSize", "HomeVolumeType", Some("discrete.home")),
    ("AppsVolumeSize", "AppsVolumeType", Some("discrete.apps")),
    ("MasterSystemVolumeSize", "MasterSystemVolumeType", None),
];

type Check = fn(&RequestedParameters<'_>) -> Vec<Problem>;

const RULES: &[Check] = &[
    initial_nodes_within_max,
    max_nodes_within_limit,
    on_demand_nodes_within_max,
    on_demand_nodes_are_all_without_spot,
    types_have_an_agent,
    zone_is_the_networks,
    volumes_have_a_zone,
    volume_sizes_suit_their_kinds,
    home_is_one,
];

/// The problems of a request, as far as its values are valid by themselves.
pub(super) fn broken(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    RULES.iter().flat_map(|rule| rule(requested)).collect()
}

/// A problem with a value, as it is taken.
fn problem(name: &str, value: &str, rule: Rule) -> Problem {
    Problem::Parameter(Box::new(ParameterProblem { name: name.to_owned(), value: value.to_owned(), wrong: Wrong::Rule(rule), odd: None }))
}

/// A rule that names one problem at most.
fn at_most_one(found: Option<Problem>) -> Vec<Problem> {
    found.into_iter().collect()
}

fn initial_nodes_within_max(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    at_most_one((|| {
        let (initial, most) = (requested.number(INITIAL)?, requested.number(MOST)?);
        let limit = Number::from(requested.settings.nodes_max);
        let here = requested.range_here(INITIAL).nearest(&initial);
        (initial > here).then(|| RequestedParameters::problem(INITIAL, &initial, Wrong::InitialNodes { most, limit, here }))
    })())
}

fn max_nodes_within_limit(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    at_most_one((|| {
        let most = requested.number(MOST)?;
        let limit = Number::from(requested.settings.nodes_max);
        let is_default = !requested.given.contains_key(MOST);
        (most > limit).then(|| RequestedParameters::problem(MOST, &most, Wrong::MaxNodes { limit, is_default }))
    })())
}

fn on_demand_nodes_within_max(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    at_most_one((|| {
        let (on_demand, most) = (requested.number(ON_DEMAND)?, requested.number(MOST)?);
        (on_demand > most).then(|| problem(ON_DEMAND, &on_demand.to_string(), Rule::OnDemandWithinMax { most }))
    })())
}

fn on_demand_nodes_are_all_without_spot(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    at_most_one((|| {
        let (on_demand, most) = (requested.number(ON_DEMAND)?, requested.number(MOST)?);
        let is_too_few = requested.number(PRICE)? == Number::from(0) && on_demand < most;
        is_too_few.then(|| problem(ON_DEMAND, &on_demand.to_string(), Rule::OnDemandIsAllWithoutSpot { most }))
    })())
}

/// Of types that are named. Without the agent for x86_64 is only a local AWS on another machine, where every node is that machine
/// (`AgentArchitectures` in template.yaml).
fn types_have_an_agent(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    let without = |node: Node| {
        let (parameter, kind) = node.named(|name| requested.settings.template.effective(&requested.choices, name))?;
        let (value, architecture) = (requested.choices.get(parameter)?, Architecture::of(kind));
        let is_missing = architecture == Architecture::Arm && !requested.settings.has_agent_for(architecture);
        is_missing.then(|| problem(parameter, value, Rule::NoAgent { kind: kind.to_owned(), architecture }))
    };
    NODES.into_iter().filter_map(without).collect()
}

fn zone_is_the_networks(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    at_most_one((|| {
        let wanted = requested.effective("AvailabilityZone").filter(|zone| !zone.is_empty())?;
        let zone = requested.fixed(SystemValue::Zone);
        (zone != Some(wanted)).then(|| problem("AvailabilityZone", wanted, Rule::OtherZone { zone: zone.map(str::to_owned) }))
    })())
}

/// A volume is made in a zone, and of a network of the administrator's own nobody knows it unless they say it.
fn volumes_have_a_zone(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    at_most_one((|| {
        let layout = requested.effective(LAYOUT)?;
        let is_without = layout != "standard" && requested.fixed(SystemValue::Zone).is_none();
        is_without.then(|| problem(LAYOUT, layout, Rule::NoZone))
    })())
}

/// EBS has no small st1 and sc1 (here from 500 GB, as in the templates that users know), and had no magnetic volume above 1024 GB.
fn volume_sizes_suit_their_kinds(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    let unsuited = |(size, kind, folder): (&'static str, &'static str, Option<&str>)| {
        let is_there = match folder {
            Some(folder) => requested.effective(LAYOUT)?.contains(folder.trim_start_matches("discrete.")),
            None => true,
        };
        if !is_there {
            return None;
        }
        let (number, kind) = (requested.number(size)?, requested.effective(kind)?);
        let is_default = !requested.given.contains_key(size);
        let (least, most) = match kind.rsplit('.').next()? {
            "st1" | "sc1" => (500, 16_384),
            "standard" => (1, 1_024),
            _ => return None,
        };
        let is_right = number >= Number::from(least) && number <= Number::from(most);
        (!is_right).then(|| problem(size, &number.to_string(), Rule::VolumeSize { kind: kind.to_owned(), least, most, is_default }))
    };
    VOLUMES.into_iter().filter_map(unsuited).collect()
}

/// A kept volume is one for the home, and where the site has homes of its own nothing else can be the home.
fn home_is_one(requested: &RequestedParameters<'_>) -> Vec<Problem> {
    let found = || {
        let layout = requested.effective(LAYOUT)?;
        let is_discrete = layout.contains("home");
        let is_the_sites = [SystemValue::HomeEfs, SystemValue::HomeNfs].iter().any(|value| requested.fixed(*value).is_some());
        if is_discrete && is_the_sites {
            return Some(problem(LAYOUT, layout, Rule::HomeIsTheSites));
        }
        let kept = requested.effective(KEPT_HOME).filter(|volume| !volume.is_empty())?;
        (!is_discrete).then(|| problem(KEPT_HOME, kept, Rule::KeptHomeNeedsItsLayout))
    };
    at_most_one(found())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::requested_parameters::read;
    use crate::settings::Settings;
    use crate::testing::settings;

    /// What a request breaks at this deployment, by parameter.
    fn broken_at(settings: &Settings, text: &str) -> Vec<(String, Rule)> {
        let problems = read(&Body::Read(text.into()), settings).err().unwrap_or_default();
        let rule = |problem: Problem| match problem {
            Problem::Parameter(problem) => match problem.wrong {
                Wrong::Rule(rule) => (problem.name, rule),
                other => panic!("{text}: {other:?}"),
            },
            other => panic!("{text}: {other:?}"),
        };
        problems.into_iter().map(rule).collect()
    }

    fn broken(text: &str) -> Vec<(String, Rule)> {
        broken_at(&settings(), text)
    }

    fn only(name: &str, rule: Rule) -> Vec<(String, Rule)> {
        vec![(name.to_owned(), rule)]
    }

    #[test]
    fn c12_nodes_on_demand_are_at_most_as_many_as_nodes_and_all_where_there_is_no_spot() {
        for accepted in [
            r#"{"ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 8}"#,
            r#"{"ComputeOnDemandMaxNodes": ""}"#,
            r#"{"ComputeSpotPrice": 0, "ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 8}"#,
            r#"{"ComputeSpotPrice": 0}"#,
            r#"{"ComputeSpotPrice": "0.01", "ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": "0"}"#,
        ] {
            assert_eq!(broken(accepted), [], "{accepted}");
        }
        let above = broken(r#"{"ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 9}"#);
        assert_eq!(above, only(ON_DEMAND, Rule::OnDemandWithinMax { most: 8.into() }));
        for price in ["0", "0.00"] {
            let text = format!(r#"{{"ComputeSpotPrice": "{price}", "ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 7}}"#);
            assert_eq!(broken(&text), only(ON_DEMAND, Rule::OnDemandIsAllWithoutSpot { most: 8.into() }), "{price}");
        }
        for wrong in ["2.5", "two", "-1", "1001"] {
            let text = format!(r#"{{"ComputeOnDemandMaxNodes": "{wrong}"}}"#);
            let problems = read(&Body::Read(text.into()), &settings()).unwrap_err();
            assert!(matches!(&problems[..], [Problem::Parameter(it)] if matches!(it.wrong, Wrong::Pattern { .. })), "{problems:?}");
        }
    }

    #[test]
    fn an_arm_type_is_refused_where_the_nodes_program_is_not_built_for_it() {
        let text = r#"{"ComputeInstanceTypeOther": "c7g.large"}"#;
        assert_eq!(broken(text), []);
        let mut without = settings();
        without.fixed.remove(&SystemValue::AgentArm);
        let rule = Rule::NoAgent { kind: "c7g.large".into(), architecture: Architecture::Arm };
        assert_eq!(broken_at(&without, text), only("ComputeInstanceTypeOther", rule));
        for accepted in [r#"{"ComputeInstanceTypeOther": "c6i.large"}"#, "{}"] {
            assert_eq!(broken_at(&without, accepted), [], "{accepted}");
        }
    }

    #[test]
    fn only_the_networks_zone_is_taken_and_volumes_need_one() {
        let unknown = Settings { fixed: [].into(), ..settings() };
        let (here, there) = (r#"{"AvailabilityZone": "eu-west-2a"}"#, r#"{"AvailabilityZone": "eu-west-2b"}"#);
        assert_eq!(broken(here), []);
        assert_eq!(broken(there), only("AvailabilityZone", Rule::OtherZone { zone: Some("eu-west-2a".into()) }));
        assert_eq!(broken_at(&unknown, here), only("AvailabilityZone", Rule::OtherZone { zone: None }));
        let discrete = r#"{"VolumeLayout": "discrete.apps"}"#;
        assert_eq!((broken(discrete), broken_at(&unknown, discrete)), (vec![], only(LAYOUT, Rule::NoZone)));
        assert_eq!(broken_at(&unknown, "{}"), []);
    }

    #[test]
    fn c14_a_volumes_size_suits_its_kind_where_it_is_made() {
        let sized =
            |kind: &str, size: u32| format!(r#"{{"VolumeLayout": "discrete.home", "HomeVolumeType": "{kind}", "HomeVolumeSize": {size}}}"#);
        for (kind, good, bad) in [
            ("throughput-optimized-hdd.st1", [500, 16_384], Some(499)),
            ("cold-hdd.sc1", [500, 16_384], Some(499)),
            ("magnetic.standard", [1, 1_024], Some(1_025)),
            ("general-purpose-ssd.gp2", [1, 16_384], None),
            ("general-purpose-ssd.gp3", [1, 16_384], None),
        ] {
            for size in good {
                assert_eq!(broken(&sized(kind, size)), [], "{kind} {size}");
            }
            let Some(bad) = bad else { continue };
            let found = broken(&sized(kind, bad));
            assert!(matches!(&found[..], [(name, Rule::VolumeSize { .. })] if name == "HomeVolumeSize"), "{kind} {bad}: {found:?}");
        }
        // By its default, 400, too.
        let found = broken(r#"{"VolumeLayout": "discrete.home-discrete.apps", "AppsVolumeType": "cold-hdd.sc1"}"#);
        assert!(matches!(&found[..], [(name, Rule::VolumeSize { is_default: true, .. })] if name == "AppsVolumeSize"), "{found:?}");
        // Where it is not made, it has no size.
        assert_eq!(broken(r#"{"HomeVolumeType": "cold-hdd.sc1", "HomeVolumeSize": 10}"#), []);
        let magnetic = r#"{"MasterSystemVolumeType": "magnetic.standard", "MasterSystemVolumeSize": 2000}"#;
        assert_eq!(broken(magnetic).len(), 1);
    }

    #[test]
    fn c14_a_kept_home_comes_again_where_there_is_a_home_of_its_own_and_no_site_has_one() {
        let (again, apart) =
            (r#"{"VolumeLayout": "discrete.home", "HomeVolumeId": "vol-0a1b2c3d"}"#, r#"{"HomeVolumeId": "vol-0a1b2c3d"}"#);
        assert_eq!((broken(again), broken(apart)), (vec![], only(KEPT_HOME, Rule::KeptHomeNeedsItsLayout)));
        let mut site = settings();
        site.fixed.insert(SystemValue::HomeEfs, "fs-0a1b2c3d".into());
        assert_eq!(broken_at(&site, again), only(LAYOUT, Rule::HomeIsTheSites));
        assert_eq!(broken_at(&site, r#"{"VolumeLayout": "discrete.apps"}"#), []);
    }

    #[test]
    fn values_of_older_templates_that_cannot_be_had_are_refused_with_what_to_do_instead() {
        for (name, value, rule) in [
            ("VolumeEncryptionPolicy", "unencrypted", Rule::Unencrypted),
            ("SchedulerType", "gridscheduler", Rule::OtherScheduler),
            ("SchedulerType", "torque", Rule::OtherScheduler),
            ("PreloadSoftware", "bioinformatics", Rule::NoSoftware),
        ] {
            assert_eq!(broken(&format!(r#"{{"{name}": "{value}"}}"#)), only(name, rule), "{value}");
        }
        for (name, value) in [("VolumeEncryptionPolicy", "encrypted"), ("SchedulerType", "slurm"), ("PreloadSoftware", "-none-")] {
            assert_eq!(broken(&format!(r#"{{"{name}": "{value}"}}"#)), [], "{value}");
        }
    }
}
