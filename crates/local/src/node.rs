//! A node of a cluster on this machine: its real user data, run by bash, and the agent that they fetch and install. What would be the
//! machine's own, files and instance metadata, lies below a folder of the test and on the emulator.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::emulator::REGION;
use crate::{children, deploy, end_of_log, root, wait};

/// EC2 takes no more user data than this.
pub const USER_DATA_BYTES_MAX: usize = 16 * 1024;

/// The limit for the shell that is left in user data, in lines.
pub const USER_DATA_LINES_MAX: usize = 39;

/// How long an agent may take to end: it says goodbye to the others for five seconds at most, and its scripts are ended.
const END_MAX: Duration = Duration::from_secs(20);

/// The log of user data and agent on a node.
const LOG: &str = "var/log/clusterdrop.log";

/// The id of the boot that an agent gets. By the kernel's own its scripts' time would count from this machine's start.
const BOOT: [&str; 2] = ["--boot", "boot-1"];

/// A machine with nothing on it but the system's programs. Where one of them would need root or an account, `tests/node` has another
/// of the same name, which notes its call in the file `calls`.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    url: String,
    script: String,
}

/// An agent at work. It is ended with this value.
#[derive(Debug)]
pub struct Agent(Child);

impl Machine {
    /// A machine that is about to boot with these user data, as text. The folder is made anew.
    pub fn new(folder: &Path, user_data: &str, url: &str) -> Result<Self> {
        if !user_data.starts_with("#!/bin/bash\n") || user_data.len() > USER_DATA_BYTES_MAX {
            bail!("EC2 runs no such user data: {} bytes that begin with {:?}", user_data.len(), user_data.lines().next());
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        for inner in ["var/log", "etc", "opt", "dev"] {
            fs::create_dir_all(folder.join(inner))?;
        }
        fs::write(folder.join("passwd"), "root:x:0:0:root:/root:/bin/bash\n")?;
        Ok(Self { folder: folder.to_owned(), url: url.to_owned(), script: on_this_machine(user_data, folder, url)? })
    }

    /// The machine of this instance of the emulator, with the user data that it was started with.
    pub fn of_instance(folder: &Path, instance: &str, url: &str) -> Result<Self> {
        let attribute = ["ec2", "describe-instance-attribute", "--attribute", "userData", "--query", "UserData.Value"];
        let told = deploy::aws(url, &[&attribute[..], &["--output", "text", "--instance-id", instance]].concat())?;
        let bytes = STANDARD.decode(told.trim()).with_context(|| format!("the user data of {instance} are no base64"))?;
        Self::new(folder, &String::from_utf8(bytes).with_context(|| format!("the user data of {instance} are no text"))?, url)
    }

    /// Where the files of this machine lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs the user data, with these variables in the environment; whether they ended well. What they print is in the machine's log.
    pub fn boot(&self, environment: &[(&str, &str)]) -> Result<bool> {
        let user_data = self.folder.join("user-data");
        fs::write(&user_data, &self.script)?;
        let mut command = self.command("bash");
        command.arg(user_data).envs(environment.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = children::status(&mut command);
        Ok(status.context("bash is on every machine that this runs on")?.success())
    }

    /// Makes the host key that sshd makes when a machine boots for the first time.
    pub fn make_host_key(&self) -> Result<()> {
        let folder = self.folder.join("etc/ssh");
        fs::create_dir_all(&folder)?;
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "root@login1", "-f"]).arg(folder.join("ssh_host_ed25519_key"));
        let made = children::output(&mut command).context("ssh-keygen, of OpenSSH, is needed")?;
        if !made.status.success() {
            bail!("ssh-keygen ended with {}: {}", made.status, String::from_utf8_lossy(&made.stderr).trim());
        }
        Ok(())
    }

    /// Starts the agent that the user data have fetched, as its unit does. It is told which machine this is, and unless `arguments`, more
    /// of its options, name a boot, that this is the first one.
    pub fn start(&self, instance: &str, address: &str, arguments: &[&str]) -> Result<Agent> {
        let mut command = self.command(self.agent());
        command
            .args(["boot", "--without-scheduler", "--root"])
            .arg(&self.folder)
            .args(["--instance", instance, "--address", address])
            .args(arguments);
        if !arguments.contains(&BOOT[0]) {
            command.args(BOOT);
        }
        let log = fs::File::create(self.folder.join("agent-output"))?;
        let started = children::spawn(command.stdout(log.try_clone()?).stderr(log));
        Ok(Agent(started.with_context(|| format!("{} could not be started", self.agent().display()))?))
    }

