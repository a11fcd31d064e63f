//! What bad scripts, full disks and jumping clocks do, and what a profile says of failures.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use cf_node::event::{Event, Occasion};
use cf_node::hooks::Facts;
use cf_node::node::Layout;
use cf_node::run::Outcome;
use tokio::time::{sleep, timeout};

use super::bed::*;

#[tokio::test]
async fn a_script_with_any_name_runs_and_one_without_a_first_line_runs_in_the_shell() {
    let node = Node::new();
    let content = format!("echo ran >> {}", node.out().display());
    let long = "x".repeat(255);
    for name in ["with spaces", "new\nline", "-n", "*", "é", &long] {
        node.script(name, &content);
    }
    node.file(Path::new("01-mine/configure.d").join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), &content);
    let report = node.configure().await;
    assert_eq!(node.written(), "ran\n".repeat(7));
    assert!(report.failures().next().is_none());
    let names: Vec<&str> = report.scripts.iter().map(|script| script.script.as_str()).collect();
    assert_eq!(names[..4], ["*", "-n", "new\\u{a}line", "with spaces"]);
    assert!(node.log_has("script mine/new\\u{a}line ended with exit code 0"));
}

#[tokio::test]
async fn a_script_from_windows_runs_as_if_it_were_none_and_a_note_tells_it() {
    let node = Node::new();
    let out = node.out().display().to_string();
    let path = node.script("10", &format!("\u{feff}#!/bin/bash\r\nif true; then\r\n  echo \"$1\" >> {out}\r\nfi\r\n"));
    node.script("20.py", &format!("#!/usr/bin/env python3\r\nif True:\r\n    print('py', file=open('{out}', 'a'))\r\n"));
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &OK), ("20.py", &OK)]);
    assert_eq!(node.written(), "configure\npy\n");
    let notes = [
        "it begins with a byte order mark (BOM): run as if it had none",
        "4 of its lines end as on Windows (CRLF): run as if they did not",
    ];
    assert_eq!(report.scripts[0].notes, notes);
    assert!(node.log_has(&format!("script mine/10: {}", notes[0])));
    assert!(!fs::read(path).unwrap().contains(&b'\r'));
}

#[tokio::test]
async fn what_cannot_be_started_is_told_with_the_reason_and_the_next_one_runs() {
    let node = Node::new();
    node.script("10", "#!/usr/bin/no-such-thing -x\n");
    node.script("20", "MZ\0\u{1}\u{2}\u{3}");
    fs::write(node.script("30", ""), b"\xff\xfee\0c\0h\0o\0").unwrap();
    node.script("40", "true");
    let report = node.configure().await;
    let reason = |text: &str| Outcome::NotStarted(text.into());
    assert_eq!(
        outcomes(&report),
        [
            ("10", &reason("its first line asks for /usr/bin/no-such-thing, which is not there or cannot run on this machine")),
            ("20", &reason("it is neither a text nor a program for this machine")),
            ("30", &reason("it is written in UTF-16, which nothing here can run; save it as UTF-8")),
            ("40", &OK),
        ]
    );
}

#[tokio::test]
async fn a_script_that_never_ends_ends_at_its_limit_with_all_that_it_sent_away() {
    let node = Node::new();
    node.file("01-mine/profile.toml", "limit-seconds = 2");
    let out = node.out().display().to_string();
    // One in the group, one in a session of its own, and one that has cleaned its environment too.
    let fork = format!("sleep 1000 & echo $! >> {out}; setsid sleep 1000 & echo $! >> {out}; env -i setsid sleep 1000 & echo $! >> {out}");
    // One whose parent is gone: only its environment tells whose it is.
    let away = format!("(setsid sh -c 'echo $$ >> {out}; exec sleep 1000' &)");
    node.script("10", &format!("trap '' TERM\n{fork}\n{away}\necho waiting\nwhile :; do sleep 0.05; done"));
    node.script("20", "true");
    let started = Instant::now();
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &Outcome::TimedOut(2)), ("20", &OK)]);
    assert_eq!(report.scripts[0].last_lines, ["waiting"]);
    assert!(started.elapsed() >= Duration::from_millis(2_500), "the grace is given");
    assert_eq!(node.written().lines().count(), 4);
    for pid in node.written().lines() {
        wait_until("a process that the script started ends", || !lives(pid)).await;
    }
    assert!(node.log_has("script mine/10: 3 of its background processes were killed with it"), "{:#?}", node.log());
}

