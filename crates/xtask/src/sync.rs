//! Generated text in committed files. template.yaml repeats the cluster template's digest, the types that its nodes may have, the
//! policies of `iam/`, and the endings of file names that look like a request's; docs/users.md has the parameters of the cluster
//! template. A test fails where one is out of date; `cargo xtask sync` writes it.

use std::fs;

use anyhow::{Context, Result, bail};
use cf_core::instance_type::type_of;
use cf_core::key::Verb;
use cf_core::template::default_template;
use cf_e2e::root;

use crate::parameters;

/// The files with generated text.
const FILES: [&str; 2] = ["template.yaml", "docs/users.md"];

/// How a line begins and ends that marks where generated text begins: a comment of YAML, and one of Markdown.
const MARKERS: [(&str, &str); 2] = [("# begin ", ""), ("<!-- begin ", " -->")];

pub fn run() -> Result<()> {
    for file in FILES {
        let path = root().join(file);
        let old = fs::read_to_string(&path)?;
        let new = current(&old).with_context(|| file)?;
        if new == old {
            println!("{file} is current.");
        } else {
            fs::write(&path, new)?;
            println!("{file} was brought up to date.");
        }
    }
    Ok(())
}

/// Fails where a file is not what follows from the other files.
pub fn check() -> Result<()> {
    for file in FILES {
        let text = fs::read_to_string(root().join(file))?;
        if current(&text).with_context(|| file)? != text {
            bail!("{file} is out of date: run `cargo xtask sync`");
        }
    }
    Ok(())
}

/// A file's text with its generated parts made anew.
fn current(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut inside: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some((name, end)) = begun(trimmed) {
            let indent = &line[..line.len() - trimmed.len()];
            out += &format!("{line}\n{}", indented(&part(name)?, indent));
            inside = Some(end);
        } else if inside.as_deref() == Some(trimmed) {
            out += &format!("{line}\n");
            inside = None;
        } else if inside.is_none() {
            out += &format!("{}\n", digest(line));
        }
    }
    match inside {
        Some(marker) => bail!("there is no {marker:?}"),
        None => Ok(out),
    }
}

/// The name of the part that begins with this line, and the line that ends it.
fn begun(line: &str) -> Option<(&str, String)> {
    let name = |(before, after): &(&str, &str)| line.strip_prefix(before)?.strip_suffix(after);
    let name = MARKERS.iter().find_map(name)?;
    Some((name, line.replacen("begin", "end", 1)))
}

fn digest(line: &str) -> String {
    match line.split_once("Digest: \"") {
        Some((before, _)) => format!("{before}Digest: \"{}\"", default_template().digest),
        None => line.to_owned(),
    }
}

/// The values that an administrator may choose for a parameter of the cluster template, in the flow style of YAML: nothing, and
/// each type by EC2's own name.
fn types(parameter: &str) -> Result<String> {
    let template = default_template();
    let Some(values) = template.parameters.get(parameter).map(|p| &p.allowed_values) else { bail!("there is no parameter {parameter}") };
    let mut lines = vec!["\"\"".to_owned()];
    let mut family = None;
    for name in values.iter().filter(|value| type_of(value) == value.as_str()) {
        let its = name.split('.').next();
        match lines.last_mut() {
            Some(line) if family == its => *line += &format!(", {name}"),
            _ => lines.push(name.clone()),
        }
        family = its;
    }
    Ok(lines.join(",\n"))
}

fn indented(text: &str, indent: &str) -> String {
    text.lines().map(|line| format!("{indent}{line}\n")).collect()
}

/// The generated text between two markers.
fn part(name: &str) -> Result<String> {
    match name.split_once(' ') {
        None if name == "parameters" => parameters::tables(),
        Some(("patterns", verb)) => Ok(patterns(named(verb)?)),
        Some(("notifications", verb)) => Ok(notifications(named(verb)?)),
        Some(("types", rest)) => types(rest.strip_prefix("of ").unwrap_or(rest)),
        _ => policy(name),
    }
}

