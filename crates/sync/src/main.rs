//! Generated text in committed files. The policies of `iam/` name the files of every verb; template.yaml repeats these policies, the
//! cluster template's digest, the types that its nodes may have, and has a rule for the uploads of each verb and the names that look
//! like them; docs/users.md has the parameters of the cluster template. `cf-sync check` fails
//! where one is out of date (`cargo xtask test sync`); `cf-sync` writes it (`cargo xtask sync`).

mod parameters;
mod verbs;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cf_core::instance_type::type_of;
use cf_core::template::default_template;
use cf_local::root;

/// The files with generated text.
const FILES: [&str; 2] = ["template.yaml", "docs/users.md"];

/// How a line begins and ends that marks where generated text begins: a comment of YAML, and one of Markdown.
const MARKERS: [(&str, &str); 2] = [("# begin ", ""), ("<!-- begin ", " -->")];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(),
        ["check"] => check(),
        _ => bail!("usage: cf-sync [check]"),
    }
}

fn write() -> Result<()> {
    each(|path, file, old, new| {
        if new == old {
            println!("{file} is current.");
        } else {
            fs::write(path, new)?;
            println!("{file} was brought up to date.");
        }
        Ok(())
    })
}

/// Fails where a file is not what follows from the other files.
fn check() -> Result<()> {
    each(|_, file, old, new| if new == old { Ok(()) } else { bail!("{file} is out of date: run `cargo xtask sync`") })
}

/// Each file with generated text, as it is and as it should be. The policies first: the template has what is in them by then.
fn each(mut with: impl FnMut(&Path, &str, &str, &str) -> Result<()>) -> Result<()> {
    let mut policies: Vec<String> = Vec::new();
    for entry in fs::read_dir(root().join("iam"))? {
        let name = PathBuf::from(entry?.file_name());
        policies.extend((name.extension() == Some("json".as_ref())).then(|| format!("iam/{}", name.display())));
    }
    policies.sort();
    for file in policies.iter().map(String::as_str).chain(FILES) {
        let path = root().join(file);
        let old = fs::read_to_string(&path)?;
        let new = if file.starts_with("iam/") { verbs::named_in_full(&old) } else { current(&old).with_context(|| file.to_owned())? };
        with(&path, file, &old, &new)?;
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
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") }).collect()
}

/// The generated text between two markers.
fn part(name: &str) -> Result<String> {
    match name.split_once(' ') {
        None if name == "parameters" => parameters::tables(),
        None if name == "rules" => Ok(verbs::rules()),
        None if name == "notifications" => Ok(verbs::notifications()),
        Some(("types", rest)) => types(rest.strip_prefix("of ").unwrap_or(rest)),
        _ => policy(name),
    }
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

    #[test]
    fn what_is_between_markers_is_written_anew() {
        let new = current("  # begin notifications\n  - old\n  # end notifications\n").expect("a part that is known");
        assert!(new.contains("\n  - Event: s3:ObjectCreated:*\n") && !new.contains("old"), "{new}");
        assert!(current("# begin weather\n# end weather\n").is_err());
        assert!(current("# begin notifications\n").is_err());
    }

    #[test]
    fn markdown_has_markers_of_its_own() {
        let new = current("before\n<!-- begin parameters -->\nwas written before\n<!-- end parameters -->\nafter\n")
            .expect("a part that is known");
        assert!(new.starts_with("before\n<!-- begin parameters -->\n\n| parameter |"), "{new}");
        assert!(new.ends_with("|\n\n<!-- end parameters -->\nafter\n") && !new.contains("was written before"), "{new}");
    }
}
