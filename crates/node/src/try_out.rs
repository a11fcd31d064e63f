//! `cf-node try`: runs the scripts of one event of a profile on one's own machine, in a copy of its folder, before the profile goes
//! to S3. It uses the code that nodes use.

mod detach;
mod folder;
mod screen;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustix::process::geteuid;

use crate::event::{Event, Occasion};
use crate::hooks::{EventReport, Facts, Hooks};
use crate::node::{Layout, NodeName, Role};
use crate::run::Bounds;
use crate::signals::Signals;
use folder::{FolderError, Scratch};
use screen::Screen;

/// A member that scripts of `member-join` and `member-leave` may look at.
const SAMPLE_NAME: &str = "compute-1";
const SAMPLE_IP: &str = "10.0.0.11";

/// What is tried.
#[derive(Debug, Args)]
pub struct Options {
    /// The profile's folder, which holds folders such as configure.d
    profile_folder: PathBuf,
    /// The event whose scripts run: initialize, configure, start, node-started, fail, member-join or member-leave
    #[arg(value_parser = parse_event)]
    event: Event,
    /// The role that the scripts get: master (the login node) or slave (a compute node)
    #[arg(long, default_value = "master", value_parser = parse_role)]
    role: Role,
    /// The name of the cluster that the scripts get
    #[arg(long, default_value = "demo")]
    cluster: String,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// All scripts that ran succeeded.
    Well,
    /// One failed.
    Failed,
    /// Nothing could be tried.
    WrongUse,
    /// Somebody stopped it.
    Interrupted,
}

impl Ending {
    /// The exit status of the command.
    fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Failed => 1,
            Self::WrongUse => 2,
            Self::Interrupted => 130,
        }
    }
}

fn parse_event(text: &str) -> Result<Event, String> {
    let events: Vec<String> = <Event as strum::IntoEnumIterator>::iter().map(|event| event.to_string()).collect();
    // Whoever names the folder means its event.
    let name = text.trim_end_matches('/');
    let name = name.strip_suffix(".d").unwrap_or(name);
    name.parse().map_err(|_| format!("there is no such event; the events are {}", events.join(", ")))
}

fn parse_role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| "the roles are master (the login node) and slave (a compute node)".to_owned())
}

/// Tries a profile, prints what comes of it, and returns the exit status of the command.
pub async fn run(options: &Options) -> u8 {
    match detach::leave_terminal().await {
        Ok(Some(status)) => return status,
        Ok(None) => {}
        Err(error) => screen::complain(&format!("the scripts keep this terminal, which they have not on a node: {error}")),
    }
    let ending = match prepare(options) {
        Ok((scratch, sample)) => execute(options, &scratch, &sample).await,
        Err(error) => {
            screen::complain(&error.to_string());
            if matches!(error, FolderError::Io { .. }) { Ending::Failed } else { Ending::WrongUse }
        }
    };
    ending.code()
}

/// Copies the profile, and writes what a node would have beside it.
fn prepare(options: &Options) -> Result<(Scratch, PathBuf), FolderError> {
    let scratch = folder::copy(&options.profile_folder, options.event)?;
    let sample = write_sample(&scratch.layout).map_err(|error| FolderError::io(&scratch.layout.members(), error))?;
    Ok((scratch, sample))
}

fn write_sample(layout: &Layout) -> io::Result<PathBuf> {
    std::fs::create_dir_all(layout.members())?;
    let file = layout.members().join(SAMPLE_NAME);
    let role = SAMPLE_NAME.parse::<NodeName>().map_or(Role::Slave, Role::of);
    let lines = format!("cw_MEMBER_name='{SAMPLE_NAME}'\ncw_MEMBER_ip='{SAMPLE_IP}'\ncw_MEMBER_role='{role}'\ncw_MEMBER_tags=''\n");
    std::fs::write(&file, lines)?;
    Ok(file)
}

async fn execute(options: &Options, scratch: &Scratch, sample: &Path) -> Ending {
    let occasion = match options.event {
        Event::Initialize => Occasion::Initialize { first_boot: true },
        event @ (Event::MemberJoin | Event::MemberLeave) => Occasion::Member { event, file: sample, name: SAMPLE_NAME, ip: SAMPLE_IP },
        event => Occasion::Stage(event),
    };
    // Before anything runs: whoever stops a try stops its scripts.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            screen::complain(&format!("signals cannot be listened for: {error}"));
            return Ending::Failed;
        }
    };
    let facts = Facts { role: options.role, cluster: options.cluster.clone(), first_boot: true };
    let screen = Arc::new(Screen::new());
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let hooks = Hooks::new(scratch.layout.clone(), Arc::clone(&screen) as _).with(Bounds::default(), home);
    let plan = hooks.plan(options.event, facts.first_boot);
    screen.plan(&plan, &occasion.arguments(facts.role, &facts.cluster), &scratch.left_out);
    if plan.script_count() == 0 {
        Screen::nothing_to_run(options.event, &scratch.events);
        return Ending::Well;
    }
    Screen::warning(&scratch.layout.profiles(), geteuid().as_raw());
    tokio::select! {
        report = hooks.execute(plan, &occasion, &facts, None, None) => {
            screen.summary(&report);
            ending(&report)
        }
        // The future that is dropped here ends its script.
        () = signals.next() => {
            screen::complain("stopped, and the script that ran was ended");
            Ending::Interrupted
        }
    }
}

fn ending(report: &EventReport) -> Ending {
    if report.failures().next().is_some() { Ending::Failed } else { Ending::Well }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_as_itself_or_as_its_folder_and_others_are_told_which_there_are() {
        assert_eq!(parse_event("node-started"), Ok(Event::NodeStarted));
        assert_eq!(parse_event("configure.d/"), Ok(Event::Configure));
        let told = parse_event("boot").unwrap_err();
        let events = "initialize, configure, start, node-started, fail, member-join, member-leave";
        assert_eq!(told, format!("there is no such event; the events are {events}"));
    }
}
