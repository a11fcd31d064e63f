//! A bucket's notification configuration with our trigger in it, and without it again. Pure.
//!
//! It works on the SDK's own types, so what is not ours goes back to S3 as it came.

use anyhow::{Result, bail};
use aws_sdk_s3::types::{
    Event, EventBridgeConfiguration, FilterRule, FilterRuleName, LambdaFunctionConfiguration, NotificationConfiguration,
    NotificationConfigurationFilter, S3KeyFilter,
};
use cf_core::key::Verb;
use cf_core::settings::Function;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The Id of our rule for a verb, by which it is found again. What else we add begins with it.
pub fn id(verb: Verb) -> String {
    format!("clusterdrop-{verb}")
}

/// How uploads are told.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// The bucket sends its events to EventBridge, where the deployment has rules.
    Bus,
    /// The bucket calls the functions itself.
    Functions(Vec<LambdaFunctionConfiguration>),
}

/// What is our doing in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// We turned EventBridge on.
    pub eventbridge: bool,
    /// Rules that call our functions, as [`view`] shows them.
    pub rules: Vec<Value>,
}

/// The rules that template.yaml gives to a bucket of its own, with Ids of ours: one for each verb, and those for names that
/// only look like a request's.
pub fn rules(arn: impl Fn(Function) -> Result<String>) -> Result<Vec<LambdaFunctionConfiguration>> {
    let part = |name: FilterRuleName, value: &str| FilterRule::builder().name(name).value(value).build();
    let rule = |id: String, function: &str, suffix: &str| {
        let key = S3KeyFilter::builder()
            .filter_rules(part(FilterRuleName::Prefix, "home/"))
            .filter_rules(part(FilterRuleName::Suffix, suffix))
            .build();
        LambdaFunctionConfiguration::builder()
            .id(id)
            .lambda_function_arn(function)
            .events(Event::from("s3:ObjectCreated:*"))
            .filter(NotificationConfigurationFilter::builder().key(key).build())
            .build()
    };
    let mut all = Vec::new();
    for verb in Verb::ALL {
        all.push(rule(id(verb), &arn(verb.spec().function)?, verb.suffix())?);
    }
    for verb in Verb::ALL {
        for (nth, ending) in verb.lookalikes_reported_by_buckets().iter().enumerate() {
            all.push(rule(format!("{}-misnamed-{}", id(verb), nth + 1), &arn(verb.spec().function)?, ending)?);
        }
    }
    Ok(all)
}

/// Whether uploads would go unheard without this rule of ours. The others are left out where they overlap somebody's.
fn is_needed(own: &LambdaFunctionConfiguration) -> bool {
    own.id().is_some_and(|known| Verb::ALL.into_iter().any(|verb| id(verb) == known))
}

/// The configuration with our trigger, and what of it is our doing. `recorded` is what we did before; what of that is not
/// wanted any more goes.
pub fn adopt(current: &NotificationConfiguration, wanted: &Wanted, recorded: &Added) -> Result<(NotificationConfiguration, Added)> {
    let mut next = current.clone();
    let mut added = Added::default();
    let mut kept = Vec::new();
    let functions: &[LambdaFunctionConfiguration] = if let Wanted::Functions(rules) = wanted { rules } else { &[] };
    for rule in current.lambda_function_configurations() {
        let is_recorded = recorded.rules.iter().any(|r| same_rule(r, &lambda_view(rule)));
        match functions.iter().find(|f| f.id() == rule.id()) {
            Some(own) if is_recorded || does_the_same(own, rule) => {
                added.rules.extend(is_recorded.then(|| lambda_view(own)));
                kept.push(if does_the_same(own, rule) { rule.clone() } else { own.clone() });
            }
            Some(own) => bail!(
                "the bucket already has a notification {:?} that is not this deployment's: give it another Id, then try again",
                own.id().unwrap_or_default()
            ),
            None if is_recorded => {}
            None => kept.push(rule.clone()),
        }
    }
    next.lambda_function_configurations = Some(kept);
    for own in functions {
        if !next.lambda_function_configurations().iter().any(|rule| does_the_same(own, rule)) {
            match refuse_overlap(own, &next) {
                Err(_) if !is_needed(own) => continue,
                checked => checked?,
            }
            added.rules.push(lambda_view(own));
            next.lambda_function_configurations.get_or_insert_default().push(own.clone());
        }
    }
    drop_empty(&mut next, current);
    match wanted {
        Wanted::Bus => {
            added.eventbridge = recorded.eventbridge || current.event_bridge_configuration.is_none();
            next.event_bridge_configuration.get_or_insert_with(|| EventBridgeConfiguration::builder().build());
        }
        // The deployment has no rules on the bus any more, and events there cost money.
        Wanted::Functions(_) if recorded.eventbridge => next.event_bridge_configuration = None,
        Wanted::Functions(_) => {}
    }
    Ok((next, added))
}

/// The configuration without what we added, known by its Ids.
pub fn undo(current: &NotificationConfiguration, recorded: &Added) -> NotificationConfiguration {
    let mut next = current.clone();
    let is_ours = |rule: &LambdaFunctionConfiguration| recorded.rules.iter().any(|r| r["Id"].as_str() == rule.id());
    if let Some(rules) = &mut next.lambda_function_configurations {
        rules.retain(|rule| !is_ours(rule));
    }
    drop_empty(&mut next, current);
    if recorded.eventbridge {
        next.event_bridge_configuration = None;
    }
    next
}

