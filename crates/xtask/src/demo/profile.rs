//! Alice's profile: the files in `crates/xtask/profiles/alice`, as the administrator uploads them.

/// A file of a profile: where it lies in it, and its text.
pub type File = (&'static str, &'static str);

/// The script that lets Alice log in. Without such a one no cluster is ready.
pub const KEY: &str = include_str!("../../profiles/alice/configure.d/10-key.sh");

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../profiles/alice/", $name)))
    };
}

/// All of it.
pub const ALICE: &[File] = &[
    file!("profile.toml"),
    file!("configure.d/10-key.sh"),
    file!("configure.d/20-tools.sh"),
    file!("start.d/30-scratch.sh"),
    file!("member-join.d/10-note.sh"),
    file!("member-leave.d/10-note.sh"),
    file!("export.d/addresses.sh"),
    file!("populate.d/addresses.py"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use cf_local::root;

    use super::*;

    #[test]
    fn the_demo_uploads_every_file_of_the_profile() {
        let folder = root().join("crates/xtask/profiles/alice");
        let mut files = BTreeSet::new();
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                files.extend(fs::read_dir(entry.path()).unwrap().map(|file| format!("{name}/{}", file.unwrap().file_name().display())));
            } else {
                files.insert(name);
            }
        }
        assert_eq!(ALICE.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(), files);
    }
}
