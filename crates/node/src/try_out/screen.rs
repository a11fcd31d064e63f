//! What `cf-node try` prints: with colours on a terminal, plain in a pipe.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use cf_core::characters;

use crate::event::Event;
use crate::hooks::{EventReport, Listener, ScriptReport};
use crate::instance_log::LINE_BYTES_MAX;
use crate::profile::{EventPlan, shown};
use crate::run::{Outcome, Stream};

/// Names are aligned up to this width.
const NAME_WIDTH_MAX: usize = 30;

/// Where all is printed.
#[derive(Debug)]
pub struct Screen {
    colours: bool,
    /// The width of the longest script's name.
    width: AtomicUsize,
}

/// Says why nothing comes of it, on standard error.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "cf-node try: {text}");
}

/// Whoever reads it may have gone (`| head`): the scripts run on all the same.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl Screen {
    /// Standard output.
    pub fn new() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Self { colours, width: AtomicUsize::new(0) }
    }

    fn dim(&self, text: &str) -> String {
        self.coloured("2", text)
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn padded(&self, name: &str) -> String {
        format!("{name:width$}", width = self.width.load(Ordering::Relaxed))
    }

    /// What would run, in which order, and what not.
    pub fn plan(&self, plan: &EventPlan, arguments: &[String], left_out: &[String]) {
        for profile in &plan.profiles {
            let names: Vec<String> = profile.scripts.iter().map(|name| shown(name)).collect();
            let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
            self.width.store(width.min(NAME_WIDTH_MAX), Ordering::Relaxed);
            let (count, order) = (counted(names.len()), if names.len() > 1 { ", in this order" } else { "" });
            print(&format!("Profile {}, event {}: {count} would run{order}", shown(&profile.folder.name), plan.event));
            for (nth, name) in names.iter().enumerate() {
                print(&format!("{:3}. {name}", nth + 1));
            }
            if !profile.skipped.is_empty() {
                print("Not run:");
            }
            for skipped in &profile.skipped {
                print(&format!("     {}: {}", shown(&skipped.name), skipped.reason));
            }
            let (limit, on_error) = (profile.settings.limit_seconds.duration().as_secs(), profile.settings.on_error);
            let arguments = if arguments.is_empty() { "none".to_owned() } else { characters::shown(&arguments.join(" "), 0, 300) };
            print(&format!("Arguments: {arguments}. Time: {limit} s each. On error: {on_error}."));
        }
        for file in left_out {
            print(&format!("Not copied: {file}"));
        }
        for problem in &plan.problems {
            print(&self.coloured("33", &format!("Problem: {problem}")));
        }
    }

    /// That an event has no scripts, and which ones may have some.
    pub fn nothing_to_run(event: Event, events: &[Event]) {
        let folders: Vec<String> = events.iter().map(|event| event.folder()).collect();
        print(&format!("Nothing to run for {event}. The profile has {}.", folders.join(", ")));
    }

    /// What the user is to know before scripts run.
    pub fn warning(folder: &Path, uid: u32) {
        let user = if uid == 0 { "root, as on a node".to_owned() } else { format!("the present user (uid {uid}); nodes run them as root") };
        print(&format!("They run in a copy, {}, as {user}.", folder.display()));
        print("What they change elsewhere on this machine stays changed.");
        print("");
    }

    /// What came of each script.
    pub fn summary(&self, report: &EventReport) {
        print("");
        print("Summary");
        for script in &report.scripts {
            print(&self.summary_line(script));
            for note in &script.notes {
                print(&self.coloured("33", &format!("     warning: {note}")));
            }
        }
        let (failed, all) = (report.failures().count(), report.scripts.len());
        match failed {
            0 => print(&self.coloured("32", &format!("{} succeeded.", counted(all)))),
            _ => print(&self.coloured("31", &format!("{failed} of {} failed or did not run.", counted(all)))),
        }
        if report.node_failed {
            print(&self.coloured("31", "A node would count as failed (on-error = \"fail-the-node\")."));
        }
    }

    fn summary_line(&self, script: &ScriptReport) -> String {
        let outcome = match &script.outcome {
            Outcome::Exit(code) => format!("exit code {code}"),
            outcome => outcome.to_string(),
        };
        let seconds = format!("{}.{} s", script.milliseconds / 1000, script.milliseconds % 1000 / 100);
        let line = format!("  {}  {seconds:>8}  {outcome}", self.padded(&script.script));
        if script.outcome.is_success() { line } else { self.coloured("31", &line) }
    }
}

impl Listener for Screen {
    fn note(&self, _word: &str, text: &str) {
        print(&self.dim(&format!("> {text}")));
    }

    fn line(&self, _word: &str, script: &str, stream: Stream, text: &str) {
        // The profile is the same in all of them.
        let name = script.rsplit_once('/').map_or(script, |(_, name)| name);
        let mark = if stream == Stream::Stderr { self.coloured("31", "!") } else { "|".to_owned() };
        let text = characters::shown(text, 0, LINE_BYTES_MAX);
        print(&format!("{} {mark} {text}", self.dim(&self.padded(name))));
    }
}

fn counted(scripts: usize) -> String {
    if scripts == 1 { "1 script".to_owned() } else { format!("{scripts} scripts") }
}
