//! Names that must get a word, names that must not, and that no answer of ours is taken for a file of a user.

use super::*;
use crate::key::STATUS_SUFFIX;
use crate::names::NameError;

#[test]
fn a_name_that_looks_like_a_request_is_told_the_name_that_works() {
    for (key, right) in [
        ("home/alice/n1.cf-create.txt", "home/alice/n1.cf-create"),
        ("home/alice/n3.cf-create.json", "home/alice/n3.cf-create"),
        ("home/alice/n4.CF-CREATE", "home/alice/n4.cf-create"),
        ("home/alice/n5.cf-create~", "home/alice/n5.cf-create"),
        ("home/alice/n6.cf_create", "home/alice/n6.cf-create"),
        ("home/alice/n7.cf-delete.txt", "home/alice/n7.cf-delete"),
        ("home/alice/N8.Cf-Create.TXT", "home/alice/N8.cf-create"),
        ("home/alice/n9.cf-create.json.txt", "home/alice/n9.cf-create"),
        ("home/alice/n10.cf-create (1)", "home/alice/n10.cf-create"),
        ("home/alice/n11 (1).cf-create.txt", "home/alice/n11-1.cf-create"),
        ("home/alice/my projects/n12.cf_delete.txt", "home/alice/my projects/n12.cf-delete"),
        ("home/alice/n13.cf-create.", "home/alice/n13.cf-create"),
        ("home/alice/n14.cf-create ", "home/alice/n14.cf-create"),
        ("home/alice/n15.cfcreate", "home/alice/n15.cf-create"),
        ("home/alice/Größe_2.cf-delete.yml", "home/alice/Gr-e-2.cf-delete"),
        ("home/alice/.cf-create.txt", "home/alice/mycluster.cf-create"),
        ("home/alice/a+b.CF-DELETE", "home/alice/a-b.cf-delete"),
        ("home/alice/n16.cf-create - Copy", "home/alice/n16.cf-create"),
    ] {
        let Reading::LooksLike { answer, problem } = key::read(key) else { panic!("{key} gets no word") };
        assert_eq!(*answer, *format!("{key}.cf-failed"));
        let WrongKey::Ending { right: Ok(found), .. } = &problem.wrong else { panic!("{key}: {problem:?}") };
        assert_eq!(found.to_string(), right, "{key}");
    }
}

#[test]
fn a_look_alike_in_a_folder_that_cannot_be_is_told_that_too() {
    let folder = |name: &str| WrongKey::Folder(name.to_owned());
    for (key, why) in [
        ("home/alice//x.cf-create.txt", folder("")),
        ("home/alice/../x.cf-create.txt", folder("..")),
        ("home/-alice/x.cf-create.txt", WrongKey::User("-alice".to_owned(), NameError::Start('-'))),
        ("home/alice/a%20b/x.cf-create.json", WrongKey::Character('%')),
    ] {
        let Reading::LooksLike { problem, .. } = key::read(key) else { panic!("{key} gets no word") };
        let WrongKey::Ending { right: Err(Some(found)), verb: Verb::Create, .. } = &problem.wrong else { panic!("{key}: {problem:?}") };
        assert_eq!(**found, why, "{key}");
    }
}

#[test]
fn what_only_resembles_a_look_alike_gets_no_word() {
    let long = format!("home/alice/{}/x.cf-create.txt", "f".repeat(1000));
    for key in [
        "home/alice/README.txt",
        "home/alice/x.cf-created",
        "home/alice/x.cf-deleted",
        "home/alice/x.cf-status",
        "home/alice/x.cf-failed",
        "home/alice/x.CF-CREATED",
        "home/alice/x.cf-create.txt.cf-failed",
        "home/alice/x.cf-create.txt.cf-failed.cf-failed",
        "home/alice/notes about cf-create.md",
        "home/alice/how to cf-create.txt",
        "home/alice/cf-create.txt",
        "home/alice/x.cf-creates.txt",
        "home/alice/x.cf-create/data.txt",
        "home/alice/x.cf-old/x.cf-created",
        "home/alice/recreate.json",
        "home/alice/.x.cf-create.swp",
        "home/x.cf-create.txt",
        "other/alice/x.cf-create.txt",
        &long,
    ] {
        assert_eq!(key::read(key), Reading::NotARequest, "{key}");
    }
}

#[test]
fn no_ending_can_match_an_answer() {
    let answers = Answer::ALL.map(Answer::suffix).into_iter().chain([STATUS_SUFFIX]);
    for answer in answers {
        for ending in Verb::ALL.into_iter().flat_map(Verb::lookalikes) {
            // A key ends in both only where one of them is the end of the other.
            assert!(!answer.ends_with(&ending) && !ending.ends_with(answer), "{ending} and {answer}");
        }
    }
}

#[test]
fn what_buckets_tell_of_is_among_what_is_read() {
    for verb in Verb::ALL {
        for ending in verb.lookalikes_reported_by_buckets() {
            assert!(verb.lookalikes().contains(&ending.to_ascii_lowercase()), "{ending}");
        }
    }
}

#[test]
fn a_fitting_name_is_a_name_and_a_fitting_one_stays() {
    for name in ["", "-", "a", "n2 (1)", "é", "..", "x.y_z", "-a-", &"x".repeat(60), &format!("{}-y", "x".repeat(39)), "a\u{0}b"] {
        let fit = fitting(name);
        assert!(ClusterName::parse(&fit).is_ok(), "{name:?} gives {fit:?}");
    }
    for name in ["a", "my-cluster-2", "A1"] {
        assert_eq!(fitting(name), name);
    }
}
