//! The login node's logs in the user's folder: at the end of a boot, on failure, hourly while they grow, and when the node ends. A deletion
//! leaves no time for it, so what was uploaded last stays.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::node::{Layout, Role};
use crate::plain_file;
use crate::settings::NodeSettings;
use crate::store::{Expect, Store};

/// The agent's own log, below the root.
pub const AGENT_LOG: &str = "var/log/clusterdrop.log";

/// The most bytes of a log that are uploaded: its end.
pub const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The logs, and how far each was uploaded.
#[derive(Debug, Clone)]
pub struct Logs {
    files: [(&'static str, PathBuf); 2],
    uploaded: BTreeMap<&'static str, Mark>,
}

/// What shows that a file has not changed.
type Mark = (u64, u64, i64, i64);

impl Logs {
    /// The logs of a node, none of them uploaded.
    pub fn new(layout: &Layout) -> Self {
        let files = [("instance.log", layout.instance_log()), ("clusterdrop.log", layout.root().join(AGENT_LOG))];
        Self { files, uploaded: BTreeMap::new() }
    }

    /// Uploads the end of each log that has changed since the last time, if the site wants them and this is the login node. Gives what
    /// went wrong; it is tried again the next time.
    pub async fn upload<S: Store>(&mut self, store: &S, settings: &NodeSettings) -> Vec<String> {
        if settings.logs.is_empty() || settings.role != Role::Master {
            return Vec::new();
        }
        if let Err(problem) = check(settings) {
            return vec![problem];
        }
        let mut problems = Vec::new();
        for (name, path) in self.files.clone() {
            let (content, mark) = match read_end(&path) {
                Ok(None) => continue,
                Ok(Some((_, mark))) if self.uploaded.get(name) == Some(&mark) => continue,
                Ok(Some((content, mark))) => (content, mark),
                Err(error) => {
                    problems.push(format!("the log {} cannot be read: {error}", path.display()));
                    continue;
                }
            };
            let key = format!("{}{name}", settings.logs);
            match store.put(&settings.user_bucket, &key, content, "text/plain; charset=utf-8", Expect::Anything).await {
                Ok(_) => {
                    self.uploaded.insert(name, mark);
                }
                Err(error) => problems.push(format!("the log {} cannot be uploaded to {key}: {error}", path.display())),
            }
        }
        problems
    }
}

/// The place must be a folder of this user's own for a cluster's logs. Its role can write to no other; this check gives the reason.
fn check(settings: &NodeSettings) -> Result<(), String> {
    let logs = &settings.logs;
    let home = format!("home/{}/", settings.user);
    let ending = format!("{}.logs/", settings.cluster);
    let has_ending = logs.strip_suffix(&ending).is_some_and(|before| before.ends_with('/'));
    if logs.starts_with(&home) && has_ending && !logs.split('/').any(|part| part == "..") && !settings.user_bucket.is_empty() {
        return Ok(());
    }
    Err(format!("logs are not uploaded: {logs:?} is not a folder {home}…/{ending} of the user bucket"))
}

/// The last bytes of a file, from the beginning of a line on; `None` where there is no plain file, or nothing in it.
fn read_end(path: &Path) -> io::Result<Option<(Vec<u8>, Mark)>> {
    let mut file: File = match plain_file::open(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if found.len() == 0 {
        return Ok(None);
    }
    let mark = (found.ino(), found.len(), found.mtime(), found.mtime_nsec());
    let mut content = Vec::new();
    let left_out = found.len().saturating_sub(BYTES_MAX);
    file.seek(SeekFrom::Start(left_out))?;
    // It may grow meanwhile.
    file.take(BYTES_MAX).read_to_end(&mut content)?;
    if left_out > 0 {
        let line = content.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        content.drain(..line);
    }
    Ok(Some((content, mark)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::folder::FolderStore;

    struct World {
        folder: tempfile::TempDir,
        store: FolderStore,
        settings: NodeSettings,
        logs: Logs,
    }

    impl World {
        fn new(logs: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = serde_json::from_value(serde_json::json!({
                "role": "master", "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice",
                "region": "eu-west-2", "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles",
                "profile": "alice", "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4,
                "logs": logs, "user_bucket": "users"
            }));
            let layout = Layout::below(folder.path().join("node"));
            fs::create_dir_all(layout.instance_log().parent().unwrap()).unwrap();
            fs::write(layout.instance_log(), "one\n").unwrap();
            let store = FolderStore::new(folder.path().join("s3"));
            Self { store, settings: settings.unwrap(), logs: Logs::new(&layout), folder }
        }

        fn log(&self) -> PathBuf {
            Layout::below(self.folder.path().join("node")).instance_log()
        }

        async fn upload(&mut self) -> Vec<String> {
            self.logs.upload(&self.store, &self.settings).await
        }

        fn uploaded(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.folder.path().join("s3/users/home/alice/work/demo.logs").join(name)).ok()
        }

        fn forget(&self) {
            fs::remove_dir_all(self.folder.path().join("s3")).unwrap();
        }
    }

    const PLACE: &str = "home/alice/work/demo.logs/";

    #[tokio::test]
    async fn logs_are_uploaded_as_they_grow_and_not_again_while_they_do_not() {
        let mut world = World::new(PLACE);
        assert_eq!(world.upload().await, [""; 0]);
        assert_eq!((world.uploaded("instance.log").as_deref(), world.uploaded("clusterdrop.log")), (Some("one\n"), None));
        fs::write(world.folder.path().join("node").join(AGENT_LOG), "agent\n").unwrap();
        world.forget();
        world.upload().await;
        assert_eq!((world.uploaded("instance.log"), world.uploaded("clusterdrop.log").as_deref()), (None, Some("agent\n")));
        fs::write(world.log(), "one\ntwo\n").unwrap();
        world.upload().await;
        assert_eq!(world.uploaded("instance.log").as_deref(), Some("one\ntwo\n"));
    }

    #[tokio::test]
    async fn what_was_refused_is_tried_again() {
        let mut world = World::new(PLACE);
        world.store.refuse("put users/");
        let problems = world.upload().await;
        assert!(problems[0].contains("cannot be uploaded to home/alice/work/demo.logs/instance.log: S3 refuses it"), "{problems:?}");
        world.store.allow_all();
        assert_eq!(world.upload().await, [""; 0]);
        assert_eq!(world.uploaded("instance.log").as_deref(), Some("one\n"));
    }

    #[tokio::test]
    async fn of_a_long_log_the_end_is_uploaded_from_a_whole_line_on() {
        let mut world = World::new(PLACE);
        let most = usize::try_from(BYTES_MAX).unwrap();
        let lines = |bytes: usize| "123456\n".repeat(bytes.div_ceil(7))[..bytes].to_owned();
        fs::write(world.log(), lines(most)).unwrap();
        world.upload().await;
        assert_eq!(world.uploaded("instance.log").unwrap().len(), most);
        fs::write(world.log(), lines(most + 1)).unwrap();
        world.upload().await;
        let end = world.uploaded("instance.log").unwrap();
        assert!(end.starts_with("123456\n") && end.len() == most - 6, "{}", end.len());
    }

    #[tokio::test]
    async fn nothing_is_uploaded_where_the_site_does_not_want_it_or_from_a_compute_node_or_elsewhere() {
        for (place, role) in [("", Role::Master), (PLACE, Role::Slave)] {
            let mut world = World::new(place);
            world.settings.role = role;
            assert_eq!(world.upload().await, [""; 0]);
            assert!(!world.folder.path().join("s3").exists());
        }
        for place in ["home/bob/demo.logs/", "home/alice/../bob/demo.logs/", "home/alice/demo.logs", "home/alice/xdemo.logs/", "demo.logs/"]
        {
            let mut world = World::new(place);
            assert!(world.upload().await[0].starts_with("logs are not uploaded: "), "{place}");
            assert!(!world.folder.path().join("s3").exists());
        }
        assert!(check(&World::new("home/alice/demo.logs/").settings).is_ok());
    }

    #[tokio::test]
    async fn a_link_in_a_logs_place_is_not_followed() {
        let mut world = World::new(PLACE);
        fs::remove_file(world.log()).unwrap();
        std::os::unix::fs::symlink("/etc/shadow", world.log()).unwrap();
        assert_eq!(world.upload().await, [""; 0]);
        assert_eq!(world.uploaded("instance.log"), None);
    }
}
