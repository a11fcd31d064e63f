//! How a profile declares steps: the `[[exchange]]` entries of its `profile.toml`, in their order.
//!
//! ```toml
//! [[exchange]]
//! name = "hosts"                       # small letters, digits and hyphens
//! export = "export.d/10-hosts.sh"      # default: the one script export.d/hosts or export.d/hosts.<ending>, if there is one
//! populate = "populate.d/10-hosts.py"  # default: the same in populate.d
//! outputs = [{ name = "hosts" }, { name = "trouble", error = true }]
//! inputs = { domain = "example.org", ports = [80, 443] }   # environment variables of both scripts
//! timeout-seconds = 1800               # for each of the two scripts, and until all nodes have reported
//! missing-output = "null"              # or "refuse": an export that ends well without an output fails the step
//! signal = "wait"                      # or "none": nobody waits, and no output is ever there
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::run::variable_mistake;
use crate::exchange::wire::{ConfigId, Phase};

/// The most steps of a profile, and of all profiles of a node.
pub const STEPS_MAX: usize = 32;

/// The most outputs of a step.
pub const OUTPUTS_MAX: usize = 16;

/// The longest time of a script: a day.
pub const TIMEOUT_SECONDS_MAX: u64 = 24 * 60 * 60;

/// Half an hour: a script of the exchange waits for those of an event that run on its node, and the scripts of a boot have
/// [`BOOT_LIMIT`](crate::hooks::BOOT_LIMIT), 24 minutes.
const TIMEOUT_SECONDS_DEFAULT: u64 = 1_800;

/// A step of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// `<profile>/<step>`.
    pub key: String,
    /// Its name in the profile.
    pub name: String,
    /// The folder of its profile.
    pub folder: PathBuf,
    /// The export script, relative to the folder.
    pub export: Option<String>,
    /// The populate script, relative to the folder.
    pub populate: Option<String>,
    /// The inputs with their values.
    pub inputs: BTreeMap<String, Value>,
    /// The outputs, in declared order.
    pub outputs: Vec<Output>,
    /// Whether the step waits for results.
    pub signal: Signal,
    /// The time of each script.
    pub timeout_seconds: u64,
    /// What an absent output means.
    pub missing_output: MissingOutput,
    /// Whether the login node fails with the step: its profile says `on-error = "fail-the-node"`.
    pub fails_the_node: bool,
    /// The identity of all this, with the scripts' bytes.
    pub config: ConfigId,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Output {
    /// Its name, which is the end of its file's name and, for the populate script, a variable's name.
    pub name: String,
    /// Whether the step fails where it is written.
    #[serde(default)]
    pub error: bool,
}

/// Whether a step waits for results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// It is complete when every node has reported.
    #[default]
    Wait,
    /// It is complete at once, and its outputs are null.
    None,
}

/// What an absent output means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingOutput {
    /// Its value is null, as in Heat.
    #[default]
    Null,
    /// The step fails.
    Refuse,
}

impl Step {
    /// The profile that it is of.
    pub fn profile(&self) -> &str {
        self.key.split('/').next().unwrap_or_default()
    }

    /// The script of a phase.
    pub fn script(&self, phase: Phase) -> Option<&str> {
        match phase {
            Phase::Export => self.export.as_deref(),
            Phase::Populate => self.populate.as_deref(),
        }
    }
}

/// A mistake in a profile's steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Mistake {
    /// The profile.
    pub profile: String,
    /// The step, if it is in one.
    pub step: Option<String>,
    /// What is wrong, and what to do.
    pub text: String,
    /// Whether the login node fails with it: its profile says `on-error = "fail-the-node"`.
    #[serde(default)]
    pub fails_the_node: bool,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile {}", self.profile)?;
        if let Some(step) = &self.step {
            write!(f, ", exchange step {step:?}")?;
        }
        write!(f, ": {}", self.text)
    }
}

impl Mistake {
    /// One in a profile, or in a step of it.
    pub fn new(profile: &str, step: Option<String>, text: String) -> Self {
        Self { profile: profile.to_owned(), step, text, fails_the_node: false }
    }

