//! Profiles on a node: which scripts of which profile an event runs, in which order, and what is left out and why. This file
//! decides, over plain data; [`listing`] reads the disk and [`settings`] the profile's own file.
//!
//! A profile is a folder `NN-<name>` with folders `<event>.d`. NN is its place among the profiles of the node, so profiles run in
//! the order in which they were named (acceptance check B6), and within one the scripts by the bytes of their names.

pub mod listing;
pub mod settings;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use cf_core::profile::{NotScriptReason, why_not};

use crate::event::Event;
use listing::{Entry, Kind, Observed};
use settings::{Settings, When};

/// The most characters of a name that are shown.
const NAME_SHOWN_MAX: usize = 80;

/// A profile's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileFolder {
    /// Its place in the order of profiles.
    pub place: u32,
    /// The profile's name, without the place.
    pub name: OsString,
    /// The folder.
    pub path: PathBuf,
}

/// What an event runs.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPlan {
    /// The event.
    pub event: Event,
    /// Each profile, in order.
    pub profiles: Vec<ProfilePlan>,
    /// What the user ought to know: a broken `profile.toml`, a folder that cannot be read.
    pub problems: Vec<String>,
}

/// What an event runs of one profile.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfilePlan {
    /// The profile.
    pub folder: ProfileFolder,
    /// Its settings.
    pub settings: Settings,
    /// The names of its scripts in `<event>.d`, in order.
    pub scripts: Vec<OsString>,
    /// What lies beside them.
    pub skipped: Vec<Skipped>,
    /// Why none of its scripts is run, where that is so.
    pub left_out: Option<&'static str>,
}

/// A file that is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub name: OsString,
    /// Why.
    pub reason: SkipReason,
}

/// Why a file is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// By its name or size.
    NoScript(NotScriptReason),
    /// A symbolic link: it may lead anywhere.
    Link,
    /// A pipe, a socket, a device.
    Special,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScript(reason) => reason.fmt(f),
            Self::Link => f.write_str("a symbolic link, which is not followed"),
            Self::Special => f.write_str("no plain file"),
        }
    }
}

impl EventPlan {
    /// Decides what an event runs. `first_boot`: whether the node was never configured before this boot.
    pub fn decide(event: Event, observed: Observed, first_boot: bool) -> Self {
        let mut plan = Self { event, profiles: Vec::new(), problems: observed.problems };
        for profile in observed.profiles {
            let settings = profile.settings.unwrap_or_else(|error| {
                plan.problems.push(format!("profile {}: {error}", shown(&profile.folder.name)));
                Settings::default()
            });
            let (scripts, skipped) = select(profile.entries);
            let of_no_boot = matches!(event, Event::MemberJoin | Event::MemberLeave);
            let left_out = settings.when == When::FirstBoot && !first_boot && !of_no_boot;
            let left_out = left_out.then_some("its scripts run at the first boot only");
            plan.profiles.push(ProfilePlan { folder: profile.folder, settings, scripts, skipped, left_out });
        }
        plan
    }

    /// How many scripts it runs.
    pub fn script_count(&self) -> usize {
        self.profiles.iter().filter(|profile| profile.left_out.is_none()).map(|profile| profile.scripts.len()).sum()
    }
}

/// Parts what lies in `<event>.d` into scripts, sorted, and the rest, sorted. Folders are neither.
fn select(mut entries: Vec<Entry>) -> (Vec<OsString>, Vec<Skipped>) {
    entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let (mut scripts, mut skipped) = (Vec::new(), Vec::new());
    for Entry { name, kind } in entries {
        let reason = match kind {
            Kind::Folder => continue,
            Kind::Link => Some(SkipReason::Link),
            Kind::Special => Some(SkipReason::Special),
            Kind::File { bytes } => why_not(&same_length(&name), bytes).map(SkipReason::NoScript),
        };
        match reason {
            None => scripts.push(name),
            Some(reason) => skipped.push(Skipped { name, reason }),
        }
    }
    (scripts, skipped)
}

