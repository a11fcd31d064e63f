//! A node's settings, which the template gives: a JSON file that user data write before they start the agent.

use std::path::Path;

use cf_core::names::{ClusterName, User};
use cf_core::request::RequestId;
use serde::Deserialize;

use crate::node::{Layout, Role};

mod scheduler;
mod storage;

pub use scheduler::{Outbound, SchedulerSettings};
pub use storage::{Home, StorageSettings};

/// The most bytes of the file.
pub const BYTES_MAX: u64 = 64 * 1024;

/// The content of `/etc/clusterdrop/node.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSettings {
    /// What the node is.
    pub role: Role,
    /// The cluster's name.
    pub cluster: String,
    /// Its user: the folder in `home/`.
    pub user: String,
    /// The create that the cluster was made for: sixteen hexadecimal digits.
    pub request: String,
    /// The user's account on the nodes.
    pub login: String,
    /// The AWS Region.
    pub region: String,
    /// The AWS account that owns the buckets; every fetch names it.
    pub account: String,
    /// The ARN of the cluster's stack.
    pub stack: String,
    /// The resource of the stack that this node signals for; empty: it does not signal.
    #[serde(default)]
    pub resource: String,
    /// The bucket with `customizer/<profile>/`; with or without `s3://`.
    pub customizer_bucket: String,
    /// The site's profiles, in order. Where the list is empty, `default` is taken if it exists.
    #[serde(default)]
    pub site_profiles: Vec<String>,
    /// The user's own profile, which always comes last.
    pub profile: String,
    /// The bucket to which reports go.
    pub system_bucket: String,
    /// The ARN of the cluster's secret.
    pub secret: String,
    /// The most compute nodes.
    pub nodes_max: u32,
    /// Where the login node's logs go: a key's beginning in the user bucket, `home/alice/demo.logs/`; empty: nowhere.
    #[serde(default)]
    pub logs: String,
    /// The user bucket, for the logs.
    #[serde(default)]
    pub user_bucket: String,
    /// Slurm; `None`: a cluster without a scheduler, whose machines get any free number.
    #[serde(default)]
    pub scheduler: Option<SchedulerSettings>,
    /// What the node's disks are for.
    #[serde(default)]
    pub storage: StorageSettings,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the node's settings {path} cannot be read: {error}; user data write them before they start the agent")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is not of the form.
    #[error("the node's settings {path} are not of the form that this agent knows: {error}")]
    Malformed {
        /// The file.
        path: String,
        /// Where and why.
        error: serde_json::Error,
    },
    /// A value cannot be.
    #[error("the node's settings: {0}")]
    Impossible(String),
}

impl NodeSettings {
    /// Reads the file of this node.
    pub fn read(layout: &Layout) -> Result<Self, SettingsError> {
        let path = layout.settings();
        let shown = path.display().to_string();
        let bytes = read_bounded(&path).map_err(|error| SettingsError::Unreadable { path: shown.clone(), error })?;
        let mut settings: Self = serde_json::from_slice(&bytes).map_err(|error| SettingsError::Malformed { path: shown, error })?;
        if let Some(bucket) = settings.customizer_bucket.strip_prefix("s3://") {
            settings.customizer_bucket = bucket.trim_end_matches('/').to_owned();
        }
        settings.check()?;
        Ok(settings)
    }

    /// Names become parts of keys and paths, so each must be one.
    fn check(&self) -> Result<(), SettingsError> {
        let impossible = |what: String| Err(SettingsError::Impossible(what));
        if let Err(error) = User::parse(&self.user) {
            return impossible(format!("user {:?}: {error}", self.user));
        }
        if let Err(error) = ClusterName::parse(&self.cluster) {
            return impossible(format!("cluster {:?}: {error}", self.cluster));
        }
        if let Some(name) = self.profiles().find(|name| !is_profile_name(name)) {
            return impossible(format!("{name:?} is not the name of a profile: it is one folder of the bucket's customizer/"));
        }
        if let Some(error) = self.scheduler.as_ref().and_then(|scheduler| scheduler.check(self.nodes_max).err()) {
            return impossible(format!("scheduler: {error}"));
        }
        Ok(())
    }

    /// The name of the cluster's stack; the Auto Scaling groups' names begin with it.
    pub fn stack_name(&self) -> &str {
        // arn:aws:cloudformation:eu-west-2:123456789012:stack/NAME/ID
        self.stack.split('/').nth(1).unwrap_or(&self.stack)
    }

    /// The request, as the keys of reports name it.
    pub fn request(&self) -> RequestId {
        RequestId::from_tag(&self.request)
    }

    /// The profiles that the template names, the user's own last.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.site_profiles.iter().chain(std::iter::once(&self.profile)).map(String::as_str)
    }
}

/// Whether it can be one folder below `customizer/`.
pub fn is_profile_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(std::io::Error::other(format!("it has more than {BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"role": "master", "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice",
        "region": "eu-west-2", "account": "123456789012", "stack": "arn:stack", "resource": "LoginNode",
        "customizer_bucket": "s3://profiles/", "site_profiles": ["site"], "profile": "alice", "system_bucket": "system",
        "secret": "arn:secret", "nodes_max": 4}"#;

    fn read(text: &str) -> Result<NodeSettings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        std::fs::create_dir_all(layout.settings().parent().unwrap()).unwrap();
        std::fs::write(layout.settings(), text).unwrap();
        NodeSettings::read(&layout)
    }

    #[test]
    fn the_bucket_may_have_its_scheme_and_the_users_own_profile_is_the_last() {
        let settings = read(GOOD).unwrap();
        assert_eq!(settings.customizer_bucket, "profiles");
        assert_eq!(settings.profiles().collect::<Vec<_>>(), ["site", "alice"]);
        assert_eq!(settings.logs, "");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        let with = |from: &str, to: &str| read(&GOOD.replace(from, to)).unwrap_err().to_string();
        assert!(with("\"site\"", "\"../x\"").contains("is not the name of a profile"));
        assert!(with("\"cluster\": \"demo\"", "\"cluster\": \"a/b\"").contains("cluster \"a/b\""));
        assert!(with("\"user\": \"alice\"", "\"user\": \"\"").contains("user \"\""));
        assert!(with("\"secret\"", "\"secrets\"").contains("unknown field `secrets`"));
        assert!(read(&" ".repeat(70_000)).unwrap_err().to_string().contains("more than 65536 bytes"));
        assert!(NodeSettings::read(&Layout::below("/no/such/folder")).unwrap_err().to_string().contains("user data write them"));
    }
}
