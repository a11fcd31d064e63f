//! Which of the offered EC2 types the deployment's Region has, and which type the nodes have where a file names none.

use std::collections::{BTreeMap, BTreeSet};

use crate::body::Choices;
use crate::instance_type::{NODES, Node, has_gpus, nearest, type_of};
use crate::message::{ParameterProblem, Problem, RegionAdvice, Wrong};
use crate::template::Template;

/// A line for each Region, made by `tools/regions.py` from the linter's list; `cargo xtask test regions` holds it to that.
const TABLE: &str = include_str!("../../../templates/regions.txt");

/// The default of a Region that is newer than the table. Regions that opened lately lack old families; of those that are
/// offered c7i is the newest, and the five latest Regions of the table have it.
const DEFAULT_ELSEWHERE: &str = "c7i.large-2C-4GB";

/// So many types are named to a user who asked for one that is not there.
const NEAREST_MAX: usize = 3;

/// A Region, as far as EC2 types are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    name: String,
    /// The types and whole families that it lacks. `None` for a Region that the table does not know: nothing is refused there,
    /// and where a type is missing after all, CloudFormation gives the reason.
    lacks: Option<Vec<&'static str>>,
    /// The types that the administrator chose. The table ages; the administrator knows better.
    chosen: BTreeSet<String>,
    /// The values of parameters that a file leaves out, where they are not the template's own defaults.
    defaults: BTreeMap<String, String>,
}

impl Region {
    /// The Region `name`. `chosen` holds the administrator's defaults, by the parameter that each stands for.
    pub fn new(name: &str, template: &Template, chosen: &Choices) -> Self {
        let (default, lacks) = line(name).map_or((DEFAULT_ELSEWHERE, None), |(default, lacks)| (default, Some(lacks)));
        let mut region = Self { name: name.to_owned(), lacks, chosen: BTreeSet::new(), defaults: BTreeMap::new() };
        for node in NODES {
            let Some(parameter) = template.parameters.get(node.other) else { continue };
            let keeps_template_default =
                region.lacks.is_some() && parameter.default.as_deref().is_some_and(|value| region.has(type_of(value)));
            if let Some(value) = chosen.get(node.other) {
                region.chosen.insert(type_of(value).to_owned());
                region.defaults.insert(node.other.to_owned(), value.clone());
            } else if !keeps_template_default && parameter.allowed_values.iter().any(|value| value == default) {
                region.defaults.insert(node.other.to_owned(), default.to_owned());
            }
        }
        region
    }

    /// Whether it has this EC2 type, as far as is known.
    pub fn has(&self, kind: &str) -> bool {
        let family = kind.split('.').next().unwrap_or(kind);
        let is_lacking = |lacks: &Vec<&str>| lacks.iter().any(|word| *word == kind || *word == family);
        self.chosen.contains(kind) || !self.lacks.as_ref().is_some_and(is_lacking)
    }

    /// What stands in place of the template's own default for this parameter, if anything.
    pub fn default_of(&self, parameter: &str) -> Option<&str> {
        self.defaults.get(parameter).map(String::as_str)
    }

    /// What is taken for the parameters that these choices leave out, where it is not the template's own default.
    pub fn defaults_beside(&self, choices: &Choices) -> Choices {
        self.defaults.iter().filter(|(name, _)| !choices.contains_key(*name)).map(|(n, v)| (n.clone(), v.clone())).collect()
    }

    /// The types that a file names and that are not here: refused before anything starts, and never replaced. What the
    /// template does not offer at all is another problem, and not reported twice.
    pub fn absent(&self, choices: &Choices, template: &Template) -> Vec<Problem> {
        let is_legal = |(name, value): &(&String, &String)| template.parameters.get(*name).is_some_and(|p| p.check(name, value).is_none());
        let legal: Choices = choices.iter().filter(is_legal).map(|(n, v)| (n.clone(), v.clone())).collect();
        NODES.into_iter().filter_map(|node| self.absent_for(node, &legal, template)).collect()
    }