    /// The same for a reader who knows which profile it is of.
    pub fn without_profile(&self) -> String {
        self.step.as_ref().map_or_else(|| self.text.clone(), |step| format!("exchange step {step:?}: {}", self.text))
    }
}

/// The scripts that lie in a profile's two folders, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Of `export.d/`.
    pub export: BTreeSet<String>,
    /// Of `populate.d/`.
    pub populate: BTreeSet<String>,
}

impl Listing {
    fn of(&self, phase: Phase) -> &BTreeSet<String> {
        match phase {
            Phase::Export => &self.export,
            Phase::Populate => &self.populate,
        }
    }
}

pub(super) fn folder_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Export => "export.d",
        Phase::Populate => "populate.d",
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Declared {
    name: String,
    export: Option<String>,
    populate: Option<String>,
    #[serde(default)]
    inputs: BTreeMap<String, toml::Value>,
    #[serde(default)]
    outputs: Vec<Output>,
    #[serde(default)]
    signal: Signal,
    timeout_seconds: Option<u64>,
    #[serde(default)]
    missing_output: MissingOutput,
}

/// The steps of one profile, from its text and the names of its scripts; their ids are not yet made.
pub fn parse(
    profile: &str,
    folder: &Path,
    text: &str,
    listing: &Listing,
    given: &BTreeMap<String, Value>,
) -> Result<Vec<Step>, Vec<Mistake>> {
    let whole = |text: String| Mistake::new(profile, None, text);
    let mut document: toml::Table =
        text.parse().map_err(|error: toml::de::Error| vec![whole(format!("profile.toml is no TOML: {}", one_line(&error)))])?;
    let entries = match document.remove("exchange") {
        None => Vec::new(),
        Some(toml::Value::Array(entries)) => entries,
        Some(_) => return Err(vec![whole("exchange is a list: begin each step with a line [[exchange]]".to_owned())]),
    };
    let mut mistakes = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let named = entry.get("name").and_then(toml::Value::as_str).map_or_else(|| format!("number {}", at + 1), str::to_owned);
        let mut texts = Vec::new();
        match entry.try_into::<Declared>() {
            Ok(declared) if steps.iter().any(|step| step.name == declared.name) => {
                texts.push("there is another step of this name".to_owned());
            }
            Ok(declared) => steps.push(check(profile, folder, declared, listing, given, &mut texts)),
            Err(error) => texts.push(one_line(&error)),
        }
        mistakes.extend(texts.into_iter().map(|text| Mistake::new(profile, Some(named.clone()), text)));
    }
    if mistakes.is_empty() {
        mistakes.extend(unused(&steps, listing).map(whole));
    }
    if steps.len() > STEPS_MAX {
        mistakes.push(whole(format!("it has {} exchange steps; {STEPS_MAX} is the most", steps.len())));
    }
    if mistakes.is_empty() { Ok(steps) } else { Err(mistakes) }
}

/// Scripts that no step names would never run, and nobody would know.
fn unused(steps: &[Step], listing: &Listing) -> impl Iterator<Item = String> {
    let mut texts = Vec::new();
    for phase in [Phase::Export, Phase::Populate] {
        for name in listing.of(phase) {
            let path = format!("{}/{name}", folder_of(phase));
            if !steps.iter().any(|step| step.script(phase) == Some(&path)) {
                texts.push(format!("{path} belongs to no exchange step, so it would never run; name it in profile.toml, or take it away"));
            }
        }
    }
    texts.into_iter()
}

