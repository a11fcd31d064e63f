//! `cf-node install`: puts the agent in its place on a node, and starts it where systemd runs. Run twice, it changes nothing the second
//! time.
//!
//! An image of a node has the unit enabled: the old agent runs there, with the settings of the cluster that the image was made in, before
//! user data write those of the new one. So an agent that runs is started again where it is another program or has other settings, which
//! it notes when it starts ([`note_start`]).

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::node::Layout;
use crate::programs::Programs;
use crate::settings::{NodeSettings, SettingsError};

/// The program's place.
pub const PROGRAM: &str = "opt/clusterdrop/bin/cf-node";

/// The name under which people call it.
const LINK: &str = "usr/local/bin/cf-node";

const UNIT: &str = "etc/systemd/system/cf-node.service";

/// What the running agent started with: gone with the boot of the machine.
const STARTED: &str = "run/clusterdrop/started";

const LOGROTATE: &str = "etc/logrotate.d/clusterdrop";

const PROFILE: &str = "etc/profile.d/clusterdrop.sh";

/// `cf-node install`.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder that stands for /
    #[arg(long, default_value = "/")]
    root: PathBuf,
}

/// Why the agent is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It could not do anything on this node.
    #[error("nothing is installed: {0}")]
    Settings(#[from] SettingsError),
    /// A file could not be written.
    #[error("{path} cannot be written: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// systemd does not start it.
    #[error("the agent is installed, and systemd does not start it: {0}")]
    Systemd(String),
}

/// Installs this program below `root`, and prints what was done.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    for line in install(&program, &Layout::below(&options.root), &Programs::default()).await? {
        println!("cf-node: {line}");
    }
    Ok(())
}

/// Installs a program. Gives a line for each thing that is now so.
async fn install(program: &Path, layout: &Layout, programs: &Programs) -> Result<Vec<String>, InstallError> {
    // First: a node without them is better without an agent that cannot report anything.
    let settings = NodeSettings::read(layout)?;
    let mut done = vec![format!("this is a {} of the cluster {}", kind(&settings), settings.cluster)];
    let at = |path: &str| layout.root().join(path);
    let written = |path: &str| {
        let path = at(path);
        move |error| InstallError::File { path, error }
    };
    let is_new = place_program(program, &at(PROGRAM)).map_err(written(PROGRAM))?;
    done.push(format!("{} {}", at(PROGRAM).display(), if is_new { "is installed" } else { "is this program already" }));
    place_link(&at(LINK), &Path::new("/").join(PROGRAM)).map_err(written(LINK))?;
    place_text(&at(UNIT), include_str!("../units/cf-node.service")).map_err(written(UNIT))?;
    place_text(&at(LOGROTATE), include_str!("../units/logrotate.conf")).map_err(written(LOGROTATE))?;
    place_text(&at(PROFILE), include_str!("../units/profile.sh")).map_err(written(PROFILE))?;
    // They hold no secret, and commands of users read them.
    fs::set_permissions(layout.settings(), Permissions::from_mode(0o644))
        .map_err(|error| InstallError::File { path: layout.settings(), error })?;
    // As sd_booted(3) finds it out.
    if !at("run/systemd/system").is_dir() {
        done.push("systemd does not run here: start it by `cf-node boot`".to_owned());
        return Ok(done);
    }
    // An agent that runs as it would be started goes on; any other, or none, is started.
    let start = if is_started(layout) { "start" } else { "restart" };
    // Not waited for: this may be part of a boot that the unit is to come after.
    for arguments in [&["daemon-reload"][..], &["enable", "cf-node.service"], &[start, "--no-block", "cf-node.service"]] {
        programs.must("systemctl", arguments).await.map_err(InstallError::Systemd)?;
    }
    done.push("systemd starts it now and at each boot".to_owned());
    Ok(done)
}

/// Notes what the agent starts with, before it reads its settings: ones that come between the two are taken for others.
pub fn note_start(layout: &Layout) -> io::Result<()> {
    let program = fs::metadata("/proc/self/exe")?.ino();
    place_text(&layout.root().join(STARTED), &started(program, layout)?)
}

/// Whether the agent that runs is the installed program, with the settings that are there.
fn is_started(layout: &Layout) -> bool {
    let at = |path: &str| layout.root().join(path);
    let now = fs::metadata(at(PROGRAM)).and_then(|program| started(program.ino(), layout));
    now.is_ok_and(|now| fs::read_to_string(at(STARTED)).is_ok_and(|before| before == now))
}

/// The program, by the number of its file, which another one does not have, and the settings.
fn started(program: u64, layout: &Layout) -> io::Result<String> {
    Ok(format!("{program}\n{}", fs::read_to_string(layout.settings())?))
}

