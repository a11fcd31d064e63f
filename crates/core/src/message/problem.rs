//! A problem as it is shown to people: what was asked, what stands in the way, what to do next.

mod file;
mod format;
mod key;
mod parameter;
mod rule;

use std::fmt;

pub use file::{FileProblem, TextProblem, ValueProblem};
pub use format::{Format, JsonType};
pub use key::{KeyProblem, WrongKey};
pub use parameter::{ChoiceProblem, NumberError, Odd, ParameterProblem, RegionAdvice, Wrong};
pub use rule::Rule;

use crate::characters::is_unprintable;
use crate::key::UploadKey;
use crate::ledger::OPEN_MAX;
use crate::names::User;
use crate::profile::NotScriptReason;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Problem {
    /// Its file cannot be read as a request.
    File(FileProblem),
    /// A value in it is no plain value.
    Value {
        /// The name that it has in the file.
        name: String,
        /// What is wrong with it.
        wrong: ValueProblem,
    },
    /// A parameter has a value that it does not take.
    Parameter(Box<ParameterProblem>),
    /// The user has no profile that does anything.
    NoProfile {
        /// Whose.
        user: User,
        /// What is there beside scripts.
        others: Option<OtherFiles>,
    },
    /// The service role and the boundary are an earlier deployment's, and not known to be up to date.
    OldFoundation {
        /// The deployment's prefix.
        prefix: String,
    },
    /// Too many files wait for one cluster.
    Crowded {
        /// This one.
        key: UploadKey,
    },
    /// The cluster's address stands in too many folders.
    Spread {
        /// This one.
        key: UploadKey,
    },
}

/// Files of a profile that are no scripts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherFiles {
    /// The first few: name, and why it is none.
    pub files: Vec<(String, NotScriptReason)>,
    /// How many there are in all.
    pub count: usize,
}

impl fmt::Display for OtherFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<String> =
            self.files.iter().map(|(name, why)| format!("{} ({why})", crate::characters::shown(name, 0, 60))).collect();
        f.write_str(&files.join(", "))?;
        match self.count.saturating_sub(self.files.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for NotScriptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder, which is not looked into",
            Self::Hidden => "a hidden file",
            Self::Backup => "left over by an editor",
            Self::NameTooLong => "a name too long for a file",
            Self::TextByName => "a text or data by its name",
            Self::Empty => "empty",
        })
    }
}

/// The parts of a problem, in the order in which they are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parts {
    /// What was asked, in the user's words.
    pub asked: String,
    /// What stands in the way: the value given, what is allowed.
    pub stands: String,
    /// More about that, each on a line of its own.
    pub details: Vec<String>,
    /// What to do next.
    pub next: String,
    /// A line to write instead, as it may stand in the file.
    pub corrected: Option<String>,
}

impl Parts {
    pub(super) fn new(asked: impl Into<String>, stands: impl Into<String>, next: impl Into<String>) -> Self {
        Self { asked: asked.into(), stands: stands.into(), details: Vec::new(), next: next.into(), corrected: None }
    }

    /// The same, with more about what stands in the way.
    pub(super) fn detailed(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// The same, with the line that is to stand there.
    pub(super) fn corrected(self, line: Option<String>) -> Self {
        Self { corrected: line, ..self }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.next.ends_with('?') { "" } else { "." };
        write!(f, "{}: {}.", self.asked, self.stands)?;
        self.details.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        write!(f, "\n  What to do: {}{end}", self.next)?;
        // On a line of its own and without a full stop, so that it can be copied.
        self.corrected.as_ref().map_or(Ok(()), |line| write!(f, "\n  Corrected: {line}"))
    }
}

impl Problem {
    /// Its parts, in the words that people read.
    pub fn parts(&self) -> Parts {
        match self {
            Self::File(problem) => problem.parts(),
            Self::Value { name, wrong } => wrong.parts(name),
            Self::Parameter(problem) => problem.parts(),
            Self::NoProfile { user, others } => no_profile(user, others.as_ref()),
            Self::OldFoundation { prefix } => Parts::new(
                "any cluster",
                "the rights that clusters are made with are those of an earlier installation, and nodes would fail with them",
                "ask the administrator to run it, then upload the file again",
            )
            .detailed(vec![format!("The command that renews them: iam/renew.sh {prefix}")]),
            Self::Crowded { key } => Parts::new(
                format!("the file {key}"),
                format!("{OPEN_MAX} other files for this cluster wait for their turn already"),
                "wait until they are answered, then upload it again",
            ),
            Self::Spread { key } => Parts::new(
                format!("the file {key}"),
                format!("this cluster's address stands in {OPEN_MAX} other folders already"),
                "look it up there",
            ),
        }
    }

    /// A line to write instead, as it may stand in the file.
    pub fn corrected(&self) -> Option<String> {
        self.parts().corrected
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

/// Sorts problems as they are shown: by what was asked.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by_cached_key(Problem::parts);
}

fn no_profile(user: &User, others: Option<&OtherFiles>) -> Parts {
    let stands = match others {
        None => format!("the user {user} has no profile: nothing lies under customizer/{user}/configure.d/"),
        Some(others) => {
            format!("the user {user} has no profile that does anything: no script lies in customizer/{user}/configure.d/, only {others}")
        }
    };
    Parts::new(
        format!("a cluster for {user}"),
        stands,
        format!(
            "ask the administrator to put a script there, such as customizer/{user}/configure.d/user.sh (not empty, not in a folder, \
             and no text or data file), then upload the file again"
        ),
    )
}

/// A value of a user is shown up to this many characters: enough to know it again.
const SHOWN_CHARACTERS_MAX: usize = 60;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_scripts_are_shown_bounded_and_safe_to_print() {
        let mut files = vec![("old/".to_owned(), NotScriptReason::Folder), ("\u{202e}\n.sh~".to_owned(), NotScriptReason::Backup)];
        let two = OtherFiles { files: files.clone(), count: 2 };
        assert_eq!(two.to_string(), "old/ (a folder, which is not looked into), \\u{202e}\\u{a}.sh~ (left over by an editor)");
        files.extend([1, 2].map(|nth| (format!("{nth}{}.txt", "x".repeat(200)), NotScriptReason::TextByName)));
        let shown = OtherFiles { files, count: 10_002 }.to_string();
        assert!(shown.ends_with(" and 9998 more") && shown.len() < 800, "{shown}");
    }
}
