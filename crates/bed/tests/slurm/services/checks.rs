//! What a service is given, what is refused, and how it is removed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{PROGRAM, alive, cluster, node_of, service, service_of, starts};

#[test]
fn e8_e10_any_starts_a_node_and_a_daemon_gets_the_real_path_in_its_folder_as_its_user() -> Result<()> {
    let cluster = cluster()?;
    cluster.as_user(&["mkdir", "/home/alice/world"])?;
    assert!(cluster.running().is_empty());
    let began = Instant::now();
    service(&cluster, &format!("add space any --cwd /home/alice/world -- {PROGRAM} daemon --pid-file=PIDFILE --host=FQDN"))?.must(0)?;
    println!("service add: {:.2} s", began.elapsed().as_secs_f64());
    // A tenth of it on a machine that has nothing else to do; other tests run beside this one.
    ensure!(began.elapsed() < Duration::from_secs(5), "service add took {:?}", began.elapsed());
    let node = node_of(&alive(&cluster, "space")?)?;
    println!("service add on an empty cluster to its program's start: {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(cluster.running(), [node.as_str()]);
    let started = starts(&cluster).pop().context("a start")?;
    let pid_file = started.strip_prefix(&format!("alice /home/alice/world {node} --pid-file=")).and_then(|rest| rest.split_once(' '));
    let (pid_file, host) = pid_file.with_context(|| started.clone())?;
    assert_eq!(host, format!("--host={node}"));
    let runs = cluster.on(&node, |node| node.run(&["ps", "-o", "user=,comm=", "-p", node.read(pid_file)?.trim()]))?;
    assert_eq!(runs.split_whitespace().collect::<Vec<_>>(), ["alice", "sleep"]);
    let list = service(&cluster, "list")?.must(0)?;
    assert!(list.starts_with("[0]  space  any  running on "), "{list}");
    Ok(())
}

#[test]
fn e9_what_is_refused_leaves_no_record() -> Result<()> {
    let cluster = cluster()?;
    for (words, why) in [
        ("add space any -- bin/space", "is no absolute path"),
        ("add space any --", "no command is given"),
        ("add space any", "no command is given"),
        ("add 1space any -- /bin/true", "is no name of a service"),
        ("add space login1 -- /bin/true", "login1 runs no jobs"),
        ("add space any --user bob -- /bin/true", "can be added by bob or by root only"),
        ("add space compute-77 -- /bin/true", "Slurm does not take the service space"),
        ("status space", "there is no service space: there is none at all"),
        ("remove space", "there is no service space: there is none at all"),
        ("remove 0", "there is no service 0"),
    ] {
        let said = service(&cluster, words)?.must(1)?;
        ensure!(said.contains(why), "{words}: {said}");
    }
    let of_root = service_of(&cluster, "root", "add space any -- /bin/true")?.must(1)?;
    assert!(of_root.contains("--user NAME"), "{of_root}");
    assert_eq!(service(&cluster, "list")?.must(0)?, "");
    // A second one of the same name.
    service(&cluster, &format!("add space any -- {PROGRAM} stay one"))?.must(0)?;
    let list = service(&cluster, "list")?.must(0)?;
    let twice = service_of(&cluster, "root", &format!("add space any --user bob -- {PROGRAM} stay two"))?.must(1)?;
    assert!(twice.contains("there is a service space already: job"), "{twice}");
    let ids = |list: &str| list.lines().map(|line| line.split_whitespace().next().map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(ids(&service(&cluster, "list")?.must(0)?), ids(&list));
    assert_eq!(cluster.as_user(&["squeue", "--noheader", "--format=%j"])?.trim(), "service:space");
    // Its node starts: nothing is waited for.
    assert_eq!(service(&cluster, "remove space")?.must(0)?, "space is removed.\n");
    Ok(())
}

#[test]
fn of_two_services_of_one_name_that_are_added_at_once_one_is_there() -> Result<()> {
    let cluster = cluster()?;
    let add = |user: &str| -> Result<std::process::Child> {
        let mut command = cluster.login.command("runuser")?;
        command.args(["-u", user, "--", "/opt/clusterdrop/bin/cf-node", "service", "add", "space", "any", "--", "/bin/sleep", "60"]);
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    };
    let mut both = [add("alice")?, add("bob")?];
    let mut ended = both.iter_mut().map(|child| Ok(child.wait()?.code())).collect::<Result<Vec<_>>>()?;
    ended.sort_unstable();
    assert_eq!(ended, [Some(0), Some(1)]);
    assert_eq!(cluster.as_user(&["squeue", "--noheader", "--format=%j"])?.trim(), "service:space");
    Ok(())
}

#[test]
fn e12_a_service_is_asked_to_end_and_killed_six_seconds_later_and_a_dead_one_is_removed_too() -> Result<()> {
    let cluster = cluster()?;
    service(&cluster, &format!("add deaf compute-1 -- {PROGRAM} deaf x"))?.must(0)?;
    service(&cluster, &format!("add space compute-1 -- {PROGRAM} daemon PIDFILE"))?.must(0)?;
    alive(&cluster, "deaf")?;
    alive(&cluster, "space")?;
    let unknown = service(&cluster, "remove spaces")?.must(1)?;
    assert!(unknown.contains("there is no service spaces; there is deaf, space"), "{unknown}");
    let removed = |words: &str| {
        let began = Instant::now();
        service(&cluster, words)?.must(0).map(|text| (text, began.elapsed()))
    };
    // By its index. One that hears SIGTERM ends at once.
    let (text, took) = removed("remove 1")?;
    assert_eq!(text, "space is removed.\n");
    ensure!(took < Duration::from_secs(6), "a service that hears SIGTERM was removed after {took:?}");
    let (text, took) = removed("remove deaf")?;
    assert_eq!(text, "deaf is removed.\n");
    ensure!((Duration::from_secs(6)..Duration::from_secs(20)).contains(&took), "a service that hears no SIGTERM: {took:?}");
    println!("removed, after SIGTERM that it did not hear: {:.1} s", took.as_secs_f64());
    let left = cluster.on("compute-1", |node| node.run(&["ps", "-u", "alice", "-o", "args="])).unwrap_or_default();
    assert_eq!(left, "", "no process stays");
    assert_eq!(service(&cluster, "list")?.must(0)?, "");
    // One whose program has just died, and waits for its next run.
    service(&cluster, &format!("add fails compute-1 -- {PROGRAM} fail x"))?.must(0)?;
    cluster.until("the first end of the program", || {
        let said = service(&cluster, "status fails")?;
        Ok((said.code == 1 && said.text.contains("Last failure: its program ended with exit code 3")).then_some(()))
    })?;
    assert_eq!(removed("remove fails")?.0, "fails is removed.\n");
    assert_eq!(service(&cluster, "list")?.must(0)?, "");
    Ok(())
}

#[test]
fn e13_where_one_cannot_be_removed_the_others_go_and_the_status_is_not_0() -> Result<()> {
    let cluster = cluster()?;
    service(&cluster, &format!("add first any -- {PROGRAM} stay 1"))?.must(0)?;
    service_of(&cluster, "root", "add foreign any --user bob --cwd / -- /bin/sleep 3600")?.must(0)?;
    service(&cluster, &format!("add last any -- {PROGRAM} stay 2"))?.must(0)?;
    for name in ["first", "foreign", "last"] {
        alive(&cluster, name)?;
    }
    let said = service(&cluster, "remove --all")?.must(1)?;
    ensure!(said.contains("first is removed.") && said.contains("last is removed."), "{said}");
    ensure!(said.contains("foreign is not removed: scancel"), "{said}");
    let list = service(&cluster, "list")?.must(0)?;
    ensure!(list.lines().count() == 1 && list.starts_with("[0]  foreign"), "{list}");
    assert_eq!(service_of(&cluster, "root", "remove --all")?.must(0)?, "foreign is removed.\n");
    Ok(())
}

#[test]
fn e14_of_removed_services_nothing_is_left_and_the_nodes_go_and_come_again() -> Result<()> {
    let cluster = cluster()?;
    service(&cluster, &format!("add space any -- {PROGRAM} stay 1"))?.must(0)?;
    alive(&cluster, "space")?;
    service(&cluster, "remove --all")?.must(0)?;
    assert_eq!(service(&cluster, "list")?.must(0)?, "");
    let over = service(&cluster, "status space")?.must(1)?;
    ensure!(over.contains("space is over"), "{over}");
    cluster.until("the end of the node", || Ok(cluster.running().is_empty().then_some(())))?;
    service(&cluster, &format!("add space any -- {PROGRAM} stay 2"))?.must(0)?;
    alive(&cluster, "space")?;
    assert_eq!(starts(&cluster).len(), 2);
    Ok(())
}