    /// What a command of the node prints, such as `members`.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let output = self.run(words, &[])?;
        if !output.status.success() {
            bail!("{} ended with {}: {}", shown(words), output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command of the node to its end, with these variables beside the machine's own: a person's AWS keys, say.
    pub fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
        let mut command = self.command(self.agent());
        command.args(words).arg("--root").arg(&self.folder).envs(environment.iter().copied());
        children::output(&mut command).with_context(|| format!("{} could not be started", shown(words)))
    }

    /// The last lines of its log, for an error: user data and agent write the same one, and what ends an agent early is in its output.
    pub fn end_of_log(&self) -> String {
        let log = end_of_log(&self.folder.join(LOG));
        if log.is_empty() { end_of_log(&self.folder.join("agent-output")) } else { log }
    }

    /// The agent that the user data have fetched.
    pub fn agent(&self) -> PathBuf {
        self.folder.join("opt/clusterdrop/fetched")
    }

    /// A file of this machine; empty where it is not there.
    pub fn read(&self, path: &str) -> String {
        fs::read(self.folder.join(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        environment(&mut command, &self.folder, &self.url);
        command
    }
}

impl Agent {
    /// Ends it as a reboot or a removal does, by SIGTERM, and waits for its end.
    pub fn end(mut self) -> Result<()> {
        children::terminate(self.0.id());
        wait::until("the end of the agent that was asked to end", END_MAX, || Ok(self.0.try_wait()?.map(drop)))
    }

    /// Ends it as a lost machine ends, by SIGKILL.
    pub fn lose(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
        children::forget(self.0.id());
    }
}

/// Gives a command the environment of a machine below this folder: AWS and the instance metadata at `url`, the programs of `tests/node`.
pub fn environment(command: &mut Command, folder: &Path, url: &str) {
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", root().join("tests/node").display()))
        .env("BOOT", folder)
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        .env("AWS_REGION", REGION);
    // The node's keys are its role's, from the metadata.
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
        command.env_remove(name);
    }
}

fn shown(words: &[&str]) -> String {
    format!("cf-node {}", words.join(" "))
}

/// The user data with every place of the machine moved into the folder, and AWS to the emulator. A place that is not there any more is
/// an error: what it became would be this machine's own.
fn on_this_machine(user_data: &str, folder: &Path, url: &str) -> Result<String> {
    let to = folder.display();
    let mut script = user_data.to_owned();
    for (there, here) in [
        ("/var/log/clusterdrop.log", format!("{to}/{LOG}")),
        ("/dev/console", format!("{to}/dev/console")),
        ("/etc/clusterdrop", format!("{to}/etc/clusterdrop")),
        ("/opt/clusterdrop", format!("{to}/opt/clusterdrop")),
        ("./fetched install", format!("./fetched install --root {to}")),
        ("http://169.254.169.254/latest", format!("{url}/latest")),
        ("https://s3.$region.$suffix", url.to_owned()),
        ("https://cloudformation.$region.$suffix/", format!("{url}/")),
        ("https://ec2.$region.$suffix/", format!("{url}/")),
    ] {
        if !script.contains(there) {
            bail!("the user data have no {there} any more: bring crates/local/src/node.rs up to date");
        }
        script = script.replace(there, &here);
    }
    match script.lines().find(|line| line.contains("https://")) {
        Some(line) => bail!("the user data go to AWS itself: {line}"),
        None => Ok(script),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER_DATA: &str = "#!/bin/bash\ntee -a /var/log/clusterdrop.log /dev/console\nx=http://169.254.169.254/latest\n\
        cd /etc/clusterdrop /opt/clusterdrop\n./fetched install\n\"https://s3.$region.$suffix/x\" \"https://cloudformation.$region.$suffix/\"\n\
        \"https://ec2.$region.$suffix/\"\n";

    #[test]
    fn user_data_that_would_reach_this_machine_or_aws_are_not_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |text: &str| Machine::new(&folder.path().join("node"), text, "http://127.0.0.1:1").unwrap_err().to_string();
        assert!(refused(&USER_DATA.replace("/dev/console", "/dev/tty1")).contains("no /dev/console any more"));
        assert!(refused(&format!("{USER_DATA}curl https://example.com\n")).contains("go to AWS itself"));
        assert!(refused("echo").contains("runs no such user data"));
        assert!(refused(&format!("{USER_DATA}{}", "#".repeat(USER_DATA_BYTES_MAX))).contains("runs no such user data"));
    }

    #[test]
    fn every_place_of_the_machine_is_moved_below_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = Machine::new(&folder.path().join("node"), USER_DATA, "http://127.0.0.1:1").expect("user data that can be moved");
        for word in machine.script.split_whitespace().filter(|word| word.starts_with('/')) {
            assert!(word.starts_with(&folder.path().display().to_string()), "{word}");
        }
        assert!(machine.script.contains("\"http://127.0.0.1:1/x\" \"http://127.0.0.1:1/\""), "{}", machine.script);
    }

    /// A machine whose agent is this shell script.
    fn machine_with(folder: &Path, agent: &str) -> Machine {
        use std::os::unix::fs::PermissionsExt as _;
        let machine = Machine::new(&folder.join("node"), USER_DATA, "http://127.0.0.1:1").expect("user data that can be moved");
        fs::create_dir_all(machine.folder().join("opt/clusterdrop")).expect("a folder");
        fs::write(machine.agent(), format!("#!/bin/bash\n{agent}\n")).expect("a script");
        fs::set_permissions(machine.agent(), fs::Permissions::from_mode(0o755)).expect("a script that can be run");
        machine
    }

    #[test]
    fn an_agent_is_given_its_machine_and_its_first_boot_and_ends_when_it_is_asked_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = machine_with(folder.path(), "echo \"$*\" > \"$BOOT/given\" && exec /bin/sleep 60");
        let given = |arguments: &[&str]| {
            let mut agent = machine.start("i-1", "127.0.77.1", arguments).expect("an agent");
            let given = wait::until("its arguments", END_MAX, || Ok(Some(machine.read("given")).filter(|given| given.ends_with('\n'))));
            assert!(agent.runs().expect("its state"));
            agent.end().expect("its end");
            fs::remove_file(machine.folder().join("given")).expect("the file was there");
            given.expect("arguments")
        };
        let root = machine.folder().display().to_string();
        assert_eq!(given(&[]), format!("boot --without-scheduler --root {root} --instance i-1 --address 127.0.77.1 --boot boot-1\n"));
        assert_eq!(
            given(&["--boot", "2"]),
            format!("boot --without-scheduler --root {root} --instance i-1 --address 127.0.77.1 --boot 2\n")
        );
    }