/// No list and an empty one are the same to S3, and should be the same to whoever compares.
fn drop_empty(next: &mut NotificationConfiguration, current: &NotificationConfiguration) {
    if next.lambda_function_configurations().is_empty() && !current.lambda_function_configurations.as_ref().is_some_and(Vec::is_empty) {
        next.lambda_function_configurations = None;
    }
}

/// Same function, events and filter, whatever the Id. CloudFormation gives Ids of its own.
fn does_the_same(a: &LambdaFunctionConfiguration, b: &LambdaFunctionConfiguration) -> bool {
    let events = |rule: &LambdaFunctionConfiguration| {
        let mut names: Vec<String> = rule.events().iter().map(|e| e.as_str().to_owned()).collect();
        names.sort();
        names
    };
    a.lambda_function_arn == b.lambda_function_arn && events(a) == events(b) && Keys::of(a.filter()) == Keys::of(b.filter())
}

/// A rule of ours as it was recorded, and as it stands: S3 writes `Prefix` where it was given `prefix`.
fn same_rule(a: &Value, b: &Value) -> bool {
    let plain = |rule: &Value| rule.to_string().replace("\"Prefix\"", "\"prefix\"").replace("\"Suffix\"", "\"suffix\"");
    plain(a) == plain(b)
}

/// S3 refuses two rules that could both answer for one upload, but does not say which; so it is found here.
fn refuse_overlap(own: &LambdaFunctionConfiguration, all: &NotificationConfiguration) -> Result<()> {
    let topics = all.topic_configurations().iter().map(|r| (r.id(), r.topic_arn(), r.events(), r.filter()));
    let queues = all.queue_configurations().iter().map(|r| (r.id(), r.queue_arn(), r.events(), r.filter()));
    let lambdas = all.lambda_function_configurations().iter().map(|r| (r.id(), r.lambda_function_arn(), r.events(), r.filter()));
    let keys = Keys::of(own.filter());
    for (id, target, events, filter) in topics.chain(queues).chain(lambdas) {
        if events.iter().any(|e| e.as_str().starts_with("s3:ObjectCreated:")) && keys.overlap(&Keys::of(filter)) {
            bail!(
                "the bucket's notification {:?} (to {target}) also tells of new {} files, and S3 allows no two such rules: narrow its \
                 prefix or suffix, or deploy with Trigger=eventbridge, which shares a bucket with any rule",
                id.unwrap_or_default(),
                keys.suffix
            );
        }
    }
    Ok(())
}

/// The keys that a filter lets through.
#[derive(Debug, PartialEq)]
struct Keys {
    prefix: String,
    suffix: String,
}

impl Keys {
    fn of(filter: Option<&NotificationConfigurationFilter>) -> Self {
        let parts = filter.and_then(NotificationConfigurationFilter::key).map_or(&[][..], S3KeyFilter::filter_rules);
        let part = |name: &str| {
            let found = parts.iter().find(|p| p.name().is_some_and(|n| n.as_str().eq_ignore_ascii_case(name)));
            found.and_then(|p| p.value()).unwrap_or_default().to_owned()
        };
        Self { prefix: part("prefix"), suffix: part("suffix") }
    }

    /// Both may let one key through.
    fn overlap(&self, other: &Self) -> bool {
        let prefixes = self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix);
        prefixes && (self.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&self.suffix))
    }
}

/// The configuration as the AWS CLI shows it.
pub fn view(all: &NotificationConfiguration) -> Value {
    let mut shown = serde_json::Map::new();
    let mut list = |name: &str, rules: Vec<Value>| {
        if !rules.is_empty() {
            shown.insert(name.to_owned(), Value::Array(rules));
        }
    };
    let topics = all.topic_configurations().iter().map(|r| rule_view(r.id(), ("TopicArn", r.topic_arn()), r.events(), r.filter()));
    list("TopicConfigurations", topics.collect());
    let queues = all.queue_configurations().iter().map(|r| rule_view(r.id(), ("QueueArn", r.queue_arn()), r.events(), r.filter()));
    list("QueueConfigurations", queues.collect());
    list("LambdaFunctionConfigurations", all.lambda_function_configurations().iter().map(lambda_view).collect());
    if all.event_bridge_configuration.is_some() {
        shown.insert("EventBridgeConfiguration".to_owned(), json!({}));
    }
    Value::Object(shown)
}

fn lambda_view(rule: &LambdaFunctionConfiguration) -> Value {
    rule_view(rule.id(), ("LambdaFunctionArn", rule.lambda_function_arn()), rule.events(), rule.filter())
}

fn rule_view(id: Option<&str>, target: (&str, &str), events: &[Event], filter: Option<&NotificationConfigurationFilter>) -> Value {
    let mut shown = json!({"Events": events.iter().map(Event::as_str).collect::<Vec<_>>()});
    shown[target.0] = target.1.into();
    if let Some(id) = id {
        shown["Id"] = id.into();
    }
    if let Some(key) = filter.and_then(NotificationConfigurationFilter::key) {
        let part = |p: &FilterRule| json!({"Name": p.name().map(FilterRuleName::as_str), "Value": p.value()});
        shown["Filter"] = json!({"Key": {"FilterRules": key.filter_rules().iter().map(part).collect::<Vec<_>>()}});
    }
    shown
}

#[cfg(test)]
#[path = "notification_tests.rs"]
mod tests;
