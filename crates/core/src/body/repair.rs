//! The lenient reader: goes through what is nearly JSON, and notes each place where it has to bend.

use super::mistake::Mistake;
use crate::characters;
use crate::number::Number;

/// More edits are not noted: such a file has one mistake, whatever its lines say.
const EDITS_MAX: usize = 400;

/// A place that has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where it begins, in bytes.
    pub at: usize,
    /// How much of the text goes.
    pub len: usize,
    /// What comes in its place.
    pub put: String,
    /// Why.
    pub mistake: Mistake,
}

/// What the reader found.
#[derive(Debug, Default)]
pub struct Repaired {
    /// In the order of the text.
    pub edits: Vec<Edit>,
    /// Whether the text is JSON once they are made.
    pub is_whole: bool,
    /// Whether there are more than were noted.
    pub has_more: bool,
    /// Where something follows the closing brace.
    pub after_the_end: Option<usize>,
}

/// Reads a text that JSON refuses.
pub fn repair(text: &str) -> Repaired {
    let mut reader = Reader { text, at: 0, edits: Vec::new(), peeked: None, last_end: 0, last_comma: 0, after_the_end: None };
    let is_read = reader.file().is_some();
    let mut edits = reader.edits;
    let has_more = edits.len() >= EDITS_MAX;
    // At one place, what is put in comes before what is replaced.
    edits.sort_by_key(|edit| (edit.at, edit.len.min(1)));
    let is_whole = is_read && !has_more && serde_json::from_str::<serde::de::IgnoredAny>(&made(text, &edits)).is_ok();
    Repaired { edits, is_whole, has_more, after_the_end: reader.after_the_end }
}

/// The text with its edits made.
fn made(text: &str, edits: &[Edit]) -> String {
    let (mut new, mut at) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        new.push_str(text.get(at..edit.at).unwrap_or_default());
        new.push_str(&edit.put);
        at = (edit.at + edit.len).max(at);
    }
    new.push_str(text.get(at..).unwrap_or_default());
    new
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Open(char),
    Close(char),
    Colon,
    Comma,
    Text,
    Word,
    End,
}

#[derive(Debug, Clone, Copy)]
pub struct Token {
    pub kind: Kind,
    pub from: usize,
    pub to: usize,
}

pub struct Reader<'a> {
    pub text: &'a str,
    pub at: usize,
    pub edits: Vec<Edit>,
    peeked: Option<Token>,
    /// Where the last token ended.
    last_end: usize,
    /// Where the last comma was.
    last_comma: usize,
    after_the_end: Option<usize>,
}

