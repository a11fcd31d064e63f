//! Keys in the user bucket: which are requests, whose, and where their answers go.
//! A key is read as it is, after the event's own decoding; S3 does not normalise, and neither do we.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lookalike;
use crate::message::{KeyProblem, WrongKey};
use crate::names::{Cluster, ClusterName, User};
pub use crate::verb::Verb;

/// Everything that users own lies under this prefix.
pub const HOME: &str = "home/";

/// S3 allows 1,024 bytes; `.cf-created` is one longer than `.cf-create`.
pub const KEY_BYTES_MAX: usize = 1023;

/// The files that only we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumCount)]
pub enum Answer {
    /// The login address and a newline.
    Created,
    /// The receipt of a removal.
    Deleted,
    /// Every reason why not.
    Failed,
}

impl Answer {
    /// Every final answer; `.cf-status` is not final and stands apart.
    pub const ALL: [Self; <Self as strum::EnumCount>::COUNT] = [Self::Created, Self::Deleted, Self::Failed];

    /// The suffix of its file, with the dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Created => ".cf-created",
            Self::Deleted => ".cf-deleted",
            Self::Failed => ".cf-failed",
        }
    }
}

/// The key of an answer. Reads as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display, derive_more::Deref)]
#[deref(forward)]
pub struct AnswerKey(String);

impl AnswerKey {
    /// The key of an object, if it is named as an answer is.
    pub fn read(key: &str) -> Option<Self> {
        Answer::ALL.iter().any(|answer| key.ends_with(answer.suffix())).then(|| Self(key.to_owned()))
    }

    /// Beside a file whose key has `stem` before its suffix.
    pub(crate) fn beside(stem: &str, answer: Answer) -> Self {
        Self(format!("{stem}{}", answer.suffix()))
    }
}

/// The key of a status file. Reads as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display, derive_more::Deref)]
#[deref(forward)]
pub struct StatusKey(String);

impl StatusKey {
    /// The key of an object, if it is named as a status file is.
    pub fn read(key: &str) -> Option<Self> {
        key.ends_with(STATUS_SUFFIX).then(|| Self(key.to_owned()))
    }
}

/// The key of a file that users put and functions remove: a request's, or one that means to be a request's. Reads as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display, derive_more::Deref)]
#[deref(forward)]
pub struct RequestFileKey(String);

impl RequestFileKey {
    /// The key of an object, if it has a verb's suffix.
    pub fn read(key: &str) -> Option<Self> {
        Verb::ALL.iter().any(|verb| key.ends_with(verb.suffix())).then(|| Self(key.to_owned()))
    }
}

impl From<&UploadKey> for RequestFileKey {
    fn from(key: &UploadKey) -> Self {
        Self(key.to_string())
    }
}

/// The suffix of the status file.
pub const STATUS_SUFFIX: &str = ".cf-status";

/// Where a cluster's files lie: `home/<user>/[folders/]`, always ending in a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Folder(String);

impl Folder {
    /// The folder as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What all files of one cluster in this folder begin with; no other cluster's do, for names hold no dot.
    pub fn stem(&self, name: &ClusterName) -> String {
        format!("{}{name}.cf-", self.0)
    }

    /// The key of an answer in this folder.
    pub fn answer(&self, name: &ClusterName, answer: Answer) -> AnswerKey {
        AnswerKey::beside(&format!("{}{name}", self.0), answer)
    }

    /// The key of the status file in this folder.
    pub fn status(&self, name: &ClusterName) -> StatusKey {
        StatusKey(format!("{}{name}{STATUS_SUFFIX}", self.0))
    }

    /// The keys of all files that matter to a cluster in this folder: requests, answers, and the state.
    pub fn files(&self, name: &ClusterName) -> Vec<String> {
        let suffixes = Verb::ALL.map(Verb::suffix).into_iter().chain(Answer::ALL.map(Answer::suffix)).chain([STATUS_SUFFIX]);
        suffixes.map(|suffix| format!("{}{name}{suffix}", self.0)).collect()
    }
}