#[tokio::test]
async fn a_chain_of_processes_that_each_start_the_next_in_another_session_ends_with_the_script() {
    let node = Node::new();
    node.file("01-mine/profile.toml", "limit-seconds = 2");
    let out = node.out().display().to_string();
    let next = format!("echo $$ >> {out}; sleep 0.01; setsid \"$0\" again &");
    node.script("10", &format!("#!/bin/sh\nif [ \"$1\" = again ]; then {next} exit; fi\nsetsid \"$0\" again & sleep 1000\n"));
    assert_eq!(outcomes(&node.configure().await), [("10", &Outcome::TimedOut(2))]);
    let last = node.written();
    assert!(!last.is_empty());
    // A living chain writes every few milliseconds.
    sleep(Duration::from_millis(200)).await;
    assert_eq!(node.written(), last);
}

#[tokio::test]
async fn a_script_of_1_gb_runs_as_it_is() {
    let node = Node::new();
    let path = node.script("10", "#!/bin/sh\necho started\nexit 7\n");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &Outcome::Exit(7))]);
    assert_eq!(fs::metadata(path).unwrap().len(), 1 << 30);
}

#[tokio::test]
async fn a_script_that_obeys_sigterm_is_not_waited_for_longer() {
    let mut node = Node::new();
    node.hooks = node.hooks.with(bounds(2 * PATIENCE), "/root".into());
    node.file("01-mine/profile.toml", "limit-seconds = 1");
    node.script("10", &format!("trap 'echo cleaned up >> {}; exit 0' TERM\nwhile :; do sleep 0.05; done", node.out().display()));
    let started = Instant::now();
    assert_eq!(outcomes(&node.configure().await), [("10", &Outcome::TimedOut(1))]);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    assert_eq!(node.written(), "cleaned up\n");
}

#[tokio::test]
async fn a_background_process_outlives_its_script_and_its_later_lines_are_in_the_log() {
    let node = Node::new();
    let flag = node.folder.path().join("flag");
    let out = node.out().display().to_string();
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", flag.display());
    node.script("10", &format!("({wait}; echo later; sleep 1000) & echo $! > {out}\nprintf 'begun'"));
    let report = timeout(PATIENCE, node.configure()).await.unwrap();
    assert_eq!(outcomes(&report), [("10", &OK)]);
    assert!(node.log_has("begun") && !node.log_has("later"), "{:#?}", node.log());
    fs::write(flag, "").unwrap();
    wait_until("the line is in the log", || node.log_has("later")).await;
    let pid = node.written().trim().to_owned();
    assert!(lives(&pid));
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap(), rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_script_that_kills_its_process_group_is_ended_by_that_signal_and_the_next_one_runs() {
    let node = Node::new();
    node.script("10", "echo last words; sleep 0.05; kill -9 0; sleep 100");
    node.script("20", "kill -TERM 0; sleep 100");
    node.script("30", "true");
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &Outcome::Signal(9)), ("20", &Outcome::Signal(15)), ("30", &OK)]);
    assert_eq!(report.scripts[0].last_lines, ["last words"]);
    assert!(node.log_has("script mine/10 was ended by signal 9 (SIGKILL)"));
}

#[tokio::test]
async fn a_flood_of_100_mb_neither_blocks_its_script_nor_fills_the_log() {
    let node = Node::new();
    node.script("10", "yes 0123456789 | head -c 100000000\necho the end >&2\nexit 1");
    node.script("20", "head -c 20000000 /dev/zero");
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &Outcome::Exit(1)), ("20", &OK)]);
    assert!(report.scripts[0].last_lines.iter().any(|line| line == "the end"), "{:?}", report.scripts[0].last_lines);
    assert_eq!(report.scripts[0].last_lines.len(), 10);
    let log = fs::metadata(node.layout.instance_log()).unwrap().len();
    assert!((700_000..1_100_000).contains(&log), "{log}");
    let told = node.log().iter().filter(|line| line.ends_with(" 0123456789")).count();
    // 100,000,000 bytes are 9,090,909 lines and a piece of one.
    let left_out = 9_090_910 + 1 - told;
    assert!(node.log_has(&format!("{left_out} more lines are left out: a script has 1048576 bytes of the log")), "{left_out}");
}

#[tokio::test]
async fn a_full_disk_loses_lines_of_the_log_and_nothing_else() {
    let node = Node::with_log(tempfile::tempdir().unwrap(), Path::new("/dev/full"), 1);
    node.script("10", &format!("echo lost\necho kept >> {}\nexit 3", node.out().display()));
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &Outcome::Exit(3))]);
    assert_eq!(report.scripts[0].last_lines, ["lost"]);
    assert_eq!(node.written(), "kept\n");
}

#[tokio::test]
async fn a_clock_that_jumps_neither_shortens_nor_lengthens_a_limit() {
    for day in [86_400, -86_400] {
        let folder = tempfile::tempdir().unwrap();
        let log = Layout::below(folder.path()).instance_log();
        let node = Node::with_log(folder, &log, day);
        node.file("01-mine/profile.toml", "limit-seconds = 1");
        node.script("10", "echo a; sleep 0.2; echo b");
        node.script("20", "echo c; exec sleep 1000");
        assert_eq!(outcomes(&node.configure().await), [("10", &OK), ("20", &Outcome::TimedOut(1))]);
    }
}

