//! Tests of a script's environment, its outputs and its end.

use std::sync::Mutex;

use tokio::time::Instant;

use super::*;
use crate::event::{Event, Occasion};
use crate::exchange::declaration::{MissingOutput, Output, Signal};
use crate::exchange::wire::ConfigId;
use crate::hooks::{Facts, Listener};
use crate::node::{Layout, Role};
use crate::run::Stream;

struct Bed {
    folder: tempfile::TempDir,
    step: Step,
    hooks: Arc<Hooks>,
    log: Arc<Log>,
    scratch: PathBuf,
}

/// The log of a node, in memory.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Listener for Log {
    fn note(&self, word: &str, text: &str) {
        self.0.lock().unwrap().push(format!("[{word}] {text}"));
    }

    fn line(&self, word: &str, _script: &str, _stream: Stream, text: &str) {
        self.note(word, text);
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn until(&self, line: &str) {
        let begun = Instant::now();
        while !self.lines().iter().any(|logged| logged.contains(line)) {
            assert!(begun.elapsed() < LONG, "no line {line:?}: {:?}", self.lines());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Bed {
    /// A step of which both scripts are this one.
    fn new(script: &str) -> Self {
        Self::of_bytes(format!("#!/bin/sh\n{script}\n").as_bytes())
    }

    fn of_bytes(script: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path().join("root"));
        let profile = layout.profiles().join("01-site");
        for inner in ["export.d", "configure.d"] {
            std::fs::create_dir_all(profile.join(inner)).unwrap();
        }
        std::fs::create_dir(folder.path().join("scratch")).unwrap();
        std::fs::write(profile.join("export.d/script"), script).unwrap();
        let log = Arc::new(Log::default());
        let hooks = Arc::new(Hooks::new(layout, Arc::clone(&log) as _));
        let output = |name: &str, error| Output { name: name.to_owned(), error };
        let step = Step {
            key: "site/hosts".to_owned(),
            name: "hosts".to_owned(),
            folder: profile,
            export: Some("export.d/script".to_owned()),
            populate: Some("export.d/script".to_owned()),
            inputs: BTreeMap::new(),
            outputs: vec![output("hosts", false), output("trouble", true)],
            signal: Signal::Wait,
            timeout_seconds: 1,
            missing_output: MissingOutput::Null,
            fails_the_node: false,
            config: ConfigId("c".to_owned()),
        };
        Self { scratch: folder.path().join("scratch"), folder, step, hooks, log }
    }

    fn context<'a>(&'a self, phase: Phase, map: Option<&'a ExchangeMap>) -> Context<'a> {
        Context { node: NodeName::LOGIN, cluster: "demo", step: &self.step, phase, map, again: false, scratch: &self.scratch }
    }

    fn config(&self) -> ConfigId {
        crate::exchange::load::config_id(&self.step).unwrap()
    }

    async fn run(&self, phase: Phase, limit: Duration) -> RunResult {
        run_step(&self.hooks, &self.context(phase, None), limit).await
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn scalars_are_plain_text_and_lists_tables_and_outputs_are_json() {
    let mut bed = Bed::new("");
    let inputs = serde_json::json!({"text": "a b\n", "number": 3, "part": 1.5, "yes": true, "list": [1, "x"], "table": {"a": [true]}, "nothing": null});
    bed.step.inputs = inputs.as_object().unwrap().clone().into_iter().collect();
    let map = ExchangeMap([("hosts".to_owned(), [(NodeName::LOGIN, Some("10.0.0.1 a\n".to_owned()))].into())].into());
    let found = environment(&bed.context(Phase::Populate, Some(&map)), Path::new("/run/x/output")).unwrap();
    let of = |name: &str| found.get(name).map(String::as_str);
    assert_eq!((of("text"), of("number"), of("part"), of("yes")), (Some("a b\n"), Some("3"), Some("1.5"), Some("true")));
    assert_eq!((of("list"), of("table"), of("nothing")), (Some(r#"[1,"x"]"#), Some(r#"{"a":[true]}"#), None));
    assert_eq!(of("hosts"), Some(r#"{"0": "10.0.0.1 a\n"}"#));
    assert_eq!((of("heat_outputs_path"), of("cf_outputs_path")), (Some("/run/x/output"), Some("/run/x/output")));
    assert_eq!(
        (of("deploy_action"), of("deploy_resource_name"), of("cf_profile"), of("cf_phase")),
        (Some("CREATE"), Some("hosts"), Some("site"), Some("populate"))
    );
    let again = Context { again: true, ..bed.context(Phase::Export, None) };
    assert_eq!(environment(&again, Path::new("/x")).unwrap()["deploy_action"], "UPDATE");
}

#[test]
fn names_that_are_none_or_the_systems_are_refused() {
    for name in [
        "",
        "a-b",
        "1a",
        "é",
        "a=b",
        "a b",
        "PATH",
        "LD_PRELOAD",
        "PYTHONPATH",
        "BASH_ENV",
        "deploy_action",
        "heat_outputs_path",
        "cf_x",
        "CUSTOMIZER_RUN",
    ] {
        assert!(variable_mistake(name).is_some(), "{name}");
    }
    for name in ["a", "_", "HOSTS", "hosts_2", "path", "LDAP"] {
        assert_eq!(variable_mistake(name), None, "{name}");
    }
    assert!(variable_mistake(&"a".repeat(128)).is_none() && variable_mistake(&"a".repeat(129)).is_some());
}

#[test]
fn a_value_that_no_variable_holds_is_refused_before_the_script_starts() {
    let mut bed = Bed::new("");
    bed.step.inputs.insert("big".to_owned(), "a".repeat(VALUE_BYTES_MAX).into());
    assert!(environment(&bed.context(Phase::Export, None), Path::new("/x")).is_ok());
    bed.step.inputs.insert("big".to_owned(), "a".repeat(VALUE_BYTES_MAX + 1).into());
    assert!(environment(&bed.context(Phase::Export, None), Path::new("/x")).unwrap_err().contains("the variable big has"));
}

#[tokio::test]
async fn the_largest_value_reaches_the_script() {
    let mut bed = Bed::new("printf %s ${#big}");
    bed.step.inputs.insert("big".to_owned(), "a".repeat(VALUE_BYTES_MAX).into());
    assert_eq!(bed.run(Phase::Export, LONG).await.stdout, VALUE_BYTES_MAX.to_string());
}

#[tokio::test]
async fn outputs_are_read_verbatim_and_only_declared_ones() {
    let bed = Bed::new(
        r"printf 'a\n\n' >$heat_outputs_path.hosts; echo x >$cf_outputs_path.other; echo out; echo err >&2; env | grep -c ^CARGO; exit 3",
    );
    let result = bed.run(Phase::Export, LONG).await;
    assert_eq!(result.end, End::Exited { code: 3 });
    assert_eq!(result.outputs, [("hosts".to_owned(), "a\n\n".to_owned())].into());
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n0\n", "err\n"));
    assert_eq!(bed.run(Phase::Populate, LONG).await.outputs, BTreeMap::new(), "a populate has only error outputs");
    assert_eq!(bed.scratch.read_dir().unwrap().count(), 0, "the run's folder is gone");
}

#[tokio::test]
async fn an_output_that_cannot_be_used_is_a_failure_with_its_reason() {
    let max = OUTPUT_BYTES_MAX;
    for (script, reason) in [
        ("ln -s /etc/passwd $heat_outputs_path.hosts".to_owned(), Some("is a link")),
        ("mkdir $heat_outputs_path.hosts".to_owned(), Some("it is no file")),
        ("mkfifo $heat_outputs_path.hosts".to_owned(), Some("it is no file")),
        (r"printf '\377' >$heat_outputs_path.hosts".to_owned(), Some("it is not text")),
        (format!("head -c {} /dev/zero | tr '\\0' a >$heat_outputs_path.hosts", max + 1), Some("has more than 1048576 bytes")),
        (format!("head -c {max} /dev/zero | tr '\\0' a >$heat_outputs_path.hosts"), None),
        (format!("head -c {max} /dev/zero >$heat_outputs_path.hosts"), Some("as JSON")),
    ] {
        let result = Bed::new(&script).run(Phase::Export, LONG).await;
        match (&result.end, reason) {
            (End::BadOutput { why }, Some(reason)) => assert!(why.contains(reason), "{why}"),
            (End::Exited { code: 0 }, None) => {}
            other => panic!("{script}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_script_that_runs_on_is_ended_with_all_its_processes() {
    let bed = Bed::new("sleep 60 & echo $! >&2; echo begun; sleep 60");
    let result = bed.run(Phase::Export, Duration::from_secs(2)).await;
    assert_eq!((result.end, result.stdout.as_str()), (End::TimedOut, "begun\n"));
    let left = format!("/proc/{}/status", result.stderr.trim());
    let ended = || std::fs::read_to_string(&left).map_or(true, |status| status.contains("State:\tZ"));
    for _ in 0..100 {
        if ended() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{left} still runs");
}

#[tokio::test]
async fn floods_signals_and_what_is_left_running_do_no_harm() {
    let flood = Bed::new("head -c 3000000 /dev/zero | tr '\\0' x; printf end").run(Phase::Export, LONG).await;
    assert_eq!(flood.stdout.len(), TEXT_BYTES_MAX);
    assert!(flood.stdout.ends_with("xend"));
    assert_eq!(Bed::new("kill -9 $$").run(Phase::Export, LONG).await.end, End::Killed { signal: 9 });
    let service = Bed::new("setsid sleep 3 & echo ready").run(Phase::Export, LONG).await;
    assert_eq!((service.end, service.stdout.as_str()), (End::Exited { code: 0 }, "ready\n"));
    let mut none = Bed::new("");
    none.step.export = Some("export.d/gone".to_owned());
    assert!(matches!(none.run(Phase::Export, LONG).await.end, End::NotRun { .. }));
}

#[tokio::test]
async fn a_script_of_an_exchange_is_prepared_runs_in_its_profiles_folder_and_is_logged_as_scripts_of_events_are() {
    let script = b"\xef\xbb\xbf#!/bin/sh\r\npwd\r\nenv | grep ^CUSTOMIZER_ | grep -v -e RUN= -e TURN= | sort\r\necho $HOME $LANG >&2\r\n";
    let bed = Bed::of_bytes(script);
    let before = bed.config();
    let result = bed.run(Phase::Export, LONG).await;
    assert_eq!(result.end, End::Exited { code: 0 }, "{}", result.stderr);
    let variables = ["CLUSTER=demo", "EVENT=export", "PROFILE=site", "ROLE=master"].map(|variable| format!("CUSTOMIZER_{variable}\n"));
    assert_eq!(result.stdout, format!("{}\n{}", bed.step.folder.display(), variables.concat()));
    assert_eq!(result.stderr, "/root C.UTF-8\n");
    let lines = bed.log.lines();
    for line in ["begins with a byte order mark", "4 of its lines end as on Windows", "starts and has", "ended with exit code 0"] {
        let said = |logged: &String| logged.starts_with("[export] script site/export.d/script") && logged.contains(line);
        assert!(lines.iter().any(said), "{line}: {lines:?}");
    }
    assert!(lines.contains(&"[export] CUSTOMIZER_EVENT=export".to_owned()), "{lines:?}");
    assert_eq!(bed.config(), before, "what was taken out of the file makes no other configuration");
}

#[tokio::test]
async fn a_script_of_an_exchange_waits_until_those_of_an_event_have_ended() {
    let bed = Bed::new("[ -e ../../../../../configured ] && echo after");
    let event = "touch ../../../../../begun; until [ -e ../../../../../go ]; do sleep 0.01; done; touch ../../../../../configured\n";
    std::fs::write(bed.step.folder.join("configure.d/a"), event).unwrap();
    let facts = Facts { role: Role::Master, cluster: "demo".to_owned(), first_boot: true };
    let hooks = Arc::clone(&bed.hooks);
    let configure = tokio::spawn(async move { Hooks::run(&hooks, &Occasion::Stage(Event::Configure), &facts, None).await });
    bed.log.until("[configure] script site/a starts").await;
    let late = bed.run(Phase::Export, Duration::from_millis(50)).await;
    let why = "other scripts ran on this node until its time was over".to_owned();
    assert_eq!(late.end, End::NotRun { why });
    let waits = bed.run(Phase::Export, LONG);
    tokio::pin!(waits);
    tokio::select! {
        biased;
        result = &mut waits => panic!("two scripts run at once: {result:?}"),
        () = tokio::task::yield_now() => {}
    }
    std::fs::write(bed.folder.path().join("root/go"), "").unwrap();
    assert_eq!(waits.await.stdout, "after\n");
    assert!(configure.await.unwrap().failures().next().is_none());
}