/// A request's key, read once and trusted from then on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadKey {
    /// Whose cluster, and its name.
    pub cluster: Cluster,
    /// Where it lies, and where its answer will.
    pub folder: Folder,
    /// What is asked.
    pub verb: Verb,
}

/// What a key can turn out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A request of somebody.
    Request(UploadKey),
    /// Not ours: another suffix, or not under `home/`.
    NotARequest,
    /// It means to be a request, and cannot be one; the answer goes to `answer`, beside it.
    Refused {
        /// The file itself.
        file: RequestFileKey,
        /// The key of `.cf-failed` beside the upload.
        answer: AnswerKey,
        /// What stands in the way.
        problem: KeyProblem,
    },
    /// Its name only looks like a request's. It is not ours to remove; the answer shows the name that works.
    LooksLike {
        /// The whole key and `.cf-failed`: the answer cannot be taken for another file's.
        answer: AnswerKey,
        /// What stands in the way.
        problem: KeyProblem,
    },
}

/// Reads a decoded key (checks A13, A14).
pub fn read(key: &str) -> Reading {
    let Some(rest) = key.strip_prefix(HOME) else { return Reading::NotARequest };
    let Some((verb, stem)) = Verb::ALL.iter().find_map(|&v| Some((v, rest.strip_suffix(v.suffix())?))) else {
        return lookalike::read(key);
    };
    let refuse = |wrong: WrongKey| Reading::Refused {
        file: RequestFileKey(key.to_owned()),
        answer: AnswerKey::beside(&format!("{HOME}{stem}"), Answer::Failed),
        problem: KeyProblem { key: key.to_owned(), wrong },
    };
    if let Some(wrong) = wrong_characters(key) {
        return refuse(wrong);
    }
    let mut segments: Vec<&str> = stem.split('/').collect();
    // `split` always yields one segment, so there is a last one.
    let name = segments.pop().unwrap_or_default();
    let Some((&user, folders)) = segments.split_first() else {
        return refuse(WrongKey::NoUser);
    };
    if let Some(odd) = folders.iter().find(|f| matches!(**f, "" | "." | "..")) {
        return refuse(WrongKey::Folder((*odd).to_owned()));
    }
    let user = match User::parse(user) {
        Ok(user) => user,
        Err(why) => return refuse(WrongKey::User(user.to_owned(), why)),
    };
    match ClusterName::parse(name) {
        Ok(name) => {
            let folder = Folder(key[..key.len() - verb.suffix().len() - name.as_str().len()].to_owned());
            Reading::Request(UploadKey { cluster: Cluster { user, name }, folder, verb })
        }
        Err(why) => refuse(WrongKey::Name(name.to_owned(), why)),
    }
}

/// `+` and `%` are refused because services differ in encoding them; spaces may stand in folders only.
fn wrong_characters(key: &str) -> Option<WrongKey> {
    if key.len() > KEY_BYTES_MAX {
        return Some(WrongKey::TooLong(key.len()));
    }
    key.chars().find(|c| c.is_control() || "+%\\".contains(*c)).map(WrongKey::Character)
}

impl UploadKey {
    /// The key of an answer beside this upload.
    pub fn answer(&self, answer: Answer) -> AnswerKey {
        self.folder.answer(&self.cluster.name, answer)
    }

    /// The key of the status file beside this upload.
    pub fn status(&self) -> StatusKey {
        self.folder.status(&self.cluster.name)
    }
}

impl fmt::Display for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.folder.0, self.cluster.name, self.verb.suffix())
    }
}

impl TryFrom<String> for UploadKey {
    type Error = String;
    fn try_from(key: String) -> Result<Self, String> {
        match read(&key) {
            Reading::Request(key) => Ok(key),
            Reading::NotARequest | Reading::Refused { .. } | Reading::LooksLike { .. } => {
                Err(format!("{key:?} is not the key of a request"))
            }
        }
    }
}

