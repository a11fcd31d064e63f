//! What is wrong in a text that is meant to be JSON: each mistake by its name, line and column, and the line as it should be.
//!
//! A lenient reader goes through the text as a person would, and notes each place where it has to bend. Nothing is ever made of
//! what it reads but words: a file is taken as JSON has it, or not at all.

use std::collections::BTreeMap;

use super::place;
use super::repair::{self, Edit, Repaired};
use crate::message::FileProblem;

/// At most so many lines are told.
const LINES_MAX: usize = 8;

/// One kind of mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mistake {
    Odd(char),
    Control(char),
    SingleQuote,
    Backtick,
    Unclosed,
    InnerQuote,
    BareName,
    BareValue(String),
    Foreign(String),
    Comment,
    Fence,
    Yaml,
    ExtraComma,
    NoComma,
    Semicolon,
    NoColon,
    Equals,
    NoOpen,
    NoClose,
    ExtraClose,
}

impl Mistake {
    /// Whether both are told in one: values without quotes are, whatever they are.
    fn is_like(&self, other: &Self) -> bool {
        self == other || matches!((self, other), (Self::BareValue(_), Self::BareValue(_)))
    }
}

/// Explains why a text is no JSON; `error` is what the JSON reader says of it.
pub fn explain(text: &str, error: &serde_json::Error) -> Vec<FileProblem> {
    let repaired = repair::repair(text);
    let mut problems = lines(text, &repaired);
    if !repaired.is_whole || problems.is_empty() {
        problems.push(stopped(text, &repaired, error));
    }
    problems
}

/// Where neither reader gets on.
fn stopped(text: &str, repaired: &Repaired, error: &serde_json::Error) -> FileProblem {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default().to_owned();
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The reader counts bytes.
    let before = line.as_bytes().get(..error.column().saturating_sub(1)).unwrap_or(line.as_bytes());
    let column = String::from_utf8_lossy(before).chars().count() + 1;
    let after_the_end = repaired.after_the_end.map(|at| place(text, at));
    FileProblem::Stopped { line: error.line(), column, said, text: line.to_owned(), after_the_end }
}

/// One problem for each line that has mistakes.
fn lines(text: &str, repaired: &Repaired) -> Vec<FileProblem> {
    let mut by_line: BTreeMap<usize, Vec<&Edit>> = BTreeMap::new();
    let mut from = (0, 0);
    for edit in &repaired.edits {
        // The edits are in order, so each line break is counted once.
        from = (from.0 + text[from.1..edit.at].matches('\n').count(), edit.at);
        by_line.entry(from.0).or_default().push(edit);
    }
    let count = by_line.len();
    let width = by_line.keys().take(LINES_MAX).next_back().map_or(1, |last| (last + 1).to_string().len());
    let mut problems: Vec<FileProblem> =
        by_line.iter().take(LINES_MAX).map(|(nth, edits)| line(text, *nth, width, edits, repaired.is_whole)).collect();
    if count > LINES_MAX || repaired.has_more {
        problems.push(FileProblem::MoreLines((!repaired.has_more).then(|| count - LINES_MAX)));
    }
    problems
}

fn line(text: &str, nth: usize, width: usize, edits: &[&Edit], is_whole: bool) -> FileProblem {
    let start = text[..edits[0].at].rfind('\n').map_or(0, |at| at + 1);
    let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let mut mistakes: Vec<(Mistake, Vec<usize>)> = Vec::new();
    for edit in edits {
        let column = text[start..edit.at].chars().count() + 1;
        match mistakes.iter_mut().find(|(mistake, _)| mistake.is_like(&edit.mistake)) {
            Some((_, columns)) => columns.push(column),
            None => mistakes.push((edit.mistake.clone(), vec![column])),
        }
    }
    let (corrected, first) = apply(text, start, end, edits);
    // What the reader does not understand wholly it does not claim to correct.
    let corrected = (is_whole && !corrected.trim().is_empty()).then(|| (corrected.trim().to_owned(), first));
    FileProblem::Line { line: nth + 1, width, mistakes, corrected }
}

/// A line with its edits made, and the character that the first of them is at.
fn apply(text: &str, start: usize, end: usize, edits: &[&Edit]) -> (String, usize) {
    let mut line = String::new();
    let mut at = start;
    for edit in edits {
        line.push_str(text.get(at..edit.at).unwrap_or_default());
        line.push_str(&edit.put);
        at = (edit.at + edit.len).max(at);
    }
    line.push_str(text.get(at..end).unwrap_or_default());
    let skipped = line.len() - line.trim_start().len();
    (line, text[start..edits[0].at].chars().count().saturating_sub(skipped))
}

#[cfg(test)]
mod tests {
    use super::super::{Body, read};

