//! EC2 types as the parameters of a cluster template name them: which parameters they are, what a value means, and which
//! types are like another. Which of them a Region has is in `region`.

use crate::template::Template;

/// The two parameters of the template that together name the type of one kind of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The word for this kind of node in `.cf-status`.
    pub word: &'static str,
    /// A named size such as `small-t2.large`, or `other`.
    pub size: &'static str,
    /// The type itself, read where the size is `other`.
    pub other: &'static str,
}

/// The compute nodes.
pub const COMPUTE: Node = Node { word: "compute", size: "ComputeInstanceType", other: "ComputeInstanceTypeOther" };

/// The login node.
pub const LOGIN: Node = Node { word: "login", size: "MasterInstanceType", other: "MasterInstanceTypeOther" };

/// The nodes of a cluster.
pub const NODES: [Node; 2] = [COMPUTE, LOGIN];

/// The size that leaves the choice to the other parameter.
const OTHER: &str = "other";

/// The processors that a type has, and that image and agent must be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum Architecture {
    /// Intel and AMD.
    #[strum(serialize = "x86_64")]
    X86,
    /// Graviton.
    #[strum(serialize = "arm64")]
    Arm,
}

impl Architecture {
    /// Of a type. A Graviton has a `g` right after the generation (EC2 user guide, "Instance type naming conventions"); the tests hold
    /// that to every type of `templates/instances.txt`.
    pub fn of(kind: &str) -> Self {
        let family = kind.split('.').next().unwrap_or(kind);
        let after = family.trim_start_matches(|c: char| c.is_ascii_lowercase()).trim_start_matches(|c: char| c.is_ascii_digit());
        if after.starts_with('g') { Self::Arm } else { Self::X86 }
    }

    /// The last word of the public parameter that names the newest image of Debian 13 (wiki.debian.org/Cloud/AmazonEC2Image).
    pub const fn of_debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }
}

/// Whether a cluster placement group takes a type: all that are offered but the burstable ones (EC2 user guide, "Placement strategies").
pub fn stands_in_placement_group(kind: &str) -> bool {
    !kind.starts_with('t')
}

/// What is known of one type. It is written behind its name: `g4dn.xlarge-1GPU-4C-16GB`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    gpus: f64,
    processors: f64,
    gigabytes: f64,
}

impl Node {
    /// The EC2 type that the parameters' values name, and the parameter that names it. `templates/cluster.yaml` follows the
    /// same rule: its mapping gives a named size the type that the size ends in, and of the other's value the first part counts.
    pub fn named<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> Option<(&'static str, &'a str)> {
        match value(self.size)? {
            OTHER => Some((self.other, type_of(value(self.other)?))),
            size => Some((self.size, size.rsplit('-').next().unwrap_or(size))),
        }
    }
}

/// The EC2 type of a value such as `r4.large-2C-15.25GB`.
pub fn type_of(value: &str) -> &str {
    value.split('-').next().unwrap_or(value)
}

/// The values of a node's parameter whose types are likest to `wanted`, at most `most`, of those that `is_there` says are to
/// be had. One with GPUs is like others with GPUs only, and one without like others without; programs of one architecture do not run on
/// the other.
pub fn nearest<'a>(template: &'a Template, node: Node, wanted: &str, most: usize, is_there: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let values = template.parameters.get(node.other).map_or(&[][..], |parameter| &parameter.allowed_values);
    let shaped = || values.iter().filter_map(|value| Some((shape(value)?, value.as_str())));
    let Some((like, _)) = shaped().find(|(_, value)| type_of(value) == wanted) else { return Vec::new() };
    let mut found: Vec<_> = shaped()
        .filter(|(shape, value)| (shape.gpus > 0.0) == (like.gpus > 0.0) && type_of(value) != wanted && is_there(type_of(value)))
        .filter(|(_, value)| Architecture::of(value) == Architecture::of(wanted))
        .map(|(shape, value)| (shape.distance(like), class(value) != class(wanted), value))
        .collect();
    // Of types that are as near, those of the same class first (c for processors, m, r for memory); then the newest.
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(generation(b.2).cmp(&generation(a.2))));
    found.into_iter().take(most).map(|(.., value)| value).collect()
}

/// Whether a template offers `wanted` as one with GPUs.
pub fn has_gpus(template: &Template, node: Node, wanted: &str) -> bool {
    let values = template.parameters.get(node.other).map_or(&[][..], |parameter| &parameter.allowed_values);
    values.iter().filter(|value| type_of(value) == wanted).filter_map(|value| shape(value)).any(|shape| shape.gpus > 0.0)
}

/// What a value says of its type, if it says anything.
fn shape(value: &str) -> Option<Shape> {
    let part = |unit: &str| value.split('-').skip(1).find_map(|part| part.strip_suffix(unit)?.parse::<f64>().ok());
    Some(Shape { gpus: part("GPU").unwrap_or(0.0), processors: part("C")?, gigabytes: part("GB")? })
}

impl Shape {
    /// How many times the one is the other, in each of its figures; 1 where they are the same.
    fn distance(self, other: Self) -> f64 {
        let ratio = |a: f64, b: f64| if a > b { a / b } else { b / a };
        let gpus = if self.gpus > 0.0 && other.gpus > 0.0 { ratio(self.gpus, other.gpus) } else { 1.0 };
        gpus * ratio(self.processors, other.processors) * ratio(self.gigabytes, other.gigabytes)
    }
}

