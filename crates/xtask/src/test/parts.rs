//! The parts of the tests: what each needs, and when it runs.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, bail};
use cf_local::tools::Tool;
use cf_local::{deploy, root};

use super::{compiled, deployments};
use crate::transcript::Transcript;
use crate::{deny, deployable, ours, partitions, policies, regions, rules, shell, simulate, templates, threats};

/// What parts of one lane take most; lanes run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Compilers, and whatever else keeps every processor busy.
    Processors,
    /// Small programs that read files.
    Files,
    /// A local AWS: these wait most of the time.
    Emulators,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Processors, Self::Files, Self::Emulators];

    /// So many of its parts run at a time. An emulator with its functions takes half a processor and 400 MB.
    pub const fn width(self) -> usize {
        match self {
            Self::Processors | Self::Files => 1,
            Self::Emulators => 2,
        }
    }
}

/// In which runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// A deep run has a deeper one instead.
    Plain,
    /// It takes long and finds little: in `cargo xtask test --deep`, which continuous integration runs.
    Deep,
}

/// A part: its name, the tools that it needs, the parts that come before it, and what it does.
#[derive(Debug)]
pub struct Part {
    pub name: &'static str,
    pub lane: Lane,
    when: When,
    pub tools: &'static [Tool],
    pub after: &'static [&'static str],
    /// Whether no other part of its lane runs beside it.
    pub alone: bool,
    pub run: fn(&Transcript) -> Result<()>,
}

impl Part {
    const fn new(name: &'static str, lane: Lane, run: fn(&Transcript) -> Result<()>) -> Self {
        Self { name, lane, when: When::Always, tools: &[], after: &[], alone: false, run }
    }

    const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    const fn tools(self, tools: &'static [Tool]) -> Self {
        Self { tools, ..self }
    }

    const fn after(self, after: &'static [&'static str]) -> Self {
        Self { after, ..self }
    }
}

const FUNCTIONS: &str = "functions: sam build for this machine";
const COMPILED: &str = "compile: all tests, and the programs that they run";
/// What every deployment needs.
const BUILT: &[&str] = &[FUNCTIONS, COMPILED];
const MAIN: &str = "end to end: a bucket of our own";
const COUNTED: &str = "end to end: calls of a cluster's life";
const DIRECT: &str = "end to end: a trigger of the bucket's own";
const NETS: &str = "end to end: nets and alarms";
const UPGRADE: &str = "end to end: upgrade and removal";
const EXISTING: &str = "end to end: a bucket of others";
const ADOPTED: &str = "end to end: a bucket of others, with its own trigger";

/// In each lane they begin in this order: the longest first. What keeps its emulator busy from the beginning to the end, wire and
/// burst, comes after the deployments, whose tests have bounds of time.
const PARTS: &[Part] = &[
    Part::new("format", Lane::Files, |out| cargo(out, &["fmt", "--all", "--check"], &[])),
    Part::new("threats: each has a test", Lane::Files, threats::check),
    Part::new("partitions: nothing holds in one only", Lane::Files, partitions::check),
    Part::new("shell", Lane::Files, shell::run).tools(&[Tool::Sam, Tool::Checks]),
    Part::new("rules", Lane::Files, rules::run).tools(&[Tool::Sam, Tool::Guard]),
    Part::new("deployable: what CloudFormation would refuse", Lane::Files, deployable::run).tools(&[Tool::Sam]),
    Part::new("regions: the types that each has", Lane::Files, regions::check).tools(&[Tool::Sam]),
    Part::new("templates", Lane::Files, templates::run).tools(&[Tool::Sam]),
    Part::new("policies", Lane::Files, policies::run).tools(&[Tool::Iam]),
    Part::new("deny", Lane::Files, deny::run).tools(&[Tool::Checks]),
    Part::new("sync: generated text is current", Lane::Files, sync).after(&[COMPILED]),
    Part::new("counts: libraries, calls", Lane::Files, counts).when(When::Plain).after(BUILT),
    Part::new(COMPILED, Lane::Processors, compiled::make),
    Part::new(FUNCTIONS, Lane::Processors, functions).tools(&[Tool::CargoLambda, Tool::Sam]),
    Part::new("lint", Lane::Processors, |out| cargo(out, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    Part::new("docs", Lane::Processors, |out| cargo(out, &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])),
    Part::new("unit, table, sweep and strict world", Lane::Processors, compiled::unit).after(&[COMPILED]),
    Part::new("simulate: lives of clusters, with everything that can go wrong", Lane::Processors, simulate::check).when(When::Plain),
    Part::new("simulate: many more lives", Lane::Processors, simulate::check_deep).when(When::Deep),
    Part::new("counts: size, calls, instructions of what ships", Lane::Processors, counts_deep).when(When::Deep).after(BUILT),
    // Forty passes of one user at once have the product's own bound of time, 18 s, which the burst of another emulator would take.
    Part::new(MAIN, Lane::Emulators, deployments::main).alone().tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    Part::new(EXISTING, Lane::Emulators, deployments::existing_bucket).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    Part::new(DIRECT, Lane::Emulators, deployments::direct).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    Part::new(ADOPTED, Lane::Emulators, deployments::adopted).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    Part::new(COUNTED, Lane::Emulators, deployments::counted).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    Part::new(NETS, Lane::Emulators, deployments::nets).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    Part::new(UPGRADE, Lane::Emulators, deployments::upgrade).when(When::Deep).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    Part::new("live: IAM enforced", Lane::Emulators, deployments::live).when(When::Deep).tools(&[Tool::Emulator]).after(BUILT),
    Part::new("wire: every operation spoiled", Lane::Emulators, deployments::wire)
        .when(When::Plain)
        .tools(&[Tool::Emulator])
        .after(&[COMPILED]),
    Part::new("wire: every request spoiled", Lane::Emulators, deployments::wire_deep)
        .when(When::Deep)
        .tools(&[Tool::Emulator])
        .after(&[COMPILED]),
    Part::new("burst: uploads at once", Lane::Emulators, deployments::burst)
        .when(When::Plain)
        .tools(&[Tool::Emulator, Tool::Sam])
        .after(BUILT),
    Part::new("burst: a thousand uploads at once", Lane::Emulators, deployments::burst_deep)
        .when(When::Deep)
        .tools(&[Tool::Emulator, Tool::Sam])
        .after(BUILT),
    Part::new("emulator: what its launcher promises", Lane::Emulators, deployments::selfcheck).tools(&[Tool::Emulator]),
    Part::new("recorded: each call against its rights", Lane::Emulators, policies::of_recorded_calls)
        .tools(&[Tool::Iam])
        .after(&[MAIN, COUNTED, DIRECT, NETS, UPGRADE, EXISTING, ADOPTED]),
];

/// The parts whose names contain a word, and what has to come before them. A deep one can be had alone by its name.
pub fn chosen(wanted: Option<&str>, deep: bool) -> Result<Vec<&'static Part>> {
    let is_asked = |part: &&Part| wanted.is_none_or(|w| part.name.contains(w));
    let is_due = |part: &&Part| part.when == When::Always || (part.when == When::Deep) == deep;
    let mut names: BTreeSet<&str> = PARTS.iter().filter(is_asked).filter(is_due).map(|p| p.name).collect();
    if names.is_empty() {
        names = PARTS.iter().filter(is_asked).map(|p| p.name).collect();
    }
    if names.is_empty() {
        bail!("no part is called so; there are: {}", PARTS.iter().map(|p| p.name).collect::<Vec<_>>().join("; "));
    }
    loop {
        let before = PARTS.iter().filter(|p| names.contains(p.name)).flat_map(|p| p.after);
        let missing: Vec<&str> = before.filter(|name| !names.contains(*name)).filter(|name| is_due(&part(name))).copied().collect();
        if missing.is_empty() {
            return Ok(PARTS.iter().filter(|p| names.contains(p.name)).collect());
        }
        names.extend(missing);
    }
}

