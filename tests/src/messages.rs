//! What people are to read, as values of `cf_core::message`: tests compare the texts that they find with the `Display` of these.

use std::fmt::Display;

use anyhow::{Result, bail};
use cf_core::key::{Reading, UploadKey, read};
use cf_core::ledger::MailKind;
use cf_core::message::{
    self, Advice, Cause, Difference, FileProblem, Full, KeyProblem, Mail, Message, News, ParameterProblem, Problem, Rest, ValueProblem,
    Wrong, WrongKey,
};
use cf_core::names::{ClusterName, StackName};
use cf_core::testing;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use cf_local::deploy::{DEPLOYMENT, PREFIX, USER_BUCKET};

/// A cluster's name, which must be legal.
pub fn name(cluster: &str) -> ClusterName {
    testing::cluster("anybody", cluster).name
}

/// The stack of a user's cluster.
pub fn stack_name(user: &str, cluster: &str) -> StackName {
    StackName::of(PREFIX, USER_BUCKET, &testing::cluster(user, cluster))
}

/// A create that breaks these rules.
pub fn refused(cluster: &str, mut problems: Vec<Problem>) -> Message {
    message::sort(&mut problems);
    Message::Refused { cluster: name(cluster), problems }
}

/// A create whose file cannot be read.
pub fn refused_file(cluster: &str, problem: FileProblem) -> Message {
    refused(cluster, vec![Problem::File(problem)])
}

/// A value that its parameter does not take.
pub fn wrong(name: &str, value: &str, wrong: Wrong) -> Problem {
    Problem::Parameter(Box::new(ParameterProblem { name: name.into(), value: value.into(), wrong, odd: None }))
}

/// A value that is no plain one.
pub fn no_value(name: &str, wrong: ValueProblem) -> Problem {
    Problem::Value { name: name.into(), wrong }
}

/// A create of a living cluster that asks for another value.
pub fn differs(cluster: &str, parameter: &str, has: &str, asked: &str) -> Message {
    let difference = Difference { parameter: parameter.into(), has: has.into(), asked: asked.into() };
    Message::Differs { cluster: name(cluster), differences: vec![difference] }
}

/// A delete of a cluster that is not there, by somebody who has none.
pub fn no_such_cluster(cluster: &str) -> Message {
    Message::NoSuchCluster { cluster: name(cluster), others: vec![], tied: None }
}

/// A request's file with a name that no cluster can have.
pub fn wrong_name(key: &str, cluster: &str) -> Result<Message> {
    let Err(why) = ClusterName::parse(cluster) else { bail!("{cluster} is a name") };
    Ok(Message::WrongKey(KeyProblem { key: key.into(), wrong: WrongKey::Name(cluster.into(), why) }))
}

/// The answer to a file whose name only looks like a request's, and the key that works.
pub fn look_alike(key: &str) -> Result<(Message, UploadKey)> {
    match read(key) {
        Reading::LooksLike { problem: KeyProblem { key, wrong: WrongKey::Ending { ending, verb, name, right: Ok(right) } }, .. } => {
            let wrong = WrongKey::Ending { ending, verb, name, right: Ok(right.clone()) };
            Ok((Message::LookAlike(KeyProblem { key, wrong }), right))
        }
        other => bail!("{key} is {other:?}"),
    }
}

/// A login node that could not be made.
pub fn login_node(reason: &str, advice: Advice) -> Cause {
    cause("LoginNode", "AWS::EC2::Instance", reason, advice)
}

/// A resource that could not be made.
pub fn cause(logical: &str, kind: &str, reason: &str, advice: Advice) -> Cause {
    Cause { logical: logical.into(), kind: kind.into(), physical: String::new(), reason: reason.into(), advice, node: None }
}

/// The answers to a creation that failed for one cause: written as soon as it is seen, during the rollback or after it.
pub fn failed(cluster: &str, cause: &Cause) -> [Message; 2] {
    [Rest::Going, Rest::Gone].map(|rest| Message::Failed { cluster: name(cluster), causes: vec![cause.clone()], stack: None, rest })
}

/// A mail about a user's cluster.
pub fn mail(user: &str, cluster: &str, news: News) -> Mail {
    Mail { cluster: testing::cluster(user, cluster), stack: stack_name(user, cluster), deployment: DEPLOYMENT.into(), news }
}

/// The mail about a creation that failed, whose user got this answer.
pub fn mail_of_failure(user: &str, cluster: &str, answer: Message, full: Full) -> Mail {
    mail(user, cluster, News::Failed { asked_by: create(user, cluster), answer, full })
}

/// The subject of a mail of this kind. It holds nothing of the news but the kind.
pub fn subject(user: &str, cluster: &str, kind: MailKind) -> String {
    let answer = || Message::Occupied { cluster: name(cluster) };
    let asked_by = create(user, cluster);
    let news = match kind {
        MailKind::Ready => News::Ready { login: String::new(), asked_by, accepted: Timestamp::UNIX_EPOCH },
        MailKind::Failed => News::Failed { asked_by, answer: answer(), full: Full::default() },
        MailKind::Gone => News::Gone,
        MailKind::Stuck => News::Stuck { answer: answer(), full: Full::default() },
        MailKind::Occupied => News::Occupied,
        MailKind::Unreadable => News::Unreadable { file: asked_by, answer: answer() },
    };
    mail(user, cluster, news).subject()
}

fn create(user: &str, cluster: &str) -> UploadKey {
    match read(&format!("home/{user}/{cluster}.cf-create")) {
        Reading::Request(key) => key,
        other => panic!("{user}/{cluster}: {other:?}"),
    }
}

/// What stands in a text in place of `gap`, if the text is the expected one but for that.
pub fn in_place_of<'a>(gap: &str, expected: &impl Display, text: &'a str) -> Option<&'a str> {
    let expected = expected.to_string();
    let (before, after) = expected.split_once(gap)?;
    text.strip_prefix(before)?.strip_suffix(after)
}

/// Whether a text is that of a message with a time which the test does not know.
pub fn is_at_some_time(text: &str, message: impl Fn(Timestamp) -> Message) -> bool {
    // As people read it: 2026-11-21 11:38:20.
    let words = text.char_indices().filter_map(|(at, _)| text.get(at..at + 19));
    let times = words.filter_map(|word| DateTime::strptime("%Y-%m-%d %H:%M:%S", word).ok()?.to_zoned(TimeZone::UTC).ok());
    times.into_iter().any(|time| message(time.timestamp()).to_string() == text)
}