/// What a family is made for: the letter that its name begins with.
fn class(name: &str) -> Option<char> {
    name.chars().next()
}

/// The digit in a family's name.
fn generation(name: &str) -> Option<u32> {
    name.chars().find_map(|c| c.to_digit(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{DEFAULT_TEXT, default_template};

    /// Name, architecture, and whether a placement group takes it, of every type that is known.
    fn known() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let lines = include_str!("../../../templates/instances.txt").lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            Some((*words.first()?, *words.get(1)?, *words.last()? == "cluster"))
        })
    }

    #[test]
    fn the_architecture_and_the_place_of_a_type_follow_from_its_name() {
        assert!(known().count() > 300);
        for (kind, architecture, in_group) in known() {
            assert_eq!(Architecture::of(kind).to_string(), architecture, "{kind}");
            assert_eq!(stands_in_placement_group(kind), in_group, "{kind}");
        }
    }

    /// Slurm has to know of each before there is a machine.
    #[test]
    fn everything_is_known_of_each_type_that_is_offered() {
        let known: Vec<&str> = known().map(|(kind, ..)| kind).collect();
        for node in NODES {
            for value in &default_template().parameters[node.other].allowed_values {
                assert!(known.contains(&type_of(value)), "{value}");
            }
        }
    }

    /// `Mappings: Size` of the template, line by line.
    fn sizes() -> Vec<(&'static str, &'static str)> {
        let line = |line: &'static str| line.trim().strip_suffix('}')?.split_once(": {Type: ");
        let mapping = DEFAULT_TEXT.lines().skip_while(|line| *line != "  Size:").skip(1).take_while(|line| line.starts_with("    "));
        mapping.filter_map(line).filter(|(size, _)| *size != OTHER).collect()
    }

    #[test]
    fn a_named_size_ends_in_the_type_that_the_template_gives_it() {
        let sizes = sizes();
        assert_eq!(sizes.len(), 23);
        for (size, kind) in sizes {
            for node in NODES {
                let value = |name: &str| (name == node.size).then_some(size);
                assert_eq!(node.named(value), Some((node.size, kind)));
            }
        }
    }

    #[test]
    fn every_size_that_a_user_may_name_has_a_type_and_each_type_a_shape() {
        for node in NODES {
            let parameter = |name: &str| &default_template().parameters[name].allowed_values;
            let types: Vec<&str> = parameter(node.other).iter().filter(|value| shape(value).is_some()).map(|v| type_of(v)).collect();
            for value in parameter(node.size).iter().filter(|value| *value != OTHER) {
                let (_, kind) = node.named(|name| (name == node.size).then_some(value.as_str())).unwrap();
                assert!(types.contains(&kind), "{value}");
            }
            for value in parameter(node.other) {
                assert!(types.contains(&type_of(value)), "{value}");
            }
        }
    }

    #[test]
    fn the_other_counts_only_where_the_size_says_so() {
        let [compute, login] = NODES;
        let value = |name: &str| match name {
            "ComputeInstanceType" => Some("other"),
            "MasterInstanceType" => Some("small-t2.large"),
            _ => Some("r4.large-2C-15.25GB"),
        };
        assert_eq!(compute.named(value), Some(("ComputeInstanceTypeOther", "r4.large")));
        assert_eq!(login.named(value), Some(("MasterInstanceType", "t2.large")));
        assert_eq!(login.named(|_| None), None);
    }

    #[test]
    fn the_nearest_are_alike_in_size_then_in_class_then_new() {
        let near =
            |wanted: &str| nearest(default_template(), NODES[0], wanted, 3, |kind| !kind.starts_with("r4.") && !kind.starts_with("c4."));
        assert_eq!(near("r4.large"), ["r7i.large-2C-16GB", "r7a.large-2C-16GB", "r6i.large-2C-16GB"]);
        assert_eq!(near("c4.large"), ["c7i.large-2C-4GB", "c7a.large-2C-4GB", "c6i.large-2C-4GB"]);
        assert_eq!(near("r4.16xlarge"), ["r7i.16xlarge-64C-512GB", "r7a.16xlarge-64C-512GB", "r6i.16xlarge-64C-512GB"]);
        // The newest of this size is of another class.
        assert_eq!(near("t2.large"), ["t3.large-2C-8GB", "t3a.large-2C-8GB", "m7i.large-2C-8GB"]);
        assert_eq!(near("nonsense.large"), [""; 0]);
    }

    #[test]
    fn a_type_is_replaced_by_one_that_runs_the_same_programs() {
        let near = |wanted: &str, family: &'static str| nearest(default_template(), NODES[0], wanted, 1, |kind| !kind.starts_with(family));
        assert_eq!((near("c7g.large", "c7g."), near("c7i.large", "c7i.")), (vec!["c8g.large-2C-4GB"], vec!["c7a.large-2C-4GB"]));
    }

    #[test]
    fn gpus_are_replaced_by_gpus_or_by_nothing() {
        let without = |families: &'static [&str]| {
            nearest(default_template(), NODES[1], "p3.2xlarge", 2, |kind| !families.iter().any(|f| kind.starts_with(f)))
        };
        assert_eq!(without(&["p3."]), ["g6e.2xlarge-1GPU-8C-64GB", "g6.2xlarge-1GPU-8C-32GB"]);
        assert_eq!(without(&["p", "g"]), [""; 0]);
        assert!(has_gpus(default_template(), NODES[1], "p3.2xlarge") && !has_gpus(default_template(), NODES[1], "r4.large"));
    }
}