fn part(name: &str) -> &'static Part {
    PARTS.iter().find(|part| part.name == name).unwrap_or(&PARTS[0])
}

fn cargo(out: &Transcript, args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    out.show(Command::new("cargo").args(args).envs(environment.iter().copied()), &format!("cargo {}", args.join(" ")))
}

fn functions(out: &Transcript) -> Result<()> {
    out.say("  sam build");
    deploy::build()
}

fn sync(out: &Transcript) -> Result<()> {
    out.show(Command::new(ours::built("cf-sync")).arg("check"), "cf-sync check")
}

/// What cold start and bill hang on, as far as it can be counted.
fn counts(out: &Transcript) -> Result<()> {
    out.show(Command::new(ours::built("cf-bench")).arg("counts").current_dir(root()), "cf-bench counts")
}

fn counts_deep(out: &Transcript) -> Result<()> {
    counts(out)?;
    out.show(Command::new(ours::built("cf-bench")).args(["counts", "--deep"]), "cf-bench counts --deep")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_waits_for_is_there_and_does_not_wait_for_it() {
        for (nth, part) in PARTS.iter().enumerate() {
            for name in part.after {
                assert!(PARTS.iter().any(|p| p.name == *name), "{name}");
                assert!(PARTS.iter().position(|p| p.name == *name) != Some(nth), "{name}");
            }
        }
    }

    #[test]
    fn a_part_is_chosen_by_a_word_with_all_that_it_needs() -> Result<()> {
        let names = |wanted, deep| Ok::<_, anyhow::Error>(chosen(wanted, deep)?.iter().map(|p| p.name).collect::<Vec<_>>());
        assert_eq!(names(Some("lint"), false)?, ["lint"]);
        assert_eq!(names(Some("nets"), false)?, [COMPILED, FUNCTIONS, NETS]);
        assert_eq!(names(Some("upgrade"), false)?, [COMPILED, FUNCTIONS, UPGRADE]);
        assert!(names(Some("weather"), false).is_err());
        assert!(!names(None, false)?.contains(&UPGRADE) && names(None, true)?.contains(&UPGRADE));
        Ok(())
    }

    #[test]
    fn a_deep_run_leaves_nothing_out_but_what_it_has_deeper() -> Result<()> {
        let (plain, deep) = (chosen(None, false)?, chosen(None, true)?);
        let gone: Vec<&str> = plain.iter().filter(|p| deep.iter().all(|d| d.name != p.name)).map(|p| p.name).collect();
        for name in gone {
            let word = name.split(':').next().unwrap_or(name);
            assert!(deep.iter().any(|d| d.name.starts_with(word)), "{name} is in no deep run, and nothing stands for it");
        }
        Ok(())
    }
}
