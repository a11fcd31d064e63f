//! What a service's job runs on its node, `cf-node service run`, as a real process. Slurm's programs are stand-ins: they note how they
//! are called, and `squeue` answers the state that a test has written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use cf_slurm::service::{Note, Target};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// Longer than anything here takes.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// `cf-node service run` in a job.
struct Bed {
    folder: TempDir,
}

impl Bed {
    fn new() -> Self {
        let bed = Self { folder: tempfile::tempdir().unwrap() };
        bed.set_state(&["RUNNING"], 0);
        let here = bed.folder.path().display();
        bed.program("squeue", &format!("cat {here}/queue"));
        bed.program("scontrol", &format!("printf '%s\\n' \"$*\" >>{here}/calls; case $* in *nodes*) cat {here}/nodes ;; esac"));
        fs::write(bed.at("calls"), "").unwrap();
        bed.set_nodes(&["compute-1", "compute-2"]);
        bed
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn program(&self, name: &str, body: &str) {
        fs::write(self.at(name), format!("#!/bin/bash\n{body}\n")).unwrap();
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What squeue answers: job 12, which has failed so often already.
    fn set_state(&self, states: &[&str], failures: u32) {
        let note = Note { failures, ..Note::new(Target::Any, &["/bin/x".to_owned()]) };
        let job = serde_json::json!({"job_id": 12, "job_state": states, "name": "service:space", "comment": note.to_string(),
            "nodes": "compute-1", "state_reason": "None", "restart_cnt": 2});
        // Whole at any time.
        fs::write(self.at("draft"), serde_json::json!({"jobs": [job], "errors": []}).to_string()).unwrap();
        fs::rename(self.at("draft"), self.at("queue")).unwrap();
    }

    fn set_nodes(&self, names: &[&str]) {
        let nodes: Vec<_> = names.iter().map(|name| serde_json::json!({"name": name, "state": ["IDLE", "CLOUD"], "reason": ""})).collect();
        fs::write(self.at("nodes"), serde_json::json!({"nodes": nodes, "errors": []}).to_string()).unwrap();
    }

    /// Starts it with a program of the service, a script of bash, and these arguments.
    fn start(&self, body: &str, arguments: &[&str]) -> Run {
        self.program("space", body);
        let cwd = self.path().to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cf-node"));
        command.args(["service", "run", "space", "any", "--cwd", cwd, "--"]).arg(self.at("space")).args(arguments);
        command.env("PATH", format!("{cwd}:/usr/bin:/bin")).env("SECRET", "of the caller");
        command.envs([("SLURM_JOB_ID", "12"), ("SLURM_RESTART_COUNT", "2"), ("SLURMD_NODENAME", "compute-1")]);
        let log = fs::File::create(self.at("log")).unwrap();
        Run(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.at("calls")).unwrap().lines().map(str::to_owned).collect()
    }

    /// The calls that change a job, without what they say of it.
    fn changes(&self) -> Vec<String> {
        let calls = self.calls();
        let changes = calls.iter().filter(|call| !call.contains("nodes"));
        changes.map(|call| call.split('{').next().unwrap_or_default().to_owned()).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap()
    }

    fn until<T>(&self, what: &str, seen: impl Fn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = seen() {
                return found;
            }
            assert!(began.elapsed() < WAIT_MAX, "{what} did not come; calls: {:#?}; log:\n{}", self.calls(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has told Slurm that the program is up.
    fn until_up(&self) {
        self.until("the program that is up", || self.calls().iter().any(|call| call.contains("\"up\":2")).then_some(()));
    }

    /// The process id that the program has written.
    fn pid(&self) -> Pid {
        let read = || fs::read_to_string(self.at("pid")).ok()?.trim().parse().ok().and_then(Pid::from_raw);
        self.until("the process id", read)
    }
}

/// The process; killed where a test fails.
struct Run(Child);

impl Run {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.id().cast_signed()).unwrap(), signal).unwrap();
    }

    fn ended(&mut self, bed: &Bed) -> ExitStatus {
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end; calls: {:#?}; log:\n{}", bed.calls(), bed.log())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Slurm's answer to `requeue`: it ends the job's processes.
const REQUEUES: &str = r"case $* in requeue*) kill -TERM $PPID ;; esac";

fn answer_requeue(bed: &Bed) {
    let calls = bed.at("calls");
    let nodes = bed.at("nodes");
    let body = format!("printf '%s\\n' \"$*\" >>{}; case $* in *nodes*) cat {} ;; esac; {REQUEUES}", calls.display(), nodes.display());
    bed.program("scontrol", &body);
}

#[test]
fn a_program_that_dies_is_queued_again_with_the_reason_and_kept_from_its_node() {
    let bed = Bed::new();
    answer_requeue(&bed);
    let mut run = bed.start("echo $SECRET.$HOME.$PWD >env; exit 3", &[]);
    assert!(run.ended(&bed).success());
    let changes = bed.changes();
    assert!(
        changes
            .ends_with(&["update JobId=12 Comment=", "requeue Incomplete 12", "update JobId=12 ExcNodeList=compute-1"].map(str::to_owned))
    );
    // The first comment may be that its program is up.
    let note = bed.calls().iter().rev().find_map(|call| Note::read(call.split_once("Comment=")?.1)).unwrap();
    assert_eq!((note.failures, note.up, note.last.as_str()), (1, None, "ended with exit code 3 (on compute-1)"));
    let environment = fs::read_to_string(bed.at("env")).unwrap();
    assert!(environment.starts_with("./") && environment.trim().ends_with(bed.path().to_str().unwrap()), "{environment}");
}

#[test]
fn where_no_other_node_takes_jobs_it_may_run_on_this_one_again() {
    let bed = Bed::new();
    answer_requeue(&bed);
    bed.set_nodes(&["compute-1"]);
    assert!(bed.start("exit 3", &[]).ended(&bed).success());
    assert_eq!(bed.changes().last().unwrap(), "update JobId=12 ExcNodeList=");
}

#[test]
fn a_program_that_has_failed_four_times_already_is_held_at_the_fifth() {
    let bed = Bed::new();
    bed.set_state(&["RUNNING"], 4);
    answer_requeue(&bed);
    assert!(bed.start("exit 3", &[]).ended(&bed).success());
    assert!(bed.changes().contains(&"requeuehold Incomplete 12".to_owned()), "{:?}", bed.calls());
}

#[test]
fn a_daemon_is_watched_by_its_file_and_its_end_is_seen_with_its_signal() {
    let bed = Bed::new();
    answer_requeue(&bed);
    // It forks twice, cleans its environment and writes its process id late, as daemons do.
    let daemon =
        r#"setsid bash -c '(sleep 0.3; exec env -i bash -c "echo \$\$ >$1; cp $1 pid; exec sleep 600" x "$1") &' x "${1#--pid=}" &"#;
    let mut run = bed.start(daemon, &["--pid=PIDFILE"]);
    let pid = bed.pid();
    bed.until_up();
    kill_process(pid, Signal::KILL).unwrap();
    assert!(run.ended(&bed).success());
    assert!(bed.calls().iter().any(|call| call.contains("was ended by signal 9 (SIGKILL) (on compute-1)")), "{:?}", bed.calls());
}

#[test]
fn a_program_that_leaves_processes_and_no_file_lives_as_long_as_they() {
    let bed = Bed::new();
    answer_requeue(&bed);
    let mut run = bed.start("(echo $BASHPID >pid; exec sleep 600) & exit 0", &[]);
    let pid = bed.pid();
    bed.until_up();
    assert!(!bed.changes().contains(&"requeue Incomplete 12".to_owned()), "{:?}", bed.calls());
    kill_process(pid, Signal::TERM).unwrap();
    assert!(run.ended(&bed).success());
    assert!(bed.changes().contains(&"requeue Incomplete 12".to_owned()), "{:?}", bed.calls());
}

#[test]
fn e12_when_slurm_ends_the_job_all_processes_end_the_deaf_after_six_seconds_and_nothing_is_queued_again() {
    let bed = Bed::new();
    // The one that hears nothing has no environment, another session and a parent that is gone.
    let deaf = r#"setsid env -i bash -c 'trap "" TERM; echo $$ >pid; while :; do sleep 1; done' & sleep 600"#;
    let mut run = bed.start(deaf, &[]);
    let pid = bed.pid();
    bed.until_up();
    bed.set_state(&["CANCELLED", "COMPLETING"], 0);
    let asked = Instant::now();
    run.signal(Signal::TERM);
    assert!(run.ended(&bed).success());
    let took = asked.elapsed();
    assert!((Duration::from_secs(6)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert!(test_kill_process(pid).is_err(), "a process that hears no SIGTERM is left");
    assert_eq!(bed.changes(), ["update JobId=12 Comment="], "a service that is removed does not come back");
}

#[test]
fn a_program_that_ends_by_slurms_signal_before_the_agent_hears_its_own_is_not_queued_again() {
    let bed = Bed::new();
    let mut run = bed.start("echo $$ >pid; exec sleep 600", &[]);
    let pid = bed.pid();
    bed.until_up();
    bed.set_state(&["CANCELLED", "COMPLETING"], 0);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(run.ended(&bed).success());
    assert_eq!(bed.changes(), ["update JobId=12 Comment="]);
}

#[test]
fn a_signal_that_is_not_slurms_ends_no_service() {
    let bed = Bed::new();
    answer_requeue(&bed);
    let mut run = bed.start("exec sleep 600", &[]);
    bed.until_up();
    run.signal(Signal::TERM);
    assert!(run.ended(&bed).success());
    assert!(bed.changes().contains(&"requeue Incomplete 12".to_owned()), "{:?}", bed.calls());
}

#[test]
fn what_cannot_start_says_why() {
    for (body, cwd, why) in [
        ("#!/bin/sh", "/no/such/folder", "could not be started: the folder /no/such/folder cannot be used"),
        ("#!/bin/sh", "/etc/passwd", "could not be started: /etc/passwd is no folder"),
    ] {
        let bed = Bed::new();
        answer_requeue(&bed);
        bed.program("space", body);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cf-node"));
        command.args(["service", "run", "space", "any", "--cwd", cwd, "--"]).arg(bed.at("space"));
        command.env("PATH", format!("{}:/usr/bin:/bin", bed.path().display())).env("SLURM_JOB_ID", "12");
        let mut run = Run(command.stderr(Stdio::null()).spawn().unwrap());
        run.ended(&bed);
        assert!(bed.calls().iter().any(|call| call.contains(why)), "{why}: {:?}", bed.calls());
    }
    let bare = Command::new(env!("CARGO_BIN_EXE_cf-node")).args(["service", "run", "x", "any", "--cwd", "/", "--", "/bin/true"]).output();
    assert!(String::from_utf8_lossy(&bare.unwrap().stderr).contains("SLURM_JOB_ID is not set"));
}
