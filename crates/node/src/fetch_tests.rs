//! Fetches from a store in a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::event::Event;
use crate::profile::EventPlan;
use crate::profile::listing::Observed;
use crate::store::folder::FolderStore;
use crate::store::{Expect, Object};

/// A store that counts what is fetched, and lists what a folder cannot hold.
struct Counting {
    store: FolderStore,
    fetched: Mutex<Vec<String>>,
    listed_too: Vec<Object>,
    unreachable: bool,
    asked: Mutex<usize>,
}

impl Store for Counting {
    async fn list(&self, bucket: &str, prefix: &str, most: usize) -> Result<(Vec<Object>, bool), StoreError> {
        *self.asked.lock().unwrap() += 1;
        if self.unreachable {
            return Err(StoreError::Unreachable("no route to host".into()));
        }
        let (mut found, more) = self.store.list(bucket, prefix, most).await?;
        found.extend(self.listed_too.iter().filter(|object| object.key.starts_with(prefix)).cloned());
        let more = more || found.len() > most;
        found.truncate(most);
        Ok((found, more))
    }

    async fn get(&self, bucket: &str, key: &str, most: u64) -> Result<(Vec<u8>, String), StoreError> {
        self.store.get(bucket, key, most).await
    }

    async fn fetch(&self, bucket: &str, key: &str, most: u64, to: &Path) -> Result<(), StoreError> {
        self.fetched.lock().unwrap().push(key.to_owned());
        self.store.fetch(bucket, key, most, to).await
    }

    async fn put(&self, _: &str, _: &str, _: Vec<u8>, _: &str, _: Expect) -> Result<String, StoreError> {
        unreachable!("a fetch writes nothing")
    }

    async fn remove(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unreachable!("a fetch removes nothing")
    }
}

struct World {
    folder: tempfile::TempDir,
    store: Counting,
    settings: NodeSettings,
}

impl World {
    /// A bucket with a script of alice's, and a node.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path().join("s3"));
        let settings = serde_json::from_value(serde_json::json!({
            "role": "master", "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "eu-west-2",
            "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles", "profile": "alice",
            "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4
        }));
        let store = Counting { store, fetched: Mutex::default(), listed_too: vec![], unreachable: false, asked: Mutex::default() };
        let world = Self { folder, store, settings: settings.unwrap() };
        world.upload("alice/configure.d/emacs.sh", "#!/bin/sh\n");
        world
    }

    fn object(&self, key: &str) -> PathBuf {
        self.folder.path().join("s3/profiles/customizer").join(key)
    }

    fn upload(&self, key: &str, content: &str) {
        fs::create_dir_all(self.object(key).parent().unwrap()).unwrap();
        fs::write(self.object(key), content).unwrap();
    }

    fn layout(&self) -> Layout {
        Layout::below(self.folder.path().join("node"))
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        self.fetch_with(&[]).await
    }

    async fn fetch_with(&self, more: &[&str]) -> Result<Fetched, FetchError> {
        let more: Vec<String> = more.iter().map(|name| (*name).to_owned()).collect();
        self.store.fetched.lock().unwrap().clear();
        fetch(&self.store, &self.settings, &self.layout(), &more).await
    }

    fn file(&self, path: &str) -> PathBuf {
        self.layout().profiles().join(path)
    }

    fn fetched(&self) -> Vec<String> {
        let mut fetched = self.store.fetched.lock().unwrap().clone();
        fetched.sort();
        fetched
    }

    /// What an event of the node runs, as `profile/script`.
    fn scripts(&self, event: Event) -> Vec<String> {
        let plan = EventPlan::decide(event, Observed::read(&self.layout().profiles(), event), true);
        assert_eq!(plan.problems, [""; 0]);
        let all = plan
            .profiles
            .iter()
            .flat_map(|profile| profile.scripts.iter().map(|script| format!("{}/{}", shown(&profile.folder.name), shown(script))));
        all.collect()
    }
}

