//! Bad input: jobs that do not end, are too long, flood; queues whose check cannot be read; keys that are none.

use std::fs;
use std::time::Duration;

use super::*;
use crate::jobs::desk::DeskError;
use crate::jobs::{JOB_BYTES_MAX, claim};
use crate::store::Expect;

#[tokio::test]
async fn a_job_that_does_not_end_is_killed_with_what_it_started_and_holds_up_no_other_queue() {
    let world = World::new();
    let marker = world.root.path().join("survived");
    world.put(&login("endless"), &world.script(&format!("(trap '' TERM; sleep 5; touch {}) & sleep 600", marker.display()))).await;
    world.put(&job(NodeName::LOGIN, "other", "quick"), &world.script("")).await;
    let second = Duration::from_millis(900);
    let poller =
        world.poller().with(second, Bounds { grace: Duration::from_millis(100), drain: Duration::from_millis(100), ..Bounds::default() });
    pass(&poller).await;
    assert!(world.status(&login("endless")).unwrap().starts_with("124\nthe job had not ended"));
    assert!(world.status(&job(NodeName::LOGIN, "other", "quick")).unwrap().starts_with("0\n"));
    assert!(!marker.exists());
}

#[tokio::test]
async fn what_is_too_long_is_rejected_unread_and_what_just_fits_is_run() {
    let world = World::new();
    let most = usize::try_from(JOB_BYTES_MAX).unwrap();
    world.share("builds", "process-job", &world.script("[ $(wc -c < \"$1\") = 8388608 ]"));
    assert!(matches!(world.desk().put(&login("long"), vec![b'x'; most + 1]).await, Err(DeskError::Size(_))));
    assert!(matches!(world.desk().put(&login("none"), vec![]).await, Err(DeskError::Size(0))));
    world.store.put("system", &world.desk().keys.pending(&login("long")), vec![b'x'; most + 1], "", Expect::Anything).await.unwrap();
    world.desk().put(&login("fits"), vec![b'x'; most]).await.unwrap();
    pass(&world.poller()).await;
    assert!(world.reason(&login("long")).unwrap().contains("it has 8388609 bytes"));
    assert!(world.status(&login("fits")).unwrap().starts_with("0\n"));
    assert_eq!(world.ran().len(), 1);
}

#[tokio::test]
async fn output_that_floods_or_is_no_plain_file_is_left_out_and_said_so() {
    let world = World::new();
    let floods =
        "ln -s /etc/passwd link; mkfifo pipe; truncate -s 9M large; for i in $(seq 1 120); do echo x > f$i; done; yes | head -c 5000000";
    world.put(&login("job-1"), &world.script(floods)).await;
    assert_eq!(pass(&world.poller()).await.problems, [""; 0]);
    let status = world.status(&login("job-1")).unwrap();
    assert!(status.starts_with("0\n") && status.contains("link is left out") && status.contains("large is left out"), "{status}");
    assert!(status.contains("files of the output are left out in all"), "{status}");
    let results = world.desk().results(&login("job-1")).await.unwrap();
    assert_eq!(results.len(), 100 + 2);
    assert!(world.desk().result(&login("job-1"), "logs").await.unwrap().len() < 2 * 1024 * 1024);
}

#[tokio::test]
async fn a_queue_whose_check_cannot_be_read_waits_and_no_job_passes_by_it() {
    let world = World::new();
    world.share("builds", "validate-job", "#!/bin/sh\nexit 1\n");
    world.put(&login("job-1"), &world.script("")).await;
    world.store.refuse("list profiles");
    let passed = pass(&world.poller()).await;
    assert!(passed.problems[0].contains("its jobs wait"), "{:?}", passed.problems);
    assert!(world.is_pending(&login("job-1")) && world.ran().is_empty());
    let manifest = world.root.path().join("s3/profiles/customizer/builds/manifest.txt");
    fs::write(&manifest, "share/../../x\n").unwrap();
    assert!(pass(&world.poller()).await.problems[0].contains("is no path here"));
    fs::write(&manifest, "configure.d/a.sh\nshare/validate-job\n").unwrap();
    pass(&world.poller()).await;
    assert!(world.reason(&login("job-1")).unwrap().contains("validate-job ended with exit code 1"));
    assert!(world.ran().is_empty());
}

#[tokio::test]
async fn keys_that_are_no_jobs_are_left_alone_and_reported() {
    let world = World::new();
    let prefix = world.desk().keys.of_node("pending", NodeName::LOGIN);
    for odd in ["builds/a b", "builds/x\ny", "builds/deep/er", "-q/x", "builds/x.json"] {
        world.store.put("system", &format!("{prefix}{odd}"), b"x".to_vec(), "", Expect::Anything).await.unwrap();
    }
    let passed = pass(&world.poller()).await;
    assert_eq!((passed.concluded, passed.problems.len()), (0, 5), "{:?}", passed.problems);
    assert!(passed.problems.iter().all(|problem| !problem.contains('\n')));
}

#[tokio::test]
async fn a_claim_that_no_agent_wrote_holds_up_its_own_job_alone_until_it_is_removed() {
    let world = World::new();
    let too_long = vec![b' '; usize::try_from(claim::BYTES_MAX).unwrap() + 1];
    for (id, content) in [("a-spoilt", b"{}".to_vec()), ("b-long", too_long)] {
        world.put(&login(id), &world.script("")).await;
        world.store.put("system", &world.desk().keys.claim(&login(id)), content, "", Expect::Absent).await.unwrap();
    }
    world.put(&login("c-good"), &world.script("")).await;
    let passed = pass(&world.poller()).await;
    assert_eq!((passed.concluded, passed.problems.len()), (1, 2), "{:?}", passed.problems);
    assert!(passed.problems.iter().all(|problem| problem.contains("queue rm")), "{:?}", passed.problems);
    assert_eq!(world.ran(), ["c-good master demo"]);
    for id in ["a-spoilt", "b-long"] {
        world.desk().remove(&login(id)).await.unwrap();
        assert_eq!(world.desk().state(&login(id)).await.unwrap(), None);
    }
    assert_eq!(pass(&world.poller()).await, Passed::default());
}

#[test]
fn an_id_is_a_part_of_a_key_and_never_one_of_a_report() {
    use crate::jobs::{JobId, QueueName};
    for good in ["a", "job-1.sh", "0123456789abcdef0123456789abcdef"] {
        assert!(good.parse::<JobId>().is_ok(), "{good}");
    }
    for bad in ["", "a/b", "..", ".a", "-a", "a b", "a\nb", "x.json", "x.JSON", &"a".repeat(65), "é"] {
        assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
    }
    for bad in ["", "a/b", "..", "-q", "a b", "é"] {
        assert!(bad.parse::<QueueName>().is_err(), "{bad:?}");
    }
    let keys = Keys::of(&settings(Role::Master)).unwrap();
    let job = login("job-1");
    assert_eq!(keys.pending(&job), "nodes/alice/demo/00000000000000aa/jobs/pending/login1/builds/job-1");
    assert_eq!(keys.read(&keys.pending(&job)), Some(("pending", job.clone(), "")));
    assert_eq!(keys.read(&format!("{}output/a/b", keys.completed(&job))), Some(("completed", job, "output/a/b")));
}
