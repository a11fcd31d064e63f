//! The parameters that a user may set, as docs/users.md shows them: meaning, default and allowed values of each, from
//! templates/cluster.yaml.

use anyhow::{Context, Result, bail};
use cf_core::template::{Parameter, Template, default_template};

/// A cell of the table lists up to so many values; a longer list has a table of its own.
const IN_A_CELL_MAX: usize = 8;

/// The parameters of the default template, between empty lines: one table, then one for each long list of values.
pub fn tables() -> Result<String> {
    let template = default_template();
    let parameters = user_parameters(template)?;
    let mut text = "\n| parameter | meaning | default | allowed values |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, parameter) in &parameters {
        if parameter.description.is_empty() {
            bail!("the parameter {name} of templates/cluster.yaml has no Description");
        }
        let default =
            parameter.default.as_deref().with_context(|| format!("the parameter {name} of templates/cluster.yaml has no Default"))?;
        text += &format!("| `{name}` | {} | `{default}` | {} |\n", parameter.description, allowed(parameter, &parameters));
    }
    for (names, values) in long_lists(&parameters) {
        text += &format!("\n#### {}\n\n{}", heading(&names), by_family(values));
    }
    Ok(text + "\n")
}

/// The parameters that a user may set, in the order of the template's Metadata.
fn user_parameters(template: &Template) -> Result<Vec<(&str, &Parameter)>> {
    let named = |name: &String| template.parameters.get_key_value(name).with_context(|| format!("there is no parameter {name}"));
    template.metadata.user_parameters.iter().map(|name| named(name).map(|(name, parameter)| (name.as_str(), parameter))).collect()
}

/// The cell with the allowed values of one parameter.
fn allowed(parameter: &Parameter, all: &[(&str, &Parameter)]) -> String {
    let values = &parameter.allowed_values;
    if values.len() > IN_A_CELL_MAX {
        let names = all.iter().filter(|(_, other)| other.allowed_values == *values).map(|(name, _)| *name).collect::<Vec<_>>();
        return format!("one of [{} values](#{})", values.len(), anchor(&heading(&names)));
    }
    match (&parameter.range.least, &parameter.range.most) {
        _ if !values.is_empty() => code(values),
        (Some(least), Some(most)) => format!("a number from {least} to {most}"),
        _ => "any".to_owned(),
    }
}

/// The lists that are too long for a cell, in the order of the table, each with the parameters that share it.
fn long_lists<'a>(parameters: &[(&'a str, &'a Parameter)]) -> Vec<(Vec<&'a str>, &'a [String])> {
    let mut lists: Vec<(Vec<&str>, &[String])> = Vec::new();
    for (name, parameter) in parameters.iter().filter(|(_, parameter)| parameter.allowed_values.len() > IN_A_CELL_MAX) {
        match lists.iter_mut().find(|(_, values)| *values == parameter.allowed_values) {
            Some((names, _)) => names.push(name),
            None => lists.push((vec![name], &parameter.allowed_values)),
        }
    }
    lists
}

fn heading(names: &[&str]) -> String {
    format!("Values of {}", names.join(" and "))
}

/// GitHub's anchor for a heading of letters and spaces.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

/// A row for each family. Of a type that is allowed with and without its size, only the longer value is listed.
fn by_family(values: &[String]) -> String {
    let has_longer = |value: &String| values.iter().any(|other| other.strip_prefix(value).is_some_and(|rest| rest.starts_with('-')));
    let (short, listed): (Vec<&String>, Vec<&String>) = values.iter().partition(|value| has_longer(value));
    let mut families: Vec<(&str, Vec<&String>)> = Vec::new();
    for value in listed {
        let family = value.split(['-', '.']).next().unwrap_or(value);
        match families.last_mut() {
            Some((last, values)) if *last == family => values.push(value),
            _ => families.push((family, vec![value])),
        }
    }
    let mut text = String::new();
    if let Some(example) = short.first() {
        text += &format!("The type alone, without its size, is the same value: `{example}`.\n\n");
    }
    text += "| family | values |\n| --- | --- |\n";
    text + &families.iter().map(|(family, values)| format!("| {family} | {} |\n", code(values))).collect::<String>()
}

fn code<S: AsRef<str>>(values: &[S]) -> String {
    values.iter().map(|value| format!("`{}`", value.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_a_user_has_a_line_with_its_default_and_its_values() {
        let text = tables().expect("the template describes its parameters");
        for name in &default_template().metadata.user_parameters {
            assert_eq!(text.matches(&format!("| `{name}` | ")).count(), 1, "{name}");
        }
        assert!(text.contains("| `16` | a number from 16 to 16384 |\n"), "{text}");
        assert!(text.contains("| `enabled` | `enabled`, `disabled` |\n"), "{text}");
        assert!(text.contains("(#values-of-computeinstancetypeother-and-masterinstancetypeother)"), "{text}");
        assert!(text.contains("\n#### Values of ComputeInstanceTypeOther and MasterInstanceTypeOther\n"), "{text}");
    }

    #[test]
    fn a_type_that_is_allowed_with_and_without_its_size_is_listed_once() {
        let values = ["c4.large", "c4.large-2C-3.75GB", "c4.xlarge-4C-7.5GB", "c5.large"].map(str::to_owned);
        let text = by_family(&values);
        assert!(text.contains("the same value: `c4.large`."), "{text}");
        assert!(text.contains("| c4 | `c4.large-2C-3.75GB`, `c4.xlarge-4C-7.5GB` |\n| c5 | `c5.large` |\n"), "{text}");
    }
}
