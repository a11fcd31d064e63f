//! What is wrong with a file that is to hold a request, and with the values in it.

use super::{Format, JsonType, Parts, quoted};
use crate::body::{BODY_BYTES_MAX, Mistake};
use crate::characters::{self, code, shown};

/// A line is shown up to so many characters.
const LINE_CHARACTERS_MAX: usize = 120;

/// At most so many columns of one kind of mistake are shown, and so many kinds.
const COLUMNS_MAX: usize = 6;

/// Why a file cannot be read as a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileProblem {
    /// It has so many bytes, more than [`BODY_BYTES_MAX`].
    TooLarge(u64),
    /// S3 does not give it out, in its words.
    Withheld(String),
    /// Nobody has read it.
    Unread,
    /// It holds nothing.
    Empty,
    /// It is JSON, and no object.
    JsonType {
        /// What it is.
        what: JsonType,
        /// What to do.
        instead: TextProblem,
    },
    /// Its first bytes are those of another format.
    Format(Format),
    /// Its text is in 32 bits a character.
    Utf32,
    /// Its text is in sixteen bits a character.
    Utf16,
    /// Its text is in Windows-1252.
    Windows1252 {
        /// The first byte that is not UTF-8.
        byte: u8,
        /// Its line, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
        /// What it is there.
        character: char,
    },
    /// It is not UTF-8.
    NotUtf8 {
        /// The first byte that is not.
        byte: u8,
        /// Its line, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
    },
    /// It is no text.
    NoText {
        /// Where the first byte is that no text has, from 1.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// A line has mistakes.
    Line {
        /// Which, from 1.
        line: usize,
        /// How many digits the largest line number has that is shown.
        width: usize,
        /// Which mistakes, each with its columns from 1.
        mistakes: Vec<(Mistake, Vec<usize>)>,
        /// The line as it should be, and the character that the first correction is at.
        corrected: Option<(String, usize)>,
    },
    /// More lines have mistakes: so many, where they were counted.
    MoreLines(Option<usize>),
    /// Neither reader gets on.
    Stopped {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What the JSON reader says.
        said: String,
        /// The line's text.
        text: String,
        /// Line and column of what follows the closing brace.
        after_the_end: Option<(usize, usize)>,
    },
}

/// What to do about JSON that is no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextProblem {
    /// It is CloudFormation's form of parameters.
    ParameterKeys,
    /// The object is in quotes.
    Quoted,
    /// The object is in an array.
    Bracketed,
    /// It is something else.
    Other,
}

impl FileProblem {
    pub(in crate::message) fn parts(&self) -> Parts {
        let file = |stands: String, next: &str| Parts::new("the file", stands, next);
        match self {
            Self::TooLarge(size) => file(
                format!("it has {size} bytes, and {BODY_BYTES_MAX} are the most"),
                "keep only the parameters that differ from the defaults",
            ),
            Self::Withheld(why) => file(
                format!(
                    "S3 does not give it out: it is archived, encrypted with a key that clusterdrop may not use, or another account's ({why})"
                ),
                "upload it again plainly: without a key of your own (no --sse-c, no --sse-kms-key-id), in the storage class STANDARD",
            ),
            Self::Unread => file("it was not read".into(), "upload it again"),
            Self::Empty => file("it is empty".into(), "write {} to take all defaults"),
            Self::JsonType { what, instead } => file(format!("it holds {what}, not an object of parameters"), instead.next()),
            Self::Format(format) => file(format!("this is {format}, not JSON"), format.next()),
            Self::Utf32 => file("it is written in UTF-32".into(), "save it as UTF-8"),
            Self::Utf16 => file(
                "it is written in UTF-16, as PowerShell's > does".into(),
                "save it as UTF-8, in PowerShell with: Set-Content -Encoding utf8",
            ),
            Self::Windows1252 { byte, line, column, character } => {
                let what = characters::lookalike(*character).map_or_else(|| format!("the character {character}"), |odd| odd.described());
                let stands = format!(
                    "it is not UTF-8 text: in Windows-1252 (or Latin-1), the byte 0x{byte:02X} at line {line}, column {column} is {what}"
                );
                file(stands, "save it as UTF-8")
            }
            Self::NotUtf8 { byte, line, column } => {
                file(format!("it is not UTF-8 text (the byte 0x{byte:02X} at line {line}, column {column})"), "save it as UTF-8")
            }
            Self::NoText { at, byte } => file(
                format!(
                    "it is no text (byte {at} is 0x{byte:02X}): it may be compressed (as with Content-Encoding: br), encrypted, or damaged"
                ),
                Format::NEXT_TEXT,
            ),
            Self::Line { line, width, mistakes, corrected } => on_line(*line, *width, mistakes, corrected.as_ref()),
            Self::MoreLines(count) => {
                let more = count.map_or_else(|| "more lines have".to_owned(), |count| format!("{count} more lines have"));
                file(format!("it is not JSON: {more} mistakes of this kind"), "correct them in the same way")
            }
            Self::Stopped { line, column, said, text, after_the_end } => stopped(*line, *column, said, text, *after_the_end),
        }
    }
}