#[tokio::test]
async fn on_error_stop_stops_its_own_profile_and_fail_the_node_marks_the_node_too() {
    for (on_error, failed) in [("stop", false), ("fail-the-node", true)] {
        let node = Node::new();
        node.file("01-mine/profile.toml", format!("on-error = \"{on_error}\""));
        node.script("10", "true");
        node.script("20", "false");
        node.script("30", "true");
        node.file("02-other/configure.d/40", "true");
        let report = node.configure().await;
        let not_run = Outcome::NotRun(format!("20 failed, and on-error is \"{on_error}\""));
        assert_eq!(outcomes(&report), [("10", &OK), ("20", &Outcome::Exit(1)), ("30", &not_run), ("40", &OK)]);
        assert_eq!(report.node_failed, failed);
        assert!(node.log_has(&format!("script mine/30 is not run: 20 failed, and on-error is \"{on_error}\"")));
    }
}

#[tokio::test]
async fn the_scripts_of_a_boot_share_its_time_and_have_none_after_it() {
    let node = Node::new();
    node.script("10", "exec sleep 1000");
    node.script("20", "true");
    let deadline = Instant::now() + Duration::from_millis(2_900);
    let occasion = Occasion::Stage(Event::Configure);
    let report = timeout(PATIENCE, node.hooks.run(&occasion, &node.facts, Some(deadline))).await.unwrap();
    let not_run = Outcome::NotRun("no time is left: the scripts of a boot share theirs".into());
    assert!(matches!(report.scripts[0].outcome, Outcome::TimedOut(1 | 2)), "{report:?}");
    assert_eq!(report.scripts[1].outcome, not_run);
}

#[tokio::test]
async fn a_broken_profile_toml_is_a_problem_of_the_report_and_the_defaults_hold() {
    let node = Node::new();
    node.file("01-mine/profile.toml", "# mine\non-error = \"never\"\n");
    node.script("10", "exit 1");
    node.script("20", "true");
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &Outcome::Exit(1)), ("20", &OK)]);
    assert_eq!(report.problems.len(), 1);
    assert!(
        report.problems[0].starts_with("profile mine: profile.toml, line 2, column 12: on-error is \"never\""),
        "{:?}",
        report.problems
    );
    assert!(node.log_has(&report.problems[0]));
}

#[tokio::test]
async fn a_node_without_profiles_says_that_there_are_no_scripts() {
    let node = Node::new();
    let report = node.run(Occasion::Stage(Event::Configure)).await;
    assert!(report.scripts.is_empty() && report.problems.is_empty());
    assert_eq!(node.log(), ["[cluster-customizer:configure] no scripts"]);
    node.file("01-once/profile.toml", "when = \"first-boot\"");
    node.file("01-once/configure.d/10", "true");
    let facts = Facts { first_boot: false, ..node.facts.clone() };
    let report = node.hooks.run(&Occasion::Stage(Event::Configure), &facts, None).await;
    assert!(report.scripts.is_empty());
    assert!(node.log_has("profile once is left out: its scripts run at the first boot only"), "{:#?}", node.log());
}

#[tokio::test]
async fn events_run_one_after_another() {
    let node = Node::new();
    let out = node.out().display().to_string();
    for event in ["configure", "member-join"] {
        node.file(format!("01-mine/{event}.d/10"), format!("echo begin $1 >> {out}; sleep 0.3; echo end $1 >> {out}"));
    }
    let member = Occasion::Member { event: Event::MemberJoin, file: Path::new("/dev/null"), name: "compute-1", ip: "10.0.0.7" };
    tokio::join!(node.configure(), node.run(member));
    assert_eq!(node.written(), "begin configure\nend configure\nbegin member-join\nend member-join\n");
}

#[tokio::test]
async fn a_script_that_nobody_waits_for_any_more_ends() {
    let node = Node::new();
    let out = node.out().display().to_string();
    node.script(
        "10",
        &format!("setsid sleep 1000 & echo $! >> {out}; env -i setsid sleep 1000 & echo $! >> {out}; echo $$ >> {out}; wait"),
    );
    let occasion = Occasion::Stage(Event::Configure);
    tokio::select! {
        _ = node.hooks.run(&occasion, &node.facts, None) => panic!("the script never ends by itself"),
        () = wait_until("the script runs", || node.written().lines().count() == 3) => {}
    }
    for pid in node.written().lines() {
        wait_until("the process ends", || !lives(pid)).await;
    }
}