#[tokio::test]
async fn b4_a_script_in_the_profile_becomes_an_executable_file_that_the_event_runs() {
    let world = World::new();
    world.upload("alice/resources/a b\n.txt", "text");
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched, Fetched { profiles: vec!["alice".into()], problems: vec![] });
    assert_eq!(world.scripts(Event::Configure), ["alice/emacs.sh"]);
    assert_eq!(fs::metadata(world.file("01-alice/configure.d/emacs.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_to_string(world.file("01-alice/resources/a b\n.txt")).unwrap(), "text");
}

#[tokio::test]
async fn b3_default_is_taken_if_it_exists_and_only_where_the_site_names_no_profile() {
    let mut world = World::new();
    assert_eq!(world.fetch().await.unwrap().profiles, ["alice"]);
    world.upload("default/configure.d/x", "#!/bin/sh\n");
    world.upload("foo/configure.d/x", "#!/bin/sh\n");
    assert_eq!(world.fetch().await.unwrap().profiles, ["default", "alice"]);
    world.settings.site_profiles = vec!["foo".into(), "bar".into()];
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.profiles, ["foo", "alice"]);
    assert_eq!(fetched.problems, ["profile bar: nothing lies under customizer/bar/ in the bucket profiles"]);
}

#[tokio::test]
async fn b6_profiles_keep_the_order_in_which_they_are_named_and_the_users_own_is_last() {
    let mut world = World::new();
    for name in ["zed", "abc", "applied"] {
        world.upload(&format!("{name}/configure.d/x"), "#!/bin/sh\n");
    }
    world.settings.site_profiles = vec!["zed".into(), "alice".into(), "abc".into()];
    let fetched = world.fetch_with(&["abc", "applied", "../up", "alice"]).await.unwrap();
    assert_eq!(fetched.profiles, ["zed", "abc", "applied", "alice"]);
    assert_eq!(fetched.problems, ["../up is not the name of a profile, and is left out"]);
    assert_eq!(world.scripts(Event::Configure), ["zed/x", "abc/x", "applied/x", "alice/emacs.sh"]);
}

#[tokio::test]
async fn only_what_has_changed_is_fetched_again() {
    let world = World::new();
    world.upload("alice/start.d/same", "#!/bin/sh\n");
    world.fetch().await.unwrap();
    assert_eq!(world.fetched().len(), 2);
    world.upload("alice/configure.d/emacs.sh", "#!/bin/sh\necho new\n");
    world.fetch().await.unwrap();
    assert_eq!(world.fetched(), ["customizer/alice/configure.d/emacs.sh"]);
    assert_eq!(fs::read_to_string(world.file("01-alice/configure.d/emacs.sh")).unwrap(), "#!/bin/sh\necho new\n");
    // What a script has changed on the node is fetched too: at each boot a profile is as it is in the bucket.
    fs::write(world.file("01-alice/start.d/same"), "#!/bin/sh\nrm -rf /\n").unwrap();
    world.fetch().await.unwrap();
    assert_eq!(world.fetched(), ["customizer/alice/start.d/same"]);
    assert_eq!(fs::read_to_string(world.file("01-alice/start.d/same")).unwrap(), "#!/bin/sh\n");
}

#[tokio::test]
async fn b14_without_a_manifest_all_scripts_come_and_with_one_it_is_not_read() {
    let world = World::new();
    world.upload("alice/manifest.txt", "configure.d/no-such-file\n");
    world.upload("alice/start.d/x", "#!/bin/sh\n");
    assert_eq!(world.fetch().await.unwrap().problems, [""; 0]);
    assert_eq!((world.scripts(Event::Configure).len(), world.scripts(Event::Start).len()), (1, 1));
}

#[tokio::test]
async fn b15_a_script_that_is_removed_from_the_bucket_runs_no_longer() {
    let world = World::new();
    world.upload("alice/configure.d/old", "#!/bin/sh\n");
    world.fetch().await.unwrap();
    assert_eq!(world.scripts(Event::Configure), ["alice/emacs.sh", "alice/old"]);
    fs::remove_file(world.object("alice/configure.d/old")).unwrap();
    world.fetch().await.unwrap();
    assert_eq!(world.scripts(Event::Configure), ["alice/emacs.sh"]);
    fs::remove_dir_all(world.object("alice")).unwrap();
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.problems, ["profile alice: nothing lies under customizer/alice/ in the bucket profiles"]);
    assert_eq!(world.scripts(Event::Configure), [""; 0]);
}

