//! Notifications of others, with our trigger put in and taken out.

use aws_sdk_s3::types::{QueueConfiguration, TopicConfiguration};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

const CREATE: &str = "arn:aws:lambda:eu-west-2:111122223333:function:clusterdrop-cf-create";
const DELETE: &str = "arn:aws:lambda:eu-west-2:111122223333:function:clusterdrop-cf-delete";

fn arn(function: Function) -> String {
    if function == Function::Delete { DELETE } else { CREATE }.to_owned()
}

fn our_rules() -> Vec<LambdaFunctionConfiguration> {
    rules(|function| Ok(arn(function))).expect("our rules")
}

fn functions() -> Wanted {
    Wanted::Functions(our_rules())
}

fn empty() -> NotificationConfiguration {
    NotificationConfiguration::builder().build()
}

fn filter(prefix: Option<&str>, suffix: Option<&str>) -> Option<NotificationConfigurationFilter> {
    // As S3 returns them: with a capital letter.
    let part = |name: &str, value: &str| FilterRule::builder().name(FilterRuleName::from(name)).value(value).build();
    let parts: Vec<FilterRule> = [prefix.map(|v| part("Prefix", v)), suffix.map(|v| part("Suffix", v))].into_iter().flatten().collect();
    let key = S3KeyFilter::builder().set_filter_rules(Some(parts)).build();
    (prefix.is_some() || suffix.is_some()).then(|| NotificationConfigurationFilter::builder().key(key).build())
}

fn queue(id: &str, event: &str, prefix: Option<&str>, suffix: Option<&str>) -> QueueConfiguration {
    let rule = QueueConfiguration::builder().id(id).queue_arn("arn:aws:sqs:eu-west-2:111122223333:q").events(Event::from(event));
    rule.set_filter(filter(prefix, suffix)).build().expect("a rule")
}

fn lambda(id: &str, arn: &str, event: &str, suffix: &str) -> LambdaFunctionConfiguration {
    let rule = LambdaFunctionConfiguration::builder().id(id).lambda_function_arn(arn).events(Event::from(event));
    rule.set_filter(filter(Some("home/"), Some(suffix))).build().expect("a rule")
}

#[test]
fn eventbridge_goes_off_again_only_if_it_was_off() {
    let (on, added) = adopt(&empty(), &Wanted::Bus, &Added::default()).expect("adopted");
    assert!(on.event_bridge_configuration.is_some() && added.eventbridge);
    assert_eq!(undo(&on, &added), empty());
    let (same, nothing) = adopt(&on, &Wanted::Bus, &Added::default()).expect("adopted");
    assert_eq!((&same, nothing.eventbridge), (&on, false));
    assert_eq!(undo(&same, &nothing), on);
}

#[test]
fn our_rules_are_those_of_the_template() {
    let (next, added) = adopt(&empty(), &functions(), &Added::default()).expect("adopted");
    assert_eq!(added.rules.len(), our_rules().len());
    let template = include_str!("../../../../template.yaml");
    for rule in next.lambda_function_configurations() {
        let (event, keys) = (rule.events()[0].as_str(), Keys::of(rule.filter()));
        let name = rule.lambda_function_arn().rsplit("clusterdrop-").next().unwrap_or_default();
        let text = format!(
            "- Event: {event}\n              Function: !Sub arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{Prefix}}-{name}\n              \
             Filter: {{S3Key: {{Rules: [{{Name: prefix, Value: {}}}, {{Name: suffix, Value: {}}}]}}}}",
            keys.prefix, keys.suffix
        );
        assert!(template.contains(&text), "{text}");
    }
}

#[test]
fn a_rule_that_does_the_same_under_another_id_is_enough() {
    let of_cloudformation = |(nth, rule): (usize, LambdaFunctionConfiguration)| {
        let keys = Keys::of(rule.filter());
        lambda(&format!("made-by-cfn-{nth}"), rule.lambda_function_arn(), "s3:ObjectCreated:*", &keys.suffix)
    };
    let rules = our_rules().into_iter().enumerate().map(of_cloudformation).collect();
    let before = NotificationConfiguration::builder().set_lambda_function_configurations(Some(rules)).build();
    let (next, added) = adopt(&before, &functions(), &Added::default()).expect("adopted");
    assert_eq!((next, added), (before, Added::default()));
}

