//! The exchange on real agents: processes that speak over loopback, real scripts, and one that is killed. Each check of facts F.G
//! that is the exchange's has its test here, by its number.

mod cluster;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cluster::*;

const HOSTS: &str = "[[exchange]]\nname = \"hosts\"\noutputs = [{ name = \"hosts\" }]\n";
const SEEN: &str = "#!/bin/sh\nprintf %s \"$hosts\" > @/seen-$cf_node\n";

#[test]
fn f1_every_node_sees_the_same_map_with_each_file_as_it_was_written() {
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", EXPORT_HOSTS), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1, 2, 3]);
    cluster.ended("complete");
    let expected = r#"{"0": "10.0.0.0 login1\n", "1": "10.0.0.1 compute-1\n", "2": "10.0.0.2 compute-2\n", "3": "10.0.0.3 compute-3\n"}"#;
    for rank in 0..4 {
        assert_eq!(cluster.read(&format!("seen-{}", node(rank))), expected);
    }
}

#[test]
fn f2_no_populate_starts_before_a_slow_export_has_ended() {
    let export = "#!/bin/sh\n[ $deploy_server_id = 1 ] && sleep 1.5\ndate +%s%N > @/exported-$cf_node\necho x > $heat_outputs_path.hosts\n";
    let populate = "#!/bin/sh\ndate +%s%N > @/populated-$cf_node\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", populate)]);
    cluster.run(&[0, 1, 2]);
    cluster.ended("complete");
    let time = |name: String| cluster.read(&name).trim().parse::<u64>().unwrap();
    let last_export = (0..3).map(|rank| time(format!("exported-{}", node(rank)))).max().unwrap();
    let first_populate = (0..3).map(|rank| time(format!("populated-{}", node(rank)))).min().unwrap();
    assert!(last_export < first_populate, "{last_export} {first_populate}");
}

#[test]
fn f3_a_failed_export_ends_the_step_with_node_code_and_errors_and_no_populate() {
    let export = "#!/bin/sh\necho x > $heat_outputs_path.hosts\n[ $deploy_server_id = 2 ] || exit 0\necho no address >&2\nexit 1\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1, 2]);
    let round = cluster.ended("failed");
    assert_eq!(round["reason"], "compute-2: the export script ended with exit code 1; its errors end with: no address");
    assert_eq!(round["export"]["deploy_status_codes"]["2"], 1);
    assert_eq!(round["export"]["deploy_stderrs"]["2"], "no address\n");
    assert_eq!(round["populate"]["deploy_status_codes"], serde_json::json!({}));
    assert!((0..3).all(|rank| !cluster.path(&format!("seen-{}", node(rank))).exists()));
}

#[test]
fn f4_a_node_that_never_answers_is_named_at_the_stated_time() {
    let toml = format!("{HOSTS}timeout-seconds = 3\n");
    let mut cluster = Cluster::new(&toml, &[("export.d/hosts.sh", EXPORT_HOSTS), ("populate.d/hosts.sh", SEEN)]);
    cluster.expect(&[0, 1, 2]);
    let begun = Instant::now();
    cluster.start(0);
    cluster.start(1);
    let round = cluster.ended("failed");
    assert!(begun.elapsed() >= Duration::from_millis(3500), "three seconds, and half a second of grace");
    assert_eq!(
        round["reason"],
        "no result of the export script within 3 s from compute-2 (did not ask for the script; is its agent running?)"
    );
    assert!((0..3).all(|rank| !cluster.path(&format!("seen-{}", node(rank))).exists()));
}

