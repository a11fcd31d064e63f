//! How a profile is named: `foo`, or `account/foo`.

use serde::{Deserialize, Serialize};

use super::REPOSITORY;
use crate::settings::is_profile_name;

/// The name of a profile: one folder below `customizer/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, derive_more::Display)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

/// A text that names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileNameError {
    /// Of another repository.
    #[error("there is no repository {0:?}; profiles come from the repository \"account\": name a profile as foo or account/foo")]
    Repository(String),
    /// Not a name.
    #[error("{0:?} is not the name of a profile: it is one folder of the bucket's customizer/, without slashes and control characters")]
    Name(String),
}

impl ProfileName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, ProfileNameError> {
        let name = match text.split_once('/') {
            Some((REPOSITORY, name)) => name,
            Some((repository, name)) if is_name(name) => return Err(ProfileNameError::Repository(shown(repository))),
            _ => text,
        };
        if is_name(name) { Ok(Self(name.to_owned())) } else { Err(ProfileNameError::Name(shown(text))) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the keys of its files begin with: `customizer/<name>/`.
    pub fn prefix(&self) -> String {
        format!("{}{}/", super::PREFIX, self.0)
    }
}

/// A name that begins with a hyphen reads as an option, and a hidden one is the fetch's own.
fn is_name(name: &str) -> bool {
    is_profile_name(name) && !name.starts_with(['-', '.'])
}

fn shown(text: &str) -> String {
    cf_core::characters::shown(text, 0, 80)
}

impl std::str::FromStr for ProfileName {
    type Err = ProfileNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ProfileName {
    type Error = ProfileNameError;

    /// As data it is the bare name.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_name(&text) { Ok(Self(text)) } else { Err(ProfileNameError::Name(shown(&text))) }
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_named_with_or_without_its_repository_and_another_repository_is_named() {
        for text in ["foo", "account/foo"] {
            assert_eq!(ProfileName::parse(text).unwrap().as_str(), "foo");
        }
        assert_eq!(ProfileName::parse("a b").unwrap().prefix(), "customizer/a b/");
        assert!(ProfileName::parse("feature/foo").unwrap_err().to_string().starts_with("there is no repository \"feature\""));
        let long = "x".repeat(129);
        for bad in ["", "account/", "/foo", "account/../x", "..", ".hidden", "-n", "a\nb", "account/a/b", &long] {
            assert!(ProfileName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<ProfileName>("\"account/foo\"").is_err());
    }
}
