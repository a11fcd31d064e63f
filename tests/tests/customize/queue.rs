//! The job queue: jobs that are put on a node, found and run by the agent of the node that they are for. A look that is due within a
//! minute comes at once where an agent starts, so jobs are put before that.

use anyhow::{Context, Result, bail};
use aws_sdk_s3::types::{Grantee, ObjectCannedAcl, Owner, Permission};
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use cf_local::node::Machine;

use crate::cluster::{Cluster, LOGIN};
use crate::common::nodes::NOTE;

/// Notes where it runs, prints, leaves a file, and fails.
const JOB: &str = "#!/bin/bash\necho \"job $*\" >> \"${0%%/var/lib/clusterdrop/*}/ran\"\necho it prints\necho a result > result\nexit 4\n";

impl Cluster {
    /// Puts a job from the login node; these are the words after the file.
    fn put_job(&self, queue: &str, text: &str, words: &str) -> Result<String> {
        let file = self.write(LOGIN, "home/jane/job", text)?;
        Ok(self.customize(LOGIN, &format!("queue put {queue} {} {words}", file.display()))?.trim_end().to_owned())
    }

    /// Waits until a job is in this state.
    async fn job_is(&mut self, state: &str, words: &str) -> Result<()> {
        let asked = format!("queue status {words}");
        let asked: Vec<&str> = ["customize"].into_iter().chain(asked.split(' ')).collect();
        let wanted = format!("{state}\n");
        let is = |machine: &Machine| Ok((machine.ask(&asked).is_ok_and(|said| said == wanted)).then_some(()));
        self.until(LOGIN, &format!("{words} is {state}"), is).await
    }

    /// The cluster's objects of jobs: state, node, queue, id and what follows.
    async fn jobs(&self) -> Result<Vec<String>> {
        let (deployment, keys) = (&self.user.deployment, self.keys()?);
        let found = deployment.keys_in(&deployment.system_bucket, keys.prefix()).await?;
        Ok(found.iter().filter_map(|key| key.strip_prefix(keys.prefix())).map(str::to_owned).collect())
    }

    /// An object of jobs is its owner's alone, and the bucket takes none that is not.
    async fn is_private(&self, path: &str) -> Result<()> {
        let (deployment, key) = (&self.user.deployment, format!("{}{path}", self.keys()?.prefix()));
        let acl = deployment.s3.get_object_acl().bucket(&deployment.system_bucket).key(&key).send().await?;
        let owner = acl.owner().and_then(Owner::id).context("an object has an owner")?;
        let [grant] = acl.grants() else { bail!("{path} is granted by {:?}", acl.grants()) };
        assert_eq!((grant.grantee().and_then(Grantee::id), grant.permission()), (Some(owner), Some(&Permission::FullControl)), "{path}");
        let public = deployment.s3.put_object().bucket(&deployment.system_bucket).key(key).acl(ObjectCannedAcl::PublicRead).send().await;
        assert_eq!(public.unwrap_err().code(), Some("AccessControlListNotSupported"));
        Ok(())
    }
}

