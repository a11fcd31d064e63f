//! What is shown to who logs in to a node: the scripts that failed there. The agent writes it, and a file of `/etc/profile.d`
//! (`units/profile.sh`) prints it.

use std::io;
use std::path::PathBuf;

use crate::failures::Failures;
use crate::members::store;
use crate::node::Layout;

/// The most scripts that are named.
const NAMED_MAX: usize = 10;

/// Where it lies. It goes with the boot of the machine, as the failures do.
pub fn path(layout: &Layout) -> PathBuf {
    layout.root().join("run/clusterdrop/failed-scripts")
}

/// Writes it, if it has changed.
pub fn write(layout: &Layout, failures: &Failures) -> io::Result<()> {
    let path = path(layout);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    store::write(&path, text(layout, failures).as_bytes(), 0o644).map(|_| ())
}

/// Names and outcomes only: what scripts print may be for their user alone.
fn text(layout: &Layout, failures: &Failures) -> String {
    let scripts = failures.scripts();
    if scripts.is_empty() {
        return String::new();
    }
    let named = scripts
        .iter()
        .take(NAMED_MAX)
        .map(|script| format!("  {} {}/{} {}\n", script.event, script.profile, script.script, script.outcome));
    let left_out = (scripts.len() as u64 - scripts.len().min(NAMED_MAX) as u64).saturating_add(failures.more());
    let more = if left_out > 0 { format!("  and {left_out} more\n") } else { String::new() };
    format!("Scripts that failed on this node (see {}):\n{}{more}", layout.instance_log().display(), named.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::failures::Entry;
    use crate::hooks::{EventReport, ScriptReport};
    use crate::run::Outcome;

    fn record(failures: &mut Failures, scripts: usize, outcome: &Outcome) {
        let script = |nth: usize| ScriptReport {
            profile: "alice".to_owned(),
            script: format!("{nth}-x.sh"),
            outcome: outcome.clone(),
            milliseconds: 1,
            notes: Vec::new(),
            last_lines: vec!["a secret".to_owned()],
        };
        let scripts = (0..scripts).map(script).collect();
        failures.record(&Entry::from(&EventReport { event: Event::Configure, scripts, problems: Vec::new(), node_failed: false }));
    }

    #[test]
    fn who_logs_in_sees_the_scripts_that_failed_until_they_succeed_and_not_what_they_printed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below("/");
        let mut failures = Failures::default();
        record(&mut failures, 12, &Outcome::Exit(3));
        let shown = text(&layout, &failures);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "Scripts that failed on this node (see /var/log/clusterware/instance.log):",
                "  configure alice/0-x.sh ended with exit code 3"
            ]
        );
        assert_eq!((lines.len(), lines[11]), (12, "  and 2 more"));
        let below = Layout::below(folder.path());
        write(&below, &failures).unwrap();
        record(&mut failures, 12, &Outcome::Exit(0));
        write(&below, &failures).unwrap();
        assert_eq!(std::fs::read_to_string(path(&below)).unwrap(), "");
    }

    #[test]
    fn an_interactive_shell_prints_it_and_a_copy_of_files_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("failed-scripts");
        let script =
            include_str!("../../units/profile.sh").replace(&path(&Layout::below("/")).display().to_string(), &file.display().to_string());
        assert!(script.contains(&file.display().to_string()));
        let shell = |options: &[&str]| {
            let run =
                std::process::Command::new("bash").args(["--norc", "--noprofile"]).args(options).args(["-c", &script]).output().unwrap();
            assert!(run.status.success(), "{run:?}");
            String::from_utf8(run.stdout).unwrap()
        };
        assert_eq!(shell(&["-i"]), "", "no file");
        std::fs::write(&file, "a script failed\n").unwrap();
        assert_eq!((shell(&["-i"]).as_str(), shell(&[]).as_str()), ("a script failed\n", ""));
    }
}