fn kind(settings: &NodeSettings) -> &'static str {
    match settings.role {
        crate::node::Role::Master => "login node",
        crate::node::Role::Slave => "compute node",
    }
}

/// Copies the program; whether there was another one, or none.
fn place_program(program: &Path, to: &Path) -> io::Result<bool> {
    if is_same_content(program, to)? {
        fs::set_permissions(to, Permissions::from_mode(0o755))?;
        return Ok(false);
    }
    let mut from = File::open(program)?;
    place(to, 0o755, |draft| io::copy(&mut from, draft).map(|_| ()))?;
    Ok(true)
}

fn is_same_content(one: &Path, other: &Path) -> io::Result<bool> {
    match (fs::metadata(one)?.len(), fs::symlink_metadata(other)) {
        (bytes, Ok(found)) if found.is_file() && found.len() == bytes => Ok(fs::read(one)? == fs::read(other)?),
        _ => Ok(false),
    }
}

fn place_text(to: &Path, text: &str) -> io::Result<()> {
    place(to, 0o644, |draft| draft.write_all(text.as_bytes()))
}

/// Makes a folder that everybody may enter, with those above it, whatever the umask: user data run with one that shuts others out. One
/// that is there is left as it is.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folder(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Puts a file in its place at once: a program that runs stays whole, and a crash leaves no half of a unit.
fn place(to: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_folder(folder)?;
    let mut draft = tempfile::Builder::new().prefix(".cf-node-").tempfile_in(folder)?;
    write(draft.as_file_mut())?;
    draft.as_file().set_permissions(Permissions::from_mode(mode))?;
    draft.as_file().sync_all()?;
    draft.persist(to)?;
    Ok(())
}