    fn absent_for(&self, node: Node, choices: &Choices, template: &Template) -> Option<Problem> {
        let (parameter, kind) = node.named(|name| template.effective(choices, name))?;
        let given = choices.get(parameter)?;
        if self.has(kind) {
            return None;
        }
        let near = nearest(template, node, kind, NEAREST_MAX, |kind| self.has(kind));
        let nothing = Choices::new();
        let default = self.default_of(node.other).or_else(|| template.effective(&nothing, node.other)).unwrap_or_default();
        let near: Vec<String> = near.into_iter().map(str::to_owned).collect();
        let default = default.to_owned();
        let advice = if near.is_empty() && has_gpus(template, node, kind) {
            RegionAdvice::NoGpus { default }
        } else if near.is_empty() {
            RegionAdvice::Default(default)
        } else if parameter == node.size {
            RegionAdvice::ByName { size: node.size, other: node.other, near }
        } else {
            RegionAdvice::Nearest { near, default }
        };
        let wrong = Wrong::NotInRegion { kind: kind.to_owned(), region: self.name.clone(), advice };
        Some(Problem::Parameter(Box::new(ParameterProblem { name: parameter.to_owned(), value: given.clone(), wrong, odd: None })))
    }
}

/// What the table has of a Region: the default, and what it lacks.
fn line(name: &str) -> Option<(&'static str, Vec<&'static str>)> {
    let mut words = TABLE.lines().map(|line| line.split(' ')).find_map(|mut words| (words.next()? == name).then_some(words))?;
    Some((words.next()?, words.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::default_template;

    fn region(name: &str) -> Region {
        Region::new(name, default_template(), &Choices::new())
    }

    fn names() -> impl Iterator<Item = &'static str> {
        TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next())
    }

    fn problems(region: &Region, choices: &[(&str, &str)]) -> Vec<Problem> {
        let choices = choices.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        region.absent(&choices, default_template())
    }

    fn absent(region: &Region, (name, value): (&str, &str), kind: &str, advice: RegionAdvice) -> Problem {
        let wrong = Wrong::NotInRegion { kind: kind.into(), region: region.name.clone(), advice };
        Problem::Parameter(Box::new(ParameterProblem { name: name.into(), value: value.into(), wrong, odd: None }))
    }

    fn types<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(str::to_owned).to_vec()
    }

    #[test]
    fn every_line_of_the_table_speaks_of_what_the_template_offers() {
        let offered = &default_template().parameters[NODES[0].other].allowed_values;
        assert!(names().count() > 30 && names().collect::<BTreeSet<_>>().len() == names().count());
        for name in names() {
            let (default, lacks) = line(name).unwrap();
            assert!(offered.iter().any(|value| value == default) && region(name).has(type_of(default)), "{name}: {default}");
            for word in lacks {
                assert!(offered.iter().any(|v| type_of(v) == word || v.split('.').next() == Some(word)), "{name}: {word}");
            }
        }
    }

    #[test]
    fn where_the_founding_default_exists_it_is_taken() {
        for name in ["eu-west-2", "us-east-1", "ap-northeast-1", "cn-north-1", "us-gov-west-1"] {
            let region = region(name);
            assert!(region.has("c4.large") && region.has("r4.large"), "{name}");
            assert!(region.defaults_beside(&Choices::new()).is_empty(), "{name}");
        }
    }

    #[test]
    fn elsewhere_the_nearest_present_day_type_is_taken() {
        let founding_is_absent: Vec<_> = names().filter(|name| !region(name).has("c4.large")).collect();
        assert_eq!(founding_is_absent.len(), 19);
        for name in founding_is_absent {
            let region = region(name);
            for node in NODES {
                let value = region.default_of(node.other).unwrap();
                assert!(["c6i.large-2C-4GB", "c5.large-2C-4GB"].contains(&value) && region.has(type_of(value)), "{name}: {value}");
            }
        }
        assert_eq!(region("eu-north-1").default_of("MasterInstanceTypeOther"), Some("c6i.large-2C-4GB"));
        assert_eq!(region("eu-central-2").default_of("ComputeInstanceTypeOther"), Some("c5.large-2C-4GB"));
    }

    #[test]
    fn an_unknown_region_refuses_nothing_and_takes_a_present_day_type() {
        let unknown = region("eu-north-7");
        assert!(unknown.has("r4.large"));
        assert_eq!(unknown.default_of("ComputeInstanceTypeOther"), Some(DEFAULT_ELSEWHERE));
        assert!(problems(&unknown, &[("ComputeInstanceTypeOther", "r4.large"), ("MasterInstanceType", "small-t2.large")]).is_empty());
        let latest = ["ap-east-2", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "mx-central-1"];
        assert!(latest.iter().all(|name| region(name).has(type_of(DEFAULT_ELSEWHERE))));
    }

    #[test]
    fn the_administrators_choice_goes_before_the_table() {
        let chosen = Choices::from([("MasterInstanceTypeOther".to_owned(), "t3.large".to_owned())]);
        for (name, compute) in [("eu-west-2", None), ("eu-north-1", Some("c6i.large-2C-4GB")), ("eu-north-7", Some(DEFAULT_ELSEWHERE))] {
            let region = Region::new(name, default_template(), &chosen);
            assert_eq!(region.default_of("MasterInstanceTypeOther"), Some("t3.large"), "{name}");
            assert_eq!(region.default_of("ComputeInstanceTypeOther"), compute, "{name}");
        }
    }

    #[test]
    fn a_type_that_the_administrator_chose_exists_whatever_the_table_says() {
        let chosen = Choices::from([("MasterInstanceTypeOther".to_owned(), "c7i.xlarge".to_owned())]);
        let region = Region::new("me-south-1", default_template(), &chosen);
        assert!(problems(&region, &[("ComputeInstanceTypeOther", "c7i.xlarge-4C-8GB")]).is_empty());
        assert_eq!(problems(&region, &[("ComputeInstanceTypeOther", "c7i.large-2C-4GB")]).len(), 1);
    }

    #[test]
    fn a_named_type_that_is_absent_is_refused_with_the_nearest() {
        let north = region("eu-north-1");
        let founding = [("ComputeInstanceTypeOther", "r4.large-2C-15.25GB"), ("MasterInstanceTypeOther", "r4.large")];
        let near = types(["r7i.large-2C-16GB", "r7a.large-2C-16GB", "r6i.large-2C-16GB"]);
        let advice = RegionAdvice::Nearest { near, default: "c6i.large-2C-4GB".into() };
        assert_eq!(problems(&north, &founding), founding.map(|choice| absent(&north, choice, "r4.large", advice.clone())));
        // What is near is also what exists: this one has no r6i and no r7a.
        let (jakarta, choice) = (region("ap-southeast-3"), ("ComputeInstanceTypeOther", "r4.2xlarge"));
        let near = types(["r7i.2xlarge-8C-64GB", "r5.2xlarge-8C-64GB", "m7i.2xlarge-8C-32GB"]);
        let advice = RegionAdvice::Nearest { near, default: "c5.large-2C-4GB".into() };
        assert_eq!(problems(&jakarta, &[choice]), [absent(&jakarta, choice, "r4.2xlarge", advice)]);
    }

    #[test]
    fn a_named_size_is_answered_with_the_type_to_write_in_its_place() {
        let (north, size) = (region("eu-north-1"), ("MasterInstanceType", "small-t2.large"));
        let near = types(["t3.large-2C-8GB", "m7i.large-2C-8GB", "m7a.large-2C-8GB"]);
        let advice = RegionAdvice::ByName { size: "MasterInstanceType", other: "MasterInstanceTypeOther", near };
        assert_eq!(problems(&north, &[size, ("MasterInstanceTypeOther", "m5.large")]), [absent(&north, size, "t2.large", advice)]);
    }

    #[test]
    fn gpus_that_no_offered_type_has_here_are_not_replaced_by_processors() {
        let (mexico, gpus) = (region("mx-central-1"), ("ComputeInstanceType", "gpu-1GPU-8C-61GB.medium-p3.2xlarge"));
        let advice = RegionAdvice::NoGpus { default: "c6i.large-2C-4GB".into() };
        assert_eq!(problems(&mexico, &[gpus]), [absent(&mexico, gpus, "p3.2xlarge", advice)]);
    }

    #[test]
    fn what_is_not_read_or_not_legal_is_not_judged() {
        let north = region("eu-north-1");
        for choices in [
            &[("MasterInstanceType", "gpu-g4dn.2xlarge"), ("MasterInstanceTypeOther", "r4.large")][..],
            &[("ComputeInstanceTypeOther", "r4.lage-2C-15.25GB")],
            &[("ComputeInstanceType", "r4")],
            &[("ComputeInstanceType", "other")],
            &[],
        ] {
            assert_eq!(problems(&north, choices), [], "{choices:?}");
        }
    }
}