/// The name as text, with a `?` for each byte that is none: the rule for scripts counts bytes, and the usual replacement has three.
fn same_length(name: &OsStr) -> String {
    name.as_bytes().utf8_chunks().map(|chunk| format!("{}{}", chunk.valid(), "?".repeat(chunk.invalid().len()))).collect()
}

/// A name, safe to print: what cannot be seen is escaped, and a long one is cut.
pub fn shown(name: &OsStr) -> String {
    cf_core::characters::shown(&name.to_string_lossy(), 0, NAME_SHOWN_MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::listing::ObservedProfile;
    use super::settings::SettingsError;
    use super::*;

    fn file(name: &[u8], bytes: u64) -> Entry {
        Entry { name: OsString::from_vec(name.to_vec()), kind: Kind::File { bytes } }
    }

    fn observed(settings: Result<Settings, SettingsError>) -> Observed {
        let folder = ProfileFolder { place: 1, name: "mine".into(), path: "/p/01-mine".into() };
        Observed { profiles: vec![ObservedProfile { folder, settings, entries: vec![file(b"a", 10)] }], problems: Vec::new() }
    }

    #[test]
    fn scripts_are_sorted_by_bytes_and_any_name_that_a_file_may_have_is_one() {
        let long = [b'x'; 255];
        let odd = [b"\xff".repeat(250), b"\xfe".to_vec()].concat();
        let names: [&[u8]; 8] = [b"b.sh", b"10-a", b"2-b", b"B", "é".as_bytes(), b"a b\n.py", &odd, &long];
        let (scripts, skipped) = select(names.iter().map(|name| file(name, 10)).collect());
        let order: [&[u8]; 8] = [b"10-a", b"2-b", b"B", b"a b\n.py", b"b.sh", &long, "é".as_bytes(), &odd];
        assert_eq!(scripts.iter().map(|name| name.as_bytes()).collect::<Vec<_>>(), order);
        assert_eq!(skipped, []);
    }

    #[test]
    fn what_is_no_script_is_skipped_with_its_reason_and_folders_are_passed_over() {
        let at = |name: &str, kind| Entry { name: name.into(), kind };
        let (scripts, skipped) = select(vec![
            file(b"x~", 10),
            file(b".x", 10),
            file(b"README.md", 10),
            file(b"empty", 2),
            at("folder", Kind::Folder),
            at("link", Kind::Link),
            at("pipe", Kind::Special),
        ]);
        assert_eq!(scripts, [""; 0]);
        let told: Vec<String> = skipped.iter().map(|file| format!("{}: {}", shown(&file.name), file.reason)).collect();
        assert_eq!(
            told,
            [
                ".x: a hidden file",
                "README.md: a text or data by its name",
                "empty: empty",
                "link: a symbolic link, which is not followed",
                "pipe: no plain file",
                "x~: left over by an editor",
            ]
        );
    }

    #[test]
    fn a_profile_of_the_first_boot_is_left_out_of_later_ones_but_hears_of_members() {
        let once = || observed(Settings::parse(b"when = \"first-boot\""));
        for (event, first_boot, runs) in
            [(Event::Configure, true, 1), (Event::Configure, false, 0), (Event::Initialize, false, 0), (Event::MemberJoin, false, 1)]
        {
            assert_eq!(EventPlan::decide(event, once(), first_boot).script_count(), runs, "{event} {first_boot}");
        }
        assert_eq!(EventPlan::decide(Event::Configure, observed(Ok(Settings::default())), false).script_count(), 1);
    }

    #[test]
    fn a_broken_profile_toml_is_a_problem_and_its_scripts_run() {
        let plan = EventPlan::decide(Event::Start, observed(Settings::parse(b"when = 1")), true);
        assert_eq!(plan.script_count(), 1);
        assert!(plan.problems[0].starts_with("profile mine: profile.toml, line 1, column 8: "), "{:?}", plan.problems);
    }
}
