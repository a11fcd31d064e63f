//! What is asked, the job that follows, its note, and how it is shown.

use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::scaling::{NodeFacts, Power};
use crate::view::services;

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn check(name: &str, target: &str, cwd: &str, command: &[String]) -> Result<Ask, Vec<Refusal>> {
    Ask::check(&Wish { name, target, cwd, log: "/home/alice/100%.log", command, cpus: 1, memory_mib: 1024 })
}

fn asked(command: &[String]) -> Ask {
    check("redis", "any", "/home/alice", command).unwrap()
}

#[test]
fn e9_a_relative_program_an_empty_command_and_all_else_that_is_wrong_are_refused_together() {
    let refused = |name: &str, target: &str, cwd: &str, command: &str| {
        let broken = check(name, target, cwd, &words(command)).unwrap_err();
        broken.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(refused("redis", "any", "/", ""), ["no command is given: write the program and its arguments after --"]);
    let relative = refused("redis", "any", "/", "bin/space --x");
    assert_eq!(relative, ["the program \"bin/space\" is no absolute path: write it with all its folders, such as /usr/bin/redis-server"]);
    let all = refused("1", "compute-0", "data", "space");
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all[0].starts_with("\"1\" is no name of a service: a letter, then at most 63"), "{all:?}");
    assert!(all[1].starts_with("\"compute-0\" is no place for a service: write any, or a compute node"), "{all:?}");
    assert!(refused("redis", "login1", "/", "/bin/true")[0].starts_with("login1 runs no jobs"));
    assert!(matches!(check("a", "any", "/", &[String::new()]).unwrap_err()[..], [Refusal::NoCommand]));
    for wish in [0, 1].map(|n| Wish { name: "a", target: "any", cwd: "/", log: "/l", command: &[], cpus: n, memory_mib: 1 - n }) {
        assert_eq!(Ask::check(&wish).unwrap_err(), [Refusal::NoCommand, Refusal::Nothing]);
    }
}

#[test]
fn a_name_has_64_characters_and_a_command_32_kib_at_most() {
    for (name, good) in
        [("a".repeat(64), true), ("a".repeat(65), false), ("a.b_C-9".into(), true), ("a b".into(), false), ("é".into(), false)]
    {
        assert_eq!(name.parse::<ServiceName>().is_ok(), good, "{name}");
    }
    let long = |bytes: usize| check("a", "any", "/", &["/bin/x".to_owned(), "y".repeat(bytes - 6)]);
    assert!(long(32 * 1024).is_ok());
    assert_eq!(long(32 * 1024 + 1).unwrap_err(), [Refusal::Long(32 * 1024 + 1)]);
}

#[test]
fn a_service_is_a_job_that_is_requeued_has_no_limit_and_nothing_of_its_callers_environment() {
    let sbatch = check("redis", "compute-2", "/data", &words("/usr/bin/redis-server --port 7000")).unwrap().sbatch();
    let comment = r#"--comment={"clusterdrop":1,"target":"compute-2","command":"/usr/bin/redis-server --port 7000","failures":0}"#;
    for word in ["--job-name=service:redis", "--requeue", "--time=UNLIMITED", "--export=NIL", "--open-mode=append", "--mem=1024M", comment]
    {
        assert!(sbatch.iter().any(|other| other == word), "{word}: {sbatch:?}");
    }
    assert!(sbatch.contains(&"--nodelist=compute-2".to_owned()));
    assert!(sbatch.contains(&"--output=/home/alice/100%%.log".to_owned()), "a % is Slurm's in names of files");
    assert!(!asked(&words("/bin/a")).sbatch().iter().any(|word| word.starts_with("--nodelist")));
}