fn named(verb: &str) -> Result<Verb> {
    Verb::ALL.into_iter().find(|v| v.suffix() == format!(".cf-{verb}")).with_context(|| format!("{verb:?} is no verb"))
}

/// For an EventBridge rule, which compares in any case.
fn patterns(verb: Verb) -> String {
    verb.lookalikes().iter().map(|ending| format!("- suffix: {{equals-ignore-case: \"{ending}\"}}\n")).collect()
}

/// For a bucket's own notifications.
fn notifications(verb: Verb) -> String {
    let function =
        format!("arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{Prefix}}-{}", &verb.suffix()[1..]);
    let rule = |ending: &&str| {
        let filter = format!("{{S3Key: {{Rules: [{{Name: prefix, Value: home/}}, {{Name: suffix, Value: {ending}}}]}}}}");
        format!("- Event: s3:ObjectCreated:*\n  Function: !Sub {function}\n  Filter: {filter}\n")
    };
    verb.lookalikes_told_by_buckets().iter().map(rule).collect()
}

/// A policy as it stands in template.yaml: the file's text, with each value that has a placeholder under `Fn::Sub`.
fn policy(name: &str) -> Result<String> {
    let path = root().join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("{name} is named in template.yaml"))?;
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('"') {
        let (before, from) = rest.split_at(start);
        let Some(length) = token_length(from) else { bail!("{name} has a string without an end") };
        let (token, after) = from.split_at(length);
        let is_key = after.trim_start().starts_with(':');
        out += before;
        if token.contains("${") && !is_key {
            out += &format!("{{\"Fn::Sub\": {}}}", escape_variables(token));
        } else {
            out += token;
        }
        rest = after;
    }
    Ok(out + rest)
}

/// The bytes of the JSON string that `text` begins with, both quotes included.
fn token_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Some(at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// IAM's own variables begin in lower case (`${aws:username}`); `Fn::Sub` leaves `${!…}` alone.
fn escape_variables(token: &str) -> String {
    let mut out = String::new();
    let mut rest = token;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at + 2);
        out += before;
        if from.starts_with(|c: char| c.is_ascii_lowercase() || "*?$".contains(c)) {
            out.push('!');
        }
        rest = from;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EventBridge's quota for a pattern, in characters (EventBridge User Guide, "Amazon EventBridge quotas"). The longest
    /// name of a bucket and everything else of the pattern stay below the rest.
    const PATTERN_CHARACTERS_MAX: usize = 2048;
    const REST_OF_PATTERN: usize = 270;

    #[test]
    fn the_patterns_fit_into_a_rule() {
        for verb in Verb::ALL {
            let written: usize =
                verb.lookalikes().iter().map(|e| format!("{{\"suffix\":{{\"equals-ignore-case\":\"{e}\"}}}},").len()).sum();
            assert!(written + REST_OF_PATTERN <= PATTERN_CHARACTERS_MAX, "{verb:?}: {written}");
        }
    }

    #[test]
    fn what_stands_between_markers_is_written_anew() {
        let old = "  # begin patterns delete\n  - suffix: {equals-ignore-case: \".old\"}\n  # end patterns delete\n";
        let new = current(old).expect("a part that is known");
        assert!(new.contains("\n  - suffix: {equals-ignore-case: \".cf-delete.txt\"}\n") && !new.contains(".old"), "{new}");
        assert!(current("# begin patterns weather\n# end patterns weather\n").is_err());
        assert!(current("# begin patterns delete\n").is_err());
    }

    #[test]
    fn markdown_has_markers_of_its_own() {
        let new = current("before\n<!-- begin parameters -->\nold\n<!-- end parameters -->\nafter\n").expect("a part that is known");
        assert!(new.starts_with("before\n<!-- begin parameters -->\n\n| parameter |"), "{new}");
        assert!(new.ends_with("|\n\n<!-- end parameters -->\nafter\n") && !new.contains("old"), "{new}");
    }
}
