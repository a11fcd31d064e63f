//! What a node says of itself: a small JSON object, which its agent writes and cf-watch reads.
//!
//! It lies in the system bucket at `nodes/<user>/<cluster>/<request>/<node>.json`; of a machine that the login node has given no number
//! the node is `compute-` and its EC2 id. A node's role may write below its own cluster's
//! folder and nowhere else, so the key tells whose it is, and nothing in the object does. Root on a node is the cluster's user, so
//! the content is hostile: [`NodeReport::parse`] takes what fits the limits here and cuts the rest.

mod scheduler;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use scheduler::{ENTRIES_MAX, JobsReport, NOTES_MAX, NodesReport, NodesState, SchedulerReport};

use crate::names::{Cluster, ClusterName, User};
use crate::node_name::NodeName;
use crate::plain::plain;
use crate::request::RequestId;

/// What all keys of reports begin with.
pub const PREFIX: &str = "nodes/";

/// A report is no longer: more is not read, and an agent cuts its own.
pub const BYTES_MAX: usize = 64 * 1024;

/// Scripts that failed, in one report; the first that failed are those that matter.
pub const SCRIPTS_MAX: usize = 20;

/// Last lines of the output of one script.
pub const LINES_MAX: usize = 10;

/// Characters of one such line, and of each other text of a report.
pub const TEXT_CHARS_MAX: usize = 300;

/// Host keys of one node: a key for each kind that sshd makes.
pub const HOST_KEYS_MAX: usize = 6;

/// Characters of a host key: one of RSA with 4096 bits has 720.
pub const HOST_KEY_CHARS_MAX: usize = 1200;

/// Digits of an EC2 id (EC2 user guide, "Resource IDs": 17, once 8; those of local AWSes may have fewer).
pub const ID_DIGITS_MAX: usize = 17;

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NodeState {
    /// Its agent has started.
    Starting,
    /// It fetches and runs its profiles.
    Configuring,
    /// It is configured.
    Ready,
    /// It is not to be used: [`NodeReport::failure`] says why.
    Failed,
    /// It ends.
    Leaving,
}

/// Why a node failed, as a code: a signal to CloudFormation carries an id of at most 64 characters and no reason.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum FailureCode {
    /// The agent's own settings could not be read.
    SettingsUnreadable,
    /// The agent is not the one whose digest the template names, or could not be fetched.
    AgentRefused,
    /// The system refused the user's account.
    AccountRefused,
    /// The cluster's secret could not be read.
    SecretUnreadable,
    /// The user's profile could not be fetched.
    ProfileUnreadable,
    /// The user's profile has nothing to run.
    ProfileHasNoScripts,
    /// A script failed whose profile says `fail-the-node`.
    ScriptFailed,
    /// No script wrote a key that the user can log in with.
    NoUsableSshKey,
    /// The login node did not answer in time.
    NoConfiguration,
    /// A step of the exchange failed.
    ExchangeFailed,
    /// The agent ended before the node was ready.
    AgentFailed,
    /// Packages that the scheduler needs could not be fetched or installed.
    PackagesUnavailable,
    /// A disk or a shared folder is not where it is to be.
    StorageFailed,
    /// Slurm does not run as it is to.
    SchedulerFailed,
}

/// A script that failed, or was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedScript {
    /// The event's word, such as `configure`.
    pub event: String,
    /// Its profile.
    pub profile: String,
    /// Its file.
    pub script: String,
    /// What happened, after its name: `ended with exit code 3`.
    pub outcome: String,
    /// Its exit code, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last lines that it printed, at most [`LINES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
}

/// What a node says of itself. A field that a later version adds is ignored by an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Where it is in its life.
    pub state: NodeState,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureCode>,
    /// The same in a sentence, or what else the user ought to know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its EC2 id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Its private address; compute nodes find the login node by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<std::net::IpAddr>,
    /// Its public SSH host keys, each as `<type> <base64>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_keys: Vec<String>,
    /// Scripts that failed, the first at most [`SCRIPTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<FailedScript>,
    /// How many more failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_scripts: u64,
    /// What Slurm shows, of a login node that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerReport>,
    /// When it was written, by the node's clock.
    pub updated: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why an object is no report.
#[derive(Debug)]
pub enum ReportError {
    /// It has so many bytes, which is too many.
    TooLong(usize),
    /// It is not of its form.
    Malformed(serde_json::Error),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => write!(f, "a report has at most {BYTES_MAX} bytes, and this one {bytes}"),
            Self::Malformed(error) => write!(f, "it is no report of this form: {error}"),
        }
    }
}

impl std::error::Error for ReportError {}

