//! A plain life, for the rate: created, ready, deleted, gone. Nothing goes wrong, and nothing is left.

use super::run::run_script;
use super::run_settings::RunSettings;
use super::script::{Content, Line, Script, Step};

/// One life; whether it came to its end as it should.
pub fn life(seed: u64) -> bool {
    let drop = |at, key: &str, body| Line { at, step: Step::Drop { key: key.to_owned(), body } };
    let lines = vec![drop(1_000, "home/alice/demo.cf-create", Content::Plain), drop(600_000, "home/alice/demo.cf-delete", Content::Empty)];
    let report =
        run_script(&RunSettings { seed, without_faults: true, ..RunSettings::default() }, &Script { lines, is_versioned: true, users: 1 });
    report.findings.is_empty() && report.lives == 1 && report.injected.is_empty()
}