#[tokio::test]
async fn b20_a_job_runs_once_on_the_node_that_it_was_put_for_and_leaves_its_results_in_private() -> Result<()> {
    let mut cluster = Cluster::of("b20", &[("configure.d/own.sh", NOTE)]).await?;
    cluster.order(str::to_owned).await?;
    assert_eq!(cluster.put_job("b20", JOB, "one")?, "one");
    assert_eq!(cluster.put_job("b20", JOB, "one --node compute-1")?, "one");
    assert_eq!(cluster.customize(LOGIN, "queue list-jobs b20 --node compute-1")?, "one pending\n");
    cluster.start(LOGIN).await?;
    cluster.job_is("completed", "b20 one").await?;
    cluster.has_run(LOGIN, &["own.sh configure master demo", "job master demo"]).await?;
    assert_eq!(cluster.customize(LOGIN, "queue status b20 one --node compute-1")?, "pending\n", "it is another node's");
    let compute = cluster.add().await?;
    cluster.job_is("completed", "b20 one --node compute-1").await?;
    cluster.has_run(compute, &["own.sh configure slave demo", "job slave demo"]).await?;
    for (on, of) in [("", LOGIN), (" --node compute-1", compute)] {
        assert_eq!(cluster.customize(of, &format!("queue list-output b20 one{on}"))?, "logs\noutput/result\nstatus\n");
        assert_eq!(cluster.customize(LOGIN, &format!("queue get-output b20 one logs{on}"))?, "it prints\n");
        assert_eq!(cluster.customize(LOGIN, &format!("queue get-output b20 one output/result{on}"))?, "a result\n");
        let status = cluster.customize(LOGIN, &format!("queue get-output b20 one status{on}"))?;
        assert_eq!(status, "4\nthe job ended with exit code 4\n");
    }
    let gone = async |cluster: &Cluster| Ok(cluster.jobs().await?.iter().all(|path| !path.starts_with("pending/")).then_some(()));
    cluster.user.deployment.until("no pending job", async || gone(&cluster).await).await?;
    let jobs = cluster.jobs().await?;
    assert_eq!(jobs.iter().filter(|path| path.starts_with("completed/")).count(), 6, "{jobs:?}");
    for path in jobs {
        cluster.is_private(&path).await?;
    }

    // Another look, at another boot: the job that is new is run, and the old one is not.
    cluster.end(compute)?;
    cluster.put_job("b20", JOB, "two --node compute-1")?;
    cluster.begin(compute)?;
    cluster.job_is("completed", "b20 two --node compute-1").await?;
    let boot = "own.sh configure slave demo";
    cluster.has_run(compute, &[boot, "job slave demo", boot, "job slave demo"]).await
}

#[tokio::test]
async fn b21_a_job_that_its_check_refuses_is_rejected_with_the_reason_and_so_is_one_with_a_used_id() -> Result<()> {
    let check = "#!/bin/bash\ngrep -q good \"$1\" || { echo \"only good jobs\"; exit 1; }\n";
    let mut cluster = Cluster::of("b21", &[("share/validate-job", check)]).await?;
    cluster.order(str::to_owned).await?;
    cluster.put_job("b21", &format!("{JOB}# bad\n"), "bad-one")?;
    cluster.put_job("b21", &format!("{JOB}# good\n"), "fine")?;
    cluster.start(LOGIN).await?;
    cluster.job_is("rejected", "b21 bad-one").await?;
    cluster.job_is("completed", "b21 fine").await?;
    assert_eq!(cluster.machine(LOGIN).read("ran"), "job master demo\n");
    let reason = async |cluster: &Cluster, id: &str| {
        let (deployment, keys) = (&cluster.user.deployment, cluster.keys()?);
        let path = format!("{}rejected/login1/b21/{id}/reason", keys.prefix());
        Ok::<_, anyhow::Error>(deployment.object(&deployment.system_bucket, &path).await?.unwrap_or_default())
    };
    assert_eq!(reason(&cluster, "bad-one").await?, "only good jobs\n");
    let ended = cluster.tried(LOGIN, "queue status b21 bad-one", &[])?;
    assert!(ended.err.contains("only good jobs"), "{ended:?}");

    let file = cluster.machine(LOGIN).folder().join("home/jane/job");
    cluster.refused(LOGIN, &format!("queue put b21 {} fine", file.display()), "the id fine was used before in this queue")?;
    // Past the command, by an upload of one's own; and an id that only begins alike.
    cluster.end(LOGIN)?;
    let pending = format!("{}pending/login1/b21/fine", cluster.keys()?.prefix());
    cluster.user.deployment.put(&cluster.user.deployment.system_bucket, &pending, &format!("{JOB}# good, again\n")).await?;
    cluster.put_job("b21", &format!("{JOB}# good\n"), "fine-2")?;
    cluster.begin(LOGIN)?;
    cluster.job_is("completed", "b21 fine-2").await?;
    let rejected =
        cluster.user.deployment.until("the reason", async || Ok(Some(reason(&cluster, "fine").await?).filter(|text| !text.is_empty())));
    let rejected = rejected.await?;
    assert!(rejected.starts_with("its id was used before, for a job that ended with exit code 4"), "{rejected}");
    assert_eq!(cluster.machine(LOGIN).read("ran"), "job master demo\njob master demo\n", "fine once, fine-2 once");
    Ok(())
}
