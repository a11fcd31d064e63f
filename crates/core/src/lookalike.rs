//! Names that look like a request's and are none: what editors, browsers and copies make of `x.cf-create`.
//!
//! The endings are a finite list, because the bucket's rules must name each of them: a pattern such as `*.cf-create*` would
//! match our own answers too. A name that no rule matches is never heard of, so this list is all that is answered.

use crate::key::{self, Answer, AnswerKey, HOME, Reading, Verb};
use crate::message::{KeyProblem, WrongKey};
use crate::names::ClusterName;

/// S3's limit for a key.
const ANSWER_BYTES_MAX: usize = 1024;

/// A cluster's name where nothing of the given one can stay.
const NAME_OF_NOTHING: &str = "mycluster";

impl Verb {
    /// How people spell the ending, in lower case. The first is the right one.
    fn spellings(self) -> [String; 4] {
        [".cf-", ".cf_", ".cf", ".cf."].map(|before| format!("{before}{self}"))
    }

    /// The endings that are read as an attempt at this verb, in lower case; keys match them in any case.
    pub fn lookalikes(self) -> Vec<String> {
        // Windows and browsers add `.txt`, editors their formats and backups, copies a number or a word, senders a
        // compression; a blank or a dot at the end is a slip.
        const AFTER_THE_RIGHT_ONE: [&str; 20] = [
            "",
            ".txt",
            ".txt.txt",
            ".json",
            ".json.txt",
            ".yaml",
            ".yml",
            ".rtf",
            ".doc",
            ".docx",
            ".html",
            ".bak",
            ".gz",
            ".zip",
            "~",
            ".",
            " ",
            " (1)",
            " copy",
            " - copy",
        ];
        const AFTER_ANOTHER: [&str; 3] = ["", ".txt", ".json"];
        let spellings = self.spellings();
        let [right, others @ ..] = &spellings;
        let right = AFTER_THE_RIGHT_ONE.iter().map(|after| format!("{right}{after}"));
        let others = others.iter().flat_map(|spelling| AFTER_ANOTHER.iter().map(move |after| format!("{spelling}{after}")));
        right.chain(others).collect()
    }

    /// Those of the endings that a bucket's direct notifications name as well: their filters compare letter by letter, and a
    /// bucket has a hundred of them at most, for everybody.
    pub fn lookalikes_reported_by_buckets(self) -> [String; 4] {
        let [right, underscore, ..] = self.spellings();
        [format!("{right}.txt"), format!("{right}.json"), right.to_ascii_uppercase(), underscore]
    }
}

/// Reads a key that is no request's: whether it means to be one, and under which name it would be.
pub fn read(key: &str) -> Reading {
    let lower = key.to_ascii_lowercase();
    let attempt = Verb::ALL.into_iter().find_map(|verb| {
        let ending = verb.lookalikes().into_iter().find(|ending| lower.ends_with(ending))?;
        // The ending is ASCII, so the cut is between characters.
        Some((verb, key.split_at_checked(key.len().checked_sub(ending.len())?)?))
    });
    let Some((verb, (stem, ending))) = attempt else { return Reading::NotARequest };
    let answer = AnswerKey::beside(key, Answer::Failed);
    // A file beside the homes is nobody's, so nobody would read its answer.
    let Some((folder, name)) = stem.rsplit_once('/').filter(|(folder, _)| folder.len() >= HOME.len()) else {
        return Reading::NotARequest;
    };
    if answer.len() > ANSWER_BYTES_MAX {
        return Reading::NotARequest;
    }
    let right = match key::read(&format!("{folder}/{}{}", fitting(name), verb.suffix())) {
        Reading::Request(right) => Ok(right),
        Reading::Refused { problem, .. } => Err(Some(Box::new(problem.wrong))),
        Reading::NotARequest | Reading::LooksLike { .. } => Err(None),
    };
    let name = ClusterName::parse(name).err().map(|why| (name.to_owned(), why));
    let wrong = WrongKey::Ending { ending: ending.to_owned(), verb, name, right };
    Reading::LooksLike { answer, problem: KeyProblem { key: key.to_owned(), wrong } }
}

/// The nearest name that a cluster may have.
pub fn fitting(name: &str) -> String {
    let mut fit = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '-' };
        if c != '-' || !(fit.is_empty() || fit.ends_with('-')) {
            fit.push(c);
        }
    }
    fit.truncate(ClusterName::LENGTH_MAX);
    let fit = fit.trim_end_matches('-');
    if fit.is_empty() { NAME_OF_NOTHING.to_owned() } else { fit.to_owned() }
}

#[cfg(test)]
#[path = "lookalike_tests.rs"]
mod tests;
