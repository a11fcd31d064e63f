//! A bucket's policy with our statements merged in by Sid, and taken out again. Pure: texts in, texts out.
//!
//! What is not ours is never parsed and written anew: it keeps its text, byte for byte, whatever it holds.

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

/// S3's limit for the policy of a bucket.
const BYTES_MAX: usize = 20 * 1024;

/// The deployment's statements, as they also stand in template.yaml.
const OURS: &str = include_str!("../../../../iam/bucket-policy.json");

/// What the placeholders of `iam/bucket-policy.json` stand for.
#[derive(Debug, Clone)]
pub struct Names {
    /// `AWS::Partition`.
    pub partition: String,
    /// `AWS::AccountId`.
    pub account: String,
    /// `Prefix`.
    pub prefix: String,
    /// `UserBucket`.
    pub bucket: String,
}

/// What adopting comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopted {
    /// The policy's text. It is the very text that was there where nothing is to be done.
    pub policy: String,
    /// The statements that are our doing, as they stand in it. Those that were there before us are not.
    pub added: Vec<Value>,
}

/// One of our statements.
#[derive(Debug, Clone)]
pub struct Own {
    value: Value,
    /// As it is written: with the Sid first, and not in the order of the alphabet.
    text: Box<RawValue>,
}

impl Own {
    fn sid(&self) -> Option<&str> {
        sid(&self.value)
    }
}

/// Our policy with its placeholders filled in.
pub fn ours(names: &Names) -> Result<Vec<Own>> {
    let filled = OURS
        .replace("${AWS::Partition}", &names.partition)
        .replace("${AWS::AccountId}", &names.account)
        .replace("${Prefix}", &names.prefix)
        .replace("${UserBucket}", &names.bucket);
    let own = |text: Box<RawValue>| Ok(Own { value: value(&text)?, text: RawValue::from_string(compact(text.get())?)? });
    Policy::parse(&filled).context("iam/bucket-policy.json")?.statements.into_iter().map(own).collect()
}

