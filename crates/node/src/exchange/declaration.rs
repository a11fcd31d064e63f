//! How a profile declares steps: the `[[exchange]]` entries of its `profile.toml`, in their order.
//!
//! ```toml
//! [[exchange]]
//! name = "hosts"                       # small letters, digits and hyphens
//! export = "export.d/10-hosts.sh"      # default: the one script export.d/hosts or export.d/hosts.<ending>, if there is one
//! populate = "populate.d/10-hosts.py"  # default: the same in populate.d
//! outputs = [{ name = "hosts" }, { name = "trouble", error = true }]
//! inputs = { domain = "example.org", ports = [80, 443] }   # environment variables of both scripts
//! timeout-seconds = 600                # for each of the two scripts, and until all nodes have reported
//! missing-output = "null"              # or "refuse": an export that ends well without an output fails the step
//! signal = "wait"                      # or "none": nobody waits, and no output is ever there
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::run::variable_mistake;
use crate::exchange::wire::{ConfigId, Phase, digest};

/// The most bytes of a `profile.toml`.
pub const DECLARATION_BYTES_MAX: u64 = 256 * 1024;

/// The most bytes of a script of a step.
pub const SCRIPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The most steps of a profile, and of all profiles of a node.
pub const STEPS_MAX: usize = 32;

/// The most outputs of a step.
pub const OUTPUTS_MAX: usize = 16;

/// The longest time of a script: a day.
pub const TIMEOUT_SECONDS_MAX: u64 = 24 * 60 * 60;

/// Ten minutes, for installing packages on a small node.
const TIMEOUT_SECONDS_DEFAULT: u64 = 600;

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

fn folder_of(phase: Phase) -> &'static str {
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