impl TextProblem {
    const fn next(self) -> &'static str {
        match self {
            Self::ParameterKeys => "write { \"Parameter\": \"value\", … } in place of ParameterKey and ParameterValue",
            Self::Quoted => "remove the quotes around the { … }, and the backslashes",
            Self::Bracketed => "remove the [ and ] around the { … }",
            Self::Other => "write { \"Parameter\": \"value\", … }; {} alone takes all defaults",
        }
    }
}

fn on_line(line: usize, width: usize, mistakes: &[(Mistake, Vec<usize>)], corrected: Option<&(String, usize)>) -> Parts {
    let kinds = || mistakes.iter().take(COLUMNS_MAX);
    let found: Vec<String> = kinds().map(|(mistake, columns)| format!("{} {}", named(mistake), at_columns(columns))).collect();
    let mut nexts: Vec<String> = Vec::new();
    for (mistake, _) in kinds() {
        let next = advice(mistake);
        if !nexts.contains(&next) {
            nexts.push(next);
        }
    }
    Parts::new(format!("the file, line {line:>width$}"), format!("it is not JSON: it has {}", found.join("; ")), nexts.join("; "))
        .corrected(corrected.map(|(text, first)| shown(text, *first, LINE_CHARACTERS_MAX)))
}

/// What a mistake is called.
fn named(mistake: &Mistake) -> String {
    let name = match mistake {
        Mistake::Odd(c) => return characters::lookalike(*c).map_or_else(|| format!("the character {}", code(*c)), |odd| odd.described()),
        Mistake::Control(c) => return format!("the control character {}", code(*c)),
        Mistake::Foreign(word) => return format!("{word}, which JSON does not have"),
        Mistake::SingleQuote => "a single quote",
        Mistake::Backtick => "a backtick",
        Mistake::Unclosed => "a quote that is not closed on its line",
        Mistake::InnerQuote => "a double quote inside single ones",
        Mistake::BareName => "a name without quotes",
        Mistake::BareValue(_) => "a value without quotes",
        Mistake::Comment => "a comment, which JSON does not have",
        Mistake::Fence => "a mark of a chat or a wiki",
        Mistake::Yaml => "a --- as YAML has it",
        Mistake::ExtraComma => "a comma with nothing after it",
        Mistake::NoComma => "no comma between two parameters",
        Mistake::Semicolon => "a semicolon",
        Mistake::NoColon => "no colon between name and value",
        Mistake::Equals => "an equals sign",
        Mistake::NoOpen => "no { before it",
        Mistake::NoClose => "no } at the end",
        Mistake::ExtraClose => "one } too many",
    };
    name.to_owned()
}

