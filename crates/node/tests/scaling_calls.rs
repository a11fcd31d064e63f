//! Slurm's calls to the agent of the login node: the program `cf-node`, as root, as `slurm` and as somebody else, and the socket.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cf_node::node::{Layout, NodeName};
use cf_node::scaling::calls;
use cf_node::scaling::keeper::Keeper;
use cf_slurm::group::Sizes;
use cf_slurm::scaling::{Policy, Rules};
use jiff::Timestamp;

/// An id that is nobody's on this machine.
const SLURM: u32 = 64_731;
const STRANGER: u32 = 64_732;

/// A login node, as far as calls reach it. Its runtime is a thread of its own; it ends with the test.
struct Login {
    folder: tempfile::TempDir,
    keeper: Arc<Keeper>,
    _runtime: tokio::runtime::Runtime,
}

impl Login {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let layout = Layout::below(folder.path());
        for folder in [layout.state(), layout.root().join("etc")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(layout.root().join("etc/passwd"), format!("root:x:0:0::/:/bin/sh\nslurm:x:{SLURM}:{SLURM}::/:/bin/false\n")).unwrap();
        let sizes = Sizes { maximum: 100, spot: 100, on_demand: 0 };
        let policy = Policy { sizes, initial: 0, fixed: false, frozen: false, rules: Rules::default() };
        let keeper = Arc::new(Keeper::open(&layout, policy, Timestamp::now).0);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = {
            let _in = runtime.enter();
            calls::listen(&layout).unwrap()
        };
        let served = Arc::clone(&keeper);
        runtime.spawn(async move { calls::serve(listener, &layout, served).await });
        Self { folder, keeper, _runtime: runtime }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cf-node"));
        command.args(arguments).arg("--root").arg(self.root());
        command
    }

    fn wanted(&self) -> usize {
        self.keeper.look().0.wanted().count()
    }

    /// What a caller who writes this is answered.
    fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(calls::path(&Layout::below(self.root()))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // One that has enough ends the connection.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_slurm_calls_is_in_the_book_when_its_program_returns() {
    let login = Login::new();
    let began = Instant::now();
    let resumed = login.run(&["resume", "compute-[1-100]"]);
    assert!(resumed.status.success(), "{}", words(&resumed));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(login.wanted(), 100);
    assert!(fs::read_to_string(login.root().join("var/lib/clusterdrop/scaling.json")).unwrap().contains("compute-100"));
    assert!(login.run(&["suspend", "compute-[1-98]"]).status.success());
    assert!(login.run(&["resume-failed", "compute-99"]).status.success());
    assert_eq!(login.keeper.look().0.wanted().collect::<Vec<_>>(), [NodeName::of_rank(100)]);
}

#[test]
fn a_call_that_is_none_is_refused_with_its_reason_and_changes_nothing() {
    let login = Login::new();
    for (list, reason) in
        [("compute-[1-", "a bracket must be closed"), ("login1", "is no compute node"), ("compute-1;reboot", "is in no host's name")]
    {
        let refused = login.run(&["resume", list]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(words(&refused).contains(reason), "{}", words(&refused));
    }
    assert!(login.ask(br#"{"resume":"compute-[1-"}"#).contains("a bracket must be closed"));
    assert!(login.ask(br#"{"reboot":"compute-1"}"#).contains("no call that this agent knows"));
    login.ask(&vec![b' '; 300_000]);
    assert_eq!(login.ask(br#"{"resume":"compute-1"}"#), r#""done""#, "the agent still answers");
    assert_eq!(login.wanted(), 1);
}

#[test]
fn where_no_agent_answers_the_error_names_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cf-node"));
    let output = command.args(["autoscaling", "status", "--root"]).arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = words(&output);
    assert!(words.contains("does not answer at") && words.contains("systemctl status cf-node"), "{words}");
}

#[test]
fn callers_that_keep_their_connections_do_not_keep_slurm_out_for_long() {
    let login = Login::new();
    let path = calls::path(&Layout::below(login.root()));
    let _idle: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let began = Instant::now();
    let mut resumed = login.run(&["resume", "compute-1"]);
    while !resumed.status.success() {
        assert!(began.elapsed() < Duration::from_mins(1), "{}", words(&resumed));
        resumed = login.run(&["resume", "compute-1"]);
    }
    assert_eq!(login.wanted(), 1);
}

#[test]
fn c11_root_switches_autoscaling_and_it_is_remembered() {
    let login = Login::new();
    let said = |arguments: &[&str]| String::from_utf8(login.run(arguments).stdout).unwrap();
    assert_eq!(said(&["autoscaling", "status"]), "autoscaling is enabled; 0 of 100 nodes are wanted\n");
    assert!(said(&["autoscaling", "disable"]).starts_with("autoscaling is disabled since 20"));
    assert!(login.keeper.look().1.frozen);
    let (again, errors) = Keeper::open(&Layout::below(login.root()), login.keeper.look().1, Timestamp::now);
    assert!(errors.is_empty() && again.look().1.frozen, "it outlives the agent");
    assert!(said(&["autoscaling", "status"]).contains("until `cf-node autoscaling enable`"));
    assert_eq!(said(&["autoscaling", "enable"]), "autoscaling is enabled; 0 of 100 nodes are wanted\n");
    assert!(!login.keeper.look().1.frozen);
}

#[test]
fn slurm_may_call_and_not_switch_and_nobody_else_reaches_the_agent() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can be other users: nothing is tested");
        return;
    }
    let login = Login::new();
    let as_user = |user: u32, group: u32, arguments: &[&str]| login.command(arguments).uid(user).gid(group).output().unwrap();
    // The socket is given to slurm a moment after it is there.
    let began = Instant::now();
    while !as_user(SLURM, SLURM, &["resume", "compute-1"]).status.success() {
        assert!(began.elapsed() < Duration::from_secs(20), "slurm is never let in");
    }
    assert_eq!(login.wanted(), 1);
    let switched = as_user(SLURM, SLURM, &["autoscaling", "disable"]);
    assert!(words(&switched).contains("only root switches autoscaling"), "{}", words(&switched));
    assert!(as_user(SLURM, SLURM, &["autoscaling", "status"]).status.success());
    // Outside the group the folder is closed; inside it the kernel names the caller.
    let outside = as_user(STRANGER, STRANGER, &["resume", "compute-2"]);
    assert!(words(&outside).contains("Permission denied"), "{}", words(&outside));
    let inside = as_user(STRANGER, SLURM, &["resume", "compute-2"]);
    assert!(words(&inside).contains("only root and slurm may call the agent"), "{}", words(&inside));
    assert_eq!((login.wanted(), login.keeper.look().1.frozen), (1, false));
}