impl From<UploadKey> for String {
    fn from(key: UploadKey) -> String {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_a_folder_with_spaces_is_read_and_prints_itself() {
        let key = "home/alice/my projects/run 7/mycluster.cf-create";
        let Reading::Request(read) = read(key) else { panic!("not read") };
        assert_eq!(read.to_string(), key);
        assert_eq!(read.cluster.to_string(), "alice/mycluster");
        assert_eq!(&*read.answer(Answer::Created), "home/alice/my projects/run 7/mycluster.cf-created");
        assert_eq!(read.folder.stem(&read.cluster.name), "home/alice/my projects/run 7/mycluster.cf-");
    }

    #[test]
    fn what_is_no_request_is_left_alone() {
        for key in
            ["home/alice/foocf-create", "home/alice/x.cf-created", "home/alice/x.cf-failed", "other/alice/x.cf-create", "home/alice/x.json"]
        {
            assert_eq!(read(key), Reading::NotARequest, "{key}");
        }
    }

    #[test]
    fn what_cannot_be_a_request_is_refused_with_an_answer_beside_it() {
        let long = format!("home/alice/{}.cf-create", "x".repeat(200));
        for key in [
            "home/x.cf-create",
            "home/alice/a_b.cf-create",
            "home/alice/.cf-create",
            "home/alice/a b.cf-create",
            "home/alice/a+b.cf-delete",
            "home/alice/a%20b.cf-create",
            "home/alice//x.cf-create",
            "home/alice/../bob/x.cf-create",
            "home/../x.cf-create",
            "home/alice/x\u{0}.cf-create",
            "home//x.cf-create",
            &long,
        ] {
            let Reading::Refused { answer, .. } = read(key) else { panic!("{key} was not refused") };
            let stem = key.strip_suffix(".cf-create").or_else(|| key.strip_suffix(".cf-delete")).unwrap();
            assert_eq!(*answer, *format!("{stem}.cf-failed"));
        }
    }

    /// `.cf-created` of the longest key is as long as S3 allows.
    #[test]
    fn a_key_is_as_long_as_its_answers_allow_and_no_longer() {
        let folder = |length: usize| format!("home/alice/{}/demo.cf-create", "x".repeat(length - "home/alice//demo.cf-create".len()));
        let longest = folder(KEY_BYTES_MAX);
        let Reading::Request(read_key) = read(&longest) else { panic!("{} bytes are allowed", longest.len()) };
        assert_eq!((longest.len(), read_key.answer(Answer::Created).len()), (1023, 1024));
        assert_eq!(String::from(read_key), longest);
        let problem = KeyProblem { key: folder(KEY_BYTES_MAX + 1), wrong: WrongKey::TooLong(1024) };
        assert!(matches!(read(&folder(KEY_BYTES_MAX + 1)), Reading::Refused { problem: p, .. } if p == problem));
    }

    #[test]
    fn the_files_of_a_cluster_are_each_of_their_kind() {
        let Reading::Request(key) = read("home/alice/x/demo.cf-delete") else { panic!("a request") };
        let files = key.folder.files(&key.cluster.name);
        for word in ["create", "created", "delete", "deleted", "failed", "status"] {
            assert!(files.contains(&format!("home/alice/x/demo.cf-{word}")), "{word}");
        }
        assert_eq!(key.folder.as_str(), "home/alice/x/");
        let of = |kind: fn(&str) -> bool| files.iter().filter(|file| kind(file)).count();
        assert_eq!(of(|file| AnswerKey::read(file).is_some_and(|key| *key == *file)), Answer::ALL.len());
        assert_eq!(of(|file| StatusKey::read(file).is_some_and(|key| *key == *file)), 1);
        assert_eq!(of(|file| RequestFileKey::read(file).is_some_and(|key| *key == *file)), Verb::ALL.len());
    }
}
