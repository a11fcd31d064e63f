//! `customizer/index.yml`: which profiles a bucket offers (facts B.4): `profiles: {<name>: {manifest: [paths], tags: [words]}}`.
//!
//! Other tools write it too, so what is not understood is kept as it is. It is read as YAML and hostile; JSON is YAML as well.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

/// The most bytes of the file.
pub const BYTES_MAX: u64 = 1024 * 1024;

/// Its key.
pub const KEY: &str = "customizer/index.yml";

/// The tag of profiles that `avail` does not show.
pub const HIDDEN: &str = "hidden";

/// The tag of profiles that only a boot can apply.
pub const STARTUP: &str = "startup";

/// The deepest nesting that is read: the parser calls itself for each level, and a stack is not endless. Ours has four.
const DEPTH_MAX: usize = 32;

/// Why a text is no index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not the form.
    #[error("the bucket's {KEY} is not of its form (profiles, each with manifest and tags): {0}; correct it, or remove it and push again")]
    Malformed(String),
    /// As an attack would be.
    #[error("the bucket's {KEY} is nested deeper than {DEPTH_MAX} levels and is not read; remove it and push again")]
    Deep,
}

/// The index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index(Map<String, Value>);

impl Index {
    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let text = std::str::from_utf8(bytes).map_err(|error| IndexError::Malformed(error.to_string()))?;
        if is_deep(text) {
            return Err(IndexError::Deep);
        }
        let documents = YamlOwned::load_from_str(text).map_err(|error| IndexError::Malformed(error.to_string()))?;
        let whole = documents.first().map_or(Ok(Value::Null), plain).map_err(|error| IndexError::Malformed(error.to_owned()))?;
        let map = match whole {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            _ => return Err(IndexError::Malformed("it is no mapping".to_owned())),
        };
        match map.get("profiles") {
            None | Some(Value::Null | Value::Object(_)) => Ok(Self(map)),
            Some(_) => Err(IndexError::Malformed("profiles is no mapping".to_owned())),
        }
    }

    fn profiles(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get("profiles").and_then(Value::as_object).into_iter().flatten()
    }

    /// The profiles and their tags.
    pub fn tags(&self) -> BTreeMap<&str, Vec<&str>> {
        self.profiles().map(|(name, entry)| (name.as_str(), words(&entry["tags"]))).collect()
    }

    /// Whether a profile has a tag.
    pub fn has_tag(&self, profile: &str, tag: &str) -> bool {
        self.profiles().any(|(name, entry)| name == profile && words(&entry["tags"]).contains(&tag))
    }

    /// Puts a profile's entry in; what else was known of it is kept.
    pub fn set(&mut self, profile: &str, manifest: &[String], tags: &[String]) {
        let profiles = self.0.entry("profiles").or_insert_with(|| json!({}));
        if !profiles.is_object() {
            *profiles = json!({});
        }
        let entry = &mut profiles[profile];
        if !entry.is_object() {
            *entry = json!({});
        }
        entry["manifest"] = json!(manifest);
        entry["tags"] = json!(tags);
    }

    /// The file's text: block YAML with quoted texts, so that people can read it and no text is taken for a number.
    pub fn text(&self) -> String {
        let mut text = String::from("---\n");
        for (key, value) in self.0.iter().filter(|(key, _)| *key != "profiles") {
            text += &format!("{}: {value}\n", json!(key));
        }
        text += "profiles:\n";
        for (name, entry) in self.profiles() {
            text += &format!("  {}:\n", json!(name));
            for (key, value) in entry.as_object().into_iter().flatten() {
                match value.as_array().filter(|items| !items.is_empty()) {
                    Some(items) => {
                        text += &format!("    {}:\n", json!(key));
                        for item in items {
                            text += &format!("      - {item}\n");
                        }
                    }
                    None => text += &format!("    {}: {value}\n", json!(key)),
                }
            }
        }
        text
    }
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether the nesting may be deeper than what is read: brackets, `- - -` in one line, or indentation. A text with so many brackets
/// within quotes is refused too, which no index needs.
fn is_deep(text: &str) -> bool {
    let mut open = 0_usize;
    for line in text.lines() {
        let indented = line.len() - line.trim_start().len();
        let marks = line.split_whitespace().take_while(|word| matches!(*word, "-" | "?" | ":")).count();
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEPTH_MAX {
                return true;
            }
        }
        if indented > 4 * DEPTH_MAX || marks > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// YAML as JSON.
fn plain(node: &YamlOwned) -> Result<Value, &'static str> {
    Ok(match node {
        YamlOwned::Value(ScalarOwned::Null) => Value::Null,
        YamlOwned::Value(ScalarOwned::Boolean(flag)) => json!(flag),
        YamlOwned::Value(ScalarOwned::Integer(number)) => json!(number),
        YamlOwned::Value(ScalarOwned::FloatingPoint(number)) => json!(number.into_inner()),
        YamlOwned::Value(ScalarOwned::String(text)) | YamlOwned::Representation(text, ..) => json!(text),
        YamlOwned::Sequence(items) => Value::Array(items.iter().map(plain).collect::<Result<_, _>>()?),
        YamlOwned::Mapping(pairs) => Value::Object(pairs.iter().map(pair).collect::<Result<_, _>>()?),
        YamlOwned::Tagged(_, inner) => plain(inner)?,
        YamlOwned::Alias(_) | YamlOwned::BadValue => return Err("it has a value that cannot be read"),
    })
}

