//! `customize trigger`: runs the scripts of one event on this node now (acceptance check B19).

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::list::installed;
use super::profile_name::ProfileName;
use super::summary::Summary;
use crate::event::{Event, Occasion};
use crate::hooks::{EventReport, Facts, Hooks};
use crate::members::files::assignments;
use crate::members::state::Entry;
use crate::node::Layout;
use crate::profile::shown;

/// Takes an event's failed scripts to the user: into the agent's journal, from where they reach the node's report.
pub type Failures = Arc<dyn Fn(&EventReport) + Send + Sync>;

/// The events that can be triggered.
const TRIGGERED: &str = "initialize, configure, start, fail, node-started, member-join";

/// Why nothing is triggered.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// No such event.
    #[error("there is no event {0:?}; the events that can be triggered are {TRIGGERED}")]
    Unknown(String),
    /// One that only happens.
    #[error(
        "member-leave cannot be triggered: its scripts are for a member that has left; the events that can be triggered are {TRIGGERED}"
    )]
    MemberLeave,
    /// No such profile here.
    #[error("the profile {0} is not on this node, which has {1}; bring it by cf-node customize apply {0}")]
    NotInstalled(ProfileName, String),
    /// Members named for another event.
    #[error("-m names members for member-join, and {0} is not about members; leave it out")]
    NoMembers(Event),
    /// No such member.
    #[error("{0} is not a member of this cluster; cf-node members lists those that are")]
    UnknownMember(String),
}

/// Where an event is triggered.
pub struct On<'a> {
    /// The node's scripts.
    pub hooks: &'a Hooks,
    /// Its files.
    pub layout: &'a Layout,
    /// What scripts get of their node.
    pub facts: &'a Facts,
    /// Where failed scripts are reported.
    pub failures: &'a Failures,
}

/// Reads the name of an event that can be triggered.
pub fn parse_event(text: &str) -> Result<Event, TriggerError> {
    match text.parse() {
        Ok(Event::MemberLeave) => Err(TriggerError::MemberLeave),
        Ok(event) => Ok(event),
        Err(_) => Err(TriggerError::Unknown(cf_core::characters::shown(text, 0, 80))),
    }
}

impl On<'_> {
    /// Runs an event's scripts of all profiles or of one. `members`: all of the cluster; `only`: those of them that join.
    pub async fn trigger(
        &self,
        event: Event,
        profile: Option<&ProfileName>,
        members: &[Entry],
        only: &BTreeSet<String>,
    ) -> Result<Summary, TriggerError> {
        if event == Event::MemberLeave {
            return Err(TriggerError::MemberLeave);
        }
        if let Some(profile) = profile {
            let names: Vec<String> = installed(self.layout).iter().map(|folder| shown(&folder.name)).collect();
            if !installed(self.layout).iter().any(|folder| folder.name == profile.as_str()) {
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(TriggerError::NotInstalled(profile.clone(), names));
            }
        }
        let profile = profile.map(ProfileName::as_str);
        if event != Event::MemberJoin {
            if !only.is_empty() {
                return Err(TriggerError::NoMembers(event));
            }
            // As at a reboot of a node that is configured: `initialize` gets nothing (decision 20).
            let occasion = if event == Event::Initialize { Occasion::Initialize { first_boot: false } } else { Occasion::Stage(event) };
            let report = self.hooks.run_of(profile, &occasion, self.facts, None).await;
            (self.failures)(&report);
            return Ok(Summary::of(&[report], &[]));
        }
        let is_wanted = |entry: &&Entry| only.is_empty() || only.contains(&entry.member.name().to_string());
        let wanted: Vec<Entry> = members.iter().filter(is_wanted).cloned().collect();
        if let Some(name) = only.iter().find(|name| !wanted.iter().any(|entry| entry.member.name().to_string() == **name)) {
            return Err(TriggerError::UnknownMember(cf_core::characters::shown(name, 0, 80)));
        }
        Ok(Summary::of(&self.member_join(profile, &wanted).await, &[]))
    }

    /// Runs the scripts of `member-join` for each of these members, one after another.
    pub async fn member_join(&self, profile: Option<&str>, members: &[Entry]) -> Vec<EventReport> {
        let mut reports = Vec::new();
        for entry in members {
            let (name, ip) = (entry.member.name().to_string(), entry.member.ip().to_string());
            let (path, _kept) = self.member_file(entry);
            let occasion = Occasion::Member { event: Event::MemberJoin, file: &path, name: &name, ip: &ip };
            let report = self.hooks.run_of(profile, &occasion, self.facts, None).await;
            (self.failures)(&report);
            reports.push(report);
        }
        reports
    }

    /// The member's file: the agent's, or where the agent has none, one for as long as the scripts run.
    fn member_file(&self, entry: &Entry) -> (PathBuf, Option<tempfile::TempPath>) {
        let path = self.layout.members().join(entry.member.name().to_string());
        if path.is_file() {
            return (path, None);
        }
        let written = std::fs::create_dir_all(self.layout.members()).and_then(|()| {
            let mut file = tempfile::NamedTempFile::with_prefix_in(".joined-", self.layout.members())?;
            file.write_all(assignments(&entry.member, true).as_bytes())?;
            Ok(file.into_temp_path())
        });
        match written {
            Ok(file) => (file.to_path_buf(), Some(file)),
            Err(error) => {
                tracing::warn!(%error, "the file of a member cannot be written; its scripts run without it");
                (path, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b19_member_leave_and_unknown_events_cannot_be_triggered_and_the_others_can() {
        for text in ["initialize", "configure", "start", "fail", "node-started", "member-join"] {
            assert_eq!(parse_event(text).unwrap().to_string(), text);
        }
        assert!(matches!(parse_event("member-leave"), Err(TriggerError::MemberLeave)));
        for text in ["", "boot", "Configure", "configure.d", "event-periodic", "a\nb"] {
            let error = parse_event(text).unwrap_err().to_string();
            assert!(error.starts_with("there is no event ") && !error.contains('\n') && error.ends_with(TRIGGERED), "{error}");
        }
    }
}
