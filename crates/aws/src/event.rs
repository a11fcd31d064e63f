//! What can wake a function, read leniently and in every shape that it comes in.
//!
//! Own small readers instead of `aws_lambda_events`' types: those refuse `s3:TestEvent` and records with a field missing,
//! and one unreadable record must not hide its neighbours.

use cf_core::stack::StackId;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// An object was created in a bucket.
    Upload {
        /// The bucket.
        bucket: String,
        /// The key: decoded if it is from S3's own notification, as it is if from EventBridge.
        key: String,
    },
    /// A stack, or one of its resources, changed its status.
    Stack(StackId),
    /// Auto Scaling has launched an instance for a group, or could not.
    Instance {
        /// The group's name.
        group: String,
        /// When, if the event says so.
        at: Option<Timestamp>,
        /// Why not.
        failure: Option<String>,
    },
    /// Look at everything.
    Sweep,
    /// CloudFormation asks for the template to be published.
    Publish(Box<Value>),
    /// Nothing to do, and why.
    Nothing(&'static str),
    /// A message of a queue, with what is in it; it is taken off the queue only if all of that is done.
    Message {
        /// Its id, to be returned if it is to come again.
        id: String,
        /// How often SQS has given it out, this time included; 1 where it does not say so.
        received: u32,
        /// What is in it.
        work: Vec<Result<Work, Unreadable>>,
    },
}

/// An event, or a part of one, that cannot be understood. It ends in the failure queue, not in silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}: {shown}")]
pub struct Unreadable {
    why: String,
    shown: String,
}

/// So much of an unreadable event is logged.
const SHOWN_BYTES_MAX: usize = 500;

/// A destination record in a queue wraps an event; nothing wraps deeper than this.
const DEPTH_MAX: usize = 4;

/// So many records one event may hold, those in its messages included: a batch of SQS has at most as many messages. Each
/// record that cannot be read is reported with its text, and a megabyte holds half a million of them.
const RECORDS_MAX: usize = 10_000;

fn unreadable(why: impl Into<String>, event: &Value) -> Unreadable {
    let mut shown = event.to_string();
    let cut = (0..=SHOWN_BYTES_MAX.min(shown.len())).rev().find(|&i| shown.is_char_boundary(i)).unwrap_or(0);
    shown.truncate(cut);
    Unreadable { why: why.into(), shown }
}

/// Reads an event: one result for each of its records.
pub fn read(event: &Value) -> Vec<Result<Work, Unreadable>> {
    let mut left = RECORDS_MAX;
    read_at(event, 0, &mut left)
}

/// `left`: how many more records may come.
fn read_at(event: &Value, depth: usize, left: &mut usize) -> Vec<Result<Work, Unreadable>> {
    if depth > DEPTH_MAX {
        return vec![Err(unreadable("the event is wrapped too deeply", event))];
    }
    if let Some(records) = event["Records"].as_array().filter(|r| !r.is_empty()) {
        let Some(rest) = left.checked_sub(records.len()) else {
            return vec![Err(Unreadable { why: format!("the event holds more than {RECORDS_MAX} records"), shown: "{…}".into() })];
        };
        *left = rest;
        return records.iter().map(|record| read_record(record, depth, left)).collect();
    }
    if event["requestPayload"].is_object() {
        return read_at(&event["requestPayload"], depth + 1, left);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    vec![match (event["source"].as_str(), event["detail-type"].as_str()) {
        (Some("aws.s3"), Some("Object Created" | "Object Restore Completed")) => {
            match (text(&event["detail"]["bucket"]["name"]), text(&event["detail"]["object"]["key"])) {
                // EventBridge gives the key as it is; S3's own notifications encode it.
                (Some(bucket), Some(key)) => Ok(Work::Upload { bucket, key }),
                _ => Err(unreadable("the event names no bucket or no key", event)),
            }
        }
        (Some("aws.cloudformation"), Some("CloudFormation Stack Status Change" | "CloudFormation Resource Status Change")) => {
            text(&event["detail"]["stack-id"])
                .map_or_else(|| Err(unreadable("the event names no stack", event)), |id| Ok(Work::Stack(StackId(id))))
        }
        // User guide of Auto Scaling, "EventBridge events for Auto Scaling": the words are in StatusMessage.
        (Some("aws.autoscaling"), Some(kind @ ("EC2 Instance Launch Unsuccessful" | "EC2 Instance Launch Successful"))) => {
            let words = || text(&event["detail"]["StatusMessage"]).filter(|words| !words.trim().is_empty());
            let at = event["time"].as_str().and_then(|at| at.parse().ok());
            let failure = kind.ends_with("Unsuccessful").then(|| words().unwrap_or_else(|| "AWS gave no reason".to_owned()));
            text(&event["detail"]["AutoScalingGroupName"])
                .map_or_else(|| Err(unreadable("the event names no group", event)), |group| Ok(Work::Instance { group, at, failure }))
        }
        _ if event["clusterdrop"] == "sweep" => Ok(Work::Sweep),
        _ if event["RequestType"].is_string() && event["ResponseURL"].is_string() => Ok(Work::Publish(Box::new(event.clone()))),
        _ if event["Event"] == "s3:TestEvent" => Ok(Work::Nothing("S3 tests whether it may call")),
        _ => Err(unreadable("this is no event that clusterdrop knows", event)),
    }]
}

fn read_record(record: &Value, depth: usize, left: &mut usize) -> Result<Work, Unreadable> {
    match record["eventSource"].as_str().or_else(|| record["EventSource"].as_str()) {
        Some("aws:sqs") => Ok(read_message(record, depth, left)),
        Some("aws:s3") => read_notification(record),
        _ => Err(unreadable("the record has no source that clusterdrop knows", record)),
    }
}

fn read_message(record: &Value, depth: usize, left: &mut usize) -> Work {
    let id = record["messageId"].as_str().unwrap_or_default().to_owned();
    // SQS gives numbers as text (Lambda developer guide, "Example Amazon SQS message event").
    let received = record["attributes"]["ApproximateReceiveCount"].as_str().and_then(|count| count.parse().ok()).unwrap_or(1);
    let work = match record["body"].as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(body)) => read_at(&body, depth + 1, left),
        Some(Err(e)) => vec![Err(unreadable(format!("the message is not JSON ({e})"), record))],
        None => vec![Err(unreadable("the message has no body", record))],
    };
    Work::Message { id, received, work }
}