fn pair((key, value): (&YamlOwned, &YamlOwned)) -> Result<(String, Value), &'static str> {
    let key = match plain(key)? {
        Value::String(key) => key,
        Value::Array(_) | Value::Object(_) | Value::Null => return Err("it has a key that is no text"),
        other => other.to_string(),
    };
    Ok((key, plain(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "---\nprofiles:\n  foo:\n    manifest:\n    - configure.d/foo.sh\n    tags: [hidden]\n    author: jane\n  '12':\n    tags:\n    - startup\nversion: 2\n";

    #[test]
    fn what_the_old_tool_wrote_is_read_changed_and_kept() {
        let mut index = Index::parse(OLD.as_bytes()).unwrap();
        assert_eq!(index.tags(), BTreeMap::from([("12", vec!["startup"]), ("foo", vec!["hidden"])]));
        assert!(index.has_tag("12", STARTUP) && !index.has_tag("foo", STARTUP) && !index.has_tag("bar", STARTUP));
        index.set("foo", &["a.d/\"x\": y\n".to_owned(), "b".to_owned()], &[]);
        index.set("bar", &[], &["startup".to_owned()]);
        let read = Index::parse(index.text().as_bytes()).unwrap();
        assert_eq!(read, index);
        assert_eq!(read.0["version"], 2);
        assert_eq!(read.0["profiles"]["foo"]["author"], "jane");
        assert_eq!(read.0["profiles"]["foo"]["manifest"][0], "a.d/\"x\": y\n");
        assert!(index.text().contains("  \"foo\":\n    \"author\": \"jane\"\n    \"manifest\":\n      - "), "{}", index.text());
    }

    #[test]
    fn an_empty_index_is_one_and_what_is_none_is_refused_with_what_to_do() {
        for text in ["", "---\n", "profiles:\n", "{}"] {
            assert_eq!(Index::parse(text.as_bytes()).unwrap().tags().len(), 0, "{text:?}");
        }
        for text in ["[]", "profiles: 3", "profiles: [", "\u{0}", "? [a]\n: b"] {
            assert!(matches!(Index::parse(text.as_bytes()), Err(IndexError::Malformed(_))), "{text:?}");
        }
        assert!(matches!(Index::parse(b"\xff"), Err(IndexError::Malformed(_))));
    }

    #[test]
    fn a_text_that_would_exhaust_the_stack_or_the_memory_is_refused() {
        let steps: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(50_000), steps] {
            assert_eq!(Index::parse(text.as_bytes()), Err(IndexError::Deep));
        }
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for nth in 1..12 {
            let before = format!("*a{}", nth - 1);
            bomb += &format!("a{nth}: &a{nth} [{}]\n", [before.as_str(); 10].join(", "));
        }
        assert!(matches!(Index::parse(bomb.as_bytes()), Err(IndexError::Malformed(_))));
    }
}
