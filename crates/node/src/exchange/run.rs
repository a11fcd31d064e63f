//! Runs one script of a step as Heat's script hook did (facts F.2): inputs are environment variables, outputs are files.
//!
//! A script finds:
//! - each input, and in a populate script each output of the step's export, as a variable: text as it is, numbers and truth values
//!   as TOML writes them, lists, tables and outputs as JSON;
//! - `heat_outputs_path`, and the same in `cf_outputs_path`: what it writes to `${heat_outputs_path}.NAME` is its output NAME;
//! - `deploy_action` (`CREATE`, or `UPDATE` where the step has run on this machine before), `deploy_resource_name` (the step) and
//!   `deploy_server_id` (the node's rank), as Heat; `cf_node`, `cf_cluster`, `cf_profile` and `cf_phase`;
//! - what scripts of events find ([`crate::hooks`]), with the phase in place of the event.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;
use serde_json::Value;

use crate::exchange::declaration::Step;
use crate::exchange::round::VALUE_BYTES_MAX;
use crate::exchange::wire::{End, ExchangeMap, OUTPUTS_BYTES_MAX, Phase, RunResult, TEXT_BYTES_MAX, by_rank};
use crate::hooks::{Call, Hooks, variables};
use crate::node::{NodeName, Role};
use crate::profile::shown;
use crate::run::{Outcome, variable};

/// The most bytes of an output's file.
pub const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

/// Variables that decide what programs do rather than what a script computes: no profile may set them.
const RESERVED: [&str; 19] = [
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HOME",
    "IFS",
    "LANG",
    "LOCPATH",
    "LOGNAME",
    "NODE_OPTIONS",
    "PATH",
    "PS4",
    "PWD",
    "SHELL",
    "SHELLOPTS",
    "TMPDIR",
    "USER",
];

/// Beginnings of such, and of the variables that a script gets from us.
const RESERVED_PREFIXES: [&str; 13] =
    ["LD_", "DYLD_", "LC_", "MALLOC_", "PYTHON", "PERL", "RUBY", "BASH_FUNC", "cf_", "CF_", "CUSTOMIZER_", "deploy_", "heat_"];

/// Why a name cannot be a variable of a script; `None` where it can.
pub fn variable_mistake(name: &str) -> Option<&'static str> {
    let valid = name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || !valid {
        Some("is no name of a variable: letters, digits and underscores, not beginning with a digit, at most 128")
    } else if RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        Some("is the name of a variable that the system or the agent sets; take another name")
    } else {
        None
    }
}

/// What a run is part of.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The node.
    pub node: NodeName,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The step.
    pub step: &'a Step,
    /// Which script.
    pub phase: Phase,
    /// The map of a populate.
    pub map: Option<&'a ExchangeMap>,
    /// Whether the step has run on this machine before.
    pub again: bool,
    /// A folder in which the run's own is made.
    pub scratch: &'a Path,
}

/// How a script's process ended, and what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its end: exited, killed, timed out, or not run.
    pub end: End,
    /// Its standard output, or the last part of it.
    pub stdout: Vec<u8>,
    /// Its standard error, or the last part of it.
    pub stderr: Vec<u8>,
}

/// Runs one script.
pub trait RunStep {
    /// Starts the script and waits for its end.
    fn run(&self, call: Call<'_>) -> impl Future<Output = Ran> + Send;
}

/// As the scripts of events are run: prepared, unattended, in its turn among them, each line in the node's log.
impl RunStep for Arc<Hooks> {
    async fn run(&self, call: Call<'_>) -> Ran {
        let ended = self.run_alone(call).await;
        let end = match ended.outcome {
            Outcome::Exit(code) => End::Exited { code },
            Outcome::Signal(signal) => End::Killed { signal },
            Outcome::TimedOut(_) => End::TimedOut,
            Outcome::NotStarted(why) | Outcome::NotRun(why) => End::NotRun { why },
        };
        Ran { end, stdout: ended.stdout, stderr: ended.stderr }
    }
}

/// The variables of a script that are the exchange's; `outputs_path` is where its outputs' names are added.
pub fn environment(context: &Context<'_>, outputs_path: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in &context.step.inputs {
        if let Some(text) = plain(value) {
            variables.insert(name.clone(), text);
        }
    }
    for (output, nodes) in context.map.map(|map| &map.0).into_iter().flatten() {
        variables.insert(output.clone(), by_rank(nodes));
    }
    for (name, value) in &variables {
        if let Some(why) = variable_mistake(name) {
            return Err(format!("{name:?} {why}"));
        }
        if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
            return Err(format!("the variable {name} has {} bytes; it may have {VALUE_BYTES_MAX}, and no NUL", value.len()));
        }
    }
    let path = outputs_path.display().to_string();
    let ours = [
        ("heat_outputs_path", path.clone()),
        ("cf_outputs_path", path),
        ("deploy_action", if context.again { "UPDATE" } else { "CREATE" }.to_owned()),
        ("deploy_resource_name", context.step.name.clone()),
        ("deploy_server_id", context.node.rank().to_string()),
        ("cf_node", context.node.to_string()),
        ("cf_cluster", context.cluster.to_owned()),
        ("cf_profile", context.step.profile().to_owned()),
        ("cf_phase", context.phase.to_string()),
    ];
    variables.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    Ok(variables)
}

