//! Pushes into a bucket in a folder: acceptance check B16, and what others may have done in the bucket meanwhile.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::customize::testing::Bucket;

struct Desk {
    bucket: Bucket,
    home: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { bucket: Bucket::new(), home: tempfile::tempdir().unwrap() }
    }

    fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    async fn push(&self, path: &str, hook: Event) -> Result<Pushed, PushError> {
        push(&self.bucket.store, "profiles", &self.home.path().join(path), hook, false).await
    }

    fn remote(&self, path: &str) -> Option<String> {
        self.bucket.read(&format!("customizer/{path}"))
    }
}

#[tokio::test]
async fn b16_a_pushed_file_is_in_its_hook_in_the_manifest_and_in_the_index() {
    let desk = Desk::new();
    desk.write("foo.sh", "#!/bin/sh\n");
    desk.push("foo.sh", Event::Configure).await.unwrap();
    assert_eq!(desk.remote("foo/configure.d/foo.sh").unwrap(), "#!/bin/sh\n");
    assert_eq!(desk.remote("foo/manifest.txt").unwrap(), "configure.d/foo.sh\n");
    desk.push("foo.sh", Event::Start).await.unwrap();
    assert_eq!(desk.remote("foo/manifest.txt").unwrap(), "configure.d/foo.sh\nstart.d/foo.sh\n");
    let index = Index::parse(desk.remote("index.yml").unwrap().as_bytes()).unwrap();
    assert_eq!(index.tags().keys().copied().collect::<Vec<_>>(), ["foo"]);
}

#[tokio::test]
async fn b16_a_push_of_one_file_removes_no_other_script() {
    let desk = Desk::new();
    desk.bucket.write("customizer/foo/configure.d/by-console.sh", "theirs");
    desk.write("foo/configure.d/first.sh", "#!/bin/sh\n1\n");
    desk.push("foo", Event::Configure).await.unwrap();
    desk.write("foo.sh", "#!/bin/sh\n2\n");
    let pushed = desk.push("foo.sh", Event::Configure).await.unwrap();
    assert_eq!((pushed.removed.len(), pushed.written), (0, vec!["configure.d/foo.sh".to_owned()]));
    let manifest = desk.remote("foo/manifest.txt").unwrap();
    assert_eq!(manifest, "configure.d/by-console.sh\nconfigure.d/first.sh\nconfigure.d/foo.sh\n");
}

#[tokio::test]
async fn b16_a_push_of_a_folder_removes_what_an_earlier_push_wrote_and_nothing_else() {
    let desk = Desk::new();
    for (path, content) in [("configure.d/old.sh", "old"), ("configure.d/edited.sh", "mine"), ("start.d/stays.sh", "stays")] {
        desk.write(&format!("foo/{path}"), content);
    }
    desk.push("foo", Event::Configure).await.unwrap();
    let theirs = ["configure.d/by-console.sh", "job-queue.d/login1/pending/job", "job-queue.d/login1/completed/x/status"];
    for path in theirs {
        desk.bucket.write(&format!("customizer/foo/{path}"), "theirs");
    }
    desk.bucket.write("customizer/foo/configure.d/edited.sh", "edited by console");
    desk.bucket.write("customizer/bar/configure.d/other.sh", "another profile");
    fs::remove_dir_all(desk.home.path().join("foo/configure.d")).unwrap();
    let pushed = desk.push("foo", Event::Configure).await.unwrap();
    assert_eq!(pushed.removed, ["configure.d/old.sh"]);
    assert!(pushed.notes[0].contains("edited.sh stays in the bucket"), "{:?}", pushed.notes);
    assert_eq!(desk.remote("foo/configure.d/old.sh"), None);
    assert_eq!(desk.remote("foo/configure.d/edited.sh").unwrap(), "edited by console");
    for path in theirs {
        assert_eq!(desk.remote(&format!("foo/{path}")).unwrap(), "theirs", "{path}");
    }
    assert_eq!(desk.remote("bar/configure.d/other.sh").unwrap(), "another profile");
    assert_eq!(desk.remote("foo/manifest.txt").unwrap(), "configure.d/by-console.sh\nconfigure.d/edited.sh\nstart.d/stays.sh\n");
    let again = desk.push("foo", Event::Configure).await.unwrap();
    assert_eq!((again.written.len(), again.removed.len(), again.unchanged), (0, 0, 1));
}

