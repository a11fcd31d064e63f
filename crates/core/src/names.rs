//! Who and what: the user, the cluster, the stack that carries it, the login on its nodes.
//! Keys in the bucket are in `key`; nothing here talks to AWS.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a name was not taken. Its sentence for the user is in [`crate::message`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// Nothing stands where the name should be.
    Empty,
    /// Longer than allowed; both lengths in characters.
    TooLong {
        /// Characters found.
        has: usize,
        /// Characters allowed.
        most: usize,
    },
    /// The first character that is not allowed.
    Character(char, &'static str),
    /// A hyphen first: AWS and shells would read it as an option.
    Start(char),
}

impl std::error::Error for NameError {}

/// A user: the second segment of a key under `home/`. 1 to 64 of letters, digits and `_ . @ = -`,
/// which IAM user names and tag values have in common. The bucket policy is the authentication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(try_from = "String")]
pub struct User(String);

impl User {
    /// Limit of an IAM user name.
    pub const LENGTH_MAX: usize = 64;

    /// Reads a user name; refuses anything that a tag or a policy variable could not carry as it is.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, Self::LENGTH_MAX)?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.@=-".contains(c);
        if let Some(c) = text.chars().find(|&c| !legal(c)) {
            return Err(NameError::Character(c, "letters, digits and _ . @ = -"));
        }
        // "." and ".." are path tricks; a leading hyphen reads as an option.
        match text.chars().next() {
            Some(c) if !c.is_ascii_alphanumeric() && c != '_' => Err(NameError::Start(c)),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Linux login on the cluster's nodes: lower case, legal in `useradd`, at most 32 characters, never an
    /// account that the image has already. The same user always gets the same login.
    pub fn login(&self) -> String {
        let body: String = self.0.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let body = body.trim_matches('-');
        let taken = RESERVED_LOGINS.contains(&body) || body.starts_with("systemd-");
        let begins_well = body.starts_with(|c: char| c.is_ascii_lowercase());
        let full = if taken || !begins_well { format!("u-{body}") } else { body.to_owned() };
        full.chars().take(32).collect::<String>().trim_end_matches('-').to_owned()
    }
}

/// The numbers of users' accounts: above those that Debian gives out (`UID_MAX` 60,000) and those that systemd takes for units (61,184 to
/// 65,519), below those that an image of a container gets (524,288; systemd, "Users, Groups, UIDs and GIDs").
pub const USER_NUMBERS: std::ops::Range<u32> = 300_000..500_000;

/// The number of a user's account, and of its group: the same on every node of every cluster of the user, for homes are shared between
/// nodes and outlive clusters (decision 11). Two users may have the same; no node and no folder has both.
pub fn number_of_user(user: &str) -> u32 {
    let digest = Sha256::digest(user.as_bytes());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let length = u64::from(USER_NUMBERS.end - USER_NUMBERS.start);
    USER_NUMBERS.start + u32::try_from(number % length).unwrap_or_default()
}

/// Accounts and groups that Debian 13 has before any user comes, `root` first among them, with those of its packages for Slurm and NFS;
/// and those of Amazon Linux, which nodes had before.
const RESERVED_LOGINS: [&str; 72] = [
    "adm",
    "admin",
    "apt",
    "audio",
    "avahi",
    "backup",
    "bin",
    "cdrom",
    "chrony",
    "crontab",
    "daemon",
    "dbus",
    "debian",
    "dhcpcd",
    "dialout",
    "dip",
    "disk",
    "ec2-user",
    "fax",
    "floppy",
    "ftp",
    "games",
    "gnats",
    "halt",
    "input",
    "irc",
    "kmem",
    "kvm",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "munge",
    "netdev",
    "news",
    "nfsnobody",
    "nobody",
    "operator",
    "plugdev",
    "polkitd",
    "proxy",
    "render",
    "root",
    "rpc",
    "rpcuser",
    "sasl",
    "sgx",
    "shadow",
    "shutdown",
    "slurm",
    "src",
    "sshd",
    "ssm-user",
    "staff",
    "statd",
    "sudo",
    "sync",
    "sys",
    "systemd",
    "tape",
    "tcpdump",
    "tss",
    "tty",
    "users",
    "utmp",
    "uucp",
    "uuidd",
    "video",
    "voice",
    "wheel",
    "www-data",
];

/// A cluster's name as its user writes it: `[a-zA-Z0-9][-a-zA-Z0-9]*`, at most 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(try_from = "String")]
pub struct ClusterName(String);

impl ClusterName {
    /// Leaves room for prefix, user and hash in the 128 characters of a stack name.
    pub const LENGTH_MAX: usize = 40;

