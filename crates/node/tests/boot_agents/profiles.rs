//! Which scripts of its profiles an agent runs, when and how.

use crate::boot_bed::{Bed, RAN, executable, wait};
use crate::ready;

#[test]
fn b4_a_script_of_configure_runs_once_a_boot_as_root_on_login_and_compute_nodes() {
    let mut bed = Bed::new();
    bed.script("alice", "configure.d/emacs.sh", &format!("echo \"$(id -u) $*\" >> {RAN}"));
    ready(&mut bed, 1);
    let user = rustix::process::getuid().as_raw();
    assert_eq!(bed.ran(1), [format!("{user} configure master demo")]);
    assert_eq!(bed.ran(2), [format!("{user} configure slave demo")]);
    bed.kill(2);
    bed.boot(2, "boot-1");
    wait("the agent is back", || bed.report("compute-1").filter(|report| report.message.contains("ended unexpectedly")));
    assert_eq!(bed.ran(2).len(), 1, "an agent that starts again in the same boot runs nothing again");
    bed.stop(2);
    bed.boot(2, "boot-2");
    wait("the second run", || (bed.ran(2).len() == 2).then_some(()));
    assert_eq!(bed.ran(1).len(), 1);
}

#[test]
fn b5_initialize_gets_once_on_the_first_boot_and_nothing_later() {
    let mut bed = Bed::new();
    bed.script("alice", "initialize.d/i", &format!("echo \"$# $* $CUSTOMIZER_EVENT\" >> {RAN}"));
    ready(&mut bed, 0);
    bed.stop(1);
    bed.boot(1, "boot-2");
    wait("the second boot", || (bed.ran(1).len() == 2).then_some(()));
    assert_eq!(bed.ran(1), ["1 once initialize", "0  initialize"]);
}

#[test]
fn b6_profiles_run_in_their_declared_order_and_the_users_own_last_and_scripts_by_name() {
    let mut bed = Bed::new();
    bed.site_profiles = vec!["zed".into(), "abc".into()];
    for profile in ["zed", "abc", "alice"] {
        for name in ["2-b", "10-a"] {
            bed.script(profile, &format!("configure.d/{name}"), &format!("echo {profile} {name} >> {RAN}"));
        }
    }
    ready(&mut bed, 0);
    assert_eq!(bed.ran(1), ["zed 10-a", "zed 2-b", "abc 10-a", "abc 2-b", "alice 10-a", "alice 2-b"]);
}

#[test]
fn b7_any_executable_runs_and_a_backup_a_dot_file_and_a_folder_do_not() {
    let mut bed = Bed::new();
    for name in ["no-extension", "shell.sh", "backup~", ".hidden", "folder/inside"] {
        bed.noting("alice", &format!("configure.d/{name}"));
    }
    let python = "#!/usr/bin/env python3\nimport sys\nroot = sys.argv[0].split('/var/lib/clusterdrop/')[0]\nopen(root + '/ran', 'a').write('python\\n')\n";
    bed.put("profiles/customizer/alice/configure.d/python", python);
    let binary = bed.store().join("profiles/customizer/alice/configure.d/binary");
    std::fs::copy("/bin/echo", &binary).unwrap();
    executable(&binary);
    ready(&mut bed, 0);
    let names: Vec<String> = bed.ran(1).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["no-extension", "python", "shell.sh"]);
    assert!(bed.instance_log(1).iter().any(|line| line.ends_with("[cluster-customizer:configure] configure master demo")));
}

#[test]
fn b8_a_script_that_fails_stops_nothing_and_is_seen_with_its_code_and_last_lines() {
    let mut bed = Bed::new();
    bed.script("alice", "configure.d/10-fails", "echo first >&2; echo E: no such package >&2; exit 3");
    bed.noting("alice", "configure.d/20-later");
    bed.noting("alice", "start.d/also");
    ready(&mut bed, 0);
    assert_eq!(bed.ran(1), ["20-later configure master demo", "also start master demo"]);
    let report = bed.report("login1").unwrap();
    let script = &report.scripts[0];
    assert_eq!((script.event.as_str(), script.script.as_str(), script.exit_code), ("configure", "10-fails", Some(3)));
    assert_eq!(script.last_lines, ["first", "E: no such package"]);
    assert_eq!(report.scripts.len(), 1);
}

#[test]
fn b9_each_line_of_output_is_in_the_instance_log_with_its_events_prefix() {
    let mut bed = Bed::new();
    bed.script("alice", "start.d/speaks", "echo to stdout; echo to stderr >&2");
    ready(&mut bed, 0);
    let log = bed.instance_log(1);
    for text in ["to stdout", "to stderr"] {
        assert!(log.iter().any(|line| line.ends_with(&format!(" [cluster-customizer:start] {text}"))), "{log:#?}");
    }
}

#[test]
fn b15_a_script_that_is_gone_from_the_bucket_runs_no_more_after_a_reboot() {
    let mut bed = Bed::new();
    bed.noting("alice", "configure.d/a");
    bed.noting("alice", "configure.d/b");
    ready(&mut bed, 0);
    bed.remove("profiles/customizer/alice/configure.d/a");
    bed.stop(1);
    bed.boot(1, "boot-2");
    wait("the second boot", || (bed.ran(1).len() == 3).then_some(()));
    assert_eq!(bed.ran_with(1, "a ").len(), 1);
}

#[test]
fn b22_a_script_reads_nothing_and_calls_the_agents_commands_by_their_path() {
    let mut bed = Bed::new();
    let (program, root) = (env!("CARGO_BIN_EXE_cf-node"), bed.root(1));
    let lines = format!("read line || echo no input >> {RAN}\n{program} members --root {} >> {RAN} 2>&1", root.display());
    bed.script("alice", "member-join.d/m", &lines);
    ready(&mut bed, 0);
    wait("the members", || bed.ran(1).iter().any(|line| line.starts_with("login1 ")).then_some(()));
    assert_eq!(bed.ran(1)[0], "no input");
}
