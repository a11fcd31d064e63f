//! A world in which a token repeated on the living stack that it has made is refused. AWS documents neither answer.

use cf_core::stack::StackState;
use cf_core::testing;
use cf_sim::{Cloud, When};

fn cloud() -> Cloud {
    let cloud = Cloud::new(testing::settings()).with_profile("alice");
    cloud.world.state().stacks.refuses_repeats = true;
    cloud
}

#[test]
fn a_creation_whose_answer_was_lost_is_followed_and_not_given_up() {
    for blind in 0..3 {
        let mut cloud = cloud();
        // The third effect is CreateStack: ledger, state and stack; whichever it is, one of these loses its answer.
        for nth in 0..4 {
            cloud = self::cloud();
            cloud.world.spoil(nth, When::After);
            // The first looks do not see the stack that is there, so it is asked for again.
            cloud.drop_file("home/alice/demo.cf-create", b"{}");
            cloud.world.state().blind_looks = blind;
            cloud.settle();
            assert_eq!(cloud.text("home/alice/demo.cf-created").as_deref(), Some("198.51.100.7\n"), "{nth} {blind}: {:?}", cloud.keys());
            assert_eq!((cloud.text("home/alice/demo.cf-failed"), cloud.world.state().stacks.all().len()), (None, 1));
        }
        assert_eq!(cloud.complaints(), []);
    }
}

#[test]
fn a_stack_that_fails_or_goes_meanwhile_decides_as_well() {
    for fate in [cf_sim::Fate::Fails, cf_sim::Fate::NoLogin] {
        let mut cloud = cloud();
        cloud.world.state().stacks.next_fate = fate.clone();
        cloud.world.spoil(1, When::After);
        cloud.drop_file("home/alice/demo.cf-create", b"{}");
        cloud.world.state().blind_looks = 2;
        cloud.settle();
        assert!(cloud.text("home/alice/demo.cf-failed").is_some(), "{fate:?}");
        let living = cloud.world.state().stacks.all_living().filter(|s| s.stack.status.state() != StackState::Standing).count();
        assert_eq!(living, 0, "{fate:?}");
    }
}