/// A value as a variable; nothing for null.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Runs a step's script and collects what it left. Whatever goes wrong is in the result.
pub async fn run_step(runner: &impl RunStep, context: &Context<'_>, limit: Duration) -> RunResult {
    let not_run = |why: String| RunResult::ended(End::NotRun { why });
    let Some(script) = context.step.script(context.phase) else { return not_run(format!("the step has no {} script", context.phase)) };
    // Only root enters it; it goes away with what is in it.
    let folder = match tempfile::Builder::new().prefix("run-").tempdir_in(context.scratch) {
        Ok(folder) => folder,
        Err(error) => return not_run(format!("no folder for its outputs can be made: {error}")),
    };
    let outputs_path = folder.path().join("output");
    let own = match environment(context, &outputs_path) {
        Ok(own) => own,
        Err(why) => return not_run(why),
    };
    let (profile, word) = (context.step.profile(), context.phase.to_string());
    let mut environment = variables(&word, OsStr::new(profile), Role::of(context.node), context.cluster);
    environment.extend(own.iter().map(|(name, value)| variable(name, value)));
    let label = format!("{}/{}", shown(OsStr::new(profile)), shown(OsStr::new(script)));
    let path = context.step.folder.join(script);
    let ran = runner.run(Call { word: &word, label, path, arguments: Vec::new(), environment, limit }).await;
    let mut result = RunResult { end: ran.end, stdout: tail(&ran.stdout), stderr: tail(&ran.stderr), outputs: BTreeMap::new() };
    match collect(context, &outputs_path) {
        Ok(outputs) => result.outputs = outputs,
        Err(why) if result.end == (End::Exited { code: 0 }) => result.end = End::BadOutput { why },
        // The script's own end is the better reason.
        Err(_) => {}
    }
    result
}

/// The outputs that a script wrote: of an export all that are declared, of a populate those that are errors.
fn collect(context: &Context<'_>, outputs_path: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut outputs = BTreeMap::new();
    for output in context.step.outputs.iter().filter(|output| output.error || context.phase == Phase::Export) {
        let path = PathBuf::from(format!("{}.{}", outputs_path.display(), output.name));
        if let Some(text) = read_output(&path).map_err(|why| format!("{}: {why}", output.name))? {
            outputs.insert(output.name.clone(), text);
        }
    }
    let bytes = serde_json::to_vec(&outputs).map_or(usize::MAX, |json| json.len());
    if bytes > OUTPUTS_BYTES_MAX {
        return Err(format!("all together have {bytes} bytes as JSON; {OUTPUTS_BYTES_MAX} is the most"));
    }
    Ok(outputs)
}

/// The file's bytes as they are, or `None` where there is no file. Links, pipes and devices are not read.
fn read_output(path: &Path) -> Result<Option<String>, String> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the file cannot be read, or is a link: {error}")),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| format!("the file cannot be read: {error}"))?;
    if bytes.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(format!("the file has more than {OUTPUT_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| "it is not text (UTF-8); encode it, for example with base64".to_owned())
}

/// The last part of a text, whatever bytes it has.
fn tail(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(TEXT_BYTES_MAX);
    super::failure::last(&String::from_utf8_lossy(&bytes[from..]), TEXT_BYTES_MAX)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