#[tokio::test]
async fn b16_a_script_that_was_edited_in_the_bucket_is_not_wiped_by_the_next_push() {
    let desk = Desk::new();
    let file = desk.write("foo.sh", "#!/bin/sh\necho 1\n");
    desk.push("foo.sh", Event::Configure).await.unwrap();
    desk.write("foo.sh", "#!/bin/sh\necho 2\n");
    desk.push("foo.sh", Event::Configure).await.unwrap();
    assert_eq!(desk.remote("foo/configure.d/foo.sh").unwrap(), "#!/bin/sh\necho 2\n", "one's own is replaced");
    desk.bucket.write("customizer/foo/configure.d/foo.sh", "edited");
    let error = desk.push("foo.sh", Event::Configure).await.unwrap_err().to_string();
    assert!(error.contains("configure.d/foo.sh") && error.contains("--overwrite"), "{error}");
    assert_eq!(desk.remote("foo/configure.d/foo.sh").unwrap(), "edited");
    push(&desk.bucket.store, "profiles", &file, Event::Configure, true).await.unwrap();
    assert_eq!(desk.remote("foo/configure.d/foo.sh").unwrap(), "#!/bin/sh\necho 2\n");
}

#[tokio::test]
async fn a_push_that_stopped_anywhere_is_completed_by_the_next() {
    for stops_at in [
        "put profiles/customizer/foo/start.d",
        "remove ",
        "put profiles/customizer/foo/manifest",
        "put profiles/customizer/foo/.pushed",
        "put profiles/customizer/index",
    ] {
        let desk = Desk::new();
        desk.write("foo/configure.d/gone.sh", "gone");
        desk.push("foo", Event::Configure).await.unwrap();
        fs::remove_dir_all(desk.home.path().join("foo/configure.d")).unwrap();
        desk.write("foo/configure.d/a.sh", "a");
        desk.write("foo/start.d/b.sh", "b");
        desk.bucket.store.refuse(stops_at);
        assert!(desk.push("foo", Event::Configure).await.is_err(), "{stops_at}");
        desk.bucket.store.allow_all();
        desk.push("foo", Event::Configure).await.unwrap();
        assert_eq!(desk.remote("foo/manifest.txt").unwrap(), "configure.d/a.sh\nstart.d/b.sh\n", "{stops_at}");
        let keys = desk.bucket.keys();
        let all = [
            "customizer/foo/.pushed.json",
            "customizer/foo/configure.d/a.sh",
            "customizer/foo/manifest.txt",
            "customizer/foo/start.d/b.sh",
            "customizer/index.yml",
        ];
        assert_eq!(keys, all, "{stops_at}");
        assert!(desk.remote("index.yml").unwrap().contains("start.d/b.sh"), "{stops_at}");
    }
}

#[tokio::test]
async fn a_profile_with_scripts_for_the_boot_gets_the_tag_that_bars_live_use_and_keeps_its_own() {
    let desk = Desk::new();
    desk.write("foo/initialize.d/a.sh", "x");
    desk.write("foo/tags.txt", "gpu\n");
    desk.push("foo", Event::Configure).await.unwrap();
    let index = Index::parse(desk.remote("index.yml").unwrap().as_bytes()).unwrap();
    assert_eq!(index.tags()["foo"], ["gpu", "startup"]);
}

#[tokio::test]
async fn keys_that_fit_no_line_are_left_out_of_the_manifest_and_ten_thousand_objects_are_too_many() {
    let desk = Desk::new();
    desk.write("foo.sh", "#!/bin/sh\n");
    desk.bucket.write("customizer/foo/configure.d/a\nb", "x");
    let pushed = desk.push("foo.sh", Event::Configure).await.unwrap();
    assert_eq!(desk.remote("foo/manifest.txt").unwrap(), "configure.d/foo.sh\n");
    assert!(pushed.notes[0].contains("does not fit into a line") && !pushed.notes[0].contains('\n'), "{:?}", pushed.notes);
    for nth in 0..=OBJECTS_MAX {
        desk.bucket.write(&format!("customizer/full/start.d/{nth}"), "x");
    }
    desk.write("full.sh", "#!/bin/sh\n");
    assert!(matches!(desk.push("full.sh", Event::Configure).await, Err(PushError::TooMany(_))));
}

#[tokio::test]
async fn a_record_that_no_push_wrote_stops_the_push_and_an_index_that_is_none_is_reported() {
    let desk = Desk::new();
    desk.write("foo.sh", "#!/bin/sh\n");
    desk.bucket.write("customizer/foo/.pushed.json", "[]");
    assert!(matches!(desk.push("foo.sh", Event::Configure).await, Err(PushError::Record(RecordError::Broken(..)))));
    assert_eq!(desk.remote("foo/configure.d/foo.sh"), None);
    fs::remove_file(desk.bucket.path("customizer/foo/.pushed.json")).unwrap();
    desk.bucket.write("customizer/index.yml", "[]");
    assert!(matches!(desk.push("foo.sh", Event::Configure).await, Err(PushError::Index(..))));
    assert_eq!(desk.remote("index.yml").unwrap(), "[]", "what others wrote is not replaced");
}
