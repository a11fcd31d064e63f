//! What the tests of live use set up: a bucket in a folder, a node, and a fetch that copies the one to the other.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::apply::{Applier, Fetch};
use super::trigger::Failures;
use crate::fetch::{FetchError, Fetched};
use crate::hooks::{EventReport, Hooks, Listener};
use crate::members::state::{Entry, State};
use crate::members::tests::member;
use crate::node::{Layout, NodeName, Role};
use crate::run::Stream;
use crate::settings::NodeSettings;
use crate::store::folder::FolderStore;

/// The bucket `profiles`.
pub struct Bucket {
    pub folder: tempfile::TempDir,
    pub store: FolderStore,
}

impl Bucket {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: FolderStore::new(folder.path()), folder }
    }

    pub fn path(&self, key: &str) -> std::path::PathBuf {
        self.folder.path().join("profiles").join(key)
    }

    pub fn write(&self, key: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(key).parent().unwrap()).unwrap();
        fs::write(self.path(key), content).unwrap();
    }

    pub fn read(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.path(key)).ok()
    }

    /// The keys, sorted.
    pub fn keys(&self) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, keys: &mut Vec<String>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() { walk(&path, root, keys) } else { keys.push(path.strip_prefix(root).unwrap().display().to_string()) }
            }
        }
        let (root, mut keys) = (self.folder.path().join("profiles"), Vec::new());
        walk(&root, &root, &mut keys);
        keys.sort();
        keys
    }
}

pub fn settings(role: Role) -> NodeSettings {
    let role = if role == Role::Master { "master" } else { "slave" };
    serde_json::from_value(serde_json::json!({
        "role": role, "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "eu-west-2",
        "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles", "profile": "alice",
        "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4,
    }))
    .unwrap()
}

/// Copies profiles as they are; a profile without files is a problem.
pub struct CopyFetch {
    bucket: std::path::PathBuf,
    layout: Layout,
}

impl Fetch for CopyFetch {
    async fn fetch(&self, more: &[String]) -> Result<Fetched, FetchError> {
        let mut fetched = Fetched::default();
        let _ = fs::remove_dir_all(self.layout.profiles());
        for (nth, name) in more.iter().map(String::as_str).chain(["alice"]).enumerate() {
            let from = self.bucket.join("customizer").join(name);
            if !from.is_dir() {
                fetched.problems.push(format!("the profile {name} cannot be fetched: it has no files"));
                continue;
            }
            let to = self.layout.profiles().join(format!("{:02}-{name}", nth + 1));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            assert!(std::process::Command::new("cp").arg("-r").args([&from, &to]).status().unwrap().success());
            fetched.profiles.push(name.to_owned());
        }
        Ok(fetched)
    }
}

struct Silent;

impl Listener for Silent {
    fn note(&self, _word: &str, _text: &str) {}
    fn line(&self, _word: &str, _script: &str, _stream: Stream, _text: &str) {}
}

/// A login node with a bucket, whose scripts write into [`Node::out`].
pub struct Node {
    pub bucket: Bucket,
    pub root: tempfile::TempDir,
    pub layout: Layout,
    pub applier: Arc<Applier<FolderStore, CopyFetch>>,
    pub reported: Arc<Mutex<Vec<EventReport>>>,
}

impl Node {
    pub fn new() -> Self {
        let (bucket, root) = (Bucket::new(), tempfile::tempdir().unwrap());
        let layout = Layout::below(root.path());
        let reported: Arc<Mutex<Vec<EventReport>>> = Arc::default();
        let failures: Failures = Arc::new({
            let reported = Arc::clone(&reported);
            move |report: &EventReport| reported.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone())
        });
        let applier = Applier {
            store: Arc::new(bucket.store.clone()),
            fetch: CopyFetch { bucket: bucket.folder.path().join("profiles"), layout: layout.clone() },
            settings: settings(Role::Master),
            layout: layout.clone(),
            hooks: Arc::new(Hooks::new(layout.clone(), Arc::new(Silent))),
            failures,
        };
        Self { bucket, root, layout, applier: Arc::new(applier), reported }
    }

    pub fn out(&self) -> String {
        fs::read_to_string(self.root.path().join("out")).unwrap_or_default()
    }

    /// A script that writes its profile, name and arguments down.
    pub fn script(&self, profile: &str, path: &str) {
        let out = self.root.path().join("out");
        let text = format!("#!/bin/sh\necho \"{profile} ${{0##*/}}: $*\" >> {}\n", out.display());
        self.bucket.write(&format!("customizer/{profile}/{path}"), text);
    }

    /// The members as the agent would have written them, by their ranks.
    pub fn members(&self, ranks: &[u32]) {
        let since = "2026-11-07T09:05:03Z".parse().unwrap();
        let entry = |rank: &u32| {
            let member = member(*rank, &format!("10.0.0.{}:7946", rank + 1));
            Entry { role: member.role(), member, since }
        };
        let state = State {
            name: NodeName::LOGIN,
            address: "10.0.0.1:7946".parse().unwrap(),
            generation: 1,
            written: since,
            name_taken_by: None,
            members: ranks.iter().map(entry).collect(),
            dropped: std::collections::BTreeMap::default(),
        };
        fs::create_dir_all(self.layout.state()).unwrap();
        state.write(&self.layout).unwrap();
    }
}
