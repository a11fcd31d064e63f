//! What a parked message is about, in a few lines. Pure.
//!
//! It is read by the very code that cf-watch reads it with, so what is shown here is what will be acted on.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use cf_aws::event::{self, Unreadable, Work};
use jiff::Timestamp;
use serde_json::Value;

use crate::terminal::one_line;

/// An error can hold a whole stack trace; its beginning tells.
const WHY_CHARACTERS_MAX: usize = 300;

/// One line for each thing that it is about, then how it failed, then when.
pub fn describe(message: &Message) -> Vec<String> {
    let text = message.body().unwrap_or_default();
    let body: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let mut lines = if body.is_null() { vec!["not understood: the message is no JSON".to_owned()] } else { about(event::read(&body)) };
    lines.extend(failure(message, &body));
    lines.extend(parked(message));
    lines.iter().map(|line| one_line(line)).collect()
}

fn about(works: Vec<Result<Work, Unreadable>>) -> Vec<String> {
    let mut lines = Vec::new();
    for work in works {
        lines.push(match work {
            Ok(Work::Upload { bucket, key }) => format!("upload s3://{bucket}/{key}"),
            Ok(Work::Stack(id)) => format!("stack {}", id.0.split('/').nth(1).unwrap_or(&id.0)),
            Ok(Work::Instance { group, .. }) => format!("an instance for the group {group}"),
            Ok(Work::Sweep) => "the sweep over all clusters".to_owned(),
            Ok(Work::Publish(_)) => "publishing the cluster template".to_owned(),
            Ok(Work::Nothing(why)) => format!("nothing to do: {why}"),
            Ok(Work::Message { work, .. }) => {
                lines.extend(about(work));
                continue;
            }
            Err(unreadable) => format!("not understood, and will be parked again: {unreadable}"),
        });
    }
    lines
}

/// Who could not finish it, how often it was tried, and why. Functions write that into the message, rules beside it.
fn failure(message: &Message, body: &Value) -> Option<String> {
    let attribute = |name: &str| message.message_attributes()?.get(name)?.string_value();
    let context = &body["requestContext"];
    let who = context["functionArn"].as_str().or_else(|| attribute("TARGET_ARN")).map(function);
    let tried = context["approximateInvokeCount"].as_u64().or_else(|| Some(attribute("RETRY_ATTEMPTS")?.parse::<u64>().ok()? + 1));
    let response = &body["responsePayload"];
    let why = match (response["errorType"].as_str(), response["errorMessage"].as_str()) {
        (Some(kind), Some(text)) => Some(format!("{kind}: {text}")),
        (kind, text) => text.or(kind).or_else(|| context["condition"].as_str()).map(str::to_owned),
    };
    let why = why.or_else(|| Some(format!("{}: {}", attribute("ERROR_CODE")?, attribute("ERROR_MESSAGE").unwrap_or_default())));
    let when = body["timestamp"].as_str().or_else(|| body["time"].as_str()).and_then(|t| t.parse::<Timestamp>().ok()).map(moment);
    if who.is_none() && why.is_none() {
        return when.map(|when| format!("happened {when}"));
    }
    let mut line = format!("{} could not finish it", who.unwrap_or("something"));
    if let Some(tried) = tried {
        line += &format!(" in {tried} attempt{}", if tried == 1 { "" } else { "s" });
    }
    if let Some(when) = when {
        line += &format!(", {when}");
    }
    if let Some(why) = why {
        line += &format!(": {}", why.chars().take(WHY_CHARACTERS_MAX).collect::<String>());
    }
    Some(line)
}

/// Since when it is where it is, and where it was before.
fn parked(message: &Message) -> Option<String> {
    let attribute = |name| message.attributes()?.get(&name).map(String::as_str);
    let sent = attribute(MessageSystemAttributeName::SentTimestamp)?.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())?;
    // A dead-letter queue keeps the time at which a message was first sent.
    let from = attribute(MessageSystemAttributeName::DeadLetterQueueSourceArn).and_then(|arn| arn.rsplit(':').next());
    Some(match from {
        Some(queue) => format!("waiting since {}, given up in the queue {queue}", moment(sent)),
        None => format!("waiting since {}", moment(sent)),
    })
}

/// `arn:…:function:NAME:$LATEST` is NAME; a queue's or a rule's ARN ends with its name.
fn function(arn: &str) -> &str {
    match arn.split_once(":function:") {
        Some((_, name)) => name.split(':').next().unwrap_or(name),
        None => arn.rsplit([':', '/']).next().unwrap_or(arn),
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%F %T UTC").to_string()
}

#[cfg(test)]
#[path = "parked_tests.rs"]
mod tests;
