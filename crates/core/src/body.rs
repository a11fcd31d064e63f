//! Reading the bytes of a `.cf-create`: hostile until proven a JSON object of plain values.
//! What the values mean is checked in `requested_parameters`, against the template.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::{self, FileProblem, JsonType, Problem, TextProblem, ValueProblem};

mod bytes;
mod mistake;
mod repair;
mod words;

pub use mistake::Mistake;

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

/// Reads a body. Every problem is reported, as far as the text can be read at all.
pub fn read(body: &Body) -> Result<Choices, Vec<Problem>> {
    let bytes = match body {
        Body::Read(bytes) if bytes.len() <= BODY_BYTES_MAX => bytes,
        Body::Read(bytes) => return Err(vec![too_large(bytes.len() as u64)]),
        Body::TooLarge(size) => return Err(vec![too_large(*size)]),
        Body::Unreadable(why) => return Err(vec![Problem::File(FileProblem::Withheld(why.clone()))]),
        Body::Unread => return Err(vec![Problem::File(FileProblem::Unread)]),
    };
    let mut problems = Vec::new();
    let mut choices = Choices::new();
    let pairs = text(bytes).and_then(parse).map_err(|mut problems| {
        message::sort(&mut problems);
        problems
    })?;
    for (key, value) in pairs {
        match value.into_text(&key) {
            Ok(text) if choices.contains_key(&key) => problems.push(Problem::Value { name: key, wrong: ValueProblem::Twice(text) }),
            Ok(text) => drop(choices.insert(key, text)),
            Err(wrong) => problems.push(Problem::Value { name: key, wrong }),
        }
    }
    message::sort(&mut problems);
    if problems.is_empty() { Ok(choices) } else { Err(problems) }
}

fn too_large(size: u64) -> Problem {
    Problem::File(FileProblem::TooLarge(size))
}

/// Line and column of a byte, both counted from 1, the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}

/// Bytes to text. A UTF-8 byte order mark is accepted; whatever else is no plain text is called by its name.
fn text(bytes: &[u8]) -> Result<&str, Vec<Problem>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Some(problem) = bytes::named(bytes).or_else(|| bytes::wide(bytes)) {
        return Err(vec![Problem::File(problem)]);
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let (problem, decoded) = bytes::not_utf8(bytes, e.valid_up_to());
        // Its quotes and dashes would not be JSON in UTF-8 either.
        let decoded = decoded.as_deref().map(|text| (text, json(text)));
        let more = decoded.and_then(|(text, read)| Some(mistake::explain(text, &read.err()?)));
        std::iter::once(problem).chain(more.unwrap_or_default()).map(Problem::File).collect::<Vec<_>>()
    })?;
    if let Some(problem) = bytes::not_text(bytes) {
        return Err(vec![Problem::File(problem)]);
    }
    if text.trim().is_empty() {
        return Err(vec![Problem::File(FileProblem::Empty)]);
    }
    Ok(text)
}

/// Text to pairs; `serde_json` would let the last of two equal keys win in silence.
fn parse(text: &str) -> Result<Vec<(String, Value<'_>)>, Vec<Problem>> {
    match json(text) {
        Ok(Top::Object(pairs)) => Ok(pairs.into_iter().map(|(key, raw)| (key, Value(raw.get()))).collect()),
        Ok(Top::Other(what)) => Err(vec![Problem::File(FileProblem::JsonType { what, instead: instead(text) })]),
        Err(e) => Err(mistake::explain(text, &e).into_iter().map(Problem::File).collect()),
    }
}

fn json(text: &str) -> serde_json::Result<Top<'_>> {
    serde_json::from_str(text)
}

/// What JSON that is no object is meant to be.
fn instead(text: &str) -> TextProblem {
    let text = text.trim();
    if text.contains("ParameterKey") {
        TextProblem::ParameterKeys
    } else if text.starts_with('"') && text.contains('{') {
        TextProblem::Quoted
    } else if text.starts_with('[') && text.contains('{') {
        TextProblem::Bracketed
    } else {
        TextProblem::Other
    }
}

/// The outermost value. What is inside is kept as it is written: a number in digits, and not in what a machine makes of them.
enum Top<'a> {
    Object(Vec<(String, &'a RawValue)>),
    Other(JsonType),
}

/// A value as it is written. The reader has seen that it is JSON.
struct Value<'a>(&'a str);

impl Value<'_> {
    /// The table: strings as they are, numbers as they are written, booleans as `true` and `false`; nothing else.
    fn into_text(self, key: &str) -> Result<String, ValueProblem> {
        if key.chars().any(char::is_control) {
            return Err(ValueProblem::ControlInName);
        }
        match self.0.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<String>(self.0) {
                Ok(text) => forbidden(text),
                // Half a surrogate pair: JSON has it, and no text.
                Err(e) => {
                    let said = e.to_string();
                    let said = said.split(" at line ").next().unwrap_or_default().to_owned();
                    Err(ValueProblem::NoText { value: self.0.to_owned(), said })
                }
            },
            Some(b'n') => Err(ValueProblem::Null),
            Some(b'[') => Err(ValueProblem::Array),
            Some(b'{') if key == "Parameters" => Err(ValueProblem::Section),
            Some(b'{') => Err(ValueProblem::Object),
            _ => Ok(self.0.to_owned()),
        }
    }
}

/// Refuses what may stand in no value: it would be read by something else further on.
fn forbidden(text: String) -> Result<String, ValueProblem> {
    if let Some((at, character)) = text.chars().enumerate().find(|(_, c)| c.is_control()) {
        return Err(ValueProblem::Control { value: text, character, at: at + 1 });
    }
    if text.contains("{{") { Err(ValueProblem::Reference(text)) } else { Ok(text) }
}