fn check(
    profile: &str,
    folder: &Path,
    declared: Declared,
    listing: &Listing,
    given: &BTreeMap<String, Value>,
    texts: &mut Vec<String>,
) -> Step {
    if !is_step_name(&declared.name) {
        texts.push("a step's name is of small letters, digits and hyphens, begins with a letter or digit, and has at most 63".to_owned());
    }
    let export = script(&declared.name, declared.export, Phase::Export, listing, texts);
    let populate = script(&declared.name, declared.populate, Phase::Populate, listing, texts);
    if texts.is_empty() && export.is_none() && populate.is_none() {
        texts.push(format!(
            "it has no script: there is no export.d/{0}, export.d/{0}.<ending>, populate.d/{0} or populate.d/{0}.<ending>",
            declared.name
        ));
    }
    let inputs = inputs(declared.inputs, given, texts);
    outputs(&declared.outputs, &inputs, texts);
    if texts.is_empty() && export.is_none() && declared.outputs.iter().any(|output| !output.error) {
        texts.push("it declares outputs and has no export script that could write them".to_owned());
    }
    if declared.signal == Signal::None && declared.missing_output == MissingOutput::Refuse {
        texts.push("with signal = \"none\" all outputs are missing, so missing-output = \"refuse\" could never be met".to_owned());
    }
    let timeout_seconds = declared.timeout_seconds.unwrap_or(TIMEOUT_SECONDS_DEFAULT);
    if !(1..=TIMEOUT_SECONDS_MAX).contains(&timeout_seconds) {
        texts.push(format!("timeout-seconds is from 1 to {TIMEOUT_SECONDS_MAX} (a day)"));
    }
    Step {
        key: format!("{profile}/{}", declared.name),
        name: declared.name,
        folder: folder.to_owned(),
        export,
        populate,
        inputs,
        outputs: declared.outputs,
        signal: declared.signal,
        timeout_seconds,
        missing_output: declared.missing_output,
        fails_the_node: false,
        config: ConfigId(String::new()),
    }
}

fn is_step_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('-')
}

/// The script that a step names, or else the one that has its name.
fn script(step: &str, named: Option<String>, phase: Phase, listing: &Listing, texts: &mut Vec<String>) -> Option<String> {
    let folder = folder_of(phase);
    if let Some(path) = named {
        let name = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        if !name.is_some_and(|name| listing.of(phase).contains(name)) {
            texts.push(format!("{phase} = {path:?} is no script of this profile; it is a file that lies directly in {folder}/"));
        }
        return Some(path);
    }
    let found: Vec<&String> = listing
        .of(phase)
        .iter()
        .filter(|name| name.strip_prefix(step).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        .collect();
    if found.len() > 1 {
        texts.push(format!("{folder}/ has several scripts of this name; say which one with {phase} = \"{folder}/…\""));
    }
    found.first().map(|name| format!("{folder}/{name}"))
}

fn inputs(declared: BTreeMap<String, toml::Value>, given: &BTreeMap<String, Value>, texts: &mut Vec<String>) -> BTreeMap<String, Value> {
    let mut inputs = BTreeMap::new();
    for (name, value) in declared {
        match json(value) {
            Some(value) => _ = inputs.insert(name, value),
            None => texts.push(format!("the input {name} holds a number that JSON has not (inf or nan)")),
        }
    }
    inputs.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    for (name, value) in &inputs {
        texts.extend(variable_mistake(name).map(|why| format!("the input {name:?} {why}")));
        if value.as_str().is_some_and(|text| text.contains('\0')) {
            texts.push(format!("the input {name:?} holds a NUL character, which no environment variable can"));
        }
    }
    inputs
}

fn outputs(outputs: &[Output], inputs: &BTreeMap<String, Value>, texts: &mut Vec<String>) {
    if outputs.len() > OUTPUTS_MAX {
        texts.push(format!("it has {} outputs; {OUTPUTS_MAX} is the most", outputs.len()));
    }
    for (at, output) in outputs.iter().enumerate() {
        let name = &output.name;
        texts.extend(variable_mistake(name).map(|why| format!("the output {name:?} {why}")));
        if outputs[..at].iter().any(|other| other.name == *name) {
            texts.push(format!("the output {name:?} is declared twice"));
        }
        if inputs.contains_key(name) {
            texts.push(format!("{name:?} is an input and an output; the populate script gets both as variables, so their names differ"));
        }
    }
}

/// TOML's value as JSON's; a date is its text. `None` for a number that JSON has not.
fn json(value: toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => Value::Number(serde_json::Number::from_f64(number)?),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => Value::Array(values.into_iter().map(json).collect::<Option<_>>()?),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(key, value)| Some((key, json(value)?))).collect::<Option<_>>()?),
    })
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
