//! What jobs get and leave, and what rejects them: acceptance checks B20 and B21.

use std::fs;
use std::time::{Duration, SystemTime};

use super::*;
use crate::jobs::desk::{DeskError, State};
use crate::store::Expect;

#[tokio::test]
async fn b20_a_pending_job_runs_once_on_login_and_compute_nodes_with_its_status_logs_and_output() {
    let compute = NodeName::compute(3).unwrap();
    for (node, role) in [(NodeName::LOGIN, "master"), (compute, "slave")] {
        let world = World::new();
        let job = job(node, "builds", "job-1");
        world.put(&job, &world.script("echo out; echo err >&2; mkdir a; echo kept > a/file; exit 3")).await;
        let poller = world.poller_on(world.store.clone(), node, "i-1");
        assert_eq!(pass(&poller).await, Passed { concluded: 1, problems: vec![] });
        assert_eq!(world.ran(), [format!("job-1 {role} demo")]);
        assert_eq!(world.status(&job).unwrap(), "3\nthe job ended with exit code 3\n", "a job that failed is completed");
        let desk = world.desk();
        assert_eq!(desk.results(&job).await.unwrap(), ["logs", "output/a/file", "status"]);
        let logs = String::from_utf8(desk.result(&job, "logs").await.unwrap()).unwrap();
        assert!(logs.contains("out\n") && logs.contains("err\n"), "{logs}");
        assert_eq!(desk.result(&job, "output/a/file").await.unwrap(), b"kept\n");
        assert!(!world.is_pending(&job) && world.no_work_is_left("i-1"));
        assert_eq!(pass(&poller).await, Passed::default());
        assert_eq!(world.ran().len(), 1);
    }
}

#[tokio::test]
async fn b20_a_queues_own_script_gets_the_job_an_output_folder_the_role_and_the_cluster() {
    let world = World::new();
    world.share("builds", "process-job", &world.script("cat \"$1\" > \"$2/copy\"; cat \"${0%/*}/lib/data\""));
    world.share("builds", "lib/data", "shared\n");
    world.put(&login("job-1"), "not a script at all").await;
    assert_eq!(pass(&world.poller()).await.problems, [""; 0]);
    let ran = world.ran();
    assert!(ran[0].ends_with(" master demo") && ran[0].starts_with("job-1 /") && ran[0].split(' ').count() == 5, "{ran:?}");
    assert_eq!(world.desk().result(&login("job-1"), "output/copy").await.unwrap(), b"not a script at all");
    assert_eq!(world.desk().result(&login("job-1"), "logs").await.unwrap(), b"shared\n");
}

#[tokio::test]
async fn b20_jobs_run_the_oldest_first_and_each_node_has_its_own() {
    let world = World::new();
    let other = job(NodeName::compute(1).unwrap(), "builds", "theirs");
    for (age, id) in [(1, "a"), (3, "b"), (2, "c")] {
        world.put(&login(id), &world.script("")).await;
        let file =
            fs::File::options().append(true).open(world.root.path().join("s3/system").join(world.desk().keys.pending(&login(id)))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1000 * age)).unwrap();
    }
    world.put(&other, &world.script("")).await;
    assert_eq!(pass(&world.poller()).await.concluded, 3);
    assert_eq!(world.ran(), ["b master demo", "c master demo", "a master demo"]);
    assert!(world.is_pending(&other));
}

#[tokio::test]
async fn b21_a_job_that_its_check_refuses_is_rejected_with_the_checks_words_and_not_run() {
    let world = World::new();
    world.share(
        "builds",
        "validate-job",
        "#!/bin/sh\ngrep -q good \"$1\" && exit 0\necho 'no \u{1b}[31mgood\nword in it'\necho hidden >&2\nexit 1\n",
    );
    world.share("builds", "process-job", &world.script(""));
    world.put(&login("bad"), "x").await;
    world.put(&login("fine"), "good").await;
    assert_eq!(pass(&world.poller()).await, Passed { concluded: 2, problems: vec![] });
    let reason = world.reason(&login("bad")).unwrap();
    assert!(
        reason.starts_with("no ") && reason.ends_with("word in it\n") && !reason.contains(['\u{1b}']) && !reason.contains("hidden"),
        "{reason:?}"
    );
    assert_eq!((world.status(&login("bad")), world.is_pending(&login("bad"))), (None, false));
    assert_eq!(world.ran().len(), 1);
    assert_eq!(world.desk().state(&login("bad")).await.unwrap(), Some(State::Rejected));
    assert_eq!(world.desk().state(&login("fine")).await.unwrap(), Some(State::Completed));
}

#[tokio::test]
async fn b21_a_used_id_is_rejected_and_one_that_only_begins_alike_is_not() {
    let world = World::new();
    world.put(&login("job-1"), &world.script("")).await;
    pass(&world.poller()).await;
    assert!(matches!(world.desk().put(&login("job-1"), b"x".to_vec()).await, Err(DeskError::Used(_))));
    // By another tool than ours.
    let key = world.desk().keys.pending(&login("job-1"));
    world.store.put("system", &key, b"echo other".to_vec(), "", Expect::Anything).await.unwrap();
    world.put(&login("job-10"), &world.script("")).await;
    world.put(&login("job"), &world.script("")).await;
    assert_eq!(pass(&world.poller()).await, Passed { concluded: 3, problems: vec![] });
    assert!(world.reason(&login("job-1")).unwrap().starts_with("its id was used before, for a job that ended with exit code 0"));
    assert!(world.status(&login("job-1")).unwrap().starts_with("0\n"), "the first one's result stays");
    assert!(!world.is_pending(&login("job-1")));
    let mut ran = world.ran();
    ran.sort();
    assert_eq!(ran, ["job master demo", "job-1 master demo", "job-10 master demo"]);
}

#[tokio::test]
async fn the_commands_show_where_a_job_is_and_remove_what_does_not_run() {
    let world = World::new();
    let desk = world.desk();
    let (first, second) = (login("job-1"), login("job-2"));
    assert_eq!(desk.state(&first).await.unwrap(), None);
    assert!(matches!(desk.remove(&first).await, Err(DeskError::Missing(_))));
    world.put(&first, &world.script("")).await;
    assert!(matches!(desk.put(&first, b"x".to_vec()).await, Err(DeskError::Pending(_))));
    pass(&world.poller()).await;
    world.put(&second, &world.script("")).await;
    let jobs = desk.jobs(&first.queue, NodeName::LOGIN).await.unwrap();
    assert_eq!(jobs, [(first.id.clone(), State::Completed), (second.id.clone(), State::Pending)]);
    assert_eq!(desk.queues().await.unwrap(), std::slice::from_ref(&first.queue));
    assert!(desk.report(&first).await.unwrap().unwrap().starts_with("0\n"));
    assert!(matches!(desk.result(&first, "output/none").await, Err(DeskError::NoResult(..))));
    for job in [&first, &second] {
        desk.remove(job).await.unwrap();
        assert_eq!(desk.state(job).await.unwrap(), None);
    }
    assert!(matches!(desk.results(&first).await, Err(DeskError::Missing(_))));
    pass(&world.poller()).await;
    assert_eq!(world.ran().len(), 1, "what was removed before it began does not run");
    world.put(&first, &world.script("")).await;
    pass(&world.poller()).await;
    assert_eq!(world.ran().len(), 2, "its id is free again");
}
