//! What is wrong with a key that means to be a request.

use std::fmt;

use super::Parts;
use crate::key::{KEY_BYTES_MAX, UploadKey, Verb};
use crate::lookalike::fitting;
use crate::names::NameError;

/// Why a key is no request's, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyProblem {
    /// The key.
    pub key: String,
    /// Why.
    pub wrong: WrongKey,
}

/// Why a key is no request's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongKey {
    /// More bytes than [`KEY_BYTES_MAX`].
    TooLong(usize),
    /// A character that services encode differently.
    Character(char),
    /// It lies in no user's folder.
    NoUser,
    /// A segment that is no plain folder name.
    Folder(String),
    /// The user's name.
    User(String, NameError),
    /// The cluster's name.
    Name(String, NameError),
    /// Its ending only looks like a request's.
    Ending {
        /// As it is.
        ending: String,
        /// What it means to ask.
        verb: Verb,
        /// The cluster's name, where it can be none.
        name: Option<(String, NameError)>,
        /// The key that works, or what else is wrong.
        right: Result<UploadKey, Option<Box<WrongKey>>>,
    },
}

impl KeyProblem {
    /// Its parts, in the words that people read.
    pub fn parts(&self) -> Parts {
        Parts::new(format!("the file {:?}", self.key), self.wrong.to_string(), self.wrong.next())
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

impl fmt::Display for WrongKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(has) => write!(f, "its path has {has} bytes, and {KEY_BYTES_MAX} are the most"),
            Self::Character(c) => write!(f, "its path holds {c:?}, which reads differently from one program to the next"),
            Self::NoUser => f.write_str("it lies in no user's folder"),
            Self::Folder(odd) => write!(f, "its path has the folder {odd:?}"),
            Self::User(user, why) => write!(f, "the user name {user:?} can have no cluster: {why}"),
            Self::Name(name, why) => write!(f, "{name:?} cannot be a cluster's name: {why}"),
            Self::Ending { ending, verb, name, right } => {
                write!(f, "its name ends in {ending:?}, and only a name that ends in {} is read", verb.suffix())?;
                if let Some((name, why)) = name {
                    write!(f, "; and {name:?} cannot be a cluster's name: {why}")?;
                }
                match right {
                    Err(Some(wrong)) => write!(f, "; and {wrong}"),
                    Ok(_) | Err(None) => Ok(()),
                }
            }
        }
    }
}

impl WrongKey {
    fn next(&self) -> String {
        match self {
            Self::TooLong(_) | Self::Character(_) => "rename it and upload it again".into(),
            Self::NoUser => "put it into your own home, home/<user>/".into(),
            Self::Folder(_) => "use plain folder names".into(),
            Self::User(..) => "ask the administrator for another user name".into(),
            Self::Name(name, _) => format!("choose a name of letters, digits and hyphens, at most 40, such as {}", fitting(name)),
            Self::Ending { right: Ok(right), .. } => format!("upload it as {right}"),
            Self::Ending { right: Err(Some(wrong)), verb, .. } => {
                format!("{}, and give the file the ending {}", wrong.next(), verb.suffix())
            }
            Self::Ending { right: Err(None), verb, .. } => format!("give it the ending {}", verb.suffix()),
        }
    }
}

/// Why a name was not taken.
impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong { has, most } => write!(f, "it has {has} characters, and {most} are the most"),
            Self::Character(c, allowed) => write!(f, "it holds {c:?}, and only {allowed} are allowed"),
            Self::Start(c) => write!(f, "it begins with {c:?}; begin with a letter or a digit"),
        }
    }
}
