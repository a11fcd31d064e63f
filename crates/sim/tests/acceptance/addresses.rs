//! Where a login address is reported, and what becomes of it there (check A11).

use cf_core::message::Message;
use cf_sim::{Cloud, StackBehaviour};

use super::{CREATE, DELETE, EXAMPLE, at_rest, cloud, stacks, standing};

/// A folder where a second upload of alice's was answered.
const ELSEWHERE: &str = "home/alice/other folder/demo";

/// An administrator's update of the stack gives it another login address, or none.
fn set_login(cloud: &mut Cloud, login: Option<&str>) {
    let id = stacks(cloud)[0].id.clone();
    let output = cloud.world.settings.template.metadata.login_output.clone();
    cloud.world.state().stacks.set_output(&id, &output, login);
}

/// What stands beside both uploads: the address, or that there is none.
fn addresses(cloud: &Cloud) -> [Option<String>; 2] {
    ["home/alice/demo", ELSEWHERE].map(|stem| {
        let (address, failure) = (cloud.text(&format!("{stem}.cf-created")), cloud.message(&format!("{stem}.cf-failed")));
        assert_ne!(address.is_some(), failure.is_some(), "{stem}: {:?}", cloud.keys());
        assert!(failure.is_none_or(|message| matches!(message, Message::NoLogin { .. })));
        address
    })
}

#[test]
fn a11_an_address_given_in_another_folder_goes_with_the_cluster() {
    for delete in [true, false] {
        let mut cloud = standing();
        cloud.drop_file(&format!("{ELSEWHERE}.cf-create"), EXAMPLE);
        let mut cloud = at_rest(cloud);
        if delete {
            cloud.drop_file(DELETE, b"");
        } else {
            let (id, at) = (stacks(&cloud)[0].id.clone(), cloud.world.now());
            cloud.world.state().stacks.delete(&id, at).expect("an administrator may");
        }
        let cloud = at_rest(cloud);
        assert_eq!(cloud.keys(), ["home/alice/demo.cf-deleted", "home/alice/demo.cf-status"]);
    }
}

#[test]
fn a11_a_changed_address_is_reported_in_every_folder_also_where_there_was_none_for_a_while() {
    let mut cloud = standing();
    cloud.drop_file(&format!("{ELSEWHERE}.cf-create"), EXAMPLE);
    let mut cloud = at_rest(cloud);
    for login in [Some("203.0.113.1"), None, Some("203.0.113.2"), None, Some("203.0.113.3")] {
        set_login(&mut cloud, login);
        cloud = at_rest(cloud);
        let line = login.map(|login| format!("{login}\n"));
        assert_eq!(addresses(&cloud), [line.clone(), line], "{login:?}");
    }
}

#[test]
fn a11_an_address_that_comes_late_reaches_every_folder_that_reports_none() {
    let mut cloud = cloud();
    cloud.world.state().stacks.next_behaviour = StackBehaviour::NoLogin;
    cloud.drop_file(CREATE, EXAMPLE);
    cloud.drop_file(&format!("{ELSEWHERE}.cf-create"), EXAMPLE);
    let mut cloud = at_rest(cloud);
    assert_eq!(addresses(&cloud), [None, None]);
    set_login(&mut cloud, Some("203.0.113.1"));
    let cloud = at_rest(cloud);
    let line = Some("203.0.113.1\n".to_owned());
    assert_eq!(addresses(&cloud), [line.clone(), line]);
}
