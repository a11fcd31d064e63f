//! `cf-node try`, as its user sees it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn attempt(&self, arguments: &[&str]) -> (i32, String, String) {
        let output: Output =
            Command::new(env!("CARGO_BIN_EXE_cf-node")).arg("try").args(arguments).current_dir(self.0.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|shown| shown == *line), "{line:?} in:\n{text}");
    }
}

#[test]
fn a_try_shows_the_order_runs_the_scripts_in_a_copy_and_ends_with_what_came_of_each() {
    let home = Home::new();
    let script = home.file("mine/configure.d/20-second.sh", "#!/bin/sh\r\necho \"$*\"; pwd; cat share/data; touch made\r\nexit 3\r\n");
    home.file("mine/configure.d/10-first", "echo oops >&2; echo \"$CUSTOMIZER_PROFILE $0\"");
    home.file("mine/configure.d/notes.txt", "hello");
    home.file("mine/share/data", "from the profile\n");
    let (code, out, _) = home.attempt(&["mine", "configure", "--role", "slave", "--cluster", "blue"]);
    assert_eq!(code, 1);
    has(
        &out,
        &[
            "Profile mine, event configure: 2 scripts would run, in this order",
            "  1. 10-first",
            "  2. 20-second.sh",
            "     notes.txt: a text or data by its name",
            "Arguments: configure slave blue. Time: 900 s each. On error: continue.",
            "10-first     ! oops",
            "20-second.sh | configure slave blue",
            "20-second.sh | from the profile",
            "     warning: 3 of its lines end as on Windows (CRLF): run as if they did not",
            "1 of 2 scripts failed or did not run.",
        ],
    );
    assert!(out.contains("root") && out.contains("What they change elsewhere on this machine stays changed."), "{out}");
    assert!(out.lines().any(|line| line.starts_with("  20-second.sh  ") && line.ends_with(" s  exit code 3")), "{out}");
    assert!(!out.contains('\u{1b}'), "a pipe gets no colours");
    assert!(fs::read_to_string(script).unwrap().contains('\r'), "the user's own file is as it was");
    assert!(!home.0.path().join("mine/made").exists());
    let scratch = out.lines().find_map(|line| line.strip_prefix("20-second.sh | /")).unwrap();
    assert!(!Path::new("/").join(scratch).exists(), "the copy is gone");
}

#[test]
fn all_well_is_status_0_and_member_scripts_get_a_readable_file() {
    let home = Home::new();
    home.file("mine/member-join.d/10", ". \"$4\"; echo \"$1 $5 $6 $cw_MEMBER_ip $cw_MEMBER_role\"");
    home.file("mine/initialize.d/10", "echo \"[$*]\"");
    let (code, out, _) = home.attempt(&["mine", "member-join"]);
    assert_eq!(code, 0, "{out}");
    has(&out, &["10 | member-join compute-1 10.0.0.11 10.0.0.11 slave", "1 script succeeded."]);
    let (code, out, _) = home.attempt(&["mine/", "initialize"]);
    assert_eq!(code, 0, "{out}");
    has(&out, &["10 | [once]"]);
    let (code, out, _) = home.attempt(&["mine", "start"]);
    assert_eq!(code, 0);
    has(&out, &["Nothing to run for start. The profile has initialize.d, member-join.d."]);
}

#[test]
fn a_script_finds_no_terminal_to_ask_on_even_where_the_user_has_one() {
    let home = Home::new();
    home.file("mine/start.d/10", "if read answer < /dev/tty; then echo asked; else echo nobody to ask; fi; exit 4");
    let command = format!("{} try mine start", env!("CARGO_BIN_EXE_cf-node"));
    // `script` makes a terminal.
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).current_dir(home.0.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("nobody to ask") && shown.contains("exit code 4"), "{shown}");
    assert!(shown.contains("\u{1b}[31m"), "a terminal gets colours: {shown}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn ctrl_c_ends_the_script_too() {
    let home = Home::new();
    home.file("mine/start.d/10", "echo $$ > \"$HOME/pid\"; exec sleep 1000");
    let pid = home.0.path().join("pid");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cf-node"));
    let mut attempt = command.args(["try", "mine", "start"]).current_dir(home.0.path()).env("HOME", home.0.path()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let written = loop {
        assert!(Instant::now() < end, "the script starts");
        match fs::read_to_string(&pid) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let us = rustix::process::Pid::from_raw(attempt.id().cast_signed()).unwrap();
    rustix::process::kill_process(us, rustix::process::Signal::INT).unwrap();
    assert_eq!(attempt.wait().unwrap().code(), Some(130));
    let stat = || fs::read_to_string(format!("/proc/{}/stat", written.trim()));
    while stat().is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < end, "the script ends");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn wrong_use_is_status_2_and_says_what_to_name() {
    let home = Home::new();
    home.file("customizer/mine/configure.d/10", "true");
    home.file("customizer/default/start.d/10", "true");
    home.file("customizer/other/x", "true");
    home.file("flat/configure/10", "true");
    for (arguments, told) in [
        (&["customizer/mine", "boot"][..], "there is no such event; the events are initialize, configure, start, node-started, fail"),
        (&["nothing", "start"], "there is no folder nothing; name the folder of a profile"),
        (&["customizer/other/x", "start"], "customizer/other/x is no folder"),
        (
            &["customizer", "start"],
            "customizer is no profile, it holds 2 profiles: default, mine; name one of them, such as customizer/default",
        ),
        (&["customizer/mine/configure.d", "configure"], "customizer/mine/configure.d is the folder of an event; name the profile's"),
        (
            &["flat", "configure"],
            "flat holds no folder of an event, such as configure.d, so it is no profile; call its folder configure configure.d",
        ),
        (&["customizer/mine", "start", "--role", "king"], "the roles are master (the login node) and slave"),
        (&["customizer/mine"], "<EVENT>"),
    ] {
        let (code, out, error) = home.attempt(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {error}");
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}
