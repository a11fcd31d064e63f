//! A template's conditions, as far as they decide which resources there are: comparisons of parameters with plain values.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Conditions name each other, and CloudFormation refuses circles; nobody nests deeper than this.
const DEPTH_MAX: usize = 16;

/// One condition (`CloudFormation` user guide, "Condition functions").
#[derive(Debug, Clone, Deserialize)]
pub enum Condition {
    /// Two values are the same text.
    #[serde(rename = "Fn::Equals")]
    Equals(Operand, Operand),
    /// The other does not hold.
    #[serde(rename = "Fn::Not")]
    Not([Box<Self>; 1]),
    /// All hold.
    #[serde(rename = "Fn::And")]
    And(Vec<Self>),
    /// One holds.
    #[serde(rename = "Fn::Or")]
    Or(Vec<Self>),
    /// The condition of this name.
    #[serde(rename = "Condition")]
    Named(String),
    /// What is not computed here.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// One side of a comparison.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    /// As it is written.
    Text(String),
    /// The value of a parameter.
    Parameter {
        /// Its name.
        #[serde(rename = "Ref")]
        name: String,
    },
    /// What is not computed here.
    Unknown(serde_json::Value),
}

/// The conditions of a template by name.
pub type Conditions = BTreeMap<String, Condition>;

/// Whether the condition of this name holds with these values of parameters. `None` where that cannot be computed here.
pub fn holds<'a>(conditions: &'a Conditions, name: &str, value: &impl Fn(&str) -> Option<&'a str>) -> Option<bool> {
    truth(conditions, conditions.get(name)?, value, DEPTH_MAX)
}

fn truth<'a>(all: &'a Conditions, one: &'a Condition, value: &impl Fn(&str) -> Option<&'a str>, depth: usize) -> Option<bool> {
    let depth = depth.checked_sub(1)?;
    let each = |parts: &'a [Condition]| parts.iter().map(|part| truth(all, part, value, depth)).collect::<Option<Vec<bool>>>();
    match one {
        Condition::Equals(left, right) => Some(left.text(value)? == right.text(value)?),
        Condition::Not([inner]) => truth(all, inner, value, depth).map(|holds| !holds),
        Condition::And(parts) => each(parts).map(|parts| parts.iter().all(|holds| *holds)),
        Condition::Or(parts) => each(parts).map(|parts| parts.iter().any(|holds| *holds)),
        Condition::Named(name) => truth(all, all.get(name)?, value, depth),
        Condition::Unknown(_) => None,
    }
}

impl Operand {
    fn text<'a>(&'a self, value: &impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Parameter { name } => value(name),
            Self::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(json: &str) -> Conditions {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_condition_is_computed_from_the_values_of_parameters() {
        let known = conditions(
            r#"{"Free": {"Fn::Equals": [{"Ref": "Price"}, "0"]}, "Paid": {"Fn::Not": [{"Condition": "Free"}]},
                "Both": {"Fn::And": [{"Condition": "Free"}, {"Condition": "Paid"}]},
                "Either": {"Fn::Or": [{"Condition": "Free"}, {"Condition": "Paid"}]}}"#,
        );
        let with = |price: &'static str, name: &str| holds(&known, name, &|parameter: &str| (parameter == "Price").then_some(price));
        for (price, free) in [("0", true), ("0.03", false)] {
            let found = ["Free", "Paid", "Both", "Either"].map(|name| with(price, name));
            assert_eq!(found, [Some(free), Some(!free), Some(false), Some(true)], "{price}");
        }
    }

    #[test]
    fn what_cannot_be_computed_is_neither_true_nor_false() {
        let known = conditions(
            r#"{"Circle": {"Fn::Not": [{"Condition": "Circle"}]}, "Map": {"Fn::Equals": [{"Fn::FindInMap": ["A", "B", "C"]}, "x"]},
                "Strange": {"Fn::Contains": [["a"], "a"]}, "Absent": {"Fn::Equals": [{"Ref": "Nothing"}, ""]}}"#,
        );
        for name in ["Circle", "Map", "Strange", "Absent", "Unheard"] {
            assert_eq!(holds(&known, name, &|_: &str| None), None, "{name}");
        }
    }
}
