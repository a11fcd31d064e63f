//! A user's order: the choices of a `.cf-create`, checked against the template, and the rules that no template can say.

use crate::body::{self, Body, Choices};
use crate::problem::{Problem, nearest, quoted};
use crate::site::Site;
use crate::template::Template;

/// Reads and checks an order. All problems are told at once, sorted.
pub fn read(body: &Body, site: &Site) -> Result<Choices, Vec<Problem>> {
    let choices = body::read(body)?;
    let mut problems: Vec<Problem> = choices.iter().filter_map(|(name, value)| check_parameter(site.template, name, value)).collect();
    problems.extend(site.region.absent(&choices, site.template));
    // A rule speaks of values that are each legal alone.
    if problems.is_empty() {
        problems.extend(RULES.iter().filter_map(|rule| rule(&choices, site)));
    }
    problems.sort();
    if problems.is_empty() { Ok(choices) } else { Err(problems) }
}

fn check_parameter(template: &Template, name: &str, value: &str) -> Option<Problem> {
    let asked = || format!("{} = {}", quoted(name).trim_matches('"'), quoted(value));
    if template.is_protected(name) {
        return Some(Problem::new(asked(), "only the system sets this one", "leave the line out"));
    }
    if let Some(parameter) = template.parameters.get(name) {
        parameter.check(name, value)
    } else {
        let users = template.metadata.user_parameters.iter().map(String::as_str);
        let next = match nearest(name, users.clone()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("leave the line out; you can set {}", users.collect::<Vec<_>>().join(", ")),
        };
        Some(Problem::new(asked(), "there is no such parameter", next))
    }
}

/// What the template cannot say. A rule is one function and one line here.
const RULES: &[fn(&Choices, &Site) -> Option<Problem>] = &[
    |choices, _| whole(choices, "ComputeInitialNodes"),
    |choices, _| whole(choices, "ComputeMaxNodes"),
    |choices, _| whole(choices, "MasterSystemVolumeSize"),
    initial_nodes_within_max,
    max_nodes_within_limit,
];

/// There is no half a node; and the rules below compare whole numbers, so one that is not must not get past them.
fn whole(choices: &Choices, name: &str) -> Option<Problem> {
    let given = choices.get(name)?;
    given
        .parse::<u64>()
        .is_err()
        .then(|| Problem::new(format!("{name} = {}", quoted(given)), "it is not a whole number", "write it with digits alone, such as 16"))
}

fn number(choices: &Choices, site: &Site, name: &str) -> Option<u64> {
    site.effective(choices, name)?.parse().ok()
}

fn initial_nodes_within_max(choices: &Choices, site: &Site) -> Option<Problem> {
    let initial = number(choices, site, "ComputeInitialNodes")?;
    let most = number(choices, site, "ComputeMaxNodes")?;
    (initial > most).then(|| {
        Problem::new(
            format!("ComputeInitialNodes = \"{initial}\""),
            format!("it is more than ComputeMaxNodes, which is {most}"),
            format!("ask for at most {most} initial nodes, or raise ComputeMaxNodes"),
        )
    })
}

fn max_nodes_within_limit(choices: &Choices, site: &Site) -> Option<Problem> {
    let most = number(choices, site, "ComputeMaxNodes")?;
    (most > u64::from(site.nodes_max)).then(|| {
        Problem::new(
            format!("ComputeMaxNodes = \"{most}\""),
            format!("a cluster may have at most {} compute nodes here", site.nodes_max),
            format!("ask for at most {}, or ask the administrator for more", site.nodes_max),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::site;

    fn problems(text: &str) -> Vec<String> {
        read(&Body::Read(text.into()), &site()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_founding_example_is_accepted() {
        let text = include_bytes!("../../../templates/example.cf-create");
        let order = read(&Body::Read(text.to_vec()), &site()).unwrap();
        assert_eq!(order.len(), 9);
        assert_eq!(order["ComputeInstanceTypeOther"], "r4.large-2C-15.25GB");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_name() {
        let got = problems(r#"{"ComputeSpotPrize": "0.03"}"#);
        assert!(got[0].contains("did you mean ComputeSpotPrice?"), "{got:?}");
    }

    #[test]
    fn a_protected_parameter_is_refused_and_never_corrected_in_silence() {
        for name in ["AccessUsername", "FlightProfiles", "AccessNetwork", "ProfileBucket", "SubnetId", "NodePermissionsBoundary"] {
            let got = problems(&format!(r#"{{"{name}": "bob"}}"#));
            assert!(got[0].contains("only the system"), "{got:?}");
        }
    }

    #[test]
    fn three_mistakes_are_told_in_one_answer() {
        let got = problems(r#"{"MasterSystemVolumeSize": "15", "ComputeSpotPrize": 1, "AutoscalingPolicy": "on"}"#);
        assert_eq!(got.len(), 3, "{got:?}");
    }

    #[test]
    fn a_number_that_is_not_whole_does_not_get_past_the_limits() {
        for odd in ["33.0", "33.5", "999.5", "1000.0"] {
            assert!(problems(&format!(r#"{{"ComputeMaxNodes": "{odd}"}}"#))[0].contains("not a whole number"), "{odd}");
        }
    }

    #[test]
    fn a_price_has_one_spelling() {
        for odd in ["00", "0.", "0.00000", "00.5", "1.23456"] {
            assert!(problems(&format!(r#"{{"ComputeSpotPrice": "{odd}"}}"#))[0].contains("ComputeSpotPrice"), "{odd}");
        }
    }

    #[test]
    fn what_the_template_cannot_say_is_a_rule() {
        assert!(problems(r#"{"ComputeInitialNodes": "9", "ComputeMaxNodes": "8"}"#)[0].contains("more than ComputeMaxNodes"));
        assert!(problems(r#"{"ComputeMaxNodes": 33}"#)[0].contains("at most 32"));
        // The default of the other one counts too.
        assert!(problems(r#"{"ComputeInitialNodes": "9"}"#)[0].contains("which is 4"));
    }
}
