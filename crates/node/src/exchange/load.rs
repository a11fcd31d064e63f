//! Reads the steps of profiles from the disk, and gives each its identity.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::exchange::declaration::{Listing, Mistake, STEPS_MAX, Step, folder_of, parse};
use crate::exchange::wire::{ConfigId, Phase, digest};
use crate::profile::settings::{self, OnError, Settings};
use crate::script;

/// The most bytes of a script of a step.
pub const SCRIPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The steps of several profiles, in the order of the profiles, and all mistakes of all of them. `given` are values of inputs, also of
/// undeclared ones: equal on all nodes of the cluster. A profile with a mistake has no steps, and holds up no other profile's; where
/// all have too many together, there is no step.
pub fn load(profiles: &[(String, PathBuf)], given: &BTreeMap<String, Value>) -> (Vec<Step>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let mut steps = Vec::new();
    for (at, (profile, folder)) in profiles.iter().enumerate() {
        let is_named = |(other, _): &(String, PathBuf)| other == profile;
        if profiles[..at].iter().any(is_named) {
            let text = "it is named twice; a step is known by its profile's name and its own".to_owned();
            mistakes.push(Mistake::new(profile, None, text));
        } else if !profiles[at + 1..].iter().any(is_named) {
            // What is wrong with the file is reported where its scripts are run.
            let fails_the_node = Settings::read(folder).is_ok_and(|settings| settings.on_error == OnError::FailTheNode);
            match load_profile(profile, folder, given) {
                Ok(of_profile) => steps.extend(of_profile.into_iter().map(|step| Step { fails_the_node, ..step })),
                Err(of_profile) => mistakes.extend(of_profile.into_iter().map(|mistake| Mistake { fails_the_node, ..mistake })),
            }
        }
    }
    if steps.len() > STEPS_MAX {
        let text = format!("the profiles of this cluster have {} exchange steps together; {STEPS_MAX} is the most", steps.len());
        let names: Vec<&str> = profiles.iter().map(|(name, _)| name.as_str()).collect();
        let fails_the_node = steps.iter().any(|step| step.fails_the_node);
        mistakes.push(Mistake { fails_the_node, ..Mistake::new(&names.join(", "), None, text) });
        steps.clear();
    }
    (steps, mistakes)
}

fn load_profile(profile: &str, folder: &Path, given: &BTreeMap<String, Value>) -> Result<Vec<Step>, Vec<Mistake>> {
    let unreadable = |what: &str, error: io::Error| vec![Mistake::new(profile, None, format!("{what} cannot be read: {error}"))];
    let text = read_declaration(&folder.join(settings::FILE)).map_err(|error| unreadable("profile.toml", error))?;
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
    file.take(settings::BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > settings::BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {} bytes", settings::BYTES_MAX)));
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
            // What runs: its first run takes Windows line ends out of the file, and is no other configuration by that.
            parts.extend([phase.to_string().into_bytes(), path.to_owned().into_bytes(), script::as_run(&bytes).into_owned()]);
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

    #[test]
    fn an_id_changes_with_declaration_script_and_input_and_with_nothing_else() {
        let id = |toml: &str, script: &str, given: &[(&str, Value)]| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("export.d")).unwrap();
            std::fs::write(folder.path().join("export.d/x.sh"), script).unwrap();
            std::fs::write(folder.path().join("profile.toml"), format!("[[exchange]]\nname = \"x\"\n{toml}")).unwrap();
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            load(&[("site".to_owned(), folder.path().to_owned())], &given).0[0].config.clone()
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
        let mistakes = |profiles: &[(String, PathBuf)]| {
            let (steps, mistakes) = load(profiles, &BTreeMap::new());
            assert_eq!(steps, []);
            mistakes
        };
        assert!(mistakes(&profiles)[0].text.contains("is no script of this profile"), "{:?}", mistakes(&profiles));
        let twice = [profiles[0].clone(), profiles[0].clone()];
        assert!(mistakes(&twice)[0].text.contains("named twice"), "{:?}", mistakes(&twice));
        std::fs::write(folder.path().join("profile.toml"), " ".repeat(usize::try_from(settings::BYTES_MAX).unwrap() + 1)).unwrap();
        assert!(mistakes(&profiles)[0].text.contains("has more than"));
    }

    #[test]
    fn a_profile_with_a_mistake_holds_up_its_own_steps_alone() {
        let folder = tempfile::tempdir().unwrap();
        let profile = |name: &str, toml: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.join("export.d")).unwrap();
            std::fs::write(path.join("export.d/x.sh"), "echo").unwrap();
            std::fs::write(path.join("profile.toml"), toml).unwrap();
            (name.to_owned(), path)
        };
        let good = "[[exchange]]\nname = \"x\"\n";
        let profiles = [profile("first", good), profile("broken", "[[exchange]]\nname = \"y\"\n"), profile("last", good)];
        let (steps, mistakes) = load(&profiles, &BTreeMap::new());
        assert_eq!(steps.iter().map(|step| step.key.as_str()).collect::<Vec<_>>(), ["first/x", "last/x"]);
        assert!(!mistakes.is_empty() && mistakes.iter().all(|mistake| mistake.profile == "broken"), "{mistakes:?}");
        let many = |name: &str, count: usize| {
            let named = profile(
                name,
                &(0..count).map(|nth| format!("[[exchange]]\nname = \"s{nth}\"\nexport = \"export.d/x.sh\"\n")).collect::<String>(),
            );
            [named, profiles[0].clone()]
        };
        assert_eq!(load(&many("many", STEPS_MAX - 1), &BTreeMap::new()).0.len(), STEPS_MAX);
        let (steps, mistakes) = load(&many("many", STEPS_MAX), &BTreeMap::new());
        assert_eq!((steps.len(), mistakes.len()), (0, 1), "{mistakes:?}");
    }

    /// What an administrator copies from the documentation.
    #[test]
    fn the_example_of_the_documentation_is_a_step() {
        let text = include_str!("../../../../docs/administrators.md");
        let section = text.split("#### All-to-all exchange").nth(1).unwrap();
        let example = section.split("```toml").nth(1).unwrap().split("```").next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for script in ["export.d/host-key.sh", "populate.d/known-hosts.sh"] {
            assert!(section.contains(script), "{script}");
            let path = folder.path().join(script);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "echo").unwrap();
        }
        std::fs::write(folder.path().join("profile.toml"), example).unwrap();
        let (steps, mistakes) = load(&[("site".to_owned(), folder.path().to_owned())], &BTreeMap::new());
        assert_eq!(mistakes, []);
        assert_eq!((steps.len(), steps[0].key.as_str()), (1, "site/keys"));
        assert!(steps[0].export.is_some() && steps[0].populate.is_some());
    }
}
