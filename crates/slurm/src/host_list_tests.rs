//! Lists of hosts: what Slurm prints is read, what is printed is read again, and what nobody's Slurm prints is refused.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn printed(names: &[&str]) -> String {
    compress(names.iter().copied())
}

#[test]
fn a_list_of_slurm_is_read_into_its_names_in_its_order() {
    assert_eq!(expand("compute-[1-3,7]").unwrap(), ["compute-1", "compute-2", "compute-3", "compute-7"]);
    assert_eq!(expand("compute-7,login1").unwrap(), ["compute-7", "login1"]);
    assert_eq!(expand("n[008-011],x").unwrap(), ["n008", "n009", "n010", "n011", "x"]);
    assert_eq!(expand("n[1,01]").unwrap(), ["n1", "n01"]);
    assert_eq!(expand(" compute-1\n").unwrap(), ["compute-1"], "a program's argument, or a line of output");
    assert_eq!(expand("").unwrap(), [""; 0]);
}

#[test]
fn names_are_printed_as_slurm_prints_them() {
    assert_eq!(printed(&["compute-7", "compute-2", "compute-1", "compute-3", "compute-2"]), "compute-[1-3,7]");
    assert_eq!(printed(&["compute-10", "compute-9"]), "compute-[9-10]");
    assert_eq!(printed(&["n010", "n008", "n009"]), "n[008-010]");
    assert_eq!(printed(&["n1", "n01"]), "n[01,1]");
    assert_eq!(printed(&["n009", "n10"]), "n[009,10]", "another width is no neighbour");
    assert_eq!(printed(&["login1", "compute-1", "head"]), "compute-1,head,login1");
    assert_eq!(printed(&[]), "");
}

#[test]
fn what_is_no_list_is_refused_with_its_reason() {
    for (text, error) in [
        (",", HostListError::Empty),
        ("a,,b", HostListError::Empty),
        ("[1-2]", HostListError::Empty),
        ("a b", HostListError::Character(' ')),
        ("a;reboot", HostListError::Character(';')),
        ("compute-[1-2", HostListError::Bracket),
        ("compute-1]", HostListError::Bracket),
        ("compute-[1-2]-x", HostListError::Bracket),
        ("r[1-2]n[1-2]", HostListError::Bracket),
        ("n[[1]]", HostListError::Bracket),
        ("n[]", HostListError::Range(String::new())),
        ("n[1,]", HostListError::Range(String::new())),
        ("n[1-2-3]", HostListError::Range("1-2-3".into())),
        ("n[+1]", HostListError::Range("+1".into())),
        ("n[3-1]", HostListError::Descending("3-1".into())),
        ("n[1-9999999999999999999]", HostListError::Range("1-9999999999999999999".into())),
    ] {
        assert_eq!(expand(text), Err(error), "{text}");
    }
}

#[test]
fn a_list_has_as_many_names_as_slurm_allows_and_not_one_more() {
    assert_eq!(expand("n[1-65536]").unwrap().len(), NAMES_MAX);
    assert_eq!(expand("n[1-65537]"), Err(HostListError::TooMany));
    assert_eq!(expand("n[1-65536],x"), Err(HostListError::TooMany));
    assert_eq!(expand("n[1-999999999999999999]"), Err(HostListError::TooMany), "it ends at the limit, however far the range reaches");
    assert!(expand(&"a".repeat(NAME_CHARS_MAX)).is_ok());
    assert_eq!(expand(&"a".repeat(NAME_CHARS_MAX + 1)), Err(HostListError::TooLong));
}

#[test]
fn only_compute_nodes_are_nodes() {
    assert_eq!(nodes("compute-[1-2],compute-1").unwrap(), BTreeSet::from([NodeName::of_rank(1), NodeName::of_rank(2)]));
    for text in ["login1", "compute-0", "compute-01", "compute-[01-02]", "compute-4294967296", "x"] {
        assert!(matches!(nodes(text), Err(HostListError::NoNode(_))), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same_names(names in prop::collection::btree_set("[a-c][0-9]{0,3}|compute-[1-9][0-9]?|[a-z.-]{1,3}", 0..40)) {
        let text = compress(names.iter().map(String::as_str));
        let read = expand(&text).unwrap();
        prop_assert_eq!(read.iter().collect::<BTreeSet<_>>(), names.iter().collect::<BTreeSet<_>>());
        prop_assert_eq!(read.len(), names.len(), "each once: {}", text);
        prop_assert_eq!(compress(read.iter().map(String::as_str)), text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}|[a-c0-9,\\[\\]-]{0,40}") {
        if let Ok(names) = expand(&text) {
            prop_assert!(names.len() <= NAMES_MAX);
            let again = expand(&compress(names.iter().map(String::as_str))).unwrap();
            prop_assert_eq!(again.into_iter().collect::<BTreeSet<_>>(), names.into_iter().collect::<BTreeSet<_>>());
        }
    }
}