#[test]
fn f5_an_output_that_is_not_written_is_null_or_refused_as_declared() {
    let export = "#!/bin/sh\n[ $deploy_server_id = 1 ] || echo x > $heat_outputs_path.hosts\n";
    let scripts = [("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)];
    let mut cluster = Cluster::new(HOSTS, &scripts);
    cluster.run(&[0, 1]);
    cluster.ended("complete");
    assert_eq!(cluster.read("seen-compute-1"), r#"{"0": "x\n", "1": null}"#);

    let mut strict = Cluster::new(&format!("{HOSTS}missing-output = \"refuse\"\n"), &scripts);
    strict.run(&[0, 1]);
    let reason = strict.ended("failed")["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("compute-1: the export script ended well, but did not write the output hosts"), "{reason}");
    assert!(!strict.path("seen-login1").exists());
}

#[test]
fn f6_an_error_output_fails_the_step_even_with_exit_code_0() {
    let toml = "[[exchange]]\nname = \"hosts\"\noutputs = [{ name = \"hosts\" }, { name = \"trouble\", error = true }]\n";
    let export = "#!/bin/sh\necho x > $heat_outputs_path.hosts\n[ $deploy_server_id = 0 ] || echo no DNS > $heat_outputs_path.trouble\n";
    let mut cluster = Cluster::new(toml, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1]);
    let round = cluster.ended("failed");
    assert_eq!(round["reason"], "compute-1: the export script wrote the error output trouble: no DNS");
    assert!(!cluster.path("seen-login1").exists());
}

#[test]
fn f7_a_result_that_comes_after_the_step_has_ended_is_ignored() {
    let export = "#!/bin/sh\n[ $deploy_server_id = 1 ] && { echo begun > @/begun; while [ ! -e @/go ]; do sleep 0.05; done; }\n[ $deploy_server_id = 0 ] && { while [ ! -e @/begun ]; do sleep 0.05; done; exit 1; }\necho ended > @/ended\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1]);
    let failed = cluster.ended("failed");
    fs::write(cluster.path("go"), "").unwrap();
    // The late node has reported, and its report was acknowledged: it owes none.
    cluster.wait_for("the late report", || {
        let own = &cluster.status(1)["own"][0];
        own["result"]["end"]["code"] == 0 && own["owed"] == false
    });
    assert!(cluster.path("ended").exists());
    assert_eq!(cluster.ended("failed"), failed, "the round is as it was");
}

#[test]
fn f8_a_script_that_a_crash_interrupted_has_failed_and_none_runs_twice() {
    let export = "#!/bin/sh\necho $cf_node >> @/runs\n[ $deploy_server_id = 1 ] && { while [ ! -e @/go ]; do sleep 0.05; done; }\necho x > $heat_outputs_path.hosts\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1]);
    // The one is over and its end recorded, the other runs.
    cluster.wait_for("both exports", || cluster.read("runs").lines().count() == 2);
    cluster.wait_for("the end of one", || cluster.status(0)["own"][0]["result"]["end"]["code"] == 0);
    cluster.kill(1);
    cluster.kill(0);
    cluster.start(0);
    cluster.start(1);
    let round = cluster.ended("failed");
    let reason = round["reason"].as_str().unwrap();
    assert!(reason.starts_with("compute-1: the export script was interrupted by the end of the agent"), "{reason}");
    fs::write(cluster.path("go"), "").unwrap();

    // Not by another round either; nor by another restart.
    cluster.expect(&[0, 1, 2]);
    cluster.start(2);
    cluster.kill(1);
    cluster.start(1);
    cluster.round_where("of three nodes has failed", |round| {
        round["members"].as_array().is_some_and(|members| members.len() == 3) && round["state"] == "failed"
    });
    let runs = cluster.read("runs");
    for rank in [0, 1] {
        assert_eq!(runs.lines().filter(|line| *line == node(rank)).count(), 1, "{runs}");
    }

    // Another configuration is another script.
    let export = export.replace("echo x", "echo y");
    cluster.profile(HOSTS, &[("export.d/hosts.sh", &export), ("populate.d/hosts.sh", SEEN)]);
    for rank in 0..3 {
        cluster.kill(rank);
    }
    for rank in 0..3 {
        cluster.start(rank);
    }
    cluster.round_where("is complete", |round| round["state"] == "complete");
    assert_eq!(cluster.read("seen-compute-1"), r#"{"0": "y\n", "1": "y\n", "2": "y\n"}"#);
}

#[test]
fn f8_a_finished_step_is_not_run_again_by_a_restart_of_all_agents() {
    let export = "#!/bin/sh\necho export $cf_node >> @/runs\n";
    let populate = "#!/bin/sh\necho populate $cf_node >> @/runs\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", populate)]);
    cluster.run(&[0, 1]);
    cluster.ended("complete");
    cluster.kill(0);
    cluster.kill(1);
    cluster.start(0);
    cluster.start(1);
    // A third node opens a round, after which all have had the chance to run something again.
    cluster.expect(&[0, 1, 2]);
    cluster.start(2);
    cluster.round_where("of three nodes is complete", |round| {
        round["members"].as_array().is_some_and(|members| members.len() == 3) && round["state"] == "complete"
    });
    let runs = cluster.read("runs");
    let count = |line: &str| runs.lines().filter(|found| *found == line).count();
    assert_eq!((count("export login1"), count("export compute-1"), count("export compute-2")), (1, 1, 1), "{runs}");
    assert_eq!(
        (count("populate login1"), count("populate compute-1"), count("populate compute-2")),
        (2, 2, 1),
        "once for each map: {runs}"
    );
}

#[test]
fn f9_maps_and_lists_are_json_scalars_plain_text_and_undeclared_inputs_are_passed() {
    let toml = format!("{HOSTS}inputs = {{ ports = [80, 443], site = {{ name = \"a b\" }}, domain = \"example.org\", count = 3 }}\n");
    let export = "#!/bin/sh\nprintf '%s|%s|%s|%s|%s|%s|%s' \"$ports\" \"$site\" \"$domain\" \"$count\" \"$extra\" \"$list\" \"$deploy_action\" > @/inputs\n";
    let mut cluster = Cluster::new(&toml, &[("export.d/hosts.sh", export)]);
    cluster.options = ["--input", "extra=as it is", "--input", "list=[1]", "--input", "count=4"].map(str::to_owned).to_vec();
    cluster.run(&[0]);
    cluster.ended("complete");
    assert_eq!(cluster.read("inputs"), r#"[80,443]|{"name":"a b"}|example.org|4|as it is|[1]|CREATE"#);
}

#[test]
fn f10_a_step_without_signal_is_complete_at_once_and_its_outputs_are_unavailable() {
    let toml = format!("{HOSTS}signal = \"none\"\n");
    let export = "#!/bin/sh\nwhile [ ! -e @/go ]; do sleep 0.05; done\necho x > $heat_outputs_path.hosts\n";
    let mut cluster = Cluster::new(&toml, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1]);
    let round = cluster.ended("complete");
    assert_eq!(round["export"]["deploy_status_codes"], serde_json::json!({}), "no result is known");
    fs::write(cluster.path("go"), "").unwrap();
    let null = r#"{"0": null, "1": null}"#;
    cluster.wait_for("populates", || cluster.read("seen-login1") == null && cluster.read("seen-compute-1") == null);
    assert_eq!(cluster.status(0)["steps"][0]["outputs"]["hosts"], serde_json::json!({"0": null, "1": null}));
}

#[test]
fn f11_outputs_printed_text_and_codes_of_each_node_can_be_read() {
    let export = "#!/bin/sh\necho out $cf_node\necho err $cf_node >&2\necho x$deploy_server_id > $heat_outputs_path.hosts\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", "#!/bin/sh\necho got it\n")]);
    cluster.run(&[0, 1]);
    let round = cluster.ended("complete");
    assert_eq!(round["export"]["deploy_status_codes"], serde_json::json!({"0": 0, "1": 0}));
    assert_eq!(round["export"]["deploy_stdouts"], serde_json::json!({"0": "out login1\n", "1": "out compute-1\n"}));
    assert_eq!(round["export"]["deploy_stderrs"], serde_json::json!({"0": "err login1\n", "1": "err compute-1\n"}));
    assert_eq!(round["populate"]["deploy_stdouts"], serde_json::json!({"0": "got it\n", "1": "got it\n"}));
    assert_eq!(cluster.status(0)["steps"][0]["outputs"]["hosts"], serde_json::json!({"0": "x0\n", "1": "x1\n"}));
    let text =
        Command::new(env!("CARGO_BIN_EXE_cf-node")).args(["exchange", "status", "--root"]).arg(cluster.path("login1")).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("step site/hosts: complete, round 1, 2 nodes\n  login1         export 0    populate 0\n"), "{text}");
}