    #[test]
    fn a_lost_agent_runs_no_more_and_leaves_the_end_of_its_output() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = machine_with(folder.path(), "trap '' TERM; echo ready; while :; do /bin/sleep 0.05; done");
        let agent = machine.start("i-1", "127.0.77.1", &[]).expect("an agent");
        wait::until("its output", END_MAX, || Ok((machine.end_of_log() == "ready").then_some(()))).expect("output");
        let id = agent.0.id();
        agent.lose().expect("its end");
        assert!(!children::is_alive(id));
        fs::write(machine.folder().join(LOG), "the log\n").expect("a log");
        assert_eq!(machine.end_of_log(), "the log");
    }

    #[test]
    fn a_command_of_a_node_is_answered_or_its_words_are_the_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = machine_with(folder.path(), "[ \"$1\" = members ] && echo \"$*\" || { echo no such thing >&2; exit 2; }");
        let root = machine.folder().display();
        assert_eq!(machine.ask(&["members", "--json"]).expect("an answer"), format!("members --json --root {root}\n"));
        let error = machine.ask(&["weather"]).unwrap_err().to_string();
        assert!(error.starts_with("cf-node weather ended with") && error.ends_with("no such thing"), "{error}");
        let output = machine.run(&["weather"], &[]).expect("its end");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(2), b"no such thing\n".as_slice()));
    }

    #[test]
    fn a_command_has_no_keys_but_those_that_it_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = machine_with(folder.path(), "echo \"$AWS_ACCESS_KEY_ID.\"");
        let keys = |environment: &[(&str, &str)]| machine.run(&[], environment).expect("its end").stdout;
        assert_eq!((keys(&[]), keys(&[("AWS_ACCESS_KEY_ID", "jane")])), (b".\n".to_vec(), b"jane.\n".to_vec()));
    }
}
