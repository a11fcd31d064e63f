//! Reading the bytes of a `.cf-create`: hostile until proven a JSON object of plain values.
//! What the values mean is checked in `order`, against the template.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::problem::{Problem, quoted};

/// Two hundred parameters need a fraction of this; more is never read.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How S3 gave us an upload's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Read to its end.
    Read(Vec<u8>),
    /// Not read: its Content-Length, in bytes, is over `BODY_BYTES_MAX`.
    TooLarge(u64),
    /// S3 would not give it out, and never will as it is: archived, or encrypted with a key that we do not have.
    Unreadable(String),
    /// Not asked for.
    Unread,
}

/// The user's choices: parameter and value, as text.
pub type Choices = BTreeMap<String, String>;

/// Reads a body. Every problem is told, as far as the text can be read at all.
pub fn read(body: &Body) -> Result<Choices, Vec<Problem>> {
    let bytes = match body {
        Body::Read(bytes) if bytes.len() <= BODY_BYTES_MAX => bytes,
        Body::Read(bytes) => return Err(vec![too_large(bytes.len() as u64)]),
        Body::TooLarge(size) => return Err(vec![too_large(*size)]),
        Body::Unreadable(why) => {
            return Err(vec![broken(
                &format!(
                    "S3 does not give it out: it is archived, encrypted with a key that clusterdrop may not use, or another account's ({why})"
                ),
                "upload it again plainly: without a key of your own (no --sse-c, no --sse-kms-key-id), in the storage class STANDARD",
            )]);
        }
        Body::Unread => return Err(vec![broken("it was not read", "upload it again")]),
    };
    let value = parse(bytes).map_err(|problem| vec![problem])?;
    let Value::Object(pairs) = value else {
        return Err(vec![broken(
            &format!("it holds {}, not an object of parameters", value.name()),
            "write { \"Parameter\": \"value\", … }; {} alone takes all defaults",
        )]);
    };
    let mut problems = Vec::new();
    let mut choices = Choices::new();
    for (key, value) in pairs {
        match value.into_text(&key) {
            Ok(text) if choices.contains_key(&key) => problems.push(twice(&key, &text)),
            Ok(text) => drop(choices.insert(key, text)),
            Err(problem) => problems.push(problem),
        }
    }
    problems.sort();
    if problems.is_empty() { Ok(choices) } else { Err(problems) }
}

fn too_large(size: u64) -> Problem {
    broken(&format!("it has {size} bytes, and {BODY_BYTES_MAX} are the most"), "keep only the parameters that differ from the defaults")
}

fn broken(stands: &str, next: &str) -> Problem {
    Problem::new("the file", stands, next)
}

fn twice(key: &str, value: &str) -> Problem {
    let name = shown(key);
    Problem::new(format!("{name} = {}", quoted(value)), format!("{name} is given more than once"), "keep one of them")
}

/// Bytes to JSON. A UTF-8 byte order mark is accepted; UTF-16, which `PowerShell`'s `>` writes, is called by its name.
fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let utf16 = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") || (bytes.len() > 1 && (bytes[0] == 0) != (bytes[1] == 0));
    if utf16 {
        return Err(broken(
            "it is written in UTF-16, as PowerShell's > does",
            "save it as UTF-8, in PowerShell with: Set-Content -Encoding utf8",
        ));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|e| broken(&format!("it is not UTF-8 text (byte {})", e.valid_up_to()), "save it as UTF-8"))?;
    if text.trim().is_empty() {
        return Err(broken("it is empty", "write {} to take all defaults"));
    }
    serde_json::from_str(text).map_err(|e| {
        let next = if text.contains('\'') {
            "use double quotes, and no comma after the last value"
        } else {
            "mend that line; a JSON checker shows the place"
        };
        broken(&format!("it is not JSON: {e}"), next)
    })
}

/// JSON, with every pair of an object kept: `serde_json` would let the last of two equal keys win in silence.
enum Value {
    Null,
    Bool(bool),
    Whole(String),
    Fraction(String),
    Text(String),
    Array,
    Object(Vec<(String, Value)>),
}