/// The steps of several profiles, in the order of the profiles. `given` are values of inputs, also of undeclared ones: equal on all
/// nodes of the cluster. All mistakes of all profiles are told at once, and then no step is left.
pub fn load(profiles: &[(String, PathBuf)], given: &BTreeMap<String, Value>) -> Result<Vec<Step>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut steps = Vec::new();
    for (profile, folder) in profiles {
        match load_profile(profile, folder, given) {
            Ok(of_profile) => steps.extend(of_profile),
            Err(of_profile) => mistakes.extend(of_profile),
        }
    }
    if steps.len() > STEPS_MAX {
        let text = format!("the profiles of this cluster have {} exchange steps together; {STEPS_MAX} is the most", steps.len());
        mistakes.push(Mistake { profile: profiles.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "), step: None, text });
    }
    if mistakes.is_empty() { Ok(steps) } else { Err(mistakes) }
}

fn load_profile(profile: &str, folder: &Path, given: &BTreeMap<String, Value>) -> Result<Vec<Step>, Vec<Mistake>> {
    let unreadable = |what: &str, error: io::Error| {
        vec![Mistake { profile: profile.to_owned(), step: None, text: format!("{what} cannot be read: {error}") }]
    };
    let text = read_declaration(&folder.join("profile.toml")).map_err(|error| unreadable("profile.toml", error))?;
    let list = |phase| list_scripts(&folder.join(folder_of(phase))).map_err(|error| unreadable(folder_of(phase), error));
    let listing = Listing { export: list(Phase::Export)?, populate: list(Phase::Populate)? };
    let mut steps = parse(profile, folder, &text, &listing, given)?;
    for step in &mut steps {
        step.config = config_id(step).map_err(|error| unreadable(&format!("a script of step {:?}", step.name), error))?;
    }
    Ok(steps)
}

fn read_declaration(path: &Path) -> io::Result<String> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(DECLARATION_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > DECLARATION_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {DECLARATION_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The scripts of a folder, by the rule of all scripts of profiles. Links are not followed.
fn list_scripts(folder: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        if let Ok(name) = entry.file_name().into_string()
            && metadata.is_file()
            && cf_core::profile::is_script(&name, metadata.len())
        {
            names.insert(name);
        }
    }
    Ok(names)
}

/// The steps of one profile, from its text and the names of its scripts; their ids are not yet made.
pub fn parse(
    profile: &str,
    folder: &Path,
    text: &str,
    listing: &Listing,
    given: &BTreeMap<String, Value>,
) -> Result<Vec<Step>, Vec<Mistake>> {
    let whole = |text: String| Mistake { profile: profile.to_owned(), step: None, text };
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
                texts.push("there is another step of this name".to_owned())
            }
            Ok(declared) => steps.push(check(profile, folder, declared, listing, given, &mut texts)),
            Err(error) => texts.push(one_line(&error)),
        }
        mistakes.extend(texts.into_iter().map(|text| Mistake { profile: profile.to_owned(), step: Some(named.clone()), text }));
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

/// The identity of a step: its declaration, its scripts' bytes, its input values. `folder` is left out: nodes may differ in it.
pub fn config_id(step: &Step) -> io::Result<ConfigId> {
    let mut parts = vec![b"exchange step 1".to_vec(), step.key.clone().into_bytes()];
    for phase in [Phase::Export, Phase::Populate] {
        if let Some(path) = step.script(phase) {
            let file = File::open(step.folder.join(path))?;
            let mut bytes = Vec::new();
            file.take(SCRIPT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > SCRIPT_BYTES_MAX {
                return Err(io::Error::other(format!("{path} has more than {SCRIPT_BYTES_MAX} bytes")));
            }
            parts.extend([phase.to_string().into_bytes(), path.to_owned().into_bytes(), bytes]);
        }
    }
    for (name, value) in &step.inputs {
        parts.extend([b"input".to_vec(), name.clone().into_bytes(), sorted(value).into_bytes()]);
    }
    for output in &step.outputs {
        parts.extend([b"output".to_vec(), output.name.clone().into_bytes(), vec![u8::from(output.error)]]);
    }
    let rest = format!("{:?} {} {:?}", step.signal, step.timeout_seconds, step.missing_output);
    parts.push(rest.into_bytes());
    Ok(ConfigId(digest(parts.iter().map(Vec::as_slice))))
}

/// JSON with the keys of objects in order, whatever order this build of serde_json keeps.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<String, String> =
                entries.iter().map(|(key, value)| (Value::from(key.as_str()).to_string(), sorted(value))).collect();
            format!("{{{}}}", entries.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(sorted).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(export: &[&str], populate: &[&str]) -> Listing {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Listing { export: names(export), populate: names(populate) }
    }

    fn mistakes(text: &str, listing: &Listing) -> Vec<String> {
        let parsed = parse("site", Path::new("/p"), text, listing, &BTreeMap::new());
        parsed.map_or_else(|mistakes| mistakes.iter().map(ToString::to_string).collect(), |_| Vec::new())
    }

    #[test]
    fn steps_keep_their_order_and_find_their_scripts() {
        let text = r#"
            on-error = "stop" # what is not the exchange's is another reader's
            [[exchange]]
            name = "keys"
            export = "export.d/10-ssh.sh"
            outputs = [{ name = "keys" }, { name = "trouble", error = true }]
            inputs = { ports = [80, 443], domain = "example.org", day = 2026-11-27 }
            [[exchange]]
            name = "hosts"
            signal = "none"
            timeout-seconds = 5
        "#;
        let steps = parse("site", Path::new("/p"), text, &listing(&["10-ssh.sh", "hosts.sh"], &["hosts"]), &BTreeMap::new()).unwrap();
        assert_eq!(steps.iter().map(|step| step.key.as_str()).collect::<Vec<_>>(), ["site/keys", "site/hosts"]);
        assert_eq!((steps[0].export.as_deref(), steps[0].populate.as_deref()), (Some("export.d/10-ssh.sh"), None));
        assert_eq!((steps[1].export.as_deref(), steps[1].populate.as_deref()), (Some("export.d/hosts.sh"), Some("populate.d/hosts")));
        assert_eq!((steps[0].timeout_seconds, steps[1].timeout_seconds), (600, 5));
        assert_eq!((steps[0].signal, steps[1].signal), (Signal::Wait, Signal::None));
        assert_eq!(steps[0].inputs["day"], "2026-11-27");
        assert!(parse("site", Path::new("/p"), "", &Listing::default(), &BTreeMap::new()).unwrap().is_empty());
    }

    #[test]
    fn all_mistakes_are_told_with_their_steps() {
        let text = r#"
            [[exchange]]
            name = "Hosts"
            export = "export.d/../../etc/shadow"
            timeout-seconds = 0
            [[exchange]]
            name = "keys"
            outputs = [{ name = "PATH" }, { name = "a-b" }, { name = "twice" }, { name = "twice" }]
            inputs = { twice = 1, big = inf }
            [[exchange]]
            name = "typo"
            ouputs = []
            [[exchange]]
            export = "export.d/x"
            [[exchange]]
            name = "two"
            [[exchange]]
            name = "none"
            [[exchange]]
            name = "keys"
        "#;
        let told = mistakes(text, &listing(&["two.sh", "two.py", "keys"], &[]));
        let has = |part: &str| assert!(told.iter().any(|mistake| mistake.contains(part)), "{part} is not in {told:#?}");
        has("profile site, exchange step \"Hosts\": a step's name is of small letters");
        has("export = \"export.d/../../etc/shadow\" is no script of this profile");
        has("step \"Hosts\": timeout-seconds is from 1 to 86400");
        has("step \"keys\": the output \"PATH\"");
        has("the output \"a-b\"");
        has("\"twice\" is declared twice");
        has("\"twice\" is an input and an output");
        has("the input big holds a number that JSON has not");
        has("step \"typo\": unknown field `ouputs`");
        has("step \"number 4\": missing field `name`");
        has("step \"two\": export.d/ has several scripts of this name");
        has("step \"none\": it has no script");
        has("step \"keys\": there is another step of this name");
        assert_eq!(told.len(), 13 + 1, "{told:#?}");
    }

    #[test]
    fn a_profile_as_a_whole_can_be_wrong() {
        let none = Listing::default();
        assert!(mistakes("exchange = 1", &none)[0].contains("begin each step with a line [[exchange]]"));
        assert!(mistakes("[[exchange", &none)[0].contains("profile.toml is no TOML"));
        assert_eq!(
            mistakes("", &listing(&[], &["10-x.sh"])),
            [
                "profile site: populate.d/10-x.sh belongs to no exchange step, so it would never run; name it in profile.toml, or take it away"
            ]
        );
        let many: String = (0..=STEPS_MAX).map(|nth| format!("[[exchange]]\nname = \"s{nth}\"\nexport = \"export.d/x\"\n")).collect();
        assert_eq!(
            mistakes(&many, &listing(&["x"], &[])),
            [format!("profile site: it has {} exchange steps; {STEPS_MAX} is the most", STEPS_MAX + 1)]
        );
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        let step = |rest: &str| mistakes(&format!("[[exchange]]\nname = \"x\"\n{rest}"), &listing(&["x"], &[]));
        assert_eq!(step("timeout-seconds = 1"), [""; 0]);
        assert_eq!(step("timeout-seconds = 86400"), [""; 0]);
        assert_eq!(step("timeout-seconds = 86401").len(), 1);
        let outputs = |count: usize| (0..count).map(|nth| format!("{{ name = \"o{nth}\" }}")).collect::<Vec<_>>().join(",");
        assert_eq!(step(&format!("outputs = [{}]", outputs(OUTPUTS_MAX))), [""; 0]);
        assert_eq!(step(&format!("outputs = [{}]", outputs(OUTPUTS_MAX + 1))).len(), 1);
        assert_eq!(step("signal = \"none\"\nmissing-output = \"refuse\"").len(), 1);
        assert_eq!(step("signal = \"maybe\"").len(), 1);
        assert!(is_step_name(&"a".repeat(63)) && !is_step_name(&"a".repeat(64)) && !is_step_name("-a") && !is_step_name(""));
    }

    #[test]
    fn an_id_changes_with_declaration_script_and_input_and_with_nothing_else() {
        let id = |toml: &str, script: &str, given: &[(&str, Value)]| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("export.d")).unwrap();
            std::fs::write(folder.path().join("export.d/x.sh"), script).unwrap();
            std::fs::write(folder.path().join("profile.toml"), format!("[[exchange]]\nname = \"x\"\n{toml}")).unwrap();
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            load(&[("site".to_owned(), folder.path().to_owned())], &given).unwrap()[0].config.clone()
        };
        let first = id("", "echo", &[]);
        assert_eq!(first, id("# a comment", "echo", &[]));
        let others = [
            id("", "echo 1", &[]),
            id("timeout-seconds = 9", "echo", &[]),
            id("inputs = { a = 1 }", "echo", &[]),
            id("", "echo", &[("b", 1.into())]),
        ];
        let distinct: BTreeSet<_> = others.iter().chain([&first]).collect();
        assert_eq!(distinct.len(), 5);
        assert_eq!(id("inputs = { a = 1 }", "echo", &[]), id("", "echo", &[("a", 1.into())]), "the value counts, not where it came from");
    }

    #[test]
    fn a_link_is_no_script_and_a_long_declaration_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("export.d")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("export.d/x")).unwrap();
        std::fs::write(folder.path().join("profile.toml"), "[[exchange]]\nname = \"x\"\nexport = \"export.d/x\"").unwrap();
        let profiles = [("site".to_owned(), folder.path().to_owned())];
        let told = load(&profiles, &BTreeMap::new()).unwrap_err();
        assert!(told[0].text.contains("is no script of this profile"), "{told:?}");
        std::fs::write(folder.path().join("profile.toml"), " ".repeat(usize::try_from(DECLARATION_BYTES_MAX).unwrap() + 1)).unwrap();
        assert!(load(&profiles, &BTreeMap::new()).unwrap_err()[0].text.contains("has more than"));
    }
}
