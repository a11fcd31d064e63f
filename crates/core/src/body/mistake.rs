//! What is wrong in a text that is meant to be JSON: each mistake by its name, line and column, and the line as it should be.
//!
//! A lenient reader goes through the text as a person would, and notes each place where it has to bend. Nothing is ever made of
//! what it reads but words: a file is taken as JSON has it, or not at all.

use std::collections::BTreeMap;

use super::place;
use super::repair::{self, Edit, Repaired};
use crate::message::FileProblem;

/// At most so many lines are shown.
const LINES_MAX: usize = 8;

/// One kind of mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Mistake {
    /// A character that is not what it looks like.
    Odd(char),
    /// A control character.
    Control(char),
    /// A single quote.
    SingleQuote,
    /// A backtick.
    Backtick,
    /// A quote that is not closed on its line.
    Unclosed,
    /// A double quote inside single ones.
    InnerQuote,
    /// A name without quotes.
    BareName,
    /// A value without quotes.
    BareValue(String),
    /// A word or number of another language.
    Foreign(String),
    /// A comment.
    Comment,
    /// The mark of a code block.
    Fence,
    /// The first line of a YAML document.
    Yaml,
    /// A comma with nothing after it.
    ExtraComma,
    /// No comma between two parameters.
    NoComma,
    /// A semicolon.
    Semicolon,
    /// No colon between name and value.
    NoColon,
    /// An equals sign.
    Equals,
    /// No opening brace.
    NoOpen,
    /// No closing brace.
    NoClose,
    /// A closing brace too many.
    ExtraClose,
}

impl Mistake {
    /// Whether both are reported as one: values without quotes are, whatever they are.
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
    use super::super::{Body, json, read};
    use super::Mistake::{
        Backtick, BareName, BareValue, Comment, Control, Equals, ExtraClose, ExtraComma, Fence, Foreign, InnerQuote, NoClose, NoColon,
        NoComma, NoOpen, Odd, Semicolon, SingleQuote, Unclosed, Yaml,
    };
    use super::*;
    use crate::message::Problem;

    fn all_problems(text: &str) -> Vec<Problem> {
        read(&Body::Read(text.as_bytes().to_vec())).expect_err(text)
    }

    fn problems(text: &str) -> Vec<FileProblem> {
        let of_file = |problem| match problem {
            Problem::File(problem) => problem,
            other => panic!("{text}: {other:?}"),
        };
        all_problems(text).into_iter().map(of_file).collect()
    }

    /// Each mistake with its columns.
    type Mistakes = Vec<(Mistake, Vec<usize>)>;

    /// The lines that have mistakes: number, mistakes, and the line as it should be.
    fn lines(text: &str) -> Vec<(usize, Mistakes, Option<String>)> {
        let line = |problem| match problem {
            FileProblem::Line { line, mistakes, corrected, .. } => (line, mistakes, corrected.map(|(text, _)| text)),
            other => panic!("{text}: {other:?}"),
        };
        problems(text).into_iter().map(line).collect()
    }

    fn bare(value: &str) -> Mistake {
        BareValue(value.to_owned())
    }

    fn foreign(word: &str) -> Mistake {
        Foreign(word.to_owned())
    }

