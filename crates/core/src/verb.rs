//! What a user can ask for by dropping a file. A new verb is one variant, its row in [`Verb::spec`], and what the compiler asks for
//! then; `cargo xtask sync` writes its suffix into `template.yaml` and the policies of `iam/`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::Answer;
use crate::message::Message;
use crate::settings::Function;
use crate::snapshot::{Snapshot, Upload};

/// A verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::EnumCount)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// `.cf-create`: make a cluster.
    Create,
    /// `.cf-delete`: remove it.
    Delete,
}

/// All that distinguishes a verb from the others.
#[derive(Debug)]
pub struct VerbSpec {
    /// Its word, in lower case: its files end in `.cf-<word>`.
    pub word: &'static str,
    /// The suffix of its file, with the dot.
    pub suffix: &'static str,
    /// The answers that its uploads can get.
    pub answers: &'static [Answer],
    /// Whether the content of its file is read.
    pub reads_body: bool,
    /// The function that its uploads start.
    pub function: Function,
    /// What becomes of its uploads.
    pub handling: Handling,
}

/// What becomes of the uploads of a verb.
#[derive(Debug, Clone, Copy)]
pub enum Handling {
    /// They compete to decide what happens to the cluster: triage, phase and stack decide (`decide`).
    Contends,
    /// They change nothing: each is answered at once, by what a snapshot shows.
    Answers(fn(&Snapshot<'_>, &Upload) -> Message),
}

impl Verb {
    /// Every verb there is.
    pub const ALL: [Self; <Self as strum::EnumCount>::COUNT] = [Self::Create, Self::Delete];

    /// Its row.
    pub const fn spec(self) -> &'static VerbSpec {
        match self {
            Self::Create => &VerbSpec {
                word: "create",
                suffix: ".cf-create",
                answers: &[Answer::Created, Answer::Deleted, Answer::Failed],
                reads_body: true,
                function: Function::Create,
                handling: Handling::Contends,
            },
            Self::Delete => &VerbSpec {
                word: "delete",
                suffix: ".cf-delete",
                answers: &[Answer::Deleted, Answer::Failed],
                reads_body: false,
                function: Function::Delete,
                handling: Handling::Contends,
            },
        }
    }

    /// The suffix of its file, with the dot.
    pub const fn suffix(self) -> &'static str {
        self.spec().suffix
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().word)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_verb_has_a_word_and_a_suffix_of_its_own() {
        let words: BTreeSet<&str> = Verb::ALL.into_iter().map(|verb| verb.spec().word).collect();
        assert_eq!(words.len(), Verb::ALL.len());
        for verb in Verb::ALL {
            assert_eq!(verb.suffix(), format!(".cf-{verb}"));
            // S3 compares suffixes, and an answer must never start a function.
            assert!(Answer::ALL.iter().all(|answer| !answer.suffix().ends_with(verb.suffix())), "{verb}");
        }
    }
}
