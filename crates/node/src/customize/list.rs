//! `customize list`: the profiles that are on this node, by its disk alone.

use std::fs;

use strum::IntoEnumIterator as _;

use crate::event::Event;
use crate::node::Layout;
use crate::profile::listing::Observed;
use crate::profile::{ProfileFolder, shown};

use super::REPOSITORY;

/// The profiles' folders, in the order in which their scripts run.
pub fn installed(layout: &Layout) -> Vec<ProfileFolder> {
    Observed::read(&layout.profiles(), Event::Configure).profiles.into_iter().map(|profile| profile.folder).collect()
}

/// The lines of the list: `account/<profile>`; with events, `account/<profile>/<event>` for each folder of scripts.
pub fn lines(layout: &Layout, with_events: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for folder in installed(layout) {
        let name = format!("{REPOSITORY}/{}", shown(&folder.name));
        if !with_events {
            lines.push(name);
            continue;
        }
        let is_there = |event: &Event| fs::symlink_metadata(folder.path.join(event.folder())).is_ok_and(|found| found.is_dir());
        lines.extend(Event::iter().filter(is_there).map(|event| format!("{name}/{event}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_listed_in_their_order_and_with_their_events_where_asked() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        assert_eq!(lines(&layout, true), [""; 0]);
        for folder in ["01-zed/start.d", "01-zed/configure.d", "01-zed/share", "02-a\u{1b}[31mbc/fail.d"] {
            fs::create_dir_all(layout.profiles().join(folder)).unwrap();
        }
        assert_eq!(lines(&layout, false)[0], "account/zed");
        let with_events = lines(&layout, true);
        assert_eq!(with_events[..2], ["account/zed/configure", "account/zed/start"]);
        assert!(with_events[2].ends_with("/fail") && !with_events[2].contains('\u{1b}'), "{with_events:?}");
    }
}