#[tokio::test]
async fn b13_where_the_listing_is_denied_the_manifest_names_the_files() {
    let world = World::new();
    world.upload("alice/start.d/not-named", "#!/bin/sh\n");
    world.upload("alice/manifest.txt", "configure.d/emacs.sh\n../bob/configure.d/theirs\n/etc/passwd\njob-queue.d/x/pending/1\n");
    world.upload("bob/configure.d/theirs", "#!/bin/sh\n");
    world.store.store.refuse("list profiles/");
    let fetched = world.fetch().await.unwrap();
    assert_eq!(
        fetched.problems,
        [
            "profile alice: ../bob/configure.d/theirs is left out: its path leads out of the profile",
            "profile alice: /etc/passwd is left out: its path leads out of the profile"
        ]
    );
    assert_eq!(world.fetched(), ["customizer/alice/configure.d/emacs.sh"]);
    assert_eq!((world.scripts(Event::Configure), world.scripts(Event::Start)), (vec!["alice/emacs.sh".into()], vec![]));
}

#[tokio::test]
async fn b13_a_file_that_the_manifest_names_and_that_is_missing_fails_the_profile() {
    let mut world = World::new();
    world.settings.site_profiles = vec!["site".into()];
    world.upload("site/manifest.txt", "configure.d/a\nconfigure.d/missing\n");
    world.upload("site/configure.d/a", "#!/bin/sh\n");
    world.store.store.refuse("list profiles/customizer/site/");
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.profiles, ["alice"]);
    let [problem] = fetched.problems.as_slice() else { panic!("{:?}", fetched.problems) };
    assert!(
        problem.starts_with("profile site: its file configure.d/missing cannot be fetched: S3 has no such object or bucket"),
        "{problem}"
    );
    assert!(problem.ends_with("; none of its scripts runs"), "{problem}");
    assert!(!world.file("01-site").exists(), "not the half of it");
}

#[tokio::test]
async fn an_own_profile_that_cannot_be_read_is_an_error_at_the_first_boot_and_the_sites_is_there_all_the_same() {
    let mut world = World::new();
    world.settings.site_profiles = vec!["site".into()];
    world.upload("site/fail.d/report", "#!/bin/sh\n");
    world.store.store.refuse("list profiles/customizer/alice/");
    let error = world.fetch().await.unwrap_err().to_string();
    assert!(error.starts_with("the profile alice cannot be fetched: S3 refuses it: "), "{error}");
    assert!(error.ends_with("; nor is there a manifest.txt that it gives out"), "{error}");
    assert_eq!(world.scripts(Event::Fail), ["site/report"]);
    world.store.store.allow_all();
    world.upload("alice/manifest.txt", " \n");
    world.store.store.refuse("list profiles/customizer/alice/");
    assert!(world.fetch().await.unwrap_err().to_string().contains("its manifest.txt names no file"));
}

#[tokio::test]
async fn b23_without_network_the_scripts_that_were_fetched_last_stay_and_that_is_reported() {
    let mut world = World::new();
    world.settings.site_profiles = vec!["site".into()];
    world.upload("site/configure.d/x", "#!/bin/sh\n");
    world.store.unreachable = true;
    assert!(matches!(world.fetch().await, Err(FetchError::Unreadable { .. })), "a first boot");
    assert_eq!(*world.store.asked.lock().unwrap(), 1, "S3 is waited for once, not for each profile");
    world.store.unreachable = false;
    world.fetch().await.unwrap();
    world.store.unreachable = true;
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.profiles, ["site", "alice"]);
    let expected = |name| format!("profile {name}: S3 cannot be reached: no route to host; the scripts that were fetched last stay");
    assert_eq!(fetched.problems, [expected("site"), expected("alice")]);
    assert_eq!(world.scripts(Event::Configure), ["site/x", "alice/emacs.sh"]);
    // And once more: what stays is as good as what was fetched.
    assert_eq!(world.fetch().await.unwrap(), fetched);
    world.store.unreachable = false;
    world.fetch().await.unwrap();
    assert_eq!(world.fetched(), [""; 0], "nothing of it is fetched again");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_leaves_its_profile_as_it_was() {
    let world = World::new();
    world.fetch().await.unwrap();
    world.upload("alice/configure.d/emacs.sh", "#!/bin/sh\necho new\n");
    world.upload("alice/start.d/secret", "#!/bin/sh\n");
    world.store.store.refuse("get profiles/customizer/alice/start.d/secret");
    let fetched = world.fetch().await.unwrap();
    assert!(fetched.problems[0].contains("its file start.d/secret cannot be fetched: S3 refuses it"), "{:?}", fetched.problems);
    assert_eq!(fs::read_to_string(world.file("01-alice/configure.d/emacs.sh")).unwrap(), "#!/bin/sh\n");
}

