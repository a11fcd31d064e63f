//! A problem as people are told of it: what was asked, what stands in the way, what to do next.

use std::fmt;

use serde::Serialize;

use crate::characters::is_unprintable;

/// One thing that is wrong. All of a request's problems are told at once, sorted by what was asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// What was asked, in the user's words.
    pub asked: String,
    /// What stands in the way: the value given, what is allowed.
    pub stands: String,
    /// What to do next.
    pub next: String,
    /// A line to write instead, as it may stand in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected: Option<String>,
}

/// A value of a user is shown up to this many characters: enough to know it again.
const SHOWN_CHARACTERS_MAX: usize = 60;

impl Problem {
    /// The three parts, in the order in which they are read.
    pub fn new(asked: impl Into<String>, stands: impl Into<String>, next: impl Into<String>) -> Self {
        Self { asked: asked.into(), stands: stands.into(), next: next.into(), corrected: None }
    }

    /// The same, with the line that is to stand there.
    #[must_use]
    pub fn corrected(self, line: impl Into<String>) -> Self {
        Self { corrected: Some(line.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.next.ends_with('?') { "" } else { "." };
        write!(f, "{}: {}.\n  What to do: {}{end}", self.asked, self.stands, self.next)?;
        // On a line of its own and without a full stop, so that it can be copied.
        self.corrected.as_ref().map_or(Ok(()), |line| write!(f, "\n  Corrected: {line}"))
    }
}

/// A user's text in quotes, escaped and cut, safe to print on a terminal and to log.
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    // Debug lets some through that are not to be seen, such as fillers and variation selectors.
    let mut quoted = String::new();
    for c in format!("{cut:?}").chars() {
        if is_unprintable(c) { quoted.extend(c.escape_unicode()) } else { quoted.push(c) }
    }
    if cut.len() < text.len() { format!("{quoted}…") } else { quoted }
}

/// The candidate that was probably meant, if one is near enough.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&given, &c.to_ascii_lowercase()), c))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
