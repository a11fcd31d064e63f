//! What would change, for people: the differences, and what they mean to others.

use aws_sdk_s3::types::NotificationConfiguration;
use serde_json::Value;
use similar::TextDiff;

use super::bucket::State;
use super::{notification, policy};
use crate::deployment::Deployment;
use crate::terminal::{line, plain};

/// Prints what differs, policy first.
pub fn difference(bucket: &str, now: &State, next: &State) {
    let none = || "(none)\n".to_owned();
    let policy = |state: &State| state.policy.as_deref().map_or_else(none, pretty);
    unified(&format!("policy of {bucket}"), &policy(now), &policy(next));
    let notification = |all: &NotificationConfiguration| pretty(&notification::view(all).to_string());
    unified(&format!("notifications of {bucket}"), &notification(&now.notification), &notification(&next.notification));
}

fn unified(what: &str, now: &str, next: &str) {
    if now == next {
        line(&format!("No change: {what}"));
        return;
    }
    let diff = TextDiff::from_lines(now, next);
    let text = diff.unified_diff().header(&format!("{what}, now"), &format!("{what}, then")).to_string();
    for shown in text.lines() {
        line(&plain(shown));
    }
}

/// JSON with one value a line, in its own order.
fn pretty(json: &str) -> String {
    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::pretty(&mut out);
    match serde_transcode::transcode(&mut serde_json::Deserializer::from_str(json), &mut writer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned() + "\n",
        // It is only shown here; whoever has to understand it says what is wrong with it.
        Err(_) => format!("{json}\n"),
    }
}

/// What our statements take from others who use the bucket.
pub fn warnings(deployment: &Deployment, now: &State, next: &State) {
    let outsiders = now.policy.as_deref().map(|p| outsiders(p, &deployment.account)).unwrap_or_default();
    if now.policy != next.policy && !outsiders.is_empty() {
        line(&format!(
            "\nTake care: the policy lets others in from outside the account {} (statement {}). The statement \
             ClusterdropOwnAccountOnly overrules that: they are shut out.",
            deployment.account,
            plain(&outsiders.join(", "))
        ));
    }
}

/// The statements that allow something to everybody or to another account.
fn outsiders(policy: &str, account: &str) -> Vec<String> {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return Vec::new() };
    let statements = match &policy["Statement"] {
        Value::Array(list) => list.clone(),
        single => vec![single.clone()],
    };
    let named = |(n, s): (usize, &Value)| policy::sid(s).map_or_else(|| format!("number {}", n + 1), str::to_owned);
    let lets_in = |s: &Value| s["Effect"] == "Allow" && (names_outsider(&s["Principal"], account) || s.get("NotPrincipal").is_some());
    statements.iter().enumerate().filter(|(_, s)| lets_in(s)).map(named).collect()
}

fn names_outsider(principal: &Value, account: &str) -> bool {
    match principal {
        Value::String(name) => name == "*",
        Value::Object(kinds) => kinds.get("AWS").is_some_and(|who| {
            let who = if let Value::Array(list) = who { list.clone() } else { vec![who.clone()] };
            who.iter().filter_map(Value::as_str).any(|arn| !arn.split(':').any(|part| part == account))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shown_in_its_own_order() {
        assert_eq!(pretty(r#"{"b":1,"a":[true]}"#), "{\n  \"b\": 1,\n  \"a\": [\n    true\n  ]\n}\n");
        assert_eq!(pretty("{no"), "{no\n");
    }

    #[test]
    fn who_would_be_shut_out_is_named() {
        let policy = r#"{"Statement":[
            {"Sid":"Everybody","Effect":"Allow","Principal":"*"},
            {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","999988887777"]}},
            {"Sid":"Own","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/a"}},
            {"Sid":"Logs","Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"}},
            {"Sid":"Deny","Effect":"Deny","Principal":"*"}]}"#;
        assert_eq!(outsiders(policy, "111122223333"), ["Everybody", "number 2"]);
        assert_eq!(outsiders(r#"{"Statement":{"Sid":"One","Effect":"Allow","Principal":"*"}}"#, "1"), ["One"]);
    }
}