#[test]
fn f12_growth_from_two_to_three_lists_three_on_all_nodes_and_no_line_twice() {
    let toml = format!("{HOSTS}inputs = {{ table = \"@/hosts-NODE\" }}\n");
    let mut cluster = Cluster::new("", &[]);
    let toml = toml.replace('@', &cluster.folder.path().display().to_string());
    cluster.profile(&toml, &[("export.d/hosts.sh", EXPORT_HOSTS), ("populate.d/hosts.py", POPULATE_HOSTS)]);
    cluster.run(&[0, 1]);
    cluster.ended("complete");
    assert_eq!(cluster.read("hosts-compute-1").lines().count(), 5);
    cluster.expect(&[0, 1, 2]);
    cluster.start(2);
    cluster.round_where("of three nodes is complete", |round| {
        round["members"].as_array().is_some_and(|members| members.len() == 3) && round["state"] == "complete"
    });
    let expected = "127.0.0.1 localhost\n# exchange begin\n10.0.0.0 login1\n10.0.0.1 compute-1\n10.0.0.2 compute-2\n# exchange end\n";
    for rank in 0..3 {
        assert_eq!(cluster.read(&format!("hosts-{}", node(rank))), expected);
    }
}

#[test]
fn a_node_with_another_key_takes_no_part() {
    let toml = format!("{HOSTS}timeout-seconds = 1\n");
    let mut cluster = Cluster::new(&toml, &[("export.d/hosts.sh", EXPORT_HOSTS), ("populate.d/hosts.sh", SEEN)]);
    cluster.expect(&[0, 1]);
    cluster.start(0);
    cluster.wait_for("the coordinator", || cluster.path("login1/var/lib/clusterdrop/exchange/coordinator.json").exists());
    fs::write(cluster.path("key"), [8; 32]).unwrap();
    cluster.start(1);
    let reason = cluster.ended("failed")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("compute-1 (did not ask"), "{reason}");
}