/// The policy with `ours` in it. `recorded` are statements that we added before, which newer ones of ours replace.
pub fn adopt(current: Option<&str>, ours: &[Own], recorded: &[Value]) -> Result<Adopted> {
    let mut policy = match current {
        Some(text) => Policy::parse(text)?,
        None => Policy::parse(r#"{"Version":"2012-10-17","Statement":[]}"#)?,
    };
    let mut added = Vec::new();
    let mut kept = Vec::new();
    let mut changed = false;
    for statement in policy.statements {
        let value = value(&statement)?;
        let is_recorded = recorded.iter().any(|r| same(r, &value));
        match ours.iter().find(|o| o.sid().is_some() && o.sid() == sid(&value)) {
            Some(own) if same(&own.value, &value) => {
                added.extend(is_recorded.then(|| own.value.clone()));
                kept.push(statement);
            }
            Some(own) if is_recorded => {
                added.push(own.value.clone());
                kept.push(own.text.clone());
                changed = true;
            }
            Some(own) => bail!(collision(own.sid().unwrap_or_default(), recorded.iter().any(|r| sid(r) == own.sid()))),
            // One of ours that this version has no more.
            None if is_recorded => changed = true,
            None => kept.push(statement),
        }
    }
    for own in ours {
        if !kept.iter().any(|k| value(k).is_ok_and(|v| sid(&v) == own.sid())) {
            added.push(own.value.clone());
            kept.push(own.text.clone());
            changed = true;
        }
    }
    policy.statements = kept;
    let text = match current {
        Some(text) if !changed => text.to_owned(),
        _ => policy.text()?,
    };
    if changed && text.len() > BYTES_MAX {
        bail!(
            "the policy would have {} bytes, and S3 takes at most {BYTES_MAX}: shorten the statements that are there, then try again",
            text.len()
        );
    }
    Ok(Adopted { policy: text, added })
}

/// The policy without the statements of `recorded`, known by their Sids; none where nothing is left to be said.
/// Where that comes to what was there `before` us, it is that very text.
pub fn undo(current: Option<&str>, before: Option<&str>, recorded: &[Value]) -> Result<Option<String>> {
    // Somebody has removed the whole policy since: that is not for us to bring back.
    let Some(current) = current else { return Ok(None) };
    let mut policy = Policy::parse(current)?;
    let count = policy.statements.len();
    let is_ours = |s: &RawValue| value(s).is_ok_and(|v| sid(&v).is_some() && recorded.iter().any(|r| sid(r) == sid(&v)));
    policy.statements.retain(|s| !is_ours(s));
    if policy.statements.len() == count {
        return Ok(Some(current.to_owned()));
    }
    let text = policy.text()?;
    match before {
        Some(before) if same(&serde_json::from_str(before)?, &serde_json::from_str(&text)?) => Ok(Some(before.to_owned())),
        // S3 takes no policy without a statement.
        _ if policy.statements.is_empty() => Ok(None),
        _ => Ok(Some(text)),
    }
}

fn collision(sid: &str, edited: bool) -> String {
    if edited {
        format!(
            "the bucket's policy has the statement {sid:?}, which clusterdrop added, but it has been changed since: give the changed one \
             another Sid, or take clusterdrop out with --undo first (which removes it)"
        )
    } else {
        format!(
            "the bucket's policy already has a statement {sid:?} that is not this deployment's: has another deployment adopted the bucket? \
             If not, give that statement another Sid, then try again"
        )
    }
}

/// A policy, taken apart no further than needed.
struct Policy {
    /// The whole, in its order; `Statement` is only here to keep its place.
    fields: IndexMap<String, Box<RawValue>>,
    statements: Vec<Box<RawValue>>,
}

impl Policy {
    fn parse(text: &str) -> Result<Self> {
        let fields: IndexMap<String, Box<RawValue>> =
            serde_json::from_str(text).context("the bucket's policy is no JSON object, so nothing can be added to it")?;
        let statements = match fields.get("Statement").map(|s| s.get()) {
            None => Vec::new(),
            Some(list) if list.starts_with('[') => serde_json::from_str(list)?,
            // A single statement may stand without a list around it.
            Some(single) => vec![RawValue::from_string(single.to_owned())?],
        };
        Ok(Self { fields, statements })
    }

    fn text(&self) -> Result<String> {
        let statements: Vec<&str> = self.statements.iter().map(|s| s.get()).collect();
        let mut fields = self.fields.clone();
        fields.insert("Statement".to_owned(), RawValue::from_string(format!("[{}]", statements.join(",")))?);
        Ok(serde_json::to_string(&fields)?)
    }
}

fn value(statement: &RawValue) -> Result<Value> {
    serde_json::from_str(statement.get()).context("the bucket's policy has a statement that cannot be read")
}

/// JSON without the spaces between its parts, in its own order.
fn compact(json: &str) -> Result<String> {
    let mut out = Vec::new();
    serde_transcode::transcode(&mut serde_json::Deserializer::from_str(json), &mut serde_json::Serializer::new(&mut out))?;
    Ok(String::from_utf8(out)?)
}

/// A statement's id.
pub fn sid(statement: &Value) -> Option<&str> {
    statement["Sid"].as_str().filter(|sid| !sid.is_empty())
}

/// Whether two statements, or two policies, say the same. S3 does not return what it was given: lists of one become the
/// one, lists change their order, and a missing Sid becomes an empty one.
fn same(a: &Value, b: &Value) -> bool {
    canonical(a) == canonical(b)
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(canonical).collect();
            list.sort_by_cached_key(Value::to_string);
            list.dedup();
            if list.len() == 1 { list.swap_remove(0) } else { Value::Array(list) }
        }
        Value::Object(map) => {
            let is_said = |(key, value): &(&String, &Value)| *key != "Sid" || value.as_str() != Some("");
            Value::Object(map.iter().filter(is_said).map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        // Conditions compare texts: "false" and false are one.
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        _ => value.clone(),
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