#[test]
fn what_s3_makes_of_our_rules_is_still_ours() {
    let (mut next, added) = adopt(&empty(), &functions(), &Added::default()).expect("adopted");
    let of_s3 = |rule: &LambdaFunctionConfiguration| {
        lambda(rule.id().unwrap_or_default(), rule.lambda_function_arn(), "s3:ObjectCreated:*", &Keys::of(rule.filter()).suffix)
    };
    next.lambda_function_configurations = Some(next.lambda_function_configurations().iter().map(of_s3).collect());
    assert_eq!(adopt(&next, &functions(), &added).expect("adopted"), (next.clone(), added.clone()));
    assert_eq!(undo(&next, &added), empty());
}

#[test]
fn a_change_of_trigger_takes_the_old_one_out() {
    let (direct, added) = adopt(&empty(), &functions(), &Added::default()).expect("adopted");
    let (bus, added) = adopt(&direct, &Wanted::Bus, &added).expect("adopted");
    assert!(bus.lambda_function_configurations().is_empty() && bus.event_bridge_configuration.is_some());
    let (again, added) = adopt(&bus, &functions(), &added).expect("adopted");
    assert_eq!((&again, added.eventbridge), (&direct, false));
}

#[test]
fn functions_of_another_name_replace_those_that_we_gave() {
    let all = our_rules().len();
    let (old, added) = adopt(&empty(), &functions(), &Added::default()).expect("adopted");
    let renamed =
        Wanted::Functions(rules(|function| Ok(arn(function).replace("clusterdrop-cf-create", "drop-cf-create"))).expect("our rules"));
    let (new, added) = adopt(&old, &renamed, &added).expect("adopted");
    assert_eq!((new.lambda_function_configurations().len(), added.rules.len()), (all, all));
    assert!(new.lambda_function_configurations()[0].lambda_function_arn().ends_with(":drop-cf-create"));
    assert_eq!(undo(&new, &added), empty());
}

#[test]
fn a_strangers_rule_of_our_id_is_refused() {
    let stranger = lambda(&id(Verb::Create), CREATE, "s3:ObjectRemoved:*", ".cf-create");
    let before = NotificationConfiguration::builder().lambda_function_configurations(stranger).build();
    let error = adopt(&before, &functions(), &Added::default()).expect_err("refused");
    assert!(error.to_string().contains("\"clusterdrop-create\" that is not this deployment's"), "{error}");
}

#[test]
fn rules_that_overlap_ours_are_named() {
    for (event, prefix, suffix, overlaps) in [
        ("s3:ObjectCreated:*", None, None, true),
        ("s3:ObjectCreated:Put", Some("home/alice/"), None, true),
        ("s3:ObjectCreated:*", Some("ho"), Some("create"), true),
        ("s3:ObjectCreated:*", Some("inbox/"), None, false),
        ("s3:ObjectCreated:*", None, Some(".csv"), false),
        ("s3:ObjectRemoved:*", None, None, false),
    ] {
        let before = NotificationConfiguration::builder().queue_configurations(queue("inbox", event, prefix, suffix)).build();
        let adopted = adopt(&before, &functions(), &Added::default());
        assert_eq!(adopted.is_err(), overlaps, "{event} {prefix:?} {suffix:?}");
        if let Err(error) = adopted {
            assert!(error.to_string().contains("\"inbox\"") && error.to_string().contains("Trigger=eventbridge"), "{error}");
        }
        assert!(adopt(&before, &Wanted::Bus, &Added::default()).is_ok());
    }
}

#[test]
fn a_rule_for_misnamed_files_gives_way_to_somebody_elses() {
    let all = our_rules().len();
    for (suffix, theirs) in [(".txt", Verb::ALL.len()), (".json", Verb::ALL.len()), ("_create", 1), (".csv", 0)] {
        let ours = all - theirs;
        let before = NotificationConfiguration::builder()
            .queue_configurations(queue("theirs", "s3:ObjectCreated:*", Some("home/"), Some(suffix)))
            .build();
        let (next, added) = adopt(&before, &functions(), &Added::default()).expect("adopted");
        assert_eq!((next.lambda_function_configurations().len(), added.rules.len()), (ours, ours), "{suffix}");
        assert_eq!(undo(&next, &added), before);
    }
}