    /// A text of one line with mistakes: the text, its mistakes with their columns, and the line as it should be.
    type Case<'a> = (&'a str, &'a [(Mistake, &'a [usize])], &'a str);

    #[test]
    fn each_mistake_has_its_name_its_place_and_its_correction() {
        let all: &[Case<'_>] = &[
            ("{ “A”: “2” }", &[(Odd('“'), &[3, 8]), (Odd('”'), &[5, 10])], "{ \"A\": \"2\" }"),
            ("{\"A“: \"2\"}", &[(Odd('“'), &[4])], "{\"A\": \"2\"}"),
            ("{„A“: «2»}", &[(Odd('„'), &[2]), (Odd('“'), &[4]), (Odd('«'), &[7]), (Odd('»'), &[9])], "{\"A\": \"2\"}"),
            ("{\u{a0}\"A\": 2}", &[(Odd('\u{a0}'), &[2])], "{ \"A\": 2}"),
            ("{\u{200b}}", &[(Odd('\u{200b}'), &[2])], "{}"),
            ("{\"A\": \u{2011}1}", &[(Odd('\u{2011}'), &[7])], "{\"A\": -1}"),
            ("{\"A\"：2}", &[(Odd('：'), &[5])], "{\"A\":2}"),
            (
                "｛\"A\"：\"2\"，\"B\"：3｝",
                &[(Odd('｛'), &[1]), (Odd('：'), &[5, 13]), (Odd('，'), &[9]), (Odd('｝'), &[15])],
                "{\"A\":\"2\",\"B\":3}",
            ),
            ("{\"A\": ２}", &[(Odd('２'), &[7])], "{\"A\": 2}"),
            ("{\"A\": \"\u{7}x\"}", &[(Control('\u{7}'), &[8])], "{\"A\": \" x\"}"),
            ("{'A': '2'}", &[(SingleQuote, &[2, 4, 7, 9])], "{\"A\": \"2\"}"),
            ("{`A`: 2}", &[(Backtick, &[2, 4])], "{\"A\": 2}"),
            ("{\"A\": 1,}", &[(ExtraComma, &[8])], "{\"A\": 1}"),
            ("{\"A\": 1,, \"B\": 2}", &[(ExtraComma, &[9])], "{\"A\": 1, \"B\": 2}"),
            ("{\"A\": 1 // nodes\n}", &[(Comment, &[9])], "{\"A\": 1"),
            ("{\"A\": 1 # nodes\n}", &[(Comment, &[9])], "{\"A\": 1"),
            ("{/* nodes */\"A\": 1}", &[(Comment, &[2])], "{\"A\": 1}"),
            ("{\"A\": 1\n\"B\": 2}", &[(NoComma, &[8])], "{\"A\": 1,"),
            ("{\"A\" \"2\"}", &[(NoColon, &[5])], "{\"A\": \"2\"}"),
            ("{\"A\" = \"2\"}", &[(Equals, &[6])], "{\"A\" : \"2\"}"),
            ("{\"A\": 1; \"B\": 2}", &[(Semicolon, &[8])], "{\"A\": 1, \"B\": 2}"),
            ("{A: 2}", &[(BareName, &[2, 3])], "{\"A\": 2}"),
            ("{\"A\": enabled}", &[(bare("enabled"), &[7])], "{\"A\": \"enabled\"}"),
            ("{\"A\": True}", &[(foreign("True"), &[7])], "{\"A\": true}"),
            ("{\"A\": 02}", &[(foreign("02"), &[7])], "{\"A\": 2}"),
            ("{\"A\": +2}", &[(foreign("+2"), &[7])], "{\"A\": 2}"),
            ("{\"A\": 0x10}", &[(foreign("0x10"), &[7])], "{\"A\": 16}"),
            ("{\"A\": .5}", &[(foreign(".5"), &[7])], "{\"A\": 0.5}"),
            ("{\"A\": 1", &[(NoClose, &[8])], "{\"A\": 1}"),
            ("\"A\": 1}", &[(NoOpen, &[1])], "{\"A\": 1}"),
            ("{\"A\": 1}}", &[(ExtraClose, &[9])], "{\"A\": 1}"),
            ("{\"A\": \"2,\n\"B\": 3}", &[(Unclosed, &[9])], "{\"A\": \"2\","),
            ("A=2\n", &[(NoOpen, &[1]), (BareName, &[1, 2]), (Equals, &[2]), (NoClose, &[4])], "{\"A\":2}"),
            ("{'A': 'say \"x\"'}", &[(SingleQuote, &[2, 4, 7, 15]), (InnerQuote, &[12, 14])], "{\"A\": \"say \\\"x\\\"\"}"),
        ];
        for (text, mistakes, corrected) in all {
            let mistakes = mistakes.iter().map(|(mistake, columns)| (mistake.clone(), columns.to_vec())).collect();
            assert_eq!(lines(text), [(1, mistakes, Some((*corrected).to_owned()))], "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_by_their_lines() {
        let quotes = vec![(Odd('“'), vec![3]), (Odd('”'), vec![5])];
        assert_eq!(lines("{\n  “A”: 1\n}"), [(2, quotes, Some("\"A\": 1".into()))]);
        let first = vec![(NoOpen, vec![1]), (BareName, vec![1, 2]), (NoComma, vec![5])];
        let second = vec![(BareName, vec![1, 2]), (bare("enabled"), vec![4]), (NoClose, vec![11])];
        let both = [(1, first, Some("{\"A\": 2,".into())), (2, second, Some("\"B\": \"enabled\"}".into()))];
        assert_eq!(lines("A: 2\nB: enabled\n"), both);
        let second = vec![(NoOpen, vec![1]), (BareName, vec![1, 2]), (NoClose, vec![5])];
        assert_eq!(lines("---\nA: 2\n"), [(1, vec![(Yaml, vec![1])], None), (2, second, Some("{\"A\": 2}".into()))]);
        let fence = || vec![(Fence, vec![1])];
        assert_eq!(lines("```json\n{\"A\": 1}\n```"), [(1, fence(), None), (3, fence(), None)]);
    }

    #[test]
    fn what_no_reader_understands_is_told_with_its_place_and_line() {
        for (text, place, end) in [
            ("{} {}", (1, 4), Some((1, 4))),
            ("{\"A\": 1}\n{\"B\": 2}", (2, 1), Some((2, 1))),
            ("{\"A\": }", (1, 7), None),
            ("{\n\"A\": two words\n}", (2, 7), None),
            ("{\"A\": \"\\x\"}", (1, 9), None),
            ("hello", (1, 1), None),
            ("{\"\\ud800\": 1}", (1, 9), None),
            ("＝＃；", (1, 1), None),
        ] {
            let Some(FileProblem::Stopped { line, column, said, text: shown, after_the_end }) = problems(text).pop() else {
                panic!("{text}")
            };
            assert_eq!(((line, column), after_the_end), (place, end), "{text}");
            assert_eq!(Some(shown.as_str()), text.lines().nth(line - 1), "{text}");
            let error = json(text).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.starts_with(&format!("{said} at line "))), "{text}: {said}");
        }
    }

    #[test]
    fn a_file_of_nothing_but_mistakes_has_an_answer_of_some_lines() {
        for piece in ["“", "'", "\u{200b}", "# x\n", "a:\n", "{\"a\":", "，", "\"\n", "/*", "```\n"] {
            let text = piece.repeat(60_000 / piece.len());
            let shown: String = all_problems(&text).iter().map(|problem| format!("{problem}\n")).collect();
            assert!(shown.len() < 8 * 1024 && !shown.contains('\u{200b}'), "{piece:?}: {} bytes", shown.len());
        }
        let text: String = (0..50).map(|n| format!("  “P{n}”: 1,\n")).collect();
        let found = problems(&format!("{{\n{text}}}"));
        let numbers: Vec<usize> =
            found.iter().filter_map(|problem| if let FileProblem::Line { line, .. } = problem { Some(*line) } else { None }).collect();
        assert!(numbers == [2, 3, 4, 5, 6, 7, 8, 9] && found.contains(&FileProblem::MoreLines(Some(42))), "{found:?}");
    }
}
