//! The steps of the tests: what each needs, and when it runs.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, bail};
use cf_local::tools::Tool;
use cf_local::{deploy, root};

use super::{bed, compiled, deployments};
use crate::transcript::Transcript;
use crate::{checks, deny, deployable, ours, partitions, policies, regions, rules, shell, simulate, templates, threats};

/// What steps of one lane take most; lanes run side by side.
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

    /// So many of its steps run at a time. An emulator with its functions takes half a processor and 400 MB.
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

/// A step: its name, the tools that it needs, the steps that come before it, and what it does.
#[derive(Debug)]
pub struct TestStep {
    pub name: &'static str,
    pub lane: Lane,
    when: When,
    pub tools: &'static [Tool],
    pub after: &'static [&'static str],
    /// Whether no other step of its lane runs beside it.
    pub alone: bool,
    pub run: fn(&Transcript) -> Result<()>,
}

impl TestStep {
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
const FAILURE_QUEUES: &str = "end to end: failure queues and alarms";
const UPGRADE: &str = "end to end: upgrade and removal";
const EXISTING: &str = "end to end: a bucket of others";
const ADOPTED: &str = "end to end: a bucket of others, with its own trigger";

/// In each lane they begin in this order: the longest first. What keeps its emulator busy from the beginning to the end, wire and
/// burst, comes after the deployments, whose tests have bounds of time.
const STEPS: &[TestStep] = &[
    TestStep::new("format", Lane::Files, |out| cargo(out, &["fmt", "--all", "--check"], &[])),
    TestStep::new("threats: each has a test", Lane::Files, threats::check),
    TestStep::new("checks: each of the node agent has its tests", Lane::Files, checks::check),
    TestStep::new("partitions: nothing holds in one only", Lane::Files, partitions::check),
    TestStep::new("shell", Lane::Files, shell::run).tools(&[Tool::Sam, Tool::Checks]),
    TestStep::new("rules", Lane::Files, rules::run).tools(&[Tool::Sam, Tool::Guard]),
    TestStep::new("deployable: what CloudFormation would refuse", Lane::Files, deployable::run).tools(&[Tool::Sam]),
    TestStep::new("regions: the types that each has", Lane::Files, regions::check).tools(&[Tool::Sam]),
    TestStep::new("templates", Lane::Files, templates::run).tools(&[Tool::Sam]),
    TestStep::new("policies", Lane::Files, policies::run).tools(&[Tool::Iam]),
    TestStep::new("deny", Lane::Files, deny::run).tools(&[Tool::Checks]),
    TestStep::new("unused: libraries that no crate uses", Lane::Files, deny::unused).when(When::Deep).tools(&[Tool::Machete]),
    TestStep::new("sync: generated text is current", Lane::Files, sync).after(&[COMPILED]),
    TestStep::new("counts: libraries, calls", Lane::Files, counts).when(When::Plain).after(BUILT),
    TestStep::new(COMPILED, Lane::Processors, compiled::make),
    TestStep::new(FUNCTIONS, Lane::Processors, functions).tools(&[Tool::CargoLambda, Tool::Sam]),
    TestStep::new("lint", Lane::Processors, |out| cargo(out, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    TestStep::new("docs", Lane::Processors, |out| cargo(out, &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])),
    TestStep::new("unit, table, sweep and strict world", Lane::Processors, compiled::unit).after(&[COMPILED]),
    TestStep::new("simulate: lives of clusters, with everything that can go wrong", Lane::Processors, simulate::check).when(When::Plain),
    TestStep::new("simulate: many more lives", Lane::Processors, simulate::check_deep).when(When::Deep),
    TestStep::new("counts: size, calls, instructions of what ships", Lane::Processors, counts_deep).when(When::Deep).after(BUILT),
    // Forty passes of one user at once have the product's own bound of time, 18 s, which the burst of another emulator would take.
    TestStep::new(MAIN, Lane::Emulators, deployments::main).alone().tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new(EXISTING, Lane::Emulators, deployments::existing_bucket).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new(DIRECT, Lane::Emulators, deployments::direct).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new(ADOPTED, Lane::Emulators, deployments::adopted).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new(COUNTED, Lane::Emulators, deployments::counted).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new(FAILURE_QUEUES, Lane::Emulators, deployments::failure_queues).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new("demo: five nodes", Lane::Emulators, deployments::five_nodes).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new(UPGRADE, Lane::Emulators, deployments::upgrade).when(When::Deep).tools(&[Tool::Emulator, Tool::Sam]).after(BUILT),
    TestStep::new("live: IAM enforced", Lane::Emulators, deployments::live).when(When::Deep).tools(&[Tool::Emulator]).after(BUILT),
    TestStep::new("wire: every operation spoiled", Lane::Emulators, deployments::wire)
        .when(When::Plain)
        .tools(&[Tool::Emulator])
        .after(&[COMPILED]),
    TestStep::new("wire: every request spoiled", Lane::Emulators, deployments::wire_deep)
        .when(When::Deep)
        .tools(&[Tool::Emulator])
        .after(&[COMPILED]),
    TestStep::new("burst: uploads at once", Lane::Emulators, deployments::burst)
        .when(When::Plain)
        .tools(&[Tool::Emulator, Tool::Sam])
        .after(BUILT),
    TestStep::new("burst: a thousand uploads at once", Lane::Emulators, deployments::burst_deep)
        .when(When::Deep)
        .tools(&[Tool::Emulator, Tool::Sam])
        .after(BUILT),
    // It waits for Slurm most of the time, as the others wait for the emulator.
    TestStep::new("bed: Debian's Slurm on nodes without a cloud", Lane::Emulators, bed::run).when(When::Deep).after(&[COMPILED]),
    // Machines with Slurm's daemons, a dozen at a time: they leave the processors to nobody else.
    TestStep::new("clusters: whole ones, with Slurm, on nodes without a cloud", Lane::Emulators, deployments::clusters)
        .when(When::Deep)
        .alone()
        .tools(&[Tool::Emulator, Tool::Sam])
        .after(BUILT),
    TestStep::new("emulator: what its launcher promises", Lane::Emulators, deployments::selfcheck).tools(&[Tool::Emulator]),
    TestStep::new("recorded: each call against its rights", Lane::Emulators, policies::of_recorded_calls).tools(&[Tool::Iam]).after(&[
        MAIN,
        COUNTED,
        DIRECT,
        FAILURE_QUEUES,
        UPGRADE,
        EXISTING,
        ADOPTED,
    ]),
];

/// The steps whose names contain a word, and what has to come before them. A deep one can be had alone by its name.
pub fn chosen(wanted: Option<&str>, deep: bool) -> Result<Vec<&'static TestStep>> {
    let is_asked = |test_step: &&TestStep| wanted.is_none_or(|w| test_step.name.contains(w));
    let is_due = |test_step: &&TestStep| test_step.when == When::Always || (test_step.when == When::Deep) == deep;
    let mut names: BTreeSet<&str> = STEPS.iter().filter(is_asked).filter(is_due).map(|p| p.name).collect();
    if names.is_empty() {
        names = STEPS.iter().filter(is_asked).map(|p| p.name).collect();
    }
    if names.is_empty() {
        bail!("no step is called so; there are: {}", STEPS.iter().map(|p| p.name).collect::<Vec<_>>().join("; "));
    }
    loop {
        let before = STEPS.iter().filter(|p| names.contains(p.name)).flat_map(|p| p.after);
        let missing: Vec<&str> = before.filter(|name| !names.contains(*name)).filter(|name| is_due(&named(name))).copied().collect();
        if missing.is_empty() {
            return Ok(STEPS.iter().filter(|p| names.contains(p.name)).collect());
        }
        names.extend(missing);
    }
}

fn named(name: &str) -> &'static TestStep {
    STEPS.iter().find(|test_step| test_step.name == name).unwrap_or(&STEPS[0])
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
        for (nth, test_step) in STEPS.iter().enumerate() {
            for name in test_step.after {
                assert!(STEPS.iter().any(|p| p.name == *name), "{name}");
                assert!(STEPS.iter().position(|p| p.name == *name) != Some(nth), "{name}");
            }
        }
    }

    #[test]
    fn a_part_is_chosen_by_a_word_with_all_that_it_needs() -> Result<()> {
        let names = |wanted, deep| Ok::<_, anyhow::Error>(chosen(wanted, deep)?.iter().map(|p| p.name).collect::<Vec<_>>());
        assert_eq!(names(Some("lint"), false)?, ["lint"]);
        assert_eq!(names(Some("failure queues"), false)?, [COMPILED, FUNCTIONS, FAILURE_QUEUES]);
        assert_eq!(names(Some("upgrade"), false)?, [COMPILED, FUNCTIONS, UPGRADE]);
        assert_eq!(names(Some("five nodes"), false)?, [COMPILED, FUNCTIONS, "demo: five nodes"]);
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