/// What to do about it.
fn advice(mistake: &Mistake) -> String {
    let advice = match mistake {
        Mistake::Odd(c) => return characters::lookalike(*c).map_or_else(|| "remove it".to_owned(), |odd| odd.advice()),
        Mistake::Control(_) | Mistake::Fence | Mistake::Yaml | Mistake::ExtraClose => "remove it",
        Mistake::SingleQuote | Mistake::Backtick => "use double quotes",
        Mistake::Unclosed => "close it with \"",
        Mistake::InnerQuote => "write it as \\\"",
        Mistake::BareName => "put each name in double quotes",
        Mistake::BareValue(_) => "put the value in double quotes",
        Mistake::Foreign(_) => "write it as below",
        Mistake::Comment => "remove the comment",
        Mistake::ExtraComma => "remove the comma",
        Mistake::NoComma => "write a comma between them",
        Mistake::Semicolon => "write a comma",
        Mistake::NoColon | Mistake::Equals => "write a colon",
        Mistake::NoOpen => "begin the file with {",
        Mistake::NoClose => "end the file with }",
    };
    advice.to_owned()
}

fn at_columns(columns: &[usize]) -> String {
    let shown: Vec<String> = columns.iter().take(COLUMNS_MAX).map(usize::to_string).collect();
    let word = if columns.len() == 1 { "column" } else { "columns" };
    match columns.len().checked_sub(COLUMNS_MAX).filter(|n| *n > 0) {
        Some(more) => format!("at {word} {} and {more} more", shown.join(", ")),
        None => format!("at {word} {}", shown.join(", ")),
    }
}

fn stopped(line: usize, column: usize, said: &str, text: &str, after_the_end: Option<(usize, usize)>) -> Parts {
    let stands = match (after_the_end, text.trim()) {
        (Some((line, column)), _) => format!("it is not JSON: there is more after the closing }} (line {line}, column {column})"),
        (None, "") => format!("it is not JSON: {said}"),
        (None, _) => format!("it is not JSON: {said}, in {}", shown(text, column - 1, LINE_CHARACTERS_MAX)),
    };
    let next = match after_the_end {
        Some(_) => "keep one { … } in a file; a second cluster needs a file of its own",
        None => "correct that line; a JSON checker shows the place",
    };
    Parts::new(format!("the file, line {line}, column {column}"), stands, next)
}

/// What is wrong with a value in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueProblem {
    /// The name holds a control character.
    ControlInName,
    /// The value holds a control character.
    Control {
        /// The value.
        value: String,
        /// The character.
        character: char,
        /// Where it is, from 1.
        at: usize,
    },
    /// The value begins one of CloudFormation's references.
    Reference(String),
    /// The value is no text, in the JSON reader's words.
    NoText {
        /// As it is written.
        value: String,
        /// What the reader says.
        said: String,
    },
    /// It is null.
    Null,
    /// It is an array.
    Array,
    /// It is an object called `Parameters`.
    Section,
    /// It is an object.
    Object,
    /// The name is given twice; this is the second value.
    Twice(String),
}

impl ValueProblem {
    pub(in crate::message) fn parts(&self, name: &str) -> Parts {
        let name = name_shown(name);
        let given = |value: &str, stands: String, next: &str| Parts::new(format!("{name} = {value}"), stands, next);
        match self {
            Self::ControlInName => given("…", "its name holds a control character".into(), "remove it"),
            Self::Control { value, character, at } => {
                given(&quoted(value), format!("it holds the control character {character:?} (character {at} of it)"), "remove it")
            }
            Self::Reference(value) => given(
                &quoted(value),
                "it holds \"{{\", with which CloudFormation begins a reference to somebody's secrets".into(),
                "remove it",
            ),
            Self::NoText { value, said } => {
                given(&quoted(value), format!("it is not JSON text: {said}"), "write the characters themselves")
            }
            Self::Null => given("null", "null is not a value".into(), "give a value, or leave the line out to take the default"),
            Self::Array => given("[…]", "an array is not a value".into(), "give one value in quotes"),
            Self::Section => given("{…}", "there is no such section".into(), "write the parameters in the outermost { … }"),
            Self::Object => given("{…}", "an object is not a value".into(), "give one value in quotes"),
            Self::Twice(value) => given(&quoted(value), format!("{name} is given more than once"), "keep one of them"),
        }
    }
}

fn name_shown(name: &str) -> String {
    if name.chars().any(char::is_control) { quoted(name) } else { quoted(name).trim_matches('"').to_owned() }
}
