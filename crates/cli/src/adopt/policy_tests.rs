//! Policies of others, in every form that S3 takes, with ours put in and taken out.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn statements() -> Vec<Own> {
    let name = |text: &str| text.to_owned();
    let names = Names { partition: name("aws"), account: name("111122223333"), prefix: name("clusterdrop"), bucket: name("homes") };
    ours(&names).expect("our policy")
}

fn fresh(current: Option<&str>) -> Adopted {
    adopt(current, &statements(), &[]).expect("adopted")
}

/// The texts of a policy's statements.
fn texts(policy: &str) -> Vec<String> {
    Policy::parse(policy).expect("a policy").statements.iter().map(|s| s.get().to_owned()).collect()
}

const THEIRS: &str =
    r#"{ "Id": "x", "Statement": {"Sid": "A",  "Effect":"Allow", "Action": ["s3:GetObject"], "Weight": 1.50}, "Extra": {"b": 1, "a": 2} }"#;

#[test]
fn our_policy_is_filled_in_to_the_last_placeholder() {
    let all = statements();
    assert_eq!(all.iter().filter_map(Own::sid).count(), 3);
    let text: String = all.iter().map(|own| own.text.get()).collect();
    assert!(text.starts_with(r#"{"Sid":"ClusterdropAnswersAreOurs","Effect":"Deny","#), "{text}");
    assert!(!text.contains("${") && text.contains("arn:aws:iam::111122223333:role/clusterdrop-cf-watch"), "{text}");
}

#[test]
fn a_bucket_without_a_policy_gets_ours_and_loses_it_again() {
    let adopted = fresh(None);
    assert_eq!(texts(&adopted.policy).len(), 3);
    assert_eq!(undo(Some(&adopted.policy), None, &adopted.added).expect("undone"), None);
}

#[test]
fn a_single_statement_and_unknown_fields_keep_their_very_text() {
    let adopted = fresh(Some(THEIRS));
    assert!(
        adopted
            .policy
            .starts_with(r#"{"Id":"x","Statement":[{"Sid": "A",  "Effect":"Allow", "Action": ["s3:GetObject"], "Weight": 1.50},"#)
    );
    assert!(adopted.policy.ends_with(r#","Extra":{"b": 1, "a": 2}}"#), "{}", adopted.policy);
    assert_eq!(undo(Some(&adopted.policy), Some(THEIRS), &adopted.added).expect("undone").as_deref(), Some(THEIRS));
}

#[test]
fn what_s3_makes_of_our_statements_is_still_ours() {
    let adopted = fresh(Some(THEIRS));
    let mut seen: Value = serde_json::from_str(&adopted.policy).expect("JSON");
    for statement in seen["Statement"].as_array_mut().expect("a list") {
        if let Some(list) = statement.pointer_mut("/Resource").and_then(Value::as_array_mut) {
            list.reverse();
        }
        if let Some(flag) = statement.pointer_mut("/Condition/Bool/aws:SecureTransport") {
            *flag = json!(["false"]);
        }
    }
    let seen = seen.to_string();
    assert_ne!(seen, adopted.policy);
    assert_eq!(adopt(Some(&seen), &statements(), &adopted.added).expect("adopted").policy, seen);
    assert_eq!(undo(Some(&seen), Some(THEIRS), &adopted.added).expect("undone").as_deref(), Some(THEIRS));
}

#[test]
fn statements_that_were_there_before_us_stay_there() {
    let ours: Vec<Value> = statements().into_iter().map(|own| own.value).collect();
    let before = json!({"Version": "2012-10-17", "Statement": ours}).to_string();
    let adopted = fresh(Some(&before));
    assert_eq!((adopted.policy.as_str(), adopted.added.len()), (before.as_str(), 0));
    assert_eq!(undo(Some(&before), Some(&before), &adopted.added).expect("undone").as_deref(), Some(before.as_str()));
}

#[test]
fn a_strangers_statement_of_our_name_is_refused() {
    let stranger = json!({"Statement": [{"Sid": "ClusterdropTlsOnly", "Effect": "Allow"}]}).to_string();
    let error = adopt(Some(&stranger), &statements(), &[]).expect_err("refused");
    assert!(error.to_string().contains("\"ClusterdropTlsOnly\" that is not this deployment's"), "{error}");
}

#[test]
fn a_statement_of_ours_that_somebody_changed_is_refused() {
    let adopted = fresh(None);
    let edited = adopted.policy.replace("cf-watch", "cf-watch-too");
    let error = adopt(Some(&edited), &statements(), &adopted.added).expect_err("refused");
    assert!(error.to_string().contains("changed since") && error.to_string().contains("--undo"), "{error}");
}

#[test]
fn an_older_version_of_ours_is_brought_up_to_date_in_its_place() {
    let old = vec![json!({"Sid": "ClusterdropTlsOnly", "Effect": "Deny"}), json!({"Sid": "ClusterdropOldOne", "Effect": "Deny"})];
    let mut current = old.clone();
    current.push(json!({"Sid": "Theirs", "Effect": "Allow"}));
    let current = json!({"Statement": current}).to_string();
    let adopted = adopt(Some(&current), &statements(), &old).expect("adopted");
    let sids: Vec<String> =
        texts(&adopted.policy).iter().map(|s| sid(&serde_json::from_str(s).expect("JSON")).unwrap_or("").to_owned()).collect();
    assert_eq!(sids, ["ClusterdropTlsOnly", "Theirs", "ClusterdropAnswersAreOurs", "ClusterdropOwnAccountOnly"]);
    assert_eq!(adopted.added.len(), 3);
}

/// The record of a run that died before it wrote the policy has the old statement and the new one.
#[test]
fn an_older_version_is_also_known_by_the_record_of_a_run_that_died() {
    let old = json!({"Sid": "ClusterdropTlsOnly", "Effect": "Deny"});
    let current = json!({"Statement": [old]}).to_string();
    let first = adopt(Some(&current), &statements(), std::slice::from_ref(&old)).expect("adopted");
    let both: Vec<Value> = first.added.iter().cloned().chain([old]).collect();
    assert_eq!(adopt(Some(&current), &statements(), &both).expect("adopted"), first);
    assert_eq!(undo(Some(&current), None, &both).expect("undone"), None);
}

#[test]
fn a_policy_that_grows_too_long_is_refused_and_a_policy_that_is_none_too() {
    let long = json!({"Statement": [{"Sid": "Long", "Resource": "x".repeat(BYTES_MAX - 100)}]}).to_string();
    assert!(adopt(Some(&long), &statements(), &[]).expect_err("refused").to_string().contains("at most 20480"));
    for text in ["", "[]", "{\"Statement\": 5", "null"] {
        assert!(adopt(Some(text), &statements(), &[]).is_err(), "{text}");
    }
}

#[test]
fn a_policy_that_others_have_removed_is_not_brought_back() {
    let adopted = fresh(Some(THEIRS));
    assert_eq!(undo(None, Some(THEIRS), &adopted.added).expect("undone"), None);
    // Theirs went, ours alone are left: nothing remains to be said.
    let only_ours = json!({"Statement": adopted.added.clone()}).to_string();
    assert_eq!(undo(Some(&only_ours), Some(THEIRS), &adopted.added).expect("undone"), None);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-zA-Z:]{1,8}", inner), 0..4).prop_map(|m| m.into_iter().collect())
        ]
    })
}

/// A statement of others: any fields, and maybe a Sid, which is not one of ours.
fn statement() -> impl Strategy<Value = Value> {
    (vec(("[A-Z][a-z]{1,8}", any_value()), 0..4), proptest::option::of("[A-Z][a-z0-9]{0,6}")).prop_map(|(fields, sid)| {
        let mut all: Map<String, Value> = fields.into_iter().filter(|(k, _)| k != "Sid").collect();
        all.extend(sid.map(|sid| ("Sid".to_owned(), Value::from(sid))));
        Value::Object(all)
    })
}

/// A policy of others: one statement or a list, unknown fields, compact or with white space.
fn policy() -> impl Strategy<Value = Option<String>> {
    let parts = (vec(statement(), 1..6), vec(("[A-Z][a-z]{1,8}", any_value()), 0..3), any::<bool>(), any::<bool>());
    proptest::option::of(parts.prop_map(|(mut list, fields, single, spaced)| {
        let mut all: Map<String, Value> = fields.into_iter().filter(|(k, _)| k != "Statement").collect();
        let statements = if single { list.swap_remove(0) } else { Value::Array(list) };
        all.insert("Statement".to_owned(), statements);
        let all = Value::Object(all);
        if spaced { serde_json::to_string_pretty(&all).expect("JSON") } else { all.to_string() }
    }))
}

proptest! {
    #[test]
    fn undoing_gives_back_the_very_text(before in policy()) {
        let adopted = fresh(before.as_deref());
        prop_assert_eq!(undo(Some(&adopted.policy), before.as_deref(), &adopted.added).expect("undone"), before);
    }

    /// Without the record's help: what is taken out is what was put in.
    #[test]
    fn undoing_leaves_every_statement_of_others_as_it_stands(before in policy(), later in vec(statement(), 0..3)) {
        let adopted = fresh(before.as_deref());
        let mut policy = Policy::parse(&adopted.policy).expect("a policy");
        policy.statements.extend(later.iter().map(|s| serde_json::value::to_raw_value(s).expect("JSON")));
        let undone = undo(Some(&policy.text().expect("JSON")), None, &adopted.added).expect("undone");
        let mut expected = before.as_deref().map(texts).unwrap_or_default();
        expected.extend(later.iter().map(Value::to_string));
        prop_assert_eq!(undone.as_deref().map(texts).unwrap_or_default(), expected);
    }

    #[test]
    fn adopting_twice_is_adopting_once(before in policy()) {
        let once = fresh(before.as_deref());
        let twice = adopt(Some(&once.policy), &statements(), &once.added).expect("adopted");
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn every_statement_and_field_of_others_survives(before in policy()) {
        let before = before.unwrap_or_else(|| "{}".to_owned());
        let adopted = fresh(Some(&before));
        let (old, new) = (Policy::parse(&before).expect("a policy"), Policy::parse(&adopted.policy).expect("a policy"));
        let theirs = texts(&before);
        prop_assert_eq!(&texts(&adopted.policy)[..theirs.len()], &theirs[..]);
        prop_assert_eq!(texts(&adopted.policy).len(), theirs.len() + 3);
        for (name, field) in old.fields.iter().filter(|(name, _)| *name != "Statement") {
            prop_assert_eq!(new.fields.get(name).map(|f| f.get()), Some(field.get()));
        }
    }
}