impl<'de: 'a, 'a> Deserialize<'de> for Top<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TopVisitor(PhantomData))
    }
}

struct TopVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for TopVisitor<'a> {
    type Value = Top<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Top<'a>, E> {
        Ok(Top::Other(JsonType::Null))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Top<'a>, E> {
        Ok(Top::Other(JsonType::Boolean))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Top<'a>, E> {
        Ok(Top::Other(JsonType::Number))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Top<'a>, E> {
        Ok(Top::Other(JsonType::Number))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Top<'a>, E> {
        Ok(Top::Other(JsonType::Number))
    }
    fn visit_str<E>(self, _: &str) -> Result<Top<'a>, E> {
        Ok(Top::Other(JsonType::Text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Top<'a>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Top::Other(JsonType::Array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top<'a>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry::<String, &'a RawValue>()? {
            pairs.push(pair);
        }
        Ok(Top::Object(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Choices, Vec<Problem>> {
        read(&Body::Read(text.as_bytes().to_vec()))
    }

    fn only_problem(text: &str) -> Problem {
        let mut problems = read_text(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    fn no_object(what: JsonType, instead: TextProblem) -> Problem {
        Problem::File(FileProblem::JsonType { what, instead })
    }

    #[test]
    fn strings_numbers_and_booleans_become_text_as_they_are_written() {
        let choices = read_text(r#"{"a": "x", "b": 25, "c": true, "d": -1, "e": "", "f": 0.030, "g": 1e0, "h": 12345678901234567890123}"#);
        let choices = choices.unwrap();
        let got: Vec<_> = choices.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let numbers = [("f", "0.030"), ("g", "1e0"), ("h", "12345678901234567890123")];
        assert_eq!(got[..5], [("a", "x"), ("b", "25"), ("c", "true"), ("d", "-1"), ("e", "")]);
        assert_eq!(got[5..], numbers);
    }

    #[test]
    fn a_byte_order_mark_is_accepted_and_utf_16_is_named() {
        assert!(read_text("\u{feff}{}").unwrap().is_empty());
        for bytes in [&b"\xFF\xFE{\0}\0"[..], b"\xFE\xFF\0{\0}", b"{\0}\0"] {
            assert_eq!(read(&Body::Read(bytes.to_vec())).unwrap_err(), [Problem::File(FileProblem::Utf16)]);
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused_by_name() {
        for (text, what, instead) in [
            ("[]", JsonType::Array, TextProblem::Other),
            ("[{\"a\": 1}]", JsonType::Array, TextProblem::Bracketed),
            ("[{\"ParameterKey\": \"a\"}]", JsonType::Array, TextProblem::ParameterKeys),
            ("\"x\"", JsonType::Text, TextProblem::Other),
            ("\"{'a': 1}\"", JsonType::Text, TextProblem::Quoted),
            ("7", JsonType::Number, TextProblem::Other),
            ("null", JsonType::Null, TextProblem::Other),
            ("true", JsonType::Boolean, TextProblem::Other),
        ] {
            assert_eq!(only_problem(text), no_object(what, instead), "{text}");
        }
        let empty = Problem::File(FileProblem::Empty);
        assert!(only_problem("") == empty && only_problem(" \n") == empty);
    }

    #[test]
    fn hostile_values_are_refused_each_with_its_reason() {
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
        for (text, name, wrong) in [
            (r#"{"a": 1, "a": 2}"#, "a", ValueProblem::Twice("2".into())),
            (r#"{"a": "x\u0000y"}"#, "a", ValueProblem::Control { value: "x\0y".into(), character: '\0', at: 2 }),
            (r#"{"a\nb": "x"}"#, "a\nb", ValueProblem::ControlInName),
            (r#"{"a": "{{resolve:ssm:/admin/password}}"}"#, "a", ValueProblem::Reference("{{resolve:ssm:/admin/password}}".into())),
            (r#"{"a": null}"#, "a", ValueProblem::Null),
            (r#"{"a": {"b": 1}}"#, "a", ValueProblem::Object),
            (r#"{"Parameters": {"b": 1}}"#, "Parameters", ValueProblem::Section),
            (&deep, "a", ValueProblem::Array),
        ] {
            assert_eq!(only_problem(text), Problem::Value { name: name.into(), wrong });
        }
        let half = only_problem("{\"a\": \"\\ud800\"}");
        assert!(matches!(&half, Problem::Value { name, wrong: ValueProblem::NoText { .. } } if name == "a"), "{half:?}");
    }

    /// Found by fuzzing: two of the sentences gave a name back as it was, however long, and whatever it does to a terminal.
    #[test]
    fn a_name_is_shown_cut_and_escaped_in_every_sentence() {
        for name in ["é".repeat(5000), "a\u{202e}b".to_owned()] {
            for text in [format!(r#"{{"{name}": [0]}}"#), format!(r#"{{"{name}": 1, "{name}": 2}}"#), format!(r#"{{"{name}": null}}"#)] {
                let shown = only_problem(&text).to_string();
                assert!(shown.len() < 1000 && !shown.contains('\u{202e}'), "{shown}");
            }
        }
    }

    #[test]
    fn a_large_file_is_not_read() {
        assert_eq!(read(&Body::TooLarge(10_000_000)), Err(vec![too_large(10_000_000)]));
        assert_eq!(read(&Body::Read(vec![b' '; BODY_BYTES_MAX + 1])), Err(vec![too_large(BODY_BYTES_MAX as u64 + 1)]));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = read_text(r#"{"a": null, "b": [1], "c": {}}"#).unwrap_err();
        assert_eq!(problems.len(), 3);
    }
}