/// What the job's script calls, run by a real shell: `PROGRAM` is replaced with something that prints its arguments.
fn called(ask: &Ask, program: &str) -> String {
    let script = ask.script().replace(PROGRAM, program).replace("scontrol", "echo scontrol");
    let ran = Command::new("/bin/sh").args(["-c", &script]).env("SLURM_JOB_ID", "12").output().unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_jobs_shell_queues_it_again_where_the_agent_itself_died_and_not_where_it_did_its_work() {
    let ask = asked(&words("/bin/a"));
    assert_eq!(called(&ask, "true"), "");
    assert_eq!(called(&ask, "sh -c 'kill -9 $$' x"), "scontrol requeue Incomplete 12\n");
    assert_eq!(called(&ask, "/no/such/program"), "scontrol requeue Incomplete 12\n");
    assert_eq!(called(&ask, "sh -c 'kill -TERM $PPID; exit 1' x"), "", "a job that Slurm ends is not queued again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_shell_hands_on_every_argument_as_it_was_given(arguments in prop::collection::vec("[ -~\n\t'\"$`\\\\é]{0,12}", 0..5)) {
        let command: Vec<String> = std::iter::once("/bin/it's".to_owned()).chain(arguments).collect();
        let shown: String = ["service", "run", "redis", "any", "--cwd", "/home/alice", "--"].map(str::to_owned).into_iter().chain(command.clone())
            .map(|word| format!("[{word}]")).collect();
        prop_assert_eq!(called(&asked(&command), "printf '[%s]'"), shown);
    }

    #[test]
    fn a_comment_is_read_as_it_was_written_and_slurm_takes_its_length(command in prop::collection::vec("\\PC{0,200}", 1..4), why in "\\PC{0,300}") {
        let (note, _) = Note::new(Target::Any, &command).up(3).ended(QUICK, &why);
        let text = note.clone().up(u32::MAX).to_string();
        prop_assert!(text.len() <= 1024 && !text.contains('\n'), "{} bytes", text.len());
        prop_assert_eq!(Note::read(&text), Some(note.up(u32::MAX)));
    }
}

#[test]
fn e8_pidfile_and_fqdn_are_replaced_in_arguments_only_and_nothing_in_what_replaces_them() {
    let command = words("/opt/PIDFILE/FQDN --pid-file=PIDFILE --name=FQDN:FQDN aPIDFILEbFQDN");
    let started = at_start(&command, "/tmp/FQDN/pid", "compute-1");
    assert_eq!(started, words("/opt/PIDFILE/FQDN --pid-file=/tmp/FQDN/pid --name=compute-1:compute-1 a/tmp/FQDN/pidbcompute-1"));
    assert!(uses_pid_file(&command) && !uses_pid_file(&words("/opt/PIDFILE x")) && !uses_pid_file(&[]));
}

#[test]
fn five_quick_ends_in_a_row_hold_a_service_and_a_long_run_counts_anew() {
    let almost = QUICK.saturating_sub(std::time::Duration::from_millis(1));
    let mut note = Note::new(Target::Any, &words("/bin/a")).up(0);
    for run in 1..FAILURES_MAX {
        let (after, next) = note.ended(almost, "ended with exit code 3");
        assert_eq!((next, after.failures, after.up), (Next::Requeue, run, None));
        note = after;
    }
    let (held, next) = note.clone().ended(almost, "ended with exit code 3");
    assert_eq!((next, held.failures, held.last.as_str()), (Next::Hold, FAILURES_MAX, "ended with exit code 3"));
    let (after, next) = note.ended(QUICK, "was ended by signal 9 (SIGKILL)");
    assert_eq!((next, after.failures), (Next::Requeue, 0));
}

#[test]
fn e11_an_any_service_leaves_the_node_on_which_it_died_where_another_takes_jobs() {
    let node =
        |number, reason: Option<&str>| (NodeName::of_rank(number), NodeFacts { power: Power::Off, reason: reason.map(str::to_owned) });
    let (one, two) = (NodeName::of_rank(1), NodeName::of_rank(2));
    let nodes = [node(1, None), node(2, None)].into();
    assert_eq!(excluded(Target::Any, one, &nodes), Some(one));
    assert_eq!(excluded(Target::Node(one), one, &nodes), None, "a named node is not left");
    let other_is_down = [node(1, None), node(2, Some("no capacity"))].into();
    assert_eq!(excluded(Target::Any, one, &other_is_down), None);
    assert_eq!(excluded(Target::Any, two, &[node(2, None)].into()), None, "a cluster of one node");
}

#[test]
fn a_service_is_told_from_other_jobs_and_alive_only_when_this_run_has_come_up() {
    let job = |states: &str, name: &str, comment: &str, restarts: u32| {
        let states: Vec<&str> = states.split('+').collect();
        serde_json::json!({"job_id": 7, "job_state": states, "name": name, "comment": comment, "nodes": "compute-1", "restart_cnt": restarts,
            "standard_output": "/home/alice/x.log", "state_reason": "Resources", "user_name": "alice", "other": {}})
    };
    let read = |job: serde_json::Value| services(serde_json::json!({"jobs": [job], "errors": []}).to_string().as_bytes()).unwrap();
    let note = Note::new(Target::Any, &words("/bin/a"));
    let state = |states, note: &Note, restarts| read(job(states, "service:x", &note.to_string(), restarts))[0].state.clone();
    let up = note.clone().up(2);
    for (states, note, restarts, expected) in [
        ("RUNNING", &up, 2, State::Alive),
        ("RUNNING", &up, 3, State::Starting),
        ("RUNNING", &note, 0, State::Starting),
        ("RUNNING+CONFIGURING+POWER_UP_NODE", &up, 2, State::Starting),
        ("PENDING", &up, 2, State::Waiting("Resources".into())),
        ("PENDING+COMPLETING", &up, 2, State::Waiting("Resources".into())),
        ("PENDING+REQUEUE_HOLD", &up, 2, State::Held),
        ("CANCELLED+COMPLETING", &up, 2, State::Stopping),
        ("SUSPENDED", &up, 2, State::Suspended),
        ("NODE_FAIL", &up, 2, State::Over("NODE_FAIL".into())),
        ("A_NEW_STATE", &up, 2, State::Over("A_NEW_STATE".into())),
    ] {
        assert_eq!(state(states, note, restarts), expected, "{states}");
    }
    let hostile = r#"{"clusterdrop":1,"target":"any","command":"/bin/a \u001b[2Jx\ny","last":"a\u0007b"}"#;
    let shown = read(job("RUNNING", "service:x", hostile, 0)).remove(0);
    assert_eq!((shown.note.command.as_str(), shown.note.last.as_str()), ("/bin/a x y", "a b"), "no terminal's orders");
    assert_eq!(read(job("RUNNING", "service:x", "my own", 0)), []);
    assert_eq!(read(job("RUNNING", "x", &note.to_string(), 0)), []);
    assert_eq!(read(job("RUNNING", "service:../x", &note.to_string(), 0)), []);
}

#[test]
fn a_list_has_an_index_from_0_and_a_detail_says_what_to_do() {
    let service = |name: &str, state, node: &str| Service {
        name: name.parse().unwrap(),
        job: 12,
        owner: "alice".into(),
        note: Note::new(Target::Any, &words("/bin/a --title x;y")),
        state,
        node: node.into(),
        restarts: 4,
        log: "/home/alice/service-a.log".into(),
    };
    let alive = service("redis", State::Alive, "compute-1");
    let mut held = service("a", State::Held, "");
    for _ in 0..FAILURES_MAX {
        held.note = held.note.ended(std::time::Duration::ZERO, "ended with exit code 3").0;
    }
    let held_words = "held: its program ended 5 times within a minute of its start";
    let first = format!("[0]  redis  any  {:width$}  /bin/a --title 'x;y'\n", "running on compute-1", width = held_words.len());
    assert_eq!(table(&[alive.clone(), held.clone()]), format!("{first}[1]  a      any  {held_words}  /bin/a --title 'x;y'\n"));
    assert_eq!(alive.detail(), "redis is running on compute-1 (job 12, restarts: 4).");
    assert_eq!(
        held.detail(),
        "a is held: its program ended 5 times within a minute of its start (job 12, restarts: 4).\n\
         Last failure: its program ended with exit code 3.\n\
         What it printed: /home/alice/service-a.log\n\
         When the cause is removed: scontrol release 12"
    );
    assert_eq!(table(&[]), "");
    let waits = service("b", State::Waiting("ReqNodeNotAvail,_UnavailableNodes:compute-1".into()), "");
    assert!(waits.detail().starts_with("b is waiting: the nodes that it may run on are down or closed; see sinfo -R (ReqNodeNotAvail)"));
}
