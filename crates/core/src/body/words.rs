//! The words of the lenient reader: what is between two tokens, names, values, and quotes of every kind.

use super::mistake::Mistake;
use super::repair::{Kind, Reader, Token};
use crate::characters::{is_odd_quote, lookalike};

impl Reader<'_> {
    /// Skips what is between two tokens, and reads the next one.
    pub fn token(&mut self) -> Option<Token> {
        loop {
            let from = self.at;
            let Some(c) = self.rest().chars().next() else { return Some(Token { kind: Kind::End, from, to: from }) };
            let len = c.len_utf8();
            let plain = lookalike(c);
            if matches!(c, ' ' | '\t' | '\n' | '\r') {
                self.at += len;
            } else if self.rest().starts_with("```") {
                let line = self.rest().find('\n').unwrap_or(self.rest().len());
                self.edit(from, line, "", Mistake::Fence)?;
                self.at += line;
            } else if c == '#' || self.rest().starts_with("//") || self.rest().starts_with("/*") {
                self.comment()?;
            } else if plain.as_ref().is_some_and(|l| matches!(l.instead, None | Some(' '))) {
                let put = if plain.is_some_and(|l| l.instead.is_some()) { " " } else { "" };
                self.at += len;
                self.edit(from, len, put, Mistake::Odd(c))?;
            } else if c.is_control() {
                self.at += len;
                self.edit(from, len, " ", Mistake::Control(c))?;
            } else if c == '"' || is_odd_quote(c) {
                self.string(c)?;
                return Some(Token { kind: Kind::Text, from, to: self.at });
            } else {
                let kind = self.sign(c, plain.as_ref().and_then(|l| l.instead))?;
                if kind == Kind::Word {
                    self.word()?;
                }
                return Some(Token { kind, from, to: self.at });
            }
        }
    }

    /// A sign that is a token by itself; `Word`, and nothing is taken, where it is none.
    fn sign(&mut self, c: char, instead: Option<char>) -> Option<Kind> {
        let from = self.at;
        let kind = match instead.unwrap_or(c) {
            open @ ('{' | '[') => Kind::Open(open),
            close @ ('}' | ']') => Kind::Close(close),
            ':' => Kind::Colon,
            ',' => Kind::Comma,
            ';' if c == ';' => {
                self.at += 1;
                self.edit(from, 1, ",", Mistake::Semicolon)?;
                return Some(Kind::Comma);
            }
            '=' if c == '=' => {
                let len = if self.rest().starts_with("=>") { 2 } else { 1 };
                self.at += len;
                self.edit(from, len, ":", Mistake::Equals)?;
                return Some(Kind::Colon);
            }
            _ => return Some(Kind::Word),
        };
        self.at += c.len_utf8();
        if let Some(plain) = instead {
            self.edit(from, c.len_utf8(), plain, Mistake::Odd(c))?;
        }
        Some(kind)
    }

    fn comment(&mut self) -> Option<()> {
        let from = self.at;
        let len = match self.rest().strip_prefix("/*") {
            Some(inside) => inside.find("*/").map_or(self.rest().len(), |end| end + 4),
            None => self.rest().find('\n').unwrap_or(self.rest().len()),
        };
        self.at += len;
        self.edit(from, len, "", Mistake::Comment)
    }

    /// Letters and digits without quotes, up to what cannot be part of them.
    fn word(&mut self) -> Option<()> {
        let from = self.at;
        while let Some(c) = self.rest().chars().next() {
            let odd = lookalike(c);
            let instead = odd.as_ref().and_then(|l| l.instead);
            let ends = |c: char| {
                c.is_whitespace() || c.is_control() || matches!(c, '{' | '}' | '[' | ']' | ':' | ',' | ';' | '=' | '"' | '\'' | '`' | '#')
            };
            // The first character is taken in any case: no other token begins with it.
            if self.at > from && (ends(c) || instead.is_some_and(ends)) {
                break;
            }
            if odd.is_some() {
                self.edit(self.at, c.len_utf8(), instead.map(String::from).unwrap_or_default(), Mistake::Odd(c))?;
            }
            self.at += c.len_utf8();
        }
        Some(())
    }

    /// From a quote of any kind to the one that closes it.
    fn string(&mut self, open: char) -> Option<()> {
        self.quote(open)?;
        while let Some(c) = self.rest().chars().next() {
            let len = c.len_utf8();
            match c {
                '\n' | '\r' => return self.unclosed(),
                '\\' => {
                    // With what it escapes, unless that is the end of the line.
                    self.at += 1;
                    self.at += self.rest().chars().next().filter(|c| !c.is_control()).map_or(0, char::len_utf8);
                }
                _ if self.closes(open, c) => return self.quote(c),
                '"' => {
                    self.edit(self.at, 0, "\\", Mistake::InnerQuote)?;
                    self.at += 1;
                }
                _ if c.is_control() => {
                    self.edit(self.at, len, " ", Mistake::Control(c))?;
                    self.at += len;
                }
                _ => {
                    if let Some(odd) = lookalike(c).filter(|l| l.instead != Some('"') && !l.is_letter()) {
                        self.edit(self.at, len, odd.instead.map(String::from).unwrap_or_default(), Mistake::Odd(c))?;
                    }
                    self.at += len;
                }
            }
        }
        self.unclosed()
    }

    /// Whether `c` ends the string that `open` began.
    fn closes(&self, open: char, c: char) -> bool {
        match open {
            '\'' | '`' => c == open,
            '"' if c == '"' => true,
            // A plain one at the beginning and a curly one at the end: where name or value would end.
            '"' => {
                !c.is_ascii() && is_odd_quote(c) && {
                    let after = self.rest()[c.len_utf8()..].trim_start_matches([' ', '\t']);
                    after.is_empty() || after.starts_with([':', ',', '}', ']', '\n', '\r'])
                }
            }
            _ => c == '"' || (is_odd_quote(c) && !c.is_ascii()),
        }
    }

    fn quote(&mut self, c: char) -> Option<()> {
        let from = self.at;
        self.at += c.len_utf8();
        match c {
            '"' => Some(()),
            '\'' => self.edit(from, 1, "\"", Mistake::SingleQuote),
            '`' => self.edit(from, 1, "\"", Mistake::Backtick),
            _ => self.edit(from, c.len_utf8(), "\"", Mistake::Odd(c)),
        }
    }

    /// The line ends inside quotes: they end before the comma or brace that ends the line.
    fn unclosed(&mut self) -> Option<()> {
        let line = self.text[..self.at].rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let end = line + self.text[line..self.at].trim_end_matches([' ', '\t', ',', '}']).len();
        let floor = self.edits.last().map_or(0, |e| e.at + e.len);
        self.at = end.max(floor).min(self.at);
        self.edit(self.at, 0, "\"", Mistake::Unclosed)
    }
}