    /// Reads a cluster name (check A13: a leading digit is fine, `a_b` and 200 characters are not).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, Self::LENGTH_MAX)?;
        if let Some(c) = text.chars().find(|&c| !c.is_ascii_alphanumeric() && c != '-') {
            return Err(NameError::Character(c, "letters, digits and -"));
        }
        if text.starts_with('-') {
            return Err(NameError::Start('-'));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One cluster: two users may both have `test`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster {
    /// Whose it is.
    pub user: User,
    /// What its user calls it.
    pub name: ClusterName,
}

/// `<prefix>-<user slug>-<CLUSTER>-<8 hex>`: unique for (bucket, user, cluster), at most 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, derive_more::Display)]
pub struct StackName(String);

impl StackName {
    /// `user-a`+`b` and `user`+`a-b` read the same when joined by hyphens; the hash over the parts keeps them apart.
    pub fn of(prefix: &str, bucket: &str, cluster: &Cluster) -> Self {
        let (user, name) = (cluster.user.as_str(), cluster.name.as_str());
        let slug: String = user.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Self(format!("{prefix}-{slug}-{name}-{}", hex(&digest(&[bucket, user, name]), 4)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 over parts, each preceded by its length, so that no two lists of parts read the same.
pub fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// The first `bytes` of a digest as lower-case hexadecimal digits.
pub fn hex(digest: &[u8], bytes: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    digest.iter().take(bytes).flat_map(pair).map(char::from).collect()
}

fn check_length(text: &str, most: usize) -> Result<(), NameError> {
    match text.chars().count() {
        0 => Err(NameError::Empty),
        has if has > most => Err(NameError::TooLong { has, most }),
        _ => Ok(()),
    }
}

impl TryFrom<String> for User {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for ClusterName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.user, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(user: &str, name: &str) -> Cluster {
        Cluster { user: User::parse(user).unwrap(), name: ClusterName::parse(name).unwrap() }
    }

    #[test]
    fn cluster_names_follow_check_a13() {
        for good in ["1abc", "a", "A-b-9", &"x".repeat(40)] {
            assert!(ClusterName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a_b", "-a", "a.b", "ä", "a b", &"x".repeat(41), &"x".repeat(200)] {
            assert!(ClusterName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn user_names_that_a_policy_variable_would_read_otherwise_are_refused() {
        for bad in ["", ".", "..", "-a", "a*", "a?", "$", "a/b", "a b", "a+b", "ü", "a\n", &"u".repeat(65)] {
            assert!(User::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["alice", "Bob.X", "a_b", "alice@site.example", "0day"] {
            assert!(User::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_login_is_legal_and_never_root() {
        for (user, login) in [
            ("alice", "alice"),
            ("Bob.X", "bob-x"),
            ("root", "u-root"),
            ("0day", "u-0day"),
            ("ec2-user", "u-ec2-user"),
            ("_x", "x"),
            ("alice@site.example", "alice-site-example"),
        ] {
            assert_eq!(User::parse(user).unwrap().login(), login);
        }
        assert!(User::parse(&"a.".repeat(32)).unwrap().login().len() <= 32);
    }

    #[test]
    fn stack_names_are_short_enough_and_apart() {
        let longest = cluster(&"u".repeat(64), &"c".repeat(40));
        let name = StackName::of(&"p".repeat(30), "bucket", &longest);
        assert!(name.as_str().len() <= 128);
        let one = StackName::of("clusterdrop", "b", &cluster("user-a", "b"));
        let two = StackName::of("clusterdrop", "b", &cluster("user", "a-b"));
        assert_ne!(one, two);
        assert!(one.as_str().starts_with("clusterdrop-user-a-b-"));
    }
}