#[test]
fn mistakes_in_a_profile_are_told_and_nothing_runs() {
    let mut cluster = Cluster::new("[[exchange]]\nname = \"hosts\"\nouputs = []\n", &[("export.d/hosts.sh", EXPORT_HOSTS)]);
    cluster.run(&[0]);
    cluster.wait_for("the mistake", || {
        cluster.status(0)["mistakes"][0]
            .as_str()
            .is_some_and(|text| text.starts_with("profile site, exchange step \"hosts\": unknown field `ouputs`"))
    });
    assert_eq!(cluster.status(0)["steps"], serde_json::json!([]));
}

#[test]
fn a_replaced_machine_exports_anew() {
    let export = "#!/bin/sh\n[ -e @/second ] && [ $deploy_server_id = 1 ] && echo new > $heat_outputs_path.hosts || echo old > $heat_outputs_path.hosts\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1]);
    cluster.ended("complete");
    cluster.kill(1);
    fs::write(cluster.path("second"), "").unwrap();
    fs::remove_dir_all(cluster.path("compute-1")).unwrap();
    cluster.start(1);
    cluster.wait_for("the new map", || cluster.read("seen-login1") == r#"{"0": "old\n", "1": "new\n"}"#);
    assert!(Path::new(&cluster.path("seen-compute-1")).exists());
}

#[test]
fn a_machine_that_gets_its_name_back_takes_part_again_with_what_it_has_exported() {
    let export =
        "#!/bin/sh\necho run >> @/exports; [ -e @/second ] && echo new > $heat_outputs_path.hosts || echo old > $heat_outputs_path.hosts\n";
    let mut cluster = Cluster::new(HOSTS, &[("export.d/hosts.sh", export), ("populate.d/hosts.sh", SEEN)]);
    cluster.run(&[0, 1]);
    cluster.ended("complete");
    fs::write(cluster.path("second"), "").unwrap();
    cluster.kill(1);
    fs::rename(cluster.path("compute-1"), cluster.path("first-machine")).unwrap();
    cluster.start(1);
    cluster.wait_for("the other machine's map", || cluster.read("seen-login1") == r#"{"0": "old\n", "1": "new\n"}"#);
    cluster.kill(1);
    fs::remove_dir_all(cluster.path("compute-1")).unwrap();
    fs::rename(cluster.path("first-machine"), cluster.path("compute-1")).unwrap();
    cluster.start(1);
    cluster.wait_for("the first machine's map", || cluster.read("seen-login1") == r#"{"0": "old\n", "1": "old\n"}"#);
    cluster.ended("complete");
    assert_eq!(cluster.read("exports").lines().count(), 3, "two machines, and one that took a name");
}