/// Lets a link lead to the program, at once.
fn place_link(link: &Path, to: &Path) -> io::Result<()> {
    let folder = link.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_folder(folder)?;
    if fs::read_link(link).is_ok_and(|leads| leads == to) {
        return Ok(());
    }
    let draft = tempfile::Builder::new().prefix(".cf-node-").tempdir_in(folder)?;
    let new = draft.path().join("link");
    symlink(to, &new)?;
    fs::rename(new, link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::tests::StandIns;

    struct Node {
        stand_ins: StandIns,
        root: tempfile::TempDir,
    }

    impl Node {
        fn new() -> Self {
            let node = Self { stand_ins: StandIns::new(), root: tempfile::tempdir().unwrap() };
            node.stand_ins.add("systemctl", "");
            fs::write(node.stand_ins.folder().join("program"), "agent 1").unwrap();
            fs::create_dir_all(node.at("etc/clusterdrop")).unwrap();
            let settings = serde_json::json!({
                "role": "master", "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice",
                "region": "eu-west-2", "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles",
                "profile": "alice", "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4
            });
            fs::write(node.at("etc/clusterdrop/node.json"), settings.to_string()).unwrap();
            node
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        async fn install(&self) -> Result<Vec<String>, InstallError> {
            let program = self.stand_ins.folder().join("program");
            install(&program, &Layout::below(self.root.path()), &self.stand_ins.programs()).await
        }

        /// All files but the settings, with their content and mode.
        fn files(&self) -> Vec<(PathBuf, String, u32)> {
            let mut files: Vec<_> = [PROGRAM, UNIT, LOGROTATE, PROFILE].map(|path| self.at(path)).to_vec();
            files.push(fs::read_link(self.at(LINK)).unwrap());
            let content = |file: &PathBuf| fs::read_to_string(file).unwrap_or_default();
            let mode = |file: &PathBuf| fs::metadata(file).map_or(0, |found| found.permissions().mode() & 0o777);
            files.into_iter().map(|file| (file.clone(), content(&file), mode(&file))).collect()
        }
    }

    #[tokio::test]
    async fn without_systemd_the_agent_is_installed_and_not_started() {
        let node = Node::new();
        let done = node.install().await.unwrap();
        assert_eq!(done[0], "this is a login node of the cluster demo");
        assert_eq!(done.last().unwrap(), "systemd does not run here: start it by `cf-node boot`");
        let files = node.files();
        assert_eq!((files[0].1.as_str(), files[0].2, files[1].2), ("agent 1", 0o755, 0o644));
        assert!(files[1].1.contains(&format!("ExecStart=/{PROGRAM} boot\n")), "the unit starts what is installed");
        assert_eq!(files[4].0, Path::new("/").join(PROGRAM));
        assert_eq!(node.stand_ins.calls(), [""; 0]);
    }

    #[tokio::test]
    async fn a_second_time_changes_nothing_and_another_program_takes_the_place_of_the_first() {
        let node = Node::new();
        node.install().await.unwrap();
        let files = node.files();
        let second = node.install().await.unwrap();
        assert!(second[1].ends_with("bin/cf-node is this program already"), "{second:?}");
        assert_eq!(node.files(), files);
        // Also where the installed program installs itself.
        let layout = Layout::below(node.root.path());
        install(&node.at(PROGRAM), &layout, &node.stand_ins.programs()).await.unwrap();
        assert_eq!(node.files(), files);
        fs::write(node.stand_ins.folder().join("program"), "agent 2").unwrap();
        fs::write(node.at(UNIT), "an older unit").unwrap();
        fs::remove_file(node.at(LINK)).unwrap();
        symlink("/elsewhere", node.at(LINK)).unwrap();
        node.install().await.unwrap();
        let after = node.files();
        assert_eq!((after[0].1.as_str(), &after[1], &after[4]), ("agent 2", &files[1], &files[4]));
        let bin = fs::read_dir(node.at("opt/clusterdrop/bin")).unwrap().count();
        assert_eq!(bin, 1, "no draft stays");
    }

    #[tokio::test]
    async fn where_systemd_runs_the_unit_is_enabled_and_started_without_waiting() {
        let node = Node::new();
        fs::create_dir_all(node.at("run/systemd/system")).unwrap();
        assert_eq!(node.install().await.unwrap().last().unwrap(), "systemd starts it now and at each boot");
        let calls = ["systemctl daemon-reload", "systemctl enable cf-node.service", "systemctl restart --no-block cf-node.service"];
        assert_eq!(node.stand_ins.calls(), calls);
        node.stand_ins.add("systemctl", "[ \"$1\" != enable ] || { echo 'Failed to enable' >&2; exit 1; }");
        let error = node.install().await.unwrap_err().to_string();
        assert!(error.ends_with("systemd does not start it: systemctl ended with exit code 1: Failed to enable"), "{error}");
    }

    #[tokio::test]
    async fn an_agent_that_runs_is_started_again_only_where_its_program_or_its_settings_are_others() {
        let node = Node::new();
        fs::create_dir_all(node.at("run/systemd/system")).unwrap();
        node.install().await.unwrap();
        let starts = || -> Vec<String> {
            let calls = node.stand_ins.calls().into_iter().filter(|call| call.contains("start"));
            calls.map(|call| call.split(' ').nth(1).unwrap().to_owned()).collect()
        };
        assert_eq!(starts(), ["restart"], "that none has started yet is no reason against it");
        let layout = Layout::below(node.root.path());
        let agent_starts = || {
            // As `note_start` has it in the process of the installed program.
            let program = fs::metadata(node.at(PROGRAM)).unwrap().ino();
            place_text(&node.at(STARTED), &started(program, &layout).unwrap()).unwrap();
        };
        agent_starts();
        node.install().await.unwrap();
        assert_eq!(starts(), ["restart", "start"]);
        let settings = fs::read_to_string(layout.settings()).unwrap();
        fs::write(layout.settings(), settings.replace("demo", "another")).unwrap();
        node.install().await.unwrap();
        assert_eq!(starts(), ["restart", "start", "restart"], "the cluster of the image");
        agent_starts();
        fs::write(node.stand_ins.folder().join("program"), "agent 2").unwrap();
        node.install().await.unwrap();
        // Also where the first attempt to do so fails.
        node.install().await.unwrap();
        assert_eq!(starts()[3..], ["restart", "restart"], "the program of the image");
        note_start(&layout).unwrap();
        assert!(!is_started(&layout), "this test is another program");
    }

    #[tokio::test]
    async fn settings_that_cannot_be_read_install_nothing() {
        let node = Node::new();
        fs::write(node.at("etc/clusterdrop/node.json"), "{").unwrap();
        let error = node.install().await.unwrap_err().to_string();
        assert!(error.starts_with("nothing is installed: the node's settings "), "{error}");
        assert!(!node.at("opt").exists() && !node.at(UNIT).exists());
    }

    #[test]
    fn the_units_name_the_logs_and_settings_that_the_agent_has() {
        let layout = Layout::below("/");
        let rotated = include_str!("../units/logrotate.conf");
        let folder = layout.instance_log().parent().unwrap().display().to_string();
        assert!(rotated.contains(&format!("{folder}/*.log /{} {{", crate::logs::AGENT_LOG)), "{rotated}");
        let unit = include_str!("../units/cf-node.service");
        assert!(unit.contains(&format!("ConditionPathExists={}\n", layout.settings().display())));
    }
}
