//! Names that look like a request's: answered once at the whole key, left where they are, and never answered in turn.

use cf_core::effect::Effect;
use cf_core::message::{KeyProblem, Message, WrongKey};

use super::{at_rest, cloud, failed, stacks};

#[test]
fn a_file_whose_name_looks_like_a_requests_is_answered_once_and_stays() {
    let mut cloud = cloud();
    for (name, right) in [
        ("n1.cf-create.txt", "n1.cf-create"),
        ("n2 (1).cf-create.txt", "n2-1.cf-create"),
        ("n4.CF-CREATE", "n4.cf-create"),
        ("n6.cf_delete", "n6.cf-delete"),
        ("old/n7.cf-delete~", "old/n7.cf-delete"),
    ] {
        let key = format!("home/alice/{name}");
        cloud.drop_file(&key, b"{}");
        cloud.settle();
        let answer = failed(&cloud, &key);
        let Message::LookAlike(KeyProblem { wrong: WrongKey::Ending { right: Ok(found), .. }, .. }) = &answer else { panic!("{answer:?}") };
        assert_eq!(found.to_string(), format!("home/alice/{right}"));
        assert_eq!(cloud.text(&key).as_deref(), Some("{}"), "{key} is its user's");
        // S3 tells of our answer as well, and of the file when it is touched: nothing is written a second time.
        cloud.world.state().effects.clear();
        cloud.drop_file(&key, b"{}");
        cloud.queue.push_back(cf_sim::Event::Upload(format!("{key}.cf-failed")));
        cloud.settle();
        let written = cloud.world.state().effects.iter().filter(|e| !matches!(e, Effect::WriteAnswer { .. })).count();
        assert_eq!(written, 0, "one write, of the answer alone");
        assert_eq!(cloud.keys().iter().filter(|k| k.starts_with(&key)).count(), 2, "{:?}", cloud.keys());
        assert_eq!(failed(&cloud, &key), answer);
    }
    assert!(stacks(&cloud).is_empty());
    at_rest(cloud);
}

#[test]
fn a_look_alike_touches_neither_the_cluster_of_that_name_nor_its_answers() {
    let mut cloud = cloud();
    cloud.drop_file("home/alice/demo.cf-create", b"{}");
    cloud.settle();
    let before = cloud.text("home/alice/demo.cf-status");
    cloud.drop_file("home/alice/demo.cf-delete.txt", b"");
    cloud.settle();
    assert_eq!(stacks(&cloud).len(), 1);
    assert_eq!(cloud.text("home/alice/demo.cf-status"), before);
    assert!(cloud.text("home/alice/demo.cf-created").is_some() && cloud.text("home/alice/demo.cf-failed").is_none());
    at_rest(cloud);
}

#[test]
fn an_answer_that_the_user_removed_is_given_again_for_the_next_upload() {
    let mut cloud = cloud();
    let key = "home/alice/n1.cf-create.json";
    for _ in 0..2 {
        cloud.drop_file(key, b"{}");
        cloud.settle();
        failed(&cloud, key);
        let answer = format!("{key}.cf-failed");
        cloud.world.state().store.delete(cf_sim::Bucket::User, &answer);
        assert_eq!(cloud.text(&answer), None);
    }
    at_rest(cloud);
}
