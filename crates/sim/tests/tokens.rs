//! A world in which a token repeated on the living stack that it has made is refused. AWS documents neither answer.

use cf_core::stack::StackState;
use cf_core::testing;
use cf_sim::{Cloud, FaultTiming};

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
            cloud.world.inject_fault(nth, FaultTiming::After);
            // The first looks do not see the stack that is there, so it is asked for again.
            cloud.drop_file("home/alice/demo.cf-create", b"{}");
            cloud.world.state().hidden_lookups = blind;
            cloud.settle();
            assert_eq!(cloud.text("home/alice/demo.cf-created").as_deref(), Some("198.51.100.7\n"), "{nth} {blind}: {:?}", cloud.keys());
            assert_eq!((cloud.text("home/alice/demo.cf-failed"), cloud.world.state().stacks.all().len()), (None, 1));
        }
        assert_eq!(cloud.findings_at_rest(), []);
    }
}

#[test]
fn a_stack_that_fails_or_goes_meanwhile_decides_as_well() {
    for behaviour in [cf_sim::StackBehaviour::Fails, cf_sim::StackBehaviour::NoLogin] {
        let mut cloud = cloud();
        cloud.world.state().stacks.next_behaviour = behaviour.clone();
        cloud.world.inject_fault(1, FaultTiming::After);
        cloud.drop_file("home/alice/demo.cf-create", b"{}");
        cloud.world.state().hidden_lookups = 2;
        cloud.settle();
        assert!(cloud.text("home/alice/demo.cf-failed").is_some(), "{behaviour:?}");
        let living = cloud.world.state().stacks.all_living().filter(|s| s.stack.status.state() != StackState::Available).count();
        assert_eq!(living, 0, "{behaviour:?}");
    }
}