fn read_notification(record: &Value) -> Result<Work, Unreadable> {
    let name = record["eventName"].as_str().unwrap_or_default();
    let name = name.strip_prefix("s3:").unwrap_or(name);
    // A copy that was restored from the archive can be read now; an event only says where to look.
    let is_new_object = name.starts_with("ObjectCreated:") || name.starts_with("ObjectRestore:Completed");
    if !name.is_empty() && !is_new_object {
        return Ok(Work::Nothing("S3 reports something other than a new object"));
    }
    match (record["s3"]["bucket"]["name"].as_str(), record["s3"]["object"]["key"].as_str()) {
        (Some(bucket), Some(key)) => match decode(key) {
            Some(key) => Ok(Work::Upload { bucket: bucket.to_owned(), key }),
            None => Err(unreadable("the key is not UTF-8", record)),
        },
        _ => Err(unreadable("the record names no bucket or no key", record)),
    }
}

/// Form-encoding, undone exactly once: `+` is a space, `%2B` a plus (S3 User Guide, notification-content-structure; the same in
/// listings with `EncodingType=url`, which botocore undoes by `unquote_plus`).
pub(crate) fn decode(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn notification_keys_are_decoded_exactly_once() {
        for (encoded, key) in [
            ("home/a/my+folder/x.cf-create", "home/a/my folder/x.cf-create"),
            ("home/a/x%2By.cf-create", "home/a/x+y.cf-create"),
            ("a%2525", "a%25"),
            ("%C3%A9", "é"),
        ] {
            assert_eq!(decode(encoded).as_deref(), Some(key));
        }
        assert_eq!(decode("%FF"), None);
    }

    #[test]
    fn one_unreadable_record_does_not_hide_its_neighbours() {
        let good =
            json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}});
        let read = read(&json!({"Records": [good, {"eventSource": "aws:s3"}, {"x": 1}, good]}));
        assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
    }

    #[test]
    fn more_records_than_any_queue_gives_are_one_error() {
        let zeros = |count: usize| json!({"Records": vec![0; count]});
        assert_eq!(read(&zeros(RECORDS_MAX)).len(), RECORDS_MAX);
        let got = read(&zeros(RECORDS_MAX + 1));
        assert!(matches!(&got[..], [Err(e)] if e.to_string().contains("10000 records")), "{got:?}");
        // However they are spread over messages.
        let message = |count| json!({"eventSource": "aws:sqs", "messageId": "m", "body": zeros(count).to_string()});
        let got = read(&json!({"Records": [message(6_000), message(6_000)]}));
        let counts: Vec<_> = got.iter().map(|m| if let Ok(Work::Message { work, .. }) = m { work.len() } else { 0 }).collect();
        assert_eq!(counts, [6_000, 1]);
    }

    #[test]
    fn a_message_says_how_often_it_was_given_out() {
        for (attributes, count) in [
            (json!({"ApproximateReceiveCount": "4"}), 4),
            (json!({"ApproximateReceiveCount": 4}), 1),
            (json!({"ApproximateReceiveCount": "-1"}), 1),
            (json!(null), 1),
        ] {
            let message = json!({"eventSource": "aws:sqs", "messageId": "m", "body": "{}", "attributes": attributes});
            let read = read(&json!({"Records": [message]}));
            assert!(matches!(&read[..], [Ok(Work::Message { received, .. })] if *received == count), "{attributes}: {read:?}");
        }
    }

    #[test]
    fn nonsense_is_an_error_and_never_a_panic() {
        for event in [
            json!(null),
            json!([]),
            json!({}),
            json!("x"),
            json!({"Records": []}),
            json!({"detail-type": "Object Created", "source": "aws.s3"}),
        ] {
            assert!(read(&event).iter().all(Result::is_err), "{event}");
        }
        let mut wrapped = json!({"clusterdrop": "sweep"});
        for _ in 0..10 {
            wrapped = json!({"requestPayload": wrapped});
        }
        assert!(read(&wrapped)[0].is_err());
    }
}