impl NodeReport {
    /// Reads a report. Texts are made fit to be shown (`plain`) and cut, lists too; an SSH host key that is none is left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > BYTES_MAX {
            return Err(ReportError::TooLong(bytes.len()));
        }
        serde_json::from_slice(bytes).map(Self::bounded).map_err(ReportError::Malformed)
    }

    /// The same within the limits.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.message = plain(&self.message, TEXT_CHARS_MAX);
        self.instance = plain(&self.instance, TEXT_CHARS_MAX);
        self.host_keys.retain(|key| is_host_key(key));
        self.host_keys.truncate(HOST_KEYS_MAX);
        // A list keeps the room of what was in it: of sixty thousand empty texts that is twenty times the report.
        self.host_keys.shrink_to_fit();
        let more = self.scripts.len().saturating_sub(SCRIPTS_MAX);
        self.more_scripts = self.more_scripts.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        self.scripts.truncate(SCRIPTS_MAX);
        self.scripts.shrink_to_fit();
        for script in &mut self.scripts {
            for text in [&mut script.event, &mut script.profile, &mut script.script, &mut script.outcome] {
                *text = plain(text, TEXT_CHARS_MAX);
            }
            let unneeded = script.last_lines.len().saturating_sub(LINES_MAX);
            script.last_lines.drain(..unneeded);
            script.last_lines.shrink_to_fit();
            for line in &mut script.last_lines {
                *line = plain(line, TEXT_CHARS_MAX);
            }
        }
        self.scheduler = self.scheduler.map(SchedulerReport::bounded);
        self
    }
}

/// `<type> <base64>`, and nothing that a known_hosts file could read otherwise.
fn is_host_key(text: &str) -> bool {
    let Some((kind, key)) = text.split_once(' ') else { return false };
    let is_kind = kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-");
    let is_word = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'@' | b'.');
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=');
    text.len() <= HOST_KEY_CHARS_MAX && is_kind && kind.bytes().all(is_word) && key.len() >= 16 && key.bytes().all(is_base64)
}

/// The key of a report, read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportKey {
    /// Whose cluster.
    pub cluster: Cluster,
    /// The create that the cluster was made for.
    pub request: RequestId,
    /// The node: `login1`, `compute-` and a number from 1 on, or `compute-` and the EC2 id of a machine without a number.
    pub node: String,
}

impl ReportKey {
    /// Reads a key of the system bucket; `None` where it is none of a report.
    pub fn read(key: &str) -> Option<Self> {
        let parts: Vec<&str> = key.strip_prefix(PREFIX)?.split('/').collect();
        let [user, cluster, request, file] = parts.as_slice() else { return None };
        let node = file.strip_suffix(".json").filter(|node| is_node(node))?;
        let is_request = request.len() == 16 && request.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let cluster = Cluster { user: User::parse(user).ok()?, name: ClusterName::parse(cluster).ok()? };
        is_request.then(|| Self { cluster, request: RequestId::from_tag(request), node: (*node).to_owned() })
    }

    /// The folder of one life of a cluster, with its slash.
    pub fn folder(cluster: &Cluster, request: &RequestId) -> String {
        format!("{PREFIX}{}/{}/{}/", cluster.user.as_str(), cluster.name.as_str(), request.as_str())
    }

    /// The key.
    pub fn key(&self) -> String {
        format!("{}{}.json", Self::folder(&self.cluster, &self.request), self.node)
    }
}

fn is_node(name: &str) -> bool {
    name.parse::<NodeName>().is_ok() || unnumbered(name).is_some()
}

/// An EC2 id: `i-` and at most [`ID_DIGITS_MAX`] hexadecimal digits. It is read as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The digits, then spaces.
    digits: [u8; ID_DIGITS_MAX],
}

impl InstanceId {
    /// Reads one; `None` where it is none.
    pub fn read(text: &str) -> Option<Self> {
        let given = text.strip_prefix("i-")?.as_bytes();
        let is_digit = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        let mut digits = [b' '; ID_DIGITS_MAX];
        digits.get_mut(..given.len()).filter(|places| !places.is_empty())?.copy_from_slice(given);
        given.iter().all(is_digit).then_some(Self { digits })
    }

    /// The name under which a machine without a number reports.
    pub fn node(self) -> String {
        format!("compute-{self}")
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i-{}", String::from_utf8_lossy(&self.digits).trim_end())
    }
}

/// The EC2 id in the name of a machine without a number.
pub fn unnumbered(name: &str) -> Option<InstanceId> {
    InstanceId::read(name.strip_prefix("compute-")?)
}

#[cfg(test)]
#[path = "node_report_tests.rs"]
mod tests;