impl Value {
    const fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Whole(_) | Self::Fraction(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The table: strings as they are, whole numbers in decimal, booleans as `true` and `false`; nothing else.
    fn into_text(self, key: &str) -> Result<String, Problem> {
        let refuse = |given: &str, stands: &str, next: &str| Err(Problem::new(format!("{} = {given}", shown(key)), stands, next));
        if key.chars().any(char::is_control) {
            return refuse("…", "its name holds a control character", "remove it");
        }
        match self {
            Self::Text(text) => match forbidden(&text) {
                Some(why) => refuse(&quoted(&text), &why, "remove it"),
                None => Ok(text),
            },
            Self::Whole(digits) => Ok(digits),
            Self::Bool(b) => Ok(b.to_string()),
            Self::Fraction(digits) => refuse(
                &digits,
                "a number that is not whole may change on its way",
                &format!("write it in quotes, as in \"{}\": \"0.03\"", shown(key)),
            ),
            Self::Null => refuse("null", "null is not a value", "give a value, or leave the line out to take the default"),
            Self::Array => refuse("[…]", "an array is not a value", "give one value in quotes"),
            Self::Object(_) => refuse("{…}", "an object is not a value", "give one value in quotes"),
        }
    }
}

fn shown(key: &str) -> String {
    if key.chars().any(char::is_control) { quoted(key) } else { quoted(key).trim_matches('"').to_owned() }
}

/// What may stand in no value: it would be read by something else further on.
fn forbidden(text: &str) -> Option<String> {
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Some(format!("it holds the control character {c:?}"));
    }
    text.contains("{{").then(|| "it holds \"{{\", with which CloudFormation begins a reference to somebody's secrets".to_owned())
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Whole(n.to_string()))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Whole(n.to_string()))
    }
    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(Value::Fraction(x.to_string()))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        // Walked to its end, so that duplicate keys and depth inside are met as anywhere else.
        while items.next_element::<Value>()?.is_some() {}
        Ok(Value::Array)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry::<String, Value>()? {
            pairs.push(pair);
        }
        Ok(Value::Object(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Choices, Vec<Problem>> {
        read(&Body::Read(text.as_bytes().to_vec()))
    }

    fn only_problem(text: &str) -> String {
        let problems = read_text(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }

    #[test]
    fn strings_whole_numbers_and_booleans_become_text() {
        let choices = read_text(r#"{"a": "x", "b": 25, "c": true, "d": -1, "e": ""}"#).unwrap();
        let got: Vec<_> = choices.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(got, [("a", "x"), ("b", "25"), ("c", "true"), ("d", "-1"), ("e", "")]);
    }

    #[test]
    fn a_byte_order_mark_is_accepted_and_utf_16_is_named() {
        assert!(read_text("\u{feff}{}").unwrap().is_empty());
        for bytes in [&b"\xFF\xFE{\0}\0"[..], b"\xFE\xFF\0{\0}", b"{\0}\0"] {
            let problems = read(&Body::Read(bytes.to_vec())).unwrap_err();
            assert!(problems[0].to_string().contains("UTF-16"), "{problems:?}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused_by_name() {
        for (text, name) in [("[]", "an array"), ("\"x\"", "a string"), ("7", "a number"), ("null", "null"), ("true", "a boolean")] {
            assert!(only_problem(text).contains(name), "{text}");
        }
        assert!(only_problem("").contains("empty") && only_problem(" \n").contains("empty"));
        assert!(only_problem("{'a': 1}").contains("double quotes"));
        assert!(only_problem("{\"a\": 1,}").contains("line 1"));
        assert!(only_problem("{} {}").contains("not JSON"));
    }

    #[test]
    fn hostile_values_are_refused_each_with_its_reason() {
        assert!(only_problem(r#"{"a": 1, "a": 2}"#).contains("more than once"));
        assert!(only_problem(r#"{"a": 12345678901234567890123}"#).contains("whole"));
        assert!(only_problem(r#"{"a": 0.03}"#).contains("in quotes"));
        assert!(only_problem(r#"{"a": 1.0}"#).contains("in quotes"));
        assert!(only_problem(r#"{"a": "x\u0000y"}"#).contains("control character"));
        assert!(only_problem(r#"{"a\nb": "x"}"#).contains("control character"));
        assert!(only_problem(r#"{"a": "{{resolve:ssm:/admin/password}}"}"#).contains("secrets"));
        assert!(only_problem(r#"{"a": {"b": 1}}"#).contains("object"));
        assert!(only_problem(&format!("{{\"a\": {}{}}}", "[".repeat(5000), "]".repeat(5000))).contains("recursion"));
        assert!(only_problem("{\"a\": \"\\ud800\"}").contains("not JSON"));
    }

    /// Found by fuzzing: two of the sentences gave a name back as it was, however long, and whatever it does to a terminal.
    #[test]
    fn a_name_is_told_cut_and_escaped_in_every_sentence() {
        for name in ["é".repeat(5000), "a\u{202e}b".to_owned()] {
            for text in [format!(r#"{{"{name}": 0.5}}"#), format!(r#"{{"{name}": 1, "{name}": 2}}"#), format!(r#"{{"{name}": null}}"#)] {
                let told = only_problem(&text);
                assert!(told.len() < 1000 && !told.contains('\u{202e}'), "{told}");
            }
        }
    }

    #[test]
    fn a_large_file_is_not_read() {
        assert!(read(&Body::TooLarge(10_000_000)).unwrap_err()[0].to_string().contains("10000000 bytes"));
        assert!(read(&Body::Read(vec![b' '; BODY_BYTES_MAX + 1])).is_err());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = read_text(r#"{"a": null, "b": [1], "c": 0.5}"#).unwrap_err();
        assert_eq!(problems.len(), 3);
    }
}