#[test]
fn a_deployment_that_knew_no_rules_for_misnamed_files_gets_them() {
    let all = our_rules().len();
    let needed = Wanted::Functions(our_rules().into_iter().filter(is_needed).collect());
    let (old, added) = adopt(&empty(), &needed, &Added::default()).expect("adopted");
    assert_eq!(added.rules.len(), Verb::ALL.len());
    let (new, added) = adopt(&old, &functions(), &added).expect("adopted");
    assert_eq!((new.lambda_function_configurations().len(), added.rules.len()), (all, all));
    assert_eq!(undo(&new, &added), empty());
}

/// Rules of others that do not stand in our way: other events, other prefixes, other suffixes.
fn others() -> impl Strategy<Value = NotificationConfiguration> {
    let harmless = || {
        prop_oneof![
            ("[a-z]{1,6}").prop_map(|id| (id, "s3:ObjectRemoved:*", None, None)),
            ("[a-z]{1,6}").prop_map(|id| (id, "s3:ObjectCreated:*", Some("data/"), None)),
            ("[a-z]{1,6}").prop_map(|id| (id, "s3:ObjectCreated:Put", Some("home/"), Some(".csv"))),
        ]
    };
    let queues = option::of(vec(harmless().prop_map(|(id, event, prefix, suffix)| queue(&id, event, prefix, suffix)), 1..3));
    let topics = option::of(vec(
        harmless().prop_map(|(id, event, prefix, suffix)| {
            let rule = TopicConfiguration::builder().id(id).topic_arn("arn:aws:sns:eu-west-2:111122223333:t").events(Event::from(event));
            rule.set_filter(filter(prefix, suffix)).build().expect("a rule")
        }),
        1..3,
    ));
    let lambdas =
        option::of(vec(("[a-z]{1,6}").prop_map(|id| lambda(&id, "arn:aws:lambda:x:1:function:f", "s3:ObjectCreated:*", ".txt")), 1..3));
    (queues, topics, lambdas, any::<bool>()).prop_map(|(queues, topics, lambdas, bus)| {
        NotificationConfiguration::builder()
            .set_queue_configurations(queues)
            .set_topic_configurations(topics)
            .set_lambda_function_configurations(lambdas)
            .set_event_bridge_configuration(bus.then(|| EventBridgeConfiguration::builder().build()))
            .build()
    })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![Just(Wanted::Bus), Just(functions())]
}

proptest! {
    #[test]
    fn undoing_gives_back_what_was_there(before in others(), wanted in wanted()) {
        let (next, added) = adopt(&before, &wanted, &Added::default()).expect("adopted");
        prop_assert_eq!(undo(&next, &added), before);
    }

    #[test]
    fn adopting_twice_is_adopting_once(before in others(), wanted in wanted()) {
        let once = adopt(&before, &wanted, &Added::default()).expect("adopted");
        prop_assert_eq!(adopt(&once.0, &wanted, &once.1).expect("adopted"), once);
    }

    #[test]
    fn every_rule_of_others_survives(before in others(), wanted in wanted()) {
        let (next, _) = adopt(&before, &wanted, &Added::default()).expect("adopted");
        prop_assert_eq!(next.queue_configurations(), before.queue_configurations());
        prop_assert_eq!(next.topic_configurations(), before.topic_configurations());
        let theirs = before.lambda_function_configurations();
        prop_assert_eq!(&next.lambda_function_configurations()[..theirs.len()], theirs);
        prop_assert!(before.event_bridge_configuration.is_none() || next.event_bridge_configuration.is_some());
    }

    /// What the record holds is what undoing goes by, also after a detour through JSON.
    #[test]
    fn the_record_survives_being_written(before in others(), wanted in wanted()) {
        let (_, added) = adopt(&before, &wanted, &Added::default()).expect("adopted");
        let text = serde_json::to_string(&added).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Added>(&text).expect("JSON"), added);
    }
}