#[tokio::test]
async fn hostile_keys_are_left_out_and_reported_and_the_others_come() {
    let mut world = World::new();
    let odd = |key: &str, size| Object { key: format!("customizer/alice/{key}"), size, etag: "\"e\"".into(), modified: 0 };
    let huge = choice::FILE_BYTES_MAX + 1;
    world.store.listed_too = vec![
        odd("", 0),
        odd("configure.d/", 0),
        odd("../../etc/cron.d/x", 5),
        odd("configure.d//x", 5),
        odd("start.d/huge", huge),
        odd("a/../b", 1),
    ];
    world.store.listed_too.extend(["x\0y", "//", "./z", "start.d/gone"].map(|key| odd(key, 5)));
    world.upload("alice/job-queue.d/login1/pending/1", "a job");
    world.upload("alice/share/process-job", "#!/bin/sh\n");
    let fetched = world.fetch().await.unwrap();
    assert_eq!(world.scripts(Event::Configure), ["alice/emacs.sh"]);
    let problems = fetched.problems.join("\n");
    for words in [
        "../../etc/cron.d/x is left out: its path leads out",
        "configure.d//x is left out: its path has an empty part",
        "start.d/huge is left out: it has more than 256 MiB",
        "a/../b is left out",
        "more files are left out",
    ] {
        assert!(problems.contains(words), "{words}\n{problems}");
    }
    assert_eq!(fetched.problems.len(), NAMED_MAX + 1);
    let mut top: Vec<_> = fs::read_dir(world.file("01-alice")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    top.sort();
    assert_eq!(top, ["configure.d", "start.d"], "neither the queue's folders nor those of what was left out");
}

#[tokio::test]
async fn a_script_that_is_removed_during_the_fetch_is_left_out() {
    let mut world = World::new();
    world.store.listed_too = vec![Object { key: "customizer/alice/start.d/gone".into(), size: 5, etag: "\"e\"".into(), modified: 0 }];
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.problems, ["profile alice: start.d/gone is left out: it was removed from the bucket during the fetch"]);
    assert_eq!(fetched.profiles, ["alice"]);
}

#[tokio::test]
async fn a_profile_of_more_objects_than_are_listed_is_reported_and_the_first_come() {
    let mut world = World::new();
    let mark = |nth| Object { key: format!("customizer/alice/z/{nth:05}/"), size: 0, etag: "\"e\"".into(), modified: 0 };
    world.store.listed_too = (1..OBJECTS_MAX).map(mark).collect();
    assert_eq!(world.fetch().await.unwrap().problems, [""; 0]);
    world.store.listed_too.push(mark(OBJECTS_MAX));
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.problems, ["profile alice: it has more than 10000 objects, and only the first of them, by their keys, are fetched"]);
    assert_eq!(world.scripts(Event::Configure), ["alice/emacs.sh"]);
}

#[tokio::test]
async fn too_many_profiles_are_cut_and_the_users_own_stays() {
    let world = World::new();
    let names: Vec<String> = (0..PROFILES_MAX + 5).map(|nth| format!("p{nth}")).collect();
    let mut problems = Vec::new();
    let order = order(&world.settings, &names, &mut problems);
    assert_eq!((order.len(), order.last().map(|last| last.0.as_str())), (PROFILES_MAX, Some("alice")));
    assert_eq!(problems, ["a node has at most 100 profiles; p98 and those after it are left out"]);
}

/// The agent runs a fetch as a task of its own.
#[test]
fn a_fetch_can_be_sent_to_another_thread() {
    fn is_send(_: impl Send) {}
    let world = World::new();
    is_send(fetch(&world.store, &world.settings, &world.layout(), &[]));
}