impl Reader<'_> {
    pub fn edit(&mut self, at: usize, len: usize, put: impl Into<String>, mistake: Mistake) -> Option<()> {
        self.edits.push(Edit { at, len, put: put.into(), mistake });
        // A reader that stops here stops everywhere: `None` goes up to the top.
        (self.edits.len() < EDITS_MAX).then_some(())
    }

    pub fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&mut self) -> Option<Token> {
        if self.peeked.is_none() {
            self.peeked = Some(self.token()?);
        }
        self.peeked
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek()?;
        self.peeked = None;
        self.last_end = token.to;
        Some(token)
    }

    // The grammar. `None`: something that even a lenient reader does not understand.

    fn file(&mut self) -> Option<()> {
        let mut first = self.peek()?;
        if first.kind == Kind::Word && &self.text[first.from..first.to] == "---" {
            self.edit(first.from, 3, "", Mistake::Yaml)?;
            self.next()?;
            first = self.peek()?;
        }
        let has_brace = first.kind == Kind::Open('{');
        if has_brace {
            self.next()?;
        } else if matches!(first.kind, Kind::Text | Kind::Word) {
            self.edit(first.from, 0, "{", Mistake::NoOpen)?;
        } else {
            return None;
        }
        self.object(1)?;
        loop {
            let after = self.next()?;
            match after.kind {
                Kind::End => return Some(()),
                Kind::Close('}') => self.edit(after.from, after.to - after.from, "", Mistake::ExtraClose)?,
                Kind::Comma => self.edit(after.from, after.to - after.from, "", Mistake::ExtraComma)?,
                _ => {
                    self.after_the_end = Some(after.from);
                    return None;
                }
            }
        }
    }

    /// After its opening brace, to its closing one.
    fn object(&mut self, depth: usize) -> Option<()> {
        let mut is_after_comma = false;
        loop {
            let name = self.next()?;
            match name.kind {
                Kind::Text => {}
                Kind::Word => self.bare_name(name)?,
                Kind::Close('}') | Kind::End => {
                    if is_after_comma {
                        self.edit(self.last_comma, 1, "", Mistake::ExtraComma)?;
                    }
                    return if name.kind == Kind::End { self.no_close(name) } else { Some(()) };
                }
                Kind::Comma => {
                    self.edit(name.from, name.to - name.from, "", Mistake::ExtraComma)?;
                    continue;
                }
                _ => return None,
            }
            self.colon()?;
            self.value(depth)?;
            let end = self.last_end;
            match self.peek()?.kind {
                Kind::Comma => {
                    let comma = self.next()?;
                    (self.last_comma, is_after_comma) = (comma.from, true);
                }
                Kind::Close('}') => {
                    self.next()?;
                    return Some(());
                }
                Kind::End => {
                    let end = self.next()?;
                    return self.no_close(end);
                }
                Kind::Text | Kind::Word => {
                    // Two words in one line are one value that nobody can part.
                    let next = self.peek()?;
                    let is_same_line = !self.text.get(end..next.from)?.contains('\n');
                    if next.kind == Kind::Word && is_same_line {
                        return None;
                    }
                    self.edit(end, 0, ",", Mistake::NoComma)?;
                    is_after_comma = false;
                }
                _ => return None,
            }
        }
    }

    fn no_close(&mut self, end: Token) -> Option<()> {
        // The next level up meets the end as well.
        self.peeked = Some(end);
        let at = self.text.trim_end().len().max(self.edits.last().map_or(0, |e| e.at + e.len)).min(self.text.len());
        self.edit(at, 0, "}", Mistake::NoClose)
    }

    fn colon(&mut self) -> Option<()> {
        let end = self.last_end;
        match self.peek()?.kind {
            Kind::Colon => self.next().map(drop),
            Kind::Text | Kind::Word => self.edit(end, 0, ":", Mistake::NoColon),
            _ => None,
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        let value = self.next()?;
        match value.kind {
            Kind::Text => Some(()),
            Kind::Word => self.bare_value(value),
            // Deeper than any parameter; and the reader calls itself.
            Kind::Open(_) if depth > 8 => None,
            Kind::Open('{') => self.object(depth + 1),
            Kind::Open(_) => self.array(depth + 1),
            _ => None,
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        if self.peek()?.kind == Kind::Close(']') {
            return self.next().map(drop);
        }
        loop {
            self.value(depth)?;
            match self.next()?.kind {
                Kind::Comma => {}
                Kind::Close(']') => return Some(()),
                _ => return None,
            }
        }
    }

    fn bare_name(&mut self, name: Token) -> Option<()> {
        self.edit(name.from, 0, "\"", Mistake::BareName)?;
        self.edits.push(Edit { at: name.to, len: 0, put: "\"".to_owned(), mistake: Mistake::BareName });
        Some(())
    }

    fn bare_value(&mut self, value: Token) -> Option<()> {
        let (at, len) = (value.from, value.to - value.from);
        let given = &self.text[value.from..value.to];
        let word = characters::plain(given);
        if word != given {
            // Its characters are reported already.
            return Some(());
        }
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&word).is_ok();
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            _ if is_json => Some(()),
            "true" | "yes" | "on" => self.edit(at, len, "true", Mistake::Foreign(word)),
            "false" | "no" | "off" => self.edit(at, len, "false", Mistake::Foreign(word)),
            "none" | "null" | "nil" | "undefined" | "~" => self.edit(at, len, "null", Mistake::Foreign(word)),
            _ => self.unknown_value(value, &word),
        }
    }

    /// A number that is none to JSON, or a word.
    fn unknown_value(&mut self, value: Token, word: &str) -> Option<()> {
        let (at, len) = (value.from, value.to - value.from);
        let meant = || Number::meant(word).filter(|_| word.starts_with(|c: char| !c.is_alphabetic()));
        if let Some(number) = Number::read(word).or_else(meant) {
            return self.edit(at, len, number.to_string(), Mistake::Foreign(cut(word)));
        }
        let quoted = serde_json::to_string(word).unwrap_or_default();
        self.edit(at, len, quoted, Mistake::BareValue(cut(word)))
    }
}

fn cut(word: &str) -> String {
    characters::shown(word, 0, 20)
}
