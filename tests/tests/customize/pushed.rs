//! What a person pushes into the bucket, and what a node makes of it.

use anyhow::{Context, Result};
use cf_local::deploy::CUSTOMIZER_BUCKET;
use cf_node::customize::index;

use crate::cluster::{Cluster, KEYS, LOGIN};
use crate::common::nodes::NOTE;

impl Cluster {
    /// The text of a file of a profile; `None` where it is not in the bucket.
    async fn file(&self, path: &str) -> Result<Option<String>> {
        self.user.deployment.object(CUSTOMIZER_BUCKET, &format!("customizer/{path}")).await
    }

    /// The paths of a profile in the bucket, without the record of pushes.
    async fn paths(&self, profile: &str) -> Result<Vec<String>> {
        let prefix = format!("customizer/{profile}/");
        let keys = self.user.deployment.keys_in(CUSTOMIZER_BUCKET, &prefix).await?;
        Ok(keys.iter().filter_map(|key| key.strip_prefix(&prefix)).filter(|path| !path.starts_with('.')).map(str::to_owned).collect())
    }

    /// The entry of a profile in the bucket's index.
    async fn is_indexed(&self, profile: &str, tag: Option<&str>) -> Result<bool> {
        let text = self.user.deployment.object(CUSTOMIZER_BUCKET, index::KEY).await?.context("there is an index")?;
        let index = index::Index::parse(text.as_bytes())?;
        Ok(index.tags().contains_key(profile) && tag.is_none_or(|tag| index.has_tag(profile, tag)))
    }

    /// Pushes from the login node, with a person's keys.
    fn push(&self, words: &str) -> Result<String> {
        let ended = self.tried(LOGIN, &format!("push {words}"), &KEYS)?;
        assert_eq!(ended.code, Some(0), "{words}: {ended:?}");
        Ok(ended.out)
    }
}

#[tokio::test]
async fn b16_a_pushed_script_is_in_the_bucket_in_its_event_in_manifest_and_index_and_runs_where_it_is_applied() -> Result<()> {
    let cluster = Cluster::ready("b16", &[]).await?;
    let script = cluster.write(LOGIN, "home/jane/b16-foo.sh", NOTE)?.display().to_string();
    let ended = cluster.tried(LOGIN, &format!("push {script} account"), &[])?;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.err.contains("your own AWS credentials, and none are found: set AWS_PROFILE"), "the node's role is not taken: {ended:?}");
    assert_eq!(cluster.paths("b16-foo").await?, [""; 0]);

    cluster.push(&format!("{script} account"))?;
    assert_eq!(cluster.file("b16-foo/configure.d/b16-foo.sh").await?.as_deref(), Some(NOTE));
    assert_eq!(cluster.file("b16-foo/manifest.txt").await?.as_deref(), Some("configure.d/b16-foo.sh\n"));
    assert!(cluster.is_indexed("b16-foo", None).await?);
    // Uploaded in the console of S3.
    cluster.put("b16-foo/start.d/by-hand.sh", NOTE).await?;
    cluster.push(&format!("{script} account start"))?;
    let all = ["configure.d/b16-foo.sh", "manifest.txt", "start.d/b16-foo.sh", "start.d/by-hand.sh"];
    assert_eq!(cluster.paths("b16-foo").await?, all);
    let manifest = "configure.d/b16-foo.sh\nstart.d/b16-foo.sh\nstart.d/by-hand.sh\n";
    assert_eq!(cluster.file("b16-foo/manifest.txt").await?.as_deref(), Some(manifest));

    assert!(cluster.customize(LOGIN, "avail")?.lines().any(|line| line == "account/b16-foo"));
    cluster.customize(LOGIN, "apply account/b16-foo")?;
    let ran = ["b16-foo.sh configure master demo", "b16-foo.sh start master demo", "by-hand.sh start master demo", ""];
    assert_eq!(cluster.machine(LOGIN).read("ran"), ran.join("\n"));
    assert!(!cluster.customize(LOGIN, "avail")?.lines().any(|line| line == "account/b16-foo"), "it is here");
    Ok(())
}

#[tokio::test]
async fn b16_a_pushed_folder_removes_what_an_earlier_push_wrote_and_no_job_and_nothing_of_others() -> Result<()> {
    let cluster = Cluster::ready("b16b", &[]).await?;
    for path in ["configure.d/a.sh", "configure.d/b.sh", "initialize.d/i.sh", "share/data"] {
        cluster.write(LOGIN, &format!("home/jane/b16-dir/{path}"), NOTE)?;
    }
    let folder = cluster.machine(LOGIN).folder().join("home/jane/b16-dir").display().to_string();
    cluster.push(&folder)?;
    let pushed = ["configure.d/a.sh", "configure.d/b.sh", "initialize.d/i.sh", "manifest.txt", "share/data"];
    assert_eq!(cluster.paths("b16-dir").await?, pushed);
    assert!(cluster.is_indexed("b16-dir", Some(index::STARTUP)).await?);
    for (path, text) in [("configure.d/by-hand.sh", NOTE), ("job-queue.d/login1.demo.prv/pending/one", "a job")] {
        cluster.put(&format!("b16-dir/{path}"), text).await?;
    }
    for path in ["configure.d/a.sh", "initialize.d/i.sh"] {
        std::fs::remove_file(cluster.machine(LOGIN).folder().join("home/jane/b16-dir").join(path))?;
    }
    let printed = cluster.push(&folder)?;
    assert!(printed.contains("removed  configure.d/a.sh\nremoved  initialize.d/i.sh\n"), "{printed}");
    let left = ["configure.d/b.sh", "configure.d/by-hand.sh", "job-queue.d/login1.demo.prv/pending/one", "manifest.txt", "share/data"];
    assert_eq!(cluster.paths("b16-dir").await?, left);
    assert_eq!(cluster.file("b16-dir/manifest.txt").await?.as_deref(), Some("configure.d/b.sh\nconfigure.d/by-hand.sh\nshare/data\n"));
    assert!(!cluster.is_indexed("b16-dir", Some(index::STARTUP)).await?);

    cluster.put("b16-dir/configure.d/b.sh", "#!/bin/sh\necho edited in the bucket\n").await?;
    cluster.write(LOGIN, "home/jane/b16-dir/configure.d/b.sh", "#!/bin/sh\necho edited here\n")?;
    let ended = cluster.tried(LOGIN, &format!("push {folder}"), &KEYS)?;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("configure.d/b.sh; nothing was pushed"), "{ended:?}");
    assert_eq!(cluster.file("b16-dir/configure.d/b.sh").await?.as_deref(), Some("#!/bin/sh\necho edited in the bucket\n"));
    Ok(())
}