    fn told(text: &str) -> String {
        let problems = read(&Body::Read(text.as_bytes().to_vec())).expect_err(text);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Text, what is told of it, and the corrected line.
    #[test]
    fn each_mistake_has_its_name_its_place_and_its_correction() {
        let all: &[(&str, &[&str], &str)] = &[
            (
                "{ “A”: “2” }",
                &["line 1", "left double quotation mark (U+201C, a curly quote) at columns 3, 8", "right double"],
                "{ \"A\": \"2\" }",
            ),
            ("{\"A“: \"2\"}", &["left double quotation mark", "column 4"], "{\"A\": \"2\"}"),
            ("{„A“: «2»}", &["double low-9", "left-pointing double angle"], "{\"A\": \"2\"}"),
            ("{\u{a0}\"A\": 2}", &["no-break space (U+00A0", "column 2", "use the plain space"], "{ \"A\": 2}"),
            ("{\u{200b}}", &["zero width space (U+200B, invisible) at column 2", "remove the zero width space"], "{}"),
            ("{\"A\": \u{2011}1}", &["non-breaking hyphen (U+2011", "column 7", "use the plain -"], "{\"A\": -1}"),
            ("{\"A\"：2}", &["fullwidth colon (U+FF1A"], "{\"A\":2}"),
            ("｛\"A\"：\"2\"，\"B\"：3｝", &["fullwidth comma", "fullwidth left curly bracket"], "{\"A\":\"2\",\"B\":3}"),
            ("{\"A\": ２}", &["fullwidth digit two"], "{\"A\": 2}"),
            ("{\n  “A”: 1\n}", &["line 2", "at column 3"], "\"A\": 1"),
            ("{'A': '2'}", &["a single quote at columns 2, 4, 7, 9", "use double quotes"], "{\"A\": \"2\"}"),
            ("{`A`: 2}", &["a backtick"], "{\"A\": 2}"),
            ("{\"A\": 1,}", &["a comma with nothing after it at column 8", "remove the comma"], "{\"A\": 1}"),
            ("{\"A\": 1,, \"B\": 2}", &["a comma with nothing after it at column 9"], "{\"A\": 1, \"B\": 2}"),
            ("{\"A\": 1 // nodes\n}", &["line 1", "a comment", "column 9"], "{\"A\": 1"),
            ("{\"A\": 1 # nodes\n}", &["a comment"], "{\"A\": 1"),
            ("{/* nodes */\"A\": 1}", &["a comment", "column 2"], "{\"A\": 1}"),
            ("{\"A\": 1\n\"B\": 2}", &["line 1", "no comma between", "column 8"], "{\"A\": 1,"),
            ("{\"A\" \"2\"}", &["no colon"], "{\"A\": \"2\"}"),
            ("{\"A\" = \"2\"}", &["an equals sign"], "{\"A\" : \"2\"}"),
            ("{\"A\": 1; \"B\": 2}", &["a semicolon"], "{\"A\": 1, \"B\": 2}"),
            ("{A: 2}", &["a name without quotes"], "{\"A\": 2}"),
            ("{\"A\": enabled}", &["a value without quotes"], "{\"A\": \"enabled\"}"),
            ("{\"A\": True}", &["True, which JSON does not have"], "{\"A\": true}"),
            ("{\"A\": 02}", &["02, which JSON does not have"], "{\"A\": 2}"),
            ("{\"A\": +2}", &["+2, which JSON does not have"], "{\"A\": 2}"),
            ("{\"A\": 0x10}", &["0x10, which JSON does not have"], "{\"A\": 16}"),
            ("{\"A\": .5}", &[".5, which JSON does not have"], "{\"A\": 0.5}"),
            ("{\"A\": 1", &["no } at the end"], "{\"A\": 1}"),
            ("\"A\": 1}", &["no { before it"], "{\"A\": 1}"),
            ("{\"A\": 1}}", &["one } too many at column 9"], "{\"A\": 1}"),
            ("{\"A\": \"2,\n\"B\": 3}", &["a quote that is not closed on its line"], "{\"A\": \"2\","),
            ("A: 2\nB: enabled\n", &["line 1", "line 2", "a name without quotes", "no { before it"], "{\"A\": 2,"),
            ("---\nA: 2\n", &["a --- as YAML has it"], "{\"A\": 2}"),
            ("A=2\n", &["an equals sign"], "{\"A\":2}"),
            ("```json\n{\"A\": 1}\n```", &["a mark of a chat or a wiki"], ""),
            ("{'A': 'say \"x\"'}", &["a double quote inside single ones"], "{\"A\": \"say \\\"x\\\"\"}"),
        ];
        for (text, parts, corrected) in all {
            let told = told(text);
            for part in *parts {
                assert!(told.contains(part), "{text}: {part:?} is not in\n{told}");
            }
            assert!(told.contains("it is not JSON"), "{text}: {told}");
            assert!(
                corrected.is_empty() || told.lines().any(|line| line == format!("  Corrected: {corrected}")),
                "{text}: no {corrected}\n{told}"
            );
        }
    }

    #[test]
    fn what_no_reader_understands_is_told_with_its_place_and_line() {
        for (text, part) in [
            ("{} {}", "there is more after the closing }"),
            ("{\"A\": 1}\n{\"B\": 2}", "(line 2, column 1)"),
            ("{\"A\": }", "line 1, column 7"),
            ("{\n\"A\": two words\n}", "line 2"),
            ("{\"A\": \"\\x\"}", "invalid escape"),
            ("hello", "it is not JSON"),
            ("{\"\\ud800\": 1}", "not JSON"),
            ("＝＃；", "it is not JSON"),
        ] {
            assert!(told(text).contains(part), "{text}: {}", told(text));
        }
    }

    #[test]
    fn a_file_of_nothing_but_mistakes_has_an_answer_of_some_lines() {
        for piece in ["“", "'", "\u{200b}", "# x\n", "a:\n", "{\"a\":", "，", "\"\n", "/*", "```\n"] {
            let text = piece.repeat(60_000 / piece.len());
            let told = told(&text);
            assert!(told.len() < 8 * 1024 && !told.contains('\u{200b}'), "{piece:?}: {} bytes", told.len());
        }
        let lines: String = (0..50).map(|n| format!("  “P{n}”: 1,\n")).collect();
        let told = told(&format!("{{\n{lines}}}"));
        assert!(told.contains("line 9") && told.contains("more lines have mistakes of this kind"), "{told}");
    }
}
